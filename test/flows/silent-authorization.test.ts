import { createHash } from 'node:crypto';
import { createAuthorizationCodeFlow } from '../../src/flows/authorization-code';
import { silentAuthorization, type SilentAuthorizationOptions } from '../../src/flows/silent-authorization';
import { sessionTransactions } from '../../src/flows/transactions';
import {
  createOAuth2Client,
  type CodeExchange,
  type Grant,
  type OAuth2Client,
  type OAuth2ClientOptions,
  type RenewFunction,
} from '../../src/oauth/client';
import type { Page, Platform } from '../../src/platform/platform';
import type { Token } from '../../src/credential/token';
import { createCredentialStore } from '../../src/store/store';
import { closeAll, codeOf, createWorld, settle } from '../support/fixture';
import { fakeServer, json, keyPair, type Answer, type FakeServer, type FakeServerOptions } from '../support/fake-server';
import { REDIRECT_URI, refusal } from '../support/oauth';
import { aToken, CLAIMS } from '../support/tokens';
import { fakePage, START_MS, unitPlatform, type UnitPlatform } from '../support/unit-platform';

beforeAll(() => keyPair('RS256'), 30_000); // RSA keys are slow to make
afterEach(closeAll);

/** How the frame ends: an address of the test's own, or the redirect URI with these parameters over `code` and `state`. */
type End = string | null | Error | Readonly<Record<string, string | undefined>> | (() => Promise<string | null>);

/** Frames of a page, and how the next of them end; by default with a code. */
function frames(redirectUri = REDIRECT_URI) {
  const ends: End[] = [];
  const urls: URL[] = [];
  const signals: AbortSignal[] = [];
  const loadFrame: NonNullable<Page['loadFrame']> = (address, signal) => {
    const url = new URL(address);
    urls.push(url);
    signals.push(signal);
    const end = ends.length > 0 ? ends.shift() : {};
    if (end instanceof Error) return Promise.reject(end);
    if (typeof end === 'function') return end();
    if (typeof end === 'string' || !end) return Promise.resolve(end ?? null);
    const parameters = { code: `code-${urls.length}`, state: url.searchParams.get('state') ?? '', ...end };
    const answer = new URL(redirectUri);
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) answer.searchParams.set(name, value);
    return Promise.resolve(answer.href);
  };
  return { loadFrame, urls, signals, next: (...more: readonly End[]) => void ends.push(...more) };
}

/** A frame that is under way until it is told where it ends. */
function heldFrame() {
  let begin = (): void => undefined;
  let end = (_: string | null): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const ended = new Promise<string | null>((resolve) => (end = resolve));
  return { load: () => (begin(), ended), begun, end: (address: string | null) => end(address) };
}

interface SetUp extends Omit<ReturnType<typeof frames>, 'loadFrame'> {
  readonly server: FakeServer;
  readonly platform: UnitPlatform;
  readonly client: OAuth2Client;
  readonly page: ReturnType<typeof fakePage>;
  readonly grant: Grant;
  renew(grant?: Grant): Promise<Token>;
  /** Plans what the token endpoint answers, with an ID token for the last request. */
  planToken(claims?: Readonly<Record<string, unknown>>, members?: Readonly<Record<string, unknown>>): void;
}

function setUp(
  options: SilentAuthorizationOptions = {},
  clientOptions: Partial<OAuth2ClientOptions> = {},
  serverOptions: FakeServerOptions = {},
): SetUp {
  const server = fakeServer(serverOptions);
  const { loadFrame, ...rest } = frames(options.redirectUri);
  const page = { ...fakePage('https://app.example.com/orders?page=2'), loadFrame };
  const platform = unitPlatform({ fetch: server.fetch, page });
  const renew = silentAuthorization(options);
  const client = createOAuth2Client({
    issuer: server.issuer,
    clientId: 'spa',
    redirectUri: REDIRECT_URI,
    platform,
    renew,
    ...clientOptions,
  });
  const grant: Grant = {
    id: 'one',
    tokenType: 'Bearer',
    scope: 'openid',
    claims: CLAIMS,
    context: { issuer: server.issuer, clientId: 'spa', scope: 'openid api:read' },
    refreshToken: undefined,
    idToken: 'header.payload.signature',
    extra: {},
  };
  const planToken: SetUp['planToken'] = (claims, members) => server.plan('token', tokenAnswer(server, rest.urls, claims, members));
  return { server, platform, client, page, grant, renew: (one = grant) => renew(one, client), planToken, ...rest };
}

