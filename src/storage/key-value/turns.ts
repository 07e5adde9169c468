/**
 * Turns at an object: one change at a time, for a bounded time, and repairs that are tried more than once.
 *
 * @module
 */
import type { Locks, Platform } from '../../platform/platform.js';
import { exclusively, within } from '../deadline.js';

/** Runs something alone. Once it is late its caller was told of a failure: nothing more may be begun, and the turn may be another's. */
export type Alone = <T>(name: string, run: (isLate: () => boolean) => Promise<T>) => Promise<T>;

/** Tries a repair until it succeeds, a few times; of one name one at a time. Whoever asks for it meanwhile has it tried once more. */
export type Repeatedly = (name: string, run: () => Promise<void>) => Promise<void>;

/** How long a change may take, in milliseconds: less than a store waits for it, so that the next one may begin by then. */
const CHANGE_MS = 20_000;
/** How often a repair is tried; the pauses begin with a second, and double. */
const TRIES = 6;

/**
 * Turns of one program, or of an origin. In one program a turn ends when its time is up: one lost answer must not be the end of all changes
 * (RF-15), and what takes effect late is known here, and repaired. No other tab could do that: there a turn ends with its last effect.
 */
export function turnsOf(reach: 'process' | 'origin', locks: Locks, platform: Platform): Alone {
  return (name, run) =>
    new Promise((resolve, reject) => {
      const turn = async (): Promise<void> => {
        let late = false;
        const work = run(() => late);
        const inTime = within(platform, CHANGE_MS, 'The store does not answer; try again.', work).catch((error: unknown) => {
          late = true;
          throw error;
        });
        inTime.then(resolve, reject);
        await (reach === 'process' ? inTime : work).catch(() => undefined);
      };
      (reach === 'process' ? locks.withLock(name, turn) : exclusively(platform, name, turn)).catch(reject);
    });
}

/** A repair that is under way. */
export interface Repair {
  /** How often it may still be tried. */
  left: number;
  /** Ends the pause. */
  wake: () => void;
}

/** @param repairs those under way, by name: of all who repair the same */
export function repairsWith(repairs: Map<string, Repair>, { setTimer }: Pick<Platform, 'setTimer'>): Repeatedly {
  return async (name, run) => {
    const other = repairs.get(name);
    if (other) {
      other.left = TRIES;
      return other.wake();
    }
    const mine: Repair = { left: TRIES, wake: () => undefined };
    repairs.set(name, mine);
    while (mine.left > 0) {
      const left = --mine.left;
      try {
        await run();
        if (mine.left === left) break; // else another one took effect late meanwhile
      } catch {
        if (mine.left === left && left > 0) await pause(mine, 1_000 * 2 ** (TRIES - 1 - left));
      }
    }
    repairs.delete(name);
  };

  async function pause(repair: Repair, ms: number): Promise<void> {
    let cancel = (): void => undefined;
    await new Promise<void>((resolve) => {
      repair.wake = resolve;
      cancel = setTimer(resolve, ms, true); // a program that ends now keeps what is old
    });
    cancel();
  }
}
