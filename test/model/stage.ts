// A browser in which the order of everything is drawn by lot: each call of the storage, each lock that is granted, each message, each request
// and each answer waits on a list, and the play takes one of them at a time. Tabs crash and freeze. Time passes only when nothing else can happen.
import type { Channel, LifecycleEvent, Platform } from '../../src/platform/platform.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { createFakeDisk, type FakeDisk } from '../support/fake-disk.js';
import { settle } from '../support/fake-platform.js';

/** One tab as the browser sees it. */
export interface Page {
  readonly platform: Platform;
  readonly storage: CredentialStorage;
  isDead(): boolean;
  isFrozen(): boolean;
  /** The page is told, and then nothing of it runs; what comes for it waits. */
  freeze(): void;
  wake(): void;
  /** Nothing of it ever runs again: its locks are free, its requests may still be on their way. */
  crash(): void;
  /** Its writes fail, or do not. */
  setFull(isFull: boolean): void;
}

/** What travels on the network of a page. */
export type Wire = (url: string, init: RequestInit, page: Page) => Promise<Response>;

export interface Stage {
  readonly disk: FakeDisk;
  openPage(wire: Wire): Page;
  now(): number;
  /** From now on the order is drawn by lot; before, everything happens at once. */
  shuffle(): void;
  /** Something that happens later, whatever becomes of the page. */
  later<T>(effect: () => T | Promise<T>): Promise<T>;
  /** Hands something to a page: never if it is dead, when it wakes if it is frozen. */
  reach(page: Page, arrive: () => void): void;
  /** Which page has a lock. */
  holderOf(lock: string): Page | undefined;
  /** One thing happens. False if nothing can. */
  step(): Promise<boolean>;
  /** Everything happens, also what is due within so many milliseconds. */
  exhaust(ms: number): Promise<void>;
}

interface Timer {
  readonly at: number;
  readonly isAwaited: boolean;
  readonly isIdle: () => boolean;
  readonly fire: () => void;
}

interface LockRequest {
  readonly page: Page;
  readonly grant: () => void;
}

/** What a browser would have to break for a play to go wrong. */
export type StageFlaw = 'grants every lock at once' | 'writes whatever the condition';

