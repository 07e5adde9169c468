/**
 * Refresh: one flight per credential in this tab, one at a time over all tabs, never cancelled once sent. The lock is asked for
 * first, then the record is read again; whoever finds that another has renewed the token sends nothing.
 *
 * @module
 */
import { defer, firstValueFrom, shareReplay, type Observable } from 'rxjs';
import { recordFieldsOf, STORE_RECORD_ID, type CredentialRecord, type OpenRecord, type StagedAnswer } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import { asCredentialError, CredentialError, StorageError } from '../errors.js';
import { OAuthResponseError } from '../oauth/oauth-response-error.js';
import type { Grant, OAuth2Client } from '../oauth/client.js';
import { inProcessLocks } from '../platform/in-process-locks.js';
import type { Platform } from '../platform/platform.js';
import { accessTokenIn, refreshTokenIn } from '../oauth/token-response.js';
import { gone } from './credential.js';
import { tombstoneOf } from './drafts.js';
import type { Following } from './following.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';
import type { RecordDraft, Writing } from './writing.js';

/** How a flight ended. A failure is a value: an error in the shared stream would let `retry` in one caller start a second request. */
export type RefreshOutcome = { readonly token: Token } | { readonly error: CredentialError };

/** What a refresh needs of the store around it. */
export interface RefreshContext {
  readonly ledger: Ledger;
  readonly following: Following;
  readonly writing: Writing;
  readonly loop: Loop;
  readonly platform: Pick<Platform, 'now'>;
  /** True if others write to the same records. */
  readonly isShared: () => boolean;
  readonly withLock: <T>(name: string, run: () => Promise<T>) => Promise<T>;
  /** The client a record belongs to; `undefined` where none is configured: then nothing is ever sent. */
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
}

/** What refreshes of one store share: answers that could not be written. They are used before anything is sent again. */
interface Refreshing extends RefreshContext {
  readonly unwritten: Map<string, { readonly sent: string | undefined; readonly answer: StagedAnswer }>;
}

/** What a caller asks for. */
export interface RefreshRequest {
  /** Send unless the token is good for this many milliseconds more; `null` sends unless another refresh finishes first. */
  readonly minValidityMs: number | null;
}

/** All flights of a store. */
export interface Refresher {
  refresh(id: string, request: RefreshRequest): Promise<Token>;
}

/** The flights of one store. */
export function createRefresher(parts: RefreshContext): Refresher {
  const context: Refreshing = { ...parts, unwritten: new Map() };
  const turns = inProcessLocks(); // one at a time in this store, whatever the lock of the storage is worth
  const flights = new Map<string, Observable<RefreshOutcome>>();
  const flight = (id: string, request: RefreshRequest): Observable<RefreshOutcome> => {
    const key = `${request.minValidityMs ?? 'forced'}:${id}`; // E63: only who asks for the same joins
    const running = flights.get(key);
    if (running) return running;
    const seen = seenOf(context, id);
    const shared = defer(async (): Promise<RefreshOutcome> => {
      try {
        return {
          token: await turns.withLock(id, () => context.withLock(`refresh:${id}`, () => refreshLocked(context, id, seen, request))),
        };
      } catch (error) {
        return { error: asCredentialError(error, 'lock_unavailable', 'The lock for the refresh could not be had.') };
      } finally {
        flights.delete(key);
      }
    }).pipe(shareReplay({ bufferSize: 1, refCount: false }));
    flights.set(key, shared);
    return shared;
  };
  return {
    refresh: async (id, request) => {
      const outcome = await firstValueFrom(flight(id, request));
      if ('error' in outcome) throw outcome.error;
      return outcome.token;
    },
  };
}

/** What a caller knew when it asked. */
interface Seen {
  readonly generation: number;
  readonly accessToken: string | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
}

function seenOf({ ledger, platform }: RefreshContext, id: string): Seen {
  return { generation: ledger.record(id)?.generation ?? 0, accessToken: ledger.token(id)?.accessToken, at: platform.now() };
}

/** The refresh itself, alone among all tabs. */
async function refreshLocked(context: Refreshing, id: string, seen: Seen, request: RefreshRequest): Promise<Token> {
  const { ledger, following, loop } = context;
  usable(await following.reread(id));
  if (ledger.book.quarantined.has(id))
    throw new StorageError('storage_failed', 'The stored record cannot be read: no answer could be kept.');
  const record = usable(await ledger.open(id));
  const token = ledger.token(id);
  if (token && isGoodFor(context, request, token, record.generation, seen)) return token;
  const client = clientFor(context, record);
  loop.dispatch([{ type: 'refresh_started', id, generation: record.generation }], 'here');
  const grant = grantOf(record);
  const waiting = record.staged ?? unwrittenAnswer(context, grant);
  const renewed = await renew(context, client, grant, record, waiting);
  // What waited may have expired meanwhile (E18); its refresh token has not.
  const lastsLongEnough = !waiting || ledger.remainingMs(id) > (request.minValidityMs ?? 0);
  return lastsLongEnough ? renewed : refreshLocked(context, id, seen, request);
}

