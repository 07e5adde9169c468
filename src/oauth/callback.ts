/**
 * The answer of an authorization endpoint, as it comes back in a callback.
 *
 * @module
 */
import * as oauth from 'oauth4webapi';
import { ProtocolError } from '../errors.js';
import type { CodeExchange } from './client.js';
import { OAuthResponseError } from './oauth-response-error.js';
import { withoutSecrets } from './redaction.js';

/**
 * The callback's parameters, if they are an answer to this very request and no error (RFC 6749 §4.1.2, RFC 9207).
 *
 * @throws {ProtocolError} `issuer_mismatch`, `callback_invalid`
 * @throws {OAuthResponseError} `authorization_failed`
 */
export function checkCallback(
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  parameters: URLSearchParams,
  sent: Pick<CodeExchange, 'state' | 'nonce' | 'codeVerifier'>,
  issuer: string,
): URLSearchParams {
  const iss = parameters.get('iss');
  if (iss !== null && iss !== issuer) {
    throw new ProtocolError(
      'issuer_mismatch',
      'The callback comes from another issuer than the one this sign-in was sent to (RFC 9207 §2.4).',
      { issuer },
    );
  }
  let callback: URLSearchParams;
  try {
    callback = oauth.validateAuthResponse(as, client, parameters, sent.state);
  } catch (error) {
    if (error instanceof oauth.AuthorizationResponseError) {
      const { error: name, error_description: errorDescription } = error;
      const told = withoutSecrets({ error: name, errorDescription }, [sent.state, sent.nonce, sent.codeVerifier]);
      throw new OAuthResponseError(told, 'authorization_failed', { issuer });
    }
    throw new ProtocolError('callback_invalid', `The callback is no valid authorization response: ${reasonOf(error)} (RFC 6749 §4.1.2).`, {
      issuer,
    });
  }
  if (callback.getAll('code').length !== 1 || callback.get('code') === '')
    throw new ProtocolError('callback_invalid', 'The callback has neither one code nor an error (RFC 6749 §4.1.2).', { issuer });
  return callback;
}

/** The fixed texts of `oauth4webapi` name claims and members, never their values. Texts of anything else are not trusted to. */
export function reasonOf(error: unknown): string {
  const known = error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError;
  return known ? error.message : 'it is malformed';
}
