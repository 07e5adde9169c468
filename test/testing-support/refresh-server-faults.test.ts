// Every fault on both faces: what the client sees, and what the server did.
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createOAuth2Client } from '../../src/oauth/client';
import { createToken } from '../../src/credential/create-token';
import { defaultPlatform } from '../../src/platform/platform';
import { ROOT } from '../support/markdown';
import {
  createRefreshControl,
  createRefreshServer,
  seededRandom,
  type Fault,
  type Listening,
  type RefreshServer,
  type RefreshServerOptions,
} from '../support/refresh-server';
import { settled } from '../support/unit-platform';

/** A server behind one of its faces, with timers that fire when the test says so. */
interface World {
  readonly server: RefreshServer;
  readonly fetch: typeof fetch;
  readonly refreshToken: string;
  /** Posts the refresh token. */
  post(init?: RequestInit, path?: string): Promise<Response>;
  /** Resolves once the server waits; the delay it asked for, in milliseconds. */
  waits(): Promise<number>;
  /** Lets it go on. */
  goOn(): void;
}

const FACES = ['fetch', 'http'] as const;
type Face = (typeof FACES)[number];
const open: Listening[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).map((face) => face.close()))));

async function world(face: Face, options: Partial<RefreshServerOptions> = {}): Promise<World> {
  const waiting: { readonly callback: () => void; readonly delayMs: number }[] = [];
  const setTimer = (callback: () => void, delayMs: number): (() => void) => {
    waiting.push({ callback, delayMs });
    return () => undefined;
  };
  const server = createRefreshServer({ mode: 'strict-revoke', setTimer, ...options });
  if (face === 'http') open.push(await server.listen());
  const { refresh_token: refreshToken = '' } = await server.authorize('alice');
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'spa', refresh_token: refreshToken });
  const send = face === 'fetch' ? server.asFetch() : fetch;
  return {
    server,
    fetch: send,
    refreshToken,
    post: (init = {}, path = '/token') => send(`${server.issuer}${path}`, { method: 'POST', body, redirect: 'manual', ...init }),
    waits: async () => {
      while (waiting.length === 0) await settled();
      return waiting[0]?.delayMs ?? NaN;
    },
    goOn: () => waiting.shift()?.callback(),
  };
}

/** What a client sees: status, content type and body; or which promise rejected with what. */
async function seen(request: Promise<Response>): Promise<Readonly<Record<string, unknown>>> {
  const response = await request.catch((error: Error) => error.name);
  if (typeof response === 'string') return { rejected: response };
  const headers = { type: response.headers.get('content-type'), retryAfter: response.headers.get('retry-after') };
  const text = await response.text().catch((error: Error) => error);
  return typeof text === 'string' ? { status: response.status, ...headers, text } : { status: response.status, ...headers, cut: text.name };
}