/** True if nothing has to be sent: another has renewed the token meanwhile, or it lasts as long as the caller wants. */
function isGoodFor(
  { ledger }: RefreshContext,
  { minValidityMs }: RefreshRequest,
  { id, accessToken, issuedAt }: Token,
  generation: number,
  seen: Seen,
): boolean {
  const remainingMs = ledger.remainingMs(id);
  if (minValidityMs !== null && remainingMs > minValidityMs) return true;
  // Where access tokens are not shared, another's renewal leaves this program the one it had.
  const isRenewed = generation > seen.generation && accessToken !== seen.accessToken;
  // One that was asked for since then lasts as long as any that could be had now.
  return isRenewed && remainingMs > 0 && (minValidityMs === null || issuedAt >= seen.at);
}

/** What is presented in a refresh, and what the answer is compared with. */
function grantOf({ id, scope, claims, context, secrets }: OpenRecord): Grant {
  return { id, scope, claims, context, refreshToken: secrets?.refreshToken, idToken: secrets?.idToken };
}

/** The client to ask. @throws {CredentialError} `client_unknown`, `no_refresh_token`: nothing is sent */
function clientFor({ clientOf }: RefreshContext, record: OpenRecord): OAuth2Client {
  const client = clientOf(record);
  if (!client) {
    throw new CredentialError('client_unknown', 'The record belongs to a client that is not configured; nothing is sent for it.');
  }
  if (record.secrets?.refreshToken !== undefined) return client;
  throw new CredentialError('no_refresh_token', 'There is no refresh token; the user must sign in.', { issuer: client.issuer });
}

/** An answer to this very refresh token that could not be written before. */
function unwrittenAnswer({ unwritten }: Refreshing, { id, refreshToken }: Grant): StagedAnswer | undefined {
  const found = unwritten.get(id);
  return found?.sent === refreshToken ? found?.answer : undefined;
}

/** Sends, unless an answer waits already; judges it and makes it durable, or finds out what the failure means. */
async function renew(
  context: Refreshing,
  client: OAuth2Client,
  grant: Grant,
  record: CredentialRecord,
  waiting: StagedAnswer | undefined,
): Promise<Token> {
  const { unwritten } = context;
  try {
    const answer = waiting ?? (await sendAndStage(context, client, grant));
    const next = await judge(context, client, grant, answer);
    const renewed = await commit(context, client, grant, next);
    unwritten.delete(grant.id);
    return renewed;
  } catch (error) {
    const failure = asCredentialError(error, 'storage_failed', 'The refresh failed.');
    if (!(failure instanceof StorageError)) unwritten.delete(grant.id);
    return settleFailure(context, record, grant, failure);
  }
}

/** The raw answer, durable already if judging it must ask the server for keys (RF-4): what was rotated is not lost to that. */
async function sendAndStage({ writing, unwritten }: Refreshing, client: OAuth2Client, grant: Grant): Promise<StagedAnswer> {
  const answer = await client.sendRefresh(grant);
  unwritten.set(grant.id, { sent: grant.refreshToken, answer }); // until it is committed: what was rotated must not be lost (RF-15)
  if (client.needsKeys(answer))
    await writing
      .updateOpen(grant.id, (current) => (holds(current, grant) ? { ...current, staged: answer } : null), { keep: true })
      .catch(() => null);
  return answer;
}

/** The next token. An answer that is refused for good gives up its staged copy, but not the refresh token the server rotated to. */
async function judge(context: RefreshContext, client: OAuth2Client, grant: Grant, answer: StagedAnswer): Promise<Token> {
  try {
    return await client.processRefresh(grant, answer);
  } catch (error) {
    const { ledger, writing } = context;
    const failure = asCredentialError(error, 'response_invalid', 'The answer could not be processed.');
    const before = await ledger.open(grant.id);
    if (isTransient(failure) && before?.staged && holds(before, grant)) throw failure; // judged again by the next refresh
    const isAttack = failure.code === 'token_substitution';
    const rotated = refreshTokenIn(answer.text);
    const written = await writing.updateOpen(
      grant.id,
      (current) => {
        if (!holds(current, grant)) return null;
        return isAttack ? tombstoneOf(current) : rotatedTo(current, rotated);
      },
      { keep: true },
    );
    const after = await ledger.open(grant.id);
    if (isAttack || !(written || (after && holds(after, grant)))) await revokeAnswer(client, answer.text);
    if (isAttack && written) await revokeQuietly(client, grant.refreshToken, 'refresh_token'); // nobody holds it any more
    throw failure;
  }
}