/** A true answer of the token endpoint to the last frame. */
function tokenAnswer(
  server: FakeServer,
  urls: readonly URL[],
  claims: Readonly<Record<string, unknown>> = {},
  members: Readonly<Record<string, unknown>> = {},
): Answer {
  return async () =>
    json({
      access_token: `access-CANARY-${urls.length}`,
      token_type: 'Bearer',
      expires_in: 600,
      id_token: await server.idToken({ nonce: urls.at(-1)?.searchParams.get('nonce'), ...claims }),
      ...members,
    });
}

describe('the request of a silent authorization', () => {
  it('2.1-1 7636-4 asks for a code with PKCE, state and nonce, with prompt=none, and hints at who is meant (OIDC Core §3.1.2.1)', async () => {
    const { renew, planToken, urls, server } = setUp();
    planToken();
    await renew();
    const [url] = urls;
    expect(url.origin + url.pathname).toBe('https://id.example.com/auth');
    const { state, nonce, code_challenge: challenge, ...others } = Object.fromEntries(url.searchParams);
    expect(others).toEqual({
      client_id: 'spa',
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid api:read',
      code_challenge_method: 'S256',
      prompt: 'none',
      id_token_hint: 'header.payload.signature',
    });
    for (const text of [state, nonce, challenge]) expect(text).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const { form } = server.calls('token')[0];
    expect(Object.fromEntries(form)).toMatchObject({ grant_type: 'authorization_code', code: 'code-1', redirect_uri: REDIRECT_URI });
    expect(
      createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url'),
    ).toBe(challenge);
  });

  it('E63 has a state, a nonce and a verifier of its own each time', async () => {
    const { renew, planToken, urls, server } = setUp();
    for (let round = 0; round < 3; round++) {
      planToken();
      await renew();
    }
    for (const name of ['state', 'nonce', 'code_challenge']) expect(new Set(urls.map((url) => url.searchParams.get(name))).size).toBe(3);
    expect(server.calls('token').map(({ form }) => form.get('code'))).toEqual(['code-1', 'code-2', 'code-3']);
  });

  it('asks for the scope, the resource and the acr values of the sign-in, but not for one as recent', async () => {
    const { renew, planToken, urls, grant, client } = setUp();
    planToken();
    const resource = 'https://api.example.com/';
    const context = { ...grant.context, scope: 'openid email', acrValues: 'gold', maxAge: 60, resource };
    const token = await renew({ ...grant, context });
    expect(Object.fromEntries(urls[0].searchParams)).toMatchObject({ scope: 'openid email', acr_values: 'gold', resource });
    expect(urls[0].searchParams.has('max_age')).toBe(false);
    expect(token.context).toEqual(context);
    planToken();
    await renew({ ...grant, context: { issuer: client.issuer, clientId: 'spa' } });
    expect(urls[1].searchParams.get('scope')).toBe(client.scope);
  });

  it('RES-1 asks for all resources that the sign-in named', async () => {
    const { renew, planToken, urls, grant } = setUp();
    planToken();
    const resources = ['https://api.example.com/', 'https://files.example.com/'];
    const context = { ...grant.context, resource: resources[0], resources };
    const token = await renew({ ...grant, context });
    expect(urls[0].searchParams.getAll('resource')).toEqual(resources);
    expect(token.context).toEqual(context);
  });

  it.each<readonly [string, string | undefined]>([
    ['there is none', undefined],
    ['it would make an address that servers refuse', 'x'.repeat(4_097)],
  ])('hints at nobody by an ID token where %s', async (_, idToken) => {
    const { renew, planToken, urls, grant } = setUp();
    planToken();
    await renew({ ...grant, idToken });
    expect(urls[0].searchParams.has('id_token_hint')).toBe(false);
  });

  it('has the further parameters that it is given, as they were then', async () => {
    const additionalParameters: Record<string, string> = { audience: 'https://api.example.com/', organization: 'org' };
    const { renew, planToken, urls } = setUp({ additionalParameters });
    additionalParameters['audience'] = 'https://other.example.com/';
    planToken();
    await renew();
    expect(Object.fromEntries(urls[0].searchParams)).toMatchObject({
      audience: 'https://api.example.com/',
      organization: 'org',
      prompt: 'none',
    });
  });

  it('is that of a client of a class, too', async () => {
    const { client: inner, planToken, urls, grant } = setUp({ redirectUri: 'https://app.example.com/silent.html' });
    class Mine implements Partial<OAuth2Client> {
      readonly #inner = inner;
      get issuer() {
        return this.#inner.issuer;
      }
      get redirectUri() {
        return this.#inner.redirectUri;
      }
      readonly clientId = 'spa';
      readonly scope = inner.scope;
      readonly platform = inner.platform;
      metadata() {
        return this.#inner.metadata();
      }
      isPrepared() {
        return this.#inner.isPrepared();
      }
      exchangeCode(exchange: CodeExchange) {
        return this.#inner.exchangeCode(exchange);
      }
    }
    planToken();
    const renew = silentAuthorization({ redirectUri: 'https://app.example.com/silent.html' });
    expect((await renew(grant, new Mine() as unknown as OAuth2Client)).accessToken).toBe('access-CANARY-1');
    expect(urls[0].searchParams.get('redirect_uri')).toBe('https://app.example.com/silent.html');
  });

  it('may have a redirect URI of its own', async () => {
    const redirectUri = 'https://app.example.com/silent.html';
    const { renew, planToken, urls, server } = setUp({ redirectUri });
    planToken();
    await renew();
    expect(urls[0].searchParams.get('redirect_uri')).toBe(redirectUri);
    expect(server.calls('token')[0].form.get('redirect_uri')).toBe(redirectUri);
  });
});

