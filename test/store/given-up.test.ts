import { StorageError } from '../../src/errors.js';
import type { Page, Platform } from '../../src/platform/platform.js';
import { indexedDBStorage } from '../../src/storage/indexeddb/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { createCredentialStore } from '../../src/store/store.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

/** A disk with two credentials, and a tab that could not use it when it started. */
async function givenUp(isBroken: (call: DiskCall) => boolean, error?: Error): Promise<{ world: World; tab: Tab; mend: () => void }> {
  const world = createWorld();
  const before = await world.openTab();
  await before.store.store(world.authority.signIn());
  await before.store.store(world.authority.signIn({ sub: 'bob' }));
  await before.store.close();
  const mend = world.disk.fail(isBroken, error);
  const tab = world.startTab();
  await inTime(world.browser, tab.store.ready, 20_000);
  expect(tab.store.snapshot()).toMatchObject({ durable: false, ids: [] });
  return { world, tab, mend };
}

const idsOn = ({ disk }: World): readonly string[] => [...disk.records.keys()].filter((id) => !id.startsWith('@'));

describe('E47 design §6 clear of a store whose storage could not be used at the start', () => {
  it.each<readonly [string, (call: DiskCall) => boolean]>([
    ['opened', ({ method }) => method === 'open'],
    ['read', ({ method }) => method === 'readAll'],
  ])('forgets what lies there, where it could not be %s, and now can', async (_, isBroken) => {
    const { world, tab, mend } = await givenUp(isBroken);
    mend();
    await tab.store.store(world.authority.signIn({ sub: 'carol' }));
    tab.newEvents();
    await inTime(world.browser, tab.store.clear());
    expect(tab.store.snapshot()).toMatchObject({ ids: [], defaultId: null, durable: false });
    expect(tab.newEvents()).toEqual(['cleared', 'default_changed']);
    expect(idsOn(world)).toEqual([]);
    expect(JSON.stringify([...world.disk.records])).not.toContain('CANARY');
    const count = (method: string): number => world.disk.calls.filter((call) => call.method === method).length;
    await tab.store.close();
    await settle();
    expect(count('close')).toBe(count('open')); // a storage may count its users
    const later = await world.openTab();
    expect(later.store.snapshot()).toMatchObject({ ids: [], defaultId: null, durable: true });
  });

  it('E50 opens it once at a time, whoever clears: a storage may know no other user of the same object', async () => {
    const { world, tab, mend } = await givenUp(({ method }) => method === 'open');
    mend();
    const before = world.disk.calls.length;
    await inTime(world.browser, Promise.all([tab.store.clear(), tab.store.clear()]));
    const uses = world.disk.calls.slice(before).filter(({ method }) => method === 'open' || method === 'close');
    expect(uses.map(({ method }) => method)).toEqual(['open', 'close', 'open', 'close']);
  });

  it('is heard of by tabs that use it, whatever was stored there meanwhile', async () => {
    const { world, tab, mend } = await givenUp(({ method }) => method === 'open');
    mend();
    const other = await world.openTab();
    await other.store.store(world.authority.signIn({ sub: 'dave' }));
    expect(other.store.snapshot().ids).toHaveLength(3);
    await inTime(world.browser, tab.store.clear());
    await settle();
    expect(other.store.snapshot()).toMatchObject({ ids: [], defaultId: null, durable: true });
    const eve = await other.store.store(world.authority.signIn({ sub: 'eve' }));
    expect((await world.openTab()).store.snapshot()).toMatchObject({ ids: [eve.id], defaultId: eve.id });
  });

  it.each<readonly [string, (call: DiskCall) => boolean, number]>([
    ['opened', ({ method }) => method === 'open', 0],
    ['read and written', ({ method }) => method !== 'open' && method !== 'close', 0],
  ])('says that storage may still hold it, where it still cannot be %s', async (_, isBroken) => {
    const { world, tab } = await givenUp(isBroken);
    await tab.store.store(world.authority.signIn({ sub: 'carol' }));
    const error: unknown = await inTime(world.browser, tab.store.clear(), 120_000).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'StorageError', code: 'storage_failed' });
    expect(String(error)).toContain('Everything is forgotten here, but storage may still hold it');
    expect(tab.store.snapshot()).toMatchObject({ ids: [], defaultId: null });
    expect(idsOn(world)).toHaveLength(2);
  });

  it('says so in the words of the storage, which tell what to type', async () => {
    const { tab } = await givenUp(({ method }) => method === 'open', new StorageError('storage_failed', 'Type: chmod -R go= it'));
    await expect(tab.store.clear()).rejects.toThrow(/forgotten here.*Type: chmod -R go= it/);
  });

  it('waits five seconds for a storage that hangs', async () => {
    const { world, tab } = await givenUp(({ method }) => method === 'open', new StorageError('storage_failed', 'away'));
    world.disk.release();
    world.disk.hold(({ method }) => method === 'open');
    expect(await inTime(world.browser, codeOf(tab.store.clear()), 6_000)).toBe('storage_failed');
  });

  it('keeps nobody signed in where all but one record goes; by the new epoch no later start believes that one', async () => {
    const { world, tab, mend } = await givenUp(({ method }) => method === 'open');
    mend();
    const [stuck] = idsOn(world);
    world.disk.fail(({ method, id }) => method === 'remove' && id === stuck);
    expect(await inTime(world.browser, codeOf(tab.store.clear()), 60_000)).toBe('storage_failed');
    expect(idsOn(world)).toEqual([stuck]);
    expect((await world.openTab()).store.snapshot()).toMatchObject({ ids: [], defaultId: null });
  });

  it('asks for no key, and leaves none behind that nobody needs', async () => {
    const { world, mend } = await givenUp(({ method }) => method === 'open');
    const [unseal, sweep] = [jest.fn(), jest.fn(() => Promise.resolve())];
    const tab = world.startTab({ storage: { ...world.disk.storage(), unseal, sweep } });
    await inTime(world.browser, tab.store.ready, 20_000);
    mend();
    await inTime(world.browser, tab.store.clear());
    expect(idsOn(world)).toEqual([]);
    expect([unseal.mock.calls.length, sweep.mock.calls.length]).toEqual([0, 1]);
  });

  it('empties one that no lock reaches as far as, without a lock', async () => {
    const { world, tab: one } = await givenUp(({ method }) => method === 'open');
    await one.store.close();
    world.disk.release();
    const storage: CredentialStorage = { ...world.disk.storage(), open: () => Promise.resolve({ coherent: true, durability: 'strict', reach: 'machine' }) }; // prettier-ignore
    const tab = await world.openTab({ storage });
    expect(tab.store.snapshot()).toMatchObject({ storageProblem: { code: 'lock_unavailable' } });
    await inTime(world.browser, tab.store.clear());
    expect(idsOn(world)).toEqual([]);
  });

  it('E38 empties what was to be sealed where there is no Web Crypto: removing needs none', async () => {
    const broken = new StorageError('crypto_unavailable', 'Sealing needs Web Crypto');
    const { world, tab } = await givenUp(({ method }) => method === 'open', broken);
    await inTime(world.browser, tab.store.clear());
    expect(idsOn(world)).toEqual([]);
  });

  it('leaves the storage of a store in memory, and one that is in use, as before', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    await store.store(world.authority.signIn());
    await inTime(world.browser, store.clear());
    expect(world.disk.calls.filter(({ method }) => method === 'open')).toHaveLength(1);
  });
});

