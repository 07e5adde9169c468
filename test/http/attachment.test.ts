import type { ResourceChallenge } from '../../src/credential/actions.js';
import { createToken } from '../../src/credential/create-token.js';
import type { CredentialCriteria } from '../../src/credential/query.js';
import { isSignedIn } from '../../src/credential/state.js';
import type { Token } from '../../src/credential/token.js';
import { CredentialError, NetworkError } from '../../src/errors.js';
import { createAuthorizationCodeFlow } from '../../src/flows/authorization-code.js';
import { memoryTransactions } from '../../src/flows/transactions.js';
import { createAttachmentPolicy, type Attachment, type AttachmentOptions, type AttachmentPolicy } from '../../src/http/attachment.js';
import { credentialsInterceptor } from '../../src/http/axios.js';
import { createFetch } from '../../src/http/fetch.js';
import { createAjax } from '../../src/http/rxjs.js';
import type { ProtectedResource } from '../../src/http/resources.js';
import { createOAuth2Client } from '../../src/oauth/client.js';
import { memoryStorage } from '../../src/storage/memory/index.js';
import { createCredentialStore, type CredentialStore } from '../../src/store/store.js';
import type { Credential } from '../../src/store/credential.js';
import { fakeServer, json, type FakeServer } from '../support/fake-server.js';
import { ISSUER, offline, type SignInOptions } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime as afterTime, settle, type Tab, type World } from '../support/fixture.js';
import { refusal } from '../support/oauth.js';
import { aToken, tokenFields } from '../support/tokens.js';
import { inTime, settled, unitPlatform, type UnitPlatform } from '../support/unit-platform.js';

const API = 'https://api.example.com/v1/';
const GET = { url: `${API}orders`, method: 'GET' };
const stores = new Set<CredentialStore>();
afterEach(async () => {
  const open = [...stores];
  stores.clear();
  await Promise.all(open.map((store) => store.close()));
  await closeAll();
});

interface SetUp {
  readonly server: FakeServer;
  readonly platform: UnitPlatform;
  readonly store: CredentialStore;
  readonly credential: Credential;
  readonly policy: AttachmentPolicy;
}

/** A real store in front of a fake server, with one token that has ten minutes to live. */
async function setUp(token: Token = aToken(), options: Partial<AttachmentOptions> = {}): Promise<SetUp> {
  const server = fakeServer();
  const platform = unitPlatform({ fetch: server.fetch });
  const store = createCredentialStore({ clients: { issuer: server.issuer, clientId: 'spa' }, platform });
  stores.add(store);
  const policy = createAttachmentPolicy(store, { resources: [API], platform, ...options });
  return { server, platform, store, policy, credential: await store.store(token) };
}
const renewed = (n: number) => ({ access_token: `access-${n}`, token_type: 'bearer', expires_in: 600, refresh_token: `refresh-${n}` });

interface SignedIn extends World, Tab {
  readonly credential: Credential;
  readonly policy: AttachmentPolicy;
}

/** A tab with one credential whose token is valid for an hour. */
async function signedIn(options: Partial<AttachmentOptions> = {}, signIn: SignInOptions = {}): Promise<SignedIn> {
  const world = createWorld();
  const tab = await world.openTab();
  const credential = await tab.store.store(world.authority.signIn(signIn));
  tab.newEvents();
  return {
    ...world,
    ...tab,
    credential,
    policy: createAttachmentPolicy(tab.store, { resources: [API], platform: tab.platform, ...options }),
  };
}