describe('the token of a silent authorization', () => {
  it('keeps the id, the context and a refresh token that there was; the rest is new', async () => {
    const { renew, planToken, grant } = setUp();
    planToken({ sid: 'session-2' }, { scope: 'openid' });
    const token = await renew({ ...grant, refreshToken: 'refresh-1' });
    expect(token).toMatchObject({ id: 'one', scope: 'openid', context: grant.context, issuedAt: START_MS, expiresAt: START_MS + 600_000 });
    expect([token.accessToken, token.refreshToken, token.claims?.['sid']]).toEqual(['access-CANARY-1', 'refresh-1', 'session-2']);
    planToken({}, { refresh_token: 'refresh-2' });
    expect((await renew({ ...grant, refreshToken: 'refresh-1' })).refreshToken).toBe('refresh-2');
  });

  it('7636-3 9700-4 leaves nothing in the tab, and a sign-in under way and the address of the page as they were', async () => {
    const { renew, planToken, next, page, client, platform, server } = setUp();
    const signIn = createAuthorizationCodeFlow(client, { transactions: sessionTransactions(page.items, platform) });
    const pending = (await signIn.start()).searchParams;
    const items = (): readonly unknown[] =>
      Array.from({ length: page.items.length }, (_, i) => page.items.key(i) ?? '').map((key) => [key, page.items.getItem(key)]);
    const before = items();
    expect(before).toHaveLength(1);
    planToken();
    await renew();
    next({ code: undefined, error: 'login_required' }, null);
    await refusal(renew());
    await refusal(renew());
    expect(items()).toEqual(before);
    expect(page.replaced).toEqual([]);
    expect(platform.timers()).toEqual([]);
    server.plan('token', async () =>
      json({ access_token: 'a', token_type: 'Bearer', id_token: await server.idToken({ nonce: pending.get('nonce') }) }),
    );
    const token = await signIn.resume(`${REDIRECT_URI}?code=code-of-sign-in&state=${pending.get('state') ?? ''}`);
    expect(token.claims?.sub).toBe('alice');
  });
});

