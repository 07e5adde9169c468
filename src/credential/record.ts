/**
 * The stored form of one credential, and of what belongs to the store as a whole. One credential is one record, one record is one
 * atomic write. What is read back is untrusted input: `parse…` judges every member.
 *
 * @module
 */
import { deepFreezeData, isPlainObject, membersOf, stringOr } from './data.js';
import { normalizeScope } from './scope.js';
import type { SignInReason, Target } from './state.js';

export type { Target };
import {
  attributesOf,
  isResource,
  openToken,
  isAccessToken,
  parseClaims,
  resourcesIn,
  secretsOf,
  type IdTokenClaims,
  type Token,
  type TokenContext,
  type TokenSecrets,
} from './token.js';

type Unjudged = Readonly<Record<string, unknown>>;

/** The version this package writes. A record with another one is quarantined, never guessed at. */
export const RECORD_VERSION = 1;

/** `removed`: a tombstone; it keeps a late refresh from bringing the session back and the default from moving to another credential. */
export type RecordState = 'active' | 'needs_sign_in' | 'revoking' | 'removed';

/** A raw token answer that is durable but not validated yet (RF-4). */
export interface StagedAnswer {
  readonly text: string;
  /** Value of the `Content-Type` header; judged where it is known (HT-6). */
  readonly contentType?: string;
  readonly sentAt: number;
  readonly receivedAt: number;
  /** What was asked for; left out for the token itself. */
  readonly target?: Target;
}

/** An access token for a narrower scope or another resource; it lives by the refresh token of its parent. */
export interface ChildToken extends Target {
  readonly accessToken: string;
  readonly tokenType: 'Bearer' | 'DPoP';
  /** The scope granted. */
  readonly granted: string;
  /** Epoch milliseconds. */
  readonly issuedAt: number;
  readonly expiresAt: number | null;
}

/** Says that the refresh token is about to be sent, or was sent and nobody knows what came of it (RF-3). */
export interface Intent {
  /** Names the refresh that began. */
  readonly holder: string;
  /** How many began with this token. */
  readonly attempt: number;
  /** The generation that is sent, or the one that another refresh has put in its place meanwhile. */
  readonly generation: number;
  /** When the last of them began, in epoch milliseconds. */
  readonly startedAt: number;
  /** When the first did. */
  readonly since: number;
}

/** What a sealing storage has in the place of a secret: text that only it can open. */
export interface SealedText {
  readonly sealed: string;
}

/** Secrets as stored: without the access token where only the refresh token is persisted. */
export type StoredSecrets = Partial<Pick<TokenSecrets, 'accessToken'>> &
  Omit<TokenSecrets, 'accessToken'> & { readonly children?: readonly ChildToken[] };

/** One credential as it is stored. */
export interface CredentialRecord {
  readonly v: typeof RECORD_VERSION;
  readonly id: string;
  /** +1 on every write; the only condition of a conditional write. */
  readonly revision: number;
  /** +1 for every replaced token, sign-out or tombstone. */
  readonly generation: number;
  /** The epoch of the store in which the record was written; `clear` begins a new one. */
  readonly epoch: number;
  /** The generation in which access tokens were last revoked, whoever holds them; left out where none were. */
  readonly agedAt?: number;
  readonly storedAt: number;
  /** When a sign-in took the place of another token, in epoch milliseconds; left out where none did. */
  readonly signedInAt?: number;
  /** Epoch milliseconds of the last write. */
  readonly changedAt: number;
  /** The credential with the highest claim is the default; 0 never claimed it. */
  readonly defaultClaim: number;
  readonly state: RecordState;
  readonly reason: SignInReason | null;
  readonly context: TokenContext;
  readonly tags: readonly string[];
  readonly claims: IdTokenClaims | null;
  readonly tokenType: 'Bearer' | 'DPoP';
  readonly scope: string;
  readonly issuedAt: number;
  readonly expiresAt: number | null;
  /** `false` where nothing renews the token without the user; left out where something does, or nobody knows. */
  readonly renewable?: false;
  /** `null` once there is nothing left to keep: after a definite rejection, or in a tombstone. */
  readonly secrets: StoredSecrets | SealedText | null;
  readonly staged?: StagedAnswer | SealedText;
  readonly intent?: Intent;
}

/** A record whose secrets are in the clear. */
export type OpenRecord = CredentialRecord & { readonly secrets: StoredSecrets | null; readonly staged?: StagedAnswer };

