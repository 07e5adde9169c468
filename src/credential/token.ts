/**
 * The token set of one grant as an immutable value. It is the secret wrapper: `token.accessToken` is a plain string,
 * every printed form of a token is redacted.
 *
 * @module
 */
import { deepFreezeData, isPlainObject } from './data.js';
import { sameScope } from './scope.js';

/** How the access token is presented: RFC 6750 or RFC 9449. */
export type TokenType = 'Bearer' | 'DPoP';

/** Claims of a validated ID token (OpenID Connect Core §2), with whatever else the server put in. */
export interface IdTokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | readonly string[];
  /** Seconds since the epoch, as on the wire. */
  readonly exp: number;
  /** Seconds since the epoch, as on the wire. */
  readonly iat: number;
  readonly azp?: string;
  readonly nonce?: string;
  readonly auth_time?: number;
  readonly acr?: string;
  readonly name?: string;
  readonly email?: string;
  readonly preferred_username?: string;
  readonly [claim: string]: unknown;
}

/** Where a token came from: what a refresh must present again and what a record is bound to. */
export interface TokenContext {
  readonly issuer: string;
  readonly clientId: string;
  /** The scope that was asked for; what was granted is `token.scope`. */
  readonly scope?: string;
  /** Names the DPoP key that the tokens are bound to. */
  readonly dpopKeyId?: string;
  readonly acrValues?: string;
  /** Seconds, as sent in the authorization request. */
  readonly maxAge?: number;
}

/** The secret strings of a token. Tokens are opaque: nothing is read out of them (RFC 9068 §6). */
export interface TokenSecrets {
  readonly accessToken: string;
  readonly refreshToken?: string;
  readonly idToken?: string;
}

/** What may be known of a token without opening it. */
export interface TokenAttributes {
  /** Random at creation, kept on refresh. */
  readonly id: string;
  readonly tokenType: TokenType;
  /** The scope granted: what the server said, else what was asked for (RFC 6749 §5.1). */
  readonly scope: string;
  /** Epoch milliseconds: the instant before the request for this token was sent. */
  readonly issuedAt: number;
  /** Epoch milliseconds; `null` when the server gave no lifetime: then the token counts as valid until a server refuses it. */
  readonly expiresAt: number | null;
  /** Claims of the ID token, validated when it was received; `null` where there is none. */
  readonly claims: IdTokenClaims | null;
  readonly context: TokenContext;
}

/** Everything a token is made of. */
export type TokenFields = TokenAttributes & TokenSecrets;

/** An immutable token set; see the module comment for what its printed forms show. */
export interface Token extends TokenAttributes {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  readonly idToken: string | undefined;
  /** True if the other token holds the same secrets, attributes and context. */
  isEqual(other: Token): boolean;
  /** The redacted form. */
  toJSON(): Readonly<Record<string, unknown>>;
  toString(): string;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/**
 * Makes a token from its parts, for tokens that come from somewhere else than the flows of this package.
 * The id is the caller's to make unique: `crypto.randomUUID()` will do.
 *
 * @throws {TypeError} a required member is missing or has the wrong type
 */
export function createToken(fields: TokenFields): Token {
  assertFields(fields);
  const { accessToken, refreshToken, idToken, id, tokenType, scope, issuedAt, expiresAt } = fields;
  const claims = claimsOf(fields.claims);
  const context = Object.freeze({ ...fields.context });
  const attributes: TokenAttributes = { id, tokenType, scope, issuedAt, expiresAt, claims, context };
  const redacted = (): Readonly<Record<string, unknown>> => ({
    ...attributes,
    claims: claims && '[redacted]',
    accessToken: '[redacted]',
    ...(refreshToken !== undefined && { refreshToken: '[redacted]' }),
    ...(idToken !== undefined && { idToken: '[redacted]' }),
  });
  // Accessors that no enumeration visits: spreading, logging, cloning or serializing a token yields no secret.
  const hidden = (get: () => unknown): PropertyDescriptor => ({ get, enumerable: false, configurable: false });
  const method = (value: unknown): PropertyDescriptor => ({ value, enumerable: false });
  const token = Object.defineProperties(
    { ...attributes },
    {
      accessToken: hidden(() => accessToken),
      refreshToken: hidden(() => refreshToken),
      idToken: hidden(() => idToken),
      isEqual: method((other: Token) => sameToken(token, other)),
      toJSON: method(redacted),
      toString: method(() => `Token(${id}, redacted)`),
      [INSPECT]: method(redacted),
    },
  ) as Token;
  return Object.freeze(token);
}

/** A token of the same grant and id with some fields replaced. */
export function withFields(token: Token, changes: Partial<TokenFields>): Token {
  return createToken({ ...attributesOf(token), ...secretsOf(token), ...changes });
}

/** The secret members, for a storage record. */
export function secretsOf(token: Token): TokenSecrets {
  const { accessToken, refreshToken, idToken } = token;
  return { accessToken, ...(refreshToken !== undefined && { refreshToken }), ...(idToken !== undefined && { idToken }) };
}

/** The members that are no secret, for a storage record. */
export function attributesOf(token: Token): TokenAttributes {
  const { id, tokenType, scope, issuedAt, expiresAt, claims, context } = token;
  return { id, tokenType, scope, issuedAt, expiresAt, claims, context };
}

/** True for values made by `createToken`, also by another copy of this package. */
export function isToken(value: unknown): value is Token {
  return typeof value === 'object' && value !== null && 'isEqual' in value && 'accessToken' in value && 'context' in value;
}

/** True for text that can be sent in a header (6750-1). */
export function isAccessToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value);
}

