// A browser without a browser: tabs that share a clock, locks and channels. Time moves when the test says so.
import type { Channel, LifecycleEvent, Locks, Platform } from '../../src/platform/platform.js';
import { isCryptoPending } from './pending-crypto';

/** A timer that has not fired. */
interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** What one tab still holds of its browser. */
export interface Holdings {
  readonly timers: number;
  readonly channels: number;
  readonly listeners: number;
}

/** The platform of one tab. Any request to the network is a failure: clients are fakes. */
export interface FakePlatform extends Platform {
  readonly locks: Locks;
  held(): Holdings;
  /** Delays of all timers that were ever set, in milliseconds. */
  readonly delays: readonly number[];
  /** Something happens to the page. */
  emit(event: LifecycleEvent): void;
  /** The device loses its network, or has it again and says so. */
  setOnline(isOnline: boolean): void;
}

/** Tabs of one origin. */
export interface FakeBrowser {
  openTab(): FakePlatform;
  now(): number;
  /** Moves time and fires what is due, in order; resolves once everything that follows has settled. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock alone, as a user or a time server does. */
  setClock(epochMs: number): void;
  /** Time passes on both clocks, and no timer fires: the page is frozen. */
  sleep(ms: number): void;
  /** Everything that was posted on any channel, with its name. */
  readonly posts: readonly { readonly channel: string; readonly message: unknown }[];
  /** Every lock name ever asked for. */
  readonly lockNames: readonly string[];
  /** Names of the locks held now. */
  readonly heldLocks: ReadonlySet<string>;
  /** What becomes of a posted message; default: it arrives once. A function gets what makes one tab hear it, to call when and as often as it likes. */
  setDelivery(delivery: 0 | 1 | 2 | ((arrive: () => void) => void)): void;
  /** Somebody else of the origin posts. */
  forge(channel: string, message: unknown): void;
}

/** More timers than this at one instant, and the program spins. */
const MAX_TIMERS_AT_ONCE = 3_000;

/** Everything that does not wait for a gate, a timer or an answer has happened when this resolves. */
export async function settle(): Promise<void> {
  do await new Promise<void>((resolve) => void (typeof setImmediate === 'function' ? setImmediate(resolve) : setTimeout(resolve, 0)));
  while (isCryptoPending());
}

export function createFakeBrowser(startMs = Date.UTC(2026, 0, 1)): FakeBrowser {
  let monotonic = 1_000;
  let offset = startMs - monotonic;
  let delivery: 0 | 1 | 2 | ((arrive: () => void) => void) = 1;
  const timers = new Set<Timer>();
  const ports = new Map<string, Set<(message: unknown) => void>>();
  const posts: { channel: string; message: unknown }[] = [];
  const lockNames: string[] = [];
  const heldLocks = new Set<string>();
  const queues = new Map<string, Promise<unknown>>();

  const withLock = <T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
    lockNames.push(name);
    let isGranted = false;
    const gaveUp = new Promise<never>((_, reject) => {
      const giveUp = (): void => void (isGranted || reject(new DOMException('The waiting for the lock was ended.', 'AbortError')));
      if (signal?.aborted) giveUp();
      signal?.addEventListener('abort', giveUp);
    });
    const mine = (queues.get(name) ?? Promise.resolve()).then(async () => {
      if (signal?.aborted) return gaveUp;
      isGranted = true; // from now on a signal changes nothing
      heldLocks.add(name);
      try {
        return await run();
      } finally {
        heldLocks.delete(name);
      }
    });
    queues.set(
      name,
      mine.catch(() => undefined),
    );
    return Promise.race([mine, gaveUp]);
  };
  const deliver = (name: string, message: unknown, from?: (message: unknown) => void): void => {
    posts.push({ channel: name, message: structuredClone(message) });
    const receivers = [...(ports.get(name) ?? [])].filter((port) => port !== from);
    for (const port of receivers) {
      const arrive = (): void => void (ports.get(name)?.has(port) && port(structuredClone(message)));
      if (typeof delivery === 'function') delivery(arrive);
      else for (let times = 0; times < delivery; times++) queueMicrotask(arrive);
    }
  };

  return {
    openTab: () => {
      const mine = new Set<Timer>();
      const delays: number[] = [];
      const listeners = new Set<(event: LifecycleEvent) => void>();
      let channels = 0;
      let online = true;
      const emit = (event: LifecycleEvent): void => [...listeners].forEach((listener) => listener(event));
      return {
        fetch: () => Promise.reject(new Error('unplanned request')),
        now: () => monotonic + offset,
        monotonicNow: () => monotonic,
        setTimer: (callback, delayMs) => {
          if (!(delayMs >= 0 && delayMs <= 2_147_483_647)) throw new RangeError(`a timer of ${delayMs} ms fires at once`);
          delays.push(delayMs);
          const timer: Timer = { at: Math.ceil(monotonic + delayMs), callback: () => (mine.delete(timer), callback()) };
          timers.add(timer);
          mine.add(timer);
          // No time has to pass for it, only the turn of whoever is waiting
          if (delayMs === 0) void settle().then(() => void (timers.delete(timer) && timer.callback()));
          return () => void (timers.delete(timer), mine.delete(timer));
        },
        crypto: globalThis.crypto,
        locks: { reach: 'origin', withLock },
        openChannel: (name, onMessage): Channel => {
          const port = (message: unknown): void => onMessage(message);
          const all = ports.get(name) ?? new Set();
          ports.set(name, all.add(port));
          channels++;
          return { post: (message) => deliver(name, message, port), close: () => void (all.delete(port) && channels--) };
        },
        lifecycle: (listener) => (listeners.add(listener), () => void listeners.delete(listener)),
        held: () => ({ timers: mine.size, channels, listeners: listeners.size }),
        delays,
        isOnline: () => online,
        emit,
        setOnline: (isOnline) => {
          online = isOnline;
          if (isOnline) emit('online');
        },
      };
    },
    now: () => monotonic + offset,
    advance: async (ms) => {
      const target = monotonic + ms;
      for (let atOnce = 0; ; atOnce++) {
        await settle();
        const due = [...timers].filter((timer) => timer.at <= target).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        if (due.at > monotonic) atOnce = 0;
        if (atOnce > MAX_TIMERS_AT_ONCE) throw new Error('timers fire again and again, and no time passes');
        monotonic = Math.max(monotonic, due.at);
        timers.delete(due);
        due.callback();
      }
      monotonic = target;
      await settle();
    },
    sleep: (ms) => void (monotonic += ms),
    setClock: (epochMs) => (offset = epochMs - monotonic),
    posts,
    lockNames,
    heldLocks,
    setDelivery: (next) => (delivery = next),
    forge: (channel, message) => deliver(channel, message),
  };
}
