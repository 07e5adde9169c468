/**
 * Reading again what others may have written: everything after a sleep, one record on a hint, and again what could not be read. Nothing else
 * would ever tell of a sign-out whose hint came to nothing (E45).
 *
 * @module
 */
import type { Platform } from '../platform/platform.js';
import { within } from '../storage/deadline.js';
import type { Following } from './following.js';
import { LEFT_ALONE_MS } from './in-doubt.js';

/** How long after a failed attempt the next one comes, in milliseconds; doubled up to the last. */
export const FIRST_RETRY_MS = 1_000;
export const LAST_RETRY_MS = 30_000;
/** How long a question waits for an attempt that is not the first, in milliseconds: the storage may hang. */
const WAITING_MS = 2_000;

/** Follows what may have been missed. */
export interface CatchingUp {
  /** Reads everything again; if the program slept, also what is being read already. */
  all(slept: boolean): void;
  /** Reads one record again, since somebody has told of it. */
  one(id: string): void;
  /** Somebody has begun to renew it: reads the record after a while, should nothing more be heard of it. */
  begun(id: string): void;
  /** At each waking of the clock: tries again what is due. */
  retry(): void;
  /** For who is about to answer a question: what has to be waited for. */
  caughtUp(): Promise<void> | undefined;
  /** True while others may have written what is not known here. */
  isBehind(): boolean;
}

/** What catching up needs of the store around it. */
export interface CatchingUpContext {
  readonly following: Pick<Following, 'reread' | 'reload'>;
  readonly platform: Pick<Platform, 'monotonicNow' | 'setTimer'>;
  /** True if nothing may be read: the page is frozen, or the store closes. */
  readonly isStill: () => boolean;
  /** Wakes after so many milliseconds at the latest. */
  readonly wakeWithin: (ms: number) => void;
  /** Hears that a record was read. */
  readonly onRead: (id: string) => void;
  /** Hears that `isBehind` may answer otherwise now. */
  readonly onChange: () => void;
  /** Hears that everything was read, or could not be. */
  readonly onCaughtUp: () => void;
}

/** Catching up of one store, which is behind with nothing. */
export function createCatchingUp(context: CatchingUpContext): CatchingUp {
  const { following, platform, isStill, wakeWithin, onRead, onChange, onCaughtUp } = context;
  /** Ids of records that could not be read; more than these if everything could not be. */
  const unread = new Set<string>();
  /** By id of a record that says no more, as far as was heard, than that something was begun: when to look, by the monotonic clock. */
  const lookAt = new Map<string, number>();
  let isAllUnread = false;
  let sleptAgain = false;
  let reading: Promise<void> | undefined; // of everything
  let attempt: Promise<void> | undefined; // to read what could not be read
  let awaited: Promise<void> | undefined; // what a question waits for of either
  let failures = 0;
  let failedAt = 0; // monotonic

  const isUnread = (): boolean => isAllUnread || unread.size > 0;
  const delayMs = (): number => Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS);
  const ended = (isAttempt: boolean): void => {
    if (!isUnread()) failures = 0;
    else if (isAttempt || failures === 0) {
      failures++;
      failedAt = platform.monotonicNow();
    }
    if (isUnread()) wakeWithin(delayMs());
    onChange();
  };
  const readOne = async (id: string): Promise<void> => {
    try {
      await following.reread(id);
      unread.delete(id);
      onRead(id);
    } catch {
      unread.add(id);
    }
  };
  const readAll = async (): Promise<void> => {
    do {
      sleptAgain = false;
      const ids = [...unread];
      try {
        await following.reload();
        isAllUnread = false;
        for (const id of ids) unread.delete(id);
      } catch {
        isAllUnread = true;
      }
    } while (sleptAgain);
  };
  const everything = (): Promise<void> =>
    (reading ??= readAll().finally(() => {
      reading = undefined;
      ended(true);
      onCaughtUp();
    }));
  const waitFor = (promise: Promise<void>): void => {
    const mine = promise.finally(() => {
      if (awaited === mine) awaited = undefined;
    });
    awaited = mine;
  };
  const tryAgain = (): void => {
    if (attempt || reading || isStill()) return;
    const trying = isAllUnread ? everything() : Promise.all([...unread].map(readOne)).then(() => ended(true));
    attempt = trying.finally(() => (attempt = undefined));
    waitFor(within(platform, WAITING_MS, '', attempt).catch(() => undefined));
  };
  const one = (id: string): void => {
    lookAt.delete(id);
    void readOne(id).then(() => ended(false));
  };
  /** A frozen page reads everything when it wakes. */
  const look = (): void => {
    for (const [id, at] of lookAt) {
      const remainingMs = at - platform.monotonicNow();
      if (remainingMs > 0) wakeWithin(remainingMs);
      else if (!isStill()) one(id);
    }
  };
  return {
    all: (slept) => {
      lookAt.clear();
      sleptAgain ||= slept; // what is being read was read before
      waitFor(everything());
      onChange();
    },
    one,
    begun: (id) => {
      if (!lookAt.has(id)) lookAt.set(id, platform.monotonicNow() + LEFT_ALONE_MS);
      look();
    },
    retry: () => {
      look();
      if (!isUnread()) return;
      const remainingMs = failedAt + delayMs() - platform.monotonicNow();
      if (remainingMs > 0) wakeWithin(remainingMs);
      else tryAgain();
    },
    caughtUp: () => {
      const isDue = failures === 1 || platform.monotonicNow() >= failedAt + FIRST_RETRY_MS;
      if (isUnread() && isDue) tryAgain();
      return awaited;
    },
    isBehind: () => isUnread() || reading !== undefined,
  };
}
