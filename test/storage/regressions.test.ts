// What reviewers broke once, storage by storage.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import localforage from 'localforage';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { cookieStorage, requestJar } from '../../src/storage/cookie';
import { fileStorage } from '../../src/storage/file';
import { createFileStorage } from '../../src/storage/file/file-storage';
import { indexedDBStorage } from '../../src/storage/indexeddb';
import { keyValueStorage } from '../../src/storage/key-value';
import { localforageStorage } from '../../src/storage/localforage';
import { memoryStorage } from '../../src/storage/memory';
import { indexedDBKeys, sealed, type SealingKeys } from '../../src/storage/sealed';
import type { StoredRecord } from '../../src/storage/storage';
import { webStorage } from '../../src/storage/web';
import { hooked, systemError } from '../support/file-faults';
import { fileOf, newFolder, recordsIn } from '../support/file-folder';
import { aRecord } from '../support/tokens';
import { fakePage, fakeStorage, settled, unitPlatform } from '../support/unit-platform';
import { browserJar } from './cookie-jar';
import { duplicateOf, fakeOrigin, pageWith, tabPlatform } from './web-fakes';

const DAY = 86_400_000;
const rec = (revision: number, more: object = {}): StoredRecord => ({ id: 'one', revision, ...more });
const gate = () => {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
};
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: Error) => `${error.constructor.name} ${'code' in error ? String(error.code as string) : error.name}`,
  );
const within = async <T>(promise: Promise<T>, ms: number): Promise<T | 'pending'> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'pending'>((resolve) => (timer = setTimeout(() => resolve('pending'), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const madeDatabase = (name: string, version: number, upgrade: (db: IDBDatabase) => void): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => upgrade(request.result);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error('open'));
  });
let count = 0;
let namespace: string;
beforeEach(() => (namespace = `zz-${count++}`));
afterEach(() => jest.restoreAllMocks());

describe('sealed: a sweep removes no key that a record may still need', () => {
  it('where a tab sees its own session only, none at all', async () => {
    let offset = 0;
    const now = (): number => Date.now() + offset;
    const tab = () => {
      const platform = tabPlatform(pageWith({ session: fakeStorage() }), { now });
      const keys = indexedDBKeys({ namespace, platform });
      return { keys, storage: sealed(webStorage('session', { namespace, platform }), { keys, platform }) };
    };
    const [a, b] = [tab(), tab()];
    await a.storage.open();
    await a.storage.write(aRecord(), 'absent');
    await b.storage.open();
    await b.keys.rotate();
    offset = DAY + 1;
    await b.storage.sweep(); // what a store does at a start
    const stored = (await a.storage.read('one')) as StoredRecord;
    expect(await outcome(a.storage.unseal(stored))).toMatchObject({ id: 'one' });
  });

  it('E62 nor while a record cannot be read: it may name any key', async () => {
    const folder = newFolder();
    const removed: string[] = [];
    const key = new Uint8Array(32).fill(1);
    const keys: SealingKeys = {
      current: () => Promise.resolve({ kid: 'old', key }),
      get: () => Promise.resolve(key),
      list: () =>
        Promise.resolve([
          { kid: 'old', retiredAt: 1 },
          { kid: 'new', retiredAt: null },
        ]),
      remove: (kid) => Promise.resolve(void removed.push(kid)),
    };
    const storage = sealed(fileStorage({ folder }), { keys });
    await storage.write(aRecord(), 'absent');
    chmodSync(fileOf(folder, 'one'), 0o644); // "Type: chmod 600", says the message: then the record would be back
    await storage.sweep();
    expect(removed).toEqual([]);
  });
});

