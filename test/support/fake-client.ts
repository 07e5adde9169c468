// An authorization server as a store sees it through OAuth2Client. It rotates refresh tokens and is strict: a second use of one ends the
// whole family, so that a refresh too many shows as a lost session. Every token it ever makes holds the word CANARY.
import { createToken } from '../../src/credential/create-token.js';
import type { IdTokenClaims, Token } from '../../src/credential/token.js';
import type { StagedAnswer, Target } from '../../src/credential/record.js';
import { NetworkError, ProtocolError } from '../../src/errors.js';
import { OAuthResponseError } from '../../src/oauth/oauth-response-error.js';
import type { Grant, OAuth2Client } from '../../src/oauth/client.js';
import type { Platform } from '../../src/platform/platform.js';

export const ISSUER = 'https://id.example.com';
export const CLIENT_ID = 'spa';

/** How the server answers one refresh request. Members of an object go over those of the true answer; `undefined` leaves a member out. */
export type Answer = Readonly<Record<string, unknown>> | Error | 'garbage';

/** A refresh request that has arrived. The server has acted; its answer is on the way. */
export interface Arrived {
  readonly refreshToken: string;
  /** What was asked for; `undefined`: the token itself. */
  readonly target: Target | undefined;
  /** Lets the answer arrive. */
  answer(answer?: Answer): void;
}

export interface SignInOptions {
  readonly sub?: string | null;
  /** Seconds; `null`: the server says nothing of it. Default 3,600. */
  readonly lifetimeS?: number | null;
  /** Default `openid`. */
  readonly scope?: string;
  readonly refreshable?: boolean;
  readonly id?: string;
  readonly issuer?: string;
  readonly clientId?: string;
}

/** The server, and the ends of the wires to it. */
export interface FakeAuthority {
  client(platform: Platform, options?: Partial<Pick<OAuth2Client, 'reuseLeewayMs' | 'onUnknownOutcome' | 'renew'>>): OAuth2Client;
  /** What a flow would resume with. */
  signIn(options?: SignInOptions): Token;
  /** Refresh requests, oldest first. */
  readonly refreshes: readonly Arrived[];
  /** Revocation requests, oldest first. */
  readonly revocations: readonly { readonly token: string; readonly hint: string }[];
  readonly userInfos: readonly string[];
  /** What was asked about, oldest first. */
  readonly introspections: readonly { readonly token: string; readonly hint: string }[];
  /** How many answers were judged. */
  judgements(): number;
  /** Answers for the next requests, in order. */
  next(...answers: readonly Answer[]): void;
  /** Forgets answers that were planned, and that no request has had. */
  forgetPlans(): void;
  /** From now on answers wait for `Arrived.answer`. */
  hold(): void;
  /** Answers whatever still waits: the wire breaks. */
  release(): void;
  /** Judging an answer must ask for keys; what the key request does. */
  setKeys(fetchKeys: (() => Promise<void>) | null): void;
  /** Whether the metadata is at hand; default: it is. */
  setPrepared(isPrepared: boolean): void;
  /** What revocation requests do; default: succeed. */
  setRevocation(revoke: () => Promise<void>): void;
  /** What user info requests do; default: the user of the token. */
  setUserInfo(userInfo: (accessToken: string) => Promise<void>): void;
  /** The server forgets a refresh token and all of its family. */
  forget(refreshToken: string | undefined): void;
  /** From now on a used token is taken again, as within a leeway: it gives another one of the same family, and ends nothing. */
  tolerateReuse(): void;
  /** Refresh tokens the server would still take. */
  liveRefreshTokens(): readonly string[];
  /** How often a refresh token was used again. */
  reuses(): number;
  /** Every token that was ever made. */
  readonly secrets: readonly string[];
}

export const offline = (): NetworkError => new NetworkError('network_error', 'offline', { issuer: ISSUER });
export const refusal = (error: string): OAuthResponseError =>
  new OAuthResponseError({ error }, 'oauth_error', { issuer: ISSUER, status: 400 });

