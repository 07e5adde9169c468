/**
 * The live handle for a stored token: one object per id for life. It holds nothing itself; what it says is what the store knows.
 *
 * @module
 */
import { defer, distinctUntilChanged, map, takeWhile, type Observable } from 'rxjs';
import { defaultGraceMs, isFresh } from '../credential/expiry.js';
import { normalizeTags } from '../credential/query.js';
import type { CredentialState, CredentialStatus, TokenMetadata } from '../credential/state.js';
import type { IdTokenClaims, Token } from '../credential/token.js';
import { CredentialError } from '../errors.js';
import type { OAuth2Client, UserInfo } from '../oauth/client.js';
import { tombstoneOf } from './drafts.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';
import type { RefreshRequest } from './refresh.js';
import type { RevokeResult, RevokeTarget } from './revocation.js';

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
  /** The token must be good for this many milliseconds more. Default: 30 s or a quarter of the lifetime, whichever is less. */
  readonly minValidityMs?: number;
  /** Renews even a valid token. Default `false`. */
  readonly forceRefresh?: boolean;
  /** Ends the waiting, never the refresh. */
  readonly signal?: AbortSignal;
}

/** The one live handle for a stored token. */
export interface Credential extends CredentialView {
  /** The token; `null` when the credential is gone or the user must sign in. It may have expired: `accessToken()` renews. */
  readonly token: Token | null;
  /** What is known without the token; a snapshot. */
  readonly metadata: TokenMetadata;
  /** The whole frozen snapshot. After the credential was removed: the last one there was. */
  readonly state: CredentialState;
  readonly token$: Observable<Token | null>;
  /** Replays; a new snapshot on each change; completes when the credential is removed. */
  readonly state$: Observable<CredentialState>;
  readonly status$: Observable<CredentialStatus>;
  /**
   * An access token that is valid by our clock, renewed if it has to be. If the renewal fails and the token at hand has not expired
   * yet, that one is returned.
   *
   * @throws {CredentialError} `needs_sign_in`, `needs_interaction`, `no_refresh_token`, `credential_removed`, `store_closed`, `aborted`,
   * or what the renewal failed with
   */
  accessToken(options?: AccessTokenOptions): Promise<string>;
  /** Renews the token. Callers at the same time share one request; all tabs together send one. Resolves when the new token is stored. */
  refresh(): Promise<Token>;
  /** The same as a stream: each subscription asks anew, unsubscribing does not cancel what was sent. */
  refresh$(): Observable<Token>;
  /** Renews if the token is good for no more than `graceMs` milliseconds; 0 means only once it has expired. */
  refreshIfNeeded(graceMs?: number): Promise<Token>;
  /** Replaces all tags. @throws {TypeError} not a list of non-empty strings */
  setTags(tags: readonly string[]): Promise<void>;
  /** Asks the server for the user's claims (OpenID Connect Core §5.3). */
  userInfo(): Promise<UserInfo>;
  /** Revokes at the server (RFC 7009) and removes here, whatever the server answers; `'access'` removes only if there is no refresh token. */
  revoke(target?: RevokeTarget): Promise<RevokeResult>;
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
  /** Resolves once storage was read. @throws {CredentialError} `store_closed` */
  readonly open: () => Promise<void>;
  /** `close` waits for what is run here. */
  readonly running: <T>(command: Promise<T>) => Promise<T>;
  readonly refresh: (id: string, request: RefreshRequest) => Promise<Token>;
  readonly revoke: (id: string, target: RevokeTarget) => Promise<RevokeResult>;
  readonly clientOf: (id: string) => OAuth2Client | undefined;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** Makes handles. */
export interface CredentialFactory {
  create(state: CredentialState): Credential;
  /** Tells a handle the last state of its credential, which is gone. */
  retire(handle: Credential, last: CredentialState): void;
}

/** Makes the handles of one store. They share their methods: ten thousand credentials are ten thousand small objects. */
export function createCredentialFactory(context: CredentialContext): CredentialFactory {
  const { ledger, loop, now } = context;
  const prototype = {
    get token() {
      return ledger.token(idOf(this));
    },
    get state() {
      return stateOf(this);
    },
    get claims() {
      return stateOf(this).claims;
    },
    get tags() {
      return stateOf(this).tags;
    },
    get status() {
      return stateOf(this).status;
    },
    get metadata(): TokenMetadata {
      const { id, tokenType, scope, issuedAt, expiresAt, claims, context: origin, tags } = stateOf(this);
      return { id, tokenType, scope, issuedAt, expiresAt, claims, context: origin, tags };
    },
    get token$() {
      return tokenStream(context, idOf(this));
    },
    get state$() {
      return stateStream(context, idOf(this));
    },
    get status$() {
      return stateStream(context, idOf(this)).pipe(
        map((state) => state.status),
        distinctUntilChanged((a, b) => a.token === b.token && a.activity === b.activity),
      );
    },
    accessToken(options?: AccessTokenOptions): Promise<string> {
      const id = idOf(this);
      if (options === undefined) {
        const record = ledger.record(id);
        const good = record?.state === 'active' && isFresh(record, now(), defaultGraceMs(record)) && context.clientOf(id) && !loop.closed();
        if (good && record.secrets) {
          return Promise.resolve(record.secrets.accessToken);
        }
      }
      return abortable(() => renewed(context, id, options ?? {}), options?.signal);
    },
    async refresh(): Promise<Token> {
      const id = idOf(this);
      await context.open();
      return context.refresh(id, { minValidityMs: null });
    },
    refresh$(): Observable<Token> {
      return defer(() => prototype.refresh.call(this));
    },
    async refreshIfNeeded(graceMs?: number): Promise<Token> {
      const id = idOf(this);
      assertDuration(graceMs, 'graceMs');
      await context.open();
      return current(context, id, graceMs);
    },
    async setTags(tags: readonly string[]): Promise<void> {
      const id = idOf(this);
      const normalized = normalizeTags(tags);
      await context.open();
      const written = await context.running(
        ledger.update(id, (record) => (record.state === 'removed' ? null : { ...record, tags: normalized })),
      );
      if (!written) throw gone();
    },
    async userInfo(): Promise<UserInfo> {
      const id = idOf(this);
      await context.open();
      const token = await current(context, id);
      const client = context.clientOf(id);
      if (!client)
        throw new CredentialError('client_unknown', 'The credential belongs to a client that is not configured; nothing is sent for it.');
      try {
        return await client.userInfo(token);
      } catch (error) {
        const refused = error instanceof CredentialError && error.status === 401 && token.refreshToken !== undefined;
        if (!refused) throw error;
        await context.open(); // the store may have been closed meanwhile
        return client.userInfo(await context.refresh(id, { minValidityMs: null }));
      }
    },
    async revoke(target: RevokeTarget = 'all'): Promise<RevokeResult> {
      const id = idOf(this);
      if (!['all', 'access', 'refresh'].includes(target)) throw new TypeError('target must be "all", "access" or "refresh"');
      await context.open();
      return context.revoke(id, target);
    },
    async remove(): Promise<void> {
      const id = idOf(this);
      await context.open();
      await context.running(ledger.update(id, (record) => (record.state === 'removed' ? null : tombstoneOf(record))));
    },
    toJSON(): CredentialView {
      const { id, claims, tags, status } = stateOf(this);
      return { id, claims, tags, status };
    },
    toString(): string {
      return `Credential(${idOf(this)})`;
    },
    [INSPECT](): CredentialView {
      return prototype.toJSON.call(this);
    },
  };
  /** What a handle of a removed credential still says. */
  const lastStates = new WeakMap<object, CredentialState>();
  const stateOf = (handle: object): CredentialState => {
    const state = loop.stateOf(idOf(handle)) ?? lastStates.get(handle);
    if (!state) throw gone();
    return state;
  };
  return {
    create: (state) => Object.freeze(Object.create(prototype, { id: { value: state.id, enumerable: true } }) as Credential),
    retire: (handle, last) => void lastStates.set(handle, last),
  };
}

/** The token of a credential as a stream; `null` when it is absent, removed or needs sign-in. */
export function tokenStream({ ledger, loop }: Pick<CredentialContext, 'ledger' | 'loop'>, id: string): Observable<Token | null> {
  return loop.ready$.pipe(
    map(() => ledger.token(id)),
    distinctUntilChanged(),
  );
}

function stateStream({ loop }: CredentialContext, id: string): Observable<CredentialState> {
  return loop.ready$.pipe(
    map(() => loop.stateOf(id)),
    takeWhile((state) => state !== undefined),
    distinctUntilChanged(),
  );
}

/** The access token after whatever renewal it needs. */
async function renewed(context: CredentialContext, id: string, { minValidityMs, forceRefresh }: AccessTokenOptions): Promise<string> {
  assertDuration(minValidityMs, 'minValidityMs');
  await context.open();
  const token = forceRefresh ? await context.refresh(id, { minValidityMs: null }) : await current(context, id, minValidityMs);
  return token.accessToken;
}

/** The token if it is good for long enough, else a new one, else the old one as long as it lives. */
async function current(context: CredentialContext, id: string, graceMs?: number): Promise<Token> {
  const { ledger, now } = context;
  const record = ledger.record(id);
  if (record?.state === 'needs_sign_in')
    throw new CredentialError('needs_sign_in', 'The user must sign in again.', { issuer: record.context.issuer });
  const token = ledger.token(id);
  if (!token) throw gone();
  if (!context.clientOf(id))
    throw new CredentialError('client_unknown', 'The credential belongs to a client that is not configured; it is not used.');
  const minValidityMs = graceMs ?? defaultGraceMs(token);
  if (isFresh(token, now(), minValidityMs)) return token;
  try {
    return await context.refresh(id, { minValidityMs });
  } catch (error) {
    const kept = ledger.token(id);
    if (kept && graceMs === undefined && isFresh(kept, now(), 0)) return kept;
    throw error;
  }
}

function assertDuration(value: unknown, name: string): void {
  if (value !== undefined && !(typeof value === 'number' && value >= 0))
    throw new TypeError(`${name} must be a number of milliseconds, 0 or more`);
}

/** A caller's own end to waiting. What it waited for goes on. */
function abortable<T>(ask: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return ask();
  const aborted = new CredentialError('aborted', 'The caller stopped waiting; the refresh itself goes on.');
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(aborted);
    if (signal.aborted) return stop(); // nothing is asked
    signal.addEventListener('abort', stop, { once: true });
    ask()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}

function idOf(handle: object): string {
  return (handle as { readonly id: string }).id;
}

/** What commands on a removed credential are told. */
export function gone(): CredentialError {
  return new CredentialError('credential_removed', 'The credential was removed or is being revoked.');
}
