import { HttpClient, provideHttpClient, withInterceptors } from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting } from '@angular/common/http/testing';
import { Component, effect, inject, NgZone } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import {
  CredentialStore,
  credentialsInterceptor,
  injectAuthorizationCodeFlow,
  injectDefaultCredential,
  injectSessionLogoutFlow,
  provideCredentials,
  withPlatform,
  withResources,
  withStorage,
} from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import { firstValueFrom } from 'rxjs';
import { defaultPlatform, type LifecycleEvent, type Platform } from '../../src/platform/platform.js';
import { createWorld, settle } from '../support/fixture.js';
import {
  createAngularApp,
  createAngularWorld,
  endAngularApp,
  endAngularWorld,
  type AngularApp,
  type AngularWorld,
} from '../support/angular-world.js';
import type { Credential } from '../../src/index.js';

let app: AngularApp | undefined;
let world: AngularWorld | undefined;
afterEach(async () => {
  if (app) await endAngularApp(app);
  await endAngularWorld(world);
  [app, world] = [undefined, undefined];
});

const CLIENT = { issuer: 'https://id.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/cb' };

describe('a factory that fails', () => {
  const failing = (create: () => unknown, config: () => object = () => CLIENT): void => {
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(config as never, withStorage(create as never), withResources('https://api.example.com/')),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
  };
  const ask = (): Promise<unknown> =>
    firstValueFrom(TestBed.inject(HttpClient).get('https://api.example.com/')).catch((error: unknown) => (error as Error).message);

  it.each<[string, () => unknown, () => object]>([
    [
      'of the storage',
      () => {
        throw new Error('no storage yet');
      },
      () => CLIENT,
    ],
    [
      'of the configuration',
      () => null,
      () => {
        throw new Error('no config.json yet');
      },
    ],
  ])('%s is the reason of every request, and not what Angular says of it later', async (_, create, config) => {
    failing(create, config);
    const first = await ask();
    expect(first).toMatch(/^no .* yet$/);
    expect([await ask(), await ask()]).toEqual([first, first]);
  });

  it.each([null, undefined])('to give a storage (%s) is a mistake that is told: nothing goes on in memory', (storage) => {
    failing(() => storage);
    expect(() => TestBed.inject(CredentialStore)).toThrow(/storage must be a storage/);
  });
});

