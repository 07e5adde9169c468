/**
 * Records in IndexedDB through localforage. The IndexedDB driver is pinned: localforage's silent fallback to localStorage would give
 * two tabs two truths. Records are stored unsealed.
 *
 * @module
 */
import type { default as LocalForageModule } from 'localforage';
import { StorageError } from '../../errors.js';
import { defaultPlatform, type Platform } from '../../platform/platform.js';
import { conditionHolds, type CredentialStorage } from '../storage.js';

/** Options of `localforageStorage`. */
export interface LocalforageStorageOptions {
  /** Name of the database. Default `rx-credentials`. */
  readonly namespace?: string;
  /** Default: the platform of this runtime. Only its locks are used. */
  readonly platform?: Platform;
}

type LocalForage = typeof LocalForageModule;

/**
 * A storage in IndexedDB, shared by all tabs of an origin. Conditional writes run under a short Web Lock, since localforage has no
 * transactions to offer; durability is that of the browser's default, `relaxed`.
 *
 * @throws {StorageError} from `open`: `storage_failed` where IndexedDB is missing or blocked, `lock_unavailable` without Web Locks
 */
export function localforageStorage(options: LocalforageStorageOptions = {}): CredentialStorage {
  const { namespace = 'rx-credentials', platform = defaultPlatform() } = options;
  let opened: Promise<LocalForage> | undefined;
  const items = (): Promise<LocalForage> =>
    (opened ??= openItems(namespace, platform).catch((error: unknown) => {
      opened = undefined; // asked again the next time
      throw error;
    }));
  /** Runs `change` if the condition holds, alone among all tabs. */
  const conditionally = async (
    id: string,
    condition: number | 'absent' | 'any',
    change: (items: LocalForage) => Promise<unknown>,
  ): Promise<boolean> => {
    const { locks } = platform;
    if (!locks) throw new StorageError('lock_unavailable', 'This browser has no Web Locks (navigator.locks).');
    const store = await items();
    return locks.withLock(`${namespace}:write:${id}`, async () => {
      const stored: unknown = await store.getItem(id);
      if (!conditionHolds(stored, condition)) return false;
      await change(store);
      return true;
    });
  };
  return {
    namespace,
    open: async () => {
      await items();
      return { coherent: true, durability: 'relaxed', reach: 'origin' };
    },
    read: async (id) => (await (await items()).getItem<unknown>(id)) ?? undefined,
    readAll: async () => {
      const entries: { id: string; value: unknown }[] = [];
      await (
        await items()
      ).iterate((value: unknown, id) => {
        entries.push({ id, value });
      });
      return entries;
    },
    write: (record, condition) => conditionally(record.id, condition, (store) => store.setItem(record.id, record)),
    remove: (id, condition) => conditionally(id, condition, (store) => store.removeItem(id)),
    close: () => {
      opened = undefined; // localforage keeps its connection for the life of the page and offers no way to end it
      return Promise.resolve();
    },
  };
}

async function openItems(namespace: string, platform: Platform): Promise<LocalForage> {
  if (!platform.locks)
    throw new StorageError('lock_unavailable', 'localforageStorage needs Web Locks (navigator.locks): a secure context.');
  const { default: localforage } = await import('localforage');
  const store = localforage.createInstance({ name: namespace, storeName: 'records', driver: localforage.INDEXEDDB });
  try {
    await store.ready();
  } catch {
    throw new StorageError('storage_failed', 'IndexedDB is missing or blocked here; credentials can be kept in memory only.');
  }
  return store;
}