async function attached(policy: AttachmentPolicy, ...args: Partial<Parameters<AttachmentPolicy['attach']>>): Promise<Attachment> {
  const attachment = await policy.attach(args[0] ?? GET, args[1]);
  if (!attachment) throw new Error('nothing was attached');
  return attachment;
}
/** The credential, with another `reportChallenge`. */
function thatReports(credential: Credential, reportChallenge: Credential['reportChallenge']): Credential {
  return new Proxy(credential, {
    get: (target, key) => {
      const value: unknown = key === 'reportChallenge' ? reportChallenge : Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
const answer = (status: number, headers: Readonly<Record<string, string>> = {}): Parameters<Attachment['retryOf']>[0] => ({
  status,
  header: (name) => new Headers(headers).get(name),
});
const REFUSED = answer(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' });
const challenge = (error: string, rest = '', status = error === 'insufficient_scope' ? 403 : 401): ReturnType<typeof answer> =>
  answer(status, { 'WWW-Authenticate': `Bearer error="${error}"${rest}` });
const MORE = challenge('insufficient_scope', ', scope="orders:write"');
const bearer = (token: string): string => `Bearer ${token}`;

describe('attach', () => {
  it('6750-1 is a header value of the token’s own type', async () => {
    const { policy } = await setUp(aToken({ accessToken: 'access-0' }));
    expect((await attached(policy)).authorization).toBe('Bearer access-0');
  });

  it.each(['a b', 'a\r\nb', 'a\nX-Evil: 1', 'ä', 'a\u007f', '', '\u0000'])(
    '6750-1 a token that would break the header is none: %j',
    (accessToken) => {
      expect(() => aToken({ accessToken })).toThrow(TypeError);
    },
  );

  it('E22 a DPoP token is never sent as Bearer', async () => {
    const { policy } = await setUp(aToken({ tokenType: 'DPoP' }));
    expect(await refusal(policy.attach(GET))).toMatchObject({ code: 'unsupported' });
  });

  it('6750-2 is nothing off the list, and nothing is asked of anybody', async () => {
    const { policy, platform } = await setUp(aToken({ accessToken: 'access-0' }));
    platform.advance(600_000); // it would have to be renewed
    for (const url of ['https://api.example.com.evil.test/v1/', 'https://api.example.com/v2/', '/v1/orders', 'about:blank', ''])
      expect(await policy.attach({ url, method: 'GET' })).toBeNull();
  });

  it('is nothing while nobody is signed in', async () => {
    const { store, credential, policy } = await setUp();
    await store.setDefault(null);
    expect(await policy.attach(GET)).toBeNull();
    await store.setDefault(credential);
    expect(await policy.attach(GET)).not.toBeNull();
    await credential.remove();
    expect(await policy.attach(GET)).toBeNull();
  });

  it('E7 is nothing once the server has rejected the refresh token', async () => {
    const { server, credential, policy } = await setUp();
    server.plan('token', json({ error: 'invalid_grant' }, { status: 400 }));
    expect(await refusal(credential.refresh())).toMatchObject({ code: 'needs_sign_in' });
    expect(await policy.attach(GET)).toBeNull();
  });

  it('7009-5 is nothing while the credential is being revoked', async () => {
    const { server, credential, platform, policy } = await setUp();
    server.plan('revocation', 'hang');
    const revoking = credential.revoke('refresh');
    while (credential.status.activity !== 'revoking') await new Promise((resolve) => setImmediate(resolve));
    expect(await policy.attach(GET)).toBeNull();
    while (platform.timers().length < 2) await new Promise((resolve) => setImmediate(resolve));
    platform.advance(5_000);
    await revoking;
  });

  it('E18 an expired token is renewed first', async () => {
    const { server, platform, policy } = await setUp();
    server.plan('token', renewed(1));
    platform.advance(600_000);
    expect((await attached(policy)).authorization).toBe('Bearer access-1');
  });

  it('E40 tolerance shortens a life: a token with 29 of 600 seconds left is renewed, one with 31 is sent', async () => {
    const { server, platform, policy } = await setUp(aToken({ accessToken: 'access-0' }));
    platform.advance(569_000);
    expect((await attached(policy)).authorization).toBe('Bearer access-0');
    server.plan('token', renewed(1));
    platform.advance(2_000);
    expect((await attached(policy)).authorization).toBe('Bearer access-1');
  });

  it('E18 an expired token that cannot be renewed is not sent: the renewal’s error is the answer', async () => {
    const { server, platform, policy } = await setUp();
    server.plan('token', 'offline', 'offline', 'offline');
    platform.advance(600_000);
    expect(await refusal(inTime(platform, policy.attach(GET)))).toBeInstanceOf(NetworkError);
  });

  it('E18 an expired token without a refresh token is not sent', async () => {
    const { refreshToken: _, ...fields } = tokenFields();
    const { platform, policy } = await setUp(createToken(fields));
    platform.advance(600_000);
    expect(await refusal(policy.attach(GET))).toMatchObject({ code: 'no_refresh_token' });
  });

  it('E6 a token that is merely about to expire is sent where it cannot be renewed', async () => {
    const { server, platform, policy } = await setUp(aToken({ accessToken: 'access-0' }));
    server.plan('token', json({ error: 'temporarily_unavailable' }, { status: 400 }));
    platform.advance(599_000);
    expect((await attached(policy)).authorization).toBe('Bearer access-0');
    expect((await attached(policy)).authorization).toBe('Bearer access-0'); // too early to ask again
    expect(server.calls('token')).toHaveLength(1);
  });

  it('E26 a token of unknown lifetime is sent and never renewed by the clock', async () => {
    const { server, platform, policy } = await setUp(aToken({ accessToken: 'access-0', expiresAt: null }));
    platform.advance(10 * 365 * 24 * 3_600_000);
    expect((await attached(policy)).authorization).toBe('Bearer access-0');
    expect(server.calls()).toEqual([]);
  });

  it('waits until storage was read, and says so once the store is closed', async () => {
    const server = fakeServer();
    const memory = memoryStorage();
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const platform = unitPlatform({ fetch: server.fetch });
    const store = createCredentialStore({
      clients: { issuer: server.issuer, clientId: 'spa' },
      storage: { ...memory, open: () => gate.then(() => memory.open()) },
      platform,
    });
    const policy = createAttachmentPolicy(store, { resources: [API], platform });
    let answered = false;
    const attachment = policy.attach(GET).finally(() => (answered = true));
    await settled();
    expect(answered).toBe(false);
    open();
    expect(await attachment).toBeNull();
    await store.close();
    expect(await refusal(policy.attach(GET))).toMatchObject({ code: 'store_closed' });
  });

  it('is nothing where the default belongs to a client that is not configured, unless the request names it', async () => {
    const { openTab, authority } = createWorld();
    const { store, platform } = await openTab();
    const foreign = await store.store(authority.signIn({ clientId: 'another', sub: 'bob' }), { tags: ['foreign'] });
    const policy = createAttachmentPolicy(store, { resources: [API], platform });
    expect(await policy.attach(GET)).toBeNull();
    expect(await codeOf(policy.attach(GET, { credential: foreign.id }))).toBe('client_unknown');
  });

  it('E13 two requests by the same object know nothing of each other', async () => {
    const { policy, authority } = await signedIn();
    const request = Object.freeze({ ...GET });
    const first = await attached(policy, request);
    const again = await first.retryOf(REFUSED);
    expect(await again?.retryOf(answer(200))).toBeNull();
    const second = await attached(policy, request);
    expect(second.authorization).toBe(again?.authorization);
    expect((await second.retryOf(REFUSED))?.authorization).not.toBe(second.authorization); // the retry of the other was not its own
    expect(authority.refreshes).toHaveLength(2);
  });
});

describe('E20 waiting for a token', () => {
  const expired = { lifetimeS: 1 } as const;

  it('ends after 30 seconds as `timeout`; the renewal goes on, and the next request has its token', async () => {
    const { policy, authority, browser, credential } = await signedIn({}, expired);
    await browser.advance(2_000);
    authority.hold();
    const waiting = codeOf(policy.attach(GET));
    await browser.advance(29_999);
    let over = false;
    void waiting.then(() => (over = true));
    await settle();
    expect(over).toBe(false);
    await browser.advance(1);
    expect(await waiting).toBe('timeout');
    authority.refreshes[0]?.answer();
    await settle();
    expect((await attached(policy)).authorization).toBe(bearer(credential.token?.accessToken ?? ''));
    expect(authority.refreshes).toHaveLength(1);
  });

  it('E64 zero means zero: a token that has to be renewed is not waited for', async () => {
    const { policy, authority, browser, platform } = await signedIn({ waitMs: 0 }, expired);
    const before = platform.delays.length;
    await browser.advance(2_000);
    authority.hold();
    const waiting = codeOf(policy.attach(GET));
    await browser.advance(0);
    expect(await waiting).toBe('timeout');
    expect(platform.delays.slice(before)).toContain(0);
    authority.refreshes[0]?.answer();
    await settle();
    expect((await attached(policy)).authorization).toMatch(/^Bearer /); // what is at hand takes no time
  });

  it('is transient, and says what to do', async () => {
    const { policy, authority, browser } = await signedIn({ waitMs: 10 }, expired);
    await browser.advance(2_000);
    authority.hold();
    const failing = refusal(policy.attach(GET));
    await browser.advance(10);
    expect((await failing).toJSON()).toEqual({
      name: 'CredentialError',
      code: 'timeout',
      class: 'transient',
      message: 'There was no token for the request in time; the renewal goes on.',
    });
    authority.refreshes[0]?.answer();
    await settle();
  });

  it('is one time for all: what the choice took is not there for the token', async () => {
    const late = new Promise<null>(() => undefined);
    const { policy, browser } = await signedIn({ waitMs: 5_000, resources: [{ url: API, credential: () => late }] });
    const waiting = codeOf(policy.attach(GET));
    await browser.advance(5_000);
    expect(await waiting).toBe('timeout');
  });

  it('may be as long as one likes', async () => {
    const { policy, platform, authority, browser } = await signedIn({ waitMs: Infinity }, expired);
    await browser.advance(2_000);
    authority.hold();
    const waiting = policy.attach(GET);
    await settle();
    authority.refreshes[0]?.answer();
    await waiting;
    expect(Math.max(...platform.delays)).toBe(2_147_483_647);
  });

  it('ends with the caller’s own reason; the refresh goes on', async () => {
    const { policy, authority, browser, credential } = await signedIn({}, expired);
    await browser.advance(2_000);
    authority.hold();
    const leaving = new AbortController();
    const waiting = policy.attach(GET, { signal: leaving.signal });
    await settle();
    const reason = new Error('navigated');
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    authority.refreshes[0]?.answer();
    await settle();
    expect(credential.status.token).toBe('valid');
  });

  it('does not begin where the caller has left already: nothing is asked', async () => {
    const { policy, authority, browser } = await signedIn({}, expired);
    await browser.advance(2_000);
    const reason = new Error('gone');
    await expect(policy.attach(GET, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('takes a signal that has no more than HTTP libraries ask for', async () => {
    const { policy } = await signedIn();
    const signal = { aborted: false, addEventListener: () => undefined, removeEventListener: () => undefined };
    expect(await policy.attach(GET, { signal: signal as unknown as AbortSignal })).not.toBeNull();
    const reason = new Error('left');
    await expect(policy.attach(GET, { signal: { ...signal, aborted: true, reason } as unknown as AbortSignal })).rejects.toBe(reason);
  });

  it('needs no timer and no listener for a token that is at hand', async () => {
    const { policy, platform } = await signedIn();
    const { signal } = new AbortController();
    const added = jest.spyOn(signal, 'addEventListener');
    const armed = jest.spyOn(platform, 'setTimer');
    for (let i = 0; i < 10; i++) await policy.attach(GET, { signal });
    await settle();
    expect([added.mock.calls.length, armed.mock.calls.length]).toEqual([0, 0]);
  });

  it('leaves no timer and no listener behind where it had to wait', async () => {
    const { policy, platform, authority, browser } = await signedIn({}, expired);
    await browser.advance(2_000);
    authority.hold();
    const { signal } = new AbortController();
    const added = jest.spyOn(signal, 'addEventListener');
    const removed = jest.spyOn(signal, 'removeEventListener');
    const { timers } = platform.held();
    const waiting = [1, 2, 3].map(() => policy.attach(GET, { signal }));
    await settle();
    expect(added).toHaveBeenCalledTimes(3);
    expect(platform.held().timers).toBeGreaterThanOrEqual(timers + 3);
    authority.refreshes[0]?.answer();
    await Promise.all(waiting);
    expect(removed).toHaveBeenCalledTimes(3);
    expect(platform.held().timers).toBe(1); // the store's own, for the new token
  });

  it('E12 who is signed out meanwhile sends nothing', async () => {
    const { policy, authority, browser, credential } = await signedIn({}, expired);
    await browser.advance(2_000);
    authority.hold();
    const waiting = codeOf(policy.attach(GET));
    await settle();
    await credential.remove();
    authority.refreshes[0]?.answer();
    expect(await waiting).toBe('credential_removed');
    expect(await policy.attach(GET)).toBeNull();
  });

  it('E12 and so does who waits while the store is closed', async () => {
    const { policy, authority, browser, store } = await signedIn({}, expired);
    await browser.advance(2_000);
    authority.hold();
    const waiting = policy.attach(GET).then(
      (attachment) => attachment?.authorization,
      (error: unknown) => error,
    );
    await settle();
    const closing = store.close();
    authority.refreshes[0]?.answer();
    await closing;
    expect(await waiting).toBe(bearer(authority.secrets.findLast((one) => one.startsWith('access')) ?? '')); // `close` lets it finish
    expect(await codeOf(policy.attach(GET))).toBe('store_closed');
  });
});

describe('6750-4 after a 401', () => {
  it('a burst of 50 is one refresh and 50 retries', async () => {
    const { authority, policy } = await signedIn();
    const attachments = await Promise.all(Array.from({ length: 50 }, () => attached(policy)));
    const next = await Promise.all(attachments.map((one) => one.retryOf(REFUSED)));
    const fresh = authority.secrets.findLast((one) => one.startsWith('access'));
    expect(next.map((one) => one?.authorization)).toEqual(Array<string>(50).fill(bearer(fresh ?? '')));
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a burst that arrives one by one is one refresh still', async () => {
    const { authority, policy } = await signedIn();
    const attachments = await Promise.all(Array.from({ length: 50 }, () => attached(policy)));
    for (const one of attachments) expect((await one.retryOf(REFUSED))?.authorization).not.toBe(one.authorization);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('HT-3 an answer to which no redirect led counts, whatever address it has: an interceptor may have sent the request elsewhere', async () => {
    const { policy } = await signedIn();
    const elsewhere = { ...REFUSED, url: 'https://backend.example.net/api' };
    expect(await (await attached(policy)).retryOf({ ...elsewhere, redirected: true })).toBeNull();
    expect(await (await attached(policy)).retryOf({ ...elsewhere, redirected: false })).not.toBeNull();
  });

  it('who was refused with an older token gets the current one, without a refresh', async () => {
    const { authority, policy, credential } = await signedIn();
    const late = await attached(policy);
    const token = await credential.refresh();
    expect((await late.retryOf(REFUSED))?.authorization).toBe(bearer(token.accessToken));
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a second 401 goes to the caller', async () => {
    const { authority, policy } = await signedIn();
    const second = await (await attached(policy)).retryOf(REFUSED);
    expect(await second?.retryOf(REFUSED)).toBeNull();
    expect(authority.refreshes).toHaveLength(1);
  });

  it('401 for ever is one token request a minute, however many requests there are', async () => {
    const { authority, policy, browser } = await signedIn();
    const once = async (): Promise<number> => {
      let tries = 0;
      for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(REFUSED)) tries++;
      return tries;
    };
    expect(await once()).toBe(2);
    for (let i = 0; i < 100; i++) expect(await once()).toBe(1);
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(60_000);
    for (let i = 0; i < 100; i++) await once();
    expect(authority.refreshes).toHaveLength(2);
  });

  it('401 for ever is one token request a minute also where an adapter is made for each request', async () => {
    const { authority, store, platform, browser } = await signedIn();
    const once = async (mayRetry: boolean): Promise<void> => {
      const policy = createAttachmentPolicy(store, { resources: [API], platform });
      for (let next: Attachment | null = await attached(policy, GET, { mayRetry }); next;) next = await next.retryOf(REFUSED);
    };
    for (let i = 0; i < 20; i++) await once(true);
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(60_000);
    for (let i = 0; i < 20; i++) await once(true);
    expect(authority.refreshes).toHaveLength(2);
    await browser.advance(60_000);
    for (let i = 0; i < 20; i++) await once(false);
    expect(authority.refreshes.length).toBeLessThanOrEqual(4);
  });

  it.each<[string, Partial<ProtectedResource>]>([
    ['another scope', { scope: 'orders:read' }],
    ['a resource of RFC 8707', { resource: API }],
  ])('what is refused for ever with %s keeps no other token of the same place from its renewal', async (_, kind) => {
    const { authority, store, platform, policy } = await signedIn({}, { scope: 'openid orders:read orders:write' });
    const narrow = createAttachmentPolicy(store, { resources: [{ url: API, ...kind }], platform });
    const first = await attached(policy);
    expect(await first.retryOf(REFUSED)).not.toBeNull();
    for (let next: Attachment | null = await attached(narrow); next;) next = await next.retryOf(REFUSED);
    const before = authority.refreshes.length;
    expect(await (await attached(policy)).retryOf(REFUSED)).not.toBeNull(); // it came of a renewal, and was good until now
    expect(authority.refreshes).toHaveLength(before + 1);
  });

  it('401 for ever of two servers is one token request a minute for each', async () => {
    const OTHER = 'https://other.example/';
    const { authority, policy } = await signedIn({ resources: [API, OTHER] });
    for (let i = 0; i < 50; i++) {
      for (const url of [GET.url, OTHER]) {
        for (let next: Attachment | null = await attached(policy, { url, method: 'GET' }); next; next = await next.retryOf(REFUSED));
      }
    }
    expect(authority.refreshes).toHaveLength(2);
  });

  it('D-038 401 for ever is one token request a minute for each credential, also of a store with hundreds', async () => {
    let whose = '';
    const { authority, store, policy } = await signedIn({ resources: [{ url: API, credential: () => whose }] });
    const ids: string[] = [];
    for (let i = 0; i < 210; i++) ids.push((await store.store(authority.signIn({ sub: `user-${i}` }))).id);
    for (let round = 0; round < 2; round++) {
      for (whose of ids) for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(REFUSED));
      expect(authority.refreshes).toHaveLength(ids.length);
    }
  });

  it('401 for ever to requests that cannot be sent again is a bounded number of token requests, too', async () => {
    const { authority, policy } = await signedIn();
    for (let i = 0; i < 50; i++) {
      expect(await (await attached(policy, GET, { mayRetry: false })).retryOf(REFUSED)).toBeNull();
      await settle();
    }
    expect(authority.refreshes).toHaveLength(2);
  });

  it('after one that could not be sent again, a token that was taken and is refused later has its own renewal', async () => {
    const { authority, policy } = await signedIn();
    await (await attached(policy, GET, { mayRetry: false })).retryOf(REFUSED);
    await settle();
    const taken = await attached(policy);
    const next = await (await attached(policy)).retryOf(REFUSED);
    expect(next?.authorization).not.toBe(taken.authorization);
    expect(await next?.retryOf(REFUSED)).toBeNull();
    expect(await (await attached(policy)).retryOf(REFUSED)).toBeNull(); // of no use, as is known now
    expect(authority.refreshes).toHaveLength(2);
  });

  it('a token endpoint that gives the same token again is asked once a minute', async () => {
    const { authority, policy, credential } = await signedIn();
    const { accessToken } = credential.token ?? {};
    for (let i = 0; i < 20; i++) {
      authority.next({ access_token: accessToken });
      expect(await (await attached(policy)).retryOf(REFUSED)).toBeNull();
    }
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a token endpoint that is down is not asked for each request', async () => {
    const { authority, policy, browser } = await signedIn();
    authority.next(offline(), offline(), offline());
    expect(await afterTime(browser, (await attached(policy)).retryOf(REFUSED))).toBeNull();
    const asked = authority.refreshes.length;
    for (let i = 0; i < 20; i++) expect(await (await attached(policy)).retryOf(REFUSED)).toBeNull();
    expect(authority.refreshes).toHaveLength(asked);
  });

  it('what one server refuses for ever does not keep another from its retry', async () => {
    const OTHER = 'https://other.example/';
    const { authority, policy } = await signedIn({ resources: [API, OTHER] });
    for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(REFUSED));
    const other = await attached(policy, { url: OTHER, method: 'GET' });
    expect((await other.retryOf(REFUSED))?.authorization).not.toBe(other.authorization);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('a request that cannot be sent again gets its answer at once; who comes after has the new token', async () => {
    const { authority, policy, browser } = await signedIn();
    authority.hold();
    const upload = await attached(policy, { url: GET.url, method: 'POST' }, { mayRetry: false });
    expect(await upload.retryOf(REFUSED)).toBeNull();
    await settle();
    authority.refreshes[0]?.answer();
    await browser.advance(0);
    expect((await attached(policy)).authorization).not.toBe(upload.authorization);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('who comes while it is renewed waits for the new token', async () => {
    const { authority, policy, browser } = await signedIn();
    authority.hold();
    const upload = await attached(policy, { url: GET.url, method: 'POST' }, { mayRetry: false });
    await upload.retryOf(REFUSED);
    const next = attached(policy, GET, { mayRetry: false });
    await settle();
    authority.refreshes[0]?.answer();
    await browser.advance(0);
    expect((await next).authorization).not.toBe(upload.authorization);
    expect(authority.refreshes).toHaveLength(1);
  });

  it.each([
    [2_000, undefined],
    [500, 1_000],
  ])('D-032 E20 and no longer than %d ms, with `waitMs: %p`: then requests go on with the token there is', async (ms, waitMs) => {
    const { authority, policy, browser, platform } = await signedIn(waitMs === undefined ? {} : { waitMs });
    authority.hold();
    const upload = await attached(policy, GET, { mayRetry: false });
    await upload.retryOf(REFUSED);
    let next: Attachment | undefined;
    void attached(policy).then((attachment) => (next = attachment));
    await browser.advance(ms - 1);
    expect(next).toBeUndefined();
    await browser.advance(1);
    expect(next?.authorization).toBe(upload.authorization);
    const before = platform.delays.length;
    expect((await attached(policy)).authorization).toBe(upload.authorization); // who comes later does not wait at all
    expect(platform.delays.slice(before)).toEqual([]);
    authority.refreshes[0]?.answer();
    await browser.advance(0);
    expect((await attached(policy)).authorization).not.toBe(upload.authorization);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('leaves no timer behind for those who might have come meanwhile', async () => {
    const { authority, policy, platform } = await signedIn();
    authority.hold();
    const before = platform.held().timers;
    await (await attached(policy, GET, { mayRetry: false })).retryOf(REFUSED);
    await settle();
    expect(platform.held().timers).toBeGreaterThan(before);
    authority.refreshes[0]?.answer();
    await settle();
    expect(platform.held().timers).toBe(before);
  });

  it('where that renewal fails, requests go on with the token there is', async () => {
    const { authority, policy, browser } = await signedIn();
    authority.next(offline(), offline(), offline());
    const upload = await attached(policy, GET, { mayRetry: false });
    await upload.retryOf(REFUSED);
    expect((await afterTime(browser, attached(policy))).authorization).toBe(upload.authorization);
  });

  it('what is refused for ever keeps no other token from its renewal: after a sign-in in place there is one', async () => {
    const { authority, policy, store, credential } = await signedIn();
    for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(REFUSED));
    await store.store(authority.signIn(), { replace: credential });
    const anew = await attached(policy);
    expect((await anew.retryOf(REFUSED))?.authorization).not.toBe(anew.authorization);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('and so there is where the sign-in came while a request was under way', async () => {
    const { authority, policy, store, credential } = await signedIn();
    const former = await attached(policy);
    await store.store(authority.signIn(), { replace: credential });
    const retry = await former.retryOf(REFUSED);
    expect(retry?.authorization).toBe(bearer(credential.token?.accessToken ?? ''));
    expect(await retry?.retryOf(REFUSED)).toBeNull();
    const anew = await attached(policy);
    expect((await anew.retryOf(REFUSED))?.authorization).not.toBe(anew.authorization);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('401 for ever to a burst of 50 is one token request for each token', async () => {
    const { authority, policy, store, credential } = await signedIn();
    const burst = async (): Promise<void> => {
      let all: readonly Attachment[] = await Promise.all(Array.from({ length: 50 }, () => attached(policy)));
      while (all.length > 0) all = (await Promise.all(all.map((one) => one.retryOf(REFUSED)))).filter((one) => one !== null);
    };
    await burst();
    await burst();
    expect(authority.refreshes).toHaveLength(1);
    await store.store(authority.signIn(), { replace: credential });
    await burst();
    await burst();
    expect(authority.refreshes).toHaveLength(2);
  });

  it('401 for ever of tokens that others renew as well, such as another tab, is a bounded number of token requests', async () => {
    const { authority, policy, credential } = await signedIn();
    for (let i = 0; i < 10; i++) {
      for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(REFUSED));
      await credential.refresh();
    }
    expect(authority.refreshes.length - 10).toBeLessThanOrEqual(3);
  });

  it('who was refused with the new token before that was known to be of no use ends the row of renewals', async () => {
    const { authority, policy } = await signedIn();
    const retry = await (await attached(policy)).retryOf(REFUSED);
    authority.hold();
    const overtaking = (await attached(policy)).retryOf(REFUSED);
    while (authority.refreshes.length < 2) await settle();
    expect(await retry?.retryOf(REFUSED)).toBeNull();
    authority.refreshes[1]?.answer();
    expect(await overtaking).not.toBeNull();
    expect(await (await attached(policy)).retryOf(REFUSED)).toBeNull();
    expect(authority.refreshes).toHaveLength(2);
  });

  it.each([
    null,
    '',
    'Bearer',
    'Bearer realm="api"',
    'Bearer error="invalid_token"',
    'bearer ERROR=invalid_token, error_description="expired"',
    'Negotiate, Bearer error="invalid_token"',
    'Basic realm="x", Bearer',
    '"\\', // nothing at all
    'Basic realm="x"', // of a server that names another way first
    'Negotiate',
    'Bearer error="other"', // a code of its own
    `Bearer ${'x'.repeat(9_000)}`, // longer than what is read
  ])('the challenge %j is about the token: it is renewed', async (header) => {
    const { policy } = await signedIn();
    const first = await attached(policy);
    const next = await first.retryOf({ status: 401, header: (name) => (name === 'WWW-Authenticate' ? header : null) });
    expect(next?.authorization).not.toBe(first.authorization);
    expect(next).not.toBeNull();
  });

  it.each(['DPoP error="use_dpop_nonce"', 'Bearer error="invalid_request"', 'Bearer realm="error=invalid_token", error="invalid_request"'])(
    'the challenge %j is not about the token: no refresh, no retry',
    async (header) => {
      const { authority, policy } = await signedIn();
      expect(await (await attached(policy)).retryOf(answer(401, { 'WWW-Authenticate': header }))).toBeNull();
      expect(authority.refreshes).toHaveLength(0);
    },
  );

  it.each([200, 204, 302, 400, 404, 407, 419, 500, 502])('the status %d says nothing of the token', async (status) => {
    const { authority, policy } = await signedIn({ retryAfterMaxMs: 60_000 });
    const one = await attached(policy);
    expect(await one.retryOf(answer(status, { 'WWW-Authenticate': 'Bearer error="invalid_token"', 'Retry-After': '1' }))).toBeNull();
    expect(authority.refreshes).toHaveLength(0);
  });

  it.each([null, 'Bearer', 'Bearer error="invalid_token"'])('a 403 with %j is no reason to renew', async (header) => {
    const { authority, policy } = await signedIn();
    const one = await attached(policy);
    expect(await one.retryOf({ status: 403, header: () => header })).toBeNull();
    expect(authority.refreshes).toHaveLength(0);
  });

  it('E6 E21 a refresh that fails means no retry, and nothing is thrown: the 401 is the answer', async () => {
    const { server, platform, policy, credential } = await setUp();
    server.plan('token', 'offline', 'offline', 'offline');
    const attachment = await attached(policy);
    expect(await inTime(platform, attachment.retryOf(REFUSED))).toBeNull();
    expect(credential.token?.refreshToken).toBe(tokenFields().refreshToken);
  });

  it('E20 a refresh that takes too long means no retry', async () => {
    const { authority, policy, browser } = await signedIn({ waitMs: 3_000 });
    authority.hold();
    const waiting = (await attached(policy)).retryOf(REFUSED);
    await settle();
    await browser.advance(3_000);
    expect(await waiting).toBeNull();
    authority.refreshes[0]?.answer();
    await settle();
  });

  it('the caller’s own end is passed on', async () => {
    const { authority, policy } = await signedIn();
    authority.hold();
    const leaving = new AbortController();
    const waiting = (await attached(policy, GET, { signal: leaving.signal })).retryOf(REFUSED);
    await settle();
    const reason = new Error('left');
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    authority.refreshes[0]?.answer();
    await settle();
  });

  it('E12 a credential that was removed meanwhile is not attached again', async () => {
    const { authority, policy, credential } = await signedIn();
    const attachment = await attached(policy);
    await credential.remove();
    expect(await attachment.retryOf(REFUSED)).toBeNull();
    expect(authority.refreshes).toHaveLength(0);
  });

  it('E12 nor after the store was closed', async () => {
    const { policy, store } = await signedIn();
    const attachment = await attached(policy);
    await store.close();
    expect(await attachment.retryOf(REFUSED)).toBeNull();
  });

  it('without a refresh token there is no retry, and nothing is sent', async () => {
    const { authority, policy } = await signedIn({}, { refreshable: false });
    expect(await (await attached(policy)).retryOf(REFUSED)).toBeNull();
    expect(authority.refreshes).toHaveLength(0);
  });

  it.each(['GET', 'POST'])(
    '6750-4 D-038 without a refresh token an event says why the 401 is the answer, once for each token: %s',
    async (method) => {
      const { store, policy, credential, authority, newEvents } = await signedIn({}, { refreshable: false });
      for (let i = 0; i < 5; i++) {
        expect(await (await attached(policy, { ...GET, method }, { mayRetry: method === 'GET' })).retryOf(REFUSED)).toBeNull();
        await settle();
      }
      expect(newEvents()).toEqual(['refresh_failed']);
      expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: { code: 'no_refresh_token' } });
      expect(isSignedIn(credential.state)).toBe(true);
      await store.store(authority.signIn({ refreshable: false }), { replace: credential });
      newEvents();
      expect(await (await attached(policy)).retryOf(REFUSED)).toBeNull();
      expect(newEvents()).toEqual(['refresh_failed']);
    },
  );
});

describe('STEP-1 STEP-2 a resource server that asks for more', () => {
  const LOGIN = challenge('insufficient_user_authentication', ', acr_values="gold silver", max_age=300, scope="pay"');

  it('STEP-1 is an event with what it asks for; no refresh, no retry', async () => {
    const { authority, policy, events, credential, store } = await signedIn();
    const { generation } = credential.state;
    const before = store.snapshot();
    expect(await (await attached(policy)).retryOf(LOGIN)).toBeNull();
    expect(events.filter(({ type }) => type === 'challenged')).toEqual([
      {
        type: 'challenged',
        id: credential.id,
        generation,
        at: expect.any(Number) as number,
        origin: 'here',
        resource: API,
        error: 'insufficient_user_authentication',
        acrValues: 'gold silver',
        maxAge: 300,
        scope: 'pay',
      },
    ]);
    expect(store.snapshot()).toBe(before); // news, not state
    expect(authority.refreshes).toHaveLength(0);
  });

  it('6750-4 403 insufficient_scope reports the scope', async () => {
    const { policy, events } = await signedIn();
    expect(await (await attached(policy)).retryOf(MORE)).toBeNull();
    expect(events.at(-1)).toMatchObject({ type: 'challenged', error: 'insufficient_scope', scope: 'orders:write', resource: API });
  });

  it('STEP-1 Okta’s own word for an older login is one, too', async () => {
    const { policy, events } = await signedIn();
    expect(await (await attached(policy)).retryOf(challenge('insufficient_authentication_context', ', max_age="900"', 403))).toBeNull();
    expect(events.at(-1)).toMatchObject({ type: 'challenged', error: 'insufficient_user_authentication', maxAge: 900, resource: API });
  });

  it.each([
    ['max_age="-1"', {}],
    ['max_age="1e3"', {}],
    ['max_age="99999999999"', {}],
    ['max_age="9999999999"', {}],
    ['max_age="0"', { maxAge: 0 }],
    ['max_age=" 5"', {}],
    [`acr_values="${'x'.repeat(1_001)}"`, {}],
    [`acr_values="${'x'.repeat(1_000)}"`, { acrValues: 'x'.repeat(1_000) }],
    ['acr_values="a\\"b"', {}],
    ['acr_values=""', {}],
    ['scope="a  b"', { scope: 'a b' }],
    ['error_description="see <script>"', {}],
  ])('STEP-1 only what is in order is passed on: %s', async (params, passed) => {
    const asked: ResourceChallenge[] = [];
    const { policy } = await signedIn({ stepUp: (one) => (asked.push(one), false) });
    await (await attached(policy)).retryOf(challenge('insufficient_user_authentication', `, ${params}`));
    expect(asked).toEqual([{ error: 'insufficient_user_authentication', resource: API, ...passed }]);
  });

  it('STEP-1 what is asked for is what a sign-in then asks the authorization server for', async () => {
    let address: URL | undefined;
    const { server, platform, policy } = await setUp(aToken(), {
      stepUp: async ({ acrValues, maxAge }) => {
        const redirectUri = 'https://app.example.com/callback';
        const client = createOAuth2Client({ issuer: server.issuer, clientId: 'spa', scope: 'openid', redirectUri, platform });
        address = await createAuthorizationCodeFlow(client, { transactions: memoryTransactions(platform) }).start({
          ...(acrValues !== undefined && { acrValues }),
          ...(maxAge !== undefined && { maxAge }),
        });
        return false;
      },
    });
    await (await attached(policy)).retryOf(challenge('insufficient_user_authentication', ', acr_values="gold silver", max_age="5"'));
    expect(Object.fromEntries(address?.searchParams ?? [])).toMatchObject({ acr_values: 'gold silver', max_age: '5' });
  });

  it('STEP-2 is the application’s to answer: one retry with the token it brought', async () => {
    const asked: unknown[] = [];
    const { authority, policy, store, credential } = await signedIn({
      stepUp: async (...args) => {
        asked.push(args);
        await store.store(authority.signIn({ scope: 'openid orders:write' }), { replace: credential });
        return true;
      },
    });
    const first = await attached(policy);
    const next = await first.retryOf(MORE);
    expect(next?.authorization).toBe(bearer((await store.getDefault())?.token?.accessToken ?? ''));
    expect(next?.authorization).not.toBe(first.authorization);
    expect(asked).toEqual([[{ error: 'insufficient_scope', scope: 'orders:write', resource: API }, credential]]);
    expect(await next?.retryOf(answer(200))).toBeNull();
  });

  it('STEP-2 takes what the application stores as the new default, if it is the same user’s', async () => {
    for (const sub of ['alice', 'bob']) {
      const { authority, policy, store, credential } = await signedIn(
        {
          stepUp: async () => {
            await store.setDefault(await store.store(authority.signIn({ sub })));
            return true;
          },
        },
        { sub: 'alice' },
      );
      const next = await (await attached(policy)).retryOf(MORE);
      const owner = sub === 'alice' ? await store.getDefault() : credential;
      expect(next?.authorization).toBe(bearer(owner?.token?.accessToken ?? ''));
    }
  });

  it('STEP-2 is asked once for 50 at the same time, and each is tried once more', async () => {
    let prompts = 0;
    let finish = (_: boolean): void => undefined;
    const { policy, events } = await signedIn({ stepUp: () => (prompts++, new Promise((resolve) => (finish = resolve))) });
    const attachments = await Promise.all(Array.from({ length: 50 }, () => attached(policy)));
    const retries = Promise.all(attachments.map((one) => one.retryOf(MORE)));
    await settle();
    finish(true);
    expect((await retries).filter((one) => one !== null)).toHaveLength(50);
    expect(prompts).toBe(1);
    expect(events.filter(({ type }) => type === 'challenged')).toHaveLength(1);
  });

  it('STEP-2 a hostile server prompts once a minute, whatever is tried', async () => {
    let prompts = 0;
    const { policy, browser } = await signedIn({ stepUp: () => (prompts++, true) });
    let tries = 0;
    for (let i = 0; i < 50; i++)
      for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(i % 2 ? MORE : LOGIN)) tries++;
    expect([prompts, tries]).toEqual([1, 51]);
    await browser.advance(60_000);
    for (let next: Attachment | null = await attached(policy); next; next = await next.retryOf(MORE)) tries++;
    expect([prompts, tries]).toEqual([2, 53]);
  });

  it('STEP-1 STEP-2 nor more often where an adapter is made for each request, and there is one event', async () => {
    let prompts = 0;
    const { store, platform, events, browser } = await signedIn();
    const ask = (): boolean => (prompts++, true);
    const once = async (stepUp?: AttachmentOptions['stepUp']): Promise<void> => {
      const policy = createAttachmentPolicy(store, { resources: [API], platform, stepUp });
      for (let next: Attachment | null = await attached(policy); next;) next = await next.retryOf(MORE);
    };
    await once(); // one that cannot ask does not keep others from it
    for (let i = 0; i < 20; i++) await once(ask);
    expect(prompts).toBe(1);
    expect(events.filter(({ type }) => type === 'challenged')).toHaveLength(1);
    await browser.advance(60_000);
    for (let i = 0; i < 20; i++) await once(ask);
    expect(prompts).toBe(2);
  });

  it('STEP-2 an adapter that declines at each poll does not keep another of the store from asking', async () => {
    const asked = { poll: 0, page: 0 };
    const { store, platform, browser } = await signedIn();
    const policyOf = (stepUp: AttachmentOptions['stepUp']): AttachmentPolicy =>
      createAttachmentPolicy(store, { resources: [API], platform, stepUp });
    const poll = policyOf(() => (asked.poll++, false));
    const page = policyOf(() => (asked.page++, true));
    for (let minute = 0; minute < 3; minute++) {
      expect(await (await attached(poll)).retryOf(MORE)).toBeNull();
      expect(await (await attached(page)).retryOf(MORE)).not.toBeNull();
      await browser.advance(60_000);
    }
    expect(asked).toEqual({ poll: 3, page: 3 });
  });

  it('STEP-2 an adapter that does not wait long ends no step-up of another that waits, also with the same function', async () => {
    const never = (): Promise<boolean> => new Promise(() => undefined);
    const finish: ((isBetter: boolean) => void)[] = [];
    const slow = (): Promise<boolean> => new Promise((resolve) => void finish.push(resolve));
    for (const [one, other] of [
      [never, slow],
      [slow, slow],
    ] as const) {
      finish.length = 0;
      const { store, platform, browser, policy } = await signedIn({ stepUp: one, stepUpWaitMs: 50 });
      const early = (await attached(policy)).retryOf(MORE);
      await browser.advance(50);
      expect(await early).toBeNull();
      const patient = createAttachmentPolicy(store, { resources: [API], platform, stepUp: other });
      const late = (await attached(patient)).retryOf(MORE);
      await settle();
      finish.at(-1)?.(true);
      expect(await late).not.toBeNull();
    }
  });

  it('STEP-1 where an event fails for now, the next challenge is told', async () => {
    let reports = 0;
    const { credential, store, platform, events } = await signedIn();
    const reporting = thatReports(credential, async (challenge) => {
      if (++reports === 1) throw new CredentialError('storage_failed', 'The storage is busy.', { class: 'transient' });
      await credential.reportChallenge(challenge);
    });
    const policy = createAttachmentPolicy(store, { resources: [{ url: API, credential: () => reporting }], platform });
    for (let i = 0; i < 5; i++) expect(await (await attached(policy)).retryOf(MORE)).toBeNull();
    expect(reports).toBe(2);
    expect(events.filter(({ type }) => type === 'challenged')).toHaveLength(1);
  });

  it.each(['a new credential', 'a new default'])(
    'STEP-2 a hostile server prompts once a minute if the application stores %s',
    async (what) => {
      let prompts = 0;
      const { policy, store, authority, browser } = await signedIn({
        stepUp: async () => {
          prompts++;
          const brought = await store.store(authority.signIn());
          if (what === 'a new default') await store.setDefault(brought);
          return true;
        },
      });
      const twenty = async (): Promise<void> => {
        for (let i = 0; i < 20; i++) for (let next: Attachment | null = await attached(policy); next;) next = await next.retryOf(MORE);
      };
      await twenty();
      expect(prompts).toBe(1);
      await browser.advance(60_000);
      await twenty();
      expect(prompts).toBe(2);
    },
  );

  it('STEP-1 another thing that is asked for within the minute is another event; the application is asked once', async () => {
    const asked: unknown[] = [];
    const { policy, events } = await signedIn({ stepUp: ({ scope }) => (asked.push(scope), false) });
    const wanted = ['orders:write', 'admin', 'orders:write', ...Array.from({ length: 20 }, (_, i) => `s${i}`)];
    for (const scope of wanted)
      expect(await (await attached(policy)).retryOf(challenge('insufficient_scope', `, scope="${scope}"`))).toBeNull();
    const told = events.flatMap((event) => (event.type === 'challenged' ? [event.scope] : []));
    expect(told).toEqual(['orders:write', 'admin', ...Array.from({ length: 8 }, (_, i) => `s${i}`)]);
    expect(asked).toEqual(['orders:write']);
  });

  const endings: [string, (tab: SignedIn) => unknown][] = [
    [
      'another user has taken the place',
      ({ store, authority, credential }) => store.store(authority.signIn({ sub: 'bob' }), { replace: credential }),
    ],
    ['the user has signed out', ({ credential }) => credential.remove()],
    ['all credentials were cleared', ({ store }) => store.clear()],
    [
      'the server has ended the session',
      ({ authority, credential }) => (authority.forget(credential.token?.refreshToken), codeOf(credential.refresh())),
    ],
    ['the store was closed', ({ store }) => store.close()],
  ];

  it.each(endings)('E12 once %s nobody is asked, and there is no event', async (_, happen) => {
    let prompts = 0;
    const tab = await signedIn({ stepUp: () => (prompts++, true) });
    const attachment = await attached(tab.policy);
    await happen(tab);
    expect(await attachment.retryOf(MORE)).toBeNull();
    expect(prompts).toBe(0);
    expect(tab.events.filter(({ type }) => type === 'challenged')).toEqual([]);
  });

  it.each(endings)('E12 nor where %s while the event is under way', async (_, happen) => {
    let prompts = 0;
    const tab = await signedIn();
    const { credential, store, platform } = tab;
    const reporting = thatReports(credential, async (asked) => {
      await credential.reportChallenge(asked);
      await happen(tab);
    });
    const resources = [{ url: API, credential: () => reporting }];
    const policy = createAttachmentPolicy(store, { resources, platform, stepUp: () => (prompts++, true) });
    expect(await (await attached(policy)).retryOf(MORE)).toBeNull();
    expect(tab.events.filter(({ type }) => type === 'challenged')).toHaveLength(1);
    expect(prompts).toBe(0);
  });

  it('STEP-2 for two credentials at one resource it is asked once, and the second is told of in an event', async () => {
    let prompts = 0;
    const { policy, store, authority, events } = await signedIn({ stepUp: () => (prompts++, true) });
    const other = await store.store(authority.signIn());
    expect(await (await attached(policy)).retryOf(MORE)).not.toBeNull();
    expect(await (await attached(policy, GET, { credential: other.id })).retryOf(MORE)).toBeNull();
    expect(prompts).toBe(1);
    expect(events.flatMap((event) => (event.type === 'challenged' ? [event.id] : []))).toContain(other.id);
  });

  it('E20 a step-up that comes to no end holds a request for five minutes, or as long as was said', async () => {
    for (const [options, ms] of [
      [{}, 300_000],
      [{ stepUpWaitMs: 1_000 }, 1_000],
    ] as const) {
      const { policy, browser } = await signedIn({ ...options, stepUp: () => new Promise<boolean>(() => undefined) });
      let outcome: unknown = 'waits';
      const waiting = (await attached(policy)).retryOf(MORE).then((next) => (outcome = next));
      await browser.advance(ms - 1);
      expect(outcome).toBe('waits');
      await browser.advance(1);
      await waiting;
      expect(outcome).toBeNull();
      expect(await (await attached(policy)).retryOf(MORE)).toBeNull(); // and does not wait again
    }
  });

  it.each([
    ['five minutes', {}, 300_000],
    ['as long as requests wait', { stepUpWaitMs: 400_000 }, 400_000],
  ])('STEP-2 a step-up that never answers is begun anew after %s, though every request has left', async (_, options, ms) => {
    const finish: ((isBetter: boolean) => void)[] = [];
    const { policy, browser } = await signedIn({ ...options, stepUp: () => new Promise((resolve) => void finish.push(resolve)) });
    const leave = async (): Promise<void> => {
      const leaving = new AbortController();
      const waiting = (await attached(policy, GET, { signal: leaving.signal })).retryOf(MORE);
      await settle();
      leaving.abort(new Error('left'));
      await expect(waiting).rejects.toThrow('left');
    };
    await leave();
    await browser.advance(ms - 1);
    await leave();
    expect(finish).toHaveLength(1);
    await browser.advance(1);
    const again = (await attached(policy)).retryOf(MORE);
    await settle();
    expect(finish).toHaveLength(2);
    finish[0]?.(false); // the first answers after all: the second goes on
    await settle();
    const joined = (await attached(policy)).retryOf(MORE);
    await settle();
    finish[1]?.(true);
    expect([await again, await joined].map((next) => next !== null)).toEqual([true, true]);
    expect(finish).toHaveLength(2);
  });

  it('STEP-2 the minute begins when the user is done, however long that took', async () => {
    let prompts = 0;
    let finish = (_: boolean): void => undefined;
    const { policy, browser } = await signedIn({ stepUp: () => (prompts++, new Promise((resolve) => (finish = resolve))) });
    const first = (await attached(policy)).retryOf(MORE);
    await browser.advance(299_999);
    const second = (await attached(policy)).retryOf(MORE); // joins
    await settle();
    expect(prompts).toBe(1);
    finish(true);
    expect([await first, await second].map((one) => one !== null)).toEqual([true, true]);
    await browser.advance(59_999);
    expect(await (await attached(policy)).retryOf(MORE)).toBeNull();
    expect(prompts).toBe(1);
  });

  it('STEP-2 who was sent before a step-up and refused after it has the better token without a prompt', async () => {
    let prompts = 0;
    const { authority, policy, store, credential } = await signedIn({
      stepUp: async () => {
        prompts++;
        await store.store(authority.signIn(), { replace: credential });
        return true;
      },
    });
    const [first, slow] = [await attached(policy), await attached(policy)];
    const better = await first.retryOf(MORE);
    expect((await slow.retryOf(MORE))?.authorization).toBe(better?.authorization);
    expect(prompts).toBe(1);
  });

  it('STEP-2 a step-up that fails is the error of those who waited, and nobody else’s', async () => {
    const error = new Error('the window was closed');
    let prompts = 0;
    const { policy } = await signedIn({
      stepUp: async () => {
        prompts++;
        await settle();
        throw error;
      },
    });
    const [one, two] = [await attached(policy), await attached(policy)];
    const both = await Promise.allSettled([one.retryOf(MORE), two.retryOf(MORE)]);
    expect(both).toEqual([
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    expect(await (await attached(policy)).retryOf(MORE)).toBeNull();
    expect(prompts).toBe(1);
  });

  it('a step-up that is refused leaves the answer to the caller', async () => {
    const { policy } = await signedIn({ stepUp: () => false });
    expect(await (await attached(policy)).retryOf(MORE)).toBeNull();
  });

  it('mayRetry: false the application is asked, the request is not sent again', async () => {
    let prompts = 0;
    const { policy } = await signedIn({ stepUp: () => (prompts++, true) });
    expect(await (await attached(policy, GET, { mayRetry: false })).retryOf(MORE)).toBeNull();
    expect(prompts).toBe(1);
  });

  it('the caller’s own end ends the waiting for it', async () => {
    const { policy } = await signedIn({ stepUp: () => new Promise<boolean>(() => undefined) });
    const leaving = new AbortController();
    const waiting = (await attached(policy, GET, { signal: leaving.signal })).retryOf(MORE);
    await settle();
    const reason = new Error('left');
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it('a request is renewed once, stepped up once and delayed once: then the answer is the caller’s', async () => {
    const { policy, browser } = await signedIn({ stepUp: () => true, retryAfterMaxMs: 1_000 });
    const answers = [REFUSED, MORE, answer(503, { 'Retry-After': '1' }), REFUSED, MORE, answer(429, { 'Retry-After': '1' })];
    let tries = 0;
    let next: Attachment | null = await attached(policy);
    for (const one of answers) {
      if (!next) break;
      tries++;
      next = await afterTime(browser, next.retryOf(one));
    }
    expect([next, tries]).toEqual([null, 4]);
  });
});

describe('429 and 503 with Retry-After', () => {
  it.each([429, 503])('%d goes to the caller, unless the application says otherwise', async (status) => {
    const { policy } = await signedIn();
    const one = await attached(policy);
    for (const value of ['0', '1', 'Thu, 01 Jan 1970 00:00:00 GMT'])
      expect(await one.retryOf(answer(status, { 'Retry-After': value }))).toBeNull();
  });

  it.each([429, 503])('%d is tried once more when the time has come, and once only', async (status) => {
    const { policy, browser } = await signedIn({ retryAfterMaxMs: 5_000 });
    const refused = answer(status, { 'Retry-After': '5' });
    const one = await attached(policy);
    const waiting = one.retryOf(refused);
    let over = false;
    void waiting.then(() => (over = true));
    await browser.advance(4_999);
    expect(over).toBe(false);
    await browser.advance(1);
    const next = await waiting;
    expect(next?.authorization).toBe(one.authorization);
    expect(await next?.retryOf(refused)).toBeNull();
  });

  it.each(['0', 'Thu, 01 Jan 1970 00:00:00 GMT'])('a server that says %j is left alone for a second all the same', async (value) => {
    const { policy, browser } = await signedIn({ retryAfterMaxMs: 5_000 });
    const waiting = (await attached(policy)).retryOf(answer(503, { 'Retry-After': value }));
    let over = false;
    void waiting.then(() => (over = true));
    await browser.advance(999);
    expect(over).toBe(false);
    await browser.advance(1);
    expect(await waiting).not.toBeNull();
  });

  it('five minutes and more are waited for if the application says so', async () => {
    const { policy, browser } = await signedIn({ retryAfterMaxMs: 400_000 });
    const waiting = (await attached(policy)).retryOf(answer(503, { 'Retry-After': '400' }));
    await browser.advance(400_000);
    expect(await waiting).not.toBeNull();
    const { policy: other } = await signedIn({ retryAfterMaxMs: 300_000 });
    expect(await (await attached(other)).retryOf(answer(503, { 'Retry-After': '301' }))).toBeNull();
  });

  it('a date counts, too', async () => {
    const { policy, browser } = await signedIn({ retryAfterMaxMs: 5_000 });
    const soon = new Date(browser.now() + 3_000).toUTCString();
    const waiting = (await attached(policy)).retryOf(answer(503, { 'Retry-After': soon }));
    await browser.advance(3_000);
    expect(await waiting).not.toBeNull();
  });

  it.each(['6', '99999999999', 'soon', '', '-1', '1.5', 'Wed, 01 Jan 2098 00:00:00 GMT'])(
    'longer than allowed, or unreadable: %j',
    async (value) => {
      const { policy } = await signedIn({ retryAfterMaxMs: 5_000 });
      expect(await (await attached(policy)).retryOf(answer(503, { 'Retry-After': value }))).toBeNull();
    },
  );

  it('is nothing for a request that cannot be sent again', async () => {
    const { policy } = await signedIn({ retryAfterMaxMs: 5_000 });
    const one = await attached(policy, GET, { mayRetry: false });
    expect(await one.retryOf(answer(503, { 'Retry-After': '1' }))).toBeNull();
  });

  it('sends the token of then: one that expires meanwhile is renewed', async () => {
    const { policy, browser, authority } = await signedIn({ retryAfterMaxMs: 60_000 }, { lifetimeS: 60 });
    const waiting = (await attached(policy)).retryOf(answer(503, { 'Retry-After': '60' }));
    await browser.advance(60_000);
    expect((await waiting)?.authorization).toBe(bearer(authority.secrets.findLast((one) => one.startsWith('access')) ?? ''));
    expect(authority.refreshes).toHaveLength(1);
  });

  it('ends with the caller, and leaves no timer', async () => {
    const { policy, platform } = await signedIn({ retryAfterMaxMs: 60_000 });
    const leaving = new AbortController();
    const { timers } = platform.held();
    const waiting = (await attached(policy, GET, { signal: leaving.signal })).retryOf(answer(503, { 'Retry-After': '60' }));
    await settle();
    const reason = new Error('left');
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(platform.held().timers).toBe(timers);
  });
});

describe('whose token', () => {
  async function three() {
    const world = await signedIn();
    const { authority, store } = world;
    const alice = world.credential;
    const bob = await store.store(authority.signIn({ sub: 'bob', scope: 'openid pay' }), { tags: ['billing', 'b'] });
    const carol = await store.store(authority.signIn({ sub: 'carol', scope: 'openid pay' }), { tags: ['billing', 'c'] });
    const policyOf = (...resources: (string | ProtectedResource)[]) =>
      createAttachmentPolicy(store, { resources, platform: world.platform });
    const ownerOf = async (policy: AttachmentPolicy, ...args: Parameters<typeof policy.attach>): Promise<string | null> => {
      const attachment = await policy.attach(...args);
      const owner = [alice, bob, carol].find((one) => bearer(one.token?.accessToken ?? '') === attachment?.authorization);
      return attachment && String(owner?.claims?.sub);
    };
    return { ...world, alice, bob, carol, policyOf, ownerOf };
  }

  it('is the default’s; where a resource says otherwise, that one’s', async () => {
    const { policyOf, ownerOf, bob, carol } = await three();
    const policy = policyOf(
      API,
      { url: 'https://id.example/', credential: bob.id },
      { url: 'https://tag.example/', credential: 'c' },
      { url: 'https://criteria.example/', credential: { sub: 'carol' } },
      { url: 'https://function.example/', credential: ({ method }) => (method === 'POST' ? carol : { tags: 'b' }) },
      { url: 'https://late.example/', credential: async () => bob.id },
      { url: 'https://none.example/', credential: () => null },
      { url: 'https://nobody.example/', credential: 'nobody' },
    );
    const ask = (host: string, method = 'GET') => ownerOf(policy, { url: `https://${host}.example/`, method });
    expect(await ownerOf(policy, GET)).toBe('alice');
    expect(await Promise.all(['id', 'tag', 'criteria', 'function', 'late', 'none', 'nobody'].map((host) => ask(host)))).toEqual([
      'bob',
      'carol',
      'carol',
      'bob',
      'bob',
      null,
      null,
    ]);
    expect(await ask('function', 'POST')).toBe('carol');
  });

  it('of several that match the default goes first, then the oldest', async () => {
    const { policyOf, ownerOf, store, carol } = await three();
    const policy = policyOf({ url: API, credential: 'billing' });
    expect(await ownerOf(policy, GET)).toBe('bob');
    await store.setDefault(carol);
    expect(await ownerOf(policy, GET)).toBe('carol');
  });

  it.each<[string, SignInOptions, (world: World, ended: Credential) => Promise<unknown>]>([
    [
      'whose session has ended',
      {},
      ({ authority }, ended) => (authority.forget(ended.token?.refreshToken), codeOf(ended.refresh())), // its record stays
    ],
    ['that has expired and cannot be renewed', { refreshable: false, lifetimeS: 1 }, ({ browser }) => browser.advance(2_000)],
  ])('E7 of several that match one %s serves no request, and be it the default: guards let in by the other one', async (_, how, end) => {
    const world = createWorld();
    const { store, platform } = await world.openTab();
    const ended = await store.store(world.authority.signIn({ sub: 'alice', ...how }), { tags: ['audit'] });
    const living = await store.store(world.authority.signIn({ sub: 'bob' }), { tags: ['audit'] });
    await store.setDefault(ended);
    await end(world, ended);
    expect(isSignedIn(ended.state)).toBe(false);
    const policy = createAttachmentPolicy(store, { resources: [{ url: API, credential: 'audit' }], platform });
    expect((await policy.attach(GET))?.authorization).toBe(bearer(living.token?.accessToken ?? ''));
    expect((await policy.attach(GET, { credential: { tags: 'audit' } }))?.authorization).toBe(bearer(living.token?.accessToken ?? ''));
    await living.remove();
    expect(await codeOf(policy.attach(GET, { credential: 'audit' }))).toMatch(/^(needs_sign_in|no_refresh_token)$/);
  });

  it('a request’s own choice goes before that of the resource', async () => {
    const { policyOf, ownerOf, alice, bob, carol } = await three();
    const policy = policyOf({ url: API, credential: bob.id });
    expect(await ownerOf(policy, GET, { credential: carol.id })).toBe('carol');
    expect(await ownerOf(policy, GET, { credential: { sub: 'alice' } })).toBe('alice');
    expect(await ownerOf(policy, GET, { credential: () => alice })).toBe('alice');
    expect(await ownerOf(policy, GET, { credential: () => null })).toBeNull();
  });

  it('a request that names a credential which is not here fails; nothing is sent without a token', async () => {
    const { policyOf, bob } = await three();
    const policy = policyOf(API);
    expect(await codeOf(policy.attach(GET, { credential: 'nobody' }))).toBe('needs_sign_in');
    expect(await codeOf(policy.attach(GET, { credential: { sub: 'mallory' } }))).toBe('needs_sign_in');
    for (const named of ['nobody', { sub: 'mallory' }, ''])
      expect(await codeOf(policy.attach(GET, { credential: () => named }))).toBe('needs_sign_in');
    await bob.remove();
    for (const credential of [bob.id, () => bob.id]) expect(await codeOf(policy.attach(GET, { credential }))).toBe('needs_sign_in');
  });

  it('a tag is found in memory: storage is not read for it by each request, and none fails with it', async () => {
    const memory = memoryStorage();
    const [reads, disk]: [string[], { isGone: boolean }] = [[], { isGone: false }];
    const read: typeof memory.read = (id) => {
      reads.push(id);
      return disk.isGone ? Promise.reject(new Error('the disk is gone')) : memory.read(id);
    };
    const { fetch, issuer } = fakeServer();
    const platform = unitPlatform({ fetch });
    const store = createCredentialStore({ clients: { issuer, clientId: 'spa' }, storage: { ...memory, read }, platform });
    stores.add(store);
    await store.store(aToken({ accessToken: 'access-0' }), { tags: ['billing'] });
    const policy = createAttachmentPolicy(store, { resources: [{ url: API, credential: 'billing' }], platform });
    reads.length = 0;
    disk.isGone = true;
    expect((await attached(policy)).authorization).toBe('Bearer access-0');
    expect((await attached(policy, GET, { credential: 'billing' })).authorization).toBe('Bearer access-0');
    expect(reads).toEqual([]);
  });

  it('an id goes before a tag that is the same; one that is in storage alone, as just written by another tab, is found there', async () => {
    const { policyOf, ownerOf, store, authority, platform, alice, bob } = await three();
    await store.store(authority.signIn({ sub: 'dave' }), { tags: [alice.id] });
    expect(await ownerOf(policyOf(API), GET, { credential: alice.id })).toBe('alice');
    const late = { getDefault: store.getDefault, with: store.with, find: () => Promise.resolve([]) };
    const policy = createAttachmentPolicy(late, { resources: [API], platform });
    expect(await ownerOf(policy, GET, { credential: bob.id })).toBe('bob');
    expect(await codeOf(policy.attach(GET, { credential: 'billing' }))).toBe('needs_sign_in');
  });

  describe('criteria that say nothing name nobody, and never the default', () => {
    const nothing: readonly (readonly [string, CredentialCriteria])[] = [
      ['{}', {}],
      ['sub: undefined', { sub: undefined }],
      ['no tags', { tags: [] }],
      ['a blank scope', { scope: ' ' }],
      ['no scopes', { scope: [] }],
      ['no claims', { claims: {} }],
      ['claims: { sub: undefined }', { claims: { sub: undefined } }],
      ['claims: { groups: [] }', { claims: { groups: [] } }],
      ['sub: undefined beside the issuer', { issuer: ISSUER, sub: undefined }],
      ['claims: { sub: undefined } beside the issuer', { issuer: ISSUER, claims: { sub: undefined } }],
    ];

    it.each(nothing)('%s: a request fails, also where a function says so; of a resource it goes without a token', async (_, criteria) => {
      const { policyOf, ownerOf, store } = await three();
      expect(await store.find(criteria)).toHaveLength(3); // of a query it is everybody
      const policy = policyOf(API);
      expect(await codeOf(policy.attach(GET, { credential: criteria }))).toBe('needs_sign_in');
      expect(await codeOf(policy.attach(GET, { credential: () => criteria }))).toBe('needs_sign_in');
      expect(await ownerOf(policyOf({ url: API, credential: () => Promise.resolve(criteria) }), GET)).toBeNull();
    });

    it.each(nothing)('%s: as a resource’s own it is a TypeError at once', async (_, credential) => {
      const { policyOf } = await three();
      expect(() => policyOf({ url: API, credential })).toThrow(/credential of a resource must say which/);
    });

    it('what says something beside it counts', async () => {
      const { policyOf, ownerOf } = await three();
      expect(await ownerOf(policyOf(API), GET, { credential: { tags: [], sub: 'carol' } })).toBe('carol');
      expect(await ownerOf(policyOf({ url: API, credential: { isDefault: false, claims: {} } }), GET)).toBe('bob');
    });
  });

  it('6750-2 a request’s choice opens no place that is off the list', async () => {
    const { policyOf, bob } = await three();
    expect(await policyOf(API).attach({ url: 'https://evil.test/v1/', method: 'GET' }, { credential: bob.id })).toBeNull();
  });

  it('a retry is with the token of the same credential', async () => {
    const { policyOf, alice, bob, authority } = await three();
    const one = await attached(policyOf(API), GET, { credential: bob.id });
    const next = await one.retryOf(REFUSED);
    expect(next?.authorization).toBe(bearer(bob.token?.accessToken ?? ''));
    expect(authority.refreshes).toHaveLength(1);
    expect(alice.token?.accessToken).toContain('CANARY');
  });

  it.each([1, '', null, [], true])('%j is no choice: a TypeError', async (credential) => {
    const { policy, store } = await signedIn();
    const wrong = { credential: credential as never };
    await expect(policy.attach(GET, wrong)).rejects.toThrow(TypeError);
    expect(() => createAttachmentPolicy(store, { resources: [{ url: API, ...wrong }] })).toThrow(TypeError);
  });

  it('a choice sees address and method of the request, and nothing else of it', async () => {
    const asked: unknown[] = [];
    const { policy } = await signedIn({ resources: [{ url: API, credential: (request) => (asked.push(request), null) }] });
    await policy.attach({ ...GET, ...{ headers: { secret: '1' } } });
    expect(asked).toEqual([GET]);
  });

  describe('E12 of a request that began in one name', () => {
    const NEXT = { url: `${API}next`, method: 'POST' };

    it('a redirect has the token of the same user, whoever is chosen by now', async () => {
      const { policyOf, alice, bob, carol, store } = await three();
      const first = await attached(policyOf(API, { url: `${API}b/`, credential: 'b' }));
      await store.setDefault(carol);
      expect((await first.follow(NEXT))?.authorization).toBe(bearer(alice.token?.accessToken ?? ''));
      const other = await first.follow({ url: `${API}b/`, method: 'GET' }); // this place names another
      expect(other?.authorization).toBe(bearer(bob.token?.accessToken ?? ''));
      expect((await other?.follow(NEXT))?.authorization).toBe(first.authorization); // and back
      expect(await first.follow({ url: 'https://evil.test/', method: 'GET' })).toBeNull();
    });

    it('a redirect has no token where there was nobody for its place when it was asked first', async () => {
      const { policyOf, store, authority } = await three();
      const first = await attached(policyOf(API, { url: `${API}d/`, credential: 'd' }));
      const place = { url: `${API}d/`, method: 'GET' };
      expect(await first.follow(place)).toBeNull();
      await store.store(authority.signIn({ sub: 'dora' }), { tags: ['d'] });
      expect(await first.follow(place)).toBeNull();
    });

    it('a redirect fails where the credential is another user’s by now, or gone', async () => {
      const { policyOf, store, authority, alice } = await three();
      const first = await attached(policyOf(API));
      await store.store(authority.signIn({ sub: 'bob' }), { replace: alice });
      expect(await codeOf(first.follow(NEXT))).toBe('needs_sign_in');
      await alice.remove();
      expect(await codeOf(first.follow(NEXT))).toBe('credential_removed');
    });

    it('without an ID token one credential is not taken for another', async () => {
      const { store, credential, policy } = await setUp(aToken({ accessToken: 'access-0', claims: null }), {
        stepUp: async () => {
          await store.setDefault(await store.store(aToken({ id: 'other', accessToken: 'access-1', claims: null })));
          return true;
        },
      });
      expect(credential.claims).toBeNull();
      const next = await (await attached(policy)).retryOf(MORE);
      expect(next?.authorization).toBe('Bearer access-0');
    });
  });

  it('what a choice throws the request fails with', async () => {
    const { policyOf } = await three();
    const error = new Error('no idea');
    const policy = policyOf({
      url: API,
      credential: () => {
        throw error;
      },
    });
    await expect(policy.attach(GET)).rejects.toBe(error);
  });
});

describe('which token', () => {
  it('a resource’s methods: others go without', async () => {
    const { policy } = await signedIn({ resources: [{ url: API, methods: ['get', 'HEAD'] }] });
    const ask = async (method: string) => (await policy.attach({ url: GET.url, method })) !== null;
    expect(await Promise.all(['GET', 'get', 'HEAD', 'POST', 'DELETE', ''].map(ask))).toEqual([true, true, true, false, false, false]);
  });

  it('TMB-1 a resource’s scope: a token that can do no more, and after a 401 another of that kind', async () => {
    const resources = [{ url: API, scope: 'orders:read' }, 'https://other.example/'];
    const { policy, authority, credential } = await signedIn({ resources }, { scope: 'openid orders:read orders:write' });
    const whole = credential.token?.accessToken ?? '';
    const one = await attached(policy);
    expect(one.authorization).not.toBe(bearer(whole));
    expect((await attached(policy)).authorization).toBe(one.authorization);
    expect((await attached(policy, { url: 'https://other.example/', method: 'GET' })).authorization).toBe(bearer(whole));
    const next = await one.retryOf(REFUSED);
    expect([one.authorization, bearer(whole)]).not.toContain(next?.authorization);
    expect(authority.refreshes.map(({ target }) => target)).toEqual([{ scope: 'orders:read' }, { scope: 'orders:read' }]);
    expect(credential.token?.accessToken).toBe(whole);
  });

  it('a resource of RFC 8707: a token for it', async () => {
    const resource = 'https://api.example.com/';
    const { policy, authority } = await signedIn({ resources: [{ url: API, resource }] });
    await attached(policy);
    expect(authority.refreshes.map(({ target }) => target)).toEqual([{ resource }]);
  });

  it('6749-11 a scope that was not granted is an error, and nothing is sent', async () => {
    const { policy, authority } = await signedIn({ resources: [{ url: API, scope: 'admin' }] });
    expect(await codeOf(policy.attach(GET))).toBe('scope_not_granted');
    expect(authority.refreshes).toHaveLength(0);
  });
});

describe('the policy', () => {
  it('E15 with no resources covers nothing', async () => {
    const { store, policy } = await signedIn();
    expect(createAttachmentPolicy(store, { resources: [] }).covers(GET)).toBe(false);
    expect(policy.covers(GET)).toBe(true);
  });

  it('takes relative addresses from its base', async () => {
    const { policy } = await signedIn({ resources: ['https://app.example.com/api'], baseUrl: () => 'https://app.example.com/' });
    expect(['/api/x', '/x'].map((url) => policy.covers({ url, method: 'GET' }))).toEqual([true, false]);
  });

  it('E19 the token endpoint is not covered by itself', async () => {
    const { policy } = await signedIn();
    expect(policy.covers({ url: `${ISSUER}/token`, method: 'POST' })).toBe(false);
  });

  it('E19 a token call goes by the platform, bare, and waits for nothing: also where its server is on the list', async () => {
    const sent: unknown[] = [];
    const { server, platform, store } = await setUp();
    const send = createFetch(store, {
      resources: [API, `${server.issuer}/`],
      platform,
      fetch: (input) => (sent.push(input), Promise.resolve(new Response('ok'))),
    });
    platform.advance(600_000);
    server.plan('token', renewed(1));
    await inTime(platform, send(GET.url));
    expect(sent).toEqual([GET.url]);
    expect(server.calls('token').map(({ headers }) => headers.get('Authorization'))).toEqual([null]);
  });

  it.each<[string, unknown]>([
    ['a wrong resource', { resources: ['api'] }],
    ['a list that is none', { resources: API }],
    ['no list', {}],
    ['a negative time', { resources: [], waitMs: -1 }],
    ['a time that is no number', { resources: [], waitMs: '5' }],
    ['no number', { resources: [], retryAfterMaxMs: NaN }],
    ['a base that is a text', { resources: [], baseUrl: API }],
    ['a step-up that is none', { resources: [], stepUp: true }],
    ['a fetch that is none', { resources: [], fetch: {} }],
  ])('%s is a TypeError at once', async (_, options) => {
    const { store } = await signedIn();
    expect(() => createAttachmentPolicy(store, options as AttachmentOptions)).toThrow(TypeError);
  });

  it.each([undefined, null])('options that were forgotten (%s) are missed by name', async (options) => {
    const { store } = await signedIn();
    expect(() => createAttachmentPolicy(store, options as never)).toThrow(/^resources must be a list of URLs/);
  });

  it('an option that there is not is a TypeError that names it', async () => {
    const { store } = await signedIn();
    expect(() => createFetch(store, { resources: [API], redirect: 'by-hand' } as AttachmentOptions)).toThrow(
      /^options must be FetchOptions, not redirect$/,
    );
    for (const create of [createAjax, credentialsInterceptor])
      expect(() => create(store, { resources: [API], waitMS: 5 } as AttachmentOptions)).toThrow(
        /^options must be AttachmentOptions, not waitMS$/,
      );
  });

  it('what is no store is a TypeError at once: a function, a promise, a credential, nothing', async () => {
    const { store, credential } = await signedIn();
    for (const wrong of [() => store, Promise.resolve(store), credential, undefined])
      expect(() => createAttachmentPolicy(wrong as never, { resources: [API] })).toThrow(
        /^store must be what createCredentialStore returned$/,
      );
  });

  it('HT-9 no error of it holds a token', async () => {
    const { policy, browser, authority, store } = await signedIn({ waitMs: 10 }, { lifetimeS: 1 });
    await browser.advance(2_000);
    authority.hold();
    const failing = refusal(policy.attach(GET));
    await browser.advance(10);
    const errors = [await failing, await refusal(policy.attach(GET, { credential: 'nobody' }))];
    authority.refreshes[0]?.answer();
    await settle();
    await store.close();
    errors.push(await refusal(policy.attach(GET)));
    for (const error of errors) expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('CANARY');
  });
});
