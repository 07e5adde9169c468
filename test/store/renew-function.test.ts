// `renew`: a client whose tokens are renewed by a function of the application, such as a silent authorization, instead of a refresh token.
import { createToken, withFields } from '../../src/credential/create-token.js';
import type { Credential } from '../../src/index.js';
import type { Token, TokenFields } from '../../src/credential/token.js';
import { notLoaded } from '../../src/errors.js';
import type { Grant, RenewFunction } from '../../src/oauth/client.js';
import { CLIENT_ID, ISSUER, offline, refusal, type FakeAuthority } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type TabOptions, type World } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;

/** The function of an application, which the test answers. */
interface Application {
  readonly renew: RenewFunction;
  readonly calls: readonly Call[];
  /** Answers at once from now on. */
  answer(how: (grant: Grant) => Token | Promise<Token>): void;
}
interface Call {
  readonly grant: Grant;
  resolve(token: Token): void;
  reject(error: unknown): void;
}

function createApplication(): Application {
  const calls: Call[] = [];
  let answer: ((grant: Grant) => Token | Promise<Token>) | undefined;
  return {
    renew: (grant) =>
      new Promise<Token>((resolve, reject) => {
        calls.push({ grant, resolve, reject });
        if (answer) new Promise<Token>((done) => done(answer?.(grant) as Token)).then(resolve, reject);
      }),
    calls,
    answer: (how) => void (answer = how),
  };
}

/** What a silent authorization of a user gives: a token of its own id, without a refresh token. */
function renewed(authority: FakeAuthority, sub: string | null = 'alice', changes: Partial<TokenFields> = {}): Token {
  return withFields(authority.signIn({ sub, refreshable: false }), changes);
}

interface Renewing extends World, Tab {
  readonly application: Application;
  readonly credential: Credential;
  /** Another tab with the same function. */
  theirs(): Promise<Tab & { readonly credential: Credential }>;
}

async function renewing(options: Omit<TabOptions, 'clients'> = {}, refreshable = false): Promise<Renewing> {
  const world = createWorld();
  const application = createApplication();
  const { renew } = application;
  const open = (): Promise<Tab> => world.openTab({ ...options, clients: (platform) => world.authority.client(platform, { renew }) });
  const tab = await open();
  const credential = await tab.store.store(world.authority.signIn({ refreshable }), { tags: ['work'] });
  tab.newEvents();
  return {
    ...world,
    ...tab,
    application,
    credential,
    theirs: async () => {
      const other = await open();
      const found = await other.store.with(credential.id);
      if (!found) throw new Error('the credential is gone');
      return { ...other, credential: found };
    },
  };
}

it('RF-7 that a part of the program is not there says nothing of an attempt before of which nobody knows', async () => {
  const { application, authority, browser, credential } = await renewing();
  const next = renewed(authority);
  const answers = [() => Promise.reject(offline()), () => Promise.reject(notLoaded()), () => next];
  application.answer(() => answers.shift()!());
  expect(await inTime(browser, credential.refresh())).toMatchObject({ accessToken: next.accessToken });
});

