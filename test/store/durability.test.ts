import { createCredentialStore } from '../../src/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { memoryStorage } from '../../src/storage/memory.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, collect, createWorld, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const isWrite = ({ method }: DiskCall): boolean => method === 'write';

describe('E57 a command resolves, and its event fires, once the write has committed', () => {
  type Command = (world: World, tab: Tab, id: string) => Promise<unknown>;
  it.each<readonly [string, string, Command]>([
    ['store', 'token_added', ({ authority }, { store }) => store.store(authority.signIn({ sub: 'bob' }))],
    ['refresh', 'token_replaced', async (_, { store }, id) => (await store.with(id))?.refresh()],
    ['setTags', 'metadata_updated', async (_, { store }, id) => (await store.with(id))?.setTags(['new'])],
    ['setDefault', 'default_changed', (_, { store }) => store.setDefault(null)],
    ['remove', 'token_removed', async (_, { store }, id) => (await store.with(id))?.remove()],
    ['clear', 'cleared', (_, { store }) => store.clear()],
  ])('%s', async (_, type, command) => {
    const world = createWorld();
    const tab = await world.openTab();
    const { id } = await tab.store.store(world.authority.signIn());
    const gate = world.disk.hold(isWrite, 'after');
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
    ['store', ({ authority }, { store }) => store.store(authority.signIn({ sub: 'bob' }))],
    ['setTags', async (_, { store }, id) => (await store.with(id))?.setTags(['new'])],
    ['setDefault', (_, { store }) => store.setDefault(null)],
    ['remove', async (_, { store }, id) => (await store.with(id))?.remove()],
    ['clear', (_, { store }) => store.clear()],
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
    ['cannot be opened', { open: () => Promise.reject(new DOMException('no', 'SecurityError')) }, 'storage_failed'],
    ['throws at once', { open: () => { throw new Error('blocked'); } }, 'storage_failed'], // prettier-ignore
    ['cannot be read', { readAll: () => Promise.reject(new Error('corrupt database')) }, 'storage_failed'],
  ])('that %s is replaced by memory, and said so', async (_, broken, code) => {
    const { startTab, authority, disk } = createWorld();
    const { store, events } = startTab({ storage: { ...disk.storage(), ...broken } });
    await store.ready;
    expect(events).toMatchObject([{ type: 'restored' }, { type: 'not_durable', code }]);
    expect(store.snapshot()).toMatchObject({ status: 'ready', durable: false });
    const credential = await store.store(authority.signIn());
    await credential.refresh();
    expect(await credential.accessToken()).toBe(credential.token?.accessToken);
    expect(disk.calls.filter(isWrite)).toEqual([]);
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

  it('is told apart from storage that works and keeps', async () => {
    const { openTab } = createWorld();
    expect((await openTab()).store.snapshot().durable).toBe(true);
    expect((await openTab({ storage: memoryStorage() })).store.snapshot().durable).toBe(false);
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
    expect(() => store.find$({ tags: 7 } as never)).toThrow(TypeError);
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

describe('RF-15 a refresh whose answer cannot be written', () => {
  it('is told as storage_failed and costs neither the session nor a second request: the answer is used once the disk works again', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isWrite);
    expect(await codeOf(credential.refresh())).toBe('storage_failed');
    expect(await codeOf(credential.refresh())).toBe('storage_failed');
    mend();
    const renewed = await credential.refresh();
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.reuses()).toBe(0);
    expect(authority.liveRefreshTokens()).toEqual([renewed.refreshToken]);
    expect(disk.record(credential.id)['secrets']).toMatchObject({ refreshToken: renewed.refreshToken });
  });

  it('is not mistaken for the answer to a later refresh token', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isWrite);
    expect(await codeOf(credential.refresh())).toBe('storage_failed');
    mend();
    const another = authority.signIn();
    await store.store(another, { replace: credential });
    expect((await credential.refresh()).refreshToken).not.toBe(another.refreshToken);
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).toContain(another.refreshToken);
    expect(authority.reuses()).toBe(0);
  });
});
