/**
 * Tokens of tests: all that is not said has a default.
 *
 * @module
 */
import { createToken } from 'rx-credentials';
import type { IdTokenClaims, OAuth2Client, Token } from 'rx-credentials';

/** What a server answers. */
export interface TestTokens {
  /** Default: `access-1`, `access-2`, … */
  readonly accessToken?: string | undefined;
  /** `null`: none. Default: `refresh-1`, `refresh-2`, … */
  readonly refreshToken?: string | null | undefined;
  /** Seconds; `null`: the server says nothing of it. Default 3,600. */
  readonly expiresIn?: number | null | undefined;
  /** Scopes that are granted, separated by spaces. Default: those asked for. */
  readonly scope?: string | undefined;
}

/** A credential that is there. */
export interface TestCredential extends TestTokens {
  /** Default: `credential-1`, `credential-2`, … */
  readonly id?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Subject of the ID token; `null`: there is no ID token. Default `user`. */
  readonly sub?: string | null | undefined;
  /** Further claims of the ID token. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
}

/** Makes tokens, each with a number of its own. */
export interface TokenMaker {
  signedIn(client: OAuth2Client, credential: TestCredential): Token;
  /** The body of a token response (RFC 6749 §5.1). */
  answer(tokens: TestTokens): Readonly<Record<string, unknown>>;
}

const HOUR_S = 3_600;

/** @param now epoch milliseconds */
export function createTokenMaker(now: () => number): TokenMaker {
  const counts = new Map<string, number>();
  const next = (kind: string): string => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return `${kind}-${count}`;
  };
  return {
    signedIn: (client, credential) => {
      const { issuer, clientId } = client;
      const { id = next('credential'), sub = 'user', expiresIn = HOUR_S, scope = client.scope } = credential;
      const seconds = Math.floor(now() / 1000);
      const claims: IdTokenClaims | null =
        sub === null ? null : { iss: issuer, aud: clientId, sub, iat: seconds, exp: seconds + HOUR_S, ...credential.claims };
      const refreshToken = credential.refreshToken === undefined ? next('refresh') : credential.refreshToken;
      return createToken({
        id,
        accessToken: credential.accessToken ?? next('access'),
        tokenType: 'Bearer',
        scope,
        issuedAt: now(),
        expiresAt: expiresIn === null ? null : now() + expiresIn * 1000,
        claims,
        context: { issuer, clientId, scope: client.scope },
        ...(refreshToken !== null && { refreshToken }),
      });
    },
    answer: ({ accessToken, refreshToken, expiresIn = HOUR_S, scope }) => ({
      token_type: 'Bearer',
      access_token: accessToken ?? next('access'),
      ...(refreshToken !== null && { refresh_token: refreshToken ?? next('refresh') }),
      ...(expiresIn !== null && { expires_in: expiresIn }),
      ...(scope !== undefined && { scope }),
    }),
  };
}
