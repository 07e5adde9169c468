import { createHash } from 'node:crypto';
import { createAuthorizationCodeFlow, type AuthorizationCodeFlow } from '../../src/flows/authorization-code';
import { createSessionLogoutFlow } from '../../src/flows/session-logout';
import { memoryTransactions, sessionTransactions, type Transaction, type TransactionStorage } from '../../src/flows/transactions';
import { createCredentialStore, memoryStorage, type CredentialError } from '../../src/index';
import { notLoaded } from '../../src/errors';
import { createOAuth2Client, type OAuth2Client } from '../../src/oauth/client';
import { fakeServer, json, type FakeServer, type FakeServerOptions } from '../support/fake-server';
import { REDIRECT_URI, refusal, setUpOAuth } from '../support/oauth';
import { fakePage, settled, START_MS, unitPlatform, type UnitPlatform, type UnitPlatformOptions } from '../support/unit-platform';

interface SetUp {
  readonly server: FakeServer;
  readonly platform: UnitPlatform;
  readonly flow: AuthorizationCodeFlow;
  readonly begun: Transaction[];
}

/** A flow whose pending sign-ins can be looked at. */
function setUp(
  platformOptions: UnitPlatformOptions = {},
  { scope = 'openid profile', ...serverOptions }: FakeServerOptions & { scope?: string } = {},
): SetUp {
  const server = fakeServer(serverOptions);
  const platform = unitPlatform({ fetch: server.fetch, ...platformOptions });
  const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', scope, redirectUri: REDIRECT_URI, platform });
  const begun: Transaction[] = [];
  const memory = memoryTransactions(platform);
  const transactions: TransactionStorage = {
    put: (transaction) => {
      begun.push(transaction);
      return memory.put(transaction);
    },
    take: (state) => memory.take(state),
  };
  return { server, platform, flow: createAuthorizationCodeFlow(client, { transactions }), begun };
}
const callback = (state: string, more: Readonly<Record<string, string>> = {}): URL => {
  const url = new URL(REDIRECT_URI);
  for (const [name, value] of Object.entries({ code: 'code-1', state, ...more })) url.searchParams.set(name, value);
  return url;
};
async function planToken(server: FakeServer, nonce: string, claims: Record<string, unknown> = {}): Promise<void> {
  server.plan('token', {
    access_token: 'access-1',
    token_type: 'Bearer',
    expires_in: 60,
    id_token: await server.idToken({ nonce, ...claims }),
  });
}
const b64 = /^[A-Za-z0-9_-]{43}$/;

