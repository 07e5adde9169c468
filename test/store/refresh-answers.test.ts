// The table "Answer of a refresh" (6749-9), each row from the wire through the real client into the record: what is stored afterwards, how often
// the refresh token was sent, whether the intent stays, and what is said of it.
import type { Intent } from '../../src/credential/record.js';
import type { Credential } from '../../src/index.js';
import { fakeServer, json, type Answer, type FakeServer } from '../support/fake-server.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

interface Session extends World, Tab {
  readonly server: FakeServer;
  readonly credential: Credential;
  /** The refresh token that is stored at the beginning. */
  readonly sent: string;
  refreshToken(): unknown;
  hasIntent(): boolean;
}

/** A credential that was signed in, in a store that talks to a fake server through the real client. */
async function signedIn(
  options: { readonly reuseLeewayMs?: number; readonly onUnknownOutcome?: 'defer-until-expiry' | 'reauthenticate' } = {},
) {
  const world = createWorld();
  const server = fakeServer();
  const openTab = (): Promise<Tab> =>
    world.openTab({
      clients: (platform) => ({
        issuer: server.issuer,
        clientId: server.clientId,
        platform: { ...platform, fetch: server.fetch },
        ...options,
      }),
    });
  const tab = await openTab();
  const token = world.authority.signIn();
  const credential = await tab.store.store(token);
  tab.newEvents();
  const stored = (): Readonly<Record<string, unknown>> => world.disk.record(credential.id);
  const session: Session = {
    ...world,
    ...tab,
    openTab,
    server,
    credential,
    sent: token.refreshToken ?? '',
    refreshToken: () => (stored()['secrets'] as { refreshToken?: string } | null)?.refreshToken,
    hasIntent: () => 'intent' in stored(),
  };
  return session;
}

const oauthError = (error: string, status = 400, headers: HeadersInit = {}): Response => json({ error }, { status, headers });
const html = (status: number): Response =>
  new Response('<html>Sign in to the Wi-Fi</html>', { status, headers: { 'content-type': 'text/html' } });
const text = (body: string, contentType = 'application/json'): Response => new Response(body, { headers: { 'content-type': contentType } });
const RENEWED = { access_token: 'new-access', token_type: 'Bearer', expires_in: 600, refresh_token: 'new-refresh' };
/** A body that breaks off in the middle. */
const cut = (): Response => {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"access_token":"x","refresh_')),
    pull: (controller) => controller.error(new TypeError('terminated')),
  });
  return new Response(body, { headers: { 'content-type': 'application/json' } });
};

type Row = readonly [title: string, answer: () => Answer, code: string, errorClass: string];

const OUTCOME_UNKNOWN: readonly Row[] = [
  ['no network, or an answer that CORS hides', () => 'offline', 'network_error', 'unknown_outcome'],
  ['no answer within 30 s', () => 'hang', 'timeout', 'unknown_outcome'],
  ['a connection that breaks off in the body', cut, 'network_error', 'unknown_outcome'],
  ['500', () => json({ error: 'server_error' }, { status: 500 }), 'server_error', 'unknown_outcome'],
  ['500 with invalid_grant in its body', () => oauthError('invalid_grant', 500), 'server_error', 'unknown_outcome'],
  ['502 with a page', () => html(502), 'server_error', 'unknown_outcome'],
  ['504', () => html(504), 'server_error', 'unknown_outcome'],
  ['200 with a page', () => html(200), 'response_invalid', 'unknown_outcome'],
  ['200 with plain text', () => text('OK', 'text/plain'), 'response_invalid', 'unknown_outcome'],
  ['200 with nothing', () => text(''), 'response_invalid', 'unknown_outcome'],
  ['200 with half of a JSON object', () => text('{"access_token":"x","refresh_token":"new-re'), 'response_invalid', 'unknown_outcome'],
  ['200 with null', () => text('null'), 'response_invalid', 'unknown_outcome'],
  ['200 with a list', () => text('[{"access_token":"x"}]'), 'response_invalid', 'unknown_outcome'],
  ['200 with more than 512 KiB', () => text('x'.repeat(513 * 1024)), 'response_too_large', 'unknown_outcome'],
  ['200 with bytes that are no text', () => new Response(new Uint8Array([0x7b, 0xff])), 'response_invalid', 'unknown_outcome'],
  ['204', () => new Response(null, { status: 204 }), 'response_invalid', 'unknown_outcome'],
];

