import { forceCloseDatabase } from 'fake-indexeddb';
import { StorageError } from '../../src/errors';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import { indexedDBLocks, type LockPlatform } from '../../src/platform/indexeddb-locks';
import { defaultPlatform, type Locks } from '../../src/platform/platform';
import { createFileStorage } from '../../src/storage/file/file-storage';
import { describeLocks } from '../contract/locks-contract';
import { newFolder } from '../support/file-folder';
import { settled, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const inProcess = inProcessLocks();
describeLocks('in-process locks', { open: () => inProcess.withLock, isAbortable: false });
describeLocks('Web Locks', { open: () => defaultPlatform().locks!.withLock, isAbortable: true });
describeLocks('IndexedDB locks', { open: () => indexedDBLocks(defaultPlatform(), StorageError).withLock, isAbortable: true });
const folder = newFolder();
describeLocks('the locks of fileStorage', {
  open: () => createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }).withLock!,
  isAbortable: false,
});

const STEP_MS = 10_000;
const PATIENCE_MS = 150_000;
const LOCK = 'rx-credentials-lock:';

/** A tab of which the test knows the connections, and owns the clock: no timer fires unless it says so. */
interface Tab extends Locks {
  readonly platform: UnitPlatform;
  readonly connections: IDBDatabase[];
  /** What the browser does when a tab ends, however it ends. */
  end(): void;
  /** What it does when site data are cleared, or its database process has crashed: the tab is told. */
  lose(): void;
  /** As much time as a waiter has, in the steps in which it counts. */
  losePatience(): void;
}

function openTab(changes: Partial<LockPlatform> = {}): Tab {
  const connections: IDBDatabase[] = [];
  const platform = unitPlatform();
  const factory = {
    open: (name: string) => {
      const request = indexedDB.open(name);
      request.addEventListener('success', () => connections.push(request.result));
      return request;
    },
    deleteDatabase: (name: string) => indexedDB.deleteDatabase(name),
  } as IDBFactory;
  return {
    ...indexedDBLocks(
      Object.defineProperties({ ...platform, indexedDB: factory }, Object.getOwnPropertyDescriptors(changes)),
      StorageError,
    ),
    platform,
    connections,
    end: () => connections.forEach((connection) => connection.close()),
    lose: () => connections.splice(0).forEach((connection) => forceCloseDatabase(connection as never)),
    losePatience: () => {
      for (let passed = 0; passed < PATIENCE_MS; passed += STEP_MS) platform.advance(STEP_MS);
    },
  };
}

/** Takes the lock; resolves, once it is held, with the way to let go of it. */
async function take(locks: Locks, name: string): Promise<() => Promise<void>> {
  let [taken, free] = [(): void => undefined, (): void => undefined];
  const held = new Promise<void>((resolve) => (taken = resolve));
  const done = locks.withLock(name, () => {
    taken();
    return new Promise<void>((resolve) => (free = resolve));
  });
  await Promise.race([held, done]);
  return () => {
    free();
    return done;
  };
}

/** Asks for the lock and lets go of it at once. */
function ask(locks: Locks, name: string): { readonly done: Promise<void>; readonly isGranted: () => boolean } {
  let granted = false;
  const done = locks.withLock(name, async () => void (granted = true));
  done.catch(() => undefined);
  return { done, isGranted: () => granted };
}

const asked = (request: IDBOpenDBRequest): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error('IndexedDB failed'));
  });
/** Makes a database anew, as soon as nobody uses the one of this name. */
const plant = (name: string, ...stores: string[]): Promise<IDBDatabase> => {
  indexedDB.deleteDatabase(name);
  const request = indexedDB.open(name, 3);
  request.onupgradeneeded = () => stores.forEach((store) => request.result.createObjectStore(store));
  return asked(request);
};
const leftovers = async (): Promise<string[]> =>
  (await indexedDB.databases()).flatMap(({ name }) => (name?.startsWith('rx-credentials-lock') ? [name] : []));
/** Everything that was let go of is deleted by now. */
async function swept(): Promise<string[]> {
  for (let i = 0; i < 20 && (await leftovers()).length > 0; i++) await settled();
  return leftovers();
}
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );

