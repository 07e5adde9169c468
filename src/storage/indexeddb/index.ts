/**
 * Records in IndexedDB, with conditional writes that are atomic by themselves. Records are stored unsealed.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { defaultPlatform, type Platform } from '../../platform/platform.js';
import { database, type Records } from '../database.js';
import { conditionHolds, type CredentialStorage } from '../storage.js';

/** Options of `indexedDBStorage`. */
export interface IndexedDBStorageOptions {
  /** The database is called `<namespace>:records`. Default `rx-credentials`. */
  readonly namespace?: string | undefined;
  /** What a resolved write survives: `strict`, power loss; `relaxed`, the end of the browser, at a fraction of the time. Default `strict`. */
  readonly durability?: 'strict' | 'relaxed' | undefined;
  /** Default: the platform of this runtime. Only its databases and timers are used. */
  readonly platform?: Platform | undefined;
}

/**
 * A storage in IndexedDB, shared by all tabs and workers of an origin (a service worker needs a bundle without code splitting). A
 * conditional write is one transaction, so it needs no lock; the store takes those of the platform for what is longer than a write.
 *
 * @throws {TypeError} a misspelled option, another durability, or a namespace that is no text or empty
 * @throws {StorageError} from `open`: `storage_failed` where IndexedDB is missing, blocked, or does not answer within 5 s
 */
export function indexedDBStorage(options: IndexedDBStorageOptions = {}): CredentialStorage {
  const { namespace = 'rx-credentials', durability = 'strict', platform = defaultPlatform(), ...rest } = options;
  assertNothingElse(rest, 'indexedDBStorage takes namespace, durability and platform'); // misspelled, two applications would share their sessions
  assertText(namespace, 'namespace');
  if (durability !== 'strict' && durability !== 'relaxed') throw new TypeError('durability must be "strict" or "relaxed"');
  const records = database({ name: `${namespace}:records`, durability, platform });
  return {
    namespace,
    open: async () => {
      await records.open();
      return { coherent: true, durability, reach: 'origin' };
    },
    read: (id) =>
      records.run('readonly', (store) => {
        const found = store.get(id);
        store.commit();
        return found;
      }),
    readAll: () =>
      records.run('readonly', async (store) => {
        const [ids, values] = await Promise.all([store.getAllKeys(), store.getAll()]); // in the same order
        return ids.flatMap((id, i) => (typeof id === 'string' ? [{ id, value: values[i] }] : [])); // any other key is none of ours
      }),
    write: (record, condition, isPassing) => {
      const write = async (store: Records, isAgain?: boolean): Promise<boolean> => {
        if (condition === 'absent' && (await store.add(record, record.id))) return true; // one question for two
        const stored = await store.get(record.id);
        if (isAgain && JSON.stringify(stored) === JSON.stringify(record)) return true; // it was ours
        if (!conditionHolds(stored, condition)) return false; // what is there may be nothing, `null`
        const put = store.put(record, record.id);
        store.commit();
        await put;
        return true;
      };
      return records.run('readwrite', write, isPassing ? 'relaxed' : undefined);
    },
    remove: (id, condition) =>
      records.run('readwrite', async (store, isAgain) => {
        const stored = await store.get(id);
        if (!conditionHolds(stored, condition)) return isAgain === true && stored === undefined;
        await store.delete(id);
        return true;
      }),
    close: () => {
      records.close();
      return Promise.resolve();
    },
  };
}
