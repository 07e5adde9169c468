import { withFields } from '../../src/credential/create-token.js';
import { memoryStorage, unverifiedClaims, type Credential, type Platform } from '../../src/index.js';
import { createFetch } from '../../src/http/index.js';
import { codeOf } from '../support/fixture.js';
import type { Fault } from '../support/control.js';
import { createRobot } from '../support/provider-robot.js';
import { startRealWorld, tail, type RealWorld } from '../support/real-world.js';

let world: RealWorld;
beforeAll(async () => void (world = await startRealWorld()));
beforeEach(() => world.control.resetLogs());
afterEach(() => world.close());

/** Pauses between sends take no time here; deadlines of requests stay as they are. */
const hurried = ({ setTimer, ...platform }: Platform): Platform => ({
  ...platform,
  setTimer: (callback, delayMs, isAwaited) => setTimer(callback, isAwaited ? 1 : delayMs, isAwaited),
});
const signedInHurried = async (): Promise<Credential> => {
  const store = world.open({ platform: hurried(world.platform) });
  return store.store(await world.signIn(store));
};
const refreshes = async () => (await world.control.requests()).filter(({ grantType }) => grantType === 'refresh_token');

describe('refreshing at a real server that rotates and detects reuse', () => {
  it('gives another access token and another refresh token each time, and none is ever used again', async () => {
    const { credential } = await world.signedIn();
    const seen = [credential.token];
    for (let round = 0; round < 5; round++) seen.push(await credential.refresh());
    expect(new Set(seen.map((token) => token?.accessToken)).size).toBe(6);
    expect(new Set(seen.map((token) => token?.refreshToken)).size).toBe(6);
    const requests = await refreshes();
    expect(requests.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(requests.map(({ refreshTokenTail }) => refreshTokenTail)).toEqual(seen.slice(0, 5).map((token) => tail(token?.refreshToken)));
    expect(await world.callApi(await credential.accessToken())).toBe(200);
    expect(credential.claims).toMatchObject({ iss: world.issuer });
  });

  it('E1 is one request for 50 concurrent callers', async () => {
    const { credential } = await world.signedIn();
    const old = credential.token?.accessToken;
    world.advance(61_000);
    const tokens = await Promise.all(Array.from({ length: 50 }, () => credential.accessToken()));
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).not.toBe(old);
    expect((await refreshes()).map(({ status }) => status)).toEqual([200]);
    expect(await world.control.active(tokens[0] ?? '')).toBe(true);
  });

  it('E2 is one request for several stores over the same records', async () => {
    const storage = memoryStorage({ namespace: 'shared' });
    const stores = [1, 2, 3].map(() => world.open({ storage }));
    const [first] = stores;
    if (!first) throw new Error('no store');
    const { id } = await first.store(await world.signIn(first));
    world.advance(61_000);
    const tokens = await Promise.all(
      stores.flatMap((store) => Array.from({ length: 10 }, async () => (await store.with(id))?.accessToken())),
    );
    expect(new Set(tokens).size).toBe(1);
    expect((await refreshes()).map(({ status }) => status)).toEqual([200]);
  });

  it('renews a token that the server has forgotten when user info is asked for', async () => {
    const { credential } = await world.signedIn();
    await world.control.expireAccessToken((await credential.accessToken()) ?? '');
    expect((await credential.userInfo()).sub).toBe(credential.claims?.sub);
    expect(await refreshes()).toHaveLength(1);
  });
});