describe('IndexedDB locks', () => {
  let name: string;
  let count = 0;
  beforeEach(() => (name = `indexeddb ${count++}`));
  afterEach(async () => expect(await swept()).toEqual([]));

  it('say that they reach as far as the origin', () => {
    expect(openTab().reach).toBe('origin');
  });

  it('leave nothing behind: the database of a lock is there as long as it is held', async () => {
    const free = await take(openTab(), name);
    expect(await leftovers()).toEqual([LOCK + name, expect.stringMatching(/^rx-credentials-lock-holder:[\d-]+$/)]);
    await free();
    expect(await swept()).toEqual([]);
  });

  it('RF-9 a tab that ends while it has the lock loses it: no timer has to fire', async () => {
    const [holder, early, late] = [openTab(), openTab(), openTab()];
    await take(holder, name);
    const waiting = ask(early, name);
    await settled();
    expect(waiting.isGranted()).toBe(false);
    holder.end();
    await waiting.done;
    await ask(late, name).done;
  });

  it('RF-9 a tab that has ended before anybody asked for its lock', async () => {
    const holder = openTab();
    await take(holder, name);
    holder.end();
    expect(await leftovers()).toHaveLength(2);
    await ask(openTab(), name).done;
  });

  it('RF-9 many who wait for a tab that ends get the lock one after the other', async () => {
    const holder = openTab();
    await take(holder, name);
    let [holders, most] = [0, 0];
    const waiting = Array.from({ length: 8 }, () =>
      openTab().withLock(name, async () => {
        most = Math.max(most, ++holders);
        await settled();
        holders--;
      }),
    );
    await settled();
    holder.end();
    await Promise.all(waiting);
    expect(most).toBe(1);
  });

  it('RF-9 a tab that ends while it waits keeps nobody waiting', async () => {
    const [holder, ending, last] = [openTab(), openTab(), openTab()];
    const free = await take(holder, name);
    const never = ask(ending, name);
    const waiting = ask(last, name);
    await settled();
    ending.end();
    await free();
    await Promise.all([waiting.done, never.done]);
  });

  it('RF-9 a tab that lives keeps its lock, though none of its timers ever fires', async () => {
    const [holder, waiter, next] = [openTab(), openTab(), openTab()];
    const free = await take(holder, name);
    const tries = [];
    for (let hours = 0; hours < 3; hours++) {
      const waiting = ask(waiter, name);
      await settled();
      waiter.losePatience();
      tries.push(waiting);
      expect(await failure(waiting.done)).toBeInstanceOf(StorageError);
    }
    const last = ask(next, name);
    await settled();
    expect([...tries, last].map(({ isGranted }) => isGranted())).toEqual([false, false, false, false]);
    expect(holder.platform.timers()).toEqual([]); // and it needs none
    await free();
    await last.done;
    expect(tries.some(({ isGranted }) => isGranted())).toBe(false);
  });

  it('E9 who waits for 150 s in vain is told to try again; whoever comes later has patience of its own', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const first = ask(waiter, name);
    await settled();
    for (let steps = 0; steps < 14; steps++) waiter.platform.advance(STEP_MS);
    const second = ask(waiter, name);
    waiter.platform.advance(STEP_MS);
    expect(await failure(first.done)).toMatchObject({ name: 'StorageError', code: 'lock_unavailable', class: 'transient' });
    await free();
    await second.done;
    expect(first.isGranted()).toBe(false);
  });

  it('TM-4 a machine that slept has not waited', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const waiting = ask(waiter, name);
    await settled();
    for (let nights = 0; nights < 14; nights++) {
      waiter.platform.sleep(8 * 3_600_000);
      waiter.platform.advance(0);
    }
    await free();
    await waiting.done;
  });

  it('E9 a wait begins anew whenever somebody of the tab was served', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const served = take(waiter, name);
    const second = ask(waiter, name);
    await settled();
    for (let steps = 0; steps < 14; steps++) waiter.platform.advance(STEP_MS);
    await free();
    const freeFirst = await served;
    const stranger = plant(LOCK + name, 'stranger'); // is the next to have it
    await settled();
    await freeFirst();
    const connection = await stranger;
    await settled();
    for (let steps = 0; steps < 14; steps++) waiter.platform.advance(STEP_MS);
    expect(second.isGranted()).toBe(false);
    connection.close();
    await second.done;
  });

  it('no timer is left once the lock is held or free', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const waiting = ask(waiter, name);
    await settled();
    expect(waiter.platform.timers()).toHaveLength(1);
    await free();
    await waiting.done;
    expect([holder.platform.timers(), waiter.platform.timers()]).toEqual([[], []]);
  });

  it('a lock that is granted when nobody waits for it any more is free at once', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const waiting = ask(waiter, name);
    await settled();
    waiter.losePatience();
    await failure(waiting.done);
    await free();
    await settled();
    await ask(holder, name).done;
    expect(waiting.isGranted()).toBe(false);
  });

  it('a lock that is granted to somebody who has just left is free at once', async () => {
    const tab = openTab();
    const abort = new AbortController();
    const run = jest.fn(() => Promise.resolve());
    const leaving = tab.withLock(name, run, abort.signal);
    abort.abort(new Error('left'));
    await expect(leaving).rejects.toThrow('left');
    await settled();
    await ask(openTab(), name).done;
    expect(run).not.toHaveBeenCalled();
  });

  it('RF-16 a late release of a former holder frees nobody else', async () => {
    const [former, next, last] = [openTab(), openTab(), openTab()];
    const freeFormer = await take(former, name);
    former.end(); // its connections are gone, its code goes on
    const freeNext = await take(next, name);
    await freeFormer();
    await settled();
    const waiting = ask(last, name);
    await settled();
    expect(waiting.isGranted()).toBe(false);
    await freeNext();
    await waiting.done;
  });

  it('RF-9 a holder that lost its connections, and was told so, has them again before others get the lock', async () => {
    const [holder, early, late] = [openTab(), openTab(), openTab()];
    const free = await take(holder, name);
    holder.lose();
    const waiting = ask(late, name);
    await settled();
    holder.lose(); // and once more
    const more = ask(early, name);
    await settled();
    expect([waiting.isGranted(), more.isGranted()]).toEqual([false, false]);
    await free();
    await Promise.all([waiting.done, more.done]);
  });

  it('RF-9 a holder whose lock went to another meanwhile takes nothing back, and keeps nobody waiting', async () => {
    const holder = openTab();
    const free = await take(holder, name);
    const otherHas = take(openTab(), name);
    await settled();
    const [lock] = holder.connections;
    const hears = lock.onclose!.bind(lock, new Event('close'));
    holder.end();
    const freeOther = await otherHas;
    hears(); // too late
    const waiting = ask(openTab(), name);
    await settled();
    expect(waiting.isGranted()).toBe(false);
    await freeOther();
    await waiting.done;
    await free();
  });

  it('RF-9 a holder that lost its connections and ends before it has them again lets go of them', async () => {
    const holder = openTab();
    const free = await take(holder, name);
    holder.lose();
    await free();
    await ask(openTab(), name).done;
  });

  it('a deletion of the database by somebody else waits for the holder, and the others go on', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const wiped = Promise.all((await leftovers()).map((database) => asked(indexedDB.deleteDatabase(database))));
    const waiting = ask(waiter, name);
    await settled();
    expect(waiting.isGranted()).toBe(false);
    await free();
    await Promise.all([wiped, waiting.done]);
  });

  it('a version change by somebody else waits for the holder, and the others go on', async () => {
    const [holder, waiter] = [openTab(), openTab()];
    const free = await take(holder, name);
    const upgraded = asked(indexedDB.open(LOCK + name, 7)).then((db) => db.close());
    const waiting = ask(waiter, name);
    await settled();
    expect(waiting.isGranted()).toBe(false);
    await free();
    await Promise.all([upgraded, waiting.done]);
  });

  it.each<[string, readonly string[]]>([
    ['without an object store', []],
    ['with a name that is no holder', ['records']],
  ])('a database %s in the place of a lock is nobody, and no other database is touched', async (_, stores) => {
    const foreign = await asked(indexedDB.open('records', 1));
    foreign.close();
    (await plant(LOCK + name, ...stores)).close();
    await ask(openTab(), name).done;
    expect((await indexedDB.databases()).map((database) => database.name)).toContain('records');
    await asked(indexedDB.deleteDatabase('records'));
  });

  it.each<[string, Partial<LockPlatform>, string]>([
    ['is missing', { indexedDB: undefined }, 'configuration'],
    ['is blocked when it is touched', blocked('SecurityError'), 'configuration'],
    ['refuses to open', refusing('QuotaExceededError'), 'configuration'],
    ['was lost', refusing('UnknownError'), 'transient'],
    ['was closed in the middle', refusing('AbortError'), 'transient'],
  ])('RF-15 where IndexedDB %s everybody is told: lock_unavailable', async (_, changes, errorClass) => {
    const tab = openTab(changes);
    const all = await Promise.all([failure(ask(tab, name).done), failure(ask(tab, name).done), failure(ask(tab, `${name} 2`).done)]);
    for (const error of all) expect(error).toMatchObject({ name: 'StorageError', code: 'lock_unavailable', class: errorClass });
    expect(String(all)).not.toContain(name);
    expect(tab.platform.timers()).toEqual([]);
  });

  it('RF-15 works again once IndexedDB does', async () => {
    const broken = { current: true };
    const factory = {
      open: (database: string) => (broken.current ? refusal('UnknownError') : indexedDB.open(database)),
      deleteDatabase: (database: string) => indexedDB.deleteDatabase(database),
    } as IDBFactory;
    const tab = openTab({ indexedDB: factory });
    expect(await failure(ask(tab, name).done)).toMatchObject({ code: 'lock_unavailable' });
    broken.current = false;
    await ask(tab, name).done;
  });

  it('RF-15 a holder that cannot show its presence does not run, and keeps nothing', async () => {
    const factory = {
      open: (database: string) => (database.startsWith(LOCK) ? indexedDB.open(database) : refusal('QuotaExceededError')),
      deleteDatabase: (database: string) => indexedDB.deleteDatabase(database),
    } as IDBFactory;
    const waiting = ask(openTab({ indexedDB: factory }), name);
    expect(await failure(waiting.done)).toMatchObject({ code: 'lock_unavailable' });
    expect(waiting.isGranted()).toBe(false);
    await ask(openTab(), name).done;
  });

  it('RF-15 a database that never answers is given up after 150 s', async () => {
    const tab = openTab({ indexedDB: { open: () => ({}) as IDBOpenDBRequest } as unknown as IDBFactory });
    const waiting = ask(tab, name);
    await settled();
    tab.losePatience();
    expect(await failure(waiting.done)).toMatchObject({ code: 'lock_unavailable', class: 'transient' });
  });
});

