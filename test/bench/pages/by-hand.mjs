/** A refresh request as one would write it by hand. For pages. */

/** Tokens for a refresh token (RFC 6749 §6). */
export async function requestTokens({ issuer, clientId }, refreshToken) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId });
  const response = await fetch(`${issuer}/token`, { method: 'POST', body });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
}

/** What `createToken` takes, from the answer of a server. */
export function tokenFieldsOf({ access_token, refresh_token, scope, expires_in }, { issuer, clientId, now }) {
  return {
    id: crypto.randomUUID(),
    accessToken: access_token,
    refreshToken: refresh_token,
    tokenType: 'Bearer',
    scope,
    issuedAt: now,
    expiresAt: now + expires_in * 1_000,
    claims: null,
    context: { issuer, clientId, scope },
  };
}
