/**
 * An OAuth 2 / OpenID Connect client of one authorization server. It asks and judges; it stores nothing. Flows and stores use the
 * same client, so there is one discovery and one key cache.
 *
 * @module
 */
import type { AuthorizationServer } from 'oauth4webapi';
import type { StagedAnswer, Target } from '../credential/record.js';
import type { OnUnknownOutcome } from '../credential/refresh-protocol.js';
import { deepFreezeData, isPlainObject } from '../credential/data.js';
import { assertNothingElse } from '../credential/options.js';
import { assertScope } from '../credential/scope.js';
import { notLoaded } from '../errors.js';
import { countdown } from '../platform/countdown.js';
import type { Token } from '../credential/token.js';
import { defaultPlatform, type Platform } from '../platform/platform.js';
import type { Protocol } from './protocol.js';
import { isSecureUrl } from './secure-url.js';

export type { AuthorizationServer };

/** Who the client is and whom it asks. */
export interface OAuth2ClientOptions {
  /** Issuer identifier, exactly as the server's discovery document has it (trailing slash included). */
  readonly issuer: string;
  /** RFC 6749 §2.2. The client is a public one: no secret. */
  readonly clientId: string;
  /** Scopes to ask for, separated by spaces. Default `openid`. */
  readonly scope?: string | undefined;
  /** Where the authorization server sends the user back to; flows need it. */
  readonly redirectUri?: string | undefined;
  /** Where the user goes after signing out at the server. */
  readonly postLogoutRedirectUri?: string | undefined;
  /**
   * The server's metadata (RFC 8414 §2), for a server that publishes none under its issuer; nothing is discovered then. Its `issuer`, if it
   * has one, must be the one above.
   */
  readonly metadata?: Partial<AuthorizationServer> | undefined;
  /**
   * Further audiences that an ID token may name beside the client (IDT-3), for servers that always add some: a list, or a function that is
   * asked for each. Default: none.
   */
  readonly trustedAudiences?: readonly string[] | ((audience: string) => boolean) | undefined;
  /**
   * By how many seconds the clocks of client and server may differ: 0 to 300, by default 30. What the server's `Date` header says, where a
   * page may read it, is taken off before.
   */
  readonly clockToleranceS?: number | undefined;
  /** How many seconds old the ID token of a sign-in may be. Default 600 (IDT-7); `Infinity` for any age. */
  readonly maxIdTokenAgeS?: number | undefined;
  /**
   * Further members of the token response to keep, by name: those of `extraParameters: ['patient', 'instance_url']` are in `token.extra`, are stored
   * with the token, and stay if the answer of a refresh omits them. Default: none; what a server says beside its tokens is dropped (6749-8). With
   * `persist: 'refresh-only'` they are stored too: name none that is an access token.
   */
  readonly extraParameters?: readonly string[] | undefined;
  /** Signing algorithms an ID token may have. Default `['RS256']`. `none` and HS* are never accepted (IDT-5). */
  readonly idTokenSigningAlgs?: readonly string[] | undefined;
  /**
   * How long this server takes a refresh token again that it has rotated already, in milliseconds; 0: it does not. Default: unknown. Within that time a
   * refresh whose answer was lost is just sent again, and soon, though the access token lives on.
   */
  readonly reuseLeewayMs?: number | undefined;
  /**
   * What to do where a program died in the middle of a refresh, and the server may have used up the refresh token. `retry`, the default:
   * send it again. `defer-until-expiry`: use the access token as long as it lives, then send it again. `reauthenticate`: the user must
   * sign in; for servers that end all sessions of a user when a refresh token comes twice.
   */
  readonly onUnknownOutcome?: OnUnknownOutcome | undefined;
  /**
   * Gets the next token in another way than by its refresh token, such as a silent authorization; for servers that give no refresh token.
   * The token must be of the same user; what it omits (claims, ID token, refresh token) stays as it is. It is asked under the same locks, and what it gives is stored under the same id.
   */
  readonly renew?: RenewFunction | undefined;
  /** Everything ambient. Default: the platform of this runtime. */
  readonly platform?: Platform | undefined;
}

/**
 * A way to renew a token, asked with the client that it is a part of. Errors that are no `CredentialError` are taken for passing ones
 * (`renewal_failed`).
 */