describe('provideCredentials', () => {
  it('makes no store and calls no factory before the store is injected', async () => {
    const { authority, browser, disk } = createWorld();
    const made: string[] = [];
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          () => (made.push('clients'), authority.client(browser.openTab())),
          withStorage(() => (made.push('storage'), disk.storage())),
        ),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    TestBed.inject(HttpClient);
    await settle();
    expect([made, disk.calls]).toEqual([[], []]);
    const store = TestBed.inject(CredentialStore);
    expect(made.sort()).toEqual(['clients', 'storage']);
    expect(TestBed.inject(CredentialStore)).toBe(store);
    await store.ready;
  });

  it('runs its factories in an injection context', () => {
    const { authority, browser, disk } = createWorld();
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          () => (inject(HttpTestingController), authority.client(browser.openTab())),
          withStorage(() => (inject(HttpTestingController), disk.storage())),
        ),
        provideHttpClient(),
        provideHttpClientTesting(),
      ],
    });
    expect(TestBed.inject(CredentialStore).snapshot().status).toBe('unknown');
  });

  it('gives a request the error of a factory that fails', async () => {
    const mistake = new Error('the configuration is not there');
    const providers = [
      provideCredentials(() => {
        throw mistake;
      }, withResources('https://api.example.com/')),
      provideHttpClient(withInterceptors([credentialsInterceptor])),
      provideHttpClientTesting(),
    ];
    TestBed.configureTestingModule({ providers });
    await expect(firstValueFrom(TestBed.inject(HttpClient).get('https://api.example.com/orders'))).rejects.toBe(mistake);
  });

  it('refuses the same feature twice', () => {
    const storage = withStorage(() => createWorld().disk.storage());
    expect(() => provideCredentials(CLIENT, storage, storage)).toThrow(TypeError);
    expect(() => provideCredentials(CLIENT, withResources('https://a.example.com/'), withResources('https://b.example.com/'))).toThrow(
      TypeError,
    );
  });

  it('E44 sets its timers and listeners outside the zone: no tick enters it', async () => {
    const { authority, browser, disk } = createWorld();
    let outside = 0;
    const calls: [string, number][] = [];
    const tab = browser.openTab();
    const platform = {
      ...tab,
      setTimer: (callback: () => void, delayMs: number) => (calls.push(['setTimer', outside]), tab.setTimer(callback, delayMs)),
      lifecycle: (listener: (event: LifecycleEvent) => void) => (calls.push(['lifecycle', outside]), tab.lifecycle!(listener)),
      openChannel: (name: string, onMessage: (message: unknown) => void) => (
        calls.push(['openChannel', outside]),
        tab.openChannel!(name, onMessage)
      ),
    };
    const runOutsideAngular = <T>(run: () => T): T => {
      outside++;
      try {
        return run();
      } finally {
        outside--;
      }
    };
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          authority.client(platform),
          withStorage(() => disk.storage()),
        ),
      ],
    });
    jest.spyOn(TestBed.inject(NgZone), 'runOutsideAngular').mockImplementation(runOutsideAngular);
    const store = TestBed.inject(CredentialStore);
    await store.store(authority.signIn());
    expect(new Set(calls.map(([name]) => name))).toEqual(new Set(['setTimer', 'lifecycle', 'openChannel']));
    expect(calls.filter(([, depth]) => depth === 0)).toEqual([]);
    await store.close();
  });

  it.each<[string, () => Platform]>([
    ['is frozen', () => Object.freeze({ ...defaultPlatform() })],
    [
      'has members that are getters',
      () => {
        const { fetch, ...rest } = defaultPlatform();
        return {
          ...rest,
          get fetch() {
            return fetch;
          },
        };
      },
    ],
  ])('takes a platform that %s', async (_, platform) => {
    TestBed.configureTestingModule({ providers: [provideCredentials(CLIENT, withPlatform(platform))] });
    await TestBed.inject(CredentialStore).ready;
    TestBed.resetTestingModule();
  });

  it('makes the store with the first request to the list, not a turn later: its storage opens while the components are made', async () => {
    const { authority, browser, disk } = createWorld();
    let made = 0;
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          authority.client(browser.openTab()),
          withStorage(() => (made++, disk.storage())),
          withResources('https://api.example.com/v1/'),
        ),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    const http = TestBed.inject(HttpClient);
    http.get('https://elsewhere.example.com/').subscribe();
    expect(made).toBe(0);
    http.get('https://api.example.com/v1/orders').subscribe();
    expect([made, disk.calls]).toEqual([1, [{ method: 'open' }]]);
    await TestBed.inject(CredentialStore).ready;
  });

  it.each([
    ['the store', () => void TestBed.inject(CredentialStore)],
    ['a flow', () => void TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow())],
  ])('takes a configuration that sends a request to the list when %s is injected first', async (_, first) => {
    const answers: unknown[] = [];
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(() => {
          const request = inject(HttpClient).get('https://api.example.com/v1/config', { responseType: 'text' });
          request.subscribe({ next: (answer) => answers.push(answer), error: (error: unknown) => answers.push(error) });
          return CLIENT;
        }, withResources('https://api.example.com/v1/')),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
      ],
    });
    first();
    await TestBed.inject(CredentialStore).ready;
    await settle();
    for (const request of TestBed.inject(HttpTestingController).match('https://api.example.com/v1/config')) request.flush('config');
    expect(answers).toEqual(['config']);
    TestBed.resetTestingModule();
  });

  it('takes a configuration that sends a request to the list, whose answer it does not wait for', async () => {
    const answers: unknown[] = [];
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(() => {
          const request = inject(HttpClient).get('https://api.example.com/v1/config');
          request.subscribe({ next: (answer) => answers.push(answer), error: (error: unknown) => answers.push(error) });
          return CLIENT;
        }, withResources('https://api.example.com/v1/')),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
        provideCredentialsTesting(),
      ],
    });
    const credentials = TestBed.inject(CredentialsTestingController);
    TestBed.inject(CredentialStore);
    await credentials.tick();
    for (const request of TestBed.inject(HttpTestingController).match('https://api.example.com/v1/config')) request.flush('config');
    expect(answers).toEqual(['config']);
  });

  it('closes the store when the application ends', async () => {
    world = createAngularWorld();
    await world.signIn();
    const { store, platform } = world;
    await settle();
    expect(platform.held()).toEqual({ timers: 1, channels: 1, listeners: 1 });
    TestBed.resetTestingModule();
    await settle();
    expect(platform.held()).toEqual({ timers: 0, channels: 0, listeners: 0 });
    await expect(store.allIDs()).rejects.toMatchObject({ code: 'store_closed' });
  });

  it('E50 gives each application a store of its own', async () => {
    const first = createAngularApp();
    const { store } = first;
    await first.credentials.signIn();
    await endAngularApp(first);
    app = createAngularApp();
    expect(app.store).not.toBe(store);
    expect(await app.store.allIDs()).toEqual([]);
  });

  it('E15 without resources sends no token anywhere', async () => {
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(CLIENT),
        provideHttpClient(withInterceptors([credentialsInterceptor])),
        provideHttpClientTesting(),
        provideCredentialsTesting(),
      ],
    });
    const credentials = TestBed.inject(CredentialsTestingController);
    await credentials.signIn();
    TestBed.inject(HttpClient).get('https://api.example.com/v1/orders').subscribe();
    await credentials.tick();
    const request = TestBed.inject(HttpTestingController).expectOne('https://api.example.com/v1/orders');
    expect(request.request.headers.keys()).toEqual([]);
    request.flush(null);
  });
});

