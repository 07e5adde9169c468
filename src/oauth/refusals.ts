/**
 * What the refusal of a refresh says of the refresh token: by the code, never by its texts (`standards.md` §2, D-047).
 *
 * @module
 */
import type { CredentialError } from '../errors.js';
import { isOAuthResponseError, type OAuthResponseError } from './oauth-response-error.js';

/** Codes that say what is wrong, and no sign-in mends it: of the client, of what was asked for. */
const NOT_OF_USER = /client|^(invalid_(scope|target)|unsupported_.*)$|redirect_uri|dpop/i;
/** Words for what passes. */
const PASSES =
  /limit|throttl|too_many|quota|over_?load|busy|time_?out|unavailable|mainten|try_|concurren|progress|internal|fatal|unknown_error/i;

/**
 * True for what servers say of a refresh token that is dead: words that RFC 6749 §5.2 has for a request that is wrong (Dex, X, Gitea, with 403
 * Atlassian), or of their own (Slack, Zoho), or, but for 403, which is of a gateway then, no code at all. Our requests are well-formed: once the access token has expired, the user is asked (D-047).
 */
export function mayBeDead(error: CredentialError): boolean {
  const { code, status = 0, class: errorClass, retryAfterMs } = error;
  const isBare = status === 400 || status === 401;
  if (!isOAuthResponseError(error)) return isBare && error.name === 'ProtocolError' && code === 'http_error';
  if (isBare || (status >= 200 && status < 300)) {
    const says = (words: RegExp): boolean => words.test(error.error);
    return (
      errorClass === 'configuration' &&
      retryAfterMs === undefined &&
      (error.error === 'unauthorized_client' || !says(NOT_OF_USER)) &&
      !says(PASSES)
    );
  }
  return status === 403 && (error.error === 'invalid_request' || error.error === 'unauthorized_client');
}

/** True if the server wants to see the user before it renews. The refresh token is kept: should that be wrong, nothing is lost. */
export function asksForUser(error: CredentialError): boolean {
  if (error.class !== 'needs_user') return false;
  return isOAuthResponseError(error) ? error.error !== 'invalid_grant' || asksForMore(error) : error.code === 'http_error';
}

/**
 * True where `invalid_grant` is not the end of the session: Microsoft Entra ID says it, too, where the user has to consent or to show a second
 * factor; and of a gateway that says it with a status of success nobody knows what it means.
 */
function asksForMore({ suberror = '', status = 400 }: OAuthResponseError): boolean {
  return status < 400 || /^(consent_required|basic_action|additional_action|message_only|user_password_expired)$/.test(suberror);
}

/** True if the refresh token was refused, and not what was asked for with it. */
export function isRejected(error: CredentialError): boolean {
  return isOAuthResponseError(error) && error.error === 'invalid_grant' && !asksForMore(error);
}
