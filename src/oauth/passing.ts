/**
 * The same failure told once more, to others or of another class.
 *
 * @module
 */
import { CredentialError, NetworkError, ProtocolError, StorageError, type CredentialErrorDetails } from '../errors.js';
import { isOAuthResponseError, OAuthResponseError } from './oauth-response-error.js';

/** An error of the same kind and code: whoever asks by `instanceof`, or for `error` of the server, is told the same. */
export function toldAgain(error: CredentialError, details: CredentialErrorDetails, message: string = error.message): CredentialError {
  const { code, name } = error; // its class may be that of another copy
  if (isOAuthResponseError(error)) return new OAuthResponseError(error, code, details);
  if (name === 'NetworkError') return new NetworkError(code, message, details);
  if (name === 'ProtocolError') return new ProtocolError(code, message, details);
  if (name === 'StorageError') return new StorageError(code, message, details);
  return new CredentialError(code, message, details);
}

/** The same failure of class `transient`: nothing is lost after it, whatever became of the request. */
export function asPassing(error: CredentialError): CredentialError {
  const { issuer, status, retryAfterMs } = error;
  return toldAgain(error, { issuer, status, retryAfterMs, class: 'transient' });
}