/** @param random numbers from 0 to below 1 */
export function createStage(random: () => number, flaw?: StageFlaw): Stage {
  const disk = createFakeDisk();
  const tasks: (() => void)[] = [];
  const timers = new Set<Timer>();
  const ports = new Set<{ readonly name: string; readonly page: Page; readonly hear: (message: unknown) => void }>();
  const locks = new Map<string, { holder: LockRequest | null; readonly queue: LockRequest[] }>();
  const backlogs = new Map<Page, (() => void)[]>();
  const startMs = Date.UTC(2026, 0, 1);
  let monotonic = 1_000;
  let isShuffled = false;

  const soon = (task: () => void): void => void (isShuffled ? tasks.push(task) : task());
  const later: Stage['later'] = (effect) =>
    new Promise((resolve, reject) => soon(() => void (async () => effect())().then(resolve, reject)));
  const reach: Stage['reach'] = (page, arrive) => {
    if (page.isDead()) return;
    if (page.isFrozen()) backlogs.get(page)?.push(arrive);
    else arrive();
  };
  /** An answer for a page. What a dead one still asks for is not heard. */
  const answer = <T>(page: Page, effect: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      if (page.isDead()) return;
      later(effect).then(
        (value) => reach(page, () => resolve(value)),
        (error: Error) => reach(page, () => reject(error)),
      );
    });

  const pass = (name: string): void => {
    const lock = locks.get(name);
    const next = lock?.queue.shift();
    if (!lock || !next) return;
    lock.holder = next;
    soon(() => reach(next.page, next.grant));
  };
  const release = (name: string, request: LockRequest): void => {
    const lock = locks.get(name);
    if (lock?.holder !== request) return;
    lock.holder = null;
    pass(name);
  };
  const withLock = <T>(page: Page, name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
    new Promise((resolve, reject) => {
      if (page.isDead()) return;
      if (flaw === 'grants every lock at once') return soon(() => reach(page, () => void run().then(resolve, reject)));
      const lock = locks.get(name) ?? { holder: null, queue: [] };
      locks.set(name, lock);
      const request: LockRequest = {
        page,
        grant: () => {
          const running = (async () => run())();
          running.then(resolve, reject).finally(() => release(name, request));
        },
      };
      signal?.addEventListener('abort', () => {
        const place = lock.queue.indexOf(request);
        if (place < 0) return;
        lock.queue.splice(place, 1);
        reach(page, () => reject(new DOMException('The request was aborted.', 'AbortError')));
      });
      lock.queue.push(request);
      if (!lock.holder) pass(name);
    });

  const fireNext = (until: number, isWanted: (timer: Timer) => boolean): boolean => {
    const due = [...timers].filter((timer) => timer.at <= until && !timer.isIdle() && isWanted(timer)).sort((a, b) => a.at - b.at)[0];
    if (!due) return false;
    monotonic = Math.max(monotonic, due.at);
    timers.delete(due);
    due.fire();
    return true;
  };
  const takeOne = async (): Promise<boolean> => {
    await settle();
    if (tasks.length === 0) await settle();
    const [task] = tasks.splice(Math.floor(random() * tasks.length), 1);
    task?.();
    return task !== undefined;
  };

  const openPage: Stage['openPage'] = (wire) => {
    const listeners = new Set<(event: LifecycleEvent) => void>();
    const mine = new Set<Timer>();
    let life: 'runs' | 'frozen' | 'dead' = 'runs';
    let isFull = false;
    const tell = (event: LifecycleEvent): void => [...listeners].forEach((listener) => listener(event));
    const storage = disk.storage();
    const writing = <T>(write: () => Promise<T>): Promise<T> =>
      answer(page, () => (isFull ? Promise.reject(new Error('the disk is full')) : write()));
    const page: Page = {
      platform: {
        fetch: (input, init = {}) =>
          new Promise((resolve, reject) => {
            if (life === 'dead') return;
            wire(input instanceof Request ? input.url : input.toString(), init, page).then(
              (response) => reach(page, () => resolve(response)),
              (error: Error) => reach(page, () => reject(error)),
            );
          }),
        now: () => startMs + monotonic,
        monotonicNow: () => monotonic,
        setTimer: (callback, delayMs, isAwaited = false) => {
          const fire = (): void => void (mine.delete(timer), callback());
          const timer: Timer = { at: monotonic + delayMs, isAwaited, isIdle: () => life !== 'runs', fire };
          if (life === 'dead') return () => undefined;
          timers.add(timer);
          mine.add(timer);
          return () => void (timers.delete(timer), mine.delete(timer));
        },
        crypto: drawn(random),
        locks: { reach: 'origin', withLock: (name, run, signal) => withLock(page, name, run, signal) },
        openChannel: (name, hear): Channel => {
          const port = { name, page, hear };
          ports.add(port);
          const post = (message: unknown): void => {
            if (life === 'dead') return;
            for (const other of ports) {
              const isHeard = other !== port && other.name === name && random() < 0.8; // messages may be lost (RF-12)
              if (isHeard) soon(() => reach(other.page, () => ports.has(other) && other.hear(structuredClone(message))));
            }
          };
          return { post, close: () => void ports.delete(port) };
        },
        lifecycle: (listener) => (listeners.add(listener), () => void listeners.delete(listener)),
      },
      storage: {
        ...storage,
        open: () => answer(page, () => storage.open()),
        read: (id) => answer(page, () => storage.read(id)),
        readAll: () => answer(page, () => storage.readAll()),
        write: (record, condition) =>
          writing(async () => {
            if (flaw !== 'writes whatever the condition') return storage.write(record, condition);
            disk.records.set(record.id, structuredClone(record));
            return true;
          }),
        remove: (id, condition) => writing(() => storage.remove(id, condition)),
      },
      isDead: () => life === 'dead',
      isFrozen: () => life === 'frozen',
      freeze: () => {
        if (life !== 'runs') return;
        tell('frozen');
        life = 'frozen';
        backlogs.set(page, []);
      },
      wake: () => {
        if (life !== 'frozen') return;
        life = 'runs';
        const waiting = backlogs.get(page) ?? [];
        const isToldFirst = random() < 0.5;
        if (isToldFirst) tell('resumed');
        for (const arrive of waiting) soon(() => reach(page, arrive));
        if (!isToldFirst) soon(() => reach(page, () => tell('resumed')));
      },
      crash: () => {
        life = 'dead';
        for (const timer of mine) timers.delete(timer);
        for (const port of ports) if (port.page === page) ports.delete(port);
        for (const [name, { holder, queue }] of locks) {
          queue.splice(0, queue.length, ...queue.filter((request) => request.page !== page));
          if (holder?.page === page) release(name, holder);
        }
      },
      setFull: (next) => void (isFull = next),
    };
    return page;
  };

  return {
    disk,
    openPage,
    now: () => startMs + monotonic,
    shuffle: () => void (isShuffled = true),
    later,
    reach,
    holderOf: (lock) => locks.get(lock)?.holder?.page,
    step: async () => (await takeOne()) || fireNext(Infinity, ({ isAwaited }) => isAwaited),
    exhaust: async (ms) => {
      const until = monotonic + ms;
      while ((await takeOne()) || fireNext(until, () => true));
      monotonic = Math.max(monotonic, until);
    },
  };
}

/** Randomness that comes again with its seed. */
function drawn(random: () => number): Platform['crypto'] {
  const getRandomValues = <T extends ArrayBufferView | null>(array: T): T => {
    if (array) for (let at = 0, bytes = new Uint8Array(array.buffer); at < bytes.length; at++) bytes[at] = Math.floor(random() * 256);
    return array;
  };
  return { getRandomValues, subtle: globalThis.crypto.subtle, randomUUID: () => globalThis.crypto.randomUUID() };
}
