import { generateKeyPair } from 'jose';
import type { StagedAnswer, Target } from '../../src/credential/record';
import { NetworkError, ProtocolError } from '../../src/errors';
import { createOAuth2Client, type OAuth2ClientOptions } from '../../src/oauth/client';
import { fakeServer, json, publicJwk, type Answer, type Endpoint } from '../support/fake-server';
import { exchangeOf, NONCE, planIdToken, REDIRECT_URI, refusal, setUpOAuth, type OAuthSetUp } from '../support/oauth';
import { aToken, CLAIMS } from '../support/tokens';
import { settled, START_MS, unitPlatform } from '../support/unit-platform';

const HOUR = 60 * 60_000;
const answerOf = (body: unknown, changes: Partial<StagedAnswer> = {}): StagedAnswer => ({
  text: typeof body === 'string' ? body : JSON.stringify(body),
  contentType: 'application/json',
  sentAt: START_MS,
  receivedAt: START_MS,
  ...changes,
});
const login = aToken({
  accessToken: 'old-access',
  refreshToken: 'old-refresh',
  idToken: 'old-id',
  context: { issuer: CLAIMS.iss, clientId: 'spa', scope: 'openid profile' },
});

const withoutIdToken = { idToken: undefined, claims: null };
/** A page without https. */
const setUpInsecure = (): OAuthSetUp => {
  const server = fakeServer();
  const insecure = { getRandomValues: crypto.getRandomValues.bind(crypto) } as Crypto;
  const platform = unitPlatform({ fetch: server.fetch, crypto: insecure });
  return { ...setUpOAuth({ issuer: server.issuer, platform }), server, platform };
};

const redirect = () => new Response(null, { status: 302, headers: { location: '/login' } });
const endless: Record<string, unknown> = {};
endless['more'] = endless;

describe('createOAuth2Client', () => {
  it('asks nobody before a method is called', async () => {
    const { server } = setUpOAuth();
    await settled();
    expect(server.calls()).toEqual([]);
  });

  it('loads the code of requests ahead, and asks nobody: a chunk that is gone later does not matter', async () => {
    const { client, server } = setUpOAuth();
    const missing = (): never => {
      throw new Error('Failed to fetch dynamically imported module');
    };
    jest.doMock('../../src/oauth/protocol', missing);
    await expect(client.load?.()).rejects.toMatchObject({ code: 'program_not_loaded', class: 'transient' });
    jest.dontMock('../../src/oauth/protocol');
    await client.load?.();
    expect([server.calls(), client.isPrepared()]).toEqual([[], false]);
    jest.doMock('../../src/oauth/protocol', missing);
    expect((await client.metadata()).issuer).toBe(server.issuer);
    jest.dontMock('../../src/oauth/protocol');
  });

  it('asks for openid by default and keeps what it was given', () => {
    const platform = unitPlatform();
    expect(createOAuth2Client({ issuer: 'https://id.example.com/', clientId: 'spa', platform })).toMatchObject({
      issuer: 'https://id.example.com/',
      clientId: 'spa',
      scope: 'openid',
      redirectUri: undefined,
      platform,
    });
  });

  it.each<[string, Partial<Record<keyof OAuth2ClientOptions, unknown>>]>([
    ['issuer', { issuer: undefined }],
    ['issuer', { issuer: 'id.example.com' }],
    ['issuer', { issuer: 'http://id.example.com' }],
    ['issuer', { issuer: 'ftp://id.example.com' }],
    ['issuer', { issuer: 'https://user:pass@id.example.com' }],
    ['issuer', { issuer: 'https://id.example.com?tenant=1' }],
    ['issuer', { issuer: 'https://id.example.com?' }],
    ['issuer', { issuer: 'https://id.example.com#x' }],
    ['issuer must have no query, fragment or spaces', { issuer: 'https://id.example.com\n' }],
    ['issuer must have no query, fragment or spaces', { issuer: ' https://id.example.com' }],
    ['clientId', { clientId: '' }],
    ['clientId', { clientId: undefined }],
    ...[
      '/callback',
      'javascript:alert(1)',
      'data:text/html,x',
      'blob:https://app.example.com/x',
      'file:///callback',
      'myapp:/callback',
      'app.example.com:443/callback',
    ].flatMap<[string, Partial<OAuth2ClientOptions>]>((url) => [
      ['redirectUri', { redirectUri: url }],
      ['postLogoutRedirectUri', { postLogoutRedirectUri: url }],
      ['renew.redirectUri', { renew: Object.assign(() => Promise.reject(new Error('no')), { redirectUri: url }) }],
    ]),
    ['redirectUri', { redirectUri: 'https://app.example.com/callback#x' }],
    ['redirectUri', { redirectUri: 'https://app.example.com/callback#' }],
    ['scope', { scope: 'openid "profile"' }],
    ['scope', { scope: ['openid'] }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: [] }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: ['none'] }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: ['RS256', 'HS256'] }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: ['HS512'] }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: ['RS256', 'rs256'] }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: ['RS255'] }],
    ['metadata', { metadata: { issuer: 'https://id.example.com/' } }],
    ['metadata', { metadata: 'https://id.example.com' }],
    ['metadata', { metadata: null }],
    ['metadata', { metadata: { keys: { a: endless } } }],
    ['trustedAudiences', { trustedAudiences: 'project-1' }],
    ['trustedAudiences', { trustedAudiences: null }],
    ['clockToleranceS', { clockToleranceS: -1 }],
    ['clockToleranceS', { clockToleranceS: 301 }],
    ['clockToleranceS', { clockToleranceS: NaN }],
    ['maxIdTokenAgeS', { maxIdTokenAgeS: 0 }],
    ['maxIdTokenAgeS', { maxIdTokenAgeS: NaN }],
    ...['30', '', true, null, [30], {}].flatMap<[string, Partial<Record<keyof OAuth2ClientOptions, unknown>>]>((value) => [
      ['clockToleranceS', { clockToleranceS: value }],
      ['maxIdTokenAgeS', { maxIdTokenAgeS: value }],
    ]),
    ['idTokenSigningAlgs', { idTokenSigningAlgs: 'RS256' }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: null }],
    ['idTokenSigningAlgs', { idTokenSigningAlgs: [5] }],
  ])('DISC-3 IDT-5 IDT-6 IDT-7 a wrong %s is a TypeError that names it: %j', (name, changes) => {
    const make = () =>
      createOAuth2Client({
        issuer: 'https://id.example.com',
        clientId: 'spa',
        platform: unitPlatform(),
        ...changes,
      } as OAuth2ClientOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(new RegExp(`^${name}\\b`));
  });

  it.each(['clientSecret', 'redirect_uri', 'storage'])('an option that there is not is a TypeError that names it: %s', (name) => {
    const options = { issuer: 'https://id.example.com', clientId: 'spa', platform: unitPlatform(), [name]: 'CANARY' };
    expect(() => createOAuth2Client(options)).toThrow(new TypeError(`a public client takes OAuth2ClientOptions, not ${name}`));
  });

  it.each(['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:3000', 'https://id.example.com/tenant/a'])(
    'HT-1 issuer %s is allowed',
    (issuer) => {
      expect(createOAuth2Client({ issuer, clientId: 'spa', platform: unitPlatform() }).issuer).toBe(issuer);
    },
  );

  it.each([
    'https://app.example.com/callback?x=1',
    'http://localhost:4200/callback',
    'http://127.0.0.1:4200/',
    'http://[::1]/callback',
    'http://ng-localhost/callback', // of a page that a server renders: no flow starts there
    'com.example.app:/callback',
    'com.example.app://callback',
  ])('RFC 8252 §7 6749 §3.1.2 redirectUri %s is allowed', (url) => {
    const platform = unitPlatform();
    const options = { issuer: 'https://id.example.com', clientId: 'spa', platform, redirectUri: url, postLogoutRedirectUri: url };
    expect(createOAuth2Client(options)).toMatchObject({ redirectUri: url, postLogoutRedirectUri: url });
  });

  it('HT-7 metadata are copied when the client is made, and frozen when they are asked for', async () => {
    const metadata = { token_endpoint: 'https://id.example.com/token', nested: { list: ['a'] } };
    const { client } = setUpOAuth({ metadata });
    metadata.token_endpoint = 'https://evil.test/token';
    metadata.nested.list.push('b');
    const told = await client.metadata();
    expect(told).toEqual({ issuer: 'https://id.example.com', token_endpoint: 'https://id.example.com/token', nested: { list: ['a'] } });
    expect([Object.isFrozen(told), Object.isFrozen(told['nested']), Object.getPrototypeOf(told)]).toEqual([true, true, null]);
  });

  it('HT-1 an issuer at https may have endpoints on this machine', async () => {
    const urls: string[] = [];
    const platform = unitPlatform({
      fetch: (url) => {
        urls.push(url as string);
        return Promise.resolve(json({ access_token: 'a', token_type: 'bearer', sub: 'alice', keys: [] }));
      },
    });
    const base = 'http://127.0.0.1:3000';
    const metadata = {
      token_endpoint: `${base}/token`,
      revocation_endpoint: `${base}/revoke`,
      userinfo_endpoint: `${base}/me`,
      jwks_uri: `${base}/jwks`,
    };
    const client = createOAuth2Client({ issuer: CLAIMS.iss, clientId: 'spa', platform, metadata });
    const answer = await client.sendRefresh(login);
    await client.revoke('t', 'access_token');
    await client.userInfo(login);
    const id_token = await setUpOAuth().server.idToken();
    const body = { access_token: 'a', token_type: 'bearer', id_token };
    expect(await refusal(client.processRefresh(login, answerOf(body)))).toMatchObject({ code: 'id_token_invalid' }); // for it has no keys
    expect([JSON.parse(answer.text)]).toMatchObject([{ access_token: 'a' }]);
    expect(urls).toEqual(['token', 'revoke', 'me', 'jwks'].map((path) => `${base}/${path}`));
  });

  it.each(['http://localhost/jwks', 'http://id.example.com/jwks'])('HT-1 keys at %s are not asked for', async (jwks_uri) => {
    const { client, server } = setUpOAuth({ metadata: { jwks_uri, token_endpoint: 'https://id.example.com/token' } });
    await planIdToken(server);
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'discovery_failed' });
    expect(server.calls('other')).toEqual([]);
  });
});

