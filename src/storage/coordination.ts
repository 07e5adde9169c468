/**
 * Which copy of a record is the newest, for media that show a tab old values although a lock is held (localStorage, cookies, `RF-2`) or that
 * every tab has a copy of (sessionStorage of a duplicated tab, `RF-14`). IndexedDB has the answer: for each record a count that grows with
 * every write, and a stamp that tells two writes of one count apart. The entry is committed first, by compare-and-set; then the item is
 * written. An item behind its entry is old: it is waited for, or replaced by a copy that lies sealed in the entry.
 *
 * @module
 */
import type { Platform } from '../platform/platform.js';
import { randomText } from '../platform/random.js';
import { database } from './database.js';
import { exclusively, requireLocks } from './deadline.js';
import { parsed, type Items } from './key-value/items.js';
import { conditionHolds, type CredentialStorage, type StorageCapabilities, type StoredEntry, type StoredRecord } from './storage.js';

/** A record as it lies in an item. */
export interface Copy {
  /** Grows with every write and removal. 0: it was not written by us. */
  readonly count: number;
  readonly stamp: string;
  readonly value: unknown;
}

/** What IndexedDB says of a record. */
export interface Entry {
  readonly count: number;
  readonly stamp: string;
  /** Wall clock of the write, epoch milliseconds. */
  readonly at: number;
  /** It was removed: every copy up to this count is old. */
  readonly isGone?: boolean;
  /** The record for the twins of this tab; nobody else can open it. */
  readonly sealed?: unknown;
}

/** Tabs that began as copies of one another, and the key that they have in common. */
export interface Session {
  readonly id: string;
  seal(id: string, copy: Copy): Promise<unknown>;
  /** `undefined` for what was not sealed by a twin for this record. */
  open(id: string, entry: Entry): Promise<Copy | undefined>;
}

/** What is peculiar to items that take room from each other, and end by themselves without their entries: cookies. */
export interface Fleeting {
  /** The name of one lock for the changes of all records. */
  readonly lock: string;
  /** Removes what is part of no item. Called under the lock, when no item is behind its entry. */
  readonly tidy: () => void;
  /** The items that must not end before a record that is about to be written. */
  readonly outlivingOf: (record: StoredRecord) => readonly string[];
}

/** What `coordinated` needs. */
export interface CoordinationOptions {
  readonly namespace: string;
  /** The database of the entries is called `<namespace>:<area>`. */
  readonly area: string;
  readonly items: Items;
  readonly fleeting?: Fleeting;
  /** The session as it is now; left out where all tabs share the items. */
  readonly session?: (() => Session) | undefined;
  readonly platform: Platform;
}

/** What was found of a record, and what it means. */
interface Found {
  readonly copy: Copy | undefined;
  readonly entry: Entry | undefined;
  readonly is: 'current' | 'gone' | 'behind';
}

/** Looks at an item that is behind: so many at once, which mostly suffice, then with pauses that double. */
const LOOKS_AT_ONCE = 5;
/** Milliseconds of pauses in all. */
const PATIENCE_MS = 2_000;

/**
 * An item that ends by itself is missing whenever a browser starts anew; what was written a minute ago is on its way no longer. The first
 * looks are for a tab that was frozen and has just thawed.
 */
const OLD_MS = 60_000;
const PATIENCE_FOR_OLD_MS = 250;

/**
 * Removed records leave an entry for a day. Those of sessions stay as long as the session, since a twin that was frozen has its own copy
 * of the item; a session is over after sixty days in which it was neither opened nor written to.
 */
const DAY_MS = 86_400_000;

/** Far from where + 1 changes nothing. A count stays at it: what is written is always believed, and the stamps still tell two writes apart. */
const LAST_COUNT = 1e15;

