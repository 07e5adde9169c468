// Storages that are broken in one way each, and the cases of the contract that must find it.
import { inProcessLocks } from '../../src/platform/in-process-locks';
import type { StoredRecord } from '../../src/storage/storage';
import { GOOD, newMedium, turn, type Parts } from './breakable-storage';

const revisionOf = (stored: unknown): number | undefined => (stored as StoredRecord | null | undefined)?.revision;
const isRecord = (value: unknown): boolean => typeof revisionOf(value) === 'number';
const encodes = (change: (record: StoredRecord) => unknown): Partial<Parts> => ({ encode: (record) => JSON.stringify(change(record)) });
const methods = (change: Parts['methods']): Partial<Parts> => ({ methods: change });
const opens = (as: object): Partial<Parts> => methods(({ open }) => ({ open: async () => ({ ...(await open()), ...as }) }));
/** Ids that become one name; what is listed is the id inside the record. */
const renames = (key: Parts['key']): Partial<Parts> => ({
  key,
  ...methods(({ readAll }, { items }) => ({
    readAll: async () => (
      await readAll(),
      [...items.values()].map((text) => ({ id: (JSON.parse(text) as StoredRecord).id, value: JSON.parse(text) as unknown }))
    ),
  })),
});
const lists = (list: Parts['list']): Partial<Parts> => ({ list });

/** Keeps objects instead of text. */
const keeps = (onWrite: (record: unknown) => unknown, onRead: (value: unknown) => unknown): Partial<Parts> => {
  const objects: unknown[] = [];
  return { encode: (record) => String(objects.push(onWrite(record)) - 1), decode: (text) => onRead(objects[Number(text)]) };
};
const asIs = (value: unknown): unknown => value;

/** A copy made by assigning each member. */
function assigned(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) copy[name] = assigned(member);
  return copy;
}

/** One list of watchers for all places. */
function tellsAll(): Partial<Parts> {
  const all = new Set<(id: string) => void>();
  return methods(({ write }) => ({
    write: async (...given) => {
      const written = await write(...given);
      if (written) for (const listener of all) listener(given[0].id);
      return written;
    },
    watch: (listener) => (all.add(listener), () => void all.delete(listener)),
  }));
}

