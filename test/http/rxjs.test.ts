import {
  first,
  firstValueFrom,
  from,
  lastValueFrom,
  materialize,
  NEVER,
  type Observable,
  of,
  retry,
  Subject,
  switchMap,
  take,
  toArray,
} from 'rxjs';
import type { AjaxConfig, AjaxError } from 'rxjs/ajax';
import { createAjax, createFromFetch } from '../../src/http/rxjs.js';
import { originsOfTests } from '../contract/http-origins.js';
import { closeAll, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);
const openOrigin = originsOfTests();

const API = 'https://api.example.com/v1/';

async function signedIn() {
  const world = createWorld();
  const tab = await world.openTab();
  const credential = await tab.store.store(world.authority.signIn());
  return { ...world, ...tab, credential, bearer: () => `Bearer ${credential.token?.accessToken}` };
}

describe('createFromFetch', () => {
  async function setUp(answer: (n: number) => Response = () => new Response('ok')) {
    const world = await signedIn();
    const sent: { readonly request: Request; readonly signal: AbortSignal | null | undefined }[] = [];
    const stub: typeof fetch = async (input, init) => {
      sent.push({ request: new Request(input, init), signal: init?.signal });
      return answer(sent.length);
    };
    const fromFetch = createFromFetch(world.store, { resources: [API], platform: world.platform, fetch: stub, redirects: 'by-hand' });
    return { ...world, sent, fromFetch };
  }

  it('is cold: each subscription is a request, with the token of then', async () => {
    const { fromFetch, sent, bearer } = await setUp();
    const request = fromFetch(API);
    await settle();
    expect(sent).toEqual([]);
    await firstValueFrom(request);
    await firstValueFrom(request);
    expect(sent.map((one) => one.request.headers.get('authorization'))).toEqual([bearer(), bearer()]);
  });

  it('emits the answer once and completes; the body can be read afterwards', async () => {
    const { fromFetch, sent } = await setUp();
    const answers = await lastValueFrom(fromFetch(API).pipe(toArray()));
    expect(answers).toHaveLength(1);
    expect(sent[0]?.signal?.aborted).toBe(false);
    expect(await answers[0]?.text()).toBe('ok');
  });

  it.each<[string, (answer$: Observable<Response>) => Observable<unknown>]>([
    [
      'first()',
      (answer$) =>
        answer$.pipe(
          first(),
          switchMap((response) => response.json()),
        ),
    ],
    [
      'take(1)',
      (answer$) =>
        answer$.pipe(
          take(1),
          switchMap((response) => response.json()),
        ),
    ],
    ['firstValueFrom', (answer$) => from(firstValueFrom(answer$).then((response) => response.json()))],
  ])('who leaves with the answer can read its body, which comes later: %s', async (_, read) => {
    const { store, platform } = await signedIn();
    const origin = await openOrigin();
    origin.on('/slow', (response) => {
      response.write('{"a":');
      setTimeout(() => response.end('1}'), 50);
    });
    const fromFetch = createFromFetch(store, { resources: [origin.url], platform });
    expect(await lastValueFrom(read(fromFetch(`${origin.url}/slow`)))).toEqual({ a: 1 });
  });

  it('with a selector unsubscribing ends the request as long as that runs', async () => {
    const { fromFetch, sent } = await setUp();
    expect(await firstValueFrom(fromFetch(API, { selector: (response) => response.text() }))).toBe('ok');
    const subscription = fromFetch(API, { selector: () => NEVER }).subscribe();
    await settle();
    subscription.unsubscribe();
    expect(sent[1]?.signal?.aborted).toBe(true);
    expect(await lastValueFrom(fromFetch(API, { selector: () => of(1, 2) }).pipe(toArray()))).toEqual([1, 2]);
  });

  it.each(['init', 'request'] as const)('a signal of the caller’s own counts, too: %s', async (where) => {
    const { fromFetch, sent } = await setUp();
    const leaving = new AbortController();
    const { signal } = leaving;
    const selected = { selector: () => NEVER };
    const request = where === 'init' ? fromFetch(API, { signal, ...selected }) : fromFetch(new Request(API, { signal }), selected);
    const subscription = request.subscribe();
    await settle();
    leaving.abort();
    expect(sent[0]?.signal?.aborted).toBe(true);
    subscription.unsubscribe();
  });

  it('RF-10 unsubscribing while a token is renewed sends nothing, and the refresh goes on', async () => {
    const { fromFetch, sent, browser, authority, credential } = await setUp();
    await browser.advance(3_600_000);
    authority.hold();
    const subscription = fromFetch(API).subscribe();
    await settle();
    subscription.unsubscribe();
    authority.refreshes[0]?.answer();
    await settle();
    expect([credential.status.token, sent.length]).toEqual(['valid', 0]);
  });

  it('6750-4 `retry` of the caller’s own is a new request, with a renewal of its own', async () => {
    const { fromFetch, sent } = await setUp((n) => new Response('x', { status: n < 3 ? 401 : 200 }));
    const request = fromFetch(API, {
      selector: async ({ status }) => {
        if (status !== 200) throw new Error('refused');
        return status;
      },
    });
    expect(await firstValueFrom(request.pipe(retry(1)))).toBe(200);
    expect(sent).toHaveLength(3);
  });
});

