/**
 * Sign-in by authorization code with PKCE (RFC 6749 §4.1, RFC 7636, OpenID Connect Core §3.1): `start()` gives the address to send the
 * user to, `resume()` takes the address they came back to.
 *
 * @module
 */
import { assertNothingElse, optionsOf } from '../credential/options.js';
import { assertScope } from '../credential/scope.js';
import type { Token } from '../credential/token.js';
import { CredentialError, isCredentialError, ProtocolError } from '../errors.js';
import type { AuthorizationServer, OAuth2Client } from '../oauth/client.js';
import { endpointIn } from '../oauth/endpoint.js';
import { toldAgain } from '../oauth/passing.js';
import { isSecureUrl } from '../oauth/secure-url.js';
import { isUnsent } from '../oauth/thrown.js';
import type { Platform } from '../platform/platform.js';
import { base64url, randomText, subtleOf } from '../platform/random.js';
import { assertClient, furtherParameters, OF_AUTHORIZATION } from './parameters.js';
import { asked, hideAnswer, isLive, isPromise } from './pending.js';
import { returnPathOf } from './return-path.js';
import { isForIdToken, loginAskedFor, namedResources, type Asked } from './sign-in-options.js';
import { defaultTransactions, wayBackOf, type Transaction, type TransactionStorage } from './transactions.js';

/** Options of the flow. */
export interface AuthorizationCodeFlowOptions {
  /** Default: the session storage of the tab, or memory where there is no page. */
  readonly transactions?: TransactionStorage | undefined;
}

/** Options of one sign-in. */
export interface AuthorizationCodeStartOptions {
  /** Default: the client's scope. */
  readonly scope?: string | undefined;
  /** Seconds since the user last signed in that are acceptable; 0 asks them anew. Checked on return. */
  readonly maxAge?: number | undefined;
  /** Authentication context classes asked for, separated by spaces. To a server they are a wish (OIDC Core §3.1.2.1). */
  readonly acrValues?: string | undefined;
  /**
   * True: they are no wish. The sign-in fails with `id_token_invalid` unless the `acr` of the ID token is one of `acrValues`, as for a
   * resource server that asks for a stronger login (RFC 9470 §5). Default: what an `acr` that a `claims` parameter calls essential says.
   */
  readonly requireAcr?: boolean | undefined;
  /** Where to go afterwards: a path of the application, such as `/orders?page=2`. It is kept with the sign-in, and in no address (9700-1). */
  readonly returnTo?: string | undefined;
  /**
   * Further parameters, such as `prompt`, `login_hint`, `ui_locales`; an empty one is left out. A `resource` (RFC 8707) is that of the token, too, and alone may be a list: the
   * token is for the first, and its refresh token gets others for the rest. One that is not named is not to be had later.
   */
  readonly additionalParameters?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
}

