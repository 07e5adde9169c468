/**
 * The token of a credential as a stream.
 *
 * @module
 */
import { concatAll, distinctUntilChanged, from, map, switchMap, type Observable } from 'rxjs';
import type { Token } from '../credential/token.js';
import type { CredentialContext } from './credential.js';
import type { Holding, Ledger } from './ledger.js';

/**
 * The token of a credential; `null` when it is absent, removed or needs sign-in. What is sealed is opened first. Until that has come to
 * something, the token before it stands: a key that is away for a moment signs nobody out.
 */
export function tokenStream(context: CredentialContext, id: string, handle?: Holding): Observable<Token | null> {
  const { ledger, loop, isClosing } = context;
  const opened = async (own: Holding): Promise<Iterable<Token | null> | Observable<Token | null>> => {
    await ledger.open(own.id).catch(() => undefined); // an event says so, and the status
    const token = tokenAtHand(ledger, own);
    if (token !== undefined) return [token];
    const all = isClosing() ? null : await context.living().catch(() => null);
    return all?.whenOpened(own) ?? [];
  };
  return loop.ready$.pipe(
    map(() => ledger.record(id)),
    distinctUntilChanged(), // what becomes of others begins no opening anew
    switchMap(() => {
      const own = handle ?? ledger.entry(id);
      const token = own && tokenAtHand(ledger, own);
      return own && token === undefined ? from(opened(own)).pipe(concatAll()) : [token ?? null];
    }),
    distinctUntilChanged(),
  );
}

/** As `ledger.token`, but none of another credential that is stored under the id by now. */
export function tokenAtHand(ledger: Ledger, own: Holding): Token | null | undefined {
  return ledger.entry(own.id) === own ? ledger.token(own.id) : null;
}
