/**
 * Tokens from parts that nobody has judged yet. Apart from `token.ts`: whoever only reads stored tokens does not load it.
 *
 * @module
 */
import { deepFreezeData, isPlainObject, isScalar } from './data.js';
import {
  attributesOf,
  isAccessToken,
  isResource,
  openToken,
  parseClaims,
  resourcesIn,
  secretsOf,
  type ExtraParameters,
  type IdTokenClaims,
  type Token,
  type TokenContext,
  type TokenFields,
  type TokenSecrets,
} from './token.js';

/**
 * Makes a token from its parts, for tokens that come from somewhere else than the flows of this package.
 * The id is the caller's to make unique: `crypto.randomUUID()` will do.
 *
 * @throws {TypeError} a required member is missing or has the wrong type
 */
export function createToken(fields: TokenFields): Token {
  if (!isPlainObject(fields)) throw new TypeError('createToken takes an object: the members of a token');
  assertFields(fields);
  const { claims, context, extra } = fields;
  return openToken({
    ...fields,
    claims: claimsOf(claims),
    context: contextOf(context),
    ...(extra !== undefined && { extra: extraOf(extra) }),
  });
}

/** A token of the same grant and id with some fields replaced. */
export function withFields(token: Token, changes: Partial<TokenFields>): Token {
  return createToken({ ...attributesOf(token), ...secretsOf(token), ...changes });
}

/** A frozen copy: a token never changes. What is refused here could not be read back from storage either. */
function claimsOf(claims: IdTokenClaims | null): IdTokenClaims | null {
  const parsed = claims === null ? null : parseClaims(claims);
  if (parsed === undefined) throw new TypeError('token.claims must be null or hold iss, sub, aud, exp and iat');
  if (!isJson(parsed)) throw new TypeError('token.claims must hold what JSON has, and nothing else');
  return parsed;
}

function extraOf(extra: ExtraParameters): ExtraParameters {
  const copy = deepFreezeData(extra);
  if (!isPlainObject(copy) || !isJson(copy))
    throw new TypeError('token.extra must be an object that holds what JSON has, and nothing else');
  return copy;
}

/** A storage that writes JSON could keep nothing else. A number that is too large for JavaScript is infinite when it is read. */
function isJson(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isJson);
  return isScalar(value) || value === Infinity || value === -Infinity;
}

function assertFields({ id, scope, tokenType, issuedAt, expiresAt, context, extra: _, ...secrets }: TokenFields): void {
  if (typeof id !== 'string' || id === '') throw new TypeError('token.id must be a non-empty string');
  if (id.startsWith('@')) throw new TypeError('token.id must not begin with "@"');
  if (typeof scope !== 'string') throw new TypeError('token.scope must be a string');
  if (tokenType !== 'Bearer' && tokenType !== 'DPoP') throw new TypeError('token.tokenType must be "Bearer" or "DPoP"');
  if (!Number.isFinite(issuedAt)) throw new TypeError('token.issuedAt must be epoch milliseconds');
  if (isSeconds(issuedAt) || isSeconds(expiresAt))
    throw new TypeError('token.issuedAt and token.expiresAt are epoch milliseconds; these look like seconds: multiply by 1000');
  if (expiresAt !== null && !Number.isFinite(expiresAt)) throw new TypeError('token.expiresAt must be epoch milliseconds or null');
  assertContext(context);
  assertSecrets(secrets);
}

function assertContext(context: unknown): void {
  const { issuer, clientId, resource, resources, maxAge, ...texts } = isPlainObject(context) ? context : {};
  const named = [issuer, clientId].every((name) => typeof name === 'string' && name !== '');
  if (!named) throw new TypeError('token.context must name issuer and clientId');
  if (resource !== undefined && !isResource(resource))
    throw new TypeError('token.context.resource must be an absolute URI without fragment (RFC 8707 §2)');
  if (resources !== undefined && !resourcesIn(resources, resource))
    throw new TypeError(
      'token.context.resources must be a list of absolute URIs without fragment, token.context.resource among them (RFC 8707 §2)',
    );
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && Number(maxAge) >= 0))
    throw new TypeError('token.context.maxAge must be whole seconds, 0 or more');
  for (const name of ['scope', 'dpopKeyId', 'acrValues']) {
    const text = texts[name];
    if (text !== undefined && typeof text !== 'string') throw new TypeError(`token.context.${name} must be a string`);
  }
}

/** The members that there are, and those alone: another could not be read back from storage (E37). */
function contextOf({ issuer, clientId, scope, resource, resources, dpopKeyId, acrValues, maxAge }: TokenContext): TokenContext {
  return Object.freeze({
    issuer,
    clientId,
    ...(scope !== undefined && { scope }),
    ...(resource !== undefined && { resource }),
    ...resourcesIn(resources, resource),
    ...(dpopKeyId !== undefined && { dpopKeyId }),
    ...(acrValues !== undefined && { acrValues }),
    ...(maxAge !== undefined && { maxAge }),
  });
}

function assertSecrets({ accessToken, refreshToken, idToken }: Omit<TokenSecrets, 'extra'>): void {
  if (!isAccessToken(accessToken)) throw new TypeError('token.accessToken must be visible ASCII characters (RFC 6750 §2.1)');
  for (const [name, value] of Object.entries({ refreshToken, idToken })) {
    if (value !== undefined && (typeof value !== 'string' || value === ''))
      throw new TypeError(`token.${name} must be a non-empty string, or be left out`); // an empty one would be sent
  }
}

/** Between 2001 and 2286 in seconds, or a time of 1970 in milliseconds, which no token has. */
function isSeconds(time: number | null): boolean {
  return time !== null && time > 1e9 && time < 1e10;
}
