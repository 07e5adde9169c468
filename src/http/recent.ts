/**
 * What is remembered for a minute.
 *
 * @module
 */
import type { Platform } from '../platform/platform.js';

/** How long, in milliseconds. */
const MINUTE_MS = 60_000;

/** Values by key, each for a minute. */
export interface Recent<T> {
  get(key: string): T | undefined;
  /** True where certainly nothing is remembered. */
  isEmpty(): boolean;
  /** Remembers until `forMs` milliseconds from now; default: a minute. */
  set(key: string, value: T, forMs?: number): void;
}

/**
 * Remembers nothing yet. Age alone ends what is remembered: were the oldest dropped for the number of keys, a store of many credentials
 * would remember nothing at all. What is over is let go of once a minute at most, so that a key costs the same among however many.
 *
 * @param maxKept for values that a server can fill: of more than these the oldest go
 */
export function createRecent<T>({ monotonicNow }: Pick<Platform, 'monotonicNow'>, maxKept: number = Infinity): Recent<T> {
  const kept = new Map<string, { readonly value: T; readonly until: number }>();
  let sweepAt = -Infinity;
  let emptyAt = -Infinity;
  return {
    get: (key) => {
      const found = kept.get(key);
      if (found && found.until > monotonicNow()) return found.value;
      kept.delete(key);
      return undefined;
    },
    isEmpty: () => emptyAt <= monotonicNow(),
    set: (key, value, forMs = MINUTE_MS) => {
      kept.delete(key); // so that it is the youngest
      const now = monotonicNow();
      kept.set(key, { value, until: now + forMs });
      emptyAt = Math.max(emptyAt, now + forMs);
      for (const oldest of kept.keys()) {
        if (kept.size <= maxKept) break;
        kept.delete(oldest);
      }
      if (now < sweepAt) return;
      sweepAt = now + MINUTE_MS;
      for (const [known, { until }] of kept) if (until <= now) kept.delete(known);
    },
  };
}
