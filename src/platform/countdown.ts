/**
 * A deadline that counts the time in which the program ran. A program that was stopped, frozen or busy must not find that its time is up
 * before it has looked what came meanwhile.
 *
 * @module
 */
import type { Platform } from './platform.js';

/** No step is longer than this, in milliseconds. */
const STEP_MS = 10_000;
/** The last step is short: it is the time to read what came while the program stood still. */
const LAST_STEP_MS = 200;

/**
 * Calls back after so many milliseconds; a step of it in which the program stood still counts as its own length. Returns the way to cancel.
 * Of `isAwaited` the platform says what it means.
 */
export function countdown({ setTimer }: Pick<Platform, 'setTimer'>, limitMs: number, onEnd: () => void, isAwaited?: boolean): () => void {
  let left = limitMs;
  let cancel = (): void => undefined;
  const step = (): void => {
    const ms = left > LAST_STEP_MS ? Math.min(left - LAST_STEP_MS, STEP_MS, limitMs / 2) : left;
    left -= ms;
    cancel = setTimer(left > 0 ? step : onEnd, ms, isAwaited);
  };
  step();
  return () => cancel();
}