describe('E38 a page that the browser keeps from all storage', () => {
  const blocked = new StorageError('storage_failed', 'IndexedDB is blocked here (UnknownError).', { class: 'transient' });
  const page = { localItems: () => undefined } as Partial<Page> as Page;

  it.each<readonly [string, Error, Page | undefined, 'resolved' | 'storage_failed']>([
    ['in a page without storage', blocked, page, 'resolved'],
    ['in a page without storage or Web Crypto', new StorageError('crypto_unavailable', 'Sealing needs it'), page, 'resolved'],
    ['in a page with storage', blocked, { ...page, localItems: () => ({}) as never }, 'storage_failed'],
    ['in no page', blocked, undefined, 'storage_failed'],
    ['by a storage of one’s own, somewhere else', new TypeError('fetch failed'), page, 'storage_failed'],
  ])('nobody who signs out is told of tokens that cannot be there: it fails %s', async (_, error, where, outcome) => {
    const world = createWorld();
    world.disk.fail(({ method }) => method === 'open', error);
    const indexedDB = {} as IDBFactory;
    const tab = world.startTab({ platform: { indexedDB, ...(where && { page: where }) } });
    await inTime(world.browser, tab.store.ready, 20_000);
    await tab.store.store(world.authority.signIn());
    const clearing = tab.store.clear().then(() => 'resolved', codeOfThrown);
    expect(await inTime(world.browser, clearing)).toBe(outcome);
    expect(tab.store.snapshot().ids).toEqual([]);
  });

  it.each<readonly [string, () => undefined]>([
    ['is missing', () => undefined],
    ['throws when it is looked at', () => { throw new DOMException('', 'SecurityError'); }], // prettier-ignore
  ])('IndexedDB that %s is no storage', async (_, looked) => {
    const { authority, browser } = createWorld();
    const platform: Platform = Object.defineProperty({ ...browser.openTab(), page: {} as Page }, 'indexedDB', { get: looked });
    const store = createCredentialStore({ clients: authority.client(platform), storage: indexedDBStorage({ platform }), platform });
    await store.ready;
    expect(store.snapshot()).toMatchObject({ storageProblem: { code: 'storage_failed' } });
    await inTime(browser, store.clear());
    await inTime(browser, store.close());
  });
});

function codeOfThrown(error: unknown): unknown {
  return (error as { readonly code?: unknown }).code;
}
