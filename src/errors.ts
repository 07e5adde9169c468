/**
 * What can go wrong, as typed values: a stable `code`, a `class` that says what to do about it, and never a secret.
 *
 * @module
 */

/** What the caller can do: wait, find out, mend the configuration, ask the user, or treat it as an attack. */
export type ErrorClass = 'transient' | 'unknown_outcome' | 'configuration' | 'needs_user' | 'security';

/**
 * Every code an error of this package can carry. Codes are never renamed; `docs/errors.md` says for each what happened and what helps.
 */
export type CredentialErrorCode =
  | 'aborted'
  | 'authorization_failed'
  | 'callback_invalid'
  | 'callback_state_unknown'
  | 'client_ambiguous'
  | 'client_unknown'
  | 'credential_exists'
  | 'credential_removed'
  | 'crypto_unavailable'
  | 'discovery_failed'
  | 'endpoint_missing'
  | 'http_error'
  | 'id_token_invalid'
  | 'issuer_mismatch'
  | 'key_lost'
  | 'lock_unavailable'
  | 'needs_interaction'
  | 'needs_sign_in'
  | 'network_error'
  | 'no_refresh_token'
  | 'oauth_error'
  | 'program_not_loaded'
  | 'renewal_failed'
  | 'response_invalid'
  | 'response_too_large'
  | 'scope_not_granted'
  | 'seal_broken'
  | 'server_error'
  | 'server_unavailable'
  | 'storage_conflict'
  | 'storage_failed'
  | 'store_closed'
  | 'timeout'
  | 'token_substitution'
  | 'unexpected_redirect'
  | 'unsupported';

const CODES: Readonly<Record<CredentialErrorCode, ErrorClass>> = {
  aborted: 'transient',
  authorization_failed: 'needs_user',
  callback_invalid: 'security',
  callback_state_unknown: 'needs_user',
  client_ambiguous: 'configuration',
  client_unknown: 'configuration',
  credential_exists: 'configuration',
  credential_removed: 'needs_user',
  crypto_unavailable: 'configuration',
  discovery_failed: 'configuration',
  endpoint_missing: 'configuration',
  http_error: 'configuration',
  id_token_invalid: 'security',
  issuer_mismatch: 'security',
  key_lost: 'needs_user',
  lock_unavailable: 'configuration',
  needs_interaction: 'needs_user',
  needs_sign_in: 'needs_user',
  network_error: 'unknown_outcome',
  no_refresh_token: 'needs_user',
  oauth_error: 'configuration',
  program_not_loaded: 'transient',
  renewal_failed: 'transient',
  response_invalid: 'unknown_outcome',
  response_too_large: 'unknown_outcome',
  scope_not_granted: 'needs_user',
  seal_broken: 'security',
  server_error: 'unknown_outcome',
  server_unavailable: 'transient',
  storage_conflict: 'transient',
  storage_failed: 'configuration',
  store_closed: 'configuration',
  timeout: 'unknown_outcome',
  token_substitution: 'security',
  unexpected_redirect: 'configuration',
  unsupported: 'configuration',
};

/** What an error may say besides its message. */
export interface CredentialErrorDetails {
  /** The authorization server concerned. */
  readonly issuer?: string | undefined;
  /** HTTP status, where an answer was received. */
  readonly status?: number | undefined;
  /** An error of ours; errors of other libraries may hold tokens and are dropped. */
  readonly cause?: CredentialError | undefined;
  /** Overrides the class that goes with the code. */
  readonly class?: ErrorClass | undefined;
  /** Milliseconds the server asked to wait (`Retry-After`). */
  readonly retryAfterMs?: number | undefined;
}

/** The base of all errors that this package throws, `TypeError` for wrong arguments apart. */
export class CredentialError extends Error {
  override readonly name: string = 'CredentialError';
  readonly code: CredentialErrorCode;
  readonly class: ErrorClass;
  readonly issuer: string | undefined;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: CredentialErrorCode, message: string, details: CredentialErrorDetails = {}) {
    super(message, details.cause ? { cause: details.cause } : undefined);
    this.code = code;
    this.class = details.class ?? CODES[code];
    this.issuer = details.issuer;
    this.status = details.status;
    this.retryAfterMs = details.retryAfterMs;
  }

  /** The printable form: no secret is ever part of an error, so it holds everything but the stack and the `cause`, which has a form of its own. */
  toJSON(): Record<string, unknown> {
    const { name, code, message, issuer, status, retryAfterMs } = this;
    return { name, code, class: this.class, message, ...given({ issuer, status, retryAfterMs }) };
  }
}

/** No readable answer was received; the server may have acted all the same. */
export class NetworkError extends CredentialError {
  override readonly name = 'NetworkError' as const;
}

/** An answer that breaks its RFC. The message names the member and the section. */
export class ProtocolError extends CredentialError {
  override readonly name = 'ProtocolError' as const;
}

/** The storage could not read, write or lock. */
export class StorageError extends CredentialError {
  override readonly name = 'StorageError' as const;
}

/** True for errors of this package, also those of another copy of it. */
export function isCredentialError(value: unknown): value is CredentialError {
  return (
    value instanceof CredentialError ||
    (value instanceof Error && 'code' in value && 'class' in value && typeof value.code === 'string' && Object.hasOwn(CODES, value.code))
  );
}

/** The same of what a storage fails with. A storage may be of another copy, and `instanceof` knows only classes of this one. */
export function isStorageError(value: unknown): value is StorageError {
  return isCredentialError(value) && value.name === 'StorageError';
}

/** The members that are set. */
function given(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** What may be told of an error that is not ours: its name says what happened (QuotaExceededError …), its text is not ours to trust (E51). */
export function causeOf(error: unknown): string {
  try {
    const { name } = Object(error) as { readonly name?: unknown };
    const word = typeof name === 'string' ? name.replace(/\W/g, '').slice(0, 40) : '';
    return word && word !== 'Error' ? ` (${word})` : '';
  } catch {
    return ''; // what throws when it is looked at tells nothing
  }
}

/**
 * A chunk is gone, as after a deployment, or the network was: browsers may keep that failure for the life of the page (D-061). The name of what
 * was thrown tells that from a part that fails when it is run.
 */
export function notLoaded(thrown?: unknown, Kind: typeof CredentialError = CredentialError): CredentialError {
  return new Kind(
    'program_not_loaded',
    `A part of the program could not be loaded${isCredentialError(thrown) ? '' : causeOf(thrown)}, and nothing was done; reload the page.`,
  );
}

/** Anything thrown, as an error of ours. The original is dropped: errors of other libraries may hold response bodies with tokens. */
export function asCredentialError(value: unknown, code: CredentialErrorCode, message: string): CredentialError {
  return isCredentialError(value) ? value : new CredentialError(code, message);
}
