/**
 * Locks that reach as far as this object: for storages that live in one process.
 *
 * @module
 */
import type { Locks } from './platform.js';

/** A queue per name; whoever comes later runs after everyone before has settled. */
export function inProcessLocks(): Locks {
  const tails = new Map<string, Promise<unknown>>();
  return {
    reach: 'process',
    withLock: (name, run, signal) =>
      leaving(signal, (stay) => {
        const begin = (): ReturnType<typeof run> => {
          signal?.throwIfAborted();
          stay();
          return run();
        };
        const mine = (tails.get(name) ?? Promise.resolve()).then(begin, begin);
        const tail = mine.then(
          () => undefined,
          () => undefined,
        );
        tails.set(name, tail);
        void tail.then(() => tails.get(name) === tail && tails.delete(name));
        return mine;
      }),
  };
}

/** Rejects as soon as the signal is aborted, wherever `wait` is then. Once that has called `stay` it is waited for, whatever becomes of the signal. */
export function leaving<T>(signal: AbortSignal | undefined, wait: (stay: () => void) => Promise<T>): Promise<T> {
  if (!signal) return wait(() => undefined);
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    const stay = (): void => signal.removeEventListener('abort', leave);
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave);
    wait(stay).finally(stay).then(resolve, reject);
  });
}
