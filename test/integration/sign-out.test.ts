import { createSessionLogoutFlow } from '../../src/flows/index.js';
import { codeOf } from '../support/fixture.js';
import { createRobot } from '../support/provider-robot.js';
import { startRealWorld, tail, type RealWorld } from '../support/real-world.js';

let world: RealWorld;
beforeAll(async () => void (world = await startRealWorld()));
beforeEach(() => world.control.resetLogs());
afterEach(() => world.close());

describe('revoking at a real server', () => {
  it('7009-1 7009-2 ends the refresh token, then the access token, and removes the credential', async () => {
    const { store, credential } = await world.signedIn();
    const { accessToken, refreshToken } = credential.token ?? {};
    await world.control.resetLogs();
    expect(await credential.revoke()).toEqual({
      local: 'removed',
      refreshToken: { status: 'revoked' },
      accessToken: { status: 'revoked' },
    });
    expect(await world.control.requests()).toMatchObject([
      { endpoint: 'revocation', tokenTypeHint: 'refresh_token', tokenTail: tail(refreshToken), clientId: 'spa', status: 200 },
      { endpoint: 'revocation', tokenTypeHint: 'access_token', tokenTail: tail(accessToken), clientId: 'spa', status: 200 },
    ]);
    expect(await world.control.active(refreshToken ?? '')).toBe(false);
    expect(await world.control.active(accessToken ?? '')).toBe(false);
    expect(await world.callApi(accessToken ?? '')).toBe(401);
    expect(await store.allIDs()).toEqual([]);
  });

  it("'access' ends the access token alone; the next accessToken() is another one", async () => {
    const { credential } = await world.signedIn();
    const { accessToken, refreshToken } = credential.token ?? {};
    expect(await credential.revoke('access')).toMatchObject({ local: 'kept', accessToken: { status: 'revoked' } });
    expect(await world.control.active(accessToken ?? '')).toBe(false);
    expect(await world.control.active(refreshToken ?? '')).toBe(true);
    expect(await world.callApi(await credential.accessToken())).toBe(200);
  });

  it('E47 removes the credential when the server fails, and says that the tokens may live on', async () => {
    const { store, credential } = await world.signedIn();
    const { refreshToken } = credential.token ?? {};
    await world.control.failNext('revocation', { hangUp: true });
    await world.control.failNext('revocation', { status: 503 });
    expect(await credential.revoke()).toEqual({
      local: 'removed',
      refreshToken: { status: 'failed', code: 'network_error' },
      accessToken: { status: 'failed', code: 'server_unavailable' },
    });
    expect(await store.allIDs()).toEqual([]);
    expect(await world.control.active(refreshToken ?? '')).toBe(true);
  });

  it('7009-3 is content with a server that does not know the token any more', async () => {
    const { store, credential } = await world.signedIn();
    await store.client().revoke(credential.token?.refreshToken ?? '', 'refresh_token');
    expect(await credential.revoke()).toMatchObject({ local: 'removed', refreshToken: { status: 'revoked' } });
  });

  it('E12 7009-6 during a refresh wins: the late answer is revoked at the server', async () => {
    const { store, credential } = await world.signedIn();
    await world.control.resetLogs();
    await world.control.failNext('token', { delayOnly: true, delayMs: 300 });
    const refreshing = codeOf(credential.refresh());
    await credential.remove();
    const arrived = await refreshing;
    expect(arrived).toBe('credential_removed');
    expect(await store.allIDs()).toEqual([]);
    const requests = await world.control.requests();
    const sent = requests.filter(({ endpoint }) => endpoint === 'token').length;
    expect(requests.filter(({ endpoint }) => endpoint === 'revocation')).toHaveLength(2 * sent);
  });
});

describe('a server at which the sign-ins of a browser session share one grant', () => {
  let shared: RealWorld;
  beforeAll(async () => void (shared = await startRealWorld({ isGrantShared: true })));
  beforeEach(() => shared.control.resetLogs());
  afterEach(() => shared.close());
  const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const revocations = async (): Promise<number> =>
    (await shared.control.requests()).filter(({ endpoint }) => endpoint === 'revocation').length;

  it('D-064 ends one sign-in with the tokens of another', async () => {
    const [store, robot] = [shared.open(), createRobot()];
    const before = await store.store(await shared.signIn(store, 'alice', robot));
    const after = await store.store(await shared.signIn(store, 'alice', robot), { tags: ['other'] });
    await before.revoke();
    expect(await codeOf(after.refresh())).toBe('needs_sign_in');
  });

  it('RF-13 D-064 a late answer ends no session that has begun since', async () => {
    const [store, robot] = [shared.open(), createRobot()];
    const before = await store.store(await shared.signIn(store, 'alice', robot));
    await shared.control.failNext('token', { delayOnly: true, delayMs: 1_500 });
    const refreshing = codeOf(before.refresh());
    await pass(300); // the request is on its way
    await before.remove();
    const after = await store.store(await shared.signIn(store, 'alice', robot));
    expect(await refreshing).toBe('credential_removed');
    await pass(2_000); // its answer has come
    expect(await revocations()).toBe(0);
    await after.refresh();
    expect(await shared.callApi(await after.accessToken())).toBe(200);
  });

  it('7009-4 D-064 nor does a revocation that the server wanted later', async () => {
    const [store, robot] = [shared.open(), createRobot()];
    const before = await store.store(await shared.signIn(store, 'alice', robot));
    await shared.control.failNext('revocation', { status: 503, headers: { 'retry-after': '2' } });
    const ending = before.signOut();
    const after = await store.store(await shared.signIn(store, 'alice', robot));
    expect(await ending).toMatchObject({
      refreshToken: { status: 'failed', code: 'server_unavailable' },
      accessToken: { status: 'not_asked' },
    });
    expect(await revocations()).toBe(1);
    await after.refresh();
    expect(await shared.callApi(await after.accessToken())).toBe(200);
  });
});

describe('signing out of the session of a real server', () => {
  it('leads away and back, and ends the session: the next sign-in asks who it is', async () => {
    const store = world.open();
    const robot = createRobot();
    const flow = world.flow(store);
    const logout = createSessionLogoutFlow(store.client());
    const credential = await store.store(await world.signIn(store, 'alice', robot));
    const idToken = credential.token?.idToken ?? '';
    await credential.revoke();
    const back = await robot.run(await logout.start({ idToken }));
    expect(`${back.origin}${back.pathname}`).toBe('http://127.0.0.1/out');
    expect(await logout.resume(back)).toBe(true);
    expect(await logout.resume(back)).toBe(false);
    const next = await flow.resume(await robot.run(await flow.start(), 'bob'));
    expect(next.claims?.sub).not.toBe(credential.claims?.sub);
  });

  it('without it the same browser is signed in again without being asked', async () => {
    const store = world.open();
    const robot = createRobot();
    const first = await world.signIn(store, 'alice', robot);
    const flow = world.flow(store);
    const next = await flow.resume(await robot.run(await flow.start(), 'bob')); // nobody asks for the name
    expect(next.claims?.sub).toBe(first.claims?.sub);
  });

  it('is not believed from an address that nobody was sent to', async () => {
    const store = world.open();
    const logout = createSessionLogoutFlow(store.client());
    expect(await logout.resume('http://127.0.0.1/out?state=forged')).toBe(false);
    expect(await logout.resume('http://127.0.0.1/out')).toBe(false);
  });
});
