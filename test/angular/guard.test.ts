import { Component, EnvironmentInjector, inject, runInInjectionContext } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, RedirectCommand, Router } from '@angular/router';
import type { Route } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import {
  completeSignIn,
  CredentialStore,
  injectSignInFailure,
  provideCredentials,
  requireCredential,
  withLogger,
  withName,
} from 'rx-credentials-angular';
import type { CredentialGuard, MissingCredential, RequireCredentialOptions } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { Credential } from '../../src/index.js';

const CLIENT = { issuer: 'https://id.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/callback' };

@Component({ template: 'orders' })
class Orders {}
@Component({ template: 'sign in' })
class SignIn {
  readonly failure = injectSignInFailure();
}

let credentials: CredentialsTestingController;
let found: MissingCredential[];
let warnings: unknown[];
beforeEach(() => {
  [found, warnings] = [[], []];
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(CLIENT, withLogger({ debug: () => undefined, warn: (_, event) => warnings.push(event) })),
      provideCredentials(CLIENT, withName('admin')),
      provideRouter([
        { path: 'orders', component: Orders, canMatch: [requireCredential({ orElse: '/sign-in?from=orders' })] },
        { path: 'activated', component: Orders, canActivate: [requireCredential({ orElse: '/sign-in' })] },
        {
          path: 'wanted',
          component: Orders,
          canMatch: [
            requireCredential({ orElse: ({ returnTo }) => inject(Router).createUrlTree(['/sign-in'], { queryParams: { returnTo } }) }),
          ],
        },
        {
          path: 'parent',
          canActivateChild: [requireCredential({ scopes: 'orders:read', orElse: (missing) => (found.push(missing), '/sign-in') })],
          children: [{ path: 'child', component: Orders }],
        },
        { path: 'hidden', component: Orders, canMatch: [requireCredential()] },
        { path: 'hidden', component: SignIn },
        { path: 'sign-in', component: SignIn },
      ]),
      provideCredentialsTesting(),
    ],
  });
  credentials = TestBed.inject(CredentialsTestingController);
});
afterEach(() => credentials.verify()); // no guard asks the server

const guarded = (options?: RequireCredentialOptions): Promise<unknown> =>
  runInInjectionContext(TestBed.inject(EnvironmentInjector), () => requireCredential(options)());

/** The server ends a session. */
async function reject(credential: Credential): Promise<void> {
  const refreshing = credential.refresh();
  const rejected = expect(refreshing).rejects.toMatchObject({ code: 'needs_sign_in' });
  await credentials.tick();
  await credentials.expectRefresh(credential.id).fail('invalid_grant');
  await rejected;
}

