/**
 * What a resource of the authorization server says of a token: judged, frozen, and without a way to a prototype (HT-7).
 *
 * @module
 */
import * as oauth from 'oauth4webapi';
import { isPlainObject, parseJson } from '../credential/data.js';
import type { Token } from '../credential/token.js';
import { CredentialError, ProtocolError } from '../errors.js';
import type { Introspection, UserInfo } from './client.js';
import { errorOf } from './token-response.js';
import { responseOf, type Exchange } from './transport.js';

/**
 * The user info in an answer (OIDC Core §5.3.2).
 *
 * @throws {CredentialError} `response_invalid`; `token_substitution`: it speaks of another user; `unsupported`: a JWT
 */
export function userInfoIn(exchange: Exchange, { claims }: Token, issuer: string): UserInfo {
  const body = bodyOf(exchange, 'user info', issuer);
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

/**
 * Of the token that was sent a resource says in `WWW-Authenticate` why it is refused, often there alone (RFC 6750 §3): then that is the error of the
 * answer, as if it stood in its body.
 */
export async function withChallenge(exchange: Exchange, as: oauth.AuthorizationServer, client: oauth.Client): Promise<Exchange> {
  const body = parseJson(exchange.text);
  if (exchange.status < 400 || exchange.status > 499 || (isPlainObject(body) && typeof body['error'] === 'string')) return exchange;
  const processing = oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck, responseOf(exchange));
  const refusal: unknown = await processing.catch((error: unknown) => error);
  const challenges = refusal instanceof oauth.WWWAuthenticateChallengeError ? refusal.cause : [];
  const ours = challenges.find(({ scheme, parameters }) => /^(?:bearer|dpop)$/.test(scheme) && parameters.error !== undefined);
  return ours ? { ...exchange, text: JSON.stringify(ours.parameters) } : exchange;
}

function bodyOf(exchange: Exchange, what: string, issuer: string): Readonly<Record<string, unknown>> | undefined {
  if (exchange.status !== 200) throw errorOf(exchange, issuer);
  if (/^application\/([\w-]+\+)?jwt\b/i.test(exchange.headers.get('content-type') ?? ''))
    throw new CredentialError('unsupported', `The ${what} is a signed JWT, which is not supported: ask the server for JSON.`, { issuer });
  const body = parseJson(exchange.text);
  return isPlainObject(body) ? body : undefined;
}