const REFUSED: readonly Row[] = [
  ['408', () => html(408), 'server_unavailable', 'transient'],
  ['425', () => html(425), 'server_unavailable', 'transient'],
  ['429', () => json({}, { status: 429 }), 'server_unavailable', 'transient'],
  ['503', () => html(503), 'server_unavailable', 'transient'],
  ['503 with invalid_grant in its body', () => oauthError('invalid_grant', 503), 'server_unavailable', 'transient'],
  ['temporarily_unavailable', () => oauthError('temporarily_unavailable'), 'oauth_error', 'transient'],
  ['server_error', () => oauthError('server_error'), 'oauth_error', 'transient'],
  ['invalid_client', () => oauthError('invalid_client', 401, { 'www-authenticate': 'Basic' }), 'oauth_error', 'configuration'],
  ['unauthorized_client', () => oauthError('unauthorized_client'), 'oauth_error', 'configuration'],
  ['unsupported_grant_type', () => oauthError('unsupported_grant_type'), 'oauth_error', 'configuration'],
  ['invalid_scope', () => oauthError('invalid_scope'), 'oauth_error', 'configuration'],
  ['invalid_target', () => oauthError('invalid_target'), 'oauth_error', 'configuration'],
  ['invalid_request', () => oauthError('invalid_request'), 'oauth_error', 'configuration'],
  ['use_dpop_nonce', () => oauthError('use_dpop_nonce', 400, { 'dpop-nonce': 'n' }), 'oauth_error', 'transient'],
  ['invalid_dpop_proof', () => oauthError('invalid_dpop_proof'), 'oauth_error', 'configuration'],
  ['an error nobody knows', () => oauthError('surprise'), 'oauth_error', 'configuration'],
  ['400 that gives no reason', () => html(400), 'http_error', 'transient'],
  ['403 that gives no reason', () => json(null, { status: 403 }), 'http_error', 'transient'],
  ['400 that gives no reason in an object', () => json({}, { status: 400 }), 'http_error', 'configuration'],
  ['D-047 403 of a gateway in JSON', () => json({ message: 'Forbidden' }, { status: 403 }), 'http_error', 'transient'],
  ['D-047 404 of a gateway in JSON', () => json({ status: 404, error: 'Not Found' }, { status: 404 }), 'oauth_error', 'transient'],
  ['302', () => new Response(null, { status: 302, headers: { location: 'https://evil.example/' } }), 'unexpected_redirect', 'transient'],
  ['307', () => new Response(null, { status: 307, headers: { location: 'https://evil.example/' } }), 'unexpected_redirect', 'transient'],
];

/** Answers that brought another refresh token though something is wrong with them. */
const MALFORMED: readonly Row[] = [
  ['no access token', () => ({ token_type: 'Bearer', refresh_token: 'new-refresh' }), 'response_invalid', 'unknown_outcome'],
  ['an access token that is a number', () => ({ ...RENEWED, access_token: 7 }), 'response_invalid', 'unknown_outcome'],
  ['a token type that is a list', () => ({ ...RENEWED, token_type: ['Bearer'] }), 'response_invalid', 'unknown_outcome'],
  ['a token type nobody knows', () => ({ ...RENEWED, token_type: 'mac' }), 'unsupported', 'configuration'],
  ['a label that says HTML', () => text(JSON.stringify(RENEWED), 'text/html'), 'response_invalid', 'unknown_outcome'],
  ['an ID token that is none', () => ({ ...RENEWED, id_token: 'x.y.z' }), 'id_token_invalid', 'security'],
  ['an error, too', () => ({ error: 'invalid_grant', refresh_token: 'new-refresh' }), 'response_invalid', 'unknown_outcome'],
  ['status 201 and no access token', () => json({ refresh_token: 'new-refresh' }, { status: 201 }), 'response_invalid', 'unknown_outcome'],
];

