/**
 * What a server refused, known by its name: there may be several classes of it, of other copies of this package and of what is loaded later.
 *
 * @module
 */
import { isCredentialError } from '../errors.js';
import type { OAuthResponseError } from './oauth-response-error.js';

/** True for what a server refused. */
export function isOAuthResponseError(value: unknown): value is OAuthResponseError {
  return isCredentialError(value) && value.name === 'OAuthResponseError';
}
