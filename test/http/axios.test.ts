import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import axios, { AxiosError, AxiosHeaders, type AxiosAdapter, type AxiosRequestConfig, type InternalAxiosRequestConfig } from 'axios';
import { credentialsInterceptor } from '../../src/http/axios.js';
import type { AttachmentOptions } from '../../src/http/attachment.js';
import type { Credential } from '../../src/store/credential.js';
import { originsOfTests, type Answering } from '../contract/http-origins.js';
import { closeAll, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);
const openOrigin = originsOfTests();

const API = 'https://api.example.com/v1/';
const bearer = ({ token }: Credential): string => `Bearer ${token?.accessToken}`;

/** An instance over an adapter that answers with statuses, the last one for ever; what it was given is kept. */
async function setUp(statuses: readonly number[] = [200], options: Partial<AttachmentOptions> = {}, defaults: AxiosRequestConfig = {}) {
  const world = createWorld();
  const tab = await world.openTab();
  const credential = await tab.store.store(world.authority.signIn());
  const sent: InternalAxiosRequestConfig[] = [];
  const adapter: AxiosAdapter = async (config) => {
    sent.push(config);
    const status = statuses[Math.min(sent.length, statuses.length) - 1] ?? 200;
    const data: unknown = config.responseType === 'stream' ? Readable.from(['x']) : 'answer';
    const response = { data, status, statusText: '', headers: {}, config, request: {} };
    if (config.validateStatus?.(status) ?? true) return response;
    throw new AxiosError(`status ${status}`, 'ERR_BAD_REQUEST', config, {}, response);
  };
  const instance = axios.create({ adapter, ...defaults });
  instance.interceptors.request.use(credentialsInterceptor(tab.store, { resources: [API], platform: tab.platform, ...options }));
  return { ...world, ...tab, credential, sent, instance, tokens: () => sent.map(({ headers }) => headers.get('Authorization')) };
}

describe('what is attached', () => {
  it('6750-1 a token, by the address that comes of `baseURL`, `url` and `params`', async () => {
    const { instance, tokens, credential } = await setUp([200], {}, { baseURL: API });
    await instance.get('orders', { params: { q: 1 } });
    await instance.get('../other');
    await instance.get(`${API}x`);
    await instance.get('https://evil.test/v1/');
    expect(tokens()).toEqual([bearer(credential), undefined, bearer(credential), undefined]);
  });

  it('6750-2 a path goes where `baseUrl` says it was looked up; `params` stay, and what is absolute is the adapter’s as it was given', async () => {
    const { instance, sent } = await setUp([200], { baseUrl: () => 'https://api.example.com/' });
    const { config } = await instance.get('orders', { baseURL: '/v1', params: { q: 1 } });
    await instance.request(config);
    await instance.get('orders', { baseURL: API });
    await instance.get('/off', { baseURL: '/x' });
    expect(sent.map((one) => [one.baseURL, one.url])).toEqual([
      [undefined, `${API}orders`],
      [undefined, `${API}orders`],
      [API, 'orders'],
      ['/x', '/off'],
    ]);
    expect(sent[1]?.params).toEqual({ q: 1 });
  });

  it('6750-2 what was looked up is sent, also where the adapter takes no notice of `allowAbsoluteUrls`, as before axios 1.8.3', async () => {
    const { instance, sent, credential, tokens } = await setUp([200], {}, { baseURL: API, allowAbsoluteUrls: false });
    const { config } = await instance.get('https://evil.test/steal', { params: { q: 1 } });
    await instance.request(config);
    const url = `${API}https://evil.test/steal`;
    expect(sent[0]).toMatchObject({ baseURL: undefined, url, allowAbsoluteUrls: true, params: { q: 1 } });
    expect(sent[1]?.url).toBe(url);
    expect(tokens()).toEqual([bearer(credential), bearer(credential)]);
  });

  it('6750-2 by the address that other interceptors leave: one that runs later changes where the token may go', async () => {
    const { store, platform } = await setUp();
    const seen: unknown[] = [];
    const instance = axios.create({
      adapter: async (config) => (
        seen.push(config.headers.get('Authorization')),
        { data: '', status: 200, statusText: '', headers: {}, config }
      ),
    });
    instance.interceptors.request.use((config) => ({ ...config, url: 'https://evil.test/' }));
    instance.interceptors.request.use(credentialsInterceptor(store, { resources: [API], platform })); // the last one runs first
    await instance.get(API);
    expect(seen).toEqual([undefined]);
  });

  it('6750-2 what is set in `axios.defaults` is no part of a request of an instance', async () => {
    const { instance, tokens } = await setUp();
    axios.defaults.baseURL = API;
    try {
      await instance.get('/orders'); // to the page’s own origin
    } finally {
      delete axios.defaults.baseURL;
    }
    expect(tokens()).toEqual([undefined]);
  });

  it.each<[string, AxiosRequestConfig]>([
    ['a header', { headers: { authorization: 'Basic x' } }],
    ['`auth`', { auth: { username: 'u', password: 'p' } }],
  ])('6750-1 nothing over %s of the caller’s own', async (_, config) => {
    const { instance, sent, authority } = await setUp([401]);
    await expect(instance.get(API, config)).rejects.toMatchObject({ status: 401 });
    expect(sent[0]?.headers.get('Authorization')).toBe(config.headers ? 'Basic x' : undefined);
    expect(authority.refreshes).toHaveLength(0);
  });
});

