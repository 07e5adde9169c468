// A protected API on an origin of its own. It trusts no token that the authorization server does not confirm (RFC 7662).
import { createServer } from 'node:http';
import { close, listen, readText, sendJson, tail } from './http.mjs';

const MAX_LOG_ENTRIES = 200;
const ORDERS = [
  { id: 1001, item: 'Espresso beans', quantity: 2 },
  { id: 1002, item: 'Paper filters', quantity: 1 },
];

/**
 * Starts the API: `/v1/orders` (GET, POST) wants an access token with the scope `api:read`, `/public` none; `/log` answers what was asked so far. POST `/faults` with
 * `{ "refuse": true }`: no token is good enough any more.
 *
 * @param options.port 0 lets the system choose; default 0
 * @param options.issuer the authorization server that vouches for tokens
 * @param options.introspectionClient `{ clientId, clientSecret }` at that server
 * @param options.allowedOrigins web origins whose pages may call
 */
export async function startApi({ port = 0, host = '127.0.0.1', issuer, introspectionClient, allowedOrigins = [] }) {
  let log = [];
  let refuse = false;
  const introspect = createIntrospection(issuer, introspectionClient);
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      console.error('api:', error.message);
      if (response.headersSent) response.destroy();
      else sendJson(response, 503, { error: 'temporarily_unavailable' });
    });
  });

  async function answer(request, response) {
    const { pathname } = new URL(request.url, 'http://api.invalid');
    allowOrigin(request, response, allowedOrigins);
    if (request.method === 'OPTIONS') return preflight(response);
    if (pathname === '/log') return sendJson(response, 200, log);
    if (pathname === '/faults') {
      if (request.method === 'POST') refuse = JSON.parse(await readText(request)).refuse === true;
      return sendJson(response, 200, { refuse });
    }
    const token = bearerToken(request);
    // Noted when the answer leaves, in whatever way.
    response.once('finish', () => {
      log.push({ method: request.method, path: pathname, status: response.statusCode, tokenTail: tail(token) });
      if (log.length > MAX_LOG_ENTRIES) log.shift();
    });
    return route({ request, response, pathname, token, introspect: refuse ? () => ({ active: false }) : introspect });
  }

  const origin = `http://${host}:${await listen(server, { port, host })}`;
  return {
    origin,
    log: () => log.map((entry) => ({ ...entry })),
    resetLog() {
      log = [];
    },
    close: () => close(server),
  };
}

async function route({ request, response, pathname, token, introspect }) {
  if (pathname === '/public') return sendJson(response, 200, { message: 'Everyone may read this.', tokenTail: tail(token) });
  if (pathname !== '/v1/orders') return sendJson(response, 404, { error: 'not_found' });
  if (!['GET', 'POST'].includes(request.method)) return sendJson(response, 405, { error: 'method_not_allowed' });
  const body = request.method === 'POST' ? await readText(request) : undefined;
  if (token === null) return refuse(response, challenge());
  const grant = await introspect(token);
  // Introspection calls a refresh token active too; only an access token has a token type.
  if (!grant.active || grant.token_type !== 'Bearer')
    return refuse(response, challenge(401, 'invalid_token', 'The access token expired or was revoked'));
  if (!` ${grant.scope} `.includes(' api:read ')) return refuse(response, challenge(403, 'insufficient_scope', 'api:read is needed'));
  const seen = { sub: grant.sub, tokenTail: tail(token) };
  return body === undefined ? sendJson(response, 200, { ...seen, orders: ORDERS }) : placeOrder(response, body, seen);
}

function placeOrder(response, body, seen) {
  try {
    return sendJson(response, 201, { ...seen, order: JSON.parse(body) });
  } catch {
    return sendJson(response, 400, { error: 'not_json' });
  }
}

/** RFC 6750 §3.1: a request without a token learns of no error, because it made none. */
function challenge(status = 401, error, description) {
  return { status, error, header: `Bearer realm="orders"${error ? `, error="${error}", error_description="${description}"` : ''}` };
}

function refuse(response, { status, error, header }) {
  response.setHeader('WWW-Authenticate', header);
  sendJson(response, status, { error: error ?? 'unauthorized' });
}

/** RFC 6750 §2.1. Anything else in the header, another scheme too, is no token. */
function bearerToken(request) {
  return /^Bearer +([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

function allowOrigin(request, response, allowedOrigins) {
  response.setHeader('Vary', 'Origin');
  const { origin } = request.headers;
  if (!origin || !allowedOrigins.includes(origin)) return;
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader('Access-Control-Expose-Headers', 'WWW-Authenticate, DPoP-Nonce');
}

function preflight(response) {
  // Without the allowed origin of above these say nothing to a browser.
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST');
  response.setHeader('Access-Control-Allow-Headers', 'authorization, content-type, dpop');
  response.setHeader('Access-Control-Max-Age', '600');
  response.writeHead(204).end();
}

/** Not cached: a token that was revoked a moment ago is refused now. */
function createIntrospection(issuer, { clientId, clientSecret }) {
  const authorization = `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`;
  let endpoint;
  return async (token) => {
    endpoint ??= (await fetchJson(`${issuer}/.well-known/openid-configuration`)).introspection_endpoint;
    const body = new URLSearchParams({ token, token_type_hint: 'access_token' });
    return fetchJson(endpoint, { method: 'POST', headers: { authorization }, body });
  };
}

async function fetchJson(url, init) {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${new URL(url).pathname} answered ${response.status}`);
  return response.json();
}