describe('discovery', () => {
  it.each([
    ['https://id.example.com', 'https://id.example.com/'],
    ['https://id.example.com/', 'https://id.example.com'],
    ['https://id.example.com', 'https://ID.example.com'],
    ['https://id.example.com', 'HTTPS://id.example.com'],
    ['https://id.example.com', 'https://id.example.com:443'],
    ['https://id.example.com/a', 'https://id.example.com/A'],
    ['https://id.example.com/a', 'https://id.example.com/a/'],
    ['https://id.example.com/a', 'https://id.example.com/%61'],
    ['https://id.example.com/a', 'https://id.example.com/b'],
    ['https://id.example.com', 'https://evil.test'],
    ['https://id.example.com', 'https://id.example.com\u200b'],
  ])('DISC-1 asked for %s, the document says %s: all of it is discarded', async (issuer, says) => {
    const { client } = setUpOAuth({}, { issuer, metadata: { issuer: says } });
    expect(await refusal(client.metadata())).toMatchObject({ code: 'issuer_mismatch', class: 'security', issuer });
    expect(await refusal(client.metadata())).toMatchObject({ code: 'issuer_mismatch' });
  });

  it('DISC-1 6749-13 says of which issuer the document is: cut, and without what could not be seen', async () => {
    const entra = 'https://login.microsoftonline.com';
    const tenant = `${entra}/9188040d-6c67-4c5b-b112-36a304b66dad`;
    for (const [issuer, told, asked] of [
      ['https://id.example.com/', 'https://id.example.com/'],
      [`${entra}/{tenantid}/v2.0`, `${entra}/{tenantid}/v2.0`, `${entra}/common/v2.0`],
      [`${tenant}/v2.0`, `${entra}/[redacted]/v2.0`, `${entra}/common/v2.0`],
      [`${tenant}/v2.0`, `${entra}/[redacted]`, `${entra}/common`],
      [`${tenant}/v2.0`, `${tenant}/v2.0`, tenant],
      ['https://dev-12345678.okta.com', 'https://dev-12345678.okta.com', 'https://dev-12345678.okta.com/oauth2/default'],
      ['https://id.example.com\u200b\u202e\nx', 'https://id.example.com???x'],
      ['https://id.example.com"; go to "evil', 'https://id.example.com?; go to ?evil'],
      ['https://id.example.com/8xLOxBtZp8/abc+defg/hijklm+no/pqrstuv/Zwxyz0123', 'https://id.example.com/[redacted]'],
      [`https://${'a.'.repeat(5_000)}`, `https://${'a.'.repeat(96)}`],
    ]) {
      const { client } = setUpOAuth({}, { ...(asked && { issuer: asked }), metadata: { issuer } });
      const { message } = await refusal(client.metadata());
      expect(message).toBe(`The discovery document is of the issuer "${told}"; the URLs must be equal to the letter (RFC 8414 §3.3).`);
    }
  });

  it.each([
    ['https://id.example.com', 'https://id.example.com/.well-known/openid-configuration'],
    ['https://id.example.com/', 'https://id.example.com/.well-known/openid-configuration'],
    ['https://id.example.com/a/b', 'https://id.example.com/a/b/.well-known/openid-configuration'],
    ['https://id.example.com/a/b/', 'https://id.example.com/a/b/.well-known/openid-configuration'],
    ['https://id.example.com:8443/a', 'https://id.example.com:8443/a/.well-known/openid-configuration'],
  ])('DISC-2 the document of %s is at %s', async (issuer, url) => {
    const { server, client } = setUpOAuth({}, { issuer });
    expect((await client.metadata()).issuer).toBe(issuer);
    expect(server.calls().map((call) => [call.method, call.url])).toEqual([['GET', url]]);
  });

  it.each([
    ['https://id.example.com', 'https://id.example.com/.well-known/oauth-authorization-server'],
    ['https://id.example.com/a/b', 'https://id.example.com/.well-known/oauth-authorization-server/a/b'],
  ])('DISC-2 of a server of OAuth alone, %s, it is at %s: asked for where there is no other', async (issuer, url) => {
    const { server, client } = setUpOAuth({}, { issuer });
    server.plan('discovery', json({}, { status: 404 }));
    server.plan('oauthDiscovery', { issuer, token_endpoint: `${issuer}/token` });
    expect((await client.metadata()).token_endpoint).toBe(`${issuer}/token`);
    expect(server.calls().map((call) => call.url)).toEqual([`${issuer}/.well-known/openid-configuration`, url]);
  });

  const page = (status: number) => new Response('<html>', { status });
  it.each<[string, () => Response]>([
    ['403, as S3 and API gateways have it for what is not there', () => page(403)],
    ['401', () => json({}, { status: 401 })],
    ['405', () => page(405)],
    ['410', () => json({}, { status: 410 })],
    ['a redirect', redirect],
    ['a page', () => page(200)],
    ['an object without an issuer', () => json({ message: 'no such page' })],
  ])('DISC-2 where the first document is %s the second is asked for', async (_, first) => {
    const { server, client } = setUpOAuth();
    server.plan('discovery', first());
    server.plan('oauthDiscovery', { issuer: server.issuer, token_endpoint: 'https://id.example.com/token' });
    expect((await client.metadata()).token_endpoint).toBe('https://id.example.com/token');
  });

  it.each<[string, () => Response | 'offline', string]>([
    ['no answer: the device is offline', () => 'offline', 'network_error'],
    ['503', () => json({}, { status: 503 }), 'server_unavailable'],
    ['429', () => json({}, { status: 429 }), 'server_unavailable'],
    ['that of another issuer', () => json({ issuer: 'https://evil.test' }), 'issuer_mismatch'],
  ])('DISC-2 where it is %s, the second is not', async (_, first, code) => {
    const { server, client } = setUpOAuth();
    server.plan('discovery', first());
    expect(await refusal(client.metadata())).toMatchObject({ code });
    expect(server.calls().map(({ endpoint }) => endpoint)).toEqual(['discovery']);
  });

  it.each<[string, () => Response, () => Response | 'offline', string, string]>([
    ['404, then 404', () => json({}, { status: 404 }), () => json({}, { status: 404 }), 'discovery_failed', 'configuration'],
    ['404, then a page', () => json({}, { status: 404 }), () => page(200), 'discovery_failed', 'configuration'],
    ['404, then no answer', () => json({}, { status: 404 }), () => 'offline', 'discovery_failed', 'transient'],
    ['404, then a redirect', () => json({}, { status: 404 }), redirect, 'discovery_failed', 'configuration'],
    ['a redirect, then a redirect', redirect, redirect, 'unexpected_redirect', 'transient'],
    ['a redirect, then 404', redirect, () => json({}, { status: 404 }), 'unexpected_redirect', 'transient'],
    ['a redirect, then no answer', redirect, () => 'offline', 'unexpected_redirect', 'transient'],
    ['403, then 503', () => json({}, { status: 403 }), () => json({}, { status: 503 }), 'server_unavailable', 'transient'],
    ['a page, then 404', () => page(200), () => json({}, { status: 404 }), 'discovery_failed', 'transient'],
    [
      '403, then another issuer',
      () => json({}, { status: 403 }),
      () => json({ issuer: 'https://evil.test' }),
      'discovery_failed',
      'configuration',
    ],
    [
      '404, then another issuer',
      () => json({}, { status: 404 }),
      () => json({ issuer: 'https://evil.test' }),
      'issuer_mismatch',
      'security',
    ],
  ])('DISC-2 %s', async (_, first, second, code, errorClass) => {
    const { server, client } = setUpOAuth();
    server.plan('discovery', first());
    server.plan('oauthDiscovery', second());
    expect(await refusal(client.metadata())).toMatchObject({ code, class: errorClass, issuer: server.issuer });
  });

  it('metadata of one’s own is taken as it is: nothing is asked for', async () => {
    const { server, client } = setUpOAuth({ metadata: { token_endpoint: 'https://id.example.com/token' } });
    expect(client.isPrepared()).toBe(false); // its code is not loaded
    expect(await client.metadata()).toEqual({ issuer: server.issuer, token_endpoint: 'https://id.example.com/token' });
    expect([client.isPrepared(), server.calls()]).toEqual([true, []]);
  });

  it.each<[string, unknown, string, string]>([
    ['404', json({}, { status: 404 }), 'discovery_failed', 'configuration'],
    ['401', json({}, { status: 401 }), 'discovery_failed', 'configuration'],
    ['503', json({}, { status: 503 }), 'server_unavailable', 'transient'],
    ['500', json({}, { status: 500 }), 'server_unavailable', 'transient'],
    ['429', json({}, { status: 429 }), 'server_unavailable', 'transient'],
    ['408', json({}, { status: 408 }), 'server_unavailable', 'transient'],
    ['425', json({}, { status: 425 }), 'server_unavailable', 'transient'],
    ['a firewall’s 403', new Response('<html>', { status: 403 }), 'discovery_failed', 'transient'],
    ['a gateway’s 404', new Response('default backend - 404', { status: 404 }), 'discovery_failed', 'transient'],
    ['a redirect', new Response(null, { status: 302, headers: { location: 'https://evil.test' } }), 'unexpected_redirect', 'transient'],
    ['HTML', new Response('<html>'), 'discovery_failed', 'transient'],
    ['a list', json([]), 'discovery_failed', 'configuration'],
    ['null', json(null), 'discovery_failed', 'configuration'],
    ['no issuer', json({ token_endpoint: 'https://id.example.com/token' }), 'discovery_failed', 'configuration'],
    [
      'an issuer by way of __proto__',
      new Response('{"__proto__":{"issuer":"https://id.example.com"}}'),
      'discovery_failed',
      'configuration',
    ],
    ['an issuer that is a list', json({ issuer: ['https://id.example.com'] }), 'discovery_failed', 'configuration'],
    ['no answer', 'offline', 'network_error', 'transient'],
    ['more than 256 KiB', json({ issuer: 'https://id.example.com', x: 'x'.repeat(256 * 1024) }), 'response_too_large', 'transient'],
  ])('DISC-5 HT-2 %s is no document', async (_, answer, code, errorClass) => {
    const { server, client } = setUpOAuth();
    server.plan('discovery', answer as Response);
    expect(await refusal(client.metadata())).toMatchObject({ code, class: errorClass, issuer: server.issuer });
    expect((await client.metadata()).issuer).toBe(server.issuer); // and the next caller asks anew
  });

  it.each([429, 503])('E6 a discovery that is answered with %d says how long to wait', async (status) => {
    const { server, client } = setUpOAuth();
    server.plan('discovery', json({}, { status, headers: { 'retry-after': '60' } }));
    expect(await refusal(client.metadata())).toMatchObject({ code: 'server_unavailable', retryAfterMs: 60_000 });
  });

  it('E10 a discovery that fails is told by an error of the same class as any other request', async () => {
    const { server, client } = setUpOAuth();
    server.plan('discovery', 'offline', json({ issuer: server.issuer, x: 'x'.repeat(256 * 1024) }));
    expect(await refusal(client.metadata())).toBeInstanceOf(NetworkError);
    expect(await refusal(client.metadata())).toBeInstanceOf(ProtocolError);
  });

  it('HT-7 the document is frozen, and has no way to a prototype', async () => {
    const told = await setUpOAuth({}, { metadata: { nested: { a: 1 } } }).client.metadata();
    expect([Object.isFrozen(told), Object.isFrozen(told['nested']), Object.getPrototypeOf(told)]).toEqual([true, true, null]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['http', { token_endpoint: 'http://id.example.com/token' }, 'discovery_failed'],
    ['a relative URL', { token_endpoint: '/token' }, 'discovery_failed'],
    ['a list', { token_endpoint: ['https://id.example.com/token'] }, 'discovery_failed'],
    ['a number', { token_endpoint: 0 }, 'discovery_failed'],
    ['null', { token_endpoint: null }, 'endpoint_missing'],
    ['empty', { token_endpoint: '' }, 'endpoint_missing'],
    ['a script', { token_endpoint: 'javascript:alert(1)' }, 'discovery_failed'],
    ['http://localhost', { token_endpoint: 'http://localhost/token' }, 'discovery_failed'],
    ['missing', { token_endpoint: undefined }, 'endpoint_missing'],
  ])('DISC-3 a token endpoint that is %s is not used', async (_, metadata, code) => {
    const { server, client } = setUpOAuth({}, { metadata });
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code });
    expect(await refusal(client.sendRefresh(login))).toMatchObject({ code });
    expect(server.calls().map((call) => call.endpoint)).toEqual(['discovery']);
  });

  it('DISC-3 jwks, revocation and user info are judged alike', async () => {
    const metadata = {
      jwks_uri: 'http://id.example.com/jwks',
      revocation_endpoint: 'http://id.example.com/revoke',
      userinfo_endpoint: 'ftp://id.example.com',
    };
    const { server, client } = setUpOAuth({}, { metadata });
    expect(await refusal(client.revoke('t', 'access_token'))).toMatchObject({ code: 'discovery_failed' });
    expect(await refusal(client.userInfo(login))).toMatchObject({ code: 'discovery_failed' });
    await planIdToken(server);
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'discovery_failed' });
    expect(server.calls('other')).toEqual([]);
  });

  it('E54 is asked once for every call there is, and so are the keys', async () => {
    const { server, client, platform } = setUpOAuth();
    await Promise.all(Array.from({ length: 20 }, () => client.metadata()));
    await planIdToken(server);
    const token = await client.exchangeCode(exchangeOf());
    for (let i = 0; i < 3; i++) {
      platform.advance(60_000);
      const id_token = await server.idToken({ nonce: NONCE, exp: START_MS / 1000 + 6_000 });
      server.plan('token', { access_token: `a${i}`, token_type: 'bearer', id_token });
      await client.processRefresh(token, await client.sendRefresh(token));
    }
    server.plan('revocation', new Response());
    await client.revoke(token.accessToken, 'access_token');
    server.plan('userinfo', { sub: 'alice' });
    await client.userInfo(token);
    expect(server.calls('discovery')).toHaveLength(1);
    expect(server.calls('jwks')).toHaveLength(1);
    expect(server.calls()).toHaveLength(2 + 4 + 2);
  });

  it('DISC-5 is fresh for an hour, and asked again after it', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    platform.advance(HOUR - 1);
    await client.metadata();
    expect(server.calls()).toHaveLength(1);
    platform.advance(1);
    server.plan('discovery', { issuer: server.issuer, token_endpoint: 'https://id.example.com/token2' });
    expect((await client.metadata()).token_endpoint).toBe('https://id.example.com/token2');
  });

  it.each<[string, () => Response | 'offline']>([
    ['no answer', () => 'offline'],
    ['503', () => json({}, { status: 503 })],
    ['404', () => json({}, { status: 404 })],
    ['HTML', () => new Response('<html>')],
  ])('DISC-5 after %s the old copy serves for a day, and no longer', async (_, answer) => {
    const { server, client, platform } = setUpOAuth();
    const before = await client.metadata();
    platform.advance(24 * HOUR - 1);
    server.plan('discovery', answer());
    expect(await client.metadata()).toBe(before);
    platform.advance(1);
    server.plan('discovery', answer());
    await refusal(client.metadata());
  });

  it('DISC-5 a document that now names another issuer never lets the old copy serve', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    platform.advance(HOUR);
    server.plan('discovery', ...[1, 2].map(() => ({ issuer: 'https://evil.test' })));
    expect(await refusal(client.metadata())).toMatchObject({ code: 'issuer_mismatch', class: 'security' });
    expect(await refusal(client.revoke('t', 'access_token'))).toMatchObject({ code: 'issuer_mismatch' });
  });

  it('DISC-5 E10 a server that does not answer is asked once a minute: not each request waits for it', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    platform.advance(HOUR);
    server.plan('discovery', 'hang', 'hang');
    for (let minutes = 0; minutes < 2; minutes++) {
      const asked = client.metadata();
      await settled();
      platform.advance(5_000);
      expect((await asked).issuer).toBe(server.issuer);
      expect(client.isPrepared()).toBe(true);
      platform.advance(59_999);
      await client.metadata(); // at once
      platform.advance(1);
      expect(client.isPrepared()).toBe(false);
    }
    await client.metadata();
    expect(server.calls('discovery')).toHaveLength(4);
  });

  it('DISC-5 a revocation, which has five seconds in all, goes by the old copy', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    platform.advance(23 * HOUR);
    server.plan('revocation', new Response());
    await client.revoke('t', 'access_token');
    expect(server.calls('discovery')).toHaveLength(1);
    platform.advance(HOUR);
    server.plan('revocation', new Response());
    await client.revoke('t', 'access_token');
    expect(server.calls('discovery')).toHaveLength(2);
  });

  it('DISC-5 age is told by the clock that never goes back', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    platform.jump(-365 * 24 * HOUR);
    platform.advance(HOUR);
    await client.metadata();
    expect(server.calls('discovery')).toHaveLength(2);
  });

  it('DISC-4 6749-10 two issuers with one client id stay apart', async () => {
    const a = setUpOAuth({}, { issuer: 'https://a.example' });
    const b = setUpOAuth({}, { issuer: 'https://b.example' });
    const fetch: typeof globalThis.fetch = (input, init) => ((input as string).startsWith('https://a.') ? a : b).server.fetch(input, init);
    const clients = [a, b].map(({ server }) =>
      createOAuth2Client({ issuer: server.issuer, clientId: 'spa', platform: unitPlatform({ fetch }) }),
    );
    for (const { server } of [a, b]) server.plan('token', { access_token: 'x', token_type: 'bearer' });
    await Promise.all(clients.map((client) => client.sendRefresh(login)));
    expect([a, b].map(({ server }) => server.calls('token').map((call) => call.url))).toEqual([
      ['https://a.example/token'],
      ['https://b.example/token'],
    ]);
  });
});

