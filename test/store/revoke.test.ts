import { createOAuth2Client } from '../../src/oauth/client.js';
import { CredentialError } from '../../src/errors.js';
import { createAttachmentPolicy } from '../../src/http/attachment.js';
import { ISSUER, offline, refusal } from '../support/fake-client.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import type { Credential } from '../../src/store/credential.js';
import { closeAll, codeOf, collect, createWorld, settle, type Tab, type World } from '../support/fixture.js';

const RESOURCE = 'https://api.example.com/';

afterEach(closeAll);

const never = (): Promise<void> => new Promise(() => undefined);

/** A server whose revocation endpoint answers when the test says so. */
function holdRevocation({ authority }: World): { answer: (error?: Error) => Promise<void> } {
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  authority.setRevocation(() => new Promise((resolve, reject) => waiting.push({ resolve, reject })));
  return {
    answer: async (error) => {
      const one = waiting.shift();
      if (!one) throw new Error('no revocation request waits');
      if (error) one.reject(error);
      else one.resolve();
      await settle();
    },
  };
}

describe('revoke', () => {
  it('7009-2 revokes the refresh token, then the access token, then removes the credential', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const token = world.authority.signIn();
    const credential = await store.store(token);
    const server = holdRevocation(world);
    const revoking = credential.revoke();
    await settle();
    expect(world.authority.revocations).toEqual([{ token: token.refreshToken, hint: 'refresh_token' }]);
    await server.answer();
    expect(world.authority.revocations.slice(1)).toEqual([{ token: token.accessToken, hint: 'access_token' }]);
    expect(await store.with(credential.id)).toBe(credential);
    await server.answer();
    expect(await revoking).toEqual({ local: 'removed', refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    expect(await store.with(credential.id)).toBeNull();
    expect(world.authority.liveRefreshTokens()).toEqual([]);
    expect(JSON.stringify([...world.disk.records])).not.toContain('CANARY-');
  });

  it('marks the credential before the server is asked: in no tab anything attaches or refreshes it any more', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const credential = await a.store.store(world.authority.signIn());
    await settle();
    const other = await b.store.with(credential.id);
    if (!other) throw new Error('the other tab has no credential');
    const server = holdRevocation(world);
    const written = world.disk.hold(({ method }) => method === 'write');
    const revoking = credential.revoke();
    await written.reached;
    expect(world.authority.revocations).toEqual([]); // the mark comes first
    written.open();
    await settle();
    expect(world.disk.record(credential.id)).toMatchObject({ state: 'revoking' });
    for (const handle of [credential, other]) {
      expect(handle.status.activity).toBe('revoking');
      expect(handle.token).toBeNull();
      for (const command of [() => handle.accessToken(), () => handle.refresh(), () => handle.refreshIfNeeded(), () => handle.userInfo()])
        expect(await codeOf(command())).toBe('credential_removed');
    }
    for (const { store } of [a, b])
      expect(await createAttachmentPolicy(store, { resources: [RESOURCE] }).attach({ url: RESOURCE, method: 'GET' })).toBeNull();
    expect(world.authority.refreshes).toHaveLength(0);
    await server.answer();
    await server.answer();
    await revoking;
    expect([await a.store.allIDs(), await b.store.allIDs()]).toEqual([[], []]);
  });

  it('7009-5 removes the credential after 5 s at the latest when the server hangs, in every tab', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn({ lifetimeS: null }));
    authority.setRevocation(never);
    const revoking = credential.revoke();
    await browser.advance(4_999);
    expect(await a.store.allIDs()).toEqual([credential.id]);
    await browser.advance(1);
    expect(await revoking).toEqual({
      local: 'removed',
      refreshToken: { status: 'failed', code: 'timeout' },
      accessToken: { status: 'failed', code: 'timeout' },
    });
    expect([await a.store.allIDs(), await b.store.allIDs()]).toEqual([[], []]);
    await browser.advance(31 * 3_600_000); // the clock looks once more, and the tombstone goes
    expect(a.platform.held().timers).toBe(0);
  });

  it('7009-4 asks again when a server that is not available says, if that is within the five seconds', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: null }));
    const busy = (retryAfterMs: number): CredentialError =>
      new CredentialError('server_unavailable', 'no', { issuer: ISSUER, retryAfterMs });
    const answers = [busy(1_000), undefined, busy(4_000)]; // of the refresh token twice, then of the access token
    let asked = 0;
    authority.setRevocation(async () => {
      const error = answers[asked++];
      if (error) throw error;
    });
    const revoking = credential.revoke();
    await browser.advance(1_000);
    expect(await revoking).toMatchObject({
      refreshToken: { status: 'revoked' },
      accessToken: { status: 'failed', code: 'server_unavailable' },
    });
    expect(asked).toBe(3);
    await browser.advance(31 * 3_600_000); // the clock looks once more, and the tombstone goes
    expect(platform.held().timers).toBe(0);
  });

  it('7009-5 gives both requests 5 s together, not each', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    const server = holdRevocation(world);
    const revoking = credential.revoke();
    await world.browser.advance(4_000);
    await server.answer();
    await world.browser.advance(1_000);
    expect(await revoking).toMatchObject({ refreshToken: { status: 'revoked' }, accessToken: { status: 'failed', code: 'timeout' } });
  });

  it.each([
    ['is offline', offline(), 'network_error'],
    ['answers 503', new CredentialError('server_unavailable', 'no', { issuer: ISSUER, status: 503 }), 'server_unavailable'],
    ['has no such endpoint', new CredentialError('endpoint_missing', 'no', { issuer: ISSUER }), 'endpoint_missing'],
    ['answers unsupported_token_type', refusal('unsupported_token_type'), 'oauth_error'],
  ])('E47 removes the credential here when the server %s, and tells local and remote apart', async (_, error, code) => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setRevocation(() => Promise.reject(error));
    const failed = { status: 'failed', code };
    expect(await credential.revoke()).toEqual({ local: 'removed', refreshToken: failed, accessToken: failed });
    expect(await store.allIDs()).toEqual([]);
    expect(disk.record(credential.id)).toMatchObject({ state: 'removed', secrets: null });
  });

  it('removes a credential of a client that is not configured, without asking anybody', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ clientId: 'other' }));
    expect(await credential.revoke()).toMatchObject({ local: 'removed', refreshToken: { status: 'failed', code: 'client_unknown' } });
    expect(authority.revocations).toEqual([]);
  });

  it('is taken up at the next start when the program ended in between', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const crashed = await openTab();
    const token = authority.signIn();
    const credential = await crashed.store.store(token);
    const gate = disk.hold(({ method, record }) => method === 'write' && record?.['state'] === 'revoking', 'after');
    void credential.revoke().catch(() => undefined);
    await gate.reached; // the mark is written; the program gets no further
    const { store } = await openTab();
    await browser.advance(2_000);
    expect(authority.revocations.map((one) => one.token)).toEqual([token.refreshToken, token.accessToken]);
    expect(await store.allIDs()).toEqual([]);
    expect(disk.record(credential.id)).toMatchObject({ state: 'removed', secrets: null });
  });

  it('is done once when several tabs find the same mark', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await store.close();
    disk.records.set(credential.id, { ...disk.record(credential.id), state: 'revoking' });
    await Promise.all([openTab(), openTab(), openTab()]);
    await browser.advance(2_000);
    expect(authority.revocations).toHaveLength(2);
    expect(disk.record(credential.id)).toMatchObject({ state: 'removed' });
  });

  it('called twice asks the server once', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const results = await Promise.all([credential.revoke(), credential.revoke()]);
    expect(results.map(({ local }) => local)).toEqual(['removed', 'removed']);
    expect(authority.revocations).toHaveLength(2);
    expect(await codeOf(credential.revoke())).toBe('credential_removed');
  });

  it.each<readonly [string, (tab: Tab, credential: Credential) => Promise<unknown>]>([
    ['clear()', ({ store }) => store.clear()],
    ['remove()', (_, credential) => credential.remove()],
  ])('E47 asks the server though %s takes the record meanwhile', async (_, take) => {
    const { openTab, authority } = createWorld();
    const tab = await openTab();
    const token = authority.signIn();
    const credential = await tab.store.store(token);
    const [revoked] = await Promise.all([credential.revoke(), take(tab, credential)]);
    expect(revoked).toEqual({ local: 'removed', refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    expect(authority.revocations.map((one) => one.token)).toEqual([token.refreshToken, token.accessToken]);
    expect(await tab.store.allIDs()).toEqual([]);
  });

  it('7009-5 takes five seconds at the latest where another has its lock and the server hangs', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: null }));
    let free = (): void => undefined;
    const held = platform.locks.withLock(`app:revoke:${credential.id}`, () => new Promise<void>((resolve) => (free = resolve)));
    authority.setRevocation(never);
    const revoking = credential.revoke();
    await browser.advance(5_000);
    expect(await revoking).toMatchObject({ local: 'removed', refreshToken: { status: 'failed', code: 'timeout' } });
    expect(authority.revocations).not.toHaveLength(0);
    free();
    await held;
  });

  it('does not touch a session that was stored under the same id meanwhile', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const [first, second] = [authority.signIn({ id: 'one' }), authority.signIn({ id: 'one', sub: 'bob' })];
    const credential = await store.store(first);
    const held = platform.locks.withLock(
      'app:revoke:one',
      () => new Promise<void>((resolve) => browser.openTab().setTimer(resolve, 1_000)),
    );
    const revoking = credential.revoke();
    await settle();
    await credential.remove();
    await store.store(second);
    await browser.advance(1_000);
    await Promise.all([revoking, held]);
    expect(authority.revocations.map((one) => one.token)).toEqual([first.refreshToken, first.accessToken]);
    expect(await store.allIDs()).toEqual(['one']);
  });

  it('emits once for the mark and once for the end', async () => {
    const { openTab, authority } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    const states = collect(credential.state$);
    newEvents();
    await credential.revoke();
    expect(states.values.map(({ status }) => `${status.token} ${status.activity}`)).toEqual([
      'valid idle',
      'valid revoking',
      'expired idle',
    ]);
    expect(states.completed()).toBe(true);
    expect(newEvents()).toEqual(['metadata_updated', 'token_removed', 'default_changed']);
  });

  it('takes nothing but "all", "access" and "refresh"', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await expect(credential.revoke('both' as never)).rejects.toThrow(TypeError);
    expect(await store.allIDs()).toEqual([credential.id]);
  });
});

