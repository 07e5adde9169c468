import { forceCloseDatabase } from 'fake-indexeddb';
import { StorageError } from '../../src/errors';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { indexedDBStorage } from '../../src/storage/indexeddb';
import { describeStorage } from '../contract/storage-contract';
import { settled, unitPlatform } from '../support/unit-platform';

const asked = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error('IndexedDB failed'));
  });
/** Resolves with `blocked` if somebody holds on to the database. */
const removal = (name: string): Promise<string> =>
  new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(name);
    request.onblocked = () => resolve('blocked');
    request.onsuccess = () => resolve('removed');
  });

describeStorage('indexedDBStorage', {
  create: (namespace) => indexedDBStorage({ namespace }),
  plant: async (namespace, id, value) => {
    const db = await asked(indexedDB.open(`${namespace}:records`));
    await asked(db.transaction('records', 'readwrite').objectStore('records').put(value, id));
    db.close();
    return value;
  },
});

/** A platform that remembers the connections it gave away. */
function watched(changes: Partial<Platform> = {}): { platform: Platform; connections: IDBDatabase[] } {
  const connections: IDBDatabase[] = [];
  const factory = {
    open: (name: string, version?: number) => {
      const request = indexedDB.open(name, version);
      request.addEventListener('success', () => connections.push(request.result));
      return request;
    },
  } as IDBFactory;
  return { connections, platform: { ...unitPlatform(), indexedDB: factory, ...changes } };
}
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
const one = { id: 'one', revision: 1 };
const two = { id: 'one', revision: 2 };