describe('exchangeCode', () => {
  it('6749-5 HT-10 posts the code, the same redirect_uri, the client id and the verifier, and nothing else', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server);
    await client.exchangeCode(exchangeOf({ codeVerifier: `${'v'.repeat(42)}~` }, { code: 'a b+c%2F&=ü' }));
    const [call] = server.calls('token');
    expect(call).toMatchObject({ method: 'POST', url: 'https://id.example.com/token' });
    expect(Object.fromEntries(call.form)).toEqual({
      grant_type: 'authorization_code',
      code: 'a b+c%2F&=ü',
      redirect_uri: REDIRECT_URI,
      client_id: 'spa',
      code_verifier: `${'v'.repeat(42)}~`,
    });
    expect([...call.form.keys()]).toHaveLength(5);
    expect(call.headers.get('content-type')).toBe('application/x-www-form-urlencoded;charset=UTF-8');
    expect(call.headers.get('accept')).toBe('application/json');
    expect(call.headers.has('authorization')).toBe(false);
    expect(call.url).not.toContain('?');
  });

  it('yields a token with what the server granted and what was asked for', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, {}, {}, { scope: 'openid' });
    const token = await client.exchangeCode(exchangeOf({ maxAge: undefined, acrValues: 'gold' }));
    expect(token).toMatchObject({
      tokenType: 'Bearer',
      scope: 'openid',
      accessToken: 'access-1',
      refreshToken: 'refresh-1',
      context: { issuer: server.issuer, clientId: 'spa', scope: 'openid profile', acrValues: 'gold' },
    });
    expect(token.id).toMatch(/^[\w-]{22}$/);
    expect(token.claims?.sub).toBe('alice');
  });

  it.each<[string, Record<string, unknown>, boolean]>([
    ['one of them', { acr: 'silver' }, true],
    ['another', { acr: 'bronze' }, false],
    ['two of them as one text', { acr: 'gold silver' }, false],
    ['none', {}, false],
    ['an empty one', { acr: '' }, false],
    ['a list', { acr: ['gold'] }, false],
  ])('IDT-9 of acr values that are required the ID token has %s', async (_, claims, isGood) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, claims);
    const exchange = client.exchangeCode(exchangeOf({ acrValues: 'gold silver', requireAcr: true }));
    if (isGood) expect((await exchange).context.acrValues).toBe('gold silver');
    else await expect(exchange).rejects.toMatchObject({ code: 'id_token_invalid' });
  });

  it.each<[string, Record<string, unknown> | null]>([
    ['auth_time is older', { auth_time: 1_000 }],
    ['auth_time is not there', {}],
    ['ID token is not there', null],
  ])('IDT-10 a maxAge holds without a scope, too: %s', async (_, claims) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, { nonce: undefined, ...claims }, {}, claims ? {} : { id_token: undefined });
    await expect(client.exchangeCode(exchangeOf({ scope: '', maxAge: 60 }))).rejects.toMatchObject({ name: 'ProtocolError' });
  });

  it('E36 without a scope the server has one of its own: an ID token is judged as one that was asked for, and none is needed', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, { nonce: undefined, aud: 'other' });
    await expect(client.exchangeCode(exchangeOf({ scope: '' }))).rejects.toMatchObject({ code: 'id_token_invalid' });
    await planIdToken(server, { nonce: undefined });
    expect((await client.exchangeCode(exchangeOf({ scope: '' }))).claims?.sub).toBe('alice');
    await planIdToken(server, {}, {}, { id_token: undefined });
    expect((await client.exchangeCode(exchangeOf({ scope: '' }))).claims).toBeNull();
  });

  it('6749-8 no scope in the answer means the scope asked for', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server);
    expect((await client.exchangeCode(exchangeOf())).scope).toBe('openid profile');
  });

  it('TM-1 a slow answer shortens the life of the token: it counts from before the send', async () => {
    const { server, client, platform } = setUpOAuth();
    const id_token = await server.idToken({ nonce: NONCE });
    server.plan('token', () => {
      platform.advance(9_000);
      return json({ access_token: 'a', token_type: 'bearer', expires_in: 60, id_token });
    });
    const token = await client.exchangeCode(exchangeOf());
    expect([token.issuedAt, token.expiresAt]).toEqual([START_MS, START_MS + 60_000]);
  });

  it.each([
    [undefined, null],
    ['3600', START_MS + 3_600_000],
    [0, START_MS],
    [-1, null],
    ['soon', null],
    [null, null],
  ])('6749-7 expires_in %j gives the expiry %p', async (expires_in, expiresAt) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, {}, {}, { expires_in });
    expect((await client.exchangeCode(exchangeOf())).expiresAt).toBe(expiresAt);
  });

  it('E27 9068-1 tokens of any form come out as they went in', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, {}, {}, { access_token: 'ab%2Bcd%zz', refresh_token: 'eyJ.not.a-jwt %00' });
    const token = await client.exchangeCode(exchangeOf());
    expect([token.accessToken, token.refreshToken]).toEqual(['ab%2Bcd%zz', 'eyJ.not.a-jwt %00']);
  });

  it.each<[string, Record<string, string>, string]>([
    ['ISS-2 another iss', { iss: 'https://evil.test' }, 'issuer_mismatch'],
    ['ISS-2 iss with a slash more', { iss: 'https://id.example.com/' }, 'issuer_mismatch'],
    ['ISS-2 an empty iss', { iss: '' }, 'issuer_mismatch'],
    ['ISS-2 another iss on an error', { iss: 'https://evil.test', error: 'access_denied' }, 'issuer_mismatch'],
    ['6749-4 another state', { state: 'state-2' }, 'callback_invalid'],
    ['6749-4 another state on an error', { state: 'state-2', error: 'access_denied' }, 'callback_invalid'],
    ['an empty code', { code: '' }, 'callback_invalid'],
    ['2.1-1 an ID token in the callback', { id_token: 'x' }, 'callback_invalid'],
    ['2.1-1 a token in the callback', { token: 'x' }, 'callback_invalid'],
    ['a JARM response', { response: 'x' }, 'callback_invalid'],
  ])('%s stops the flow before any token request', async (_, callback, code) => {
    const { server, client } = setUpOAuth();
    expect(await refusal(client.exchangeCode(exchangeOf({}, callback)))).toMatchObject({ code });
    expect(server.calls('token')).toEqual([]);
  });

  it('a callback with neither code nor error is callback_invalid', async () => {
    const { client } = setUpOAuth();
    expect(await refusal(client.exchangeCode(exchangeOf({ parameters: new URLSearchParams({ state: 'state-1' }) })))).toMatchObject({
      code: 'callback_invalid',
    });
  });

  it('ISS-2 the right iss is accepted without being announced', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server);
    expect((await client.exchangeCode(exchangeOf({}, { iss: server.issuer }))).accessToken).toBe('access-1');
  });

  it.each<[string, Record<string, string>, string]>([
    ['no iss', {}, 'callback_invalid'],
    ['no iss on an error', { error: 'access_denied' }, 'callback_invalid'],
    ['another iss', { iss: 'https://evil.test' }, 'issuer_mismatch'],
    ['an encoded iss', { iss: 'https%3A%2F%2Fid.example.com' }, 'issuer_mismatch'],
  ])('ISS-1 announced, %s stops the flow before any token request', async (_, callback, code) => {
    const { server, client } = setUpOAuth({}, { metadata: { authorization_response_iss_parameter_supported: true } });
    expect(await refusal(client.exchangeCode(exchangeOf({}, callback)))).toMatchObject({ code, class: 'security' });
    expect(server.calls('token')).toEqual([]);
  });

  it('ISS-1 announced, the right iss is accepted', async () => {
    const { server, client } = setUpOAuth({}, { metadata: { authorization_response_iss_parameter_supported: true } });
    await planIdToken(server);
    expect((await client.exchangeCode(exchangeOf({}, { iss: server.issuer }))).accessToken).toBe('access-1');
  });

  it('an error in the callback is authorization_failed with the server’s code and cleaned text', async () => {
    const { server, client } = setUpOAuth();
    const callback = { error: 'access_denied', error_description: 'The user\r\nsaid no' };
    const error = await refusal(client.exchangeCode(exchangeOf({}, callback)));
    expect(error).toMatchObject({
      name: 'OAuthResponseError',
      code: 'authorization_failed',
      class: 'needs_user',
      error: 'access_denied',
      errorDescription: 'The user  said no',
    });
    expect(server.calls('token')).toEqual([]);
  });

  it('E31 a token answer with a wrong ID token gives no token at all', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, { aud: 'other' });
    expect(await refusal(client.exchangeCode(exchangeOf()))).not.toHaveProperty('accessToken');
  });

  it('HT-6 JSON labelled as HTML is no token response', async () => {
    const { server, client } = setUpOAuth();
    const id_token = await server.idToken({ nonce: NONCE });
    const body = JSON.stringify({ access_token: 'a', token_type: 'bearer', id_token });
    server.plan('token', new Response(body, { headers: { 'content-type': 'text/html' } }));
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'response_invalid' });
  });
});

