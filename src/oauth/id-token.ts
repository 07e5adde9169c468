/**
 * Checks of an ID token that `oauth4webapi` leaves to its caller: algorithm, type, `at_hash`, and that a refresh did not change
 * the user (OpenID Connect Core §3.1.3.7, §12.2).
 *
 * @module
 */
import { jsonObjectIn } from '../credential/data.js';
import type { IdTokenClaims } from '../credential/token.js';
import { causeOf, ProtocolError } from '../errors.js';
import { base64url, subtleOf } from '../platform/random.js';
import type { Platform } from '../platform/platform.js';
import type { Grant, ResolvedClientOptions } from './client.js';
import { given } from './token-response.js';
import type { Exchange } from './transport.js';

/** Further than two clocks can be apart, in seconds. */
const FAR_S = 1e12;

/** What the header of an ID token says before anything is verified. */
export interface IdTokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** Types whose tokens are something else (IDT-14). */
const OTHER_TYPES = ['at+jwt', 'logout+jwt', 'dpop+jwt', 'oauth-authz-req+jwt'];

/**
 * The header, if the token may be an ID token at all. Its three parts are taken to the letter (RFC 7515 §2, §5.2): a token that can be
 * written in several ways is another one to whoever compares texts.
 *
 * @throws {ProtocolError} `id_token_invalid`
 */
