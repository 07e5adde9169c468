/**
 * The endpoints in a server's metadata. Apart from the protocol, so that flows load nothing for it.
 *
 * @module
 */
import { CredentialError, ProtocolError } from '../errors.js';
import type { AuthorizationServer } from './client.js';
import { isLocalhost, isSecureUrl } from './secure-url.js';

/**
 * The URL of an endpoint, if the server has it and it is safe to use (DISC-3). Some servers write `null` or nothing for one that they have not.
 *
 * @throws {CredentialError} `endpoint_missing`
 * @throws {ProtocolError} `discovery_failed`
 */
export function endpointIn(metadata: AuthorizationServer, name: keyof AuthorizationServer & string, issuer: string): string {
  const url: unknown = metadata[name] ?? '';
  if (url === '') throw new CredentialError('endpoint_missing', `The authorization server has no ${name}.`, { issuer });
  if (typeof url !== 'string' || !isSecureUrl(url, isLocalhost(issuer)))
    throw new ProtocolError('discovery_failed', `The ${name} of the discovery document is no https URL.`, { issuer });
  return url;
}
