/**
 * A client whose server is the test: each refresh waits until the test answers it.
 *
 * @module
 */
import { CredentialError, createOAuth2Client, createToken, OAuthResponseError } from 'rx-credentials';
import type { Grant, OAuth2Client, OAuth2ClientOptions, Platform, StagedAnswer, Target, Token } from 'rx-credentials';
import type { TestCredential, TestTokens, TokenMaker } from './tokens';

/** A refresh request that was sent. */
export interface PendingRefresh {
  readonly grant: Grant;
  readonly target: Target | undefined;
  readonly answer: (tokens: TestTokens) => void;
  readonly fail: (error: CredentialError) => void;
}

/** The other end of a client. */
export interface TestServer {
  readonly platform: Platform;
  readonly tokens: TokenMaker;
  /** A refresh has arrived. */
  readonly arrived: (refresh: PendingRefresh) => void;
  /** What the next code exchange gives. */
  readonly signIn: () => TestCredential | CredentialError;
  /** A revocation request was answered. */
  readonly revoked: () => Promise<void>;
}

/** The client of the application, with its name and scopes, and this server. */
export function createTestClient(given: OAuth2ClientOptions | OAuth2Client, server: TestServer): OAuth2Client {
  const { platform, tokens } = server;
  const client = 'sendRefresh' in given ? given : createOAuth2Client({ ...given, platform });
  const { issuer } = client;
  const tested: OAuth2Client = {
    ...client,
    platform,
    renew: undefined,
    metadata: () =>
      Promise.resolve({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        end_session_endpoint: `${issuer}/logout`,
      }),
    exchangeCode: ({ parameters }) => {
      const error = parameters.get('error');
      if (error !== null) return Promise.reject(refusal(error, parameters.get('error_description') ?? undefined, issuer));
      const signedIn = server.signIn();
      return signedIn instanceof CredentialError ? Promise.reject(signedIn) : Promise.resolve(tokens.signedIn(tested, signedIn));
    },
    sendRefresh: (grant, target) => sent(grant, target, server),
    needsKeys: () => false,
    processRefresh: (grant, answer) => Promise.resolve(processed(grant, answer)),
    revoke: () => server.revoked(),
    userInfo: ({ claims }) => Promise.resolve({ sub: claims?.sub ?? '' }),
    introspect: () => Promise.resolve({ active: true }),
  };
  return tested;
}

/** The server, or the user, said no (RFC 6749 §4.1.2.1). */
function refusal(error: string, errorDescription: string | undefined, issuer: string): OAuthResponseError {
  return new OAuthResponseError({ error, errorDescription }, 'authorization_failed', { issuer });
}

function sent(grant: Grant, target: Target | undefined, { platform, tokens, arrived }: TestServer): Promise<StagedAnswer> {
  const sentAt = platform.now();
  return new Promise((resolve, reject) => {
    const answer = (answered: TestTokens): void =>
      resolve({
        text: JSON.stringify({ ...(target?.scope !== undefined && { scope: target.scope }), ...tokens.answer(answered) }),
        sentAt,
        receivedAt: platform.now(),
        ...(target && { target }),
      });
    arrived({ grant, target, answer, fail: reject });
  });
}

function processed(grant: Grant, { text, receivedAt }: StagedAnswer): Token {
  const answer = JSON.parse(text) as {
    readonly access_token: string;
    readonly refresh_token?: string;
    readonly expires_in?: number;
    readonly scope?: string;
  };
  const refreshToken = answer.refresh_token ?? grant.refreshToken;
  return createToken({
    id: grant.id,
    accessToken: answer.access_token,
    tokenType: 'Bearer',
    scope: answer.scope ?? grant.scope,
    issuedAt: receivedAt,
    expiresAt: answer.expires_in === undefined ? null : receivedAt + answer.expires_in * 1000,
    claims: grant.claims,
    context: grant.context,
    ...(refreshToken !== undefined && { refreshToken }),
    ...(grant.idToken !== undefined && { idToken: grant.idToken }),
  });
}
