/**
 * What a program makes of a record as it was read: all that a start needs of it. What it holds itself beyond what is stored is in `own-tokens`.
 *
 * @module
 */
import { sameData } from '../credential/data.js';
import { isSealedText, type CredentialRecord, type StoredSecrets } from '../credential/record.js';

/** A record as read, of which nothing is held. Without an access token of it, or where none is to be taken from storage, it has to be renewed. */
export function asRead(read: CredentialRecord, refreshOnly: boolean): CredentialRecord {
  return refreshOnly || !hasAccessToken(read) ? withoutAccessToken(read) : read;
}

/** True if there is one, as far as can be seen. */
export function hasAccessToken({ secrets }: CredentialRecord): boolean {
  return isSealedText(secrets) || secrets?.accessToken !== undefined;
}

/** A record of which no access token is at hand: it has to be renewed. @param held its secrets, where they are known to be sealed there */
export function withoutAccessToken(read: CredentialRecord, held?: StoredSecrets): CredentialRecord {
  if (read.state !== 'active') return read;
  return { ...read, secrets: storedOf(read.secrets, held), expiresAt: expired(read) };
}

/** What says that no access token is there, also to who reads the record without these options: it has to be renewed. */
export function expired({ issuedAt, expiresAt }: CredentialRecord): number {
  return Math.min(issuedAt, expiresAt ?? Infinity);
}

/** Secrets as read, without an access token that was persisted before. */
function storedOf(read: CredentialRecord['secrets'], held: StoredSecrets | undefined): CredentialRecord['secrets'] {
  if (!isInTheClear(read)) return held ?? read;
  const { accessToken: _, children: __, ...stored } = read;
  return stored;
}

export function isInTheClear(secrets: CredentialRecord['secrets']): secrets is StoredSecrets {
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
