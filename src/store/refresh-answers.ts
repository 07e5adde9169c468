/**
 * What an answer of the token endpoint means for a record, and what becomes of tokens that nobody will use.
 *
 * @module
 */
import { childrenWith, narrowed } from '../credential/children.js';
import { withFields } from '../credential/create-token.js';
import {
  recordFieldsOf,
  type ChildToken,
  type CredentialRecord,
  type OpenRecord,
  type StagedAnswer,
  type Target,
} from '../credential/record.js';
import type { Ending, OnUnknownOutcome, Refresh, Results, Step } from '../credential/refresh-protocol.js';
import { isToken, NO_EXTRA, type Token } from '../credential/token.js';
import { asCredentialError, CredentialError, ProtocolError, StorageError } from '../errors.js';
import type { Grant, OAuth2Client, RenewFunction } from '../oauth/client.js';
import { toldAgain } from '../oauth/passing.js';
import { asksForUser, isRejected, mayBeDead } from '../oauth/refusals.js';
import { isOnThisMachine } from '../oauth/secure-url.js';
import { nameOf } from '../oauth/thrown.js';
import { accessTokenIn, refreshTokenIn } from '../oauth/token-response.js';
import type { Platform } from '../platform/platform.js';
import { gone, notOurs } from './usable-token.js';
import { closed, finished, tombstoneOf } from './drafts.js';
import { revokeBoth, revokeLate, revokeQuietly } from './letting-go.js';
import { EPISODE_MS, inTime } from './own-client.js';
import type { RefreshRequest, Renewed, Seen, Unwritten } from './refresh-request.js';
import type { RefreshContext } from './refresh-steps.js';
import type { RecordDraft } from './writing.js';

/** A request of a dead or parked holder may still be on its way for this long, in milliseconds. */
const SETTLE_MS = 2_000;

/** What is presented in a refresh, and what the answer is compared with. */
export interface SentGrant extends Grant {
  readonly generation: number;
  /** Tells the credentials of one id apart. */
  readonly storedAt: number;
  /** When it was last seen to be there, in epoch milliseconds. */
  readonly seenAt: number;
}

export function grantOf(record: OpenRecord, seenAt: number): SentGrant {
  const { id, tokenType, scope, claims, context, secrets, generation, storedAt } = record;
  const { refreshToken, idToken, extra = NO_EXTRA } = secrets ?? {};
  return { id, tokenType, scope, claims, context, refreshToken, idToken, extra, generation, storedAt, seenAt };
}

/** True if the record still holds what the request was sent with. */
export function holds(current: OpenRecord, { refreshToken, generation, storedAt }: SentGrant): boolean {
  if (current.state !== 'active' || current.storedAt !== storedAt || current.secrets?.refreshToken !== refreshToken) return false;
  return refreshToken !== undefined || current.generation === generation;
}

/** True if the record is still of the login that was to be renewed. */
export function isSameSession(stored: CredentialRecord | undefined, { claims }: Pick<Grant, 'claims'>): boolean {
  return stored?.state === 'active' && stored.claims?.sub === claims?.sub;
}

/** True if what is at hand serves who asked: nothing has to be sent. */
export function isEnough(
  one: Renewed,
  leftMs: number,
  generation: number,
  seen: Seen,
  { minValidityMs, refused }: RefreshRequest,
): boolean {
  if (refused !== undefined) return leftMs > 0 && one.accessToken !== refused;
  if (minValidityMs !== null && leftMs > minValidityMs) return true;
  // Another's renewal: where access tokens are not shared, it leaves this program the one it had.
  const isRenewed = generation > seen.generation && one.accessToken !== seen.accessToken;
  // One that was asked for since then lasts as long as any that could be had now.
  return isRenewed && leftMs > 0 && (minValidityMs === null || one.issuedAt >= seen.at);
}