/** A way to sign in that leaves the page and comes back. */
export interface AuthorizationCodeFlow {
  /**
   * The address to send the user to.
   *
   * @throws {TypeError} an option that there is not; a parameter the flow sets itself; `returnTo` is no path of the application; `resource` is
   * none; `maxAge` or `requireAcr` where the scope has no `openid`
   * @throws {CredentialError} `unsupported`: the server takes pushed or signed requests alone (RFC 9126 §5, RFC 9101 §10.5), or shares its
   * redirect URI with another one of the store, and does not say who it is (RFC 9700 §4.4); `storage_failed`: the sign-in could not be kept
   * until its return; and what discovery throws
   */
  start(options?: AuthorizationCodeStartOptions): Promise<URL>;
  /**
   * The validated token of the sign-in the user came back from, ready for `store()`. In a browser the code leaves the address bar before
   * anything else happens (2.1-2): `location.href` is no callback after the first call. Called twice at a time with the same address, one flow
   * exchanges the code once and gives the same token; after a passing failure before the code was sent (class `transient`: of discovery, or
   * of a host that could not be resolved or connected to) it can be called again with that address. What fails once the code was sent has
   * spent the sign-in: where it would be `transient` or `unknown_outcome`, its class is `needs_user` (its `cause` has the former). A page that is
   * loaded anew before the sign-in was completed has lost the code: there the clean address gives `callback_state_unknown`, and `returnToOf` where
   * the user wanted to go.
   *
   * @throws {CredentialError} `callback_invalid`, `callback_state_unknown` (visited twice, cut short, under way in another flow, or never begun here), `issuer_mismatch`,
   * `authorization_failed` (the server or the user said no: see `error`), `storage_failed`, and what the exchange throws
   */
  resume(callbackUrl: string | URL): Promise<Token>;
  /**
   * The `returnTo` of the sign-in that an address answers, once `resume` has settled, whether it succeeded, failed or came too late; `null`:
   * there was none, or the sign-in is not known here. Always a path of the application, whatever was stored.
   */
  returnToOf(callbackUrl: string | URL): string | null;
  /**
   * True if the address looks like an answer to this flow: it has a `state` and a `code` or an `error`. Where its path is not that of the redirect URI,
   * the `state` must look like one of a flow: other parts of a program have answers of their own. Some servers send an error without
   * `state`: at the path of the redirect URI that is an answer, too, which `resume` refuses with `callback_invalid`.
   */
  isCallback(url: string | URL): boolean;
}

/** Of the history entry: the `state` of its sign-in (9700-2: it says nothing of the code). */
const STATE = 'rx-credentials:state';
/** Of `begin`: 32 bytes. */
const OWN_STATE = /^[\w-]{43}$/;
const ANSWER_PARAMETERS = ['code', 'state', 'iss', 'error', 'error_description', 'error_uri', 'session_state'];
const MAX_CALLBACK_CHARACTERS = 32 * 1024;
const MAX_CODE_CHARACTERS = 8 * 1024;
/** Of so many sign-ins that came back it is known where to go. */
const MAX_RETURNED = 1_000;

