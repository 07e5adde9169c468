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
    withLock: (name, run) => {
      const before = tails.get(name) ?? Promise.resolve();
      const mine = before.then(run, run);
      const tail = mine.then(
        () => undefined,
        () => undefined,
      );
      tails.set(name, tail);
      void tail.then(() => tails.get(name) === tail && tails.delete(name));
      return mine;
    },
  };
}