describe('6749-9 the answer of a refresh', () => {
  it.each(OUTCOME_UNKNOWN)(
    'RF-7 %s leaves the outcome unknown: sent three times, the token and the intent are kept',
    async (_, answer, code, errorClass) => {
      const { server, credential, browser, sent, newEvents, events, ...session } = await signedIn();
      server.plan('token', answer(), answer(), answer());
      expect(await codeOf(inTime(browser, credential.refresh(), 100_000))).toBe(code);
      expect(server.calls('token').map(({ form }) => form.get('refresh_token'))).toEqual([sent, sent, sent]);
      expect(session.refreshToken()).toBe(sent);
      expect(session.hasIntent()).toBe(true);
      expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
      expect(events.at(-1)).toMatchObject({ code, class: errorClass, attempts: 1, nextTryAt: null });
      expect(credential.state).toMatchObject({
        status: { token: 'valid', activity: 'idle' },
        refreshFailure: { code, class: errorClass, attempts: 1, nextTryAt: null },
      });
    },
  );

  it.each(REFUSED)(
    'E6 E7 %s has used up nothing: sent once, the token is kept, the intent is taken back',
    async (_, answer, code, errorClass) => {
      const { server, credential, browser, sent, newEvents, events, ...session } = await signedIn();
      server.plan('token', answer());
      expect(await codeOf(inTime(browser, credential.refresh()))).toBe(code);
      expect(server.calls('token')).toHaveLength(1);
      expect(server.calls('other')).toEqual([]);
      expect(session.refreshToken()).toBe(sent);
      expect(session.hasIntent()).toBe(false);
      expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
      expect(events.at(-1)).toMatchObject({ code, class: errorClass, attempts: 1, nextTryAt: null });
      expect(credential.state).toMatchObject({
        status: { token: 'valid', activity: 'idle' },
        refreshFailure: { code, class: errorClass, attempts: 1, nextTryAt: null },
      });
    },
  );

  it.each(MALFORMED)(
    'E56 a success with %s is no token, but what the server rotated to is kept; sent once',
    async (_, answer, code, errorClass) => {
      const { server, credential, browser, newEvents, events, ...session } = await signedIn();
      const before = credential.token?.accessToken;
      server.plan('token', answer());
      expect(await codeOf(inTime(browser, credential.refresh()))).toBe(code);
      expect(server.calls('token')).toHaveLength(1);
      expect(session.refreshToken()).toBe('new-refresh');
      expect(session.hasIntent()).toBe(false);
      expect(credential.token?.accessToken).toBe(before); // E31: nothing unchecked is taken
      expect(newEvents()).toContain('refresh_failed');
      expect(events.at(-1)).toMatchObject({ type: 'refresh_failed', code, class: errorClass });
      expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
      server.plan('token', RENEWED);
      await inTime(browser, credential.refresh());
      expect(server.calls('token')[1]?.form.get('refresh_token')).toBe('new-refresh');
    },
  );

  it.each<readonly [string, (sent: string) => Answer, string]>([
    ['a token type that is a list', () => ({ access_token: 'new-access', token_type: ['Bearer'] }), 'response_invalid'],
    ['an ID token that is none', () => ({ ...RENEWED, refresh_token: undefined, id_token: 'x.y.z' }), 'id_token_invalid'],
    ['the refresh token that was sent', (sent) => ({ access_token: 7, refresh_token: sent }), 'response_invalid'],
  ])('RF-8 a success with %s that rotates nothing replaces nothing: no event says so', async (_, answer, code) => {
    const { server, credential, browser, newEvents, disk, sent, ...session } = await signedIn();
    const { generation } = disk.record(credential.id);
    server.plan('token', answer(sent));
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe(code);
    expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
    expect(disk.record(credential.id)['generation']).toBe(generation);
    expect(session.refreshToken()).toBe(sent);
    expect(session.hasIntent()).toBe(false); // the server has answered: nothing is unknown
    server.plan('token', RENEWED);
    await inTime(browser, credential.refresh());
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
  });

  it.each<readonly [string, Answer]>([
    ['no token type', { ...RENEWED, token_type: undefined }],
    ['a list of scopes', { ...RENEWED, scope: ['openid'] }],
    ['Content-Type twice', () => json(RENEWED, { headers: { 'content-type': 'application/json, application/json' } })],
  ])('E5 E55 a success with %s is one: its token is stored, of the same type, sent once', async (_, answer) => {
    const { server, credential, ...session } = await signedIn();
    server.plan('token', answer);
    expect(await credential.refresh()).toMatchObject({ accessToken: 'new-access', tokenType: 'Bearer' });
    expect(session.refreshToken()).toBe('new-refresh');
  });

  it('E56 a success with another status than 200 is one: its token is stored, sent once', async () => {
    const { server, credential, ...session } = await signedIn();
    server.plan('token', json(RENEWED, { status: 201 }));
    expect((await credential.refresh()).accessToken).toBe('new-access');
    expect(session.refreshToken()).toBe('new-refresh');
  });

  it.each<readonly [string, () => Answer]>([
    ['no token at all', () => ({ token_type: 'Bearer' })],
    ['a refresh token that is a number', () => ({ token_type: 'Bearer', refresh_token: 7 })],
  ])('E7 a success with %s keeps the refresh token; sent once: no retry storm', async (_, answer) => {
    const { server, credential, browser, sent, ...session } = await signedIn();
    server.plan('token', answer());
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('response_invalid');
    expect(server.calls('token')).toHaveLength(1);
    expect(session.refreshToken()).toBe(sent);
    expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: { class: 'unknown_outcome' } });
  });

  it.each<readonly [string, Answer]>([
    ...['interaction_required', 'login_required', 'consent_required', 'account_selection_required', 'access_denied'].map(
      (error) => [error, oauthError(error)] as const,
    ),
    ['mfa_required (Auth0)', json({ error: 'mfa_required', mfa_token: 'x' }, { status: 403 })],
    ['token_inactive (Hydra 1)', json({ error: 'token_inactive' }, { status: 401 })],
    ['invalid_token (UAA)', json({ error: 'invalid_token' }, { status: 401 })],
    ['bad_refresh_token with status 200 (GitHub)', json({ error: 'bad_refresh_token' })],
    ['invalid_grant with status 200 (a gateway)', json({ error: 'invalid_grant' })],
    ['invalid_grant for want of consent (Entra)', json({ error: 'invalid_grant', suberror: 'consent_required' }, { status: 400 })],
    ['invalid_grant for want of a second factor (Entra)', json({ error: 'invalid_grant', suberror: 'basic_action' }, { status: 400 })],
  ])('%s keeps the token and asks for the user', async (_, answer) => {
    const { server, credential, sent, newEvents, events, ...session } = await signedIn();
    server.plan('token', answer);
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    expect(server.calls('token')).toHaveLength(1);
    expect(session.refreshToken()).toBe(sent);
    expect(session.hasIntent()).toBe(false);
    expect(newEvents()).toEqual(['refresh_started', 'interaction_required']);
    expect(events.at(-1)).toMatchObject({ code: 'oauth_error', class: 'needs_user' });
    expect(credential.state).toMatchObject({ status: { token: 'needs_interaction', activity: 'idle' }, refreshFailure: null });
  });

  it.each<readonly [string, () => Response]>([
    ['invalid_grant', () => oauthError('invalid_grant')],
    ['invalid_grant with status 401 and a challenge', () => oauthError('invalid_grant', 401, { 'www-authenticate': 'Bearer error="x"' })],
    ['E23 invalid_grant with a DPoP nonce', () => oauthError('invalid_grant', 400, { 'dpop-nonce': 'n' })],
  ])('E7 %s for the token that is stored removes it: rejected', async (_, answer) => {
    const { server, credential, newEvents, events, ...session } = await signedIn();
    server.plan('token', answer());
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(server.calls('token')).toHaveLength(1);
    expect(session.refreshToken()).toBeUndefined();
    expect(session.hasIntent()).toBe(false);
    expect(newEvents()).toEqual(['refresh_started', 'sign_in_required']);
    expect(events.at(-1)).toMatchObject({ reason: 'rejected' });
    expect(credential.state).toMatchObject({
      status: { token: 'needs_sign_in', activity: 'idle' },
      reason: 'rejected',
      refreshFailure: null,
    });
  });

  it('RF-5 invalid_grant where another token is stored by now adopts that one', async () => {
    const { server, credential, authority, openTab, newEvents, ...session } = await signedIn();
    const other = await openTab();
    const next = authority.signIn();
    server.plan('token', async () => {
      await other.store.store(next, { replace: credential.id });
      return oauthError('invalid_grant');
    });
    expect((await credential.refresh()).accessToken).toBe(next.accessToken);
    expect(session.refreshToken()).toBe(next.refreshToken);
    expect(credential.state).toMatchObject({ status: { token: 'valid', activity: 'idle' }, reason: null });
    expect(newEvents()).not.toContain('sign_in_required');
  });
});