describe('requireCredential', () => {
  it('waits until storage was read', async () => {
    const release = credentials.holdStorage();
    let answer: unknown = 'none yet';
    const asking = guarded().then((result) => (answer = result));
    await credentials.tick();
    expect(answer).toBe('none yet');
    await release();
    await asking;
    expect(answer).toBe(false);
  });

  it('lets the route match once somebody is signed in', async () => {
    await credentials.signIn();
    expect(await guarded({ orElse: '/sign-in' })).toBe(true);
    const harness = await RouterTestingHarness.create('/orders');
    expect(harness.routeNativeElement?.textContent).toBe('orders');
  });

  it('redirects by a command while nobody is signed in', async () => {
    const answer = await guarded({ orElse: '/sign-in?from=orders' });
    expect(answer).toBeInstanceOf(RedirectCommand);
    expect((answer as RedirectCommand).redirectTo.toString()).toBe('/sign-in?from=orders');
    const harness = await RouterTestingHarness.create('/orders');
    expect(harness.routeNativeElement?.textContent).toBe('sign in');
    expect(TestBed.inject(Router).url).toBe('/sign-in?from=orders');
    await harness.navigateByUrl('/activated');
    expect(TestBed.inject(Router).url).toBe('/sign-in');
  });

  it('without a place to go lets another route of the same path match', async () => {
    const harness = await RouterTestingHarness.create('/hidden');
    expect(harness.routeNativeElement?.textContent).toBe('sign in');
    await credentials.signIn();
    await harness.navigateByUrl('/');
    await harness.navigateByUrl('/hidden');
    expect(harness.routeNativeElement?.textContent).toBe('orders');
  });

  const byMistake = (missing: MissingCredential): string => (found.push(missing), '/sign-in');
  const ANSWER = '/callback?code=SECRET&state=anything';
  it.each<[string, (guard: CredentialGuard) => Route]>([
    ['in canMatch', (guard) => ({ canMatch: [guard], component: Orders })],
    ['in canActivate', (guard) => ({ canActivate: [guard], component: Orders })],
    ['of a parent', (guard) => ({ canActivateChild: [guard], children: [{ path: '', component: Orders }] })],
  ])('9700-1 %s of the callback route by mistake puts no code into another address, and says so', async (_, guardedBy) => {
    const router = TestBed.inject(Router);
    router.resetConfig([
      { path: 'callback', ...guardedBy(requireCredential({ orElse: byMistake })) },
      { path: 'sign-in', component: SignIn },
    ]);
    const harness = await RouterTestingHarness.create();
    const page = await harness.navigateByUrl(ANSWER, SignIn);
    expect(found).toEqual([{ returnTo: '/', credential: null }]);
    expect(page.failure).toMatchObject({ code: 'callback_invalid', returnTo: '/' });
    expect(page.failure?.message).toMatch(/requireCredential guards.*completeSignIn\(\)/);
    expect(warnings).toMatchObject([{ type: 'sign_in_failed', code: 'callback_invalid' }]);
    expect(router.url).toBe('/sign-in');
    expect(JSON.stringify([page.failure, warnings])).not.toContain('SECRET');
  });

  it.each([
    ['at another path', '/wanted?code=x&state=y'],
    ['without state', '/callback?code=x&my-state=y'],
    ['without code or error', '/callback?state=y&promo_code=z'],
  ])('an address is wanted as it is: %s', async (_, address) => {
    const router = TestBed.inject(Router);
    router.resetConfig([
      { path: 'sign-in', component: SignIn },
      { path: '**', canActivate: [requireCredential({ orElse: byMistake })], component: Orders },
    ]);
    const harness = await RouterTestingHarness.create();
    const page = await harness.navigateByUrl(address, SignIn);
    expect(found).toEqual([{ returnTo: address, credential: null }]);
    expect(page.failure).toBeNull();
    expect(warnings).toEqual([]);
  });

  it('of another route than the callback, which it stands before, refuses without a word', async () => {
    TestBed.inject(Router).resetConfig([
      { path: '', canMatch: [requireCredential()], children: [{ path: '**', component: Orders }] },
      { path: 'callback', component: SignIn },
    ]);
    const harness = await RouterTestingHarness.create();
    expect((await harness.navigateByUrl(ANSWER, SignIn)).failure).toBeNull();
    expect(warnings).toEqual([]);
  });

  it('TM-3 lets through a token that has expired: the first request renews it', async () => {
    const credential = await credentials.signIn();
    await credentials.expire(credential);
    expect(await guarded()).toBe(true);
    expect(credential.status.token).toBe('expired');
    await credentials.tick();
    credentials.expectNoRefresh();
  });

  it('takes a credential that needs sign-in, is being revoked or is not the default for nobody', async () => {
    const store = TestBed.inject(CredentialStore);
    const credential = await credentials.signIn();
    await store.setDefault(null);
    expect(await guarded()).toBe(false);
    await store.setDefault(credential);
    await reject(credential);
    expect(await guarded()).toBe(false);
    const again = await credentials.signIn();
    expect(await guarded()).toBe(true);
    const release = credentials.holdRevocations();
    const revoking = again.revoke('refresh');
    await credentials.tick();
    expect(again.status.activity).toBe('revoking');
    expect(await guarded()).toBe(false);
    await release();
    await revoking;
  });

  it('by tags takes any credential that has all of them', async () => {
    await credentials.signIn();
    expect(await guarded({ tags: 'work' })).toBe(false);
    const other = await credentials.signIn({ sub: 'bob', tags: ['work', 'home'] });
    expect(other.state.isDefault).toBe(false);
    expect([await guarded({ tags: 'work' }), await guarded({ tags: ['home', 'work'] }), await guarded({ tags: ['work', 'play'] })]).toEqual(
      [true, true, false],
    );
    await reject(other);
    expect(await guarded({ tags: 'work' })).toBe(false);
  });

  it.each<[NonNullable<RequireCredentialOptions['scopes']>, boolean]>([
    ['orders:read', true],
    ['orders:read openid', true],
    [['openid', 'orders:read'], true],
    [[], true],
    ['', true],
    ['orders:write', false],
    ['orders', false],
    [['openid', 'orders:write'], false],
  ])('by scopes %j, of which openid and orders:read were granted: %s', async (scopes, expected) => {
    await credentials.signIn({ scope: 'openid orders:read' });
    expect(await guarded({ scopes })).toBe(expected);
  });

  it('tags and scopes must be those of one credential', async () => {
    await credentials.signIn({ scope: 'openid orders:read' });
    await credentials.signIn({ sub: 'bob', tags: ['work'] });
    expect(await guarded({ tags: 'work', scopes: 'orders:read' })).toBe(false);
  });

  it('gives a function the address that was wanted; it runs in an injection context and may answer with a UrlTree', async () => {
    const harness = await RouterTestingHarness.create('/wanted?page=2#end');
    expect(harness.routeNativeElement?.textContent).toBe('sign in');
    expect(TestBed.inject(Router).parseUrl(TestBed.inject(Router).url).queryParams).toEqual({ returnTo: '/wanted?page=2#end' });
  });

  it('guards children, and says who is signed in without the scope', async () => {
    const harness = await RouterTestingHarness.create('/parent/child');
    expect(TestBed.inject(Router).url).toBe('/sign-in');
    const credential = await credentials.signIn();
    await harness.navigateByUrl('/parent/child?a=1');
    expect(found).toEqual([
      { returnTo: '/parent/child', credential: null },
      { returnTo: '/parent/child?a=1', credential: credential.state },
    ]);
    await credential.remove();
    await credentials.signIn({ scope: 'orders:read' });
    await harness.navigateByUrl('/parent/child');
    expect(harness.routeNativeElement?.textContent).toContain('orders');
  });

  it('of a store with a name asks that store', async () => {
    await credentials.signIn();
    expect(await guarded({ store: 'admin' })).toBe(false);
    await credentials.signIn({}, { store: 'admin' });
    expect(await guarded({ store: 'admin' })).toBe(true);
  });

  it('RF-15 waits no longer than ten seconds for a storage that never answers', async () => {
    credentials.holdStorage();
    let answer: unknown = 'none yet';
    const asking = guarded({ orElse: '/sign-in' }).then((result) => (answer = result));
    await credentials.tick(9_000);
    expect(answer).toBe('none yet');
    await credentials.tick(1_000);
    await asking;
    expect(answer).toBeInstanceOf(RedirectCommand);
  });

  it('never navigates by itself and asks no server', async () => {
    const navigate = jest.spyOn(TestBed.inject(Router), 'navigateByUrl');
    await guarded({ orElse: '/sign-in' });
    expect(navigate).not.toHaveBeenCalled();
    await credentials.tick();
    credentials.expectNoRefresh();
  });

  it.each(['canMatch', 'canActivate', 'canActivateChild'] as const)(
    'opens no route where it stands in %s uncalled, and says so',
    async (kind) => {
      // It compiles: Angular takes any function there
      for (const factory of [requireCredential, completeSignIn]) {
        TestBed.resetTestingModule();
        const children = [{ path: 'child', component: Orders }];
        TestBed.configureTestingModule({
          providers: [
            provideCredentials(CLIENT),
            provideRouter([{ path: 'open', children, [kind]: [factory] }]),
            provideCredentialsTesting(),
          ],
        });
        const router = TestBed.inject(Router);
        await expect(router.navigateByUrl('/open/child')).rejects.toThrow('Call the guard');
        expect(router.url).toBe('/');
      }
      credentials = TestBed.inject(CredentialsTestingController);
    },
  );

  it('needs an injection context', async () => {
    await expect(requireCredential()()).rejects.toThrow(/NG0?203/);
    expect(() => inject(CredentialStore)).toThrow(/NG0?203/);
  });
});
