// What tabs of an origin share: records that survive the tab, without `watch` and `withLock`, so that channels and locks do the work.
import { conditionHolds, type CredentialStorage, type StoredRecord } from '../../src/storage/storage.js';

/** One call of a storage method. */
export interface DiskCall {
  readonly method: 'open' | 'read' | 'readAll' | 'write' | 'remove' | 'close';
  readonly id?: string;
  readonly record?: Readonly<Record<string, unknown>>;
}

/** Calls that wait. */
export interface Gate {
  /** Resolves when the first call waits here. */
  readonly reached: Promise<void>;
  /** Lets the waiting calls and all that come later pass. */
  open(): void;
}

export interface FakeDisk {
  /** A connection, one for each tab. */
  storage(): CredentialStorage;
  /** What lies on the disk: put anything there. */
  readonly records: Map<string, unknown>;
  record(id: string): Readonly<Record<string, unknown>>;
  /** All calls, oldest first. */
  readonly calls: readonly DiskCall[];
  /** Makes matching calls wait before they take effect, or after. */
  hold(matches: (call: DiskCall) => boolean, when?: 'before' | 'after'): Gate;
  /** Makes matching calls fail, until the returned function is called. */
  fail(matches: (call: DiskCall) => boolean, error?: Error): () => void;
  /** Opens all gates and ends all faults. */
  release(): void;
}

export function createFakeDisk(namespace = 'app'): FakeDisk {
  const records = new Map<string, unknown>();
  const calls: DiskCall[] = [];
  const gates = new Set<{ matches: (call: DiskCall) => boolean; when: 'before' | 'after'; wait: () => Promise<void>; open: () => void }>();
  const faults = new Set<{ matches: (call: DiskCall) => boolean; error: Error }>();

  const perform = async <T>(call: DiskCall, effect: () => T): Promise<T> => {
    calls.push(call);
    const pass = async (when: 'before' | 'after'): Promise<void> => {
      for (const gate of gates) if (gate.when === when && gate.matches(call)) await gate.wait();
    };
    await pass('before');
    for (const fault of faults) if (fault.matches(call)) throw fault.error;
    const result = effect();
    await pass('after');
    return result;
  };
  return {
    records,
    record: (id) => structuredClone(records.get(id)) as Readonly<Record<string, unknown>>,
    calls,
    hold: (matches, when = 'before') => {
      let reach = (): void => undefined;
      let release = (): void => undefined;
      const reached = new Promise<void>((resolve) => (reach = resolve));
      const released = new Promise<void>((resolve) => (release = resolve));
      const open = (): void => (gates.delete(gate), release());
      const gate = { matches, when, wait: () => (reach(), released), open };
      gates.add(gate);
      return { reached, open };
    },
    fail: (matches, error = new Error('disk failure')) => {
      const fault = { matches, error };
      faults.add(fault);
      return () => void faults.delete(fault);
    },
    release: () => {
      gates.forEach((gate) => gate.open());
      faults.clear();
    },
    storage: () => ({
      namespace,
      open: () => perform({ method: 'open' }, () => ({ coherent: true, durability: 'relaxed', reach: 'origin' }) as const),
      read: (id) => perform({ method: 'read', id }, () => structuredClone(records.get(id))),
      readAll: () => perform({ method: 'readAll' }, () => [...records].map(([id, value]) => ({ id, value: structuredClone(value) }))),
      write: (record, condition) =>
        perform({ method: 'write', id: record.id, record: plain(record) }, () => {
          if (!conditionHolds(records.get(record.id), condition)) return false;
          records.set(record.id, plain(record));
          return true;
        }),
      remove: (id, condition) =>
        perform({ method: 'remove', id }, () => conditionHolds(records.get(id), condition) && (records.delete(id), true)),
      close: () => perform({ method: 'close' }, () => undefined),
    }),
  };
}

/** As a structured clone or JSON brings it back: plain data. */
function plain(record: StoredRecord): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(record)) as Readonly<Record<string, unknown>>;
}
