// A client in front of a fake server, and what the tests of both ask again and again.
import { CredentialError } from '../../src/errors';
import { createOAuth2Client, type CodeExchange, type OAuth2Client, type OAuth2ClientOptions } from '../../src/oauth/client';
import { fakeServer, type FakeServer, type FakeServerOptions, type IdTokenOptions } from './fake-server';
import { unitPlatform, type UnitPlatform } from './unit-platform';

export const REDIRECT_URI = 'https://app.example.com/callback';
export const NONCE = 'nonce-of-this-login';

export interface OAuthSetUp {
  readonly server: FakeServer;
  readonly platform: UnitPlatform;
  readonly client: OAuth2Client;
}

export function setUpOAuth(options: Partial<OAuth2ClientOptions> = {}, serverOptions: FakeServerOptions = {}): OAuthSetUp {
  const server = fakeServer(serverOptions);
  const platform = unitPlatform({ fetch: server.fetch });
  const client = createOAuth2Client({
    issuer: server.issuer,
    clientId: server.clientId,
    redirectUri: REDIRECT_URI,
    idTokenSigningAlgs: ['RS256', 'ES256'],
    platform,
    ...options,
  });
  return { server, platform, client };
}

export function exchangeOf(changes: Partial<CodeExchange> = {}, callback: Readonly<Record<string, string>> = {}): CodeExchange {
  return {
    parameters: new URLSearchParams({ code: 'code-1', state: 'state-1', ...callback }),
    state: 'state-1',
    nonce: NONCE,
    codeVerifier: 'v'.repeat(43),
    redirectUri: REDIRECT_URI,
    scope: 'openid profile',
    ...changes,
  };
}

/** Plans an answer of the token endpoint with an ID token in it. */
export async function planIdToken(
  server: FakeServer,
  claims: Readonly<Record<string, unknown>> = {},
  options: IdTokenOptions = {},
  members: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const id_token = await server.idToken({ nonce: NONCE, ...claims }, options);
  server.plan('token', {
    access_token: 'access-1',
    token_type: 'Bearer',
    expires_in: 600,
    refresh_token: 'refresh-1',
    id_token,
    ...members,
  });
}

/** What a promise was rejected with; an error of ours, or the test fails. */
export async function refusal(promise: Promise<unknown>): Promise<CredentialError> {
  const [kept, error] = await promise.then(
    () => [true, undefined] as const,
    (reason: unknown) => [false, reason] as const,
  );
  if (kept) throw new Error('it was not refused');
  if (!(error instanceof CredentialError)) throw error;
  return error;
}
