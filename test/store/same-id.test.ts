import { createFetch } from '../../src/http/fetch.js';
import type { Credential } from '../../src/store/credential.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

it('another credential under an id that was removed unheard is another one, with a handle of its own', async () => {
  const { openTab, authority, browser } = createWorld();
  const [a, b] = [await openTab(), await openTab()];
  const alice = await a.store.store(authority.signIn({ id: 'main', sub: 'alice' }));
  await settle();
  const before = await b.store.getDefault();
  const defaults = collect(b.store.default$);
  const lists = collect(b.store.credentials$);
  browser.setDelivery(0);
  await alice.remove();
  await a.store.store(authority.signIn({ id: 'main', sub: 'bob' }));
  browser.setDelivery(1);
  b.newEvents();
  b.platform.emit('visible');
  await settle();
  const after = await b.store.getDefault();
  expect(b.newEvents()).toEqual(expect.arrayContaining(['token_removed', 'token_added']));
  expect([before?.claims?.sub, after?.claims?.sub]).toEqual(['alice', 'bob']);
  expect(after).not.toBe(before);
  expect([defaults.values.at(-1), lists.values.at(-1)]).toEqual([after, [after]]);
  expect(before?.claims?.sub).toBe('alice'); // what it was last
  expect(before?.token).toBeNull();
  for (const asked of [
    before?.accessToken(),
    before?.refresh(),
    before?.setTags(['x']),
    before?.revoke(),
    before?.remove(),
    before?.userInfo(),
  ])
    expect(await codeOf(asked!)).toBe('credential_removed');
  expect(after?.token?.claims?.sub).toBe('bob');
});

it('E45 in the tab that does it, too, the handle of what is gone touches nothing of who came after', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const alice = await store.store(authority.signIn({ id: 'main', sub: 'alice' }));
  await alice.remove();
  const bob = await store.store(authority.signIn({ id: 'main', sub: 'bob' }));
  expect(bob).not.toBe(alice);
  expect([alice.claims?.sub, alice.token]).toEqual(['alice', null]);
  expect(await codeOf(alice.accessToken())).toBe('credential_removed');
  expect(await codeOf(alice.revoke())).toBe('credential_removed');
  expect(await bob.accessToken()).toBe(bob.token?.accessToken);
});

/** Of two tabs that know Alice's credential the first removes it and stores Bob's under its id; the second has not heard of it. */
async function unheard() {
  const world = createWorld();
  const [here, stale] = [await world.openTab(), await world.openTab()];
  const own = await here.store.store(world.authority.signIn({ id: 'main', sub: 'alice' }));
  await settle();
  const alice = (await stale.store.with('main'))!;
  world.browser.setDelivery(0);
  return {
    ...world,
    here,
    stale,
    alice,
    swap: async () => {
      await own.remove();
      return here.store.store(world.authority.signIn({ id: 'main', sub: 'bob' }));
    },
  };
}