describe('createAjax', () => {
  /** What RxJS asks of an XMLHttpRequest, answered at once. */
  function fakeXhr(statuses: readonly number[]) {
    const sent: { url: string; headers: Record<string, string>; method: string; body: unknown; aborted: boolean; user?: string }[] = [];
    class Xhr extends EventTarget {
      status = 0;
      readyState = 0;
      response = 'answer';
      responseType = '';
      timeout = 0;
      withCredentials = false;
      responseURL = '';
      upload = new EventTarget();
      #one = { url: '', headers: {} as Record<string, string>, method: '', body: undefined as unknown, aborted: false };
      open(method: string, url: string): void {
        this.#one.method = method;
        this.#one.url = url;
      }
      setRequestHeader(name: string, value: string): void {
        this.#one.headers[name.toLowerCase()] = value;
      }
      getResponseHeader(): null {
        return null;
      }
      getAllResponseHeaders(): string {
        return '';
      }
      send(body?: unknown): void {
        this.#one.body = body;
        sent.push(this.#one);
        const status = statuses[Math.min(sent.length, statuses.length) - 1] ?? 0;
        if (status === 0) return;
        this.status = status;
        this.readyState = 4;
        queueMicrotask(() => {
          this.responseURL = new URL(this.#one.url, API).href;
          this.upload.dispatchEvent(new Event('progress'));
          this.dispatchEvent(Object.assign(new Event('load'), { loaded: 0, total: 0 }));
        });
      }
      abort(): void {
        this.#one.aborted = true;
      }
    }
    return { sent, createXHR: () => new Xhr() as unknown as XMLHttpRequest };
  }
  async function setUp(statuses: readonly number[] = [200]) {
    const world = await signedIn();
    const { sent, createXHR } = fakeXhr(statuses);
    const ajax = createAjax(world.store, { resources: [API], platform: world.platform });
    return { ...world, sent, ajax: (config: AjaxConfig) => ajax<string>({ createXHR, ...config }) };
  }

  it('6750-4 a 401 is renewed for once', async () => {
    const { ajax, sent, bearer, authority } = await setUp([401, 200]);
    const first = bearer();
    expect((await firstValueFrom(ajax({ url: API, method: 'POST', body: { a: 1 }, headers: { x: '1' } }))).response).toBe('answer');
    expect(sent.map(({ headers }) => headers['authorization'])).toEqual([first, bearer()]);
    expect(sent.map(({ method, body, headers }) => [method, body, headers['x']])).toEqual(Array(2).fill(['POST', '{"a":1}', '1']));
    expect(authority.refreshes).toHaveLength(1);
  });

  it('takes body, headers and query as they are at once, as ajax alone does', async () => {
    const { ajax, sent } = await setUp([200]);
    const queue = [{ event: 'click' }, { event: 'pay' }];
    const form = new URLSearchParams({ a: '1' });
    const bytes = new Uint8Array([1, 2]);
    const headers = { x: '1' };
    const queryParams = new URLSearchParams({ q: '1' });
    const answers = [queue, form, bytes, 'x'].map((body) => firstValueFrom(ajax({ url: API, method: 'POST', body, headers, queryParams })));
    queue.length = 0;
    form.set('a', '2');
    bytes[0] = 9;
    headers.x = '2';
    queryParams.set('q', '2');
    await Promise.all(answers);
    const texts = await Promise.all(sent.map(({ body }) => new Response(body as BodyInit).text()));
    expect(texts).toEqual(['[{"event":"click"},{"event":"pay"}]', 'a=1', '\u0001\u0002', 'x']);
    expect(sent.map(({ url, headers: { x } }) => [url, x])).toEqual(Array(4).fill([`${API}?q=1`, '1']));
  });

  it.each<[string, Partial<AjaxConfig>]>([
    ['a header', { headers: { AUTHORIZATION: 'Basic x' } }],
    ['a user', { user: 'u', password: 'p' }],
  ])('6750-1 nothing over %s of the caller’s own', async (_, config) => {
    const { ajax, sent, authority } = await setUp([401]);
    await expect(firstValueFrom(ajax({ url: API, ...config }))).rejects.toMatchObject({ status: 401 });
    expect(sent[0]?.headers['authorization']).toBe(config.headers ? 'Basic x' : undefined);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('HT-9 the caller’s configuration stays as it was; neither answers nor errors show a token', async () => {
    const { ajax } = await setUp([200, 401]);
    const config = Object.freeze({ url: API, headers: Object.freeze({ x: '1' }) });
    const { request } = await firstValueFrom(ajax(config));
    const error = await firstValueFrom(ajax(config)).catch((reason: unknown) => reason as AjaxError);
    expect(error).toMatchObject({ name: 'AjaxError', status: 401 });
    expect(JSON.stringify([request, error])).not.toContain('CANARY');
    expect(config).toEqual({ url: API, headers: { x: '1' } });
  });

  it('unsubscribing ends the request', async () => {
    const { ajax, sent } = await setUp([0]);
    const subscription = ajax({ url: API }).subscribe();
    await settle();
    subscription.unsubscribe();
    expect(sent.map(({ aborted }) => aborted)).toEqual([true]);
  });

  it('6750-4 a stream is not sent again', async () => {
    const { ajax, sent } = await setUp([401]);
    await expect(firstValueFrom(ajax({ url: API, method: 'POST', body: new ReadableStream() }))).rejects.toMatchObject({ status: 401 });
    expect(sent).toHaveLength(1);
  });

  it('6750-4 a POST with a query of the configuration’s own is sent again', async () => {
    const { ajax, sent } = await setUp([401, 200]);
    await firstValueFrom(ajax({ url: API, method: 'POST', queryParams: { q: '1' } }));
    expect(sent.map(({ url }) => url)).toEqual(Array(2).fill(`${API}?q=1`));
  });

  it.each(['before it is subscribed to', 'while it waits'])(
    '6750-2 a configuration that is changed %s carries no token off the list',
    async (when) => {
      const { store, platform, bearer } = await signedIn();
      const { sent, createXHR } = fakeXhr([200]);
      const config = { url: API, createXHR };
      const request = createAjax(store, { resources: [API], platform })(config);
      const elsewhere = 'https://elsewhere.example/';
      if (when === 'before it is subscribed to') config.url = elsewhere;
      const answer = firstValueFrom(request);
      config.url = elsewhere;
      await answer;
      const expected = when === 'while it waits' ? [API, bearer()] : [elsewhere, undefined];
      expect(sent.map(({ url, headers }) => [url, headers['authorization']])).toEqual([expected]);
    },
  );

  it.each([
    [
      [401, 200],
      ['N', 'N', 'C'],
    ],
    [
      [401, 401],
      ['N', 'N', 'E'],
    ],
    [[500], ['N', 'E']],
  ])('who follows the progress hears of %j as %j: of an error when it is the caller’s', async (statuses, kinds) => {
    const { ajax } = await setUp(statuses);
    const progressSubscriber = new Subject<ProgressEvent>();
    const heard: string[] = [];
    progressSubscriber.pipe(materialize()).subscribe(({ kind }) => heard.push(kind));
    await lastValueFrom(ajax({ url: API, method: 'POST', body: 'x', progressSubscriber }).pipe(materialize()));
    expect(heard).toEqual(kinds);
  });

  it('6750-2 a relative address is sent as it was looked up', async () => {
    const { store, platform } = await signedIn();
    const { sent, createXHR } = fakeXhr([200]);
    const ajax = createAjax(store, { resources: [API], platform, baseUrl: () => API });
    await firstValueFrom(ajax({ url: 'orders', createXHR }));
    await firstValueFrom(ajax({ url: '/off', createXHR }));
    expect(sent.map(({ url }) => url)).toEqual([`${API}orders`, '/off']);
  });

  it('takes an address alone', async () => {
    const { store, platform } = await setUp();
    const ajax = createAjax(store, { resources: [API], platform });
    await expect(firstValueFrom(ajax('https://other.example/'))).rejects.toBeDefined(); // there is no XMLHttpRequest here
  });
});

it('forgotten options, and what is no store, are missed by name at once', async () => {
  const { store } = await signedIn();
  for (const create of [createAjax, createFromFetch]) {
    expect(() => create(store, undefined as never)).toThrow(/^resources must be a list of URLs/);
    expect(() => create(Promise.resolve(store) as never, { resources: [API] })).toThrow(
      /^store must be what createCredentialStore returned$/,
    );
  }
});
