/**
 * What the authorization server is asked about a credential.
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import type { Introspection, UserInfo } from '../oauth/client.js';
import { clientFor, currentToken, usableRecord, type CredentialContext } from './credential.js';

/** Which token to ask about (RFC 7009 §2.1). */
export type TokenTypeHint = 'access_token' | 'refresh_token';

/** The user's claims; with the next token, where the server refuses the one at hand. */
export async function userInfo(context: CredentialContext, id: string): Promise<UserInfo> {
  const token = await currentToken(context, id);
  const client = clientFor(context, id);
  try {
    return await client.userInfo(token);
  } catch (error) {
    const refused = error instanceof CredentialError && error.status === 401 && token.refreshToken !== undefined;
    if (!refused) throw error;
    // As a command: the store may have been closed meanwhile.
    return client.userInfo(await context.command((all) => all.refresh(id, { minValidityMs: null, refused: token.accessToken })));
  }
}

/** What the server says of a token as it is at hand: nothing is renewed for it. */
export async function introspect(context: CredentialContext, id: string, hint: TokenTypeHint): Promise<Introspection> {
  if (hint !== 'access_token' && hint !== 'refresh_token') throw new TypeError('introspect takes "access_token" or "refresh_token"');
  const { context: origin } = await usableRecord(context, id);
  const client = clientFor(context, id);
  const token = context.ledger.token(id);
  if (hint === 'access_token') return client.introspect(token?.accessToken ?? (await currentToken(context, id)).accessToken, hint);
  const refreshToken = token?.refreshToken;
  if (refreshToken === undefined)
    throw new CredentialError('no_refresh_token', 'There is no refresh token to ask about.', { issuer: origin.issuer });
  return client.introspect(refreshToken, hint);
}
