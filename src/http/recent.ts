/**
 * What is remembered for a minute.
 *
 * @module
 */
import type { Platform } from '../platform/platform.js';

/** How long, in milliseconds. */
const MINUTE_MS = 60_000;
/** More than this are not kept; the oldest go first. */
const MAX_KEPT = 200;

/** Values by key, each for a minute. */
export interface Recent<T> {
  get(key: string): T | undefined;
  /** Remembers until `forMs` milliseconds from now; default: a minute. */
  set(key: string, value: T, forMs?: number): void;
}

/** Remembers nothing yet. */
export function createRecent<T>({ monotonicNow }: Pick<Platform, 'monotonicNow'>): Recent<T> {
  const kept = new Map<string, { readonly value: T; readonly until: number }>();
  return {
    get: (key) => {
      const found = kept.get(key);
      if (found && found.until > monotonicNow()) return found.value;
      kept.delete(key);
      return undefined;
    },
    set: (key, value, forMs = MINUTE_MS) => {
      kept.delete(key); // so that it is the youngest
      const now = monotonicNow();
      kept.set(key, { value, until: now + forMs });
      for (const [oldest, { until }] of kept) if (until <= now || kept.size > MAX_KEPT) kept.delete(oldest);
    },
  };
}
