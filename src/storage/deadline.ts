/**
 * Bounds for what may never answer: a blocked database, a driver that hangs, a lock whose holder is frozen (RF-15: reject, never hang).
 *
 * @module
 */
import { StorageError } from '../errors.js';
import { countdown } from '../platform/countdown.js';
import type { Locks, Platform } from '../platform/platform.js';

/** Milliseconds to wait until a lock is granted. A lock is held for one write of one record. */
const LOCK_MS = 10_000;

/**
 * The promise, or a rejection once the program has run for `limitMs`. What the promise does afterwards is ignored.
 *
 * @throws {StorageError} `storage_failed` with the message
 */
export function within<T>(platform: Pick<Platform, 'setTimer'>, limitMs: number, message: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = countdown(platform, limitMs, () => reject(new StorageError('storage_failed', message)));
    promise.finally(cancel).then(resolve, reject);
  });
}

/**
 * The locks that a storage shared by tabs cannot do without.
 *
 * @throws {StorageError} `lock_unavailable`
 */
export function requireLocks({ locks }: Pick<Platform, 'locks'>): Locks {
  if (locks) return locks;
  throw new StorageError(
    'lock_unavailable',
    'There are neither Web Locks here (navigator.locks) nor IndexedDB in their place: use https, or a storage that tabs do not share.',
  );
}

/**
 * Runs a callback alone among all tabs of the origin. A lock that is granted too late runs nothing: its caller was told of the failure.
 *
 * @throws {StorageError} `lock_unavailable` without any locks; `storage_failed` if the lock is not granted within 10 s
 */
export async function exclusively<T>(platform: Pick<Platform, 'setTimer' | 'locks'>, name: string, run: () => Promise<T>): Promise<T> {
  const locks = requireLocks(platform);
  return new Promise<T>((resolve, reject) => {
    let late = false;
    const cancel = countdown(platform, LOCK_MS, () => {
      late = true;
      reject(new StorageError('storage_failed', 'Another tab holds the lock of a record for too long; try again.'));
    });
    locks
      .withLock(name, async () => {
        cancel();
        if (!late) resolve(await run());
      })
      .finally(cancel)
      .catch(reject);
  });
}
