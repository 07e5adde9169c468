// A token that takes another's place, an id that reads like another's, an end that comes meanwhile: what is asked then is asked of the present.
import { firstValueFrom } from 'rxjs';
import { CredentialError } from '../../src/errors.js';
import type { Credential } from '../../src/index.js';
import type { OAuth2Client } from '../../src/oauth/client.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { refusal } from '../support/fake-client.js';
import type { FakeDisk } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

/** Makes a record unreadable, until the returned function is called. */
function spoil({ records, record }: FakeDisk, id: string): () => void {
  const whole = record(id);
  records.set(id, { ...whole, tags: 'none' });
  return () => void records.set(id, whole);
}

/** A credential whose token has expired, and a refresh of it that hangs. */
async function hanging() {
  const world = createWorld();
  const [tab, other] = [await world.openTab(), await world.openTab()];
  const credential = await tab.store.store(world.authority.signIn());
  await settle();
  await world.browser.advance(3_600_001);
  world.authority.hold();
  const waiting = credential.accessToken();
  waiting.catch(() => undefined);
  await settle();
  expect(world.authority.refreshes).toHaveLength(1);
  return { ...world, store: tab.store, other: other.store, credential, waiting };
}

describe('a sign-in that takes the place of a token whose refresh hangs', () => {
  it('E63 serves who asks from then on', async () => {
    const { store, authority, credential } = await hanging();
    const token = authority.signIn({ sub: 'bob' });
    await store.store(token, { replace: credential });
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it.each(['here', 'in another tab'])('E9 E45 serves who waits already, signed in %s', async (where) => {
    const { store, other, authority, credential, waiting } = await hanging();
    const token = authority.signIn();
    await (where === 'here' ? store : other).store(token, { replace: credential.id });
    expect(await waiting).toBe(token.accessToken);
  });

  it('gives who waits for a token of hers none of another user', async () => {
    const { store, authority, credential, waiting } = await hanging();
    const bob = authority.signIn({ sub: 'bob' });
    await store.store(bob, { replace: credential });
    authority.refreshes[0]?.answer();
    expect(await codeOf(waiting)).toBe('credential_removed');
  });

  it.each(['hangs', 'fails'])(
    'E63 gives who has a token that still lives, and waits for the next, none of another user: it %s',
    async (how) => {
      const { openTab, authority, browser } = createWorld();
      const { store } = await openTab();
      const credential = await store.store(authority.signIn({ sub: 'alice' }));
      await browser.advance(3_590_000);
      authority.hold();
      const asked = codeOf(credential.accessToken());
      await settle();
      const bob = await store.store(authority.signIn({ sub: 'bob' }), { replace: credential });
      if (how === 'fails') authority.refreshes[0]?.answer(new CredentialError('server_unavailable', 'later', { status: 503 }));
      else await browser.advance(3_000);
      authority.refreshes[0]?.answer();
      expect(await asked).toBe(how === 'fails' ? 'server_unavailable' : 'credential_removed');
      expect(await credential.accessToken()).toBe(bob.token?.accessToken);
    },
  );

  it('E63 signed in elsewhere and not heard of: what is renewed then is not given to who asked for the former user', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn({ sub: 'alice' }));
    await settle();
    const stale = (await b.store.with(credential.id))!;
    browser.setDelivery(0);
    await a.store.store(authority.signIn({ sub: 'bob' }), { replace: credential });
    expect(await codeOf(stale.refresh())).toBe('credential_removed');
    expect(stale.claims?.sub).toBe('bob');
  });

  it.each(['503', 'interaction'] as const)('is not blamed for what came of the former token late: %s', async (what) => {
    const { store, authority, browser, credential } = await hanging();
    const events: string[] = [];
    store.events$.subscribe(({ type }) => events.push(type));
    await store.store(authority.signIn({ sub: 'bob' }), { replace: credential });
    authority.refreshes[0]?.answer(
      what === '503'
        ? new CredentialError('server_unavailable', 'later', { status: 503, retryAfterMs: 300_000 })
        : refusal('interaction_required'),
    );
    await browser.advance(1_000);
    expect(events.filter((type) => type !== 'token_replaced')).toEqual([]);
    const renewing = credential.refresh();
    await settle();
    authority.refreshes[1]?.answer();
    expect((await renewing).claims?.sub).toBe('bob');
  });

  it('E60 E63 a refresh that is asked for then is that of the new token, and the late answer changes nothing', async () => {
    const { store, authority, credential } = await hanging();
    const token = authority.signIn({ sub: 'bob' });
    await store.store(token, { replace: credential });
    const renewing = credential.refresh();
    await settle();
    authority.refreshes[0]?.answer();
    await settle();
    authority.refreshes[1]?.answer();
    expect((await renewing).claims?.sub).toBe('bob');
    expect(credential.claims?.sub).toBe('bob');
  });
});