describe('start', () => {
  it('2.1-1 7636-4 asks for a code with PKCE, state and nonce, and for nothing else', async () => {
    const { flow, begun } = setUp();
    const url = await flow.start();
    const [transaction] = begun;
    expect(url.origin + url.pathname).toBe('https://id.example.com/auth');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: 'spa',
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid profile',
      state: transaction?.state,
      nonce: transaction?.nonce,
      code_challenge: createHash('sha256').update(transaction.codeVerifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    expect(url.href).not.toContain(transaction.codeVerifier);
  });

  it.each(['http://app.example.com/callback', 'http://10.0.0.1/callback', 'HTTP://ng-localhost/callback'])(
    'HT-1 sends no user to where the code would come back in the clear: %s',
    async (redirectUri) => {
      const server = fakeServer();
      const client = createOAuth2Client({
        issuer: server.issuer,
        clientId: 'spa',
        redirectUri,
        platform: unitPlatform({ fetch: server.fetch }),
      });
      const started = createAuthorizationCodeFlow(client).start();
      await expect(started).rejects.toMatchObject({ code: 'unsupported', class: 'configuration' });
      expect(server.calls()).toEqual([]);
    },
  );

  it('7636-1 state, nonce and verifier are 43 characters of base64url each, and all different', async () => {
    const { flow, begun } = setUp();
    await flow.start();
    const { state, nonce, codeVerifier } = begun[0];
    for (const text of [state, nonce, codeVerifier]) expect(text).toMatch(b64);
    expect(new Set([state, nonce, codeVerifier]).size).toBe(3);
  });

  it('7636-1 they are the bytes of the platform’s CSPRNG and of nothing else', async () => {
    const filled: number[] = [];
    const random = {
      subtle: crypto.subtle,
      getRandomValues: (bytes: Uint8Array) => {
        filled.push(bytes.length);
        return bytes.fill(filled.length);
      },
    } as unknown as Crypto;
    const { flow, begun } = setUp({ crypto: random });
    const mathRandom = jest.spyOn(Math, 'random');
    await flow.start();
    expect(filled).toEqual([32, 32, 32]);
    expect(mathRandom).not.toHaveBeenCalled();
    mathRandom.mockRestore();
    const expected = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64url'));
    expect([begun[0].state, begun[0].nonce, begun[0].codeVerifier].sort()).toEqual([...expected].sort());
  });

  it('7636-2 the challenge of RFC 7636 Appendix B', async () => {
    const octets = [
      116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83,
      132, 141, 121,
    ];
    const random = { subtle: crypto.subtle, getRandomValues: (bytes: Uint8Array) => (bytes.set(octets), bytes) } as unknown as Crypto;
    const { flow, begun } = setUp({ crypto: random });
    const url = await flow.start();
    expect(begun[0]?.codeVerifier).toBe('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk');
    expect(url.searchParams.get('code_challenge')).toBe('E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM');
    expect(url.searchParams.get('code_challenge_method')).toBe('S256');
  });

  it('7636-3 1,000 sign-ins repeat no state, nonce or verifier', async () => {
    const { flow, begun } = setUp();
    for (let i = 0; i < 1_000; i++) await flow.start();
    const all = begun.flatMap(({ state, nonce, codeVerifier }) => [state, nonce, codeVerifier]);
    expect(new Set(all).size).toBe(3_000);
  });

  it.each<[string, Crypto | undefined]>([
    ['no crypto', undefined],
    ['no subtle, as on a page without https', { getRandomValues: crypto.getRandomValues.bind(crypto) } as Crypto],
    ['no random source', { subtle: crypto.subtle } as Crypto],
  ])('E52 7636-1 with %s it throws, falls back to nothing and leaves no sign-in behind', async (_, broken) => {
    const { flow, begun } = setUp({ crypto: broken as Crypto });
    const mathRandom = jest.spyOn(Math, 'random');
    expect(await refusal(flow.start())).toMatchObject({ code: 'crypto_unavailable', class: 'configuration' });
    expect(mathRandom).not.toHaveBeenCalled();
    mathRandom.mockRestore();
    expect(begun).toEqual([]);
  });

  it('without openid no nonce is sent', async () => {
    const { flow } = setUp({}, { scope: 'orders' });
    expect((await flow.start()).searchParams.has('nonce')).toBe(false);
    expect((await flow.start({ scope: 'openid' })).searchParams.has('nonce')).toBe(true);
  });

  it('6749-2 an empty scope is not sent: there is no empty one (RFC 6749 §3.3)', async () => {
    const { flow, begun } = setUp({}, { scope: '' });
    expect((await flow.start()).searchParams.has('scope')).toBe(false);
    expect((await flow.start({ scope: '  ' })).searchParams.has('scope')).toBe(false);
    expect(begun.map(({ scope }) => scope)).toEqual(['', '']);
  });

  it.each<[string, Record<string, unknown>]>([
    ['pushed', { require_pushed_authorization_requests: true, pushed_authorization_request_endpoint: 'https://id.example.com/par' }],
    ['signed', { require_signed_request_object: true }],
  ])('PAR-3 a server that takes %s requests alone gets no plain one', async (what, metadata) => {
    const { flow, begun } = setUp({}, { metadata });
    const error = await refusal(flow.start());
    expect(error).toMatchObject({ code: 'unsupported', class: 'configuration' });
    expect(error.message).toContain(`require_${what}_`);
    expect(begun).toEqual([]);
  });

  it('PAR-3 one that takes them, too, gets a plain one', async () => {
    const metadata = { require_pushed_authorization_requests: false, pushed_authorization_request_endpoint: 'https://id.example.com/par' };
    expect((await setUp({}, { metadata }).flow.start()).pathname).toBe('/auth');
  });

  it('RES-1 a resource is asked for twice, and is that of the token', async () => {
    const { server, flow, begun } = setUp();
    const resource = 'https://api.example.com/v1';
    expect((await flow.start({ additionalParameters: { resource } })).searchParams.get('resource')).toBe(resource);
    await planToken(server, begun[0].nonce);
    const { context } = await flow.resume(callback(begun[0].state));
    expect(server.calls('token')[0].form.get('resource')).toBe(resource);
    expect(context.resource).toBe(resource);
    await flow.start();
    await planToken(server, begun[1].nonce);
    expect('resource' in (await flow.resume(callback(begun[1].state))).context).toBe(false);
    expect(server.calls('token')[1].form.has('resource')).toBe(false);
  });

  it('RES-1 several resources are all named, each once; the first is that of the token, which knows of the others', async () => {
    const { server, flow, begun } = setUp();
    const [api, files] = ['https://api.example.com/v1', 'https://files.example.com/'];
    const url = await flow.start({ additionalParameters: { resource: [api, files, api], prompt: 'consent' } });
    expect(url.searchParams.getAll('resource')).toEqual([api, files]);
    expect(url.searchParams.getAll('prompt')).toEqual(['consent']);
    await planToken(server, begun[0].nonce);
    const { context } = await flow.resume(callback(begun[0].state));
    expect(server.calls('token')[0].form.getAll('resource')).toEqual([api]); // a token is for one (RFC 8707 §2.2)
    expect(context).toMatchObject({ resource: api, resources: [api, files] });
    expect((await flow.start({ additionalParameters: { resource: [files] } })).searchParams.getAll('resource')).toEqual([files]);
    await planToken(server, begun[1].nonce);
    const { context: ofOne } = await flow.resume(callback(begun[1].state));
    expect([ofOne.resource, 'resources' in ofOne]).toEqual([files, false]);
  });

  it('RES-1 no other parameter has several values', async () => {
    const { flow, begun } = setUp();
    await expect(flow.start({ additionalParameters: { ui_locales: ['de', 'en'] } })).rejects.toThrow(/^additionalParameters .*ui_locales/);
    expect(begun).toEqual([]);
  });

  it.each(['api', '/v1', 'https://api.example.com/#x', '', [[]], [['https://api.example.com/', '/v1']], [[['https://api.example.com/']]]])(
    'RES-1 a resource %j is a TypeError before the user leaves',
    async (resource) => {
      const { flow, begun } = setUp();
      await expect(flow.start({ additionalParameters: { resource: resource as string } })).rejects.toThrow(/^resource must/);
      expect(begun).toEqual([]);
    },
  );

  it('takes scope, max_age 0, acr_values and further parameters', async () => {
    const { flow, begun } = setUp();
    const url = await flow.start({
      scope: 'openid  email',
      maxAge: 0,
      acrValues: 'gold silver',
      additionalParameters: { ui_locales: 'de', prompt: 'login' },
    });
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      scope: 'openid email',
      max_age: '0',
      acr_values: 'gold silver',
      ui_locales: 'de',
      prompt: 'login',
    });
    expect(begun[0]).toMatchObject({
      scope: 'openid email',
      maxAge: 0,
      acrValues: 'gold silver',
      redirectUri: REDIRECT_URI,
      startedAt: START_MS,
    });
  });

  it('IDT-9 acr values that are no wish: remembered, and checked on return', async () => {
    const { flow, begun } = setUp();
    await flow.start({ acrValues: 'gold', requireAcr: true });
    await flow.start({ acrValues: 'gold' });
    expect(begun.map((one) => 'requireAcr' in one && one.requireAcr)).toEqual([true, false]);
    await expect(flow.start({ requireAcr: true })).rejects.toThrow('requireAcr needs acrValues');
    await expect(flow.start({ acrValues: ' ', requireAcr: true })).rejects.toThrow(TypeError);
    for (const requireAcr of ['true', 'false', 1, null])
      await expect(flow.start({ acrValues: 'gold', requireAcr } as object)).rejects.toThrow('requireAcr must be true or false');
  });

  it('IDT-10 max_age among the further parameters is checked on return all the same', async () => {
    const { flow, begun } = setUp();
    expect((await flow.start({ additionalParameters: { max_age: '0', acr_values: 'gold' } })).searchParams.getAll('max_age')).toEqual([
      '0',
    ]);
    expect(begun[0]).toMatchObject({ maxAge: 0, acrValues: 'gold' });
  });

  it('keeps the query of the endpoint (RFC 6749 §3.1)', async () => {
    const { flow } = setUp({}, { metadata: { authorization_endpoint: 'https://id.example.com/auth?tenant=a%20b' } });
    expect((await flow.start()).searchParams.get('tenant')).toBe('a b');
  });

  it.each([
    'client_id',
    'response_type',
    'response_mode',
    'redirect_uri',
    'request',
    'request_uri',
    'state',
    'nonce',
    'code_challenge',
    'code_challenge_method',
    'scope',
  ])('7636-2 2.1-1 additionalParameters must not set %s', async (name) => {
    const { flow, begun } = setUp();
    await expect(flow.start({ additionalParameters: { [name]: 'plain' } })).rejects.toThrow(TypeError);
    expect(begun).toEqual([]);
  });

  it.each([-1, 1.5, NaN, Infinity])('maxAge %p is a TypeError', async (maxAge) => {
    await expect(setUp().flow.start({ maxAge })).rejects.toThrow(TypeError);
  });

  it('IDT-9 IDT-10 what only an ID token can prove is a TypeError without the scope openid', async () => {
    const { flow, begun } = setUp({}, { scope: 'api' });
    for (const options of [{ maxAge: 60 }, { additionalParameters: { max_age: '60' } }, { acrValues: 'gold', requireAcr: true }]) {
      await expect(flow.start(options)).rejects.toThrow(/openid/);
      await expect(flow.start({ ...options, scope: 'openid api' })).resolves.toBeInstanceOf(URL);
    }
    await expect(setUp({}, { scope: '' }).flow.start({ maxAge: 60 })).resolves.toBeInstanceOf(URL); // the server's own scope may have it
    expect(begun).toHaveLength(3);
  });

  it.each<[string, string, object]>([
    [
      'values',
      '{"id_token":{"acr":{"essential":true,"values":["gold","urn:silver"]}}}',
      { acrValues: 'gold urn:silver', requireAcr: true },
    ],
    ['one value', '{"id_token":{"acr":{"essential":true,"value":"gold"}}}', { acrValues: 'gold', requireAcr: true }],
    ['none', '{"id_token":{"acr":{"essential":true}}}', {}],
    ['a wish', '{"id_token":{"acr":{"values":["gold"]}}}', {}],
    ['of the user info', '{"userinfo":{"acr":{"essential":true,"value":"gold"}}}', {}],
    ['no text', '{"id_token":{"acr":{"essential":true,"values":[1]}}}', {}],
    ['no JSON', '{"id_token":', {}],
  ])('IDT-9 an acr that is essential among the claims asked for is checked on return: %s', async (_, claims, remembered) => {
    const { flow, begun } = setUp();
    const url = await flow.start({ additionalParameters: { claims } });
    expect([url.searchParams.get('claims'), url.searchParams.has('acr_values')]).toEqual([claims, false]);
    const { acrValues, requireAcr } = begun[0] ?? {};
    expect({ ...(acrValues !== undefined && { acrValues }), ...(requireAcr !== undefined && { requireAcr }) }).toEqual(remembered);
    await flow.start({ requireAcr: false, additionalParameters: { claims } });
    expect(begun[1]).not.toHaveProperty('requireAcr');
  });

  it('acrValues that are a list are a TypeError', async () => {
    const { flow, begun } = setUp();
    await expect(flow.start({ acrValues: ['gold'] as unknown as string })).rejects.toThrow(TypeError);
    expect(begun).toEqual([]);
  });

  it.each([null, ''])('DISC-3 an authorization endpoint of %j is missing', async (authorization_endpoint) => {
    expect(await refusal(setUp({}, { metadata: { authorization_endpoint } }).flow.start())).toMatchObject({ code: 'endpoint_missing' });
  });

  it.each(['prompt', 'loginHint', 'redirectUri', 'scopes'])(
    'an option that there is not, %s, is a TypeError that names it',
    async (name) => {
      const { client } = setUpOAuth();
      const named = new RegExp(` takes .*, not ${name}$`);
      await expect(createAuthorizationCodeFlow(client).start({ [name]: 'x' })).rejects.toThrow(named);
      expect(() => createAuthorizationCodeFlow(client, { [name]: 'x' })).toThrow(named);
    },
  );

  it('design §4 what is no client is a TypeError that says what to pass: the store, its options, nothing', () => {
    const options = { issuer: 'https://id.example.com', clientId: 'spa', redirectUri: REDIRECT_URI };
    const store = createCredentialStore({ clients: options, platform: unitPlatform() });
    for (const wrong of [store, options, undefined, null, 'spa'])
      for (const create of [createAuthorizationCodeFlow, createSessionLogoutFlow])
        expect(() => create(wrong as OAuth2Client)).toThrow(new TypeError('pass a client: credentials.client() or createOAuth2Client(…)'));
  });

  it('a scope that is a list is a TypeError', async () => {
    await expect(setUp().flow.start({ scope: ['openid'] as unknown as string })).rejects.toThrow(/^scope must be a string/);
  });

  it('a further parameter that is undefined or empty is left out; one that is no text, or has no name, is a TypeError', async () => {
    const { flow, begun } = setUp();
    const url = await flow.start({ additionalParameters: { login_hint: undefined, ui_locales: '', max_age: undefined, prompt: 'login' } });
    expect(['login_hint', 'ui_locales', 'max_age', 'prompt'].map((name) => url.searchParams.get(name))).toEqual([
      null,
      null,
      null,
      'login',
    ]);
    await expect(flow.start({ additionalParameters: { '': 'x' } })).rejects.toThrow(/^additionalParameters .*name/);
    for (const value of [null, 1, {}])
      await expect(flow.start({ additionalParameters: { login_hint: value as never } })).rejects.toThrow(
        /^additionalParameters .*login_hint/,
      );
    expect(begun).toHaveLength(1);
  });

  it.each(['', ' ', 'x', '-1', '1.5'])('IDT-10 max_age %j among the further parameters is a TypeError', async (max_age) => {
    await expect(setUp().flow.start({ additionalParameters: { max_age } })).rejects.toThrow(TypeError);
  });

  it('a scope with a forbidden character is a TypeError', async () => {
    await expect(setUp().flow.start({ scope: 'openid "x"' })).rejects.toThrow(TypeError);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ authorization_endpoint: undefined }, 'endpoint_missing'],
    [{ authorization_endpoint: 'http://id.example.com/auth' }, 'discovery_failed'],
    [{ authorization_endpoint: 'javascript:alert(1)' }, 'discovery_failed'],
    [{ authorization_endpoint: '/auth' }, 'discovery_failed'],
  ])('DISC-3 %j sends the user nowhere: %s', async (metadata, code) => {
    const { flow, begun } = setUp({}, { metadata });
    expect(await refusal(flow.start())).toMatchObject({ code });
    expect(begun).toEqual([]);
  });

  it('says by an error of ours that a part of the program could not be loaded, and loads it the next time', async () => {
    const { flow } = setUp();
    jest.doMock('../../src/oauth/protocol', () => {
      throw new Error('Loading chunk 7 failed');
    });
    expect(await refusal(flow.start())).toMatchObject({ code: 'program_not_loaded', class: 'transient' });
    jest.dontMock('../../src/oauth/protocol');
    expect(await flow.start()).toBeInstanceOf(URL);
  });

  it('options that are null are a TypeError that names them', async () => {
    const { server, platform } = { server: fakeServer(), platform: unitPlatform() };
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform });
    await expect(createAuthorizationCodeFlow(client).start(null as never)).rejects.toThrow(/^options of start must be an object$/);
    expect(() => createAuthorizationCodeFlow(client, null as never)).toThrow(/^options of createAuthorizationCodeFlow must be an object$/);
  });

  it('needs a redirectUri', () => {
    const client = createOAuth2Client({ issuer: 'https://id.example.com', clientId: 'spa', platform: unitPlatform() });
    expect(() => createAuthorizationCodeFlow(client)).toThrow(TypeError);
  });
});