const JSON_TYPE = 'application/json';
const answer = (status: number, type: string, text: unknown, retryAfter: string | null = null): object => ({
  status,
  type,
  text,
  retryAfter,
});
const TOKENS = expect.stringMatching(/^\{"access_token":"at-g1-.*"refresh_token":"rt-g1-1-[0-9a-f]{32}"\}$/) as string;
const HALF = expect.stringMatching(/^\{"access_token":"at-g1-[^}]*$/) as string;

/** fault, what the client sees, whether the token is spent afterwards */
const FAULTS: readonly (readonly [Fault, object, boolean])[] = [
  [{ name: 'drop-request' }, { rejected: 'TypeError' }, false],
  [{ name: 'drop-request', commit: true }, { rejected: 'TypeError' }, false],
  [{ name: 'drop-response' }, { rejected: 'TypeError' }, true],
  [{ name: 'delay' }, answer(200, JSON_TYPE, TOKENS), true],
  [{ name: '500-after-commit' }, answer(500, 'text/plain', 'internal error'), true],
  [{ name: '503', retryAfterS: 7 }, answer(503, JSON_TYPE, '{"error":"temporarily_unavailable"}', '7'), false],
  [{ name: '503', commit: true }, answer(503, JSON_TYPE, '{"error":"temporarily_unavailable"}', '1'), true],
  [{ name: '429' }, answer(429, 'text/plain', 'slow down', '1'), false],
  [{ name: 'html' }, answer(200, 'text/html', expect.stringContaining('<!doctype html>')), false],
  [{ name: 'html', status: 502, commit: true }, answer(502, 'text/html', expect.stringContaining('<!doctype html>')), true],
  [{ name: 'truncated' }, answer(200, JSON_TYPE, HALF), true],
  [{ name: 'cut-body' }, { status: 200, type: JSON_TYPE, retryAfter: null, cut: 'TypeError' }, true],
  [{ name: 'malformed' }, answer(200, JSON_TYPE, expect.stringMatching(/^\{"token_type":"Bearer",.*"refresh_token":"rt-g1-1-/)), true],
  [{ name: 'wrong-content-type' }, answer(200, 'text/html', TOKENS), true],
  [{ name: 'oauth-error' }, answer(400, JSON_TYPE, '{"error":"invalid_grant"}'), false],
  [{ name: 'oauth-error', error: 'invalid_client', status: 401 }, answer(401, JSON_TYPE, '{"error":"invalid_client"}'), false],
  [{ name: 'redirect' }, answer(302, 'text/plain', ''), false],
  [{ name: 'redirect', status: 307, commit: true }, answer(307, 'text/plain', ''), true],
];

describe.each(FACES)('faults through %s', (face) => {
  it.each(FAULTS)('%j', async (fault, client, spent) => {
    const { server, post, refreshToken } = await world(face);
    server.faults.plan('token', fault);
    expect(await seen(post())).toEqual(client);
    expect(server.grants()).toEqual([expect.objectContaining({ issued: spent ? 2 : 1, current: [spent ? 1 : 0] })]);
    expect(server.log()).toEqual([expect.objectContaining({ outcome: spent ? 'rotated' : 'dropped', fault: fault.name, presented: 0 })]);
    expect([server.faults.left(), server.isLive(refreshToken)]).toEqual([0, !spent]);
    expect(await seen(post())).toEqual(
      spent ? answer(400, JSON_TYPE, expect.stringContaining('invalid_grant')) : answer(200, JSON_TYPE, TOKENS),
    );
    expect(server.counts()).toMatchObject({ requests: 2, reuse: spent ? 1 : 0 });
  });

  it.each([
    [{ name: 'hang' }, 'dropped', true],
    [{ name: 'hang', commit: true }, 'rotated', false],
  ] as const)('%j: no answer until the client gives up', async (fault, outcome, live) => {
    const { server, post, refreshToken } = await world(face);
    server.faults.plan('token', fault);
    const abort = new AbortController();
    let settledEarly = false;
    const request = seen(post({ signal: abort.signal })).finally(() => (settledEarly = true));
    while (server.log().length === 0) await settled();
    await settled();
    expect(settledEarly).toBe(false);
    abort.abort();
    expect(await request).toEqual({ rejected: 'AbortError' });
    expect([server.log()[0]?.outcome, server.isLive(refreshToken)]).toEqual([outcome, live]);
  });

  it('delay: the work is done after beforeMs, also for a client that has gone, and the answer leaves after afterMs', async () => {
    const { server, post, refreshToken, waits, goOn } = await world(face);
    server.faults.plan('token', { name: 'delay', beforeMs: 300, afterMs: 200 });
    const abort = new AbortController();
    const request = seen(post({ signal: abort.signal }));
    expect(await waits()).toBe(300);
    expect(server.isLive(refreshToken)).toBe(true);
    abort.abort();
    expect(await request).toEqual({ rejected: 'AbortError' });
    goOn();
    expect(await waits()).toBe(200);
    expect(server.log()).toEqual([expect.objectContaining({ outcome: 'rotated', fault: 'delay' })]);
    goOn();
  });

  it('a delayed answer is the true one', async () => {
    const { server, post, waits, goOn } = await world(face);
    server.faults.plan('token', { name: 'delay', afterMs: 50 });
    const request = seen(post());
    await waits();
    goOn();
    expect(await request).toEqual(answer(200, JSON_TYPE, TOKENS));
  });

  it('endless: JSON that begins well and goes on for as long as it is read', async () => {
    const { server, post, waits, goOn } = await world(face);
    server.faults.plan('token', { name: 'endless', chunkBytes: 1000, everyMs: 40 });
    const response = await post();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (text.length < 5_000) {
      const chunk = reader.read();
      await Promise.race([chunk, waits().then((delayMs) => (expect(delayMs).toBe(40), goOn()))]);
      text += new TextDecoder().decode((await chunk).value);
    }
    await reader.cancel();
    expect(text).toMatch(/^\{"access_token":"at-g1-.*"refresh_token":"rt-g1-1-[0-9a-f]{32}","padding":"x+$/);
    expect(server.log()).toEqual([expect.objectContaining({ outcome: 'rotated', fault: 'endless' })]);
  });

  it('redirect: nothing goes elsewhere unless the client follows; 302 without the body, 307 with it (HT-2)', async () => {
    const { server, post, refreshToken } = await world(face);
    server.faults.plan('token', { name: 'redirect' }, { name: 'redirect' }, { name: 'redirect', status: 307 }, { name: 'redirect' });
    const manual = await post();
    expect(server.foreign()).toEqual([]);
    expect(await seen(post({ redirect: 'error' }))).toEqual({ rejected: 'TypeError' });
    expect(server.foreign()).toEqual([]);
    expect((await post({ redirect: 'follow' })).status).toBe(200);
    expect((await post({ redirect: 'follow' })).status).toBe(200);
    const url = manual.headers.get('location') as string;
    expect(new URL(url).origin).not.toBe(new URL(server.issuer).origin);
    expect(server.foreign()).toEqual([
      { method: 'POST', url, body: expect.stringContaining(refreshToken) as string },
      { method: 'GET', url, body: '' },
    ]);
  });

  it('no-cors: the true answer, which no page may read', async () => {
    const { server, post } = await world(face);
    server.faults.plan('token', { name: 'no-cors' });
    if (face === 'fetch') await expect(post()).rejects.toThrow('fetch failed');
    else expect((await post()).headers.has('access-control-allow-origin')).toBe(false);
    if (face === 'http') expect((await post()).headers.get('access-control-allow-origin')).toBe('*');
    expect(server.log()[0]).toMatchObject({ outcome: 'rotated', fault: 'no-cors' });
  });

  it('faults of the other endpoints: a revocation that is lost, done or not; discovery; keys; the API', async () => {
    const { server, fetch: send, refreshToken } = await world(face);
    server.faults.plan('revocation', { name: '503' }, { name: 'drop-response' });
    server.faults.plan('discovery', null, { name: 'html', status: 502 });
    server.faults.plan('jwks', { name: 'drop-request' });
    server.faults.plan('api', { name: '429' });
    const body = new URLSearchParams({ token: refreshToken, client_id: 'spa' });
    const revoke = (): Promise<object> => seen(send(`${server.issuer}/revoke`, { method: 'POST', body }));
    const get = async (path: string): Promise<unknown> => (await seen(send(`${server.issuer}${path}`)))['status'] ?? 'rejected';
    expect([await revoke(), server.isLive(refreshToken)]).toEqual([expect.objectContaining({ status: 503 }), true]);
    expect([await revoke(), server.isLive(refreshToken)]).toEqual([{ rejected: 'TypeError' }, false]);
    const discovery = '/.well-known/openid-configuration';
    expect([await get(discovery), await get(discovery), await get('/jwks'), await get('/jwks')]).toEqual([200, 502, 'rejected', 200]);
    expect([await get('/api'), await get('/api'), await get('/nowhere')]).toEqual([429, 401, 404]);
    expect([server.faults.left(), server.counts().requests]).toEqual([0, 0]);
  });

  it('random faults are the same for the same seed', async () => {
    const drawn = async (seed: number): Promise<readonly unknown[]> => {
      const { server, post } = await world(face, { mode: 'keep' });
      server.faults.random({ seed, rate: 0.5, faults: [{ name: '503' }, { name: '500-after-commit' }] });
      for (let i = 0; i < 24; i++) await seen(post());
      server.faults.random(null);
      await seen(post());
      expect(server.log().at(-1)).not.toHaveProperty('fault');
      return server.log().map(({ fault }) => fault ?? 'none');
    };
    const [first, again, other] = [await drawn(1), await drawn(1), await drawn(2)];
    expect(first).toEqual(again);
    expect(first).not.toEqual(other);
    expect(new Set(first)).toEqual(new Set(['none', '503', '500-after-commit']));
  });

  it('the API answers 200 for a live access token and 401 once it is expired (RFC 6750 §3)', async () => {
    const { server, fetch: send } = await world(face);
    const { access_token } = await server.authorize('bob', { scope: 'api:read' });
    const call = (): Promise<Response> => send(`${server.issuer}/api/orders`, { headers: { authorization: `Bearer ${access_token}` } });
    const good = await call();
    expect([good.status, await good.json()]).toEqual([200, { sub: 'bob', scope: 'api:read', resource: [] }]);
    server.expireAccessToken(access_token);
    const bad = await call();
    expect([bad.status, bad.headers.get('www-authenticate')]).toEqual([401, 'Bearer error="invalid_token"']);
  });

  it.each([false, true])('the client of this package refreshes and revokes; with ID tokens: %s', async (idTokens) => {
    const { server, fetch: send } = await world(face, { mode: 'strict-revoke', idTokens });
    const first = await server.authorize('alice');
    expect('id_token' in first).toBe(idTokens);
    const platform = { ...defaultPlatform(), fetch: send };
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', platform });
    const claims = idTokens
      ? { iss: server.issuer, sub: 'alice', aud: 'spa', iat: 1, exp: 2, auth_time: authTimeOf(first.id_token) }
      : null;
    const token = createToken({
      id: 'one',
      accessToken: first.access_token,
      tokenType: 'Bearer',
      refreshToken: first.refresh_token,
      ...(idTokens && { idToken: first.id_token }),
      scope: first.scope,
      issuedAt: Date.now(),
      expiresAt: Date.now(),
      claims,
      context: { issuer: server.issuer, clientId: 'spa' },
    });
    const next = await client.processRefresh(token, await client.sendRefresh(token));
    expect(server.lookUp(next.refreshToken ?? '')).toMatchObject({ index: 1, live: true });
    expect(next.claims?.sub).toBe(idTokens ? 'alice' : undefined);
    await client.revoke(next.refreshToken ?? '', 'refresh_token');
    expect(server.isLive(next.accessToken)).toBe(false);
  });
});

function authTimeOf(idToken: string | undefined): number {
  const payload = JSON.parse(Buffer.from(idToken?.split('.')[1] ?? '', 'base64url').toString()) as { readonly auth_time: number };
  return payload.auth_time;
}

describe('fetch face', () => {
  it('an aborted signal sends nothing; other origins are noted', async () => {
    const { server, post, fetch: send } = await world('fetch');
    await expect(post({ signal: AbortSignal.abort() })).rejects.toThrow('aborted');
    expect(server.log()).toEqual([]);
    await send('https://id.example.com.evil.test/token', { method: 'POST', body: 'a=1' });
    expect(server.foreign()).toEqual([{ method: 'POST', url: 'https://id.example.com.evil.test/token', body: 'a=1' }]);
  });

  it('an abort ends a body that is being read', async () => {
    const { server, post } = await world('fetch');
    server.faults.plan('token', { name: 'endless' });
    const abort = new AbortController();
    const response = await post({ signal: abort.signal });
    const text = response.text();
    abort.abort();
    await expect(text).rejects.toThrow('aborted');
  });
});

describe('other processes', () => {
  it('control: grants, faults, expiry and books over HTTP', async () => {
    const server = createRefreshServer({ mode: 'leeway-latest' });
    const listening = await server.listen();
    open.push(listening);
    const control = createRefreshControl(listening.control);
    const first = await control.authorize('carol', { scope: 'api:read' });
    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'spa', refresh_token: first?.refresh_token ?? '' });
    await control.plan('token', { name: 'drop-response' }, null, { name: '503' });
    const post = (): Promise<Response> => fetch(`${server.issuer}/token`, { method: 'POST', body });
    await expect(post()).rejects.toThrow('fetch failed');
    expect([(await post()).status, await control.faultsLeft()]).toEqual([200, 1]);
    expect(await control.counts()).toMatchObject({ requests: 2, reuse: 1, outcomes: { rotated: 1, 'reused-in-leeway': 1 } });
    expect(await control.grants()).toEqual([expect.objectContaining({ sub: 'carol', scope: 'api:read', current: [2], honoured: [0, 2] })]);
    expect([await control.expireAccessToken(first?.access_token ?? ''), await control.isLive(first?.access_token ?? '')]).toEqual([
      true,
      false,
    ]);
    expect([await control.revokeGrant('g1'), await control.revokeGrant('g9'), await control.lookUp('x')]).toEqual([true, false, null]);
    expect([(await control.grants())?.[0]?.state, await control.foreign()]).toEqual(['revoked', []]);
    await control.random({ seed: 1, rate: 1, faults: [{ name: '429' }] });
    await control.plan('token', null);
    expect([(await post()).status, (await post()).status, (await post()).status]).toEqual([503, 400, 429]);
    await control.resetLog();
    expect(await control.log()).toEqual([]);
    const unknown = (control as unknown as Readonly<Record<string, () => Promise<unknown>>>)['toString_'];
    await expect(unknown?.()).rejects.toThrow('no method toString_');
  });

  it('answers preflights, and closes with requests hanging', async () => {
    const timers = new Set<number>();
    const setTimer = (_: () => void, delayMs: number): (() => void) => {
      timers.add(delayMs);
      return () => timers.delete(delayMs);
    };
    const listening = await createRefreshServer({ mode: 'keep', setTimer }).listen();
    const preflight = await fetch(`${listening.issuer}/api`, { method: 'OPTIONS' });
    expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, 'authorization, content-type, dpop']);
    await createRefreshControl(listening.control).plan('token', { name: 'hang' }, { name: 'delay', beforeMs: 3_600_000 });
    const posts = [1, 2].map(() => seen(fetch(`${listening.issuer}/token`, { method: 'POST', body: '' })));
    while ((await createRefreshControl(listening.control).faultsLeft()) !== 0);
    expect([...timers]).toEqual([3_600_000]);
    await listening.close();
    expect([...timers]).toEqual([]);
    expect(await Promise.all(posts)).toEqual([{ rejected: 'TypeError' }, { rejected: 'TypeError' }]);
    await expect(fetch(listening.issuer)).rejects.toThrow('fetch failed');
  });

  it('plain Node runs the same code: as a program, and imported', async () => {
    const node = join(ROOT, 'test/support/refresh-server/node.mjs');
    const child = spawn(process.execPath, [node, '{"mode":"parent-ok"}'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const line = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))));
    const { issuer, control } = JSON.parse(line) as Listening;
    const first = await createRefreshControl(control).authorize('dave');
    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'spa', refresh_token: first?.refresh_token ?? '' });
    const answers = [1, 2].map(
      async () => (await fetch(`${issuer}/token`, { method: 'POST', body })).json() as Promise<{ refresh_token: string }>,
    );
    const [one, two] = await Promise.all(answers);
    expect([one?.refresh_token === two?.refresh_token, await createRefreshControl(control).counts()]).toEqual([
      true,
      expect.objectContaining({ outcomes: { rotated: 1, 'parent-ok': 1 } }),
    ]);
    child.stdin.end();
    expect(await ended).toBe(0);
    const code = `import { seededRandom, REFRESH_MODES } from ${JSON.stringify(node)}; console.log(REFRESH_MODES.length, seededRandom(42)())`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code]);
    expect(stdout.trim()).toBe(`7 ${seededRandom(42)()}`);
  });
});