/** The flow of a client. @throws {TypeError} it is none, or has no `redirectUri` */
export function createAuthorizationCodeFlow(client: OAuth2Client, options: AuthorizationCodeFlowOptions = {}): AuthorizationCodeFlow {
  const { transactions: own, ...rest } = optionsOf(options, 'createAuthorizationCodeFlow');
  let transactions = own;
  assertNothingElse(rest, 'createAuthorizationCodeFlow takes transactions');
  assertClient(client);
  const { platform, issuer, clientId, redirectUri } = client;
  if (redirectUri === undefined) throw new TypeError('the client needs a redirectUri to sign in by authorization code');
  const resuming = new Map<string, Promise<Token>>();
  const returned = new Map<string, string>();
  /** The address that was cleaned last, and what it had answered. */
  let cleaned: { readonly href: string | undefined; readonly state: string | null } | undefined;
  const pending = (): TransactionStorage => (transactions ??= defaultTransactions(platform));

  return {
    start: async (given = {}) => {
      assertStart(optionsOf(given, 'start'));
      const named = namedResources(given.additionalParameters?.['resource']);
      const additionalParameters = furtherParameters(given.additionalParameters, OF_AUTHORIZATION, { resource: named.resource });
      const startOptions = { ...given, additionalParameters, named };
      if (/^http:/i.test(redirectUri) && !isSecureUrl(redirectUri, true))
        throw new CredentialError(
          'unsupported',
          'The redirectUri must be https, or http on this machine: the code would go in the clear.',
          { issuer },
        );
      const metadata = await client.metadata();
      const endpoint = endpointIn(metadata, 'authorization_endpoint', issuer);
      assertAnswerable(metadata, client, redirectUri);
      const transaction = begin(client, redirectUri, startOptions);
      const codeChallenge = await challengeOf(transaction.codeVerifier, platform);
      await keep(transaction);
      const { state, nonce, scope, maxAge } = transaction;
      const parameters: Record<string, string> = {
        client_id: clientId,
        response_type: 'code',
        redirect_uri: redirectUri,
        ...(scope !== '' && { scope }), // RFC 6749 §3.3 has no empty one
        state,
        ...(isForIdToken(scope) && { nonce }),
        code_challenge: codeChallenge,
        code_challenge_method: 'S256',
        ...additionalParameters,
        ...(maxAge !== undefined && { max_age: String(maxAge) }),
        ...(given.acrValues !== undefined && { acr_values: given.acrValues }),
      };
      const url = new URL(endpoint);
      for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
      for (const other of named.resources?.slice(1) ?? []) url.searchParams.append('resource', other);
      return url;
    },
    resume: async (callbackUrl) => {
      const invalid = (what: string): CredentialError => new CredentialError('callback_invalid', `The callback ${what}.`, { issuer });
      if (!URL.canParse(callbackUrl)) throw invalid('is no absolute URL'); // the parser's own error would show the code
      const url = new URL(callbackUrl);
      const state = stateIn(url);
      // Nothing is awaited before: the address is clean when `resume` returns
      const note = state === null ? undefined : { [STATE]: state };
      const restore = isForUs(url) ? hideAnswer(url, ANSWER_PARAMETERS, platform, note) : undefined;
      if (restore) cleaned = { href: platform.page?.url(), state };
      try {
        return await answered(url, state, invalid);
      } finally {
        restore?.(); // a router that is made now may read what is kept with the entry as its own
      }
    },
    returnToOf: (callbackUrl) => {
      const state = URL.canParse(callbackUrl) ? stateIn(new URL(callbackUrl)) : null;
      return returned.get(state ?? '') ?? null;
    },
    isCallback: (given) => {
      if (!URL.canParse(given)) return false;
      const url = new URL(given);
      const { searchParams } = url;
      return isForUs(url) && (searchParams.has('error') || (searchParams.has('state') && searchParams.has('code')));
    },
  };

  /** What came to another path is ours by its `state` alone: hosts move paths, and other parts of a program have answers of their own. */
  function isForUs({ pathname, searchParams }: URL): boolean {
    const isThere = withoutSlash(pathname) === withoutSlash(new URL(redirectUri ?? '').pathname);
    return isThere || OWN_STATE.test(searchParams.get('state') ?? '');
  }

  /** What an answer leads to, if it is one. @throws {CredentialError} */
  function answered(url: URL, state: string | null, invalid: (what: string) => CredentialError): Promise<Token> {
    const { searchParams } = url;
    if (url.href.length > MAX_CALLBACK_CHARACTERS || (searchParams.get('code') ?? '').length > MAX_CODE_CHARACTERS)
      throw invalid('is longer than any answer has to be');
    if (state === null) throw invalid('has no "state" (RFC 6749 §4.1.2)');
    const repeated = ANSWER_PARAMETERS.find((name) => searchParams.getAll(name).length > 1);
    if (repeated) throw invalid(`has the parameter "${repeated}" twice (RFC 6749 §3.1)`); // HT-8
    const running = resuming.get(state) ?? exchange(state, url).finally(() => resuming.delete(state));
    resuming.set(state, running);
    return running;
  }

  /** Where a page was left while its sign-in was under way, the history entry says which: the answer has left the address. */
  function stateIn({ href, searchParams }: URL): string | null {
    const { page } = platform;
    const noted = page?.url() === href && (page.entryState?.()?.[STATE] ?? (cleaned?.href === href && cleaned.state));
    return searchParams.get('state') ?? (typeof noted === 'string' ? noted : null);
  }

  async function keep(transaction: Transaction): Promise<void> {
    await asked(() => pending().put(transaction), issuer);
  }

  /** Takes the sign-in of this state, for good, and exchanges the code (6749-3: at most once). */
  async function exchange(state: string, url: URL): Promise<Token> {
    const found = await taken(state, url);
    if (client.isPrepared()) return spend(found, url);
    // What fails before the code is sent costs no sign-in
    await keep(found);
    await client.metadata();
    return spend(await taken(state, url), url);
  }

  /** Exchanges the code; where the request certainly never left, the sign-in can be taken again. */
  async function spend(transaction: Transaction, url: URL): Promise<Token> {
    let isSpent = false;
    // A page that is loaded anew meanwhile has no answer any more; it can say where the user wanted to go
    const wayBack = platform.page && wayBackOf(transaction);
    let isAside = true;
    const setAside = async (left: Transaction): Promise<void> => {
      const put = asked(() => pending().put(left), issuer);
      isAside = !isPromise(put);
      await put;
    };
    // Nothing waits for it: a storage that does not answer holds up no sign-in
    const aside =
      wayBack &&
      setAside(wayBack)
        .catch(() => undefined)
        .then(() => (isAside = true));
    const isKept = async (error: CredentialError): Promise<boolean> => {
      if (isSpent || !isUnsent(error) || !isAside) return false;
      return keep(transaction).then(
        () => true,
        () => false,
      );
    };
    try {
      const token = await exchangeOf(transaction, url, () => (isSpent = true));
      void aside?.then(() => pending().take(transaction.state)).catch(() => undefined); // else it goes after a day
      return token;
    } catch (error) {
      throw isCredentialError(error) && !(await isKept(error)) ? overWith(error) : error;
    }
  }

  /** @throws {CredentialError} it is not of this flow, or the answer is not to it */
  async function taken(state: string, url: URL): Promise<Transaction> {
    const found = asked(() => pending().take(state), issuer);
    const transaction = isPromise(found) ? await found : found;
    // A storage of the application may give what is older; of that the way back is all that counts
    // So is one whose answer was lost with the page that took it out of the address: its code is nowhere, for the verifier would lie beside it
    const isKnown = transaction && url.searchParams.has('state') && transaction.codeVerifier !== '' && isLive(transaction, platform);
    const isOurs = transaction?.issuer === issuer && transaction.clientId === clientId;
    // Another flow's, which may be tried next, or in this very turn: where the storage answers at once it does not miss its sign-in
    const ofAnother = transaction && !isOurs && (isKnown ? transaction : wayBackOf(transaction));
    if (ofAnother) await keep(ofAnother);
    if (!isKnown || !isOurs) {
      if (isOurs) remember(state, transaction);
      throw new CredentialError(
        'callback_state_unknown',
        'No sign-in with this "state" is under way here: it was completed already or cut short, is older than ten minutes, was one of too many, or began elsewhere.',
        {
          issuer,
        },
      );
    }
    assertOurs(url, client, transaction.redirectUri);
    remember(state, transaction);
    return transaction;
  }

  function remember(state: string, transaction: Transaction): void {
    const returnTo = returnPathOf(transaction.returnTo); // a storage of the application may give anything
    if (returnTo !== null) returned.set(state, returnTo);
    if (returned.size > MAX_RETURNED) for (const [oldest] of [...returned].slice(0, -MAX_RETURNED)) returned.delete(oldest);
  }

  function exchangeOf(transaction: Transaction, url: URL, onAnswer: () => void): Promise<Token> {
    const {
      state,
      nonce,
      codeVerifier,
      redirectUri: sentRedirectUri,
      scope,
      maxAge,
      acrValues,
      requireAcr,
      resource,
      resources,
    } = transaction;
    return client.exchangeCode({
      parameters: url.searchParams,
      state,
      nonce,
      codeVerifier,
      redirectUri: sentRedirectUri,
      scope,
      onAnswer,
      ...(maxAge !== undefined && { maxAge }),
      ...(acrValues !== undefined && { acrValues }),
      ...(requireAcr && { requireAcr }),
      ...(resource !== undefined && { resource }),
      ...(resources !== undefined && { resources }),
    });
  }
}

