import { CredentialError } from '../../src/errors.js';
import { OAuthResponseError } from '../../src/oauth/oauth-response-error.js';
import { createOAuth2Client } from '../../src/oauth/client.js';
import type { Platform } from '../../src/platform/platform.js';
import type { Credential } from '../../src/store/credential.js';
import type { CredentialStore } from '../../src/store/store.js';
import { CLIENT_ID, ISSUER, offline, refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const failure = (code: 'server_unavailable' | 'server_error' | 'http_error' | 'timeout', status?: number) =>
  new CredentialError(code, 'no', { issuer: ISSUER, status });

describe('a refresh that fails', () => {
  it.each([
    ['the network', offline(), 'network_error'],
    ['a deadline', failure('timeout'), 'timeout'],
    ['a 500', failure('server_error', 500), 'server_error'],
    ['an HTML page', 'garbage', 'response_invalid'],
  ] as const)('RF-7 E6 because of %s is sent three times; then the credential is kept, and the intent with it', async (_, answer, code) => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store, newEvents, events } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    const before = disk.record(credential.id);
    newEvents();
    authority.next(answer, answer, answer);
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe(code);
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual(Array(3).fill(token.refreshToken));
    expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
    expect(events.at(-1)).toMatchObject({ id: credential.id, code, class: 'unknown_outcome', attempts: 1, nextTryAt: null });
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(credential.token?.isEqual(token)).toBe(true);
    const { intent, ...after } = disk.record(credential.id);
    expect(intent).toMatchObject({ attempt: 1, generation: 1 });
    expect(after).toEqual({ ...before, revision: 2, changedAt: expect.any(Number) as number });
  });

  it.each([
    ['a 503', failure('server_unavailable', 503), 'server_unavailable'],
    ['a 429', failure('server_unavailable', 429), 'server_unavailable'],
    ['a 4xx without a reason', failure('http_error', 400), 'http_error'],
    ['invalid_client', refusal('invalid_client'), 'oauth_error'],
    ['unauthorized_client', refusal('unauthorized_client'), 'oauth_error'],
    ['invalid_scope', refusal('invalid_scope'), 'oauth_error'],
    ['temporarily_unavailable', refusal('temporarily_unavailable'), 'oauth_error'],
    ['an error nobody knows', refusal('surprise'), 'oauth_error'],
  ] as const)('E6 E7 because of %s is sent once; the credential is kept, the intent taken back', async (_, answer, code) => {
    const { openTab, authority, disk } = createWorld();
    const { store, newEvents, events } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    const before = disk.record(credential.id);
    newEvents();
    authority.next(answer);
    expect(await codeOf(credential.refresh())).toBe(code);
    expect(authority.refreshes).toHaveLength(1);
    expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
    expect(events.at(-1)).toMatchObject({ id: credential.id, code, class: answer.class });
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(credential.token?.isEqual(token)).toBe(true);
    expect(disk.record(credential.id)).toEqual({ ...before, revision: 3, changedAt: expect.any(Number) as number });
  });

  it('E6 E11 is followed by one that works, with the same refresh token', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    authority.next(offline(), offline(), offline(), failure('server_unavailable', 503));
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('network_error');
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('server_unavailable');
    expect(credential.state.refreshFailure).toMatchObject({ code: 'server_unavailable', attempts: 2 });
    await inTime(browser, credential.refresh());
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual(Array(5).fill(token.refreshToken));
    expect(credential.state).toMatchObject({ status: { token: 'valid', activity: 'idle' }, refreshFailure: null });
  });

  it('E11 does not fail or stop the refresh of another credential', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const [a, b] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    authority.next(offline(), {}, offline(), offline()); // the second one is for bob
    const outcomes = await inTime(browser, Promise.allSettled([a.refresh(), b.refresh()]));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect([a, b].map(({ state }) => state.refreshFailure?.code)).toEqual(['network_error', undefined]);
  });

  it('never shows as signed out, not even while it runs', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    const [defaults, tokens] = [collect(store.default$), collect(credential.token$)];
    authority.next(offline(), offline(), offline());
    expect(await codeOf(inTime(browser, credential.accessToken()))).toBe('network_error');
    await inTime(browser, credential.refresh());
    expect(defaults.values).toEqual([credential]);
    expect(tokens.values.map((token) => token?.id)).toEqual([credential.id, credential.id]);
  });

  it('because there is no refresh token sends nothing and changes nothing', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const token = authority.signIn({ refreshable: false });
    const credential = await store.store(token);
    newEvents();
    expect(await codeOf(credential.refresh())).toBe('no_refresh_token');
    await browser.advance(3_590_000);
    expect(await credential.accessToken()).toBe(token.accessToken);
    await browser.advance(10_000);
    expect(await codeOf(credential.accessToken())).toBe('no_refresh_token');
    expect(newEvents()).toEqual(['expiring', 'expired']);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('because no client is configured for it sends nothing', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const token = authority.signIn({ issuer: 'https://evil.example.com' });
    const credential = await store.store(token);
    newEvents();
    expect(await codeOf(credential.accessToken())).toBe('client_unknown');
    expect([credential.token, credential.status.token]).toEqual([null, 'needs_sign_in']);
    expect(await codeOf(credential.refresh())).toBe('client_unknown');
    expect(await codeOf(credential.userInfo())).toBe('client_unknown');
    await browser.advance(3_700_000);
    expect(await codeOf(credential.accessToken())).toBe('client_unknown');
    expect(authority.refreshes).toHaveLength(0);
    expect(authority.userInfos).toHaveLength(0);
    expect(await store.allIDs()).toEqual([credential.id]);
  });
});

