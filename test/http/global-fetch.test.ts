// A program that puts a `fetch` with tokens in the place of the runtime's own: what its clients send comes through it, too.
import { createFetch } from '../../src/http/index';
import { json, outcome, world, type World } from '../support/field-world';

const runtime = globalThis.fetch;
let w: World;
afterEach(async () => {
  globalThis.fetch = runtime;
  await w.close();
});

const wrapped =
  (made: typeof fetch): typeof fetch =>
  (input, init) =>
    made(input, { ...init });

describe.each<readonly [string, (options: { resources: string[] }) => typeof fetch]>([
  ['with the option fetch', (options) => createFetch(w.store, { ...options, fetch: runtime })],
  ['without it', (options) => createFetch(w.store, options)],
  ['without it, in a function of its own', (options) => wrapped(createFetch(w.store, options))],
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

  it('what is off the list goes out as it is', async () => {
    const other = w.as.base.replace('127.0.0.1', 'localhost');
    await fetch(`${other}/api`).then(
      ({ status }) => expect(status).toBe(200),
      () => undefined, // a machine whose localhost is another address: it was tried, and ended
    );
    expect(called('/api').filter((one) => one !== undefined)).toEqual([]);
  });
});