describe('the handle of a credential that is gone, while another of its id is in use', () => {
  /** Alice's handle, whose token was asked for, and Bob's, whose token is at hand. */
  const both = async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const alice = await store.store(world.authority.signIn({ id: 'main', sub: 'alice' }));
    await alice.accessToken();
    const [tokens, states, statuses] = [collect(alice.token$), collect(alice.state$), collect(alice.status$)];
    await alice.remove();
    const bob = await store.store(world.authority.signIn({ id: 'main', sub: 'bob' }));
    await bob.accessToken();
    return { ...world, store, alice, bob, streams: { tokens, states, statuses } };
  };

  it('E45 E63 gives no token of the other', async () => {
    const { alice, bob } = await both();
    expect(alice.token).toBeNull();
    for (const options of [undefined, { minValidityMs: 0 }, { forceRefresh: true }, { scope: 'openid' }, { refused: 'x' }])
      expect(await codeOf(alice.accessToken(options))).toBe('credential_removed');
    expect(await codeOf(alice.authorize('https://api.example.com/'))).toBe('credential_removed');
    expect(await codeOf(alice.introspect('access_token'))).toBe('credential_removed');
    expect(await bob.accessToken()).toBe(bob.token?.accessToken);
  });

  it('shows none of the other in its streams: they end, or say null from then on', async () => {
    const { alice, streams } = await both();
    const { tokens, states, statuses } = streams;
    expect(tokens.values.map((token) => token?.claims?.sub)).toEqual(['alice', undefined]);
    expect(new Set(states.values.map(({ claims }) => claims?.sub))).toEqual(new Set(['alice']));
    expect([states.completed(), statuses.completed()]).toEqual([true, true]);
    const [late, lateStates] = [collect(alice.token$), collect(alice.state$)];
    await settle();
    expect([late.values, lateStates.values, lateStates.completed()]).toEqual([[null], [alice.state], true]);
  });

  it('is no credential to make the default, or to take the place of', async () => {
    const { store, alice, bob, authority } = await both();
    const other = await store.store(authority.signIn({ sub: 'carol' }));
    await store.setDefault(other);
    expect(await codeOf(store.setDefault(alice))).toBe('credential_removed');
    expect(await store.getDefault()).toBe(other);
    await store.setDefault(bob);
    expect(await codeOf(store.setDefault(alice))).toBe('credential_removed');
    expect(await codeOf(store.store(authority.signIn({ sub: 'dave' }), { replace: alice }))).toBe('credential_removed');
    expect(bob.claims?.sub).toBe('bob');
  });

  it('HT-1 sends no request with the token of the other', async () => {
    const { store, alice } = await both();
    const sent: (string | null)[] = [];
    const fetch = createFetch(store, {
      resources: [{ url: 'https://api.example.com/', credential: () => alice }],
      fetch: (input, init) => {
        sent.push(new Request(input, init).headers.get('authorization'));
        return Promise.resolve(new Response());
      },
    });
    expect(await codeOf(fetch('https://api.example.com/'))).toBe('credential_removed');
    expect(sent).toEqual([]);
  });
});

describe('a tab that reads again that another is stored under the id', () => {
  it.each([
    ['accessToken()', (alice: Credential) => alice.accessToken()],
    ['accessToken({ minValidityMs })', (alice: Credential) => alice.accessToken({ minValidityMs: 0 })],
    ['accessToken({ forceRefresh })', (alice: Credential) => alice.accessToken({ forceRefresh: true })],
    ['accessToken({ scope })', (alice: Credential) => alice.accessToken({ scope: 'openid' })],
    ['accessToken({ refused })', (alice: Credential) => alice.accessToken({ refused: 'x' })],
    ['refresh()', (alice: Credential) => alice.refresh()],
    ['refreshIfNeeded()', (alice: Credential) => alice.refreshIfNeeded(Infinity)],
    ['userInfo()', (alice: Credential) => alice.userInfo()],
    ['introspect()', (alice: Credential) => alice.introspect('refresh_token')],
    ['setTags()', (alice: Credential) => alice.setTags(['of alice'])],
    ['remove()', (alice: Credential) => alice.remove()],
    ['revoke()', (alice: Credential) => alice.revoke()],
  ])('E45 says so to who waits for it with %s', async (_, ask) => {
    const { disk, stale, alice, swap, authority } = await unheard();
    await swap();
    const written = disk.record('main');
    const gate = disk.hold(({ method }) => method === 'readAll');
    stale.platform.emit('visible');
    await gate.reached;
    const asked = codeOf(ask(alice));
    gate.open();
    expect(await asked).toBe('credential_removed');
    expect([disk.record('main'), authority.refreshes, authority.revocations]).toEqual([written, [], []]);
  });
});

describe('a command of a tab that has not heard that another is stored under the id', () => {
  it.each([
    ['remove()', (alice: Credential) => alice.remove()],
    ['revoke()', (alice: Credential) => alice.revoke()],
    ["revoke('access')", (alice: Credential) => alice.revoke('access')],
    ["revoke('refresh')", (alice: Credential) => alice.revoke('refresh')],
    ['signOut()', (alice: Credential) => alice.signOut()],
    ['setTags()', (alice: Credential) => alice.setTags(['of alice'])],
    ['setDefault()', (alice: Credential, { stale }: Awaited<ReturnType<typeof unheard>>) => stale.store.setDefault(alice)],
    [
      'store(…, { replace })',
      (alice: Credential, { stale, authority }: Awaited<ReturnType<typeof unheard>>) =>
        stale.store.store(authority.signIn({ sub: 'carol' }), { replace: alice }),
    ],
    ['refresh()', (alice: Credential) => alice.refresh()],
  ])('E45 RF-5 does nothing to that one: %s', async (what, ask) => {
    const world = await unheard();
    const bob = await world.swap();
    const other = await world.here.store.store(world.authority.signIn({ sub: 'dave' }));
    await world.here.store.setDefault(other);
    const asked = inTime(world.browser, codeOf(ask(world.alice, world).then(() => Promise.reject(new Error('done')))));
    expect(await asked).toBe('credential_removed');
    expect(world.disk.record('main')).toMatchObject({ state: 'active', claims: { sub: 'bob' }, tags: [] });
    const { accessToken, refreshToken } = bob.token!;
    expect(world.authority.liveRefreshTokens()).toContain(what === 'refresh()' ? bob.token?.refreshToken : refreshToken);
    expect(world.authority.revocations.map(({ token }) => token)).not.toContain(accessToken);
    world.here.platform.emit('visible');
    await settle();
    expect(await world.here.store.getDefault()).toBe(other);
  });
});