describe('RF-7 an answer that comes after none', () => {
  it.each([1, 2])('a token after %d lost answers is stored, and nobody hears of a failure', async (lost) => {
    const { server, credential, browser, sent, newEvents, ...session } = await signedIn();
    server.plan('token', ...Array<Answer>(lost).fill('offline'), RENEWED);
    expect((await inTime(browser, credential.refresh())).accessToken).toBe('new-access');
    expect(server.calls('token').map(({ form }) => form.get('refresh_token'))).toEqual(Array(lost + 1).fill(sent));
    expect(session.refreshToken()).toBe('new-refresh');
    expect(session.hasIntent()).toBe(false);
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
  });

  it('waits 0.5 s before the second send and 2 s before the third, half as much more or less', async () => {
    const { server, credential, browser } = await signedIn();
    const times: number[] = [];
    const lost = (): never => {
      times.push(browser.now());
      throw new TypeError('fetch failed');
    };
    server.plan('token', lost, lost, lost);
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('network_error');
    const [first = 0, second = 0, third = 0] = times;
    expect(second - first).toBeGreaterThanOrEqual(250);
    expect(second - first).toBeLessThanOrEqual(750);
    expect(third - second).toBeGreaterThanOrEqual(1_000);
    expect(third - second).toBeLessThanOrEqual(3_000);
  });

  it('invalid_grant ends the session as rotation_lost: the server has used the token up', async () => {
    const { server, credential, browser, events } = await signedIn();
    server.plan('token', 'offline', oauthError('invalid_grant'));
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('needs_sign_in');
    expect(events.at(-1)).toMatchObject({ type: 'sign_in_required', reason: 'rotation_lost' });
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(server.calls('token')).toHaveLength(2); // once, not in a loop
  });

  it.each<readonly [string, () => Answer, string]>([
    ['503', () => html(503), 'server_unavailable'],
    ['invalid_client', () => oauthError('invalid_client', 401), 'oauth_error'],
    ['login_required', () => oauthError('login_required'), 'needs_interaction'],
  ])('%s leaves the intent: the first request may have used the token up', async (_, answer, code) => {
    const { server, credential, browser, sent, ...session } = await signedIn();
    server.plan('token', 'offline', answer());
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe(code);
    expect(session.refreshToken()).toBe(sent);
    expect(session.hasIntent()).toBe(true);
  });

  it('RF-13 a sign-out during a pause ends it: nothing is sent any more', async () => {
    const { server, credential, browser } = await signedIn();
    server.plan('token', 'offline');
    const refreshing = codeOf(credential.refresh());
    await settle();
    await credential.remove();
    expect(await inTime(browser, refreshing)).toBe('credential_removed');
    expect(server.calls('token')).toHaveLength(1);
  });
});

