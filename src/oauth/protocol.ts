/**
 * The thin seam to `oauth4webapi`: it builds the requests and validates the answers; bodies are read capped, errors are judged by our
 * own parse, and nothing of its errors travels on, since they hold response bodies (`standards.md`, "Living with oauth4webapi").
 * Loaded when first needed.
 *
 * @module
 */
import * as oauth from 'oauth4webapi';
import { jsonObjectIn } from '../credential/data.js';
import type { StagedAnswer, Target } from '../credential/record.js';
import { includesScope } from '../credential/scope.js';
import { createToken } from '../credential/create-token.js';
import type { IdTokenClaims, Token, TokenContext } from '../credential/token.js';
import { CredentialError, isCredentialError, ProtocolError } from '../errors.js';
import { checkCallback, reasonOf } from './callback.js';
import { clockSkewSeconds } from '../platform/platform.js';
import { randomText } from '../platform/random.js';
import { introspectionIn, userInfoIn, withChallenge } from './answers.js';
import type { CodeExchange, Grant, Introspection, ResolvedClientOptions, UserInfo } from './client.js';
import { documentIn, isAbsent } from './discovery.js';
import { endpointIn } from './endpoint.js';
import { assertVerifiable, checkAcr, checkAuthTime, judgedAt, parseIdTokenHeader } from './id-token.js';
import { createJudge } from './judge.js';
import { createKeySet } from './key-set.js';
import { asPassing } from './passing.js';
import { OAuthResponseError } from './oauth-response-error.js';
import { secretsIn } from './redaction.js';
import { assertJsonType, errorOf, isSuccess, parseTokenResponse, withoutCommas, type TokenResponse } from './token-response.js';
import {
  CALL_LIMITS,
  METADATA_LIMITS,
  REVOCATION_LIMITS,
  responseOf,
  send,
  TOKEN_LIMITS,
  type Exchange,
  type Limits,
} from './transport.js';

const METADATA_FRESH_MS = 60 * 60_000;
const METADATA_COOLDOWN_MS = 60_000;
const METADATA_STALE_IF_ERROR_MS = 24 * 60 * 60_000;
/** For so long the key of a refreshed ID token may be missing from the key set. */
const KEY_PATIENCE_MS = 10 * 60_000;

/** The methods of an `OAuth2Client` that need the protocol code. */
export interface Protocol {
  readonly metadata: () => Promise<oauth.AuthorizationServer>;
  readonly isPrepared: () => boolean;
  readonly exchangeCode: (exchange: CodeExchange) => Promise<Token>;
  readonly sendRefresh: (grant: Grant, target?: Target) => Promise<StagedAnswer>;
  readonly needsKeys: (answer: StagedAnswer) => boolean;
  readonly processRefresh: (grant: Grant, answer: StagedAnswer) => Promise<Token>;
  readonly revoke: (token: string, hint: 'access_token' | 'refresh_token') => Promise<void>;
  readonly userInfo: (token: Token) => Promise<UserInfo>;
  readonly introspect: (token: string, hint: 'access_token' | 'refresh_token') => Promise<Introspection>;
}