describe('sendRefresh', () => {
  it('6749-11 HT-10 posts the refresh token and the client id, and no scope', async () => {
    const { server, client } = setUpOAuth();
    server.plan('token', { access_token: 'a', token_type: 'bearer' });
    await client.sendRefresh(aToken({ refreshToken: 'r +&=%2B/ü~' }));
    const [call] = server.calls('token');
    expect([...call.form]).toEqual(
      expect.arrayContaining([
        ['grant_type', 'refresh_token'],
        ['refresh_token', 'r +&=%2B/ü~'],
        ['client_id', 'spa'],
      ]),
    );
    expect([...call.form.keys()]).toHaveLength(3);
    expect(call.headers.has('authorization')).toBe(false);
  });

  it.each<[string, Target | undefined, Record<string, string>]>([
    ['the resource of the sign-in', undefined, { resource: 'https://api.example.com/' }],
    ['the resource of the sign-in, for less scope', { scope: 'a' }, { resource: 'https://api.example.com/', scope: 'a' }],
    ['another resource, where one is asked for', { resource: 'https://other.example.com/' }, { resource: 'https://other.example.com/' }],
  ])('RES-1 names %s (RFC 8707 §2.2)', async (_, target, named) => {
    const { server, client } = setUpOAuth();
    server.plan('token', { access_token: 'a', token_type: 'bearer' });
    await client.sendRefresh(aToken({ ...login, context: { ...login.context, resource: 'https://api.example.com/' } }), target);
    const [call] = server.calls('token');
    const { grant_type: _type, client_id: _id, refresh_token: _token, ...rest } = Object.fromEntries(call?.form ?? []);
    expect(rest).toEqual(named);
    expect(call?.form.getAll('resource')).toHaveLength(1);
  });

  it('RF-4 returns the raw answer with both instants, unjudged', async () => {
    const { server, client, platform } = setUpOAuth();
    server.plan('token', () => {
      platform.advance(250);
      return new Response('no JSON at all', { headers: { 'content-type': 'text/plain' } });
    });
    expect(await client.sendRefresh(login)).toEqual({
      text: 'no JSON at all',
      contentType: 'text/plain',
      sentAt: START_MS,
      receivedAt: START_MS + 250,
    });
  });

  it('sends nothing where there is no refresh token', async () => {
    const { server, client } = setUpOAuth();
    const { refreshToken: _, ...rest } = { ...login, accessToken: 'a', refreshToken: undefined };
    expect(await refusal(client.sendRefresh(aToken({ ...rest, refreshToken: undefined })))).toMatchObject({
      code: 'no_refresh_token',
      class: 'needs_user',
    });
    expect(server.calls()).toEqual([]);
  });

  it('IDT-5 sends nothing without crypto.subtle for a login that has an ID token: no signature of the next could be verified', async () => {
    const { server, client } = setUpInsecure();
    const grant = aToken({ refreshToken: 'r', idToken: 'old-id', scope: 'api', context: { ...login.context, scope: 'api' } });
    expect(await refusal(client.sendRefresh(grant))).toMatchObject({ code: 'crypto_unavailable', class: 'configuration' });
    expect(server.calls()).toEqual([]);
  });

  it.each(['api', 'openid api'])('refreshes without crypto.subtle where there is no ID token: scope %s', async (scope) => {
    const { server, client } = setUpInsecure();
    const grant = aToken({ ...withoutIdToken, refreshToken: 'r', scope, context: { ...login.context, scope } });
    server.plan('token', { access_token: 'new-access', token_type: 'bearer' });
    expect(await client.processRefresh(grant, await client.sendRefresh(grant))).toMatchObject({ accessToken: 'new-access' });
  });

  it.each<[string, Response | 'offline', string, string]>([
    ['invalid_grant', json({ error: 'invalid_grant' }, { status: 400 }), 'oauth_error', 'needs_user'],
    ['503', json({ error: 'invalid_grant' }, { status: 503, headers: { 'retry-after': '7' } }), 'server_unavailable', 'transient'],
    ['500', new Response('x', { status: 500 }), 'server_error', 'unknown_outcome'],
    ['307', new Response(null, { status: 307, headers: { location: 'https://evil.test' } }), 'unexpected_redirect', 'transient'],
    ['no answer', 'offline', 'network_error', 'unknown_outcome'],
    ['an HTML 400', new Response('<html>', { status: 400 }), 'http_error', 'transient'],
  ])('6749-9 %s is told by its code', async (_, answer, code, errorClass) => {
    const { server, client } = setUpOAuth();
    server.plan('token', answer);
    expect(await refusal(client.sendRefresh(login))).toMatchObject({ code, class: errorClass, issuer: server.issuer });
    expect(server.calls('token')).toHaveLength(1); // E8: nothing is posted a second time
  });

  it('E10 a hanging token endpoint is a timeout after 30 s', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    server.plan('token', 'hang');
    const error = refusal(client.sendRefresh(login));
    await settled();
    platform.advance(30_000);
    expect(await error).toMatchObject({ code: 'timeout', class: 'unknown_outcome' });
    expect(platform.timers()).toEqual([]);
  });
});