/** What belongs to no single credential: the epoch, and the claim that nothing is the default. */
export interface StoreRecord {
  readonly v: typeof RECORD_VERSION;
  readonly id: typeof STORE_RECORD_ID;
  readonly revision: number;
  readonly epoch: number;
  readonly nullClaim: number;
  /** The highest claim that was ever given out; 0 before the first. */
  readonly topClaim: number;
}

/** No credential id begins with `@`. */
export const STORE_RECORD_ID = '@store';

/** What the store record says before it was first written. */
export const NEW_STORE_RECORD: StoreRecord = Object.freeze({
  v: RECORD_VERSION,
  id: STORE_RECORD_ID,
  revision: 0,
  epoch: 0,
  nullClaim: 0,
  topClaim: 0,
});

/** The members of a record that come from its token. */
export function recordFieldsOf(token: Token): Omit<ReturnType<typeof attributesOf>, 'id'> & { readonly secrets: TokenSecrets } {
  const { id: _, ...attributes } = attributesOf(token);
  return { ...attributes, secrets: secretsOf(token) };
}

/** The token a record holds; `null` where it holds none that may be used. */
export function tokenOf(record: CredentialRecord): Token | null {
  const { state, secrets } = record;
  if (state !== 'active' || !secrets || isSealedText(secrets) || secrets.accessToken === undefined) return null;
  const { id, tokenType, scope, issuedAt, expiresAt, claims, context } = record;
  return openToken({ id, tokenType, scope, issuedAt, expiresAt, claims, context, ...secrets, accessToken: secrets.accessToken });
}

/** True if nothing of the record is sealed. */
export function isOpen(record: Pick<CredentialRecord, 'secrets' | 'staged'>): record is OpenRecord {
  return !isSealedText(record.secrets) && !isSealedText(record.staged);
}

/** True for text that only a sealing storage can open. */
export function isSealedText(value: unknown): value is SealedText {
  return isPlainObject(value) && typeof value['sealed'] === 'string';
}

/** The id of the default: the highest claim wins, of two the one stored earlier; that of the store, or of what cannot be read, is nobody's. */
export function defaultIdOf(records: Iterable<CredentialRecord>, store: StoreRecord, lostClaims: Iterable<number> = []): string | null {
  let winner: CredentialRecord | undefined;
  for (const record of records) {
    if (record.defaultClaim > 0 && record.epoch >= store.epoch && (!winner || outranks(record, winner))) winner = record;
  }
  let nobody = store.nullClaim;
  for (const claim of lostClaims) nobody = Math.max(nobody, claim); // there may be more of them than a call takes arguments
  return winner && winner.defaultClaim > nobody && winner.state !== 'removed' ? winner.id : null;
}

function outranks(a: CredentialRecord, b: CredentialRecord): boolean {
  if (a.defaultClaim !== b.defaultClaim) return a.defaultClaim > b.defaultClaim;
  return a.storedAt !== b.storedAt ? a.storedAt < b.storedAt : a.id < b.id;
}

/**
 * A stored value as a record, or why it is none. The result shares nothing with the input.
 *
 * @param id the key under which the value was found; a record that names another one is none
 */
export function parseRecord(value: unknown, id: string): CredentialRecord | { readonly corrupt: string } {
  try {
    return parsedRecord(value, id);
  } catch {
    return corrupt('not_an_object'); // a storage in memory may give what throws when it is looked at
  }
}

function parsedRecord(value: unknown, id: string): CredentialRecord | { readonly corrupt: string } {
  if (!isPlainObject(value)) return corrupt('not_an_object');
  if (value['v'] !== RECORD_VERSION) return foreign(value);
  if (value['id'] !== id || id === '' || id.startsWith('@')) return corrupt('foreign_id'); // ids that no token can have
  const parts = {
    counters: parseCounters(value),
    times: parseTimes(value),
    state: parseState(value),
    attributes: parseAttributes(value),
    secrets: parseSecretsOf(value),
    staged: parseStagedOf(value),
  };
  const { counters, times, state, attributes, secrets, staged } = parts;
  const intent = parseIntent(value['intent']);
  if (!counters || !times || !state || !attributes || !secrets || !staged) {
    return corrupt(`bad_${Object.entries(parts).find(([, part]) => !part)?.[0] ?? 'record'}`);
  }
  return Object.freeze({
    v: RECORD_VERSION,
    id,
    ...counters,
    ...times,
    ...state,
    ...attributes,
    ...secrets,
    ...staged,
    ...(intent && { intent }),
  });
}

