/**
 * What could not be opened for now is tried again for who waits for its token: keys may be away for a moment.
 *
 * @module
 */
import { Observable, Subject } from 'rxjs';
import type { Token } from '../credential/token.js';
import type { Platform } from '../platform/platform.js';
import type { Holding, Ledger } from './ledger.js';
import type { Loop } from './loop.js';
import { tokenAtHand } from './token-stream.js';

/** How long after a failed opening the next one comes, in milliseconds; doubled up to the last. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/** What it needs of the store around it. */
export interface ReopeningContext {
  readonly ledger: Ledger;
  readonly loop: Loop;
  readonly platform: Pick<Platform, 'setTimer'>;
}

/** The token once it was opened, by whomever. Of what is lost for good the state says so; it completes when the store is closed. */
export function whenOpened({ ledger, loop, platform }: ReopeningContext, own: Holding): Observable<Token | null> {
  return new Observable((subscriber) => {
    let delayMs = FIRST_RETRY_MS;
    let cancel: (() => void) | undefined;
    const end = (): void => subscriber.complete();
    const look = (): void => {
      const token = tokenAtHand(ledger, own);
      if (token === undefined) return;
      subscriber.next(token);
      end();
    };
    const wait = (): void => {
      cancel = platform.setTimer(() => void open(), delayMs);
      delayMs = Math.min(delayMs * 2, LAST_RETRY_MS);
    };
    const open = async (): Promise<void> => {
      await ledger.open(own.id).catch(() => undefined);
      look();
      if (!subscriber.closed) wait();
    };
    wait();
    subscriber.add((own.opened$ ??= new Subject()).subscribe(look));
    subscriber.add(loop.events$.subscribe({ complete: end }));
    look(); // it may have been opened a moment ago
    return () => cancel?.();
  });
}
