import {
  HttpClient,
  type HttpInterceptorFn,
  provideHttpClient,
  withInterceptors,
  ɵREQUESTS_CONTRIBUTE_TO_STABILITY,
} from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting } from '@angular/common/http/testing';
import { ApplicationRef, createEnvironmentInjector, EnvironmentInjector, inject, InjectionToken } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import {
  CredentialStore,
  credentialsInterceptor,
  credentialStoreToken,
  injectAuthorizationCodeFlow,
  provideCredentials,
  withLogger,
  withName,
  withPlatform,
  withRefresh,
  withResources,
  withStepUp,
  withStorage,
  withTransactions,
} from 'rx-credentials-angular';
import { memoryTransactions } from 'rx-credentials/flows';
import { from, switchMap } from 'rxjs';
import { offline } from '../support/fake-client.js';
import { fakeServer } from '../support/fake-server.js';
import { createWorld, settle, type World } from '../support/fixture.js';
import { API, createAngularWorldOf, endAngularWorld, type AngularWorld } from '../support/angular-world.js';
import { fakePage, unitPlatform } from '../support/unit-platform.js';
import { defaultPlatform } from '../../src/index.js';
import type { CredentialStorage } from '../../src/index.js';

let world: AngularWorld | undefined;
afterEach(async () => {
  await endAngularWorld(world);
  world = undefined;
});

const CLIENT = { issuer: 'https://id.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/cb' };
const ORDERS = `${API}orders`;
const authorizationOf = (url: string): string | null => {
  const sent = TestBed.inject(HttpTestingController).expectOne(url);
  sent.flush(null);
  return sent.request.headers.get('Authorization');
};

describe('features', () => {
  it.each([
    ['withStorage', withStorage(() => createWorld().disk.storage())],
    ['withResources', withResources('https://a.example.com/')],
    ['withRefresh', withRefresh({ ahead: false })],
    ['withLogger', withLogger()],
    ['withPlatform', withPlatform(() => createWorld().browser.openTab())],
    ['withName', withName('admin')],
    ['withTransactions', withTransactions(() => memoryTransactions({ now: () => 0 }))],
  ])('%s twice is refused when it is configured, and the message says which', (kind, feature) => {
    for (const other of [feature, { ...feature }]) {
      const twice = (): unknown => provideCredentials(CLIENT, feature, other);
      expect(twice).toThrow(TypeError);
      expect(twice).toThrow(kind);
    }
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'a step-up without resources',
      () =>
        provideCredentials(
          CLIENT,
          withStepUp(() => true),
        ),
      /withStepUp without withResources/,
    ],
    [
      'two platforms',
      () => provideCredentials({ ...CLIENT, platform: defaultPlatform() }, withPlatform(defaultPlatform)),
      /withPlatform and a client/,
    ],
    ['a feature that is not called', () => provideCredentials(CLIENT, withLogger(), withResources as never), /not called/],
    ['no feature', () => provideCredentials(CLIENT, undefined as never), /not called/],
    ['a resource that is no URL', () => withResources('api.example.com'), /absolute http/],
    ['a resource that is not https', () => withResources({ url: 'http://api.example.com' }), /https/],
    ['a negative time', () => withRefresh({ waitMs: -1 }), /waitMs/],
    ['a time that is no number', () => withRefresh({ retryAfterMaxMs: NaN }), /retryAfterMaxMs/],
    ['a renewal that is neither on nor off', () => withRefresh({ ahead: 1 as unknown as boolean }), /ahead/],
    ['a storage instead of a function', () => withStorage(createWorld().disk.storage() as unknown as () => CredentialStorage), /function/],
    ['transactions instead of a function', () => withTransactions(memoryTransactions({ now: () => 0 }) as never), /function/],
    ['an empty name', () => withName(''), /takes a text/],
    ['a logger without methods', () => withLogger({} as Console), /withLogger: debug/],
    ['no function to step up', () => withStepUp(true as unknown as () => boolean), /function/],
    ['no function for a platform', () => withPlatform(defaultPlatform() as unknown as typeof defaultPlatform), /function/],
  ])('refuses %s when it is configured', (_, configure, message) => {
    expect(configure).toThrow(TypeError);
    expect(configure).toThrow(message);
  });

  it('refuses two platforms also where a factory configures', () => {
    TestBed.configureTestingModule({
      providers: [provideCredentials(() => ({ ...CLIENT, platform: defaultPlatform() }), withPlatform(defaultPlatform))],
    });
    expect(() => TestBed.inject(CredentialStore)).toThrow(TypeError);
  });
});

