import { HttpClient, provideHttpClient, withInterceptors } from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting } from '@angular/common/http/testing';
import { Component, createEnvironmentInjector, EnvironmentInjector, inject } from '@angular/core';
import type { EnvironmentProviders } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, withAutoCleanupInjectors } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import {
  CredentialStore,
  credentialsInterceptor,
  credentialStoreToken,
  injectAuthorizationCodeFlow,
  injectDefaultCredential,
  provideCredentials,
  withName,
  withRefresh,
  withResources,
  withStorage,
} from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { CredentialsTestingOptions } from 'rx-credentials-angular/testing';
import { CredentialError } from '../../src/index.js';

const ORDERS = 'https://api.example.com/v1/orders';
const CLIENT = { issuer: 'https://id.example.com', clientId: 'spa', scope: 'openid orders', redirectUri: 'https://app.example.com/cb' };

let credentials: CredentialsTestingController;
let api: HttpTestingController;
let store: CredentialStore;

function application(options: CredentialsTestingOptions = {}, isAhead = false): void {
  configure(options, [], isAhead);
  store = TestBed.inject(CredentialStore);
}

/** The application, none of whose stores was injected yet. */
function configure(options: CredentialsTestingOptions, providers: readonly EnvironmentProviders[] = [], isAhead = false): void {
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(
        CLIENT,
        withResources('https://api.example.com/v1/', { url: 'https://less.example.com/', scope: 'orders' }),
        withStorage(() => {
          throw new Error('no test touches the storage of the application');
        }),
        ...(isAhead ? [withRefresh({ ahead: true })] : []),
      ),
      provideCredentials({ ...CLIENT, clientId: 'admin' }, withName('admin')),
      provideHttpClient(withInterceptors([credentialsInterceptor])),
      provideHttpClientTesting(),
      provideCredentialsTesting(options),
      ...providers,
    ],
  });
  credentials = TestBed.inject(CredentialsTestingController);
  api = TestBed.inject(HttpTestingController);
}

const rootInjector = (): EnvironmentInjector => TestBed.inject(EnvironmentInjector);
/** Of which client each credential is. */
const clientIds = (of: CredentialStore): Readonly<Record<string, string>> =>
  Object.fromEntries(of.snapshot().credentials.map(({ id, context }) => [id, context.clientId]));

const get = (url = ORDERS): { body?: unknown; error?: unknown } => {
  const came: { body?: unknown; error?: unknown } = {};
  TestBed.inject(HttpClient)
    .get(url)
    .subscribe({ next: (body) => (came.body = body), error: (error: unknown) => (came.error = error) });
  return came;
};
const authorization = (url = ORDERS): string | null => {
  const sent = api.expectOne(url);
  sent.flush('ok');
  return sent.request.headers.get('Authorization');
};

describe('provideCredentialsTesting', () => {
  it('begins with the credentials that are given, the first one as the default', async () => {
    application({
      credentials: [
        { id: 'a', sub: 'alice', claims: { name: 'Alice' } },
        { id: 'b', sub: 'bob', tags: ['work'], scope: 'openid' },
      ],
    });
    const user = TestBed.runInInjectionContext(() => injectDefaultCredential());
    expect(user()).toBeUndefined();
    await credentials.tick();
    expect(user()).toMatchObject({ id: 'a', claims: { sub: 'alice', name: 'Alice' }, scope: 'openid orders', status: { token: 'valid' } });
    expect(store.snapshot().credentials[1]).toMatchObject({ id: 'b', tags: ['work'], scope: 'openid', isDefault: false });
    expect(store.snapshot().durable).toBe(true);
  });

  it('begins empty, at the instant that is given', async () => {
    application({ now: Date.UTC(2030, 0, 1) });
    await credentials.tick(500);
    expect([store.snapshot().credentials, credentials.now()]).toEqual([[], Date.UTC(2030, 0, 1) + 500]);
  });

  it('gives each test a world of its own', async () => {
    application({ credentials: [{}] });
    await credentials.signIn({ sub: 'other' });
    expect(await store.allIDs()).toEqual(['credential-1', 'credential-2']);
    TestBed.resetTestingModule();
    application();
    expect(await store.allIDs()).toEqual([]);
  });
});