describe('webStorage("session"): what is swept', () => {
  const twins = (now: () => number) => {
    const first = fakeStorage();
    const at = (session: Storage) => webStorage('session', { namespace, platform: tabPlatform(pageWith({ session }), { now }) });
    return { first, a: at(first), at };
  };
  it('RF-14 what was removed stays removed, also for a twin that was frozen for a day', async () => {
    let offset = 0;
    const { first, a, at } = twins(() => Date.now() + offset);
    await a.open();
    await a.write(rec(1), 'absent');
    const b = at(duplicateOf(first, fakeStorage())); // a duplicated tab, then frozen
    await a.remove('one', 1); // signed out
    offset = DAY + 1;
    await at(first).open(); // the first tab is reloaded the next day
    expect(await b.read('one')).toBeUndefined();
  });
  it('RF-14 a session that is open keeps its entries, however long nothing was written', async () => {
    let offset = 0;
    const { first, a, at } = twins(() => Date.now() + offset);
    await a.open();
    await a.write(rec(1, { token: 'old' }), 'absent');
    const b = at(duplicateOf(first, fakeStorage()));
    await a.write(rec(2, { token: 'new' }), 1);
    offset = 7 * DAY + 1;
    await at(fakeStorage()).open(); // a new tab of the same origin
    expect(await b.read('one')).toEqual(rec(2, { token: 'new' }));
  });
  it('RF-5 so of two writers over one revision one wins, also after a week', async () => {
    let offset = 0;
    const { first, a, at } = twins(() => Date.now() + offset);
    await a.open();
    await a.write(rec(1), 'absent');
    const b = at(duplicateOf(first, fakeStorage()));
    await a.write(rec(2, { by: 'a' }), 1);
    offset = 7 * DAY + 1;
    await at(fakeStorage()).open();
    const both = [true, await b.write(rec(2, { by: 'b' }), 1)];
    expect(both).toEqual([true, false]);
    expect(await a.read('one')).toEqual(rec(2, { by: 'a' }));
  });
});

describe('3 cookieStorage', () => {
  it('RF-15 waits for a lock that a frozen tab holds no longer than ten seconds', async () => {
    const locks = { ...inProcessLocks(), reach: 'origin' } as const;
    const jar = browserJar();
    const unit = unitPlatform({ page: { ...fakePage('https://app.example.com/'), cookies: jar.read, setCookie: jar.write } });
    const platform = { ...unit, locks } as Platform & typeof unit;
    void locks.withLock(`${namespace}:cookies`, () => new Promise<void>(() => undefined)); // granted to a tab that is frozen
    const writing = outcome(cookieStorage({ namespace, platform }).write(rec(1), 'absent'));
    await settled();
    unit.advance(3_600_000);
    await settled();
    expect(await within(writing, 200)).toBe('StorageError storage_failed');
  });
  it('RF-1 two storages over one request jar exclude each other', async () => {
    const jar = requestJar();
    const [one, two] = [cookieStorage({ jar }), cookieStorage({ jar })];
    const [order, held] = [[] as string[], gate()];
    const first = one.withLock!('refresh:one', async () => {
      order.push('one in');
      await held.passed;
      order.push('one out');
    });
    const second = two.withLock!('refresh:one', async () => void order.push('two in'));
    await settled();
    held.open();
    await Promise.all([first, second]);
    expect(order).toEqual(['one in', 'one out', 'two in']);
  });
});

describe('webStorage("local"): a lock that is lost between the entry and the item (RF-16)', () => {
  it('RF-5 does not let both writers win', async () => {
    const origin = fakeOrigin();
    const locks = { reach: 'origin', withLock: (_: string, run: () => Promise<never>) => run() } as const;
    const thawed = gate();
    const at = (local: Storage) => webStorage('local', { namespace, platform: tabPlatform(pageWith({ local }), { locks }) });
    const [a, b] = [at(origin.openTab().storage), at(origin.openTab().storage)];
    await a.write(rec(1), 'absent');
    // Frozen: the event that its transaction is complete reaches this tab when it thaws
    const { transaction } = IDBDatabase.prototype;
    let isFirst = true;
    jest.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
      const made = transaction.apply(this, args);
      if (args[1] !== 'readwrite' || !isFirst) return made;
      isFirst = false;
      Object.defineProperty(made, 'oncomplete', {
        set: (told: () => void) => made.addEventListener('complete', () => void thawed.passed.then(told)),
        get: () => null,
      });
      return made;
    });
    const writingA = a.write(rec(2, { by: 'a' }), 1);
    for (let i = 0; i < 5; i++) await settled(); // A has committed its entry and is frozen
    const wonB = await b.write(rec(2, { by: 'b' }), 1);
    thawed.open();
    expect([await writingA, wonB].filter(Boolean)).toHaveLength(1);
    expect(await b.read('one')).toEqual(rec(2, { by: wonB ? 'b' : 'a' }));
  });
});