/** Why no request can be made for a record; `undefined` if one can. */
export function reasonNotToSend(client: OAuth2Client | undefined, grant: Grant, target: Target | undefined): CredentialError | undefined {
  if (!client) return notOurs();
  const { issuer } = client;
  if (client.renew) {
    if (!target) return undefined;
    return new CredentialError(
      'unsupported',
      'This client renews by a function of its own, which gets no token for less scope or another resource.',
      { issuer },
    );
  }
  if (grant.refreshToken !== undefined) {
    if (!isBound(grant)) return undefined;
    const message = 'The refresh token is bound to a DPoP key, and this version sends no proofs. The user must sign in again.';
    return new CredentialError('unsupported', message, { issuer, class: 'needs_user' });
  }
  if (target) {
    const message = 'A token for less scope or another resource needs a refresh token, and the server gave none.';
    return new CredentialError('no_refresh_token', message, { issuer, class: 'configuration' }); // the next sign-in would bring none either
  }
  return new CredentialError('no_refresh_token', 'There is no refresh token; the user must sign in.', { issuer });
}

/** True for what a later release has bound to a key (RFC 9449 §5): without a proof the server would say `invalid_grant`, and end the session of all. */
export function isBound({ context }: Pick<Grant, 'context'>): boolean {
  return context.dpopKeyId !== undefined;
}

/** Nothing is sent over a record that cannot be read: the token may be spent, and no answer could be kept. Once the token has expired the user can help. */
export function unreadable(remainingMs: number): StorageError {
  const message = 'The stored record cannot be read: no answer could be kept.';
  if (remainingMs > 0) return new StorageError('storage_failed', message);
  return new StorageError('storage_failed', `${message} The user must sign in again.`, { class: 'needs_user' });
}

/** An answer to this very refresh token that could not be written before. */
export function unwrittenAnswer(unwritten: Unwritten, { id, refreshToken }: Grant): StagedAnswer | undefined {
  const found = unwritten.get(id);
  return found?.sent === refreshToken ? found?.answer : undefined;
}

/** How long to wait for what a former holder may have sent, in milliseconds. */
export function settleMs({ intent }: OpenRecord, now: number): number {
  const ageMs = intent ? now - intent.startedAt : Infinity;
  return ageMs > EPISODE_MS ? 0 : SETTLE_MS;
}

/** What to do where nobody knows whether the server has used up the token: a server that is known to take it again is simply asked. */
export function onUnknownOutcome({ reuseLeewayMs = 0, onUnknownOutcome = 'retry', renew }: OAuth2Client, ageMs: number): OnUnknownOutcome {
  if (renew) return 'retry'; // a function uses up no refresh token
  return ageMs >= 0 && ageMs < reuseLeewayMs ? 'retry' : onUnknownOutcome;
}

/** What a caller is told who must wait until the access token has expired (`defer-until-expiry`). */
export function deferred({ issuer }: OAuth2Client): CredentialError {
  const what = 'Nobody knows what came of an earlier refresh; the refresh token is sent again once the access token has expired.';
  return new CredentialError('network_error', what, { issuer });
}

/** Fetches what a request and its answer need before anything is written down; resolves with why it must not be sent now. */
export async function notReady(
  client: OAuth2Client,
  { ledger, writing, platform }: Pick<RefreshContext, 'ledger' | 'writing' | 'platform'>,
  id: string,
): Promise<CredentialError | undefined> {
  const { issuer } = client;
  if (platform.isOnline?.() === false && !isOnThisMachine(issuer))
    return new CredentialError('network_error', 'The device is offline; nothing was sent.', { issuer, class: 'transient' });
  try {
    if (!client.renew) await inTime(() => client.metadata(), client, platform, 'transient');
  } catch (error) {
    return asCredentialError(error, 'network_error', 'What the server says of itself could not be read.');
  }
  // What is stored must not be spent while what follows it could not be stored (D-061); what is in memory alone goes on there (RF-15).
  if (!ledger.entry(id)?.storedRevision || writing.isWaiting(id)) return undefined;
  return ledger
    .write(async (storage) => storage.prepare?.())
    .then(
      () => undefined,
      ({ code, message }: CredentialError) => new StorageError(code, message, { class: 'transient' }),
    );
}

/** The token that a function of the application gives. @throws {CredentialError} `renewal_failed`, `timeout` */
export async function renewedBy(
  renew: RenewFunction,
  client: OAuth2Client,
  grant: Grant,
  platform: Pick<Platform, 'setTimer'>,
): Promise<Token> {
  const given: unknown = await inTime(() => renew(grant, client), client, platform, 'transient');
  if (isToken(given)) return given;
  const message = 'The function that renews tokens must give a Token (createToken makes one).';
  throw new CredentialError('renewal_failed', message, { issuer: client.issuer });
}