describe('a tab that signs out and is closed in the middle', () => {
  const plain = ({ disk }: World): CredentialStorage => disk.storage();
  const narrow = (world: World): CredentialStorage => ({
    ...plain(world),
    open: async () => ({ ...(await plain(world).open()), capacity: 8_192 }),
  });

  /** Its mark is written, and the tab gets no further. The others learn of it. */
  async function closedInTheMiddle(world: World, others: number, storage = plain) {
    const first = await world.openTab({ storage: storage(world) });
    const token = world.authority.signIn({ lifetimeS: null });
    const credential = await first.store.store(token);
    const tabs: Tab[] = [];
    for (let i = 0; i < others; i++) tabs.push(await world.openTab({ storage: storage(world) }));
    const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['state'] === 'revoking', 'after');
    void credential.revoke().catch(() => undefined);
    await gate.reached;
    for (const { platform } of tabs) platform.emit('visible');
    await settle();
    for (const { store } of tabs) expect(store.snapshot().credentials).toMatchObject([{ id: token.id, status: { activity: 'revoking' } }]);
    return { token, tabs };
  }

  it('E45 another that is open takes it up after ten seconds', async () => {
    const world = createWorld();
    const { token, tabs } = await closedInTheMiddle(world, 1);
    await world.browser.advance(9_999);
    expect(world.authority.revocations).toEqual([]);
    await world.browser.advance(1);
    expect(world.authority.revocations.map((one) => one.token)).toEqual([token.refreshToken, token.accessToken]);
    expect(tabs.map(({ store }) => store.snapshot())).toMatchObject([{ ids: [], defaultId: null }]);
    expect(world.disk.record(token.id)).toMatchObject({ state: 'removed', secrets: null });
  });

  it.each([
    ['a storage', plain],
    ['a storage that keeps no tombstone', narrow],
  ])('eight others take it up once, over %s, however slow the server', async (_, storage) => {
    const world = createWorld();
    const { token, tabs } = await closedInTheMiddle(world, 8, storage);
    const { setTimer } = world.browser.openTab();
    world.authority.setRevocation(() => new Promise((resolve) => void setTimer(resolve, 2_000)));
    await world.browser.advance(25_000);
    expect(world.authority.revocations.map((one) => one.token)).toEqual([token.refreshToken, token.accessToken]);
    for (const { store } of tabs) expect(store.snapshot()).toMatchObject({ ids: [], defaultId: null });
  });

  it('another program of the origin, which has not its client, leaves it to one that has', async () => {
    const world = createWorld();
    const client = createOAuth2Client({ issuer: 'https://other.example.com', clientId: 'other', platform: world.browser.openTab() });
    const other = world.startTab({ clients: () => client });
    await other.store.ready;
    const { token } = await closedInTheMiddle(world, 0);
    other.platform.emit('visible');
    await world.browser.advance(25_000);
    expect(other.store.snapshot().credentials).toMatchObject([{ id: token.id, status: { activity: 'revoking' } }]);
    expect(world.disk.record(token.id)).toMatchObject({ state: 'revoking' });
  });

  it('RF-15 a store that closes with something under way does not look for it again and again', async () => {
    const world = createWorld();
    const { tabs } = await closedInTheMiddle(world, 1);
    const [tab] = tabs as [Tab];
    world.authority.hold();
    const other = await tab.store.store(world.authority.signIn({ sub: 'bob' }));
    void other.refresh().catch(() => undefined);
    await settle();
    const closing = tab.store.close();
    const before = tab.platform.delays.length;
    await world.browser.advance(20_000);
    expect(tab.platform.delays.length - before).toBeLessThan(50);
    world.authority.refreshes.at(-1)?.answer?.();
    await world.browser.advance(60_000);
    await closing;
  });

  it('E45 one that is frozen takes it up when it wakes', async () => {
    const world = createWorld();
    const { token, tabs } = await closedInTheMiddle(world, 1);
    tabs[0]?.platform.emit('frozen');
    world.browser.sleep(20_000);
    await settle();
    expect(world.authority.revocations).toEqual([]);
    tabs[0]?.platform.emit('resumed');
    await settle();
    expect(world.authority.revocations).toHaveLength(2);
    expect(world.disk.record(token.id)).toMatchObject({ state: 'removed' });
  });

  it('E45 what came to nothing is taken up again', async () => {
    const world = createWorld();
    let isContested = true;
    const contested = (one: World): CredentialStorage => {
      const storage = plain(one);
      const isLost = (record: object): boolean => isContested && 'state' in record && record.state === 'removed';
      return { ...storage, write: async (record, condition) => !isLost(record) && storage.write(record, condition) };
    };
    const { token, tabs } = await closedInTheMiddle(world, 1, contested);
    await world.browser.advance(10_000);
    expect(tabs[0]?.store.snapshot().credentials).toMatchObject([{ status: { activity: 'revoking' } }]);
    isContested = false;
    await world.browser.advance(10_000);
    expect(tabs[0]?.store.snapshot()).toMatchObject({ ids: [], defaultId: null });
    expect(world.disk.record(token.id)).toMatchObject({ state: 'removed' });
  });

  it('another asks once, however long its last write takes', async () => {
    const world = createWorld();
    const { token } = await closedInTheMiddle(world, 1);
    const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['state'] === 'removed');
    await world.browser.advance(28_000);
    gate.open();
    await settle();
    expect(world.authority.revocations).toHaveLength(2);
    expect(world.disk.record(token.id)).toMatchObject({ state: 'removed' });
  });

  it('one that lives is not disturbed, however long its last write takes', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const credential = await a.store.store(world.authority.signIn({ lifetimeS: null }));
    await settle();
    const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['state'] === 'removed');
    const revoking = credential.revoke();
    await world.browser.advance(15_000);
    expect(b.store.snapshot().credentials).toMatchObject([{ status: { activity: 'revoking' } }]);
    gate.open();
    expect(await revoking).toMatchObject({ local: 'removed', refreshToken: { status: 'revoked' } });
    await world.browser.advance(60_000);
    expect(world.authority.revocations).toHaveLength(2);
    expect(b.store.snapshot().ids).toEqual([]);
  });

  it('a start does not disturb one that lives and waits for its server', async () => {
    const world = createWorld();
    const a = await world.openTab();
    const credential = await a.store.store(world.authority.signIn({ lifetimeS: null }));
    const server = holdRevocation(world);
    const revoking = credential.revoke();
    await settle();
    const b = await world.openTab();
    await world.browser.advance(4_000);
    expect(world.authority.revocations).toHaveLength(1);
    await server.answer();
    await server.answer();
    expect(await revoking).toMatchObject({ refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    await world.browser.advance(60_000);
    expect(world.authority.revocations).toHaveLength(2);
    expect(b.store.snapshot().ids).toEqual([]);
  });
});

