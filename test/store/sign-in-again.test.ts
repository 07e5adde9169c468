// D-013: who has just signed in is signed in, also where the credential that was there is dead without having ended.
import { map } from 'rxjs';
import { isSignedIn, type Credential, type CredentialStore } from '../../src/index.js';
import { refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const HOUR = 3_600_000;
const unrenewable = { refreshable: false, lifetimeS: 3600 } as const;

describe('a token that nothing renews', () => {
  it('is signed in until it expires, and says so in every tab and after a start', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn(unrenewable));
    await settle();
    expect([credential.state.isRenewable, isSignedIn(credential.state)]).toEqual([false, true]);
    expect(b.store.snapshot().credentials[0]?.isRenewable).toBe(false);
    await browser.advance(HOUR + 1);
    expect([credential.status.token, isSignedIn(credential.state)]).toEqual(['expired', false]);
    const later = await openTab();
    expect(later.store.snapshot().credentials.map(isSignedIn)).toEqual([false]);
    expect(await codeOf(credential.accessToken())).toBe('no_refresh_token');
  });

  it('TM-3 is signed in again where the clock was ahead and is set right', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn(unrenewable));
    browser.setClock(browser.now() + 2 * HOUR);
    platform.emit('visible');
    await settle();
    expect(isSignedIn(credential.state)).toBe(false);
    browser.setClock(browser.now() - 2 * HOUR);
    platform.emit('visible');
    await settle();
    expect(isSignedIn(credential.state)).toBe(true);
  });

  it('TM-3 is signed in as long as it lives where the server asks for the user, and no longer; a clock that is set right makes it so again', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.next(refusal('mfa_required'));
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    const seen = collect(credential.state$.pipe(map((state) => [state.status.token, state.hasExpired, isSignedIn(state)])));
    newEvents();
    for (const apart of [2 * HOUR, -2 * HOUR]) {
      browser.setClock(browser.now() + apart);
      platform.emit('visible');
      await settle();
    }
    expect(newEvents()).toEqual(['expired', 'expiring']);
    await browser.advance(HOUR - 1);
    expect([newEvents(), isSignedIn(credential.state)]).toEqual([[], true]);
    await browser.advance(1);
    expect(newEvents()).toEqual(['expired']);
    const [signedIn, over] = [
      ['needs_interaction', false, true],
      ['needs_interaction', true, false],
    ];
    expect(seen.values).toEqual([signedIn, over, signedIn, over]);
    expect(await inTime(browser, credential.accessToken())).toContain('CANARY');
    expect(credential.state).toMatchObject({ hasExpired: false, status: { token: 'valid' } });
  });

  it('gives its place to the next of the same user, with id and default', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn(unrenewable), { tags: ['a'] });
    for (let round = 0; round < 3; round++) {
      await browser.advance(HOUR + 1);
      const token = authority.signIn(unrenewable);
      expect(await store.store(token)).toBe(first);
      expect(await (await store.getDefault())?.accessToken()).toBe(token.accessToken);
    }
    expect([await store.allIDs(), first.tags]).toEqual([[first.id], ['a']]);
  });

  it('gives the default to whoever signs in', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const alice = await store.store(authority.signIn(unrenewable));
    const living = await store.store(authority.signIn({ sub: 'carol' }));
    expect(await store.getDefault()).toBe(alice);
    await browser.advance(HOUR / 2);
    await store.store(authority.signIn({ sub: 'dave' }));
    expect(await store.getDefault()).toBe(alice); // who lives keeps it
    await browser.advance(HOUR);
    const nobodyKnows = await store.store(authority.signIn({ sub: null }));
    expect(await store.getDefault()).toBe(nobodyKnows);
    expect(await store.with(living.id)).toBe(living);
  });

  it('of other tags is not the place', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn(unrenewable), { tags: ['a'] });
    await browser.advance(HOUR + 1);
    const other = await store.store(authority.signIn(unrenewable), { tags: ['b'] });
    expect(other).not.toBe(first);
    expect(await store.store(authority.signIn(unrenewable), { tags: ['a'] })).toBe(first);
  });

  it('is renewable where the client has another way', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab({
      clients: (platform) => authority.client(platform, { renew: () => Promise.reject(new Error('not asked')) }),
    });
    expect((await store.store(authority.signIn(unrenewable))).state.isRenewable).toBe(true);
  });
});

