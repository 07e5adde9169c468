/**
 * The token of a credential as a stream.
 *
 * @module
 */
import { concatAll, defer, distinctUntilChanged, from, map, startWith, switchMap, tap, type Observable, type ObservableInput } from 'rxjs';
import type { CredentialRecord } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import type { CredentialContext } from './credential.js';
import type { Holding, Ledger } from './ledger.js';

/**
 * The token of a credential; `null` when it is absent, removed or needs sign-in. What is sealed is opened first. Until that has come to
 * something, the token before it stands: a key that is away for a moment signs nobody out. One of another user does not stand.
 */
export function tokenStream(context: CredentialContext, id: string, handle?: Holding): Observable<Token | null> {
  const { ledger, loop, isClosing } = context;
  const untilOpened = async (own: Holding, why: unknown): Promise<ObservableInput<Token | null>> => {
    const all = isClosing() ? null : await context.living().catch(() => null);
    if (!all) own.waiting = undefined;
    return all?.whenOpened(own, why) ?? [];
  };
  const opened = async (own: Holding): Promise<ObservableInput<Token | null>> => {
    const why: unknown = await ledger.open(own.id).catch((error: unknown) => error); // an event says so, and the status
    const token = tokenAtHand(ledger, own);
    return token === undefined ? (own.waiting ??= untilOpened(own, why)) : [token];
  };
  return defer(() => {
    let shown: CredentialRecord | null | undefined; // that the last token is from
    return loop.ready$.pipe(
      map(() => ledger.record(id)),
      distinctUntilChanged(), // what becomes of others begins no opening anew
      switchMap((record) => {
        const own = handle ?? ledger.entry(id);
        const token = own && tokenAtHand(ledger, own);
        if (!own || token !== undefined) return [token ?? null];
        const isStale = shown && record && !isOfSameUser(shown, record);
        return from(own.waiting ?? opened(own)).pipe(concatAll(), startWith(...(isStale ? [null] : [])));
      }),
      tap((token) => (shown = token && ledger.record(id))),
      distinctUntilChanged(),
    );
  });
}

/** Where no claims say who it is, whoever has signed in since is another one. */
function isOfSameUser(shown: CredentialRecord, { claims, context, signedInAt, storedAt }: CredentialRecord): boolean {
  if (shown.claims?.sub !== claims?.sub || shown.context.issuer !== context.issuer) return false;
  return claims !== null || (shown.signedInAt ?? shown.storedAt) === (signedInAt ?? storedAt);
}

/** As `ledger.token`, but none of another credential that is stored under the id by now. */
export function tokenAtHand(ledger: Ledger, own: Holding): Token | null | undefined {
  return ledger.entry(own.id) === own ? ledger.token(own.id) : null;
}
