// What lies in the same database and is none of ours.
import { indexedDBStorage } from '../../src/storage/indexeddb';
import { localforageStorage } from '../../src/storage/localforage';
import { createCredentialStore } from '../../src/store/store';

const opened = (name: string): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error('open'));
  });
const rec = (revision: number) => ({ id: 'one', revision });
let count = 0;
let namespace: string;
beforeEach(() => (namespace = `foreign-${count++}`));

describe('a stranger in the database', () => {
  it.each([
    ['indexedDBStorage', () => indexedDBStorage({ namespace }), () => `${namespace}:records`, 'records'],
    ['localforageStorage', () => localforageStorage({ namespace }), () => namespace, 'rx-credentials'],
  ])('E62 an entry whose key is no text costs %s nothing, and is left alone', async (_, create, database, name) => {
    const before = create();
    await before.write(rec(1), 'absent');
    await before.close();
    const entries = async (mode: IDBTransactionMode): Promise<IDBObjectStore> => {
      const db = await opened(database());
      const store = db.transaction(name, mode).objectStore(name);
      store.transaction.oncomplete = () => db.close();
      return store;
    };
    const keys: readonly IDBValidKey[] = [5, new Date(0), ['a', 1], new Uint8Array([1])];
    const planted = await entries('readwrite');
    for (const key of keys) planted.put({ garbage: 1 }, key);
    await new Promise((resolve) => planted.transaction.addEventListener('complete', resolve));

    const storage = create();
    await storage.open();
    expect(await storage.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    const store = createCredentialStore({ clients: { issuer: 'https://id.example.com', clientId: 'spa' }, storage });
    await store.ready;
    expect([store.snapshot().durable, store.snapshot().storageProblem]).toEqual([true, undefined]);
    await store.clear();
    await store.close();
    const left = (await entries('readonly')).getAllKeys();
    await new Promise((resolve) => left.transaction?.addEventListener('complete', resolve));
    expect(left.result.filter((key) => typeof key !== 'string')).toHaveLength(keys.length);
    await storage.close();
  });
});