describe('another credential whose counters begin anew, since the tombstone of the first was swept', () => {
  /** Alice's record was written so many times; a day later Bob's is stored in a tab that never knew of it. */
  const swept = async (writes: number) => {
    const world = createWorld();
    const stale = await world.openTab();
    const alice = await stale.store.store(world.authority.signIn({ id: 'main', sub: 'alice' }));
    for (let written = 1; written < writes; written++) await alice.setTags([`${written}`]);
    await alice.accessToken();
    world.browser.setDelivery(0);
    return {
      ...world,
      stale,
      alice,
      swap: async () => {
        await world.browser.advance(60_000);
        world.disk.records.delete('main');
        const here = await world.openTab();
        return here.store.store(world.authority.signIn({ id: 'main', sub: 'bob' }));
      },
    };
  };

  it.each([1, 2, 5])('E45 is seen by a tab that wakes, which knew the first at revision %i', async (writes) => {
    const { stale, alice, swap } = await swept(writes);
    const bob = await swap();
    stale.platform.emit('visible');
    await settle();
    expect((await stale.store.with('main'))?.token?.accessToken).toBe(bob.token?.accessToken);
    expect(await codeOf(alice.accessToken())).toBe('credential_removed');
  });

  it('E45 RF-5 is not written over by a command of a tab that has not heard of it', async () => {
    const { stale, alice, swap, disk } = await swept(5);
    await swap();
    expect(await codeOf(alice.setTags(['x']))).toBe('credential_removed');
    expect(disk.record('main')).toMatchObject({ claims: { sub: 'bob' }, tags: [] });
    expect((await stale.store.with('main'))?.claims?.sub).toBe('bob');
  });

  it('E45 RF-15 is not written over by what waited for the disk, whose tokens are nobody’s by now', async () => {
    const { alice, swap, disk, authority, browser } = await swept(2);
    const isHers = (record: unknown): boolean => JSON.stringify(record ?? '').includes('"alice"');
    const mend = disk.fail(({ method, record }) => method === 'write' && isHers(record));
    const { accessToken, refreshToken } = await alice.refresh();
    const bob = await swap();
    mend();
    await browser.advance(60_000);
    expect(disk.record('main')).toMatchObject({ claims: { sub: 'bob' } });
    expect(authority.revocations.map(({ token }) => token)).toEqual([refreshToken, accessToken]);
    expect(await bob.accessToken()).toBe(bob.token?.accessToken);
  });
});

it('the store’s own record is no credential to make the default, and is not damaged', async () => {
  const { openTab, authority } = createWorld();
  const { store, newEvents } = await openTab();
  await store.store(authority.signIn());
  await store.setDefault(null);
  newEvents();
  expect(await codeOf(store.setDefault('@store'))).toBe('credential_removed');
  expect(await store.with('@store')).toBeNull();
  expect(newEvents()).toEqual([]);
});

it('RF-15 a sign-in that no storage takes while another tab clears is told that it was removed, not that its id is in use', async () => {
  const { openTab, authority, browser, disk } = createWorld();
  const [a, b] = [await openTab(), await openTab()];
  const token = authority.signIn({ id: 'main' });
  await a.store.store(token);
  disk.records.delete('main'); // by whatever
  a.platform.emit('visible');
  await settle();
  const isHers = ({ method, record }: (typeof disk.calls)[number]): boolean => method === 'write' && record?.['id'] === 'main';
  const gate = disk.hold(isHers);
  const storing = codeOf(a.store.store(token));
  await gate.reached;
  const clearing = b.store.clear();
  await browser.advance(5_000); // it waits no longer for the lock
  await clearing;
  disk.fail(isHers);
  gate.open();
  expect(await storing).toBe('credential_removed');
});