/** What has ended a sign-in for good: to wait, or to ask again, helps nobody. Its cause is the failure by its own class. */
function overWith(error: CredentialError): CredentialError {
  const { issuer, status, retryAfterMs, class: ownClass } = error;
  if (ownClass !== 'transient' && ownClass !== 'unknown_outcome') return error;
  return toldAgain(error, { issuer, status, retryAfterMs, class: 'needs_user', cause: error });
}

/** @throws {TypeError} an option that there is not: it would be a sign-in that was not meant */
function assertStart({
  scope: _,
  maxAge: __,
  acrValues: ___,
  requireAcr: ____,
  returnTo: _____,
  additionalParameters: ______,
  ...rest
}: AuthorizationCodeStartOptions): void {
  assertNothingElse(rest, 'start takes scope, maxAge, acrValues, requireAcr, returnTo and additionalParameters');
}

/** Fresh secrets for one sign-in: 32 random bytes each. */
function begin(client: OAuth2Client, redirectUri: string, { named, ...options }: Asked): Transaction {
  const { platform, issuer, clientId } = client;
  const returnTo = options.returnTo === undefined ? undefined : returnPathOf(options.returnTo);
  if (returnTo === null) throw new TypeError('returnTo must be a path of this application, such as "/orders"');
  const scope = assertScope(options.scope ?? client.scope, 'scope');
  return {
    state: randomText(platform, 32),
    nonce: randomText(platform, 32),
    codeVerifier: randomText(platform, 32),
    redirectUri,
    issuer,
    clientId,
    scope,
    startedAt: platform.now(),
    ...loginAskedFor(options, scope),
    ...named,
    ...(returnTo !== undefined && { returnTo }),
  };
}

