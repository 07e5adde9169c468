/**
 * Failures after which nothing is lost, whatever became of the request: they are told as passing ones.
 *
 * @module
 */
import { CredentialError, NetworkError, ProtocolError, type CredentialErrorDetails } from '../errors.js';

/** The same failure, of the same kind, of class `transient`. */
export function asPassing(error: CredentialError): CredentialError {
  const { code, message, issuer, status, retryAfterMs } = error;
  const details: CredentialErrorDetails = { issuer, status, retryAfterMs, class: 'transient' };
  if (error instanceof NetworkError) return new NetworkError(code, message, details);
  if (error instanceof ProtocolError) return new ProtocolError(code, message, details);
  return new CredentialError(code, message, details);
}
