import { StorageError } from '../../src/errors';
import type { Locks, Platform } from '../../src/platform/platform';
import type { CredentialStorage } from '../../src/storage/storage';
import { keyValueStorage } from '../../src/storage/key-value';
import { webStorage } from '../../src/storage/web';
import { describeStorage } from '../contract/storage-contract';
import { fakeStorage, settled, unitPlatform } from '../support/unit-platform';
import { duplicateOf, fakeOrigin, pageWith, tabPlatform, type FakeOrigin } from './web-fakes';

{
  const origin = fakeOrigin();
  describeStorage("webStorage('local'), every tab in a process of its own", {
    create: (namespace) => webStorage('local', { namespace, platform: tabPlatform(pageWith({ local: origin.openTab(3).storage })) }),
    plant: async (namespace, id, value) => {
      origin.plant(`${encodeURIComponent(namespace)}:record:${id}`, JSON.stringify(value));
      return value;
    },
  });
}
{
  const twins = new Map<string, Storage[]>();
  describeStorage("webStorage('session'), every tab a duplicate", {
    create: (namespace) => {
      const tabs = twins.get(namespace) ?? [];
      const session = duplicateOf(tabs[0] ?? fakeStorage(), fakeStorage());
      twins.set(namespace, [...tabs, session]);
      return webStorage('session', { namespace, platform: tabPlatform(pageWith({ session })) });
    },
    plant: async (namespace, id, value) => {
      for (const tab of twins.get(namespace) ?? []) tab.setItem(`${encodeURIComponent(namespace)}:record:${id}`, JSON.stringify(value));
      return value;
    },
  });
}

it("webStorage('session') does not open where there is no Web Crypto: it could read nothing, and write nothing", async () => {
  for (const crypto of [undefined, { getRandomValues: <T>(array: T) => array }]) {
    const session = fakeStorage();
    const storage = webStorage('session', {
      namespace: 'no-crypto',
      platform: tabPlatform(pageWith({ session }), { crypto: crypto as never }),
    });
    await expect(storage.open()).rejects.toMatchObject({ code: 'crypto_unavailable' });
    expect(session.length).toBe(0);
  }
});

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
const rec = (revision: number, more: object = {}) => ({ id: 'one', revision, ...more });
const asked = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error('IndexedDB failed'));
  });
/** The entries of a coordination database; changed by `change`. */
async function entriesOf(
  name: string,
  change: (store: IDBObjectStore, keys: readonly IDBValidKey[]) => void = () => undefined,
): Promise<Record<string, { count: number; isGone?: boolean; at: number; sealed?: { iv: Uint8Array; text: ArrayBuffer } }>> {
  const db = await asked(indexedDB.open(name));
  const store = db.transaction('records', 'readwrite').objectStore('records');
  change(store, await asked(store.getAllKeys()));
  const keys = (await asked(store.getAllKeys())) as string[];
  const values = (await asked(store.getAll())) as { count: number; at: number }[];
  db.close();
  return Object.fromEntries(keys.map((key, i) => [key, values[i]]));
}
let count = 0;
let namespace: string;
beforeEach(() => (namespace = `web-${count++}`));
afterEach(() => jest.restoreAllMocks());

