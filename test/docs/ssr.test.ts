import { randomBytes } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { defer, firstValueFrom, from, NEVER, type Observable, switchMap, throwError } from 'rxjs';
import { createCredentialStore, type CredentialStorage, type CredentialStore, type Token } from '../../src/index';
import type { OAuth2ClientOptions } from '../../src/index';
import type { Transaction } from '../../src/flows/index';
import { loadFile } from '../support/example';
import { fakeServer, type FakeServer } from '../support/fake-server';
import { unitPlatform, type UnitPlatform } from '../support/unit-platform';

// The files of docs/ssr.md that deal with cookies are run as they stand there. Angular is played: its own server is in test/consumers/ssr.test.ts.
interface CookieFile {
  readonly injectRequestStorage: () => CredentialStorage;
  readonly cookiesFor: (token: Token, cookieHeader?: string) => Promise<readonly string[]>;
}
type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
interface SignInFile {
  readonly beginSignIn: Route;
  readonly endSignIn: Route;
}

/** A file of the page; what it imports is what is given, or what there is. */
const load = (path: string, given: Readonly<Record<string, object>>): unknown => loadFile('docs/ssr.md', path, given);

interface World {
  readonly server: FakeServer;
  readonly platform: UnitPlatform;
  readonly client: OAuth2ClientOptions;
  readonly cookies: CookieFile;
  readonly signIn: SignInFile;
  /** What `inject` gives. */
  readonly injected: Map<string, unknown>;
}

beforeEach(() => (process.env['SEALING_KEY'] = randomBytes(32).toString('base64')));

function setUp(): World {
  const server = fakeServer();
  const platform = unitPlatform({ fetch: server.fetch });
  const redirectUri = 'https://app.example.com/callback';
  const client = { issuer: server.issuer, clientId: server.clientId, scope: 'openid offline_access', redirectUri, platform };
  const injected = new Map<string, unknown>();
  const angular = { inject: (name: string) => injected.get(name), REQUEST: 'request', RESPONSE_INIT: 'answer' };
  const given = { '@angular/core': angular, './credentials': { CLIENT: client } };
  const cookies = load('src/app/request-credentials.ts', given) as CookieFile;
  const around = { './app/credentials': { CLIENT: client }, './app/request-credentials': cookies };
  return { server, platform, client, injected, cookies, signIn: load('src/sign-in.ts', around) as SignInFile };
}

/** A request and its answer. */
async function answerOf(route: Route, url: string, cookie = ''): Promise<ServerResponse> {
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { url, headers: { cookie } });
  const response = new ServerResponse(request);
  await route(request, response);
  return response;
}

/** What a browser sends that has had cookies, and then an answer. */
function cookiesOf(lines: readonly string[], before = ''): string {
  const cookies = new Map(before.split('; ').map((pair) => [pair.split('=')[0], pair]));
  for (const line of lines) {
    const pair = line.split(';')[0] ?? '';
    if (line.includes('Max-Age=0')) cookies.delete(pair.split('=')[0]);
    else cookies.set(pair.split('=')[0], pair);
  }
  return [...cookies.values()].filter((pair) => pair !== '').join('; ');
}

let isOver = false;
beforeEach(() => void (isOver = false));
afterEach(() => void (isOver = true));

