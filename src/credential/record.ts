/**
 * The stored form of one credential, and of what belongs to the store as a whole. One credential is one record, one record is one
 * atomic write. What is read back is untrusted input: `parse…` judges every member.
 *
 * @module
 */
import { isPlainObject, stringOr } from './data.js';
import { normalizeScope } from './scope.js';
import type { SignInReason } from './state.js';
import {
  attributesOf,
  createToken,
  isAccessToken,
  parseClaims,
  secretsOf,
  type IdTokenClaims,
  type Token,
  type TokenContext,
  type TokenSecrets,
} from './token.js';
import type { CredentialFacts } from './actions.js';

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
}

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
  readonly storedAt: number;
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
  /** `null` once there is nothing left to keep: after a definite rejection, or in a tombstone. */
  readonly secrets: TokenSecrets | null;
  readonly staged?: StagedAnswer;
}

/** What belongs to no single credential: the epoch, and the claim that nothing is the default. */
export interface StoreRecord {
  readonly v: typeof RECORD_VERSION;
  readonly id: typeof STORE_RECORD_ID;
  readonly revision: number;
  readonly epoch: number;
  readonly nullClaim: number;
}

/** No credential id begins with `@`. */
export const STORE_RECORD_ID = '@store';

/** What the store record says before it was first written. */
export const NEW_STORE_RECORD: StoreRecord = Object.freeze({ v: RECORD_VERSION, id: STORE_RECORD_ID, revision: 0, epoch: 0, nullClaim: 0 });

/** The members of a record that come from its token. */
export function recordFieldsOf(token: Token): Omit<ReturnType<typeof attributesOf>, 'id'> & { readonly secrets: TokenSecrets } {
  const { id: _, ...attributes } = attributesOf(token);
  return { ...attributes, secrets: secretsOf(token) };
}

/** The token a record holds; `null` where it holds none that may be used. */
export function tokenOf(record: CredentialRecord): Token | null {
  if (record.state !== 'active' || record.secrets === null) return null;
  const { id, tokenType, scope, issuedAt, expiresAt, claims, context, secrets } = record;
  return createToken({ id, tokenType, scope, issuedAt, expiresAt, claims, context, ...secrets });
}

/** What a record says that is no secret; `null` for a tombstone. */
export function factsOf(record: CredentialRecord): CredentialFacts | null {
  const { state } = record;
  if (state === 'removed') return null;
  const { id, generation, storedAt, reason, context, tags, claims, tokenType, scope, issuedAt, expiresAt } = record;
  return { id, generation, storedAt, reason, context, tags, claims, tokenType, scope, issuedAt, expiresAt, recordState: state };
}

/** The id of the default: the highest claim wins, the earlier stored one where two are equal; the store's own claim means nobody. */
export function defaultIdOf(records: Iterable<CredentialRecord>, store: StoreRecord): string | null {
  let winner: CredentialRecord | undefined;
  for (const record of records) {
    if (record.defaultClaim > 0 && record.epoch >= store.epoch && (!winner || outranks(record, winner))) winner = record;
  }
  return winner && winner.defaultClaim > store.nullClaim && winner.state !== 'removed' ? winner.id : null;
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
  if (!isPlainObject(value)) return corrupt('not_an_object');
  if (value['v'] !== RECORD_VERSION) return corrupt('unknown_version');
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
  if (!counters || !times || !state || !attributes || !secrets || !staged) {
    return corrupt(`bad_${Object.entries(parts).find(([, part]) => !part)?.[0] ?? 'record'}`);
  }
  return Object.freeze({ v: RECORD_VERSION, id, ...counters, ...times, ...state, ...attributes, ...secrets, ...staged });
}