describe('withResources', () => {
  it('takes objects: methods, credential and scope of each resource', async () => {
    world = createAngularWorldOf({
      resources: [
        { url: 'https://a.example.com/', credential: 'bob' },
        { url: 'https://b.example.com/', methods: ['GET'] },
      ],
    });
    const alice = await world.signIn({ id: 'alice' });
    const bob = await world.signIn({ id: 'bob', sub: 'bob' });
    world.get('https://a.example.com/x');
    world.get('https://b.example.com/x');
    world.http.delete('https://b.example.com/y').subscribe();
    await settle();
    expect(['https://a.example.com/x', 'https://b.example.com/x', 'https://b.example.com/y'].map(authorizationOf)).toEqual([
      `Bearer ${bob.token?.accessToken}`,
      `Bearer ${alice.token?.accessToken}`,
      null,
    ]);
  });
});

describe('withRefresh', () => {
  it('E20 waitMs: how long a request waits', async () => {
    world = createAngularWorldOf({ features: [withRefresh({ waitMs: 3_000 })] });
    await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.authority.hold();
    const sent = world.get(ORDERS);
    await world.browser.advance(3_000);
    expect(sent.errors).toMatchObject([{ code: 'timeout' }]);
    world.authority.refreshes[0]?.answer();
    await settle();
  });

  it('E20 a request that waits for a token holds the application up no longer than that', async () => {
    world = createAngularWorldOf({
      features: [withRefresh({ waitMs: 3_000 })],
      providers: [{ provide: ɵREQUESTS_CONTRIBUTE_TO_STABILITY, useValue: true }], // as outside of tests
    });
    await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.authority.hold();
    world.get(ORDERS);
    let isStable = false;
    const stable = TestBed.inject(ApplicationRef)
      .whenStable()
      .then(() => (isStable = true));
    await world.browser.advance(2_900);
    expect(isStable).toBe(false);
    await world.browser.advance(200);
    await stable;
    world.authority.refreshes[0]?.answer();
    await settle();
  });

  it.each([
    [true, 1],
    [false, 0],
  ])('ahead: %s renews %d times without being asked', async (ahead, times) => {
    world = createAngularWorldOf({ features: [withRefresh({ ahead })] });
    await world.signIn();
    await world.browser.advance(3_590_000);
    expect(world.authority.refreshes).toHaveLength(times);
  });
});

describe('withStepUp', () => {
  const CHALLENGE = {
    status: 403,
    statusText: 'Forbidden',
    headers: { 'WWW-Authenticate': 'Bearer error="insufficient_scope", scope="orders:write"' },
  };
  const BETTER = new InjectionToken<string>('better');

  it('STEP-1 is asked in an injection context, with the challenge; the request is sent once more', async () => {
    const asked: unknown[] = [];
    world = createAngularWorldOf({
      features: [
        withStepUp(async (challenge, credential) => {
          asked.push([inject(BETTER), challenge, credential.id]);
          await credential.refresh();
          return true;
        }),
      ],
      providers: [{ provide: BETTER, useValue: 'injected' }],
    });
    const credential = await world.signIn({ id: 'alice' });
    const sent = world.get(ORDERS);
    await settle();
    world.server.expectOne(ORDERS).flush(null, CHALLENGE);
    await settle();
    const retried = world.server.expectOne(ORDERS);
    expect(retried.request.headers.get('Authorization')).toBe(`Bearer ${credential.token?.accessToken}`);
    retried.flush('ok');
    expect(sent.bodies).toEqual(['ok']);
    expect(asked).toEqual([['injected', { error: 'insufficient_scope', scope: 'orders:write', resource: API }, 'alice']]);
  });

  it('STEP-2 is asked once for ten requests, and not again when the API is never content', async () => {
    let asked = 0;
    world = createAngularWorldOf({ features: [withStepUp(() => ++asked > 0)] });
    await world.signIn();
    const sent = Array.from({ length: 10 }, () => world!.get(ORDERS));
    for (let tries = 0; tries < 5; tries++) {
      await settle();
      world.server.match(ORDERS).forEach((request) => request.flush(null, CHALLENGE));
    }
    expect(sent.map(({ errors }) => errors.length)).toEqual(Array.from({ length: 10 }, () => 1));
    expect(asked).toBe(1);
  });
});

