/**
 * The live handle for a stored token: one object per id for life. It holds nothing itself; what it says is what the store knows.
 *
 * @module
 */
import { defer, distinctUntilChanged, map, takeWhile, type Observable } from 'rxjs';
import type { ResourceChallenge } from '../credential/actions.js';
import type { CredentialState, CredentialStatus, TokenMetadata } from '../credential/state.js';
import type { IdTokenClaims, Token } from '../credential/token.js';
import type { Introspection, OAuth2Client, UserInfo } from '../oauth/client.js';
import type { Holding, Ledger, Live } from './ledger.js';
import type { Living } from './living.js';
import type { Loop } from './loop.js';
import type { TokenTypeHint } from './questions.js';
import type { RevokeResult, RevokeTarget } from './revocation.js';
import type { SignOutOptions, SignOutResult } from './sign-out.js';
import { tokenAtHand, tokenStream } from './token-stream.js';
import { abortable, assertDuration, currentToken, gone, ofUser, shared, usableAccessToken } from './usable-token.js';

/** How long what the monotonic clock said stands while the wall clock goes on as it should. */
const COMPARED_FOR_MS = 1_000;

/** What a browser behind a backend can know of a credential, too. */
export interface CredentialView {
  readonly id: string;
  /** Claims of the validated ID token; `null` where there is none. */
  readonly claims: IdTokenClaims | null;
  readonly tags: readonly string[];
  readonly status: CredentialStatus;
}

/** Options of `accessToken`. */
export interface AccessTokenOptions {
  /**
   * The token must be good for this many milliseconds more. Default: 30 s or a quarter of the lifetime, whichever is less. What the lifetime is too
   * short for is no request for each call: then a token serves until a quarter of its lifetime has gone, and any serves for 5 s, or a quarter of a shorter lifetime.
   */
  readonly minValidityMs?: number | undefined;
  /** Renews even a valid token. Default `false`. */
  readonly forceRefresh?: boolean | undefined;
  /**
   * The access token that a resource server has just refused (401): renewed, unless another is at hand already. Where a renewal failed a
   * moment ago, its error is given once more, and nothing is sent.
   */
  readonly refused?: string | undefined;
  /** Less scope than was granted, separated by spaces (RFC 6749 §6): a token for it alone is asked for; a server may give more. */
  readonly scope?: string | undefined;
  /**
   * Another protected resource: an absolute URI (RFC 8707 §2.2). The credential itself keeps its token. Name it at the sign-in, too: what was not named
   * is refused, here or by the server, and there the session may be lost.
   */
  readonly resource?: string | undefined;
  /** Ends the waiting, never the refresh. */
  readonly signal?: AbortSignal | undefined;
}

