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
import { asCredentialError, CredentialError, OAuthResponseError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';
import { refreshTokenIn } from '../oauth/token-response.js';
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
export function createRefresher(context: RefreshContext): Refresher {
  const flights = new Map<string, Observable<RefreshOutcome>>();
  const flight = (id: string, request: RefreshRequest): Observable<RefreshOutcome> => {
    const key = `${request.minValidityMs ?? 'forced'}:${id}`; // E63: only who asks for the same joins
    const running = flights.get(key);
    if (running) return running;
    const seen = context.ledger.record(id)?.generation ?? 0;
    const shared = defer(async (): Promise<RefreshOutcome> => {
      try {
        return { token: await context.withLock(`refresh:${id}`, () => refreshLocked(context, id, seen, request)) };
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
async function refreshLocked(context: RefreshContext, id: string, seen: number, { minValidityMs }: RefreshRequest): Promise<Token> {
  const { ledger, loop, platform } = context;
  const record = usable(await ledger.reread(id));
  const token = ledger.token(id);
  if (!token) throw gone();
  const renewedMeanwhile = record.generation > seen && isFresh(record, platform.now(), 0);
  if (minValidityMs === null ? renewedMeanwhile : isFresh(record, platform.now(), minValidityMs)) return token;
  const client = context.clientOf(record);
  if (!client)
    throw new CredentialError('client_unknown', 'The record belongs to a client that is not configured; nothing is sent for it.');
  if (token.refreshToken === undefined) {
    throw new CredentialError('no_refresh_token', 'There is no refresh token; the user must sign in.', { issuer: client.issuer });
  }
  loop.dispatch([{ type: 'refresh_started', id, generation: record.generation }], 'here');
  try {
    const answer = record.staged ?? (await sendAndStage(context, client, token));
    const next = await judge(context, client, token, answer);
    return await commit(context, client, token, next);
  } catch (error) {
    return await settleFailure(context, record, token, asCredentialError(error, 'storage_failed', 'The refresh failed.'));
  }
}

/** The raw answer, durable already if judging it must ask the server for keys (RF-4): what was rotated is not lost to that. */
async function sendAndStage({ ledger }: RefreshContext, client: OAuth2Client, token: Token): Promise<StagedAnswer> {
  const answer = await client.sendRefresh(token);
  if (client.needsKeys(answer))
    await ledger.update(token.id, (current) => (holds(current, token) ? { ...current, staged: answer } : null)).catch(() => null);
  return answer;
}

/** The next token. An answer that is refused for good gives up its staged copy, but not the refresh token the server rotated to. */
async function judge(context: RefreshContext, client: OAuth2Client, token: Token, answer: StagedAnswer): Promise<Token> {
  try {
    return await client.processRefresh(token, answer);
  } catch (error) {
    const failure = asCredentialError(error, 'response_invalid', 'The answer could not be processed.');
    if (failure.class === 'transient' || failure.code === 'network_error' || failure.code === 'timeout') throw failure; // still staged
    const rotated = refreshTokenIn(answer.text);
    if (failure.code === 'token_substitution') {
      await revokeQuietly(client, rotated, 'refresh_token');
      await context.ledger.update(token.id, (current) => (holds(current, token) ? tombstoneOf(current) : null));
      throw failure;
    }
    await context.ledger.update(token.id, (current) =>
      holds(current, token) && current.secrets && (current.staged ?? rotated)
        ? { ...unstaged(current), secrets: { ...current.secrets, ...(rotated !== undefined && { refreshToken: rotated }) } }
        : null,
    );
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
  if (written && held) return held;
  await revokeQuietly(client, next.refreshToken, 'refresh_token');
  await revokeQuietly(client, next.accessToken, 'access_token');
  if (held) return held; // RF-5: another token is stored by now; ours is dropped
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

/** A record that may be refreshed. */
function usable(record: CredentialRecord | undefined): CredentialRecord {
  if (!record || record.state === 'removed' || record.state === 'revoking') throw gone();
  if (record.state === 'needs_sign_in') throw new CredentialError('needs_sign_in', 'The user must sign in again.');
  return record;
}

/** A token nobody will use any more. That the server cannot be reached changes nothing here. */
async function revokeQuietly(client: OAuth2Client, token: string | undefined, hint: 'access_token' | 'refresh_token'): Promise<void> {
  if (token !== undefined) await client.revoke(token, hint).catch(() => undefined);
}