describe('processRefresh', () => {
  const next = { access_token: 'new-access', token_type: 'Bearer' };

  it('6749-12 E5 E55 keeps all that the answer omits', async () => {
    const { client } = setUpOAuth();
    const token = await client.processRefresh(login, answerOf(next));
    expect(token).toMatchObject({
      id: login.id,
      accessToken: 'new-access',
      refreshToken: 'old-refresh',
      idToken: 'old-id',
      scope: 'openid profile',
    });
    expect(token.claims).toEqual(login.claims);
    expect(token.context).toEqual(login.context);
    expect(token.issuedAt).toBe(START_MS);
  });

  it('6749-12 a new refresh token replaces the old one', async () => {
    const { client } = setUpOAuth();
    expect((await client.processRefresh(login, answerOf({ ...next, refresh_token: 'new-refresh' }))).refreshToken).toBe('new-refresh');
  });

  it('E26 an answer without expires_in does not inherit the old expiry', async () => {
    const { client } = setUpOAuth();
    expect((await client.processRefresh(login, answerOf(next))).expiresAt).toBeNull();
    const answer = answerOf({ ...next, expires_in: 60 }, { sentAt: START_MS + 5_000, receivedAt: START_MS + 9_000 });
    expect(await client.processRefresh(login, answer)).toMatchObject({ issuedAt: START_MS + 5_000, expiresAt: START_MS + 65_000 });
  });

  it('6749-8 a narrower scope is what is held from now on; what was asked for stays in the context', async () => {
    const { client } = setUpOAuth();
    const token = await client.processRefresh(login, answerOf({ ...next, scope: 'openid' }));
    expect([token.scope, token.context.scope]).toEqual(['openid', 'openid profile']);
  });

  it('6749-8 a scope narrowed once stays narrow where the next answer says nothing', async () => {
    const { client } = setUpOAuth();
    const narrow = await client.processRefresh(login, answerOf({ ...next, scope: 'openid' }));
    expect((await client.processRefresh(narrow, answerOf(next))).scope).toBe('openid');
  });

  it('IDR-4 a new ID token needs no nonce and brings its claims', async () => {
    const { server, client } = setUpOAuth();
    const id_token = await server.idToken({ name: 'Alice B', nonce: undefined });
    const token = await client.processRefresh(login, answerOf({ ...next, id_token }));
    expect([token.idToken, token.claims?.name]).toEqual([id_token, 'Alice B']);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['IDR-1 E32 another sub', { sub: 'mallory' }, 'token_substitution'],
    ['IDR-1 another iss', { iss: 'https://evil.test' }, 'id_token_invalid'],
    ['IDR-4 a wrong at_hash', { at_hash: 'x' }, 'id_token_invalid'],
    ['IDR-1 no sub', { sub: undefined }, 'id_token_invalid'],
    ['IDR-1 no iss', { iss: undefined }, 'id_token_invalid'],
    ['IDR-1 an expired one of another sub', { exp: START_MS / 1000 - 60, sub: 'mallory' }, 'id_token_invalid'],
    ['IDR-1 an expired one without sub', { exp: START_MS / 1000 - 60, sub: undefined }, 'id_token_invalid'],
    ['IDR-1 one for another client of another sub', { aud: 'other', sub: 'mallory' }, 'id_token_invalid'],
    ['IDR-1 an expired one of another iss', { exp: START_MS / 1000 - 60, iss: 'https://evil.test' }, 'id_token_invalid'],
    ['IDR-1 an expired one without iss', { exp: START_MS / 1000 - 60, iss: undefined }, 'id_token_invalid'],
    ['IDR-4 an expired one with a wrong at_hash', { exp: START_MS / 1000 - 60, at_hash: 'x' }, 'id_token_invalid'],
  ])('%s is refused', async (_, claims, code) => {
    const { server, client } = setUpOAuth();
    const before = aToken({ claims: { ...CLAIMS, auth_time: 1 } });
    const id_token = await server.idToken(claims);
    expect(await refusal(client.processRefresh(before, answerOf({ ...next, id_token })))).toMatchObject({ code, class: 'security' });
  });

  it.each<[string, Record<string, unknown>]>([
    ['IDR-2 another auth_time', { auth_time: 2 }],
    ['IDR-3 a nonce where the login had none', { nonce: 'x' }],
    ['IDR-3 azp where the login had none', { azp: 'spa' }],
    ['IDR-3 another azp', { azp: 'other' }],
    ['IDR-1 another aud', { aud: 'other' }],
    ['IDR-1 a further aud', { aud: ['spa', 'other'], azp: 'spa' }],
    ['IDR-1 no aud', { aud: undefined }],
    ['IDR-2 auth_time null', { auth_time: null }],
    ['TM-3 one that has expired by our clock', { exp: START_MS / 1000 - 60 }],
    ['TM-3 one that is issued in the future', { iat: START_MS / 1000 + 60 }],
    ['TM-3 one that is not valid before later', { nbf: START_MS / 1000 + 60 }],
    ['IDR-4 no exp', { exp: undefined }],
  ])('%s: the tokens are taken, the ID token is not', async (_, claims) => {
    const { server, client } = setUpOAuth();
    const before = aToken({ claims: { ...CLAIMS, auth_time: 1 } });
    const id_token = await server.idToken({ ...claims, name: 'another' });
    const token = await client.processRefresh(before, answerOf({ ...next, id_token }));
    expect([token.accessToken, token.idToken, token.claims]).toEqual(['new-access', before.idToken, before.claims]);
  });

  it.each<[string, { key?: true; header?: Record<string, string>; idTokenSigningAlgs?: string[] }]>([
    ['signed by another key', { key: true }],
    ['with an algorithm that was not asked for', { idTokenSigningAlgs: ['ES256'] }],
    ['of another type', { header: { typ: 'at+jwt' } }],
  ])('IDR-4 JWT-5 an expired ID token is refused, too, where it is %s', async (_, { key, header, ...options }) => {
    const { server, client } = setUpOAuth(options);
    const { privateKey } = await generateKeyPair('RS256');
    const id_token = await server.idToken({ exp: START_MS / 1000 - 60 }, { ...(header && { header }), ...(key && { key: privateKey }) });
    expect(await refusal(client.processRefresh(login, answerOf({ ...next, id_token })))).toMatchObject({ code: 'id_token_invalid' });
  });

  it('IDR-6 an expired ID token is judged later where the keys cannot be had', async () => {
    const { server, client } = setUpOAuth();
    const id_token = await server.idToken({ exp: START_MS / 1000 - 60 });
    server.plan('jwks', json({}, { status: 503 }));
    expect(await refusal(client.processRefresh(login, answerOf({ ...next, id_token })))).toMatchObject({ class: 'transient' });
    expect(await client.processRefresh(login, answerOf({ ...next, id_token }))).toMatchObject({
      accessToken: 'new-access',
      idToken: 'old-id',
    });
  });

  it.each<[string, Endpoint, () => Answer, string]>([
    ['keys behind the sign-in page of a gateway', 'jwks', redirect, 'unexpected_redirect'],
    ['keys that a gateway refuses', 'jwks', () => json({ message: 'Forbidden' }, { status: 403 }), 'response_invalid'],
    ['keys of more than 256 KiB', 'jwks', () => json({ keys: [], x: 'x'.repeat(256 * 1024) }), 'response_too_large'],
    ['keys of which nothing is heard', 'jwks', () => 'offline', 'network_error'],
    ['discovery behind the sign-in page of a gateway', 'discovery', redirect, 'unexpected_redirect'],
    ['discovery that a gateway refuses', 'discovery', () => json({ message: 'Forbidden' }, { status: 403 }), 'discovery_failed'],
    ['a document without keys', 'discovery', () => ({ issuer: 'https://id.example.com' }), 'endpoint_missing'],
  ])('IDR-6 E56 %s: the answer is judged later', async (_, endpoint, answer, code) => {
    const { server, client, platform } = setUpOAuth();
    const id_token = await server.idToken();
    server.plan(endpoint, answer());
    expect(await refusal(client.processRefresh(login, answerOf({ ...next, id_token })))).toMatchObject({ code, class: 'transient' });
    platform.advance(code === 'endpoint_missing' ? HOUR : 0);
    expect(await client.processRefresh(login, answerOf({ ...next, id_token }))).toMatchObject({ accessToken: 'new-access' });
  });

  it('IDR-6 DISC-1 a document of another issuer is no failure that passes', async () => {
    const { server, client } = setUpOAuth();
    const id_token = await server.idToken();
    server.plan('discovery', { issuer: 'https://evil.test' });
    expect(await refusal(client.processRefresh(login, answerOf({ ...next, id_token })))).toMatchObject({ class: 'security' });
  });

  it('TM-3 a login without an ID token takes no expired one, and its tokens', async () => {
    const { server, client } = setUpOAuth();
    const { idToken: _, ...plain } = { ...login, accessToken: 'a', refreshToken: 'r', claims: null, idToken: undefined };
    const id_token = await server.idToken({ exp: START_MS / 1000 - 60 });
    const token = await client.processRefresh(aToken({ ...plain, idToken: undefined }), answerOf({ ...next, id_token }));
    expect(token).toMatchObject({ accessToken: 'new-access', claims: null, idToken: undefined });
  });

  it('IDR-4 an ID token signed by nobody we know is refused', async () => {
    const { server, client } = setUpOAuth();
    server.plan('jwks', { keys: [await publicJwk('ES256')] });
    const id_token = await server.idToken();
    expect(await refusal(client.processRefresh(login, answerOf({ ...next, id_token })))).toMatchObject({ code: 'id_token_invalid' });
  });

  it('IDT-5 a first ID token that cannot be verified without crypto.subtle is not called forged; one that came unasked counts as left out', async () => {
    const { server, client } = setUpInsecure();
    const of = (scope: string) =>
      aToken({ ...withoutIdToken, claims: null, refreshToken: 'r', scope, context: { ...login.context, scope } });
    const answer = answerOf({ ...next, id_token: await server.idToken() });
    const refused = await refusal(client.processRefresh(of('openid api'), answer));
    expect(refused).toMatchObject({ code: 'crypto_unavailable', class: 'configuration' });
    expect(await client.processRefresh(of('api'), answer)).toMatchObject({ accessToken: 'new-access', claims: null, idToken: undefined });
  });

  it('E36 a login without an ID token goes on without one, or takes the first it is given', async () => {
    const { server, client } = setUpOAuth();
    const { idToken: _, ...fields } = { ...login, accessToken: 'a', refreshToken: 'r', idToken: undefined };
    const plain = aToken({ ...fields, claims: null, idToken: undefined });
    expect(await client.processRefresh(plain, answerOf(next))).toMatchObject({ claims: null, idToken: undefined });
    const id_token = await server.idToken();
    expect((await client.processRefresh(plain, answerOf({ ...next, id_token }))).claims?.sub).toBe('alice');
  });

  it('RF-4 an answer staged long ago is judged by the time it was received', async () => {
    const { server, client, platform } = setUpOAuth();
    const id_token = await server.idToken();
    platform.advance(7 * 24 * HOUR);
    const token = await client.processRefresh(login, answerOf({ ...next, expires_in: 60, id_token }));
    expect([token.accessToken, token.expiresAt]).toEqual(['new-access', START_MS + 60_000]);
  });

  it.each<[string, StagedAnswer]>([
    ['an HTML page', answerOf('<html>', { contentType: 'text/html' })],
    ['JSON labelled as HTML', answerOf(next, { contentType: 'text/html; charset=utf-8' })],
    ['JSON without a label', answerOf(next, { contentType: '' })],
    ['a list', answerOf([next])],
    ['null', answerOf('null')],
    ['truncated JSON', answerOf('{"access_token":"x"')],
    ['no access token', answerOf({ token_type: 'bearer' })],
  ])('HT-6 %s is a protocol error of unknown outcome', async (_, answer) => {
    const { client } = setUpOAuth();
    expect(await refusal(client.processRefresh(login, answer))).toMatchObject({
      name: 'ProtocolError',
      code: 'response_invalid',
      class: 'unknown_outcome',
    });
  });

  it('HT-6 an answer staged without its label is judged by its text alone', async () => {
    const { client } = setUpOAuth();
    const { contentType: _, ...unlabelled } = answerOf(next);
    expect((await client.processRefresh(login, unlabelled)).accessToken).toBe('new-access');
  });

  it('6749-6 an unknown token type is not used', async () => {
    const { client } = setUpOAuth();
    expect(await refusal(client.processRefresh(login, answerOf({ ...next, token_type: 'mac' })))).toMatchObject({ code: 'unsupported' });
  });

  it('RF-4 needsKeys says whether judging must ask the server', async () => {
    const { server, client } = setUpOAuth();
    const withIdToken = answerOf({ ...next, id_token: await server.idToken() });
    expect(client.needsKeys(withIdToken)).toBe(true); // nothing is loaded yet
    await planIdToken(server);
    await client.exchangeCode(exchangeOf());
    expect(client.needsKeys(withIdToken)).toBe(false);
    expect(client.needsKeys(answerOf(next))).toBe(false);
    expect(client.needsKeys(answerOf('<html>'))).toBe(false);
    expect(client.needsKeys(answerOf({ ...next, id_token: 'refused.without.asking' }))).toBe(false);
    const rotated = answerOf({ ...next, id_token: await server.idToken({}, { header: { kid: 'rotated' } }) });
    expect(client.needsKeys(rotated)).toBe(true);
  });
});