/** The store record, or `null` if the value is none: then the epoch cannot be known. */
export function parseStoreRecord(value: unknown): StoreRecord | null {
  if (!isPlainObject(value) || value['v'] !== RECORD_VERSION || value['id'] !== STORE_RECORD_ID) return null;
  const { revision, epoch, nullClaim, topClaim = 0 } = value;
  if (!isCount(revision) || !isCount(epoch) || !isCount(nullClaim) || !isCount(topClaim)) return null;
  return Object.freeze({ v: RECORD_VERSION, id: STORE_RECORD_ID, revision, epoch, nullClaim, topClaim });
}

function parseCounters(value: Unjudged): Pick<CredentialRecord, 'revision' | 'generation' | 'epoch' | 'defaultClaim' | 'agedAt'> | null {
  const { revision, generation, epoch, defaultClaim, agedAt } = value;
  // What is stored has a revision: 0 stands for what is not, and no write would be made over it
  return isCount(revision) && revision > 0 && isCount(generation) && isCount(epoch) && isCount(defaultClaim)
    ? { revision, generation, epoch, defaultClaim, ...(isCount(agedAt) && agedAt <= generation && { agedAt }) }
    : null;
}

function parseTimes(value: Unjudged): Pick<CredentialRecord, 'storedAt' | 'signedInAt' | 'changedAt' | 'issuedAt' | 'expiresAt'> | null {
  const { storedAt, signedInAt, changedAt, issuedAt, expiresAt } = value;
  const known = isInstant(storedAt) && isInstant(changedAt) && isTime(issuedAt) && (expiresAt === null || isTime(expiresAt));
  return known ? { storedAt, changedAt, issuedAt, expiresAt, ...(isInstant(signedInAt) && { signedInAt }) } : null;
}

function parseState(value: Unjudged): Pick<CredentialRecord, 'state' | 'reason' | 'renewable'> | null {
  const { state, reason, renewable } = value;
  return isState(state) ? { state, reason: isReason(reason) ? reason : null, ...(renewable === false && { renewable }) } : null;
}

function parseAttributes(value: Unjudged): Pick<CredentialRecord, 'context' | 'tags' | 'claims' | 'tokenType' | 'scope'> | null {
  const { tokenType, scope } = value;
  const tags = membersOf(value['tags']);
  const context = parseContext(value['context']);
  const claims = value['claims'] === null ? null : parseClaims(value['claims']);
  if (!context || claims === undefined || !tags?.every((tag) => typeof tag === 'string') || typeof scope !== 'string') return null;
  if (tokenType !== 'Bearer' && tokenType !== 'DPoP') return null;
  return { context, claims, tokenType, tags: Object.freeze(tags.map(String)), scope: normalizeScope(scope) };
}

/** An active credential has secrets; what is left of one that needs sign-in or was removed has none. */
function parseSecretsOf({ secrets, state }: Unjudged): Pick<CredentialRecord, 'secrets'> | null {
  if (secrets === null) return state === 'active' ? null : { secrets };
  const parsed = parseSecrets(secrets);
  return parsed ? { secrets: parsed } : null;
}

function parseStagedOf({ staged }: Unjudged): Pick<CredentialRecord, 'staged'> | null {
  if (staged === undefined) return {};
  const parsed = parseStaged(staged);
  return parsed && { staged: parsed };
}

function parseContext(value: unknown): TokenContext | null {
  if (!isPlainObject(value)) return null;
  const { issuer, clientId, scope, resource, resources, dpopKeyId, acrValues, maxAge } = value;
  if (typeof issuer !== 'string' || typeof clientId !== 'string' || issuer === '' || clientId === '') return null;
  if (resource !== undefined && !isResource(resource)) return null; // left out, the token would count for more than it does
  return Object.freeze({
    issuer,
    clientId,
    ...(typeof scope === 'string' && { scope }),
    ...(resource !== undefined && { resource }),
    ...resourcesIn(resources, resource), // left out, fewer tokens are to be had
    ...(typeof dpopKeyId === 'string' && { dpopKeyId }),
    ...(typeof acrValues === 'string' && { acrValues }),
    ...(typeof maxAge === 'number' && Number.isSafeInteger(maxAge) && maxAge >= 0 && { maxAge }), // as a seal sees it
  });
}

