import { createSessionLogoutFlow } from '../../src/flows/index.js';
import { createRobot } from '../support/provider-robot.js';
import { codeOf } from '../support/fixture.js';
import { startRealWorld, type RealWorld } from '../support/real-world.js';

let world: RealWorld;
beforeAll(async () => void (world = await startRealWorld()));
beforeEach(() => world.control.resetLogs());
afterEach(() => world.close());

describe('signing in at a real server', () => {
  it('gives a validated token that the API takes', async () => {
    const store = world.open();
    const token = await world.signIn(store, 'alice');
    expect(token).toMatchObject({ tokenType: 'Bearer', claims: { iss: world.issuer, sub: expect.any(String) as string, aud: 'spa' } });
    expect(token.scope.split(' ')).toEqual(expect.arrayContaining(['openid', 'api:read']));
    expect(token.refreshToken).toEqual(expect.any(String));
    expect((token.expiresAt ?? 0) - token.issuedAt).toBe(60_000);
    const credential = await store.store(token);
    expect(await world.callApi(await credential.accessToken())).toBe(200);
    expect(await world.control.apiLog()).toMatchObject([{ path: '/v1/orders', status: 200 }]);
  });

  it('gives user info of the same user', async () => {
    const { credential } = await world.signedIn('carol');
    expect((await credential.userInfo()).sub).toBe(credential.claims?.sub);
  });

  it('tells by introspection what it takes a token for, and signs out for good', async () => {
    const { credential, store } = await world.signedIn('erin');
    const { accessToken, refreshToken } = credential.token!;
    expect(await credential.introspect('access_token')).toMatchObject({ active: true, client_id: 'spa', sub: credential.claims?.sub });
    expect(await credential.introspect('refresh_token')).toMatchObject({ active: true });
    const request = await credential.authorize(`${world.api}/v1/orders`);
    expect((await fetch(request)).status).toBe(200);
    const { url, ...result } = await credential.signOut({ flow: createSessionLogoutFlow(store.client()) });
    expect(result).toEqual({ local: 'removed', refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    expect(url?.searchParams.get('id_token_hint')).toMatch(/^ey/);
    expect(await store.client().introspect(accessToken, 'access_token')).toEqual({ active: false });
    expect(await store.client().introspect(refreshToken!, 'refresh_token')).toEqual({ active: false });
  });

  it('keeps two accounts of one browser apart', async () => {
    const store = world.open();
    const robot = createRobot();
    const alice = await store.store(await world.signIn(store, 'alice', robot));
    const flow = world.flow(store);
    const url = await flow.start({ additionalParameters: { prompt: 'login' } });
    const bob = await store.store(await flow.resume(await robot.run(url, 'bob')));
    expect(bob.claims?.sub).not.toBe(alice.claims?.sub);
    expect(await store.getDefault()).toBe(alice);
    expect(await world.callApi(await alice.accessToken())).toBe(200);
    expect(await world.callApi(await bob.accessToken())).toBe(200);
  });

  it('6749-3 exchanges a code once, also when the callback is handled twice at a time', async () => {
    const store = world.open();
    const flow = world.flow(store);
    const callback = await createRobot().run(await flow.start());
    const [first, second] = await Promise.all([flow.resume(callback), flow.resume(callback)]);
    expect(second.accessToken).toBe(first.accessToken);
    expect((await world.control.requests()).filter(({ grantType }) => grantType === 'authorization_code')).toHaveLength(1);
  });
});

describe('a callback that is not what was asked for', () => {
  it('6749-3 visited twice is refused, and what is stored stays as it was', async () => {
    const store = world.open();
    const flow = world.flow(store);
    const callback = await createRobot().run(await flow.start());
    const credential = await store.store(await flow.resume(callback));
    await world.control.resetLogs();
    expect(await codeOf(flow.resume(callback))).toBe('callback_state_unknown');
    expect(await world.control.requests()).toEqual([]);
    expect(await world.callApi(await credential.accessToken())).toBe(200);
  });

  it('6749-4 with a wrong state is refused, and the pending sign-in stays usable', async () => {
    const store = world.open();
    const flow = world.flow(store);
    const callback = await createRobot().run(await flow.start());
    const forged = new URL(callback);
    forged.searchParams.set('state', 'forged');
    expect(await codeOf(flow.resume(forged))).toBe('callback_state_unknown');
    const error = new URL('http://127.0.0.1/cb?error=access_denied&state=forged');
    expect(await codeOf(flow.resume(error))).toBe('callback_state_unknown');
    expect((await flow.resume(callback)).claims?.iss).toBe(world.issuer);
  });

  it('6749-4 with the error of a user who said no tells so', async () => {
    const store = world.open();
    const flow = world.flow(store);
    const callback = await createRobot().cancel(await flow.start());
    const error: unknown = await flow.resume(callback).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'authorization_failed', error: 'access_denied', class: 'needs_user' });
    expect(await world.control.requests()).toEqual([]);
  });

  it('E53 from a foreign issuer is refused without sending the code', async () => {
    const store = world.open();
    const flow = world.flow(store);
    const callback = await createRobot().run(await flow.start());
    expect(callback.searchParams.get('iss')).toBe(world.issuer);
    callback.searchParams.set('iss', 'https://evil.example.com');
    expect(await codeOf(flow.resume(callback))).toBe('issuer_mismatch');
    expect(await world.control.requests()).toEqual([]);
  });

  it('with a code the server does not know is refused', async () => {
    const store = world.open();
    const flow = world.flow(store);
    const callback = await createRobot().run(await flow.start());
    callback.searchParams.set('code', 'x'.repeat(43));
    const error: unknown = await flow.resume(callback).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'oauth_error', error: 'invalid_grant' });
    expect(await store.allIDs()).toEqual([]);
  });
});

describe('an issuer', () => {
  it('that is another one than its document says is refused', async () => {
    const store = world.open({ clients: { ...world.client, issuer: `${world.issuer}/` } });
    expect(await codeOf(world.flow(store).start())).toBe('issuer_mismatch');
  });

  it('that is no authorization server is refused', async () => {
    const store = world.open({ clients: { ...world.client, issuer: world.api } });
    expect(await codeOf(world.flow(store).start())).toBe('discovery_failed');
  });

  it('that cannot be reached is a matter of the network, and is asked again later', async () => {
    const store = world.open();
    await world.control.failNext('discovery', { hangUp: true });
    const error: unknown = await world
      .flow(store)
      .start()
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'network_error', class: 'transient' });
    expect((await world.flow(store).start()).origin).toBe(world.issuer);
  });

  it('that has nobody listening is a matter of the network', async () => {
    const store = world.open({ clients: { ...world.client, issuer: 'http://127.0.0.1:9' } });
    expect(await codeOf(world.flow(store).start())).toBe('network_error');
  });
});
