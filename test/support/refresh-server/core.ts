// The authorization server without any I/O: grants, refresh tokens, access tokens, and a log. Every call is synchronous, so a request is handled whole or
// not at all, as in a server whose database transactions are serializable.
import { descendants, judge, type RefreshMode, type RefreshToken, type Rules, type Verdict } from './modes';

export interface CoreOptions {
  readonly mode: RefreshMode;
  /** Milliseconds; see {@link Rules}. Default 10 000. */
  readonly leewayMs?: number;
  /** See {@link Rules}. Default `revoke-family`. */
  readonly lateReuse?: Rules['lateReuse'];
  /** Epoch milliseconds. Default: the wall clock. */
  readonly now?: () => number;
  /** Life of an access token in seconds, told as `expires_in`. Default 600. */
  readonly expiresInS?: number;
  /** The one public client. Default `spa`. */
  readonly clientId?: string;
  /** What revoking a refresh token ends: the whole grant (default), or that token alone, so that a child nobody revokes stays alive. */
  readonly revocation?: 'grant' | 'token';
  /** Whether first and refresh answers carry an ID token. Default false. */
  readonly idTokens?: boolean;
}

export interface GrantOptions {
  /** Default `openid profile api:read api:write`. */
  readonly scope?: string;
  /** RFC 8707 resources that may be asked for; default none. */
  readonly resources?: readonly string[];
}

/**
 * What became of a token request. `kept`, `rotated`, `reused` (mode `open`), `reused-in-leeway`, `parent-ok`: answered with tokens;
 * `reuse-refused`, `reuse-revoked-family`: a late use; `revoked`, `unknown-token`: `invalid_grant` for other reasons; `bad-request`: any
 * other OAuth error, with nothing spent; `dropped`: a fault kept it from the server, which did nothing.
 */
export type Outcome = Verdict['outcome'] | 'unknown-token' | 'bad-request' | 'dropped';

/** A token request. It holds no token. */
export interface LogEntry {
  /** Counts from 1. */
  readonly number: number;
  /** Epoch milliseconds. */
  readonly at: number;
  /** Grant of the token that was presented; `null`: not known. */
  readonly grant: string | null;
  /** Index of the token that was presented. */
  readonly presented: number | null;
  /** Index of the refresh token in the answer. */
  readonly issued: number | null;
  readonly outcome: Outcome;
  /** A spent or superseded token reached the server, whatever was made of it. */
  readonly reuse: boolean;
  /** OAuth error code of the server's own answer. */
  readonly error?: string;
  /** The fault that was planned for this request. */
  readonly fault?: string;
}

/** RFC 6749 §5.1. */
export interface TokenBody {
  readonly access_token: string;
  readonly token_type: 'Bearer';
  readonly expires_in: number;
  readonly scope: string;
  readonly refresh_token?: string;
}

/** Claims of an ID token but for `iss`, which the face knows; times in epoch seconds. */
export type IdTokenClaims = Readonly<Record<'sub' | 'aud' | 'jti', string> & Record<'iat' | 'exp' | 'auth_time', number>>;

export interface TokenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: TokenBody | { readonly error: string; readonly error_description: string };
  readonly commit: LogEntry;
  /** To be signed and put into the body as `id_token`. */
  readonly idToken?: IdTokenClaims;
}

export interface GrantView {
  readonly id: string;
  readonly sub: string;
  readonly scope: string;
  readonly state: 'live' | 'revoked';
  /** How many refresh tokens it had. */
  readonly issued: number;
  /** Indices of the tokens that are neither spent nor over: one of them is what a client should hold. */
  readonly current: readonly number[];
  /** Indices of the tokens that would be answered with tokens if they were presented now. */
  readonly honoured: readonly number[];
}

export interface TokenView {
  readonly kind: 'access' | 'refresh';
  readonly grant: string;
  /** Of refresh tokens. */
  readonly index?: number;
  readonly live: boolean;
}

