/**
 * Locks among the tabs of an origin where there are no Web Locks (RF-1), by what browsers do with connections to databases.
 *
 * A lock is a database. Whoever makes it has the lock, and keeps it by an open connection: nobody can delete the database meanwhile, so
 * nobody can make it again. The browser closes the connections of a tab that ends, however it ends. Exclusion rests on this alone: on no
 * clock, no heartbeat, no lease. So a tab whose timers are throttled, that computes for minutes or is stopped in a debugger keeps its
 * lock, and one that is killed loses it at once (RF-9). A release closes the holder's own connection and can free nobody else's lock.
 *
 * Each holder has a second database, which stands for its presence. Others wait by asking for its deletion, which the browser grants when
 * the holder has let go. They do not wait at the lock itself: a request to make it would be granted even to a tab that is frozen by then,
 * and that tab would keep everybody waiting (RF-16). A deletion needs nothing of the tab that asked for it.
 *
 * @module
 */
import type { StorageError } from '../errors.js';
import type { Locks, Platform } from './platform.js';

/** What these locks need of a platform. */
export type LockPlatform = Pick<Platform, 'crypto' | 'indexedDB' | 'setTimer'>;

const LOCK = 'rx-credentials-lock:';
const PRESENCE = 'rx-credentials-lock-holder:';
/** Patience is counted in steps, since a machine that sleeps does not wait. All of them are 150 s, longer than any refresh takes (E9). */
const STEP_MS = 10_000;
const STEPS = 15;
/** A holder shows its presence as soon as it has the lock. Looks are counted, not time: timers of hidden tabs are slow. */
const LOOKS = 30;

type ErrorClass = typeof StorageError;

/** Somebody of this program who wants a lock. */
interface Waiter {
  /** Steps that are left, from the last time that somebody of this program had the lock. */
  steps: number;
  /** Runs the callback; resolves with what tells its outcome to whoever waits for it. */
  readonly run: () => Promise<() => void>;
  readonly fail: (error: StorageError) => void;
}

/** A lock that is held: the way to let go of it. */
type Release = () => void;

/**
 * Locks of the reach `origin`. Within one program it is first come, first served; among several, whoever is first when the lock is free.
 *
 * `withLock` rejects with a `StorageError` `lock_unavailable` where IndexedDB is missing, blocked or lost, and after 150 s in which nobody
 * of this program was granted the lock; and with the reason of its `signal`.
 *
 * @param ErrorClass the class of these errors. It is passed in, since a module that this one shares with the code that is loaded at start
 * makes a bundler cut that into more files
 */
export function indexedDBLocks(platform: LockPlatform, ErrorClass: ErrorClass): Locks {
  const queues = new Map<string, Set<Waiter>>();
  const serve = async (name: string, queue: Set<Waiter>): Promise<void> => {
    while (queue.size > 0) {
      try {
        const release = await acquire(platform, name, queue, ErrorClass);
        if (release) await serveFirst(queue, release);
      } catch (error) {
        const reason = failure(error, ErrorClass);
        for (const { fail } of queue) fail(reason);
        queue.clear();
      }
    }
    queues.delete(name);
  };
  return {
    reach: 'origin',
    withLock: (name, run, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const queue = queues.get(name) ?? new Set();
        const leave = (): void => {
          if (queue.delete(waiter)) reject(signal?.reason as Error);
        };
        const stay = (): void => signal?.removeEventListener('abort', leave);
        const waiter: Waiter = {
          steps: STEPS,
          run: () => {
            stay();
            return Promise.resolve()
              .then(run)
              .then(
                (value) => () => resolve(value),
                (error: Error) => () => reject(error),
              );
          },
          fail: (error) => {
            stay();
            reject(error);
          },
        };
        signal?.addEventListener('abort', leave);
        queue.add(waiter);
        if (queues.get(name) === queue) return;
        queues.set(name, queue);
        void serve(name, queue);
      }),
  };
}

/** Nobody is there any more if all have left the queue while the lock was asked for. */
async function serveFirst(queue: Set<Waiter>, release: Release): Promise<void> {
  const [first] = queue;
  if (!first) return release();
  queue.delete(first);
  const tell = await first.run();
  release();
  tell();
  for (const waiter of queue) waiter.steps = STEPS;
}

