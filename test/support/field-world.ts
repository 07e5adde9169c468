// An authorization server of node:http, as some in the field are, whose every answer a test may plan; and a store that talks to it with the real `fetch`.
// Only what somebody waits for in pauses is hurried.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import {
  createCredentialStore,
  defaultPlatform,
  memoryStorage,
  isCredentialError,
  type Credential,
  type CredentialStore,
  type OAuth2ClientOptions,
  type Platform,
  type Token,
  type CredentialStoreOptions,
} from '../../src/index';
import { createAuthorizationCodeFlow } from '../../src/flows/index';

export type Handler = (req: IncomingMessage, res: ServerResponse, form: URLSearchParams) => void | Promise<void>;
const pairs = new Map<string, Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }>>();
export const pair = (alg: string) => {
  const known = pairs.get(alg) ?? generateKeyPair(alg, { extractable: true });
  pairs.set(alg, known);
  return known;
};
export const json = (res: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(typeof body === 'string' ? body : JSON.stringify(body));
};

export interface As {
  issuer: string;
  base: string;
  plan(path: string, ...handlers: Handler[]): void;
  always(path: string, handler: Handler): void;
  log: { path: string; form: URLSearchParams; headers: IncomingMessage['headers'] }[];
  count(path: string, grant?: string): number;
  claims: Record<string, unknown>;
  refreshClaims: Record<string, unknown> | null;
  nonce: string | undefined;
  alg: string;
  kid: string | undefined;
  tokenBody(extra?: Record<string, unknown>, idClaims?: Record<string, unknown> | null): Promise<Record<string, unknown>>;
  idToken(claims?: Record<string, unknown>, alg?: string, header?: Record<string, unknown>): Promise<string>;
  metadata: Record<string, unknown>;
  jwks: () => Promise<unknown>;
  nowOffsetS: number;
  rt: number;
  close(): Promise<void>;
}

export async function startAs(path = ''): Promise<As> {
  const plans = new Map<string, Handler[]>();
  const standing = new Map<string, Handler>();
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (c: Buffer) => chunks.push(c));
    req.on('end', () => {
      const url = new URL(req.url ?? '/', as.base);
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      as.log.push({ path: url.pathname, form, headers: req.headers });
      const handler = plans.get(url.pathname)?.shift() ?? standing.get(url.pathname);
      if (!handler) return void json(res, 404, { error: 'not_found' });
      void Promise.resolve(handler(req, res, form)).catch((e: unknown) => {
        console.error(e);
        res.destroy();
      });
    });
  });
  await new Promise<void>((r) => server.listen(0, '127.0.0.1', r));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = base + path;
  const root = path.endsWith('/') ? path.slice(0, -1) : path;
  const as: As = {
    issuer,
    base,
    log: [],
    claims: {},
    refreshClaims: {},
    nonce: undefined,
    alg: 'RS256',
    kid: 'k1',
    nowOffsetS: 0,
    rt: 0,
    plan: (p, ...h) => void plans.set(p, [...(plans.get(p) ?? []), ...h]),
    always: (p, h) => void standing.set(p, h),
    count: (p, grant) => as.log.filter((one) => one.path === p && (!grant || one.form.get('grant_type') === grant)).length,
    idToken: async (claims = {}, alg = as.alg, header = {}) => {
      const now = Math.floor(Date.now() / 1000) + as.nowOffsetS;
      const all: Record<string, unknown> = { iss: issuer, sub: 'alice', aud: 'spa', iat: now, exp: now + 3600, ...claims };
      for (const k of Object.keys(all)) if (all[k] === undefined) delete all[k];
      const h: Record<string, unknown> = { alg, kid: as.kid, ...header };
      for (const k of Object.keys(h)) if (h[k] === undefined) delete h[k];
      return new SignJWT(all).setProtectedHeader(h as { alg: string }).sign((await pair(alg)).privateKey);
    },
    tokenBody: async (extra = {}, idClaims = {}) => {
      const n = ++as.rt;
      const body: Record<string, unknown> = {
        access_token: `at${n}`,
        token_type: 'Bearer',
        expires_in: 300,
        refresh_token: `rt${n}`,
        ...(idClaims && { id_token: await as.idToken(idClaims) }),
        ...extra,
      };
      for (const k of Object.keys(body)) if (body[k] === undefined) delete body[k];
      return body;
    },
    metadata: {
      issuer,
      authorization_endpoint: `${base}/auth`,
      token_endpoint: `${base}/token`,
      jwks_uri: `${base}/jwks`,
      userinfo_endpoint: `${base}/me`,
      revocation_endpoint: `${base}/revoke`,
      end_session_endpoint: `${base}/out`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    },
    jwks: async () => ({ keys: [{ ...(await exportJWK((await pair(as.alg)).publicKey)), alg: as.alg, use: 'sig', kid: as.kid } as JWK] }),
    close: async () => {
      server.closeAllConnections();
      await new Promise((r) => server.close(r));
    },
  };
  as.always(`${root}/.well-known/openid-configuration`, (_q, res) => json(res, 200, as.metadata));
  as.always('/jwks', async (_q, res) => json(res, 200, await as.jwks()));
  as.always('/token', async (_q, res, form) => {
    const login = form.get('grant_type') === 'authorization_code';
    json(
      res,
      200,
      await as.tokenBody({}, login ? { nonce: as.nonce, ...as.claims } : as.refreshClaims && { ...as.claims, ...as.refreshClaims }),
    );
  });
  as.always('/revoke', (_q, res) => {
    res.writeHead(200).end();
  });
  as.always('/me', (_q, res) => json(res, 200, { sub: 'alice' }));
  return as;
}

