// The demo's authorization server: the real `oidc-provider`, with its state in memory, on the loopback interface.
import { generateKeyPair, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { interactionPolicy, Provider } from 'oidc-provider';
import { createAccounts } from './accounts.mjs';
import { close, listen } from './http.mjs';
import { grantEverything, grantOnce, interactions } from './interactions.mjs';
import { createMemoryAdapter } from './memory-adapter.mjs';
import { errorBody, logoutBody, sendPage } from './pages.mjs';
import { createWatch } from './watch.mjs';

const HOUR_SECONDS = 3600;

/**
 * Starts an authorization server with one public PKCE client, `spa`, and one resource server, `rs`, that may introspect.
 *
 * @param options.port 0 lets the system choose; default 0
 * @param options.redirectUris of `spa`, besides http://127.0.0.1/cb, at which nothing listens
 * @param options.postLogoutRedirectUris of `spa`, besides http://127.0.0.1/out
 * @param options.allowedOrigins web origins whose pages may call the token, revocation and userinfo endpoints
 * @param options.clients further clients, in the members of RFC 7591
 * @param options.accessTokenTtlSeconds default 60, so that refreshing can be watched
 * @param options.isGrantShared the sign-ins of a browser session share one grant; default: each has its own
 * @param options.features merged into oidc-provider's `features`
 */
export async function startAuthorizationServer({ port = 0, host = '127.0.0.1', ...options } = {}) {
  const server = createServer();
  const issuer = `http://${host}:${await listen(server, { port, host })}`; // the listener comes first: the issuer holds its port
  try {
    return await serve(server, { issuer, options });
  } catch (error) {
    await close(server);
    throw error;
  }
}

async function serve(server, { issuer, options }) {
  const settings = { accessTokenTtlSeconds: options.accessTokenTtlSeconds ?? 60 };
  const introspectionClient = { clientId: 'rs', clientSecret: randomBytes(32).toString('base64url') };
  const accounts = createAccounts();
  const watch = createWatch();
  const provider = new Provider(issuer, await configuration({ options, settings, introspectionClient, accounts }));
  provider.on('server_error', (_ctx, error) => console.error('authorization server:', error));
  provider.use(watch.middleware);
  provider.use(interactions(provider, accounts));
  server.on('request', provider.callback());
  return {
    issuer,
    provider,
    introspectionClient,
    requests: watch.requests,
    resetLog: watch.resetLog,
    failNext: watch.failNext,
    active: async (token) => (await findLive(provider, token)) !== undefined,
    /** The server forgets an access token before its time; the refresh token stays. @returns whether it was known */
    async expireAccessToken(token) {
      const found = await provider.AccessToken.find(token);
      await found?.destroy();
      return found !== undefined;
    },
    /** For tokens issued from now on. */
    setAccessTokenTtlSeconds(seconds) {
      if (!Number.isInteger(seconds) || seconds < 1) throw new TypeError('seconds is an integer of at least 1');
      settings.accessTokenTtlSeconds = seconds;
    },
    close: () => close(server),
  };
}

async function configuration({ options, settings, introspectionClient, accounts }) {
  const allowedOrigins = new Set(options.allowedOrigins ?? []);
  return {
    adapter: createMemoryAdapter(),
    clients: [spaClient(options), resourceServerClient(introspectionClient), ...(options.clients ?? [])],
    jwks: { keys: [await signingKey()] },
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      long: { signed: true, sameSite: 'lax' },
      short: { signed: true, sameSite: 'lax' },
    },
    findAccount: accounts.find,
    scopes: ['openid', 'offline_access', 'profile', 'email', 'api:read'],
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    conformIdTokenClaims: false, // name and email are in the ID token, so that the demo can list accounts without asking for more
    clientBasedCORS: (_ctx, origin) => allowedOrigins.has(origin),
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'), // offline_access would need prompt=consent
    expiresWithSession: async () => false, // two accounts live in one browser, and signing in as one ends the other's session
    rotateRefreshToken: () => true,
    loadExistingGrant: options.isGrantShared ? grantOnce : grantEverything,
    interactions: { policy: policy(), url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => sendPage(ctx, { title: 'That did not work', body: errorBody(out), status: ctx.status }),
    ttl: ttl(settings),
    features: { ...features(introspectionClient.clientId), ...options.features },
  };
}

function spaClient({ redirectUris = [], postLogoutRedirectUris = [] }) {
  return {
    client_id: 'spa',
    client_name: 'rx-credentials demo',
    token_endpoint_auth_method: 'none',
    application_type: 'native', // oidc-provider allows these http on the loopback interface
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [...redirectUris, 'http://127.0.0.1/cb'],
    post_logout_redirect_uris: [...postLogoutRedirectUris, 'http://127.0.0.1/out'],
  };
}

function resourceServerClient({ clientId, clientSecret }) {
  return {
    client_id: clientId,
    client_secret: clientSecret,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: [],
    response_types: [],
    redirect_uris: [],
  };
}

function features(resourceServerId) {
  return {
    devInteractions: { enabled: false },
    userinfo: { enabled: true },
    revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId },
    introspection: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => client.clientId === resourceServerId || client.clientId === token.clientId,
    },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => sendPage(ctx, { title: 'Sign out?', body: logoutBody(form) }),
      postLogoutSuccessSource: (ctx) => sendPage(ctx, { title: 'Signed out', body: '<p>You can close this page.</p>' }),
    },
  };
}

function ttl(settings) {
  return {
    AccessToken: () => settings.accessTokenTtlSeconds,
    AuthorizationCode: 60,
    IdToken: HOUR_SECONDS,
    Interaction: HOUR_SECONDS,
    RefreshToken: 24 * HOUR_SECONDS,
    Grant: 24 * HOUR_SECONDS,
    Session: 24 * HOUR_SECONDS,
  };
}

/** Native clients are asked for consent at each sign-in (RFC 8252 §8.6). `spa` is one in name only. */
function policy() {
  const prompts = interactionPolicy.base();
  prompts.get('consent').checks.remove('native_client_prompt');
  return prompts;
}

async function signingKey() {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), use: 'sig', alg: 'RS256' };
}

async function findLive(provider, token) {
  const found = (await provider.AccessToken.find(token)) ?? (await provider.RefreshToken.find(token));
  if (!found?.isValid) return undefined;
  return (await provider.Grant.find(found.grantId)) ? found : undefined;
}