describe('a token that a function of the application renews', () => {
  it.each([false, true])('keeps its id, tags and default; no refresh request is made (refresh token: %s)', async (refreshable) => {
    const { application, authority, credential, disk, newEvents, store } = await renewing({}, refreshable);
    const next = renewed(authority);
    application.answer(() => next);
    const { accessToken, refreshToken } = credential.token ?? {};
    const token = await credential.refresh();
    expect(token.accessToken).toBe(next.accessToken);
    expect(next.id).not.toBe(credential.id);
    expect(token.id).toBe(credential.id);
    expect(application.calls).toHaveLength(1);
    expect(application.calls[0]?.grant).toMatchObject({ id: credential.id, claims: { sub: 'alice' }, refreshToken });
    expect(JSON.stringify(application.calls[0]?.grant)).not.toContain(accessToken);
    expect(authority.refreshes).toHaveLength(0);
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
    expect(credential).toMatchObject({ tags: ['work'], state: { isDefault: true } });
    expect(await store.allIDs()).toEqual([credential.id]);
    expect(disk.record(credential.id)).toMatchObject({ generation: 2, secrets: { accessToken: next.accessToken } });
    expect(disk.record(credential.id)).not.toHaveProperty('intent');
  });

  it('E1 is asked for once, whoever wants it', async () => {
    const { application, authority, browser, credential } = await renewing();
    await browser.advance(2 * HOUR_MS);
    application.answer(() => renewed(authority));
    const tokens = await Promise.all(Array.from({ length: 50 }, () => credential.accessToken()));
    expect(new Set(tokens)).toEqual(new Set([credential.token?.accessToken]));
    expect(application.calls).toHaveLength(1);
  });

  it('E2 RF-1 is asked for once by all tabs, under the lock of the credential, which the others adopt', async () => {
    const { application, authority, browser, credential, theirs } = await renewing();
    const other = await theirs();
    const both = Promise.all([credential.refresh(), other.credential.refresh()]);
    await settle();
    expect(application.calls).toHaveLength(1);
    expect([...browser.heldLocks]).toEqual([`app:refresh:${credential.id}`]);
    application.calls[0]?.resolve(renewed(authority));
    const [a, b] = await both;
    expect(b.isEqual(a)).toBe(true);
    expect(application.calls).toHaveLength(1);
  });

  it('is renewed ahead of its expiry like any other', async () => {
    const { application, authority, browser, credential } = await renewing({ options: { renewal: { ahead: true } } });
    application.answer(() => renewed(authority));
    await browser.advance(3 * HOUR_MS);
    expect(application.calls).toHaveLength(3);
    expect(credential.status.token).toBe('valid');
  });

  it('may come without an ID token where there was none before', async () => {
    const { application, authority, store } = await renewing();
    const anonymous = await store.store(authority.signIn({ sub: null, refreshable: false }));
    application.answer(() => renewed(authority, null));
    expect((await anonymous.refresh()).claims).toBeNull();
  });

  it('E5 E55 keeps what the token omits: claims, ID token and refresh token', async () => {
    // As design §4.3 has it of every answer. A server that gives no ID token with it has said who the user is before, and the application
    // promises that it is still she; to end the session for it would be to end it at every renewal.
    const { application, authority, credential, disk } = await renewing({}, true);
    const { claims, idToken, refreshToken, context } = credential.token ?? {};
    const { accessToken, tokenType, scope, issuedAt, expiresAt } = renewed(authority);
    const bare = { id: 'other', accessToken, tokenType, scope, issuedAt, expiresAt, claims: null };
    application.answer(() => createToken({ ...bare, context: { issuer: ISSUER, clientId: CLIENT_ID } }));
    const token = await credential.refresh();
    expect(token).toMatchObject({ id: credential.id, accessToken, claims, idToken, refreshToken, context });
    expect(claims?.sub).toBe('alice');
    expect(refreshToken).toBeDefined();
    expect(disk.record(credential.id)).toMatchObject({ state: 'active', claims, secrets: { accessToken, refreshToken } });
  });

  it('IDT-5 takes over no ID token without its claims: nobody has judged it', async () => {
    const { application, authority, credential } = await renewing();
    const { idToken, claims } = credential.token ?? {};
    application.answer(() => renewed(authority, 'alice', { claims: null, idToken: 'not.judged.yet' }));
    expect(await credential.refresh()).toMatchObject({ idToken, claims });
  });

  it('takes over what the token brings', async () => {
    const { application, authority, credential } = await renewing({}, true);
    const changes = { refreshToken: 'refresh-new', idToken: 'of.the.answer' };
    application.answer(() => renewed(authority, 'alice', changes));
    expect(await credential.refresh()).toMatchObject(changes);
  });

  it('RF-15 that cannot be written is kept in memory and written later', async () => {
    const { application, authority, browser, credential, disk, store } = await renewing();
    application.answer(() => renewed(authority));
    const mend = disk.fail(({ method }) => method === 'write');
    const token = await credential.refresh();
    expect(store.snapshot().durable).toBe(false);
    mend();
    await browser.advance(60_000);
    expect(disk.record(credential.id)).toMatchObject({ secrets: { accessToken: token.accessToken } });
  });

  it('RF-10 belongs to the store: close waits for it', async () => {
    const { application, authority, credential, disk, store } = await renewing();
    const refreshing = credential.refresh();
    await settle();
    const closing = store.close();
    const token = renewed(authority);
    application.calls[0]?.resolve(token);
    await Promise.all([refreshing, closing]);
    expect(disk.record(credential.id)).toMatchObject({ secrets: { accessToken: token.accessToken } });
  });
});