it('IDT-5 a page without crypto.subtle keeps the credential, and sends nothing', async () => {
  const { openTab, authority, disk } = createWorld();
  const insecure = { getRandomValues: crypto.getRandomValues.bind(crypto) } as Crypto;
  const metadata = { token_endpoint: `${ISSUER}/token` };
  const clients = (platform: Platform) => createOAuth2Client({ issuer: ISSUER, clientId: CLIENT_ID, metadata, platform });
  const { store, events } = await openTab({ clients, platform: { crypto: insecure } }); // whose fetch fails, as one of the network would
  const token = authority.signIn();
  const credential = await store.store(token);
  expect(await codeOf(credential.refresh())).toBe('crypto_unavailable');
  expect(events.at(-1)).toMatchObject({ type: 'refresh_failed', code: 'crypto_unavailable', class: 'configuration', nextTryAt: null });
  expect(await credential.accessToken()).toBe(token.accessToken);
  expect(disk.record(credential.id)).toMatchObject({ state: 'active', generation: 1, secrets: { refreshToken: token.refreshToken } });
  expect(disk.record(credential.id)).not.toHaveProperty('intent');
});

describe('a refresh token that the server rejects', () => {
  it('E7 ends the credential: status and reason, no token, no secrets on the disk, but the record stays', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store, newEvents, events } = await openTab();
    const credential = await store.store(authority.signIn({ sub: 'alice' }), { tags: ['work'] });
    const tokens = collect(credential.token$);
    newEvents();
    authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(newEvents()).toEqual(['refresh_started', 'sign_in_required']);
    expect(events.at(-1)).toMatchObject({ id: credential.id, reason: 'rejected', origin: 'here' });
    expect(credential).toMatchObject({
      token: null,
      tags: ['work'],
      claims: { sub: 'alice' },
      state: { reason: 'rejected', isDefault: true },
    });
    expect(credential.status).toEqual({ token: 'needs_sign_in', activity: 'idle' });
    expect(tokens.values.at(-1)).toBeNull();
    expect(disk.record(credential.id)).toMatchObject({ state: 'needs_sign_in', secrets: null, claims: { sub: 'alice' } });
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  });

  it('E7 is not sent again, not by any command and not after a restart', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    for (const command of [() => credential.refresh(), () => credential.accessToken(), () => credential.refreshIfNeeded()])
      expect(await codeOf(command())).toBe('needs_sign_in');
    expect(await codeOf(credential.accessToken({ forceRefresh: true }))).toBe('needs_sign_in');
    await store.close();
    const restored = await (await openTab()).store.getDefault();
    expect(restored?.state).toMatchObject({ id: credential.id, reason: 'rejected', status: { token: 'needs_sign_in' } });
    expect(await codeOf(restored?.accessToken() ?? Promise.resolve())).toBe('needs_sign_in');
    expect(authority.refreshes).toHaveLength(1);
  });

  it('E45 ends the credential in all tabs', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const other = await b.store.with(credential.id);
    authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    await settle();
    expect(other?.status.token).toBe('needs_sign_in');
    expect(other?.token).toBeNull();
    expect(b.events.at(-1)).toMatchObject({ type: 'sign_in_required', reason: 'rejected', origin: 'elsewhere' });
  });

  it('is not the end when the record holds another one by now', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.hold();
    const refreshing = credential.refresh();
    await settle();
    const next = authority.signIn();
    await store.store(next, { replace: credential });
    authority.refreshes[0]?.answer(refusal('invalid_grant'));
    expect((await refreshing).accessToken).toBe(next.accessToken);
    expect(credential.status.token).toBe('valid');
  });

  it('gives the reason to everyone who waits', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.forget(credential.token?.refreshToken);
    const codes = await Promise.all(Array.from({ length: 50 }, () => codeOf(credential.refresh())));
    expect(new Set(codes)).toEqual(new Set(['needs_sign_in']));
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('a server that asks for the user', () => {
  it('says why to each who asks, and by the event', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, events } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    authority.next(new OAuthResponseError({ error: 'invalid_grant', suberror: 'basic_action' }, 'oauth_error', { class: 'needs_user' }));
    for (let i = 0; i < 3; i++) {
      const error: unknown = await credential.accessToken().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'needs_interaction', cause: { error: 'invalid_grant', suberror: 'basic_action' } });
    }
    expect(authority.refreshes).toHaveLength(1);
    const told = { type: 'interaction_required', code: 'oauth_error', error: 'invalid_grant', suberror: 'basic_action' };
    expect(events.at(-1)).toMatchObject(told);
  });

  it.each(['interaction_required', 'login_required', 'consent_required'])('keeps the token and says so: %s', async (error) => {
    const { openTab, authority } = createWorld();
    const { store, newEvents, events } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    newEvents();
    authority.next(refusal(error));
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    expect(newEvents()).toEqual(['refresh_started', 'interaction_required']);
    expect(events.at(-1)).toMatchObject({ class: 'needs_user', error });
    expect(credential.status).toEqual({ token: 'needs_interaction', activity: 'idle' });
    expect(await credential.accessToken()).toBe(token.accessToken);
    await credential.refresh();
    expect(credential.status.token).toBe('valid');
  });
});