/** Makes the next token durable, or finds that the credential ended meanwhile: then what was received is revoked, never stored. */
async function commit(context: RefreshContext, client: OAuth2Client, grant: Grant, next: Token): Promise<Token> {
  const { ledger, following, writing } = context;
  const written = await writing.updateOpen(
    grant.id,
    (current) => (holds(current, grant) ? { ...unstaged(current), ...recordFieldsOf(next), generation: current.generation + 1 } : null),
    { keep: true },
  );
  // A clear elsewhere that no message told of. Whether or not it can be read now: the token is at hand.
  if (written && context.isShared()) await following.reread(STORE_RECORD_ID).catch(() => undefined);
  const held = ledger.token(grant.id);
  if (held && held.claims?.sub === grant.claims?.sub) return held; // RF-5: if another token is stored by now, ours is dropped, not revoked: that might end the other one, too
  await revokeQuietly(client, next.refreshToken, 'refresh_token');
  await revokeQuietly(client, next.accessToken, 'access_token');
  throw gone();
}

/** What a failed refresh means for the record (`standards.md` §2, "Answer of a refresh"). */
async function settleFailure(context: RefreshContext, record: CredentialRecord, grant: Grant, error: CredentialError): Promise<Token> {
  const { ledger, following, writing, loop } = context;
  const { id } = grant;
  if (error instanceof OAuthResponseError && error.error === 'invalid_grant') {
    await following.reread(id);
    await ledger.open(id);
    const stored = ledger.token(id);
    if (stored && stored.refreshToken !== grant.refreshToken) return stored; // another had it renewed: adopt
    await writing.updateOpen(id, (current) => (holds(current, grant) ? rejected(current) : null), { keep: true });
    throw new CredentialError('needs_sign_in', 'The server rejected the refresh token; the user must sign in.', {
      issuer: error.issuer,
      cause: error,
    });
  }
  const { code, class: errorClass } = error;
  const generation = record.generation;
  const asksForUser = error instanceof OAuthResponseError && /^(interaction|login|consent|account_selection)_required$/.test(error.error);
  loop.dispatch([{ type: asksForUser ? 'interaction_required' : 'refresh_failed', id, generation, code, class: errorClass }], 'here');
  if (asksForUser)
    throw new CredentialError('needs_interaction', 'The server asks for the user before it renews.', {
      issuer: error.issuer,
      cause: error,
    });
  throw error;
}

/** The record without its dead secrets: what is left says who must sign in. */
function rejected(current: OpenRecord): RecordDraft {
  return { ...unstaged(current), state: 'needs_sign_in', reason: 'rejected', secrets: null, generation: current.generation + 1 };
}

/** True if the record still holds what the request was sent with. */
function holds(current: OpenRecord, grant: Grant): boolean {
  return current.state === 'active' && current.secrets?.refreshToken === grant.refreshToken;
}

function unstaged({ staged: _, ...record }: OpenRecord): OpenRecord {
  return record;
}

/** The record after an answer that was refused but brought another refresh token (E56); `null` if there is nothing to change. */
function rotatedTo(current: OpenRecord, refreshToken: string | undefined): RecordDraft | null {
  if (!current.secrets || refreshToken === undefined) return current.staged ? unstaged(current) : null;
  return { ...unstaged(current), secrets: { ...current.secrets, refreshToken }, generation: current.generation + 1 };
}

/** True for failures that say nothing of the answer itself: keys could not be had. */
function isTransient({ class: errorClass, code }: CredentialError): boolean {
  return errorClass === 'transient' || code === 'network_error' || code === 'timeout';
}

/** A record that may be refreshed. */
function usable<T extends CredentialRecord>(record: T | undefined): T {
  if (!record || record.state === 'removed' || record.state === 'revoking') throw gone();
  if (record.state === 'needs_sign_in') throw new CredentialError('needs_sign_in', 'The user must sign in again.');
  return record;
}

/** All tokens of an answer nobody will use. */
async function revokeAnswer(client: OAuth2Client, text: string): Promise<void> {
  await revokeQuietly(client, refreshTokenIn(text), 'refresh_token');
  await revokeQuietly(client, accessTokenIn(text), 'access_token');
}

/** A token nobody will use any more. That the server cannot be reached changes nothing here. */
async function revokeQuietly(client: OAuth2Client, token: string | undefined, hint: 'access_token' | 'refresh_token'): Promise<void> {
  if (token !== undefined) await client.revoke(token, hint).catch(() => undefined);
}
