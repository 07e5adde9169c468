/**
 * Refresh: one flight per credential in this tab, one at a time over all tabs, never cancelled once sent. The lock is asked for
 * first, then the record is read again; whoever finds that another has renewed the token sends nothing.
 *
 * @module
 */
import { defer, firstValueFrom, shareReplay, type Observable } from 'rxjs';
import { isFresh } from '../credential/expiry.js';
import { recordFieldsOf, STORE_RECORD_ID, type CredentialRecord, type StagedAnswer } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import { asCredentialError, CredentialError, OAuthResponseError, StorageError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import { inProcessLocks } from '../platform/in-process-locks.js';
import type { Platform } from '../platform/platform.js';
import { accessTokenIn, refreshTokenIn } from '../oauth/token-response.js';
import { gone } from './credential.js';
import { tombstoneOf } from './drafts.js';
import type { Ledger, RecordDraft } from './ledger.js';
import type { Loop } from './loop.js';

/** How a flight ended. A failure is a value: an error in the shared stream would let `retry` in one caller start a second request. */
export type RefreshOutcome = { readonly token: Token } | { readonly error: CredentialError };

/** What a refresh needs of the store around it. */
export interface RefreshContext {
  readonly ledger: Ledger;
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
    const seen = context.ledger.record(id)?.generation ?? 0;
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

/** The refresh itself, alone among all tabs. `seen` is the generation the caller knew when it asked. */
async function refreshLocked(context: Refreshing, id: string, seen: number, request: RefreshRequest): Promise<Token> {
  const { ledger, loop, platform } = context;
  const record = usable(await ledger.reread(id));
  if (ledger.isUnreadable(id)) throw new StorageError('storage_failed', 'The stored record cannot be read: no answer could be kept.');
  const token = ledger.token(id);
  if (!token) throw gone();
  if (isGoodFor(request, record, seen, platform.now())) return token;
  const client = clientFor(context, record);
  loop.dispatch([{ type: 'refresh_started', id, generation: record.generation }], 'here');
  const waiting = record.staged ?? unwrittenAnswer(context, token);
  const renewed = await renew(context, client, token, record, waiting);
  // What waited may have expired meanwhile (E18); its refresh token has not.
  const lastsLongEnough = !waiting || isFresh(renewed, platform.now(), request.minValidityMs ?? 0);
  return lastsLongEnough ? renewed : refreshLocked(context, id, seen, request);
}

/** True if nothing has to be sent: another has renewed the token meanwhile, or it lasts as long as the caller wants. */
function isGoodFor({ minValidityMs }: RefreshRequest, record: CredentialRecord, seen: number, now: number): boolean {
  return minValidityMs === null ? record.generation > seen && isFresh(record, now, 0) : isFresh(record, now, minValidityMs);
}

/** The client to ask. @throws {CredentialError} `client_unknown`, `no_refresh_token`: nothing is sent */
function clientFor({ clientOf }: RefreshContext, record: CredentialRecord): OAuth2Client {
  const client = clientOf(record);
  if (!client) {
    throw new CredentialError('client_unknown', 'The record belongs to a client that is not configured; nothing is sent for it.');
  }
  if (record.secrets?.refreshToken !== undefined) return client;
  throw new CredentialError('no_refresh_token', 'There is no refresh token; the user must sign in.', { issuer: client.issuer });
}

/** An answer to this very refresh token that could not be written before. */
function unwrittenAnswer({ unwritten }: Refreshing, { id, refreshToken }: Token): StagedAnswer | undefined {
  const found = unwritten.get(id);
  return found?.sent === refreshToken ? found?.answer : undefined;
}

/** Sends, unless an answer waits already; judges it and makes it durable, or finds out what the failure means. */
async function renew(
  context: Refreshing,
  client: OAuth2Client,
  token: Token,
  record: CredentialRecord,
  waiting: StagedAnswer | undefined,
): Promise<Token> {
  const { unwritten } = context;
  try {
    const answer = waiting ?? (await sendAndStage(context, client, token));
    const next = await judge(context, client, token, answer);
    const renewed = await commit(context, client, token, next);
    unwritten.delete(token.id);
    return renewed;
  } catch (error) {
    const failure = asCredentialError(error, 'storage_failed', 'The refresh failed.');
    if (!(failure instanceof StorageError)) unwritten.delete(token.id);
    return settleFailure(context, record, token, failure);
  }
}

/** The raw answer, durable already if judging it must ask the server for keys (RF-4): what was rotated is not lost to that. */
async function sendAndStage({ ledger, unwritten }: Refreshing, client: OAuth2Client, token: Token): Promise<StagedAnswer> {
  const answer = await client.sendRefresh(token);
  unwritten.set(token.id, { sent: token.refreshToken, answer }); // until it is written: a full disk must not cost the session (RF-15)
  if (client.needsKeys(answer))
    await ledger.update(token.id, (current) => (holds(current, token) ? { ...current, staged: answer } : null)).catch(() => null);
  return answer;
}

/** The next token. An answer that is refused for good gives up its staged copy, but not the refresh token the server rotated to. */
async function judge(context: RefreshContext, client: OAuth2Client, token: Token, answer: StagedAnswer): Promise<Token> {
  try {
    return await client.processRefresh(token, answer);
  } catch (error) {
    const { ledger } = context;
    const failure = asCredentialError(error, 'response_invalid', 'The answer could not be processed.');
    const before = ledger.record(token.id);
    if (isTransient(failure) && before?.staged && holds(before, token)) throw failure; // judged again by the next refresh
    const isAttack = failure.code === 'token_substitution';
    const rotated = refreshTokenIn(answer.text);
    const written = await ledger.update(token.id, (current) => {
      if (!holds(current, token)) return null;
      return isAttack ? tombstoneOf(current) : rotatedTo(current, rotated);
    });
    const after = ledger.record(token.id);
    if (isAttack || !(written || (after && holds(after, token)))) await revokeAnswer(client, answer.text);
    if (isAttack && written) await revokeQuietly(client, token.refreshToken, 'refresh_token'); // nobody holds it any more
    throw failure;
  }
}

/** Makes the next token durable, or finds that the credential ended meanwhile: then what was received is revoked, never stored. */
async function commit(context: RefreshContext, client: OAuth2Client, token: Token, next: Token): Promise<Token> {
  const { ledger } = context;
  const written = await ledger.update(token.id, (current) =>
    holds(current, token) ? { ...unstaged(current), ...recordFieldsOf(next), generation: current.generation + 1 } : null,
  );
  if (written && context.isShared()) await ledger.reread(STORE_RECORD_ID); // a clear elsewhere that no message told of
  const held = ledger.token(token.id);
  if (held && held.claims?.sub === token.claims?.sub) return held; // RF-5: if another token is stored by now, ours is dropped, not revoked: that might end the other one, too
  await revokeQuietly(client, next.refreshToken, 'refresh_token');
  await revokeQuietly(client, next.accessToken, 'access_token');
  throw gone();
}

/** What a failed refresh means for the record (`standards.md` §2, "Answer of a refresh"). */
async function settleFailure(context: RefreshContext, record: CredentialRecord, token: Token, error: CredentialError): Promise<Token> {
  const { ledger, loop } = context;
  const { id } = token;
  if (error instanceof OAuthResponseError && error.error === 'invalid_grant') {
    await ledger.reread(id);
    const stored = ledger.token(id);
    if (stored && stored.refreshToken !== token.refreshToken) return stored; // another had it renewed: adopt
    await ledger.update(id, (current) => (holds(current, token) ? rejected(current) : null));
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
function rejected(current: CredentialRecord): RecordDraft {
  return { ...unstaged(current), state: 'needs_sign_in', reason: 'rejected', secrets: null, generation: current.generation + 1 };
}

/** True if the record still holds what the request was sent with. */
function holds(current: CredentialRecord, token: Token): boolean {
  return current.state === 'active' && current.secrets?.refreshToken === token.refreshToken;
}

function unstaged({ staged: _, ...record }: CredentialRecord): CredentialRecord {
  return record;
}

/** The record after an answer that was refused but brought another refresh token (E56); `null` if there is nothing to change. */
function rotatedTo(current: CredentialRecord, refreshToken: string | undefined): RecordDraft | null {
  if (!current.secrets || refreshToken === undefined) return current.staged ? unstaged(current) : null;
  return { ...unstaged(current), secrets: { ...current.secrets, refreshToken }, generation: current.generation + 1 };
}

/** True for failures that say nothing of the answer itself: keys could not be had. */
function isTransient({ class: errorClass, code }: CredentialError): boolean {
  return errorClass === 'transient' || code === 'network_error' || code === 'timeout';
}

/** A record that may be refreshed. */
function usable(record: CredentialRecord | undefined): CredentialRecord {
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