export interface Counts {
  /** Token requests, dropped ones included. */
  readonly requests: number;
  /** Requests that presented a spent or superseded token: 0 for a client that never sends one twice. */
  readonly reuse: number;
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>;
  readonly faults: Readonly<Record<string, number>>;
}

export interface AccessTokenInfo {
  readonly sub: string;
  readonly scope: string;
  readonly resource: readonly string[];
}

export interface Core {
  readonly clientId: string;
  /** A new grant, as after a sign-in, with its first tokens. */
  authorize(sub: string, options?: GrantOptions): Omit<TokenAnswer, 'body' | 'commit'> & { readonly body: TokenBody };
  /** RFC 6749 §6. `fault` is for the log. */
  token(form: URLSearchParams, fault?: string): TokenAnswer;
  /** Notes a token request that never came to the server. */
  drop(form: URLSearchParams, fault: string): void;
  /** RFC 7009 §2: 200 for any token, known or not. */
  revoke(form: URLSearchParams): Pick<TokenAnswer, 'status' | 'headers'> & { readonly body?: TokenAnswer['body'] };
  /** What a resource server learns of an access token; `undefined`: unknown, expired, or of a revoked grant. */
  access(accessToken: string): AccessTokenInfo | undefined;
  /** Whether a token would be honoured now. A spent refresh token within its leeway is live. */
  isLive(token: string): boolean;
  lookUp(token: string): TokenView | undefined;
  grants(): readonly GrantView[];
  log(): readonly LogEntry[];
  counts(): Counts;
  resetLog(): void;
  /** Ends an access token before its time; `all`: every one issued so far. False: not known. */
  expireAccessToken(accessToken: string): boolean;
  /** The server ends a grant, as an administrator would. False: not known. */
  revokeGrant(id: string): boolean;
}

interface Grant {
  readonly id: string;
  readonly sub: string;
  readonly scope: string;
  readonly resources: readonly string[];
  readonly authTime: number;
  readonly tokens: RefreshToken[];
  state: 'live' | 'revoked';
}

interface AccessToken extends AccessTokenInfo {
  readonly grant: Grant;
  expiresAt: number;
}

const HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' };
type Failure = readonly [error: string, description: string, status?: number];