describe('revoke', () => {
  it.each(['access_token', 'refresh_token'] as const)('7009-1 posts the token, its hint %s and the client id', async (hint) => {
    const { server, client } = setUpOAuth();
    server.plan('revocation', new Response());
    await client.revoke('t +&=', hint);
    const [call] = server.calls('revocation');
    expect(call).toMatchObject({ method: 'POST', url: 'https://id.example.com/revoke' });
    expect(Object.fromEntries(call.form)).toEqual({ token: 't +&=', token_type_hint: hint, client_id: 'spa' });
    expect(call.headers.get('accept')).toBe('application/json'); // HT-10
    expect([...call.form.keys()]).toHaveLength(3);
    expect(call.headers.has('authorization')).toBe(false);
  });

  it.each<[string, Response]>([
    ['nothing', new Response()],
    ['HTML', new Response('<html>')],
    ['an error in the body', json({ error: 'invalid_token' })],
    ['bytes that are no text', new Response(new Uint8Array([0xff, 0x80]))],
    ['a body that is too long', new Response('x'.repeat(1024 * 1024))],
    ['a body that never ends', new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([120])) }))],
    ['a body that breaks off', new Response(new ReadableStream({ start: (controller) => controller.error(new Error('reset')) }))],
    ['another status of success', new Response('', { status: 202 })],
  ])('7009-3 a 200 with %s is success', async (_, answer) => {
    const { server, client } = setUpOAuth();
    server.plan('revocation', answer);
    await expect(client.revoke('t', 'access_token')).resolves.toBeUndefined();
  });

  it.each<[string, Response | 'offline', string]>([
    ['unsupported_token_type', json({ error: 'unsupported_token_type' }, { status: 400 }), 'oauth_error'],
    ['503 with Retry-After', new Response('', { status: 503, headers: { 'retry-after': '9' } }), 'server_unavailable'],
    ['500', new Response('', { status: 500 }), 'server_error'],
    ['a redirect', new Response(null, { status: 302 }), 'unexpected_redirect'],
    ['no answer', 'offline', 'network_error'],
  ])('7009-4 %s is a failure with a code', async (_, answer, code) => {
    const { server, client } = setUpOAuth();
    server.plan('revocation', answer);
    const error = await refusal(client.revoke('t', 'access_token'));
    expect(error.code).toBe(code);
    expect(error.retryAfterMs).toBe(code === 'server_unavailable' ? 9_000 : undefined);
  });

  it('7009-3 a 204 is success: there is nothing to read in it', async () => {
    const { server, client } = setUpOAuth();
    server.plan('revocation', new Response(null, { status: 204 }));
    await expect(client.revoke('t', 'access_token')).resolves.toBeUndefined();
  });

  it('a server without a revocation endpoint is endpoint_missing', async () => {
    const { client } = setUpOAuth({}, { metadata: { revocation_endpoint: undefined } });
    expect(await refusal(client.revoke('t', 'access_token'))).toMatchObject({ code: 'endpoint_missing', class: 'configuration' });
  });

  it('E10 a hanging revocation is a timeout after 5 s', async () => {
    const { server, client, platform } = setUpOAuth();
    await client.metadata();
    server.plan('revocation', 'hang');
    const error = refusal(client.revoke('t', 'access_token'));
    await settled();
    platform.advance(5_000);
    expect((await error).code).toBe('timeout');
  });
});