export function createFakeAuthority(now: () => number): FakeAuthority {
  const families = new Map<string, number>(); // of live refresh tokens
  const used = new Map<string, number>();
  const refreshes: Arrived[] = [];
  const revocations: { token: string; hint: string }[] = [];
  const userInfos: string[] = [];
  const introspections: { token: string; hint: string }[] = [];
  const answers: Answer[] = [];
  const secrets: string[] = [];
  let held = false;
  let tolerant = false;
  let count = 0;
  let reuses = 0;
  let judgements = 0;
  let isPrepared = true;
  let fetchKeys: (() => Promise<void>) | null = null;
  let revocation = (): Promise<void> => Promise.resolve();
  let userInfo = (_: string): Promise<void> => Promise.resolve();

  const secret = (kind: string): string => {
    const made = `${kind}-CANARY-${++count}`;
    secrets.push(made);
    return made;
  };
  const endFamily = (family: number | undefined): void => {
    for (const [token, of] of families) if (of === family) families.delete(token);
  };
  /** The server's part: rotates, or refuses. */
  const rotate = (refreshToken: string, target: Target | undefined): Readonly<Record<string, unknown>> | OAuthResponseError => {
    const isReuse = !families.has(refreshToken) && used.has(refreshToken);
    if (isReuse) reuses++;
    const family = isReuse && tolerant ? used.get(refreshToken) : families.get(refreshToken);
    if (family === undefined) {
      endFamily(used.get(refreshToken));
      return refusal('invalid_grant');
    }
    families.delete(refreshToken);
    used.set(refreshToken, family);
    const rotated = secret('refresh');
    families.set(rotated, family);
    const scope = target?.scope !== undefined && { scope: target.scope };
    return { access_token: secret('access'), refresh_token: rotated, expires_in: 3600, token_type: 'Bearer', ...scope };
  };
  const sendRefresh = async (grant: Grant, target?: Target): Promise<StagedAnswer> => {
    const sentAt = now();
    const refreshToken = grant.refreshToken ?? '';
    const planned = answers.shift();
    const deliver = (answer: Answer | undefined): StagedAnswer => {
      if (answer instanceof Error) throw answer;
      const answered = (text: string): StagedAnswer => ({ text, sentAt, receivedAt: now(), ...(target && { target }) });
      if (answer === 'garbage') return answered('<html>Bad gateway</html>');
      if (truth instanceof Error) throw truth;
      return answered(JSON.stringify({ ...truth, ...answer }));
    };
    const failsOnTheWay = planned instanceof Error || planned === 'garbage';
    const truth = failsOnTheWay ? offline() : rotate(refreshToken, target); // what fails on the way does not reach the server
    const late = new Promise<Answer | undefined>((resolve) => refreshes.push({ refreshToken, target, answer: resolve }));
    return deliver(held ? await late : planned);
  };
  const processRefresh = async (grant: Grant, answer: StagedAnswer): Promise<Token> => {
    judgements++;
    let body: Readonly<Record<string, unknown>>;
    try {
      body = JSON.parse(answer.text) as Readonly<Record<string, unknown>>;
    } catch {
      throw new ProtocolError('response_invalid', 'no JSON', { issuer: ISSUER });
    }
    if (typeof body['access_token'] !== 'string') throw new ProtocolError('response_invalid', 'no access token', { issuer: ISSUER });
    if (fetchKeys) await fetchKeys();
    const { sub } = body;
    if (typeof sub === 'string' && sub !== grant.claims?.sub)
      throw new ProtocolError('token_substitution', 'another sub', { issuer: ISSUER });
    const { expires_in: expiresIn, refresh_token: rotated, scope } = body;
    const { refreshToken, idToken, ...kept } = grant;
    return createToken({
      ...kept,
      ...(refreshToken !== undefined && { refreshToken }),
      ...(idToken !== undefined && { idToken }),
      tokenType: 'Bearer',
      accessToken: body['access_token'],
      issuedAt: answer.sentAt,
      expiresAt: typeof expiresIn === 'number' ? answer.sentAt + expiresIn * 1000 : null,
      ...(typeof rotated === 'string' && { refreshToken: rotated }),
      ...(typeof scope === 'string' && { scope }),
    });
  };

  return {
    client: (platform, options) => ({
      issuer: ISSUER,
      clientId: CLIENT_ID,
      scope: 'openid',
      redirectUri: 'https://app.example.com/callback',
      postLogoutRedirectUri: undefined,
      platform,
      metadata: () => Promise.resolve({ issuer: ISSUER }),
      isPrepared: () => isPrepared,
      exchangeCode: () => Promise.reject(new Error('unplanned code exchange')),
      sendRefresh,
      needsKeys: () => fetchKeys !== null,
      processRefresh,
      revoke: async (token, hint) => {
        revocations.push({ token, hint });
        await revocation();
        endFamily(families.get(token) ?? used.get(token));
      },
      userInfo: async (token) => {
        userInfos.push(token.accessToken);
        await userInfo(token.accessToken);
        return { sub: token.claims?.sub ?? '' };
      },
      introspect: (token, hint) => {
        introspections.push({ token, hint });
        return Promise.resolve({ active: hint === 'access_token' || families.has(token) });
      },
      ...options,
    }),
    signIn: ({ sub = 'alice', lifetimeS = 3600, scope = 'openid', refreshable = true, id, issuer = ISSUER, clientId = CLIENT_ID } = {}) => {
      const refreshToken = refreshable ? secret('refresh') : undefined;
      if (refreshToken !== undefined) families.set(refreshToken, count);
      const claims: IdTokenClaims | null = sub === null ? null : { iss: issuer, sub, aud: clientId, exp: 1, iat: 1 };
      return createToken({
        id: id ?? `credential-${++count}`,
        accessToken: secret('access'),
        tokenType: 'Bearer',
        scope,
        issuedAt: now(),
        expiresAt: lifetimeS === null ? null : now() + lifetimeS * 1000,
        claims,
        context: { issuer, clientId, scope },
        ...(refreshToken !== undefined && { refreshToken }),
        ...(claims && { idToken: secret('id') }),
      });
    },
    refreshes,
    revocations,
    userInfos,
    introspections,
    judgements: () => judgements,
    forgetPlans: () => void answers.splice(0),
    next: (...planned) => void answers.push(...planned),
    hold: () => void (held = true),
    release: () => {
      held = false;
      refreshes.forEach((arrived) => arrived.answer(offline()));
    },
    setKeys: (next) => void (fetchKeys = next),
    setPrepared: (is) => void (isPrepared = is),
    setRevocation: (next) => void (revocation = next),
    setUserInfo: (next) => void (userInfo = next),
    forget: (refreshToken) => endFamily(families.get(refreshToken ?? '')),
    tolerateReuse: () => void (tolerant = true),
    liveRefreshTokens: () => [...families.keys()],
    reuses: () => reuses,
    secrets,
  };
}