describe('localforage: a write that the caller was told has failed', () => {
  it('RF-5 keeps its lock for as long as the driver may still write', async () => {
    const locks = inProcessLocks();
    const platform = { ...unitPlatform(), locks };
    const create = localforage.createInstance.bind(localforage);
    const wakes = gate();
    let reached = gate();
    let hangs = false;
    jest.spyOn(localforage, 'createInstance').mockImplementation((options) => {
      const store = create(options);
      void store.ready().then(() => { // the driver brings its own methods
        const set = store.setItem.bind(store) as (key: string, value: unknown) => Promise<unknown>;
        store.setItem = (async (key: string, value: unknown) => {
          reached.open();
          if (hangs) await wakes.passed; // localforage opens its connection again, and that is blocked
          return set(key, value);
        }) as never;
      }); // prettier-ignore
      return store;
    });
    const a = localforageStorage({ namespace, platform });
    await a.write(rec(1), 'absent');
    [hangs, reached] = [true, gate()];
    const writingA = outcome(a.write(rec(2, { by: 'a' }), 1));
    await reached.passed;
    platform.advance(5_000);
    await settled();
    hangs = false;
    const b = localforageStorage({ namespace, platform: { ...unitPlatform(), locks } });
    const writingB = outcome(b.write(rec(2, { by: 'b' }), 1));
    await within(writingB, 500); // now: true. With the lock still held: pending
    wakes.open();
    const [wonA, wonB] = await Promise.all([writingA, writingB]);
    for (let i = 0; i < 5; i++) await settled();
    expect(wonA).toBe('StorageError storage_failed');
    expect(await b.read('one')).toEqual(rec(2, { by: wonB === true ? 'b' : 'a' }));
  });
});

describe('6 IndexedDB', () => {
  it('E67 a foreign database of the same name without our object store does not open', async () => {
    (await madeDatabase(`${namespace}:records`, 1, (db) => db.createObjectStore('theirs'))).close();
    const storage = indexedDBStorage({ namespace });
    expect(await outcome(storage.open())).toBe('StorageError storage_failed');
  });
  it('E67 of one whose object store has keys inside nothing is read, and nothing is written to it', async () => {
    (await madeDatabase(`${namespace}:records`, 1, (db) => db.createObjectStore('records', { keyPath: 'key' }))).close();
    const storage = indexedDBStorage({ namespace });
    expect([await outcome(storage.readAll()), await outcome(storage.write(rec(1), 'absent'))]).toEqual([
      'StorageError storage_failed',
      'StorageError storage_failed',
    ]);
  });
  it('RF-15 a transaction that never ends, of a frozen tab, ends the waiting of others after 30 s', async () => {
    const unit = unitPlatform();
    const storage = indexedDBStorage({ namespace, platform: { ...unit, indexedDB } });
    await storage.write(rec(1), 'absent');
    const db = await madeDatabase(`${namespace}:records`, 1, () => undefined);
    const store = db.transaction('records', 'readwrite').objectStore('records');
    let frozen = true;
    const busy = (): void => {
      const request = store.get('x');
      request.onsuccess = () => frozen && busy();
    };
    busy();
    const asked = outcome(storage.read('one'));
    for (let i = 0; i < 3; i++) await settled();
    unit.advance(60_000);
    await settled();
    const got = await within(asked, 300);
    frozen = false;
    await settled();
    db.close();
    expect(got).toBe('StorageError storage_failed');
  });
  it('E67 a foreign key that is no text in the coordination database harms nothing', async () => {
    const tab = webStorage('local', { namespace, platform: tabPlatform(pageWith({ local: fakeStorage() })) });
    await tab.write(rec(1), 'absent');
    const db = await madeDatabase(`${namespace}:local`, 1, () => undefined);
    await new Promise((resolve) => (db.transaction('records', 'readwrite').objectStore('records').put('theirs', 7).onsuccess = resolve));
    db.close();
    expect(await outcome(tab.readAll())).toEqual([{ id: 'one', value: rec(1) }]);
  });
});

describe('webStorage("session") without room', () => {
  it('RF-15 says so when it is opened', async () => {
    const full: Storage = { ...fakeStorage(), setItem: () => { throw new DOMException('full', 'QuotaExceededError'); } }; // prettier-ignore
    const storage = webStorage('session', { namespace, platform: tabPlatform(pageWith({ session: full })) });
    const opening = await outcome(storage.open());
    expect([opening, await outcome(storage.readAll())]).not.toEqual([expect.objectContaining({ coherent: true }), 'DOMException 22']);
  });
});

