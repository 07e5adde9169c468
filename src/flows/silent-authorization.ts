/**
 * Renewal by asking anew, for servers that give no refresh token: the authorization code flow in a frame that nobody sees, with
 * `prompt=none` (OpenID Connect Core §3.1.2.1). The server answers by its own session; where it wants the user, it says so.
 *
 * @module
 */
import { assertNothingElse } from '../credential/options.js';
import { notLoaded } from '../errors.js';
import type { RenewFunction } from '../oauth/client.js';
import type * as AuthorizeSilently from './authorize-silently.js';
import { furtherParameters, OF_AUTHORIZATION, type AdditionalParameters } from './parameters.js';

/** Options of a silent authorization. */
export interface SilentAuthorizationOptions {
  /**
   * Where the frame ends: an address of the page's own origin that the server knows of. What is there needs no script, and runs none.
   * Default: the client's `redirectUri`. In a store of several servers each needs one of its own (RFC 9700 §4.4).
   */
  readonly redirectUri?: string | undefined;
  /** How long the frame may take, in milliseconds. Default 10 000, at most 60 000: all tabs wait for it. */
  readonly timeoutMs?: number | undefined;
  /**
   * Further parameters, such as `audience` or `organization`. What the sign-in had among its own is not kept: without the `audience` of the
   * sign-in, for one, some servers give a token for something else.
   */
  readonly additionalParameters?: AdditionalParameters | undefined;
}

/** Of the sign-in, or of what makes the request a silent one. */
const OWN_PARAMETERS: readonly string[] = [...OF_AUTHORIZATION, 'prompt', 'id_token_hint', 'acr_values', 'max_age', 'resource'];

const MAX_TIMEOUT_MS = 60_000;

/**
 * The `renew` of a client whose server gives no refresh token. It leads nobody away and opens no window (E21), and a failure of it ends
 * no session (E48). Only in pages.
 *
 * The function rejects with an `OAuthResponseError` where the server wants the user (`login_required`, `interaction_required`,
 * `consent_required`, `account_selection_required`: OIDC Core §3.1.2.6), which a store turns into `needs_interaction`. Other rejections:
 * `timeout` and `renewal_failed` (both transient: the frame came to no end, or to a page that is no answer), `callback_invalid` and
 * `issuer_mismatch` (RFC 9207), `token_substitution` (another user is signed in at the server now; the credential is kept),
 * `unsupported` (no page, no redirect URI of the page's origin, no `openid`, a redirect URI that may be another server's, too), and what the code exchange throws, where an unknown outcome
 * is a transient one.
 *
 * @throws {TypeError} an option is wrong
 */
export function silentAuthorization({
  redirectUri,
  timeoutMs = 10_000,
  additionalParameters,
  ...rest
}: SilentAuthorizationOptions = {}): RenewFunction {
  assertNothingElse(rest, 'silentAuthorization takes redirectUri, timeoutMs and additionalParameters');
  if (redirectUri !== undefined && !URL.canParse(redirectUri)) throw new TypeError('redirectUri must be an absolute URL');
  if (!(typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS))
    throw new TypeError(`timeoutMs must be a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`);
  const added = furtherParameters(additionalParameters, OWN_PARAMETERS);
  const renew: RenewFunction = async (grant, client) =>
    (await code()).authorizeSilently(grant, client, { redirectUri: redirectUri ?? client.redirectUri, timeoutMs, added });
  const load: RenewFunction['load'] = ({ platform }) => Promise.all([code(), platform.page?.prepareFrame?.()]);
  return Object.assign(renew, { load }, redirectUri !== undefined && { redirectUri });
}

async function code(): Promise<typeof AuthorizeSilently> {
  try {
    return await import('./authorize-silently.js');
  } catch (error) {
    throw notLoaded(error);
  }
}