/** Turns of the event loop until something is there: sealing takes as long as it takes. Those of a test that failed end with it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition() && !isOver) await new Promise<void>((resolve) => setImmediate(resolve));
}

function linesOf(response: ServerResponse): readonly string[] {
  return [response.getHeader('set-cookie') ?? []].flat().map(String);
}

async function planToken({ server }: World, nonce: string, sub: string): Promise<void> {
  const id_token = await server.idToken({ nonce, sub, name: sub });
  server.plan('token', { access_token: 'access-1', token_type: 'Bearer', expires_in: 600, refresh_token: 'refresh-1', id_token });
}

/** Signs in by the routes of the page. */
async function signedIn(world: World, sub = 'alice', cookie = ''): Promise<{ readonly location: unknown; readonly cookie: string }> {
  const begun = await answerOf(world.signIn.beginSignIn, '/sign-in?returnTo=/orders', cookie);
  const { searchParams } = new URL(String(begun.getHeader('location')));
  await planToken(world, searchParams.get('nonce') ?? '', sub);
  const callback = `/callback?code=code-1&state=${searchParams.get('state')}`;
  const ended = await answerOf(world.signIn.endSignIn, callback, cookiesOf(linesOf(begun), cookie));
  expect(linesOf(ended).every((line) => line.startsWith('__Host-') && line.endsWith('; HttpOnly') === !line.includes('sign-in'))).toBe(
    true,
  );
  return { location: [ended.statusCode, ended.getHeader('location')], cookie: cookiesOf(linesOf(ended), cookie) };
}

/** What its answer has the browser keep of a sign-in. */
async function pendingIn(begun: ServerResponse): Promise<Record<string, unknown>> {
  const value = cookiesOf(linesOf(begun)).split('=')[1] ?? '';
  const { plaintext } = await compactDecrypt(value, Buffer.from(process.env['SEALING_KEY'] ?? '', 'base64'));
  return JSON.parse(Buffer.from(plaintext).toString()) as Record<string, unknown>;
}

/** The store of a request with these cookies, and the head of its answer. */
function requestOf({ client, cookies, injected }: World, cookie: string): { store: CredentialStore; answer: { headers?: Headers } } {
  const answer: { headers?: Headers } = {};
  injected.set('request', new Request('https://app.example.com/', { headers: { cookie } })).set('answer', answer);
  return { store: createCredentialStore({ clients: client, storage: cookies.injectRequestStorage() }), answer };
}