it('E39 E63 ids with blanks share no request: nobody gets the token of another user', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const alice = await store.store(authority.signIn({ id: 'a', sub: 'alice' }));
  const bob = await store.store(authority.signIn({ id: 'a urn:r', sub: 'bob' }));
  const tokens = await Promise.all([alice.accessToken({ resource: 'urn:r', forceRefresh: true }), bob.accessToken({ forceRefresh: true })]);
  expect(tokens[1]).toBe(bob.token?.accessToken);
  expect(tokens[0]).not.toBe(tokens[1]);
});

it('E1 user information that is refused to several calls costs one refresh', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  const old = await credential.accessToken();
  const refusals: (() => void)[] = [];
  authority.setUserInfo((accessToken) =>
    accessToken === old
      ? new Promise((_, reject) => refusals.push(() => reject(new CredentialError('http_error', 'refused', { status: 401 }))))
      : Promise.resolve(),
  );
  const asking = [credential.userInfo(), credential.userInfo()];
  await settle();
  expect(refusals).toHaveLength(1);
  refusals[0]?.();
  await Promise.all(asking);
  expect([authority.refreshes.length, authority.userInfos.length]).toEqual([1, 2]);
});

it('close refuses in the same turn, also a token that is at hand', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  await credential.accessToken();
  const closing = store.close();
  expect(await codeOf(credential.accessToken())).toBe('store_closed');
  await closing;
});

describe('who asks in the name of a user', () => {
  const KEYS = staticKeys([{ kid: 'one', key: new Uint8Array(32).fill(1) }]);
  type Ask = (credential: Credential) => Promise<unknown>;
  const asks: [string, Ask][] = [
    ['accessToken()', (credential) => credential.accessToken()],
    ['accessToken({ minValidityMs })', (credential) => credential.accessToken({ minValidityMs: 1_000 })],
    ['accessToken({ forceRefresh })', (credential) => credential.accessToken({ forceRefresh: true })],
    ['accessToken({ resource })', (credential) => credential.accessToken({ resource: 'urn:r' })],
    ['refresh()', (credential) => credential.refresh()],
    ['refresh$()', (credential) => firstValueFrom(credential.refresh$())],
    ['refreshIfNeeded()', (credential) => credential.refreshIfNeeded()],
    ['authorize()', (credential) => credential.authorize('https://api.example.com/pay')],
    ['userInfo()', (credential) => credential.userInfo()],
    ['introspect()', (credential) => credential.introspect('access_token')],
  ];

  it.each(asks)('D-048 gets nothing of another who takes the place while a key is asked for: %s', async (_, ask) => {
    const world = createWorld();
    const over = (storage = sealed(world.disk.storage(), { keys: KEYS })) => storage;
    const first = await world.openTab({ storage: over() });
    await first.store.store(world.authority.signIn({ sub: 'zoe' }));
    const { id } = await first.store.store(world.authority.signIn());
    let open = (): void => undefined;
    const asked = new Promise<void>((resolve) => (open = resolve));
    const storage = over();
    const unseal: CredentialStorage['unseal'] = async (record) => {
      if (record.id === id) await asked;
      return storage.unseal(record);
    };
    const { store } = await world.openTab({ storage: { ...storage, unseal } });
    const credential = (await store.with(id))!;
    const answer = codeOf(ask(credential));
    await settle();
    await store.store(world.authority.signIn({ sub: 'bob' }), { replace: credential });
    open();
    expect(await answer).toBe('credential_removed');
    expect(credential.claims?.sub).toBe('bob');
    await expect(ask(credential)).resolves.toBeDefined(); // it is asked for him now
  });

  it.each(asks)('D-048 E45 nor of one who took it while the page slept: %s', async (_, ask) => {
    const { openTab, authority, browser } = createWorld();
    const [tab, other] = [await openTab(), await openTab()];
    const credential = await tab.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    tab.platform.emit('frozen');
    const bob = authority.signIn({ sub: 'bob' });
    await other.store.store(bob, { replace: credential.id });
    browser.sleep(5_000);
    tab.platform.emit('resumed');
    expect(credential.claims?.sub).toBe('alice');
    const waiting = [ask(credential), ask(credential)];
    expect(await Promise.all(waiting.map(codeOf))).toEqual(['credential_removed', 'credential_removed']);
    expect([credential.claims?.sub, await credential.accessToken()]).toEqual(['bob', credential.token?.accessToken]);
  });

  it.each([null, 'bob'])('D-051 where no claims say who asked, gets nothing of who signs in meanwhile (sub %s)', async (sub) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ sub: null }));
    authority.hold();
    const waiting = [credential.refresh(), credential.accessToken({ forceRefresh: true })].map(codeOf);
    await settle();
    await store.store(authority.signIn({ sub }), { replace: credential });
    authority.release();
    expect(await inTime(browser, Promise.all(waiting))).toEqual(['credential_removed', 'credential_removed']);
    await expect(inTime(browser, credential.refresh())).resolves.toBeDefined();
  });
});

