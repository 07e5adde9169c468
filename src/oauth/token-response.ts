/**
 * The answers of a token endpoint: what an error means, and which members of a success are kept (RFC 6749 §5).
 *
 * @module
 */
import { isPlainObject, jsonObjectIn, parseJson, stringOr } from '../credential/data.js';
import { retryAfterMs } from '../credential/retry-after.js';
import { normalizeScope, parseScope } from '../credential/scope.js';
import { NO_EXTRA, type ExtraParameters, type Token, type TokenType } from '../credential/token.js';
import { CredentialError, ProtocolError } from '../errors.js';
import { OAuthResponseError } from './oauth-response-error.js';
import { withoutSecrets } from './redaction.js';
import type { Exchange } from './transport.js';

const MAX_TOKEN_CHARACTERS = 128 * 1024;
const TEN_YEARS_S = 10 * 365 * 24 * 3600;
/** What a token may hold to be sent in a header (6750-1). */
const TOKEN_TEXT = /^[\x21-\x7e]+$/;
/** A refresh token goes into a body: RFC 6749 §A.17 allows it blanks. */
const REFRESH_TOKEN_TEXT = /^[\x20-\x7e]+$/;

/** The members of a token response that are used, cleaned. */
export interface TokenResponse {
  readonly accessToken: string;
  readonly tokenType: TokenType;
  /** Seconds; `undefined` when absent or not usable (6749-7). */
  readonly expiresInS: number | undefined;
  readonly refreshToken: string | undefined;
  readonly idToken: string | undefined;
  readonly scope: string | undefined;
  /** Of the further members those that are kept, with what the token before had of them. */
  readonly extra: ExtraParameters;
}

const PASSING = { class: 'transient' } as const;

/**
 * Statuses after which nothing was done: also of a network that asks for its own sign-in (RFC 6585 §6), and of Cloudflare, which says by some that
 * it has not reached the server (refused, no route, no TLS, a wrong certificate). With its others, and with 502 and 504, nobody knows.
 */
const UNAVAILABLE: readonly number[] = [408, 425, 429, 503, 511, 521, 523, 525, 526];

/** True for statuses that pass, of a request that changes nothing. */
export function isUnavailable(status: number): boolean {
  return UNAVAILABLE.includes(status) || status >= 500;
}

/**
 * The error an answer other than 200 means, by its own JSON and status, never by its texts (6749-9).
 */
export function errorOf(
  {
    status,
    text,
    headers,
    serverTime,
    secrets = [],
  }: Pick<Exchange, 'status' | 'text' | 'headers'> & Partial<Pick<Exchange, 'serverTime' | 'secrets'>>,
  issuer: string,
): CredentialError {
  const waitMs = clampedRetryAfter(headers.get('retry-after'), serverTime);
  const details = { issuer, status, ...(waitMs !== undefined && { retryAfterMs: waitMs }) };
  if (UNAVAILABLE.includes(status)) {
    return new CredentialError('server_unavailable', `The authorization server is not available (status ${status}).`, details);
  }
  const body = status < 500 ? parseJson(text) : undefined;
  if (isPlainObject(body) && typeof body['error'] === 'string') {
    const [errorDescription, suberror] = [body['error_description'], body['suberror']].map((one) => stringOr(one, undefined));
    const said = withoutSecrets({ error: body['error'], errorDescription, suberror }, secrets);
    const isPassing = !isErrorCode(body['error']) && isOfGateway(status, headers);
    return new OAuthResponseError(said, 'oauth_error', { ...details, ...(isPassing && PASSING) });
  }
  if (status < 400)
    return new ProtocolError('response_invalid', `The answer has status ${status} where RFC 6749 §5.1 has 200.`, { issuer, status });
  if (status >= 500) return new CredentialError('server_error', `The authorization server failed (status ${status}).`, details);
  const message = `The server refused with status ${status} and gave no OAuth error.`;
  if (isPlainObject(body)) return new ProtocolError('http_error', message, { ...details, ...(isOfGateway(status, headers) && PASSING) });
  // A page is of a firewall or gateway before the server, as a rule, whatever its status (design §4.5, D-047)
  return new CredentialError('http_error', message, { ...details, ...(!headers.has('www-authenticate') && PASSING) });
}

/** True for a refusal in JSON without a code of OAuth that never reached the server, as a rule (D-047). A challenge is none (RFC 6750 §3). */
function isOfGateway(status: number, headers: Headers): boolean {
  return (status === 403 || status === 404) && !headers.has('www-authenticate');
}

/**
 * False for what gateways and frameworks put there, such as the name of a status (`Not Found`): codes of OAuth are single words, and none begins
 * as a sentence does (RFC 6749 §5.2; §A.7 would allow blanks).
 */
export function isErrorCode(error: string): boolean {
  return /^(?![A-Z][a-z])[\x21\x23-\x5b\x5d-\x7e]+$/.test(error);
}

/** False for an error, also with a status of success, as some servers and gateways have it; unless it brings a token: that must not be lost (E56). */
export function isSuccess({ status, text }: Pick<Exchange, 'status' | 'text'>): boolean {
  if (status < 200 || status > 299) return false;
  const body = parseJson(text);
  return !isPlainObject(body) || typeof body['error'] !== 'string' || (accessTokenIn(text) ?? refreshTokenIn(text)) !== undefined;
}

/**
 * A token response is `application/json`, whatever its parameters (HT-6).
 *
 * @throws {ProtocolError} `response_invalid`
 */
export function assertJsonType(contentType: string, issuer: string): void {
  // Of a field that came twice the first counts
  if (!/^application\/json[\t ]*([;,]|$)/i.test(contentType.trim()))
    throw new ProtocolError('response_invalid', 'The token response is not application/json (RFC 6749 §5.1).', { issuer, status: 200 });
}

