/**
 * The port of all storages: where records live. One credential is one record, one record is one atomic write.
 *
 * @module
 */

/** What every stored value has; the rest is the store's affair. Plain data: JSON or structured clone brings it back. */
export interface StoredRecord {
  readonly id: string;
  /** +1 on every write of the record. */
  readonly revision: number;
}

/** A value as found, with the key it was found under. Nothing is promised about the value. */
export interface StoredEntry {
  readonly id: string;
  readonly value: unknown;
}

/** What a storage turns out to be once it is open. */
export interface StorageCapabilities {
  /** True if a read under a lock sees every write made before under that lock. A storage that is shared must be. */
  readonly coherent: boolean;
  /** What a resolved write has survived: the end of the program (`relaxed`; of a page, where the browser writes to disk later), power loss (`strict`), or neither (`none`). */
  readonly durability: 'none' | 'relaxed' | 'strict';
  /** Who else may use the same records. Locks must reach as far. */
  readonly reach: Reach;
  /** Bytes that all records together may have, where the medium sets a narrow bound (cookies); left out where it is wide. */
  readonly capacity?: number;
}

/** This program; every tab and worker of an origin; every program of a machine. */
export type Reach = 'process' | 'origin' | 'machine';

/**
 * Where records live. Every method may reject; the store reports it as `storage_failed` or, on opening, goes on in memory.
 * An adapter that passes the contract suite of `rx-credentials/testing` is complete.
 */
export interface CredentialStorage {
  /** Separates the records of several stores in one place, and names locks and channels. */
  readonly namespace: string;
  /** True for a medium that must not hold tokens in the clear (6750-5): a store takes it only inside `sealed(…)`. */
  readonly needsSealing?: boolean;
  /** True if others may have records here that `readAll` does not show: those of another tab's session, or of another path. */
  readonly isPartial?: boolean;
  /**
   * `false` for what programs use that end soon, or that leave a session to others: no refresh token is sent where this cannot be written down first
   * (RF-3), as its answer would be kept in memory alone, and be gone with the program. Else it is sent (RF-15).
   */
  readonly sendsUnstored?: boolean;
  open(): Promise<StorageCapabilities>;
  /** The value stored under the id, `undefined` if there is none. */
  read(id: string): Promise<unknown>;
  readAll(): Promise<readonly StoredEntry[]>;
  /**
   * Writes the record in one step if the stored one has the revision named, or if there is none (`'absent'`).
   * Resolves when the write has committed; `false` if the condition did not hold and nothing was written.
   *
   * @param isPassing the write must survive the end of the program, but not a loss of power, after which it would mean nothing. May be ignored
   */
  write(record: StoredRecord, condition: number | 'absent', isPassing?: boolean): Promise<boolean>;
  /** Removes what is stored under the id if it has the revision named; `'any'` removes whatever it is, unreadable values too. */
  remove(id: string, condition: number | 'any'): Promise<boolean>;
  /** A lock that reaches as far as the storage does. Without it the store uses the platform's. */
  withLock?<T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Calls back with the id after each write of another user of the same storage. Without it the store uses a channel of the platform. */
  watch?(listener: (id: string) => void): () => void;
  /**
   * The record with its secrets in the clear; one that was never sealed comes back as it is. Only storages that seal have it: their
   * `read` and `readAll` return secrets as `{ sealed: text }`, and `write` seals what is in the clear and leaves sealed text alone. What lies in a
   * medium that needs sealing they open at once; in what they cannot open, `refused` says why.
   *
   * @throws {StorageError} `key_lost`: the key is gone for good; `seal_broken`: the record was edited, swapped or damaged;
   * `storage_failed`: the key could not be read this time
   */
  unseal?(record: StoredRecord): Promise<unknown>;
  /**
   * Loads whatever `write` needs besides the medium. The store calls it after a start, and before it sends a refresh token that is stored: if it
   * rejects nothing is sent, and it is tried again later. For what passes; a medium that cannot be written to is no reason to reject.
   */
  prepare?(): Promise<void>;
  /** Lets go of what no record needs any more, such as old keys. The store calls it at a start and after `clear`, under its lock. */
  sweep?(): Promise<void>;
  close(): Promise<void>;
}

/** The revision of a stored value; `undefined` for what is no record. */
export function revisionOf(value: unknown): number | undefined {
  return typeof value === 'object' && value !== null && 'revision' in value && typeof value.revision === 'number'
    ? value.revision
    : undefined;
}

/** Why a storage that seals could not open a value that it gives; `undefined` where it could, or was not asked to. */
export function refusalOf(value: unknown): string | undefined {
  const { refused } = Object(value) as { readonly refused?: unknown };
  return REFUSALS.find((code) => code === refused);
}

const REFUSALS: readonly string[] = ['seal_broken', 'key_lost', 'storage_failed'];

/** True if a write or removal with this condition may go on over the stored value. */
export function conditionHolds(stored: unknown, condition: number | 'absent' | 'any'): boolean {
  if (condition === 'any') return true;
  return condition === 'absent' ? stored === undefined || stored === null : revisionOf(stored) === condition;
}

/** Tells all of a change. What a listener throws is its own affair: it costs neither the write nor the others (E34). */
export function tellAll<Change extends readonly unknown[]>(listeners: Iterable<(...change: Change) => void>, ...change: Change): void {
  for (const listener of listeners) {
    try {
      listener(...change);
    } catch {
      // the change has happened
    }
  }
}
