// A platform of which a test owns every part: two clocks that move only when told, timers that fire only when time passes, and a fetch of the test's own.
import type { Page, Platform } from '../../src/platform/platform';

/** 2026-01-01T00:00:00Z */
export const START_MS = 1_767_225_600_000;

export interface UnitPlatform extends Platform {
  /** Moves both clocks and fires the timers that come due, each at its time. */
  advance(ms: number): void;
  /** Moves both clocks, and no timer fires: the program stands still. `advance(0)` fires what has come due meanwhile. */
  sleep(ms: number): void;
  /** Moves the wall clock alone, as a user or a time server does. */
  jump(ms: number): void;
  /** Delays of the timers that wait. */
  timers(): readonly number[];
}

export interface UnitPlatformOptions {
  readonly fetch?: typeof fetch;
  readonly page?: Page;
  readonly crypto?: Crypto;
}

export function unitPlatform(options: UnitPlatformOptions = {}): UnitPlatform {
  let now = START_MS;
  let monotonic = 5_000;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  const sleep = (ms: number): void => {
    now += Math.max(0, ms); // a timer that is late was due before
    monotonic += Math.max(0, ms);
  };
  return {
    fetch: options.fetch ?? (() => Promise.reject(new Error('this test planned no request'))),
    now: () => now,
    monotonicNow: () => monotonic,
    setTimer: (callback, delayMs) => {
      const timer = { at: monotonic + delayMs, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    crypto: 'crypto' in options ? (options.crypto as Crypto) : globalThis.crypto,
    page: options.page,
    advance: (ms) => {
      const target = monotonic + ms;
      for (;;) {
        const due = [...timers].filter(({ at }) => at <= target).sort((a, b) => a.at - b.at)[0];
        sleep((due?.at ?? target) - monotonic);
        if (!due) break;
        timers.delete(due);
        due.callback();
      }
    },
    sleep,
    jump: (ms) => {
      now += ms;
    },
    timers: () => [...timers].map(({ at }) => at - monotonic),
  };
}

/** A page whose address can be read back, with a session storage of its own. */
export function fakePage(url: string, { blocked = false } = {}): Page & { readonly replaced: readonly string[]; readonly items: Storage } {
  let current = url;
  let state: Readonly<Record<string, unknown>> | null = null;
  const replaced: string[] = [];
  const items = fakeStorage();
  return {
    url: () => current,
    replaceUrl: (next, note) => {
      replaced.push(next);
      current = next;
      if (!note) return undefined;
      const found = state;
      const written = (state = { ...found, ...note });
      return () => void (state === written && (state = found));
    },
    entryState: () => state,
    sessionItems: () => (blocked ? undefined : items),
    replaced,
    items,
  };
}

/** Web storage in memory. */
export function fakeStorage(): Storage {
  const items = new Map<string, string>();
  return {
    get length() {
      return items.size;
    },
    clear: () => items.clear(),
    getItem: (key) => items.get(key) ?? null,
    key: (index) => [...items.keys()][index] ?? null,
    removeItem: (key) => void items.delete(key),
    setItem: (key, value) => void items.set(key, value),
  };
}

/** Lets every promise that can settle do so; no time passes. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** What a promise comes to while time passes: a refresh that is not answered is sent three times, with pauses. Fails after 10 s. */
export async function inTime<T>(platform: UnitPlatform, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const note = (): void => void (isSettled = true);
  promise.then(note, note);
  for (let ms = 0; ms < 10_000; ms += 500) {
    await settled();
    if (isSettled) return promise;
    platform.advance(500);
  }
  throw new Error('nothing has come of it');
}