describe('ISS-3 a store of two authorization servers', () => {
  const OTHER = 'https://other.example.com';
  /** The flow of the first one; each with a redirect URI. */
  function two(first: string, second: string | undefined, metadata: Record<string, unknown> = {}) {
    const server = fakeServer({ metadata });
    const platform = unitPlatform({ fetch: server.fetch });
    const mine = { issuer: server.issuer, clientId: 'spa', redirectUri: first, platform };
    const others = [
      { issuer: OTHER, clientId: 'spa', ...(second !== undefined && { redirectUri: second }) },
      { ...mine, clientId: 'another' },
    ];
    const store = createCredentialStore({ clients: [createOAuth2Client(mine), ...others], platform, storage: memoryStorage() });
    const transactions = memoryTransactions(platform);
    return { server, store, flow: createAuthorizationCodeFlow(store.client({ issuer: server.issuer, clientId: 'spa' }), { transactions }) };
  }

  it.each([REDIRECT_URI, 'HTTPS://APP.example.com:443/callback'])('refuses to start where both share a redirect URI (%s)', async (uri) => {
    const { flow, store } = two(REDIRECT_URI, uri);
    const error = await refusal(flow.start());
    expect(error).toMatchObject({ code: 'unsupported', class: 'configuration' });
    expect(error.message).toContain('Use a redirect URI per authorization server.');
    await store.close();
  });

  it.each<[string, string | undefined, Record<string, unknown>]>([
    ['the answers say whose they are (RFC 9207)', REDIRECT_URI, { authorization_response_iss_parameter_supported: true }],
    ['each has its own redirect URI', `${REDIRECT_URI}/other`, {}],
    ['the other signs nobody in', undefined, {}],
  ])('starts where %s', async (_, second, metadata) => {
    const { flow, store } = two(REDIRECT_URI, second, metadata);
    expect((await flow.start()).pathname).toBe('/auth');
    await store.close();
  });

  it('a client of its own need not know of others', async () => {
    expect((await setUp().flow.start()).pathname).toBe('/auth');
  });

  it.each([
    ['https://app.example.com/other', '?as=mine'],
    ['https://app.example.com/callback?as=other', '?as=mine'],
    ['https://app.example.com/callback', '?as=mine'],
    ['https://app.example.com/callback?as=other', ''],
  ])('takes no answer that came to %s, which is where the other one answers (own query: %j)', async (second, query) => {
    const { flow, server, store } = two(`https://app.example.com/callback${query}`, second);
    const state = (await flow.start()).searchParams.get('state') ?? '';
    const url = new URL(second);
    url.searchParams.set('state', state);
    url.searchParams.set('code', 'code-of-the-other');
    expect(await refusal(flow.resume(url))).toMatchObject({ code: 'issuer_mismatch', class: 'security' });
    expect(server.calls('token')).toEqual([]);
    await store.close();
  });

  it.each(['https://app.example.com/callback', 'https://app.example.com/callback/'])('takes one that came to %s', async (at) => {
    const { flow, server, store } = two(REDIRECT_URI, 'https://app.example.com/other');
    const start = (await flow.start({ scope: 'orders' })).searchParams;
    server.plan('token', { access_token: 'access-1', token_type: 'Bearer' });
    expect((await flow.resume(`${at}?code=c&state=${start.get('state')}`)).accessToken).toBe('access-1');
    await store.close();
  });
});

