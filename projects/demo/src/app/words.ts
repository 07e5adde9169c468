/** What went wrong, in words for the person at the page. */
import { HttpErrorResponse } from '@angular/common/http';
import { isCredentialError, OAuthResponseError } from 'rx-credentials';
import type { CredentialErrorCode, CredentialEvent, CredentialState } from 'rx-credentials';

/** One thing that went wrong. All of it is text; what the server wrote is shown, never rendered. */
export interface Problem {
  /** Stable; for programs and for search engines. */
  readonly code: string;
  readonly sentence: string;
  /** What the error itself says. */
  readonly detail: string;
  /** The authorization server's own words. */
  readonly server?: string;
}

const SENTENCES: Readonly<Record<CredentialErrorCode, string>> = {
  aborted: 'The wait was ended before the answer came.',
  authorization_failed: 'The authorization server did not sign you in: you cancelled, or it said no.',
  callback_invalid: 'The address you came back to is no answer of an authorization server.',
  callback_state_unknown: 'No sign-in with this state is under way here. It was finished already, took too long, or was never begun.',
  client_ambiguous: 'Several clients are configured and none was named.',
  client_unknown: 'This credential belongs to a client that is not configured here.',
  credential_exists: 'This very credential is stored already.',
  credential_removed: 'This credential is gone; another tab may have removed it.',
  crypto_unavailable: 'This page has no Web Crypto: it must be served over https or from this machine.',
  discovery_failed: 'There is no authorization server at this issuer.',
  endpoint_missing: 'The authorization server does not offer this.',
  http_error: 'The server refused the request and did not say why.',
  id_token_invalid: 'The ID token did not pass its checks, so nobody was signed in.',
  issuer_mismatch: 'The answer is from another issuer than the one that was asked. It was not used.',
  key_lost: 'The key this credential was sealed with is gone. Sign in again; what is stored stays as it is.',
  lock_unavailable: 'This browser cannot lock across tabs.',
  needs_interaction: 'The authorization server wants to see you before it goes on.',
  needs_sign_in: 'The authorization server ended this grant. Sign in again to go on.',
  network_error: 'The server could not be reached. Nothing is lost: try again when you are back online.',
  no_refresh_token: 'There is no refresh token; sign in again for a new access token.',
  oauth_error: 'The authorization server refused the request.',
  program_not_loaded: 'A part of this page could not be loaded. Nothing is lost: reload the page.',
  renewal_failed: 'The token could not be renewed. It is tried again later.',
  response_invalid: 'The answer of the authorization server breaks the protocol. It was not used.',
  response_too_large: 'The answer was far too large and was not read.',
  scope_not_granted: 'You have not granted that much. Sign in again and grant it.',
  seal_broken: 'The sealed credential was edited or damaged in the storage. It was not used.',
  server_error: 'The authorization server has a problem of its own. Try again later.',
  server_unavailable: 'The authorization server is not available just now. Try again later.',
  storage_conflict: 'Another tab wrote at the same moment. Try again.',
  storage_failed: 'The storage of this browser did not do its work.',
  store_closed: 'The credential store was closed.',
  timeout: 'The server took too long to answer.',
  token_substitution: 'The answer speaks of another user. It was treated as an attack, and the credential was removed.',
  unexpected_redirect: 'The server redirected where it must not.',
  unsupported: 'This is not supported yet.',
};

/** Any thrown value as a problem. */
export function inWords(error: unknown): Problem {
  if (isCredentialError(error)) {
    const server = error instanceof OAuthResponseError ? [error.error, error.errorDescription].filter(Boolean).join(': ') : '';
    return { code: error.code, sentence: SENTENCES[error.code], detail: error.message, ...(server !== '' && { server }) };
  }
  if (error instanceof HttpErrorResponse) {
    const sentence = error.status === 0 ? 'The API could not be reached.' : `The API answered ${error.status}.`;
    return { code: error.status === 0 ? 'api_unreachable' : `api_${error.status}`, sentence, detail: '' };
  }
  return { code: 'unexpected', sentence: 'Something unexpected happened.', detail: error instanceof Error ? error.message : '' };
}

/** What an event means. */
export function eventInWords(event: CredentialEvent): string {
  switch (event.type) {
    case 'restored':
      return 'Storage was read';
    case 'cleared':
      return 'Everything was forgotten';
    case 'token_added':
      return 'A credential was stored';
    case 'token_replaced':
      return 'A new token took the old one’s place';
    case 'metadata_updated':
      return 'Tags or state were changed';
    case 'token_removed':
      return 'A credential was removed';
    case 'signed_out':
      return 'The user was signed out';
    case 'refresh_started':
      return 'A refresh was sent';
    case 'refresh_ended':
      return 'A refresh was not needed after all';
    case 'expiring':
      return 'An access token is about to expire';
    case 'expired':
      return 'An access token has expired';
    case 'sign_in_required':
      return `The user must sign in again (${event.reason ?? 'no reason given'})`;
    case 'refresh_failed':
      return 'A refresh failed; the credential is kept';
    case 'interaction_required':
      return 'The server asks for the user';
    case 'challenged':
      return event.error === 'insufficient_scope' ? 'The API asks for more scope' : 'The API asks for another login';
    case 'default_changed':
      return event.id === null ? 'Nobody is the default now' : 'This credential is the default now';
    case 'not_durable':
      return 'Storage takes no writes: what is new lives until this page is closed';
    case 'durable':
      return 'Storage works again: everything is written';
    case 'record_quarantined':
      return `A stored record is unreadable and was set aside (${event.reason})`;
  }
}

/** Both axes of a status in one word for people. */
export function statusInWords({ status }: CredentialState): string {
  if (status.activity !== 'idle') return status.activity;
  return status.token.replaceAll('_', ' ').replace('sign in', 'sign-in');
}

/** The last six characters: enough to tell two tokens apart, too few to use one. */
export function tail(token: string | null | undefined): string {
  return token ? `…\u2060${token.slice(-6)}` : 'none'; // U+2060 word joiner: no line ends after the dots
}

/** What to call somebody. */
export function nameOf({ claims, id }: Pick<CredentialState, 'claims' | 'id'>): string {
  return claims?.name ?? claims?.email ?? claims?.sub ?? id.slice(0, 8);
}
