import { Readable } from 'node:stream';
import { createFetch, type FetchOptions } from '../../src/http/fetch.js';
import type { Credential } from '../../src/store/credential.js';
import { offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const API = 'https://api.example.com/v1/';
const OTHER = 'https://other.example/';
type Answering = (url: string, request: Request) => Response | Promise<Response>;

/** Sends to a function instead of a network; what was sent is kept as the runtime would send it. */
async function setUp(answer: Answering = () => new Response('ok'), options: Partial<FetchOptions> = {}) {
  const world = createWorld();
  const tab = await world.openTab();
  const credential = await tab.store.store(world.authority.signIn());
  const sent: Request[] = [];
  const calls: (readonly unknown[])[] = [];
  const stub: typeof fetch = async (input, init) => {
    calls.push([input, init]);
    const request = new Request(input, init);
    sent.push(request.clone());
    init?.signal?.throwIfAborted();
    const response = await answer(request.url, request);
    return Object.defineProperty(response, 'url', { value: request.url });
  };
  const send = createFetch(tab.store, { resources: [API], platform: tab.platform, fetch: stub, redirects: 'by-hand', ...options });
  return { ...world, ...tab, credential, sent, calls, send, tokens: () => sent.map(({ headers }) => headers.get('authorization')) };
}
const bearer = ({ token }: Credential): string => `Bearer ${token?.accessToken}`;
const refused = (): Response => new Response('refused', { status: 401 });
const to = (location: string, status = 302): Response => new Response('moved', { status, headers: { location } });
/** Refuses whatever token came first. */
function refusesFirst(): Answering {
  let first: string | null = null;
  return (_, { headers }) => ((first ??= headers.get('authorization')) === headers.get('authorization') ? refused() : new Response('ok'));
}
const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
function stream(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => (controller.enqueue(bytes(text)), controller.close()) });
}

