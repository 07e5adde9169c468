/**
 * Records in this program's memory: gone when it ends. The default, since nothing should persist by itself.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { inProcessLocks } from '../../platform/in-process-locks.js';
import { conditionHolds, tellAll, type CredentialStorage, type StoredRecord } from '../storage.js';

/** Options of `memoryStorage`. */
export interface MemoryStorageOptions {
  /** Default `rx-credentials`. */
  readonly namespace?: string | undefined;
}

/**
 * A storage in memory. Stores that are given the same object share their records, as tabs share a database.
 *
 * @throws {TypeError} a misspelled option, or a namespace that is no text or empty
 */
export function memoryStorage({ namespace = 'rx-credentials', ...rest }: MemoryStorageOptions = {}): CredentialStorage {
  assertNothingElse(rest, 'memoryStorage takes namespace');
  assertText(namespace, 'namespace');
  const records = new Map<string, StoredRecord>();
  const listeners = new Set<(id: string) => void>();
  const locks = inProcessLocks();
  return {
    namespace,
    open: () => Promise.resolve({ coherent: true, durability: 'none', reach: 'process' }),
    read: (id) => Promise.resolve(records.get(id)),
    readAll: () => Promise.resolve([...records].map(([id, value]) => ({ id, value }))),
    write: (record, condition) => {
      const may = conditionHolds(records.get(record.id), condition);
      if (may) {
        records.set(record.id, frozen(record));
        tellAll(listeners, record.id);
      }
      return Promise.resolve(may);
    },
    remove: (id, condition) => {
      const may = conditionHolds(records.get(id), condition);
      if (may) {
        records.delete(id);
        tellAll(listeners, id);
      }
      return Promise.resolve(may);
    },
    withLock: (name, run, signal) => locks.withLock(name, run, signal),
    watch: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => Promise.resolve(),
  };
}

/** The value, frozen all through: no caller can change it later. What is frozen already is kept, not copied: a record costs no second copy. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  const before = Object.entries(value) as [string, unknown][];
  const after = before.map(([name, member]) => [name, frozen(member)] as const);
  if (Object.isFrozen(value) && after.every(([, member], i) => member === before[i]?.[1])) return value;
  return Object.freeze(Array.isArray(value) ? after.map(([, member]) => member) : Object.fromEntries(after)) as T;
}
