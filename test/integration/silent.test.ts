// Renewal at a real server that gives no refresh token. The robot's cookies are the session that a hidden frame would take along.
import { createToken, type CredentialStore, type OAuth2ClientOptions, type Token } from '../../src/index.js';
import { silentAuthorization } from '../../src/flows/index.js';
import { codeOf } from '../support/fixture.js';
import { createRobot, type Robot } from '../support/provider-robot.js';
import { startRealWorld, type RealWorld } from '../support/real-world.js';
import { fakePage } from '../support/unit-platform.js';

const REDIRECT_URI = 'http://127.0.0.1/cb';
const CLIENT = {
  client_id: 'silent',
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: [REDIRECT_URI],
};

let world: RealWorld;
beforeAll(async () => void (world = await startRealWorld({ clients: [CLIENT] })));
beforeEach(() => world.control.resetLogs());
afterEach(() => world.close());

/** A store in a page whose frames take the cookies of the robot along. */
function open(robot: Robot, options: Partial<OAuth2ClientOptions> = {}) {
  const frames: URL[] = [];
  const loadFrame = async (address: string): Promise<string | null> => {
    frames.push(new URL(address));
    // It types no name: where the server asks for one, the frame shows the server's page.
    return robot.run(address, '').then(
      (end) => end.href,
      () => null,
    );
  };
  const page = { ...fakePage('http://127.0.0.1/orders'), loadFrame };
  const store = world.open({
    clients: { ...world.client, clientId: 'silent', renew: silentAuthorization(), ...options },
    platform: { ...world.platform, page },
    renewal: { ahead: false }, // the clock of these tests jumps
  });
  return { store, frames };
}

async function signedIn(login: string) {
  const robot = createRobot();
  const opened = open(robot);
  const token = await world.signIn(opened.store, login, robot);
  const credential = await opened.store.store(token);
  await world.control.resetLogs();
  return { ...opened, robot, credential, token };
}

/** Somebody signs in at the server in the same browser, over whoever was. */
async function signInOver(store: CredentialStore, robot: Robot, login: string): Promise<Token> {
  const flow = world.flow(store);
  return flow.resume(await robot.run(await flow.start({ additionalParameters: { prompt: 'login' } }), login));
}

/** Without the ID token there is no hint at who is meant. */
function withoutIdToken({ id, accessToken, tokenType, scope, issuedAt, expiresAt, claims, context }: Token): Token {
  return createToken({ id, accessToken, tokenType, scope, issuedAt, expiresAt, claims, context });
}

const exchanges = async () => (await world.control.requests()).filter(({ endpoint }) => endpoint === 'token');

describe('a silent authorization at a real server', () => {
  it('gives another access token of the same user, and nobody is asked for anything', async () => {
    const { credential, token, frames } = await signedIn('alice');
    expect(token.refreshToken).toBeUndefined();
    const renewed = await credential.refresh();
    expect(renewed.accessToken).not.toBe(token.accessToken);
    expect(renewed).toMatchObject({ id: token.id, scope: token.scope, context: token.context, claims: { sub: token.claims?.sub } });
    expect((renewed.expiresAt ?? 0) - renewed.issuedAt).toBe(60_000);
    expect(await world.callApi(await credential.accessToken())).toBe(200);
    expect(frames.map(({ searchParams }) => searchParams.get('prompt'))).toEqual(['none']);
    expect(await exchanges()).toMatchObject([{ grantType: 'authorization_code', clientId: 'silent', status: 200 }]);
  });

  it('E1 is one frame for 1,000 callers of an expired token, again and again', async () => {
    const { credential, frames } = await signedIn('alice');
    for (let round = 1; round <= 3; round++) {
      world.advance(61_000);
      const tokens = await Promise.all(Array.from({ length: 1_000 }, () => credential.accessToken()));
      expect(new Set(tokens).size).toBe(1);
      expect(await world.control.active(tokens[0] ?? '')).toBe(true);
      expect(frames).toHaveLength(round);
    }
  });

  it('E21 where the session of the server has ended: the user is needed, and takes the place again by signing in', async () => {
    const { store, credential, token } = await signedIn('carol');
    const stranger = open(createRobot());
    const { id } = await stranger.store.store(token);
    const elsewhere = await stranger.store.with(id);
    expect(await codeOf(elsewhere?.refresh() ?? Promise.resolve())).toBe('needs_interaction');
    expect(elsewhere?.status).toEqual({ token: 'needs_interaction', activity: 'idle' });
    expect(await elsewhere?.accessToken()).toBe(token.accessToken);
    expect(await exchanges()).toEqual([]);
    const again = await stranger.store.store(await world.signIn(stranger.store, 'carol'), { replace: elsewhere ?? id });
    expect(again).toBe(elsewhere);
    expect(again.status.token).toBe('valid');
    expect((await credential.refresh()).claims?.sub).toBe(token.claims?.sub);
    expect(await store.allIDs()).toEqual([id]);
  });

  it('E32 asks for the user of the credential: with somebody else signed in at the server, the user is needed', async () => {
    const { store, credential, token, robot } = await signedIn('dora');
    const other = await store.store(await signInOver(store, robot, 'bob'));
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect((await other.refresh()).claims?.sub).toBe(other.claims?.sub);
  });

  it('E32 IDR-1 without a hint gets the token of somebody else: it is refused, and both credentials live on', async () => {
    const robot = createRobot();
    const { store } = open(robot);
    const token = withoutIdToken(await world.signIn(store, 'erin', robot));
    const credential = await store.store(token);
    const other = await store.store(await signInOver(store, robot, 'bob'));
    expect(await codeOf(credential.refresh())).toBe('token_substitution');
    expect(await store.allIDs()).toEqual([credential.id, other.id]);
    expect(await world.callApi(await credential.accessToken())).toBe(200);
    expect(await world.callApi(await other.accessToken())).toBe(200);
    expect(credential.claims?.sub).toBe(token.claims?.sub);
  });
});

describe('a server that does not play along', () => {
  it('E48 shows a page of its own, since it does not know the redirect URI: that passes, and the session stays', async () => {
    const robot = createRobot();
    const { store } = open(robot, { renew: silentAuthorization({ redirectUri: 'http://127.0.0.1/unknown' }) });
    const token = await world.signIn(store, 'alice', robot);
    const credential = await store.store(token);
    const error: unknown = await credential.refresh().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'renewal_failed', class: 'transient' });
    expect(await credential.accessToken()).toBe(token.accessToken);
  });

  it.each([
    ['with 503', { status: 503 }, 'server_unavailable'],
    ['with 502', { status: 502, body: '<html>', contentType: 'text/html' }, 'server_error'],
    ['with invalid_grant', { status: 400, body: { error: 'invalid_grant' } }, 'renewal_failed'],
    ['by hanging up, after it has given a token', { hangUp: true, processed: true }, 'network_error'],
  ] as const)('E48 answers the code %s: the session stays, and the next try begins anew', async (_, fault, code) => {
    const { credential } = await signedIn('alice');
    await world.control.failNext('token', fault);
    expect(await codeOf(credential.refresh())).toBe(code);
    expect(credential.status.activity).toBe('idle');
    expect(await world.callApi((await credential.refresh()).accessToken)).toBe(200);
  });
});