/**
 * The members of a successful answer.
 *
 * @param extraParameters names of further members that are kept
 * @param kept what the token has that is renewed: what such an answer omits stays (design §4.3)
 * @throws {ProtocolError} `response_invalid` names the member that breaks RFC 6749 §5.1
 * @throws {CredentialError} `unsupported`: a token type other than Bearer or DPoP
 */
export function parseTokenResponse(
  text: string,
  { issuer, extraParameters }: { readonly issuer: string; readonly extraParameters?: readonly string[] },
  kept: Partial<Pick<Token, 'tokenType' | 'extra'>> = {},
): TokenResponse {
  const invalid = (what: string): ProtocolError =>
    new ProtocolError('response_invalid', `The token response ${what} (RFC 6749 §5.1).`, { issuer, status: 200 });
  const body = parseJson(text);
  if (!isPlainObject(body)) throw invalid('is no JSON object');
  const { access_token: accessToken } = body;
  const tokenType = given(body['token_type']) ?? kept.tokenType ?? body['token_type'];
  const [refreshToken, idToken] = [body['refresh_token'], body['id_token']].map((one) => (one === false ? undefined : given(one))); // as PHP has it
  const scope = scopeIn(body);
  if (!isTokenText(accessToken)) throw invalid('has no access_token that can be sent in a header');
  if (typeof tokenType !== 'string') throw invalid('has no token_type');
  if (refreshToken !== undefined && !isTokenText(refreshToken, REFRESH_TOKEN_TEXT)) throw invalid('has a refresh_token that is no token');
  if (idToken !== undefined && !isTokenText(idToken)) throw invalid('has an id_token that is no token');
  if (scope !== undefined && typeof scope !== 'string') throw invalid('has a scope that is no string');
  return {
    accessToken,
    tokenType: parseTokenType(tokenType, issuer),
    expiresInS: parseExpiresIn(body['expires_in']),
    refreshToken,
    idToken,
    scope: normalizeScope(scope ?? '') || undefined, // also one of blanks alone
    extra: extraIn(body, extraParameters, kept.extra),
  };
}

/**
 * A scope as it was asked for, where the server puts commas between its words (GitHub, LinkedIn). A word may hold commas (RFC 6749 §3.3): one is
 * taken apart only if it was not asked for, and a part of it was.
 */
export function withoutCommas(scope: string, asked: string): string {
  const wanted = parseScope(asked);
  const partsOf = (word: string): readonly string[] => {
    const parts = word.split(',');
    return !wanted.includes(word) && parts.some((part) => wanted.includes(part)) ? parts : [word];
  };
  return normalizeScope(parseScope(scope).flatMap(partsOf).join(' '));
}

/** What the body says of the names, else what was known; `null` and nothing are an omission here, too. */
function extraIn(
  body: Readonly<Record<string, unknown>>,
  names: readonly string[] = [],
  kept: ExtraParameters = NO_EXTRA,
): ExtraParameters {
  const there = names.filter((name) => Object.hasOwn(body, name) && given(body[name]) !== undefined);
  return { ...kept, ...Object.fromEntries(there.map((name) => [name, body[name]])) };
}

/** Some servers write a list. There is no empty one (RFC 6749 §3.3). */
function scopeIn({ scope }: Readonly<Record<string, unknown>>): unknown {
  return given(Array.isArray(scope) && scope.every((word) => typeof word === 'string') ? scope.join(' ') : scope);
}

/** Some servers write `null` or nothing for a member or a claim they have nothing for: the session goes on with what it has. */
export function given(value: unknown): unknown {
  return value === null || value === '' ? undefined : value;
}

/** Compared without case; an unknown type means that the token is not used (6749-6). */
function parseTokenType(type: string, issuer: string): TokenType {
  const known = { bearer: 'Bearer', dpop: 'DPoP' } as const;
  const lower = type.toLowerCase();
  if (lower === 'bearer' || lower === 'dpop') return known[lower];
  throw new CredentialError('unsupported', 'The token response has a token_type other than Bearer or DPoP; the token is not used.', {
    issuer,
  });
}

/** A finite number ≥ 0 or a string of digits, in seconds, capped at ten years; anything else counts as absent (6749-7). */
export function parseExpiresIn(value: unknown): number | undefined {
  if (typeof value === 'string') return /^\d+$/.test(value) ? Math.min(Number(value), TEN_YEARS_S) : undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  return Math.min(value, TEN_YEARS_S);
}

/** How long to wait, clamped to 1–300 s, in milliseconds. */
function clampedRetryAfter(value: string | null, serverTime = NaN): number | undefined {
  const ms = retryAfterMs(value, serverTime);
  return ms === undefined ? undefined : Math.min(Math.max(ms, 1_000), 300_000);
}

/** The refresh token in an answer, whatever else is wrong with it: what the server rotated must not be lost to a later check (E56). */
export function refreshTokenIn(text: string): string | undefined {
  return tokenIn(text, 'refresh_token');
}

/** The access token in an answer, whatever else is wrong with it: it is live and may have to be revoked. */
export function accessTokenIn(text: string): string | undefined {
  return tokenIn(text, 'access_token');
}

function tokenIn(text: string, name: 'access_token' | 'refresh_token'): string | undefined {
  const token = jsonObjectIn(text)?.[name];
  return isTokenText(token, REFRESH_TOKEN_TEXT) ? token : undefined;
}

function isTokenText(value: unknown, pattern = TOKEN_TEXT): value is string {
  return typeof value === 'string' && value.length <= MAX_TOKEN_CHARACTERS && pattern.test(value);
}