describe('docs/ssr.md: sign in on the server', () => {
  it('9700-1 ends with the cookie of the page, and goes to where it began', async () => {
    const world = setUp();
    const { location, cookie } = await signedIn(world);
    expect(location).toEqual([303, '/orders']);
    const { store } = requestOf(world, cookie);
    expect((await store.getDefault())?.claims?.sub).toBe('alice');
    await store.close();
  });

  it('9700-1 a link cannot send the user to another site', async () => {
    const world = setUp();
    for (const wanted of ['https://evil.test/', '//evil.test', '/\\evil.test', '/%09/evil.test']) {
      const begun = await answerOf(world.signIn.beginSignIn, `/sign-in?returnTo=${wanted}`);
      expect(await pendingIn(begun)).toMatchObject({ returnTo: '/' });
    }
  });

  it('9700-1 a link, or a server that is away, ends no server of ours', async () => {
    const world = setUp();
    for (const wanted of [
      '/.//evil.test',
      '/..//evil.test',
      '/%252e%252e//x',
      `/${'a'.repeat(3_000)}`,
      `/${encodeURIComponent('ü'.repeat(900))}`,
    ]) {
      const begun = await answerOf(world.signIn.beginSignIn, `/sign-in?returnTo=${wanted}`);
      expect([303, 503]).toContain(begun.statusCode);
      expect(cookiesOf(linesOf(begun)).length).toBeLessThan(2_000);
      expect(String(begun.getHeader('location') ?? '')).not.toContain('evil');
    }
    const { server, signIn } = setUp();
    server.plan('discovery', () => new Response('', { status: 503 }));
    expect((await answerOf(signIn.beginSignIn, '/sign-in')).statusCode).toBe(503);
  });

  it('9700-4 an address of somebody else’s sign-in signs nobody in', async () => {
    const world = setUp();
    const begun = await answerOf(world.signIn.beginSignIn, '/sign-in');
    const own = await answerOf(world.signIn.beginSignIn, '/sign-in');
    const state = new URL(String(begun.getHeader('location'))).searchParams.get('state');
    for (const cookie of ['', cookiesOf(linesOf(own)), '__Host-sign-in=AAAA']) {
      const ended = await answerOf(world.signIn.endSignIn, `/callback?code=code-1&state=${state}`, cookie);
      expect([ended.statusCode, linesOf(ended)]).toEqual([400, []]);
    }
    expect(world.server.calls('token')).toEqual([]);
  });

  it.each<[string, (pending: object) => string | Promise<string>]>([
    ['in the clear', (pending) => Buffer.from(JSON.stringify(pending)).toString('base64url')],
    [
      'sealed with a key of its own',
      (pending) =>
        new CompactEncrypt(Buffer.from(JSON.stringify(pending)))
          .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: 'sign-in' })
          .encrypt(randomBytes(32)),
    ],
    [
      'sealed for something else',
      (pending) =>
        new CompactEncrypt(Buffer.from(JSON.stringify(pending)))
          .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
          .encrypt(Buffer.from(process.env['SEALING_KEY'] ?? '', 'base64')),
    ],
  ])('9700-4 nobody reads what was asked for, or takes something out of it: %s', async (_, written) => {
    const world = setUp();
    const begun = await answerOf(world.signIn.beginSignIn, '/sign-in');
    const { codeVerifier, state, ...pending } = (await pendingIn(begun)) as unknown as Transaction;
    const said = cookiesOf(linesOf(begun)).split('=')[1] ?? '';
    for (const part of said.split('.')) expect(Buffer.from(part, 'base64url').toString()).not.toContain(codeVerifier);
    const cookie = `__Host-sign-in=${await written({ ...pending, codeVerifier, state })}`;
    const ended = await answerOf(world.signIn.endSignIn, `/callback?code=code-1&state=${state}`, cookie);
    expect([ended.statusCode, linesOf(ended), world.server.calls('token')]).toEqual([400, [], []]);
  });

  it('a token that no cookie holds is no sign-in, and the answer says so', async () => {
    const world = setUp();
    const begun = await answerOf(world.signIn.beginSignIn, '/sign-in');
    const { searchParams } = new URL(String(begun.getHeader('location')));
    const id_token = await world.server.idToken({ nonce: searchParams.get('nonce') ?? '', sub: 'alice' });
    world.server.plan('token', { access_token: 'a'.repeat(20_000), token_type: 'Bearer', expires_in: 600, id_token });
    const callback = `/callback?code=code-1&state=${searchParams.get('state')}`;
    const ended = await answerOf(world.signIn.endSignIn, callback, cookiesOf(linesOf(begun)));
    expect([ended.statusCode, ended.getHeader('location')]).toEqual([400, undefined]);
    expect(linesOf(ended).filter((line) => !line.startsWith('__Host-sign-in='))).toEqual([]);
  });

  it('the next user takes the place of the one before', async () => {
    const world = setUp();
    const { cookie } = await signedIn(world);
    const next = await signedIn(world, 'bob', cookie);
    const { store } = requestOf(world, next.cookie);
    expect((await store.find({})).map(({ claims }) => claims?.sub)).toEqual(['bob']);
    await store.close();
  });
});

