/**
 * The locks that all stores over one storage share: the storage's own, or those of the platform. A lock is somebody else's code, in a browser or
 * a server that may fail at any step: whatever it says, what runs under it runs once, and its result is what counts.
 *
 * @module
 */
import { causeOf, CredentialError, isCredentialError, StorageError } from '../errors.js';
import { countdown } from '../platform/countdown.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage } from '../storage/storage.js';

/** Waiting is over after this long, in milliseconds: a tab that was frozen may hold a lock for ever. */
const PATIENCE_MS = 30_000;

/** What the locks need of the store around them. */
export interface StoreLocksContext {
  readonly storageOf: () => CredentialStorage;
  readonly platform: Pick<Platform, 'locks' | 'setTimer'>;
}

/** The locks of one store. */
export interface StoreLocks {
  /**
   * Runs alone among all that use this name. `signal` ends the waiting where the lock knows how.
   *
   * @throws {StorageError} `lock_unavailable`: there is no lock, or it failed; nothing was run
   */
  readonly withLock: <T>(name: string, run: () => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** The same for who waits no longer than 30 s. @throws {CredentialError} `timeout`: nothing was run, and nothing will be */
  readonly alone: <T>(name: string, run: () => Promise<T>) => Promise<T>;
  /**
   * The same, but without the lock where it is not to be had in so many milliseconds, whatever it makes of a signal: who signs in or out waits
   * for no frozen tab (E47). If the lock is had, it is free again when this ends, or the time is up.
   */
  readonly aloneInTime: <T>(name: string, limitMs: number, run: () => Promise<T>) => Promise<T>;
}

export function createStoreLocks({ storageOf, platform }: StoreLocksContext): StoreLocks {
  const withLock: StoreLocks['withLock'] = async <T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
    const storage = storageOf();
    const locks = storage.withLock ? { withLock: storage.withLock.bind(storage) } : platform.locks;
    if (!locks) throw new StorageError('lock_unavailable', 'This storage needs locks, and the platform has none.');
    let begun: Promise<T> | undefined;
    try {
      await locks.withLock(`${storage.namespace}:${name}`, () => (begun ??= run()), signal);
    } catch (error) {
      if (!begun) throw isCredentialError(error) || signal?.aborted ? error : failed(error);
    }
    return begun ?? Promise.reject(failed(undefined));
  };
  return {
    withLock,
    alone: <T>(name: string, run: () => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        const late = new AbortController();
        const cancel = countdown(platform, PATIENCE_MS, () => {
          late.abort();
          reject(new CredentialError('timeout', 'Another tab or process holds a lock for too long; try again.', { class: 'transient' }));
        });
        const begin = async (): Promise<T> => {
          cancel();
          late.signal.throwIfAborted();
          return run();
        };
        withLock(name, begin, late.signal).finally(cancel).then(resolve, reject);
      }),
    aloneInTime: <T>(name: string, limitMs: number, run: () => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        const late = new AbortController();
        let begun: Promise<T> | undefined;
        const begin = (): Promise<T> => (begun ??= run());
        const end = (): void => void begin().then(resolve, reject).finally(cancel);
        const giveUp = (): void => {
          if (!begun) late.abort();
          end();
        };
        const cancel = countdown(platform, limitMs, giveUp, true);
        withLock(name, begin, late.signal).then(end, end);
      }),
  };
}

function failed(error: unknown): StorageError {
  return new StorageError('lock_unavailable', `The lock of the storage failed${causeOf(error)}; nothing was done.`);
}