describe("revoke('access')", () => {
  it('keeps a credential with a refresh token, whose next accessToken() renews', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const token = authority.signIn();
    const credential = await a.store.store(token);
    await settle();
    expect(await credential.revoke('access')).toEqual({
      local: 'kept',
      refreshToken: { status: 'not_asked' },
      accessToken: { status: 'revoked' },
    });
    expect(authority.revocations).toEqual([{ token: token.accessToken, hint: 'access_token' }]);
    await settle();
    const other = await b.store.with(credential.id);
    expect(await other?.accessToken()).not.toBe(token.accessToken);
    expect(await credential.accessToken()).not.toBe(token.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('ends the tokens for less scope and other resources, too', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ scope: 'openid a' });
    const credential = await store.store(token);
    const child = await credential.accessToken({ scope: 'a' });
    await credential.revoke('access');
    expect(authority.revocations).toEqual([token.accessToken, child].map((one) => ({ token: one, hint: 'access_token' })));
    expect(await credential.accessToken({ scope: 'a' })).not.toBe(child);
  });

  it('E42 renews also after the clock was set back', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    await credential.revoke('access');
    browser.setClock(browser.now() - 86_400_000);
    expect(await credential.accessToken()).not.toBe(token.accessToken);
  });

  it('renews also where the lifetime is unknown', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ lifetimeS: null });
    const credential = await store.store(token);
    await credential.revoke('access');
    expect(await credential.accessToken()).not.toBe(token.accessToken);
  });

  it('removes a credential that has no refresh token', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ refreshable: false }));
    expect(await credential.revoke('access')).toMatchObject({ local: 'removed', accessToken: { status: 'revoked' } });
    expect(await store.allIDs()).toEqual([]);
  });
});

