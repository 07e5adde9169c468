// Authorization servers and APIs as they are in the field: what they answer that no RFC has, and what the library makes of it.
import { createHash } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import { filter, firstValueFrom } from 'rxjs';
import { createToken, isSignedIn, memoryStorage, type Credential } from '../../src/index';
import { createAuthorizationCodeFlow } from '../../src/flows/index';
import { createFetch } from '../../src/http/index';
import { json, outcome, pair, world, type Handler, type World } from '../support/field-world';
let w: World;
afterEach(() => w.close());
const tokenRequests = () => w.as.count('/token', 'refresh_token');
/** Signed in, the access token expired, the server's next answers planned. */
async function expired(clientOptions: Parameters<typeof world>[0], ...answers: Handler[]): Promise<Credential> {
  w = await world(clientOptions);
  w.as.claims = { auth_time: 1000 };
  const c = await w.signedIn();
  w.advance(301_000);
  w.as.nowOffsetS = 301;
  w.as.plan('/token', ...answers);
  return c;
}
const state = () => w.store.snapshot().credentials[0];
const good =
  (extra: Record<string, unknown> = {}, id: Record<string, unknown> | null = {}): Handler =>
  async (_q, r) =>
    json(r, 200, await w.as.tokenBody(extra, id));
const refuse =
  (status: number, error: string, more = {}): Handler =>
  (_q, r) =>
    json(r, status, { error, ...more });

describe('IDR-2 IDR-3 a refreshed ID token of another login takes no session away (D-046)', () => {
  it.each<[string, Record<string, unknown>]>([
    ['Keycloak: the user signed in anew for another client of the same SSO session (auth_time moved)', { auth_time: 2000 }],
    ['authentik: nonce null in a refreshed ID token', { nonce: null }],
    ['nonce empty', { nonce: '' }],
    ['azp appears after an upgrade of the server', { azp: 'spa' }],
    ['auth_time null', { auth_time: null }],
    ['another azp', { azp: 'other' }],
    ['a further audience', { aud: ['spa', 'api'] }],
    ['a device clock a minute slow, where the server shows no Date', { iat: Math.floor(Date.now() / 1000) + 361 }],
    ['a device clock ten minutes fast', { iat: Math.floor(Date.now() / 1000) - 600, exp: Math.floor(Date.now() / 1000) - 300 }],
  ])('%s', async (_n, claims) => {
    const c = await expired({}, good({}, claims));
    expect(await outcome(c.accessToken())).toBe('ok:at2');
    expect(c.token?.refreshToken).toBe('rt2');
    expect({ left: (await w.store.allIDs()).length, revoked: w.as.count('/revoke') }).toEqual({ left: 1, revoked: 0 });
  });
});

describe('D-046 a refresh that says the ID token of the login once more', () => {
  const half = (text: string): string => createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url');
  it('with the at_hash of the access token of then: it counts as left out, and the session goes on', async () => {
    w = await world();
    w.as.claims = { at_hash: half('at1') };
    const c = await w.signedIn();
    const id_token = c.token?.idToken;
    for (const accessToken of ['at2', 'at3']) {
      w.advance(301_000);
      w.as.plan('/token', good({ id_token }));
      expect(await outcome(c.accessToken())).toBe(`ok:${accessToken}`);
      expect([c.token?.idToken, c.claims?.sub]).toEqual([id_token, 'alice']);
    }
    w.advance(301_000);
    w.as.nowOffsetS = 903;
    w.as.plan('/token', good({}, { at_hash: half('at1') })); // another one has to fit
    expect(await outcome(c.accessToken())).toContain('id_token_invalid/security');
  });
});

describe('RF-4 E56 an answer that came whole is used, whatever became of its connection or stands beside it', () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
  it.each<[string, (body: string) => string | Buffer]>([
    ['the last chunk is missing', (body) => `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n`],
    ['Content-Length is too large', (body) => `${head}Content-Length: ${body.length + 20}\r\n\r\n${body}`],
    ['a proxy has added to it', (body) => `${head}Connection: close\r\n\r\n${body}<!-- proxy -->`],
    [
      'another member is Latin-1',
      (body) => Buffer.from(`${head}Connection: close\r\n\r\n${body.replace('}', ',"user":"J\u00fcrgen"}')}`, 'latin1'),
    ],
  ])('%s', async (_n, answer) => {
    const c = await expired({}, async (q) => void q.socket.end(answer(JSON.stringify(await w.as.tokenBody({}, null)))));
    w.as.always('/token', (_q, r) => json(r, 400, { error: 'invalid_grant' })); // the token that was sent is spent
    expect(await outcome(c.accessToken())).toBe('ok:at2');
    expect([c.token?.refreshToken, tokenRequests()]).toEqual(['rt2', 1]);
  });
});

