import { refusal } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, type Tab, type World } from '../support/fixture.js';
import { aToken } from '../support/tokens.js';
import type { Credential } from '../../src/index.js';

afterEach(closeAll);

const API = 'https://api.example.com/orders';

async function signedIn(): Promise<World & Tab & { readonly credential: Credential }> {
  const world = createWorld();
  const tab = await world.openTab();
  return { ...world, ...tab, credential: await tab.store.store(world.authority.signIn()) };
}

describe('authorize', () => {
  it('gives a request with the token, and everything else as it was', async () => {
    const { credential } = await signedIn();
    const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
    for (const request of [await credential.authorize(new URL(API), init), await credential.authorize(new Request(API, init))]) {
      expect(request.headers.get('authorization')).toBe(`Bearer ${credential.token?.accessToken}`);
      expect([request.url, request.method, request.headers.get('content-type')]).toEqual([API, 'POST', 'application/json']);
      expect(await request.text()).toBe('{"a":1}');
    }
  });

  it('renews first where it must', async () => {
    const { credential, browser, authority } = await signedIn();
    const before = credential.token?.accessToken;
    await browser.advance(3_600_000);
    const request = await credential.authorize(API);
    expect(authority.refreshes).toHaveLength(1);
    expect(request.headers.get('authorization')).toBe(`Bearer ${credential.token?.accessToken}`);
    expect(credential.token?.accessToken).not.toBe(before);
  });

  it("never overwrites a caller's own Authorization", async () => {
    const { credential } = await signedIn();
    const request = await credential.authorize(API, { headers: { Authorization: 'Basic abc' } });
    expect(request.headers.get('authorization')).toBe('Basic abc');
  });

  it.each(['http://api.example.com/', 'http://localhost.example.com/', 'http://192.168.0.1/', 'data:text/plain,x'])(
    '6750-3 refuses %s before it asks for a token',
    async (url) => {
      const { credential, authority, browser } = await signedIn();
      await browser.advance(3_600_000);
      await expect(credential.authorize(url)).rejects.toThrow(TypeError);
      expect(authority.refreshes).toEqual([]);
    },
  );

  it('refuses a request that browsers would send without the token', async () => {
    const { credential } = await signedIn();
    const asking = [credential.authorize(API, { mode: 'no-cors' }), credential.authorize(new Request(API, { mode: 'no-cors' }))];
    for (const one of asking) await expect(one).rejects.toThrow(/mode no-cors/);
  });

  it.each(['http://localhost:3000/', 'http://127.0.0.1:3000/', 'http://[::1]:3000/'])('takes %s of this machine', async (url) => {
    const { credential } = await signedIn();
    expect((await credential.authorize(url)).headers.has('authorization')).toBe(true);
  });

  it('E22 a token bound to a key is not sent as Bearer', async () => {
    const { openTab } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(aToken({ tokenType: 'DPoP', context: { issuer: 'https://id.example.com', clientId: 'spa' } }));
    expect(await codeOf(credential.authorize(API))).toBe('unsupported');
  });

  it("ends waiting with the request's signal", async () => {
    const { credential, browser, authority } = await signedIn();
    await browser.advance(3_600_000);
    authority.hold();
    const controller = new AbortController();
    const asking = codeOf(credential.authorize(API, { signal: controller.signal }));
    controller.abort();
    expect(await asking).toBe('aborted');
  });

  it('says why there is no token', async () => {
    const { credential, browser, authority, store } = await signedIn();
    await browser.advance(3_600_000);
    authority.next(refusal('invalid_grant'));
    expect(await codeOf(credential.authorize(API))).toBe('needs_sign_in');
    await credential.remove();
    expect(await codeOf(credential.authorize(API))).toBe('credential_removed');
    await store.close();
    expect(await codeOf(credential.authorize(API))).toBe('store_closed');
  });
});

describe('introspect', () => {
  it('asks about the token at hand, and renews nothing', async () => {
    const { credential, browser, authority } = await signedIn();
    await browser.advance(3_600_000);
    const { accessToken, refreshToken } = credential.token!;
    expect(await credential.introspect('access_token')).toEqual({ active: true });
    expect(await credential.introspect('refresh_token')).toEqual({ active: true });
    expect(authority.introspections).toEqual([
      { token: accessToken, hint: 'access_token' },
      { token: refreshToken, hint: 'refresh_token' },
    ]);
    expect(authority.refreshes).toEqual([]);
  });

  it('says what is not there', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ refreshable: false }));
    expect(await codeOf(credential.introspect('refresh_token'))).toBe('no_refresh_token');
    await expect(credential.introspect('id_token' as never)).rejects.toThrow(TypeError);
    await credential.remove();
    expect(await codeOf(credential.introspect('access_token'))).toBe('credential_removed');
    expect(authority.introspections).toEqual([]);
  });

  it('of an access token that is persisted nowhere gets one first', async () => {
    const { openTab, authority } = createWorld();
    const options = { persist: 'refresh-only' } as const;
    const first = await openTab({ options });
    const { id } = await first.store.store(authority.signIn());
    const second = await openTab({ options });
    const credential = await second.store.with(id);
    expect(await credential?.introspect('access_token')).toEqual({ active: true });
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.introspections).toEqual([{ token: credential?.token?.accessToken, hint: 'access_token' }]);
  });
});
