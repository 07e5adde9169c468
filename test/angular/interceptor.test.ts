import {
  HttpContext,
  HttpContextToken,
  HttpErrorResponse,
  HttpParams,
  HttpResponse,
  httpResource,
  withInterceptors,
  type HttpInterceptorFn,
  type HttpRequest,
} from '@angular/common/http';
import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { credentialsInterceptor, noRetry, withRefresh } from 'rx-credentials-angular';
import { createAttachmentPolicy } from 'rx-credentials/http';
import { catchError, concat, defer, of, take, throwError } from 'rxjs';
import { API, createAngularApp, endAngularApp, type AngularApp } from '../support/angular-world.js';
import { createToken } from '../../src/index.js';

let app: AngularApp;
afterEach(() => endAngularApp(app));

const ORDERS = `${API}orders`;
const REFUSED = { status: 401, statusText: 'Unauthorized', headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } };
const authorizationOf = ({ request }: { request: HttpRequest<unknown> }): string | null => request.headers.get('Authorization');

/** The network is down until the store gives up: three requests. */
async function failRefreshes(): Promise<void> {
  for (let requests = 1; requests <= 3; requests++) {
    await app.credentials.expectRefresh().fail();
    await app.credentials.tick(3_000);
  }
}

describe('credentialsInterceptor', () => {
  it('sends nothing for whoever has left in the middle of a synchronous answer', async () => {
    let sent = 0;
    const cached: HttpInterceptorFn = (request, next) =>
      concat(
        of(new HttpResponse({ body: 'cached', url: request.url })),
        defer(() => {
          sent++;
          return next(request);
        }),
      );
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, cached])] });
    await app.credentials.signIn();
    const bodies: unknown[] = [];
    app.http
      .get(ORDERS)
      .pipe(take(1))
      .subscribe((body) => bodies.push(body));
    await app.credentials.tick();
    expect([bodies, sent]).toEqual([['cached'], 0]);
  });

  it('renews for a 403 that an interceptor behind it calls a 401 (docs/how-to.md)', async () => {
    const expiredAs401: HttpInterceptorFn = (request, next) =>
      next(request).pipe(
        catchError((error: HttpErrorResponse) => {
          const isExpired = error.status === 403 && error.headers.get('x-error') === 'token-expired';
          return throwError(() => (isExpired ? new HttpErrorResponse({ ...error, status: 401, url: error.url ?? undefined }) : error));
        }),
      );
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, expiredAs401])] });
    await app.credentials.signIn();
    const [sent, other] = [app.get(ORDERS), app.get(`${API}forbidden`)];
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush('', { status: 403, statusText: 'Forbidden', headers: { 'x-error': 'token-expired' } });
    app.server.expectOne(`${API}forbidden`).flush('', { status: 403, statusText: 'Forbidden' });
    await app.credentials.tick();
    expect(other.errors).toMatchObject([{ status: 403 }]);
    await app.credentials.expectRefresh().flush({ accessToken: 'second' });
    const again = app.server.expectOne(ORDERS);
    expect(authorizationOf(again)).toBe('Bearer second');
    again.flush('ok');
    expect([sent.bodies, sent.errors]).toEqual([['ok'], []]);
  });

  it('attaches the access token of the default to requests on the list', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    await app.credentials.signIn({ sub: 'bob' });
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    const request = app.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe(`Bearer ${credential.token?.accessToken}`);
    request.flush({ ok: true });
    expect(sent.bodies).toEqual([{ ok: true }]);
  });

  it.each([
    'https://api.example.com/v2/orders',
    'https://api.example.com/v10/orders',
    'https://api.example.com.evil.test/v1/orders',
    'http://api.example.com/v1/orders',
    'https://api.example.com:8443/v1/orders',
    'https://user@api.example.com/v1/orders',
    'https://api.example.com/v1/../admin',
    'https://api.example.com/v1/%2e%2e/admin',
    'https://apiXexample.com/v1/orders',
    '/v1/orders',
  ])('E14 E16 attaches nothing off the list: %s', async (url) => {
    app = createAngularApp();
    await app.credentials.signIn();
    app.get(url);
    await app.credentials.tick();
    const request = app.server.expectOne(url);
    expect(request.request.headers.keys()).toEqual([]);
    request.flush(null);
  });

  it.each(['HTTPS://API.EXAMPLE.COM/v1/orders', 'https://api.example.com:443/v1/orders', 'https://api.example.com/v1'])(
    'E16 attaches whatever the spelling of the address: %s',
    async (url) => {
      app = createAngularApp();
      const credential = await app.credentials.signIn();
      app.get(url);
      await app.credentials.tick();
      const request = app.server.expectOne(url);
      expect(authorizationOf(request)).toContain(credential.token?.accessToken);
      request.flush(null);
    },
  );

  it('attaches no token that another application of the origin has left', async () => {
    app = createAngularApp();
    const others = createToken({
      id: 'other',
      accessToken: 'of-another-app',
      tokenType: 'Bearer',
      scope: 'openid',
      issuedAt: app.credentials.now(),
      expiresAt: null,
      claims: null,
      context: { issuer: 'https://id.example.com', clientId: 'another-app', scope: 'openid' },
    });
    await app.store.store(others);
    app.get(ORDERS);
    await app.credentials.tick();
    const request = app.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBeNull();
    request.flush(null);
  });

  it('E14 a token goes where the request was meant to go, though the base of the page moves while it is waited for', async () => {
    let base = 'https://api.example.com/v1/';
    const spy = jest.spyOn(document, 'baseURI', 'get').mockImplementation(() => base);
    app = createAngularApp();
    await app.credentials.signIn({ expiresIn: 1 });
    await app.credentials.tick(2_000);
    const sent = app.get('orders?all');
    await app.credentials.tick();
    base = 'https://evil.example/v1/';
    await app.credentials.expectRefresh().flush();
    await app.credentials.tick();
    const first = app.server.expectOne('https://api.example.com/v1/orders?all');
    expect(authorizationOf(first)).toMatch(/^Bearer /);
    first.flush(null, REFUSED);
    await app.credentials.tick();
    base = 'https://api.example.com/v1/';
    await app.credentials.expectRefresh().flush();
    await app.credentials.tick();
    const again = app.server.expectOne('orders?all'); // as it was given, where that is the same
    expect(authorizationOf(again)).not.toBe(authorizationOf(first));
    again.flush('done');
    expect(sent.bodies).toEqual(['done']);
    spy.mockRestore();
  });

  it('attaches to relative addresses of a listed origin', async () => {
    app = createAngularApp({ resources: ['http://localhost/api/'] });
    await app.credentials.signIn();
    app.get('/api/orders');
    app.get('/other');
    await app.credentials.tick();
    const [on, off] = [app.server.expectOne('/api/orders'), app.server.expectOne('/other')];
    expect([on.request.headers.has('Authorization'), off.request.headers.has('Authorization')]).toEqual([true, false]);
    on.flush(null);
    off.flush(null);
  });

  it("leaves a caller's own Authorization header alone, also after a 401", async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    const sent = app.get(ORDERS, { headers: { authorization: 'Basic abc' } });
    const request = app.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe('Basic abc');
    request.flush(null, REFUSED);
    await app.credentials.tick();
    expect(sent.errors).toMatchObject([{ status: 401 }]);
    app.credentials.expectNoRefresh();
  });

  it('sends without a token while nobody is signed in', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const rejected = expect(credential.refresh()).rejects.toMatchObject({ code: 'needs_sign_in' });
    await app.credentials.tick();
    await app.credentials.expectRefresh().fail('invalid_grant');
    await rejected;
    app.get(ORDERS);
    await app.credentials.tick();
    const [needsSignIn] = app.server.match(ORDERS);
    await app.store.clear();
    app.get(ORDERS);
    await app.credentials.tick();
    const [nobody] = app.server.match(ORDERS);
    expect([needsSignIn, nobody].map((request) => request?.request.headers.has('Authorization'))).toEqual([false, false]);
    needsSignIn?.flush(null);
    nobody?.flush(null);
  });

  it('waits until storage was read', async () => {
    app = createAngularApp();
    const release = app.credentials.holdStorage();
    app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectNone(ORDERS);
    await release();
    app.server.expectOne(ORDERS).flush(null);
  });

  it('retries once after a 401, with the renewed token', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const first = `Bearer ${credential.token?.accessToken}`;
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    const refused = app.server.expectOne(ORDERS);
    refused.flush(null, REFUSED);
    await app.credentials.tick();
    await app.credentials.expectRefresh(credential.id).flush();
    const retried = app.server.expectOne(ORDERS);
    expect([authorizationOf(refused), authorizationOf(retried)]).toEqual([first, `Bearer ${credential.token?.accessToken}`]);
    expect(authorizationOf(retried)).not.toBe(first);
    retried.flush({ ok: true });
    expect(sent).toMatchObject({ bodies: [{ ok: true }], errors: [] });
  });

  it('gives a second 401 to the caller', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush({ problem: 0 }, REFUSED);
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush();
    app.server.expectOne(ORDERS).flush({ problem: 1 }, REFUSED);
    await app.credentials.tick();
    expect(sent.errors).toMatchObject([{ status: 401, error: { problem: 1 } }]);
    app.credentials.expectNoRefresh();
  });

  it('D-038 what is refused for ever is known to all adapters of the store: to them it is one renewal a minute together', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush(null, REFUSED);
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush();
    app.server.expectOne(ORDERS).flush(null, REFUSED);
    await app.credentials.tick();
    const attachment = await createAttachmentPolicy(app.store, { resources: [API] }).attach({ url: ORDERS, method: 'GET' });
    let next: unknown;
    void attachment?.retryOf({ status: 401, header: () => null }).then((again) => (next = again));
    await app.credentials.tick();
    app.credentials.expectNoRefresh();
    expect(next).toBeNull();
  });

  it('D-038 a token that was taken and refused later is renewed, whatever was renewed before: for a request that is not to be sent again, too', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    const ask = async (answer: 'taken' | 'refused', options?: { context: HttpContext }): Promise<void> => {
      app.get(ORDERS, options);
      await app.credentials.tick();
      app.server.expectOne(ORDERS).flush(null, answer === 'taken' ? undefined : REFUSED);
      await app.credentials.tick();
    };
    for (const isSentOnce of [false, true, true, false]) {
      await ask('refused', isSentOnce ? { context: noRetry() } : undefined);
      await app.credentials.expectRefresh().flush();
      if (!isSentOnce) app.server.expectOne(ORDERS).flush(null);
      await ask('taken');
    }
    await ask('refused', { context: noRetry() });
    await app.credentials.expectRefresh().flush();
    await ask('refused', { context: noRetry() }); // nobody has taken that one
    app.credentials.expectNoRefresh();
  });

  it('refreshes once for 50 concurrent 401s', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const sent = Array.from({ length: 50 }, () => app.get(ORDERS));
    await app.credentials.tick();
    const refused = app.server.match(ORDERS);
    expect(refused).toHaveLength(50);
    const late = refused.splice(40);
    refused.forEach((request) => request.flush(null, REFUSED));
    await app.credentials.tick();
    await app.credentials.expectRefresh(credential.id).flush();
    const retried = app.server.match(ORDERS);
    expect(retried).toHaveLength(40);
    late.forEach((request) => request.flush(null, REFUSED)); // after the renewal: refused with the old token
    await app.credentials.tick();
    retried.push(...app.server.match(ORDERS));
    expect(new Set(retried.map(authorizationOf))).toEqual(new Set([`Bearer ${credential.token?.accessToken}`]));
    retried.forEach((request) => request.flush('ok'));
    expect(sent.flatMap(({ bodies }) => bodies)).toHaveLength(50);
    app.credentials.expectNoRefresh();
  });

  it('E13 leaves no mark on the context: the next request from it has its own retry', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    const context = new HttpContext().set(new HttpContextToken(() => 'mine'), 'mine');
    const before = [...context.keys()];
    for (let round = 1; round <= 2; round++) {
      const sent = app.get(ORDERS, { context });
      await app.credentials.tick();
      app.server.expectOne(ORDERS).flush(null, REFUSED);
      await app.credentials.tick();
      await app.credentials.expectRefresh().flush();
      app.server.expectOne(ORDERS).flush('ok');
      expect(sent.bodies).toEqual(['ok']);
    }
    expect([...context.keys()]).toEqual(before);
  });

  it.each([
    ['a scope that is missing', { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' }],
    ['a stronger login that is asked for', { 'WWW-Authenticate': 'Bearer error="insufficient_user_authentication"' }],
  ])('does not renew for %s', async (_, headers) => {
    app = createAngularApp();
    await app.credentials.signIn();
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush(null, { ...REFUSED, headers });
    await app.credentials.tick();
    expect(sent.errors).toMatchObject([{ status: 401 }]);
    app.credentials.expectNoRefresh();
  });

  it.each([400, 403, 404, 500, 503])('does not renew for status %d', async (status) => {
    app = createAngularApp();
    await app.credentials.signIn();
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush(null, { status, statusText: 'no' });
    await app.credentials.tick();
    expect(sent.errors).toMatchObject([{ status }]);
    app.credentials.expectNoRefresh();
  });

  it('gives the 401 to the caller when the renewal fails, and keeps the credential', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush(null, REFUSED);
    await app.credentials.tick();
    await failRefreshes();
    expect(sent.errors).toMatchObject([{ status: 401 }]);
    expect(credential.status.token).toBe('valid');
  });

  it('E18 renews an expired token before it sends', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    await app.credentials.expire(credential);
    app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectNone(ORDERS);
    await app.credentials.expectRefresh(credential.id).flush();
    const request = app.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe(`Bearer ${credential.token?.accessToken}`);
    expect(credential.state.expiresAt).toBeGreaterThan(app.credentials.now());
    request.flush(null);
  });

  it('E18 sends nothing when an expired token cannot be renewed: the error of the renewal reaches the caller', async () => {
    app = createAngularApp();
    await app.credentials.expire(await app.credentials.signIn());
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    await failRefreshes();
    app.server.expectNone(ORDERS);
    expect(sent.errors).toMatchObject([{ code: 'network_error' }]);
  });

  it('RF-10 does not cancel the refresh when the request is unsubscribed', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const before = credential.token?.accessToken;
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush(null, REFUSED);
    await app.credentials.tick();
    sent.unsubscribe();
    await app.credentials.expectRefresh(credential.id).flush();
    expect(credential.token?.accessToken).not.toBe(before);
    app.server.expectNone(ORDERS); // and nothing is retried for nobody
  });

  it('sends nothing for a request that is unsubscribed while it waits', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    app.get(ORDERS).unsubscribe();
    await app.credentials.tick();
    app.server.expectNone(ORDERS);
  });

  it('attaches nothing while the credential is being revoked', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const release = app.credentials.holdRevocations();
    const revoking = credential.revoke('refresh');
    await app.credentials.tick();
    app.get(ORDERS);
    await app.credentials.tick();
    const request = app.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBeNull();
    request.flush(null);
    await release();
    await revoking;
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['an object', { a: 1 }],
    ['a text', 'a=1'],
    ['form data', new FormData()],
    ['parameters', new URLSearchParams('a=1')],
    ['a blob', new Blob(['a'])],
    ['bytes', new ArrayBuffer(1)],
  ])('6750-4 sends a body again that is %s', async (_, body) => {
    app = createAngularApp();
    await app.credentials.signIn();
    const bodies: unknown[] = [];
    app.http.post(ORDERS, body).subscribe((answer) => bodies.push(answer));
    await app.credentials.tick();
    const first = app.server.expectOne(ORDERS);
    first.flush(null, REFUSED);
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush();
    const retried = app.server.expectOne(ORDERS);
    const again: unknown = retried.request.body;
    expect(again === first.request.body).toBe(true);
    expect(again === null ? null : Object.getPrototypeOf(again)).toBe(body === null ? null : Object.getPrototypeOf(body));
    retried.flush('ok');
    expect(bodies).toEqual(['ok']);
  });

  class Order {
    constructor(public count: number) {}
    toJSON(): unknown {
      return { count: this.count };
    }
  }
  class Chunk {
    readonly byteLength = 5;
  }
  class Ids extends Array<number> {}
  const gone = (): ArrayBuffer => {
    const bytes = new ArrayBuffer(8);
    structuredClone(bytes, { transfer: [bytes] });
    return bytes;
  };
  const change = <T>(value: T, changing: (value: T) => void): [T, () => void] => [value, () => changing(value)];
  const text = (body: unknown): string => JSON.stringify(body instanceof FormData || body instanceof URLSearchParams ? [...body] : body);
  it.each<[string, () => [unknown, () => void], string]>([
    [
      'a list',
      () => change([{ event: 'click' }, { event: 'pay' }], (queue) => void (queue.length = 0)),
      '[{"event":"click"},{"event":"pay"}]',
    ],
    [
      'what lies deep',
      () => change({ a: [{ b: 1, at: new Date(0) }] }, ({ a: [one] }) => void (one && (one.b = 2))),
      '{"a":[{"b":1,"at":"1970-01-01T00:00:00.000Z"}]}',
    ],
    [
      'an object of a class within',
      () => change({ order: new Order(1), n: 1 }, (body) => void (body.n = 2)),
      '{"order":{"count":1},"n":1}',
    ],
    ['a form', () => change(new URLSearchParams({ a: '1' }), (form) => form.set('a', '2')), '[["a","1"]]'],
    ['a form of parts', () => change(new FormData(), (form) => form.set('a', '2')), '[]'],
    ['bytes', () => change(new Uint8Array([1, 2]).buffer, (bytes) => void (new Uint8Array(bytes)[0] = 9)), '[1,2]'],
  ])('sends a body as it was when it was asked to, as HttpClient alone does: %s', async (_, bodyOf, expected) => {
    let offList: unknown;
    const later: HttpInterceptorFn = (request, next) => {
      if (request.url !== ORDERS) offList = request.body;
      return next(request);
    };
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, later])] });
    await app.credentials.signIn();
    const [body, changing] = bodyOf();
    app.http.post(ORDERS, body).subscribe();
    app.http.post('https://elsewhere.example.com/', body).subscribe();
    expect(offList).toBe(body); // untouched, and at no cost
    changing();
    await app.credentials.tick();
    app.server.expectOne('https://elsewhere.example.com/');
    const { request } = app.server.expectOne(ORDERS);
    const sent: unknown = request.body;
    expect(Object.getPrototypeOf(sent)).toBe(Object.getPrototypeOf(body)); // interceptors that come later can work with it
    expect(text(sent instanceof ArrayBuffer ? [...new Uint8Array(sent)] : sent)).toBe(expected);
  });

  it.each<[string, () => unknown]>([
    ['text', () => 'x'],
    ['false', () => false],
    ['HttpParams', () => new HttpParams().set('a', '1')],
    ['a Blob', () => new Blob(['x'], { type: 'text/plain' })],
    ['an object of a class', () => new Order(1)],
    ['a view of bytes, which HttpClient sends as JSON by its type', () => new Float32Array([0.5])],
    ['an object of a class with a byteLength', () => new Chunk()],
    ['bytes that are gone', () => gone()],
    ['a list of a class', () => Ids.from([1])],
    ['a list with a toJSON', () => Object.assign([1], { toJSON: () => 'own' })],
    ['an object with a hidden toJSON', () => Object.defineProperty({ a: 1 }, 'toJSON', { value: () => 'own' })],
  ])('sends %s itself', async (_, bodyOf) => {
    app = createAngularApp();
    await app.credentials.signIn();
    const body = bodyOf();
    app.http.post(ORDERS, body).subscribe();
    await app.credentials.tick();
    expect(app.server.expectOne(ORDERS).request.body).toBe(body);
  });

  it('a body that holds itself is itself, read once, and fails as with HttpClient alone', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    let readings = 0;
    const counting: ProxyHandler<object[]> = {
      get: (list, name) => ((readings += name === '0' ? 1 : 0), Reflect.get(list, name) as unknown),
    };
    const body: Record<string, unknown> = { list: new Proxy([{}], counting) };
    body['itself'] = body;
    app.http.post(ORDERS, body).subscribe();
    await app.credentials.tick();
    const { request } = app.server.expectOne(ORDERS);
    expect(request.body).toBe(body);
    expect(readings).toBe(1);
    expect(() => request.serializeBody()).toThrow(/circular/);
  });

  it('what is in a body in many places is copied once', async () => {
    app = createAngularApp();
    await app.credentials.signIn();
    let body: readonly unknown[] = [];
    for (let level = 0; level < 16; level++) body = [body, body]; // 2^16 ways lead to the innermost
    app.http.post(ORDERS, body).subscribe();
    await app.credentials.tick();
    const [left, right] = app.server.expectOne(ORDERS).request.body as readonly unknown[];
    expect(left).toBe(right);
    expect(left).not.toBe(body[0]);
  });

  it('6750-4 does not send a stream again: the 401 is the answer, the next request has the new token', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    const errors: unknown[] = [];
    app.http.post(ORDERS, new ReadableStream()).subscribe({ error: (error: unknown) => errors.push(error) });
    await app.credentials.tick();
    const refused = app.server.expectOne(ORDERS);
    refused.flush(null, REFUSED);
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush();
    app.server.expectNone(ORDERS);
    expect(errors).toMatchObject([{ status: 401 }]);
    app.get(ORDERS);
    await app.credentials.tick();
    const next = app.server.expectOne(ORDERS);
    expect(authorizationOf(next)).toBe(`Bearer ${credential.token?.accessToken}`);
    expect(authorizationOf(next)).not.toBe(authorizationOf(refused));
    next.flush(null);
  });

  it('E20 fails with a timeout where a token does not come; the renewal goes on', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    await app.credentials.expire(credential);
    const sent = app.get(ORDERS);
    await app.credentials.tick(29_000);
    expect(sent.errors).toEqual([]);
    await app.credentials.tick(1_000);
    expect(sent.errors).toMatchObject([{ code: 'timeout' }]);
    app.server.expectNone(ORDERS);
    await app.credentials.expectRefresh(credential.id).flush();
    expect(credential.status.token).toBe('valid');
    app.credentials.expectNoRefresh();
  });

  it('RF-10 E20 leaves no timer behind for a request that is unsubscribed while it waits', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    await app.credentials.expire(credential);
    const refreshing = credential.refresh();
    await app.credentials.tick();
    const idle = app.timers();
    const waiting = app.get(ORDERS);
    await app.credentials.tick();
    const other = app.get(ORDERS);
    await app.credentials.tick();
    expect(app.timers()).toBeGreaterThan(idle);
    waiting.unsubscribe();
    other.unsubscribe();
    await app.credentials.tick();
    expect(app.timers()).toBe(idle);
    await app.credentials.expectRefresh(credential.id).flush();
    await refreshing;
    expect(credential.status.token).toBe('valid');
    app.credentials.expectNoRefresh();
    app.server.expectNone(ORDERS);
  });

  it('RF-10 a httpResource that changes its mind cancels its request, never the refresh', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn();
    await app.credentials.expire(credential);
    const page = signal(1);
    const orders = TestBed.runInInjectionContext(() => httpResource<string>(() => `${ORDERS}?page=${page()}`));
    TestBed.tick();
    await app.credentials.tick();
    page.set(2);
    TestBed.tick();
    await app.credentials.tick();
    await app.credentials.expectRefresh(credential.id).flush();
    app.server.expectNone(`${ORDERS}?page=1`);
    const request = app.server.expectOne(`${ORDERS}?page=2`);
    expect(authorizationOf(request)).toBe(`Bearer ${credential.token?.accessToken}`);
    request.flush('second page');
    await app.credentials.tick();
    expect(orders.value()).toBe('second page');
    app.credentials.expectNoRefresh();
  });

  it('sends once more after the pause a server asks for, if that is wanted', async () => {
    app = createAngularApp({ features: [withRefresh({ retryAfterMaxMs: 5_000 })] });
    await app.credentials.signIn();
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    app.server.expectOne(ORDERS).flush(null, { status: 503, statusText: 'busy', headers: { 'Retry-After': '3' } });
    await app.credentials.tick(2_900);
    app.server.expectNone(ORDERS);
    await app.credentials.tick(200);
    app.server.expectOne(ORDERS).flush('ok');
    expect(sent.bodies).toEqual(['ok']);
  });

  it('6750-4 sends a POST with a query again where the runtime does not say where its answer came from', async () => {
    const posts: string[] = [];
    const nameless: HttpInterceptorFn = ({ url, urlWithParams }) => (
      posts.push(urlWithParams),
      throwError(() => new HttpErrorResponse({ status: 401, url })) // as Angular makes it over XMLHttpRequest
    );
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, nameless])] });
    await app.credentials.signIn();
    app.http.post(ORDERS, {}, { params: { q: 1 } }).subscribe({ error: () => undefined });
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush();
    await app.credentials.tick();
    expect(posts).toEqual([`${ORDERS}?q=1`, `${ORDERS}?q=1`]);
  });

  it('6750-4 sends a POST again whose query a later interceptor has added to', async () => {
    const later: HttpInterceptorFn = (request, next) => next(request.clone({ setParams: { lang: 'de' } }));
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, later])] });
    await app.credentials.signIn();
    app.http.post(ORDERS, {}).subscribe({ error: () => undefined });
    await app.credentials.tick();
    app.server.expectOne(`${ORDERS}?lang=de`).flush('no', REFUSED);
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush();
    await app.credentials.tick();
    app.server.expectOne(`${ORDERS}?lang=de`).flush('ok');
  });

  it('leaves JSONP alone, which carries no header', async () => {
    const passed: HttpRequest<unknown>[] = [];
    const backend: HttpInterceptorFn = (request) => (passed.push(request), of(new HttpResponse()));
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, backend])] });
    await app.credentials.signIn();
    app.http.jsonp(ORDERS, 'callback').subscribe();
    expect(passed.map(({ method, headers }) => [method, headers.has('Authorization')])).toEqual([['JSONP', false]]);
  });

  it('keeps what an API says to nobody out of the transfer cache: the browser may be that of a user', async () => {
    app = createAngularApp();
    for (const url of [ORDERS, 'https://elsewhere.example.com/']) app.get(url);
    await app.credentials.tick();
    const sent = app.server.match(() => true);
    expect(sent.map(({ request }) => [request.url, request.transferCache]).sort()).toEqual([
      [ORDERS, false],
      ['https://elsewhere.example.com/', undefined],
    ]);
    for (const one of sent) one.flush(null);
  });

  it('HT-3 does not renew for the 401 of another place, to which a redirect has led', async () => {
    const urls = ['https://elsewhere.example.com/', `${API}moved`];
    const redirected: HttpInterceptorFn = () => throwError(() => new HttpErrorResponse({ status: 401, url: urls.shift() ?? '' }));
    app = createAngularApp({ http: [withInterceptors([credentialsInterceptor, redirected])] });
    await app.credentials.signIn();
    const sent = app.get(ORDERS);
    await app.credentials.tick();
    expect(sent.errors).toMatchObject([{ url: 'https://elsewhere.example.com/' }]);
    app.credentials.expectNoRefresh();
    app.get(ORDERS);
    await app.credentials.tick();
    await app.credentials.expectRefresh().flush(); // within the list it counts
  });
});
