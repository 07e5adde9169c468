/**
 * Records in any object with `getItem`, `setItem` and `removeItem`. Records are stored unsealed, as JSON.
 *
 * @module
 */
import { assertNothingElse } from '../../credential/options.js';
import { inProcessLocks } from '../../platform/in-process-locks.js';
import { defaultPlatform, type Locks, type Platform } from '../../platform/platform.js';
import { exclusively, requireLocks, within } from '../deadline.js';
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
  /** By namespace and id: one change that is in time, and those that were given up and may take effect yet. */
  readonly running: Map<string, Set<Running>>;
}

interface Running {
  /** What the item was changed to after this was given up; `null`: to nothing. */
  since?: string | null;
}

/** How long a change may take, in milliseconds: less than a store waits for it, so that the next one may begin by then. */
const CHANGE_MS = 20_000;

/**
 * Storages over the same object must exclude each other, and nothing but the object is known to all of them. Nothing is shared
 * between programs, requests or tests that have objects of their own, and it goes with the object.
 */
const SHARED = new WeakMap<object, Shared>();

/**
 * A storage in a key-value store of your own. One record is one item; changes of a record run under a short lock.
 *
 * @throws {TypeError} for an object without the three methods, a misspelled option or an unknown value of one, a namespace that is no well-formed text, or `coherent: false` without
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
    ...rest
  } = options;
  checkStore(store);
  assertNothingElse(rest, 'keyValueStorage takes namespace, reach, coherent, durability and platform');
  assertOneOf('reach', reach, ['process', 'origin']);
  assertOneOf('coherent', coherent, [true, false]);
  assertOneOf('durability', durability, ['none', 'relaxed', 'strict']);
  prefixOf(namespace);
  if (!coherent) {
    if (reach !== 'origin') throw new TypeError('coherent: false needs reach: "origin"; within one program every store is coherent.');
    return late(namespace, async () => {
      const { coordinated } = await import('../coordination.js');
      const storage = coordinated({ namespace, area: 'items', items: itemsOf(() => store, namespace), platform });
      return { ...storage, open: async () => ({ ...(await storage.open()), durability }) }; // an entry that is lost makes no item old
    });
  }
  const { locks, listeners, running } = sharedOf(store);
  const withLock = <T>(name: string, run: () => Promise<T>): Promise<T> =>
    reach === 'process' ? locks.withLock(name, run) : exclusively(platform, name, run);
  /** Runs alone, and gives the lock up where the store does not answer: one lost answer must not be the end of all changes (RF-15). */
  const alone = <T>(name: string, run: (isLate: () => boolean) => Promise<T>): Promise<T> =>
    withLock(name, () => {
      let late = false;
      const running = run(() => late);
      return within(platform, CHANGE_MS, 'The store does not answer; try again.', running).catch((error: unknown) => {
        late = true;
        throw error;
      });
    });
  const items = itemsOf(
    () => store,
    namespace,
    (run) => alone(`${namespace}:index`, run),
  );
  const tell = (id: string): void => tellAll(listeners, namespace, id);
  const alter = (id: string, text: string | null, isNew: boolean, isLate: () => boolean): Promise<void> =>
    text === null ? items.remove(id) : items.set(id, text, isNew, isLate);
  /** What took effect late may lie over what was written since: that is written once more. */
  const mend = (id: string, text: string | null, since: string | null): Promise<void> =>
    alone(`${namespace}:write:${id}`, async (isLate) => {
      const stored = (await items.get(id)) ?? null;
      if (stored === text && !isLate()) await alter(id, since, stored === null, isLate);
    });
  const altering = async (id: string, text: string | null, isNew: boolean, isLate: () => boolean): Promise<void> => {
    const key = prefixOf(namespace) + id;
    const mine: Running = {};
    const all = running.get(key) ?? new Set();
    running.set(key, all.add(mine));
    try {
      await alter(id, text, isNew, isLate);
      if (!isLate()) for (const one of all) one.since = text;
    } finally {
      if (all.delete(mine) && all.size === 0) running.delete(key);
      if (isLate()) {
        const { since } = mine;
        void (since === undefined || since === text ? Promise.resolve() : mend(id, text, since).catch(() => undefined)).then(() =>
          tell(id),
        );
      }
    }
  };
  const conditionally = (id: string, condition: number | 'absent' | 'any', text: string | null): Promise<boolean> =>
    alone(`${namespace}:write:${id}`, async (isLate) => {
      const stored = parsed(await items.get(id));
      if (isLate() || !conditionHolds(stored, condition)) return false; // late: the lock is another's
      await altering(id, text, stored === undefined, isLate);
      return true;
    }).then(
      (isChanged) => {
        if (isChanged) tell(id);
        return isChanged;
      },
      (error: unknown) => {
        tell(id); // it may have been kept all the same (E45)
        throw error;
      },
    );
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
    write: async (record, condition) => conditionally(record.id, condition, JSON.stringify(record)),
    remove: (id, condition) => conditionally(id, condition, null),
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

function assertOneOf(name: string, value: unknown, words: readonly unknown[]): void {
  if (!words.includes(value)) throw new TypeError(`${name} must be one of: ${words.join(', ')}`);
}

function checkStore(store: unknown): void {
  const isStore =
    ((typeof store === 'object' && store !== null) || typeof store === 'function') && // a class may have the methods, too
    ['getItem', 'setItem', 'removeItem'].every((name) => typeof (store as Readonly<Record<string, unknown>>)[name] === 'function');
  if (!isStore) throw new TypeError('store: an object with getItem, setItem and removeItem is expected.');
}

function sharedOf(store: object): Shared {
  const shared = SHARED.get(store) ?? { locks: inProcessLocks(), listeners: new Set(), running: new Map() };
  SHARED.set(store, shared);
  return shared;
}