/** A storage over items that may be old; coherent all the same. */
export function coordinated({ namespace, area, items, fleeting, session, platform }: CoordinationOptions): CredentialStorage {
  const entries = database({ name: `${namespace}:${area}`, durability: 'relaxed', platform });
  const prefix = (): string => (session ? `${session().id}:` : '');
  let closed = false;
  /** What was under way when the storage was closed lets go of what it has opened again. */
  const leaving = <T>(work: Promise<T>): Promise<T> => work.finally(() => closed && entries.close());
  const alone = <T>(id: string, run: () => Promise<T>): Promise<T> =>
    leaving(exclusively(platform, fleeting?.lock ?? `${namespace}:write:${id}`, run));

  const look = async (id: string): Promise<Found> => {
    const key = prefix() + id;
    const entry = entryOf(await entries.run('readonly', (store) => store.get(key)));
    return found(copyOf(await items.get(id)), entry); // the item second: so it is behind only if it is old
  };
  /** Commits an entry if the one seen before is still there. `effect` runs within the transaction: no one else commits in between (RF-16). */
  const commit = (id: string, seen: Entry | undefined, next: Entry | undefined, effect?: () => Promise<void>): Promise<boolean> => {
    const key = prefix() + id;
    return entries.run('readwrite', async (store) => {
      const stored = entryOf(await store.get(key));
      if (stored?.count !== seen?.count || stored?.stamp !== seen?.stamp) return false;
      await (next ? store.put(next, key) : store.delete(key));
      await effect?.();
      return true;
    });
  };
  const patienceFor = ({ entry }: Found): number => {
    if (session) return 0;
    return fleeting && entry && entry.at < platform.now() - OLD_MS ? PATIENCE_FOR_OLD_MS : PATIENCE_MS;
  };
  /**
   * Resolves with the milliseconds that it counts for: what it took, since timers of a hidden tab are slow while others wait for its lock, but
   * `mostMs` at most, since a tab that was frozen meanwhile has not waited.
   */
  const pause = async (ms: number, mostMs: number): Promise<number> => {
    const begin = platform.monotonicNow();
    await new Promise<void>((resolve) => void platform.setTimer(resolve, Math.min(ms, mostMs)));
    return Math.min(Math.max(ms, platform.monotonicNow() - begin), mostMs);
  };
  /** What a record is, under its lock: nobody writes meanwhile, so an item that stays behind was cleared or lost. */
  const current = async (id: string): Promise<Found> => {
    let seen = await look(id);
    if (session && seen.entry && seen.is === 'behind') {
      const copy = await session().open(id, seen.entry);
      if (copy) await items.set(id, JSON.stringify(copy), false).catch(() => undefined); // no room here: it is still in the entry
      seen = found(copy ?? seen.copy, seen.entry);
    }
    // A removal that has not arrived here may not have arrived anywhere, and would take what is written now
    const isAwaited = ({ is, copy }: Found): boolean => is === 'behind' || (is === 'gone' && copy !== undefined);
    const patienceMs = patienceFor(seen);
    for (let looks = 1, leftMs = patienceMs; leftMs > 0 && isAwaited(seen); looks++) {
      if (looks > LOOKS_AT_ONCE) leftMs -= await pause(Math.min(2 ** (looks - LOOKS_AT_ONCE), leftMs), patienceMs / 2);
      seen = await look(id);
    }
    if (seen.is !== 'behind') return seen;
    const { copy } = seen;
    const entry = copy && { count: copy.count, stamp: copy.stamp, at: platform.now() };
    await commit(id, seen.entry, entry);
    return found(copy, entry);
  };
  /** Sets an item once more as it is, so that it ends later. Not one of old, in the place of a newer one. */
  const renew = async (id: string): Promise<void> => {
    const { is, copy } = await current(id);
    if (is === 'current' && copy) await items.set(id, JSON.stringify(copy), false).catch(() => undefined); // what is to be written counts more
  };
  const settled = (id: string, seen: Found): Promise<Found> =>
    seen.is === 'behind' ? alone(id, () => current(id)) : Promise.resolve(seen);
  /** Commits the entry, then changes the item; an item that cannot be changed leaves everything as it was. */
  const change = async (id: string, seen: Found, next: Entry, changeItem: () => Promise<void>): Promise<boolean> => {
    try {
      return await commit(id, seen.entry, next, changeItem); // false: someone came in between, the lock was lost (RF-16)
    } catch (error) {
      await commit(id, next, seen.entry).catch(() => undefined);
      throw error;
    }
  };
  /** Cookies may be shared by hosts, of which each has entries of its own: there a first count is higher than any before, like a clock. */
  const nextAfter = ({ copy, entry }: Found): Omit<Copy, 'value'> & Entry => ({
    count: Math.min(Math.max(copy?.count ?? 0, entry?.count ?? 0, fleeting && !copy ? platform.now() : 0) + 1, LAST_COUNT),
    stamp: randomText(platform, 9),
    at: platform.now(),
  });
  /** All entries of these items, by id. */
  const readEntries = (mine: string): Promise<ReadonlyMap<string, Entry>> =>
    entries.run('readonly', async (store) => {
      const [keys, values] = await Promise.all([store.getAllKeys(), store.getAll()]);
      const ofRecord = (key: IDBValidKey): key is string => typeof key === 'string' && key.startsWith(mine); // others' may be anything
      return new Map(keys.flatMap((key, i) => (ofRecord(key) ? pairOf(key.slice(mine.length), entryOf(values[i])) : [])));
    });

  const lookAtAll = async (): Promise<ReadonlyMap<string, Found>> => {
    const stored = await readEntries(prefix());
    const ids = new Set([...stored.keys(), ...(await items.names())]);
    return new Map(await Promise.all(Array.from(ids, async (id) => [id, found(copyOf(await items.get(id)), stored.get(id))] as const)));
  };

  const sweep = async (): Promise<void> => {
    const mine = prefix();
    const now = platform.now();
    // Of sessions these are all of sixty days, and none of them goes by itself
    for (const [id, { isGone, at }] of session ? [] : await readEntries(mine)) {
      if (!isGone || at > now - DAY_MS) continue;
      await alone(id, async () => {
        const seen = await look(id);
        if (seen.is === 'gone') await items.remove(id); // or it would come back with its entry gone
        if (seen.entry?.isGone) await commit(id, seen.entry, undefined);
      });
    }
    if (!session) return;
    await entries.run('readwrite', async (store) => {
      const [keys, values] = await Promise.all([store.getAllKeys(), store.getAll()]);
      const ownerOf = (key: IDBValidKey): string => (typeof key === 'string' ? key.split(':', 1)[0] : undefined) ?? '';
      const living = new Set(keys.filter((_, i) => (entryOf(values[i])?.at ?? 0) >= now - 60 * DAY_MS).map(ownerOf)).add(ownerOf(mine));
      for (const key of keys) if (ownerOf(key) && !living.has(ownerOf(key))) await store.delete(key);
      await store.put({ count: 0, stamp: '', at: now }, ownerOf(mine)); // it lives; no record's key is without a colon
    });
  };

  const opening = async (): Promise<StorageCapabilities> => {
    requireLocks(platform);
    await items.get(''); // throws where items are blocked
    prefix(); // and this, where there is no room for a new session
    await entries.open();
    await sweep().catch(() => undefined); // the next start sweeps again
    return { coherent: true, durability: 'relaxed', reach: 'origin' };
  };
  const readAll = async (): Promise<readonly StoredEntry[]> => {
    const all = [...(await lookAtAll())];
    const isOneWait = fleeting && all.some(([, { is }]) => is === 'behind');
    const values = isOneWait
      ? await alone('', () => Promise.all(all.map(([id]) => current(id))))
      : await Promise.all(all.map(([id, seen]) => settled(id, seen)));
    return all.map(([id], i): StoredEntry => ({ id, value: valueOf(values[i]) })).filter(({ value }) => value !== undefined);
  };

  return {
    namespace,
    open: () => {
      closed = false;
      return leaving(opening());
    },
    read: (id) => leaving(look(id).then((seen) => settled(id, seen))).then(valueOf),
    readAll: () => leaving(readAll()),
    write: (record, condition) =>
      alone(record.id, async () => {
        const seen = await current(record.id);
        if (!conditionHolds(valueOf(seen), condition)) return false;
        for (const id of fleeting?.outlivingOf(record) ?? []) await renew(id);
        const next = nextAfter(seen);
        const copy: Copy = { count: next.count, stamp: next.stamp, value: record };
        const sealed = session && { sealed: await session().seal(record.id, copy) };
        return change(record.id, seen, { ...next, ...sealed }, () => items.set(record.id, JSON.stringify(copy), !seen.copy));
      }),
    remove: (id, condition) =>
      alone(id, async () => {
        const seen = await current(id);
        if (!conditionHolds(valueOf(seen), condition)) return false;
        if (!seen.copy) return true;
        return change(id, seen, { ...nextAfter(seen), isGone: true }, () => items.remove(id));
      }),
    ...(fleeting && {
      sweep: () =>
        alone('', async () => {
          await Promise.all(Array.from((await lookAtAll()).keys(), current));
          fleeting.tidy();
        }),
    }),
    close: () => {
      closed = true;
      entries.close();
      return Promise.resolve();
    },
  };
}

