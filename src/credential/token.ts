/**
 * The token set of one grant as an immutable value. It is the secret wrapper: `token.accessToken` is a plain string,
 * every printed form of a token is redacted.
 *
 * @module
 */
import { bare, deepFreezeData, isPlainObject, membersOf, sameData } from './data.js';
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
  /** The protected resource the token was asked for: an absolute URI without fragment (RFC 8707 §2). Absent: whatever the server chose. */
  readonly resource?: string;
  /**
   * All resources that the sign-in named, where there were several: tokens can be had for each of them (RFC 8707 §2.2). The token itself is for
   * `resource`, the first.
   */
  readonly resources?: readonly string[];
  /** Names the DPoP key that the tokens are bound to. */
  readonly dpopKeyId?: string;
  readonly acrValues?: string;
  /** Seconds, as sent in the authorization request. */
  readonly maxAge?: number;
}

/** Further members of a token response, as the server wrote them; frozen, without a prototype (HT-7). */
export type ExtraParameters = Readonly<Record<string, unknown>>;

/** The secret members of a token. Tokens are opaque: nothing is read out of them (RFC 9068 §6). */
export interface TokenSecrets {
  readonly accessToken: string;
  readonly refreshToken?: string;
  readonly idToken?: string;
  /** See `token.extra`. */
  readonly extra?: ExtraParameters;
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
  /**
   * What the server put beside the tokens (RFC 6749 §5.1), of the members that the client keeps: see `extraParameters` of `OAuth2ClientOptions`. It
   * is stored and printed like a secret, since nobody but the server knows what is in it.
   */
  readonly extra: ExtraParameters;
  /** True if the other token holds the same secrets, attributes and context. */
  isEqual(other: Token): boolean;
  /** The redacted form. */
  toJSON(): Readonly<Record<string, unknown>>;
  toString(): string;
}

/** `createToken` for fields that were judged and frozen before, such as those of a record: shares claims and context. Not exported. */
export function openToken(fields: TokenFields): Token {
  const { id, tokenType, scope, issuedAt, expiresAt, claims, context, accessToken, refreshToken, idToken, extra = NO_EXTRA } = fields;
  const token = Object.create(TOKEN) as object;
  Object.assign(token, { id, tokenType, scope, issuedAt, expiresAt, claims, context });
  return Object.freeze(Object.defineProperty(token, OPEN, { value: () => ({ accessToken, refreshToken, idToken, extra }) })) as Token;
}

/** What a token has where nothing more was kept. */
export const NO_EXTRA: ExtraParameters = Object.freeze(bare());

/** Under which a token keeps its secrets: in a closure, which nothing prints. */
const OPEN = Symbol('open');

interface Sealed extends TokenAttributes {
  readonly [OPEN]: () => Pick<Token, keyof TokenSecrets>;
}

/** What all tokens share: accessors that no enumeration visits. Spreading, logging, cloning or serializing a token yields no secret. */
const TOKEN: object = Object.freeze(
  Object.defineProperties(
    {},
    {
      constructor: { value: Object }, // else `util.inspect` with `showHidden` and `getters` calls the accessors, too
      accessToken: { get: secret('accessToken') },
      refreshToken: { get: secret('refreshToken') },
      idToken: { get: secret('idToken') },
      extra: { get: secret('extra') },
      isEqual: { value: isEqual },
      toJSON: { value: redacted },
      toString: { value: printed },
      [Symbol.for('nodejs.util.inspect.custom')]: { value: redacted },
    },
  ),
);

function secret(name: keyof TokenSecrets): (this: Sealed) => unknown {
  return function () {
    return this[OPEN]()[name];
  };
}

function redacted(this: Sealed): Readonly<Record<string, unknown>> {
  const { refreshToken, idToken, extra } = this[OPEN]();
  return {
    ...this,
    claims: this.claims && '[redacted]',
    accessToken: '[redacted]',
    ...(refreshToken !== undefined && { refreshToken: '[redacted]' }),
    ...(idToken !== undefined && { idToken: '[redacted]' }),
    ...(hasMembers(extra) && { extra: '[redacted]' }),
  };
}

function printed(this: Sealed): string {
  return `Token(${this.id}, redacted)`;
}

function isEqual(this: Token, other: Token): boolean {
  return isToken(other) && sameToken(this, other);
}

/** The secret members, for a storage record. */
export function secretsOf(token: Token): TokenSecrets {
  const { accessToken, refreshToken, idToken, extra } = token;
  return {
    accessToken,
    ...(refreshToken !== undefined && { refreshToken }),
    ...(idToken !== undefined && { idToken }),
    ...(hasMembers(extra) && { extra }),
  };
}

function hasMembers(extra: ExtraParameters | undefined): boolean {
  return extra !== undefined && Object.keys(extra).length > 0; // a token of another copy of this package may have none
}

/** The members that are no secret, for a storage record. */
export function attributesOf(token: TokenAttributes): TokenAttributes {
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

/** True for an absolute URI without fragment, as a resource indicator must be (RFC 8707 §2). */
export function isResource(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z][a-z\d+.-]*:[\x21\x22\x24-\x7e]+$/i.test(value);
}

/** A list of resources, that of the token among them, as a member of a context, frozen and of its own; nothing for anything else. */
export function resourcesIn(value: unknown, resource: unknown): Pick<TokenContext, 'resources'> | false | undefined {
  const resources = membersOf(value);
  return resources?.every(isResource) && resources.includes(resource as string) && { resources: Object.freeze(resources) };
}

/** Claims with the members OpenID Connect Core §2 requires, frozen and without a prototype (HT-7); `undefined` for anything else. */
export function parseClaims(value: unknown): IdTokenClaims | undefined {
  const claims = deepFreezeData(value);
  return isClaims(claims) ? claims : undefined;
}

function isClaims(claims: unknown): claims is IdTokenClaims {
  if (!isPlainObject(claims)) return false;
  const { iss, sub, aud, exp, iat } = claims;
  const audience = typeof aud === 'string' || (Array.isArray(aud) && aud.every((one) => typeof one === 'string'));
  return typeof iss === 'string' && typeof sub === 'string' && sub !== '' && audience && Number.isFinite(exp) && Number.isFinite(iat);
}

function sameToken(a: Token, b: Token): boolean {
  return (
    a.id === b.id &&
    a.accessToken === b.accessToken &&
    a.refreshToken === b.refreshToken &&
    a.idToken === b.idToken &&
    sameData(a.extra, b.extra) &&
    a.tokenType === b.tokenType &&
    sameScope(a.scope, b.scope) &&
    a.issuedAt === b.issuedAt &&
    a.expiresAt === b.expiresAt &&
    sameData(a.claims, b.claims) &&
    sameScope(a.context.scope ?? '', b.context.scope ?? '') &&
    sameData({ ...a.context, scope: '' }, { ...b.context, scope: '' })
  );
}
