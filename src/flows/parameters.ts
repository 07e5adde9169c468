/**
 * What a flow is made of, and what an application adds to its requests.
 *
 * @module
 */
import type { OAuth2Client } from '../oauth/client.js';

/** Further parameters of a request, by name; one that is `undefined` or empty is left out (RFC 6749 §3.1). */
export type AdditionalParameters = Readonly<Record<string, string | undefined>>;

/** @throws {TypeError} a store, the options of a client, or nothing */
export function assertClient(client: OAuth2Client | undefined): void {
  if (typeof client?.metadata !== 'function') throw new TypeError('pass a client: credentials.client() or createOAuth2Client(…)');
}

/** Parameters of an authorization request that the flow sets itself. */
export const OF_AUTHORIZATION: readonly string[] = [
  'client_id',
  'response_type',
  'response_mode',
  'redirect_uri',
  'request',
  'request_uri', // all that is not in the object would be nothing to the server (RFC 9101 §6.3)
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'scope',
];

/** Parameters of a logout that the flow sets itself. */
export const OF_LOGOUT: readonly string[] = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state'];

/**
 * Those that are set: to write what is not there would make a text of it.
 *
 * @param judged what takes the place of those given
 * @throws {TypeError} one of those that the flow sets itself, or no text
 */
export function furtherParameters(
  given: Readonly<Record<string, unknown>> | undefined,
  own: readonly string[],
  judged?: AdditionalParameters,
): Readonly<Record<string, string>> {
  if (typeof (given ?? {}) !== 'object') throw new TypeError('additionalParameters must be an object of texts');
  const set = Object.entries({ ...given, ...judged }).filter(([, value]) => value !== undefined) as [string, string][];
  for (const [name, value] of set) {
    if (name === '') throw new TypeError('additionalParameters must not have an empty name');
    if (own.includes(name)) throw new TypeError(`additionalParameters must not set ${name}; the flow does`);
    if (typeof value !== 'string') throw new TypeError(`additionalParameters must hold strings; ${name} is none`);
  }
  return Object.fromEntries(set.filter(([name, value]) => value !== '' || name === 'max_age')); // which is judged: no age is not any age
}
