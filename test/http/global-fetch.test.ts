// A program that puts a `fetch` with tokens in the place of the runtime's own: what its clients send comes through it, too.
import { createFetch } from '../../src/http/index';
import { json, outcome, world, type World } from '../support/field-world';

const runtime = globalThis.fetch;
let w: World;
afterEach(async () => {
  globalThis.fetch = runtime;
  await w.close();
});

const later =
  (made: typeof fetch): typeof fetch =>
  async (input, init) => {
    await Promise.resolve();
    return made(input, { ...init });
  };
const wrapped =
  (made: typeof fetch): typeof fetch =>
  (input, init) =>
    made(input, { ...init });

describe.each<readonly [string, (options: { resources: string[] }) => typeof fetch]>([
  ['with the option fetch', (options) => createFetch(w.store, { ...options, fetch: runtime })],
  ['without it', (options) => createFetch(w.store, options)],
  ['without it, in a function of its own', (options) => wrapped(createFetch(w.store, options))],
  ['without it, in one that waits', (options) => later(createFetch(w.store, options))],
])('E19 createFetch in the place of the global fetch, %s: the server is on the list, and its requests get no token', (_, make) => {
  const called = (path: string) => w.as.log.filter((one) => one.path === path).map(({ headers }) => headers.authorization);
  beforeEach(async () => {
    w = await world();
    w.as.always('/api', (_q, res) => json(res, 200, {}));
    await w.signedIn();
    globalThis.fetch = make({ resources: [`${w.as.base}/`] });
  });

  it('a token that has expired is renewed: the renewal does not wait for itself', async () => {
    w.advance(301_000);
    w.as.nowOffsetS = 301;
    expect((await fetch(`${w.as.base}/api`)).status).toBe(200);
    expect(called('/api')).toEqual(['Bearer at2']);
    expect(called('/token')).toEqual([undefined, undefined]);
    expect(called('/.well-known/openid-configuration')).toEqual([undefined]);
  });

  it('user info has the token it was given, a revocation none', async () => {
    const credential = (await w.store.getDefault())!;
    const { accessToken } = credential.token!;
    w.as.always('/me', (_q, res) => json(res, 200, { sub: 'alice' }));
    expect(await outcome(credential.userInfo().then(({ sub }) => sub))).toBe('ok:alice');
    await credential.revoke('all');
    expect(called('/me')).toEqual([`Bearer ${accessToken}`]);
    expect(called('/revoke')).toEqual([undefined, undefined]);
  });

  it('a request of nobody goes out once', async () => {
    await w.store.clear();
    expect((await fetch(`${w.as.base}/api`)).status).toBe(200);
    expect(called('/api')).toEqual([undefined]);
  });

  it('what is off the list goes out as it is', async () => {
    const other = w.as.base.replace('127.0.0.1', 'localhost');
    await fetch(`${other}/api`).then(
      ({ status }) => expect(status).toBe(200),
      () => undefined, // a machine whose localhost is another address: it was tried, and ended
    );
    expect(called('/api').filter((one) => one !== undefined)).toEqual([]);
  });
});

it('what sends calls the program back at once: that request goes the same way', async () => {
  w = await world();
  const seen: string[] = [];
  let send: typeof fetch = runtime;
  const mock: typeof fetch = (input) => {
    const url = input as string;
    seen.push(url);
    if (url.endsWith('/first')) void send('https://mock.example/second');
    return Promise.resolve(new Response('mock'));
  };
  send = createFetch(w.store, { resources: [] });
  globalThis.fetch = mock; // later, as mocks of a network are put there
  await send('https://mock.example/first');
  expect(seen).toEqual(['https://mock.example/first', 'https://mock.example/second']);
});
