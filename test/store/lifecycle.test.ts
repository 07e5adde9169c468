import {
  createCredentialStore,
  memoryStorage,
  StorageError,
  type Credential,
  type CredentialStore,
  type CredentialStoreOptions,
} from '../../src/index.js';
import { createOAuth2Client } from '../../src/oauth/client.js';
import { offline } from '../support/fake-client.js';
import { fakeServer } from '../support/fake-server.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle } from '../support/fixture.js';
import { aToken } from '../support/tokens.js';
import { settled, START_MS, unitPlatform } from '../support/unit-platform.js';

afterEach(closeAll);

describe('a store that has not read its storage', () => {
  it('knows nothing and emits nothing; commands wait', async () => {
    const { openTab, startTab, authority, disk } = createWorld();
    await (await openTab()).store.store(authority.signIn());
    const gate = disk.hold(({ method }) => method === 'readAll');
    const { store } = startTab();
    const streams = [store.default$, store.credentials$, store.state$, store.token$('x'), store.find$({}), store.events$].map((stream) =>
      collect<unknown>(stream),
    );
    const answered: string[] = [];
    const waiting = [store.getDefault(), store.allIDs(), store.find({}), store.with('x'), store.ready].map((one) =>
      one.then(() => answered.push('')),
    );
    await gate.reached;
    await settle();
    expect(store.snapshot()).toMatchObject({ status: 'unknown', ids: [], defaultId: null });
    expect(streams.map(({ values }) => values.length)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(answered).toEqual([]);
    gate.open();
    await Promise.all(waiting);
    expect(streams.map(({ values }) => values.length)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(store.snapshot()).toMatchObject({ status: 'ready', durable: true });
  });

  it('tells what it found in one event', async () => {
    const { openTab, startTab, authority } = createWorld();
    const { store: first } = await openTab();
    for (const sub of ['alice', 'bob']) await first.store(authority.signIn({ sub }));
    const { store, events } = startTab();
    await store.ready;
    expect(events).toMatchObject([{ type: 'restored', origin: 'here' }]);
    expect(store.snapshot().ids).toEqual(first.snapshot().ids);
  });

  it('can be closed', async () => {
    const { startTab, disk } = createWorld();
    const gate = disk.hold(({ method }) => method === 'open');
    const { store } = startTab();
    const command = codeOf(store.allIDs());
    const closing = store.close();
    gate.open();
    await closing;
    expect(await command).toBe('store_closed');
  });
});

describe('close', () => {
  const COMMANDS: readonly (readonly [
    string,
    (store: CredentialStore, credential: Credential, world: ReturnType<typeof createWorld>) => Promise<unknown>,
  ])[] = [
    ['store', (store, _, { authority }) => store.store(authority.signIn())],
    ['with', (store) => store.with('x')],
    ['find', (store) => store.find({})],
    ['getDefault', (store) => store.getDefault()],
    ['setDefault', (store) => store.setDefault(null)],
    ['allIDs', (store) => store.allIDs()],
    ['clear', (store) => store.clear()],
    ['refresh', (_, credential) => credential.refresh()],
    ['refreshIfNeeded', (_, credential) => credential.refreshIfNeeded()],
    ['accessToken', (_, credential) => credential.accessToken()],
    ['setTags', (_, credential) => credential.setTags([])],
    ['userInfo', (_, credential) => credential.userInfo()],
    ['revoke', (_, credential) => credential.revoke()],
    ['remove', (_, credential) => credential.remove()],
  ];
  it.each(COMMANDS)('makes %s fail with store_closed, and nothing is sent or written', async (_, command) => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    await store.close();
    const calls = world.disk.calls.length;
    expect(await codeOf(command(store, credential, world))).toBe('store_closed');
    expect(world.disk.calls).toHaveLength(calls);
    expect(world.authority.refreshes).toHaveLength(0);
    expect(world.authority.revocations).toHaveLength(0);
  });

  it('completes all streams and keeps answering snapshot()', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const streams = [store.default$, store.credentials$, store.state$, store.events$, credential.token$, credential.state$].map((one) =>
      collect<unknown>(one),
    );
    await store.close();
    expect(streams.map(({ completed }) => completed())).toEqual(Array(6).fill(true));
    expect(store.snapshot().ids).toEqual([credential.id]);
  });

  it('gives back timers, channels, listeners and locks, and may be called twice', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store, platform } = await openTab();
    await store.store(authority.signIn());
    expect(platform.held()).toEqual({ timers: 1, channels: 1, listeners: 1 });
    await Promise.all([store.close(), store.close()]);
    expect(platform.held()).toEqual({ timers: 0, channels: 0, listeners: 0 });
    expect(browser.heldLocks.size).toBe(0);
    expect(disk.calls.filter(({ method }) => method === 'close')).toHaveLength(1);
  });

  it('waits for a revocation that is under way', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    let answer = (): void => undefined;
    authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
    const revoking = credential.revoke();
    await settle();
    const closing = store.close();
    await settle();
    answer();
    await settle();
    answer();
    expect(await revoking).toMatchObject({ local: 'removed' });
    await closing;
    expect(disk.record(credential.id)).toMatchObject({ state: 'removed' });
  });

  it.each(['watch', 'lifecycle'])('ends though the function that ends the listening to %s throws', async (name) => {
    const { openTab, authority, disk } = createWorld();
    const stop = (): void => {
      throw new Error('no');
    };
    const isWatch = name === 'watch';
    const { store, platform } = await openTab(
      isWatch ? { storage: { ...disk.storage(), watch: () => stop } } : { platform: { lifecycle: () => stop } },
    );
    await store.store(authority.signIn());
    await store.close();
    expect(platform.held()).toEqual({ timers: 0, channels: 0, listeners: 0 });
    expect(disk.calls.filter(({ method }) => method === 'close')).toHaveLength(1);
  });

  it('does not wait for a request that a caller makes with a token', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setUserInfo(() => new Promise(() => undefined));
    void credential.userInfo();
    await settle();
    await store.close();
    expect(store.snapshot().status).toBe('ready');
  });
});