describe('what the caller sees', () => {
  it('E13 HT-9 neither token nor mark in an answer, and its `config` can be sent again', async () => {
    const { instance, credential, tokens, authority } = await setUp([401, 200, 401, 200]);
    const first = bearer(credential);
    const answer = await instance.post(API, { a: 1 });
    expect(JSON.stringify(answer.config)).not.toContain('CANARY');
    expect(answer.config.headers.has('Authorization')).toBe(false);
    const second = bearer(credential);
    expect((await instance.request(answer.config)).status).toBe(200); // renewed for in its turn
    expect(tokens()).toEqual([first, second, second, bearer(credential)]);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('HT-9 nor in an error, whose `config` can be sent again, too', async () => {
    const { instance, tokens, credential } = await setUp([500, 200]);
    const error = await instance.get(API).catch((reason: unknown) => reason as AxiosError);
    if (!(error instanceof AxiosError) || !error.config) throw new Error('it was not refused');
    expect(`${JSON.stringify(error)} ${JSON.stringify(error.config)} ${JSON.stringify(error.response?.config)}`).not.toContain('CANARY');
    expect((await instance.request(error.config)).status).toBe(200);
    expect(tokens()).toEqual([bearer(credential), bearer(credential)]);
  });

  it('one interceptor twice, or two of the same list, is one token and one retry', async () => {
    const { instance, store, platform, sent, authority } = await setUp([401]);
    instance.interceptors.request.use(credentialsInterceptor(store, { resources: [API], platform }));
    await expect(instance.get(API)).rejects.toMatchObject({ status: 401 });
    expect(authority.refreshes.length).toBeLessThanOrEqual(1);
    expect(sent.length).toBeLessThanOrEqual(2);
  });

  it('a 401 that does not count as an error is renewed for all the same', async () => {
    const { instance, sent } = await setUp([401, 200]);
    expect((await instance.get(API, { validateStatus: () => true })).status).toBe(200);
    expect(sent).toHaveLength(2);
  });

  it('a caller who leaves while the token is renewed gets axios’s own error', async () => {
    for (const how of ['signal', 'cancelToken', 'the second of both'] as const) {
      const { instance, browser, authority, sent } = await setUp();
      await browser.advance(3_600_000);
      authority.hold();
      const leaving = new AbortController();
      const source = axios.CancelToken.source();
      const both = { signal: leaving.signal, cancelToken: source.token };
      const answer = instance.get(
        API,
        how === 'signal' ? { signal: both.signal } : how === 'cancelToken' ? { cancelToken: both.cancelToken } : both,
      );
      await settle();
      if (how === 'signal') leaving.abort();
      else source.cancel();
      const error = await answer.catch((reason: unknown) => reason);
      expect(axios.isCancel(error)).toBe(true);
      expect(sent).toEqual([]);
      authority.refreshes[0]?.answer();
      await settle();
    }
  });
});

it('leaves no listener at a CancelToken', async () => {
  const { instance } = await setUp([401, 200]);
  const { token } = axios.CancelToken.source();
  for (let i = 0; i < 3; i++) await instance.get(API, { cancelToken: token });
  expect((token as { readonly _listeners?: readonly unknown[] })._listeners ?? []).toEqual([]);
});

it('gives axios, which keeps what it makes for each `fetch`, one for all interceptors', async () => {
  const env = { fetch: async () => new Response('ok') };
  const [one, two] = [await setUp(), await setUp()];
  expect((await one.instance.get<unknown>(API, { adapter: 'fetch', env })).data).toBe('ok');
  const set = jest.spyOn(Map.prototype, 'set');
  expect((await two.instance.get<unknown>(API, { adapter: 'fetch', env })).data).toBe('ok');
  const made = set.mock.calls.filter(([key]) => typeof key === 'function');
  set.mockRestore();
  expect(made).toEqual([]);
});

describe('a program with another copy of axios, as CommonJS has it, of before 1.9', () => {
  type Axios = typeof axios;
  const iterator = Object.getOwnPropertyDescriptor(AxiosHeaders.prototype, Symbol.iterator) ?? {};
  let other: Axios;
  beforeEach(async () => {
    await jest.isolateModulesAsync(async () => void (other = (await import('axios')).default));
    for (const one of [axios, other]) Object.defineProperty(one.AxiosHeaders.prototype, Symbol.iterator, { ...iterator, value: undefined });
  });
  afterEach(() => Object.defineProperty(AxiosHeaders.prototype, Symbol.iterator, iterator));

  async function openServer() {
    const { store, platform, credential } = await setUp();
    const origin = await openOrigin();
    const refuse = (response: ServerResponse): void => void response.writeHead(401, { 'X-Back': '1', 'Retry-After': '0' }).end();
    origin.on('/api/pay', (response, { headers }) =>
      headers['authorization'] === bearer(credential) ? void response.writeHead(200, { 'X-Back': '1' }).end() : refuse(response),
    );
    origin.on('/off', refuse);
    const instance = other.create({ adapter: 'http', proxy: false });
    instance.interceptors.request.use(credentialsInterceptor(store, { resources: [`${origin.url}/api/`], platform }));
    return { origin, instance, credential };
  }
  const headers = { 'Idempotency-Key': 'k1', 'User-Agent': false } as const;
  const seenOf = ({ seen }: Awaited<ReturnType<typeof openOrigin>>) =>
    seen.map((one) => [one.headers['idempotency-key'], one.headers['content-type'], one.headers['user-agent']]);

  it('6750-1 neither headers of the caller nor those of the answer are lost, with a token', async () => {
    const { origin, instance, credential } = await openServer();
    expect(other.AxiosHeaders).not.toBe(AxiosHeaders);
    const answer = await instance.post(`${origin.url}/api/pay`, { amount: 1 }, { headers });
    expect(origin.seen[0]?.headers['authorization']).toBe(bearer(credential));
    await instance.request(answer.config);
    expect(seenOf(origin)).toEqual(Array(2).fill(['k1', 'application/json', undefined]));
    expect(answer.headers['x-back']).toBe('1');
    expect([answer.headers, answer.config.headers].map((one) => one instanceof other.AxiosHeaders)).toEqual([true, true]);
    expect(JSON.stringify(answer.config)).not.toContain('CANARY');
  });

  it('nor without, and an error can be sent again by its `config`', async () => {
    const { origin, instance } = await openServer();
    const error = await instance.post(`${origin.url}/off`, { amount: 1 }, { headers }).catch((reason: unknown) => reason as AxiosError);
    if (!other.isAxiosError(error) || !error.config) throw new Error('it was not refused');
    expect(error.response?.headers['x-back']).toBe('1');
    await expect(instance.request(error.config)).rejects.toMatchObject({ status: 401 });
    expect(seenOf(origin)).toEqual(Array(2).fill(['k1', 'application/json', undefined]));
  });

  it('6750-4 an adapter of the caller’s own has, and gives, headers of its own copy', async () => {
    const { store, platform, authority } = await setUp();
    const seen: unknown[] = [];
    const adapter: AxiosAdapter = async (config) => {
      seen.push(config.headers instanceof other.AxiosHeaders, config.headers.get('Idempotency-Key'));
      const given = new other.AxiosHeaders({ 'WWW-Authenticate': 'Bearer error="invalid_request"' }); // not about the token
      return { data: '', status: 401, statusText: '', headers: given, config };
    };
    const instance = other.create({ adapter });
    instance.interceptors.request.use(credentialsInterceptor(store, { resources: [API], platform }));
    await instance.get(API, { headers });
    expect(seen).toEqual([true, 'k1']);
    expect(authority.refreshes).toHaveLength(0);
  });
});

describe('6750-4 bodies', () => {
  it.each<[string, () => unknown, number]>([
    ['an object', () => ({ a: 1 }), 2],
    ['text', () => 'x', 2],
    ['a form', () => new URLSearchParams({ a: '1' }), 2],
    ['a form of parts', () => new FormData(), 2],
    ['none', () => undefined, 2],
    ['a stream', () => Readable.from(['x']), 1],
  ])('%s is sent %d times', async (_, body, times) => {
    const { instance, sent } = await setUp([401, 200]);
    await instance.post(API, body()).catch(() => undefined);
    expect(sent).toHaveLength(times);
  });

  it('the stream of an answer that is made up for is let go of', async () => {
    const streams: Readable[] = [];
    const { instance } = await setUp(
      [401, 200],
      {},
      {
        transformResponse: (data: Readable) => (streams.push(data), data),
      },
    );
    const made = jest.spyOn(Readable.prototype, 'destroy');
    const answer = await instance.get<Readable>(API, { responseType: 'stream' });
    expect(made).toHaveBeenCalledTimes(1);
    made.mockRestore();
    expect(answer.data.destroyed).toBe(false);
  });
});

it.each<[string, number]>([
  [`${API}moved`, 2],
  ['https://elsewhere.example/', 1],
  ['', 2],
])('HT-3 a 401 that a browser was led to at %j is sent %d times', async (responseURL, times) => {
  const { store, platform } = await setUp();
  let sent = 0;
  const instance = axios.create({
    adapter: async (config) => (sent++, { data: '', status: 401, statusText: '', headers: {}, config, request: { responseURL } }),
  });
  instance.interceptors.request.use(credentialsInterceptor(store, { resources: [API], platform }));
  expect((await instance.get(API)).status).toBe(401);
  expect(sent).toBe(times);
});

it('HT-3 a redirect of the caller’s own interest is told to the caller, too', async () => {
  const { instance, sent } = await setUp();
  const told: unknown[] = [];
  await instance.get(API, { beforeRedirect: (options) => void told.push({ ...(options['headers'] as object) }) });
  const redirect = (href: string): Record<string, unknown> => {
    const headers: Record<string, unknown> = { Authorization: 'Bearer x', Cookie: 'c', 'proxy-authorization': 'p', keep: 'k' };
    sent[0]?.beforeRedirect?.({ href, method: 'GET', headers }, { headers: {}, statusCode: 302 }, {} as never);
    return headers;
  };
  expect(Object.keys(redirect(`${API}x`))).toEqual(['Authorization', 'Cookie', 'proxy-authorization', 'keep']);
  // Before, axios has dropped what was there for a proxy, and has set it for the next request
  expect(Object.keys(redirect('https://evil.test/'))).toEqual(['proxy-authorization', 'keep']);
  expect(Object.keys(redirect('https://api.example.com/other'))).toEqual(['proxy-authorization', 'keep']);
  expect(told).toHaveLength(3);
  expect(told[1]).toEqual({ 'proxy-authorization': 'p', keep: 'k' });
});

it('HT-3 behind a proxy that asks for a password a redirect that leaves the resource has it, and no token', async () => {
  const { store, platform, credential } = await setUp();
  const proxy = await openOrigin(); // what it is asked for is an absolute address: its answers are those of the servers behind it
  const moved = 'http://localhost/api/moved';
  const away = 'http://127.0.0.2/away';
  const needsPassword = (answer: Answering): Answering => {
    return (response, one) => (one.headers['proxy-authorization'] ? answer(response, one) : void response.writeHead(407).end());
  };
  proxy.on(
    moved,
    needsPassword((response) => response.writeHead(302, { Location: away }).end()),
  );
  proxy.on(
    away,
    needsPassword((response) => response.end('ok')),
  );
  const { hostname, port } = new URL(proxy.url);
  const auth = { username: 'u', password: 'p' };
  const instance = axios.create({ adapter: 'http', proxy: { protocol: 'http', host: hostname, port: Number(port), auth } });
  instance.interceptors.request.use(credentialsInterceptor(store, { resources: ['http://localhost/api/'], platform }));
  expect((await instance.get(moved)).data).toBe('ok');
  expect(proxy.seen.map(({ path, headers }) => [path, headers['authorization']])).toEqual([
    [moved, bearer(credential)],
    [away, undefined],
  ]);
});

it.each([
  [undefined, 6],
  [2, 3],
  [50, 6],
  [0, 1],
])(
  'HT-3 in Node a token follows five redirects at most, and no more than the caller wants: maxRedirects %s',
  async (maxRedirects, requests) => {
    const { store, platform } = await setUp();
    const origin = await openOrigin();
    origin.on('/round', (response) => response.writeHead(302, { Location: '/round' }).end());
    const instance = axios.create({ adapter: 'http', proxy: false, ...(maxRedirects !== undefined && { maxRedirects }) });
    instance.interceptors.request.use(credentialsInterceptor(store, { resources: [origin.url], platform }));
    await expect(instance.get(`${origin.url}/round`)).rejects.toBeDefined();
    expect(origin.seen.filter(({ headers }) => headers['authorization'])).toHaveLength(requests);
  },
);

it('forgotten options, and what is no store, are missed by name at once', async () => {
  const { store, credential } = await setUp();
  expect(() => credentialsInterceptor(store, undefined as never)).toThrow(/^resources must be a list of URLs/);
  expect(() => credentialsInterceptor(credential as never, { resources: [API] })).toThrow(
    /^store must be what createCredentialStore returned$/,
  );
});