describe('a real server with resource indicators', () => {
  it('RES-1 renews the token for the resource of the sign-in, and not one for user info alone', async () => {
    const resource = 'https://api.example.com/';
    const indicating = await startRealWorld({ useGrantedResource: false });
    try {
      const store = indicating.open();
      const flow = indicating.flow(store);
      const url = await flow.start({ additionalParameters: { resource } });
      const credential = await store.store(await flow.resume(await indicating.robot.run(url)));
      const audienceOf = async () => unverifiedClaims((await credential.accessToken()) ?? '')?.['aud'];
      expect(await audienceOf()).toBe(resource);
      const before = await credential.accessToken();
      await credential.refresh();
      expect(await credential.accessToken()).not.toBe(before);
      expect(await audienceOf()).toBe(resource);
      expect(credential.metadata.context.resource).toBe(resource);
    } finally {
      await indicating.close();
    }
  });

  describe.each([false, true])('that answers a request without a resource for what was granted: %s', (useGrantedResource) => {
    const [mail, files, other] = ['https://mail.example.com/', 'https://files.example.com/', 'https://other.example.com/'];
    let indicating: RealWorld;
    beforeAll(async () => void (indicating = await startRealWorld({ useGrantedResource })));
    beforeEach(() => indicating.control.resetLogs());
    afterEach(() => indicating.close());

    it('RES-1 E7 gives tokens for all resources of a sign-in, rotating, and the session goes on', async () => {
      const store = indicating.open();
      const flow = indicating.flow(store);
      const url = await flow.start({ additionalParameters: { resource: [mail, files] } });
      const credential = await store.store(await flow.resume(await createRobot().run(url)));
      const send = createFetch(store, { resources: [indicating.api, { url: `${indicating.api}/v1/`, resource: files }] });
      const audienceOf = async (resource?: string) => unverifiedClaims((await credential.accessToken({ resource })) ?? '')?.['aud'];
      for (let round = 0; round < 3; round++) {
        expect([await audienceOf(), await audienceOf(mail), await audienceOf(files)]).toEqual([mail, mail, files]);
        await (await send(`${indicating.api}/v1/orders`)).body?.cancel();
        await credential.refresh();
        await credential.accessToken({ resource: files, forceRefresh: true });
      }
      const requests = (await indicating.control.requests()).filter(({ grantType }) => grantType === 'refresh_token');
      expect(requests.map(({ status }) => status)).toEqual(Array(7).fill(200));
      expect(credential.status.token).toBe('valid');
    });

    it('RES-1 E7 is not asked for a resource that the sign-in did not name: it would consume the refresh token, then refuse', async () => {
      const store = indicating.open();
      const flow = indicating.flow(store);
      const url = await flow.start({ additionalParameters: { resource: mail } });
      const credential = await store.store(await flow.resume(await createRobot().run(url)));
      expect(await codeOf(credential.accessToken({ resource: other }))).toBe('scope_not_granted');
      await credential.refresh();
      expect(credential.status.token).toBe('valid');
      const requests = (await indicating.control.requests()).filter(({ grantType }) => grantType === 'refresh_token');
      expect(requests.map(({ status }) => status)).toEqual([200]);
    });
  });
});