/** The one live handle for a stored token. */
export interface Credential extends CredentialView {
  /**
   * The token; `null` when the credential is gone or the user must sign in, and while it is sealed: `accessToken()` and `token$` open it.
   * It may have expired: `accessToken()` renews.
   */
  readonly token: Token | null;
  /** What is known without the token; a snapshot. */
  readonly metadata: TokenMetadata;
  /**
   * The whole frozen snapshot. After the credential was removed: the last one there was, as one that has expired for good, so that `isSignedIn`
   * is false, and that is nobody's default.
   */
  readonly state: CredentialState;
  /** Replays; what is sealed is opened first. What cannot be opened for now is tried again, and until then nothing new is said. */
  readonly token$: Observable<Token | null>;
  /** Replays; a new snapshot on each change. When the credential is removed the last one, as `state` has it, then it completes; so it does for who comes later. */
  readonly state$: Observable<CredentialState>;
  /** Replays, and ends, as `state$` does. */
  readonly status$: Observable<CredentialStatus>;
  /**
   * An access token that is valid by our clock, renewed if it has to be; what was renewed for this call is given, though its time was over when
   * it arrived. If the renewal fails and the token at hand has not expired yet, that one is returned, unless `minValidityMs`, `forceRefresh` or
   * `refused` asks for another.
   *
   * @throws {CredentialError} `needs_sign_in`, `needs_interaction`, `no_refresh_token`, `credential_removed`, `store_closed`, `aborted`,
   * `renewal_failed`, or what the renewal failed with; {TypeError} an option that is wrong or unknown
   */
  accessToken(options?: AccessTokenOptions): Promise<string>;
  /** Renews the token. Callers at the same time share one request; all tabs together send one. Resolves when the new token is stored. */
  refresh(): Promise<Token>;
  /** The same as a stream: each subscription asks anew, unsubscribing does not cancel what was sent. */
  refresh$(): Observable<Token>;
  /** Renews if the token is good for no more than `graceMs` milliseconds, as `minValidityMs`; 0 means only once it has expired. */
  refreshIfNeeded(graceMs?: number): Promise<Token>;
  /** Replaces all tags. @throws {TypeError} not a list of non-empty strings */
  setTags(tags: readonly string[]): Promise<void>;
  /**
   * For adapters: what a resource server asks for becomes an event, `challenged`, without words that show a token; nothing is asked of
   * anybody. Resolves once there was the event.
   *
   * @throws {CredentialError} `needs_sign_in`, `credential_removed`, `store_closed`: there is no event
   */
  reportChallenge(challenge: ResourceChallenge): Promise<void>;
  /** Asks the server for the user's claims (OpenID Connect Core §5.3). */
  userInfo(): Promise<UserInfo>;
  /**
   * Asks the server whether a token is active (RFC 7662); nothing is renewed for it. Many servers let public clients ask about their own
   * tokens, some let none.
   *
   * @throws {CredentialError} `endpoint_missing`, `no_refresh_token`, or what the server answers
   */
  introspect(hint: TokenTypeHint): Promise<Introspection>;
  /**
   * A new request with this credential's `Authorization` header, from what `fetch` takes; renews the token if it has to be. A header that is
   * there already stays. No allow-list is asked: the caller says where the token goes.
   *
   * @throws {CredentialError} as `accessToken` does; `unsupported` for a token that is bound to a key; {TypeError} no https URL (http is
   * for this machine only), or the mode `no-cors`, which has no such header
   */
  authorize(input: string | URL | Request, init?: RequestInit): Promise<Request>;
  /**
   * Revokes at the server (RFC 7009) and removes here, whatever the server answers; `'access'` removes only if there is no refresh token. Some
   * servers end more than was asked for: with an access token its refresh token, with either all sign-ins of the user at this client.
   */
  revoke(target?: RevokeTarget): Promise<RevokeResult>;
  /**
   * Signs the user out: revokes all tokens, removes the credential, and with a flow gives the address that ends the session of the server.
   * Takes no longer than revoking, and depends on no server. Then an event says `signed_out`.
   *
   * @throws {CredentialError} `credential_removed`; {TypeError} a wrong option, also a parameter that a logout sets itself: nothing was done
   */
  signOut(options?: SignOutOptions): Promise<SignOutResult>;
  /** Forgets the credential here and in all tabs; the server is not asked. */
  remove(): Promise<void>;
  /** The redacted form. */
  toJSON(): CredentialView;
}