describe('what is passed on', () => {
  it('6750-2 off the list: the very same arguments', async () => {
    const { send, calls } = await setUp();
    const init = { method: 'POST', body: 'x', headers: new Headers({ a: '1' }) };
    await send(OTHER, init);
    const request = new Request(OTHER);
    await send(request);
    expect(calls[0]).toEqual([OTHER, init]);
    expect(calls[0]?.[1]).toBe(init);
    expect(calls[1]?.[0]).toBe(request);
  });

  it('null as second argument is none, as fetch has it', async () => {
    const { send, calls, tokens, credential } = await setUp();
    await send(API, null as never);
    await send(OTHER, null as never);
    expect(tokens()).toEqual([bearer(credential), null]);
    expect(calls[1]?.[1]).toBe(null);
  });

  it('6750-2 an address that depends on a base is sent as it was looked up; others as they are', async () => {
    const { send, calls } = await setUp(undefined, { baseUrl: () => API });
    const [origin = ''] = /^https:..[^/]+/.exec(API) ?? [];
    for (const text of ['a#b', 'https:a', '//api.example.com/v1/a']) await send(text);
    await send('a', new Request(OTHER, { method: 'PUT' }));
    await send(`${origin}:443/v1/../v1/a`);
    const urls = calls.map(([input]) => (input instanceof Request ? input.url : input));
    expect(urls).toEqual([`${API}a#b`, `${API}a`, `${API}a`, `${API}a`, `${origin}:443/v1/../v1/a`]);
    await send('/off').catch(() => undefined);
    expect(calls.at(-1)?.[0]).toBe('/off');
  });

  it('6750-2 a base that is none fails what depends on it, and nothing else', async () => {
    const { send, calls, tokens, credential } = await setUp(undefined, { baseUrl: () => '/' });
    await send(API);
    await send(OTHER);
    await expect(send('/orders')).rejects.toThrow(/^baseUrl must give an absolute URL/);
    expect(tokens()).toEqual([bearer(credential), null]);
    expect(calls).toHaveLength(2);
  });

  it('6750-2 `https:` without `//`, which is relative to a page of that scheme, is sent as it was looked up', async () => {
    const { send, calls } = await setUp();
    await send(API.replace('//', ''));
    expect(calls[0]?.[0]).toBe(API);
  });

  it.each<[string, HeadersInit]>([
    ['an object', { AUTHORIZATION: 'Basic x' }],
    ['a list', [['authorization', 'Basic x']]],
    ['Headers', new Headers({ Authorization: 'Basic x' })],
    ['an iterable', new Map([['Authorization', 'Basic x']]) as unknown as HeadersInit],
  ])('6750-1 with an Authorization of its own, in %s', async (_, headers) => {
    const { send, tokens } = await setUp(refused);
    expect((await send(API, { headers })).status).toBe(401);
    await send(new Request(API, { headers }));
    expect(tokens()).toEqual(['Basic x', 'Basic x']);
  });

  it('6750-1 headers of the second argument go over those of a request, as fetch has it', async () => {
    const { send, tokens, credential } = await setUp();
    const request = new Request(API, { headers: { authorization: 'Basic x' } });
    await send(request, { headers: { a: '1' } });
    expect(tokens()).toEqual([bearer(credential)]);
  });

  it.each<[string, HeadersInit | undefined]>([
    ['an object', { A: '1' }],
    ['a list', [['A', '1']]],
    ['Headers', new Headers({ A: '1' })],
    ['nothing', undefined],
  ])('6750-1 other headers stay: %s', async (_, headers) => {
    const { send, sent, credential } = await setUp();
    await send(API, headers && { headers });
    expect(Object.fromEntries(sent[0]?.headers ?? [])).toEqual({ ...(headers && { a: '1' }), authorization: bearer(credential) });
    if (headers instanceof Headers) expect(headers.has('authorization')).toBe(false);
  });

  it('URL, text and Request are the same; another request as second argument, too', async () => {
    const { send, tokens, sent, credential } = await setUp();
    for (const input of [API, new URL(API), new Request(API)]) await send(input);
    await send(API, new Request(OTHER, { method: 'PUT', headers: { a: '1' } }));
    expect(tokens()).toEqual(Array(4).fill(bearer(credential)));
    expect([sent[3]?.url, sent[3]?.method, sent[3]?.headers.get('a')]).toEqual([API, 'PUT', '1']);
  });

  it('a Request of another library with a body is sent as it is: nobody would read the other half of a clone', async () => {
    const { store } = await setUp();
    const [clone, sent] = [jest.fn(), [] as unknown[]];
    const theirs = { url: API, method: 'POST', headers: new Headers(), body: {}, bodyUsed: false, signal: null, clone };
    const plain = (input: unknown): Promise<Response> => (sent.push(input), Promise.resolve(new Response('ok')));
    await createFetch(store, { resources: [API], fetch: plain, redirects: 'platform' })(theirs as unknown as Request);
    expect(clone).not.toHaveBeenCalled();
    expect(sent).toEqual([theirs]);
  });

  it('a Request tells no more of the page than it was made to tell; with a second argument it is as fetch has it', async () => {
    const { send, calls } = await setUp(undefined, { redirects: 'platform' });
    const request = (): Request => new Request(API, { referrerPolicy: 'no-referrer', referrer: '' });
    await send(request());
    expect(calls[0]?.[1]).toMatchObject({ referrerPolicy: 'no-referrer', referrer: '' });
    await send(request(), { signal: undefined });
    expect(calls[1]?.[1]).toMatchObject({ referrerPolicy: 'no-referrer', referrer: '' });
    await send(request(), { headers: { a: '1' } });
    expect(calls[2]?.[1]).not.toHaveProperty('referrerPolicy');
  });

  it('the caller’s own objects stay as they were', async () => {
    const { send } = await setUp(refusesFirst());
    const init = Object.freeze({ headers: Object.freeze({ a: '1' }), method: 'POST', body: 'x' });
    expect((await send(API, init)).status).toBe(200);
  });

  it('the answer is the runtime’s own', async () => {
    const answer = new Response('x', { status: 418, headers: { a: '1' } });
    const { send } = await setUp(() => answer);
    expect(await send(API)).toBe(answer);
  });

  it('what the network throws is thrown, and not tried again', async () => {
    const error = new TypeError('fetch failed');
    const { send, sent } = await setUp(() => Promise.reject(error));
    await expect(send(API)).rejects.toBe(error);
    expect(sent).toHaveLength(1);
  });
});