describe('E32 IDR-1 a token of somebody else', () => {
  it.each<readonly [string, (authority: FakeAuthority) => Token]>([
    ['of another user', (authority) => renewed(authority, 'mallory')],
    [
      'of another issuer',
      (authority) => renewed(authority, 'alice', { context: { issuer: 'https://evil.example.com', clientId: CLIENT_ID } }),
    ],
    ['of another client', (authority) => renewed(authority, 'alice', { context: { issuer: ISSUER, clientId: 'other' } })],
  ])('%s is a substitution: it is never stored, and the event says why', async (_, make) => {
    const { application, authority, credential, disk, events, store } = await renewing();
    const other = await store.store(authority.signIn({ sub: 'bob', refreshable: false }));
    const evil = make(authority);
    application.answer(() => evil);
    const refused: unknown = await credential.refresh().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'token_substitution', class: 'security' });
    expect(JSON.stringify(refused)).not.toContain('CANARY');
    expect(events.at(-1)).toMatchObject({ type: 'refresh_failed', code: 'token_substitution', class: 'security' });
    expect(JSON.stringify([...disk.records])).not.toContain(evil.accessToken);
    expect(await store.allIDs()).toEqual([other.id]);
    expect(credential.token).toBeNull();
    expect(application.calls).toHaveLength(1);
  });
});

describe('a function that fails', () => {
  it.each<readonly [string, unknown]>([
    ['Error', new Error('token=CANARY')],
    ['TypeError', new TypeError('token=CANARY')],
    ['something of type object', Object.assign(new Error('token=CANARY'), { name: 'token=CANARY' })],
    ['something of type object', { name: 'CANARY', token: 'CANARY' }],
    ['something of type string', 'CANARY'],
    ['something of type undefined', undefined],
  ])('E33 E51 with %s: renewal_failed, without what it said; nothing is lost, and it is tried later', async (name, thrown) => {
    const { application, authority, browser, credential, disk, events } = await renewing();
    const before = disk.record(credential.id);
    const token = credential.token;
    const refreshing = credential.refresh().catch((error: unknown) => error);
    await settle();
    application.calls[0]?.reject(thrown);
    const error = await refreshing;
    expect(error).toMatchObject({
      code: 'renewal_failed',
      class: 'transient',
      message: `The function that renews tokens failed (${name}).`,
    });
    expect(JSON.stringify(error) + String(error) + String((error as Error).stack)).not.toContain('CANARY');
    expect(events.at(-1)).toMatchObject({ type: 'refresh_failed', code: 'renewal_failed', attempts: 1 });
    expect(credential.token).toBe(token);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(disk.record(credential.id)).toEqual({ ...before, revision: 3, changedAt: expect.any(Number) as number });
    expect(application.calls).toHaveLength(1); // not again at once: nobody knows what it costs
    application.answer(() => renewed(authority));
    await browser.advance(2_000);
    await credential.refresh();
    expect(credential.state.refreshFailure).toBeNull();
  });

  it('E11 backs off: callers get the last error, and renewal ahead goes on later', async () => {
    const { application, authority, browser, credential } = await renewing({ options: { renewal: { ahead: true } } });
    let failing = true;
    application.answer(() => {
      if (failing) throw new Error('no');
      return renewed(authority);
    });
    await browser.advance(HOUR_MS + 60_000);
    const { length } = application.calls;
    expect(length).toBeGreaterThanOrEqual(4);
    expect(length).toBeLessThanOrEqual(10);
    for (let i = 0; i < 10; i++) expect(await codeOf(credential.accessToken())).toBe('renewal_failed');
    expect(application.calls).toHaveLength(length);
    failing = false;
    await browser.advance(300_000);
    expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
  });

  it('with an error of ours means what that says: the user is asked for', async () => {
    const { application, credential, events } = await renewing();
    application.answer(() => Promise.reject(refusal('login_required')));
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    expect(events.at(-1)).toMatchObject({ type: 'interaction_required' });
    expect(credential.status.token).toBe('needs_interaction');
  });

  it('with an error of ours means what that says: no answer is asked for again, three times at most', async () => {
    const { application, browser, credential } = await renewing();
    application.answer(() => Promise.reject(offline()));
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('network_error');
    expect(application.calls).toHaveLength(3);
  });

  it.each<readonly [string, unknown]>([
    ['nothing', undefined],
    ['an object', { accessToken: 'CANARY' }],
    ['something of type string', 'CANARY'],
    ['an answer of the wire', { text: '{"access_token":"CANARY","token_type":"Bearer"}', sentAt: 1, receivedAt: 1 }],
  ])('by giving %s instead of a Token: renewal_failed, and it is called once', async (_, given) => {
    const { application, browser, credential } = await renewing();
    application.answer(() => given as Token);
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('renewal_failed');
    expect(application.calls).toHaveLength(1);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(await codeOf(inTime(browser, credential.refresh()))).toBe('renewal_failed');
    expect(application.calls).toHaveLength(2);
  });
});