export interface RenewFunction {
  (grant: Grant, client: OAuth2Client): Promise<Token>;
  /**
   * Where the server sends its answers to, if not to the `redirectUri` of the client; `silentAuthorization` says it of itself. Where a store has
   * several servers, an address that nobody has said is taken for a shared one.
   */
  readonly redirectUri?: string | undefined;
  /** Loads the code it needs; a store calls it after a start, as it does `OAuth2Client.load`. */
  load?(client: OAuth2Client): Promise<unknown>;
}

/** What a code exchange needs from the flow that sent the user away. */
export interface CodeExchange {
  /** Parameters of the callback. */
  readonly parameters: URLSearchParams;
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
  readonly redirectUri: string;
  readonly scope: string;
  /** Seconds, if it was sent. */
  readonly maxAge?: number;
  readonly acrValues?: string;
  /** True: the ID token must have one of them as its `acr`. */
  readonly requireAcr?: boolean;
  /** The resource that was asked for (RFC 8707 §2); it is asked for again. */
  readonly resource?: string;
  /** All that the authorization request named, where there were several: the context of the token has them. */
  readonly resources?: readonly string[];
  /** Called once the server has answered: the code is spent from then on, whatever becomes of the answer (RFC 6749 §4.1.2). */
  readonly onAnswer?: () => void;
}

/** Claims of the user info endpoint (OpenID Connect Core §5.3). */
export type UserInfo = Readonly<Record<string, unknown>> & { readonly sub: string };

/** What the authorization server says of a token (RFC 7662 §2.2). Of one that is not active it says no more. */
export type Introspection = Readonly<Record<string, unknown>> & { readonly active: boolean };

/** What a refresh needs to know of a token: also where its access token is not at hand. */
export type Grant = Pick<Token, 'id' | 'tokenType' | 'scope' | 'claims' | 'context' | 'refreshToken' | 'idToken' | 'extra'>;

/** One client of one authorization server. Every method may throw `NetworkError`, `ProtocolError` and `OAuthResponseError`. */
export interface OAuth2Client {
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  readonly redirectUri: string | undefined;
  readonly postLogoutRedirectUri: string | undefined;
  /** Where other authorization servers send users and frames back to: flows take no answer of theirs (RFC 9700 §4.4). A store that has several says so. */
  readonly redirectUrisOfOthers?: readonly string[] | undefined;
  readonly reuseLeewayMs?: number | undefined;
  readonly onUnknownOutcome?: OnUnknownOutcome | undefined;
  readonly renew?: RenewFunction | undefined;
  readonly platform: Platform;
  /** The server's metadata (RFC 8414, OpenID Connect Discovery): fetched once an hour at most, kept a day if it cannot be fetched anew. */
  metadata(): Promise<AuthorizationServer>;
  /** True if the metadata is at hand and fresh: a request asks for nothing first. */
  isPrepared(): boolean;
  /**
   * Loads the code that makes requests; the server is asked for nothing. A store calls it after a start, so that a network that fails, or a
   * deployment, does not matter later.
   */
  load?(): Promise<unknown>;
  /** Checks the callback and exchanges its code for a validated token (RFC 6749 §4.1.3, RFC 7636, RFC 9207, OIDC Core §3.1.3.7). */
  exchangeCode(exchange: CodeExchange): Promise<Token>;
  /**
   * Sends a refresh request (RFC 6749 §6) and returns the raw answer: what was rotated can be made durable before it is judged.
   *
   * @param target less scope, or another resource (RFC 8707 §2.2)
   */
  sendRefresh(grant: Grant, target?: Target): Promise<StagedAnswer>;
  /** True if judging the answer needs a key that is not at hand. */
  needsKeys(answer: StagedAnswer): boolean;
  /** Judges an answer: the next token of the same id, keeping all that the answer omits (6749-12, §6.1 of the standards list). */
  processRefresh(grant: Grant, answer: StagedAnswer): Promise<Token>;
  /** Revokes one token (RFC 7009). Resolves also for a token the server does not know. */
  revoke(token: string, hint: 'access_token' | 'refresh_token'): Promise<void>;
  /** Claims of the user the token speaks for; `sub` is checked against the ID token's (UI-1). */
  userInfo(token: Token): Promise<UserInfo>;
  /** Asks whether the server takes a token for active (RFC 7662). @throws {CredentialError} `endpoint_missing` */
  introspect(token: string, hint: 'access_token' | 'refresh_token'): Promise<Introspection>;
}