describe("webStorage('local')", () => {
  let origin: FakeOrigin;
  beforeEach(() => (origin = fakeOrigin()));
  const tab = (lag = 0, changes: Partial<Platform> = {}) => {
    const fake = origin.openTab(lag);
    const platform = tabPlatform(pageWith({ local: fake.storage }), changes);
    return { ...fake, platform, records: webStorage('local', { namespace, platform }) };
  };
  const entries = (change?: Parameters<typeof entriesOf>[1]) => entriesOf(`${namespace}:local`, change);

  it('says that it is coherent, shared by the tabs of an origin, and as durable as browsers are', async () => {
    expect(await tab().records.open()).toEqual({ coherent: true, durability: 'relaxed', reach: 'origin' });
    expect(webStorage('local').namespace).toBe('rx-credentials');
  });

  it('RF-2 the control: a tab of another process sees old values, whatever lock it holds', async () => {
    const [a, b] = [tab(), tab(3)];
    a.storage.setItem('plain', 'new');
    expect([1, 2, 3, 4].map(() => b.storage.getItem('plain'))).toEqual([null, null, null, 'new']);
  });

  it.each([0, 1, 4, 5, 12])('RF-2 a read waits for what another tab has committed, %i looks long', async (lag) => {
    const [a, b] = [tab(), tab(lag)];
    await a.records.write(rec(1), 'absent');
    expect(await b.records.read('one')).toEqual(rec(1));
    await a.records.write(rec(2), 1);
    expect(await b.records.readAll()).toEqual([{ id: 'one', value: rec(2) }]);
    await a.records.write(rec(3), 2);
    expect(await b.records.write(rec(3), 2)).toBe(false);
    expect(await b.records.write(rec(4), 3)).toBe(true);
    expect(await a.records.read('one')).toEqual(rec(4));
  });

  it('E29 four tabs that count up by re-reading on conflict lose no step, though each sees the others late', async () => {
    const tabs = [0, 2, 5, 9].map((lag) => tab(lag));
    await tabs[0]?.records.write(rec(1, { n: 0 }), 'absent');
    const up = async ({ records }: (typeof tabs)[number]): Promise<void> => {
      for (let steps = 0; steps < 25;) {
        const { revision, n } = (await records.read('one')) as { revision: number; n: number };
        if (await records.write(rec(revision + 1, { n: n + 1 }), revision)) steps++;
      }
    };
    await Promise.all(tabs.map(up));
    for (const { records } of tabs) expect(await records.read('one')).toEqual(rec(101, { n: 100 }));
  });

  it('a current item is read without a lock and without a pause', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const locks = jest.fn();
    const b = tab(0, { locks: { reach: 'origin', withLock: locks }, now: () => Date.now() + 1e10 });
    await b.records.open();
    expect(await b.records.read('one')).toEqual(rec(1));
    expect(await b.records.readAll()).toHaveLength(1);
    expect(locks).not.toHaveBeenCalled();
    expect(b.platform.pauses).toEqual([]);
  });

  it('RF-13 what was removed stays removed for a tab that still sees it', async () => {
    const [a, b] = [tab(), tab(Infinity)];
    await a.records.write(rec(1), 'absent');
    b.deliver();
    expect(await b.records.read('one')).toEqual(rec(1));
    await a.records.remove('one', 1);
    expect(b.storage.getItem(`${namespace}:record:one`)).not.toBeNull();
    expect(await b.records.read('one')).toBeUndefined();
    expect(await b.records.readAll()).toEqual([]);
    expect(await b.records.write(rec(2), 1)).toBe(false);
    expect(await b.records.remove('one', 1)).toBe(false);
    expect(await b.records.write(rec(1, { again: true }), 'absent')).toBe(true); // counts on, though its revision begins anew
    expect(await a.records.read('one')).toEqual(rec(1, { again: true }));
  });

  it('RF-13 a record that is stored again is not mistaken for its predecessor, which was written more often', async () => {
    const a = tab();
    for (let revision = 1; revision <= 5; revision++) await a.records.write(rec(revision), revision === 1 ? 'absent' : revision - 1);
    const b = tab(8);
    await a.records.remove('one', 5);
    await a.records.write(rec(1, { again: true }), 'absent');
    expect(await b.records.read('one')).toEqual(rec(1, { again: true }));
  });

  it('removing what is not there leaves no entry', async () => {
    expect(await tab().records.remove('one', 'any')).toBe(true);
    expect(await entries()).toEqual({});
  });

  it('an item that is behind is waited for under the lock of its record: nobody is in the middle of writing it', async () => {
    const names: string[] = [];
    const a = tab();
    const b = tab(2, { locks: { reach: 'origin', withLock: (name, run) => (names.push(name), run()) } });
    await a.records.write(rec(1), 'absent');
    expect(await b.records.read('one')).toEqual(rec(1));
    expect(names).toEqual([`${namespace}:write:one`]);
  });

  it('what the user cleared is gone after two seconds of looking, in all tabs, and writing goes on', async () => {
    const [a, b] = [tab(), tab()];
    await a.records.write(rec(3), 'absent');
    origin.clear();
    expect(await a.records.read('one')).toBeUndefined();
    expect(a.platform.pauses.reduce((sum, ms) => sum + ms)).toBeGreaterThan(1_500);
    expect(a.platform.pauses.reduce((sum, ms) => sum + ms)).toBeLessThan(2_500);
    expect(await entries()).toEqual({});
    expect(await b.records.readAll()).toEqual([]);
    expect(b.platform.pauses).toEqual([]);
    expect(await b.records.write(rec(1), 'absent')).toBe(true);
    expect(await a.records.read('one')).toEqual(rec(1));
  });

  it('a write does not wait for ever for an item that is lost: the older one counts then, and is coordinated anew', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const old = origin.texts();
    await a.records.write(rec(2), 1);
    for (const [key, text] of Object.entries(old)) origin.plant(key, text); // a crash of the browser took the last write
    expect(await a.records.write(rec(3), 2)).toBe(false);
    expect(await a.records.write(rec(2, { anew: true }), 1)).toBe(true);
    expect(await tab().records.read('one')).toEqual(rec(2, { anew: true }));
  });

  it('a tab that sees the newest item later than two seconds has destroyed nothing', async () => {
    const [a, b] = [tab(), tab(Infinity)];
    await a.records.write(rec(1), 'absent');
    b.deliver();
    await a.records.write(rec(2), 1);
    expect(await b.records.read('one')).toEqual(rec(1)); // all it can see
    b.deliver();
    b.platform.pauses.length = 0;
    for (const { records } of [a, b]) expect(await records.read('one')).toEqual(rec(2));
    expect([...a.platform.pauses, ...b.platform.pauses]).toEqual([]);
    expect(await b.records.write(rec(3), 2)).toBe(true);
    expect(await a.records.read('one')).toEqual(rec(3));
  });

  it('an item ahead of its entry counts: IndexedDB was cleared alone', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    await a.records.write(rec(2), 1);
    await entries((store) => store.clear());
    expect(await a.records.read('one')).toEqual(rec(2));
    expect(await a.records.write(rec(3), 2)).toBe(true);
    expect((await entries())['one']?.count).toBe(3);
  });

  it('E62 an item that was overwritten by others is seen as it is, and blocks nothing', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    for (const [text, value] of [
      ['{"revision":', '{"revision":'],
      ['{"count":1e308,"stamp":"","value":1}', { count: 1e308, stamp: '', value: 1 }],
      ['{"count":-1e308,"stamp":"","value":1}', { count: -1e308, stamp: '', value: 1 }],
      ['null', 'null'],
      ['{"__proto__":{"revision":1}}', JSON.parse('{"__proto__":{"revision":1}}') as unknown],
    ] as const) {
      origin.plant(`${namespace}:record:one`, text);
      expect(await a.records.read('one')).toEqual(value);
      expect(await a.records.write(rec(1), 'absent')).toBe(false);
    }
    expect(({} as { revision?: number }).revision).toBeUndefined();
    expect(await a.records.remove('one', 'any')).toBe(true);
    expect(await a.records.write(rec(1), 'absent')).toBe(true);
  });

  it('E62 garbage in the place of entries counts as no entry', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    for (const garbage of [
      'x',
      5,
      null,
      {},
      { count: -1, stamp: '' },
      { count: NaN, stamp: '' },
      { count: 2 },
      { count: '2', stamp: '' },
    ]) {
      await entries((store) => void store.put(garbage, 'one'));
      expect(await a.records.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    }
    expect(await a.records.write(rec(2), 1)).toBe(true);
    expect(await tab().records.read('one')).toEqual(rec(2));
  });

  it('E39 E67 touches and lists no key but its own', async () => {
    const foreign = {
      theme: 'dark',
      [`${namespace}:theme`]: 'x',
      [`${namespace}2:record:one`]: '{}',
      [`${namespace}%3A:record:one`]: '{}',
    };
    for (const [key, text] of Object.entries(foreign)) origin.plant(key, text);
    const a = tab();
    await a.records.open();
    expect(await a.records.readAll()).toEqual([]);
    await a.records.write(rec(1), 'absent');
    await a.records.remove('one', 'any');
    expect(origin.texts()).toEqual(foreign);
  });

  it.each([
    ['rx', 'rx:record'],
    ['a', 'a:record:a'],
    ['a', 'a%3A'],
    ['é', 'e\u0301'],
  ])('E39 the namespaces %j and %j do not meet', async (one, other) => {
    const [a, b] = [one, other].map((name) => webStorage('local', { namespace: `${namespace}${name}`, platform: tab().platform }));
    await a?.write(rec(1), 'absent');
    expect(await b?.readAll()).toEqual([]);
    await b?.write({ id: ':x', revision: 1 }, 'absent');
    expect(await a?.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
  });

  describe('a crash at any step', () => {
    /** Stops the world at the nth change of anything: what comes after never happens. */
    const crashing = async (step: number, command: (records: CredentialStorage) => Promise<unknown>): Promise<boolean> => {
      const a = tab();
      let changes = 0;
      const crash = (): boolean => changes++ >= step;
      const { setItem, removeItem } = a.storage;
      a.storage.setItem = (key, text) => {
        if (!crash()) setItem(key, text);
        else throw new Error('crash');
      };
      a.storage.removeItem = (key) => {
        if (!crash()) removeItem(key);
        else throw new Error('crash');
      };
      // The lock goes with the program, and so does everything the program would have done after the crash.
      const locks: Locks = { reach: 'origin', withLock: (_, run) => run() };
      const open = (...args: Parameters<IDBFactory['open']>): IDBOpenDBRequest =>
        changes > step ? ({} as IDBOpenDBRequest) : indexedDB.open(...args); // who is gone connects no more
      const platform = { ...a.platform, locks, indexedDB: { open } as IDBFactory };
      const records = webStorage('local', { namespace, platform });
      await records.open();
      const { put } = IDBObjectStore.prototype;
      const stopped = new Promise<'crashed'>((resolve) => {
        jest.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, ...args) {
          if (!crash()) return put.apply(this, args);
          this.transaction.abort();
          resolve('crashed');
          throw new Error('crash');
        });
      });
      const outcome = await Promise.race([command(records).catch(() => 'crashed'), stopped]);
      jest.restoreAllMocks();
      await records.close();
      return outcome === 'crashed';
    };

    it.each([0, 1, 2, 3])('of a write, step %i, leaves the old record or the new one', async (step) => {
      await tab().records.write(rec(1), 'absent');
      const crashed = await crashing(step, (records) => records.write(rec(2), 1));
      expect(crashed).toBe(step < 2);
      const b = tab();
      expect(await b.records.read('one')).toEqual(crashed ? rec(1) : rec(2));
      expect(await b.records.write(rec(9), crashed ? 1 : 2)).toBe(true);
      expect(await tab().records.readAll()).toEqual([{ id: 'one', value: rec(9) }]);
    });

    it.each([0, 1, 2, 3])('of a removal, step %i, leaves the record or none', async (step) => {
      await tab().records.write(rec(1), 'absent');
      const crashed = await crashing(step, (records) => records.remove('one', 1));
      expect(crashed).toBe(step < 2);
      expect(await tab().records.readAll()).toEqual(step === 0 ? [{ id: 'one', value: rec(1) }] : []); // the entry says it
    });

    it('between entry and item leaves the old record, after a look of two seconds', async () => {
      const a = tab();
      await a.records.write(rec(1), 'absent');
      await entries((store) => void store.put({ count: 2, stamp: 'never written', at: 0 }, 'one'));
      expect(await a.records.read('one')).toEqual(rec(1));
      expect(await a.records.write(rec(2), 1)).toBe(true);
      expect(await tab().records.read('one')).toEqual(rec(2));
    });

    it('between the entry of a removal and its item leaves none (RF-13)', async () => {
      const a = tab();
      await a.records.write(rec(1), 'absent');
      await entries((store) => void store.put({ count: 2, stamp: 'removal', at: Date.now(), isGone: true }, 'one'));
      expect(await a.records.read('one')).toBeUndefined();
      expect(await a.records.write(rec(1), 'absent')).toBe(true);
      expect(await tab().records.read('one')).toEqual(rec(1));
    });
  });

  it('RF-15 a write for which there is no room rejects by name; the old record stays, at once and in all tabs', async () => {
    const [a, b] = [tab(), tab()];
    await a.records.write(rec(1), 'absent');
    const set = a.storage.setItem;
    a.storage.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    expect(await failure(a.records.write(rec(2), 1))).toMatchObject({ name: 'QuotaExceededError' });
    expect(await failure(a.records.write({ id: 'new', revision: 1 }, 'absent'))).toMatchObject({ name: 'QuotaExceededError' });
    for (const { records, platform } of [a, b]) {
      expect(await records.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
      expect(platform.pauses).toEqual([]);
    }
    a.storage.setItem = set;
    expect(await b.records.write(rec(2), 1)).toBe(true);
    expect(await a.records.write(rec(3), 2)).toBe(true);
  });

  it('RF-15 a removal that web storage refuses rejects, and the record stays', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    a.storage.removeItem = () => {
      throw new DOMException('no', 'SecurityError');
    };
    expect(await failure(a.records.remove('one', 1))).toMatchObject({ name: 'SecurityError' });
    expect(await a.records.read('one')).toEqual(rec(1));
    expect(a.platform.pauses).toEqual([]);
  });

  it('RF-9 a lock that was lost in the middle of a write (RF-16) makes it fail: the entry is compared when it is committed', async () => {
    const locks: Locks = { reach: 'origin', withLock: (_, run) => run() }; // nobody is excluded
    const [a, b] = [tab(0, { locks }), tab(0, { locks })];
    await a.records.write(rec(1), 'absent');
    const won = await Promise.all([a.records.write(rec(2, { by: 'a' }), 1), b.records.write(rec(2, { by: 'b' }), 1)]);
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await tab().records.read('one')).toEqual(rec(2, { by: won[0] ? 'a' : 'b' }));
  });

  it('RF-15 a lock that is not granted within ten seconds rejects, and runs nothing when it is granted after all', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    let grant = (): void => undefined;
    const held = new Promise<void>((resolve) => (grant = resolve));
    const platform = { ...unitPlatform(), indexedDB, page: a.platform.page };
    const locks: Locks = { reach: 'origin', withLock: (_, run) => held.then(run) };
    const b = webStorage('local', { namespace, platform: { ...platform, locks } });
    const writing = failure(b.write(rec(2), 1));
    await settled();
    platform.advance(10_000);
    expect(await writing).toMatchObject({ code: 'storage_failed', message: expect.stringContaining('Another tab') as string });
    grant();
    await settled();
    expect(await a.records.read('one')).toEqual(rec(1));
    expect(platform.timers()).toEqual([]);
  });

  it('a failing lock rejects, and leaves no timer', async () => {
    const locks: Locks = { reach: 'origin', withLock: () => Promise.reject(new DOMException('gone', 'AbortError')) };
    const platform = unitPlatform();
    const records = webStorage('local', { namespace, platform: { ...platform, page: tab().platform.page, indexedDB, locks } });
    expect(await failure(records.write(rec(1), 'absent'))).toMatchObject({ name: 'AbortError' });
    expect(platform.timers()).toEqual([]);
  });

  it('RF-5 an entry that was corrected in the middle of a write, to the same count, is another entry', async () => {
    const a = tab();
    let isMeddled = true;
    const meddled = keyValueStorage(
      {
        getItem: async (key) => {
          if (!isMeddled) await entriesOf(`${namespace}:items`, (store) => void store.put({ count: 1, stamp: 'another', at: 0 }, 'one'));
          isMeddled = true;
          return a.storage.getItem(key);
        },
        setItem: a.storage.setItem,
        removeItem: a.storage.removeItem,
      },
      { namespace, reach: 'origin', coherent: false, platform: a.platform },
    );
    await meddled.write(rec(1), 'absent');
    isMeddled = false;
    expect(await meddled.write(rec(2), 1)).toBe(false);
    expect(await meddled.read('one')).toEqual(rec(1));
    await meddled.close();
  });

  it('removed records leave an entry for a day; with it goes what is left of the item', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const [[key, text] = ['', '']] = Object.entries(origin.texts());
    await a.records.remove('one', 1);
    await a.records.write({ id: 'two', revision: 1 }, 'absent');
    origin.plant(key, text); // a crash brought it back
    const later = (ms: number) => tab(0, { now: () => Date.now() + ms }).records;
    await later(86_000_000).open();
    expect((await entries())['one']).toMatchObject({ isGone: true });
    expect(await a.records.read('one')).toBeUndefined();
    await later(87_000_000).open();
    expect(Object.keys(await entries())).toEqual(['two']);
    expect(Object.keys(origin.texts())).toEqual([`${namespace}:record:two`]);
    expect(await a.records.readAll()).toEqual([{ id: 'two', value: { id: 'two', revision: 1 } }]);
  });

  it('RF-15 a sweep that fails stops no start', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    await a.records.remove('one', 1);
    const locks: Locks = { reach: 'origin', withLock: () => Promise.reject(new Error('no')) };
    expect((await tab(0, { locks, now: () => Date.now() + 1e9 }).records.open()).coherent).toBe(true);
  });

  it('reads a thousand records without a lock, in two transactions', async () => {
    for (let i = 0; i < 1000; i++) origin.plant(`${namespace}:record:id-${i}`, JSON.stringify({ id: `id-${i}`, revision: 1 }));
    const a = tab();
    await a.records.open();
    const transactions = jest.spyOn(IDBDatabase.prototype, 'transaction');
    expect(await a.records.readAll()).toHaveLength(1000);
    expect(transactions).toHaveBeenCalledTimes(1);
  });

  it('E68 names locks and databases after namespace and id, nothing else', async () => {
    const names: string[] = [];
    const locks: Locks = { reach: 'origin', withLock: (name, run) => (names.push(name), run()) };
    const a = tab(0, { locks });
    await a.records.write(rec(1, { secret: 'canary' }), 'absent');
    await a.records.remove('one', 'any');
    expect(names).toEqual([`${namespace}:write:one`, `${namespace}:write:one`]);
  });
});

