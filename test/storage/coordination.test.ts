// What the storages over items that may be old have in common: how long they look, and what they let go of.
import { IDBFactory } from 'fake-indexeddb';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import type { Locks, Platform } from '../../src/platform/platform';
import { cookieStorage } from '../../src/storage/cookie';
import { keyValueStorage } from '../../src/storage/key-value';
import type { CredentialStorage } from '../../src/storage/storage';
import { fakePage } from '../support/unit-platform';
import { browserJar } from './cookie-jar';
import { pageWith, tabPlatform } from './web-fakes';

const rec = (revision: number) => ({ id: 'one', revision });
const locks: Locks = { ...inProcessLocks(), reach: 'origin' };
const turn = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('RF-9 a tab that looks for an item that is lost, under the lock of its record', () => {
  /** What the tab waits in all, where a timer ends when `endOf` says. */
  async function waitedBy(endOf: (dueAt: number, timers: number) => number): Promise<{ readonly ms: number; readonly afterFirst: number }> {
    let [clock, timers, afterFirst] = [0, 0, NaN];
    const platform = tabPlatform(pageWith({}), {
      locks,
      monotonicNow: () => clock,
      setTimer: (run, ms) => {
        if (ms > 2_000) return () => undefined; // a step of a deadline
        clock = endOf(clock + ms, ++timers);
        if (timers === 1) afterFirst = clock;
        queueMicrotask(run);
        return () => undefined;
      },
    });
    const items = new Map<string, string>();
    const store = {
      getItem: (key: string) => items.get(key),
      setItem: (key: string, text: string) => void items.set(key, text),
      removeItem: (key: string) => void items.delete(key),
    };
    const storage = keyValueStorage(store, { namespace: `looks-${namespaces++}`, reach: 'origin', coherent: false, platform });
    await storage.write(rec(1), 'absent');
    items.clear();
    expect(await storage.read('one')).toBeUndefined();
    await storage.close();
    return { ms: clock, afterFirst: clock - afterFirst };
  }
  let namespaces = 0;

  it('waits two seconds', async () => {
    expect((await waitedBy((dueAt) => dueAt)).ms).toBe(2_000);
  });

  it('waits hardly longer where it is hidden, and timers end once a second', async () => {
    expect((await waitedBy((dueAt) => Math.ceil(dueAt / 1_000) * 1_000)).ms).toBeLessThanOrEqual(3_000);
  });

  it('has not waited while it was frozen', async () => {
    expect((await waitedBy((dueAt, timers) => (timers === 1 ? dueAt + 3_600_000 : dueAt))).afterFirst).toBe(1_000);
  });
});

describe('E34 a close that overtakes what is under way leaves no connection', () => {
  function counted(): { readonly indexedDB: IDBFactory; readonly connections: () => number } {
    const indexedDB = new IDBFactory();
    const open = indexedDB.open.bind(indexedDB);
    const living = new Set<unknown>();
    indexedDB.open = (...args) => {
      const request = open(...args);
      request.addEventListener('success', () => {
        const database = request.result;
        const close = database.close.bind(database);
        living.add(database);
        database.close = () => (living.delete(database), close());
      });
      return request;
    };
    return { indexedDB, connections: () => living.size };
  }
  const items = new Map<string, string>();
  const slow = {
    getItem: async (key: string) => (await turn(20), items.get(key)),
    setItem: (key: string, text: string) => void items.set(key, text),
    removeItem: (key: string) => void items.delete(key),
    keys: async () => (await turn(20), items.keys()),
  };
  const jar = browserJar();
  const slowLocks: Locks = { reach: 'origin', withLock: (name, run) => turn(20).then(() => locks.withLock(name, run)) };
  const kinds: Readonly<Record<string, (indexedDB: IDBFactory) => CredentialStorage>> = {
    'items of one’s own': (indexedDB) =>
      keyValueStorage(slow, { reach: 'origin', coherent: false, platform: tabPlatform(pageWith({}), { locks, indexedDB }) }),
    cookies: (indexedDB) => {
      const page: Platform['page'] = { ...fakePage('https://app.example.com/'), cookies: jar.read, setCookie: jar.write };
      return cookieStorage({ platform: tabPlatform(page, { locks: slowLocks, indexedDB }) });
    },
  };

  it.each(Object.entries(kinds))('%s', async (_, create) => {
    const { indexedDB, connections } = counted();
    const storage = create(indexedDB);
    await storage.open();
    await storage.write(rec(1), 'absent');
    expect(connections()).toBe(1);
    await storage.close();
    for (const begin of [() => storage.open(), () => storage.readAll(), () => storage.read('one')]) {
      const working = begin();
      await turn(5);
      await storage.close();
      await working;
      await turn(5);
      expect(connections()).toBe(0);
    }
    await storage.open();
    expect(await storage.read('one')).toEqual(rec(1));
    await storage.close();
  });
});