/** Waits for the lock; `undefined` if nobody of the queue waits any longer. */
async function acquire(platform: LockPlatform, name: string, queue: Set<Waiter>, ErrorClass: ErrorClass): Promise<Release | undefined> {
  const stop = countSteps(platform, queue, ErrorClass);
  try {
    for (let holder = '', looks = 0; queue.size > 0;) {
      const found = await tryOnce(platform, name);
      if (typeof found === 'function') return found;
      if (found !== holder) [holder, looks] = [found, 0];
      // A holder that is not present any more has ended without a release, or is about to delete the lock itself
      if (looks >= LOOKS) await deleted(platform, LOCK + name);
      else looks = (await deleted(platform, PRESENCE + holder)) ? LOOKS : looks + 1;
    }
    return undefined;
  } finally {
    stop();
  }
}

/** Ends the waiting of those who have no steps left. */
function countSteps({ setTimer }: LockPlatform, queue: Set<Waiter>, ErrorClass: ErrorClass): () => void {
  let cancel = (): void => undefined;
  const arm = (): void => {
    cancel = setTimer(() => {
      for (const waiter of queue) {
        if (--waiter.steps > 0 || !queue.delete(waiter)) continue;
        const message = 'Another tab has had the lock for too long, or does not answer: close it, or try again.';
        waiter.fail(new ErrorClass('lock_unavailable', message, { class: 'transient' }));
      }
      arm();
    }, STEP_MS);
  };
  arm();
  return () => cancel();
}

/** The lock, or who has it. */
async function tryOnce(platform: LockPlatform, name: string): Promise<Release | string> {
  const me = platform.crypto.getRandomValues(new Uint32Array(4)).join('-');
  const lock = await opened(platform, LOCK + name, me);
  const [holder = ''] = lock.objectStoreNames;
  if (holder === me) return hold(platform, lock, me);
  lock.close();
  return holder;
}

/** Keeps the connection. If the browser closes it (its database process crashed, site data were cleared) it is asked for again at once. */
async function hold(platform: LockPlatform, lock: IDBDatabase, me: string): Promise<Release> {
  const { name } = lock;
  let isOver = false;
  let connection = lock;
  const keep = (next: IDBDatabase): void => {
    if (isOver || !next.objectStoreNames.contains(me)) return next.close();
    connection = next;
    connection.onclose = () => void opened(platform, name, me).then(keep, () => undefined);
  };
  const letGo = (): void => {
    isOver = true;
    connection.close();
    forget(platform, name); // if another has it by now, this waits until that one has closed it
  };
  keep(lock);
  try {
    const presence = await opened(platform, PRESENCE + me);
    return () => {
      letGo();
      presence.close(); // last: those who wait for it find the lock gone
      forget(platform, PRESENCE + me);
    };
  } catch (error) {
    letGo();
    throw error;
  }
}

/** A connection. A database that is not there is made, with an object store of this name if one is given. */
async function opened(platform: LockPlatform, name: string, store?: string): Promise<IDBDatabase> {
  const request = factoryOf(platform).open(name);
  request.onupgradeneeded = () => void (store !== undefined && request.result.createObjectStore(store));
  await answer(request);
  return request.result;
}

/** Resolves when a database is gone, which takes until all connections to it are closed; with false if it was not there at all. */
async function deleted(platform: LockPlatform, name: string): Promise<boolean> {
  const { oldVersion } = (await answer(factoryOf(platform).deleteDatabase(name))) as IDBVersionChangeEvent;
  return oldVersion > 0;
}

/** A database that is left behind is empty and keeps nobody waiting; whoever wants the lock next deletes it. */
function forget(platform: LockPlatform, name: string): void {
  deleted(platform, name).catch(() => undefined);
}

function factoryOf({ indexedDB }: LockPlatform): IDBFactory {
  if (indexedDB) return indexedDB;
  throw new DOMException('There is no IndexedDB here.', 'NotSupportedError');
}

function answer(request: IDBOpenDBRequest): Promise<Event> {
  return new Promise<Event>((resolve, reject) => {
    request.onsuccess = resolve;
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a DOMException; `null` only before the request is done
    request.onerror = () => reject(request.error);
  });
}

function failure(error: unknown, ErrorClass: ErrorClass): StorageError {
  const name = typeof error === 'object' && error !== null && 'name' in error ? String(error.name).replace(/\W/g, '') : '';
  const isLost = /^(Abort|InvalidState|Timeout|Unknown)Error$/.test(name);
  const advice = isLost ? 'try again' : 'allow this site to store data, or keep credentials in memory';
  const message = `IndexedDB stands in for Web Locks here, and it failed (${name}): ${advice}.`;
  return new ErrorClass('lock_unavailable', message, isLost ? { class: 'transient' } : {});
}