/** How ID tokens are judged. */
export type Judgement = {
  readonly [Name in 'idTokenSigningAlgs' | 'trustedAudiences' | 'clockToleranceS' | 'maxIdTokenAgeS']: NonNullable<
    OAuth2ClientOptions[Name]
  >;
};

/** Options with every default filled in. */
export interface ResolvedClientOptions extends Judgement {
  /** A frozen copy. */
  readonly metadata: AuthorizationServer | undefined;
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  readonly extraParameters: readonly string[];
  readonly platform: Platform;
}

/** How long a part of the program is waited for, in milliseconds. */
const LOADING_MS = 30_000;

/**
 * A client. Nothing is asked before a method is called; the protocol code loads then, too.
 *
 * @throws {TypeError} an option is missing, not https, or asks for an algorithm that is never accepted
 */
export function createOAuth2Client(options: OAuth2ClientOptions): OAuth2Client {
  const resolved = resolve(options);
  let loaded: Promise<Protocol> | undefined;
  const protocol = (): Promise<Protocol> =>
    (loaded ??= new Promise<Protocol>((resolve, reject) => {
      const fail = (thrown?: unknown): void => {
        loaded = undefined; // asked for again the next time: not all runtimes keep a failure
        reject(notLoaded(thrown));
      };
      const cancel = countdown(resolved.platform, LOADING_MS, () => fail()); // a network may lose an answer, and a lock may be held meanwhile
      const loading = (async () => import('./protocol.js'))(); // asynchronous: of some bundlers it throws at once where a page requires Trusted Types
      loading.then(({ createProtocol }) => resolve((ready = createProtocol(resolved))), fail).finally(cancel);
    }));
  let ready: Protocol | undefined;
  return {
    issuer: resolved.issuer,
    clientId: resolved.clientId,
    scope: resolved.scope,
    redirectUri: options.redirectUri,
    postLogoutRedirectUri: options.postLogoutRedirectUri,
    reuseLeewayMs: options.reuseLeewayMs,
    onUnknownOutcome: options.onUnknownOutcome,
    renew: options.renew,
    platform: resolved.platform,
    metadata: async () => (await protocol()).metadata(),
    isPrepared: () => ready?.isPrepared() ?? false,
    load: protocol,
    exchangeCode: async (exchange) => (await protocol()).exchangeCode(exchange),
    sendRefresh: async (grant, target) => (await protocol()).sendRefresh(grant, target),
    needsKeys: (answer) => ready?.needsKeys(answer) ?? true,
    processRefresh: async (grant, answer) => (await protocol()).processRefresh(grant, answer),
    revoke: async (token, hint) => (await protocol()).revoke(token, hint),
    userInfo: async (token) => (await protocol()).userInfo(token),
    introspect: async (token, hint) => (await protocol()).introspect(token, hint),
  };
}

function resolve(options: OAuth2ClientOptions): ResolvedClientOptions {
  const {
    issuer,
    clientId,
    scope = 'openid',
    platform = defaultPlatform(),
    idTokenSigningAlgs = ['RS256'],
    trustedAudiences = [],
    clockToleranceS = 30,
    maxIdTokenAgeS = 600,
    extraParameters = [],
    redirectUri: _,
    postLogoutRedirectUri: __,
    metadata: ___,
    reuseLeewayMs: ____,
    onUnknownOutcome: _____,
    renew: ______,
    ...rest
  } = options;
  assertNothingElse(rest, 'a public client takes OAuth2ClientOptions');
  const judgement = { idTokenSigningAlgs, trustedAudiences, clockToleranceS, maxIdTokenAgeS };
  assertIdentity(options);
  assertJudgement(judgement);
  assertRenewal(options);
  assertExtraParameters(extraParameters);
  const resolved = { issuer, clientId, scope: assertScope(scope, 'scope'), extraParameters: [...extraParameters] };
  return { ...resolved, metadata: frozenMetadata(options), ...judgement, platform };
}