export function parseIdTokenHeader(idToken: string, algs: readonly string[], issuer: string): IdTokenHeader {
  const parts = idToken.split('.');
  if (parts.length === 5) throw invalid('is encrypted, which was not asked for', issuer);
  const header = headerOf(parts);
  if (!header) throw invalid('is no signed JWT', issuer);
  const { alg, kid, typ, crit, b64 } = header;
  // RFC 7515 §4.1.11, RFC 7797 §3: no extension is understood here
  if (crit !== undefined || (b64 !== undefined && b64 !== true))
    throw invalid('needs an extension that is not understood (crit, b64)', issuer);
  if (typeof alg !== 'string' || !algs.includes(alg))
    throw invalid(`is not signed with an algorithm of idTokenSigningAlgs (${algs.join(', ')})`, issuer);
  if (typeof typ === 'string' && OTHER_TYPES.includes(typ.toLowerCase().replace(/^application\//, '')))
    throw invalid('is a JWT of another type', issuer);
  return { alg, kid: typeof kid === 'string' ? kid : undefined };
}

/**
 * When an answer came, in epoch milliseconds, by the clock that its ID token goes by: ours, or the server's where that is nearer to what the
 * token has as its time of issue. A clock by which the token would be of the future, or too old, is further away than one by which it is not: Entra
 * writes a time of issue five minutes early. A `Date` header may be of another machine than the one that signs.
 */
export function judgedAt(
  { text, receivedAt, serverTime }: Pick<Exchange, 'text' | 'receivedAt' | 'serverTime'>,
  { clockToleranceS, maxIdTokenAgeS }: Pick<ResolvedClientOptions, 'clockToleranceS' | 'maxIdTokenAgeS'>,
): number {
  const idToken = jsonObjectIn(text)?.['id_token'];
  if (serverTime === receivedAt || typeof idToken !== 'string') return receivedAt;
  const iat = unverifiedPayload(idToken)?.['iat'];
  const awayS = (atMs: number): number => {
    const ageS = atMs / 1000 - Number(iat);
    const isRefused = ageS < -clockToleranceS || ageS > maxIdTokenAgeS + clockToleranceS;
    return Math.abs(ageS) + (isRefused ? FAR_S : 0);
  };
  return awayS(serverTime) < awayS(receivedAt) ? serverTime : receivedAt;
}

/**
 * A refresh token is not to be spent where the next ID token comes with the answer, and its signature could not be verified. Of a login that has
 * none nobody knows: one that comes all the same is refused by the judge, and what came with it is kept.
 *
 * @throws {CredentialError} `crypto_unavailable`
 */
export function assertVerifiable({ idToken }: Pick<Grant, 'idToken'>, platform: Platform): void {
  if (idToken !== undefined) subtleOf(platform);
}

/** What a token says before anything is verified. */
export function unverifiedPayload(idToken: string): Readonly<Record<string, unknown>> | undefined {
  return jsonObjectIn(textOf(idToken.split('.')[1] ?? ''));
}

/**
 * Checks of claims that `oauth4webapi` does not make (IDT-3, IDT-4, IDT-7, IDT-11).
 *
 * @param atMs epoch milliseconds of the answer
 * @param maxAgeS seconds
 * @throws {ProtocolError} `id_token_invalid`
 */
export function checkClaims(
  { iss, sub, aud, azp, iat }: IdTokenClaims,
  { clientId, trustedAudiences, clockToleranceS }: Pick<ResolvedClientOptions, 'clientId' | 'trustedAudiences' | 'clockToleranceS'>,
  atMs: number,
  maxAgeS: number,
): void {
  const ageS = atMs / 1000 - iat;
  if (!/^\p{ASCII}{1,255}$/u.test(sub)) throw invalid('has a sub that is not 1 to 255 ASCII characters', iss);
  if ([aud].flat().some((one) => one !== clientId && !isTrusted(one, trustedAudiences, iss)))
    throw invalid('is meant for a further audience that is not among trustedAudiences', iss);
  if (given(azp) !== undefined && azp !== clientId) throw invalid('names another authorized party (azp)', iss);
  if (ageS < -clockToleranceS)
    throw invalid(
      `was issued in the future (iat): the clock here, or the server's, is off by more than ${clockToleranceS} s (clockToleranceS)`,
      iss,
    );
  if (ageS > maxAgeS + clockToleranceS) throw invalid(`was issued more than ${maxAgeS} s ago (iat, maxIdTokenAgeS)`, iss);
}

/** Nothing but `true` trusts: not a promise, whatever becomes of it. */
function isTrusted(audience: string, trusted: ResolvedClientOptions['trustedAudiences'], issuer: string): boolean {
  if (typeof trusted !== 'function') return trusted.includes(audience);
  try {
    return (trusted(audience) as unknown) === true;
  } catch (error) {
    throw invalid(`has an audience that could not be judged: trustedAudiences has thrown${causeOf(error)}`, issuer);
  }
}

/**
 * Where an age was asked for, a time of login in the future is none (IDT-10): it would be young for as long as that.
 *
 * @param atMs epoch milliseconds of the answer
 * @throws {ProtocolError} `id_token_invalid`
 */
export function checkAuthTime(
  claims: IdTokenClaims | null,
  atMs: number,
  { issuer, clockToleranceS }: Pick<ResolvedClientOptions, 'issuer' | 'clockToleranceS'>,
): void {
  if (claims && Number(claims.auth_time) > atMs / 1000 + clockToleranceS)
    throw invalid('is of a login in the future (auth_time): in seconds it is to be, by a clock that is right', issuer);
}

/**
 * Compares `at_hash`, if the token has it, with the access token (OIDC Core §3.1.3.8).
 *
 * @throws {ProtocolError} `id_token_invalid`
 */
export async function checkAccessTokenHash(
  atHash: unknown,
  accessToken: string,
  alg: string,
  platform: Pick<Platform, 'crypto'>,
  issuer: string,
): Promise<void> {
  const expected = given(atHash);
  if (expected === undefined) return;
  const bits = /^[A-Z]{2}(256|384|512)$/.exec(alg)?.[1] ?? '512'; // EdDSA and Ed25519 go with SHA-512
  const halfOf = async (hash: string): Promise<string> => {
    const digest = new Uint8Array(await subtleOf(platform).digest(hash, new TextEncoder().encode(accessToken)));
    return base64url(digest.slice(0, digest.length / 2));
  };
  // Older Hydra, Authelia and Doorkeeper take SHA-256 whatever the algorithm, which proves as much as it does with RS256
  if ((await halfOf(`SHA-${bits}`)) !== expected && (await halfOf('SHA-256')) !== expected)
    throw invalid('has an at_hash of another access token', issuer);
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
 * A refreshed ID token must speak of the same user (IDR-1). One that speaks of another login of hers is left alone: it takes no session away,
 * since servers move `auth_time` as the user signs in elsewhere, and begin or cease to write `nonce` and `azp` (D-046).
 *
 * @returns true if it is of the same login (IDR-2, IDR-3)
 * @throws {ProtocolError} `token_substitution`
 */
export function isOfSameLogin(before: IdTokenClaims, after: IdTokenClaims): boolean {
  if (before.iss !== after.iss || before.sub !== after.sub) {
    throw new ProtocolError('token_substitution', 'The refreshed ID token speaks of another user than the login (OIDC Core §12.2).', {
      issuer: before.iss,
    });
  }
  const [old, fresh] = [before, after].map(({ azp, nonce, auth_time: time }) => ({
    azp: given(azp),
    nonce: given(nonce),
    time: given(time),
  }));
  return (
    sameAudience(before.aud, after.aud) &&
    old?.azp === fresh?.azp &&
    (fresh?.nonce === undefined || old?.nonce === fresh.nonce) &&
    (fresh?.time === undefined || old?.time === undefined || old.time === fresh.time)
  );
}

/** An ID token that fails a check. The text must hold nothing of the token. */
export function invalid(what: string, issuer: string): ProtocolError {
  return new ProtocolError('id_token_invalid', `The ID token ${what} (OIDC Core §3.1.3.7).`, { issuer });
}

function sameAudience(a: string | readonly string[], b: string | readonly string[]): boolean {
  const [x, y] = [new Set(typeof a === 'string' ? [a] : a), new Set(typeof b === 'string' ? [b] : b)];
  return x.size === y.size && [...x].every((one) => y.has(one));
}

/** The header, if all three parts are what they must be. */
function headerOf([header = '', payload = '', signature = '', ...more]: readonly string[]): Readonly<Record<string, unknown>> | undefined {
  const isWhole = more.length === 0 && jsonObjectIn(textOf(payload)) && bytesOf(signature);
  return isWhole ? jsonObjectIn(textOf(header)) : undefined;
}

/** Strict UTF-8; a byte order mark stays, and is no JSON. Made for each text: modules keep no state (E50). */
const utf8 = (): TextDecoder => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(part: string): string {
  try {
    return utf8().decode(bytesOf(part));
  } catch {
    return '';
  }
}

/** The bytes of base64url as RFC 7515 §2 has it: no padding, no other alphabet, no bits to spare, and not none. */
function bytesOf(part: string): Uint8Array | undefined {
  if (!/^[\w-]+$/.test(part) || part.length % 4 === 1) return undefined;
  const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
  return base64url(bytes) === part ? bytes : undefined;
}