describe('fileStorage', () => {
  it('RF-9 a process that could not tell its start lives: its lock is not taken', async () => {
    const folder = newFolder();
    const poor = hooked((call, path) => {
      if (call === 'readFile' && path.endsWith('/stat')) throw systemError('EMFILE');
    });
    const parts = { folder, namespace, platform: defaultPlatform() };
    const [a, b] = [createFileStorage(parts, { files: poor }), createFileStorage(parts)];
    await Promise.all([a.open(), b.open()]);
    const [order, held] = [[] as string[], gate()];
    const first = a.withLock!('refresh', async () => {
      order.push('a in');
      await held.passed;
      order.push('a out');
    });
    while (order.length === 0) await settled();
    const second = b.withLock!('refresh', async () => void order.push('b in'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    held.open();
    await Promise.all([first, second]);
    expect(order).toEqual(['a in', 'a out', 'b in']);
  });
  it('CLI-2 a link put in the place of the folder after the first call is not followed', async () => {
    const folder = newFolder();
    const storage = fileStorage({ folder });
    await storage.open();
    const elsewhere = newFolder();
    renameSync(folder, `${folder}-away`);
    mkdirSync(join(recordsIn(elsewhere), 'locks'), { recursive: true, mode: 0o777 });
    chmodSync(recordsIn(elsewhere), 0o777);
    chmodSync(join(recordsIn(elsewhere), 'locks'), 0o777);
    symlinkSync(elsewhere, folder);
    expect(await outcome(storage.write(rec(1, { token: 'secret' }), 'absent'))).toBe('StorageError storage_failed');
    expect(readdirSync(recordsIn(elsewhere))).toEqual(['locks']);
  });
  it('a link in locks/ does not keep it from opening', async () => {
    const folder = newFolder();
    const first = fileStorage({ folder });
    await first.write(rec(1), 'absent');
    const target = newFolder();
    mkdirSync(target);
    symlinkSync(target, join(recordsIn(folder), 'locks', 'foreign'));
    expect(await outcome(fileStorage({ folder }).read('one'))).toEqual(rec(1));
  });
  it('E67 an empty foreign folder in locks/ is not touched', async () => {
    const folder = newFolder();
    await fileStorage({ folder }).open();
    mkdirSync(join(recordsIn(folder), 'locks', 'lost+found'));
    await fileStorage({ folder }).open();
    expect(readdirSync(join(recordsIn(folder), 'locks'))).toEqual(['lost+found']);
  });
});

describe('keyValueStorage with an index', () => {
  it('a record whose index was removed is listed again with its next write', async () => {
    const items = new Map<string, string>();
    const store = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, text: string) => void items.set(key, text),
      removeItem: (key: string) => void items.delete(key),
    };
    const storage = keyValueStorage(store, { namespace });
    await storage.write(rec(1), 'absent');
    items.delete(`${namespace}:index`);
    items.delete(`${namespace}:index2`);
    const later = keyValueStorage(store, { namespace }); // the next start
    expect(await later.write(rec(2), 1)).toBe(true);
    expect(await later.readAll()).toEqual([{ id: 'one', value: rec(2) }]);
  });
});

describe('after close()', () => {
  it('a write that waited for its lock leaves no database open', async () => {
    const locks = { ...inProcessLocks(), reach: 'origin' } as const;
    const opened: IDBDatabase[] = [];
    const closed: IDBDatabase[] = [];
    const { open } = indexedDB;
    jest.spyOn(indexedDB, 'open').mockImplementation((...args) => {
      const request = open.apply(indexedDB, args);
      request.addEventListener('success', () => opened.push(request.result));
      return request;
    });
    const { close } = IDBDatabase.prototype;
    jest.spyOn(IDBDatabase.prototype, 'close').mockImplementation(function (this: IDBDatabase) {
      closed.push(this);
      close.call(this);
    });
    const storage = webStorage('local', { namespace, platform: tabPlatform(pageWith({ local: fakeStorage() }), { locks }) });
    await storage.open();
    const held = gate();
    const other = locks.withLock(`${namespace}:write:one`, () => held.passed);
    const writing = outcome(storage.write(rec(1), 'absent'));
    await storage.close();
    held.open();
    await other;
    await writing;
    await settled();
    expect(opened.filter((db) => !closed.includes(db))).toHaveLength(0);
  });
});

