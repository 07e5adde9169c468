/**
 * Signing out at the authorization server (OpenID Connect RP-Initiated Logout 1.0). It ends the server's session; the credentials here
 * are the store's affair, and are to be removed first (RPL-2).
 *
 * @module
 */
import { assertNothingElse, optionsOf } from '../credential/options.js';
import { isPlainObject } from '../credential/data.js';
import type { OAuth2Client } from '../oauth/client.js';
import { endpointIn } from '../oauth/endpoint.js';
import type { Platform } from '../platform/platform.js';
import { randomText } from '../platform/random.js';
import { assertClient, furtherParameters, OF_LOGOUT, type AdditionalParameters } from './parameters.js';
import { asked, hideAnswer, inItems, inMemory, type Begun } from './pending.js';

/** Options of the flow. */
export interface SessionLogoutFlowOptions {
  /** Where the `state` of a logout waits for its return. Default: the session storage of the tab, or memory; for ten minutes, and of twenty logouts, in memory of a thousand. */
  readonly states?: LogoutStates | undefined;
}

/** Keeps what `resume` compares. */
export interface LogoutStates {
  put(state: string): void | Promise<void>;
  /** True if this state was put and not taken yet. */
  take(state: string): boolean | Promise<boolean>;
}

/** Options of one logout. */
export interface SessionLogoutStartOptions {
  /** The ID token of the session to end; an expired one will do. Without it, and in the place of one over 4,096 characters, the client id is sent. */
  readonly idToken?: string | undefined;
  readonly additionalParameters?: AdditionalParameters | undefined;
}

/** Signing out at the server, there and back. */
export interface SessionLogoutFlow {
  /** Whose sessions it ends: `signOut` compares, and `start` does not, since nobody here reads a token again (JWT-5). */
  readonly issuer: string;
  readonly clientId: string;
  /** The address to send the user to. @throws {CredentialError} `endpoint_missing`, `storage_failed`, and what discovery throws */
  start(options?: SessionLogoutStartOptions): Promise<URL>;
  /** True if the address is the return from a logout that was begun here; anything else changes nothing. @throws {StorageError} `storage_failed` */
  resume(returnUrl: string | URL): Promise<boolean>;
}

const KEY = 'rx-credentials:logout:';
/** Longer addresses are refused by servers on the way (RPL-1). */
const MAX_HINT_CHARACTERS = 4_096;

/** The flow of a client. @throws {TypeError} it is none */
export function createSessionLogoutFlow(client: OAuth2Client, options: SessionLogoutFlowOptions = {}): SessionLogoutFlow {
  const { states: given, ...rest } = optionsOf(options, 'createSessionLogoutFlow');
  let states = given;
  assertNothingElse(rest, 'createSessionLogoutFlow takes states');
  assertClient(client);
  const { platform, issuer, clientId, postLogoutRedirectUri } = client;
  const pending = (): LogoutStates => (states ??= defaultStates(platform));
  return {
    issuer,
    clientId,
    start: async (asking = {}) => {
      const { idToken, additionalParameters, ...others } = optionsOf(asking, 'start');
      assertNothingElse(others, 'start takes idToken and additionalParameters');
      const further = furtherParameters(additionalParameters, OF_LOGOUT);
      const endpoint = endpointIn(await client.metadata(), 'end_session_endpoint', issuer);
      const url = new URL(endpoint);
      const parameters: Record<string, string> = {
        ...further,
        ...(idToken && idToken.length <= MAX_HINT_CHARACTERS ? { id_token_hint: idToken } : { client_id: clientId }),
      };
      if (postLogoutRedirectUri !== undefined) {
        const state = randomText(platform, 32);
        await asked(() => pending().put(state), issuer);
        Object.assign(parameters, { post_logout_redirect_uri: postLogoutRedirectUri, state });
      }
      for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
      return url;
    },
    resume: async (returnUrl) => {
      if (!URL.canParse(returnUrl)) return false;
      const url = new URL(returnUrl);
      const state = url.searchParams.get('state');
      const known = state !== null && (await asked(() => pending().take(state), issuer));
      if (known) hideAnswer(url, ['state'], platform);
      return known;
    },
  };
}

/** They are not as the states of sign-ins, which must not get lost: a user whose return is not known is signed out all the same. */
function defaultStates(platform: Platform): LogoutStates {
  const memory = inMemory<Begun>(platform);
  const items = platform.page?.sessionItems();
  const session = items && inItems(items, platform, KEY, parseBegun);
  return {
    put: (state) => {
      const logout = { state, startedAt: platform.now() };
      try {
        if (session) return session.put(logout);
      } catch {
        // Full: only a program that lives on will know the return.
      }
      memory.put(logout);
    },
    take: (state) => (memory.take(state) ?? session?.take(state) ?? null) !== null,
  };
}

function parseBegun(value: unknown): Begun | null {
  if (!isPlainObject(value)) return null;
  const { state, startedAt } = value;
  return typeof state === 'string' && typeof startedAt === 'number' ? { state, startedAt } : null;
}
