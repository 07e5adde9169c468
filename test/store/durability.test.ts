import { firstValueFrom } from 'rxjs';
import { createCredentialStore, StorageError, type Credential } from '../../src/index.js';
import type { CredentialStorage, StorageCapabilities } from '../../src/storage/storage.js';
import { fileStorage } from '../../src/storage/file/index.js';
import { keyValueStorage } from '../../src/storage/key-value/index.js';
import { memoryStorage } from '../../src/storage/memory/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const isWrite = ({ method }: DiskCall): boolean => method === 'write';

describe('E57 a command resolves, and its event fires, once the write has committed', () => {
  type Command = (world: World, tab: Tab, id: string) => Promise<unknown>;
  const having = async ({ store }: Tab, id: string): Promise<Credential> => (await store.with(id))!;
  /** The write that ends the command; others may come before. */
  const ofState = (state: string) => (call: DiskCall) => isWrite(call) && call.record?.['state'] === state;
  const ofGeneration = (generation: number) => (call: DiskCall) => isWrite(call) && call.record?.['generation'] === generation;
  it.each<readonly [string, string, Command, (call: DiskCall) => boolean]>([
    ['store', 'token_added', ({ authority }, { store }) => store.store(authority.signIn({ sub: 'bob' })), isWrite],
    [
      'store in a place',
      'token_replaced',
      async ({ authority }, { store }, replace) => store.store(authority.signIn(), { replace }),
      isWrite,
    ],
    ['refresh', 'token_replaced', async (_, tab, id) => (await having(tab, id)).refresh(), ofGeneration(2)],
    [
      'accessToken for less',
      'token_replaced',
      async (_, tab, id) => (await having(tab, id)).accessToken({ scope: 'openid' }),
      ofGeneration(2),
    ],
    ['setTags', 'metadata_updated', async (_, tab, id) => (await having(tab, id)).setTags(['new']), isWrite],
    ['setDefault', 'default_changed', (_, { store }) => store.setDefault(null), isWrite],
    ['remove', 'token_removed', async (_, tab, id) => (await having(tab, id)).remove(), isWrite],
    ['revoke, its mark', 'metadata_updated', async (_, tab, id) => (await having(tab, id)).revoke(), ofState('revoking')],
    ['revoke', 'token_removed', async (_, tab, id) => (await having(tab, id)).revoke(), ofState('removed')],
    ['revoke the access token', 'token_replaced', async (_, tab, id) => (await having(tab, id)).revoke('access'), isWrite],
    ['revoke the refresh token', 'token_removed', async (_, tab, id) => (await having(tab, id)).revoke('refresh'), ofState('removed')],
    ['signOut', 'signed_out', async (_, tab, id) => (await having(tab, id)).signOut(), ofState('removed')],
    ['clear', 'cleared', (_, { store }) => store.clear(), isWrite],
  ])('%s', async (_, type, command, isCommit) => {
    const world = createWorld();
    const tab = await world.openTab();
    const { id } = await tab.store.store(world.authority.signIn({ scope: 'openid profile' }));
    const gate = world.disk.hold(isCommit, 'after');
    const before = tab.store.snapshot().credentials.map(({ tags, generation, isDefault }) => ({ tags, generation, isDefault }));
    tab.newEvents();
    let resolved = false;
    const running = command(world, tab, id).then(() => (resolved = true));
    await gate.reached;
    await settle();
    expect(resolved).toBe(false);
    expect(tab.newEvents()).not.toContain(type);
    expect(tab.store.snapshot().credentials.map(({ tags, generation, isDefault }) => ({ tags, generation, isDefault }))).toEqual(before);
    gate.open();
    await running;
    expect(tab.newEvents()).toContain(type);
  });

  it('store is followed by a program that finds the token after a crash', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    await store.store(token); // and no close
    expect((await (await openTab()).store.with(token.id))?.token?.isEqual(token)).toBe(true);
  });

  it.each<readonly [string, Command]>([
    ['setTags', async (_, { store }, id) => (await store.with(id))?.setTags(['new'])],
    ['setDefault', (_, { store }) => store.setDefault(null)],
  ])('%s is rejected when the write fails, and changes nothing', async (_, command) => {
    const world = createWorld();
    const tab = await world.openTab();
    const { id } = await tab.store.store(world.authority.signIn());
    const before = tab.store.snapshot();
    const mend = world.disk.fail(isWrite, Object.assign(new Error('token=CANARY'), { name: 'QuotaExceededError' }));
    tab.newEvents();
    const error: unknown = await command(world, tab, id).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'storage_failed', message: expect.stringContaining('QuotaExceededError') as string });
    expect(String(error)).not.toContain('CANARY');
    expect(tab.newEvents()).toEqual([]);
    expect(tab.store.snapshot()).toBe(before);
    mend();
    await command(world, tab, id); // and works again
  });
});