describe('resume', () => {
  it('exchanges the code with the verifier of this very sign-in and yields its token', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    await flow.start();
    const [first, second] = begun;
    await planToken(server, second.nonce);
    const token = await flow.resume(callback(second.state));
    expect(token).toMatchObject({ accessToken: 'access-1', claims: { sub: 'alice' }, context: { issuer: server.issuer, clientId: 'spa' } });
    expect(server.calls('token')[0].form.get('code_verifier')).toBe(second.codeVerifier);
    await planToken(server, first.nonce);
    expect((await flow.resume(callback(first.state).href)).accessToken).toBe('access-1');
    expect(server.calls('token')[1].form.get('code_verifier')).toBe(first.codeVerifier);
  });

  it('6749-3 two calls at a time send one request and give one result', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    await planToken(server, begun[0].nonce);
    const [a, b] = await Promise.all([flow.resume(callback(begun[0].state)), flow.resume(callback(begun[0].state).href)]);
    expect(a).toBe(b);
    expect(server.calls('token')).toHaveLength(1);
  });

  it('6749-3 a second visit of the callback sends nothing', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    await planToken(server, begun[0].nonce);
    await flow.resume(callback(begun[0].state));
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_state_unknown', class: 'needs_user' });
    expect(server.calls('token')).toHaveLength(1);
  });

  it('6749-3 7636-3 after a failed exchange the code and the verifier are not used again', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    server.plan('token', 'offline');
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'network_error' });
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_state_unknown' });
    expect(server.calls('token')).toHaveLength(1);
  });

  it.each<readonly [string, Parameters<FakeServer['plan']>[1], Record<string, unknown>]>([
    ['429', json({}, { status: 429, headers: { 'retry-after': '7' } }), { code: 'server_unavailable', status: 429, retryAfterMs: 7_000 }],
    ['503', json({}, { status: 503 }), { code: 'server_unavailable', status: 503 }],
    ['500', json({}, { status: 500 }), { code: 'server_error', status: 500 }],
    ['slow_down', json({ error: 'slow_down' }, { status: 400 }), { code: 'oauth_error', error: 'slow_down', name: 'OAuthResponseError' }],
    ['a page', json('<html>'), { code: 'response_invalid', name: 'ProtocolError' }],
    ['no answer', 'offline', { code: 'network_error', name: 'NetworkError' }],
  ])('6749-3 a sign-in whose code met with %s is spent: to wait helps nobody, the user signs in again', async (_, answer, told) => {
    const { server, flow, begun } = setUp();
    await flow.start();
    server.plan('token', answer);
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ ...told, class: 'needs_user' });
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_state_unknown' });
  });

  it('6749-3 so is one that the authorization endpoint has put off', async () => {
    const { flow, begun } = setUp();
    await flow.start();
    const url = `${REDIRECT_URI}?error=temporarily_unavailable&state=${begun[0].state}`;
    const told = { code: 'authorization_failed', error: 'temporarily_unavailable', class: 'needs_user' };
    expect(await refusal(flow.resume(url))).toMatchObject(told);
  });

  it('what is wrong with the configuration, and what is an attack, stays that after a sign-in that is spent', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    await flow.start();
    server.plan('token', json({ error: 'invalid_client' }, { status: 401 }));
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'oauth_error', class: 'configuration' });
    await planToken(server, 'of another sign-in');
    expect(await refusal(flow.resume(callback(begun[1].state)))).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });

  it('6749-3 a code that nothing could be sent with, since a part of the program was not there, is sent the next time', async () => {
    const { client, server } = setUpOAuth();
    let isThere = false;
    const exchangeCode: OAuth2Client['exchangeCode'] = (exchange) =>
      isThere ? client.exchangeCode(exchange) : Promise.reject(notLoaded());
    const flow = createAuthorizationCodeFlow({ ...client, exchangeCode });
    const { state, nonce } = Object.fromEntries((await flow.start()).searchParams);
    expect(await refusal(flow.resume(callback(state)))).toMatchObject({ code: 'program_not_loaded' });
    isThere = true;
    await planToken(server, nonce);
    expect((await flow.resume(callback(state))).claims).toMatchObject({ sub: expect.any(String) as unknown });
  });

  it('6749-3 a code whose request certainly never left is sent once, when the host can be reached again', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    server.plan('token', () => {
      throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNREFUSED' } });
    });
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'network_error', class: 'transient' });
    await planToken(server, begun[0].nonce);
    expect((await flow.resume(callback(begun[0].state))).claims).toMatchObject({ sub: expect.any(String) as unknown });
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_state_unknown' });
  });

  it('6749-3 a code is sent once, also where the keys to judge the answer cannot be had', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    await planToken(server, begun[0].nonce);
    server.plan('jwks', 'offline', 'offline');
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'network_error', class: 'needs_user' });
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_state_unknown' });
    expect(server.calls('token')).toHaveLength(1);
  });

  /** The page that a user comes back to: nothing is known there but what was stored. */
  const loadedAnew = ({ server, platform }: SetUp, transactions: TransactionStorage): AuthorizationCodeFlow =>
    createAuthorizationCodeFlow(createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform }), {
      transactions,
    });

  it('E37 a discovery that fails for now, before the code is sent, costs no sign-in', async () => {
    const world = setUp();
    const { server, platform, begun, flow } = world;
    await flow.start();
    const transactions = memoryTransactions(platform);
    await transactions.put(begun[0]);
    const anew = loadedAnew(world, transactions);
    server.plan('discovery', json({}, { status: 503 }));
    expect(await refusal(anew.resume(callback(begun[0].state)))).toMatchObject({ code: 'server_unavailable' });
    await planToken(server, begun[0].nonce);
    expect((await anew.resume(callback(begun[0].state))).accessToken).toBe('access-1');
    expect(await refusal(anew.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_state_unknown' });
    expect(server.calls('token')).toHaveLength(1);
  });

  it('6749-3 two pages at a time send one request', async () => {
    const world = setUp();
    const { server, platform, begun, flow } = world;
    await flow.start();
    const transactions = memoryTransactions(platform);
    await transactions.put(begun[0]);
    await planToken(server, begun[0].nonce);
    const both = [1, 2].map(() => loadedAnew(world, transactions).resume(callback(begun[0].state)));
    const outcomes = await Promise.all(
      both.map((one) =>
        one.then(
          () => 'token',
          ({ code }: CredentialError) => code,
        ),
      ),
    );
    expect(outcomes.sort()).toEqual(['callback_state_unknown', 'token']);
    expect(server.calls('token')).toHaveLength(1);
  });

  describe('E63 a callback page that does not know whose answer it is asks the flows of several servers', () => {
    const OTHER = 'https://other.example.com';
    /** Two flows over the same storage. The second one's sign-in has come back. */
    async function both(storageOf: (platform: UnitPlatform) => () => TransactionStorage, prepared: boolean) {
      const server = fakeServer();
      const other = fakeServer({ issuer: OTHER });
      const platform = unitPlatform({ fetch: (input, init) => ((input as string).startsWith(OTHER) ? other : server).fetch(input, init) });
      const storage = storageOf(platform);
      const flowOf = (issuer: string) =>
        createAuthorizationCodeFlow(createOAuth2Client({ issuer, clientId: 'spa', scope: 'api', redirectUri: REDIRECT_URI, platform }), {
          transactions: storage(),
        });
      const url = await flowOf(server.issuer).start();
      server.plan('token', { access_token: 'access-1', token_type: 'Bearer' });
      const flows = [flowOf(OTHER), flowOf(server.issuer)];
      if (prepared) for (const flow of flows) await flow.start();
      return { flows, back: callback(url.searchParams.get('state') ?? '') };
    }
    const inSession = (platform: UnitPlatform) => {
      const { items } = fakePage(REDIRECT_URI);
      return () => sessionTransactions(items, platform);
    };
    const inMemory = (platform: UnitPlatform) => {
      const memory = memoryTransactions(platform);
      return () => memory;
    };
    const byPromises = (platform: UnitPlatform) => {
      const memory = memoryTransactions(platform);
      return () => ({ put: async (one: Transaction) => memory.put(one), take: async (state: string) => memory.take(state) });
    };

    it.each<[string, typeof inMemory, boolean]>([
      ['session storage', inSession, true],
      ['session storage, and nothing discovered yet', inSession, false],
      ['memory', inMemory, true],
      ['memory, and nothing discovered yet', inMemory, false],
    ])('all at once, with %s', async (_, storageOf, prepared) => {
      const { flows, back } = await both(storageOf, prepared);
      const token = await Promise.any(flows.map((flow) => flow.resume(back)));
      expect(token).toMatchObject({ accessToken: 'access-1', context: { issuer: 'https://id.example.com' } });
    });

    it('one after the other, with a storage that answers by promises', async () => {
      const { flows, back } = await both(byPromises, false);
      expect(await refusal(flows[0].resume(back))).toMatchObject({ code: 'callback_state_unknown' });
      expect((await flows[1].resume(back)).accessToken).toBe('access-1');
    });
  });

  it.each<[string, (fail: () => never) => TransactionStorage['take'], boolean]>([
    ['put throws', () => () => null, false],
    ['take throws', (fail) => fail, true],
    ['take rejects', (fail) => async () => fail(), true],
  ])('E51 a storage of the application whose %s is storage_failed, without its words', async (_, takeOf, keeps) => {
    const { server, platform } = setUp();
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform });
    let seen = '';
    const fail = (): never => {
      throw new RangeError(`canary ${seen}`);
    };
    const put = ({ codeVerifier }: Transaction): void => {
      seen = codeVerifier;
      if (!keeps) fail();
    };
    const flow = createAuthorizationCodeFlow(client, { transactions: { put, take: takeOf(fail) } });
    const error = await refusal(keeps ? flow.resume(callback((await flow.start()).searchParams.get('state') ?? '')) : flow.start());
    expect(error).toMatchObject({ name: 'StorageError', code: 'storage_failed', class: 'configuration', issuer: server.issuer });
    expect(error.message).toMatch(/RangeError/);
    expect(`${error.message}${error.stack}`).not.toMatch(/canary/);
    expect(`${error.message}${error.stack}`).not.toContain(seen);
  });

  it('7636-3 a storage of the application that keeps sign-ins for longer does not make them longer', async () => {
    const { server, platform } = setUp();
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', scope: 'api', redirectUri: REDIRECT_URI, platform });
    const kept = new Map<string, Transaction>();
    const transactions: TransactionStorage = { put: (one) => void kept.set(one.state, one), take: (state) => kept.get(state) ?? null };
    const flow = createAuthorizationCodeFlow(client, { transactions });
    const back = callback((await flow.start()).searchParams.get('state') ?? '');
    platform.advance(10 * 60_000 + 1);
    expect(await refusal(flow.resume(back))).toMatchObject({ code: 'callback_state_unknown', class: 'needs_user' });
    platform.jump(-10 * 60_000 - 1);
    server.plan('token', { access_token: 'access-1', token_type: 'Bearer' });
    expect((await flow.resume(back)).accessToken).toBe('access-1');
    platform.jump(-10 * 60_000 - 1); // begun in the future: the clock was ahead
    expect(await refusal(flow.resume(back))).toMatchObject({ code: 'callback_state_unknown' });
  });

  it('6749-4 a state that nobody knows asks nobody', async () => {
    const world = setUp();
    const transactions = memoryTransactions(world.platform);
    expect(await refusal(loadedAnew(world, transactions).resume(callback('guessed')))).toMatchObject({ code: 'callback_state_unknown' });
    expect(world.server.calls()).toEqual([]);
  });

  it.each<[string, Record<string, string>]>([
    ['an error', { error: 'access_denied', error_description: 'forged' }],
    ['a code', { code: 'forged' }],
    ['a foreign iss', { iss: 'https://evil.test' }],
  ])('6749-4 a forged callback with %s and an unknown state leaves the pending login usable', async (_, forged) => {
    const { server, flow, begun } = setUp();
    await flow.start();
    expect(await refusal(flow.resume(callback('guessed', forged)))).toMatchObject({ code: 'callback_state_unknown' });
    expect(await refusal(flow.resume(`${REDIRECT_URI}?error=access_denied`))).toMatchObject({ code: 'callback_invalid' });
    expect(server.calls('token')).toEqual([]);
    await planToken(server, begun[0].nonce);
    expect((await flow.resume(callback(begun[0].state))).accessToken).toBe('access-1');
  });

  it('the user’s no is authorization_failed and ends this sign-in', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    const url = `${REDIRECT_URI}?error=access_denied&error_description=no&state=${begun[0].state}`;
    expect(await refusal(flow.resume(url))).toMatchObject({ code: 'authorization_failed', error: 'access_denied', errorDescription: 'no' });
    expect(await refusal(flow.resume(url))).toMatchObject({ code: 'callback_state_unknown' });
    expect(server.calls('token')).toEqual([]);
  });

  it.each(['code', 'state', 'iss', 'error', 'error_description', 'error_uri', 'session_state'])(
    'HT-8 %s twice is an error, and the login stays usable',
    async (name) => {
      const { server, flow, begun } = setUp();
      await flow.start();
      const url = callback(begun[0].state);
      if (!url.searchParams.has(name)) url.searchParams.append(name, name === 'iss' ? server.issuer : 'x');
      url.searchParams.append(name, url.searchParams.get(name)!);
      expect(await refusal(flow.resume(url))).toMatchObject({ code: 'callback_invalid' });
      expect(server.calls('token')).toEqual([]);
      await planToken(server, begun[0].nonce);
      expect((await flow.resume(callback(begun[0].state))).accessToken).toBe('access-1');
    },
  );

  it.each<[string, (state: string) => string]>([
    ['no state', () => `${REDIRECT_URI}?code=c`],
    ['an address of more than 32 KiB', (state) => `${REDIRECT_URI}?code=c&state=${state}&x=${'x'.repeat(32 * 1024)}`],
    ['a code of more than 8 KiB', (state) => `${REDIRECT_URI}?code=${'c'.repeat(8 * 1024 + 1)}&state=${state}`],
    ['a relative address', (state) => `/callback?code=canary&state=${state}`],
    ['no address', () => ''],
  ])('E33 %s rejects as callback_invalid, never throws and never shows the code', async (_, url) => {
    const { server, flow, begun } = setUp();
    await flow.start();
    const error = await refusal(flow.resume(url(begun[0].state)));
    expect(error).toMatchObject({ code: 'callback_invalid' });
    expect(JSON.stringify([error, error.message, Object.values(error)])).not.toContain('canary');
    expect(server.calls('token')).toEqual([]);
  });

  it('a callback with neither code nor error is callback_invalid', async () => {
    const { flow, begun } = setUp();
    await flow.start();
    expect(await refusal(flow.resume(`${REDIRECT_URI}?state=${begun[0].state}`))).toMatchObject({ code: 'callback_invalid' });
  });

  it('7636-3 after ten minutes a sign-in is gone, and not before', async () => {
    const { server, platform, flow, begun } = setUp();
    await flow.start();
    await flow.start();
    platform.advance(10 * 60_000);
    await planToken(server, begun[0].nonce, { iat: START_MS / 1000 + 600, exp: START_MS / 1000 + 900 });
    expect((await flow.resume(callback(begun[0].state))).accessToken).toBe('access-1');
    platform.advance(1);
    expect(await refusal(flow.resume(callback(begun[1].state)))).toMatchObject({ code: 'callback_state_unknown' });
  });

  it('ISS-2 E53 a foreign iss stops before any token request', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    expect(await refusal(flow.resume(callback(begun[0].state, { iss: 'https://evil.test' })))).toMatchObject({
      code: 'issuer_mismatch',
      class: 'security',
    });
    expect(server.calls('token')).toEqual([]);
  });

  it('ISS-1 a missing iss stops where the server announces one', async () => {
    const { server, flow, begun } = setUp({}, { metadata: { authorization_response_iss_parameter_supported: true } });
    await flow.start();
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'callback_invalid' });
    await flow.start();
    await planToken(server, begun[1].nonce);
    expect((await flow.resume(callback(begun[1].state, { iss: server.issuer }))).accessToken).toBe('access-1');
  });

  it.each([
    ['another client', 'https://id.example.com', 'other'],
    ['another issuer', 'https://other.example', 'spa'],
  ])('E53 a sign-in of %s in the same storage is none of this flow', async (_, issuer, clientId) => {
    const [here, there] = [fakeServer(), fakeServer({ issuer })];
    const fetch: typeof globalThis.fetch = (input, init) => ((input as string).startsWith(issuer) ? there : here).fetch(input, init);
    const platform = unitPlatform({ fetch });
    const transactions = memoryTransactions(platform);
    const flowOf = (options: { issuer: string; clientId: string }) =>
      createAuthorizationCodeFlow(createOAuth2Client({ ...options, redirectUri: REDIRECT_URI, platform }), { transactions });
    const state = (await flowOf({ issuer, clientId }).start()).searchParams.get('state') ?? '';
    const flow = flowOf({ issuer: here.issuer, clientId: 'spa' });
    expect(await refusal(flow.resume(callback(state)))).toMatchObject({ code: 'callback_state_unknown' });
    expect([...here.calls('token'), ...there.calls('token')]).toEqual([]);
  });

  it.each<[Record<string, unknown>, boolean]>([
    [{ auth_time: START_MS / 1000 }, true],
    [{ auth_time: START_MS / 1000 - 3_600 }, false],
    [{}, false],
    [{ auth_time: 'now' }, false],
  ])('IDT-10 max_age 0 with %j is accepted: %p', async (claims, accepted) => {
    const { server, flow, begun } = setUp();
    await flow.start({ maxAge: 0 });
    await planToken(server, begun[0].nonce, claims);
    const token = flow.resume(callback(begun[0].state));
    if (accepted) expect((await token).context.maxAge).toBe(0);
    else expect(await refusal(token)).toMatchObject({ code: 'id_token_invalid' });
  });

  it('IDT-8 an ID token of another login is refused', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    await flow.start();
    await planToken(server, begun[1].nonce);
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'id_token_invalid' });
  });

  it('a token endpoint that says no is told by its code', async () => {
    const { server, flow, begun } = setUp();
    await flow.start();
    server.plan('token', json({ error: 'invalid_grant' }, { status: 400 }));
    expect(await refusal(flow.resume(callback(begun[0].state)))).toMatchObject({ code: 'oauth_error', error: 'invalid_grant' });
  });
});