/** Claims with the members OpenID Connect Core §2 requires, `undefined` for anything else. */
export function parseClaims(value: unknown): IdTokenClaims | undefined {
  const claims = deepFreezeData(value);
  if (!isPlainObject(claims)) return undefined;
  const { iss, sub, aud, exp, iat } = claims;
  const audience = typeof aud === 'string' || (Array.isArray(aud) && aud.every((one) => typeof one === 'string'));
  if (typeof iss !== 'string' || typeof sub !== 'string' || sub === '' || !audience) return undefined;
  if (!isInstant(exp) || !isInstant(iat)) return undefined;
  return Object.freeze({ ...claims, iss, sub, aud, exp, iat });
}

function isInstant(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** A frozen copy: a token never changes. What is refused here could not be read back from storage either. */
function claimsOf(claims: IdTokenClaims | null): IdTokenClaims | null {
  const parsed = claims === null ? null : parseClaims(claims);
  if (parsed === undefined) throw new TypeError('token.claims must be null or hold iss, sub, aud, exp and iat');
  return parsed;
}

function sameToken(a: Token, b: Token): boolean {
  return (
    a.id === b.id &&
    a.accessToken === b.accessToken &&
    a.refreshToken === b.refreshToken &&
    a.idToken === b.idToken &&
    a.tokenType === b.tokenType &&
    sameScope(a.scope, b.scope) &&
    a.issuedAt === b.issuedAt &&
    a.expiresAt === b.expiresAt &&
    a.context.issuer === b.context.issuer &&
    a.context.clientId === b.context.clientId
  );
}

function assertFields({ id, scope, tokenType, issuedAt, expiresAt, context, ...secrets }: TokenFields): void {
  if (typeof id !== 'string' || id === '') throw new TypeError('token.id must be a string');
  if (id.startsWith('@')) throw new TypeError('token.id must not begin with "@"');
  if (typeof scope !== 'string') throw new TypeError('token.scope must be a string');
  if (tokenType !== 'Bearer' && tokenType !== 'DPoP') throw new TypeError('token.tokenType must be "Bearer" or "DPoP"');
  if (!Number.isFinite(issuedAt)) throw new TypeError('token.issuedAt must be epoch milliseconds');
  if (expiresAt !== null && !Number.isFinite(expiresAt)) throw new TypeError('token.expiresAt must be epoch milliseconds or null');
  assertContext(context);
  assertSecrets(secrets);
}

function assertContext(context: unknown): void {
  const { issuer, clientId } = isPlainObject(context) ? context : {};
  const named = [issuer, clientId].every((name) => typeof name === 'string' && name !== '');
  if (!named) throw new TypeError('token.context must name issuer and clientId');
}

function assertSecrets({ accessToken, refreshToken, idToken }: TokenSecrets): void {
  if (!isAccessToken(accessToken)) throw new TypeError('token.accessToken must be visible ASCII characters (RFC 6750 §2.1)');
  for (const [name, value] of Object.entries({ refreshToken, idToken })) {
    if (value !== undefined && typeof value !== 'string') throw new TypeError(`token.${name} must be a string`);
  }
}