/** What handles need of their store. */
export interface CredentialContext {
  readonly ledger: Ledger;
  readonly loop: Loop;
  readonly now: () => number;
  readonly monotonicNow: () => number;
  /** Until when what is held in memory may be used without asking: not while the store is behind the others, nor after `close`. */
  readonly trust: { until: number };
  /** Ids of credentials that were used since they were last renewed: these are renewed ahead. */
  readonly used: Set<string>;
  /** Resolves once storage was read and nothing is to be caught up with. @throws {CredentialError} `store_closed` */
  readonly open: () => Promise<void>;
  /** Runs a command once the store is open; `close` waits for it. @throws {CredentialError} `store_closed` */
  readonly command: <T>(run: (living: Living) => Promise<T>) => Promise<T>;
  readonly living: () => Promise<Living>;
  readonly isClosing: () => boolean;
  readonly clientOf: (id: string) => OAuth2Client | undefined;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** Makes handles. */
export interface CredentialFactory {
  create(holding: Holding): Credential;
  /** Tells a handle the last state of its credential, which is gone. */
  retire(handle: Credential, last: CredentialState): void;
}

/** Makes the handles of one store. They share their methods: ten thousand credentials are ten thousand small objects. */
export function createCredentialFactory(context: CredentialContext): CredentialFactory {
  const { ledger, loop, now, monotonicNow, trust, command } = context;
  /** Asks the monotonic clock once a second, and when the other went back: to read a clock is half of what this costs. */
  const isWithinLife = (live: Live, instant: number): boolean => {
    const sinceMs = instant - live.comparedAt;
    if (sinceMs >= 0 && sinceMs < COMPARED_FOR_MS) return true;
    if (monotonicNow() >= live.monotonicUntil) return false;
    live.comparedAt = instant;
    return true;
  };
  /** What a handle of a removed credential still says. */
  const lastStates = new WeakMap<object, CredentialState>();

  /** A class for its private field: the way from a handle to what is at hand must cost next to nothing. */
  class Handle implements Credential {
    readonly #own: Holding;
    declare readonly id: string;

    constructor(own: Holding) {
      this.#own = own;
      Object.defineProperty(this, 'id', { value: own.id, enumerable: true });
      Object.freeze(this);
    }
    get token(): Token | null {
      return tokenAtHand(ledger, this.#own) ?? null;
    }
    get state(): CredentialState {
      const state = lastStates.get(this) ?? loop.stateOf(this.id);
      if (!state) throw gone();
      return state;
    }
    get claims(): IdTokenClaims | null {
      return this.state.claims;
    }
    get tags(): readonly string[] {
      return this.state.tags;
    }
    get status(): CredentialStatus {
      return this.state.status;
    }
    get metadata(): TokenMetadata {
      const { id, tokenType, scope, issuedAt, expiresAt, claims, context: origin, tags } = this.state;
      return { id, tokenType, scope, issuedAt, expiresAt, claims, context: origin, tags };
    }
    get token$(): Observable<Token | null> {
      return tokenStream(context, this.id, this.#own);
    }
    get state$(): Observable<CredentialState> {
      return loop.ready$.pipe(
        map(() => this.state),
        takeWhile((state) => state !== lastStates.get(this), true),
        distinctUntilChanged(),
      );
    }
    get status$(): Observable<CredentialStatus> {
      return this.state$.pipe(
        map((state) => state.status),
        distinctUntilChanged((a, b) => a.token === b.token && a.activity === b.activity),
      );
    }
    accessToken(options?: AccessTokenOptions): Promise<string> {
      const { live } = this.#own;
      if (live !== undefined && options === undefined) {
        const instant = now();
        if (instant < live.until && instant < trust.until && isWithinLife(live, instant)) return live.accessToken;
      }
      if (lastStates.has(this)) return Promise.reject(gone());
      if (options === undefined) return shared(context, this.#own);
      return abortable(() => usableAccessToken(context, this.#own, options), (options as AccessTokenOptions | null)?.signal);
    }
    async refresh(): Promise<Token> {
      return ofUser(ledger, this.#own, () => command((living) => living.refresh(this.#own, { minValidityMs: null })));
    }
    refresh$(): Observable<Token> {
      return defer(() => this.refresh());
    }
    async refreshIfNeeded(graceMs?: number): Promise<Token> {
      assertDuration(graceMs, 'graceMs');
      return ofUser(ledger, this.#own, async () => {
        await context.open();
        return currentToken(context, this.#own, graceMs);
      });
    }
    async setTags(tags: readonly string[]): Promise<void> {
      return command((living) => living.setTags(this.#own, tags));
    }
    async reportChallenge(challenge: ResourceChallenge): Promise<void> {
      await context.open();
      await (await context.living()).reportChallenge(this.#own, challenge);
    }
    async userInfo(): Promise<UserInfo> {
      return this.#asked((living) => living.userInfo(this.#own));
    }
    async introspect(hint: TokenTypeHint): Promise<Introspection> {
      return this.#asked((living) => living.introspect(this.#own, hint));
    }
    async authorize(input: string | URL | Request, init?: RequestInit): Promise<Request> {
      return this.#asked((living) => living.authorize(this, input, init));
    }
    async revoke(target: RevokeTarget = 'all'): Promise<RevokeResult> {
      return command((living) => living.revoke(this.#own, target));
    }
    async signOut(options: SignOutOptions = {}): Promise<SignOutResult> {
      return command((living) => living.signOut(this.#own, options));
    }
    async remove(): Promise<void> {
      return command((living) => living.remove(this.#own));
    }
    #asked<T>(ask: (living: Living) => Promise<T>): Promise<T> {
      const asked = async (): Promise<T> => (await context.open(), ask(await context.living())); // no command: `close` does not wait for it
      return ofUser(ledger, this.#own, asked);
    }
    toJSON(): CredentialView {
      const { id, claims, tags, status } = this.state;
      return { id, claims, tags, status };
    }
    toString(): string {
      return `Credential(${this.id})`;
    }
    [INSPECT](): CredentialView {
      return this.toJSON();
    }
  }
  return {
    create: (holding) => new Handle(holding),
    retire: (handle, last) => void lastStates.set(handle, last),
  };
}