describe('E38 storage that is broken from the start', () => {
  it.each<readonly [string, Partial<CredentialStorage>, string]>([
    ['cannot be opened', { open: () => Promise.reject(new DOMException('CANARY', 'SecurityError')) }, 'opened (SecurityError).'],
    ['throws at once', { open: () => { throw new Error('CANARY'); } }, 'opened.'], // prettier-ignore
    ['cannot be read', { readAll: () => Promise.reject(new Error('CANARY')) }, 'opened.'],
  ])('that %s is replaced by memory, and said so with the name of the error', async (_, broken, told) => {
    const code = 'storage_failed';
    const { startTab, authority, browser, disk } = createWorld();
    const { store, events } = startTab({ storage: { ...disk.storage(), ...broken } });
    await inTime(browser, store.ready, 1_000);
    expect(events).toMatchObject([{ type: 'restored' }, { type: 'not_durable', code }]);
    const [, { message }] = events as unknown as readonly [unknown, { readonly message: string }];
    expect(message).toBe(`The storage could not be ${told}`);
    expect(store.snapshot()).toMatchObject({ status: 'ready', durable: false, storageProblem: { code, message } }); // for who comes later
    const credential = await store.store(authority.signIn());
    await credential.refresh();
    expect(await credential.accessToken()).toBe(credential.token?.accessToken);
    expect(disk.calls.filter(isWrite)).toEqual([]);
  });

  it.each<readonly [string, 'open' | 'readAll', number, Error]>([
    ['opened once', 'open', 1, new Error('ECONNREFUSED')],
    ['opened twice', 'open', 2, new DOMException('Connection to Indexed Database server lost', 'UnknownError')],
    ['read once', 'readAll', 1, new Error('busy')],
    ['opened, since its code could not be loaded', 'open', 1, new StorageError('storage_failed', 'not loaded', { class: 'transient' })],
  ])('RF-15 that cannot be %s, and then can, signs nobody out', async (_, method, times, error) => {
    const world = createWorld();
    const other = await world.openTab();
    const { id } = await other.store.store(world.authority.signIn());
    const storage = world.disk.storage();
    let failing = times;
    const asked = jest.fn(() => (failing-- > 0 ? Promise.reject(error) : storage[method]()));
    const tab = world.startTab({ storage: { ...storage, [method]: asked } });
    await inTime(world.browser, tab.store.ready, 1_000);
    expect(asked).toHaveBeenCalledTimes(times + 1);
    const count = (name: string): number => world.disk.calls.filter((call) => call.method === name).length;
    if (method === 'open') expect(count('close')).toBe(times); // closed as many times as opened: a storage may count its users
    expect(tab.store.snapshot()).toMatchObject({ durable: true, defaultId: id, ids: [id] });
    expect(tab.newEvents()).toEqual(['restored']);
    await (await tab.store.with(id))?.setTags(['of both']);
    await settle();
    expect(other.store.snapshot().credentials[0]?.tags).toEqual(['of both']); // one storage, followed by both
  });

  it('that says it is not to be had here is asked once: nobody waits for what cannot change', async () => {
    const { startTab, disk } = createWorld();
    const open = jest.fn(() => Promise.reject(new StorageError('storage_failed', 'IndexedDB is missing here.')));
    const { store } = startTab({ storage: { ...disk.storage(), open } });
    await store.ready;
    expect(open).toHaveBeenCalledTimes(1);
    expect(store.snapshot()).toMatchObject({ status: 'ready', durable: false });
  });

  it('that no lock reaches as far as is not used', async () => {
    const world = createWorld();
    const platform = { ...world.browser.openTab(), locks: undefined };
    const store = createCredentialStore({ clients: world.authority.client(platform), storage: world.disk.storage(), platform });
    const events = collect(store.events$);
    await store.ready;
    expect(events.values).toMatchObject([{ type: 'restored' }, { type: 'not_durable', code: 'lock_unavailable' }]);
    await store.store(world.authority.signIn());
    expect(world.disk.records.size).toBe(0);
    await store.close();
  });

  it.each([{ reach: 'host' }, { reach: 'Machine' }, { reach: undefined }, { durability: 'Strict' }, { durability: undefined }])(
    'E38 RF-1 that says what is no such thing (%j) is not used: it would pass for one that is not shared',
    async (said) => {
      const { startTab, authority, disk } = createWorld();
      const inside = disk.storage();
      const open = async () => ({ ...(await inside.open()), ...said }) as StorageCapabilities;
      const { store } = startTab({ storage: { ...inside, open } });
      await store.ready;
      expect(store.snapshot()).toMatchObject({ durable: false, storageProblem: { code: 'storage_failed' } });
      await store.store(authority.signIn());
      expect(disk.records.size).toBe(0);
    },
  );

  it('is told apart from storage that works and keeps', async () => {
    const { openTab } = createWorld();
    expect((await openTab()).store.snapshot().durable).toBe(true);
    const { store } = await openTab({ storage: memoryStorage() });
    expect(store.snapshot().durable).toBe(false);
    expect(store.snapshot()).not.toHaveProperty('storageProblem');
  });
});

