/**
 * A request with the token of one credential, for who sends it by other means than our adapters. They alone know an allow-list: here
 * the caller says where the token goes.
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import { isSecureUrl } from '../oauth/secure-url.js';
import type { Credential } from './credential.js';

/** A new request with an `Authorization` header (RFC 6750 §2.1). One that has such a header already keeps it. */
export async function authorize(credential: Credential, input: string | URL | Request, init: RequestInit | undefined): Promise<Request> {
  const request = new Request(input, init);
  if (request.headers.has('authorization')) return request;
  if (!isSecureUrl(request.url, true)) throw new TypeError('authorize takes https URLs, and http of this machine (RFC 6750 §5.2)');
  if (request.mode === 'no-cors') throw new TypeError('authorize takes no request of mode no-cors: browsers take every token out of it');
  const accessToken = await credential.accessToken({ signal: request.signal });
  const { tokenType } = credential.state;
  if (tokenType === 'DPoP')
    throw new CredentialError('unsupported', 'The token is bound to a DPoP key; proofs for requests are not supported yet.');
  request.headers.set('authorization', `${tokenType} ${accessToken}`);
  return request;
}