describe('what the caller does with the arguments afterwards changes nothing, as with fetch', () => {
  it('6750-2 a URL object that leads off the list by then carries no token there', async () => {
    const { send, sent, authority } = await setUp(refusesFirst());
    authority.hold();
    const url = new URL('orders', API);
    const answer = send(url);
    url.host = 'elsewhere.example';
    await settle();
    authority.refreshes[0]?.answer();
    expect((await answer).status).toBe(200);
    expect(sent.map((one) => one.url)).toEqual([`${API}orders`, `${API}orders`]);
  });

  const form = new FormData();
  const params = new URLSearchParams();
  const data = new Uint8Array(3);
  it.each<[string, RequestInit['body'], (text: string) => void]>([
    ['a form', params, (text) => params.set('a', text)],
    ['a form of parts', form, (text) => form.set('a', text)],
    ['bytes', data.subarray(1, 2), (text) => data.set(bytes(text), 1)],
    ['a buffer', data.buffer, (text) => data.set(bytes(text), 1)],
  ])('%s', async (_, body, change) => {
    const { send, sent } = await setUp(refusesFirst());
    change('A');
    const answer = send(API, { method: 'POST', body: body ?? null });
    change('B');
    expect((await answer).status).toBe(200);
    const bodies = await Promise.all(sent.map((one) => one.text()));
    expect(bodies.map((text) => /[AB]/.exec(text.replaceAll(/-.*|Content.*/g, ''))?.[0])).toEqual(['A', 'A']);
  });

  it.each([true, false])('the second argument and its headers, with somebody signed in: %j', async (isSignedIn) => {
    const { send, sent, store } = await setUp();
    if (!isSignedIn) await store.setDefault(null);
    const headers = new Headers({ n: '1' });
    const init = { method: 'POST', body: 'one', headers };
    const answer = send(API, init);
    headers.set('n', '2');
    init.body = 'two';
    await answer;
    expect([await sent[0]?.text(), sent[0]?.headers.get('n')]).toEqual(['one', '1']);
  });

  it.each([true, false])('a Request, whose body is used from then on, with somebody signed in: %j', async (isSignedIn) => {
    const { send, sent, store } = await setUp();
    if (!isSignedIn) await store.setDefault(null);
    const request = new Request(API, { method: 'POST', body: 'one', headers: { n: '1' } });
    const answer = send(request);
    expect(request.bodyUsed).toBe(true);
    request.headers.set('n', '2');
    request.headers.set('authorization', 'Bearer late');
    await answer;
    expect([await sent[0]?.text(), sent[0]?.headers.get('n')]).toEqual(['one', '1']);
    expect(sent[0]?.headers.get('authorization')).not.toBe('Bearer late');
    await expect(send(request)).rejects.toHaveProperty('name', 'TypeError'); // of Node's realm
    expect((await send(request, { body: 'two' })).status).toBe(200); // as with fetch
    const bare = new Request(API, { headers: { n: '1' } });
    const second = send(bare);
    bare.headers.set('n', '2');
    await second;
    expect(sent.at(-1)?.headers.get('n')).toBe('1');
  });

  it('bodies that are no objects are what fetch makes of them', async () => {
    const { send, sent } = await setUp();
    for (const body of [5, true]) await send(API, { method: 'POST', body: body as unknown as BodyInit });
    expect(await Promise.all(sent.map((one) => one.text()))).toEqual(['5', 'true']);
  });

  it('headers that can be read once are read once', async () => {
    const once = (name: string): HeadersInit => new Map([[name, '1']]).entries() as unknown as HeadersInit;
    const { send, sent, tokens } = await setUp(refusesFirst());
    expect((await send(API, { headers: once('a') })).status).toBe(200);
    await send(API, { headers: once('authorization') });
    await send(OTHER, { headers: once('a') });
    expect(sent.map(({ headers }) => headers.get('a'))).toEqual(['1', '1', null, '1']);
    expect(tokens()[2]).toBe('1');
  });
});