describe('withLogger', () => {
  it('E51 writes each event with its type, what is wrong as a warning, and no secret', async () => {
    const lines: [string, string, unknown][] = [];
    const logger = {
      debug: (message: string, event: unknown) => void lines.push(['debug', message, event]),
      warn: (message: string, event: unknown) => void lines.push(['warn', message, event]),
    };
    world = createAngularWorldOf({ features: [withLogger(logger)] });
    const credential = await world.signIn();
    await credential.refresh();
    world.authority.next(offline(), offline(), offline());
    const refused = credential.refresh().catch(() => undefined);
    await world.browser.advance(60_000);
    await refused;
    expect(lines.map(([level, message]) => `${level} ${message}`)).toEqual(
      expect.arrayContaining([
        'debug [rx-credentials] restored',
        'debug [rx-credentials] token_added',
        'debug [rx-credentials] refresh_started',
        'debug [rx-credentials] token_replaced',
        'warn [rx-credentials] refresh_failed',
      ]),
    );
    expect(JSON.stringify(lines)).not.toContain('CANARY');
    const seen = lines.length;
    await world.store.close();
    expect(lines).toHaveLength(seen);
  });

  it('is the console without an argument', () => {
    expect(withLogger()).toEqual({ kind: 'withLogger', logger: console });
  });
});