describe('a revocation of what is not there', () => {
  it('of the refresh token, where there is none, keeps the credential and says so', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ refreshable: false }));
    expect(await credential.revoke('refresh')).toEqual({
      local: 'kept',
      refreshToken: { status: 'absent' },
      accessToken: { status: 'not_asked' },
    });
    expect(store.snapshot().ids).toEqual([credential.id]);
    expect(await credential.accessToken()).toBe(credential.token?.accessToken);
  });

  it('of the access token, beside one of everything, does not say that the credential was kept', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const [, beside] = await Promise.all([credential.revoke(), credential.revoke('access')]);
    expect(store.snapshot().ids).toEqual([]);
    expect(beside.local).toBe('removed');
  });
});

it('a revocation of the refresh token looks whether there is one by now', async () => {
  const { openTab, authority } = createWorld();
  const [first, second] = [await openTab(), await openTab({ platform: { openChannel: undefined } })];
  const credential = await first.store.store(authority.signIn({ refreshable: false }));
  const theirs = await second.store.with(credential.id);
  await first.store.store(authority.signIn(), { replace: credential });
  expect(await theirs?.revoke('refresh')).toMatchObject({ local: 'removed', refreshToken: { status: 'revoked' } });
});

describe('E62 a default that a start cannot read', () => {
  async function withLostDefault() {
    const world = createWorld();
    const { store } = await world.openTab();
    const alice = await store.store(world.authority.signIn({ sub: 'alice' }));
    const bob = await store.store(world.authority.signIn({ sub: 'bob' }));
    await store.setDefault(bob);
    await store.close();
    const mend = spoil(world.disk, bob.id);
    const tab = await world.openTab();
    await tab.store.ready;
    return { ...world, ...tab, alice, bob, mend };
  }

  it('is nobody, not another user', async () => {
    const { store } = await withLostDefault();
    expect(store.snapshot().defaultId).toBeNull();
    expect(await store.getDefault()).toBeNull();
  });

  it('is who signs in next', async () => {
    const { store, authority } = await withLostDefault();
    const credential = await store.store(authority.signIn({ sub: 'bob' }));
    expect(store.snapshot().defaultId).toBe(credential.id);
  });

  it('is not who signs in next, where it was not the default', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const lost = await store.store(authority.signIn({ sub: 'alice' }));
    const bob = await store.store(authority.signIn({ sub: 'bob' }));
    await store.store(authority.signIn({ sub: 'carol' }));
    await store.setDefault(bob);
    await bob.remove();
    await store.close();
    spoil(disk, lost.id);
    const { store: again } = await openTab();
    await again.store(authority.signIn({ sub: 'dave' }));
    expect(again.snapshot().defaultId).toBeNull();
  });

  it('is nobody here alone: a sweep takes it away from no tab that can read it', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store } = await openTab();
    const alice = await store.store(authority.signIn({ sub: 'alice' }));
    const bob = await store.store(authority.signIn({ sub: 'bob' }));
    await bob.remove();
    await browser.advance(25 * 3_600_000);
    const mend = spoil(disk, alice.id);
    const { store: blind } = await openTab();
    await browser.advance(1_000);
    expect(blind.snapshot().defaultId).toBeNull();
    expect(store.snapshot().defaultId).toBe(alice.id);
    mend();
    expect((await openTab()).store.snapshot().defaultId).toBe(alice.id);
  });

  it('is nobody for good once the program says so', async () => {
    const { store, bob, mend } = await withLostDefault();
    await store.setDefault(null);
    mend();
    await store.with(bob.id);
    expect(store.snapshot().defaultId).toBeNull();
  });

  it('is whom the program chooses, also after another start', async () => {
    const { store, alice, openTab } = await withLostDefault();
    await store.setDefault(alice.id);
    expect(store.snapshot().defaultId).toBe(alice.id);
    await store.close();
    const { store: again } = await openTab();
    expect((await again.getDefault())?.id).toBe(alice.id);
  });

  it('is itself again once it can be read', async () => {
    const { store, bob, mend } = await withLostDefault();
    mend();
    await store.with(bob.id);
    expect(store.snapshot().defaultId).toBe(bob.id);
  });
});