describe('CredentialsTestingController', () => {
  it('signs in, lets a token expire and answers the refresh that the next request needs', async () => {
    application();
    const credential = await credentials.signIn({ accessToken: 'first' });
    get();
    await credentials.tick();
    expect(authorization()).toBe('Bearer first');
    await credentials.expire(credential);
    expect(credential.status.token).toBe('expired');
    const came = get();
    await credentials.tick();
    api.expectNone(ORDERS);
    await credentials.expectRefresh('credential-1').flush({ accessToken: 'second', expiresIn: 60 });
    expect(authorization()).toBe('Bearer second');
    expect([came.body, credential.state.expiresAt]).toEqual(['ok', credentials.now() + 60_000]);
    credentials.verify();
  });

  it('fails a refresh with an OAuth error: the user must sign in', async () => {
    application({ credentials: [{ id: 'a' }] });
    await credentials.tick();
    await credentials.expire('a');
    const came = get();
    await credentials.tick();
    await credentials.expectRefresh().fail('invalid_grant');
    api.expectNone(ORDERS);
    expect(came.error).toMatchObject({ code: 'needs_sign_in' });
    expect(store.snapshot().credentials).toMatchObject([{ status: { token: 'needs_sign_in' }, reason: 'rejected' }]);
  });

  it('answers a refresh once: a second answer says so, and changes nothing', async () => {
    application({ credentials: [{ id: 'a' }] });
    await credentials.expire('a');
    get();
    await credentials.tick();
    const refresh = credentials.expectRefresh();
    await refresh.flush({ accessToken: 'first' });
    await expect(refresh.flush({ accessToken: 'second' })).rejects.toThrow('the refresh of a has its answer already');
    await expect(refresh.fail('invalid_grant')).rejects.toThrow('the refresh of a has its answer already');
    expect(authorization()).toBe('Bearer first');
    expect(store.snapshot().credentials).toMatchObject([{ status: { token: 'valid' } }]);
  });

  it('fails a refresh for lack of a network: the store tries again as time passes', async () => {
    application({ credentials: [{ id: 'a' }] });
    await credentials.tick();
    await credentials.expire('a');
    get();
    await credentials.tick();
    await credentials.expectRefresh().fail();
    credentials.expectNoRefresh();
    await credentials.tick(10_000);
    await credentials.expectRefresh().flush();
    expect(authorization()).toBe('Bearer access-2');
  });

  it('fails a refresh with any error of ours', async () => {
    application({ credentials: [{ id: 'a' }] });
    const credential = (await store.getDefault())!;
    const failed = credential.refresh().catch((error: unknown) => error);
    await credentials.tick();
    await credentials.expectRefresh().fail(new CredentialError('endpoint_missing', 'no token endpoint'));
    expect(await failed).toMatchObject({ code: 'endpoint_missing' });
  });

  it('finds a refresh by credential, scope, resource or function', async () => {
    application({ credentials: [{ id: 'a' }, { id: 'b', sub: 'bob' }] });
    const [a, b] = await Promise.all([store.with('a'), store.with('b')]);
    const asked = Promise.all([a!.refresh(), b!.refresh(), a!.accessToken({ resource: 'https://files.example.com/' })]);
    get('https://less.example.com/');
    await credentials.tick();
    expect(() => credentials.expectRefresh()).toThrow(/expected one refresh, found \d; sent and not answered: a/);
    expect(() => credentials.expectRefresh('c')).toThrow('expected one refresh of c, found none');
    expect(() => credentials.expectNoRefresh('b')).toThrow('expected no refresh of b, found 1');
    expect(() => credentials.verify()).toThrow('expected no more refreshes');
    await credentials.expectRefresh({ credentialId: 'b' }).flush();
    await credentials.expectRefresh(({ credentialId, scope, resource }) => credentialId === 'a' && !scope && !resource).flush();
    await credentials.expectRefresh({ resource: 'https://files.example.com/' }).flush();
    await credentials.expectRefresh({ scope: 'orders' }).flush({ accessToken: 'less' });
    expect(authorization('https://less.example.com/')).toBe('Bearer less');
    await asked;
    credentials.expectNoRefresh();
    credentials.verify();
  });

  it('opens other tabs over the same storage: one refresh, and all of them know', async () => {
    application({ credentials: [{ id: 'a' }] });
    const tab = await credentials.openTab();
    const [here, there] = [await store.with('a'), await tab.with('a')];
    const both = Promise.all([here!.refresh(), there!.refresh()]);
    await credentials.tick();
    await credentials.expectRefresh('a').flush({ accessToken: 'shared' });
    await both;
    expect([here?.token?.accessToken, there?.token?.accessToken]).toEqual(['shared', 'shared']);
    await there?.remove();
    await credentials.tick();
    expect(await store.allIDs()).toEqual([]);
    credentials.verify();
    TestBed.resetTestingModule();
    await new Promise((resolve) => setTimeout(resolve));
    await expect(tab.allIDs()).rejects.toMatchObject({ code: 'store_closed' });
  });

  it.each([
    [true, 1],
    [false, 0],
  ])('renews ahead only if withRefresh says so (%s)', async (isAhead, count) => {
    application({ credentials: [{}] }, isAhead);
    await credentials.tick(3_595_000);
    if (count === 0) credentials.expectNoRefresh();
    else await credentials.expectRefresh().flush();
    credentials.verify();
  });

  it('answers the code exchange of a flow', async () => {
    application();
    const flow = TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow());
    const state = async (): Promise<string | null> => (await flow.start()).searchParams.get('state');
    credentials.nextSignIn({ sub: 'carol' });
    const token = await flow.resume(`https://app.example.com/cb?code=x&state=${await state()}`);
    expect(token.claims?.sub).toBe('carol');
    credentials.nextSignIn(new CredentialError('server_unavailable', 'busy'));
    await expect(flow.resume(`https://app.example.com/cb?code=x&state=${await state()}`)).rejects.toMatchObject({
      code: 'server_unavailable',
    });
  });

  it('6749-4 an answer with an error signs nobody in: it is refused as by a real client', async () => {
    application();
    const flow = TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow());
    const state = async (): Promise<string | null> => (await flow.start()).searchParams.get('state');
    credentials.nextSignIn({ sub: 'carol' });
    const refused = flow.resume(`https://app.example.com/cb?error=access_denied&error_description=no&state=${await state()}`);
    await expect(refused).rejects.toMatchObject({ code: 'authorization_failed', error: 'access_denied', errorDescription: 'no' });
    const token = await flow.resume(`https://app.example.com/cb?code=x&state=${await state()}`);
    expect(token.claims?.sub).toBe('carol'); // what was prepared is for the next exchange
  });

  it('holds storage back: nobody knows yet who is signed in', async () => {
    application({ credentials: [{ id: 'a' }] });
    const release = credentials.holdStorage();
    const user = TestBed.runInInjectionContext(() => injectDefaultCredential());
    await credentials.tick(9_000);
    expect(user()).toBeUndefined();
    await release();
    expect(user()).toMatchObject({ id: 'a' });
  });

  it('holds storage back for so long that the store gives up', async () => {
    application({ credentials: [{ id: 'a' }] });
    credentials.holdStorage();
    await credentials.tick(10_000);
    expect(store.snapshot()).toMatchObject({ status: 'ready', credentials: [], durable: false });
  });

  it('holds revocations back', async () => {
    application({ credentials: [{ id: 'a' }, { id: 'b', sub: 'bob' }] });
    const [a, b] = [await store.with('a'), await store.with('b')];
    const release = credentials.holdRevocations();
    const revoked = a!.revoke();
    await credentials.tick();
    expect(a!.status.activity).toBe('revoking');
    await release();
    expect(await revoked).toEqual({ local: 'removed', refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    credentials.holdRevocations();
    const failed = b!.revoke('refresh');
    await credentials.tick(5_000);
    expect(await failed).toMatchObject({ local: 'removed', refreshToken: { status: 'failed', code: 'timeout' } });
    expect(await store.allIDs()).toEqual([]);
  });

  it('serves stores with a name, each with its storage', async () => {
    application({ credentials: [{ id: 'a' }] });
    const credential = await credentials.signIn({ id: 'root' }, { store: 'admin' });
    const admin = TestBed.inject(credentialStoreToken('admin'));
    expect([await store.allIDs(), await admin.allIDs()]).toEqual([['a'], ['root']]);
    expect(credential.state.context.clientId).toBe('admin');
    expect(await (await credentials.openTab({ store: 'admin' })).allIDs()).toEqual(['root']);
  });

  it.each([
    ['without a name', undefined, 'admin'],
    ['with a name', 'admin', undefined],
  ])('gives credentials and other tabs the clients of their own store: the one %s is injected first', async (_, ...names) => {
    configure({ credentials: [{ id: 'a', accessToken: 'of-a' }] });
    for (const name of names) TestBed.inject(credentialStoreToken(name));
    await credentials.signIn({ id: 'root', accessToken: 'of-root' }, { store: 'admin' });
    const [spa, admin] = [TestBed.inject(CredentialStore), TestBed.inject(credentialStoreToken('admin'))];
    expect(clientIds(spa)).toEqual({ a: 'spa' });
    expect(clientIds(admin)).toEqual({ root: 'admin' });
    get();
    await credentials.tick();
    expect(authorization()).toBe('Bearer of-a');
    expect((await credentials.openTab()).client().clientId).toBe('spa');
    expect((await credentials.openTab({ store: 'admin' })).client().clientId).toBe('admin');
  });

  it('serves the store of a child environment once it was injected', async () => {
    application({ credentials: [{ id: 'a' }] });
    const child = createEnvironmentInjector([provideCredentials({ ...CLIENT, clientId: 'child' }, withName('child'))], rootInjector());
    await expect(credentials.signIn({}, { store: 'child' })).rejects.toThrow('there is no store "child"');
    const inChild = child.get(credentialStoreToken('child'));
    const credential = await credentials.signIn({ id: 'c' }, { store: 'child' });
    expect([clientIds(inChild), clientIds(store)]).toEqual([{ c: 'child' }, { a: 'spa' }]);
    await credentials.expire('c');
    const renewal = credential.refresh();
    await credentials.tick();
    await credentials.expectRefresh('c').flush({ accessToken: 'second' });
    await renewal;
    const tab = await credentials.openTab({ store: 'child' });
    expect((await tab.getDefault())?.token?.accessToken).toBe('second');
    child.destroy();
    await credentials.tick();
    await expect(inChild.allIDs()).rejects.toMatchObject({ code: 'store_closed' });
  });

  it('credentials that are given reach a store without a name that only a child environment has', async () => {
    TestBed.configureTestingModule({ providers: [provideCredentialsTesting({ credentials: [{ id: 'a' }] })] });
    credentials = TestBed.inject(CredentialsTestingController);
    const child = createEnvironmentInjector([provideCredentials(CLIENT)], rootInjector());
    const inChild = child.get(CredentialStore);
    await credentials.tick();
    expect(clientIds(inChild)).toEqual({ a: 'spa' });
    child.destroy();
  });

  it('serves the store in the providers of a route, and its next one when the route is entered again', async () => {
    @Component({ template: 'page' })
    class Page {}
    const stores: CredentialStore[] = [];
    const entered = (): boolean => stores.push(inject(credentialStoreToken('route'))) > 0;
    const providers = [provideCredentials({ ...CLIENT, clientId: 'route' }, withName('route'))];
    configure({ credentials: [{ id: 'a' }] }, [
      provideRouter(
        [
          { path: 'route', component: Page, canActivate: [entered], providers },
          { path: '', component: Page },
        ],
        withAutoCleanupInjectors(),
      ),
    ]);
    const harness = await RouterTestingHarness.create('/route');
    expect((await credentials.signIn({ id: 'r', expiresIn: 60 }, { store: 'route' })).state.context.clientId).toBe('route');
    await harness.navigateByUrl('/');
    await credentials.tick();
    await expect(stores[0].allIDs()).rejects.toMatchObject({ code: 'store_closed' });
    await harness.navigateByUrl('/route');
    await credentials.signIn({ id: 's' }, { store: 'route' });
    expect(stores).toHaveLength(2);
    expect(clientIds(stores[1])).toEqual({ r: 'route', s: 'route' });
    const before = credentials.now();
    await credentials.expire('r');
    expect(credentials.now() - before).toBe(60_001);
  });

  it('expires a token of a store that nobody has injected yet', async () => {
    configure({ credentials: [{ id: 'a', expiresIn: 60 }] });
    await credentials.expire('a');
    store = TestBed.inject(CredentialStore);
    expect(store.snapshot().credentials).toMatchObject([{ id: 'a', hasExpired: true }]);
  });

  it('says what is wrong with a test', async () => {
    application({ credentials: [{ id: 'a', expiresIn: null }] });
    await credentials.tick();
    await expect(credentials.expire('a')).rejects.toThrow('no end');
    await expect(credentials.expire('b')).rejects.toThrow('there is no credential "b"; there are: a');
    await expect(credentials.tick(-1)).rejects.toThrow(TypeError);
    await expect(credentials.signIn({}, { store: 'nobody' })).rejects.toThrow('there is no store "nobody"');
  });
});

describe('timers that were replaced before the testing entry was loaded', () => {
  it('hold no tick up', async () => {
    const { setTimeout: real } = globalThis;
    globalThis.setTimeout = (() => 1) as unknown as typeof setTimeout;
    try {
      await jest.isolateModulesAsync(async () => {
        const testing = await import('rx-credentials-angular/testing');
        const { TestWorld } = await import('../../projects/angular/testing/src/world');
        const { Injector } = await import('@angular/core');
        expect(testing.provideCredentialsTesting).toBeDefined();
        await new TestWorld(Injector.NULL, [], 0).tick(5);
      });
    } finally {
      globalThis.setTimeout = real;
    }
  });
});
