// A token that takes another's place, an id that reads like another's, an end that comes meanwhile: what is asked then is asked of the present.
import { CredentialError } from '../../src/errors.js';
import type { StoredRecord } from '../../src/storage/storage.js';
import { closeAll, codeOf, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);

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

it('E1 user information that is refused to several calls, one after the other, costs one refresh', async () => {
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
  const [first, second] = [credential.userInfo(), credential.userInfo()];
  await settle();
  refusals[0]?.();
  await first;
  refusals[1]?.();
  await second;
  expect(authority.refreshes).toHaveLength(1);
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

describe('E62 a default that a start cannot read', () => {
  async function withLostDefault() {
    const world = createWorld();
    const { store } = await world.openTab();
    const alice = await store.store(world.authority.signIn({ sub: 'alice' }));
    const bob = await store.store(world.authority.signIn({ sub: 'bob' }));
    await store.setDefault(bob);
    await store.close();
    const whole = world.disk.record(bob.id);
    const plant = async (value: Readonly<Record<string, unknown>>): Promise<void> => {
      const storage = world.disk.storage();
      await storage.open();
      expect(await storage.write(value as unknown as StoredRecord, Number(world.disk.record(bob.id)['revision']))).toBe(true);
    };
    await plant({ ...whole, tags: 'none' });
    const tab = await world.openTab();
    await tab.store.ready;
    return { ...world, ...tab, alice, bob, mend: () => plant(whole) };
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
    await mend();
    await store.with(bob.id);
    expect(store.snapshot().defaultId).toBe(bob.id);
  });
});
