import { Component, EnvironmentInjector, inject, runInInjectionContext } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, RedirectCommand, Router } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import {
  CredentialStore,
  credentialStoreToken,
  provideCredentials,
  requireCredential,
  withName,
  withStorage,
} from 'rx-credentials-angular';
import type { MissingCredential, RequireCredentialOptions } from 'rx-credentials-angular';
import { refusal } from '../support/fake-client.js';
import { createWorld, settle, type World } from '../support/fixture.js';

@Component({ template: 'orders' })
class Orders {}
@Component({ template: 'sign in' })
class SignIn {}

let world: World;
let found: MissingCredential[];
beforeEach(() => {
  world = createWorld();
  found = [];
  const platform = world.browser.openTab();
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(
        world.authority.client(platform),
        withStorage(() => world.disk.storage()),
      ),
      provideCredentials(world.authority.client(world.browser.openTab()), withName('admin')),
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
    ],
  });
});

const guarded = (options?: RequireCredentialOptions): Promise<unknown> =>
  runInInjectionContext(TestBed.inject(EnvironmentInjector), () => requireCredential(options)());

describe('requireCredential', () => {
  it('waits until storage was read', async () => {
    const gate = world.disk.hold(({ method }) => method === 'readAll');
    let answer: unknown = 'none yet';
    const asking = guarded().then((result) => (answer = result));
    await gate.reached;
    await settle();
    expect(answer).toBe('none yet');
    gate.open();
    await asking;
    expect(answer).toBe(false);
  });

  it('lets the route match once somebody is signed in', async () => {
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
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
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    await harness.navigateByUrl('/');
    await harness.navigateByUrl('/hidden');
    expect(harness.routeNativeElement?.textContent).toBe('orders');
  });

  it('TM-3 lets through a token that has expired: the first request renews it', async () => {
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    world.browser.setClock(world.browser.now() + 3_700_000);
    expect(await guarded()).toBe(true);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it('takes a credential that needs sign-in, is being revoked or is not the default for nobody', async () => {
    const store = TestBed.inject(CredentialStore);
    const credential = await store.store(world.authority.signIn());
    await store.setDefault(null);
    expect(await guarded()).toBe(false);
    await store.setDefault(credential);
    world.authority.next(refusal('invalid_grant'));
    await credential.refresh().catch(() => undefined);
    expect(await guarded()).toBe(false);
    const again = await store.store(world.authority.signIn());
    expect(await guarded()).toBe(true);
    let answer = (): void => undefined;
    world.authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
    const revoking = again.revoke('refresh');
    await settle();
    expect(await guarded()).toBe(false);
    answer();
    await revoking;
  });

  it('by tags takes any credential that has all of them', async () => {
    const store = TestBed.inject(CredentialStore);
    await store.store(world.authority.signIn());
    expect(await guarded({ tags: 'work' })).toBe(false);
    const other = await store.store(world.authority.signIn({ sub: 'bob' }), { tags: ['work', 'home'] });
    expect(other.state.isDefault).toBe(false);
    expect([await guarded({ tags: 'work' }), await guarded({ tags: ['home', 'work'] }), await guarded({ tags: ['work', 'play'] })]).toEqual(
      [true, true, false],
    );
    world.authority.next(refusal('invalid_grant'));
    await other.refresh().catch(() => undefined);
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
    await TestBed.inject(CredentialStore).store(world.authority.signIn({ scope: 'openid orders:read' }));
    expect(await guarded({ scopes })).toBe(expected);
  });

  it('tags and scopes must be those of one credential', async () => {
    const store = TestBed.inject(CredentialStore);
    await store.store(world.authority.signIn({ scope: 'openid orders:read' }));
    await store.store(world.authority.signIn({ sub: 'bob' }), { tags: ['work'] });
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
    const store = TestBed.inject(CredentialStore);
    const credential = await store.store(world.authority.signIn());
    await harness.navigateByUrl('/parent/child?a=1');
    expect(found).toEqual([
      { returnTo: '/parent/child', credential: null },
      { returnTo: '/parent/child?a=1', credential: credential.state },
    ]);
    await credential.remove();
    await store.store(world.authority.signIn({ scope: 'orders:read' }));
    await harness.navigateByUrl('/parent/child');
    expect(harness.routeNativeElement?.textContent).toContain('orders');
  });

  it('of a store with a name asks that store', async () => {
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    expect(await guarded({ store: 'admin' })).toBe(false);
    await TestBed.inject(credentialStoreToken('admin')).store(world.authority.signIn());
    expect(await guarded({ store: 'admin' })).toBe(true);
  });

  it('RF-15 waits no longer than ten seconds for a storage that never opens', async () => {
    const gate = world.disk.hold(({ method }) => method === 'open');
    let answer: unknown = 'none yet';
    const asking = guarded({ orElse: '/sign-in' }).then((result) => (answer = result));
    await gate.reached;
    await world.browser.advance(9_000);
    expect(answer).toBe('none yet');
    await world.browser.advance(1_000);
    await asking;
    expect(answer).toBeInstanceOf(RedirectCommand);
    gate.open();
  });

  it('never navigates by itself and asks no server', async () => {
    const navigate = jest.spyOn(TestBed.inject(Router), 'navigateByUrl');
    await guarded({ orElse: '/sign-in' });
    expect(navigate).not.toHaveBeenCalled();
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it('needs an injection context', async () => {
    await expect(requireCredential()()).rejects.toThrow(/NG0?203/);
    expect(() => inject(CredentialStore)).toThrow(/NG0?203/);
  });
});