export interface World {
  as: As;
  store: CredentialStore;
  platform: Platform;
  options: OAuth2ClientOptions;
  advance(ms: number): void;
  signIn(s?: CredentialStore, callback?: Record<string, string>): Promise<Token>;
  signedIn(): Promise<Credential>;
  events: unknown[];
  open(o?: Partial<CredentialStoreOptions>): CredentialStore;
  close(): Promise<void>;
}

export async function world(clientOptions: Partial<OAuth2ClientOptions> = {}, path = '', ahead = false): Promise<World> {
  const as = await startAs(path);
  let offset = 0;
  const real = defaultPlatform();
  const platform: Platform = {
    ...real,
    now: () => Date.now() + offset,
    monotonicNow: () => performance.now() + offset,
    setTimer: (cb, ms, isAwaited) => real.setTimer(cb, isAwaited ? 1 : ms, isAwaited),
  };
  const options: OAuth2ClientOptions = {
    issuer: as.issuer,
    clientId: 'spa',
    scope: 'openid profile api',
    redirectUri: 'http://127.0.0.1/cb',
    platform,
    ...clientOptions,
  };
  const stores: CredentialStore[] = [];
  const events: unknown[] = [];
  const open = (o: Partial<CredentialStoreOptions> = {}) => {
    const s = createCredentialStore({ clients: options, platform, renewal: { ahead }, ...o });
    s.events$.subscribe((e) => events.push(e));
    stores.push(s);
    return s;
  };
  const store = open({ storage: memoryStorage({ namespace: `n${Math.random()}` }) });
  const signIn = async (s = store, callback: Record<string, string> = {}) => {
    const flow = createAuthorizationCodeFlow(s.client());
    const url = await flow.start();
    as.nonce = url.searchParams.get('nonce') ?? undefined;
    const back = new URL(options.redirectUri!);
    for (const [k, v] of Object.entries({ code: 'c', state: url.searchParams.get('state')!, ...callback }))
      if (v !== '') back.searchParams.set(k, v);
    return flow.resume(back.href);
  };
  return {
    as,
    store,
    platform,
    options,
    events,
    open,
    advance: (ms) => void (offset += ms),
    signIn,
    signedIn: async () => store.store(await signIn()),
    close: async () => {
      await Promise.all(stores.map((s) => s.close()));
      await as.close();
    },
  };
}

export async function outcome(what: Promise<unknown>): Promise<string> {
  try {
    const v = await what;
    return `ok:${typeof v === 'string' ? v : JSON.stringify(v)}`;
  } catch (e) {
    if (!isCredentialError(e)) return `ALIEN ${String(e)}`;
    return `${e.code}/${e.class}${e.retryAfterMs === undefined ? '' : `/retry ${e.retryAfterMs}`}${'error' in e ? `/${String(e.error)}` : ''} "${e.message}"`;
  }
}