describe("webStorage('session')", () => {
  const tab = (session: Storage = fakeStorage(), changes: Partial<Platform> = {}) => {
    const platform = tabPlatform(pageWith({ session }), changes);
    return { session, platform, records: webStorage('session', { namespace, platform }) };
  };
  const twin = ({ session }: ReturnType<typeof tab>) => tab(duplicateOf(session, fakeStorage()));
  const entries = (change?: Parameters<typeof entriesOf>[1]) => entriesOf(`${namespace}:session`, change);

  it('E3 RF-14 a duplicated tab adopts what its original wrote since, and the other way round', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const b = twin(a);
    await a.records.write(rec(2, { token: 'new' }), 1);
    await a.records.write({ id: 'two', revision: 1 }, 'absent');
    expect(await b.records.read('one')).toEqual(rec(2, { token: 'new' }));
    expect((await b.records.readAll()).map(({ id }) => id).sort()).toEqual(['one', 'two']);
    expect(b.session.getItem(`${namespace}:record:one`)).toContain('new'); // kept: the original may be gone tomorrow
    expect(await b.records.write(rec(3), 2)).toBe(true);
    expect(await a.records.write(rec(3), 2)).toBe(false);
    expect(await a.records.read('one')).toEqual(rec(3));
    expect([...a.platform.pauses, ...b.platform.pauses]).toEqual([]);
  });

  it('RF-14 twins that write at a time lose nothing', async () => {
    const a = tab();
    await a.records.write(rec(1, { n: 0 }), 'absent');
    const twins = [a, twin(a), twin(a)];
    const up = async ({ records }: ReturnType<typeof tab>): Promise<void> => {
      for (let steps = 0; steps < 20;) {
        const { revision, n } = (await records.read('one')) as { revision: number; n: number };
        if (await records.write(rec(revision + 1, { n: n + 1 }), revision)) steps++;
      }
    };
    await Promise.all(twins.map(up));
    for (const { records } of twins) expect(await records.read('one')).toEqual(rec(61, { n: 60 }));
  });

  it('RF-13 what one twin removed is gone for the other', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const b = twin(a);
    expect(await b.records.remove('one', 1)).toBe(true);
    expect(await a.records.read('one')).toBeUndefined();
    expect(await a.records.readAll()).toEqual([]);
    expect(await a.records.write(rec(2), 1)).toBe(false);
  });

  it('a tab that crashed between entry and item finds its new record; a twin that wrote another at the same count wins', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const b = twin(a);
    const set = a.session.setItem;
    await a.records.write(rec(2, { by: 'a' }), 1);
    const ahead = a.session.getItem(`${namespace}:record:one`) ?? '';
    // The world in which the entry of a's write was never committed:
    const other = tab(duplicateOf(b.session, fakeStorage()));
    await entries((store, keys) => keys.forEach((key) => store.delete(key)));
    expect(await other.records.write(rec(2, { by: 'b' }), 1)).toBe(true);
    expect(JSON.parse(ahead)).toMatchObject({ count: 2 });
    expect(await a.records.read('one')).toEqual(rec(2, { by: 'b' }));
    expect(a.session.setItem).toBe(set);
  });

  it('tabs that are no twins share nothing and cannot read each other', async () => {
    const a = tab();
    const names: string[] = [];
    const b = tab(fakeStorage(), { locks: { reach: 'origin', withLock: (name, run) => (names.push(name), run()) } });
    await a.records.write(rec(1, { token: 'canary' }), 'absent');
    expect(await b.records.readAll()).toEqual([]);
    expect(names).toEqual([]); // it does not even look at the records of others
    await b.records.write(rec(1, { token: 'other' }), 'absent');
    expect(await b.records.readAll()).toEqual([{ id: 'one', value: rec(1, { token: 'other' }) }]);
    expect(await a.records.remove('one', 'any')).toBe(true);
    expect(await b.records.read('one')).toEqual(rec(1, { token: 'other' }));
  });

  it('BBA-4 what lies in IndexedDB is sealed, with an IV of its own each time, and the key is in no database', async () => {
    const a = tab();
    const ivs = new Set<string>();
    for (let revision = 1; revision <= 20; revision++) {
      await a.records.write(rec(revision, { token: 'canary' }), revision === 1 ? 'absent' : revision - 1);
      for (const { sealed } of Object.values(await entries())) {
        ivs.add(String(sealed?.iv));
        expect(Buffer.from(sealed?.text ?? new ArrayBuffer(0)).includes('canary')).toBe(false);
      }
    }
    expect(ivs.size).toBe(20);
    const [id = '', key = ''] = (a.session.getItem(`${namespace}:session`) ?? '').split('.');
    expect(key.split(',')).toHaveLength(32);
    expect(Object.keys(await entries())).toEqual([`${id}:one`]);
    expect(JSON.stringify(await entries())).not.toContain(key);
  });

  it('a sealed copy that was moved, edited or replaced is not adopted: the tab keeps what it has', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    await a.records.write({ ...rec(1, { token: 'of two' }), id: 'two' }, 'absent');
    const b = twin(a);
    await a.records.write(rec(2), 1);
    const all = await entries();
    const [keyOne = '', keyTwo = ''] = Object.keys(all);
    const { iv, text } = all[keyOne]?.sealed ?? { iv: new Uint8Array(12), text: new ArrayBuffer(0) };
    const edited = new Uint8Array(text.slice(0));
    edited[0] = (edited[0] ?? 0) ^ 1;
    for (const sealed of [all[keyTwo]?.sealed, { iv, text: edited.buffer }, { iv, text: 'x' }, { iv }, 'garbage', 5, null, undefined]) {
      const mine = twin(b);
      await entries((store) => void store.put({ ...all[keyOne], sealed }, keyOne));
      if (sealed === all[keyTwo]?.sealed) await entries((store) => void store.put(all[keyTwo], keyOne)); // moved as a whole
      expect(await mine.records.read('one')).toEqual(rec(1));
      expect(await mine.records.write(rec(2, { mine: true }), 1)).toBe(true);
    }
  });

  it('E68 reads the entries of all sessions once to let go of old ones, and once for its own', async () => {
    const { records } = tab();
    const getAll = jest.spyOn(IDBObjectStore.prototype, 'getAll');
    await records.open();
    await records.readAll();
    expect(getAll).toHaveBeenCalledTimes(2);
    getAll.mockRestore();
    await records.close();
  });

  it('a session that was cleared is over: nothing comes back from IndexedDB, and a new one begins', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    a.session.clear();
    expect(await a.records.readAll()).toEqual([]);
    expect(await a.records.write(rec(1, { anew: true }), 'absent')).toBe(true);
    expect(await a.records.read('one')).toEqual(rec(1, { anew: true }));
  });

  it.each(['', 'garbage', 'a.b', `${'x'.repeat(22)}.${'9,'.repeat(31)}`])('a damaged key (%j) begins a new session', async (damaged) => {
    const a = tab();
    await a.records.open();
    a.session.setItem(`${namespace}:session`, damaged);
    expect(await a.records.write(rec(1), 'absent')).toBe(true);
    expect(await twin(a).records.read('one')).toEqual(rec(1));
  });

  it('two questions at once in a new tab begin one session', async () => {
    const a = tab();
    const b = webStorage('session', { namespace, platform: a.platform });
    await Promise.all([a.records.write(rec(1), 'absent'), b.write({ id: 'two', revision: 1 }, 'absent'), b.open()]);
    expect(new Set(Object.keys(await entries()).map((key) => key.split(':')[0])).size).toBe(1);
    expect(await b.readAll()).toHaveLength(2);
  });

  it('a twin without room for the newer record reads it all the same', async () => {
    const a = tab();
    await a.records.write(rec(1), 'absent');
    const b = twin(a);
    await a.records.write(rec(2), 1);
    b.session.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    expect(await b.records.read('one')).toEqual(rec(2));
    expect(await failure(b.records.write(rec(3), 2))).toMatchObject({ name: 'QuotaExceededError' });
    expect(await a.records.read('one')).toEqual(rec(2));
  });

  it('entries of sessions that are over are swept sixty days after they were last open, those of this one never', async () => {
    const [a, dead] = [tab(), tab()];
    await dead.records.write(rec(1), 'absent');
    await a.records.write(rec(1), 'absent');
    const start = (ms: number) => tab(a.session, { now: () => Date.now() + ms }).records.open();
    const ofRecords = async () => Object.keys(await entries()).filter((key) => key.includes(':'));
    await start(59 * 86_400_000);
    expect(await ofRecords()).toHaveLength(2);
    await start(61 * 86_400_000);
    const [id = ''] = (a.session.getItem(`${namespace}:session`) ?? '').split('.');
    expect(await ofRecords()).toEqual([`${id}:one`]);
    expect(await dead.records.read('one')).toEqual(rec(1)); // it was not over after all: it keeps its own copy
  });
});