describe('in a page', () => {
  /** A flow with the default transactions: those of the page. */
  const inPage = async (page = fakePage('https://app.example.com/')) => {
    const server = fakeServer();
    const platform = unitPlatform({ fetch: server.fetch, page });
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform });
    const flow = createAuthorizationCodeFlow(client);
    const url = await flow.start();
    return { server, platform, client, flow, page, state: url.searchParams.get('state')!, nonce: url.searchParams.get('nonce')! };
  };

  it('2.1-2 9700-2 the code has left the address before resume returns, before any request, in one step without history', async () => {
    const { server, page, flow, state, nonce } = await inPage();
    await planToken(server, nonce);
    const asked = server.calls().length;
    page.replaceUrl(`${REDIRECT_URI}?tab=2&code=secret&state=${state}&iss=https%3A%2F%2Fid.example.com&session_state=s&error_uri=u#part`);
    const token = flow.resume(page.url());
    expect(page.url()).toBe(`${REDIRECT_URI}?tab=2#part`);
    expect(server.calls()).toHaveLength(asked);
    expect(page.replaced).toHaveLength(2); // ours is the second
    await token;
    expect(page.url()).toBe(`${REDIRECT_URI}?tab=2#part`);
  });

  it('2.1-2 the address is cleaned also when the answer is refused', async () => {
    const { page, flow } = await inPage();
    for (const query of [
      'code=secret&state=unknown',
      'code=secret',
      'code=a&code=b&state=s',
      `code=${'c'.repeat(9_000)}&state=s`,
      'error=access_denied&error_description=secret&state=s',
    ]) {
      page.replaceUrl(`${REDIRECT_URI}?${query}`);
      await refusal(flow.resume(page.url()));
      expect(page.url()).toBe(REDIRECT_URI);
    }
  });

  it('2.1-2 a browser that refuses to change the address costs no sign-in', async () => {
    const { server, page, flow, state, nonce } = await inPage();
    await planToken(server, nonce);
    page.replaceUrl(`${REDIRECT_URI}?code=code-1&state=${state}`);
    page.replaceUrl = () => {
      throw new DOMException('Attempt to use history.replaceState() more than 100 times per 30 seconds', 'SecurityError');
    };
    expect((await flow.resume(page.url())).accessToken).not.toBe('');
    expect(await refusal(flow.resume(page.url()))).toMatchObject({ code: 'callback_state_unknown' });
  });

  it('2.1-2 another address than the page’s own is left alone', async () => {
    const { page, flow } = await inPage();
    await refusal(flow.resume(`${REDIRECT_URI}?code=c&state=s`));
    expect(page.url()).toBe('https://app.example.com/');
  });

  it('9700-4 the sign-in survives the way there and back in the session storage of the tab, and is gone after it', async () => {
    const { server, platform, client, page, state, nonce } = await inPage();
    expect(page.items.length).toBe(1);
    await planToken(server, nonce);
    const afterReload = createAuthorizationCodeFlow(client);
    expect((await afterReload.resume(callback(state))).accessToken).toBe('access-1');
    expect(page.items.length).toBe(0);
    expect(platform.timers()).toEqual([]);
  });

  it('7636-3 a failed exchange leaves no verifier in any storage', async () => {
    const { server, flow, page, state } = await inPage();
    server.plan('token', json({ error: 'invalid_grant' }, { status: 400 }));
    await refusal(flow.resume(callback(state)));
    expect(page.items.length).toBe(0);
  });

  it('7636-3 9700-2 a reload during the exchange finds the way back, and neither code nor verifier', async () => {
    const { client, page } = await inPage();
    const exchangeCode = jest.fn(() => new Promise<never>(() => undefined));
    const flow = createAuthorizationCodeFlow({ ...client, isPrepared: () => true, exchangeCode });
    const state = (await flow.start({ returnTo: '/orders' })).searchParams.get('state')!;
    page.replaceUrl(`${REDIRECT_URI}?code=secret&state=${state}`);
    void flow.resume(page.url());
    await settled();
    expect(page.entryState?.()).toEqual({ 'rx-credentials:state': state });
    const kept = Array.from({ length: page.items.length }, (_, i) => page.items.getItem(page.items.key(i) ?? '')).join();
    expect(kept).toContain('"codeVerifier":""');
    expect(kept).not.toContain('secret');

    const afterReload = createAuthorizationCodeFlow(client);
    expect(page.url()).toBe(REDIRECT_URI);
    expect(afterReload.isCallback(page.url())).toBe(false);
    expect(await refusal(afterReload.resume(page.url()))).toMatchObject({ code: 'callback_state_unknown' });
    expect(afterReload.returnToOf(page.url())).toBe('/orders');
    expect(afterReload.returnToOf(`${REDIRECT_URI}?tab=2`)).toBeNull();
    expect(exchangeCode).toHaveBeenCalledTimes(1);
  });

  it('6749-3 the same address without its answer is the sign-in that is under way in this page', async () => {
    const { server, flow, page, state, nonce } = await inPage();
    await planToken(server, nonce);
    page.replaceUrl(`${REDIRECT_URI}?code=c&state=${state}`);
    const first = flow.resume(page.url());
    const second = flow.resume(page.url());
    expect(await second).toBe(await first);
    expect(page.items.length).toBe(0);
  });

  it.each([true, false])(
    '9700-2 the entry is as it was found once the answer is over (it succeeds: %s), and tells where to go',
    async (isGood) => {
      const { client, page, server } = await inPage();
      const flow = createAuthorizationCodeFlow(client);
      const url = await flow.start({ returnTo: '/orders' });
      if (isGood) await planToken(server, url.searchParams.get('nonce')!);
      else server.plan('token', json({ error: 'invalid_grant' }, { status: 400 }));
      page.replaceUrl(`${REDIRECT_URI}?code=c&state=${url.searchParams.get('state')}`);
      const resumed = flow.resume(page.url());
      expect(page.entryState?.()).toEqual({ 'rx-credentials:state': url.searchParams.get('state') });
      await resumed.catch(() => undefined);
      expect(page.entryState?.()).toBeNull();
      expect(flow.returnToOf(page.url())).toBe('/orders');
      expect(await refusal(flow.resume(page.url()))).toMatchObject({ code: 'callback_state_unknown' });
      page.replaceUrl(`${REDIRECT_URI}?tab=2`);
      expect(flow.returnToOf(page.url())).toBeNull();
    },
  );

  it('9700-2 no note is left by an answer that is refused, or has no state', async () => {
    const { page, flow } = await inPage();
    for (const query of [
      'code=c',
      'error=access_denied',
      'code=a&code=b&state=s',
      `code=${'c'.repeat(9_000)}&state=s`,
      'code=c&state=unknown',
    ]) {
      page.replaceUrl(`${REDIRECT_URI}?${query}`);
      await refusal(flow.resume(page.url()));
      expect([page.url(), page.entryState?.()]).toEqual([REDIRECT_URI, null]);
    }
  });

  it('7636-3 a reload before the code was sent finds the way back, and no verifier stays', async () => {
    const { client, page } = await inPage();
    const flow = createAuthorizationCodeFlow({ ...client, isPrepared: () => false, metadata: () => new Promise<never>(() => undefined) });
    const before = page.items.length;
    const state = (await createAuthorizationCodeFlow(client).start({ returnTo: '/orders' })).searchParams.get('state')!;
    page.replaceUrl(`${REDIRECT_URI}?code=secret&state=${state}`);
    void flow.resume(page.url());
    await settled();
    const afterReload = createAuthorizationCodeFlow(client);
    expect(await refusal(afterReload.resume(page.url()))).toMatchObject({ code: 'callback_state_unknown' });
    expect(afterReload.returnToOf(page.url())).toBe('/orders');
    expect(page.items.length).toBe(before);
  });

  it('9700-2 who comes to the redirect URI by hand finds nothing of another visit', async () => {
    const { server, flow, page, state, nonce } = await inPage();
    await planToken(server, nonce);
    page.replaceUrl(`${REDIRECT_URI}?code=c&state=${state}`);
    await flow.resume(page.url());
    expect(await refusal(flow.resume(`${REDIRECT_URI}?tab=2`))).toMatchObject({ code: 'callback_invalid' });
    expect(flow.returnToOf(REDIRECT_URI)).toBeNull();
  });

  it.each([
    ['succeeds', true],
    ['fails before the code was sent', false],
  ])('E63 a storage that never keeps the way back holds up no sign-in that %s', async (_, isGood) => {
    const { client, platform, server } = await inPage();
    const memory = memoryTransactions(platform);
    const takes: string[] = [];
    let puts = 0;
    const transactions: TransactionStorage = {
      put: async (one) => (++puts === 1 ? memory.put(one) : new Promise<never>(() => undefined)),
      take: async (state) => (takes.push(state), memory.take(state)),
    };
    const isUnsent = Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) });
    const flow = createAuthorizationCodeFlow({ ...client, isPrepared: () => true }, { transactions });
    const url = await flow.start({ returnTo: '/orders' });
    if (isGood) await planToken(server, url.searchParams.get('nonce')!);
    else server.plan('token', () => Promise.reject(isUnsent));
    const answer = callback(url.searchParams.get('state')!);
    const resumed = flow.resume(answer).then(
      () => 'token',
      (error: CredentialError) => error.code,
    );
    expect(await resumed).toBe(isGood ? 'token' : 'network_error');
    expect(flow.returnToOf(answer)).toBe('/orders');
    expect(takes).toHaveLength(1); // what is not kept yet is not taken: that would leave it there
  });

  it('E38 where session storage is blocked nobody is sent away: nobody could come back', async () => {
    const begun = inPage(fakePage('https://app.example.com/', { blocked: true }));
    expect(await refusal(begun)).toMatchObject({ name: 'StorageError', code: 'storage_failed' });
  });

  it('9700-4 a callback brought into another browser is unknown there', async () => {
    const here = await inPage();
    const there = await inPage();
    expect(await refusal(there.flow.resume(callback(here.state)))).toMatchObject({ code: 'callback_state_unknown' });
    expect(there.server.calls('token')).toEqual([]);
  });
});