it('E18 by giving a token that has expired already, as a cache may: renewal_failed, and that token is handed to nobody', async () => {
  const { application, authority, browser, credential } = await renewing();
  const cached = renewed(authority);
  await browser.advance(HOUR_MS + 1);
  application.answer(() => cached);
  const failure = credential.accessToken().catch((error: unknown) => error);
  expect(await inTime(browser, failure)).toMatchObject({
    code: 'renewal_failed',
    message: expect.stringContaining('has expired') as string,
  });
  expect(credential.status.token).toBe('expired');
});

describe('races', () => {
  it('RF-13 a sign-out wins: the late token is revoked, never stored', async () => {
    const { application, authority, credential, disk, store } = await renewing();
    const refreshing = codeOf(credential.refresh());
    await settle();
    await credential.remove();
    const late = renewed(authority);
    application.calls[0]?.resolve(late);
    expect(await refreshing).toBe('credential_removed');
    await settle();
    expect(authority.revocations.map(({ token }) => token)).toContain(late.accessToken);
    expect(await store.allIDs()).toEqual([]);
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  });

  it.each(['alice', 'bob'])('RF-5 a new login of %s in its place wins: the late token does not go over it', async (sub) => {
    const { application, authority, credential, disk, store } = await renewing();
    const refreshing = credential.refresh().catch((error: unknown) => error);
    await settle();
    const login = authority.signIn({ sub, refreshable: false });
    await store.store(login, { replace: credential });
    application.calls[0]?.resolve(renewed(authority));
    await refreshing;
    expect(credential.claims?.sub).toBe(sub);
    expect(credential.token?.accessToken).toBe(login.accessToken);
    expect(disk.record(credential.id)).toMatchObject({ claims: { sub }, secrets: { accessToken: login.accessToken } });
  });

  it('RF-5 tags that changed meanwhile stay', async () => {
    const { application, authority, credential } = await renewing();
    const refreshing = credential.refresh();
    await settle();
    await credential.setTags(['new']);
    application.calls[0]?.resolve(renewed(authority));
    expect((await refreshing).accessToken).toBe(credential.token?.accessToken);
    expect(credential.tags).toEqual(['new']);
  });

  it('RF-16 a tab that froze meanwhile does not store its late token over a newer one', async () => {
    const { application, authority, browser, credential, platform, theirs } = await renewing();
    const other = await theirs();
    const refreshing = credential.refresh();
    await settle();
    platform.emit('frozen');
    const newer = other.credential.refresh();
    await browser.advance(2_000);
    expect(application.calls).toHaveLength(2);
    const [old, fresh] = [renewed(authority), renewed(authority)];
    application.calls[1]?.resolve(fresh);
    await newer;
    application.calls[0]?.resolve(old);
    expect((await inTime(browser, refreshing)).accessToken).toBe(fresh.accessToken);
    await settle();
    for (const one of [credential, other.credential]) expect(one.token?.accessToken).toBe(fresh.accessToken);
  });

  it('RF-16 a tab that froze meanwhile stores its late token where nobody has another', async () => {
    const { application, authority, credential, platform } = await renewing();
    const refreshing = credential.refresh();
    await settle();
    platform.emit('frozen');
    const late = renewed(authority);
    application.calls[0]?.resolve(late);
    expect((await refreshing).accessToken).toBe(late.accessToken);
    expect(credential.token?.accessToken).toBe(late.accessToken);
  });
});

it('child tokens are not to be had from it', async () => {
  const { application, credential } = await renewing();
  const refused: unknown = await credential.accessToken({ resource: 'https://api.example.com/' }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'unsupported' });
  expect(application.calls).toHaveLength(0);
});