describe('E33 every promise settles', () => {
  it.each<readonly [string, (world: ReturnType<typeof createWorld>) => void, string]>([
    ['the answers are garbage', ({ authority }) => authority.next('garbage', 'garbage', 'garbage'), 'response_invalid'],
    [
      'the client throws something odd',
      ({ authority }) => authority.next(...Array.from({ length: 3 }, () => Object.assign(new Error('CANARY'), { body: 'CANARY' }))),
      'network_error',
    ],
    [
      'reading fails',
      ({ disk, authority }) => {
        authority.setPrepared(false);
        disk.fail(({ method }) => method === 'read');
      },
      'storage_failed',
    ],
    ['reading and writing fail', ({ disk }) => void disk.fail(({ method }) => method === 'read' || method === 'write'), 'storage_failed'],
    [
      'judging throws something odd',
      ({ authority }) => authority.setKeys(() => Promise.reject(new TypeError('CANARY'))),
      'response_invalid',
    ],
    ['the network fails', ({ authority }) => authority.next(offline(), offline(), offline()), 'network_error'],
  ])('when %s', async (_, breakIt, code) => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    breakIt(world);
    const error: unknown = await inTime(world.browser, credential.refresh()).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(JSON.stringify(error) + String(error)).not.toContain('CANARY');
    expect(credential.status.activity).toBe('idle');
    expect(world.browser.heldLocks.size).toBe(0);
  });

  it('when the lock cannot be had', async () => {
    const world = createWorld();
    const tab = world.browser.openTab();
    const platform = {
      ...tab,
      locks: {
        reach: 'origin' as const,
        withLock: <T>(name: string, run: () => Promise<T>) =>
          name.includes('refresh') ? Promise.reject<T>(new DOMException('no', 'AbortError')) : tab.locks.withLock(name, run),
      },
    };
    const store = createCredentialStore({ clients: world.authority.client(platform), storage: world.disk.storage(), platform });
    const credential = await store.store(world.authority.signIn());
    expect(await codeOf(credential.refresh())).toBe('lock_unavailable');
    await store.close();
  });
});

describe('E50 two stores', () => {
  it('share nothing: not state, not events, not refreshes', async () => {
    const [one, two] = [createWorld(), createWorld()];
    const [a, b] = [await one.openTab(), await two.openTab()];
    const token = one.authority.signIn();
    const [x, y] = [await a.store.store(token), await b.store.store(token)];
    expect(x).not.toBe(y);
    b.newEvents();
    await x.refresh();
    await x.setTags(['x']);
    await a.store.close();
    expect(b.newEvents()).toEqual([]);
    expect(y.tags).toEqual([]);
    expect(await y.accessToken()).toBe(token.accessToken);
  });

  it('over memory of their own share nothing', async () => {
    const { authority, browser } = createWorld();
    const stores = [1, 2].map(() => createCredentialStore({ clients: authority.client(browser.openTab()) }));
    await stores[0]?.store(authority.signIn());
    expect(await stores[1]?.allIDs()).toEqual([]);
    for (const store of stores) await store.close();
  });
});

