/**
 * The lock of a refresh, and when it is let go: as soon as the refresh has ended; later, if what it brought could not be written yet;
 * at once, if the page freezes and could keep everybody waiting (RF-16).
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import type { StoreLocks } from './store-locks.js';
import type { Writing } from './writing.js';

/** How long a caller waits while another holds the lock: longer than any refresh takes (E9). In steps, since a program may sleep meanwhile. */
const PATIENCE_STEP_MS = 10_000;
const PATIENCE_STEPS = 12;
/** Who waits when the store is closed waits this much longer, in milliseconds. */
const LAST_PATIENCE_MS = 5_000;
/** A lock is no longer waited for than this until it is free, in milliseconds: whatever it says, the refresh has ended (RF-15). */
const FREEING_MS = 2_000;
/** A frozen page runs no timer. If one fires after this long, in milliseconds, the page runs and nobody has said so. */
export const STILL_RUNS_MS = 1_000;

/** What the locks need of the store around them. */
export interface RefreshLocksContext {
  readonly withLock: StoreLocks['withLock'];
  readonly writing: Pick<Writing, 'isWaiting'>;
  readonly platform: Pick<Platform, 'setTimer'>;
}

/** The locks of one store. */
export interface RefreshLocks {
  /**
   * Runs a refresh alone among all tabs. When this ends, the lock is free or kept. `isParked` turns true once the lock is gone though the
   * refresh has not ended. Who waits for the lock is served without it as soon as `early` has something: sending needs a lock, reading does not.
   *
   * @throws {CredentialError} `timeout`: another holds the lock for longer than any refresh takes; `lock_unavailable`
   */
  alone<T>(id: string, run: (isParked: () => boolean) => Promise<T>, early: () => T | undefined): Promise<T>;
  /** Somebody else has renewed the token. */
  look(id: string): void;
  /** The page is about to stand still: all locks are free, and nothing begins before `resume` (RF-11, RF-16). */
  freeze(): void;
  resume(): void;
  /** Frees the locks that were kept for what had to be written. */
  letGo(): void;
  /** The store closes: who has no lock yet waits no longer than five seconds. */
  hurry(): void;
  /** Frees all locks; resolves when they are free. */
  close(): Promise<void>;
}

interface Hold {
  isParked: boolean;
  /** True once the refresh has ended, and the lock is kept for its record. */
  isIdle: boolean;
  readonly release: () => void;
  /** Settles when the lock is free for others, too. */
  readonly freed: Promise<void>;
}