describe('a token endpoint that misbehaves', () => {
  it.each<readonly [string, Fault, string]>([
    [
      'an HTML page with status 200',
      { status: 200, body: '<html>Sign in to the Wi-Fi</html>', contentType: 'text/html' },
      'response_invalid',
    ],
    ['HTML said to be JSON', { status: 200, body: '<html></html>' }, 'response_invalid'],
    ['no body', { status: 200, body: '' }, 'response_invalid'],
    ['status 500', { status: 500 }, 'server_error'],
    ['status 502 with HTML', { status: 502, body: '<html>', contentType: 'text/html' }, 'server_error'],
    ['no answer at all', { hangUp: true }, 'network_error'],
  ])('RF-7 E6 answering %s three times leaves the credential as it was; the next refresh works', async (_, fault, code) => {
    const credential = await signedInHurried();
    const before = credential.token;
    await world.control.resetLogs();
    await world.control.failNext('token', { ...fault, times: 3 });
    expect(await codeOf(credential.refresh())).toBe(code);
    expect(credential.token).toBe(before);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(await refreshes()).toHaveLength(3);
    const renewed = await credential.refresh();
    expect(renewed.accessToken).not.toBe(before?.accessToken);
    expect((await refreshes()).map(({ refreshTokenTail }) => refreshTokenTail)).toEqual(Array(4).fill(tail(before?.refreshToken)));
  });

  it.each<readonly [string, Fault, string]>([
    ['JSON without a token', { status: 200, body: { token_type: 'Bearer' } }, 'response_invalid'],
    ['a token that is a number', { status: 200, body: { access_token: 7, token_type: 'Bearer' } }, 'response_invalid'],
    ['an unknown token type', { status: 200, body: { access_token: 'x', token_type: 'mac' } }, 'unsupported'],
    ['an ID token that is none', { status: 200, body: { access_token: 'x', token_type: 'Bearer', id_token: 'x.y.z' } }, 'id_token_invalid'],
    ['status 503', { status: 503, headers: { 'retry-after': '1' } }, 'server_unavailable'],
    ['status 429', { status: 429 }, 'server_unavailable'],
    ['status 400 without a reason', { status: 400, body: 'Bad Request', contentType: 'text/plain' }, 'http_error'],
    ['invalid_client', { status: 401, body: { error: 'invalid_client' } }, 'oauth_error'],
    ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:9/evil' } }, 'unexpected_redirect'],
  ])('E6 answering %s leaves the credential as it was; the next refresh works', async (_, fault, code) => {
    const { credential } = await world.signedIn();
    const before = credential.token;
    await world.control.resetLogs();
    await world.control.failNext('token', fault);
    expect(await codeOf(credential.refresh())).toBe(code);
    expect(credential.token).toBe(before);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(await refreshes()).toHaveLength(1); // not sent again by itself
    world.advance(1_000); // as long as `Retry-After` says
    const renewed = await credential.refresh();
    expect(renewed.accessToken).not.toBe(before?.accessToken);
    expect((await refreshes()).map(({ refreshTokenTail }) => refreshTokenTail)).toEqual(Array(2).fill(tail(before?.refreshToken)));
  });

  it('E7 E8 whose answer to a rotation is lost ends the credential once, not in a loop', async () => {
    const credential = await signedInHurried();
    await world.control.resetLogs();
    await world.control.failNext('token', { hangUp: true, processed: true });
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in'); // this server takes the second use for a theft
    expect(credential.state).toMatchObject({ status: { token: 'needs_sign_in' }, reason: 'rotation_lost' });
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(await refreshes()).toHaveLength(2);
  });

  it('IDR-6 whose keys cannot be had loses no session: the answer is judged later, and nothing is sent again', async () => {
    const { store: signer } = await world.signedIn();
    const storage = memoryStorage({ namespace: 'staged' });
    const first = world.open({ storage });
    // Within one second this server would say the ID token of the login once more, which needs no keys
    const { id } = await first.store(withFields(await world.signIn(signer), { idToken: 'of.an.earlier-login' }));
    await world.control.resetLogs();
    await world.control.failNext('jwks', { status: 503, times: 1 });
    expect(await codeOf((await first.with(id))?.refresh() ?? Promise.resolve())).toBe('server_unavailable');
    const renewed = await (await world.open({ storage }).with(id))?.refresh();
    expect((await refreshes()).map(({ status }) => status)).toEqual([200]);
    expect(await world.control.active(renewed?.refreshToken ?? '')).toBe(true);
    expect(await world.callApi(renewed?.accessToken ?? '')).toBe(200);
  });

  it('answering late is waited for by everyone', async () => {
    const { credential } = await world.signedIn();
    await world.control.resetLogs();
    await world.control.failNext('token', { delayOnly: true, delayMs: 300 });
    const tokens = await Promise.all([credential.refresh(), credential.refresh(), credential.accessToken({ forceRefresh: true })]);
    expect(new Set(tokens.map((token) => (typeof token === 'string' ? token : token.accessToken))).size).toBe(1);
    expect(await refreshes()).toHaveLength(1);
  });
});

describe('a refresh token that the server has revoked', () => {
  it('E7 ends the credential; signing in again takes its place', async () => {
    const { store, credential } = await world.signedIn('dora');
    await credential.setTags(['work']);
    await store.client().revoke(credential.token?.refreshToken ?? '', 'refresh_token');
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(credential.status.token).toBe('needs_sign_in');
    expect(credential.token).toBeNull();
    const again = await store.store(await world.signIn(store, 'dora'));
    expect(again).toBe(credential);
    expect(again.tags).toEqual(['work']);
    expect(await store.getDefault()).toBe(again);
    expect(await world.callApi(await again.accessToken())).toBe(200);
    await again.refresh();
    expect(await store.allIDs()).toEqual([credential.id]);
  });

  it('does not take the place of a credential of somebody else', async () => {
    const { store, credential } = await world.signedIn('erin');
    await store.client().revoke(credential.token?.refreshToken ?? '', 'refresh_token');
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    const other = await store.store(await world.signIn(store, 'frank'));
    expect(await store.allIDs()).toEqual([credential.id, other.id]);
  });
});