/** What was thrown instead of an answer, and what that says of the refresh token (`standards.md` §2, "Answer of a refresh"). */
export function refusalOf(
  error: unknown,
  { renew }: Pick<OAuth2Client, 'renew'>,
  target: Target | undefined,
  remainingMs: number,
): { readonly thrown: CredentialError; readonly came: Results['send'] } {
  const told = renew
    ? asCredentialError(error, 'renewal_failed', `The function that renews tokens failed (${nameOf(error)}).`)
    : asCredentialError(error, 'network_error', `The client failed (${nameOf(error)}), and the server may have been asked.`);
  const { issuer, status, retryAfterMs } = told;
  const isForUser = !target && remainingMs <= 0 && mayBeDead(told);
  const thrown = isForUser ? toldAgain(told, { issuer, status, retryAfterMs, class: 'needs_user' }) : told;
  return { thrown, came: outcomeOf(thrown, target) };
}

function outcomeOf(error: CredentialError, target: Target | undefined): Results['send'] {
  if (error.class === 'unknown_outcome') return 'outcome_unknown';
  if (asksForUser(error)) return 'needs_user';
  // Refused for a target, it may be the target: only its own refresh ends a session.
  return isRejected(error) && !target ? 'rejected' : 'refused';
}

/** True for failures that say nothing of the answer itself: keys could not be had. */
export function isTransient({ class: errorClass, code }: CredentialError): boolean {
  return errorClass === 'transient' || code === 'network_error' || code === 'timeout';
}

/**
 * What a client makes of an answer. Where the keys at hand turn out not to be those that it is signed with, it is written down before others are
 * asked for (RF-4).
 */
export async function judgedBy(
  client: OAuth2Client,
  grant: Grant,
  answer: StagedAnswer,
  platform: Pick<Platform, 'setTimer'>,
  stage: () => Promise<unknown>,
): Promise<Token> {
  const judging = (): Promise<Token> =>
    inTime(() => client.processRefresh(narrowed(grant, answer.target), answer), client, platform, 'transient');
  const neededKeys = client.needsKeys(answer);
  return judging().catch(async (error: unknown) => {
    if (neededKeys || !client.needsKeys(answer)) throw error;
    await stage();
    return judging();
  });
}

/**
 * A token that a function of the application got, if it is of the same login and good for anything. What it omits stays (design §4.3):
 * without claims it says nothing of who the user is.
 *
 * @throws {ProtocolError} `token_substitution`
 * @throws {CredentialError} `renewal_failed`
 */
export function sameUser(token: Token, { id, context, claims, ...kept }: Grant, { issuer }: OAuth2Client, now: number): Token {
  const isSame =
    token.context.issuer === context.issuer &&
    token.context.clientId === context.clientId &&
    (!claims || !token.claims || token.claims.sub === claims.sub);
  if (!isSame)
    throw new ProtocolError('token_substitution', 'The token that was renewed is of another user, client or issuer.', { issuer });
  if (token.expiresAt !== null && token.expiresAt <= now)
    throw new CredentialError('renewal_failed', 'The function that renews gave a token that has expired; it must get a new one.', {
      issuer,
    });
  const refreshToken = token.refreshToken ?? kept.refreshToken;
  const idToken = (token.claims || !claims ? token.idToken : undefined) ?? kept.idToken; // never one that nobody has judged
  return withFields(token, {
    id,
    claims: token.claims ?? claims,
    context: { ...context, ...token.context },
    extra: { ...kept.extra, ...token.extra },
    ...(refreshToken !== undefined && { refreshToken }),
    ...(idToken !== undefined && { idToken }),
  });
}

/** What an answer was asked for; `undefined`: the token itself. */
export function targetOf(answer: StagedAnswer | Token | undefined): Target | undefined {
  return answer && !isToken(answer) ? answer.target : undefined;
}