/** The server's state and its synchronous operations. */
export function createCore(options: CoreOptions): Core {
  const { mode, leewayMs = 10_000, lateReuse = 'revoke-family', now = () => Date.now(), expiresInS = 600 } = options;
  const { clientId = 'spa', revocation = 'grant', idTokens = false } = options;
  const rules: Rules = { mode, leewayMs, lateReuse };
  const grants = new Map<string, Grant>();
  const refreshTokens = new Map<string, { readonly grant: Grant; readonly token: RefreshToken }>();
  const accessTokens = new Map<string, AccessToken>();
  let entries: LogEntry[] = [];
  let idTokensIssued = 0;

  const judged = (grant: Grant, token: RefreshToken): Verdict =>
    grant.state === 'live' ? judge(rules, grant.tokens, token, now()) : { kind: 'refuse', outcome: 'revoked' };

  const issueRefreshToken = (grant: Grant, parent: number | null): RefreshToken => {
    const index = grant.tokens.length;
    const token: RefreshToken = { value: unguessable(`rt-${grant.id}-${index}`), index, parent, spentAt: null, child: null, end: null };
    grant.tokens.push(token);
    refreshTokens.set(token.value, { grant, token });
    return token;
  };
  const issueAccessToken = (grant: Grant, scope: string, resource: readonly string[]): string => {
    const value = unguessable(`at-${grant.id}-${accessTokens.size}`);
    accessTokens.set(value, { grant, sub: grant.sub, scope, resource, expiresAt: now() + expiresInS * 1000 });
    return value;
  };
  /** Applies a verdict that gives tokens: the refresh token of the answer, if there is one. */
  const commit = (grant: Grant, token: RefreshToken, verdict: Exclude<Verdict, { kind: 'refuse' }>): RefreshToken | undefined => {
    if (verdict.kind === 'keep') return undefined;
    if (verdict.kind === 'repeat') return grant.tokens[verdict.child];
    if (verdict.supersede) for (const older of descendants(grant.tokens, token)) older.end ??= 'superseded';
    const child = issueRefreshToken(grant, token.index);
    token.spentAt ??= now();
    token.child = child.index;
    return child;
  };

  const record = (entry: Omit<LogEntry, 'number' | 'at'>): LogEntry => {
    const logged = { number: entries.length + 1, at: now(), ...entry };
    entries.push(logged);
    return logged;
  };
  const entryOf = (form: URLSearchParams, outcome: Outcome, fault?: string): Omit<LogEntry, 'number' | 'at'> => {
    const known = refreshTokens.get(form.get('refresh_token') ?? '');
    const reuse = outcome !== 'dropped' && known !== undefined && (known.token.spentAt !== null || known.token.end === 'superseded');
    const place = { grant: known?.grant.id ?? null, presented: known?.token.index ?? null, issued: null };
    return { ...place, outcome, reuse, ...(fault !== undefined && { fault }) };
  };
  const refused = (entry: Omit<LogEntry, 'number' | 'at'>, [error, error_description, status = 400]: Failure): TokenAnswer => ({
    status,
    headers: HEADERS,
    body: { error, error_description },
    commit: record({ ...entry, error }),
  });
  const granted = (
    grant: Grant,
    refresh: RefreshToken | undefined,
    scope = grant.scope,
    resource: readonly string[] = [],
  ): Omit<TokenAnswer, 'body' | 'commit'> & { readonly body: TokenBody } => {
    const access_token = issueAccessToken(grant, scope, resource);
    const iat = Math.floor(now() / 1000);
    const jti = `id-${++idTokensIssued}`; // or one of the same second would be the one of before, said again
    return {
      status: 200,
      headers: HEADERS,
      body: { access_token, token_type: 'Bearer', expires_in: expiresInS, scope, ...(refresh && { refresh_token: refresh.value }) },
      ...(idTokens && { idToken: { sub: grant.sub, aud: clientId, jti, iat, exp: iat + 3600, auth_time: grant.authTime } }),
    };
  };

  const isAccess = (token: AccessToken | undefined): token is AccessToken =>
    token !== undefined && token.grant.state === 'live' && now() < token.expiresAt;
  const lookUp = (value: string): TokenView | undefined => {
    const refresh = refreshTokens.get(value);
    if (refresh) {
      const live = judged(refresh.grant, refresh.token).kind !== 'refuse';
      return { kind: 'refresh', grant: refresh.grant.id, index: refresh.token.index, live };
    }
    const access = accessTokens.get(value);
    return access && { kind: 'access', grant: access.grant.id, live: isAccess(access) };
  };

  return {
    clientId,
    authorize: (sub, { scope = 'openid profile api:read api:write', resources = [] } = {}) => {
      const id = `g${grants.size + 1}`;
      const grant: Grant = { id, sub, scope, resources, authTime: Math.floor(now() / 1000), tokens: [], state: 'live' };
      grants.set(id, grant);
      return granted(grant, issueRefreshToken(grant, null));
    },
    token: (form, fault) => {
      const malformed = formError(form, clientId);
      if (malformed) return refused(entryOf(form, 'bad-request', fault), malformed);
      const known = refreshTokens.get(form.get('refresh_token') ?? '');
      if (!known) return refused(entryOf(form, 'unknown-token', fault), ['invalid_grant', 'unknown refresh token']);
      const { grant, token } = known;
      const verdict = judged(grant, token);
      const entry = entryOf(form, verdict.outcome, fault);
      if (verdict.kind === 'refuse') {
        if (verdict.outcome === 'reuse-revoked-family') grant.state = 'revoked';
        return refused(entry, ['invalid_grant', `the refresh token is not valid: ${verdict.outcome}`]);
      }
      const scope = form.get('scope') ?? grant.scope;
      const resource = form.getAll('resource');
      const failure = narrowingError(grant, scope, resource);
      if (failure) return refused({ ...entry, outcome: 'bad-request' }, failure);
      const refresh = commit(grant, token, verdict);
      return { ...granted(grant, refresh, scope, resource), commit: record({ ...entry, issued: refresh?.index ?? null }) };
    },
    drop: (form, fault) => void record(entryOf(form, 'dropped', fault)),
    revoke: (form) => {
      const token = form.get('token') ?? '';
      if (form.get('client_id') !== clientId)
        return { status: 401, headers: HEADERS, body: oauthError('invalid_client', 'unknown client') };
      if (token === '') return { status: 400, headers: HEADERS, body: oauthError('invalid_request', 'token is missing') };
      const access = accessTokens.get(token);
      if (access) access.expiresAt = 0;
      const refresh = refreshTokens.get(token);
      if (refresh && revocation === 'grant') refresh.grant.state = 'revoked';
      if (refresh && revocation === 'token') refresh.token.end = 'revoked';
      return { status: 200, headers: { 'cache-control': 'no-store' } };
    },
    access: (accessToken) => {
      const token = accessTokens.get(accessToken);
      return isAccess(token) ? { sub: token.sub, scope: token.scope, resource: token.resource } : undefined;
    },
    isLive: (token) => lookUp(token)?.live ?? false,
    lookUp,
    grants: () =>
      [...grants.values()].map((grant) => ({
        id: grant.id,
        sub: grant.sub,
        scope: grant.scope,
        state: grant.state,
        issued: grant.tokens.length,
        current: indices(grant.state === 'live' ? grant.tokens.filter(({ spentAt, end }) => spentAt === null && end === null) : []),
        honoured: indices(grant.tokens.filter((token) => judged(grant, token).kind !== 'refuse')),
      })),
    log: () => [...entries],
    counts: () => countsOf(entries),
    resetLog: () => void (entries = []),
    expireAccessToken: (accessToken) => {
      const token = accessTokens.get(accessToken);
      if (token) token.expiresAt = 0;
      return token !== undefined;
    },
    revokeGrant: (id) => {
      const grant = grants.get(id);
      if (grant) grant.state = 'revoked';
      return grant !== undefined;
    },
  };
}