describe('createCredentialStore', () => {
  it('takes at least one client, and none twice', () => {
    const { authority, browser } = createWorld();
    const client = authority.client(browser.openTab());
    expect(() => createCredentialStore({ clients: [] })).toThrow(TypeError);
    expect(() => createCredentialStore({ clients: [client, client] })).toThrow(TypeError);
  });

  it('lends its platform to clients that have none, also where they say so', async () => {
    const { browser } = createWorld();
    const platform = browser.openTab();
    const clients = { issuer: 'https://id.example.com', clientId: 'spa', platform: undefined };
    const store = createCredentialStore({ clients, platform });
    expect(store.client().platform).toBe(platform);
    await store.close();
  });

  it('gives the client that flows take, by name where there are several', async () => {
    const { authority, browser } = createWorld();
    const client = authority.client(browser.openTab());
    const other = { ...client, clientId: 'other' };
    const store = createCredentialStore({ clients: [client, other] });
    expect(store.client({ clientId: 'other' })).toBe(other);
    expect(() => store.client()).toThrow(expect.objectContaining({ code: 'client_ambiguous' }) as Error);
    expect(() => store.client({ clientId: 'nobody' })).toThrow(expect.objectContaining({ code: 'client_unknown' }) as Error);
    expect(() => store.client({ clientID: 'other' } as object)).toThrow(/^client takes issuer and clientId, not clientID$/);
    expect(() => store.client('other' as never)).toThrow(TypeError);
    await store.close();
  });
});

it.each([undefined, null, {}, { clients: null }, { clients: [] }])(
  'createCredentialStore(%j) is a TypeError that names clients',
  (options) => {
    expect(() => createCredentialStore(options as unknown as CredentialStoreOptions)).toThrow(/clients/);
  },
);

describe('wrong use is said at once, in words', () => {
  it.each<readonly [string, unknown]>([
    ['a function that was not called', memoryStorage],
    ['a name', 'local'],
    ['a promise', Promise.resolve(memoryStorage())],
    ['null', null],
  ])('a storage that is %s', (_, storage) => {
    const platform = createWorld().browser.openTab();
    const clients = { issuer: 'https://id.example.com', clientId: 'spa' };
    expect(() => createCredentialStore({ clients, platform, storage: storage as never })).toThrow(/call the function/);
  });

  it('a storage that does not open: the event has its own words', async () => {
    const { startTab, disk } = createWorld();
    const open = () => Promise.reject(new StorageError('storage_failed', 'The folder is open to others. Type: chmod 700'));
    const { store, events } = startTab({ storage: { ...disk.storage(), open } });
    await store.ready;
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'not_durable', message: 'The folder is open to others. Type: chmod 700' }),
    );
  });

  it('close waits for what was asked for before, also if it has not begun', async () => {
    const world = createWorld();
    const { store } = world.startTab();
    const token = world.authority.signIn();
    const storing = store.store(token);
    await store.close();
    expect((await storing).id).toBe(token.id);
    expect((await (await world.openTab()).store.with(token.id))?.token?.isEqual(token)).toBe(true);
    expect(await codeOf(store.store(world.authority.signIn()))).toBe('store_closed');
  });
});

it('E10 RF-10 where a fetch heeds no signal, who waits hears of it and close() ends', async () => {
  const server = fakeServer();
  const sent: unknown[] = [];
  const platform = unitPlatform({
    fetch: (input, init) => {
      if (input !== `${server.issuer}/token`) return server.fetch(input, init);
      sent.push(init);
      return new Promise(() => undefined);
    },
  });
  const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', platform });
  const store = createCredentialStore({ clients: client, platform, renewal: { ahead: false } });
  const credential = await store.store(aToken({ expiresAt: START_MS - 1, issuedAt: START_MS - 2 }));
  const asked = codeOf(credential.accessToken());
  let hasClosed = false;
  for (let s = 0; s < 120 && !hasClosed; s++) {
    await settled();
    if (sent.length === 1) void store.close().then(() => (hasClosed = true));
    platform.advance(1_000);
  }
  expect(hasClosed).toBe(true);
  expect(await asked).toMatch(/timeout|store_closed/);
  expect(platform.timers()).toEqual([]);
});

it.each<[string, object]>([
  ['storgae', { storgae: {} }],
  ['renewal', { renewal: true }],
  ['aheda', { renewal: { aheda: true } }],
  ['ahead', { renewal: { ahead: 'no' } }],
])('a misspelled or wrong option is a TypeError that names %s: it would silently mean something else', (name, options) => {
  const { authority, browser } = createWorld();
  expect(() => createCredentialStore({ clients: authority.client(browser.openTab()), ...options })).toThrow(new RegExp(name));
});

it.each([true, null, 5])('design §4 what is no object of options is said not to be one: renewal: %j', (renewal) => {
  const { authority, browser } = createWorld();
  const make = () => createCredentialStore({ clients: authority.client(browser.openTab()), renewal: renewal as never });
  expect(make).toThrow(new TypeError(`renewal takes { ahead: true }, not ${renewal}`));
});