describe('indexedDBStorage', () => {
  let namespace: string;
  let count = 0;
  beforeEach(() => (namespace = `idb-${count++}`));
  afterEach(() => jest.restoreAllMocks());

  it('says that it is shared by the tabs of an origin, and as durable as was asked for', async () => {
    expect(await indexedDBStorage({ namespace }).open()).toEqual({ coherent: true, durability: 'strict', reach: 'origin' });
    expect(await indexedDBStorage({ namespace, durability: 'relaxed' }).open()).toMatchObject({ durability: 'relaxed' });
    expect(indexedDBStorage().namespace).toBe('rx-credentials');
  });

  it.each(['strict', 'relaxed'] as const)('RF-6 a write is one %s transaction', async (durability) => {
    const storage = indexedDBStorage({ namespace, durability });
    await storage.open();
    const transactions = jest.spyOn(IDBDatabase.prototype, 'transaction');
    await storage.write(one, 'absent');
    expect(transactions.mock.calls).toEqual([['records', 'readwrite', { durability }]]);
  });

  it('RF-6 a write resolves after its transaction is complete, not when its request succeeded', async () => {
    const order: string[] = [];
    const storage = indexedDBStorage({ namespace });
    await storage.open();
    const { transaction } = IDBDatabase.prototype;
    jest.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
      const opened = transaction.apply(this, args);
      opened.addEventListener('complete', () => order.push('complete'));
      return opened;
    });
    await storage.write(one, 'absent');
    order.push('resolved');
    expect(order).toEqual(['complete', 'resolved']);
  });

  it('a first write asks one question; where a record is, it asks for that, and nothing is aborted', async () => {
    const storage = indexedDBStorage({ namespace });
    await storage.open();
    const get = jest.spyOn(IDBObjectStore.prototype, 'get');
    const abort = jest.spyOn(IDBTransaction.prototype, 'abort');
    expect(await storage.write(one, 'absent')).toBe(true);
    expect(get).not.toHaveBeenCalled();
    expect(await storage.write(two, 'absent')).toBe(false);
    expect(get).toHaveBeenCalledTimes(1);
    expect(abort).not.toHaveBeenCalled();
    expect(await storage.read('one')).toEqual(one);
  });

  it('what is stored as nothing counts as absent', async () => {
    const storage = indexedDBStorage({ namespace });
    await storage.open();
    const db = await asked(indexedDB.open(`${namespace}:records`));
    await asked(db.transaction('records', 'readwrite').objectStore('records').put(null, 'one'));
    db.close();
    expect(await storage.write(one, 'absent')).toBe(true);
    expect(await storage.read('one')).toEqual(one);
  });

  it('reads ten thousand records in one transaction', async () => {
    const storage = indexedDBStorage({ namespace });
    await storage.open();
    const db = await asked(indexedDB.open(`${namespace}:records`));
    const store = db.transaction('records', 'readwrite').objectStore('records');
    for (let i = 0; i < 10_000; i++) store.put({ id: `id-${i}`, revision: i }, `id-${i}`);
    const transactions = jest.spyOn(IDBDatabase.prototype, 'transaction');
    const entries = await storage.readAll();
    expect(transactions).toHaveBeenCalledTimes(1);
    expect(entries).toHaveLength(10_000);
    expect(entries.every(({ id, value }) => (value as { id: string }).id === id)).toBe(true);
    db.close();
  });

  it('touches nothing before it is asked', () => {
    const platform = new Proxy({} as Platform, {
      get: () => {
        throw new Error('touched');
      },
    });
    expect(() => indexedDBStorage({ namespace, platform })).not.toThrow();
  });

  it('RF-15 a connection that the browser closed is opened again', async () => {
    const { platform, connections } = watched();
    const storage = indexedDBStorage({ namespace, platform });
    await storage.write(one, 'absent');
    forceCloseDatabase(connections[0] as never);
    await settled();
    expect(await storage.read('one')).toEqual(one);
    expect(connections).toHaveLength(2);
  });

  it('RF-15 a connection that turns out to be closing is opened again, once for all who ask', async () => {
    const { platform, connections } = watched();
    const storage = indexedDBStorage({ namespace, platform });
    await storage.write(one, 'absent');
    connections[0]?.close(); // no event: the next transaction throws InvalidStateError
    expect(await Promise.all([storage.read('one'), storage.write(two, 1), storage.readAll()])).toMatchObject([{ id: 'one' }, true, {}]);
    expect(connections).toHaveLength(2);
    await storage.close();
    expect(await removal(`${namespace}:records`)).toBe('removed');
  });

  it('RF-15 a transaction that was thrown away with its connection runs once more; one that is thrown away again rejects', async () => {
    const { platform } = watched();
    const storage = indexedDBStorage({ namespace, platform });
    await storage.write(one, 'absent');
    const { put } = IDBObjectStore.prototype;
    const aborting = function (this: IDBObjectStore, value: unknown, key?: IDBValidKey) {
      const request = put.call(this, value, key);
      this.transaction.abort();
      return request;
    };
    jest.spyOn(IDBObjectStore.prototype, 'put').mockImplementationOnce(aborting);
    expect(await storage.write(two, 1)).toBe(true);
    jest.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(aborting);
    expect(await failure(storage.write({ id: 'one', revision: 3 }, 2))).toMatchObject({ name: 'AbortError' });
    jest.restoreAllMocks();
    expect(await storage.read('one')).toEqual(two);
  });

  it('RF-15 of a lost connection (WebKit: UnknownError) one write in flight is written once', async () => {
    const { platform, connections } = watched();
    const storage = indexedDBStorage({ namespace, platform });
    await storage.open();
    jest.spyOn(IDBDatabase.prototype, 'transaction').mockImplementationOnce(() => {
      throw new DOMException('Connection to Indexed Database server lost', 'UnknownError');
    });
    expect(await storage.write(one, 'absent')).toBe(true);
    expect(connections).toHaveLength(2);
    expect(await storage.readAll()).toEqual([{ id: 'one', value: one }]);
  });

  it('RF-15 a write or a removal that was committed, and whose connection was lost before anybody heard of it, has happened', async () => {
    const { platform } = watched();
    const storage = indexedDBStorage({ namespace, platform });
    await storage.open();
    const { transaction } = IDBDatabase.prototype;
    /** The next transaction commits, and says that it was lost. */
    const loseAnswer = (): void =>
      void jest.spyOn(IDBDatabase.prototype, 'transaction').mockImplementationOnce(function (this: IDBDatabase, ...all) {
        const lost = transaction.apply(this, all);
        lost.addEventListener('complete', (event) => {
          event.stopImmediatePropagation();
          Object.defineProperty(lost, 'error', { value: new DOMException('Connection to Indexed Database server lost', 'UnknownError') });
          lost.onabort?.(event);
        });
        return lost;
      });
    loseAnswer();
    expect(await storage.write(one, 'absent')).toBe(true);
    loseAnswer();
    expect(await storage.write(two, 1)).toBe(true);
    loseAnswer();
    expect(await storage.write({ id: 'one', revision: 9 }, 1)).toBe(false); // somebody else's is there
    expect(await storage.read('one')).toEqual(two);
    loseAnswer();
    expect(await storage.remove('one', 2)).toBe(true);
    expect(await storage.read('one')).toBeUndefined();
    expect(await storage.remove('one', 2)).toBe(false);
    jest.restoreAllMocks();
  });

  it('RF-15 it lets others upgrade or delete the database at once, and opens it anew when asked', async () => {
    const storage = indexedDBStorage({ namespace });
    await storage.write(one, 'absent');
    expect(await removal(`${namespace}:records`)).toBe('removed');
    expect(await storage.readAll()).toEqual([]);
    expect(await storage.write(one, 'absent')).toBe(true);
    const newer = await asked(indexedDB.open(`${namespace}:records`, 2));
    const error = await failure(storage.read('one'));
    expect(error).toMatchObject({
      code: 'storage_failed',
      message: expect.stringMatching(/^A newer release .*\(VersionError\)/) as string,
    });
    newer.close();
  });

  it('RF-15 an open that another tab blocks gives up after five seconds, and a late connection is let go of', async () => {
    const blocker = await asked(indexedDB.open(`${namespace}:records`, 1)); // a tab that does not listen to versionchange
    void removal(`${namespace}:records`);
    await settled();
    const platform = { ...unitPlatform(), indexedDB };
    const storage = indexedDBStorage({ namespace, platform });
    const opening = failure(storage.open());
    await settled();
    platform.advance(4_999);
    await settled();
    platform.advance(1);
    expect(await opening).toMatchObject({ code: 'storage_failed', message: expect.stringContaining('close other tabs') as string });
    blocker.close();
    for (let i = 0; i < 5; i++) await settled();
    expect(await removal(`${namespace}:records`)).toBe('removed');
    expect(await storage.write(one, 'absent')).toBe(true);
    expect(platform.timers()).toEqual([]);
    await storage.close();
  });

  it.each<[string, Partial<Platform>]>([
    ['missing', { indexedDB: undefined }],
    [
      'blocked: looking at it throws',
      {
        get indexedDB(): never {
          throw new DOMException('no', 'SecurityError');
        },
      },
    ],
    [
      'blocked: opening throws',
      {
        indexedDB: {
          open: () => {
            throw new DOMException('no', 'SecurityError');
          },
        } as unknown as IDBFactory,
      },
    ],
  ])('E38 where IndexedDB is %s every question rejects with storage_failed', async (_, changes) => {
    const platform = Object.defineProperties({ ...unitPlatform() }, Object.getOwnPropertyDescriptors(changes));
    const storage = indexedDBStorage({ namespace, platform });
    for (const question of [storage.open(), storage.read('one'), storage.readAll(), storage.write(one, 'absent')]) {
      const error = await failure(question);
      expect(error).toBeInstanceOf(StorageError);
      expect(error).toMatchObject({ code: 'storage_failed' });
    }
  });

  it('E38 an open that failed is tried anew', async () => {
    const platform: { -readonly [K in keyof Platform]: Platform[K] } = { ...unitPlatform(), indexedDB: undefined };
    const storage = indexedDBStorage({ namespace, platform });
    expect(await failure(storage.open())).toMatchObject({ code: 'storage_failed' });
    platform.indexedDB = defaultPlatform().indexedDB;
    expect((await storage.open()).durability).toBe('strict');
  });

  it.each(['when it is put', 'when it is committed'])(
    'RF-15 a record for which there is no room %s: rejected by name, the old one stays',
    async (when) => {
      const storage = indexedDBStorage({ namespace });
      await storage.write(one, 'absent');
      const { put } = IDBObjectStore.prototype;
      jest.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, ...args) {
        if (when === 'when it is put') throw new DOMException('full', 'QuotaExceededError');
        const request = put.apply(this, args);
        (this.transaction as unknown as { _abort(name: string): void })._abort('QuotaExceededError');
        return request;
      });
      expect(await failure(storage.write(two, 1))).toMatchObject({ name: 'QuotaExceededError' });
      jest.restoreAllMocks();
      expect(await storage.read('one')).toEqual(one);
      expect(await storage.write(two, 1)).toBe(true);
    },
  );

  it('what cannot be stored rejects and stores nothing', async () => {
    const storage = indexedDBStorage({ namespace });
    expect(await failure(storage.write({ ...one, run: () => 0 } as never, 'absent'))).toMatchObject({ name: 'DataCloneError' });
    expect(await storage.readAll()).toEqual([]);
  });

  it('close lets go of the database', async () => {
    const storage = indexedDBStorage({ namespace });
    await storage.write(one, 'absent');
    await storage.close();
    await storage.close();
    expect(await removal(`${namespace}:records`)).toBe('removed');
  });
});