/** RFC 6749 §3.2: no parameter twice; RFC 8707 §2 lets `resource` be repeated. */
function formError(form: URLSearchParams, clientId: string): Failure | undefined {
  const repeated = ['grant_type', 'client_id', 'refresh_token', 'scope'].find((name) => form.getAll(name).length > 1);
  if (repeated !== undefined) return ['invalid_request', `${repeated} is repeated`];
  if (form.get('client_id') !== clientId) return ['invalid_client', 'unknown client', 401];
  if (!form.get('grant_type')) return ['invalid_request', 'grant_type is missing'];
  if (form.get('grant_type') !== 'refresh_token') return ['unsupported_grant_type', 'only refresh_token'];
  return form.get('refresh_token') ? undefined : ['invalid_request', 'refresh_token is missing'];
}

function narrowingError(grant: Grant, scope: string, resource: readonly string[]): Failure | undefined {
  const allowed = grant.scope.split(' ');
  if (scope.split(' ').some((one) => !allowed.includes(one))) return ['invalid_scope', 'more than was granted'];
  if (resource.some((one) => !grant.resources.includes(one))) return ['invalid_target', 'no such resource in this grant'];
  return undefined;
}

function countsOf(entries: readonly LogEntry[]): Counts {
  const outcomes: Partial<Record<Outcome, number>> = {};
  const faults: Record<string, number> = {};
  for (const { outcome, fault } of entries) {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (fault !== undefined) faults[fault] = (faults[fault] ?? 0) + 1;
  }
  return { requests: entries.length, reuse: entries.filter(({ reuse }) => reuse).length, outcomes, faults };
}

function oauthError(error: string, error_description: string): { readonly error: string; readonly error_description: string } {
  return { error, error_description };
}

function indices(tokens: readonly RefreshToken[]): readonly number[] {
  return tokens.map(({ index }) => index);
}

/** Two servers never issue the same token: what one issued means nothing to the other. */
function unguessable(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().replaceAll('-', '')}`;
}