it('a credential that is being revoked does not become the default', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  await store.store(authority.signIn());
  const going = await store.store(authority.signIn({ sub: 'bob' }));
  let answer = (): void => undefined;
  authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
  const revoking = going.revoke('refresh');
  await settle();
  expect(await codeOf(store.setDefault(going))).toBe('credential_removed');
  answer();
  await revoking;
});

it('who asks again after close joins nobody', async () => {
  const { store, credential, waiting } = await hanging();
  const closing = store.close();
  expect(await codeOf(credential.accessToken())).toBe('store_closed');
  void waiting.catch(() => undefined);
  void closing;
});

it('ISS-3 a client of a class renews its tokens, also a frozen one where several servers have redirect URIs', async () => {
  const { openTab, authority } = createWorld();
  class Client {
    readonly #inner: OAuth2Client;
    readonly issuer: string;
    readonly clientId: string;
    readonly redirectUri = 'https://app.example.com/callback';
    constructor(inner: OAuth2Client) {
      this.#inner = inner;
      [this.issuer, this.clientId] = [inner.issuer, inner.clientId];
    }
    isPrepared = (): boolean => this.#inner.isPrepared();
    metadata(): ReturnType<OAuth2Client['metadata']> {
      return this.#inner.metadata();
    }
    sendRefresh(...args: Parameters<OAuth2Client['sendRefresh']>): ReturnType<OAuth2Client['sendRefresh']> {
      return this.#inner.sendRefresh(...args);
    }
    needsKeys(...args: Parameters<OAuth2Client['needsKeys']>): boolean {
      return this.#inner.needsKeys(...args);
    }
    processRefresh(...args: Parameters<OAuth2Client['processRefresh']>): ReturnType<OAuth2Client['processRefresh']> {
      return this.#inner.processRefresh(...args);
    }
  }
  const other = { issuer: 'https://other.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/other' };
  const { store } = await openTab({
    clients: (platform) => [Object.freeze(new Client(authority.client(platform))) as unknown as OAuth2Client, other],
  });
  const credential = await store.store(authority.signIn());
  const before = await credential.accessToken();
  expect((await credential.refresh()).accessToken).not.toBe(before);
  const { issuer, clientId } = credential.state.context;
  expect(store.client({ issuer, clientId }).redirectUrisOfOthers).toEqual([other.redirectUri]);
  expect(await store.client({ issuer, clientId }).metadata()).toEqual({ issuer }); // by its private member
  expect(store.client({ issuer, clientId })).toBe(store.client({ issuer, clientId }));
  expect(store.client({ issuer, clientId }).isPrepared()).toBe(true); // a member of its own, which cannot be replaced
});