describe('watchers', () => {
  it.each([
    ['memoryStorage', () => memoryStorage()],
    ['keyValueStorage', () => keyValueStorage(fakeStorage())],
    ['fileStorage', () => fileStorage({ folder: newFolder() })],
  ])('E34 one that throws costs %s neither the write nor the others', async (_, create) => {
    const storage = create();
    await storage.open();
    const heard: string[] = [];
    const stops = [
      storage.watch!(() => {
        throw new Error('watcher');
      }),
      storage.watch!((id) => heard.push(id)),
    ];
    expect(await storage.write(rec(1), 'absent')).toBe(true);
    while (!heard.includes('one')) await settled();
    expect(await storage.remove('one', 1)).toBe(true);
    stops.forEach((stop) => stop());
    await storage.close();
  });
});

describe('coordinated items whose counter is at its end', () => {
  const LAST = 1e15;
  const cases = [LAST - 2, LAST - 1, LAST].flatMap((last) => [true, false].map((isKnown) => [last, isKnown] as const));
  it.each(cases)(
    'E62 RF-2 from %j on (known to IndexedDB: %j) no acknowledged write is lost, and what was removed stays so',
    async (last, isKnown) => {
      const items = new Map<string, string>();
      const shelf = {
        getItem: (key: string) => items.get(key),
        setItem: (key: string, text: string) => items.set(key, text),
        removeItem: (key: string) => items.delete(key),
        keys: () => items.keys(),
      };
      const tab = () => keyValueStorage(shelf, { namespace, reach: 'origin', coherent: false, platform: tabPlatform(pageWith({})) });
      const [a, b] = [tab(), tab()];
      await a.open();
      items.set(`${namespace}:record:one`, JSON.stringify({ count: last, stamp: 'z', value: rec(1) }));
      if (isKnown) {
        const db = await madeDatabase(`${namespace}:items`, 1, () => undefined);
        const put = db.transaction('records', 'readwrite').objectStore('records').put({ count: last, stamp: 'z', at: Date.now() }, 'one');
        await new Promise((resolve) => put.transaction?.addEventListener('complete', resolve));
        db.close();
      }
      for (let revision = 1; revision < 5; revision++) {
        const [one, other] = revision % 2 ? [a, b] : [b, a];
        expect(await one.write(rec(revision + 1), revision)).toBe(true);
        expect(await other.read('one')).toEqual(rec(revision + 1));
        expect(await other.readAll()).toEqual([{ id: 'one', value: rec(revision + 1) }]);
      }
      expect(await a.remove('one', 5)).toBe(true);
      expect([await b.read('one'), await b.write(rec(6), 5)]).toEqual([undefined, false]);
      expect(await b.write(rec(1), 'absent')).toBe(true);
      expect(await a.read('one')).toEqual(rec(1));
      await Promise.all([a.close(), b.close()]);
    },
  );
});

describe('fileStorage: what a crash left locked, and cannot be removed', () => {
  const leave = (folder: string, name: string): string => {
    const path = join(recordsIn(folder), 'locks', name);
    mkdirSync(path, { mode: 0o700 });
    const old = new Date(Date.now() - 3 * DAY);
    utimesSync(path, old, old);
    return path;
  };
  const [first, second] = ['r-a@99999999.1-1.0000000000000000.1.1', 'r-b@99999999.1-1.0000000000000000.1.2'];

  it.each(['EROFS', 'EACCES', 'EPERM'])(
    'CLI-2 keeps nobody from reading (%s), nor what can be removed from being removed',
    async (code) => {
      const folder = newFolder();
      const before = fileStorage({ folder });
      await before.open();
      await before.write(rec(1), 'absent');
      await before.close();
      const [stuck, loose] = [leave(folder, first), leave(folder, second)];
      const files = hooked((call, path) => {
        if (call === 'rm' && path === stuck) throw systemError(code);
      });
      const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
      await storage.open();
      expect(await storage.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
      expect(await storage.write(rec(2), 1)).toBe(true);
      expect([existsSync(stuck), existsSync(loose)]).toEqual([true, false]);
      await storage.close();
    },
  );

  it('CLI-2 on a medium that is read-only by now records are read, and a write says what is wrong', async () => {
    const folder = newFolder();
    const before = fileStorage({ folder });
    await before.open();
    await before.write(rec(1), 'absent');
    await before.close();
    leave(folder, first);
    const files = hooked((call, path) => {
      if (/^(rm|rmdir|rename|utimes)$/.test(call) || (call === 'mkdir' && !existsSync(path))) throw systemError('EROFS');
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    expect(await storage.read('one')).toEqual(rec(1));
    expect(await outcome(storage.write(rec(2), 1))).toBe('StorageError storage_failed');
    await storage.close();
  });
});