describe('a server that wants the user (OIDC Core §3.1.2.6)', () => {
  it.each(['login_required', 'interaction_required', 'consent_required', 'account_selection_required'])(
    'E21 says %s: that is the error, and nothing else happens',
    async (error) => {
      const { renew, next, urls, page, server } = setUp();
      next({ code: undefined, error, error_description: 'not now' });
      expect(await refusal(renew())).toMatchObject({
        name: 'OAuthResponseError',
        code: 'authorization_failed',
        error,
        class: 'needs_user',
      });
      expect(urls).toHaveLength(1);
      expect(page.replaced).toEqual([]);
      expect(server.calls('token')).toEqual([]);
    },
  );

  it.each([
    ['temporarily_unavailable', 'transient'],
    ['server_error', 'transient'],
    ['invalid_scope', 'configuration'],
    ['access_denied', 'needs_user'],
  ])('says %s: that is %s', async (error, errorClass) => {
    const { renew, next } = setUp();
    next({ code: undefined, error });
    expect(await refusal(renew())).toMatchObject({ code: 'authorization_failed', error, class: errorClass });
  });
});

describe('a frame that brings no answer', () => {
  it.each<readonly [string, End]>([
    ['a page of another origin, or none', null],
    ['a page of the own origin that is no answer', 'https://app.example.com/sign-in?state=x'],
    ['an empty document', 'about:srcdoc'],
  ])('E48 ends at %s: that passes, and says nothing of the session', async (_, end) => {
    const { renew, next, server } = setUp();
    next(end);
    expect(await refusal(renew())).toMatchObject({ code: 'renewal_failed', class: 'transient', issuer: server.issuer });
  });

  it.each<readonly [string, SilentAuthorizationOptions, number]>([
    ['10 s', {}, 10_000],
    ['as long as it was told', { timeoutMs: 700 }, 700],
  ])('that comes to no end is given up after %s', async (_, options, timeoutMs) => {
    const { renew, next, signals, platform } = setUp(options);
    const frame = heldFrame();
    next(frame.load);
    const refused = refusal(renew());
    await frame.begun;
    platform.advance(timeoutMs - 1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    platform.advance(1);
    const error = await refused;
    expect(error).toMatchObject({ code: 'timeout', class: 'transient' });
    expect(signals.map(({ reason }) => reason as unknown)).toEqual([error]);
    expect(platform.timers()).toEqual([]);
  });

  it('E48 that ends after the page has slept for an hour is an answer too late: that passes', async () => {
    const { renew, next, platform, urls, server } = setUp();
    next(() => {
      platform.jump(3_600_000);
      return Promise.resolve(`${REDIRECT_URI}?code=code-1&state=${urls[0].searchParams.get('state') ?? ''}`);
    });
    expect(await refusal(renew())).toMatchObject({ code: 'callback_state_unknown', class: 'transient' });
    expect(server.calls('token')).toEqual([]);
  });

  it('that cannot be made fails as it fails, and no timer is left', async () => {
    const { renew, next, platform } = setUp();
    const problem = new TypeError('Failed to fetch dynamically imported module');
    next(problem);
    await expect(renew()).rejects.toBe(problem);
    expect(platform.timers()).toEqual([]);
  });
});

describe('an answer that is not what was asked for', () => {
  it.each<readonly [string, Readonly<Record<string, string | undefined>>, string]>([
    ['E46 another state', { state: 'forged' }, 'callback_invalid'],
    ['E46 no state', { state: undefined }, 'callback_invalid'],
    ['E46 an error with another state', { code: undefined, error: 'login_required', state: 'forged' }, 'callback_invalid'],
    ['E53 ISS-2 another issuer', { iss: 'https://evil.example.com' }, 'issuer_mismatch'],
    [
      'E53 ISS-1 an error of another issuer',
      { code: undefined, error: 'login_required', iss: 'https://evil.example.com' },
      'issuer_mismatch',
    ],
  ])('%s is an attack, and its code is not sent', async (_, end, code) => {
    const { renew, next, server } = setUp();
    next(end);
    expect(await refusal(renew())).toMatchObject({ code, class: 'security' });
    expect(server.calls('token')).toEqual([]);
  });

  it('ISS-1 no issuer where the server has promised one is refused', async () => {
    const { renew, server } = setUp({}, {}, { metadata: { authorization_response_iss_parameter_supported: true } });
    expect(await refusal(renew())).toMatchObject({ code: 'callback_invalid', class: 'security' });
    expect(server.calls('token')).toEqual([]);
  });

  it('IDT-8 an ID token with another nonce is refused', async () => {
    const { renew, planToken } = setUp();
    planToken({ nonce: 'of another request' });
    expect(await refusal(renew())).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });

  it('E32 IDR-1 a token of another user is refused, and not revoked: they may be signed in here, too', async () => {
    const { renew, planToken, server } = setUp();
    planToken({ sub: 'bob' });
    expect(await refusal(renew())).toMatchObject({ code: 'token_substitution', class: 'security' });
    expect(server.calls('revocation')).toEqual([]);
  });
});

describe('a code exchange that fails', () => {
  it.each<readonly [string, Answer, string, string]>([
    ['is not answered', 'offline', 'network_error', 'NetworkError'],
    ['is answered with 502', () => new Response('', { status: 502 }), 'server_error', 'CredentialError'],
    ['is answered with 503', () => new Response('', { status: 503 }), 'server_unavailable', 'CredentialError'],
    [
      'is answered with HTML',
      () => new Response('<html>', { headers: { 'content-type': 'text/html' } }),
      'response_invalid',
      'ProtocolError',
    ],
    ['is refused: the code is not taken', () => json({ error: 'invalid_grant' }, { status: 400 }), 'renewal_failed', 'CredentialError'],
  ])('E48 since it %s passes: nothing was used up but a code', async (_, answer, code, name) => {
    const { renew, server } = setUp();
    server.plan('token', answer);
    const error = await refusal(renew());
    expect(error).toMatchObject({ name, code, class: 'transient' });
    expect(error.message + JSON.stringify(error)).not.toContain('code-1');
  });

  it('for a reason in the configuration says so', async () => {
    const { renew, server } = setUp();
    server.plan('token', () => json({ error: 'invalid_client' }, { status: 401 }));
    expect(await refusal(renew())).toMatchObject({ code: 'oauth_error', class: 'configuration' });
  });

  it('E48 an authorization endpoint that says invalid_grant ends no session either', async () => {
    const { renew, next } = setUp();
    next({ code: undefined, error: 'invalid_grant' });
    expect(await refusal(renew())).toMatchObject({ code: 'renewal_failed', class: 'transient' });
  });
});

describe('a part of the program that is not there', () => {
  it('E48 is told as what it is, and passes: the request', async () => {
    const { renew, planToken } = setUp();
    jest.doMock('../../src/flows/authorize-silently', () => {
      throw new Error('Failed to fetch dynamically imported module');
    });
    expect(await refusal(renew())).toMatchObject({ code: 'program_not_loaded', class: 'transient' });
    jest.dontMock('../../src/flows/authorize-silently');
    planToken();
    expect((await renew()).claims?.sub).toBe(CLAIMS.sub);
  });
});

describe('load', () => {
  it('D-061 loads what an authorization needs, so that it needs nothing later, and asks nobody', async () => {
    const { client, renew: _, ...rest } = setUp();
    const asked: string[] = [];
    const prepareFrame = (): Promise<void> => Promise.resolve(void asked.push('frame'));
    const page = { ...client.platform.page!, prepareFrame };
    const renew = silentAuthorization();
    jest.doMock('../../src/flows/authorize-silently', () => {
      asked.push('request');
      return jest.requireActual<object>('../../src/flows/authorize-silently');
    });
    await renew.load?.({ ...client, platform: { ...client.platform, page } });
    jest.dontMock('../../src/flows/authorize-silently');
    expect([asked.sort(), rest.urls]).toEqual([['frame', 'request'], []]);
  });

  it('fails nowhere for want of a page', async () => {
    expect(await silentAuthorization().load?.({ ...setUp().client, platform: unitPlatform() })).toHaveLength(2);
  });
});

describe('where it cannot be', () => {
  const withPlatform = (change: (platform: UnitPlatform) => Partial<Platform>) => {
    const { client, grant } = setUp();
    const renew = silentAuthorization();
    return renew(grant, { ...client, platform: { ...client.platform, ...change(client.platform as UnitPlatform) } });
  };
  it.each<readonly [string, () => Promise<Token>]>([
    ['without a page', () => withPlatform(() => ({ page: undefined }))],
    ['without frames', () => withPlatform(() => ({ page: fakePage('https://app.example.com/') }))],
    ['with a redirect URI of another origin', () => setUp({ redirectUri: 'https://app.example.com:8443/callback' }).renew()],
    [
      'without a redirect URI',
      () => {
        const { client, grant } = setUp();
        return silentAuthorization()(grant, { ...client, redirectUri: undefined });
      },
    ],
    [
      'without "openid"',
      () => {
        const { renew, grant } = setUp();
        return renew({ ...grant, context: { ...grant.context, scope: 'api:read' } });
      },
    ],
    [
      'for a token that names no user',
      () => {
        const { renew, grant } = setUp();
        return renew({ ...grant, claims: null });
      },
    ],
  ])('%s it says so, and asks nobody', async (_, renew) => {
    expect(await refusal(renew())).toMatchObject({ code: 'unsupported', class: 'configuration' });
  });

  it('design §4.5 names the reason: no "openid", or a token that names no user, such as one that was taken over', async () => {
    const { renew, grant } = setUp();
    const message = async (changed: Partial<Grant>): Promise<string> => (await refusal(renew({ ...grant, ...changed }))).message;
    expect(await message({ context: { ...grant.context, scope: 'api:read' } })).toMatch('"openid"');
    expect(await message({ claims: null })).toMatch(/^(?!.*openid).*no ID token/);
  });

  it.each<readonly [SilentAuthorizationOptions, string]>([
    [{ redirectUri: '/callback' }, 'redirectUri'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ timeoutMs: NaN }, 'timeoutMs'],
    [{ timeoutMs: 60_001 }, 'timeoutMs'],
    [{ timeoutMs: '5' as unknown as number }, 'timeoutMs'],
    ...['prompt', 'id_token_hint', 'scope', 'resource', 'acr_values', 'max_age', 'state'].map(
      (name) => [{ additionalParameters: { [name]: 'x' } }, `must not set ${name}`] as const,
    ),
    [{ additionalParameters: { audience: 5 as unknown as string } }, 'audience is none'],
    [{ timeout: 5 } as SilentAuthorizationOptions, 'not timeout'],
  ])('options that are wrong are refused at once: %j', (options, name) => {
    expect(() => silentAuthorization(options)).toThrow(TypeError);
    expect(() => silentAuthorization(options)).toThrow(name);
  });
});

