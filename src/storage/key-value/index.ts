/**
 * Records in any object with `getItem`, `setItem` and `removeItem`. Records are stored unsealed, as JSON.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { STORE_RECORD_ID } from '../../credential/record.js';
import { inProcessLocks } from '../../platform/in-process-locks.js';
import { defaultPlatform, type Locks, type Platform } from '../../platform/platform.js';
import { requireLocks } from '../deadline.js';
import { late } from '../late.js';
import { conditionHolds, tellAll, type CredentialStorage, type StoredRecord } from '../storage.js';
import { itemsOf, parsed, prefixOf, RECORD, type Items, type KeyValueStore } from './items.js';
import { nameIndex } from './names.js';
import { repairsWith, turnsOf, type Repair, type Repeatedly } from './turns.js';

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
  /**
   * `false` for a store that lives as long as a request, or a command: where nothing can be written no refresh token is sent, since what it brings would
   * be gone with the program, and the session with it. Default true: a program that lives on keeps it in memory, and writes it later.
   */
  readonly sendsUnstored?: boolean | undefined;
  /** Default: the platform of this runtime. */
  readonly platform?: Platform | undefined;
}

/** What the storages over one object have in common. */
interface Shared {
  readonly locks: Locks;
  readonly listeners: Set<(namespace: string, id: string) => void>;
  /** By namespace and id: one change that is in time, and those that were given up and may lie over what was written since. */
  readonly changes: Map<string, Set<Change>>;
  /** By namespace: the names in its index, as long as anybody has it open. */
  readonly known: Map<string, Set<string>>;
  /** By namespace: how often it is open. */
  readonly openings: Map<string, number>;
  readonly repairs: Map<string, Repair>;
}

interface Change {
  /** What it makes of the item; `null`: nothing. */
  readonly text: string | null;
  /** What the item was changed to after this was given up. */
  since?: string | null;
  /** It was given up, and has had its effect by now, if any. */
  isOver?: boolean;
}

/**
 * Storages over the same object must exclude each other, and nothing but the object is known to all of them. Nothing is shared
 * between programs, requests or tests that have objects of their own, and it goes with the object.
 */
const SHARED = new WeakMap<object, Shared>();