describe('userInfo', () => {
  it('is asked with the access token in the header alone, and tells what the server says', async () => {
    const { server, client } = setUpOAuth();
    server.plan('userinfo', { sub: 'alice', email: 'a@example.com', address: { city: 'Köln' } });
    expect(await client.userInfo(login)).toEqual({ sub: 'alice', email: 'a@example.com', address: { city: 'Köln' } });
    const [call] = server.calls('userinfo');
    expect([call.method, call.headers.get('authorization'), call.body]).toEqual(['GET', 'Bearer old-access', '']);
  });

  it.each([
    [{ sub: 'mallory', email: 'm@example.com' }, 'token_substitution', 'security'],
    [{ sub: 'Alice' }, 'token_substitution', 'security'],
    [{ email: 'a@example.com' }, 'response_invalid', 'unknown_outcome'],
    [{ sub: ['alice'] }, 'response_invalid', 'unknown_outcome'],
  ])('UI-1 of %j nothing is used', async (body, code, errorClass) => {
    const { server, client } = setUpOAuth();
    server.plan('userinfo', body);
    const error = await refusal(client.userInfo(login));
    expect(error).toMatchObject({ code, class: errorClass });
    expect(JSON.stringify(error)).not.toMatch(/mallory|[am]@example/);
  });

  it('HT-7 members that lead to a prototype are dropped', async () => {
    const { server, client } = setUpOAuth();
    server.plan('userinfo', new Response('{"sub":"alice","__proto__":{"admin":true}}'));
    const info = await client.userInfo(login);
    expect([Object.isFrozen(info), Object.getPrototypeOf(info)]).toEqual([true, null]);
    expect(info['admin']).toBeUndefined();
    expect(Object.keys(info)).toEqual(['sub']);
  });

  it('a refused token is told by the status', async () => {
    const { server, client } = setUpOAuth();
    server.plan('userinfo', json({}, { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } }));
    expect(await refusal(client.userInfo(login))).toMatchObject({ status: 401 });
  });

  const told = (errorDescription?: string): object => ({ error: 'invalid_token', ...(errorDescription && { errorDescription }) });
  it.each<[string, string, string, object]>([
    [
      'in an empty answer',
      'Bearer realm="a", error="invalid_token", error_description="it has \\"expired\\""',
      '',
      told('it has "expired"'),
    ],
    ['without quotes', 'Bearer error=invalid_token', '', told()],
    ['behind another scheme', 'Basic realm="a, b", Bearer, DPoP error="invalid_token"', '', told()],
    ['beside a page', 'bearer error="insufficient_scope",scope="email"', '<html>', { error: 'insufficient_scope' }],
    ['beside JSON that says nothing', 'Bearer error="invalid_token"', '{"message":"no"}', told()],
    ['beside JSON that says another', 'Bearer error="invalid_token"', '{"error":"access_denied"}', { error: 'access_denied' }],
    ['with the token in it', 'Bearer error="invalid_token", error_description="canary-access-4711"', '', told('[redacted]')],
    ['nowhere', 'Bearer realm="error", xerror="x"', '', { code: 'http_error' }],
    ['of a scheme that knows none', 'Basic error="invalid_token"', '', { code: 'http_error' }],
  ])('6750-3 an error in WWW-Authenticate is told: %s', async (_, challenge, body, expected) => {
    const { server, client } = setUpOAuth();
    server.plan('userinfo', new Response(body, { status: 401, headers: { 'www-authenticate': challenge } }));
    expect(await refusal(client.userInfo(aToken()))).toMatchObject({ code: 'oauth_error', status: 401, ...expected });
  });

  it('6750-3 a challenge is of the token that was sent with the request: none of that which is asked about, nor beside a success', async () => {
    const { server, client } = setUpOAuth();
    const headers = { 'www-authenticate': 'Bearer error="invalid_token"' };
    server.plan('introspection', new Response('', { status: 401, headers }));
    expect(await refusal(client.introspect('old-access', 'access_token'))).toMatchObject({ code: 'http_error', class: 'configuration' });
    server.plan('userinfo', new Response(null, { status: 204, headers }));
    expect(await refusal(client.userInfo(aToken()))).toMatchObject({ code: 'response_invalid' });
  });

  it('E22 a token bound to a key is not sent as Bearer', async () => {
    const { server, client } = setUpOAuth();
    expect(await refusal(client.userInfo(aToken({ tokenType: 'DPoP' })))).toMatchObject({ code: 'unsupported' });
    expect(server.calls('userinfo')).toEqual([]);
  });
});

