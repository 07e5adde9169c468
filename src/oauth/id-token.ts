/**
 * Checks of an ID token that `oauth4webapi` leaves to its caller: algorithm, type, `at_hash`, and that a refresh did not change
 * the user (OpenID Connect Core §3.1.3.7, §12.2).
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import type { IdTokenClaims } from '../credential/token.js';
import { ProtocolError } from '../errors.js';
import { base64url } from '../platform/random.js';
import type { Platform } from '../platform/platform.js';

/** What the header of an ID token says before anything is verified. */
export interface IdTokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** How far the clocks of client and server may differ (`standards.md` §0). */
export const CLOCK_TOLERANCE_S = 30;

/** Types whose tokens are something else (IDT-14). */
const OTHER_TYPES = ['at+jwt', 'logout+jwt', 'dpop+jwt', 'oauth-authz-req+jwt'];

/**
 * The header, if the token may be an ID token at all.
 *
 * @throws {ProtocolError} `id_token_invalid`
 */
export function parseIdTokenHeader(idToken: string, algs: readonly string[], issuer: string): IdTokenHeader {
  const parts = idToken.split('.');
  if (parts.length === 5) throw invalid('is encrypted, which was not asked for', issuer);
  const header = parts.length === 3 ? parseJson(textOf(parts[0] ?? '')) : undefined;
  if (!isPlainObject(header)) throw invalid('is no signed JWT', issuer);
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string' || !algs.includes(alg))
    throw invalid(`is not signed with an algorithm of idTokenSigningAlgs (${algs.join(', ')})`, issuer);
  if (typeof typ === 'string' && OTHER_TYPES.includes(typ.toLowerCase().replace(/^application\//, '')))
    throw invalid('is a JWT of another type', issuer);
  return { alg, kid: typeof kid === 'string' ? kid : undefined };
}

/**
 * Checks of claims that `oauth4webapi` does not make (IDT-3, IDT-4, IDT-7, IDT-11).
 *
 * @param atMs epoch milliseconds of the answer
 * @throws {ProtocolError} `id_token_invalid`
 */
export function checkClaims({ iss, sub, aud, azp, iat }: IdTokenClaims, clientId: string, atMs: number): void {
  if (!/^\p{ASCII}{1,255}$/u.test(sub)) throw invalid('has a sub that is not 1 to 255 ASCII characters', iss);
  if ([aud].flat().some((one) => one !== clientId)) throw invalid('is meant for a further audience, and none is trusted', iss);
  if (azp !== undefined && azp !== clientId) throw invalid('names another authorized party (azp)', iss);
  if (iat * 1000 > atMs + CLOCK_TOLERANCE_S * 1000) throw invalid('was issued in the future (iat)', iss);
}

/**
 * Compares `at_hash`, if the token has it, with the access token (OIDC Core §3.1.3.8).
 *
 * @throws {ProtocolError} `id_token_invalid`
 */
export async function checkAccessTokenHash(
  claims: IdTokenClaims,
  accessToken: string,
  alg: string,
  { crypto }: Pick<Platform, 'crypto'>,
): Promise<void> {
  const expected = claims['at_hash'];
  if (expected === undefined) return;
  const bits = /^[A-Z]{2}(256|384|512)$/.exec(alg)?.[1] ?? '512'; // EdDSA and Ed25519 go with SHA-512
  const digest = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, new TextEncoder().encode(accessToken)));
  if (base64url(digest.slice(0, digest.length / 2)) !== expected) throw invalid('has an at_hash of another access token', claims.iss);
}

/**
 * What was asked for as essential, or by a resource server, must be there (IDT-9; OIDC Core §5.5.1.1, RFC 9470 §5).
 *
 * @param acrValues separated by spaces
 * @throws {ProtocolError} `id_token_invalid`
 */
export function checkAcr(claims: IdTokenClaims | null, acrValues: string, issuer: string): void {
  const acr = claims?.acr;
  const isAsked = typeof acr === 'string' && acr !== '' && acrValues.split(' ').includes(acr);
  if (!isAsked) throw invalid('has none of the authentication context classes that were required (acr)', issuer);
}

/**
 * A refreshed ID token must speak of the same login (IDR-1 to IDR-3).
 *
 * @throws {ProtocolError} `token_substitution`
 */
export function checkSameLogin(before: IdTokenClaims, after: IdTokenClaims): void {
  const kept = {
    iss: before.iss === after.iss,
    sub: before.sub === after.sub,
    aud: sameAudience(before.aud, after.aud),
    azp: before.azp === after.azp,
    auth_time: after.auth_time === undefined || before.auth_time === undefined || before.auth_time === after.auth_time,
    nonce: after.nonce === undefined || before.nonce === after.nonce,
  };
  const differs = Object.entries(kept).find(([, same]) => !same)?.[0];
  if (differs !== undefined) {
    throw new ProtocolError('token_substitution', `The refreshed ID token has another "${differs}" than the login (OIDC Core §12.2).`, {
      issuer: before.iss,
    });
  }
}

/** An ID token that fails a check. The text must hold nothing of the token. */
export function invalid(what: string, issuer: string): ProtocolError {
  return new ProtocolError('id_token_invalid', `The ID token ${what} (OIDC Core §3.1.3.7).`, { issuer });
}

function sameAudience(a: string | readonly string[], b: string | readonly string[]): boolean {
  const [x, y] = [new Set(typeof a === 'string' ? [a] : a), new Set(typeof b === 'string' ? [b] : b)];
  return x.size === y.size && [...x].every((one) => y.has(one));
}

function textOf(part: string): string {
  try {
    return atob(part.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    return '';
  }
}
