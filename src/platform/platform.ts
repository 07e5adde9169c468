/**
 * Everything ambient, as one object that is passed in. `defaultPlatform()` is the only place of this package that touches globals:
 * late, so that fakes and lazily granted features work, and never at import.
 *
 * @module
 */
import type * as HiddenFrame from './hidden-frame.js';
import { notLoaded, StorageError } from '../errors.js';

/** Runs a callback alone among all who use the same name. The lock ends when the callback's promise settles. */
export interface Locks {
  /** How far the exclusion reaches: this program, or every tab and worker of an origin. */
  readonly reach: 'process' | 'origin';
  /** `signal` ends the waiting: then it rejects, and `run` is never called. Where that is not possible it may be ignored. */
  withLock<T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** A broadcast among the tabs of an origin, or the programs of a process. */
export interface Channel {
  post(message: unknown): void;
  close(): void;
}

/**
 * What happens to the program as a whole. `frozen`: nothing of it may run for a while, and what it has open may block others; `resumed`:
 * it runs again.
 */
export type LifecycleEvent = 'visible' | 'online' | 'frozen' | 'resumed';

/** What is used of `sessionStorage` and `localStorage`: the type `Storage` is unknown to programs without the library of the DOM, as in workers. */
export interface WebItems {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** The page a program runs in; absent on servers and in workers. */
export interface Page {
  /** The address of the page. */
  url(): string;
  /**
   * Replaces the address without navigation and without a history entry. A note is kept with the entry, beside what is there; left away where
   * that has no place for it, such as a text.
   *
   * @returns the way to put back what was there before the note, unless something else was written since
   */
  replaceUrl(url: string, note?: Readonly<Record<string, unknown>>): void | (() => void);
  /** What is kept with the history entry. */
  entryState?(): Readonly<Record<string, unknown>> | null;
  /** The session storage of the tab; `undefined` where it is blocked. */
  sessionItems(): WebItems | undefined;
  /** The local storage of the origin; `undefined` where it is blocked. */
  localItems?(): WebItems | undefined;
  /** The cookies of the page that scripts can read: `a=1; b=2`. */
  cookies?(): string;
  /** Sets one cookie, with its attributes. */
  setCookie?(cookie: string): void;
  /**
   * Loads an address in a frame that nobody sees and that runs no script; the frame is gone when the promise settles. Rejects with the
   * signal's reason.
   *
   * @returns the address at which the frame ended; `null`: a page that cannot be read, since it is of another origin, an error page of
   * the browser, or forbidden to be framed
   */
  loadFrame?(url: string, signal: AbortSignal): Promise<string | null>;
  /** Loads the code that `loadFrame` needs. */
  prepareFrame?(): Promise<unknown>;
}

/** Everything ambient. All members are functions called late; missing ones mean that the runtime has no such thing. */
export interface Platform {
  readonly fetch: typeof fetch;
  /** Wall clock, epoch milliseconds. */
  readonly now: () => number;
  /** A clock that never goes back, milliseconds. */
  readonly monotonicNow: () => number;
  /**
   * Calls back after at least `delayMs` milliseconds, at most 2,147,483,647. Returns the way to cancel. A program does not stay alive for
   * it unless `isAwaited`: somebody waits for what comes after.
   */
  readonly setTimer: (callback: () => void, delayMs: number, isAwaited?: boolean) => () => void;
  readonly crypto: typeof globalThis.crypto; // by this name also where a program is compiled without the DOM's types
  readonly locks?: Locks | undefined;
  readonly openChannel?: ((name: string, onMessage: (message: unknown) => void) => Channel) | undefined;
  /** Calls back on what happens to the page; returns the way to stop. */
  readonly lifecycle?: ((listener: (event: LifecycleEvent) => void) => () => void) | undefined;
  /** False if the device is certainly offline; true says nothing. */
  readonly isOnline?: (() => boolean) | undefined;
  readonly page?: Page | undefined;
  /** Databases of the origin; access alone may throw where they are blocked. */
  readonly indexedDB?: (typeof globalThis extends { indexedDB: infer Factory } ? Factory : never) | undefined;
}

/** The platform of this runtime. Features are found when asked for, not by guessing what kind of program this is. */
export function defaultPlatform(): Platform {
  const scope = globalThis;
  const document = 'document' in scope ? scope.document : undefined;
  let standIn: Locks | undefined;
  return {
    fetch: (input, init) => scope.fetch(input, init),
    now: () => Date.now(),
    monotonicNow: () => scope.performance.now(),
    setTimer: (callback, delayMs, isAwaited) => {
      const timer: unknown = scope.setTimeout(callback, delayMs);
      if (!isAwaited && hasUnref(timer)) timer.unref(); // a waiting credential keeps no Node program alive
      return () => scope.clearTimeout(timer as number);
    },
    get crypto() {
      return scope.crypto;
    },
    get locks() {
      // Node and Deno have them, too; without an origin they reach no other process
      return (
        webLocks((scope as { location?: unknown }).location ? scope.navigator?.locks : undefined) ??
        (standIn ??= 'indexedDB' in scope ? databaseLocks(this) : undefined)
      );
    },
    openChannel: typeof scope.BroadcastChannel === 'function' ? openBroadcastChannel : undefined,
    lifecycle: document ? (listener) => listenToPage(document, listener) : undefined,
    isOnline: scope.navigator && 'onLine' in scope.navigator ? () => scope.navigator.onLine : undefined,
    page: document ? pageOf(document) : undefined,
    get indexedDB() {
      return 'indexedDB' in scope ? scope.indexedDB : undefined;
    },
  };
}

/** Seconds to add to the system's clock to get the time of a platform: what `oauth4webapi` calls the clock skew. */
export function clockSkewSeconds(atMs: number): number {
  return Math.floor(atMs / 1000) - Math.floor(Date.now() / 1000); // exact where both clocks are cut to seconds
}

function webLocks(manager: LockManager | undefined): Locks | undefined {
  if (!manager) return undefined;
  return {
    reach: 'origin',
    // In Node 24 a callback that throws at once, and does not reject, would keep the lock for ever
    withLock: async (name, run, signal) => await manager.request(lockName(name), signal ? { signal } : {}, async () => run()),
  };
}

/**
 * Web Locks refuse names that begin with a hyphen, and those of WebKit names over 1,024 characters. The mark keeps names apart; those of long
 * ones that differ in the middle alone share a lock, and wait for each other.
 */
function lockName(name: string): string {
  const marked = name.replace(/^[-~]/, '~$&');
  return marked.length > 1_000 ? marked.slice(0, 500) + marked.slice(-500) : marked;
}

/** For browsers without Web Locks, and pages that are no secure context. The code is loaded when it is needed. */
function databaseLocks(platform: Platform): Locks {
  let loaded: Locks | undefined;
  return {
    reach: 'origin',
    withLock: async (...args) => {
      try {
        const { indexedDBLocks } = await import('./indexeddb-locks.js');
        loaded ??= indexedDBLocks(platform, StorageError);
      } catch (error) {
        throw notLoaded(error, StorageError);
      }
      return loaded.withLock(...args);
    },
  };
}

function openBroadcastChannel(name: string, onMessage: (message: unknown) => void): Channel {
  const channel = new BroadcastChannel(name);
  channel.onmessage = (event) => onMessage(event.data);
  if (hasUnref(channel)) channel.unref();
  return { post: (message) => channel.postMessage(message), close: () => channel.close() };
}

function listenToPage(document: Document, listener: (event: LifecycleEvent) => void): () => void {
  const view = document.defaultView;
  const isBack = (event: Event): boolean => (event as PageTransitionEvent).persisted; // from the back/forward cache
  const wiring: readonly (readonly [EventTarget | null, string, LifecycleEvent, ((event: Event) => boolean)?])[] = [
    [document, 'visibilitychange', 'visible', () => document.visibilityState === 'visible'],
    [document, 'freeze', 'frozen'],
    [document, 'resume', 'resumed'],
    [view, 'pagehide', 'frozen'], // to the back/forward cache, or for good
    [view, 'pageshow', 'resumed', isBack],
    [view, 'online', 'online'],
  ];
  const stops = wiring.map(([target, name, event, counts]) => {
    const onEvent = (one: Event): void => void (counts?.(one) !== false && listener(event));
    target?.addEventListener(name, onEvent);
    return () => target?.removeEventListener(name, onEvent);
  });
  return () => stops.forEach((stop) => stop());
}

function pageOf(document: Document): Page {
  const view = (): Window | null => document.defaultView;
  return {
    url: () => document.location.href,
    replaceUrl: (url, note) => {
      const history = view()?.history;
      const found: unknown = history?.state;
      const hasPlace = note && /^\[object (Null|Object)]$/.test({}.toString.call(found)); // of any realm, and no Map
      history?.replaceState(hasPlace ? { ...(found as object | null), ...note } : found, '', url);
      const written: unknown = history?.state;
      // Angular's router may put the change off (`withExperimentalPlatformNavigation`): to put back what was not written is a navigation, for ever
      return () => void (written !== found && history?.state === written && history?.replaceState(found, ''));
    },
    entryState: () => view()?.history.state as Readonly<Record<string, unknown>> | null,
    sessionItems: () => orBlocked(() => view()?.sessionStorage),
    localItems: () => orBlocked(() => view()?.localStorage),
    cookies: () => orBlocked(() => document.cookie) ?? '',
    setCookie: (cookie) => void (document.cookie = cookie),
    loadFrame: async (url, signal) => (await hiddenFrame()).loadHiddenFrame(document, url, signal),
    prepareFrame: hiddenFrame,
  };
}

async function hiddenFrame(): Promise<typeof HiddenFrame> {
  try {
    return await import('./hidden-frame.js');
  } catch (error) {
    throw notLoaded(error);
  }
}

/** Access alone throws where storage is blocked. */
function orBlocked<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch {
    return undefined;
  }
}

function hasUnref(value: unknown): value is { unref(): void } {
  return typeof value === 'object' && value !== null && 'unref' in value && typeof value.unref === 'function';
}
