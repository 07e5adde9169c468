/**
 * What a JWT says before anybody has checked it. Apart from `token.ts`, so that nothing here gets it by accident (JWT-5).
 *
 * @module
 */
import { isPlainObject, parseJson } from './data.js';

/** Characters; far above any token that fits into a header. */
const MAX_LENGTH = 65_536;

/**
 * The claims of a signed JWT as they stand in it. No signature, issuer, audience or time is checked: whoever sent the token may have
 * written anything. For showing and for debugging, never for a decision; `credential.claims` are the checked ones.
 *
 * Not for access tokens: those are opaque to a client (RFC 9068 §6), and what reads them breaks when the server changes their form.
 *
 * @returns frozen data without a prototype; `null` for what is no signed JWT: opaque or encrypted tokens, more than 64 Ki characters,
 * more than 2,000 members, deeper than 20 levels. Never throws
 * @see RFC 7519 §7.2
 */
export function unverifiedClaims(jwt: string): Readonly<Record<string, unknown>> | null {
  const text: unknown = jwt;
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return null;
  const parts = text.split('.');
  const [header, claims] = parts.length === 3 ? parts.slice(0, 2).map(dataOf) : [];
  return isPlainObject(header) && isPlainObject(claims) ? claims : null;
}

function dataOf(part: string): unknown {
  if (!/^[\w-]+$/.test(part)) return undefined; // base64url without padding (RFC 7515 §2)
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
