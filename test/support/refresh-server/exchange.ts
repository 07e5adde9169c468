// One HTTP exchange, the same for both faces: which endpoint is meant, when the server does its work, and what the client gets to see.
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { Core, IdTokenClaims, TokenBody } from './core';
import { commits, spoil, type Answer, type Endpoint, type Fault, type FaultPlan, type Reply } from './faults';

export interface WireRequest {
  readonly method: string;
  /** Path under the issuer, such as `/token`. */
  readonly path: string;
  readonly authorization: string | null;
  readonly form: URLSearchParams;
}

export interface ExchangeParts {
  readonly core: Core;
  readonly faults: FaultPlan;
  readonly signer: Signer;
  /** Resolves after that many milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
}

/** Answers a request. What the server does, it does also when nobody waits for the answer any more. */
export type Exchange = (request: WireRequest, place: { readonly issuer: string; readonly elsewhere: string }) => Promise<Reply>;

export interface Signer {
  sign(claims: IdTokenClaims, issuer: string): Promise<string>;
  keys(): Promise<JWK[]>;
}

export function createExchange({ core, faults, signer, wait }: ExchangeParts): Exchange {
  return async (request, { issuer, elsewhere }) => {
    const endpoint = endpointOf(request);
    if (!endpoint) return spoil(null, json(404, { error: 'not_found' }), elsewhere);
    const fault = faults.next(endpoint);
    if (fault?.beforeMs) await wait(fault.beforeMs);
    const answer = await work(endpoint, request, issuer, fault);
    if (fault?.afterMs) await wait(fault.afterMs);
    return spoil(fault, answer, elsewhere);
  };

  async function work(endpoint: Endpoint, { form, authorization }: WireRequest, issuer: string, fault: Fault | null): Promise<Answer> {
    const committed = commits(fault);
    if (endpoint === 'token') {
      if (committed) return token(form, issuer, fault);
      core.drop(form, fault?.name ?? '');
      return NOTHING;
    }
    if (!committed) return NOTHING;
    if (endpoint === 'revocation') {
      const { status, headers, body } = core.revoke(form);
      return { status, headers, text: body ? JSON.stringify(body) : '' };
    }
    if (endpoint === 'jwks') return json(200, { keys: await signer.keys() });
    return endpoint === 'discovery' ? json(200, discovery(issuer)) : api(core, authorization);
  }

  async function token(form: URLSearchParams, issuer: string, fault: Fault | null): Promise<Answer> {
    const { status, headers, body, idToken } = core.token(form, fault?.name);
    const members = 'access_token' in body ? await withIdToken(signer, body, idToken, issuer) : body;
    return { status, headers, text: JSON.stringify(members) };
  }
}

/** The body as the client gets it. */
export async function withIdToken(
  signer: Signer,
  body: TokenBody,
  claims: IdTokenClaims | undefined,
  issuer: string,
): Promise<TokenBody & { readonly id_token?: string }> {
  return claims ? { ...body, id_token: await signer.sign(claims, issuer) } : body;
}

/** Signs with RS256, the algorithm every OpenID client knows. The key is made when it is first needed. */
export function createSigner(): Signer {
  let pair: Promise<{ readonly privateKey: CryptoKey; readonly publicKey: CryptoKey }> | undefined;
  const keyPair = (): NonNullable<typeof pair> => (pair ??= generateKeyPair('RS256', { extractable: true }));
  return {
    sign: async (claims, issuer) =>
      new SignJWT({ iss: issuer, ...claims }).setProtectedHeader({ alg: 'RS256', kid: 'key-1' }).sign((await keyPair()).privateKey),
    keys: async () => [{ ...(await exportJWK((await keyPair()).publicKey)), alg: 'RS256', use: 'sig', kid: 'key-1' }],
  };
}

/** RFC 8414 §2, OpenID Connect Discovery §3. */
export function discovery(issuer: string): Readonly<Record<string, unknown>> {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    revocation_endpoint: `${issuer}/revoke`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
  };
}

const NOTHING: Answer = { status: 200, headers: { 'content-type': 'application/json' }, text: '{}' };

function endpointOf({ method, path }: WireRequest): Endpoint | undefined {
  if (method === 'POST' && path === '/token') return 'token';
  if (method === 'POST' && path === '/revoke') return 'revocation';
  if (path === '/api' || path.startsWith('/api/')) return 'api';
  if (method !== 'GET') return undefined;
  if (path === '/.well-known/openid-configuration' || path === '/.well-known/oauth-authorization-server') return 'discovery';
  return path === '/jwks' ? 'jwks' : undefined;
}

/** RFC 6750 §3: 200 with what the token is good for, or 401. */
function api(core: Core, authorization: string | null): Answer {
  const token = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? '')?.[1];
  const info = token === undefined ? undefined : core.access(token);
  if (info) return json(200, info);
  const challenge = token === undefined ? 'Bearer' : 'Bearer error="invalid_token"';
  return json(401, { error: 'invalid_token' }, { 'www-authenticate': challenge });
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers }, text: JSON.stringify(body) };
}