describe('isCallback', () => {
  const at = (address: string) => {
    const { server } = setUp();
    const page = fakePage(address);
    const platform = unitPlatform({ fetch: server.fetch, page });
    return {
      server,
      page,
      platform,
      client: createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform }),
    };
  };

  it.each([
    ['?code=c&state=s', true],
    ['?error=e&state=s', true],
    ['?code=c', false],
    ['?state=s', false],
    ['?error=e', true],
    ['/?error=e', true],
    ['/more?error=e', false],
    ['', false],
    ['#code=c&state=s', false],
  ])('%j: %p', (query, is) => {
    expect(setUp().flow.isCallback(REDIRECT_URI + query)).toBe(is);
    expect(setUp().flow.isCallback(new URL(REDIRECT_URI + query))).toBe(is);
  });

  it.each([
    ['https://app.example.com/integration?code=c&state=drive', false],
    ['https://app.example.com/payment?error=declined&state=order-4711', false],
    ['https://app.example.com/integration?code=c&state=' + 'a'.repeat(44), false],
    ['https://app.example.com/callback/more?code=c&state=drive', false],
    ['https://app.example.com/en/callback?code=c&state=' + 'a_-4'.repeat(10) + 'abc', true], // a host may move its paths
    ['https://app.example.com/callback/?code=c&state=drive', true],
    ['http://10.0.0.7:8080/callback?code=c&state=drive', true], // as a server sees it behind a proxy
  ])('answers to other parts of a program at other paths are none: %s, %p', (address, is) => {
    expect(setUp().flow.isCallback(address)).toBe(is);
  });

  it('resume leaves the answer to another in the address, wherever that is looked for', async () => {
    const { page, client } = at('https://app.example.com/integration?code=theirs&state=drive#tab');
    const flow = createAuthorizationCodeFlow(client);
    const before = page.url();
    expect(await refusal(flow.resume(before))).toMatchObject({ code: 'callback_state_unknown' });
    expect(page.url()).toBe(before);
    page.replaceUrl(`${REDIRECT_URI}?code=ours&state=drive`);
    expect(await refusal(flow.resume(page.url()))).toMatchObject({ code: 'callback_state_unknown' });
    expect(page.url()).toBe(REDIRECT_URI);
  });

  it('of a sign-in that came back to another path is exchanged, and its code leaves the address', async () => {
    const { server, page, client, platform } = at('https://app.example.com/');
    const transactions = memoryTransactions(platform);
    let nonce = '';
    const put = (transaction: Transaction): void => ((nonce = transaction.nonce), void transactions.put(transaction));
    const flow = createAuthorizationCodeFlow(client, { transactions: { ...transactions, put } });
    const state = (await flow.start()).searchParams.get('state')!;
    page.replaceUrl(`https://app.example.com/en/callback?code=ours&state=${state}`);
    expect(flow.isCallback(page.url())).toBe(true);
    await planToken(server, nonce);
    expect((await flow.resume(page.url())).accessToken).toBe('access-1');
    expect(page.url()).toBe('https://app.example.com/en/callback');
  });

  it('an error without state is one at the path of the redirect URI alone; resume refuses it', async () => {
    const { flow } = setUp();
    const elsewhere = 'https://app.example.com/search?error=404';
    expect(flow.isCallback(elsewhere)).toBe(false);
    expect(await refusal(flow.resume(`${REDIRECT_URI}?error=access_denied`))).toMatchObject({ code: 'callback_invalid' });
  });
});