describe('find', () => {
  it('E68 is answered from memory: it reads no storage, whatever the number of credentials', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    for (let i = 0; i < 50; i++) await store.store(authority.signIn({ sub: `user-${i % 5}` }), { tags: [`tag-${i % 2}`] });
    const calls = disk.calls.length;
    expect(await store.find({ tags: 'tag-1' })).toHaveLength(25);
    expect(await store.find({ sub: 'user-2' })).toHaveLength(10);
    expect(await store.find({ tags: ['tag-1', 'tag-0'] })).toEqual([]);
    expect(await store.find(({ claims }) => claims?.sub === 'user-3')).toHaveLength(10);
    expect(await store.find({ clientId: 'nobody' })).toEqual([]);
    expect(disk.calls).toHaveLength(calls);
  });

  it('E68 costs one record write to change one credential among many', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credentials = await Promise.all(Array.from({ length: 20 }, (_, i) => store.store(authority.signIn({ sub: `user-${i}` }))));
    const before = disk.calls.length;
    await credentials[7]?.setTags(['x']);
    expect(disk.calls.slice(before).map(({ method, id }) => [method, id])).toEqual([['write', credentials[7]?.id]]);
  });

  it('follows changes of tags while it is live, in order of storing', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const [a, b] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }), { tags: ['work'] })];
    const seen = collect(store.find$({ tags: 'work' }));
    await a.setTags(['work']);
    await b.refresh(); // no other matches: emits nothing
    await b.setTags([]);
    expect(seen.values).toEqual([[b], [a, b], [a]]);
  });

  it('refuses a criterion it does not know', async () => {
    const { openTab } = createWorld();
    const { store } = await openTab();
    await expect(store.find({ tag: 'x' } as never)).rejects.toThrow(TypeError);
    await expect(firstValueFrom(store.find$({ tags: 7 } as never))).rejects.toThrow(TypeError);
  });
});

describe('memoryStorage', () => {
  it('shares its records between the stores that are given the same object', async () => {
    const { openTab, authority } = createWorld();
    const storage = memoryStorage();
    const [a, b] = [await openTab({ storage }), await openTab({ storage })];
    const credential = await a.store.store(authority.signIn());
    await settle();
    expect(await b.store.allIDs()).toEqual([credential.id]);
    const [x, y] = await Promise.all([credential.refresh(), (await b.store.with(credential.id))?.refresh()]);
    expect(x.isEqual(y ?? x)).toBe(true);
    expect(authority.refreshes).toHaveLength(1);
    expect(await codeOf(b.store.store(x))).toBe('credential_exists');
  });
});