function frozenMetadata({ issuer, metadata }: OAuth2ClientOptions): AuthorizationServer | undefined {
  if (metadata === undefined) return undefined;
  const copy = deepFreezeData({ ...metadata, issuer }); // a function, or what has no end, is no metadata
  if (!isPlainObject(metadata) || (metadata.issuer ?? issuer) !== issuer || !isPlainObject(copy))
    throw new TypeError('metadata must be an object, of the same issuer');
  return copy as unknown as AuthorizationServer;
}

function assertIdentity({ issuer, clientId, redirectUri, postLogoutRedirectUri, renew }: OAuth2ClientOptions): void {
  if (typeof issuer !== 'string' || !isSecureUrl(issuer, true))
    throw new TypeError('issuer must be an https URL (or http on this machine)');
  if (/[?#\s]/.test(issuer)) throw new TypeError('issuer must have no query, fragment or spaces (RFC 8414 §2)');
  if (typeof clientId !== 'string' || clientId === '') throw new TypeError('clientId must be a non-empty string');
  for (const [name, url] of Object.entries({ redirectUri, postLogoutRedirectUri, 'renew.redirectUri': renew?.redirectUri })) {
    if (url !== undefined && !isRedirectUri(url))
      throw new TypeError(`${name} must be a URL: https, http on this machine, or of a scheme with a dot (RFC 8252 §7.1)`);
  }
  if (redirectUri?.includes('#')) throw new TypeError('redirectUri must have no fragment (RFC 6749 §3.1.2)');
}

/** No address of a script or a file. What goes in the clear over a network the flow refuses: a server that renders a page has a host in name only. */
function isRedirectUri(url: unknown): boolean {
  return typeof url === 'string' && URL.canParse(url) && /^(https?|[a-z][\w+-]*\.[\w.+-]+):\//i.test(url);
}

function assertJudgement({ idTokenSigningAlgs, trustedAudiences, clockToleranceS, maxIdTokenAgeS }: Judgement): void {
  const isKnown = (alg: unknown): boolean => typeof alg === 'string' && /^([RPE]S(256|384|512)|EdDSA|Ed25519|ML-DSA-(44|65|87))$/.test(alg);
  if (!Array.isArray(idTokenSigningAlgs) || idTokenSigningAlgs.length === 0 || !idTokenSigningAlgs.every(isKnown)) {
    throw new TypeError('idTokenSigningAlgs must name asymmetric algorithms, such as RS256, ES256, EdDSA; "none" and HS* prove nothing');
  }
  // A text would trust every part of itself
  if (typeof trustedAudiences !== 'function' && !Array.isArray(trustedAudiences))
    throw new TypeError('trustedAudiences must be a list or a function');
  // A text, as of an environment variable, would be put together with another number, and switch the checks off
  if (!(typeof clockToleranceS === 'number' && clockToleranceS >= 0 && clockToleranceS <= 300))
    throw new TypeError('clockToleranceS must be a number of seconds, 0 to 300');
  if (!(typeof maxIdTokenAgeS === 'number' && maxIdTokenAgeS > 0)) throw new TypeError('maxIdTokenAgeS must be a number of more than 0');
}

const KNOWN_PARAMETERS: readonly unknown[] = ['access_token', 'token_type', 'expires_in', 'refresh_token', 'id_token', 'scope'];

function assertExtraParameters(names: readonly string[]): void {
  const isName = (name: unknown): boolean => typeof name === 'string' && name !== '' && !KNOWN_PARAMETERS.includes(name);
  if (!Array.isArray(names) || !names.every(isName))
    throw new TypeError('extraParameters must be a list of names, none of a member that every token response has (RFC 6749 §5.1)');
}

const ON_UNKNOWN_OUTCOME: readonly unknown[] = ['retry', 'defer-until-expiry', 'reauthenticate'] satisfies OnUnknownOutcome[];

function assertRenewal({ reuseLeewayMs = 0, onUnknownOutcome = 'retry', renew }: OAuth2ClientOptions): void {
  if (!(typeof reuseLeewayMs === 'number' && reuseLeewayMs >= 0 && reuseLeewayMs <= 86_400_000))
    throw new TypeError('reuseLeewayMs must be a number of milliseconds, at most a day');
  if (!ON_UNKNOWN_OUTCOME.includes(onUnknownOutcome))
    throw new TypeError('onUnknownOutcome must be "retry", "defer-until-expiry" or "reauthenticate"');
  if (renew !== undefined && typeof renew !== 'function') throw new TypeError('renew must be a function');
}