/** The protocol of one client. */
export function createProtocol(options: ResolvedClientOptions): Protocol {
  const { issuer, clientId, idTokenSigningAlgs, clockToleranceS, platform } = options;
  const auth = oauth.None();
  const keys = createKeySet(platform, async () => endpointIn(await metadata(), 'jwks_uri', issuer), issuer);
  let known: { readonly as: oauth.AuthorizationServer; readonly at: number } | undefined;
  let asking: Promise<oauth.AuthorizationServer> | undefined;
  let inVainAt = -Infinity;

  /** `oauth4webapi` calls this instead of fetch; `seen` gets the whole answer. */
  const http = (limits: Limits, seen?: (exchange: Exchange) => void) => ({
    [oauth.customFetch]: async (url: string, init: oauth.CustomFetchOptions<string, BodyInit | null | undefined>): Promise<Response> => {
      const headers = { accept: 'application/json', ...init.headers }; // HT-10: `oauth4webapi` has none for a revocation
      const exchange = await send(platform, url, { method: init.method, headers, body: init.body ?? null }, limits, issuer);
      seen?.({ ...exchange, secrets: secretsIn(headers, init.body) });
      return responseOf(exchange);
    },
    [oauth.allowInsecureRequests]: true, // `send` judges every single URL (HT-1)
  });
  const clientAt = (atMs: number, extra: Partial<oauth.Client> = {}): oauth.Client => ({
    client_id: clientId,
    [oauth.clockSkew]: clockSkewSeconds(atMs),
    [oauth.clockTolerance]: clockToleranceS,
    ...extra,
  });

  async function documentOf(algorithm: 'oidc' | 'oauth2'): Promise<oauth.AuthorizationServer> {
    const exchange = await exchanging((seen) => oauth.discoveryRequest(new URL(issuer), { ...http(METADATA_LIMITS, seen), algorithm }));
    return documentIn(exchange, issuer);
  }

  /** The document of OpenID Connect, or that of OAuth alone where the server has no such page, or leads away from it (DISC-2). */
  async function discover(): Promise<oauth.AuthorizationServer> {
    try {
      return await documentOf('oidc');
    } catch (error) {
      const first = translate(error, issuer);
      if (first.code !== 'discovery_failed' && first.code !== 'unexpected_redirect') throw first; // what is there may be had later
      return await documentOf('oauth2').catch((other: unknown) => {
        const second = translate(other, issuer);
        if (second.code === 'server_unavailable') throw second;
        // Where the first is not there, the second is what there is; where it was refused or led away, that of another issuer says nothing
        if (second.code === 'issuer_mismatch') throw isAbsent(first) ? second : first;
        throw second.class === 'unknown_outcome' ? asPassing(first) : first; // nobody knows what is there
      });
    }
  }

  const ageMsOf = (one: typeof known): number => (one ? platform.monotonicNow() - one.at : Infinity);
  /** What is there, if it is fresh, or has just been asked for in vain: a server that does not answer is not waited for by each request. */
  const atHand = (): oauth.AuthorizationServer | undefined => {
    const isEnough = ageMsOf(known) < METADATA_FRESH_MS || platform.monotonicNow() - inVainAt < METADATA_COOLDOWN_MS;
    return options.metadata ?? (isEnough ? kept() : undefined);
  };
  const kept = (): oauth.AuthorizationServer | undefined => (ageMsOf(known) < METADATA_STALE_IF_ERROR_MS ? known?.as : undefined);

  async function metadata(): Promise<oauth.AuthorizationServer> {
    const there = atHand();
    if (there) return there;
    try {
      asking ??= discover().finally(() => (asking = undefined));
      const as = await asking;
      known = { as, at: platform.monotonicNow() };
      return as;
    } catch (error) {
      const translated = translate(error, issuer);
      const failure = translated.class === 'unknown_outcome' ? asPassing(translated) : translated; // to ask for it changes nothing there
      if (failure.class === 'security') known = undefined;
      const old = kept();
      if (!old) throw failure;
      inVainAt = platform.monotonicNow();
      return old;
    }
  }

  const judge = createJudge(options, keys, metadata, clientAt);

  const tokenOf = (
    answer: TokenResponse,
    parts: { id: string; context: TokenContext; sentAt: number; claims: IdTokenClaims | null },
  ): Token => {
    const { accessToken, refreshToken, idToken, extra, tokenType, expiresInS } = answer;
    const { scope: asked = '' } = parts.context;
    return createToken({
      id: parts.id,
      accessToken,
      tokenType,
      scope: withoutCommas(answer.scope ?? asked, asked),
      issuedAt: parts.sentAt, // TM-1: the lifetime is counted from before the request was sent
      expiresAt: expiresInS === undefined ? null : parts.sentAt + expiresInS * 1000,
      claims: parts.claims,
      context: parts.context,
      extra,
      ...(refreshToken !== undefined && { refreshToken }),
      ...(idToken !== undefined && { idToken }),
    });
  };

  const needsKeys = ({ text }: Pick<StagedAnswer, 'text'>): boolean => {
    const { id_token: idToken } = jsonObjectIn(text) ?? {};
    if (typeof idToken !== 'string') return false;
    try {
      return !keys.has(parseIdTokenHeader(idToken, idTokenSigningAlgs, issuer).kid) || judge.isDoubted(idToken);
    } catch {
      return false; // refused without asking anybody
    }
  };

  const protocol: Protocol = {
    metadata,
    isPrepared: () => atHand() !== undefined,
    exchangeCode: async ({ parameters, state, nonce, codeVerifier, redirectUri, scope: asked, resource, onAnswer, ...login }) => {
      const { maxAge, acrValues, requireAcr, resources } = login;
      const asksForIdToken = asked.split(' ').includes('openid');
      const as = await metadata();
      endpointIn(as, 'token_endpoint', issuer);
      const callback = checkCallback(as, clientAt(platform.now()), parameters, { state, nonce, codeVerifier }, issuer);
      // On their way: with a code that is used up nothing is tried again. What fails here is asked for once more.
      const keysAreThere = asksForIdToken ? keys.text(undefined).catch(() => undefined) : undefined;
      const exchange = await exchanging((seen) =>
        oauth.authorizationCodeGrantRequest(as, clientAt(platform.now()), auth, callback, redirectUri, codeVerifier, {
          ...http(TOKEN_LIMITS, seen),
          ...(resource !== undefined && { additionalParameters: { resource } }), // RFC 8707 §2.2
        }),
      );
      onAnswer?.();
      if (!isSuccess(exchange)) throw errorOf(exchange, issuer);
      assertJsonType(contentTypeOf(exchange), issuer);
      const answer = parseTokenResponse(exchange.text, options);
      await keysAreThere;
      const atMs = judgedAt(exchange, options);
      const claims = await judge
        .signIn(answer, atMs, options.maxIdTokenAgeS, (server, client, response) =>
          oauth.processAuthorizationCodeResponse(server, client, response, {
            ...(asksForIdToken && { expectedNonce: nonce }), // not sent without `openid`: then it must be absent (IDT-8)
            ...(maxAge !== undefined && { maxAge }),
            requireIdToken: asksForIdToken,
          }),
        )
        // RFC 6749 §3.3: without a scope the server has one of its own, which may bring an ID token
        .catch(unless(asksForIdToken || asked === '' || maxAge !== undefined || requireAcr === true));
      if (maxAge !== undefined) checkAuthTime(claims, atMs, options);
      if (requireAcr) checkAcr(claims, acrValues ?? '', issuer);
      const context = {
        issuer,
        clientId,
        scope: asked,
        ...(resource !== undefined && { resource }),
        ...(resources !== undefined && { resources }),
        ...(maxAge !== undefined && { maxAge }),
        ...(acrValues !== undefined && { acrValues }),
      };
      const kept = claims ? answer : withoutIdToken(answer);
      return tokenOf(kept, { id: randomText(platform, 16), context, sentAt: exchange.sentAt, claims });
    },
    sendRefresh: async (grant, target) => {
      const { refreshToken, scope, context } = grant;
      const { resource } = context;
      if (refreshToken === undefined)
        throw new CredentialError('no_refresh_token', 'There is no refresh token; the user must sign in.', { issuer });
      assertVerifiable(grant, platform);
      const as = await metadata();
      endpointIn(as, 'token_endpoint', issuer);
      const exchange = await exchanging((seen) =>
        oauth.refreshTokenGrantRequest(as, clientAt(platform.now()), auth, refreshToken, {
          ...http(TOKEN_LIMITS, seen),
          // RFC 8707 §2.2: a server that is not told the resource again may give a token for another one
          additionalParameters: { ...(resource !== undefined && { resource }), ...target },
        }),
      );
      if (!isSuccess(exchange)) throw asNotGranted(errorOf(exchange, issuer), scope, target?.scope ?? ''); // E56: what any other 2xx holds is looked at
      const { text, sentAt } = exchange;
      return { text, contentType: contentTypeOf(exchange), sentAt, receivedAt: judgedAt(exchange, options), ...(target && { target }) };
    },
    needsKeys,
    processRefresh: async (grant, { text, contentType, sentAt, receivedAt }) => {
      if (contentType !== undefined) assertJsonType(contentType, issuer);
      const { claims: login } = grant;
      const parsed = parseTokenResponse(text, options, grant);
      // The ID token of the login, said once more, says nothing new: its `at_hash` is that of the access token of then
      const answer = login && parsed.idToken === grant.idToken ? withoutIdToken(parsed) : parsed;
      const asksForIdToken = login !== null || (grant.context.scope ?? grant.scope).split(' ').includes('openid');
      const claims = await judge
        .refresh(answer, receivedAt, login)
        .catch(unless(asksForIdToken))
        .catch((error: unknown) => {
          if (!isCredentialError(error)) throw error;
          // A server may sign with a key before its key set, or a cache of it, has the key: the answer is looked at again
          const isEarly = keys.has(undefined) && needsKeys({ text }) && Math.abs(platform.now() - sentAt) < KEY_PATIENCE_MS;
          // All else but what is wrong with the ID token, or with this page, is about what could not be fetched, and says nothing of the answer (IDR-6)
          const isOfAnswer = error.class === 'security' || error.code === 'crypto_unavailable';
          const isPassing = !isOfAnswer || (isEarly && error.code === 'id_token_invalid');
          throw isPassing ? asPassing(error) : error;
        });
      const kept = {
        ...answer,
        refreshToken: answer.refreshToken ?? grant.refreshToken, // 6749-12: no new one means the old one stays
        idToken: (claims ? answer : grant).idToken,
        scope: answer.scope ?? grant.scope,
      };
      return tokenOf(kept, {
        id: grant.id,
        context: grant.context,
        sentAt,
        claims: claims && login ? ofLogin(login, claims) : (claims ?? login),
      });
    },
    revoke: async (token, hint) => {
      const as = kept() ?? (await metadata()); // it has five seconds in all: an old copy will do
      endpointIn(as, 'revocation_endpoint', issuer);
      const exchange = await exchanging((seen) =>
        oauth.revocationRequest(as, clientAt(platform.now()), auth, token, {
          additionalParameters: { token_type_hint: hint },
          ...http(REVOCATION_LIMITS, seen),
        }),
      );
      if (exchange.status >= 200 && exchange.status <= 299) return;
      const error = errorOf(exchange, issuer);
      // So Google says that it does not know the token, which is a success (RFC 7009 §2.2)
      const isUnknown = error.status === 400 && error instanceof OAuthResponseError && error.error === 'invalid_token';
      if (!isUnknown) throw error;
    },
    userInfo: async (token) => {
      if (token.tokenType === 'DPoP')
        throw new CredentialError('unsupported', 'The token is bound to a DPoP key; proofs are not supported yet.', { issuer });
      const as = await metadata();
      endpointIn(as, 'userinfo_endpoint', issuer);
      const client = clientAt(platform.now());
      const exchange = await exchanging((seen) => oauth.userInfoRequest(as, client, token.accessToken, http(CALL_LIMITS, seen)));
      return userInfoIn(await withChallenge(exchange, as, client), token, issuer);
    },
    introspect: async (token, hint) => {
      const as = await metadata();
      endpointIn(as, 'introspection_endpoint', issuer);
      const exchange = await exchanging((seen) =>
        oauth.introspectionRequest(as, clientAt(platform.now()), auth, token, {
          additionalParameters: { token_type_hint: hint },
          ...http(CALL_LIMITS, seen),
        }),
      );
      return introspectionIn(exchange, issuer);
    },
  };
  return translated(protocol, issuer);

  /** Runs a request of `oauth4webapi` and returns the answer as we read it. */
  async function exchanging(request: (seen: (exchange: Exchange) => void) => Promise<Response>): Promise<Exchange> {
    let exchange: Exchange | undefined;
    await request((seen) => (exchange = seen));
    if (!exchange) throw new CredentialError('network_error', 'The request was not sent.', { issuer });
    return exchange;
  }
}

