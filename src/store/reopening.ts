/**
 * What could not be opened for now is tried again for who waits for its token: keys may be away for a moment.
 *
 * @module
 */
import { Observable, Subject, Subscription } from 'rxjs';
import type { Token } from '../credential/token.js';
import { isCredentialError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import type { Holding, Ledger } from './ledger.js';
import type { Loop } from './loop.js';
import { tokenAtHand } from './token-stream.js';

/** How long after a failed opening the next one comes, in milliseconds; doubled up to the last. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** What a person who is asked for a key says no with. Errors that are not ours leave no more than their name, in the message. */
const NO = /\((NotAllowed|Abort)Error\)/;

/** What it needs of the store around it. */
export interface ReopeningContext {
  readonly ledger: Ledger;
  readonly loop: Loop;
  readonly platform: Pick<Platform, 'setTimer'>;
}

/** True if a person has decided, or has to: to ask again by itself is no way to a yes. */
function isForUser(why: unknown): boolean {
  return isCredentialError(why) && (why.class === 'needs_user' || NO.test(why.message));
}

/**
 * The token once it was opened, by whomever, for all who wait for that of one credential: a key is asked for all of them together, and not again
 * by itself after a no. Of what is lost for good the state says so; it completes when the store is closed.
 *
 * @param why what the opening failed with
 */
export function whenOpened({ ledger, loop, platform }: ReopeningContext, own: Holding, why: unknown): Observable<Token | null> {
  const ended$ = new Subject<void>();
  const closing = new Subscription();
  let isOver = false;
  let waiters = 0;
  let isRefused = isForUser(why);
  let delayMs = FIRST_RETRY_MS;
  let cancel = (): void => undefined;
  const end = (): void => {
    isOver = true;
    cancel();
    own.onOpened = own.waiting = undefined;
    ended$.complete();
    closing.unsubscribe();
  };
  const endIfOpen = (): void => {
    if (tokenAtHand(ledger, own) !== undefined) end();
  };
  const retryIn = (ms: number): void => {
    cancel();
    cancel = platform.setTimer(() => void retry(), ms);
  };
  const retry = async (): Promise<void> => {
    if (waiters === 0) return end();
    if (isRefused) return;
    await ledger.open(own.id).catch((error: unknown) => (isRefused = isForUser(error)));
    delayMs = Math.min(delayMs * 2, LAST_RETRY_MS);
    if (!isOver) retryIn(delayMs);
  };
  own.onOpened = endIfOpen;
  retryIn(delayMs);
  closing.add(loop.events$.subscribe({ complete: end }));
  endIfOpen(); // it may have been opened a moment ago
  return new Observable((subscriber) => {
    waiters++;
    subscriber.add(() => {
      waiters--;
      if (waiters > 0 || isOver) return;
      retryIn(FIRST_RETRY_MS); // who comes back until then, as for another record, asks nothing anew
      endIfOpen();
    });
    const tell = (): void => {
      const token = tokenAtHand(ledger, own);
      if (token !== undefined) subscriber.next(token);
      subscriber.complete();
    };
    subscriber.add(ended$.subscribe({ complete: tell }));
  });
}