describe('withName', () => {
  const one = (name: string, { authority, browser, disk }: World): ReturnType<typeof provideCredentials> =>
    provideCredentials(
      authority.client(browser.openTab()),
      withName(name),
      withStorage(() => disk.storage()),
      withResources(`https://${name}.example.com/`),
    );

  it('gives each store its token, its credentials and its resources', async () => {
    const [blue, red] = [createWorld(), createWorld()];
    TestBed.configureTestingModule({
      providers: [
        one('blue', blue),
        one('red', red),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    expect(credentialStoreToken('blue')).toBe(credentialStoreToken('blue'));
    expect(credentialStoreToken()).toBe(CredentialStore);
    const [blueStore, redStore] = ['blue', 'red'].map((name) => TestBed.inject(credentialStoreToken(name)));
    expect(blueStore).not.toBe(redStore);
    expect(TestBed.inject(CredentialStore, null)).toBeNull();
    const b = await blueStore.store(blue.authority.signIn({ id: 'b' }));
    const r = await redStore.store(red.authority.signIn({ id: 'r' }));
    const urls = ['https://blue.example.com/', 'https://red.example.com/', 'https://green.example.com/'];
    urls.forEach((url) => TestBed.inject(HttpClient).get(url).subscribe());
    await settle();
    expect(urls.map(authorizationOf)).toEqual([`Bearer ${b.token?.accessToken}`, `Bearer ${r.token?.accessToken}`, null]);
  });

  it('makes no store of which nobody needs anything', async () => {
    const [blue, red] = [createWorld(), createWorld()];
    TestBed.configureTestingModule({
      providers: [
        one('blue', blue),
        one('red', red),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    TestBed.inject(HttpClient).get('https://red.example.com/').subscribe();
    await settle();
    expect([blue.disk.calls.length === 0, red.disk.calls.length > 0]).toEqual([true, true]);
    expect(authorizationOf('https://red.example.com/')).toBeNull();
  });

  it('the last of two of the same name counts, with its resources and with nothing of the other', async () => {
    const { authority, browser, disk } = createWorld();
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(CLIENT, withResources('https://old.example.com/')),
        provideCredentials(
          authority.client(browser.openTab()),
          withStorage(() => disk.storage()),
          withResources('https://new.example.com/'),
        ),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    const credential = await TestBed.inject(CredentialStore).store(authority.signIn());
    const urls = ['https://old.example.com/', 'https://new.example.com/'];
    urls.forEach((url) => TestBed.inject(HttpClient).get(url).subscribe());
    await settle();
    expect(urls.map(authorizationOf)).toEqual([null, `Bearer ${credential.token?.accessToken}`]);
  });
});

describe('providers of a route', () => {
  it('have a store and a policy of their own; the store is closed when they are destroyed', async () => {
    world = createAngularWorldOf({});
    await world.signIn();
    const { authority, browser, disk } = createWorld();
    const platform = browser.openTab();
    const child = createEnvironmentInjector(
      [
        provideCredentials(
          authority.client(platform),
          withStorage(() => disk.storage()),
          withResources('https://admin.example.com/'),
        ),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
      TestBed.inject(EnvironmentInjector),
    );
    const store = child.get(CredentialStore);
    expect(store).not.toBe(world.store);
    const credential = await store.store(authority.signIn());
    child.get(HttpClient).get('https://admin.example.com/').subscribe();
    child.get(HttpClient).get(ORDERS).subscribe();
    await settle();
    const server = child.get(HttpTestingController);
    const [admin, orders] = [server.expectOne('https://admin.example.com/'), server.expectOne(ORDERS)];
    expect([admin, orders].map(({ request }) => request.headers.get('Authorization'))).toEqual([
      `Bearer ${credential.token?.accessToken}`,
      null,
    ]);
    admin.flush(null);
    orders.flush(null);
    child.destroy();
    await settle();
    await settle();
    expect(platform.held()).toEqual({ timers: 0, channels: 0, listeners: 0 });
    await expect(store.allIDs()).rejects.toMatchObject({ code: 'store_closed' });
    expect(await world.store.allIDs()).toHaveLength(1); // that of the application is as it was
  });
});

describe('bootstrap', () => {
  const never = new Promise<never>(() => undefined);
  const storage = (members: Partial<CredentialStorage>): CredentialStorage => ({ ...createWorld().disk.storage(), ...members });

  it.each<[string, () => CredentialStorage]>([
    ['never opens', () => storage({ open: () => never })],
    ['cannot be opened', () => storage({ open: () => Promise.reject(new Error('broken')) })],
    ['cannot be read', () => storage({ readAll: () => Promise.reject(new Error('broken')) })],
    [
      'the browser forbids',
      () => {
        throw new DOMException('The operation is insecure.', 'SecurityError');
      },
    ],
  ])('RF-15 E38 goes on in memory with a storage that %s', async (_, create) => {
    const { authority, browser } = createWorld();
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(authority.client(browser.openTab()), withStorage(create), withResources(API)),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    const store = TestBed.inject(CredentialStore);
    const events: string[] = [];
    store.events$.subscribe(({ type }) => events.push(type));
    await TestBed.inject(ApplicationRef).whenStable(); // nothing of the start is waited for
    await browser.advance(10_000);
    await store.ready;
    expect(events).toContain('not_durable');
    const credential = await store.store(authority.signIn());
    TestBed.inject(HttpClient).get(ORDERS).subscribe();
    await settle();
    expect(authorizationOf(ORDERS)).toBe(`Bearer ${credential.token?.accessToken}`);
  });

  it('does not hide a mistake of the program', () => {
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          CLIENT,
          withStorage(() => inject(new InjectionToken<CredentialStorage>('nowhere'))),
        ),
      ],
    });
    expect(() => TestBed.inject(CredentialStore)).toThrow(/nowhere/);
  });

  it('asks no server: one that is down is found out by who signs in', async () => {
    const requests: string[] = [];
    const platform = {
      ...createWorld().browser.openTab(),
      fetch: (url: unknown) => (requests.push(String(url)), Promise.reject(new TypeError('down'))),
    };
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          CLIENT,
          withPlatform(() => platform),
        ),
      ],
    });
    const store = TestBed.inject(CredentialStore);
    await store.ready;
    await settle();
    expect([requests, store.snapshot().status]).toEqual([[], 'ready']);
  });
});