function contentTypeOf({ headers }: Pick<Exchange, 'headers'>): string {
  return headers.get('content-type') ?? '';
}

/** What is wrong with an ID token that nobody has asked for ends nothing: it counts as left out. */
function unless(isAsked: boolean): (error: unknown) => null {
  return (error) => {
    if (isAsked || !isCredentialError(error)) throw error;
    return null;
  };
}

/** An answer as if its ID token had been left out. */
function withoutIdToken(answer: TokenResponse): TokenResponse {
  return { ...answer, idToken: undefined };
}

/** Claims of the login that a refreshed ID token may omit: the next one is compared with them (IDR-5). */
function ofLogin(login: IdTokenClaims, { ...refreshed }: IdTokenClaims): IdTokenClaims {
  const { nonce, auth_time: authTime } = login;
  return Object.freeze({ ...(nonce !== undefined && { nonce }), ...(authTime !== undefined && { auth_time: authTime }), ...refreshed });
}

/**
 * What a login asked for and did not get, only the server knows: a token may have less scope than its grant (RFC 6749 §6), and at Entra has. Of a
 * target it says so by `invalid_scope`.
 */
function asNotGranted(error: CredentialError, held: string, asked: string): CredentialError {
  const isBeyond = error instanceof OAuthResponseError && error.error === 'invalid_scope' && !includesScope(held, asked);
  if (!isBeyond) return error;
  const { issuer, status } = error;
  return new CredentialError(
    'scope_not_granted',
    'The server refuses a scope that this token does not have; sign in again and ask for it.',
    { issuer, status, cause: error },
  );
}

/** Every method with its errors as ours. */
function translated(protocol: Protocol, issuer: string): Protocol {
  const wrap =
    <A extends readonly unknown[], R>(method: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      try {
        return await method(...args);
      } catch (error) {
        throw translate(error, issuer);
      }
    };
  return {
    metadata: wrap(protocol.metadata),
    isPrepared: protocol.isPrepared,
    exchangeCode: wrap(protocol.exchangeCode),
    sendRefresh: wrap(protocol.sendRefresh),
    needsKeys: protocol.needsKeys,
    processRefresh: wrap(protocol.processRefresh),
    revoke: wrap(protocol.revoke),
    userInfo: wrap(protocol.userInfo),
    introspect: wrap(protocol.introspect),
  };
}

/** An error of `oauth4webapi` as ours. */
function translate(error: unknown, issuer: string): CredentialError {
  if (isCredentialError(error)) return error;
  if (error instanceof oauth.UnsupportedOperationError) return new CredentialError('unsupported', reasonOf(error), { issuer });
  return new ProtocolError('response_invalid', `The answer could not be processed: ${reasonOf(error)}.`, { issuer });
}