it('createAuthorizationCodeFlow touches nothing and asks nobody before start', async () => {
  const { server } = setUp();
  const page = { url: jest.fn(), replaceUrl: jest.fn(), sessionItems: jest.fn() };
  const platform = unitPlatform({ fetch: server.fetch, page });
  createAuthorizationCodeFlow(createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform }));
  await settled();
  expect([page.url, page.replaceUrl, page.sessionItems].map((spy) => spy.mock.calls.length)).toEqual([0, 0, 0]);
  expect(server.calls()).toEqual([]);
});

/** No paths of an application, however they are spelled. */
const NO_PATHS: readonly string[] = [
  'https://evil.example.com/',
  'http://evil.example.com',
  'HTTPS://evil.example.com',
  '//evil.example.com',
  '///evil.example.com',
  '////evil.example.com',
  '/\\evil.example.com',
  '\\\\evil.example.com',
  '\\/evil.example.com',
  '/\\/evil.example.com',
  '/\t/evil.example.com',
  '/\n/evil.example.com',
  '/\r\n/evil.example.com',
  '\t//evil.example.com',
  ' //evil.example.com',
  '\u0000//evil.example.com',
  '/\u0000',
  '/ord\ners',
  '/orders\u007f',
  '/orders\u0085',
  '/./\\evil.example.com',
  '/.//evil.example.com',
  '/..//evil.example.com',
  '/a/..//evil.example.com',
  '/%2e//evil.example.com',
  '/%2E%2e//evil.example.com',
  '/a/%2e%2e//evil.example.com',
  '//user:secret@evil.example.com',
  '//evil.example.com:443/orders',
  '//[::1]/',
  '//evil。example。com',
  '//xn--e1awd7f.com',
  '/\\\\@evil.example.com',
  '//@evil.example.com',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'data:text/html,hello',
  'blob:https://app.example.com/1',
  'file:///etc/passwd',
  'orders',
  './orders',
  '?page=2',
  '#end',
  '',
];
/** Odd, but paths of the application. */
const PATHS: readonly (readonly [given: string, gone: string])[] = [
  ['/', '/'],
  ['/orders?page=2#end', '/orders?page=2#end'],
  ['/@evil.example.com', '/@evil.example.com'],
  ['/orders//evil.example.com', '/orders//evil.example.com'],
  ['/..', '/'],
  ['/a/../orders', '/orders'],
  ['/%2f/evil.example.com', '/%2f/evil.example.com'],
  ['/?next=//evil.example.com', '/?next=//evil.example.com'],
  ['/#//evil.example.com', '/#//evil.example.com'],
  ['/ä', '/%C3%A4'],
];