describe('a credential for which the server asks for the user', () => {
  it('gives its place to the next sign-in of the same user', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.next(refusal('login_required'));
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    expect(await store.store(authority.signIn({ sub: 'bob' }))).not.toBe(credential);
    const token = authority.signIn();
    expect(await store.store(token)).toBe(credential);
    expect([credential.status.token, await credential.accessToken()]).toEqual(['valid', token.accessToken]);
    expect(await store.getDefault()).toBe(credential);
  });

  it('is the default until its token has expired', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.next(refusal('login_required'));
    expect(await codeOf(credential.refresh())).toBe('needs_interaction');
    await store.store(authority.signIn({ sub: 'bob' }));
    expect(await store.getDefault()).toBe(credential);
    await browser.advance(HOUR + 1);
    const carol = await store.store(authority.signIn({ sub: 'carol' }));
    expect(await store.getDefault()).toBe(carol);
  });
});

describe('where several wait', () => {
  it('the default comes first', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const a = await store.store(authority.signIn());
    const b = await store.store(authority.signIn());
    await store.setDefault(b);
    authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
    for (const one of [a, b]) expect(await inTime(browser, codeOf(one.refresh()))).toBe('needs_sign_in');
    expect(await store.store(authority.signIn())).toBe(b);
    expect((await store.getDefault())?.status.token).toBe('valid');
  });

  it.each(['has ended', 'has expired'] as const)(
    'the one with the tags comes first, also where the default waits and this one %s',
    async (how) => {
      const { openTab, authority, browser } = createWorld();
      const { store } = await openTab();
      const work = await store.store(authority.signIn(), { tags: ['work'] });
      const home = await store.store(authority.signIn(how === 'has ended' ? {} : unrenewable), { tags: ['home', 'second'] });
      authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
      expect(await inTime(browser, codeOf(work.refresh()))).toBe('needs_sign_in');
      if (how === 'has ended') expect(await inTime(browser, codeOf(home.refresh()))).toBe('needs_sign_in');
      else await browser.advance(HOUR + 1);
      const token = authority.signIn();
      expect(await store.store(token, { tags: ['home'] })).toBe(home);
      expect([work.status.token, work.tags, await home.accessToken()]).toEqual(['needs_sign_in', ['work'], token.accessToken]);
      expect(home.tags).toEqual(['home', 'second']);
      expect(await store.store(authority.signIn())).toBe(work); // whatever it is for: semantic 2
      expect(work.tags).toEqual(['work']);
    },
  );

  it.each(['active', 'ended'])(
    'D-044 design §4.2 one of other tags is not the place, and stays who waits; the other is %s',
    async (how) => {
      const { openTab, authority, browser } = createWorld();
      const { store } = await openTab();
      const orders = await store.store(authority.signIn(), { tags: ['orders', 'shared'] });
      const waiting = collect(store.find$({ tags: 'orders' }));
      authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
      expect(await inTime(browser, codeOf(orders.refresh()))).toBe('needs_sign_in');
      const billing = await store.store(authority.signIn(), { tags: ['billing'] });
      expect([billing.id === orders.id, orders.tags, billing.tags]).toEqual([false, ['orders', 'shared'], ['billing']]);
      expect([orders.status.token, await store.getDefault()]).toEqual(['needs_sign_in', billing]); // which was of no use (D-013)
      if (how === 'ended') expect(await inTime(browser, codeOf(billing.refresh()))).toBe('needs_sign_in');
      const token = authority.signIn();
      expect(await store.store(token, { tags: ['orders'] })).toBe(orders);
      expect([orders.tags, await orders.accessToken(), waiting.values]).toEqual([['orders', 'shared'], token.accessToken, [[orders]]]);
    },
  );

  it('E45 nor is one that another tab has given other tags, and no message told of', async () => {
    const { openTab, authority, browser } = createWorld();
    const [{ store }, { store: other }] = [await openTab(), await openTab()];
    const credential = await store.store(authority.signIn());
    authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
    expect(await inTime(browser, codeOf(credential.refresh()))).toBe('needs_sign_in');
    browser.setDelivery(0);
    await (await other.with(credential.id))?.setTags(['billing']);
    const orders = await store.store(authority.signIn(), { tags: ['orders'] });
    expect([orders === credential, credential.tags, orders.tags]).toEqual([false, ['billing'], ['orders']]);
  });

  it.each([
    ['one without tags gives its place to tags', [], ['work'], ['work']],
    ['an empty list is no tags', ['work'], [], ['work']],
  ])('design §4.2 %s', async (_, before, given, after) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn(), { tags: before });
    authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
    expect(await inTime(browser, codeOf(credential.refresh()))).toBe('needs_sign_in');
    expect(await store.store(authority.signIn(), { tags: given })).toBe(credential);
    expect([credential.tags, await store.allIDs()]).toEqual([after, [credential.id]]);
  });

  it('who comes back becomes the default where the default is of no use', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const alice = await store.store(authority.signIn());
    const bob = await store.store(authority.signIn({ sub: 'bob' }));
    authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
    for (const one of [alice, bob]) expect(await inTime(browser, codeOf(one.refresh()))).toBe('needs_sign_in');
    expect(await store.store(authority.signIn({ sub: 'bob' }))).toBe(bob);
    expect(await store.getDefault()).toBe(bob);
    expect(await store.store(authority.signIn())).toBe(alice);
    expect(await store.getDefault()).toBe(bob); // now it is of use
  });
});

