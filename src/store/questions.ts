/**
 * What the authorization server is asked about a credential.
 *
 * @module
 */
import type { Token } from '../credential/token.js';
import { CredentialError, isCredentialError } from '../errors.js';
import type { Introspection, UserInfo } from '../oauth/client.js';
import type { CredentialContext } from './credential.js';
import { clientFor, currentToken, gone, usableRecord } from './usable-token.js';
import type { Holding } from './ledger.js';

/** Which token to ask about (RFC 7009 §2.1). */
export type TokenTypeHint = 'access_token' | 'refresh_token';

/** A server that refuses a token which was just renewed would refuse the next one, too: so long nothing is renewed for it (D-038). */
const IN_VAIN_MS = 60_000;

/** The questions of one store. */
export interface Questions {
  /** The user's claims; with the next token, where the server refuses the one at hand. */
  userInfo(own: Holding): Promise<UserInfo>;
  /** What the server says of a token as it is at hand: nothing is renewed for it. */
  introspect(own: Holding, hint: TokenTypeHint): Promise<Introspection>;
}

/** Asks for one store. */
export function createQuestions(context: CredentialContext): Questions {
  const restsUntil = new WeakMap<Holding, number>();
  /** What is being asked: all who ask with one token meanwhile share the answer. */
  const asking = new WeakMap<Token, Promise<UserInfo>>();

  async function ask(own: Holding, token: Token): Promise<UserInfo> {
    const client = clientFor(context, own.id);
    try {
      return await client.userInfo(token);
    } catch (error) {
      const rests = (restsUntil.get(own) ?? -Infinity) > context.monotonicNow();
      if (!isRefusal(error) || rests || context.loop.stateOf(own.id)?.isRenewable === false) throw error;
      // As a command: the store may have been closed meanwhile.
      const next = await context.command((all) => all.refresh(own, { minValidityMs: null, refused: token.accessToken }));
      if (token.claims && next.claims?.sub !== token.claims.sub) throw gone(); // another user has taken the place meanwhile
      return client.userInfo(next).catch((again: unknown) => {
        if (isRefusal(again)) restsUntil.set(own, context.monotonicNow() + IN_VAIN_MS);
        throw again;
      });
    }
  }

  return {
    userInfo: async (own) => {
      const token = await currentToken(context, own);
      const known = asking.get(token);
      if (known) return known;
      const asked = ask(own, token).finally(() => asking.delete(token));
      asking.set(token, asked);
      return asked;
    },
    introspect: (own, hint) => introspect(context, own, hint),
  };
}

function isRefusal(error: unknown): boolean {
  return isCredentialError(error) && error.status === 401;
}

async function introspect(context: CredentialContext, own: Holding, hint: TokenTypeHint): Promise<Introspection> {
  if (hint !== 'access_token' && hint !== 'refresh_token') throw new TypeError('introspect takes "access_token" or "refresh_token"');
  const { context: origin } = await usableRecord(context, own);
  const client = clientFor(context, own.id);
  const token = context.ledger.token(own.id);
  if (hint === 'access_token') return client.introspect(token?.accessToken ?? (await currentToken(context, own)).accessToken, hint);
  const refreshToken = token?.refreshToken;
  if (refreshToken === undefined)
    throw new CredentialError('no_refresh_token', 'There is no refresh token to ask about.', { issuer: origin.issuer });
  return client.introspect(refreshToken, hint);
}
