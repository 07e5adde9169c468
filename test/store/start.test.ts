// Between a start and the part of the program that follows what happens: it is loaded when those who waited have had their turn.
import { createCredentialStore, createOAuth2Client, StorageError, type CredentialStorage, type Platform } from '../../src/index.js';
import { closeAll, codeOf, collect, createWorld, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const NOTHING = { timers: 0, channels: 0, listeners: 0 };

/** A disk with one credential, of a tab that is closed. */
async function signedIn(world: World): Promise<{ readonly id: string; readonly accessToken: string }> {
  const { store } = await world.openTab();
  const token = world.authority.signIn();
  await store.store(token);
  await store.close();
  return token;
}

/** Another tab removes the credential, and nobody hears of it. */
function removeUnheard(world: World, id: string): void {
  const record = world.disk.record(id);
  const counts = { revision: Number(record['revision']) + 1, generation: Number(record['generation']) + 1 };
  world.disk.records.set(id, { ...record, ...counts, state: 'removed', secrets: null, claims: null, tags: [] });
}

it('who waits for the start is answered before anything more is asked for', async () => {
  const world = createWorld();
  const { accessToken } = await signedIn(world);
  const later: (() => void)[] = [];
  const own = world.browser.openTab();
  const setTimer: Platform['setTimer'] = (run, delayMs) =>
    delayMs === 0 ? (later.push(run), () => undefined) : own.setTimer(run, delayMs);
  const { store } = world.startTab({ platform: { setTimer } });
  const seen = collect(store.default$);
  expect(await (await store.getDefault())?.accessToken()).toBe(accessToken);
  await settle();
  expect([later.length, own.held().timers, seen.values.length]).toEqual([1, 0, 1]);
  later[0]?.();
  await settle();
  expect(own.held().timers).toBe(1); // the clock ticks
});

describe.each([
  ['before anything more is loaded', false],
  ['afterwards', true],
])('a page that wakes %s', (_, isLoaded) => {
  it('E45 gives no token of a credential that was removed meanwhile', async () => {
    const world = createWorld();
    const { id, accessToken } = await signedIn(world);
    const { store, platform } = world.startTab();
    const credential = await store.getDefault();
    expect(await credential?.accessToken()).toBe(accessToken);
    if (isLoaded) await settle();
    removeUnheard(world, id);
    platform.emit('visible');
    expect(await codeOf(credential!.accessToken())).toBe('credential_removed');
    expect(await store.allIDs()).toEqual([]);
  });

  it('RF-11 begins nothing while it is frozen', async () => {
    const world = createWorld();
    await signedIn(world);
    const { store, platform } = world.startTab();
    const credential = await store.getDefault();
    if (isLoaded) await settle();
    platform.emit('frozen');
    const renewing = credential!.refresh();
    await settle();
    expect(world.authority.refreshes).toHaveLength(0);
    platform.emit('resumed');
    await settle();
    world.authority.refreshes.at(-1)?.answer?.();
    expect((await renewing).accessToken).toBe(await credential!.accessToken());
  });
});

describe('a part of the program that cannot be loaded', () => {
  it.each(['a message', 'a wake', 'the network'])('costs a reading, which is made once it can be: %s', async (how) => {
    const world = createWorld();
    const other = await world.openTab();
    const credential = await other.store.store(world.authority.signIn());
    const accessToken = await credential.accessToken();
    jest.doMock('../../src/store/living.js', () => {
      throw new Error('offline');
    });
    const { store, platform } = world.startTab();
    const mine = await store.getDefault();
    await settle();
    expect(await mine?.accessToken()).toBe(accessToken);
    expect(await codeOf(mine!.setTags(['x']))).toBe('program_not_loaded');
    if (how !== 'a message') world.browser.setDelivery(0);
    await credential.remove();
    await settle();
    // What another tab has told of cannot be followed: this user may be gone
    if (how === 'a message') expect(await codeOf(mine!.accessToken())).toBe('program_not_loaded');
    jest.dontMock('../../src/store/living.js');
    if (how === 'a wake') platform.emit('visible');
    if (how === 'the network') platform.setOnline(true);
    expect(await codeOf(mine!.accessToken())).toBe('credential_removed');
  });
});

describe('a part of the program whose loading never ends', () => {
  it('fails what needs it after thirty seconds, and may come the next time: the code of requests', async () => {
    const world = createWorld();
    jest.doMock('../../src/oauth/protocol.js', () => ({ then: () => undefined })); // import() waits for what looks like a promise
    const client = createOAuth2Client({ issuer: 'https://id.example.com', clientId: 'spa', platform: world.browser.openTab() });
    const asking = codeOf(client.metadata());
    await world.browser.advance(29_000);
    expect(await Promise.race([asking, settle().then(() => 'waits')])).toBe('waits');
    await world.browser.advance(1_000);
    expect(await asking).toBe('program_not_loaded');
    jest.dontMock('../../src/oauth/protocol.js');
    expect(await codeOf(client.metadata())).toBe('network_error'); // no server is there
  });

  it('fails commands after thirty seconds, keeps no store from closing, and may come the next time', async () => {
    const world = createWorld();
    await signedIn(world);
    jest.doMock('../../src/store/living.js', () => ({ then: () => undefined })); // import() waits for what looks like a promise
    const [{ store }, other] = [world.startTab(), world.startTab()];
    const credential = await store.getDefault();
    expect(await credential?.accessToken()).toBeDefined();
    const tagging = codeOf(credential!.setTags(['x']));
    await other.store.ready;
    const late = codeOf(other.store.setDefault(null));
    const closing = other.store.close();
    await world.browser.advance(30_000);
    expect([await tagging, await late]).toEqual(['program_not_loaded', 'program_not_loaded']);
    await closing;
    jest.dontMock('../../src/store/living.js');
    await credential!.setTags(['x']);
    expect(credential!.tags).toEqual(['x']);
  });
});

describe('a program that stands still while it starts', () => {
  it.each(['open', 'readAll'] as const)(
    'E38 TM-4 for an hour, before its storage has answered %s, uses it all the same',
    async (question) => {
      const world = createWorld();
      const { accessToken } = await signedIn(world);
      let answer = (): void => undefined;
      const asked = new Promise<void>((resolve) => (answer = resolve));
      const disk = world.disk.storage();
      const storage: CredentialStorage = {
        ...disk,
        open: async () => (question === 'open' && (await asked), disk.open()),
        readAll: async () => (question === 'readAll' && (await asked), disk.readAll()),
      };
      const { store } = world.startTab({ storage });
      await settle();
      world.browser.sleep(3_600_000);
      await world.browser.advance(0); // timers come before answers
      answer();
      await store.ready;
      expect(store.snapshot().durable).toBe(true);
      expect(store.snapshot().credentials).toHaveLength(1);
      expect((await store.getDefault())?.token?.accessToken).toBe(accessToken);
    },
  );
});

describe('a store that closes at once', () => {
  it.each(Array.from({ length: 30 }, (_, ticks) => [ticks]))(
    'after %i microtasks holds nothing, and does not wake again',
    async (ticks) => {
      const world = createWorld();
      await signedIn(world);
      const { store, platform } = world.startTab({ options: { renewal: { ahead: true } } });
      for (let i = 0; i < ticks; i++) await Promise.resolve();
      if (ticks % 2) platform.emit('visible');
      await store.close();
      expect(platform.held()).toEqual(NOTHING);
      const late = collect(store.find$({}));
      await settle();
      await world.browser.advance(86_400_000);
      expect([platform.held(), world.authority.refreshes.length, late.values]).toEqual([NOTHING, 0, []]);
    },
  );

  it.each(Array.from({ length: 30 }, (_, ticks) => [ticks]))(
    'after %i microtasks takes no notice of what happens while it closes',
    async (ticks) => {
      const world = createWorld();
      await signedIn(world);
      const { store, platform } = world.startTab({ options: { renewal: { ahead: true } } });
      for (let i = 0; i < 15; i++) await Promise.resolve();
      const closing = store.close();
      for (let i = 0; i < ticks; i++) await Promise.resolve();
      platform.emit('visible');
      world.browser.forge('app:records', { id: 'x', revision: 1 });
      await closing;
      await settle();
      await world.browser.advance(86_400_000);
      expect([platform.held(), world.authority.refreshes.length]).toEqual([NOTHING, 0]);
    },
  );

  it('RF-14 takes up the revocation that a program began which is gone', async () => {
    const world = createWorld();
    const { id } = await signedIn(world);
    world.disk.records.set(id, { ...world.disk.record(id), state: 'revoking', revision: 9 });
    const { store } = world.startTab();
    expect((await store.getDefault())?.status.activity).toBe('revoking');
    await store.close();
    expect(world.authority.revocations.map(({ hint }) => hint)).toEqual(['refresh_token', 'access_token']);
    expect(world.disk.record(id)['state']).toBe('removed');
  });

  it('waits no longer than five seconds for the lock that a command of before needs', async () => {
    const world = createWorld();
    const { id } = await signedIn(world);
    const other = world.browser.openTab();
    let free = (): void => undefined;
    void other.locks?.withLock(`app:refresh:${id}`, () => new Promise<void>((resolve) => (free = resolve)));
    const { store } = world.startTab();
    const renewing = codeOf((await store.getDefault())!.refresh());
    let isClosed = false;
    void store.close().then(() => (isClosed = true));
    await world.browser.advance(4_000);
    expect(isClosed).toBe(false);
    await world.browser.advance(1_000);
    expect([isClosed, await renewing]).toEqual([true, 'timeout']);
    free();
    await settle();
  });
});

describe('a store that cannot be made', () => {
  it('leaves no listener behind, and the storage to who makes it right', async () => {
    const world = createWorld();
    const platform = world.browser.openTab();
    const client = world.authority.client(platform);
    const shelf = world.disk.storage();
    let isOpen = false;
    const storage: CredentialStorage = {
      ...shelf,
      open: async () => ((isOpen = true), shelf.open()),
      write: async (...args) => (isOpen ? shelf.write(...args) : Promise.reject(new Error('closed'))),
      close: async () => ((isOpen = false), shelf.close()),
    };
    expect(() => createCredentialStore({ clients: [client, client], storage, platform })).toThrow(TypeError);
    await settle();
    expect(platform.held()).toEqual(NOTHING);
    world.browser.forge('app:records', { id: 'x' });
    const store = createCredentialStore({ clients: client, storage, platform });
    await store.store(world.authority.signIn());
    expect(store.snapshot()).toMatchObject({ durable: true, ids: [expect.any(String)] });
    await store.close();
    expect(platform.held()).toEqual(NOTHING);
  });

  it('E38 a storage that cannot be read is closed', async () => {
    const world = createWorld();
    const calls: string[] = [];
    const shelf = world.disk.storage();
    const storage: CredentialStorage = {
      ...shelf,
      readAll: () => Promise.reject(new StorageError('storage_failed', 'no')),
      close: async () => void calls.push('close'),
    };
    const { store } = await world.openTab({ storage });
    expect([store.snapshot().durable, calls]).toEqual([false, ['close']]);
  });
});
