/**
 * Signing out at the authorization server (OpenID Connect RP-Initiated Logout 1.0). It ends the server's session; the credentials here
 * are the store's affair, and are to be removed first (RPL-2).
 *
 * @module
 */
import { assertNothingElse } from '../credential/options.js';
import { CredentialError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import { isLocalhost, isSecureUrl } from '../oauth/secure-url.js';
import { randomText } from '../platform/random.js';
import { furtherParameters, type AdditionalParameters } from './parameters.js';

/** Options of the flow. */
export interface SessionLogoutFlowOptions {
  /** Where the `state` of a logout waits for its return. Default: the session storage of the tab, or memory. */
  readonly states?: LogoutStates | undefined;
}

/** Keeps what `resume` compares. */
export interface LogoutStates {
  put(state: string): void;
  /** True if this state was put and not taken yet. */
  take(state: string): boolean;
}

/** Options of one logout. */
export interface SessionLogoutStartOptions {
  /** The ID token of the session to end; an expired one will do. Without it, and in the place of one over 4,096 characters, the client id is sent. */
  readonly idToken?: string | undefined;
  readonly additionalParameters?: AdditionalParameters | undefined;
}

/** Signing out at the server, there and back. */
export interface SessionLogoutFlow {
  /** The address to send the user to. @throws {CredentialError} `endpoint_missing` */
  start(options?: SessionLogoutStartOptions): Promise<URL>;
  /** True if the address is the return from a logout that was begun here; anything else changes nothing. */
  resume(returnUrl: string | URL): Promise<boolean>;
}

const OWN_PARAMETERS = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state'];
const KEY = 'rx-credentials:logout:';
/** Longer addresses are refused by servers on the way (RPL-1). */
const MAX_HINT_CHARACTERS = 4_096;

/** The flow of a client. */
export function createSessionLogoutFlow(client: OAuth2Client, { states, ...rest }: SessionLogoutFlowOptions = {}): SessionLogoutFlow {
  assertNothingElse(rest, 'createSessionLogoutFlow takes states');
  const { platform, issuer, clientId, postLogoutRedirectUri } = client;
  const pending = (): LogoutStates => (states ??= defaultStates(platform.page?.sessionItems()));
  return {
    start: async ({ idToken, additionalParameters, ...others } = {}) => {
      assertNothingElse(others, 'start takes idToken and additionalParameters');
      const further = furtherParameters(additionalParameters, OWN_PARAMETERS);
      const { end_session_endpoint: endpoint } = await client.metadata();
      if (endpoint === undefined)
        throw new CredentialError('endpoint_missing', 'The authorization server has no end_session_endpoint.', { issuer });
      if (!isSecureUrl(endpoint, isLocalhost(issuer))) {
        throw new CredentialError('discovery_failed', 'The end_session_endpoint of the discovery document is no https URL.', { issuer });
      }
      const url = new URL(endpoint);
      const parameters: Record<string, string> = {
        ...further,
        ...(idToken && idToken.length <= MAX_HINT_CHARACTERS ? { id_token_hint: idToken } : { client_id: clientId }),
      };
      if (postLogoutRedirectUri !== undefined) {
        const state = randomText(platform, 32);
        pending().put(state);
        Object.assign(parameters, { post_logout_redirect_uri: postLogoutRedirectUri, state });
      }
      for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
      return url;
    },
    resume: (returnUrl) => {
      if (!URL.canParse(returnUrl)) return Promise.resolve(false);
      const url = new URL(returnUrl);
      const state = url.searchParams.get('state');
      const known = state !== null && pending().take(state);
      if (known && platform.page?.url() === url.href) {
        url.searchParams.delete('state');
        platform.page.replaceUrl(url.href);
      }
      return Promise.resolve(known);
    },
  };
}

function defaultStates(items: Storage | undefined): LogoutStates {
  const memory = new Set<string>();
  return {
    put: (state) => {
      try {
        if (items) return items.setItem(KEY + state, '1');
      } catch {
        // Full: the user is signed out all the same, and only a program that lives on will know the return.
      }
      memory.add(state);
    },
    take: (state) => {
      const known = memory.delete(state) || (items !== undefined && items.getItem(KEY + state) !== null);
      items?.removeItem(KEY + state);
      return known;
    },
  };
}