describe('6750-4 bodies', () => {
  const form = new FormData();
  form.set('a', 'größe');
  it.each<[string, () => RequestInit['body'], string]>([
    ['text', () => 'größe', 'größe'],
    ['a form', () => new URLSearchParams({ a: '1 2' }), 'a=1+2'],
    ['a form of parts', () => form, 'größe'],
    ['a blob', () => new Blob(['größe']), 'größe'],
    ['bytes', () => bytes('größe'), 'größe'],
    ['a buffer', () => bytes('größe').buffer, 'größe'],
    ['none', () => null, ''],
  ])('%s is sent again', async (_, make, text) => {
    const { send, sent } = await setUp(refusesFirst());
    const body = make();
    expect((await send(API, { method: 'POST', body: body ?? null })).status).toBe(200);
    const bodies = await Promise.all(sent.map((one) => one.text()));
    expect(bodies).toHaveLength(2);
    for (const one of bodies) expect(one).toContain(text);
  });

  it('a stream is not: its 401 is the caller’s, and the next request has a new token', async () => {
    const { send, sent, authority } = await setUp(refusesFirst());
    const init = { method: 'POST', body: stream('x'), duplex: 'half' } as RequestInit;
    expect((await send(API, init)).status).toBe(401);
    expect(await sent[0]?.text()).toBe('x');
    await settle();
    expect((await send(API)).status).toBe(200);
    expect([sent.length, authority.refreshes.length]).toEqual([2, 1]);
  });

  it('nor what is read piece by piece, nor the body of a Request', async () => {
    async function* pieces() {
      yield bytes('x');
    }
    const requests: readonly Parameters<typeof fetch>[] = [
      [API, { method: 'POST', body: pieces() as unknown as ReadableStream, duplex: 'half' } as RequestInit],
      [new Request(API, { method: 'POST', body: 'x' })],
    ];
    for (const request of requests) {
      const { send, sent } = await setUp(refusesFirst());
      expect((await send(...request)).status).toBe(401);
      expect(sent).toHaveLength(1);
    }
  });

  it('nor a Request that may have one, where the runtime does not show it (Firefox)', async () => {
    const hidden = (init?: RequestInit): Request => Object.defineProperty(new Request(API, init), 'body', { value: undefined });
    const { send, sent } = await setUp(refused);
    expect((await send(hidden({ method: 'POST', body: 'x' }))).status).toBe(401);
    expect(sent).toHaveLength(1);
    const again = await setUp(refusesFirst());
    expect((await again.send(hidden())).status).toBe(200);
  });

  it('a stream is let go of if there is no token for it, or the caller has left already', async () => {
    const { send, browser, authority, sent } = await setUp();
    const reasons: unknown[] = [];
    const post = (signal: AbortSignal | null) => {
      const body = new ReadableStream({ cancel: (reason) => void reasons.push(reason) });
      return send(API, { method: 'POST', body, duplex: 'half', signal } as RequestInit);
    };
    const left = new Error('left');
    await expect(post(AbortSignal.abort(left))).rejects.toBe(left);
    await browser.advance(3_600_000);
    authority.next(offline(), offline(), offline());
    const error = await inTime(browser, post(null)).catch((reason: unknown) => reason);
    expect([reasons, sent]).toEqual([[left, error], []]);
  });

  it('a Request without a body, or with one beside it, is sent again', async () => {
    const requests: readonly Parameters<typeof fetch>[] = [[new Request(API)], [new Request(API, { method: 'POST' }), { body: 'x' }]];
    for (const args of requests) {
      const { send, sent } = await setUp(refusesFirst());
      expect((await send(...args)).status).toBe(200);
      expect(sent).toHaveLength(2);
    }
  });

  it('the body of an answer that is made up for is let go of', async () => {
    let cancelled = 0;
    const first = refusesFirst();
    const { send } = await setUp(async (...args) => {
      const { status } = await first(...args);
      return new Response(new ReadableStream({ cancel: () => void cancelled++ }), { status });
    });
    const answer = await send(API);
    expect([answer.status, cancelled, answer.bodyUsed]).toEqual([200, 1, false]);
  });

  it('also where it is a stream of Node, as node-fetch has it', async () => {
    const bodies: Readable[] = [];
    const first = refusesFirst();
    const { send } = await setUp(async (url, request) => {
      const { status } = url.endsWith('/old') ? to('new') : await first(url, request);
      const body = Readable.from(['x']);
      bodies.push(body);
      const headers = new Headers(status === 302 ? { location: 'new' } : {});
      return { status, headers, body, type: 'default', redirected: false, clone: () => null } as unknown as Response;
    });
    expect((await send(`${API}old`)).status).toBe(200);
    expect(bodies.map(({ destroyed }) => destroyed)).toEqual([true, true, false]);
  });

  it('and so is that of an answer after which the caller left, or a step-up failed', async () => {
    let cancelled = 0;
    const { send } = await setUp(
      () =>
        new Response(new ReadableStream({ cancel: () => void cancelled++ }), {
          status: 403,
          headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' },
        }),
      {
        stepUp: () => {
          throw new Error('closed');
        },
      },
    );
    await expect(send(API)).rejects.toThrow('closed');
    expect(cancelled).toBe(1);
  });
});

