// A whole storage over text, made of parts that can be broken one by one.
import { StorageError } from '../../src/errors';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import { conditionHolds, type CredentialStorage, type StoredRecord } from '../../src/storage/storage';
import type { StorageUnderTest } from '../../src/testing/index';

export const CAPACITY = 100_000;

/** What all storages of one place share. */
export interface Medium {
  readonly items: Map<string, string>;
  readonly listeners: Set<(id: string) => void>;
  readonly locks: ReturnType<typeof inProcessLocks>;
}

/** How a storage does what it does. */
export interface Parts {
  /** The medium of a namespace. */
  readonly mediumOf: (media: Map<string, Medium>, namespace: string) => Medium;
  /** Name of a record on the medium. */
  readonly key: (id: string, namespace: string) => string;
  /** The ids that `readAll` lists, from the keys on the medium. */
  readonly list: (keys: readonly string[], namespace: string) => readonly string[];
  readonly encode: (record: StoredRecord) => string;
  readonly decode: (text: string) => unknown;
  readonly holds: (stored: unknown, condition: number | 'absent' | 'any') => boolean;
  /** From the check of a condition to the change. */
  readonly pause: () => void | Promise<void>;
  /** Puts one item in its place. */
  readonly put: (items: Map<string, string>, key: string, text: string) => void | Promise<void>;
  readonly dontFit: (items: Map<string, string>, key: string) => Error | null;
  /** The methods in the end. */
  readonly methods: (
    good: Required<Omit<CredentialStorage, 'unseal' | 'needsSealing' | 'isPartial' | 'sendsUnstored'>>,
    medium: Medium,
  ) => Partial<CredentialStorage>;
}

export const turn = (): Promise<void> => Promise.resolve();

export function newMedium(): Medium {
  return { items: new Map(), listeners: new Set(), locks: inProcessLocks() };
}

export const GOOD: Parts = {
  mediumOf: (media, namespace) => {
    const medium = media.get(namespace) ?? newMedium();
    media.set(namespace, medium);
    return medium;
  },
  key: (id) => id,
  list: (keys) => keys,
  encode: (record) => JSON.stringify(record),
  decode: (text) => JSON.parse(text) as unknown,
  holds: conditionHolds,
  pause: () => undefined, // check and change are one step
  put: (items, key, text) => void items.set(key, text),
  dontFit: () => new StorageError('storage_failed', 'It does not fit.'),
  methods: () => ({}),
};

/** What is under test when the parts named are these. */
export function breakable(broken: Partial<Parts> = {}): Required<StorageUnderTest> {
  const parts = { ...GOOD, ...broken };
  const media = new Map<string, Medium>();
  return {
    create: (namespace) => {
      const medium = parts.mediumOf(media, namespace);
      const good = storageOf(namespace, medium, parts);
      return { ...good, ...parts.methods(good, medium) };
    },
    plant: async (namespace, id, value) => (
      parts.mediumOf(media, namespace).items.set(parts.key(id, namespace), JSON.stringify(value)),
      value
    ),
  };
}

function storageOf(namespace: string, { items, listeners, locks }: Medium, parts: Parts) {
  const read = (id: string): unknown => {
    const text = items.get(parts.key(id, namespace));
    return text === undefined ? undefined : parts.decode(text);
  };
  const tell = (id: string): void => [...listeners].forEach((listener) => listener(id));
  return {
    namespace,
    open: async () => ({ coherent: true, durability: 'relaxed', reach: 'machine', capacity: CAPACITY }) as const,
    read: async (id: string) => (await turn(), read(id)),
    readAll: async () => (await turn(), parts.list([...items.keys()], namespace).map((id) => ({ id, value: read(id) }))),
    write: async (record: StoredRecord, condition: number | 'absent') => {
      const text = parts.encode(record);
      await turn();
      const error = text.length > CAPACITY ? parts.dontFit(items, parts.key(record.id, namespace)) : null;
      if (error) throw error;
      if (!parts.holds(read(record.id), condition)) return false;
      const [pausing, key] = [parts.pause(), parts.key(record.id, namespace)];
      if (pausing) await pausing;
      const putting = parts.put(items, key, text);
      if (putting) await putting;
      tell(record.id);
      return true;
    },
    remove: async (id: string, condition: number | 'any') => {
      await turn();
      if (!parts.holds(read(id), condition)) return false;
      const pausing = parts.pause();
      if (pausing) await pausing;
      items.delete(parts.key(id, namespace));
      tell(id);
      return true;
    },
    withLock: <T>(name: string, run: () => Promise<T>, signal?: AbortSignal) => locks.withLock(name, run, signal),
    watch: (listener: (id: string) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    prepare: turn,
    sweep: turn,
    close: turn,
  };
}