/** An access token, or at least a refresh token that gets one. */
function parseSecrets(value: unknown): StoredSecrets | SealedText | undefined {
  if (isSealedText(value)) return Object.freeze({ sealed: value.sealed });
  if (!isPlainObject(value)) return undefined;
  const { accessToken } = value;
  const refreshToken = stringOr(value['refreshToken'], '') || undefined; // nothing could be sent with an empty one
  const idToken = stringOr(value['idToken'], undefined);
  const extra = deepFreezeData(value['extra']);
  const children = (membersOf(value['children']) ?? []).map(parseChild).filter((child) => child !== undefined);
  if (accessToken === undefined ? refreshToken === undefined : !isAccessToken(accessToken)) return undefined;
  return Object.freeze({
    ...(isAccessToken(accessToken) && { accessToken }),
    ...(refreshToken !== undefined && { refreshToken }),
    ...(idToken !== undefined && { idToken }),
    ...(isPlainObject(extra) && { extra }),
    ...(children.length > 0 && { children: Object.freeze(children) }),
  });
}

/** One that is damaged is had anew: it is no more than a saved request. */
function parseChild(value: unknown): ChildToken | undefined {
  if (!isPlainObject(value)) return undefined;
  const { accessToken, tokenType, granted, issuedAt, expiresAt } = value;
  const target = parseTarget(value);
  if (!target || !isAccessToken(accessToken) || typeof granted !== 'string') return undefined;
  if ((tokenType !== 'Bearer' && tokenType !== 'DPoP') || !isTime(issuedAt) || !(expiresAt === null || isTime(expiresAt))) return undefined;
  return Object.freeze({ ...target, accessToken, tokenType, granted, issuedAt, expiresAt });
}

function parseTarget(value: unknown): Target | undefined {
  if (!isPlainObject(value)) return undefined;
  const { scope, resource } = value;
  if (scope !== undefined && (typeof scope !== 'string' || normalizeScope(scope) === '')) return undefined;
  if (resource !== undefined && !isResource(resource)) return undefined;
  return { ...(scope !== undefined && { scope: normalizeScope(scope) }), ...(resource !== undefined && { resource }) };
}

/** One that cannot be read says nothing: the token is sent as if none were there. */
function parseIntent(value: unknown): Intent | undefined {
  if (!isPlainObject(value)) return undefined;
  const { holder, attempt, generation, startedAt, since } = value;
  if (typeof holder !== 'string' || !isCount(attempt) || !isCount(generation) || !isTime(startedAt) || !isTime(since)) return undefined;
  return Object.freeze({ holder, attempt, generation, startedAt, since });
}

function parseStaged(value: unknown): StagedAnswer | SealedText | null {
  if (isSealedText(value)) return Object.freeze({ sealed: value.sealed });
  if (!isPlainObject(value)) return null;
  const { text, sentAt, receivedAt } = value;
  const contentType = stringOr(value['contentType'], undefined);
  const target = value['target'] === undefined ? undefined : parseTarget(value['target']);
  if (typeof text !== 'string' || !isTime(sentAt) || !isTime(receivedAt)) return null;
  if (value['target'] !== undefined && !target) return null; // nobody knows whose token it holds
  return Object.freeze({ text, ...(contentType !== undefined && { contentType }), sentAt, receivedAt, ...(target && { target }) });
}

/** Nothing counts so far by ones; from a counter at the end of the safe range the next one could not be told (E62). */
const MAX_COUNT = 2 ** 48;

/** The next one. At the end of the range it stays: what is written can always be read again. */
export function nextCount(count: number): number {
  return Math.min(count + 1, MAX_COUNT);
}

/** True where the next one is no higher: there, equal counts do not say that nothing has changed. */
export function isLastCount(count: number): boolean {
  return count >= MAX_COUNT;
}

/** True for a number that counts something. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_COUNT;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** The last instant a `Date` can be, in epoch milliseconds; by what was stored later than that nothing could be put in order. */
export const MAX_TIME = 8.64e15;

/** A time of ours: of a write, not of a token. */
function isInstant(value: unknown): value is number {
  return isTime(value) && Math.abs(value) <= MAX_TIME;
}

function isState(value: unknown): value is RecordState {
  return value === 'active' || value === 'needs_sign_in' || value === 'revoking' || value === 'removed';
}

const REASONS: readonly unknown[] = ['expired', 'rotation_lost', 'rejected', 'unreadable'] satisfies SignInReason[];

function isReason(value: unknown): value is SignInReason {
  return REASONS.includes(value);
}

/** None of ours; or a storage says that it could not read what it has. */
function foreign({ unreadable }: Readonly<Record<string, unknown>>): { readonly corrupt: string } {
  return corrupt(typeof unreadable === 'string' ? 'unreadable' : 'unknown_version');
}

function corrupt(reason: string): { readonly corrupt: string } {
  return { corrupt: reason };
}