/** The store record, or `null` if the value is none: then the epoch cannot be known. */
export function parseStoreRecord(value: unknown): StoreRecord | null {
  if (!isPlainObject(value) || value['v'] !== RECORD_VERSION || value['id'] !== STORE_RECORD_ID) return null;
  const { revision, epoch, nullClaim } = value;
  if (!isCount(revision) || !isCount(epoch) || !isCount(nullClaim)) return null;
  return Object.freeze({ v: RECORD_VERSION, id: STORE_RECORD_ID, revision, epoch, nullClaim });
}

function parseCounters(value: Unjudged): Pick<CredentialRecord, 'revision' | 'generation' | 'epoch' | 'defaultClaim'> | null {
  const { revision, generation, epoch, defaultClaim } = value;
  return isCount(revision) && isCount(generation) && isCount(epoch) && isCount(defaultClaim)
    ? { revision, generation, epoch, defaultClaim }
    : null;
}

function parseTimes(value: Unjudged): Pick<CredentialRecord, 'storedAt' | 'changedAt' | 'issuedAt' | 'expiresAt'> | null {
  const { storedAt, changedAt, issuedAt, expiresAt } = value;
  const known = isTime(storedAt) && isTime(changedAt) && isTime(issuedAt) && (expiresAt === null || isTime(expiresAt));
  return known ? { storedAt, changedAt, issuedAt, expiresAt } : null;
}

function parseState(value: Unjudged): Pick<CredentialRecord, 'state' | 'reason'> | null {
  const { state, reason } = value;
  return isState(state) ? { state, reason: isReason(reason) ? reason : null } : null;
}

function parseAttributes(value: Unjudged): Pick<CredentialRecord, 'context' | 'tags' | 'claims' | 'tokenType' | 'scope'> | null {
  const { tags, tokenType, scope } = value;
  const context = parseContext(value['context']);
  const claims = value['claims'] === null ? null : parseClaims(value['claims']);
  const hasTags = Array.isArray(tags) && tags.every((tag) => typeof tag === 'string');
  if (!context || claims === undefined || !hasTags || typeof scope !== 'string') return null;
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
  const { issuer, clientId, scope, dpopKeyId, acrValues, maxAge } = value;
  if (typeof issuer !== 'string' || typeof clientId !== 'string' || issuer === '' || clientId === '') return null;
  return Object.freeze({
    issuer,
    clientId,
    ...(typeof scope === 'string' && { scope }),
    ...(typeof dpopKeyId === 'string' && { dpopKeyId }),
    ...(typeof acrValues === 'string' && { acrValues }),
    ...(isCount(maxAge) && { maxAge }),
  });
}

function parseSecrets(value: unknown): TokenSecrets | undefined {
  if (!isPlainObject(value)) return undefined;
  const { accessToken } = value;
  if (!isAccessToken(accessToken)) return undefined;
  const refreshToken = stringOr(value['refreshToken'], undefined);
  const idToken = stringOr(value['idToken'], undefined);
  return Object.freeze({ accessToken, ...(refreshToken !== undefined && { refreshToken }), ...(idToken !== undefined && { idToken }) });
}

function parseStaged(value: unknown): StagedAnswer | null {
  if (!isPlainObject(value)) return null;
  const { text, sentAt, receivedAt } = value;
  const contentType = stringOr(value['contentType'], undefined);
  if (typeof text !== 'string' || !isTime(sentAt) || !isTime(receivedAt)) return null;
  return Object.freeze({ text, ...(contentType !== undefined && { contentType }), sentAt, receivedAt });
}

/** Nothing counts so far by ones; from a counter at the end of the safe range the next one could not be told (E62). */
const MAX_COUNT = 2 ** 48;

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_COUNT;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isState(value: unknown): value is RecordState {
  return value === 'active' || value === 'needs_sign_in' || value === 'revoking' || value === 'removed';
}

const REASONS: readonly unknown[] = ['expired', 'revoked', 'rotation_lost', 'token_substitution', 'rejected'] satisfies SignInReason[];

function isReason(value: unknown): value is SignInReason {
  return REASONS.includes(value);
}

function corrupt(reason: string): { readonly corrupt: string } {
  return { corrupt: reason };
}
