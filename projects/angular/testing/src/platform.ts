/**
 * A platform whose time moves when the test says so, without a network.
 *
 * @module
 */
import { defaultPlatform } from 'rx-credentials';
import type { Platform } from 'rx-credentials';

/** The platform of a test. */
export interface TestPlatform {
  readonly platform: Platform;
  /** How many timers wait. */
  timers(): number;
  /** Moves time by milliseconds and fires what is due, in order; after each, what follows from it has its `turn`. */
  advance(ms: number, turn: () => Promise<void>): Promise<void>;
}

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** @param startMs what the clock shows at first, in epoch milliseconds */
export function createTestPlatform(startMs: number): TestPlatform {
  const timers = new Set<Timer>();
  const items = createItems();
  let elapsed = 0;
  const platform: Platform = {
    fetch: () => Promise.reject(new Error('rx-credentials-angular/testing has no network; nothing should have asked for it')),
    now: () => startMs + elapsed,
    monotonicNow: () => elapsed,
    setTimer: (callback, delayMs) => {
      const timer: Timer = { at: Math.ceil(elapsed + delayMs), callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    crypto: defaultPlatform().crypto,
    page: { url: () => 'https://application.test/', replaceUrl: () => undefined, sessionItems: () => items },
  };
  return {
    platform,
    timers: () => timers.size,
    advance: async (ms, turn) => {
      const target = elapsed + ms;
      for (;;) {
        const due = [...timers].filter(({ at }) => at <= target).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        elapsed = Math.max(elapsed, due.at);
        timers.delete(due);
        due.callback();
        await turn();
      }
      elapsed = target;
    },
  };
}

/** The session storage of the page. */
function createItems(): Storage {
  const items = new Map<string, string>();
  return {
    get length() {
      return items.size;
    },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
    clear: () => items.clear(),
  };
}
