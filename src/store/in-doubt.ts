/**
 * A refresh of which nobody knows what came, while the access token still lives. Servers that take a rotated refresh token again do so for seconds,
 * and the access token may live for hours: so the same token is sent again soon, and not when it is due (RF-8, D-055).
 *
 * @module
 */
import { backoffMs } from '../credential/expiry.js';
import type { CredentialRecord } from '../credential/record.js';
import type { OAuth2Client } from '../oauth/client.js';

/** So long servers in the field take a rotated token again, in milliseconds, where nobody has said how long this one does. */
const USUAL_LEEWAY_MS = 60_000;
/** No living holder is disturbed before this, in milliseconds: most refreshes are over by then. */
export const LEFT_ALONE_MS = 3_000;

/**
 * Milliseconds until the token of an open intent is to be sent again, whoever wrote it; `Infinity` where that is left until the token is due. All who
 * know of it keep one pace, by how many attempts there were.
 *
 * @param fraction spreads who would come at one instant; 0: as early as anybody
 */
export function sentAgainInMs(
  { reuseLeewayMs, onUnknownOutcome = 'retry', renew }: OAuth2Client,
  { state, intent, staged }: CredentialRecord,
  now: number,
  fraction = 0,
): number {
  if (renew || state !== 'active' || !intent || staged) return Infinity; // what is staged is not lost; a function uses up no token
  const isRetried = onUnknownOutcome === 'retry';
  const leewayMs = reuseLeewayMs ?? (isRetried ? USUAL_LEEWAY_MS : 0);
  // Each of those that were sent may be the one that the server has heard first. What another policy says begins after the first
  const ageMs = now - (isRetried ? intent.startedAt : intent.since);
  if (ageMs < 0 || ageMs >= leewayMs) return Infinity;
  return Math.max(0, intent.startedAt + Math.max(LEFT_ALONE_MS, backoffMs(intent.attempt, fraction)) - now);
}

/** True if a token at hand does not serve, however long it lives, since what was sent is to be sent again; by `me` once it was begun. */
export function isTakenUp(client: OAuth2Client | undefined, record: CredentialRecord, now: number, me: string | undefined): boolean {
  if (!client || client.renew || !record.intent) return false;
  return record.intent.holder === me || sentAgainInMs(client, record, now) <= 0;
}
