import {
  HttpContext,
  HttpContextToken,
  HttpErrorResponse,
  httpResource,
  withInterceptors,
  type HttpInterceptorFn,
  type HttpRequest,
} from '@angular/common/http';
import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { credentialsInterceptor, withRefresh } from 'rx-credentials-angular';
import { throwError } from 'rxjs';
import { offline, refusal } from '../support/fake-client.js';
import { settle } from '../support/fixture.js';
import { API, createAngularWorld, createAngularWorldOf, endAngularWorld, type AngularWorld } from '../support/angular-world.js';

let world: AngularWorld;
afterEach(() => endAngularWorld(world));

const ORDERS = `${API}orders`;
const REFUSED = { status: 401, statusText: 'Unauthorized', headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } };
const authorizationOf = ({ request }: { request: HttpRequest<unknown> }): string | null => request.headers.get('Authorization');

describe('credentialsInterceptor', () => {
  it('attaches the access token of the default to requests on the list', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    await world.signIn({ sub: 'bob' });
    const sent = world.get(ORDERS);
    await settle();
    const request = world.server.expectOne(ORDERS);
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
    world = createAngularWorld();
    await world.signIn();
    world.get(url);
    await settle();
    const request = world.server.expectOne(url);
    expect(request.request.headers.keys()).toEqual([]);
    request.flush(null);
  });

  it.each(['HTTPS://API.EXAMPLE.COM/v1/orders', 'https://api.example.com:443/v1/orders', 'https://api.example.com/v1'])(
    'E16 attaches whatever the spelling of the address: %s',
    async (url) => {
      world = createAngularWorld();
      const credential = await world.signIn();
      world.get(url);
      await settle();
      const request = world.server.expectOne(url);
      expect(authorizationOf(request)).toContain(credential.token?.accessToken);
      request.flush(null);
    },
  );

  it('attaches no token that another application of the origin has left', async () => {
    world = createAngularWorld();
    await world.signIn({ clientId: 'another-app' });
    world.get(ORDERS);
    await settle();
    const request = world.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBeNull();
    request.flush(null);
  });

  it('attaches to relative addresses of a listed origin', async () => {
    world = createAngularWorld('http://localhost/api/');
    await world.signIn();
    world.get('/api/orders');
    world.get('/other');
    await settle();
    const [on, off] = [world.server.expectOne('/api/orders'), world.server.expectOne('/other')];
    expect([on.request.headers.has('Authorization'), off.request.headers.has('Authorization')]).toEqual([true, false]);
    on.flush(null);
    off.flush(null);
  });

  it("leaves a caller's own Authorization header alone, also after a 401", async () => {
    world = createAngularWorld();
    await world.signIn();
    const sent = world.get(ORDERS, { headers: { authorization: 'Basic abc' } });
    const request = world.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe('Basic abc');
    request.flush(null, REFUSED);
    await settle();
    expect(sent.errors).toMatchObject([{ status: 401 }]);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it('sends without a token while nobody is signed in', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    world.authority.next(refusal('invalid_grant'));
    await credential.refresh().catch(() => undefined);
    world.get(ORDERS);
    await settle();
    const [needsSignIn] = world.server.match(ORDERS);
    await world.store.clear();
    world.get(ORDERS);
    await settle();
    const [nobody] = world.server.match(ORDERS);
    expect([needsSignIn, nobody].map((request) => request?.request.headers.has('Authorization'))).toEqual([false, false]);
    needsSignIn?.flush(null);
    nobody?.flush(null);
  });

  it('waits until storage was read', async () => {
    world = createAngularWorld();
    const gate = world.disk.hold(({ method }) => method === 'readAll');
    world.get(ORDERS);
    await gate.reached;
    world.server.expectNone(ORDERS);
    gate.open();
    await settle();
    world.server.expectOne(ORDERS).flush(null);
  });

  it('retries once after a 401, with the renewed token', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    const first = `Bearer ${credential.token?.accessToken}`;
    const sent = world.get(ORDERS);
    await settle();
    const refused = world.server.expectOne(ORDERS);
    refused.flush(null, REFUSED);
    await settle();
    const retried = world.server.expectOne(ORDERS);
    expect([authorizationOf(refused), authorizationOf(retried)]).toEqual([first, `Bearer ${credential.token?.accessToken}`]);
    expect(authorizationOf(retried)).not.toBe(first);
    retried.flush({ ok: true });
    expect(sent).toMatchObject({ bodies: [{ ok: true }], errors: [] });
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('gives a second 401 to the caller', async () => {
    world = createAngularWorld();
    await world.signIn();
    const sent = world.get(ORDERS);
    for (let tries = 0; tries < 2; tries++) {
      await settle();
      world.server.expectOne(ORDERS).flush({ problem: tries }, REFUSED);
    }
    await settle();
    expect(sent.errors).toMatchObject([{ status: 401, error: { problem: 1 } }]);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('refreshes once for 50 concurrent 401s', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    const sent = Array.from({ length: 50 }, () => world.get(ORDERS));
    await settle();
    const refused = world.server.match(ORDERS);
    expect(refused).toHaveLength(50);
    const late = refused.splice(40);
    refused.forEach((request) => request.flush(null, REFUSED));
    await settle();
    const retried = world.server.match(ORDERS);
    expect(retried).toHaveLength(40);
    late.forEach((request) => request.flush(null, REFUSED)); // after the renewal: refused with the old token
    await settle();
    retried.push(...world.server.match(ORDERS));
    expect(new Set(retried.map(authorizationOf))).toEqual(new Set([`Bearer ${credential.token?.accessToken}`]));
    retried.forEach((request) => request.flush('ok'));
    expect(sent.flatMap(({ bodies }) => bodies)).toHaveLength(50);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('E13 leaves no mark on the context: the next request from it has its own retry', async () => {
    world = createAngularWorld();
    await world.signIn();
    const context = new HttpContext().set(new HttpContextToken(() => 'mine'), 'mine');
    const before = [...context.keys()];
    for (let round = 1; round <= 2; round++) {
      const sent = world.get(ORDERS, { context });
      await settle();
      world.server.expectOne(ORDERS).flush(null, REFUSED);
      await settle();
      world.server.expectOne(ORDERS).flush('ok');
      expect(sent.bodies).toEqual(['ok']);
      expect(world.authority.refreshes).toHaveLength(round);
    }
    expect([...context.keys()]).toEqual(before);
  });

  it.each([
    ['a scope that is missing', { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' }],
    ['a stronger login that is asked for', { 'WWW-Authenticate': 'Bearer error="insufficient_user_authentication"' }],
  ])('does not renew for %s', async (_, headers) => {
    world = createAngularWorld();
    await world.signIn();
    const sent = world.get(ORDERS);
    await settle();
    world.server.expectOne(ORDERS).flush(null, { ...REFUSED, headers });
    await settle();
    expect(sent.errors).toMatchObject([{ status: 401 }]);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it.each([400, 403, 404, 500, 503])('does not renew for status %d', async (status) => {
    world = createAngularWorld();
    await world.signIn();
    const sent = world.get(ORDERS);
    await settle();
    world.server.expectOne(ORDERS).flush(null, { status, statusText: 'no' });
    await settle();
    expect(sent.errors).toMatchObject([{ status }]);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it('gives the 401 to the caller when the renewal fails, and keeps the credential', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    world.authority.next(offline(), offline(), offline());
    const sent = world.get(ORDERS);
    await settle();
    world.server.expectOne(ORDERS).flush(null, REFUSED);
    await world.browser.advance(10_000);
    expect(sent.errors).toMatchObject([{ status: 401 }]);
    expect(credential.status.token).toBe('valid');
  });

  it('E18 renews an expired token before it sends', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.get(ORDERS);
    await settle();
    const request = world.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe(`Bearer ${credential.token?.accessToken}`);
    expect(credential.state.expiresAt).toBeGreaterThan(world.browser.now());
    request.flush(null);
  });

  it('E18 sends nothing when an expired token cannot be renewed: the error of the renewal reaches the caller', async () => {
    world = createAngularWorld();
    await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.authority.next(offline(), offline(), offline());
    const sent = world.get(ORDERS);
    await world.browser.advance(10_000);
    world.server.expectNone(ORDERS);
    expect(sent.errors).toMatchObject([{ code: 'network_error' }]);
  });

  it('RF-10 does not cancel the refresh when the request is unsubscribed', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    const before = credential.token?.accessToken;
    world.authority.hold();
    const sent = world.get(ORDERS);
    await settle();
    world.server.expectOne(ORDERS).flush(null, REFUSED);
    await settle();
    sent.unsubscribe();
    world.authority.refreshes[0]?.answer();
    await settle();
    expect(credential.token?.accessToken).not.toBe(before);
    world.server.expectNone(ORDERS); // and nothing is retried for nobody
  });

  it('sends nothing for a request that is unsubscribed while it waits', async () => {
    world = createAngularWorld();
    await world.signIn();
    world.get(ORDERS).unsubscribe();
    await settle();
    world.server.expectNone(ORDERS);
  });

  it('attaches nothing while the credential is being revoked', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    let answer = (): void => undefined;
    world.authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
    const revoking = credential.revoke('refresh');
    await settle();
    world.get(ORDERS);
    await settle();
    const request = world.server.expectOne(ORDERS);
    expect(authorizationOf(request)).toBeNull();
    request.flush(null);
    answer();
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
    world = createAngularWorld();
    await world.signIn();
    const bodies: unknown[] = [];
    world.http.post(ORDERS, body).subscribe((answer) => bodies.push(answer));
    await settle();
    world.server.expectOne(ORDERS).flush(null, REFUSED);
    await settle();
    const retried = world.server.expectOne(ORDERS);
    expect(retried.request.body).toBe(body);
    retried.flush('ok');
    expect(bodies).toEqual(['ok']);
  });

  it('6750-4 does not send a stream again: the 401 is the answer, the next request has the new token', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    const errors: unknown[] = [];
    world.http.post(ORDERS, new ReadableStream()).subscribe({ error: (error: unknown) => errors.push(error) });
    await settle();
    const refused = world.server.expectOne(ORDERS);
    refused.flush(null, REFUSED);
    await settle();
    world.server.expectNone(ORDERS);
    expect(errors).toMatchObject([{ status: 401 }]);
    world.get(ORDERS);
    await settle();
    const next = world.server.expectOne(ORDERS);
    expect(authorizationOf(next)).toBe(`Bearer ${credential.token?.accessToken}`);
    expect(authorizationOf(next)).not.toBe(authorizationOf(refused));
    next.flush(null);
  });

  it('E20 fails with a timeout where a token does not come; the renewal goes on', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.authority.hold();
    const sent = world.get(ORDERS);
    await world.browser.advance(29_000);
    expect(sent.errors).toEqual([]);
    await world.browser.advance(1_000);
    expect(sent.errors).toMatchObject([{ code: 'timeout' }]);
    world.server.expectNone(ORDERS);
    world.authority.refreshes[0]?.answer();
    await settle();
    expect(credential.status.token).toBe('valid');
    expect(world.authority.reuses()).toBe(0);
  });

  it('RF-10 E20 leaves no timer behind for a request that is unsubscribed while it waits', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.authority.hold();
    const idle = world.platform.held().timers;
    const waiting = world.get(ORDERS);
    await settle();
    const other = world.get(ORDERS);
    await settle();
    waiting.unsubscribe();
    other.unsubscribe();
    world.authority.refreshes[0]?.answer();
    await settle();
    expect(credential.status.token).toBe('valid');
    expect(world.authority.refreshes).toHaveLength(1);
    expect(world.platform.held().timers).toBe(idle);
    world.server.expectNone(ORDERS);
  });

  it('RF-10 a httpResource that changes its mind cancels its request, never the refresh', async () => {
    world = createAngularWorld();
    const credential = await world.signIn();
    world.browser.setClock(world.browser.now() + 3_700_000);
    world.authority.hold();
    const page = signal(1);
    const orders = TestBed.runInInjectionContext(() => httpResource<string>(() => `${ORDERS}?page=${page()}`));
    TestBed.tick();
    await settle();
    page.set(2);
    TestBed.tick();
    await settle();
    expect(world.authority.refreshes).toHaveLength(1);
    world.authority.refreshes[0]?.answer();
    await settle();
    world.server.expectNone(`${ORDERS}?page=1`);
    const request = world.server.expectOne(`${ORDERS}?page=2`);
    expect(authorizationOf(request)).toBe(`Bearer ${credential.token?.accessToken}`);
    request.flush('second page');
    await settle();
    expect(orders.value()).toBe('second page');
    expect(world.authority.reuses()).toBe(0);
  });

  it('sends once more after the pause a server asks for, if that is wanted', async () => {
    world = createAngularWorldOf({ features: [withRefresh({ retryAfterMaxMs: 5_000 })] });
    await world.signIn();
    const sent = world.get(ORDERS);
    await settle();
    world.server.expectOne(ORDERS).flush(null, { status: 503, statusText: 'busy', headers: { 'Retry-After': '3' } });
    await world.browser.advance(2_900);
    world.server.expectNone(ORDERS);
    await world.browser.advance(200);
    world.server.expectOne(ORDERS).flush('ok');
    expect(sent.bodies).toEqual(['ok']);
  });

  it('HT-3 does not renew for the 401 of another place, to which a redirect has led', async () => {
    const urls = ['https://elsewhere.example.com/', `${API}moved`];
    const redirected: HttpInterceptorFn = () => throwError(() => new HttpErrorResponse({ status: 401, url: urls.shift() ?? '' }));
    world = createAngularWorldOf({ http: [withInterceptors([credentialsInterceptor, redirected])] });
    await world.signIn();
    const sent = world.get(ORDERS);
    await settle();
    expect([sent.errors, world.authority.refreshes.length]).toMatchObject([[{ url: 'https://elsewhere.example.com/' }], 0]);
    world.get(ORDERS);
    await settle();
    expect(world.authority.refreshes).toHaveLength(1); // within the list it counts
  });
});