describe('RF-15 a disk that takes no writes', () => {
  const full = Object.assign(new Error('token=CANARY'), { name: 'QuotaExceededError' });

  it('does not cost the session that a refresh brought: it is kept in memory, said so, and written once the disk works again', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    newEvents();
    const mend = disk.fail(isWrite, full);
    const renewed = await credential.refresh();
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced', 'not_durable']);
    expect(store.snapshot()).toMatchObject({ durable: false, storageProblem: { code: 'storage_failed' } });
    expect(await credential.accessToken()).toBe(renewed.accessToken);
    expect(disk.record(credential.id)['secrets']).not.toMatchObject({ refreshToken: renewed.refreshToken });
    await browser.advance(5_000); // tries that fail
    expect(newEvents()).toEqual([]);
    mend();
    await browser.advance(60_000);
    expect(newEvents()).toEqual(['durable']);
    expect(store.snapshot().durable).toBe(true);
    expect(store.snapshot()).not.toHaveProperty('storageProblem');
    expect(disk.record(credential.id)['secrets']).toMatchObject({ refreshToken: renewed.refreshToken });
    expect(authority.reuses()).toBe(0);
    expect((await (await openTab()).store.with(credential.id))?.token?.isEqual(renewed)).toBe(true);
  });

  it('is no matter any more once what waited is written: the record can be changed as before', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isWrite, full);
    await credential.refresh();
    mend();
    await browser.advance(60_000);
    await credential.setTags(['new']);
    const renewed = await credential.refresh();
    expect(disk.record(credential.id)).toMatchObject({ tags: ['new'], secrets: { refreshToken: renewed.refreshToken } });
    expect(authority.refreshes).toHaveLength(2);
    expect(authority.reuses()).toBe(0);
  });

  it('does not cost a sign-in: the credential can be used, and is written later', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    const mend = disk.fail(isWrite, full);
    const token = authority.signIn();
    const credential = await store.store(token, { tags: ['new'] });
    expect(await store.getDefault()).toBe(credential);
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect(disk.records.size).toBe(0);
    mend();
    await browser.advance(60_000);
    const other = await (await openTab()).store.getDefault();
    expect([other?.id, other?.tags]).toEqual([token.id, ['new']]);
  });

  it('lets go of a removed record all the same', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    const other = await openTab();
    const credential = await store.store(authority.signIn());
    disk.fail(isWrite, full);
    await credential.remove();
    await settle();
    expect(disk.records.size).toBe(0);
    expect(await other.store.allIDs()).toEqual([]);
  });

  it('lets go of everything on clear', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn());
    await store.store(authority.signIn({ sub: 'bob' }));
    disk.fail(isWrite, full);
    await store.clear();
    expect(await store.allIDs()).toEqual([]);
    expect([...disk.records.keys()]).toEqual([]);
  });

  it('that lets go of nothing either: remove says that storage still holds it, and tries again', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(({ method }) => method === 'write' || method === 'remove');
    expect(await codeOf(credential.remove())).toBe('storage_failed');
    expect(await store.allIDs()).toEqual([]);
    mend();
    await browser.advance(60_000);
    expect(await (await openTab()).store.allIDs()).toEqual([]);
  });

  it('RF-5 what waits gives way to a token that another tab has stored meanwhile', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const mend = disk.fail(isWrite);
    const mine = await credential.refresh();
    mend();
    const theirs = authority.signIn();
    await b.store.store(theirs, { replace: credential.id });
    await browser.advance(60_000);
    expect(credential.token?.refreshToken).toBe(theirs.refreshToken);
    expect(credential.token?.refreshToken).not.toBe(mine.refreshToken);
    expect(a.store.snapshot().durable).toBe(true);
  });

  it('RF-5 what waits is revoked, not stored, when another tab removed the credential meanwhile', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    const mend = disk.fail(isWrite);
    const mine = await credential.refresh();
    mend();
    await (await b.store.with(credential.id))?.remove();
    await browser.advance(60_000);
    expect(await a.store.allIDs()).toEqual([]);
    expect(authority.revocations.map(({ token }) => token)).toContain(mine.refreshToken);
    expect(authority.liveRefreshTokens()).toEqual([]);
  });

  it('RF-5 what waits keeps tags that another tab has changed meanwhile', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const mend = disk.fail(isWrite);
    const mine = await credential.refresh();
    mend();
    await (await b.store.with(credential.id))?.setTags(['theirs']);
    await browser.advance(60_000);
    expect([credential.token?.refreshToken, credential.tags]).toEqual([mine.refreshToken, ['theirs']]);
    const other = await (await openTab()).store.with(credential.id);
    expect([other?.token?.refreshToken, other?.tags]).toEqual([mine.refreshToken, ['theirs']]);
  });

  it('RF-13 what waits does not undo a sign-out, however often it was renewed in memory', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    const mend = disk.fail(isWrite);
    for (let i = 0; i < 3; i++) await credential.refresh();
    mend();
    await (await b.store.with(credential.id))?.remove();
    await browser.advance(60_000);
    expect(await a.store.allIDs()).toEqual([]);
    expect(await (await openTab()).store.allIDs()).toEqual([]);
    expect(authority.liveRefreshTokens()).toEqual([]);
  });

  it('RF-5 what waits gives way to another token also when it was renewed in memory many times', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    const mend = disk.fail(isWrite);
    for (let i = 0; i < 3; i++) await credential.refresh();
    mend();
    const theirs = authority.signIn();
    await b.store.store(theirs, { replace: credential.id });
    await browser.advance(60_000);
    expect(credential.token?.refreshToken).toBe(theirs.refreshToken);
    expect(credential.state.expiresAt).toBe(theirs.expiresAt);
    browser.setDelivery(1);
    expect((await (await openTab()).store.with(credential.id))?.token?.refreshToken).toBe(theirs.refreshToken);
  });

  it('a write that failed after it had come through is no conflict', async () => {
    const { disk, authority, browser, openTab } = createWorld();
    const storage = disk.storage();
    let breaks = false;
    const late: CredentialStorage = {
      ...storage,
      write: async (record, condition) => {
        const written = await storage.write(record, condition);
        if (breaks) throw new Error('the answer was lost');
        return written;
      },
    };
    const { store } = await openTab({ storage: late });
    const credential = await store.store(authority.signIn());
    breaks = true;
    const renewed = await credential.refresh();
    breaks = false;
    await browser.advance(60_000);
    expect(store.snapshot().durable).toBe(true);
    expect(credential.token).toBe(renewed);
    expect((await (await openTab()).store.with(credential.id))?.token?.isEqual(renewed)).toBe(true);
  });
});