/** S256 and nothing else (RFC 7636 §4.2). */
async function challengeOf(codeVerifier: string, platform: Pick<Platform, 'crypto'>): Promise<string> {
  return base64url(new Uint8Array(await subtleOf(platform).digest('SHA-256', new TextEncoder().encode(codeVerifier))));
}

/**
 * What the server says of itself, if its answer can be told from that of another one, and a plain request is taken at all.
 *
 * @throws {CredentialError} `unsupported`
 */
function assertAnswerable(metadata: AuthorizationServer, { issuer, redirectUrisOfOthers = [] }: OAuth2Client, redirectUri: string): void {
  const unsupported = (what: string): CredentialError => new CredentialError('unsupported', what, { issuer });
  const special = ['require_pushed_authorization_requests', 'require_signed_request_object'].find((name) => metadata[name] === true);
  if (special) throw unsupported(`The authorization server demands what is not supported: ${special}.`);
  const isShared = redirectUrisOfOthers.some((other) => new URL(other).href === new URL(redirectUri).href);
  if (isShared && metadata.authorization_response_iss_parameter_supported !== true)
    throw unsupported(
      'Several servers share this redirectUri, or may, and this one does not say who it is (RFC 9700 §4.4). Use a redirect URI per authorization server.',
    );
}

/**
 * A redirect URI per authorization server says whose answer it is (RFC 9700 §4.4.2.2).
 *
 * @throws {ProtocolError} `issuer_mismatch`
 */
function assertOurs(callback: URL, { issuer, redirectUrisOfOthers = [] }: OAuth2Client, redirectUri: string): void {
  // An address with a query is also one without: it is ours only if it would be theirs in any case
  const isOurs = (other: string): boolean => isAt(callback, redirectUri) && isAt(new URL(redirectUri), other);
  if (redirectUrisOfOthers.every((other) => !isAt(callback, other) || isOurs(other))) return;
  throw new ProtocolError('issuer_mismatch', 'The callback came to the redirect URI of another server (RFC 9700 §4.4.2.2).', { issuer });
}

/** Routers and hosts add and drop it. */
function withoutSlash(path: string): string {
  return path.replace(/\/$/, '');
}

function isAt(callback: URL, redirectUri: string): boolean {
  const { protocol, host, pathname, searchParams } = new URL(redirectUri);
  const isPlace = callback.protocol === protocol && callback.host === host && callback.pathname === pathname;
  return isPlace && [...searchParams].every(([name, value]) => callback.searchParams.getAll(name).includes(value));
}
