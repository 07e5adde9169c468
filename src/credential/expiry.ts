/**
 * Expiry arithmetic. Times are epoch milliseconds; `null` is an unknown lifetime, which has no end of its own.
 *
 * @module
 */
import type { TokenAttributes } from './token.js';

type Lifetime = Pick<TokenAttributes, 'issuedAt' | 'expiresAt'>;

/** The longest time before expiry at which a token counts as expiring, in milliseconds. */
export const MAX_GRACE_MS = 30_000;

/** How long before its expiry a token should be renewed: 30 s, or a quarter of a shorter lifetime (E43). */
export function defaultGraceMs({ issuedAt, expiresAt }: Lifetime): number {
  return expiresAt === null ? 0 : Math.min(MAX_GRACE_MS, Math.max(0, expiresAt - issuedAt) / 4);
}

/**
 * What can be had of a wish for a token that is good for so many milliseconds more. What no token of this lifetime is good for is met until a
 * quarter of it has gone; any wish for five seconds, or a quarter of a shorter lifetime: else each call would be a request (E43).
 */
export function reachableMs({ issuedAt, expiresAt }: Lifetime, wishMs: number): number {
  if (expiresAt === null) return 0;
  const lifetimeMs = Math.max(0, expiresAt - issuedAt);
  return Math.min(wishMs, lifetimeMs - Math.min(wishMs < lifetimeMs ? 5_000 : Infinity, lifetimeMs / 4));
}

/** True if the token is good for at least `minValidityMs` more. */
export function isFresh(lifetime: Lifetime, now: number, minValidityMs: number): boolean {
  return lifetime.expiresAt === null || lifetime.expiresAt - now > minValidityMs;
}

/** What the clock says of a token. */
export function validityAt(lifetime: Lifetime, now: number): 'valid' | 'expiring' | 'expired' {
  if (!isFresh(lifetime, now, 0)) return 'expired';
  return isFresh(lifetime, now, defaultGraceMs(lifetime)) ? 'valid' : 'expiring';
}

/** How long before its expiry a token is renewed unasked: 60 s or a quarter of its lifetime, less up to a tenth of that, by `fraction`. */
export function renewalLeadMs({ issuedAt, expiresAt }: Lifetime, fraction: number): number {
  if (expiresAt === null) return 0;
  return Math.min(60_000, Math.max(0, expiresAt - issuedAt) / 4) * (1 - fraction / 10);
}

/** How long to wait after the nth failure in a row: 1 s, doubled up to five minutes, half as much more or less by `fraction`. */
export function backoffMs(attempts: number, fraction: number): number {
  return Math.round(Math.min(300_000, 1_000 * 2 ** (attempts - 1)) * (0.5 + fraction));
}
