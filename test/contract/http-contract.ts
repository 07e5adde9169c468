// What every HTTP adapter does, on real servers: the servers' logs are what is asserted. For an adapter's own test file:
//
//   describeHttpAdapter('axios', (store, options) => sendOf(axiosWith(credentialsInterceptor(store, options))));
import fc from 'fast-check';
import type { AttachmentOptions } from '../../src/http/attachment.js';
import type { Credential } from '../../src/store/credential.js';
import type { CredentialStore } from '../../src/store/store.js';
import { offline, type SignInOptions } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';
import { runs } from '../support/counts.js';
import { startOrigin, type Answering, type Origin, type Seen } from './http-origins.js';

export interface ContractRequest {
  readonly url: string;
  /** Default `GET`. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The body is given as something that can be read once; where that cannot be sent, the request says that it is not to be sent again. */
  readonly isReadOnce?: boolean;
  /** The caller leaves: aborts, or unsubscribes. */
  readonly signal?: AbortSignal;
}

export interface ContractAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * Sends one request, as an application would. Resolves with the answer and all of its body, whatever the status; rejects with what the
 * adapter fails with where there is no answer, and with anything once the signal is aborted.
 */
export type ContractSend = (request: ContractRequest) => Promise<ContractAnswer>;

export interface ContractTraits {
  /** False where something else follows redirects and carries the token along within an origin, as in browsers. Default `true`. */
  readonly looksUpRedirects?: boolean;
  /** False where nothing tells a redirect to the request's own address from none, as with XMLHttpRequest. Default `true`. */
  readonly tellsRedirects?: boolean;
  /** False where a relative address is made absolute before the adapter sees it. Default `true`. */
  readonly takesBaseUrl?: boolean;
}

interface SetUp extends World, Tab {
  readonly credential: Credential;
  readonly send: ContractSend;
}