it('D-017 RF-15 who comes back is signed in, also where the default is of no use and no claim can be written', async () => {
  const { openTab, authority, disk, browser } = createWorld();
  const { store } = await openTab();
  const alice = await store.store(authority.signIn());
  const bob = await store.store(authority.signIn({ sub: 'bob' }));
  authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
  for (const one of [alice, bob]) expect(await inTime(browser, codeOf(one.refresh()))).toBe('needs_sign_in');
  disk.fail(({ method, id, record }) => method === 'write' && (id ?? record?.['id']) === '@store');
  const token = authority.signIn({ sub: 'bob' });
  expect(await store.store(token)).toBe(bob);
  expect([await store.getDefault(), await bob.accessToken()]).toEqual([bob, token.accessToken]);
});

it.each(['remove', 'revoke'] as const)(
  'RF-15 E45 an end that waits for the disk (%s) takes no sign-in away that came after it',
  async (how) => {
    const { openTab, authority, disk, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn({ sub: 'alice' }));
    await settle();
    const isEnding = (record?: Readonly<Record<string, unknown>>): boolean =>
      record?.['state'] === 'removed' || record?.['state'] === 'revoking';
    const mend = disk.fail(({ method, record }) => method === 'remove' || (method === 'write' && isEnding(record)));
    const ended = credential[how]().catch(() => undefined);
    await browser.advance(500);
    await ended;
    const again = authority.signIn({ sub: 'alice' });
    await b.store.store(again, { replace: credential.id });
    mend();
    await browser.advance(60_000);
    expect(disk.record(credential.id)).toMatchObject({ state: 'active', secrets: { accessToken: again.accessToken } });
    expect(await (await a.store.with(credential.id))?.accessToken()).toBe(again.accessToken);
    expect(authority.revocations.map(({ token }) => token)).not.toContain(again.refreshToken);
  },
);

it('RF-13 an end that waits for the disk takes a sign-in away that came before it, and was not heard of', async () => {
  const { openTab, authority, disk, browser } = createWorld();
  const [a, b] = [await openTab(), await openTab()];
  const credential = await a.store.store(authority.signIn({ sub: 'alice' }));
  await settle();
  browser.setDelivery(0);
  await b.store.store(authority.signIn({ sub: 'alice' }), { replace: credential.id });
  await browser.advance(500);
  const mend = disk.fail(({ method }) => method === 'remove' || method === 'write');
  await credential.remove().catch(() => undefined);
  mend();
  await browser.advance(60_000);
  expect(disk.record(credential.id)).toMatchObject({ state: 'removed' });
});

it.each<readonly [string, (credential: Credential, store: CredentialStore) => Promise<unknown>]>([
  ['remove', (credential) => credential.remove()],
  ['clear', (_, store) => store.clear()],
  ['signOut', (credential) => credential.signOut()],
])('design §4.1 who keeps a handle hears that nobody is signed in by it after %s, here and in another tab', async (_, end) => {
  const world = createWorld();
  const [{ store: one }, { store: two }] = [await world.openTab(), await world.openTab()];
  const kept = await one.store(world.authority.signIn({ sub: 'alice' }), { tags: ['a'] });
  await settle();
  const elsewhere = await two.with(kept.id);
  const { values, completed } = collect(kept.state$);
  await end(kept, one);
  await settle();
  for (const handle of [kept, elsewhere]) {
    expect([handle?.claims?.sub, handle?.tags, handle && isSignedIn(handle.state)]).toEqual(['alice', ['a'], false]);
  }
  // Nothing that has not been is said on the way out
  expect([values.filter(isSignedIn).length, completed()]).toEqual([1, true]);
});
