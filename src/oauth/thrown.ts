/**
 * What may be told of something that was thrown, and what it tells.
 *
 * @module
 */
import type { CredentialError } from '../errors.js';

/** Its name, such as `TypeError`, if that is a plain one; never its text: what code of others throws may hold a response body, or a token (E51). */
export function nameOf(thrown: unknown): string {
  const { name } = Object(thrown) as { readonly name?: unknown };
  return thrown instanceof Error && typeof name === 'string' && /^[A-Z][A-Za-z]{0,59}$/.test(name)
    ? name
    : `something of type ${typeof thrown}`;
}

/** True if the request that failed certainly never left. */
export function isUnsent({ code, class: errorClass }: CredentialError): boolean {
  return errorClass === 'transient' && (code === 'network_error' || code === 'program_not_loaded');
}