describe('9700-1 returnTo', () => {
  it.each(NO_PATHS)('%j is no path of the application: nothing is begun', async (returnTo) => {
    const { flow, begun } = setUp();
    await expect(flow.start({ returnTo })).rejects.toThrow(new TypeError('returnTo must be a path of this application, such as "/orders"'));
    expect(begun).toEqual([]);
  });

  it.each(PATHS)('%j is one: it waits in the transaction, not in the address, and leads to %j', async (returnTo, gone) => {
    const { flow, begun, server } = setUp();
    const url = await flow.start({ returnTo });
    expect([...url.searchParams.values()]).not.toContain(returnTo);
    const { state, nonce, returnTo: kept } = begun[0];
    expect(kept).toBe(gone);
    const address = callback(state);
    expect(flow.returnToOf(address)).toBeNull();
    await planToken(server, nonce);
    await flow.resume(address);
    expect(flow.returnToOf(address)).toBe(gone);
    expect(new URL(gone, 'https://app.example.com').origin).toBe('https://app.example.com');
  });

  it('is known of a sign-in that failed, too, and of none that was never begun', async () => {
    const { flow, begun } = setUp();
    await flow.start({ returnTo: '/orders' });
    const refused = callback(begun[0].state, { error: 'access_denied' });
    await expect(flow.resume(refused)).rejects.toThrow();
    expect(flow.returnToOf(refused)).toBe('/orders');
    expect(flow.returnToOf(callback('never'))).toBeNull();
    expect(flow.returnToOf('no address')).toBeNull();
  });

  it.each<[string, (items: Storage, platform: UnitPlatform) => TransactionStorage | undefined]>([
    ['session storage, in a page that is loaded anew', () => undefined],
    ['a storage of the application that keeps it for longer', (_, platform) => memoryTransactions({ ...platform, now: () => START_MS })],
  ])('7636-3 is known of a sign-in that came back too late, from %s', async (_, storageOf) => {
    const page = fakePage('https://app.example.com/');
    const { platform, server } = setUp({ page });
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform });
    const transactions = storageOf(page.items, platform);
    const flow = (): AuthorizationCodeFlow => createAuthorizationCodeFlow(client, { transactions });
    const late = callback((await flow().start({ returnTo: '/orders' })).searchParams.get('state') ?? '');
    platform.advance(10 * 60_000 + 1);
    const after = flow();
    for (const visit of [1, 2]) {
      expect([visit, await refusal(after.resume(late))]).toMatchObject([visit, { code: 'callback_state_unknown' }]);
      expect(after.returnToOf(late)).toBe('/orders');
    }
    expect(server.calls('token')).toEqual([]);
  });

  it('7636-3 is known of one that is too late where several flows are asked whose it is', async () => {
    const page = fakePage('https://app.example.com/');
    const { platform, server } = setUp({ page });
    const flowOf = (clientId: string): AuthorizationCodeFlow =>
      createAuthorizationCodeFlow(createOAuth2Client({ issuer: server.issuer, clientId, redirectUri: REDIRECT_URI, platform }));
    const [ours, theirs] = [flowOf('ours'), flowOf('theirs')];
    const late = callback((await ours.start({ returnTo: '/orders' })).searchParams.get('state') ?? '');
    platform.advance(10 * 60_000 + 1);
    for (const flow of [theirs, ours]) expect(await refusal(flow.resume(late))).toMatchObject({ code: 'callback_state_unknown' });
    expect([theirs.returnToOf(late), ours.returnToOf(late)]).toEqual([null, '/orders']);
  });

  it('7636-3 what is left of one that is too late begins nothing, though the clock is set back', async () => {
    const page = fakePage('https://app.example.com/');
    const { platform, server } = setUp({ page });
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform });
    const back = callback((await createAuthorizationCodeFlow(client).start({ returnTo: '/orders' })).searchParams.get('state') ?? '');
    platform.advance(10 * 60_000 + 1);
    await createAuthorizationCodeFlow(client).start(); // sweeps
    platform.jump(-10 * 60_000);
    expect(await refusal(createAuthorizationCodeFlow(client).resume(back))).toMatchObject({ code: 'callback_state_unknown' });
    expect(server.calls('token')).toEqual([]);
  });

  it.each([...NO_PATHS, 7, null, ['/orders']])('%j in a storage of the application leads nowhere', async (stored) => {
    const { platform, server } = setUp();
    const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, platform });
    const memory = memoryTransactions(platform);
    let nonce = '';
    const put = (transaction: Transaction): void => {
      nonce = transaction.nonce;
      void memory.put({ ...transaction, returnTo: stored as string });
    };
    const flow = createAuthorizationCodeFlow(client, { transactions: { put, take: (state) => memory.take(state) } });
    const address = callback((await flow.start({ returnTo: '/orders' })).searchParams.get('state') ?? '');
    await planToken(server, nonce);
    await flow.resume(address);
    expect(flow.returnToOf(address)).toBeNull();
  });

  it('is known of the last thousand that came back: a program that never ends does not grow by it', async () => {
    const { flow, begun } = setUp();
    for (let i = 0; i < 1_005; i++) {
      await flow.start({ returnTo: `/orders/${i}` });
      await refusal(flow.resume(`${REDIRECT_URI}?error=access_denied&state=${begun[i].state}`));
    }
    expect(begun.map(({ state }) => flow.returnToOf(callback(state)))).toEqual([
      ...Array.from({ length: 5 }, () => null),
      ...Array.from({ length: 1_000 }, (_, i) => `/orders/${i + 5}`),
    ]);
  });
});
