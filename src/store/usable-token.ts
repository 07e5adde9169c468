/**
 * What a handle is asked for a token: as long as its credential is there, and is that of the user in whose name it is asked.
 *
 * @module
 */
import { defaultGraceMs, reachableMs } from '../credential/expiry.js';
import { assertNothingElse, optionsOf } from '../credential/options.js';
import type { CredentialRecord } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import { CredentialError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { AccessTokenOptions, CredentialContext } from './credential.js';
import type { Holding, Ledger } from './ledger.js';
import { tokenAtHand } from './token-stream.js';

/** One way to the token for all who ask at once without conditions: a thousand callers walk it together. */
export function shared(context: CredentialContext, own: Holding): Promise<string> {
  if (own.asking && !context.isClosing()) return own.asking;
  const asking = usableAccessToken(context, own, {});
  const clear = (): void => void (own.asking === asking && (own.asking = undefined));
  asking.then(clear, clear);
  return (own.asking = asking);
}

/** The access token after whatever opening and renewal it needs; what is good is at hand for the next reader. */
export function usableAccessToken(context: CredentialContext, own: Holding, options: AccessTokenOptions): Promise<string> {
  return ofUser(context.ledger, own, () => anyAccessToken(context, own, options));
}

async function anyAccessToken(context: CredentialContext, own: Holding, options: AccessTokenOptions): Promise<string> {
  const { minValidityMs, forceRefresh, scope, resource, refused, signal: _signal, ...rest } = optionsOf(options, 'accessToken');
  assertNothingElse(rest, 'accessToken takes AccessTokenOptions');
  assertDuration(minValidityMs, 'minValidityMs');
  if (forceRefresh !== undefined && typeof forceRefresh !== 'boolean') throw new TypeError('forceRefresh must be true or false');
  await context.open();
  if (scope !== undefined || resource !== undefined || refused !== undefined) return (await context.living()).accessTokenFor(own, options); // no command: `close` waits for no key
  const { ledger, now, monotonicNow } = context;
  const token = forceRefresh
    ? await context.command((living) => living.refresh(own, { minValidityMs: null }))
    : await currentToken(context, own, minValidityMs);
  const aheadMs = ledger.remainingMs(own.id) - defaultGraceMs(token);
  if (aheadMs > 0 && tokenAtHand(ledger, own) === token && !ledger.record(own.id)?.intent) {
    const accessToken = Promise.resolve(token.accessToken);
    own.live = { accessToken, until: now() + aheadMs, monotonicUntil: monotonicNow() + aheadMs, comparedAt: -Infinity };
  }
  return token.accessToken;
}

/** The token if it is good for long enough, else a new one, else the old one as long as it lives. */
export async function currentToken(context: CredentialContext, own: Holding, graceMs?: number): Promise<Token> {
  const { ledger, used } = context;
  const { id } = own;
  const record = await usableRecord(context, own);
  clientFor(context, id);
  used.add(id);
  const token = ledger.token(id);
  const minValidityMs = graceMs === undefined ? defaultGraceMs(record) : reachableMs(record, graceMs);
  if (token && ledger.remainingMs(id) > minValidityMs) return (takeUp(context, own, record), token);
  return context.command((living) =>
    graceMs === undefined ? living.renewedOrHeld(own, minValidityMs) : living.refresh(own, { minValidityMs }),
  );
}

/** Lets what an earlier refresh has left in doubt be taken up, beside what is asked for. */
export function takeUp(context: CredentialContext, own: Holding, { intent }: CredentialRecord): void {
  if (intent)
    void context
      .living()
      .then((all) => all.takeUp(own))
      .catch(() => undefined);
}

/**
 * Says later whether a credential is still that of the user whose it is now: what is asked for one serves no other (D-051). Where no claims say
 * who it is, whoever signs in is another one; an ID token that a refresh brings is of the same.
 */
export function sameAsNow(ledger: Ledger, own: Holding): () => boolean {
  const { claims, signedInAt } = ledger.record(own.id) ?? {};
  return () => {
    const now = ledger.entry(own.id);
    return now === own && (claims ? now.record.claims?.sub === claims.sub : now.record.signedInAt === signedInAt);
  };
}

/** What was asked for a user, as long as the credential is that user's: another may take the place while a key is asked for, or a page that slept catches up. */
export async function ofUser<T>(ledger: Ledger, own: Holding, ask: () => Promise<T>): Promise<T> {
  const isTheirs = sameAsNow(ledger, own);
  const answer = await ask();
  if (!isTheirs()) throw gone();
  return answer;
}

/** An active record with its secrets. @throws {CredentialError} `needs_sign_in`, `credential_removed`; `client_unknown`: no key is asked for */
export async function usableRecord({ ledger }: CredentialContext, own: Holding): Promise<CredentialRecord> {
  const { id } = own;
  if (ledger.entry(id) === own) assertOurs(ledger, id);
  const record = await ledger.open(id).catch((error: unknown) => {
    if (ledger.record(id)?.reason !== 'unreadable') throw error;
    return ledger.record(id); // an event has said why; from now on the answer is the same
  });
  if (ledger.entry(id) !== own) throw gone(); // another one may have come while this waited
  if (record?.state === 'needs_sign_in') {
    // Why an event has said: key_lost, seal_broken
    const why = record.reason === 'unreadable' && ledger.book.quarantined.get(id);
    const what = why ? `The tokens that are stored cannot be opened (${why}): bring the key back, or` : 'This session has ended;';
    throw new CredentialError('needs_sign_in', `${what} the user must sign in again.`, { issuer: record.context.issuer });
  }
  if (record?.state !== 'active') throw gone();
  return record;
}

/** The client to ask. @throws {CredentialError} `client_unknown` */
export function clientFor({ clientOf }: CredentialContext, id: string): OAuth2Client {
  const client = clientOf(id);
  if (client) return client;
  throw notOurs();
}

/** No key is asked for what is kept, and never used. @throws {CredentialError} `client_unknown` */
export function assertOurs(ledger: Ledger, id: string): void {
  const record = ledger.record(id);
  if (record?.state === 'active' && !ledger.isOurs(record)) throw notOurs();
}

/** What is told of a credential that is kept, and never used: there the user can do something about it, by signing in with a client there is. */
export function notOurs(): CredentialError {
  const message = 'The credential belongs to a client that is not configured; nothing is sent for it. The user must sign in again.';
  return new CredentialError('client_unknown', message, { class: 'needs_user' });
}

export function assertDuration(value: unknown, name: string): void {
  if (value !== undefined && !(typeof value === 'number' && value >= 0))
    throw new TypeError(`${name} must be a number of milliseconds, 0 or more`);
}

/** A caller's own end to waiting. What it waited for goes on. */
export function abortable<T>(ask: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return ask();
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(new CredentialError('aborted', 'The caller stopped waiting; the refresh itself goes on.'));
    if ((signal as Partial<AbortSignal>).aborted === undefined) throw new TypeError('signal must be a signal: pass controller.signal');
    if (signal.aborted) return stop(); // nothing is asked
    signal.addEventListener('abort', stop, { once: true });
    ask()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}

/** What commands on a removed credential are told. */
export function gone(): CredentialError {
  return new CredentialError('credential_removed', 'The credential was removed or is being revoked.');
}
