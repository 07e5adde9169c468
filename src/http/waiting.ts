/**
 * How long a request waits for its token.
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import type { Platform } from '../platform/platform.js';

/** Of one request. */
export interface WaitOptions {
  readonly platform: Pick<Platform, 'setTimer'>;
  readonly signal: AbortSignal | null | undefined;
  readonly waitMs: number;
}

/** The longest a timer can wait, in milliseconds. */
export const LONGEST_MS = 2_147_483_647;
/** More than the longest way to a token that is at hand. */
const AT_HAND_TURNS = 24;

/** Waits as long as a request may. What is at hand comes within some turns of the microtask queue: it needs no timer and no listener. */
export async function inTime<T>(ask: () => Promise<T>, options: WaitOptions): Promise<T> {
  const { signal } = options;
  if (signal?.aborted) throw signal.reason as Error; // nothing is asked
  const asked = ask();
  let isThere = false;
  const arrive = (): void => void (isThere = true);
  asked.then(arrive, arrive);
  // eslint-disable-next-line @typescript-eslint/await-thenable -- a turn
  for (let turn = 0; turn < AT_HAND_TURNS && !isThere; turn++) await null;
  return isThere ? asked : awaited(asked, options);
}

function awaited<T>(asked: Promise<T>, { platform, signal, waitMs }: WaitOptions): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const over = (): void => {
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    const fail = (error: Error): void => (over(), reject(error));
    const abort = (): void => fail(signal?.reason as Error);
    const late = (): void =>
      fail(new CredentialError('timeout', 'There was no token for the request in time; the renewal goes on.', { class: 'transient' }));
    const cancel = platform.setTimer(late, Math.min(waitMs, LONGEST_MS), true);
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    asked.then((value) => (over(), resolve(value)), fail);
  });
}

/** What comes of something, or the reason why the caller does not want it any more. */
export function ended<T>(waited: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return waited;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop);
    waited.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
  });
}

/** Resolves when something has ended, well or not, at the latest after so many milliseconds. */
export function settledBy(waited: Promise<unknown>, { setTimer }: Pick<Platform, 'setTimer'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = setTimer(resolve, ms);
    const over = (): void => (cancel(), resolve());
    waited.then(over, over);
  });
}