describe('userInfo', () => {
  it('renews once after a 401 and asks again', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    authority.setUserInfo((accessToken) => (accessToken === token.accessToken ? Promise.reject(failure401()) : Promise.resolve()));
    expect(await credential.userInfo()).toEqual({ sub: 'alice' });
    expect(authority.userInfos).toHaveLength(2);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('fails after a second 401', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setUserInfo(() => Promise.reject(failure401()));
    expect(await codeOf(credential.userInfo())).toBe('http_error');
    expect(authority.refreshes).toHaveLength(1);
  });

  it('D-038 of a server that refuses every token nothing is renewed for a minute', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setUserInfo(() => Promise.reject(failure401()));
    for (let i = 0; i < 10; i++) expect(await codeOf(credential.userInfo())).toBe('http_error');
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(60_001);
    expect(await codeOf(credential.userInfo())).toBe('http_error');
    expect(authority.refreshes).toHaveLength(2);
  });

  it('is asked again after a renewal without a refresh token, if the client has another way', async () => {
    const { openTab, authority } = createWorld();
    const [first, second] = [authority.signIn({ refreshable: false }), authority.signIn({ refreshable: false })];
    const { store } = await openTab({ clients: (platform) => authority.client(platform, { renew: () => Promise.resolve(second) }) });
    const credential = await store.store(first);
    authority.setUserInfo((accessToken) => (accessToken === first.accessToken ? Promise.reject(failure401()) : Promise.resolve()));
    expect(await credential.userInfo()).toEqual({ sub: 'alice' });
  });

  it('E1 is asked once for all who ask meanwhile, and anew afterwards; a failure is shared, too', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    expect(await Promise.all([credential.userInfo(), credential.userInfo(), credential.userInfo()])).toEqual(
      Array(3).fill({ sub: 'alice' }),
    );
    expect(authority.userInfos).toHaveLength(1);
    authority.setUserInfo(() => Promise.reject(failure('server_unavailable', 503)));
    expect(await Promise.all([codeOf(credential.userInfo()), codeOf(credential.userInfo())])).toEqual(Array(2).fill('server_unavailable'));
    expect(authority.userInfos).toHaveLength(2);
    authority.setUserInfo(() => Promise.resolve());
    expect(await credential.userInfo()).toEqual({ sub: 'alice' });
  });

  it('design §4.2 is not shared with who asks with the next token, of another user', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const free: (() => void)[] = [];
    authority.setUserInfo(() => new Promise((resolve) => free.push(resolve)));
    const alice = codeOf(credential.userInfo());
    await settle();
    await store.store(authority.signIn({ sub: 'bob' }), { replace: credential });
    const bob = credential.userInfo();
    await settle();
    for (const answer of free) answer();
    expect(await bob).toEqual({ sub: 'bob' });
    expect(await alice).toBe('credential_removed');
  });

  const ends = (how: 'remove' | 'clear' | 'revoke', store: CredentialStore, credential: Credential) =>
    how === 'clear' ? store.clear() : credential[how]();
  it.each(['remove', 'clear', 'revoke'] as const)(
    'RF-13 sends no token that was given up by %s() while discovery was waited for',
    async (how) => {
      const { openTab, authority } = createWorld();
      let discovered = (): void => undefined;
      const discovery = new Promise<void>((resolve) => (discovered = resolve));
      const { store } = await openTab({
        clients: (platform) => {
          const client = authority.client(platform);
          return {
            ...client,
            isPrepared: () => false,
            metadata: () => discovery.then(() => client.metadata()),
            userInfo: (token) => discovery.then(() => client.userInfo(token)),
            introspect: (token, hint) => discovery.then(() => client.introspect(token, hint)),
          };
        },
      });
      const credential = await store.store(authority.signIn());
      const asked = [credential.userInfo(), credential.introspect('access_token'), credential.introspect('refresh_token')].map(codeOf);
      await settle();
      await ends(how, store, credential);
      discovered();
      expect(await Promise.all(asked)).toEqual(Array(3).fill('credential_removed'));
      expect([authority.userInfos, authority.introspections]).toEqual([[], []]);
    },
  );

  it.each(['remove', 'clear', 'revoke'] as const)(
    'RF-13 tells nothing of a user who is gone by %s() when the answer comes',
    async (how) => {
      const { openTab, authority } = createWorld();
      let answer = (): void => undefined;
      const answered = new Promise<void>((resolve) => (answer = resolve));
      authority.setUserInfo(() => answered);
      const { store } = await openTab({
        clients: (platform) => {
          const client = authority.client(platform);
          return { ...client, introspect: async (token, hint) => answered.then(() => client.introspect(token, hint)) };
        },
      });
      const credential = await store.store(authority.signIn());
      const asked = [credential.userInfo(), credential.userInfo(), credential.introspect('access_token')].map(codeOf);
      await settle();
      await ends(how, store, credential);
      answer();
      expect(await Promise.all(asked)).toEqual(Array(3).fill('credential_removed'));
      expect(authority.userInfos).toHaveLength(1);
    },
  );

  it('sends no refresh once the store is closed', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    let refuse = (): void => undefined;
    authority.setUserInfo(() => new Promise((_, reject) => (refuse = () => reject(failure401()))));
    const asking = credential.userInfo();
    await settle();
    await store.close();
    refuse();
    expect(await codeOf(asking)).toMatch(/store_closed|http_error/);
    expect(authority.refreshes).toHaveLength(0);
  });

  const failure401 = (): CredentialError => failure('http_error', 401);
});
