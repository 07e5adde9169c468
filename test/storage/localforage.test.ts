import localforage from 'localforage';
import { CredentialError, StorageError } from '../../src/errors';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { localforageStorage } from '../../src/storage/localforage';
import type { CredentialStorage } from '../../src/storage/storage';
import { createCredentialStore } from '../../src/store/store';
import { describeStorage } from '../contract/storage-contract';
import { aToken } from '../support/tokens';
import { fakeStorage, settled, unitPlatform } from '../support/unit-platform';

const itemsOf = (namespace: string) =>
  localforage.createInstance({ name: namespace, storeName: 'rx-credentials', driver: localforage.INDEXEDDB });

describeStorage('localforageStorage', {
  create: (namespace) => localforageStorage({ namespace }),
  plant: (namespace, id, value) => itemsOf(namespace).setItem(id, value),
});

/** What a program uses of it, without `default`. */
const bound = ({ createInstance, INDEXEDDB }: typeof localforage): object => ({
  createInstance: (options: LocalForageOptions) => createInstance.call(localforage, options),
  INDEXEDDB,
});
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof StorageError ? error.code : error),
  );
const withLocks = (locks: Platform['locks']): Platform => ({ ...unitPlatform(), locks });

describe('localforageStorage', () => {
  it('says that it is shared by the tabs of an origin, and durable as browsers are by default', async () => {
    expect(await localforageStorage({ namespace: 'lf-capabilities' }).open()).toEqual({
      coherent: true,
      durability: 'relaxed',
      reach: 'origin',
    });
    expect(localforageStorage().namespace).toBe('rx-credentials');
  });

  it('opens where a bundler gives a CommonJS module without `default`, as Parcel does', async () => {
    jest.doMock('localforage', () => Object.assign(Object.create(null) as object, { ...bound(localforage), __esModule: true }));
    try {
      await jest.isolateModulesAsync(async () => {
        const { localforageStorage: bundled } = await import('../../src/storage/localforage/index.js');
        const storage = bundled({ namespace: 'lf-parcel' });
        expect(await storage.open()).toMatchObject({ reach: 'origin' });
        expect(await storage.write({ id: 'one', revision: 1 }, 'absent')).toBe(true);
      });
    } finally {
      jest.dontMock('localforage');
    }
    expect(await itemsOf('lf-parcel').getItem('one')).toEqual({ id: 'one', revision: 1 });
  });

  it.each(['__proto__', 'constructor', 'toString'])('refuses the namespace %s, which localforage cannot use', (namespace) => {
    expect(() => localforageStorage({ namespace })).toThrow(TypeError);
  });

  it('keeps records in IndexedDB, never in localStorage: two tabs must not have two truths', async () => {
    const storage = localforageStorage({ namespace: 'lf-driver' });
    await storage.write({ id: 'one', revision: 1 }, 'absent');
    const request = indexedDB.open('lf-driver');
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(new Error('no database'));
    });
    const stored = await new Promise<unknown>((resolve, reject) => {
      const get = database.transaction('rx-credentials').objectStore('rx-credentials').get('one');
      get.onsuccess = () => resolve(get.result);
      get.onerror = () => reject(new Error('no record'));
    });
    database.close();
    expect(stored).toEqual({ id: 'one', revision: 1 });
  });

  it('E67 what an application keeps in the same database is neither listed nor cleared', async () => {
    const theirs = ['records', 'keyvaluepairs'].map((storeName) =>
      localforage.createInstance({ name: 'lf-theirs', storeName, driver: localforage.INDEXEDDB }),
    );
    for (const one of theirs) await one.setItem('draft', 'three hours of work');
    const storage = localforageStorage({ namespace: 'lf-theirs' });
    const store = createCredentialStore({ clients: { issuer: 'https://id.example.com', clientId: 'spa' }, storage });
    await store.store(aToken());
    await store.clear();
    await store.close();
    expect(await storage.readAll()).toEqual([{ id: '@store', value: expect.anything() as unknown }]);
    for (const one of theirs) expect(await one.getItem('draft')).toBe('three hours of work');
  });

  it('makes one instance of localforage, which that keeps for ever, however often it is opened', async () => {
    const made = jest.spyOn(localforage, 'createInstance');
    const storage = localforageStorage({ namespace: 'lf-once' });
    for (let i = 0; i < 3; i++) {
      await storage.open();
      await storage.close();
    }
    expect(made).toHaveBeenCalledTimes(1);
    made.mockRestore();
  });

  it('touches nothing before it is opened', () => {
    const platform = {
      get locks(): never {
        throw new Error('touched');
      },
    } as unknown as Platform;
    expect(() => localforageStorage({ namespace: 'lf-late', platform })).not.toThrow();
  });

  it('RF-1 without Web Locks it does not open: lock_unavailable', async () => {
    expect(await codeOf(localforageStorage({ namespace: 'lf-no-locks', platform: withLocks(undefined) }).open())).toBe('lock_unavailable');
  });

  it('RF-1 without Web Locks it writes and removes nothing', async () => {
    let locks: Platform['locks'] = inProcessLocks();
    const platform: Platform = {
      ...unitPlatform(),
      get locks() {
        return locks;
      },
    };
    const storage = localforageStorage({ namespace: 'lf-locks-lost', platform });
    await storage.open();
    locks = undefined;
    expect(await codeOf(storage.write({ id: 'one', revision: 1 }, 'absent'))).toBe('lock_unavailable');
    expect(await codeOf(storage.remove('one', 'any'))).toBe('lock_unavailable');
    expect(await storage.readAll()).toEqual([]);
  });

  it('E68 a write locks its own record, under a name that holds the namespace and the id and no secret', async () => {
    const names: string[] = [];
    const inner = inProcessLocks();
    const platform = withLocks({ reach: 'origin', withLock: (name, run) => (names.push(name), inner.withLock(name, run)) });
    const storage = localforageStorage({ namespace: 'lf-names', platform });
    await storage.write({ id: 'one', revision: 1, secret: 'canary' } as never, 'absent');
    await storage.remove('one', 'any');
    await storage.readAll();
    expect(names).toEqual(['lf-names:write:one', 'lf-names:write:one']);
  });

  it('RF-2 a write of another tab under the same Web Lock is seen: the revision is read inside the lock', async () => {
    const [a, b] = [localforageStorage({ namespace: 'lf-tabs' }), localforageStorage({ namespace: 'lf-tabs' })];
    await a.write({ id: 'one', revision: 1 }, 'absent');
    const won = await Promise.all([a.write({ id: 'one', revision: 2 }, 1), b.write({ id: 'one', revision: 2 }, 1)]);
    expect(won.filter(Boolean)).toHaveLength(1);
  });

  it('E38 where IndexedDB is missing it does not open: storage_failed, without a fallback to the localStorage there is', async () => {
    await jest.isolateModulesAsync(async () => {
      const given = Object.getOwnPropertyDescriptor(globalThis, 'indexedDB')!;
      Reflect.deleteProperty(globalThis, 'indexedDB');
      Object.defineProperty(globalThis, 'localStorage', { value: fakeStorage(), configurable: true });
      Object.defineProperty(globalThis, 'location', { value: {}, configurable: true }); // an origin: then there are Web Locks
      try {
        const fresh = await import('../../src/storage/localforage');
        const storage = fresh.localforageStorage({ namespace: 'lf-missing', platform: defaultPlatform() });
        const error: unknown = await storage.open().catch((reason: unknown) => reason);
        expect(error).toMatchObject({ name: 'StorageError', code: 'storage_failed' });
      } finally {
        Object.defineProperty(globalThis, 'indexedDB', given);
        Reflect.deleteProperty(globalThis, 'localStorage');
        Reflect.deleteProperty(globalThis, 'location');
      }
    });
  });

  it('E38 an open that failed is tried anew after close', async () => {
    let locks: Platform['locks'] = undefined;
    const platform: Platform = {
      ...unitPlatform(),
      get locks() {
        return locks;
      },
    };
    const storage = localforageStorage({ namespace: 'lf-again', platform });
    const error: unknown = await storage.open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CredentialError);
    await storage.close();
    locks = inProcessLocks();
    expect((await storage.open()).durability).toBe('relaxed');
  });

  describe('RF-15 a driver in trouble', () => {
    const failure = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        (value) => ({ value }),
        (error: unknown) => error,
      );
    const one = { id: 'one', revision: 1 };
    afterEach(() => jest.restoreAllMocks());

    it('that never opens is given up after five seconds', async () => {
      jest.spyOn(indexedDB, 'open').mockImplementation(() => new EventTarget() as never);
      const platform = { ...unitPlatform(), locks: inProcessLocks() };
      const opening = codeOf(localforageStorage({ namespace: 'lf-never-opens', platform }).open());
      for (let i = 0; i < 5; i++) await settled();
      platform.advance(5_000);
      expect(await opening).toBe('storage_failed');
      expect(platform.timers()).toEqual([]);
    });

    it.each<[string, number, (storage: CredentialStorage) => Promise<unknown>]>([
      ['read', 5_000, (storage) => storage.read('one')],
      ['write', 5_000, (storage) => storage.write({ id: 'one', revision: 2 }, 1)],
      ['readAll', 30_000, (storage) => storage.readAll()],
    ])('that hangs in mid-life makes %s reject, and frees the lock', async (_, limitMs, question) => {
      const namespace = `lf-hangs-${limitMs}-${_}`;
      const platform = { ...unitPlatform(), locks: inProcessLocks() };
      const storage = localforageStorage({ namespace, platform });
      await storage.write(one, 'absent');
      jest.spyOn(IDBDatabase.prototype, 'transaction').mockReturnValue({
        objectStore: () => ({ get: () => ({}), openCursor: () => ({}) }),
      } as never);
      const asked = codeOf(question(storage));
      for (let i = 0; i < 5; i++) await settled();
      platform.advance(limitMs - 1);
      await settled();
      expect(platform.timers()).toEqual([1]);
      platform.advance(1);
      expect(await asked).toBe('storage_failed');
      jest.restoreAllMocks();
      expect(await storage.read('one')).toEqual(one);
      expect(await storage.write({ id: 'one', revision: 2 }, 1)).toBe(true);
      expect(platform.timers()).toEqual([]);
    });

    it('that lost its connection opens it again, or rejects', async () => {
      const connections: IDBDatabase[] = [];
      const { transaction } = IDBDatabase.prototype;
      jest.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
        connections.push(this);
        return transaction.apply(this, args);
      });
      const storage = localforageStorage({ namespace: 'lf-lost' });
      await storage.write(one, 'absent');
      connections.forEach((connection) => connection.close());
      const answer = await failure(storage.write({ id: 'one', revision: 2 }, 1));
      expect(answer).toEqual({ value: true });
      expect(await storage.readAll()).toEqual([{ id: 'one', value: { id: 'one', revision: 2 } }]);
    });

    it('without room rejects by name, and the old record stays', async () => {
      const storage = localforageStorage({ namespace: 'lf-full' });
      await storage.write(one, 'absent');
      jest.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
        throw new DOMException('full', 'QuotaExceededError');
      });
      expect(await failure(storage.write({ id: 'one', revision: 2 }, 1))).toMatchObject({ name: 'QuotaExceededError' });
      jest.restoreAllMocks();
      expect(await storage.read('one')).toEqual(one);
      expect(await storage.write({ id: 'one', revision: 2 }, 1)).toBe(true);
    });

    it('RF-9 a lock that another tab holds for ten seconds is given up, and nothing is written when it is granted after all', async () => {
      const platform = unitPlatform();
      let grant = (): void => undefined;
      const held = new Promise<void>((resolve) => (grant = resolve));
      const storage = localforageStorage({
        namespace: 'lf-held',
        platform: { ...platform, locks: { reach: 'origin', withLock: (_, run) => held.then(run) } },
      });
      const writing = codeOf(storage.write(one, 'absent'));
      await settled();
      platform.advance(10_000);
      expect(await writing).toBe('storage_failed');
      grant();
      await settled();
      expect(await storage.readAll()).toEqual([]);
    });
  });
});
