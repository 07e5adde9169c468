// D-044: who signs in twice has one credential, also where she signs in in several tabs at once.
import type { Token } from '../../src/index.js';
import { CLIENT_ID, ISSUER } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type TabOptions } from '../support/fixture.js';

afterEach(closeAll);

const ONE = { onePerUser: true } as const;
const deaf: TabOptions = { platform: { openChannel: () => ({ post: () => undefined, close: () => undefined }) } };

describe('store with onePerUser', () => {
  it.each([
    ['that hear of each other', {}],
    ['none of whose messages arrive', deaf],
  ])('keeps one credential where a user signs in in several tabs at once, %s', async (_what, options) => {
    for (const before of [0, 1]) {
      const { openTab, authority, disk, browser } = createWorld();
      const tabs: Tab[] = [];
      for (let i = 0; i < 4; i++) tabs.push(await openTab(options));
      if (before) await tabs[0].store.store(authority.signIn({ sub: 'bob' }));
      const tokens = tabs.map(() => authority.signIn());
      const kept = await inTime(browser, Promise.all(tabs.map(({ store }, i) => store.store(tokens[i], ONE))));
      expect(new Set(kept.map(({ id }) => id)).size).toBe(1);
      const alices = [...disk.records.values()].filter((one) => (one as { claims?: { sub?: string } }).claims?.sub === 'alice');
      expect(alices).toHaveLength(1);
      const later = await openTab();
      const [alice] = await later.store.find({ sub: 'alice' });
      const accessToken = await alice.accessToken();
      expect(tokens.map((token) => token.accessToken)).toContain(accessToken);
      if (options === deaf) continue;
      await settle();
      for (const { store } of tabs) {
        expect(store.snapshot().ids).toHaveLength(1 + before);
        expect(await (await store.with(alice.id))!.accessToken()).toBe(accessToken);
      }
    }
  });

  it('signs the user out everywhere, who had signed in in several tabs at once', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const tabs = [await openTab(), await openTab(), await openTab()];
    await inTime(browser, Promise.all(tabs.map(({ store }) => store.store(authority.signIn(), ONE))));
    const credential = await tabs[1].store.getDefault();
    await inTime(browser, credential!.signOut());
    await settle();
    for (const { store } of tabs) expect(store.snapshot().credentials).toEqual([]);
    expect([...disk.records.values()].filter((one) => (one as { secrets?: unknown }).secrets)).toEqual([]);
  });

  it('reads all only where nothing is known of her', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn({ sub: 'bob' }));
    const readings = (): number => disk.calls.filter(({ method }) => method === 'readAll').length;
    const before = readings();
    await store.store(authority.signIn(), ONE);
    expect(readings()).toBe(before + 1);
    for (let i = 0; i < 3; i++) await store.store(authority.signIn(), ONE);
    expect([readings(), (await store.allIDs()).length]).toEqual([before + 1, 2]);
  });

  it('keeps id, tags and default; the handle that others hold has the new token', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const bob = await store.store(authority.signIn({ sub: 'bob' }));
    const alice = await store.store(authority.signIn(), { tags: ['a', 'b'] });
    await store.setDefault(alice);
    const token = authority.signIn({ scope: 'openid orders' });
    expect(await store.store(token, { tags: ['a'], ...ONE })).toBe(alice);
    expect([alice.tags, alice.state.scope, await alice.accessToken()]).toEqual([['a', 'b'], 'openid orders', token.accessToken]);
    expect([await store.getDefault(), await store.allIDs()]).toEqual([alice, [bob.id, alice.id]]);
  });

  it('takes the default of several, and with tags one that has all of them; else it is one more', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const orders = await store.store(authority.signIn(), { tags: ['orders'] });
    const billing = await store.store(authority.signIn(), { tags: ['billing'] });
    await store.setDefault(billing);
    expect(await store.store(authority.signIn(), ONE)).toBe(billing);
    expect(await store.store(authority.signIn(), { ...ONE, tags: ['orders'] })).toBe(orders);
    expect([orders.tags, billing.tags]).toEqual([['orders'], ['billing']]);
    const files = await store.store(authority.signIn(), { ...ONE, tags: ['files'] });
    expect(await store.allIDs()).toEqual([orders.id, billing.id, files.id]);
  });

  it('leaves alone another user, another client, and who is not known', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const alice = await store.store(authority.signIn(), ONE);
    const others: Token[] = [
      authority.signIn({ sub: 'bob' }),
      authority.signIn({ clientId: 'other' }),
      authority.signIn({ issuer: 'https://other.example.com' }),
      authority.signIn({ sub: null }),
      authority.signIn({ sub: null }),
    ];
    for (const token of others) expect((await store.store(token, ONE)).id).toBe(token.id);
    expect(await store.allIDs()).toEqual([alice.id, ...others.map(({ id }) => id)]);
    expect([alice.state.context.issuer, alice.state.context.clientId]).toEqual([ISSUER, CLIENT_ID]);
  });

  it('is one more where hers was signed out meanwhile, here or in a tab that was not heard of', async () => {
    for (const options of [{}, deaf]) {
      const { openTab, authority, browser } = createWorld();
      const [a, b] = [await openTab(), await openTab(options)];
      const before = await a.store.store(authority.signIn(), ONE);
      await b.store.with(before.id);
      await inTime(browser, before.signOut());
      const token = authority.signIn();
      const after = await b.store.store(token, ONE);
      expect([after.id, await b.store.allIDs()]).toEqual([token.id, [token.id]]);
      expect(await after.accessToken()).toBe(token.accessToken);
    }
  });

  it('is one more while hers is being revoked', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const before = await store.store(authority.signIn(), ONE);
    let release = (): void => undefined;
    authority.setRevocation(() => new Promise((resolve) => (release = resolve)));
    const ending = before.signOut();
    await settle();
    const token = authority.signIn();
    const after = await store.store(token, ONE);
    release();
    await inTime(browser, ending);
    expect([after.id, await store.allIDs(), await after.accessToken()]).toEqual([token.id, [token.id], token.accessToken]);
  });

  it('takes the place of one in needs_sign_in, which gets the tags if it has none', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const first = authority.signIn();
    const before = await store.store(first);
    authority.forget(first.refreshToken);
    expect(await codeOf(before.refresh())).toBe('needs_sign_in');
    expect(await store.store(authority.signIn(), { ...ONE, tags: ['a'] })).toBe(before);
    expect([before.status.token, before.tags]).toEqual(['valid', ['a']]);
  });

  it('RF-15 keeps the token of a spent code where storage can neither be read nor written', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    const before = await store.store(authority.signIn(), ONE);
    const mend = disk.fail(({ method }) => method !== 'close');
    const token = authority.signIn();
    const after = await inTime(browser, store.store(token, ONE), 60_000);
    expect([after, await after.accessToken()]).toEqual([before, token.accessToken]);
    mend();
    await browser.advance(60_000);
    const later = await openTab();
    expect(await (await later.store.getDefault())!.accessToken()).toBe(token.accessToken);
  });

  it('does not take a token a second time, nor an option that is none', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    await store.store(token, ONE);
    expect(await codeOf(store.store(token, ONE))).toBe('credential_exists');
    for (const onePerUser of ['yes', 1, null])
      await expect(store.store(authority.signIn(), { onePerUser: onePerUser as never })).rejects.toThrow(TypeError);
    expect(await store.allIDs()).toEqual([token.id]);
  });
});
