/**
 * When what is left is swept. In a store where nobody is the clock rests, but the last ones have left something, too.
 *
 * @module
 */
import type { Platform } from '../platform/platform.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';
import type { Membership } from './membership.js';

/** A timer is set for no longer than this, in milliseconds (E41). */
const MAX_REST_MS = 60 * 60_000;

/** The sweeps of one store. */
export interface Resting {
  /** Sweeps now, and again when it is time. */
  sweep(): Promise<void>;
  /** At each waking of the clock: sweeps if it is time. */
  look(): void;
  /** Nobody is there: wakes for the next sweep, if anything is left for it. */
  begin(): void;
  /** Somebody is there, and the clock wakes; or the store closes. */
  end(): void;
}

/** What a rest needs of the store around it. */
export interface RestingContext {
  readonly ledger: Pick<Ledger, 'entries'>;
  readonly loop: Pick<Loop, 'snapshot'>;
  readonly platform: Pick<Platform, 'setTimer'>;
  readonly membership: Pick<Membership, 'sweep' | 'sweepInMs'>;
  /** True if nothing may be begun: the page is frozen, or the store closes. */
  readonly isStill: () => boolean;
  /** `close` waits for what is run here. */
  readonly running: <T>(command: Promise<T>) => Promise<T>;
}

/** A store that does not rest yet. */
export function createResting({ ledger, loop, platform, membership, isStill, running }: RestingContext): Resting {
  let cancel: (() => void) | undefined;
  let isUsed = false; // a store of one request, in which nobody ever was, must not be kept by what others have left
  const hasTombstones = (): boolean => {
    for (const { record, storedRevision } of ledger.entries()) if (record.state === 'removed' && storedRevision > 0) return true;
    return false;
  };
  const stop = (): void => {
    cancel?.();
    cancel = undefined;
  };
  const begin = (): void => {
    stop();
    if (isUsed && hasTombstones()) cancel = platform.setTimer(look, Math.min(Math.max(membership.sweepInMs(), 0), MAX_REST_MS));
  };
  const beginIfEmpty = (): void => {
    if (!isStill() && loop.snapshot().credentials.length === 0) begin();
  };
  const sweep = (): Promise<void> => membership.sweep().finally(beginIfEmpty);
  const look = (): void => {
    if (isStill()) return;
    if (membership.sweepInMs() <= 0) void running(sweep()).catch(() => undefined); // what fails is tried again later
    beginIfEmpty();
  };
  const end = (): void => {
    isUsed = true;
    stop();
  };
  return { sweep, look, begin, end };
}