describe("revoke('access') where another tab was faster", () => {
  it('RF-5 revokes the token of its renewal, which nobody has told of', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const other = await b.store.with(credential.id);
    await other?.accessToken();
    browser.setDelivery(0);
    const { accessToken } = await credential.refresh();
    expect(await other?.revoke('access')).toMatchObject({ local: 'kept', accessToken: { status: 'revoked' } });
    expect(authority.revocations).toEqual([{ token: accessToken, hint: 'access_token' }]);
    expect(await other?.accessToken()).not.toBe(accessToken);
  });

  it.each([
    ['nobody has told of it', false],
    ['it is written over what this tab has just read', true],
  ])('RF-5 keeps the session that a sign-in there put in the place of one without a refresh token: %s', async (_, isLate) => {
    const { openTab, authority, browser, disk } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn({ refreshable: false }));
    await settle();
    const other = await b.store.with(credential.id);
    await other?.accessToken();
    browser.setDelivery(0);
    const gate = disk.hold(({ method, record }) => isLate && method === 'write' && record?.['state'] === 'revoking');
    const token = authority.signIn();
    const revoking = isLate ? other?.revoke('access') : undefined;
    if (isLate) await gate.reached;
    const signingIn = a.store.store(token, { replace: credential });
    if (!isLate) await signingIn;
    else await settle();
    gate.open();
    await signingIn;
    expect(await (revoking ?? other?.revoke('access'))).toMatchObject({ local: 'kept', accessToken: { status: 'revoked' } });
    expect(authority.liveRefreshTokens()).toEqual([token.refreshToken]);
    expect(authority.revocations).toEqual([{ token: token.accessToken, hint: 'access_token' }]);
    expect(disk.record(credential.id)).toMatchObject({ state: 'active', secrets: { refreshToken: token.refreshToken } });
    expect(await other?.accessToken()).not.toBe(token.accessToken);
  });
});

describe("revoke('refresh')", () => {
  it('keeps the credential of a user who must sign in again: there is none to revoke', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    expect(await credential.revoke('refresh')).toMatchObject({ local: 'kept', refreshToken: { status: 'absent' } });
    expect(credential.status.token).toBe('needs_sign_in');
    expect(authority.revocations).toEqual([]);
    expect(await credential.revoke('access')).toMatchObject({ local: 'removed' });
    expect(await store.allIDs()).toEqual([]);
  });

  it('asks for the refresh token alone and removes the credential', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    expect(await credential.revoke('refresh')).toEqual({
      local: 'removed',
      refreshToken: { status: 'revoked' },
      accessToken: { status: 'not_asked' },
    });
    expect(authority.revocations).toEqual([{ token: token.refreshToken, hint: 'refresh_token' }]);
  });
});