describe('IDT-3 servers whose ID tokens have several audiences can be used, if those are trusted', () => {
  it('ZITADEL: aud = all clients of the project and the project', async () => {
    w = await world({ trustedAudiences: ['other-app', 'project-1'] });
    w.as.claims = { aud: ['spa', 'other-app', 'project-1'], azp: 'spa' };
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
});

describe('DISC-2 servers of OAuth alone can be used', () => {
  it('DISC-2 RFC 8414: /.well-known/oauth-authorization-server', async () => {
    w = await world({ scope: 'api' });
    w.as.always('/.well-known/openid-configuration', (_q, r) => json(r, 404, {}));
    w.as.always('/.well-known/oauth-authorization-server', (_q, r) => json(r, 200, w.as.metadata));
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
});

describe('6749-9 a dead refresh token or a demand for the user, told by another code than invalid_grant, is told to the user', () => {
  it.each<[string, Handler]>([
    ['Hydra 1.x: 401 token_inactive after reuse detection', refuse(401, 'token_inactive')],
    ['Cloud Foundry UAA: 401 invalid_token', refuse(401, 'invalid_token')],
    ['Auth0: 403 mfa_required', refuse(403, 'mfa_required', { mfa_token: 'secret' })],
    ['403 access_denied (class needs_user, and yet no status)', refuse(403, 'access_denied')],
    ['GitHub: 200 with error bad_refresh_token', refuse(200, 'bad_refresh_token')],
    ['Slack: 200 with error invalid_refresh_token', refuse(200, 'invalid_refresh_token', { ok: false })],
    [
      '200 with error invalid_grant, and all that is not there as null',
      refuse(200, 'invalid_grant', { access_token: null, id_token: null }),
    ],
    ['a gateway that makes 200 of everything: invalid_grant', refuse(200, 'invalid_grant')],
    [
      'invalid_grant with a description in ISO-8859-1',
      (_q, r) => {
        r.writeHead(400, { 'content-type': 'application/json;charset=ISO-8859-1' });
        r.end(Buffer.from('{"error":"invalid_grant","error_description":"ung\u00fcltig"}', 'latin1'));
      },
    ],
  ])('%s', async (_n, answer) => {
    const c = await expired({});
    w.as.always('/token', answer);
    for (let hour = 0; hour < 24; hour++) {
      await outcome(c.accessToken());
      w.advance(3_600_000);
    }
    expect(
      `${state()?.status.token}, signed in: ${isSignedIn(state())}, events: ${w.events.filter((e) => /sign_in_required|interaction_required/.test((e as { type: string }).type)).length}`,
    ).toMatch(/^needs_(sign_in|interaction)/);
  });
});

describe('D-047 a dead refresh token, told by a word for a wrong request', () => {
  const body =
    (status: number, told: unknown): Handler =>
    (_q, r) =>
      json(r, status, told);
  const dead: readonly (readonly [string, Handler])[] = [
    ['Dex, X: 400 invalid_request', refuse(400, 'invalid_request')],
    ['Gitea, Forgejo: 400 unauthorized_client', refuse(400, 'unauthorized_client')],
    ['401 unauthorized_client', refuse(401, 'unauthorized_client')],
    ['Atlassian: 403 unauthorized_client', refuse(403, 'unauthorized_client', { error_description: 'refresh_token is invalid' })],
    ['Fitbit: a list of errors', body(400, { errors: [{ errorType: 'invalid_grant' }], success: false })],
    ['Twitch: 400 Bad Request', body(400, { error: 'Bad Request', status: 400, message: 'Invalid refresh token' })],
    ['Reddit: error is a number', body(400, { message: 'Bad Request', error: 400 })],
    ['401 and a message', body(401, { message: 'Unauthorized' })],
    ['Zoho: 200 invalid_code', body(200, { error: 'invalid_code' })],
    ['Slack: 200 token_revoked', body(200, { ok: false, error: 'token_revoked' })],
    ['a rule of Auth0: 401 unauthorized', refuse(401, 'unauthorized')],
    ['400 refresh_token_expired', refuse(400, 'refresh_token_expired')],
  ];
  it.each(dead)('%s: once the access token has expired the user is asked, and the refresh token is kept', async (_n, answer) => {
    const c = await expired({}, answer);
    expect(await outcome(c.accessToken())).toContain('needs_interaction/needs_user');
    expect([tokenRequests(), c.status.token, c.token?.refreshToken]).toEqual([1, 'needs_interaction', 'rt1']);
    expect(w.events.at(-1)).toMatchObject({ type: 'interaction_required', class: 'needs_user' });
    w.advance(10_000); // the pause after a failure
    w.as.nowOffsetS += 10;
    expect(await outcome(c.accessToken())).toBe('ok:at2'); // it was wrong: nothing is lost
    expect([c.status.token, c.state.refreshFailure]).toEqual(['valid', null]);
  });
  it.each(dead)('%s: as long as the access token lives it is a matter of configuration', async (_n, answer) => {
    w = await world();
    const c = await w.signedIn();
    w.as.plan('/token', answer);
    expect(await outcome(c.refresh())).toMatch(/^(oauth_error|http_error)\/configuration/);
    expect(c.status.token).toBe('valid');
  });
  it.each<[string, Handler, string]>([
    ['invalid_client', refuse(401, 'invalid_client'), 'configuration'],
    ['unsupported_grant_type', refuse(400, 'unsupported_grant_type'), 'configuration'],
    ['invalid_scope', refuse(400, 'invalid_scope'), 'configuration'],
    ['invalid_target', refuse(400, 'invalid_target'), 'configuration'],
    ['Salesforce: unknown_error', refuse(400, 'unknown_error'), 'configuration'],
    ['Salesforce: rate_limit_exceeded', refuse(400, 'rate_limit_exceeded'), 'configuration'],
    ['Slack: 200 fatal_error', body(200, { ok: false, error: 'fatal_error' }), 'configuration'],
    ['GitHub: 200 incorrect_client_credentials', body(200, { error: 'incorrect_client_credentials' }), 'configuration'],
    ['invalid_dpop_proof', refuse(400, 'invalid_dpop_proof'), 'configuration'],
    ['server_error', refuse(400, 'server_error'), 'transient'],
    ['Zoho: 200 invalid_client_secret', body(200, { error: 'invalid_client_secret' }), 'configuration'],
    ['INVALID_CLIENT', refuse(400, 'INVALID_CLIENT'), 'configuration'],
    ['client_not_found', refuse(401, 'client_not_found'), 'configuration'],
    ['too_many_requests', refuse(400, 'too_many_requests'), 'configuration'],
    ['200 Internal Server Error', body(200, { error: 'Internal Server Error' }), 'configuration'],
    ['a word with Retry-After', (_q, r) => json(r, 400, { error: 'come_back' }, { 'retry-after': '7' }), 'configuration'],
    ['403, JSON and a challenge', (_q, r) => json(r, 403, { error: 'Forbidden' }, { 'www-authenticate': 'Bearer' }), 'configuration'],
    ['403 Forbidden', refuse(403, 'Forbidden'), 'transient'],
    ['403 and a message', body(403, { message: 'Forbidden' }), 'transient'],
    ['401, a page and a challenge', (_q, r) => void r.writeHead(401, { 'www-authenticate': 'Negotiate' }).end('<html>'), 'configuration'],
    ['400 and a page', body(400, '<html>'), 'transient'],
  ])('%s does not ask for the user', async (_n, answer, told) => {
    const c = await expired({}, answer);
    expect(await outcome(c.accessToken())).toContain(`/${told}`);
    expect(c.status.token).toBe('expired');
  });
  it('D-013 nobody is signed in by it any more, and the next sign-in takes its place', async () => {
    const c = await expired({}, refuse(400, 'invalid_request'));
    await outcome(c.accessToken());
    expect([c.status.token, c.state.hasExpired, isSignedIn(c.state)]).toEqual(['needs_interaction', true, false]);
    const next = await w.signedIn();
    expect([next.id, next.status.token, (await w.store.allIDs()).length]).toEqual([c.id, 'valid', 1]);
  });
  it('E7 for a target it is the own refresh that asks for the user, and only once the access token has expired', async () => {
    w = await world({ scope: 'openid api other' });
    const c = await w.signedIn();
    w.as.always('/token', refuse(400, 'invalid_request'));
    expect(await outcome(c.accessToken({ scope: 'other' }))).toContain('oauth_error/configuration/invalid_request');
    expect([tokenRequests(), c.status.token]).toEqual([1, 'valid']);
    w.advance(301_000);
    expect(await outcome(c.accessToken({ scope: 'other' }))).toContain('needs_interaction');
    expect([tokenRequests(), c.status.token]).toEqual([3, 'needs_interaction']);
  });
  it('renewal ahead sends it once more when the access token expires, and then no more', async () => {
    w = await world({}, '', true);
    w.as.always('/token', async (_q, r, form) =>
      form.get('grant_type') === 'refresh_token'
        ? json(r, 400, { error: 'invalid_request' })
        : json(r, 200, await w.as.tokenBody({ expires_in: 7 }, { nonce: w.as.nonce })),
    );
    const asked = firstValueFrom(w.store.events$.pipe(filter(({ type }) => type === 'interaction_required')));
    const c = await w.signedIn();
    await asked;
    expect([tokenRequests(), c.status.token]).toEqual([2, 'needs_interaction']);
    expect(w.events.filter((e) => (e as { type: string }).type === 'refresh_failed')).toMatchObject([
      { class: 'configuration', nextTryAt: null },
    ]);
  });
});

describe('E7 a refused request for a child token does not end the parent, whose token lives', () => {
  it('Entra: AADSTS65001, invalid_grant with suberror consent_required, for the scope of another API', async () => {
    w = await world({ scope: 'openid api://a/read api://b/read' });
    const c = await w.signedIn(); // its access token is good for 300 s
    w.as.plan(
      '/token',
      refuse(400, 'invalid_grant', { error_codes: [65001], suberror: 'consent_required', error_description: 'AADSTS65001: ...' }),
    );
    await outcome(c.accessToken({ scope: 'api://b/read' }));
    expect(await outcome(c.accessToken())).toBe('ok:at1');
  });
});

describe('TM-2 a client clock that is minutes off, where the server tells its own', () => {
  it('§0 "measured skew from the Date header": signs in', async () => {
    w = await world();
    w.as.nowOffsetS = 300;
    w.as.plan('/token', async (_q, r) =>
      json(r, 200, await w.as.tokenBody({}, { nonce: w.as.nonce }), { date: new Date(Date.now() + 300_000).toUTCString() }),
    );
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
  it('keeps a running session', async () => {
    const c = await expired({});
    w.as.nowOffsetS = 301 + 300;
    w.as.always('/token', async (_q, r) => json(r, 200, await w.as.tokenBody(), { date: new Date(Date.now() + 601_000).toUTCString() }));
    expect(await outcome(c.accessToken())).toBe('ok:at2');
  });
  it('Retry-After as a date is told by the Date of the same answer', async () => {
    const c = await expired({});
    const server = w.platform.now() - 300_000; // ours is 5 min fast
    w.as.plan('/token', (_q, r) =>
      json(r, 429, {}, { date: new Date(server).toUTCString(), 'retry-after': new Date(server + 60_000).toUTCString() }),
    );
    const error = (await c.accessToken().catch((e: unknown) => e)) as { retryAfterMs: number };
    expect(error.retryAfterMs).toBeGreaterThan(50_000); // is 1000
  });
});

describe('RF-8 reauthenticate: a whole answer that is refused, of a server that does not rotate, does not end the session', () => {
  it.each<[string, Handler]>([
    ['at_hash null (authentik), no refresh token', good({ refresh_token: undefined }, { at_hash: null })],
    ['200 with error temporarily_unavailable', refuse(200, 'temporarily_unavailable')],
    ['511 of a network that asks for its own sign-in', (_q, r) => void r.writeHead(511).end('<html>')],
    ['521 of Cloudflare: the server refused the connection', (_q, r) => void r.writeHead(521).end('<html>')],
  ])('%s', async (_n, answer) => {
    const c = await expired({ onUnknownOutcome: 'reauthenticate' }, answer);
    await outcome(c.accessToken());
    w.advance(400_000);
    w.as.nowOffsetS += 400;
    const second = await outcome(c.accessToken());
    expect([second.slice(0, 4), state()?.status.token, state()?.reason]).toEqual(['ok:a', 'valid', null]);
  });
});

describe('§4.5 §0 what stands before the server says nothing of the session', () => {
  const page =
    (status: number): Handler =>
    (_q, r) => {
      r.writeHead(status, { 'content-type': 'text/html' });
      r.end('<html>Request blocked</html>');
    };
  it.each<[string, Handler, string]>([
    ['a firewall: 403 and a page', page(403), 'http_error/transient'],
    ['a gateway that is deployed anew: 404 and a page', page(404), 'http_error/transient'],
    ['invalid_grant in more than 64 KiB', refuse(400, 'invalid_grant', { pad: 'x'.repeat(65_536) }), 'http_error/transient'],
    [
      '429 with a long page',
      (_q, r) => json(r, 429, 'x'.repeat(65_537), { 'retry-after': '9' }),
      'server_unavailable/transient/retry 9000',
    ],
  ])('%s: the session goes on', async (_n, answer, told) => {
    const c = await expired({}, answer);
    expect((await outcome(c.accessToken())).split(' "')[0]).toBe(told);
    expect(state()?.status.token).toBe('expired');
    w.advance(3_600_000);
    w.as.nowOffsetS += 3_600;
    expect(await outcome(c.accessToken())).toBe('ok:at2');
  });

  const led: Handler = (_q, r) => void r.writeHead(302, { location: '/login' }).end();
  it.each([
    ['a firewall', page(403)],
    ['the sign-in page of a gateway', led],
  ])('E11 %s before a renewal ahead: it backs off and is tried again', async (_n, answer) => {
    w = await world({}, '', true);
    w.as.claims = { auth_time: 1000 };
    w.as.plan('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ expires_in: 3 }, { nonce: w.as.nonce })), answer);
    const c = await w.signedIn();
    const renewed = firstValueFrom(w.store.events$.pipe(filter(({ type }) => type === 'token_replaced')));
    await renewed;
    expect([c.token?.accessToken, state()?.status.token, tokenRequests()]).toEqual(['at2', 'valid', 2]);
  });
});

describe('IDR-6 E56 an answer whose keys are behind the sign-in page of a gateway', () => {
  it('is kept, and taken once they are there: nothing is sent a second time', async () => {
    const c = await expired({});
    w.advance(600_000); // the keys that are at hand are old
    w.as.nowOffsetS += 600;
    w.as.plan('/jwks', (_q, r) => void r.writeHead(302, { location: '/login' }).end());
    expect(await outcome(c.accessToken())).toContain('unexpected_redirect/transient');
    w.advance(3_000);
    w.as.nowOffsetS += 3;
    expect([await outcome(c.accessToken()), c.token?.refreshToken, tokenRequests()]).toEqual(['ok:at2', 'rt2', 1]);
  });
});

describe('7009-3 a revocation that succeeded, whatever its body', () => {
  it.each<[string, Handler]>([
    ['never ends', (_q, r) => void r.writeHead(200).write('x')],
    ['is no UTF-8', (_q, r) => void r.writeHead(200).end(Buffer.from([0xff, 0x80]))],
    ['is too long', (_q, r) => void r.writeHead(200).end('x'.repeat(1024 * 1024))],
    ['breaks off', (_q, r) => (r.writeHead(200, { 'content-length': '9' }).write('x'), void setTimeout(() => r.destroy(), 5))],
  ])('%s: both tokens are revoked', async (_n, answer) => {
    w = await world();
    const c = await w.signedIn();
    w.as.always('/revoke', answer);
    expect(await c.revoke()).toEqual({ local: 'removed', refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    expect(w.as.log.filter(({ path }) => path === '/revoke').map(({ form }) => form.get('token'))).toEqual(['rt1', 'at1']);
  });
});

describe('7009-3 a revocation of a token that the server does not know', () => {
  it('Google: 400 invalid_token for the access token, which went with the refresh token', async () => {
    w = await world();
    const c = await w.signedIn();
    w.as.plan('/revoke', (_q, r) => json(r, 200, {}), refuse(400, 'invalid_token', { error_description: 'Token expired or revoked' }));
    expect(await c.revoke()).toEqual({ local: 'removed', refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
  });
  it.each([
    [401, 'invalid_token'],
    [400, 'invalid_request'],
    [400, 'unsupported_token_type'],
  ])('any other refusal is one: %d %s', async (status, error) => {
    w = await world();
    const c = await w.signedIn();
    w.as.always('/revoke', refuse(status, error));
    expect(await c.revoke()).toMatchObject({ local: 'removed', refreshToken: { status: 'failed' } });
  });
});

describe('6749-8 scopes as servers write them', () => {
  it('scope "" counts as absent, as refresh_token "" and id_token "" do', async () => {
    const c = await expired({}, good({ scope: '' }));
    await c.accessToken();
    expect(state()?.scope).toBe('openid profile api');
  });
  it('Entra: asked https://graph.microsoft.com/User.Read, granted User.Read', async () => {
    w = await world({ scope: 'openid api://a/read https://graph.microsoft.com/User.Read' });
    const c = await w.signedIn();
    w.as.plan('/token', good({ scope: 'User.Read profile openid email' }));
    expect(await outcome(c.accessToken({ scope: 'https://graph.microsoft.com/User.Read' }))).toBe('ok:at2');
  });
  it('Entra: asked for an API and offline_access, granted the API', async () => {
    w = await world({ scope: 'openid offline_access api://a/read' });
    w.as.plan('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ scope: 'openid' }, { nonce: w.as.nonce })));
    const c = await w.signedIn();
    w.as.plan('/token', good({ scope: 'api://a/read' }));
    expect(await outcome(c.accessToken({ scope: 'openid offline_access api://a/read' }))).toBe('ok:at2');
  });
  it('LinkedIn and GitHub: commas between the words', async () => {
    w = await world({ scope: 'openid profile email' });
    w.as.plan('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ scope: 'email,openid,profile' }, { nonce: w.as.nonce })));
    const c = await w.signedIn();
    expect(c.token?.scope).toBe('email openid profile');
    expect(await outcome(c.accessToken({ scope: 'openid profile email' }))).toBe('ok:at1');
    w.as.plan('/token', good({ scope: 'email,openid' }));
    expect(await outcome(c.accessToken({ scope: 'openid email' }))).toBe('ok:at2');
    expect(tokenRequests()).toBe(1);
  });
  it('Google: asked email, granted https://www.googleapis.com/auth/userinfo.email', async () => {
    w = await world({ scope: 'openid email' });
    const c = await w.signedIn();
    w.as.plan('/token', good({ refresh_token: undefined, scope: 'https://www.googleapis.com/auth/userinfo.email openid' }));
    expect(await outcome(c.accessToken({ scope: 'email' }))).toBe('ok:at2');
  });
});

describe('E10 sign-in: the code is spent, then the keys cannot be had', () => {
  it('a key server that fails once does not cost the sign-in', async () => {
    w = await world();
    w.as.plan('/jwks', (_q, r) => json(r, 503, {}));
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
});

describe('JWK-1 a refresh is signed with a key that the key set does not show yet', () => {
  /** The server has changed its key; a cache before its key set has not. */
  async function rotated(shown: { isNew: boolean }): Promise<Credential> {
    const keyOf = async (alg: string, kid: string) => ({ ...(await exportJWK((await pair(alg)).publicKey)), use: 'sig', kid });
    w = await world({ idTokenSigningAlgs: ['RS256', 'ES256'] });
    w.as.jwks = async () => ({ keys: [await keyOf('RS256', 'k1'), ...(shown.isNew ? [await keyOf('ES256', 'k2')] : [])] });
    const credential = await w.signedIn();
    w.advance(301_000);
    w.as.nowOffsetS = 301;
    [w.as.alg, w.as.kid] = ['ES256', 'k2'];
    return credential;
  }

  it.each([
    ['at once', 0],
    ['when the key was looked for a moment before', 1],
  ])('%s: the answer is kept, and taken once the key is there', async (_, looksBefore) => {
    const shown = { isNew: false };
    const credential = await rotated(shown);
    if (looksBefore) expect(await outcome(w.signIn())).toContain('id_token_invalid/security');
    const rt = `rt${w.as.rt + 1}`;
    expect(await outcome(credential.accessToken())).toContain('id_token_invalid/transient');
    shown.isNew = true;
    w.advance(61_000); // the cooldown
    w.as.nowOffsetS += 61;
    expect(await outcome(credential.accessToken())).toMatch(/^ok:at/);
    expect(credential.token?.refreshToken).toBe(rt);
    expect(tokenRequests()).toBe(1);
  });

  it('a key that does not come in ten minutes is none: the server is asked for another answer', async () => {
    const credential = await rotated({ isNew: false });
    expect(await outcome(credential.accessToken())).toContain('id_token_invalid/transient');
    w.advance(600_000);
    w.as.nowOffsetS += 600;
    expect(await outcome(credential.accessToken())).toContain('id_token_invalid/security');
    [w.as.alg, w.as.kid] = ['RS256', 'k1'];
    w.advance(3_000);
    w.as.nowOffsetS += 3;
    expect(await outcome(credential.accessToken())).toMatch(/^ok:at/);
    expect(tokenRequests()).toBe(2);
  });
});

describe('JWK-1 a key that was changed under the same id, or without one', () => {
  /** Signed in with a key that the server then replaces by another one; so long ago. */
  async function changed(kid: string | undefined, sinceMs: number): Promise<Credential> {
    w = await world();
    w.as.kid = kid;
    const c = await w.signedIn();
    await changeKey(kid, sinceMs);
    return c;
  }
  async function changeKey(kid: string | undefined, sinceMs: number): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
    w.as.jwks = async () => ({ keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256', use: 'sig', kid }] });
    w.as.idToken = (claims = {}) => {
      const now = Math.floor(Date.now() / 1000) + w.as.nowOffsetS;
      const payload = JSON.parse(
        JSON.stringify({ iss: w.as.issuer, sub: 'alice', aud: 'spa', iat: now, exp: now + 3600, ...claims }),
      ) as JWTPayload;
      return new SignJWT(payload).setProtectedHeader({ alg: 'RS256', ...(kid && { kid }) }).sign(privateKey);
    };
    w.advance(sinceMs);
    w.as.nowOffsetS = sinceMs / 1000;
  }
  it.each(['k1', undefined])('kid %s: a refresh is judged by the keys as they are now, and nothing is sent twice', async (kid) => {
    const c = await changed(kid, 290_000);
    expect(await outcome(c.refresh().then(({ accessToken }) => accessToken))).toBe('ok:at2');
    expect([tokenRequests(), w.as.count('/jwks'), c.token?.refreshToken]).toEqual([1, 2, 'rt2']);
  });
  it.each(['k1', undefined])('kid %s: so is a sign-in', async (kid) => {
    await changed(kid, 290_000);
    expect((await w.signIn()).accessToken).toBe('at2');
    expect(w.as.count('/jwks')).toBe(2);
  });
  it.each([0, 15])('so are refreshes at the same time, all by the same request for keys (writes take %d ms longer)', async (ms) => {
    w = await world();
    const inner = memoryStorage({ namespace: `at-once-${ms}` });
    let writes = 0;
    const write: typeof inner.write = async (...record) => {
      await new Promise((resolve) => setTimeout(resolve, ms * (writes++ % 4)));
      return inner.write(...record);
    };
    const store = w.open({ storage: { ...inner, write } });
    const users = new Map<string | null, string>();
    const credentials: Credential[] = [];
    for (const sub of ['a', 'b', 'c', 'd']) {
      w.as.claims = { sub };
      credentials.push(await store.store(await w.signIn(store)));
      users.set(`rt${w.as.rt}`, sub);
    }
    await changeKey('k1', 290_000);
    w.as.always('/token', async (_q, r, form) => json(r, 200, await w.as.tokenBody({}, { sub: users.get(form.get('refresh_token')) })));
    const renewed = await Promise.all(credentials.map((c) => outcome(c.refresh().then(({ claims }) => claims?.sub))));
    expect(renewed).toEqual(['ok:a', 'ok:b', 'ok:c', 'ok:d']);
    expect([tokenRequests(), w.as.count('/jwks')]).toEqual([4, 2]);
  });
  it('so are sign-ins at the same time', async () => {
    await changed('k1', 290_000);
    const nonces = new Map<string | null, string | null>();
    w.as.always('/token', async (_q, r, form) =>
      json(r, 200, await w.as.tokenBody({}, { sub: form.get('code'), nonce: nonces.get(form.get('code')) })),
    );
    const signIn = async (code: string): Promise<string | undefined> => {
      const flow = createAuthorizationCodeFlow(w.store.client());
      const { searchParams } = await flow.start();
      nonces.set(code, searchParams.get('nonce'));
      const token = await flow.resume(`http://127.0.0.1/cb?code=${code}&state=${searchParams.get('state')}`);
      return token.claims?.sub;
    };
    expect(await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((code) => outcome(signIn(code))))).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((sub) => `ok:${sub}`),
    );
    expect(w.as.count('/jwks')).toBe(2);
  });
  it('IDR-6 RF-4 the answer is written down before the keys are asked for, and judged once they are there', async () => {
    const c = await changed('k1', 301_000);
    w.as.plan('/jwks', (_q, r) => json(r, 503, {}));
    expect(await outcome(c.accessToken())).toContain('server_unavailable/transient');
    w.advance(3_000);
    w.as.nowOffsetS += 3;
    expect([await outcome(c.accessToken()), c.token?.refreshToken, tokenRequests()]).toEqual(['ok:at2', 'rt2', 1]);
  });
  it('keys that are less than a minute old are not asked for again: a bad signature costs one request a minute', async () => {
    const c = await changed('k1', 290_000);
    const forged = await generateKeyPair('RS256');
    const claims = { iss: w.as.issuer, sub: 'alice', aud: 'spa' };
    w.as.idToken = () => {
      const now = Math.floor(Date.now() / 1000) + w.as.nowOffsetS;
      return new SignJWT({ ...claims, iat: now, exp: now + 3600 }).setProtectedHeader({ alg: 'RS256', kid: 'k1' }).sign(forged.privateKey);
    };
    for (let i = 0; i < 3; i++) expect(await outcome(c.refresh())).toContain('id_token_invalid/security');
    expect([w.as.count('/jwks'), c.token?.accessToken]).toEqual([2, 'at1']);
    expect(w.as.log.at(-1)?.form.get('refresh_token')).toBe('rt3'); // what was rotated is kept
  });
});

describe('HT-6 a captive portal before discovery', () => {
  it('is passing, as the same page from the token endpoint is', async () => {
    const storage = memoryStorage({ namespace: 'captive' });
    w = await world({}, '', true);
    const s = w.open({ storage });
    await s.store(await w.signIn(s));
    await s.close();
    w.advance(301_000);
    w.as.nowOffsetS = 301;
    w.as.plan('/.well-known/openid-configuration', (_q, r) => {
      r.writeHead(200, { 'content-type': 'text/html' });
      r.end('<html>Sign in to the Wi-Fi');
    });
    const after = w.open({ storage }); // a reload, renewal ahead is on
    await after.ready;
    const renewed = firstValueFrom(after.state$.pipe(filter((all) => all.credentials[0]?.status.token === 'valid')));
    expect((await renewed).credentials[0]?.refreshFailure).toBeNull();
  });
});

describe('revocation', () => {
  it('7009-4 503 with Retry-After: 1 is asked again within the five seconds there are', async () => {
    w = await world();
    const c = await w.signedIn();
    w.as.plan('/revoke', (_q, r) => json(r, 503, {}, { 'retry-after': '1' }));
    expect(await c.revoke()).toMatchObject({ refreshToken: { status: 'revoked' } });
  });
  it('204 is success', async () => {
    w = await world();
    const c = await w.signedIn();
    w.as.always('/revoke', (_q, r) => void r.writeHead(204).end());
    expect(await c.revoke()).toMatchObject({ refreshToken: { status: 'revoked' } });
  });
});

describe('answers that are odd, and right', () => {
  it('an answer with 2,001 members is JSON: its rotated refresh token is not thrown away and the old one sent again', async () => {
    const c = await expired({}, good(Object.fromEntries(Array.from({ length: 2_001 }, (_, i) => [`m${i}`, 1]))));
    await outcome(c.accessToken());
    expect(tokenRequests()).toBe(1);
  });
  it('an ID token with more than 2,000 claims is told as what it is', async () => {
    w = await world();
    w.as.claims = Object.fromEntries(Array.from({ length: 2_001 }, (_, i) => [`c${i}`, i]));
    expect(await outcome(w.signIn().then(() => 'signed in'))).toContain('has more than 2,000 members');
  });
  it('E37 2,100 scopes of a server, and a user with 2,100 groups: what a sign-in takes a start takes, too', async () => {
    w = await world();
    const groups = Array.from({ length: 2_100 }, (_, i) => `g${i}`);
    w.as.metadata['scopes_supported'] = Array.from({ length: 2_100 }, (_, i) => `patient/R${i}.rs`);
    w.as.claims = { groups };
    w.as.always('/me', (_q, r) => json(r, 200, { sub: 'alice', groups }));
    const storage = memoryStorage({ namespace: 'groups' });
    const s = w.open({ storage });
    await s.store(await w.signIn(s));
    await s.close();
    const after = w.open({ storage });
    const c = await after.getDefault();
    expect([c?.claims?.['groups'], (await c?.userInfo())?.['groups']]).toEqual([groups, groups]);
  });
  it('the same key twice in the key set is one key', async () => {
    w = await world();
    const key = { ...(await exportJWK((await pair('RS256')).publicKey)), alg: 'RS256', use: 'sig', kid: 'k1' };
    w.as.jwks = () => Promise.resolve({ keys: [key, key] });
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
  it('201 at sign-in, as at a refresh', async () => {
    w = await world();
    w.as.plan('/token', async (_q, r) => json(r, 201, await w.as.tokenBody({}, { nonce: w.as.nonce })));
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
  it('JWK-2 a member of the key set that is no object is ignored', async () => {
    w = await world();
    const key = { ...(await exportJWK((await pair('RS256')).publicKey)), alg: 'RS256', use: 'sig', kid: 'k1' };
    w.as.jwks = () => Promise.resolve({ keys: [null, key] });
    expect(await outcome(w.signIn().then(() => 'signed in'))).toBe('ok:signed in');
  });
  it('IDT-7 in code flow an ID token of an hour ago is refused', async () => {
    w = await world();
    const now = Math.floor(Date.now() / 1000);
    w.as.claims = { iat: now - 3_600, exp: now + 600 };
    expect(await outcome(w.signIn().then(() => 'signed in'))).toContain('id_token_invalid');
  });
  it('user info as a JWT (application/jwt) is "unsupported", not "try again"', async () => {
    w = await world();
    const c = await w.signedIn();
    w.as.plan('/me', async (_q, r) => {
      r.writeHead(200, { 'content-type': 'application/jwt' });
      r.end(await w.as.idToken());
    });
    expect(await outcome(c.userInfo())).not.toContain('unknown_outcome');
  });
});

describe('6750-4 a token without a lifetime (Salesforce: no expires_in) is renewed when its API says 401 in its own way', () => {
  it.each(['Token', 'OAuth realm="TwitchTV", error="invalid_token"', 'Bearer error="expired_token"', 'Basic realm="x"'])(
    'WWW-Authenticate: %s',
    async (header) => {
      w = await world();
      w.as.plan('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ expires_in: undefined }, { nonce: w.as.nonce })));
      await w.signedIn();
      w.as.always('/api', (q, r) =>
        q.headers.authorization === 'Bearer at1'
          ? json(r, 401, [{ errorCode: 'INVALID_SESSION_ID' }], { 'www-authenticate': header })
          : json(r, 200, {}),
      );
      const apiFetch = createFetch(w.store, { resources: [`${w.as.base}/api`] });
      expect([(await apiFetch(`${w.as.base}/api`)).status, tokenRequests()]).toEqual([200, 1]);
    },
  );
});

describe('E36 an ID token that nobody has asked for', () => {
  const HS256 = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.e30.AAAA`;
  it('of no use counts as left out, at the sign-in and at a refresh', async () => {
    w = await world({ scope: 'read' });
    w.as.always('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ id_token: HS256 }, null)));
    const c = await w.signedIn();
    expect([c.token?.accessToken, c.token?.idToken, c.claims]).toEqual(['at1', undefined, null]);
    w.advance(301_000);
    expect(await outcome(c.accessToken())).toBe('ok:at2');
    expect([c.token?.refreshToken, c.token?.idToken, tokenRequests()]).toEqual(['rt2', undefined, 1]);
  });
  it('whose keys the server does not publish, too', async () => {
    w = await world({ scope: 'read' });
    delete w.as.metadata['jwks_uri'];
    w.as.always('/token', async (_q, r) => json(r, 200, await w.as.tokenBody()));
    const c = await w.signedIn();
    w.advance(301_000);
    expect([await outcome(c.accessToken()), c.claims]).toEqual(['ok:at2', null]);
  });
  it('with openid it was asked for, and is refused', async () => {
    w = await world();
    w.as.plan('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ id_token: HS256 }, null)));
    expect(await outcome(w.signIn())).toContain('id_token_invalid/security');
  });
});

describe('E36 a session without an ID token', () => {
  /** As a program stores it that got its tokens elsewhere. */
  const stored = async (): Promise<Credential> => {
    w = await world();
    w.as.rt = 1;
    const context = { issuer: w.as.issuer, clientId: 'spa', scope: 'openid' };
    const times = { issuedAt: w.platform.now(), expiresAt: w.platform.now() + 300_000 };
    const token = createToken({
      id: 'mine',
      accessToken: 'at1',
      refreshToken: 'rt1',
      tokenType: 'Bearer',
      scope: 'openid',
      claims: null,
      context,
      ...times,
    });
    const credential = await w.store.store(token);
    w.advance(301_000);
    w.as.nowOffsetS = 301;
    return credential;
  };

  it('goes on with the refresh that brings the first one', async () => {
    const credential = await stored();
    expect(await outcome(credential.accessToken())).toBe('ok:at2');
    expect([w.as.count('/revoke'), credential.status.token, credential.claims?.sub]).toEqual([0, 'valid', 'alice']);
  });

  it('and so does the request that waits for it', async () => {
    await stored();
    w.as.always('/api', (_q, r) => json(r, 200, {}));
    const send = createFetch(w.store, { resources: [`${w.as.base}/api`] });
    expect((await send(`${w.as.base}/api`)).status).toBe(200);
  });
});

describe('6749-11 a scope that the login asked for, and that was not granted', () => {
  it('is scope_not_granted: the server is asked once, since a token may have less scope than its grant', async () => {
    w = await world({ scope: 'openid a b c' });
    w.as.plan('/token', async (_q, r) => json(r, 200, await w.as.tokenBody({ scope: 'openid a' }, { nonce: w.as.nonce })));
    const c = await w.signedIn();
    w.as.plan('/token', refuse(400, 'invalid_scope', { error_description: 'b was declined' }));
    const refused: unknown = await c.accessToken({ scope: 'b' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'scope_not_granted', class: 'needs_user', status: 400, cause: { error: 'invalid_scope' } });
    expect(await outcome(c.accessToken({ scope: 'b' }))).toContain('scope_not_granted/needs_user');
    expect([tokenRequests(), await outcome(c.accessToken()), c.status.token]).toEqual([1, 'ok:at1', 'valid']);
    w.as.plan('/token', good({ scope: 'c' }));
    expect(await outcome(c.accessToken({ scope: 'c' }))).toBe('ok:at2');
    w.as.plan('/token', refuse(400, 'invalid_scope'));
    expect(await outcome(c.accessToken({ scope: 'a' }))).toContain('oauth_error/configuration/invalid_scope'); // it is granted, and something else is wrong
  });
});

describe('E65 less scope than was asked for is less, whatever else the server adds', () => {
  it.each([
    ['orders:write', 'openid profile email'],
    ['orders:read orders:write', 'openid orders:read'],
    ['orders:read', 'border:read'],
    ['read', 'orders.read'],
    ['orders/read', 'read'],
  ])('asked %s, granted %s', async (scope, granted) => {
    w = await world({ scope: 'openid read orders/read orders:read orders:write' });
    const credential = await w.signedIn();
    w.as.plan('/token', good({ scope: granted }, null));
    expect(await outcome(credential.accessToken({ scope }))).toContain('scope_not_granted');
    expect(tokenRequests()).toBe(1); // the server was asked
  });
});

describe('DISC-2 a server of OAuth alone that is away for a moment', () => {
  it.each<[string, Handler, Handler]>([
    ['answers 503', (_q, r) => json(r, 404, {}), (_q, r) => json(r, 503, {})],
    ['breaks the connection', (_q, r) => json(r, 404, {}), (_q, r) => void r.destroy()],
    ['shows a page for everything', (_q, r) => void r.writeHead(200).end('<html>'), (_q, r) => void r.writeHead(200).end('<html>')],
  ])('%s: it is asked again', async (_n, oidc, oauth) => {
    w = await world({ scope: 'api' });
    w.as.always('/.well-known/openid-configuration', oidc);
    w.as.plan('/.well-known/oauth-authorization-server', oauth);
    w.as.always('/.well-known/oauth-authorization-server', (_q, r) => json(r, 200, w.as.metadata));
    expect(await outcome(w.store.client().metadata())).toContain('transient');
    expect((await w.store.client().metadata()).issuer).toBe(w.as.issuer);
  });
});

describe('E7 a target that is refused for good', () => {
  it('costs the parent one refresh, not one for each try', async () => {
    w = await world({ scope: 'openid api other' });
    const credential = await w.signedIn();
    w.as.always('/token', async (q, r, form) =>
      form.get('scope') ? json(r, 400, { error: 'invalid_grant' }) : json(r, 200, await w.as.tokenBody()),
    );
    for (let tries = 0; tries < 4; tries++) {
      expect(await outcome(credential.accessToken({ scope: 'other' }))).toContain('invalid_grant');
      w.advance(20_000);
      w.as.nowOffsetS += 20;
    }
    const asked = w.as.log.filter(({ path, form }) => path === '/token' && form.get('grant_type') === 'refresh_token');
    expect(asked.filter(({ form }) => !form.has('scope'))).toHaveLength(1);
    expect(asked.length).toBeGreaterThan(3);
  });

  it('begins nothing in a store that closes', async () => {
    w = await world({ scope: 'openid api other' });
    const credential = await w.signedIn();
    let answer = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      w.as.plan('/token', (_q, r) => {
        answer = () => json(r, 400, { error: 'invalid_grant' });
        resolve();
      });
    });
    const asking = outcome(credential.accessToken({ scope: 'other' }));
    await arrived;
    const closing = w.store.close();
    answer();
    await closing;
    expect(await asking).toContain('invalid_grant');
    expect(tokenRequests()).toBe(1);
  });
});

it('E56 an ID token that cannot be a text does not lose the refresh token that came with it', async () => {
  const credential = await expired({}, async (_q, r) =>
    json(r, 200, await w.as.tokenBody({ id_token: { toString: 1 } }, null), { date: new Date(Date.now() + 20_000).toUTCString() }),
  );
  expect(await outcome(credential.accessToken())).toContain('response_invalid');
  expect(tokenRequests()).toBe(1);
  expect(await outcome(credential.refresh().then(({ accessToken }) => accessToken))).toBe('ok:at3');
  expect(w.as.log.at(-1)?.form.get('refresh_token')).toBe('rt2');
});

it('7009 a sign-in that is refused revokes nothing: at many servers that would end the session that there is', async () => {
  w = await world();
  await w.signedIn();
  w.as.claims = { aud: 'another' };
  expect(await outcome(w.signIn())).toContain('id_token_invalid');
  expect(w.as.count('/revoke')).toBe(0);
});

describe('IDR-6 an ID token that comes with a child of a credential without claims says nothing of whose the session is', () => {
  it.each([{ resource: 'https://api2.example' }, { scope: 'api' }])('%j: the refresh token lives on', async (ask) => {
    const scope = 'openid api';
    w = await world({ scope });
    const context = { issuer: w.as.issuer, clientId: 'spa', scope };
    const tokens = { accessToken: 'at0', refreshToken: 'rt0', tokenType: 'Bearer', claims: null } as const;
    const now = w.platform.now();
    const c = await w.store.store(createToken({ id: 'x', issuedAt: now, expiresAt: now + 300_000, scope, context, ...tokens }));
    expect(await outcome(c.accessToken(ask))).toBe('ok:at1');
    expect(await outcome(c.refresh().then(({ accessToken }) => accessToken))).toBe('ok:at2');
    expect(w.as.log.filter(({ path }) => path === '/revoke')).toEqual([]);
    expect(c.claims?.sub).toBe('alice');
  });
});