describe('the locks of the default platform', () => {
  const put = (global: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(globalThis, global);
    undo.push(() => (before ? Object.defineProperty(globalThis, global, before) : Reflect.deleteProperty(globalThis, global)));
    if (value === undefined) Reflect.deleteProperty(globalThis, global);
    else Object.defineProperty(globalThis, global, { value, configurable: true, writable: true });
  };
  const undo: (() => unknown)[] = [];
  afterEach(() => {
    for (const restore of undo.splice(0).reverse()) restore();
    jest.dontMock('../../src/platform/indexeddb-locks').resetModules();
  });

  it('RF-1 are in IndexedDB where a browser has no Web Locks: one program after the other', async () => {
    put('navigator', {});
    const [one, other] = [defaultPlatform().locks!, defaultPlatform().locks!];
    expect([one.reach, other.reach]).toEqual(['origin', 'origin']);
    const free = await take(one, 'default');
    expect(await leftovers()).toContain(`${LOCK}default`);
    const waiting = ask(other, 'default');
    await settled();
    expect(waiting.isGranted()).toBe(false);
    await free();
    await waiting.done;
    expect(await swept()).toEqual([]);
  });

  it('stay the same locks, however often they are asked for', () => {
    put('navigator', {});
    const platform = defaultPlatform();
    expect(platform.locks).toBe(platform.locks);
  });

  it('are Web Locks where there are any, and none where there is no IndexedDB either', async () => {
    const request = jest.fn((_name: string, _options: unknown, run: () => unknown) => run());
    put('location', {});
    put('navigator', { locks: { request } });
    await defaultPlatform().locks!.withLock('web', () => Promise.resolve());
    expect(request).toHaveBeenCalledTimes(1);
    put('navigator', {});
    put('indexedDB', undefined);
    expect(defaultPlatform().locks).toBeUndefined();
  });

  it('that cannot be loaded are program_not_loaded, and are loaded by the next who asks', async () => {
    put('navigator', {});
    jest.resetModules();
    let loads = 0;
    jest.doMock('../../src/platform/indexeddb-locks', () => {
      loads++;
      if (loads === 1) throw new Error('offline');
      return jest.requireActual<object>('../../src/platform/indexeddb-locks');
    });
    const fresh = await import('../../src/platform/platform');
    const { locks } = fresh.defaultPlatform();
    expect(await failure(ask(locks!, 'late').done)).toMatchObject({ code: 'program_not_loaded', class: 'transient' });
    await ask(locks!, 'late').done;
    expect(loads).toBe(2);
    expect(await swept()).toEqual([]);
  });
});

function blocked(error: string): Partial<LockPlatform> {
  return {
    get indexedDB(): IDBFactory {
      throw new DOMException('denied', error);
    },
  };
}

function refusing(error: string): Partial<LockPlatform> {
  return { indexedDB: { open: () => refusal(error), deleteDatabase: () => refusal(error) } as unknown as IDBFactory };
}

/** A request that fails. */
function refusal(error: string): IDBOpenDBRequest {
  const request = { error: new DOMException('no', error), onerror: null as (() => void) | null };
  setImmediate(() => request.onerror?.());
  return request as unknown as IDBOpenDBRequest;
}