describe('RF-3 D-030 a storage of programs that end soon, and that takes no write', () => {
  const brief = (world: World): CredentialStorage => ({ ...world.disk.storage(), sendsUnstored: false });

  it.each([false, true])('has no token sent, and the session is there when it takes writes again (sealed: %p)', async (isSealed) => {
    const world = createWorld();
    const { openTab, authority, disk, browser } = world;
    const key = { kid: 'k', key: new Uint8Array(32) };
    const storageOf = (): CredentialStorage => (isSealed ? sealed(brief(world), { keys: staticKeys([key]) }) : brief(world));
    const first = await openTab({ storage: storageOf() });
    const { id } = await first.store.store(authority.signIn());
    await first.store.close();
    await browser.advance(3_600_000);
    const mend = disk.fail(isWrite);
    for (let requests = 0; requests < 2; requests++) {
      const { store, newEvents } = await openTab({ storage: storageOf() });
      const credential = await store.with(id);
      expect(await inTime(browser, codeOf(credential!.accessToken()))).toBe('storage_failed');
      expect(newEvents()).toContain('refresh_failed');
      await inTime(browser, store.close());
    }
    expect(authority.refreshes).toHaveLength(0);
    mend();
    const { store } = await openTab({ storage: storageOf() });
    expect(await inTime(browser, (await store.with(id))!.accessToken())).toContain('CANARY');
    expect([authority.refreshes.length, authority.reuses()]).toEqual([1, 0]);
  });

  it('else it is sent, and what it brings is kept in memory', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_600_000);
    disk.fail(isWrite);
    expect(await inTime(browser, credential.accessToken())).toContain('CANARY');
    expect(store.snapshot().durable).toBe(false);
  });

  it('that of files and, if asked to, a key-value store', () => {
    const items = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
    expect(fileStorage({ folder: 'state' }).sendsUnstored).toBe(false);
    expect([keyValueStorage(items), keyValueStorage(items, { sendsUnstored: false })].map((one) => one.sendsUnstored)).toEqual([
      true,
      false,
    ]);
    expect(() => keyValueStorage(items, { sendsUnstored: 'no' as never })).toThrow(TypeError);
  });
});