describe.each(['local', 'session'] as const)('webStorage(%j)', (area) => {
  const on = (changes: Partial<Platform>) => {
    const page = pageWith({ local: fakeStorage(), session: fakeStorage() });
    const platform = Object.defineProperties(tabPlatform(page), Object.getOwnPropertyDescriptors(changes));
    return webStorage(area, { namespace, platform });
  };

  it('touches nothing before it is opened', () => {
    const platform = new Proxy({} as Platform, {
      get: () => {
        throw new Error('touched');
      },
    });
    expect(() => webStorage(area, { namespace, platform })).not.toThrow();
  });

  it.each<[string, string, Partial<Platform>]>([
    ['without Web Locks', 'lock_unavailable', { locks: undefined }],
    ['without IndexedDB', 'storage_failed', { indexedDB: undefined }],
    ['without a page', 'storage_failed', { page: undefined }],
    ['where web storage is blocked', 'storage_failed', { page: pageWith({}) }],
  ])('E38 %s it does not open: %s', async (_, code, changes) => {
    const error = await failure(on(changes).open());
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ code });
  });

  it('E38 web storage that throws when it is read or written is a rejection', async () => {
    const session = fakeStorage();
    const storage = on({ page: pageWith({ local: session, session }) });
    await storage.open();
    session.getItem = () => {
      throw new DOMException('no', 'SecurityError');
    };
    for (const question of [storage.open(), storage.read('one'), storage.write(rec(1), 'absent'), storage.remove('one', 'any')])
      expect(await failure(question)).toMatchObject({ name: 'SecurityError' });
  });

  it('takes the platform of the runtime where none is given', async () => {
    expect(await failure(webStorage(area, { namespace }).open())).toMatchObject({ code: 'storage_failed' }); // this runtime has no page
  });

  it('close lets go of the database', async () => {
    const storage = on({});
    await storage.write(rec(1), 'absent');
    await storage.close();
    const request = indexedDB.deleteDatabase(`${namespace}:${area}`);
    const outcome = await new Promise((resolve) => {
      request.onblocked = () => resolve('blocked');
      request.onsuccess = () => resolve('removed');
    });
    expect(outcome).toBe('removed');
  });
});

describe('webStorage', () => {
  it('refuses areas and namespaces that are none', () => {
    expect(() => webStorage('cookie' as never)).toThrow(TypeError);
    expect(() => webStorage('local', { namespace: '\ud800' })).toThrow(TypeError);
  });
});