/**
 * A storage in a key-value store of your own. One record is one item; changes of a record run under a short lock.
 *
 * @throws {TypeError} for an object without the three methods, a misspelled option or an unknown value of one, a namespace that is no well-formed text or empty, or `coherent: false` without
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
    sendsUnstored = true,
    platform = defaultPlatform(),
    ...rest
  } = options;
  checkStore(store);
  assertNothingElse(rest, 'keyValueStorage takes namespace, reach, coherent, durability, sendsUnstored and platform');
  assertOneOf('reach', reach, ['process', 'origin']);
  assertOneOf('coherent', coherent, [true, false]);
  assertOneOf('sendsUnstored', sendsUnstored, [true, false]);
  assertOneOf('durability', durability, ['none', 'relaxed', 'strict']);
  assertText(namespace, 'namespace');
  prefixOf(namespace);
  if (!coherent) {
    if (reach !== 'origin') throw new TypeError('coherent: false needs reach: "origin"; within one program every store is coherent.');
    const later = late(namespace, async () => {
      const { coordinated } = await import('../coordination.js');
      const storage = coordinated({ namespace, area: 'items', items: itemsOf(() => store, namespace), platform });
      return { ...storage, open: async () => ({ ...(await storage.open()), durability }) }; // an entry that is lost makes no item old
    });
    return { ...later, sendsUnstored };
  }
  const shared = sharedOf(store);
  const { locks, listeners, changes } = shared;
  const isOurs = reach === 'process';
  const prefix = prefixOf(namespace);
  const alone = turnsOf(reach, locks, platform);
  const repairing = repairsWith(shared.repairs, platform);
  const mine = new Set<string>();
  const known = (): Set<string> => {
    if (!isOurs) return mine;
    const names = shared.known.get(namespace) ?? mine;
    shared.known.set(namespace, names);
    return names;
  };
  let openings = 0;
  let wasOpened = false;
  const count = (by: 1 | -1): void => {
    wasOpened = true;
    openings += by;
    shared.openings.set(namespace, (shared.openings.get(namespace) ?? 0) + by);
  };
  /** A program that opens a namespace for each session keeps nothing of those that are over. What is under way may lie over an index, which is known to be another: it looks again at its end. */
  const forgetIfLast = (): void => {
    if (!wasOpened || (shared.openings.get(namespace) ?? 0) > 0) return;
    shared.openings.delete(namespace);
    const isOf = (start: string) => (name: string) => name.startsWith(start);
    if ([...changes.keys()].some(isOf(prefix)) || [...shared.repairs.keys()].some(isOf(`${namespace}:`))) return;
    shared.known.get(namespace)?.clear();
    shared.known.delete(namespace);
  };
  const repeatedly: Repeatedly = (name, run) => repairing(name, run).then(forgetIfLast);
  const index = nameIndex({ store, prefix, lock: `${namespace}:index`, alone, repeatedly, known, isOurs });
  const items = itemsOf(() => store, namespace, index);
  const tell = (id: string): void => tellAll(listeners, namespace, id);
  const lockOf = (id: string): string => `${namespace}:write:${id}`;
  const textOf = async (id: string): Promise<unknown> => (await items.get(id)) ?? null;

  const changesOf = (id: string): Set<Change> => {
    const all = changes.get(prefix + id) ?? new Set();
    changes.set(prefix + id, all);
    return all;
  };
  const forget = (id: string, some: readonly Change[]): void => {
    const all = changesOf(id);
    for (const one of some) all.delete(one);
    if (all.size > 0) return;
    changes.delete(prefix + id);
    forgetIfLast();
  };
  const set: Items['set'] = (...item) => items.set(...item);
  /** Sets the record of a clear. A damaged index begins anew after that: what it has lost is of an earlier epoch, and nobody believes it. */
  const setCleared: Items['set'] = async (id, text, isNew, isLate) => {
    if (!(await index.isDamaged())) return set(id, text, isNew, isLate);
    if (!isLate?.()) await store.setItem(prefix + RECORD + id, text);
    if (!isLate?.()) await index.beginAnew(id);
  };
  /** Changes an item. What is given up, and takes effect over what was written since, is mended as soon as it has. */
  const alter = async (id: string, text: string | null, isNew: boolean, isLate: () => boolean, setting = set): Promise<void> => {
    const mine: Change = { text };
    const below = overIn(changesOf(id).add(mine));
    try {
      await (text === null ? items.remove(id, isLate) : setting(id, text, isNew, isLate));
      if (isLate()) return;
      forget(id, below);
      for (const one of changesOf(id)) one.since = text;
    } finally {
      if (isLate() && isOurs) {
        mine.isOver = true;
        void repeatedly(lockOf(id), () => mend(id)).then(() => tell(id));
      } else forget(id, [mine]);
    }
  };
  /** Writes once more what lies under a change that was given up. */
  const mend = (id: string): Promise<void> =>
    alone(lockOf(id), async (isLate) => {
      const over = overIn(changesOf(id)); // before the item is read: what takes effect after that is mended after this
      const stored = await textOf(id);
      if (isLate()) return;
      const same = over.filter(({ text }) => text === stored);
      const [since, ...more] = new Set(same.map((one) => one.since)); // of several that wrote the same, one may be the newest
      if (since === undefined || since === stored || more.length > 0) forget(id, over);
      else await alter(id, since, stored === null, isLate);
    });

  const conditionally = async (id: string, condition: number | 'absent' | 'any', record: StoredRecord | null): Promise<boolean> => {
    const text = record && JSON.stringify(record);
    let before: unknown;
    try {
      const isChanged = await alone(lockOf(id), async (isLate) => {
        const item = await textOf(id);
        const stored = parsed(item);
        if (isLate() || !conditionHolds(stored, condition)) return false; // late: the turn is another's
        before = item;
        await alter(id, text, stored === undefined, isLate, isClear(record, stored) ? setCleared : set);
        return true;
      });
      if (isChanged) tell(id);
      return isChanged;
    } catch (error) {
      // It may have been kept all the same (E45). Only then: whoever hears of it tries again what waits, and two would keep each other busy
      if (before !== undefined && before !== text)
        void textOf(id).then(
          (now) => now === text && tell(id),
          () => undefined,
        );
      throw error;
    }
  };
  return {
    sendsUnstored,
    namespace,
    open: async () => {
      count(1);
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
    write: async (record, condition) => conditionally(record.id, condition, record),
    remove: (id, condition) => conditionally(id, condition, null),
    ...(isOurs && {
      withLock: <T>(name: string, run: () => Promise<T>, signal?: AbortSignal) => locks.withLock(name, run, signal),
      watch: (listener: (id: string) => void) => {
        const mine = (where: string, id: string): void => {
          if (where === namespace) listener(id);
        };
        listeners.add(mine);
        return () => void listeners.delete(mine);
      },
    }),
    close: () => {
      if (openings > 0) {
        count(-1);
        forgetIfLast();
      }
      return Promise.resolve();
    },
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

/** True for what a clear writes: the store's own record with an epoch that is later than that of what is stored; where that is lost, as a clear writes it first. */
function isClear(record: StoredRecord | null, stored: unknown): boolean {
  if (record?.id !== STORE_RECORD_ID) return false;
  const [before, after] = [stored, record].map((one) => Object(one) as { readonly [Count in 'epoch' | 'nullClaim' | 'topClaim']?: number });
  const epoch = after?.epoch ?? 0;
  if (before?.epoch === undefined) return epoch > 0 && record.revision === 1;
  // One that was set back is written over with the epoch that is known for any claim, too
  return epoch > before.epoch && after?.nullClaim === 0 && (after.topClaim ?? 0) === (before.topClaim ?? 0);
}

function overIn(changes: Iterable<Change>): readonly Change[] {
  return [...changes].filter(({ isOver }) => isOver);
}

function sharedOf(store: object): Shared {
  const shared = SHARED.get(store) ?? {
    locks: inProcessLocks(),
    listeners: new Set(),
    changes: new Map(),
    known: new Map(),
    openings: new Map(),
    repairs: new Map(),
  };
  SHARED.set(store, shared);
  return shared;
}
