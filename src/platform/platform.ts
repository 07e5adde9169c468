/**
 * Everything ambient, as one object that is passed in. `defaultPlatform()` is the only place of this package that touches globals:
 * late, so that fakes and lazily granted features work, and never at import.
 *
 * @module
 */

/** Runs a callback alone among all who use the same name. The lock ends when the callback's promise settles. */
export interface Locks {
  /** How far the exclusion reaches: this program, or every tab and worker of an origin. */
  readonly reach: 'process' | 'origin';
  withLock<T>(name: string, run: () => Promise<T>): Promise<T>;
}

/** A broadcast among the tabs of an origin, or the programs of a process. */
export interface Channel {
  post(message: unknown): void;
  close(): void;
}

/** What happens to the program as a whole. */
export type LifecycleEvent = 'visible' | 'online' | 'resumed';

/** The page a program runs in; absent on servers and in workers. */
export interface Page {
  /** The address of the page. */
  url(): string;
  /** Replaces the address without navigation and without a history entry. */
  replaceUrl(url: string): void;
  /** The session storage of the tab; `undefined` where it is blocked. */
  sessionItems(): Storage | undefined;
}

/** Everything ambient. All members are functions called late; missing ones mean that the runtime has no such thing. */
export interface Platform {
  readonly fetch: typeof fetch;
  /** Wall clock, epoch milliseconds. */
  readonly now: () => number;
  /** A clock that never goes back, milliseconds. */
  readonly monotonicNow: () => number;
  /** Calls back after at least `delayMs` milliseconds, at most 2,147,483,647. Returns the way to cancel. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  readonly crypto: Crypto;
  readonly locks?: Locks | undefined;
  readonly openChannel?: ((name: string, onMessage: (message: unknown) => void) => Channel) | undefined;
  /** Calls back on what happens to the page; returns the way to stop. */
  readonly lifecycle?: ((listener: (event: LifecycleEvent) => void) => () => void) | undefined;
  readonly page?: Page | undefined;
}

/** The platform of this runtime. Features are found when asked for, not by guessing what kind of program this is. */
export function defaultPlatform(): Platform {
  const scope = globalThis;
  const document = 'document' in scope ? scope.document : undefined;
  return {
    fetch: (input, init) => scope.fetch(input, init),
    now: () => Date.now(),
    monotonicNow: () => scope.performance.now(),
    setTimer: (callback, delayMs) => {
      const timer: unknown = scope.setTimeout(callback, delayMs);
      if (hasUnref(timer)) timer.unref(); // a waiting credential keeps no Node program alive
      return () => scope.clearTimeout(timer as number);
    },
    get crypto() {
      return scope.crypto;
    },
    get locks() {
      return webLocks(scope.navigator?.locks);
    },
    openChannel: 'BroadcastChannel' in scope ? openBroadcastChannel : undefined,
    lifecycle: document ? (listener) => listenToPage(document, listener) : undefined,
    page: document ? pageOf(document) : undefined,
  };
}

/** Seconds to add to the system's clock to get the time of a platform: what `oauth4webapi` calls the clock skew. */
export function clockSkewSeconds(atMs: number): number {
  return Math.floor(atMs / 1000) - Math.floor(Date.now() / 1000); // exact where both clocks are cut to seconds
}

function webLocks(manager: LockManager | undefined): Locks | undefined {
  return manager && { reach: 'origin', withLock: async (name, run) => await manager.request(name, run) };
}

function openBroadcastChannel(name: string, onMessage: (message: unknown) => void): Channel {
  const channel = new BroadcastChannel(name);
  channel.onmessage = (event) => onMessage(event.data);
  if (hasUnref(channel)) channel.unref();
  return { post: (message) => channel.postMessage(message), close: () => channel.close() };
}

function listenToPage(document: Document, listener: (event: LifecycleEvent) => void): () => void {
  const view = document.defaultView;
  const onVisibility = (): void => {
    if (document.visibilityState === 'visible') listener('visible');
  };
  const onShow = (event: PageTransitionEvent): void => {
    if (event.persisted) listener('resumed');
  };
  const onOnline = (): void => listener('online');
  const onResume = (): void => listener('resumed');
  document.addEventListener('visibilitychange', onVisibility);
  document.addEventListener('resume', onResume);
  view?.addEventListener('pageshow', onShow);
  view?.addEventListener('online', onOnline);
  return () => {
    document.removeEventListener('visibilitychange', onVisibility);
    document.removeEventListener('resume', onResume);
    view?.removeEventListener('pageshow', onShow);
    view?.removeEventListener('online', onOnline);
  };
}

function pageOf(document: Document): Page {
  const view = (): Window | null => document.defaultView;
  return {
    url: () => document.location.href,
    replaceUrl: (url) => view()?.history.replaceState(view()?.history.state, '', url),
    sessionItems: () => {
      try {
        return view()?.sessionStorage; // access alone throws where storage is blocked
      } catch {
        return undefined;
      }
    },
  };
}

function hasUnref(value: unknown): value is { unref(): void } {
  return typeof value === 'object' && value !== null && 'unref' in value && typeof value.unref === 'function';
}