/** The record; `undefined` if there is none. */
function valueOf(found: Found | undefined): unknown {
  return found?.is === 'current' ? found.copy?.value : undefined;
}

function found(copy: Copy | undefined, entry: Entry | undefined): Found {
  const count = copy?.count ?? -1;
  const isCurrent = !entry || count > entry.count || (copy ? count === entry.count && copy.stamp === entry.stamp : entry.isGone);
  // A removed item that is still there is old, or it came back with a crash; either way it was removed (RF-13).
  return { copy, entry, is: isCurrent ? 'current' : entry.isGone ? 'gone' : 'behind' };
}

/** What an item holds; what was not written by us is older than everything that was. */
export function copyOf(text: unknown): Copy | undefined {
  const value = parsed(text);
  if (value === undefined) return undefined;
  return isStamped(value) && 'value' in value ? value : { count: 0, stamp: '', value };
}

function entryOf(value: unknown): Entry | undefined {
  return isStamped(value) ? (value as Entry) : undefined;
}

function isStamped(value: unknown): value is { readonly count: number; readonly stamp: string } {
  if (typeof value !== 'object' || value === null || !('count' in value) || !('stamp' in value)) return false;
  const { count, stamp } = value;
  return typeof stamp === 'string' && typeof count === 'number' && Math.abs(count) <= LAST_COUNT;
}

function pairOf(id: string, entry: Entry | undefined): readonly (readonly [string, Entry])[] {
  return entry ? [[id, entry]] : [];
}