describe('a caller who leaves', () => {
  it.each<[string, (signal: AbortSignal) => Parameters<typeof fetch>]>([
    ['a signal', (signal) => [API, { signal }]],
    ['a Request’s signal', (signal) => [new Request(API, { signal })]],
  ])('by %s is told so at once, while the token is renewed', async (_, args) => {
    const { send, sent, browser, authority } = await setUp();
    await browser.advance(3_599_999 + 1);
    authority.hold();
    const leaving = new AbortController();
    const answer = send(...args(leaving.signal));
    await settle();
    leaving.abort();
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
    expect(sent).toEqual([]);
    authority.refreshes[0]?.answer();
    await settle();
  });

  it('null as signal is none, also over that of a Request', async () => {
    const { send } = await setUp();
    expect((await send(new Request(API, { signal: new AbortController().signal }), { signal: null })).status).toBe(200);
  });
});

describe('HT-3 redirects by hand', () => {
  it('each hop is looked up anew: the token of its place, or none', async () => {
    const world = await setUp(
      (url) =>
        url === `${API}a` ? to('b') : url === `${API}b` ? to(`${OTHER}x`) : url === `${OTHER}x` ? to(`${API}c`) : new Response('end'),
      {},
    );
    const answer = await world.send(`${API}a`, { headers: { cookie: 'a=1', dpop: 'd', 'proxy-authorization': 'p', keep: 'k' } });
    expect([answer.clone().redirected, await answer.clone().clone().text()]).toEqual([true, 'end']);
    expect([await answer.text(), answer.redirected, answer.url]).toEqual(['end', true, `${API}c`]);
    const { credential, sent, tokens } = world;
    expect(sent.map(({ url }) => url)).toEqual([`${API}a`, `${API}b`, `${OTHER}x`, `${API}c`]);
    expect(tokens()).toEqual([bearer(credential), bearer(credential), null, bearer(credential)]);
    expect(sent.map(({ headers }) => headers.get('proxy-authorization'))).toEqual(['p', 'p', null, null]);
    expect(sent.map(({ headers }) => headers.get('dpop'))).toEqual(['d', 'd', null, null]);
    expect(sent.map(({ headers }) => headers.get('keep'))).toEqual(['k', 'k', 'k', 'k']);
    expect(sent.every(({ redirect }) => redirect === 'manual')).toBe(true);
  });

  it('of the same origin, but off the list: nothing that stands for somebody', async () => {
    const { send, sent } = await setUp((url) => (url === API ? to('/public') : new Response('end')));
    await send(API, { headers: { dpop: 'd', 'proxy-authorization': 'p' } });
    expect(Object.fromEntries(sent[1]?.headers ?? [])).toEqual({});
  });

  describe('where there is no page', () => {
    const globals = globalThis as { WorkerGlobalScope?: unknown; self?: unknown; location?: unknown };
    const before = { ...globals, self: globals.self };
    afterEach(() => {
      for (const name of ['WorkerGlobalScope', 'location'] as const) if (!(name in before)) delete globals[name];
      if (before.self === undefined) delete globals.self;
    });
    const modeOf = async (): Promise<unknown> => {
      const { store, platform } = await setUp();
      const modes: unknown[] = [];
      const stub: typeof fetch = async (input, init) => (modes.push(new Request(input, init).redirect), new Response('end'));
      await createFetch(store, { resources: [API], platform, fetch: stub })(API);
      return modes[0];
    };

    it('a server follows by hand', async () => {
      expect(await modeOf()).toBe('manual');
    });
    it('a server that has the name of a worker’s scope, as Cloudflare has, follows by hand', async () => {
      globals.self = globalThis;
      globals.WorkerGlobalScope = class {};
      expect(await modeOf()).toBe('manual');
    });
    it('in a browser’s worker the browser follows', async () => {
      globals.self = globalThis;
      globals.location = { origin: 'https://app.example.com' };
      globals.WorkerGlobalScope = class {
        static [Symbol.hasInstance](value: unknown): boolean {
          return value === globalThis;
        }
      };
      expect(await modeOf()).toBe('follow');
    });
  });

  it('to another place on the list: that place’s credential', async () => {
    const { store, authority, platform } = await setUp();
    const bob = await store.store(authority.signIn({ sub: 'bob' }));
    const sent: (string | null)[] = [];
    const stub: typeof fetch = async (input, init) => {
      const { url, headers } = new Request(input, init);
      sent.push(headers.get('authorization'));
      return url === API ? to(`${OTHER}x`) : new Response('end');
    };
    const resources = [API, { url: OTHER, credential: bob.id }];
    await createFetch(store, { resources, platform, fetch: stub, redirects: 'by-hand' })(API);
    expect(sent[1]).toBe(bearer(bob));
    expect(sent[0]).not.toBe(sent[1]);
  });

  it('a function chooses anew for each hop, also nobody: no token goes to a place that it did not name it for', async () => {
    const { store, authority, platform, credential } = await setUp();
    const partner = await store.store(authority.signIn({ sub: 'service' }));
    const sent: (string | null)[] = [];
    const ways: Readonly<Record<string, string>> = { [API]: `${OTHER}x`, [`${OTHER}x`]: `${OTHER}public` };
    const stub: typeof fetch = async (input, init) => {
      const { url, headers } = new Request(input, init);
      sent.push(headers.get('authorization'));
      const way = ways[url];
      return way === undefined ? new Response('end') : to(way);
    };
    const choice = ({ url }: { readonly url: string }): Credential | null =>
      url.endsWith('public') ? null : url.startsWith(OTHER) ? partner : credential;
    const resources = [API, OTHER].map((url) => ({ url, credential: choice }));
    await createFetch(store, { resources, platform, fetch: stub, redirects: 'by-hand' })(API);
    expect(sent).toEqual([bearer(credential), bearer(partner), null]);
  });

  it('a hop that is refused is renewed for, and that hop alone is sent again', async () => {
    const first = refusesFirst();
    const { send, sent } = await setUp((url, request) => (url === `${API}a` ? to('b') : first(url, request)));
    expect((await send(`${API}a`)).status).toBe(200);
    expect(sent.map(({ url }) => url)).toEqual([`${API}a`, `${API}b`, `${API}b`]);
  });

  it.each<[number, string, string, string]>([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [303, 'DELETE', 'GET', ''],
    [301, 'PUT', 'PUT', 'x'],
    [302, 'DELETE', 'DELETE', 'x'],
    [307, 'POST', 'POST', 'x'],
    [308, 'PUT', 'PUT', 'x'],
  ])('a %d makes of %s a %s', async (status, method, then, text) => {
    const { send, sent } = await setUp((url) => (url === API ? to('next', status) : new Response('end')));
    await send(API, { method, body: 'x', headers: { 'content-type': 'a/b', 'content-language': 'de' } });
    expect([sent[1]?.method, await sent[1]?.text()]).toEqual([then, text]);
    expect(sent[1]?.headers.get('content-type')).toBe(text === '' ? null : 'a/b');
    expect(sent[1]?.headers.has('content-language')).toBe(text !== '');
  });

  it.each([303, 301, 302, 307])('a %d leaves HEAD what it is', async (status) => {
    const { send, sent } = await setUp((url) => (url === API ? to('next', status) : new Response(null)));
    await send(API, { method: 'HEAD' });
    expect(sent[1]?.method).toBe('HEAD');
  });

  it.each([307, 308])('a %d with a body that is a stream is refused; one that becomes a GET is not', async (status) => {
    const { send, sent } = await setUp((url) =>
      url === API ? to('next', status) : url === `${API}303` ? to('next', 303) : new Response('end'),
    );
    const body = { method: 'POST', duplex: 'half' } as RequestInit;
    expect(await codeOf(send(API, { ...body, body: stream('x') }))).toBe('unexpected_redirect');
    expect(sent).toHaveLength(1);
    expect(await (await send(`${API}303`, { ...body, body: stream('x') })).text()).toBe('end');
    expect(await codeOf(send(new Request(API, { method: 'POST', body: 'x' })))).toBe('unexpected_redirect');
  });

  it('of a Request keep what it was made with', async () => {
    const { send, sent } = await setUp((url) => (url === API ? to('next', 307) : new Response('end')));
    await send(
      new Request(API, { method: 'PATCH', headers: { a: '1' }, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' }),
    );
    const { method, cache, credentials, referrerPolicy, headers } = sent[1];
    expect([method, cache, credentials, referrerPolicy, headers.get('a')]).toEqual(['PATCH', 'no-store', 'omit', 'no-referrer', '1']);
  });

  it('five are followed, a sixth is not', async () => {
    const count = (limit: number): Answering => {
      let hops = 0;
      return () => (hops++ < limit ? to('x') : new Response('end'));
    };
    expect(await (await (await setUp(count(5))).send(API)).text()).toBe('end');
    const { send, sent } = await setUp(count(6));
    expect(await codeOf(send(API))).toBe('unexpected_redirect');
    expect(sent).toHaveLength(6);
  });

  it('a hostile server that redirects and refuses in turn is asked a bounded number of times', async () => {
    let n = 0;
    const { send, sent, authority } = await setUp((url) => (n++ % 2 ? refused() : to(`${url}x`)));
    await send(API).catch(() => undefined);
    expect(sent.length).toBeLessThanOrEqual(24);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('D-038 a resource that refuses at each hop what it took at the one before costs one renewal, and none for the next requests', async () => {
    let before: string | null = null;
    const { send, authority } = await setUp((url, { headers }) => {
      const isNew = headers.get('authorization') !== before;
      before = headers.get('authorization');
      return isNew && url !== API ? to(`${url}x`) : refused();
    });
    for (let n = 0; n < 3; n++) expect((await send(`${API}h`)).status).toBe(401);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('another resource that a redirect leads to has a renewal of its own', async () => {
    const seen = new Map<string, string | null>();
    const { send, authority } = await setUp(
      (url, { headers }) => {
        const token = headers.get('authorization');
        if (!seen.has(url)) seen.set(url, token);
        return seen.get(url) === token ? refused() : url === API ? to(OTHER) : new Response('end');
      },
      { resources: [API, OTHER] },
    );
    expect((await send(API)).status).toBe(200);
    expect(authority.refreshes).toHaveLength(2);
  });

  it.each([
    'ftp://api.example.com/v1/',
    'javascript:alert(1)',
    'data:,x',
    'https://user:pass@api.example.com/v1/',
    'https://',
    'file:///etc/passwd',
  ])('to %s leads nowhere', async (location) => {
    const { send, sent } = await setUp(() => to(location));
    expect(await codeOf(send(API))).toBe('unexpected_redirect');
    expect(sent).toHaveLength(1);
  });

  it.each([
    ['grüße?q=ä', 'gr%C3%BC%C3%9Fe?q=%C3%A4'],
    ['%C3%A4', '%C3%A4'],
    ['a b', 'a%20b'],
  ])('a location in UTF-8, %j, leads where it leads fetch', async (location, path) => {
    const { send, sent } = await setUp((url) => (url === API ? to(Buffer.from(location).toString('latin1')) : new Response('end')));
    await send(API);
    expect(sent[1]?.url).toBe(API + path);
  });

  it('an answer without a location is an answer', async () => {
    const { send } = await setUp(() => new Response(null, { status: 302 }));
    const answer = await send(API);
    expect([answer.status, answer.redirected]).toEqual([302, false]);
  });

  it.each(['error', 'manual'] as const)('redirect: %j of the caller’s own is kept', async (redirect) => {
    const { send, sent } = await setUp(() => to('next'));
    expect((await send(API, { redirect })).status).toBe(302);
    expect((await send(new Request(API, { redirect }))).status).toBe(302);
    expect(sent.map((one) => one.redirect)).toEqual([redirect, redirect]);
  });

  it('in a browser, which shows none, is an error that says what to do', async () => {
    const { send } = await setUp(() => Object.defineProperty(new Response(null), 'type', { value: 'opaqueredirect' }));
    await expect(send(API)).rejects.toMatchObject({ code: 'unexpected_redirect', message: expect.stringContaining('redirects') as string });
  });

  it('left to the runtime: it is told nothing', async () => {
    const { send, sent } = await setUp(() => to('next'), { redirects: 'platform' });
    expect((await send(API)).status).toBe(302);
    expect(sent.map((one) => one.redirect)).toEqual(['follow']);
  });
});

it('a wrong option is a TypeError at once', async () => {
  const { store } = await setUp();
  expect(() => createFetch(store, { resources: [], redirects: 'none' as 'platform' })).toThrow(TypeError);
  expect(() => createFetch(store, { resources: ['x'] })).toThrow(TypeError);
  expect(() => createFetch(store, { resources: [], fetch: {} as typeof fetch })).toThrow(/^fetch must be a function/);
  expect(() => createFetch(store, { resources: [], baseUrl: API as never })).toThrow(/^baseUrl must be a function/);
  expect(() => createFetch(store, { resources: [], stepUp: true as never })).toThrow(/^stepUp must be a function/);
  expect(() => createFetch(store, undefined as never)).toThrow(/^resources must be a list of URLs/);
  expect(() => createFetch((() => store) as never, { resources: [API] })).toThrow(/^store must be what createCredentialStore returned$/);
});