describe('ISS-3 a store of two servers, one of which renews so', () => {
  const SILENT = 'https://app.example.com/silent.html';
  const OTHER = { issuer: 'https://other.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/other' };
  const silent = (redirectUri?: string): RenewFunction => silentAuthorization({ redirectUri });
  const wrapped: RenewFunction = (grant, client) => silent(SILENT)(grant, client);
  const ISS = { authorization_response_iss_parameter_supported: true };

  interface Case {
    readonly renew: RenewFunction;
    readonly other?: Partial<OAuth2ClientOptions>;
    readonly metadata?: Record<string, unknown>;
  }
  it.each<[string, Case, string]>([
    ['both share the address of the frame', { renew: silent(SILENT), other: { renew: silent(SILENT) } }, 'unsupported'],
    ['both share their redirect URI', { renew: silent(), other: { redirectUri: REDIRECT_URI } }, 'unsupported'],
    ['users come back there from the other one', { renew: silent(SILENT), other: { redirectUri: SILENT } }, 'unsupported'],
    ['nobody has said that the frame ends there', { renew: wrapped }, 'unsupported'],
    ['both share an address, but say who they are', { renew: silent(SILENT), other: { renew: silent(SILENT) }, metadata: ISS }, 'renewed'],
    ['each has its own', { renew: silent(SILENT), other: { renew: silent(`${SILENT}?as=other`) } }, 'renewed'],
    ['each has its redirect URI', { renew: silent() }, 'renewed'],
    ['a function says where its frame ends', { renew: Object.assign(wrapped.bind(null), { redirectUri: SILENT }) }, 'renewed'],
  ])('sends no code that may be of the other one: %s', async (_, { renew, other, metadata = {} }, outcome) => {
    const server = fakeServer({ metadata });
    const { loadFrame, urls, next } = frames(renew.redirectUri);
    const page = { ...fakePage('https://app.example.com/'), loadFrame };
    const platform = unitPlatform({ fetch: server.fetch, page });
    const mine = { issuer: server.issuer, clientId: 'spa', redirectUri: REDIRECT_URI, renew };
    const store = createCredentialStore({ clients: [mine, { ...OTHER, ...other }], platform });
    const credential = await store.store(aToken());
    if (metadata === ISS) next({ iss: server.issuer });
    if (outcome === 'renewed') server.plan('token', tokenAnswer(server, urls));
    const refreshed = await credential.refresh().then(
      () => 'renewed',
      (error: unknown) => (error as { code?: unknown }).code,
    );
    expect([refreshed, urls.length]).toEqual([outcome, outcome === 'renewed' ? 1 : 0]);
    await store.close();
  });

  it('takes no answer that came to where frames of the other one end', async () => {
    const server = fakeServer();
    const { loadFrame, urls, next } = frames();
    const platform = unitPlatform({ fetch: server.fetch, page: { ...fakePage('https://app.example.com/'), loadFrame } });
    const mine = { issuer: server.issuer, clientId: 'spa', renew: silent(SILENT) };
    const store = createCredentialStore({ clients: [mine, { ...OTHER, renew: silent(`${SILENT}?as=other`) }], platform });
    const credential = await store.store(aToken());
    next(() => Promise.resolve(`${SILENT}?as=other&code=theirs&state=${urls[0].searchParams.get('state')}`));
    expect(await codeOf(credential.refresh())).toBe('issuer_mismatch');
    expect(server.calls('token')).toEqual([]);
    await store.close();
  });
});