describe('docs/ssr.md: when something fails', () => {
  /** Runs `preparePage` with an API; what it puts into the transfer state. */
  function prepared(
    world: World,
    store: CredentialStore,
    api: Observable<unknown>,
  ): { readonly done: Promise<unknown>; readonly page: unknown[] } {
    const page: unknown[] = [];
    const http = {
      get: () =>
        defer(() => from(store.getDefault())).pipe(
          switchMap((credential) => credential?.accessToken() ?? ''), // as the interceptor does
          switchMap(() => api),
        ),
    };
    const state = { set: (_key: string, value: unknown) => void page.push(value) };
    world.injected.set('store', store).set('http', http).set('state', state);
    let prepare: (() => Promise<void>) | undefined;
    load('src/app/app.config.server.ts', {
      '@angular/core': {
        inject: (name: string) => world.injected.get(name),
        mergeApplicationConfig: () => ({}),
        provideAppInitializer: (run: () => Promise<void>) => (prepare = run),
        TransferState: 'state',
      },
      '@angular/common/http': { HttpClient: 'http' },
      '@angular/ssr': { provideServerRendering: () => ({}), withRoutes: () => ({}) },
      'rx-credentials-angular': { CredentialStore: 'store' },
      './app.config': {},
      './app.routes.server': {},
      './credentials': { API: 'https://api.example.com/', PAGE: 'page' },
      './request-credentials': {},
    });
    return { done: prepare?.() ?? Promise.reject(new Error('the page has no preparePage')), page };
  }
  const lost = { user: 'alice', orders: null };

  beforeEach(() => jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] }));
  afterEach(() => jest.useRealTimers());

  it('an API that fails or answers nonsense leaves the number out', async () => {
    const world = setUp();
    const { store } = requestOf(world, (await signedIn(world)).cookie);
    for (const api of [throwError(() => new Error('503')), from([null])]) {
      const { done, page } = prepared(world, store, api);
      await done;
      expect(page).toEqual([lost]);
    }
    await store.close();
  });

  it('an API that hangs holds the page no longer than API_WAIT_MS', async () => {
    const world = setUp();
    const { store } = requestOf(world, (await signedIn(world)).cookie);
    await store.ready; // what cookies hold is opened under a deadline of its own
    const { done, page } = prepared(world, store, NEVER);
    await until(() => jest.getTimerCount() > 0);
    expect(page).toEqual([]);
    jest.advanceTimersByTime(2_000);
    await done;
    expect([page, jest.getTimerCount()]).toEqual([[lost], 0]);
    await store.close();
  });

  it('a renewal that takes longer than the API may is waited for, and its cookie is in the answer; not for ever', async () => {
    const world = setUp();
    const { cookie } = await signedIn(world);
    world.platform.advance(3_600_000);
    for (const isAnswered of [true, false]) {
      let answerToken = (_: Response): void => undefined;
      world.server.plan('token', () => new Promise<Response>((resolve) => (answerToken = resolve)));
      const { store, answer } = requestOf(world, cookie);
      const { done, page } = prepared(world, store, from([[1]]));
      const sent = world.server.calls('token').length;
      await until(() => world.server.calls('token').length > sent);
      jest.advanceTimersByTime(2_000);
      await until(() => jest.getTimerCount() > 0 || page.length > 0);
      expect(page).toEqual([]);
      const token = { access_token: 'access-2', token_type: 'Bearer', expires_in: 600, refresh_token: 'refresh-2' };
      if (isAnswered) answerToken(Response.json(token));
      else jest.advanceTimersByTime(10_000);
      await done;
      expect(page).toEqual([lost]);
      const next = requestOf(world, cookiesOf(answer.headers?.getSetCookie() ?? [], cookie));
      const token$ = next.store.token$((await next.store.getDefault())?.id ?? '');
      expect((await firstValueFrom(token$))?.refreshToken).toBe(isAnswered ? 'refresh-2' : 'refresh-1');
      await next.store.close();
      answerToken(Response.json(token));
      await store.close();
    }
  });

  it('a rejected refresh token gives the page of nobody, and a cookie without tokens; nobody is asked again', async () => {
    const world = setUp();
    const { cookie } = await signedIn(world);
    world.platform.advance(3_600_000);
    world.server.plan('token', () => Response.json({ error: 'invalid_grant' }, { status: 400 }));
    const first = requestOf(world, cookie);
    const { done, page } = prepared(world, first.store, from([[1]]));
    await done;
    expect(page).toEqual([null]);
    await first.store.close();
    const asked = world.server.calls('token').length;
    const next = requestOf(world, cookiesOf(first.answer.headers?.getSetCookie() ?? [], cookie));
    const again = prepared(world, next.store, from([[1]]));
    await again.done;
    expect([again.page, world.server.calls('token').length]).toEqual([[null], asked]);
    const [left] = next.store.snapshot().credentials;
    expect([left?.status.token, left?.claims?.sub, next.answer.headers?.getSetCookie()]).toEqual(['needs_sign_in', 'alice', []]);
    await next.store.close();
  });
});