/** Resolves once it is so; the test's own limit ends the waiting. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await settle();
}

describe('injection', () => {
  it('a configuration that uses HttpClient makes no circle', async () => {
    const { authority, browser, disk } = createWorld();
    const answers: unknown[] = [];
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          () => {
            inject(HttpClient)
              .get('https://settings.example.com/')
              .subscribe((answer) => answers.push(answer));
            return authority.client(browser.openTab());
          },
          withStorage(() => disk.storage()),
          withResources(API),
        ),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    const http = TestBed.inject(HttpClient);
    http.get(ORDERS).subscribe(); // makes the store
    await settle();
    TestBed.inject(HttpTestingController).expectOne('https://settings.example.com/').flush('settings');
    await settle();
    expect(authorizationOf(ORDERS)).toBeNull();
    expect(answers).toEqual(['settings']);
  });

  it('E19 no call of the library itself goes through HttpClient, also where its server is on the list', async () => {
    const authority = fakeServer();
    const platform = unitPlatform({ fetch: authority.fetch, page: fakePage('https://app.example.com/') });
    const sentByHttpClient: string[] = [];
    const records: HttpInterceptorFn = (request, next) => (sentByHttpClient.push(request.url), next(request));
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          { ...CLIENT, issuer: authority.issuer },
          withResources(API, `${authority.issuer}/`),
          withPlatform(() => platform),
        ),
        provideHttpClient(withInterceptors([records, credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    const answer = { token_type: 'bearer', expires_in: 600 };
    const store = TestBed.inject(CredentialStore);
    const flow = TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow());
    const asked = (await flow.start()).searchParams;
    const idToken = await authority.idToken({ nonce: asked.get('nonce') });
    authority.plan('token', { ...answer, access_token: 'access-0', refresh_token: 'refresh-0', id_token: idToken });
    const token = await flow.resume(`${CLIENT.redirectUri}?code=a-code&state=${asked.get('state')}&iss=${authority.issuer}`);
    const credential = await store.store(token);

    platform.advance(600_000); // a renewal is needed
    authority.plan('token', { ...answer, access_token: 'access-1', refresh_token: 'refresh-1' });
    TestBed.inject(HttpClient).get(ORDERS).subscribe();
    await until(() => credential.token?.accessToken === 'access-1');
    await settle();
    expect(authorizationOf(ORDERS)).toBe('Bearer access-1');

    authority.plan('userinfo', { sub: 'alice' });
    await credential.userInfo();
    authority.plan('revocation', {}, {});
    await credential.revoke();
    expect(authority.calls('token').map(({ form, headers }) => [form.get('grant_type'), headers.get('Authorization')])).toEqual([
      ['authorization_code', null],
      ['refresh_token', null],
    ]);
    expect([authority.calls('userinfo'), authority.calls('revocation')].map(({ length }) => length)).toEqual([1, 2]);
    expect(sentByHttpClient).toEqual([ORDERS]);
  });

  it('E19 an interceptor of the application that waits for the store makes neither a circle nor a deadlock', async () => {
    const waits: HttpInterceptorFn = (request, next) => {
      const store = inject(CredentialStore);
      return from(store.ready.then(() => store.getDefault())).pipe(
        switchMap((credential) => next(request.clone({ setHeaders: { 'X-User': credential?.id ?? '' } }))),
      );
    };
    for (const order of [
      [waits, credentialsInterceptor],
      [credentialsInterceptor, waits],
    ]) {
      world = createAngularWorldOf({ http: [withInterceptors(order)] });
      const credential = await world.signIn({ id: 'alice' });
      world.browser.setClock(world.browser.now() + 3_700_000); // a renewal is needed
      world.get(ORDERS);
      await settle();
      await settle();
      const sent = world.server.expectOne(ORDERS);
      expect(['X-User', 'Authorization'].map((name) => sent.request.headers.get(name))).toEqual([
        'alice',
        `Bearer ${credential.token?.accessToken}`,
      ]);
      sent.flush(null);
      await endAngularWorld(world);
      world = undefined;
    }
  });
});
