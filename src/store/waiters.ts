/**
 * Who waits for a refresh: as long as the credential is there, and there is no token that serves meanwhile. A user may sign in while a request hangs.
 *
 * @module
 */
import type { Token } from '../credential/token.js';
import type { Holding, Ledger } from './ledger.js';
import type { RefreshRequest, Renewed } from './refresh-request.js';
import { gone, sameAsNow } from './usable-token.js';

/** All who wait in a store. */
export interface Waiters {
  /** What a refresh gives. It goes on by itself: what comes too late is revoked. */
  wait(own: Holding, request: RefreshRequest, refreshing: Promise<Renewed>): Promise<Renewed>;
  /** The credential is no more. */
  leave(id: string): void;
  /** Somebody else has brought a token. */
  look(id: string): void;
}

/** Who waits for a refresh. */
interface Waiter {
  readonly leave: () => void;
  readonly look: () => void;
}

/** True if a token serves who asked, whoever has brought it. Who wants a new one in any case waits for it. */
function isServedBy(token: Token, remainingMs: number, { minValidityMs, target, refused }: RefreshRequest): boolean {
  if (target) return false;
  return refused === undefined ? minValidityMs !== null && remainingMs > minValidityMs : token.accessToken !== refused && remainingMs > 0;
}

/** Nobody waits yet. */
export function createWaiters(ledger: Ledger): Waiters {
  const waiters = new Map<string, Set<Waiter>>();
  return {
    wait: (own, request, refreshing) => {
      const { id } = own;
      const isTheirs = sameAsNow(ledger, own);
      return new Promise((resolve, reject) => {
        const waiter: Waiter = {
          leave: () => reject(gone()),
          look: () => {
            const token = ledger.token(id);
            if (token && isTheirs() && isServedBy(token, ledger.remainingMs(id), request)) resolve(token);
          },
        };
        const all = waiters.get(id) ?? new Set();
        waiters.set(id, all.add(waiter));
        const stay = (): void => void (all.delete(waiter) && all.size === 0 && waiters.delete(id));
        refreshing.then((one) => (isTheirs() ? resolve(one) : reject(gone())), reject).finally(stay);
      });
    },
    leave: (id) => waiters.get(id)?.forEach(({ leave }) => leave()),
    look: (id) => {
      if (!waiters.has(id)) return;
      ledger.open(id).then(
        () => waiters.get(id)?.forEach((waiter) => waiter.look()),
        () => undefined, // an event says what cannot be opened
      );
    },
  };
}
