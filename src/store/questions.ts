/**
 * What the authorization server is asked about a credential.
 *
 * @module
 */
import type { Token } from '../credential/token.js';
import { isCredentialError, CredentialError } from '../errors.js';
import type { Introspection, OAuth2Client, UserInfo } from '../oauth/client.js';
import { toldAgain } from '../oauth/passing.js';
import type { CredentialContext } from './credential.js';
import { clientFor, currentToken, gone, usableRecord } from './usable-token.js';
import type { Holding } from './ledger.js';

/** Which token to ask about (RFC 7009 §2.1). */
export type TokenTypeHint = 'access_token' | 'refresh_token';

/** A server that refuses a token which was just renewed would refuse the next one, too: so long nothing is renewed for it (D-038). */
export const IN_VAIN_MS = 60_000;

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

  async function ask(own: Holding, token: Token, client: OAuth2Client): Promise<UserInfo> {
    try {
      return await client.userInfo(token);
    } catch (error) {
      const rests = (restsUntil.get(own) ?? -Infinity) > context.monotonicNow();
      if (!isRefusal(error)) throw error;
      if (rests) throw inVain(error);
      if (context.loop.stateOf(own.id)?.isRenewable === false) throw context.now() - token.issuedAt < IN_VAIN_MS ? inVain(error) : error;
      // As a command: the store may have been closed meanwhile.
      const next = await context.command((all) => all.refresh(own, { minValidityMs: null, refused: token.accessToken }));
      if (token.claims && next.claims?.sub !== token.claims.sub) throw gone(); // another user has taken the place meanwhile
      return client.userInfo(next).catch((again: unknown) => {
        if (!isRefusal(again)) throw again;
        restsUntil.set(own, context.monotonicNow() + IN_VAIN_MS);
        throw inVain(again);
      });
    }
  }

  return {
    userInfo: async (own) => {
      const client = await preparedClient(context, own);
      const token = await currentToken(context, own);
      const asked = asking.get(token) ?? ask(own, token, client).finally(() => asking.delete(token));
      asking.set(token, asked);
      return ifStillThere(context, own, await asked);
    },
    introspect: (own, hint) => introspect(context, own, hint),
  };
}

/** The client, once it knows whom to ask: a token that is taken before that may be given up meanwhile (RF-13). */
async function preparedClient(context: CredentialContext, own: Holding): Promise<OAuth2Client> {
  await usableRecord(context, own);
  const client = clientFor(context, own.id);
  if (!client.isPrepared()) await client.metadata();
  return client;
}

/** An answer, unless its user has gone meanwhile. @throws {CredentialError} `credential_removed` */
function ifStillThere<T>({ ledger }: CredentialContext, own: Holding, answer: T): T {
  const entry = ledger.entry(own.id);
  if (entry !== own || entry.record.state === 'removed' || entry.record.state === 'revoking') throw gone();
  return answer;
}

function isRefusal(error: unknown): error is CredentialError {
  return isCredentialError(error) && error.status === 401;
}

/** A refusal of a new token: the next sign-in would bring no better one, and who sends the user there would do so for ever (D-038). */
function inVain(error: CredentialError): CredentialError {
  const { issuer, status, retryAfterMs } = error;
  return error.class === 'needs_user' ? toldAgain(error, { issuer, status, retryAfterMs, class: 'configuration', cause: error }) : error;
}

async function introspect(context: CredentialContext, own: Holding, hint: TokenTypeHint): Promise<Introspection> {
  if (hint !== 'access_token' && hint !== 'refresh_token') throw new TypeError('introspect takes "access_token" or "refresh_token"');
  const client = await preparedClient(context, own);
  const { context: origin } = await usableRecord(context, own);
  const held = context.ledger.token(own.id);
  const token = hint === 'refresh_token' ? held?.refreshToken : (held?.accessToken ?? (await currentToken(context, own)).accessToken);
  if (token === undefined)
    throw new CredentialError('no_refresh_token', 'There is no refresh token to ask about.', { issuer: origin.issuer });
  return ifStillThere(context, own, await client.introspect(token, hint));
}