/** Another token for a credential. */
async function renew({ credentials }: AngularApp, credential: Credential): Promise<void> {
  const refreshing = credential.refresh();
  await credentials.tick();
  await credentials.expectRefresh(credential.id).flush();
  await refreshing;
}

describe('injectDefaultCredential', () => {
  it('is undefined until storage was read, null while nobody is signed in, then the state', async () => {
    app = createAngularApp();
    const release = app.credentials.holdStorage();
    const user = TestBed.runInInjectionContext(() => injectDefaultCredential());
    await app.credentials.tick();
    expect(user()).toBeUndefined();
    await release();
    expect(user()).toBeNull();
    const credential = await app.credentials.signIn();
    expect(user()).toBe(credential.state);
  });

  it('is another snapshot after each change, and never null during a renewal', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const seen: unknown[] = [];
    const user = TestBed.runInInjectionContext(() => {
      const signal = injectDefaultCredential();
      effect(() => seen.push(signal()?.generation));
      return signal;
    });
    TestBed.tick();
    const before = user();
    await renew(app, credential);
    TestBed.tick();
    expect(user()).not.toBe(before);
    await credential.setTags(['work']);
    TestBed.tick();
    expect(user()).toMatchObject({ tags: ['work'], generation: 2 });
    expect(seen).not.toContain(undefined);
    const rejected = expect(credential.refresh()).rejects.toMatchObject({ code: 'needs_sign_in' });
    await app.credentials.tick();
    await app.credentials.expectRefresh().fail('invalid_grant');
    await rejected;
    expect(user()).toMatchObject({ status: { token: 'needs_sign_in' }, reason: 'rejected' });
    await credential.remove();
    expect(user()).toBeNull();
  });

  it('does not change when another credential does', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    const other = await app.credentials.signIn({ sub: 'bob' });
    const user = TestBed.runInInjectionContext(() => injectDefaultCredential());
    const before = user();
    await renew(app, other);
    await other.setTags(['x']);
    expect(user()).toBe(before);
  });

  it('repaints a template without zone.js', async () => {
    app = createAngularApp();
    @Component({ template: `{{ user()?.claims?.sub ?? 'nobody' }}` })
    class Badge {
      readonly user = injectDefaultCredential();
    }
    const fixture = TestBed.createComponent(Badge);
    const element = fixture.nativeElement as HTMLElement;
    await fixture.whenStable();
    expect(element.textContent).toBe('nobody');
    await app.credentials.signIn({ sub: 'alice' });
    await fixture.whenStable();
    expect(element.textContent).toBe('alice');
  });

  it('works in an injection context only', () => {
    app = createAngularApp();
    expect(() => injectDefaultCredential()).toThrow(/NG0?203/);
  });
});

describe('flows', () => {
  it("are those of the store's client, also by name", () => {
    const other = { issuer: CLIENT.issuer, clientId: 'other' };
    TestBed.configureTestingModule({ providers: [provideCredentials([CLIENT, other]), provideCredentialsTesting()] });
    TestBed.runInInjectionContext(() => {
      expect(injectAuthorizationCodeFlow({ clientId: 'spa' })).toMatchObject({
        start: expect.any(Function) as unknown,
        resume: expect.any(Function) as unknown,
      });
      expect(injectSessionLogoutFlow({ clientId: 'other' })).toMatchObject({ start: expect.any(Function) as unknown });
      expect(() => injectAuthorizationCodeFlow({ clientId: 'other' })).toThrow(TypeError); // it has no redirectUri
      expect(() => injectAuthorizationCodeFlow()).toThrow(expect.objectContaining({ code: 'client_ambiguous' }) as Error);
    });
    expect(() => injectAuthorizationCodeFlow()).toThrow(/NG0?203/);
  });
});
