// An authorization server as a function: it answers what the test planned, signs real ID tokens, and fails the test for a request nobody planned and for a plan
// that nobody asked for. Discovery and keys have standing answers; token, revocation and user info have none.
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { START_MS } from './unit-platform';

export type Endpoint = 'discovery' | 'oauthDiscovery' | 'jwks' | 'token' | 'revocation' | 'introspection' | 'userinfo';
export type SigningAlg = 'RS256' | 'ES256' | 'RS384' | 'ES512' | 'PS256' | 'Ed25519' | 'EdDSA';

/** A request as it went out. */
export interface Call {
  readonly endpoint: Endpoint | 'other';
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  /** The body, decoded and undecoded. */
  readonly form: URLSearchParams;
  readonly body: string;
  readonly init: RequestInit;
}

/** What to answer: a JSON object, a whole response, or a function of the request. `'hang'`: never. `'offline'`: no answer. */
export type Answer = Readonly<Record<string, unknown>> | Response | 'hang' | 'offline' | ((call: Call) => Response | Promise<Response>);

export interface FakeServerOptions {
  readonly issuer?: string;
  /** Members to put over those of the discovery document; `undefined` takes one away. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface IdTokenOptions {
  readonly alg?: SigningAlg;
  /** Over `alg`, `kid`; `undefined` takes one away. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Signs with another key than the server's own. */
  readonly key?: CryptoKey;
}

export interface FakeServer {
  readonly issuer: string;
  readonly clientId: string;
  readonly fetch: typeof fetch;
  /** All requests, or those of one endpoint. */
  calls(endpoint?: Endpoint | 'other'): readonly Call[];
  /** Answers to come, each once, first to last. */
  plan(endpoint: Endpoint, ...answers: readonly Answer[]): void;
  /** Claims of a valid ID token, some of them changed; `undefined` takes one away. */
  claims(changes?: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** A signed ID token. */
  idToken(changes?: Readonly<Record<string, unknown>>, options?: IdTokenOptions): Promise<string>;
  /** The public keys in use; a test may put in others. */
  jwks(): Promise<JWK[]>;
}

const open = new Set<{ readonly check: () => void }>();

afterEach(() => {
  const servers = [...open];
  open.clear();
  for (const { check } of servers) check();
});

/** One key pair per algorithm for the whole test file: RSA keys are slow to make. */
const pairs = new Map<SigningAlg, Promise<{ readonly privateKey: CryptoKey; readonly publicKey: CryptoKey }>>();
export function keyPair(alg: SigningAlg): Promise<{ readonly privateKey: CryptoKey; readonly publicKey: CryptoKey }> {
  const known = pairs.get(alg) ?? generateKeyPair(alg, { extractable: true });
  pairs.set(alg, known);
  return known;
}

/** The public key of an algorithm as the server publishes it. */
export async function publicJwk(alg: SigningAlg): Promise<JWK> {
  return { ...(await exportJWK((await keyPair(alg)).publicKey)), alg, use: 'sig', kid: `key-${alg}` };
}

export function fakeServer({ issuer = 'https://id.example.com', metadata = {} }: FakeServerOptions = {}): FakeServer {
  const clientId = 'spa';
  const base = issuer.endsWith('/') ? issuer.slice(0, -1) : issuer;
  const at = {
    discovery: `${base}/.well-known/openid-configuration`,
    oauthDiscovery: base.replace(/^(https?:\/\/[^/]+)/, '$1/.well-known/oauth-authorization-server'),
    jwks: `${base}/jwks`,
    token: `${base}/token`,
    revocation: `${base}/revoke`,
    introspection: `${base}/introspect`,
    userinfo: `${base}/me`,
  } satisfies Record<Endpoint, string>;
  const document = withoutUndefined({
    issuer,
    authorization_endpoint: `${base}/auth`,
    token_endpoint: at.token,
    revocation_endpoint: at.revocation,
    introspection_endpoint: at.introspection,
    userinfo_endpoint: at.userinfo,
    jwks_uri: at.jwks,
    end_session_endpoint: `${base}/logout`,
    ...metadata,
  });
  const calls: Call[] = [];
  const planned = new Map<Endpoint, Answer[]>();
  const unplanned: string[] = [];
  const used = new Set<SigningAlg>(['RS256']);
  const jwks = (): Promise<JWK[]> => Promise.all([...used].map(publicJwk));

  const standing = async (endpoint: Call['endpoint']): Promise<Answer | undefined> => {
    if (endpoint === 'discovery') return document;
    if (endpoint === 'oauthDiscovery') return new Response('', { status: 404 });
    return endpoint === 'jwks' ? { keys: await jwks() } : undefined;
  };
  const server: FakeServer = {
    issuer,
    clientId,
    fetch: async (input, init = {}) => {
      const call = callOf(input, init, at);
      calls.push(call);
      const answer = (call.endpoint === 'other' ? undefined : planned.get(call.endpoint)?.shift()) ?? (await standing(call.endpoint));
      if (answer === undefined) {
        unplanned.push(`${call.method} ${call.url}`);
        throw new TypeError('unplanned');
      }
      return answered(answer, call);
    },
    calls: (endpoint) => calls.filter((call) => endpoint === undefined || call.endpoint === endpoint),
    plan: (endpoint, ...answers) => planned.set(endpoint, [...(planned.get(endpoint) ?? []), ...answers]),
    claims: (changes = {}) =>
      withoutUndefined({
        iss: issuer,
        sub: 'alice',
        aud: clientId,
        iat: START_MS / 1000,
        exp: START_MS / 1000 + 600,
        ...changes,
      }),
    idToken: async (changes = {}, { alg = 'RS256', header = {}, key } = {}) => {
      used.add(alg);
      const signer = new SignJWT(server.claims(changes)).setProtectedHeader(
        withoutUndefined({ alg, kid: `key-${alg}`, ...header }) as { alg: string },
      );
      return signer.sign(key ?? (await keyPair(alg)).privateKey);
    },
    jwks,
  };
  open.add({
    check: () => {
      const left = [...planned].filter(([, answers]) => answers.length > 0).map(([endpoint, answers]) => `${answers.length} × ${endpoint}`);
      if (unplanned.length > 0) throw new Error(`requests that nobody planned: ${unplanned.join(', ')}`);
      if (left.length > 0) throw new Error(`planned answers that nobody asked for: ${left.join(', ')}`);
    },
  });
  return server;
}

/** A JSON response. */
export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), { ...init, headers: { 'content-type': 'application/json', ...init.headers } });
}

async function answered(answer: Answer, call: Call): Promise<Response> {
  if (answer === 'offline') throw new TypeError('fetch failed');
  if (answer === 'hang') return untilAborted(call.init.signal);
  if (typeof answer === 'function') return answer(call);
  return answer instanceof Response ? answer : json(answer);
}

/** As a real fetch: it rejects once its signal is aborted, and not before. */
function untilAborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new DOMException('This operation was aborted', 'AbortError')));
  });
}

function callOf(input: string | URL | Request, init: RequestInit, at: Record<Endpoint, string>): Call {
  if (input instanceof Request) throw new TypeError('the product passes URLs, not requests');
  const url = String(input);
  const endpoint = (Object.keys(at) as Endpoint[]).find((name) => at[name] === url) ?? 'other';
  const body = init.body instanceof URLSearchParams ? init.body.toString() : typeof init.body === 'string' ? init.body : '';
  return { endpoint, method: init.method ?? 'GET', url, headers: new Headers(init.headers), form: new URLSearchParams(body), body, init };
}

function withoutUndefined(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