/** Locks that are not held yet. */
export function createRefreshLocks({ withLock, writing, platform }: RefreshLocksContext): RefreshLocks {
  const holds = new Map<string, Hold>();
  const freeing = new Set<Promise<void>>(); // given back, by whomever, and not free for others yet
  let thawing: { readonly done: Promise<void>; readonly end: () => void } | undefined;
  let cancelThaw = (): void => undefined;
  let hurried = false;
  const waiting = new Set<Patience>();
  const pending = new Map<AbortController, { readonly id: string; readonly look: () => void }>();

  const letGo = (): void => {
    for (const [id, hold] of holds) if (hold.isIdle && !writing.isWaiting(id)) hold.release();
  };
  const untilFree = (freed: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const cancel = platform.setTimer(resolve, FREEING_MS, true);
      void freed.finally(cancel).then(resolve);
    });
  const runUnder = async <T>(id: string, hold: Hold, run: (isParked: () => boolean) => Promise<T>): Promise<T> => {
    hold.isIdle = false;
    try {
      return await run(() => hold.isParked);
    } finally {
      hold.isIdle = true;
      letGo();
      if (holds.get(id) !== hold) await untilFree(hold.freed); // a program that ends when it hears of it must leave no lock behind
    }
  };
  const resume = (): void => {
    cancelThaw();
    thawing?.end();
    thawing = undefined;
  };
  /** Runs once under the lock; `null`: the page froze before the lock was granted. */
  const attempt = <T>(
    id: string,
    run: (isParked: () => boolean) => Promise<T>,
    early: () => T | undefined,
    patience: Patience,
  ): Promise<{ readonly value: T } | null> =>
    new Promise((resolve, reject) => {
      const abort = new AbortController();
      const onAbort = (): void => resolve(null);
      abort.signal.addEventListener('abort', onAbort);
      const look = (): void => {
        const value = early();
        if (value === undefined) return;
        resolve({ value });
        abort.abort();
      };
      patience.onEnd((error) => {
        reject(error);
        abort.abort(); // nobody asks for it any more: a lock file would be looked at for ever
      });
      if (abort.signal.aborted) return; // it ended while the page was frozen
      pending.set(abort, { id, look });
      let isGranted = false;
      let free = (): void => undefined;
      const freed = new Promise<void>((resolve) => (free = resolve));
      const locked = (): Promise<void> =>
        new Promise((giveBack) => {
          isGranted = true;
          pending.delete(abort);
          const letOthers = (): void => {
            freeing.add(freed);
            giveBack();
          };
          if (abort.signal.aborted) return letOthers(); // nobody waits for it any more
          patience.end();
          const hold: Hold = {
            isParked: false,
            isIdle: false,
            release: () => {
              if (holds.get(id) === hold) holds.delete(id);
              letOthers();
            },
            freed,
          };
          holds.set(id, hold);
          runUnder(id, hold, run).then((value) => resolve({ value }), reject);
        });
      withLock(`refresh:${id}`, locked, abort.signal)
        .catch((error: unknown) => isGranted || reject(error as Error)) // what a browser says of a lock that was granted is no answer
        .finally(() => {
          pending.delete(abort);
          freeing.delete(freed);
          free();
        });
    });
  return {
    alone: async (id, run, early) => {
      const patience = startPatience(platform);
      waiting.add(patience);
      if (hurried) patience.hurry();
      try {
        for (;;) {
          await thawing?.done;
          const kept = holds.get(id);
          if (kept) return await runUnder(id, kept, run); // this store has it still
          const done = await attempt(id, run, early, patience);
          if (done) return done.value;
        }
      } finally {
        waiting.delete(patience);
        patience.end();
      }
    },
    look: (id) => {
      for (const waiter of pending.values()) if (waiter.id === id) waiter.look();
    },
    freeze: () => {
      for (const hold of holds.values()) {
        hold.isParked = true;
        hold.release();
      }
      for (const abort of pending.keys()) abort.abort(); // a lock that is granted to a frozen page keeps everybody waiting
      if (thawing) return;
      let end = (): void => undefined;
      const done = new Promise<void>((resolve) => (end = resolve));
      thawing = { done, end };
      cancelThaw = platform.setTimer(resume, STILL_RUNS_MS);
    },
    resume,
    letGo,
    hurry: () => {
      hurried = true;
      resume();
      for (const patience of waiting) patience.hurry();
    },
    close: async () => {
      resume();
      for (const hold of [...holds.values()]) hold.release();
      await Promise.all([...freeing].map(untilFree));
    },
  };
}

/** How long a caller waits for the lock. */
interface Patience {
  /** Calls back when it comes to its end; at once if it has. */
  onEnd(giveUp: (error: CredentialError) => void): void;
  /** The waiting is over. */
  end(): void;
  hurry(): void;
}

function startPatience(platform: Pick<Platform, 'setTimer'>): Patience {
  let left = PATIENCE_STEPS;
  let isOver = false;
  let ended: CredentialError | undefined;
  let giveUp = (_: CredentialError): void => undefined;
  let cancel = (): void => undefined;
  const arm = (ms: number): void => {
    cancel();
    cancel = platform.setTimer(() => {
      if (--left > 0) return arm(PATIENCE_STEP_MS);
      const what = 'Another tab or process has been renewing the token for too long; try again.';
      giveUp((ended = new CredentialError('timeout', what, { class: 'transient' })));
    }, ms);
  };
  arm(PATIENCE_STEP_MS);
  return {
    onEnd: (next) => {
      giveUp = next;
      if (ended) next(ended);
    },
    end: () => {
      isOver = true;
      cancel();
    },
    hurry: () => {
      if (isOver || ended) return;
      left = 1;
      arm(LAST_PATIENCE_MS);
    },
  };
}
