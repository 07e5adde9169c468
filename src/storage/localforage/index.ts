/**
 * Records in IndexedDB through localforage. The IndexedDB driver is pinned: localforage's silent fallback to localStorage would give
 * two tabs two truths. Records are stored unsealed.
 *
 * @module
 */
import type { default as LocalForageModule } from 'localforage';
import { assertNothingElse, assertText } from '../../credential/options.js';
import { StorageError } from '../../errors.js';
import { defaultPlatform, type Platform } from '../../platform/platform.js';
import { exclusively, requireLocks, within } from '../deadline.js';
import { conditionHolds, type CredentialStorage } from '../storage.js';

/** Options of `localforageStorage`. */
export interface LocalforageStorageOptions {
  /** Name of the database. Default `rx-credentials`. */
  readonly namespace?: string | undefined;
  /** Default: the platform of this runtime. Only its locks and timers are used. */
  readonly platform?: Platform | undefined;
}

type LocalForage = typeof LocalForageModule;

/** Milliseconds that the driver may take for anything. It opens its connection again by itself, and that may be blocked for ever. */
const ANSWER_MS = 5_000;
/** The same for reading everything, which is a step of the driver for each record. */
const READ_ALL_MS = 30_000;
/** Our own within the database, which an application may have under the same name: `clear` of a store removes everything in it. */
const STORE = 'rx-credentials';
const SILENT = 'The database does not answer: another tab blocks it; close other tabs, or reload.';

/**
 * A storage in IndexedDB, shared by all tabs of an origin. Conditional writes run under a short Web Lock, since localforage has no
 * transactions to offer; durability is that of the browser's default, `relaxed`.
 *
 * @throws {TypeError} a misspelled option, or a namespace that is no text, empty, or what localforage cannot use: `__proto__`, `constructor`, and what else every object has
 * @throws {StorageError} from `open`: `storage_failed` where IndexedDB is missing, blocked, or does not answer within 5 s,
 * `lock_unavailable` without any locks
 */
export function localforageStorage(options: LocalforageStorageOptions = {}): CredentialStorage {
  const { namespace = 'rx-credentials', platform = defaultPlatform(), ...rest } = options;
  assertNothingElse(rest, 'localforageStorage takes namespace and platform');
  assertText(namespace, 'namespace');
  if (namespace in {}) throw new TypeError(`namespace: localforage keeps no database of the name "${namespace}", which every object has.`);
  let opened: Promise<LocalForage> | undefined;
  const items = (): Promise<LocalForage> =>
    (opened ??= openItems(namespace, platform).catch((error: unknown) => {
      opened = undefined; // asked again the next time
      throw error;
    }));
  /** One question to the driver, which may hang (RF-15). */
  const ask = async <T>(question: (items: LocalForage) => Promise<T>, limitMs = ANSWER_MS): Promise<T> => {
    const store = await items();
    return within(platform, limitMs, SILENT, question(store));
  };
  /** Runs `change` if the condition holds, alone among all tabs. */
  const conditionally = (
    id: string,
    condition: number | 'absent' | 'any',
    change: (items: LocalForage) => Promise<unknown>,
  ): Promise<boolean> =>
    new Promise<boolean>((resolve, reject) => {
      exclusively(platform, `${namespace}:write:${id}`, async () => {
        const stored = await ask((store) => store.getItem<unknown>(id));
        if (!conditionHolds(stored, condition)) return resolve(false);
        const changing = items().then(change);
        within(platform, ANSWER_MS, SILENT, changing).then(() => resolve(true), reject);
        await changing.catch(() => undefined); // the lock is kept for as long as the driver may still write
      }).catch(reject);
    });
  return {
    namespace,
    open: async () => {
      requireLocks(platform);
      await items();
      return { coherent: true, durability: 'relaxed', reach: 'origin' };
    },
    read: async (id) => (await ask((store) => store.getItem<unknown>(id))) ?? undefined,
    readAll: async () => {
      const entries: { id: string; value: unknown }[] = [];
      await ask(
        (store) =>
          store.iterate((value: unknown, id: unknown) => {
            if (typeof id === 'string') entries.push({ id, value }); // any other key is none of ours
          }),
        READ_ALL_MS,
      );
      return entries;
    },
    write: (record, condition) => conditionally(record.id, condition, (store) => store.setItem(record.id, record)),
    remove: (id, condition) => conditionally(id, condition, (store) => store.removeItem(id)),
    // localforage keeps each instance and its connection for the life of the page, and offers no way to end it: the next opening takes the same
    close: () => Promise.resolve(),
  };
}

async function openItems(namespace: string, platform: Platform): Promise<LocalForage> {
  const loaded = await import('localforage');
  const localforage = loaded.default ?? loaded; // Parcel gives a CommonJS module as it is
  const store = localforage.createInstance({ name: namespace, storeName: STORE, driver: localforage.INDEXEDDB });
  try {
    await within(platform, ANSWER_MS, '', store.ready());
  } catch {
    throw new StorageError('storage_failed', 'IndexedDB is missing or blocked here; credentials can be kept in memory only.');
  }
  return store;
}
