/**
 * Revoking tokens that nobody holds any more. Many servers keep one grant per user, or per session of the browser, and client, and any token that is
 * revoked ends it. So what is revoked late is not, once the user has signed in again: that session would end, too (D-064).
 *
 * @module
 */
import type { CredentialRecord, OpenRecord } from '../credential/record.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';
import type { Following } from './following.js';
import type { Ledger } from './ledger.js';
import { inTime } from './own-client.js';

/** So far the clocks of two hosts may be apart, in milliseconds. */
const CLOCKS_APART_MS = 60_000;

/** Whose tokens were let go. */
export type LetGo = Pick<CredentialRecord, 'id' | 'storedAt' | 'context' | 'claims'>;

/** What an answer brought. */
export type Tokens = { readonly [T in 'refreshToken' | 'accessToken']?: string | undefined };

/** What knows of sign-ins. */
export interface LettingGoContext {
  readonly ledger: Pick<Ledger, 'entries'>;
  readonly following: Pick<Following, 'reload'>;
  readonly platform: Pick<Platform, 'now'>;
}

/**
 * True if that user has signed in after `since` at the same server and client, and that session goes on, by what is known here. A time that has not come
 * yet is of a clock that was ahead, and proves nothing.
 */
export function isSignedInSince(
  { ledger, platform }: Pick<LettingGoContext, 'ledger' | 'platform'>,
  { id, storedAt, context, claims }: LetGo,
  since: number,
): boolean {
  if (!claims) return false; // nobody knows whose it was
  for (const { record, unreadable } of ledger.entries()) {
    const one = unreadable ?? record; // its key may come back
    const isSameUser = one.claims?.sub === claims.sub && one.context.issuer === context.issuer && one.context.clientId === context.clientId;
    if (!isSameUser || !goesOn(one, platform.now())) continue;
    const isItself = one.id === id && one.storedAt === storedAt; // unless the user has signed in in its place
    const at = one.signedInAt ?? (isItself ? -Infinity : one.storedAt);
    if (at > since && (at <= platform.now() + CLOCKS_APART_MS || since > platform.now())) return true;
  }
  return false;
}

/** Also where nothing of it was to be stored: the access token of a program that stores no more than refresh tokens, and got none. */
function goesOn({ state, reason, expiresAt }: CredentialRecord, now: number): boolean {
  return state === 'active' || (state === 'needs_sign_in' && reason === 'expired' && (expiresAt === null || expiresAt > now));
}

/** The same by what is stored: nobody may have told of it yet. @throws what the storage does: then nobody knows */
export async function hasSignedInSince(context: LettingGoContext, letGo: LetGo, since: number): Promise<boolean> {
  if (!letGo.claims) return false;
  await context.following.reload();
  return isSignedInSince(context, letGo, since);
}

/** The same where it cannot be asked another time: if storage cannot be read, by what is known here. */
export function hasSignedInSinceIfKnown(context: LettingGoContext, letGo: LetGo, since: number): Promise<boolean> {
  return hasSignedInSince(context, letGo, since).catch(() => isSignedInSince(context, letGo, since));
}

/** What came for a session that is over: it is revoked (RF-13), unless the user has signed in since it was last seen to be there. */
export function revokeLate(
  context: LettingGoContext,
  client: OAuth2Client,
  grant: LetGo & { readonly seenAt: number },
  { refreshToken, accessToken }: Tokens,
): Promise<void> {
  return revokeAll(context, client, grant, grant.seenAt, refreshToken, [accessToken]);
}

/** The refresh token first (7009-2); the user may sign in before it has been answered. */
async function revokeAll(
  context: LettingGoContext,
  client: OAuth2Client,
  letGo: LetGo,
  since: number,
  refreshToken: string | undefined,
  accessTokens: readonly (string | undefined)[],
): Promise<void> {
  const isLate = (): Promise<boolean> => hasSignedInSinceIfKnown(context, letGo, since);
  if (refreshToken !== undefined && !(await isLate())) await revokeQuietly(client, refreshToken, 'refresh_token');
  const others = accessTokens.filter((one) => one !== undefined);
  if (others.length > 0 && !(await isLate())) await Promise.all(others.map((one) => revokeQuietly(client, one, 'access_token')));
}

/** The refresh token, then the access token (7009-2). */
export async function revokeBoth(client: OAuth2Client, { refreshToken, accessToken }: Tokens): Promise<void> {
  await revokeQuietly(client, refreshToken, 'refresh_token');
  await revokeQuietly(client, accessToken, 'access_token');
}

/** A token nobody will use any more. That the server cannot be reached, or a client of the application's own does not answer, changes nothing here. */
export async function revokeQuietly(
  client: OAuth2Client,
  token: string | undefined,
  hint: 'access_token' | 'refresh_token',
): Promise<void> {
  if (token !== undefined) await inTime(() => client.revoke(token, hint), client, client.platform, 'transient').catch(() => undefined);
}

/** Revokes all there is in a record that was never stored, unless the user has signed in since it was written (RF-5). */
export async function revokeUnwritten(context: LettingGoContext, client: OAuth2Client | undefined, record: OpenRecord): Promise<void> {
  const { accessToken, refreshToken, children = [] } = record.secrets ?? {};
  if (client)
    await revokeAll(context, client, record, record.changedAt, refreshToken, [accessToken, ...children.map((one) => one.accessToken)]);
}
