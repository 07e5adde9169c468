/**
 * Records in any object with `getItem`, `setItem` and `removeItem`. Records are stored unsealed, as JSON.
 *
 * @module
 */
import { inProcessLocks } from '../../platform/in-process-locks.js';
import { defaultPlatform, type Locks, type Platform } from '../../platform/platform.js';
import { exclusively, requireLocks } from '../deadline.js';
import { late } from '../late.js';
import { conditionHolds, tellAll, type CredentialStorage } from '../storage.js';
import { itemsOf, parsed, prefixOf, type KeyValueStore } from './items.js';

export type { KeyValueStore } from './items.js';

/** Options of `keyValueStorage`. */
export interface KeyValueStorageOptions {
  /** All keys begin with it. Default `rx-credentials`. */
  readonly namespace?: string | undefined;
  /**
   * Who else may use the same items: this program alone (`process`, the default), or every tab and worker of an origin (`origin`), which
   * needs locks (`docs/locks.md`). For more than one program of a machine no lock is known here: use `fileStorage`.
   */
  readonly reach?: 'process' | 'origin' | undefined;
  /**
   * `false` for a store that may show a tab old values after another tab has written, as `localStorage` does. IndexedDB then says which
   * value is the newest. Only with reach `origin`. Default true.
   */
  readonly coherent?: boolean | undefined;
  /** What a resolved `setItem` has survived. Default `relaxed`: the end of the program. */
  readonly durability?: 'none' | 'relaxed' | 'strict' | undefined;
  /** Default: the platform of this runtime. */
  readonly platform?: Platform | undefined;
}

/** What the storages over one object have in common. */
interface Shared {
  readonly locks: Locks;
  readonly listeners: Set<(namespace: string, id: string) => void>;
}

/**
 * Storages over the same object must exclude each other, and nothing but the object is known to all of them. Nothing is shared
 * between programs, requests or tests that have objects of their own, and it goes with the object.
 */
const SHARED = new WeakMap<object, Shared>();

/**
 * A storage in a key-value store of your own. One record is one item; changes of a record run under a short lock.
 *
 * @throws {TypeError} for an object without the three methods, a namespace that is no well-formed text, or `coherent: false` without
 * reach `origin`
 * @throws {StorageError} from `open`: with reach `origin`, `lock_unavailable` without any locks; with `coherent: false`, `storage_failed`
 * without IndexedDB
 */
export function keyValueStorage(store: KeyValueStore, options: KeyValueStorageOptions = {}): CredentialStorage {
  const {
    namespace = 'rx-credentials',
    reach = 'process',
    coherent = true,
    durability = 'relaxed',
    platform = defaultPlatform(),
  } = options;
  checkStore(store);
  prefixOf(namespace);
  if (!coherent) {
    if (reach !== 'origin') throw new TypeError('coherent: false needs reach: "origin"; within one program every store is coherent.');
    return late(namespace, async () => {
      const { coordinated } = await import('../coordination.js');
      const storage = coordinated({ namespace, area: 'items', items: itemsOf(() => store, namespace), platform });
      return { ...storage, open: async () => ({ ...(await storage.open()), durability }) }; // an entry that is lost makes no item old
    });
  }
  const { locks, listeners } = sharedOf(store);
  const withLock = <T>(name: string, run: () => Promise<T>): Promise<T> =>
    reach === 'process' ? locks.withLock(name, run) : exclusively(platform, name, run);
  const items = itemsOf(
    () => store,
    namespace,
    (run) => withLock(`${namespace}:index`, run),
  );
  const conditionally = (id: string, condition: number | 'absent' | 'any', change: (isNew: boolean) => Promise<void>): Promise<boolean> =>
    withLock(`${namespace}:write:${id}`, async () => {
      const stored = parsed(await items.get(id));
      if (!conditionHolds(stored, condition)) return false;
      await change(stored === undefined);
      tellAll(listeners, namespace, id);
      return true;
    });
  return {
    namespace,
    open: async () => {
      if (reach === 'origin') requireLocks(platform);
      await items.get(''); // rejects where items cannot be read
      return { coherent, durability, reach };
    },
    read: async (id) => parsed(await items.get(id)),
    readAll: async () => {
      const names = await items.names();
      const values = await Promise.all(names.map((id) => items.get(id)));
      return names.map((id, i) => ({ id, value: parsed(values[i]) })).filter(({ value }) => value !== undefined);
    },
    write: (record, condition) => conditionally(record.id, condition, (isNew) => items.set(record.id, JSON.stringify(record), isNew)),
    remove: (id, condition) => conditionally(id, condition, () => items.remove(id)),
    ...(reach === 'process' && {
      withLock: <T>(name: string, run: () => Promise<T>, signal?: AbortSignal) => locks.withLock(name, run, signal),
      watch: (listener: (id: string) => void) => {
        const mine = (where: string, id: string): void => {
          if (where === namespace) listener(id);
        };
        listeners.add(mine);
        return () => void listeners.delete(mine);
      },
    }),
    close: () => Promise.resolve(),
  };
}

function checkStore(store: unknown): void {
  const isStore =
    ((typeof store === 'object' && store !== null) || typeof store === 'function') && // a class may have the methods, too
    ['getItem', 'setItem', 'removeItem'].every((name) => typeof (store as Readonly<Record<string, unknown>>)[name] === 'function');
  if (!isStore) throw new TypeError('store: an object with getItem, setItem and removeItem is expected.');
}

function sharedOf(store: object): Shared {
  const shared = SHARED.get(store) ?? { locks: inProcessLocks(), listeners: new Set() };
  SHARED.set(store, shared);
  return shared;
}