describe('Retry-After', () => {
  it.each<readonly [string, (now: number) => string, number]>([
    ['seconds', () => '7', 7_000],
    ['no time at all', () => '0', 1_000],
    ['an hour', () => '3600', 300_000],
    ['a date', (now) => new Date(now + 20_000).toUTCString(), 20_000],
    ['a date in the past', (now) => new Date(now - 20_000).toUTCString(), 1_000],
  ])('that says %s is waited for, by who forces a refresh, too', async (_, header, waitMs) => {
    const { server, credential, browser } = await signedIn();
    server.plan('token', html(503));
    server.plan('token', json({}, { status: 429, headers: { 'retry-after': header(browser.now()) } }));
    expect(await codeOf(credential.refresh())).toBe('server_unavailable');
    const refused: unknown = await credential.refresh().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'server_unavailable', status: 429, retryAfterMs: waitMs });
    await browser.advance(waitMs - 1);
    await expect(credential.refresh()).rejects.toMatchObject({ code: 'server_unavailable', retryAfterMs: 1 });
    expect(server.calls('token')).toHaveLength(2);
    await browser.advance(1);
    server.plan('token', RENEWED);
    await credential.refresh();
    expect(server.calls('token')).toHaveLength(3);
  });
});

describe('RF-8 the intent of a dead holder', () => {
  /** Somebody died `agoMs` ago, with the token that is stored on its way. */
  async function withDeadHolder(agoMs: number, options: Parameters<typeof signedIn>[0] = {}) {
    const session = await signedIn(options);
    await session.store.close();
    const record = session.disk.record(session.credential.id);
    const startedAt = session.browser.now() - agoMs;
    const intent: Intent = { holder: 'dead', attempt: 1, generation: 1, startedAt, since: startedAt };
    session.disk.records.set(session.credential.id, { ...record, revision: 2, intent });
    const tab = await session.openTab();
    const credential = await tab.store.with(session.credential.id);
    if (!credential) throw new Error('the credential is gone');
    return { ...session, ...tab, credential };
  }

  it('is waited out for 2 s, then the same token is sent again', async () => {
    const { server, credential, browser, sent, ...session } = await withDeadHolder(1_000);
    const refreshing = credential.refresh();
    await browser.advance(1_999);
    expect(server.calls('token')).toHaveLength(0);
    server.plan('token', RENEWED);
    await browser.advance(1);
    expect((await refreshing).accessToken).toBe('new-access');
    expect(server.calls('token').map(({ form }) => form.get('refresh_token'))).toEqual([sent]);
    expect(session.refreshToken()).toBe('new-refresh');
    expect(session.hasIntent()).toBe(false);
  });

  it('is not waited for once nothing of it can be on its way', async () => {
    const { server, credential, browser } = await withDeadHolder(120_000);
    server.plan('token', RENEWED);
    const refreshing = credential.refresh();
    await browser.advance(0);
    expect((await refreshing).accessToken).toBe('new-access');
  });

  it('who had committed after all is adopted, and nothing is sent', async () => {
    const { disk, server, credential, browser } = await withDeadHolder(1_000);
    const refreshing = credential.refresh();
    await browser.advance(1_000);
    const { intent: _, ...record } = disk.record(credential.id);
    const secrets = { ...(record['secrets'] as object), accessToken: 'theirs', refreshToken: 'their-refresh' };
    disk.records.set(credential.id, { ...record, revision: 3, generation: 2, secrets });
    await browser.advance(1_000);
    expect((await refreshing).accessToken).toBe('theirs');
    expect(server.calls('token')).toEqual([]);
  });

  it('invalid_grant after it ends the session as rotation_lost', async () => {
    const { server, credential, browser } = await withDeadHolder(1_000);
    server.plan('token', oauthError('invalid_grant'));
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('needs_sign_in');
    expect(credential.state).toMatchObject({ reason: 'rotation_lost', status: { token: 'needs_sign_in' } });
  });

  it.each([
    [403, 'valid', 2],
    [502, 'needs_sign_in', 3],
  ])('reauthenticate: a page with %d in place of an answer leaves the session %s', async (status, state, sends) => {
    const { server, credential, browser } = await signedIn({ onUnknownOutcome: 'reauthenticate' });
    server.plan('token', ...(status < 500 ? [html(status), RENEWED] : [html(status), html(status), html(status)]));
    await codeOf(inTime(browser, credential.refresh()));
    await inTime(
      browser,
      credential.refresh().catch(() => undefined),
    );
    expect(credential.status.token).toBe(state);
    expect(server.calls('token')).toHaveLength(sends);
  });

  it('E6 reauthenticate: what was certainly not sent leaves no intent, and ends no session', async () => {
    const { server, credential, browser, ...session } = await signedIn({ onUnknownOutcome: 'reauthenticate' });
    const unsent = (): never => {
      throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ENOTFOUND' } });
    };
    server.plan('token', unsent, unsent, RENEWED);
    for (let times = 0; times < 2; times++) {
      expect(await codeOf(credential.refresh())).toBe('network_error');
      expect(session.hasIntent()).toBe(false);
      await browser.advance(10_000);
    }
    expect((await inTime(browser, credential.refresh())).accessToken).toBe('new-access');
  });

  it.each([undefined, 'reauthenticate'] as const)(
    'RF-7 %s: one that was not sent after one of which nobody knows says nothing of that: the third is sent',
    async (onUnknownOutcome) => {
      const { server, credential, browser } = await signedIn({ onUnknownOutcome });
      const failing = (code: string) => (): never => {
        throw Object.assign(new TypeError('fetch failed'), { cause: { code } });
      };
      server.plan('token', failing('ECONNRESET'), failing('ECONNREFUSED'), RENEWED);
      expect((await inTime(browser, credential.refresh())).accessToken).toBe('new-access');
      expect(server.calls('token')).toHaveLength(3);
    },
  );

  it('RF-7 what three sends came to is told as unknown where the first may have been heard', async () => {
    const { server, credential, browser, ...session } = await signedIn({});
    const failing = (code: string) => (): never => {
      throw Object.assign(new TypeError('fetch failed'), { cause: { code } });
    };
    server.plan('token', failing('ECONNRESET'), failing('ECONNREFUSED'), failing('ECONNREFUSED'));
    const refusal: unknown = await inTime(
      browser,
      credential.refresh().catch((error: unknown) => error),
    );
    expect(refusal).toMatchObject({ code: 'network_error', class: 'unknown_outcome' });
    expect(session.hasIntent()).toBe(true);
  });

  it('reauthenticate sends nothing: the user must sign in', async () => {
    const { server, credential, events, ...session } = await withDeadHolder(1_000, { onUnknownOutcome: 'reauthenticate' });
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(server.calls('token')).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: 'sign_in_required', reason: 'rotation_lost' });
    expect(session.refreshToken()).toBeUndefined();
  });

  it('defer-until-expiry uses the access token as long as it lives, and sends nothing until then', async () => {
    const { server, credential, browser, sent, ...session } = await withDeadHolder(1_000, { onUnknownOutcome: 'defer-until-expiry' });
    await browser.advance(3_580_000); // about to expire
    const held = credential.token?.accessToken;
    expect(await credential.accessToken()).toBe(held);
    const refused: unknown = await credential.refresh().catch((error: unknown) => error);
    expect(refused).not.toMatchObject({ code: 'credential_removed' });
    expect(server.calls('token')).toEqual([]);
    expect(session.refreshToken()).toBe(sent);
    await browser.advance(20_000);
    server.plan('token', RENEWED);
    expect(await inTime(browser, credential.accessToken())).toBe('new-access');
  });

  it.each(['defer-until-expiry', 'reauthenticate'] as const)(
    '%s is of no matter within the leeway of the server',
    async (onUnknownOutcome) => {
      const { server, credential, browser } = await withDeadHolder(1_000, { onUnknownOutcome, reuseLeewayMs: 10_000 });
      server.plan('token', RENEWED);
      expect((await inTime(browser, credential.refresh())).accessToken).toBe('new-access');
    },
  );

  it('the leeway counts from the first use, not from the last attempt', async () => {
    const options = { onUnknownOutcome: 'reauthenticate', reuseLeewayMs: 15_000 } as const;
    const { server, credential, browser } = await withDeadHolder(0, options);
    const firstUse = browser.now();
    const lost: readonly Answer[] = ['offline', 'offline', 'offline'];
    server.plan('token', ...lost);
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('network_error');
    await browser.advance(firstUse + 16_000 - browser.now()); // the last attempt was less than 15 s ago
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('needs_sign_in');
    expect(server.calls('token')).toHaveLength(3);
  });
});