/** What each is broken by, and beginnings of the titles that must fail. */
export const MUTANTS: Readonly<Record<string, readonly [broken: Partial<Parts>, ...titles: readonly string[]]>> = {
  'claims a durability of its own': [opens({ durability: 'best' }), 'says what it can do'],
  'claims a reach of its own': [opens({ reach: 'world' }), 'says what it can do'],
  'does not say whether it is coherent': [opens({ coherent: undefined }), 'says what it can do'],
  'is shared, and shows old records': [opens({ coherent: false, reach: 'origin' }), 'says what it can do'],
  'has a namespace of its own': [methods(() => ({ namespace: 'mine' })), 'says what it can do'],
  'can do something else after a change': [
    methods(({ open }, { items }) => ({ open: async () => ({ ...(await open()), durability: items.size ? 'strict' : 'relaxed' }) })),
    'close ends it',
  ],

  'finds null where there is nothing': [methods(({ read }) => ({ read: async (id) => (await read(id)) ?? null })), 'is empty at first'],
  'lists an item of its own': [lists((keys) => [...keys, '@lock']), 'is empty at first'],
  'removes what is not there': [
    { holds: (stored, condition) => GOOD.holds(stored, condition) || (stored === undefined && typeof condition === 'number') },
    'is empty at first',
    'RF-13',
    'removes the revision named',
  ],
  'loses a member': [encodes(({ flags: _, ...more }: StoredRecord & { flags?: unknown }) => more), 'E37'],
  'cuts long text': [
    { encode: (record) => JSON.stringify(record, (_, value: unknown) => (typeof value === 'string' ? value.slice(0, 999) : value)) },
    'E37',
  ],
  'keeps ASCII only': [{ encode: (record) => JSON.stringify(record).replace(/[^ -~]/g, '?') }, 'E37'],
  'merges the new into the old': [
    methods(({ read, write }) => ({
      write: async (record, condition) => write({ ...((await read(record.id)) as object), ...record }, condition),
    })),
    'E37',
  ],

  'overwrites what is there': [
    { holds: (stored, condition) => condition === 'absent' || GOOD.holds(stored, condition) },
    'writes where there is nothing',
    'RF-5 of first writers',
  ],
  'takes any lower revision': [
    { holds: (stored, condition) => GOOD.holds(stored, condition) || Number(condition) > (revisionOf(stored) ?? Infinity) },
    'writes over the revision named',
  ],
  'takes any higher revision': [
    { holds: (stored, condition) => GOOD.holds(stored, condition) || Number(condition) < (revisionOf(stored) ?? 0) },
    'writes over the revision named',
    'removes the revision named',
  ],
  'counts revisions in single precision': [
    {
      holds: (stored, condition) =>
        GOOD.holds(stored, condition) || Math.fround(Number(condition)) === Math.fround(revisionOf(stored) ?? -1),
    },
    'writes over the revision named',
  ],
  'counts revisions in 32 bits': [
    {
      holds: (stored, condition) =>
        GOOD.holds(stored, condition) || (typeof condition === 'number' && condition >>> 0 === (revisionOf(stored) ?? -1) >>> 0),
    },
    'writes over the revision named',
  ],
  'writes over what is gone': [{ holds: (stored, condition) => stored === undefined || GOOD.holds(stored, condition) }, 'RF-13'],
  'drops what need not survive a loss of power': [
    methods(({ write }) => ({ write: async (record, condition, isPassing) => isPassing === true || write(record, condition) })),
    'a write that need not survive',
  ],
  'fails to remove what is not there': [
    methods(({ read, remove }) => ({
      remove: async (id, condition) =>
        condition === 'any' && (await read(id)) === undefined ? Promise.reject(new Error('not there')) : remove(id, condition),
    })),
    'removes the revision named',
  ],
  'removes its neighbours': [
    methods(({ remove }, { items }) => ({ remove: async (id, condition) => (await remove(id, condition)) && (items.clear(), true) })),
    'removes the revision named',
    'keeps ids apart',
    'E29 changes of different records at a time',
    'keeps a thousand records',
  ],

  'finds what every object has': [
    methods(({ read }) => ({ read: async (id) => (await read(id)) ?? ({} as Record<string, unknown>)[id] })),
    'takes the id "__proto__"',
    'takes the id "constructor"',
    'takes the id "toString"',
  ],
  'finds what every list has': [
    methods(({ read }) => ({ read: async (id) => (await read(id)) ?? (id === 'length' ? 0 : undefined) })),
    'takes the id "length"',
  ],
  'hides dot files': [lists((keys) => keys.filter((key) => !key.startsWith('.'))), 'takes the id ".."', 'E39'],
  'keeps what begins with @ for itself': [lists((keys) => keys.filter((key) => !key.startsWith('@'))), 'takes the id "@store"', 'a sweep'],
  'takes ids for paths': [lists((keys) => keys.map((key) => key.split('/').at(-1) ?? '')), 'takes the id "a/b:c d"'],
  'takes ids for cookies': [lists((keys) => keys.map((key) => key.split('=')[0] ?? '')), 'takes the id "a=b'],
  'decodes what was not encoded': [{ key: decodeURIComponent }, 'takes the id "%"', 'keeps ids apart'],
  'has names of one byte a character': [lists((keys) => keys.map((key) => key.replace(/[^ -~]/g, '?'))), 'takes the id "ä😀"'],
  'skips what is falsy': [lists((keys) => keys.filter(Number.isNaN).concat(keys.filter((key) => Number(key) !== 0))), 'takes the id "0"'],
  'makes ids well-formed': [renames((id) => Buffer.from(id).toString()), 'keeps ids apart that differ'],
  'cuts names at 600': [renames((id) => id.slice(0, 600)), 'keeps ids apart that are long'],
  'cuts names at 255': [lists((keys) => keys.map((key) => key.slice(0, 255))), 'takes an id of 500 characters'],
  'has no case': [renames((id) => id.toLowerCase()), 'keeps ids apart'],
  'cuts names at the first NUL': [renames((id) => id.replace(/\0.*/s, '')), 'keeps ids apart'],
  'normalizes accents': [renames((id) => id.normalize()), 'keeps ids apart'],
  'trims names': [renames((id) => id.trim()), 'keeps ids apart'],
  'encodes names by half': [renames((id) => id.replaceAll('/', '%2F')), 'keeps ids apart'],
  'has no case in its namespaces': [{ mediumOf: (media, namespace) => GOOD.mediumOf(media, namespace.toLowerCase()) }, 'E39'],
  'has one place for all': [{ mediumOf: (media) => GOOD.mediumOf(media, '') }, 'E39'],
  'separates namespace and id by a dot': [
    {
      mediumOf: (media) => GOOD.mediumOf(media, ''),
      key: (id, namespace) => `${namespace}.${id}`,
      list: (keys, namespace) => keys.filter((key) => key.startsWith(`${namespace}.`)).map((key) => key.slice(namespace.length + 1)),
    },
    'E39',
  ],

  'keeps the object of the caller': [keeps(asIs, structuredClone), 'a change of the object'],
  'gives out its own object': [keeps(structuredClone, asIs), 'a change of a value that was read'],
  'copies members by assignment': [{ decode: (text) => assigned(JSON.parse(text)) }, 'a member called __proto__'],
  'cuts what does not fit': [
    {
      encode: (record) =>
        JSON.stringify(record).length > 99_000 ? JSON.stringify({ id: record.id, revision: record.revision }) : JSON.stringify(record),
    },
    'a record that does not fit',
  ],
  'loses the old for what does not fit': [
    { dontFit: (items, key) => (items.delete(key), GOOD.dontFit(items, key)) },
    'a record that does not fit',
  ],
  'gives an error of the medium for what does not fit': [{ dontFit: () => new Error('QuotaExceededError') }, 'a record that does not fit'],

  'hides what it cannot read': [
    methods(({ readAll }) => ({ readAll: async () => (await readAll()).filter(({ value }) => isRecord(value)) })),
    'E62',
  ],
  'fails as a whole over what it cannot read': [
    methods(({ readAll }) => ({
      readAll: async () => ((await readAll()).every(({ value }) => isRecord(value)) ? readAll() : Promise.reject(new Error('corrupt'))),
    })),
    'E62',
  ],
  'takes what it cannot read for nothing': [
    { holds: (stored, condition) => GOOD.holds(stored, condition) || (condition === 'absent' && !isRecord(stored)) },
    'E62',
  ],
  'takes what it cannot read for revision 0': [
    { holds: (stored, condition) => GOOD.holds(stored, condition) || (condition === 0 && stored !== undefined && !isRecord(stored)) },
    'E62',
  ],
  'cannot remove what it cannot read': [
    { holds: (stored, condition) => (condition === 'any' ? isRecord(stored) : GOOD.holds(stored, condition)) },
    'E62',
  ],

  'keeps everything in one item': [
    {
      put: async (items, key, text) => {
        const all = new Map(items).set(key, text);
        await turn();
        items.clear();
        all.forEach((value, name) => items.set(name, value));
      },
    },
    'E29 changes of different records at a time',
    'E29 changes of different records by two',
    'keeps a thousand records',
  ],
  'lists what it has read before, until it writes itself': [
    methods(({ readAll, write, remove }) => {
      let known: ReturnType<typeof readAll> | undefined;
      const renewed = async (changed: Promise<boolean>): Promise<boolean> => ((await changed) && (known = undefined), changed);
      return {
        readAll: async () => structuredClone(await (known ??= readAll())),
        write: (...all) => renewed(write(...all)),
        remove: (...all) => renewed(remove(...all)),
      };
    }),
    'E29 what one has changed',
  ],
  'lists a page at most': [lists((keys) => keys.slice(0, 500)), 'keeps a thousand records'],
  'checks in one step and changes in another': [
    { pause: turn },
    'RF-5 of writers over',
    'RF-5 of first writers',
    'RF-5 of writers in two tabs',
    'RF-5 of a write and a removal',
    'RF-5 counting up',
  ],
  'says of every write that it won': [
    methods(({ write }) => ({ write: async (...all) => (await write(...all), true) })),
    'RF-5 of writers over',
    'RF-5 of first writers',
  ],
  'takes turns in its own tab only': [
    {
      pause: turn,
      ...methods(({ write, remove }) => {
        const turns = inProcessLocks();
        return { write: (...all) => turns.withLock('', () => write(...all)), remove: (...all) => turns.withLock('', () => remove(...all)) };
      }),
    },
    'RF-5 of writers in two tabs',
    'RF-5 of a write and a removal',
    'RF-5 counting up',
  ],
  'deletes the old before it puts the new': [
    { put: async (items, key, text) => (items.delete(key), await turn(), await turn(), void items.set(key, text)) },
    'readers see a record whole',
  ],
  'puts a record in two pieces': [
    {
      put: async (items, key, text) => (
        items.set(key, text.replace(/"end":\d+/, '"end":0')),
        await turn(),
        await turn(),
        void items.set(key, text)
      ),
    },
    'readers see a record whole',
  ],

  'has a place of its own for each tab': [{ mediumOf: newMedium }, 'E57', 'close ends it', 'RF-5 of writers in two tabs', 'RF-2'],
  'forgets when it closes': [
    methods((_, { items }) => ({ close: async () => items.clear() })),
    'close ends it',
    'closing one leaves another',
  ],
  'cannot be closed twice': [
    methods(() => {
      let closed = false;
      return { close: async () => (closed ? Promise.reject(new Error('closed')) : void (closed = true)) };
    }),
    'close ends it',
  ],
  'drops at close what it has not written yet': [
    methods(({ open, write }) => {
      let closed = false;
      return {
        open: async () => ((closed = false), open()),
        write: async (...all) => (await turn(), closed || (await write(...all))),
        close: async () => void (closed = true),
      };
    }),
    'a write that close overtakes',
  ],
  'refuses at close what it has not written yet': [
    methods(({ open, write }) => {
      let closed = false;
      return {
        open: async () => ((closed = false), open()),
        write: async (...all) => (await turn(), !closed && (await write(...all))),
        close: async () => void (closed = true),
      };
    }),
    'a write that close overtakes',
  ],

  'has no lock, and reaches further than those of the platform': [
    methods(() => ({ withLock: undefined })),
    'a lock, where it has one, runs its holders',
  ],
  'has a lock that locks nothing': [methods(() => ({ withLock: (_, run) => run() })), 'a lock, where it has one, runs its holders', 'RF-2'],
  'has a lock that dies with a holder': [
    methods(() => {
      const tails = new Map<string, Promise<unknown>>();
      return {
        withLock: (name, run) => {
          const mine = (tails.get(name) ?? turn()).then(run);
          tails.set(name, mine);
          return mine;
        },
      };
    }),
    'a lock, where it has one, runs its holders',
  ],
  'has a lock for its own tab only': [
    methods(() => {
      const locks = inProcessLocks();
      return { withLock: (name, run, signal) => locks.withLock(name, run, signal) };
    }),
    'RF-2',
  ],
  'has one lock for all names, and says so': [
    methods(({ withLock }) => {
      let held = '';
      return {
        withLock: async (name, run) => {
          if (held !== '' && held !== name) throw new Error('another lock is held');
          return withLock(name, () => ((held = name), run()));
        },
      };
    }),
    'a lock, where it has one, keeps nobody out',
  ],
  'has a lock that nobody can leave': [
    methods(({ withLock }) => ({ withLock: (name, run) => withLock(name, run) })),
    'E9 a lock, where it has one',
  ],
  'has a lock that lets go of who runs': [
    methods(({ withLock }) => ({
      withLock: (name, run, signal) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(new Error('left')));
          withLock(name, run, signal).then(resolve, reject);
        }),
    })),
    'E9 a lock, where it has one',
  ],
  'tells watchers before the commit': [
    methods(({ write }, { listeners }) => ({
      write: async (...all) => {
        const told = [...listeners];
        told.forEach((listener) => listener(all[0].id));
        for (let i = 0; i < 5; i++) await turn();
        listeners.clear();
        return write(...all).finally(() => told.forEach((listener) => listeners.add(listener)));
      },
    })),
    'a watcher, where it has one, finds',
  ],
  'tells watchers nothing': [methods(() => ({ watch: () => () => undefined })), 'a watcher'],
  'tells watchers of what it refused': [
    methods(({ write }, { listeners }) => ({
      write: async (record, condition) => (await write(record, condition)) || (listeners.forEach((listener) => listener(record.id)), false),
    })),
    'a watcher',
  ],
  'tells watchers of no removal': [
    methods(({ remove }, { listeners }) => ({
      remove: async (...all) => {
        const deaf = [...listeners];
        listeners.clear();
        return remove(...all).finally(() => deaf.forEach((listener) => listeners.add(listener)));
      },
    })),
    'a watcher',
  ],
  'goes on telling who has stopped': [methods(({ watch }) => ({ watch: (listener) => (watch(listener), () => undefined) })), 'a watcher'],
  'stops telling all when one stops': [
    methods(({ watch }, { listeners }) => ({ watch: (listener) => (watch(listener), () => listeners.clear()) })),
    'a watcher',
  ],
  'silences all watchers when one closes': [methods((_, { listeners }) => ({ close: async () => listeners.clear() })), 'E39 a watcher'],
  'tells watchers of every namespace': [tellsAll(), 'E39 a watcher'],
  'sweeps away what the store calls removed': [
    methods(({ readAll, remove }) => ({
      sweep: async () => {
        const dead = (await readAll()).filter(({ value }) => (value as { state?: unknown }).state === 'removed');
        await Promise.all(dead.map(({ id }) => remove(id, 'any')));
      },
    })),
    'a sweep',
  ],
  'prepares records away': [methods((_, { items }) => ({ prepare: async () => void items.delete('one') })), 'prepare'],
  'prepares by a record of its own': [
    methods(({ write }) => ({ prepare: async () => void (await write({ id: 'probe', revision: 1 }, 'absent')) })),
    'prepare',
  ],
  'is never prepared': [methods(() => ({ prepare: () => Promise.reject(new Error('not yet')) })), 'prepare'],
  'sweeps records away': [methods((_, { items }) => ({ sweep: async () => void items.delete('one') })), 'a sweep'],
};