/** Declares the tests. `connect` is asked once for each. */
export function describeHttpAdapter(
  name: string,
  connect: (store: CredentialStore, options: AttachmentOptions) => ContractSend | Promise<ContractSend>,
  { looksUpRedirects = true, tellsRedirects = true, takesBaseUrl = true }: ContractTraits = {},
): void {
  describe(`HTTP adapter contract: ${name}`, () => {
    let api: Origin;
    let other: Origin;
    beforeAll(async () => {
      [api, other] = await Promise.all([startOrigin(), startOrigin()]);
    });
    afterAll(() => Promise.all([api.close(), other.close()]));
    afterEach(async () => {
      await closeAll();
      api.reset();
      other.reset();
    });

    async function setUp(options: Partial<AttachmentOptions> = {}, signIn: SignInOptions = {}): Promise<SetUp> {
      const world = createWorld();
      const tab = await world.openTab();
      const credential = await tab.store.store(world.authority.signIn(signIn));
      tab.newEvents();
      const send = await connect(tab.store, { resources: [`${api.url}/api/`], platform: tab.platform, ...options });
      return { ...world, ...tab, credential, send };
    }
    const says =
      (text: string): Answering =>
      (response) =>
        void response.end(text);
    const refuses =
      (status = 401, challenge = 'Bearer error="invalid_token"'): Answering =>
      (response) =>
        void response.writeHead(status, { 'WWW-Authenticate': challenge }).end('refused');
    /** Refuses the first token it sees, for good. */
    const refusesFirst = (): Answering => {
      let first: unknown;
      return (response, { headers: { authorization } }) =>
        ((first ??= authorization) === authorization ? refuses() : says('ok'))(response, {} as never);
    };
    const leadsTo =
      (url: string, status = 302): Answering =>
      (response) =>
        void response.writeHead(status, { Location: url }).end('moved');
    const tokens = ({ seen }: Origin): readonly unknown[] => seen.map(({ headers }) => headers['authorization']);
    const bearer = ({ token }: Credential): string => `Bearer ${token?.accessToken}`;
    /** Nothing that stands for somebody has come here. */
    const expectBare = ({ seen }: Origin): void => {
      const text = JSON.stringify(seen.map(({ path, headers, body }) => [path, headers, body]));
      expect(text).not.toMatch(/CANARY|authorization|cookie/i);
    };

    it('6750-1 a request on the list carries the token, in one header', async () => {
      const { send, credential } = await setUp();
      api.on('/api/orders', says('ok'));
      expect(await send({ url: `${api.url}/api/orders?q=1` })).toEqual({ status: 200, body: 'ok' });
      expect(tokens(api)).toEqual([bearer(credential)]);
      expect(api.seen[0]?.path).toBe('/api/orders?q=1');
    });

    it('6750-1 method, headers and body arrive as they were', async () => {
      const { send } = await setUp();
      api.on('/api/orders', says('made'));
      await send({
        url: `${api.url}/api/orders`,
        method: 'POST',
        headers: { 'x-test': 'ä'.length.toString(), 'content-type': 'text/plain' },
        body: 'größe',
      });
      expect(api.seen).toEqual([expect.objectContaining({ method: 'POST', body: 'größe' })]);
      expect(api.seen[0]?.headers).toMatchObject({ 'x-test': '1', 'content-type': expect.stringContaining('text/plain') as string });
    });

    it('6750-2 E14 a request off the list passes without a token', async () => {
      const { send } = await setUp();
      for (const origin of [api, other]) for (const path of ['/', '/apix', '/v2/api/', '/other']) origin.on(path, says('ok'));
      for (const url of [`${api.url}/`, `${api.url}/apix`, `${api.url}/v2/api/`, `${api.url}/api/../other`, `${other.url}/other`])
        expect((await send({ url })).status).toBe(200);
      expect(api.seen.length + other.seen.length).toBe(5);
      [api, other].forEach(expectBare);
    });

    if (takesBaseUrl) {
      it('6750-2 a relative address on the list goes where it was looked up, and so does its token', async () => {
        const { send, credential } = await setUp({ baseUrl: () => `${api.url}/api/` });
        api.on('/api/orders', says('ok'));
        api.on('/api/moved', leadsTo('/api/orders'));
        const { host } = new URL(api.url);
        for (const url of ['orders?q=1', '/api/orders', `//${host}/api/orders`, 'moved'])
          expect(await send({ url })).toMatchObject({ body: 'ok' });
        expect(api.seen[0]?.path).toBe('/api/orders?q=1');
        expect(tokens(api)).toEqual(Array(5).fill(bearer(credential)));
      });
    }

    it('6750-2 E16 a hostile address carries no token anywhere', async () => {
      const { send } = await setUp();
      const { port } = new URL(api.url);
      const { host } = new URL(other.url);
      other.on('/api/', says('ok'));
      const hostile = [
        `http://127.0.0.1:${port}@${host}/api/`,
        `http://${host}\\@127.0.0.1:${port}/api/`,
        `http://${host}#@127.0.0.1:${port}/api/`,
        `http://${host}?@127.0.0.1:${port}/api/`,
        `http://user:pass@127.0.0.1:${port}/api/`,
        `${api.url}/api/..%2fother`,
        `${api.url}/api/%2e%2e/other`,
        `${api.url}/api\\..\\other`,
      ];
      for (const url of hostile) await send({ url }).catch(() => undefined); // some are refused before they are sent
      expect(tokens(api).filter((one) => String(one).startsWith('Bearer'))).toEqual([]);
      expect(tokens(other).filter((one) => String(one).startsWith('Bearer'))).toEqual([]);
    });

    it('6750-2 E14 E16 of generated addresses tokens arrive at the API alone, and below its path', async () => {
      const { send } = await setUp();
      const [mine, theirs] = [new URL(api.url), new URL(other.url)];
      const part = (...parts: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...parts);
      const address = fc
        .tuple(
          part('http:', 'http:', 'http:', 'HTTP:', 'ht\ntp:'),
          part('//', '//', '//', '\\\\', '/\\', '///'),
          part(
            '',
            '',
            '',
            '',
            'user@',
            'user:pass@',
            `${mine.host}@`,
            `${mine.host}/api/@`,
            `${theirs.host}\\@`,
            `${theirs.host}#@`,
            `${theirs.host}?@`,
          ),
          part('127.0.0.1', '127.0.0.1', '127.0.0.1', '127.1', '2130706433', '0x7f.1', '%3127.0.0.1', '127。0。0。1', 'localhost'),
          part(`:${mine.port}`, `:${mine.port}`, `:${mine.port}`, `:0${mine.port}`, `:${theirs.port}`),
          part('/api', '/api', '/api/', '/API', '/api.', '//api', '/%61pi', '/x/api'),
          fc
            .array(
              part(
                '/',
                '/..',
                '/.',
                '/%2e%2e',
                '/..%2f',
                '\\..',
                '%2F',
                '%5c',
                '/..;',
                '/a',
                '?next=/..',
                '#',
                '\t',
                '/%252e%252e',
                '@evil',
              ),
              { maxLength: 5 },
            )
            .map((parts) => parts.join('')),
        )
        .map((parts) => parts.join(''));
      for (const url of fc.sample(address, { numRuns: runs(300, 3_000), seed: 7 })) await send({ url }).catch(() => undefined); // some are no address
      const carried = api.seen.filter(hasToken);
      expect(carried.length).toBeGreaterThan(10);
      expect(
        carried.filter(({ path }) => !/^\/api(\/|\?|$)/.test(path) || /\/\.\.?(\/|;|$)|\\/.test(decoded(path.split('?')[0] ?? ''))),
      ).toEqual([]);
      expect(api.seen.length - carried.length + other.seen.length).toBeGreaterThan(10);
      expect(other.seen.filter(hasToken)).toEqual([]);
    });

    it.each(['Authorization', 'authorization', 'AUTHORIZATION'])(
      '6750-1 a caller’s own %s is never overwritten, nor renewed for',
      async (header) => {
        const { send, authority } = await setUp();
        api.on('/api/own', refuses());
        expect(await send({ url: `${api.url}/api/own`, headers: { [header]: 'Basic mine' } })).toEqual({ status: 401, body: 'refused' });
        expect(tokens(api)).toEqual(['Basic mine']);
        expect(authority.refreshes).toHaveLength(0);
      },
    );

    it('while nobody is signed in requests pass without a token', async () => {
      const { send, store } = await setUp();
      await store.setDefault(null);
      api.on('/api/open', says('ok'));
      expect((await send({ url: `${api.url}/api/open` })).status).toBe(200);
      expectBare(api);
    });

    it('E18 an expired token is renewed before, and the new one is sent', async () => {
      const { send, browser, credential, authority } = await setUp({}, { lifetimeS: 60 });
      await browser.advance(60_000);
      const expired = bearer(credential);
      api.on('/api/orders', says('ok'));
      await send({ url: `${api.url}/api/orders` });
      expect(tokens(api)).toEqual([bearer(credential)]);
      expect(bearer(credential)).not.toBe(expired);
      expect(authority.refreshes).toHaveLength(1);
    });

    it('E18 E21 an expired token that cannot be renewed is not sent: the error says why', async () => {
      const { send, browser, authority } = await setUp({}, { lifetimeS: 60 });
      await browser.advance(60_000);
      authority.next(offline(), offline(), offline());
      expect(await codeOf(inTime(browser, send({ url: `${api.url}/api/orders` })))).toBe('network_error');
      expect(api.seen).toEqual([]);
    });

    it('E20 waiting for a token is bounded: `timeout`, and nothing was sent', async () => {
      const { send, browser, authority } = await setUp({ waitMs: 5_000 }, { lifetimeS: 60 });
      await browser.advance(60_000);
      authority.hold();
      expect(await codeOf(inTime(browser, send({ url: `${api.url}/api/orders` })))).toBe('timeout');
      expect(api.seen).toEqual([]);
      authority.refreshes[0]?.answer();
      await settle();
    });

    it('6750-4 a 401 is one refresh and one retry, with the same method, headers and body', async () => {
      const { send, authority, credential } = await setUp();
      const first = bearer(credential);
      api.on('/api/orders', refusesFirst());
      const request = {
        url: `${api.url}/api/orders`,
        method: 'PUT',
        headers: { 'x-test': '1', 'content-type': 'text/plain' },
        body: 'größe',
      };
      expect(await send(request)).toEqual({ status: 200, body: 'ok' });
      expect(tokens(api)).toEqual([first, bearer(credential)]);
      expect(api.seen.map(({ method, body, headers }) => [method, body, headers['x-test']])).toEqual(Array(2).fill(['PUT', 'größe', '1']));
      expect(authority.refreshes).toHaveLength(1);
    });

    it('6750-4 a second 401 goes to the caller; 401 for ever is a bounded number of requests', async () => {
      const { send, authority } = await setUp();
      api.on('/api/never', refuses());
      expect(await send({ url: `${api.url}/api/never` })).toEqual({ status: 401, body: 'refused' });
      expect([api.seen.length, authority.refreshes.length]).toEqual([2, 1]);
      for (let i = 0; i < 10; i++) expect((await send({ url: `${api.url}/api/never` })).status).toBe(401);
      expect([api.seen.length, authority.refreshes.length]).toEqual([12, 1]);
    });

    it('6750-2 each resource has its own credential, for its own methods', async () => {
      const places = [`${api.url}/api/a/`, { url: `${api.url}/api/b/`, credential: { tags: 'b' }, methods: ['GET'] }] as const;
      const { send, store, authority, credential } = await setUp({ resources: places });
      const bob = await store.store(authority.signIn({ sub: 'bob' }), { tags: ['b'] });
      for (const path of ['/api/a/', '/api/b/']) api.on(path, says('ok'));
      await send({ url: `${api.url}/api/a/` });
      await send({ url: `${api.url}/api/b/` });
      await send({ url: `${api.url}/api/b/`, method: 'POST', body: '' });
      expect(tokens(api)).toEqual([bearer(credential), bearer(bob), undefined]);
    });

    it('STEP-2 the better token that the application brings is what the retry carries', async () => {
      const got = await setUp({
        stepUp: async (_, credential) => {
          await got.store.store(got.authority.signIn({ scope: 'openid more' }), { replace: credential });
          return true;
        },
      });
      const first = bearer(got.credential);
      api.on('/api/more', (response, { headers: { authorization } }) =>
        (authorization === first ? refuses(403, 'Bearer error="insufficient_scope", scope="more"') : says('more'))(response, {} as never),
      );
      expect(await got.send({ url: `${api.url}/api/more` })).toEqual({ status: 200, body: 'more' });
      expect(tokens(api)).toEqual([first, bearer(got.credential)]);
      expect(bearer(got.credential)).not.toBe(first);
    });

    it('STEP-2 a step-up that signs in another user makes up for nothing: the answer is the caller’s', async () => {
      const got = await setUp({
        stepUp: async (_, credential) => {
          await got.store.store(got.authority.signIn({ sub: 'bob' }), { replace: credential });
          return true;
        },
      });
      const first = bearer(got.credential);
      api.on('/api/more', refuses(403, 'Bearer error="insufficient_scope", scope="more"'));
      expect(await got.send({ url: `${api.url}/api/more`, method: 'POST', body: 'pay' })).toEqual({ status: 403, body: 'refused' });
      expect(tokens(api)).toEqual([first]);
    });

    it('D-038 a token that was taken and refused later is renewed, whatever was renewed before: by a request that cannot be sent again, too', async () => {
      const { send, credential, authority } = await setUp();
      const dead = new Set<unknown>();
      api.on('/api/orders', (response, { headers: { authorization } }) =>
        (dead.has(authorization) ? refuses() : says('ok'))(response, {} as never),
      );
      const [get, upload] = [
        { url: `${api.url}/api/orders` },
        { url: `${api.url}/api/orders`, method: 'POST', body: 'x', isReadOnce: true },
      ];
      const died = (): unknown => dead.add(bearer(credential));
      for (const request of [get, upload, upload, get]) {
        died();
        const before = authority.refreshes.length;
        expect((await send(request)).status).toBe(request === upload ? 401 : 200);
        for (let turns = 0; turns < 100 && authority.refreshes.length === before; turns++) await settle(); // for those who come after
        expect((await send(get)).status).toBe(200);
      }
      expect(authority.refreshes).toHaveLength(4);
    });

    it('E12 a 401 is not made up for with the token of another user, who took the credential’s place meanwhile', async () => {
      const { send, store, authority, credential } = await setUp();
      const first = bearer(credential);
      api.on('/api/pay', (...args) => {
        const bobs = authority.signIn({ sub: 'bob' });
        void store.store(bobs, { replace: credential }).then(() => refuses()(...args));
      });
      expect(await send({ url: `${api.url}/api/pay`, method: 'POST', body: 'pay' })).toEqual({ status: 401, body: 'refused' });
      expect(credential.claims?.sub).toBe('bob');
      expect(tokens(api)).toEqual([first]);
    });

    it('E12 what waits after a 429 is sent again as the user who asked, whoever is the default by then', async () => {
      const { send, store, authority, browser, credential } = await setUp({ retryAfterMaxMs: 5_000 });
      const bob = await store.store(authority.signIn({ sub: 'bob' }));
      const busy: Answering = (response) => {
        api.on('/api/pay', says('paid'));
        void store.setDefault(bob).then(() => response.writeHead(429, { 'Retry-After': '3' }).end('busy'));
      };
      api.on('/api/pay', busy);
      const sent = send({ url: `${api.url}/api/pay`, method: 'POST', body: 'pay' });
      expect(await inTime(browser, sent)).toEqual({ status: 200, body: 'paid' });
      expect(tokens(api)).toEqual(Array(2).fill(bearer(credential)));
    });

    it('6750-4 fifty 401 at the same time are one refresh and fifty retries', async () => {
      const { send, authority, credential } = await setUp();
      const first = bearer(credential);
      let refused = 0;
      let late: (() => void)[] = [];
      api.on('/api/orders', (response, { headers: { authorization } }) => {
        if (authorization !== first) return void response.end('ok');
        late.push(() => response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end());
        refused++;
        if (late.length < 6 && refused < 50) return; // a browser sends six to an origin at a time
        late.forEach((refuse) => refuse());
        late = [];
      });
      const all = await Promise.all(Array.from({ length: 50 }, () => send({ url: `${api.url}/api/orders` })));
      expect(all.map(({ status }) => status)).toEqual(Array(50).fill(200));
      expect(authority.refreshes).toHaveLength(1);
      expect(tokens(api).filter((one) => one === bearer(credential))).toHaveLength(50);
    });

    it('6750-4 a stream whose POST is refused is not sent again; the next one waits for the new token, and is one refresh', async () => {
      const { send, authority, credential } = await setUp();
      const first = bearer(credential);
      api.on('/api/upload', refusesFirst());
      authority.hold();
      const upload = { url: `${api.url}/api/upload`, method: 'POST', body: 'data', isReadOnce: true };
      expect(await send(upload)).toEqual({ status: 401, body: 'refused' });
      const next = send(upload);
      while (authority.refreshes.length === 0) await settle();
      for (let turns = 0; turns < 20; turns++) await settle();
      expect(api.seen).toHaveLength(1);
      authority.refreshes[0]?.answer();
      expect(await next).toEqual({ status: 200, body: 'ok' });
      expect(tokens(api)).toEqual([first, bearer(credential)]);
      expect(authority.refreshes).toHaveLength(1);
    });

    it('E13 the same request sent twice is renewed for twice: no mark travels with it', async () => {
      const { send, authority } = await setUp();
      const request = Object.freeze({ url: `${api.url}/api/orders` });
      for (const times of [1, 2]) {
        api.on('/api/orders', refusesFirst());
        expect((await send(request)).status).toBe(200);
        expect(authority.refreshes).toHaveLength(times);
      }
    });

    it('6750-4 403 insufficient_scope is an event and the caller’s answer', async () => {
      const { send, authority, events } = await setUp();
      api.on('/api/admin', refuses(403, 'Bearer error="insufficient_scope", scope="admin"'));
      expect(await send({ url: `${api.url}/api/admin` })).toEqual({ status: 403, body: 'refused' });
      expect(api.seen).toHaveLength(1);
      expect(authority.refreshes).toHaveLength(0);
      expect(events.at(-1)).toMatchObject({ type: 'challenged', error: 'insufficient_scope', scope: 'admin', resource: `${api.url}/api/` });
    });

    it('STEP-2 step-up for ever is one prompt and one retry', async () => {
      let prompts = 0;
      const { send } = await setUp({ stepUp: () => (prompts++, true) });
      api.on('/api/pay', refuses(401, 'Bearer error="insufficient_user_authentication", acr_values="gold"'));
      for (let i = 0; i < 5; i++) expect((await send({ url: `${api.url}/api/pay` })).status).toBe(401);
      expect([prompts, api.seen.length]).toEqual([1, 6]);
    });

    it.each([429, 503])('%d with Retry-After is tried once more, if the application says so', async (status) => {
      const { send, browser, platform } = await setUp({ retryAfterMaxMs: 5_000 });
      let first = true;
      api.on('/api/busy', (response) => {
        if (!first) return void response.end('ok');
        first = false;
        response.writeHead(status, { 'Retry-After': '3' }).end('busy');
      });
      const sent = send({ url: `${api.url}/api/busy` });
      expect(await inTime(browser, sent)).toEqual({ status: 200, body: 'ok' });
      expect(platform.delays).toContain(3_000);
      expect(api.seen).toHaveLength(2);
    });

    it.each([301, 302, 303, 307, 308])('HT-3 a %d to another origin carries nothing there', async (status) => {
      const { send } = await setUp();
      api.on('/api/away', leadsTo(`${other.url}/api/taken`, status));
      other.on('/api/taken', says('elsewhere'));
      expect(await send({ url: `${api.url}/api/away` })).toEqual({ status: 200, body: 'elsewhere' });
      expect([api.seen.length, other.seen.length]).toEqual([1, 1]);
      expectBare(other);
    });

    it('HT-3 the other origin’s 401 is the caller’s: there is no renewal, and nothing goes there', async () => {
      const { send, authority } = await setUp();
      api.on('/api/away', leadsTo(`${other.url}/login`));
      other.on('/login', refuses());
      expect(await send({ url: `${api.url}/api/away` })).toEqual({ status: 401, body: 'refused' });
      expectBare(other);
      expect(authority.refreshes).toEqual([]);
      expect([api.seen.length, other.seen.length]).toEqual([1, 1]);
    });

    it.each([
      [401, 'insufficient_user_authentication", acr_values="gold'],
      [403, 'insufficient_scope", scope="more'],
    ])('HT-3 STEP-2 the other origin’s %d that asks for more asks nobody', async (status, error) => {
      const stepUp = jest.fn(() => true);
      const { send, authority, events } = await setUp({ stepUp });
      api.on('/api/away', leadsTo(`${other.url}/more`));
      other.on('/more', refuses(status, `Bearer error="${error}"`));
      expect(await send({ url: `${api.url}/api/away` })).toEqual({ status, body: 'refused' });
      expect(stepUp).not.toHaveBeenCalled();
      expect(events.filter(({ type }) => type === 'challenged')).toEqual([]);
      expect(authority.refreshes).toEqual([]);
      expect([api.seen.length, other.seen.length]).toEqual([1, 1]);
      expectBare(other);
    });

    it('HT-3 a redirect within the list carries the token', async () => {
      const { send, credential } = await setUp();
      api.on('/api/old', leadsTo('/api/new', 307));
      api.on('/api/new', says('new'));
      expect(await send({ url: `${api.url}/api/old` })).toEqual({ status: 200, body: 'new' });
      expect(tokens(api)).toEqual(Array(2).fill(bearer(credential)));
    });

    it('HT-3 E12 a redirect is followed as the user who asked, whoever is the default by then', async () => {
      const { send, store, authority, credential } = await setUp();
      const bob = await store.store(authority.signIn({ sub: 'bob' }));
      api.on('/api/old', (...args) => void store.setDefault(bob).then(() => leadsTo('/api/new', 307)(...args)));
      api.on('/api/new', says('paid'));
      expect(await send({ url: `${api.url}/api/old`, method: 'POST', body: 'pay' })).toEqual({ status: 200, body: 'paid' });
      expect(tokens(api)).toEqual(Array(2).fill(bearer(credential)));
    });

    it.each([401, 429])('HT-3 a POST that was taken is not sent again for the %d of the place it led to', async (status) => {
      const { send, browser, authority } = await setUp({ retryAfterMaxMs: 5_000 });
      api.on('/api/orders', leadsTo('/api/orders/1', 303));
      api.on('/api/orders/1', (response) =>
        response.writeHead(status, { 'WWW-Authenticate': 'Bearer error="invalid_token"', 'Retry-After': '3' }).end('refused'),
      );
      const sent = send({ url: `${api.url}/api/orders`, method: 'POST', body: 'pay' });
      expect(await inTime(browser, sent)).toEqual({ status, body: 'refused' });
      expect(api.seen.filter(({ method }) => method === 'POST')).toHaveLength(1);
      while (status === 401 && authority.refreshes.length === 0) await settle(); // for those who come after
    });

    if (tellsRedirects)
      it.each([
        [401, '/api/orders'],
        [401, '/api/orders?made=1'],
        [429, '/api/orders'],
      ])('HT-3 nor for the %d of its own address, to which it led: %s', async (status, place) => {
        const { send, browser, authority } = await setUp({ retryAfterMaxMs: 5_000 });
        api.on('/api/orders', (response, seen) =>
          seen.method === 'POST'
            ? leadsTo(place, 303)(response, seen)
            : api.seen.length > 2
              ? says('ok')(response, seen)
              : response.writeHead(status, { 'WWW-Authenticate': 'Bearer error="invalid_token"', 'Retry-After': '3' }).end('refused'),
        );
        await inTime(browser, send({ url: `${api.url}/api/orders`, method: 'POST', body: 'pay' }));
        expect(api.seen.filter(({ method }) => method === 'POST')).toHaveLength(1);
        while (status === 401 && authority.refreshes.length === 0) await settle();
      });

    it('HT-3 a GET that was redirected is sent again for the 401 of the place it led to', async () => {
      const { send, authority } = await setUp();
      api.on('/api/old', leadsTo('/api/new'));
      api.on('/api/new', refusesFirst());
      expect(await send({ url: `${api.url}/api/old` })).toEqual({ status: 200, body: 'ok' });
      expect(authority.refreshes).toHaveLength(1);
    });

    if (looksUpRedirects)
      it('HT-3 a redirect to a place of the same origin that is off the list carries nothing', async () => {
        const { send } = await setUp();
        api.on('/api/old', leadsTo('/public'));
        api.on('/public', says('public'));
        expect(await send({ url: `${api.url}/api/old` })).toEqual({ status: 200, body: 'public' });
        expect(tokens(api)[1]).toBeUndefined();
      });

    it('HT-3 redirects for ever end, after a bounded number of requests', async () => {
      const { send } = await setUp();
      api.on('/api/round', leadsTo('/api/round'));
      await expect(send({ url: `${api.url}/api/round` })).rejects.toBeDefined();
      expect(api.seen.length).toBeLessThanOrEqual(25);
    });

    it('6750-4 a refusal whose body never ends can be left, is asked for twice at most, and sends its token nowhere else', async () => {
      const { send } = await setUp();
      api.on('/api/endless', (response) => {
        response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' });
        response.write('no, ');
      });
      const leaving = new AbortController();
      const answer = send({ url: `${api.url}/api/endless`, signal: leaving.signal });
      answer.catch(() => undefined);
      await api.arrived(1);
      for (let turns = 0; turns < 20; turns++) await settle();
      leaving.abort();
      await expect(answer).rejects.toBeDefined();
      expect(api.seen.length).toBeLessThanOrEqual(2);
      expectBare(other);
    });

    it('a slow body arrives whole', async () => {
      const { send } = await setUp();
      let finish = (): void => undefined;
      api.on('/api/slow', (response) => {
        response.write('first ');
        finish = () => response.end('second');
      });
      const answer = send({ url: `${api.url}/api/slow` });
      await api.arrived(1);
      finish();
      expect(await answer).toEqual({ status: 200, body: 'first second' });
    });

    it('a body that never ends can be left: its connection is closed', async () => {
      const { send } = await setUp();
      api.on('/api/slow', (response) => void response.write('first '));
      const leaving = new AbortController();
      const answer = send({ url: `${api.url}/api/slow`, signal: leaving.signal });
      await api.arrived(1);
      leaving.abort();
      await expect(answer).rejects.toBeDefined();
      await api.seen[0]?.cut;
    });

    it('RF-10 who leaves while a token is renewed sends nothing; the refresh goes on, and is kept', async () => {
      const { send, browser, authority, credential } = await setUp({}, { lifetimeS: 60 });
      await browser.advance(60_000);
      const expired = bearer(credential);
      authority.hold();
      const leaving = new AbortController();
      const answer = send({ url: `${api.url}/api/orders`, signal: leaving.signal });
      answer.catch(() => undefined);
      while (authority.refreshes.length === 0) await settle();
      leaving.abort();
      await expect(answer).rejects.toBeDefined();
      authority.refreshes[0]?.answer();
      while (credential.status.activity !== 'idle') await settle();
      expect(bearer(credential)).not.toBe(expired);
      expect(api.seen).toEqual([]);
    });

    it('RF-10 who leaves after a 401 is not tried again; the refresh goes on', async () => {
      const { send, authority, credential } = await setUp();
      const first = bearer(credential);
      api.on('/api/orders', refuses());
      authority.hold();
      const leaving = new AbortController();
      const answer = send({ url: `${api.url}/api/orders`, signal: leaving.signal });
      answer.catch(() => undefined);
      while (authority.refreshes.length === 0) await settle();
      leaving.abort();
      await expect(answer).rejects.toBeDefined();
      authority.refreshes[0]?.answer();
      while (credential.status.activity !== 'idle') await settle();
      expect(bearer(credential)).not.toBe(first);
      expect(api.seen).toHaveLength(1);
    });
  });
}

const hasToken = ({ headers }: Seen): boolean => String(headers['authorization']).startsWith('Bearer');

/** A path as a server decodes it. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // it is no encoding
  }
}