describe('a store that renews so', () => {
  /** Tabs of one browser, each with frames of its own that count together. */
  function setUpStore() {
    const { openTab, authority, browser } = createWorld();
    const server = fakeServer();
    const { loadFrame, urls, next } = frames();
    const page = { ...fakePage('https://app.example.com/'), loadFrame };
    const clients = (platform: Platform): OAuth2Client =>
      createOAuth2Client({
        issuer: server.issuer,
        clientId: 'spa',
        redirectUri: REDIRECT_URI,
        renew: silentAuthorization(),
        platform: { ...platform, fetch: server.fetch, page },
      });
    const nowS = (): number => Math.floor(browser.now() / 1000);
    const planToken = (claims: Readonly<Record<string, unknown>> = {}): void =>
      server.plan('token', tokenAnswer(server, urls, { iat: nowS(), exp: nowS() + 600, ...claims }));
    const signIn = (): Token => authority.signIn({ refreshable: false, lifetimeS: 600 });
    return { open: () => openTab({ clients }), signIn, browser, server, urls, next, planToken };
  }

  it('E1 loads one frame for 1,000 callers of an expired token', async () => {
    const { open, signIn, browser, urls, planToken, server } = setUpStore();
    const { store, newEvents } = await open();
    const credential = await store.store(signIn());
    await browser.advance(700_000);
    newEvents();
    planToken();
    const tokens = await Promise.all(Array.from({ length: 1_000 }, () => credential.accessToken()));
    expect(new Set(tokens)).toEqual(new Set(['access-CANARY-1']));
    expect(urls).toHaveLength(1);
    expect(server.calls('token')).toHaveLength(1);
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
  });

  it('E2 loads one frame for eight tabs', async () => {
    const { open, signIn, browser, urls, planToken, server } = setUpStore();
    const tabs = await Promise.all(Array.from({ length: 8 }, open));
    const { id } = await tabs[0].store.store(signIn());
    await browser.advance(700_000);
    planToken();
    const tokens = await Promise.all(tabs.map(async ({ store }) => (await store.with(id))?.accessToken()));
    expect(new Set(tokens)).toEqual(new Set(['access-CANARY-1']));
    expect(urls).toHaveLength(1);
    expect(server.calls('token')).toHaveLength(1);
  });

  const refused: Answer = () => json({ error: 'invalid_grant' }, { status: 400 });
  it.each<readonly [string, End, readonly Answer[], string]>([
    ['a frame that cannot be read', null, [], 'renewal_failed'],
    ['a code that is not taken', {}, [refused], 'renewal_failed'],
    ['a server that says later', { code: undefined, error: 'temporarily_unavailable' }, [], 'authorization_failed'],
  ])('E11 E48 after %s keeps the session, rests, and tries again', async (_, end, answers, code) => {
    const { open, signIn, browser, urls, next, planToken, server } = setUpStore();
    const { store } = await open();
    const credential = await store.store(signIn());
    await browser.advance(700_000);
    next(end);
    server.plan('token', ...answers);
    expect(await codeOf(credential.accessToken())).toBe(code);
    expect(credential.status).toEqual({ token: 'expired', activity: 'idle' });
    const early: unknown = await credential.accessToken().catch((error: unknown) => error);
    expect(early).toMatchObject({ code, retryAfterMs: expect.any(Number) as number });
    expect(urls).toHaveLength(1);
    await browser.advance(2_000);
    planToken();
    expect(await credential.accessToken()).toBe('access-CANARY-2');
    expect(urls).toHaveLength(2);
  });

  it('uses the token that there is as long as it lives, whatever the frame comes to', async () => {
    const { open, signIn, browser, next } = setUpStore();
    const { store } = await open();
    const token = signIn();
    const credential = await store.store(token);
    await browser.advance(590_000);
    next(null);
    expect(await credential.accessToken()).toBe(token.accessToken);
    await browser.advance(11_000);
    next(null);
    expect(await codeOf(credential.accessToken())).toBe('renewal_failed');
  });

  it('E21 needs interaction where the server wants the user, keeps the token, and leads nobody anywhere', async () => {
    const { open, signIn, browser, next, planToken } = setUpStore();
    const { store, newEvents } = await open();
    const token = signIn();
    const credential = await store.store(token);
    newEvents();
    next({ code: undefined, error: 'login_required' });
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    expect(newEvents()).toEqual(['refresh_started', 'interaction_required']);
    expect(credential.status).toEqual({ token: 'needs_interaction', activity: 'idle' });
    expect(await credential.accessToken()).toBe(token.accessToken);
    await browser.advance(700_000);
    planToken();
    expect(await credential.accessToken()).toBe('access-CANARY-2'); // signed in there again meanwhile
    expect(credential.status.token).toBe('valid');
  });

  it('E12 E60 revokes what a frame brings after a sign-out, and stores nothing', async () => {
    const { open, signIn, next, urls, planToken, server } = setUpStore();
    const { store } = await open();
    const credential = await store.store(signIn());
    const frame = heldFrame();
    next(frame.load);
    const refused = codeOf(credential.refresh());
    await frame.begun;
    await credential.remove();
    planToken();
    server.plan('revocation', () => new Response(''));
    frame.end(`${REDIRECT_URI}?code=code-1&state=${urls[0].searchParams.get('state') ?? ''}`);
    expect(await refused).toBe('credential_removed');
    expect(await store.allIDs()).toEqual([]);
    await store.close(); // which waits for what the frame brings
    expect(server.calls('revocation').map(({ form }) => form.get('token'))).toEqual(['access-CANARY-1']);
  });

  it('E32 IDR-1 keeps the credential where another user is signed in at the server now', async () => {
    const { open, signIn, planToken, server } = setUpStore();
    const { store } = await open();
    const token = signIn();
    const credential = await store.store(token);
    planToken({ sub: 'bob' });
    expect(await codeOf(credential.refresh())).toBe('token_substitution');
    await settle();
    expect(await store.allIDs()).toEqual([credential.id]);
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect(credential.claims?.sub).toBe('alice');
    expect(server.calls('revocation')).toEqual([]);
  });
});