/** The members of a record that a renewed token brings. */
export function withToken(current: OpenRecord, token: Token, now: number): Partial<OpenRecord> {
  const fields = recordFieldsOf(token);
  return { ...fields, secrets: { ...fields.secrets, ...childrenWith(current.secrets, now) } };
}

/** The members of a record that a child token brings: the parent keeps its access token. */
export function withChild(current: OpenRecord, { refreshToken }: Token, child: ChildToken, now: number): Partial<OpenRecord> {
  const { children: _, ...secrets } = current.secrets ?? {};
  return { secrets: { ...secrets, ...(refreshToken !== undefined && { refreshToken }), ...childrenWith(current.secrets, now, child) } };
}

/**
 * The record after an answer that was refused but brought another refresh token (E56); `null` if there is nothing to change. Where the token
 * is the one that was sent, what was begun has ended, and nothing was replaced; another's intent stays.
 */
function rotatedTo(current: OpenRecord, refreshToken: string | undefined, holder: string | undefined): RecordDraft | null {
  if (!current.secrets || refreshToken === undefined) return current.staged ? closed(current) : null;
  if (refreshToken === current.secrets.refreshToken) {
    const { intent } = current;
    return intent && intent.holder !== holder ? { ...closed(current), intent } : closed(current);
  }
  return { ...finished(current, holder), secrets: { ...current.secrets, refreshToken } };
}

/** Gives up an answer that was refused for good, but not the refresh token the server rotated to; an attack ends the credential (IDR-6). */
export async function salvage(
  context: Pick<RefreshContext, 'ledger' | 'following' | 'writing' | 'attacked' | 'platform'>,
  client: OAuth2Client,
  grant: SentGrant,
  text: string,
  { code }: CredentialError,
  holder: string | undefined,
): Promise<void> {
  const { ledger, writing, attacked } = context;
  const isAttack = code === 'token_substitution';
  if (isAttack) attacked.add(grant.id);
  try {
    const rotated = refreshTokenIn(text);
    const written = await writing.updateOpen(
      grant,
      (current) => {
        if (!holds(current, grant)) return null;
        if (isAttack) return tombstoneOf(current);
        // Where the answer had a token and no refresh token, the one that was sent lives on.
        return rotatedTo(current, rotated ?? (accessTokenIn(text) === undefined ? undefined : grant.refreshToken), holder);
      },
      { keep: true },
    );
    // RF-5: where the session goes on with another token, what came is dropped: to revoke it might end the other one, too.
    const isOver = !(written || isSameSession(ledger.record(grant.id), grant));
    const came = { refreshToken: rotated, accessToken: accessTokenIn(text) };
    if (isAttack) await revokeBoth(client, came);
    else if (isOver) await revokeLate(context, client, grant, came);
    if (isAttack && written) await revokeQuietly(client, grant.refreshToken, 'refresh_token'); // nobody holds it any more
  } finally {
    attacked.delete(grant.id);
  }
}

/** Why a session ends, in words. */
export const ENDINGS: Readonly<Record<Refresh['reason'], string>> = {
  rejected: 'The server rejected the refresh token; the user must sign in.',
  rotation_lost: 'The server has used up the refresh token, and its answer was lost; the user must sign in.',
};

/** What the callers of a refresh that ended without a token are told. What a request failed with says nothing of a sign-out. */
export function errorOf(ending: Ending, failure: CredentialError | undefined): CredentialError {
  if (ending === 'failed' && failure) return failure;
  if (ending !== 'needs_sign_in') return gone();
  if (failure?.code === ending) return failure;
  return new CredentialError('needs_sign_in', 'This session has ended; the user must sign in again.');
}

const SENDING: readonly Step[] = ['pause', 'read', 'send']; // lead to another send
const UNSENT: readonly Step[] = ['read', 'settle', 'prepare', 'intend']; // nothing is written yet

/**
 * True for what a store that closes does not go on with. It lets a request finish that was sent; another would be one more thing to wait for, and
 * its intent says what is to be done. What nobody has asked for does not begin any more.
 */
export function isLeft({ sends, inDoubt, step }: Refresh, takesUp = false): boolean {
  return sends > 0 ? inDoubt && SENDING.includes(step) : takesUp && UNSENT.includes(step);
}
