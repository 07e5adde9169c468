/**
 * What an authorization server says when it refuses, as an error: its code decides, its texts are cleaned.
 *
 * @module
 */
import { CredentialError, isCredentialError, type CredentialErrorCode, type CredentialErrorDetails, type ErrorClass } from '../errors.js';

/** The authorization server answered with an OAuth error (RFC 6749 §5.2, §4.1.2.1). Its texts are untrusted and cleaned (6749-13). */
export class OAuthResponseError extends CredentialError {
  override readonly name = 'OAuthResponseError' as const;
  /** The OAuth error code, such as `invalid_grant`. */
  readonly error: string;
  /** Text of the server: hostile until shown otherwise; at most 1,024 characters, control characters removed. */
  readonly errorDescription: string | undefined;
  /** What Microsoft Entra ID adds to the code, such as `consent_required`. */
  readonly suberror: string | undefined;

  constructor(
    error: { readonly error: string; readonly errorDescription?: string | undefined; readonly suberror?: string | undefined },
    code: CredentialErrorCode,
    details: CredentialErrorDetails = {},
  ) {
    const name = redacted(cleanText(error.error, 100));
    super(code, `The authorization server answered with the error "${name}".`, { class: classOfOAuthError(name), ...details });
    this.error = name;
    this.suberror = error.suberror === undefined ? undefined : redacted(cleanText(error.suberror, 100));
    this.errorDescription = error.errorDescription === undefined ? undefined : redacted(cleanText(error.errorDescription));
  }

  override toJSON(): Record<string, unknown> {
    const { error, errorDescription, suberror } = this;
    return {
      ...super.toJSON(),
      error,
      ...(errorDescription !== undefined && { errorDescription }),
      ...(suberror !== undefined && { suberror }),
    };
  }
}

/** Removes control characters and caps the length of text that came from a server (6749-13). */
export function cleanText(text: string, maxLength = 1024): string {
  return text.slice(0, maxLength).replace(UNPRINTABLE, ' ');
}

/**
 * The second filter of OBS-3: a server may echo what it was sent. JWT-like text and runs of 20 or more base64url characters go, plain
 * words such as `unsupported_grant_type` stay.
 */
function redacted(text: string): string {
  return text.replace(/[\w-]{20,}(?:\.[\w-]*)*/g, (run) => (/^[a-z_-]+$/.test(run) ? run : '[redacted]'));
}

/** Control characters, line and paragraph separators, and marks that change the direction of text (Unicode Cc, Zl, Zp, Bidi_Control). */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/**
 * The table "Answer of a refresh" of RFC 6749 §5.2 codes, by class; and what servers say in place of those: Auth0 and Okta of a second
 * factor, Hydra 1, UAA, GitHub and Slack of a refresh token that they take no more.
 */
function classOfOAuthError(error: string): ErrorClass {
  switch (error) {
    case 'invalid_grant':
    case 'interaction_required':
    case 'login_required':
    case 'consent_required':
    case 'account_selection_required':
    case 'access_denied':
    case 'mfa_required':
    case 'unmet_authentication_requirements':
    case 'token_inactive':
    case 'invalid_token':
    case 'expired_token':
    case 'bad_refresh_token':
    case 'invalid_refresh_token':
      return 'needs_user';
    case 'temporarily_unavailable':
    case 'server_error':
    case 'slow_down':
    case 'use_dpop_nonce':
      return 'transient';
    default:
      return 'configuration';
  }
}

/** True for what a server refused, also by a client of another copy of this package. */
export function isOAuthResponseError(value: unknown): value is OAuthResponseError {
  return isCredentialError(value) && value.name === 'OAuthResponseError';
}