describe('introspect', () => {
  it('asks with the token, its type and the client id in the body, and tells what the server says', async () => {
    const { server, client } = setUpOAuth();
    server.plan('introspection', { active: true, scope: 'openid', exp: 1_900_000_000 });
    expect(await client.introspect('old-access', 'access_token')).toEqual({ active: true, scope: 'openid', exp: 1_900_000_000 });
    const [call] = server.calls('introspection');
    expect([call.method, call.headers.get('accept'), call.headers.get('authorization')]).toEqual(['POST', 'application/json', null]);
    expect(Object.fromEntries(call.form)).toEqual({ token: 'old-access', token_type_hint: 'access_token', client_id: 'spa' });
  });

  it.each<[string, unknown, string]>([
    ['no answer to the question', { sub: 'alice' }, 'response_invalid'],
    ['a text for a truth', { active: 'true' }, 'response_invalid'],
    ['a list', [{ active: true }], 'response_invalid'],
    ['a page', new Response('<html>', { headers: { 'content-type': 'text/html' } }), 'response_invalid'],
    ['a JWT', new Response('e30.e30.', { headers: { 'content-type': 'application/token-introspection+jwt' } }), 'unsupported'],
    ['an error', json({ error: 'invalid_client' }, { status: 401 }), 'oauth_error'],
    ['a refusal', json({}, { status: 403 }), 'http_error'],
  ])('of %s nothing is used', async (_, answer, code) => {
    const { server, client } = setUpOAuth();
    server.plan('introspection', answer as Response);
    expect(await refusal(client.introspect('old-access', 'access_token'))).toMatchObject({ code });
  });

  it('HT-7 members that lead to a prototype are dropped', async () => {
    const { server, client } = setUpOAuth();
    server.plan('introspection', new Response('{"active":false,"__proto__":{"admin":true}}'));
    const said = await client.introspect('old-access', 'access_token');
    expect([Object.isFrozen(said), Object.getPrototypeOf(said), said['admin']]).toEqual([true, null, undefined]);
  });

  it('says that the server has no such endpoint', async () => {
    const { client } = setUpOAuth({ metadata: { token_endpoint: 'https://id.example.com/token' } });
    expect(await refusal(client.introspect('old-access', 'access_token'))).toMatchObject({ code: 'endpoint_missing' });
  });
});
