// What tests see of the authorization server: a log of the requests that carry tokens, and faults put in its way.
import { setTimeout as sleep } from 'node:timers/promises';
import { readText, tail } from './http.mjs';

/** Paths are those of oidc-provider's defaults. */
const ENDPOINTS = {
  token: '/token',
  revocation: '/token/revocation',
  introspection: '/token/introspection',
  userinfo: '/me',
  jwks: '/jwks',
  discovery: '/.well-known/openid-configuration',
};
const LOGGED = new Set(['token', 'revocation']);
const MAX_LOG_ENTRIES = 1000;

/** One log and one queue of faults per server. */
export function createWatch() {
  let log = [];
  const faults = new Map(Object.keys(ENDPOINTS).map((name) => [name, []]));
  return {
    requests: () => log.map((entry) => ({ ...entry })),
    /** Forgets the log and the faults that did not happen yet. */
    resetLog() {
      log = [];
      for (const queue of faults.values()) queue.length = 0;
    },
    /**
     * Makes the next request to an endpoint go wrong.
     *
     * @param endpoint one of ENDPOINTS
     * @param fault `{ status = 500, body = '', contentType = 'application/json', headers?, delayMs = 0, times = 1 }`; `hangUp: true` closes the connection
     *   instead of answering; `processed: true` lets the server do its work first, so that the answer is lost; `delayOnly: true` answers truly, but late
     */
    failNext(endpoint, fault = {}) {
      const queue = faults.get(endpoint);
      if (!queue) throw new TypeError(`endpoint is one of ${[...faults.keys()].join(', ')}`);
      for (let i = 0; i < (fault.times ?? 1); i++) queue.push(fault);
    },
    middleware: async (ctx, next) => {
      const endpoint = endpointOf(ctx);
      if (!endpoint) return next();
      const fault = faults.get(endpoint).shift();
      if (fault) await fail(ctx, next, fault);
      else await next();
      if (!LOGGED.has(endpoint)) return undefined;
      log.push(await describe(ctx, endpoint, fault));
      if (log.length > MAX_LOG_ENTRIES) log.shift();
      return undefined;
    },
  };
}

function endpointOf(ctx) {
  if (ctx.method === 'OPTIONS') return undefined;
  return Object.keys(ENDPOINTS).find((name) => ENDPOINTS[name] === ctx.path);
}

async function fail(ctx, next, fault) {
  if (fault.processed || fault.delayOnly) await next();
  else ctx.state.form = new URLSearchParams(await readText(ctx.req));
  if (fault.delayMs) await sleep(fault.delayMs);
  if (fault.delayOnly) return;
  if (fault.hangUp) {
    ctx.respond = false;
    ctx.req.socket.destroy();
    return;
  }
  // A page may read the fault, as it may read the true answer.
  ctx.set('Access-Control-Allow-Origin', ctx.get('Origin') || '*');
  ctx.set('Access-Control-Expose-Headers', Object.keys(fault.headers ?? {}).join(','));
  ctx.body = typeof fault.body === 'object' && fault.body !== null ? JSON.stringify(fault.body) : (fault.body ?? '');
  ctx.status = fault.status ?? 500;
  ctx.set('Content-Type', fault.contentType ?? 'application/json');
  for (const [name, value] of Object.entries(fault.headers ?? {})) ctx.set(name, value);
}

async function describe(ctx, endpoint, fault) {
  const form = ctx.state.form ? Object.fromEntries(ctx.state.form) : (ctx.oidc?.params ?? ctx.oidc?.body ?? {});
  const error = typeof ctx.body === 'object' ? ctx.body?.error : undefined;
  return {
    endpoint,
    clientId: form.client_id ?? ctx.oidc?.client?.clientId ?? null,
    ...(endpoint === 'token'
      ? { grantType: form.grant_type ?? null, ...(form.refresh_token && { refreshTokenTail: tail(form.refresh_token) }) }
      : { tokenTypeHint: form.token_type_hint ?? null, tokenTail: tail(form.token) }),
    status: fault?.hangUp ? 0 : ctx.status,
    ...(error && { error }),
    ...(fault && { fault: true }),
  };
}
