/**
 * What a program holds of a record beyond what is stored: opened secrets, and access tokens that are persisted nowhere.
 *
 * @module
 */
import { sameData } from '../credential/data.js';
import { sameScope } from '../credential/scope.js';
import { isSealedText, type CredentialRecord, type StoredSecrets } from '../credential/record.js';

/** A record as read, with what was held of it before. */
export function withHeld(before: CredentialRecord | undefined, read: CredentialRecord, refreshOnly: boolean): CredentialRecord {
  const held = before && isInTheClear(before.secrets) ? before.secrets : undefined;
  // Where this program stores all, a record without one was written by a program that does not: it takes no living token away (E45).
  if (refreshOnly || !(isSealedText(read.secrets) || read.secrets?.accessToken)) return withOwnAccessToken(before, held, read);
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
  // What is stored says that the user must sign in, only because nothing of the token there was to be persisted.
  if (read.state === 'needs_sign_in' && read.reason === 'expired')
    return { ...read, state: 'active', reason: null, scope: before.scope, ...lifetimeOf(before), secrets: own };
  if (read.state !== 'active' || isOver(before, read) || !isInTheClear(stored.secrets)) return stored;
  return { ...read, ...lifetimeOf(before), secrets: { ...stored.secrets, accessToken, ...(children && { children }) } };
}

/** True for an access token of another scope than the credential has by now, or from before one was revoked. */
function isOver({ scope, generation }: CredentialRecord, read: CredentialRecord): boolean {
  return !sameScope(scope, read.scope) || (read.agedAt ?? 0) > generation;
}

/** One generation of one credential is one token; another credential of its id may count from the beginning. */
export function isOneToken(one: CredentialRecord, other: CredentialRecord): boolean {
  return one.generation === other.generation && one.storedAt === other.storedAt;
}

/** A record of which no access token is at hand: it has to be renewed. */
function withoutAccessToken(read: CredentialRecord, held: StoredSecrets | undefined): CredentialRecord {
  if (read.state !== 'active') return read;
  return { ...read, secrets: storedOf(read.secrets, held), expiresAt: expired(read) };
}

/** What says that no access token is there, also to who reads the record without these options: it has to be renewed. */
function expired({ issuedAt, expiresAt }: CredentialRecord): number {
  return Math.min(issuedAt, expiresAt ?? Infinity);
}

/** False for the token of another user or server, and where the access token was revoked. Where no claims say who it is, whoever signs in is another. */
function isOfSameUse(own: CredentialRecord, read: CredentialRecord): boolean {
  if (own.claims?.sub !== read.claims?.sub || (!own.claims && own.signedInAt !== read.signedInAt)) return false;
  return own.context.issuer === read.context.issuer && read.expiresAt !== 0 && own.expiresAt !== 0;
}

/** Secrets as read, without an access token that was persisted before. */
function storedOf(read: CredentialRecord['secrets'], held: StoredSecrets | undefined): CredentialRecord['secrets'] {
  if (!isInTheClear(read)) return held ?? read;
  const { accessToken: _, children: __, ...stored } = read;
  return stored;
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

function isInTheClear(secrets: CredentialRecord['secrets']): secrets is StoredSecrets {
  return secrets !== null && !isSealedText(secrets);
}

/**
 * A record whose secrets nobody here can open: what is stored stays, but it is no session any more.
 *
 * @param claims what is believed of those that it has: they are proven by what was opened (BBA-4)
 */
export function asUnreadable(record: CredentialRecord, claims: CredentialRecord['claims']): CredentialRecord {
  if (record.state === 'revoking' || record.state === 'removed') return { ...record, claims };
  const { staged: _, ...kept } = record;
  return { ...kept, claims, state: 'needs_sign_in', reason: 'unreadable', secrets: null };
}

/** True if a token made of the one is as good as one made of the other. */
export function holdsTheSame(a: CredentialRecord['secrets'], b: CredentialRecord['secrets']): boolean {
  if (a === b) return true;
  if (!a || !b || isSealedText(a) || isSealedText(b)) return false;
  return a.accessToken === b.accessToken && a.refreshToken === b.refreshToken && a.idToken === b.idToken && sameData(a.extra, b.extra);
}
