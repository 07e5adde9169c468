/**
 * What a resource of the authorization server says of a token: judged, frozen, and without a way to a prototype (HT-7).
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import type { Token } from '../credential/token.js';
import { CredentialError, ProtocolError } from '../errors.js';
import type { Introspection, UserInfo } from './client.js';
import { errorOf } from './token-response.js';
import type { Exchange } from './transport.js';

/**
 * The user info in an answer (OIDC Core §5.3.2).
 *
 * @throws {CredentialError} `response_invalid`; `token_substitution`: it speaks of another user; `unsupported`: a JWT
 */
export function userInfoIn(exchange: Exchange, { claims }: Token, issuer: string): UserInfo {
  const body = bodyOf(withChallenge(exchange), 'user info', issuer);
  if (typeof body?.['sub'] !== 'string')
    throw new ProtocolError('response_invalid', 'The user info is no JSON object with a "sub" (OIDC Core §5.3.2).', { issuer });
  if (claims && body['sub'] !== claims.sub) {
    throw new ProtocolError('token_substitution', 'The user info speaks of another "sub" than the ID token (OIDC Core §5.3.2).', {
      issuer,
    });
  }
  return body as UserInfo;
}

/** What an answer says of a token (RFC 7662 §2.2). @throws {CredentialError} `response_invalid`; `unsupported`: a JWT */
export function introspectionIn(exchange: Exchange, issuer: string): Introspection {
  const body = bodyOf(exchange, 'introspection', issuer);
  if (typeof body?.['active'] !== 'boolean')
    throw new ProtocolError('response_invalid', 'The introspection is no JSON object with an "active" (RFC 7662 §2.2).', { issuer });
  return body as Introspection;
}

/** Of the token that was sent a resource says in `WWW-Authenticate` why it is refused, often there alone (RFC 6750 §3). */
function withChallenge(exchange: Exchange): Exchange {
  const challenge = exchange.headers.get('www-authenticate') ?? '';
  const said = (name: string): string | undefined =>
    new RegExp(`[ ,]${name}="((?:[^"\\\\]|\\\\.)*)"`, 'i').exec(challenge)?.[1]?.replace(/\\(.)/g, '$1');
  const isRefused = exchange.status >= 400 && exchange.status <= 499 && /^(?:Bearer|DPoP) /i.test(challenge);
  const error = isRefused ? said('error') : undefined;
  const body = parseJson(exchange.text);
  if (error === undefined || (isPlainObject(body) && typeof body['error'] === 'string')) return exchange;
  return { ...exchange, text: JSON.stringify({ error, error_description: said('error_description') }) };
}

function bodyOf(exchange: Exchange, what: string, issuer: string): Readonly<Record<string, unknown>> | undefined {
  if (exchange.status !== 200) throw errorOf(exchange, issuer);
  if (/^application\/([\w-]+\+)?jwt\b/i.test(exchange.headers.get('content-type') ?? ''))
    throw new CredentialError('unsupported', `The ${what} is a signed JWT, which is not supported: ask the server for JSON.`, { issuer });
  const body = parseJson(exchange.text);
  return isPlainObject(body) ? body : undefined;
}
