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

/** True if the token is good for at least `minValidityMs` more. */
export function isFresh(lifetime: Lifetime, now: number, minValidityMs: number): boolean {
  return lifetime.expiresAt === null || lifetime.expiresAt - now > minValidityMs;
}

/** What the clock says of a token. */
export function validityAt(lifetime: Lifetime, now: number): 'valid' | 'expiring' | 'expired' {
  if (!isFresh(lifetime, now, 0)) return 'expired';
  return isFresh(lifetime, now, defaultGraceMs(lifetime)) ? 'valid' : 'expiring';
}

/** The next instant after `now` at which `validityAt` changes; `Infinity` if it never does. */
export function nextChangeAfter(lifetime: Lifetime, now: number): number {
  const { expiresAt } = lifetime;
  if (expiresAt === null || expiresAt <= now) return Infinity;
  const expiring = expiresAt - defaultGraceMs(lifetime);
  return expiring > now ? expiring : expiresAt;
}
