/**
 * What a program holds of a record beyond what is stored: opened secrets, and access tokens that are persisted nowhere.
 *
 * @module
 */
import { sameScope } from '../credential/scope.js';
import { isSealedText, type CredentialRecord, type StoredSecrets } from '../credential/record.js';
import { expired, hasAccessToken, isInTheClear, withoutAccessToken } from './as-read.js';

/** A record as read, with what was held of it before. */
export function withHeld(before: CredentialRecord | undefined, read: CredentialRecord, refreshOnly: boolean): CredentialRecord {
  const held = before && isInTheClear(before.secrets) ? before.secrets : undefined;
  // Where this program stores all, a record without one was written by a program that does not: it takes no living token away (E45).
  if (refreshOnly || !hasAccessToken(read)) return withOwnAccessToken(before, held, read);
  const isSame = held && isOneToken(before!, read) && before!.state === read.state && isSealedText(read.secrets);
  return isSame ? { ...read, ...lifetimeOf(before!), secrets: held } : read;
}

/**
 * Where access tokens stay in memory, every tab has its own and keeps it until it expires, whoever renews the refresh token. A tab
 * without one has to renew first: its token counts as expired.
 */
function withOwnAccessToken(
  before: CredentialRecord | undefined,
  held: StoredSecrets | undefined,
  read: CredentialRecord,
): CredentialRecord {
  if (!before || !held || before.state !== 'active' || before.storedAt !== read.storedAt) return withoutAccessToken(read, undefined);
  const stored = withoutAccessToken(read, before.generation === read.generation ? held : undefined);
  const { refreshToken: _, ...own } = held;
  const { accessToken, children } = own;
  if (accessToken === undefined || !isOfSameUse(before, read)) return stored;
  // Nothing here could get another one. It stays what it was granted for, whatever was signed in for there.
  if (isWithoutRenewal(before, read))
    return { ...read, state: 'active', reason: null, scope: before.scope, context: before.context, ...lifetimeOf(before), secrets: own };
  if (read.state !== 'active' || isOver(before, read) || !isInTheClear(stored.secrets)) return stored;
  return { ...read, ...lifetimeOf(before), secrets: { ...stored.secrets, accessToken, ...(children && { children }) } };
}

/**
 * True where what is stored says that the user must sign in, only because nothing of the token there was to be persisted, or has the access token of
 * another program and nothing that renews it.
 */
function isWithoutRenewal({ generation }: CredentialRecord, { state, reason, renewable, agedAt = 0 }: CredentialRecord): boolean {
  if (state === 'needs_sign_in') return reason === 'expired';
  return state === 'active' && renewable === false && agedAt <= generation;
}

/** True for an access token of another scope than the credential has by now, of an earlier sign-in (whose resource and `acr` may be others), or from before one was revoked. */
function isOver({ scope, signedInAt, generation, context }: CredentialRecord, read: CredentialRecord): boolean {
  if (!sameScope(scope, read.scope) || context.resource !== read.context.resource) return true;
  return signedInAt !== read.signedInAt || (read.agedAt ?? 0) > generation;
}

/** One generation of one credential is one token; another credential of its id may count from the beginning. */
export function isOneToken(one: CredentialRecord, other: CredentialRecord): boolean {
  return one.generation === other.generation && one.storedAt === other.storedAt;
}

/** False for the token of another user, client or server, and where the access token was revoked. Where no claims say who it is, whoever signs in is another. */
function isOfSameUse(own: CredentialRecord, read: CredentialRecord): boolean {
  if (own.claims?.sub !== read.claims?.sub || (!own.claims && own.signedInAt !== read.signedInAt)) return false;
  const { issuer, clientId } = own.context;
  return issuer === read.context.issuer && clientId === read.context.clientId && read.expiresAt !== 0 && own.expiresAt !== 0;
}

/** The record as it is to be stored. */
export function storedForm(record: CredentialRecord, refreshOnly: boolean): CredentialRecord {
  const { secrets } = record;
  if (!refreshOnly || !isInTheClear(secrets)) return record;
  if (secrets.refreshToken === undefined && record.state === 'active') {
    return { ...record, state: 'needs_sign_in', reason: 'expired', secrets: null }; // nothing is left that outlives this program
  }
  const { accessToken: _, children: __, ...kept } = secrets;
  return {
    ...record,
    secrets: kept.refreshToken === undefined ? null : kept,
    ...(record.state === 'active' && { expiresAt: expired(record) }),
  };
}

function lifetimeOf({ issuedAt, expiresAt, tokenType }: CredentialRecord): Pick<CredentialRecord, 'issuedAt' | 'expiresAt' | 'tokenType'> {
  return { issuedAt, expiresAt, tokenType };
}
