import { firstValueFrom } from 'rxjs';
import type { Credential } from '../../src/index.js';
import { refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

/** A credential whose refresh token the server has refused. */
async function needingSignIn({ authority }: World, { store }: Tab, tags: readonly string[] = []) {
  const credential = await store.store(authority.signIn({ sub: 'alice' }), { tags });
  authority.next(refusal('invalid_grant'));
  expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
  return credential;
}

describe('identity', () => {
  it('gives the same object from store, with, find, getDefault and all streams', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn(), { tags: ['service:purchase'] });
    const found = [
      await store.with(credential.id),
      ...(await store.find({ tags: 'service:purchase' })),
      await store.getDefault(),
      await firstValueFrom(store.default$),
      ...(await firstValueFrom(store.credentials$)),
      ...(await firstValueFrom(store.find$({ sub: 'alice' }))),
    ];
    expect(found).toHaveLength(6);
    for (const one of found) expect(one).toBe(credential);
  });

  it('keeps id and object through a refresh', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const before = credential.token;
    const lists = collect(store.credentials$);
    const after = await credential.refresh();
    expect(after.id).toBe(credential.id);
    expect(after.accessToken).not.toBe(before?.accessToken);
    expect(credential.token).toBe(after);
    expect(await store.with(credential.id)).toBe(credential);
    expect(lists.values).toEqual([[credential]]);
  });

  it('refuses a second token of an id that is stored, and leaves the first as it was', async () => {
    const { openTab, authority } = createWorld();
    const { store, newEvents } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token, { tags: ['a'] });
    newEvents();
    expect(await codeOf(store.store(authority.signIn({ id: token.id, sub: 'bob' })))).toBe('credential_exists');
    expect(credential.token?.isEqual(token)).toBe(true);
    expect(newEvents()).toEqual([]);
  });

  it('refuses a second token of an id that another tab has stored, even if its message was lost', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    browser.setDelivery(0);
    const token = authority.signIn();
    await a.store.store(token);
    expect(await codeOf(b.store.store(token))).toBe('credential_exists');
    expect((await b.store.with(token.id))?.token?.isEqual(token)).toBe(true);
  });

  it('refuses a token of an id that is stored, also while another credential of the user needs sign-in', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const { store } = tab;
    const token = world.authority.signIn({ sub: 'bob' });
    await store.store(token);
    const waiting = await store.store(world.authority.signIn({ sub: 'bob' }));
    world.authority.next(refusal('invalid_grant'));
    expect(await codeOf(waiting.refresh())).toBe('needs_sign_in');
    expect(await codeOf(store.store(token))).toBe('credential_exists');
    expect(waiting.status.token).toBe('needs_sign_in');
  });

  it('takes a token of an id again after its credential was removed', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const token = authority.signIn();
    await (await a.store.store(token)).remove();
    await settle();
    await b.store.store(token);
    await settle();
    expect((await a.store.with(token.id))?.token?.isEqual(token)).toBe(true);
  });

  it('takes a token of an id again after the tombstone was swept elsewhere', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const a = await openTab();
    const token = authority.signIn();
    await (await a.store.store(token)).remove();
    await browser.advance(25 * 60 * 60_000);
    await openTab(); // sweeps
    expect(disk.records.has(token.id)).toBe(false);
    const again = await a.store.store(token);
    expect(again.token?.isEqual(token)).toBe(true);
  });

  it('finds a credential of another tab by id although the message was lost', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    browser.setDelivery(0);
    const { id } = await a.store.store(authority.signIn());
    expect((await b.store.with(id))?.id).toBe(id);
    expect(await b.store.with('unknown')).toBeNull();
  });
});

describe('a token of a user who had to sign in again', () => {
  it('takes the place of the credential: same id, object, tags and default, next generation', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const credential = await needingSignIn(world, tab, ['work']);
    const { generation } = credential.state;
    const lists = collect(tab.store.credentials$);
    tab.newEvents();
    const token = world.authority.signIn({ sub: 'alice' });
    const again = await tab.store.store(token);
    expect(again).toBe(credential);
    expect(again.state).toMatchObject({ id: credential.id, tags: ['work'], isDefault: true, generation: generation + 1, reason: null });
    expect(again.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(await again.accessToken()).toBe(token.accessToken);
    expect(lists.values).toHaveLength(1);
    expect(tab.newEvents()).toEqual(['token_replaced']);
  });

  it('brings its own tags where the caller names some, and the credential that is meant', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const credential = await needingSignIn(world, tab, ['work']);
    await tab.store.store(world.authority.signIn({ sub: 'alice' }), { tags: ['home'], replace: credential });
    expect(credential.tags).toEqual(['home']);
  });

  it.each([
    ['user', { sub: 'bob' }],
    ['issuer', { sub: 'alice', issuer: 'https://other.example.com' }],
    ['client', { sub: 'alice', clientId: 'other' }],
    ['identity at all', { sub: null }],
  ])('becomes a credential of its own when it has another %s', async (_, options) => {
    const world = createWorld();
    const tab = await world.openTab();
    const credential = await needingSignIn(world, tab);
    const other = await tab.store.store(world.authority.signIn(options));
    expect(other).not.toBe(credential);
    expect(credential.status.token).toBe('needs_sign_in');
  });

  it('becomes a credential of its own while the old one is in use', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn({ sub: 'alice' }));
    const second = await store.store(authority.signIn({ sub: 'alice' }));
    expect(second).not.toBe(first);
    expect(await store.allIDs()).toEqual([first.id, second.id]);
  });
});

it.each<readonly [string, (world: World) => Promise<Credential>]>([
  ['stored without', async ({ openTab, authority }) => (await openTab()).store.store(authority.signIn())],
  ['stored with an empty list', async ({ openTab, authority }) => (await openTab()).store.store(authority.signIn(), { tags: [] })],
  ['stored with some', async ({ openTab, authority }) => (await openTab()).store.store(authority.signIn(), { tags: ['a'] })],
  [
    'stored over what was removed',
    async ({ openTab, authority }) => {
      const [{ store }, token] = [await openTab(), authority.signIn()];
      await (await store.store(token)).remove();
      return store.store(token);
    },
  ],
  [
    'set',
    async ({ openTab, authority }) => {
      const credential = await (await openTab()).store.store(authority.signIn(), { tags: ['a'] });
      await credential.setTags([]);
      return credential;
    },
  ],
  [
    'read',
    async ({ openTab, authority }) => {
      const { id } = await (await openTab()).store.store(authority.signIn());
      return (await (await openTab()).store.with(id)) as Credential;
    },
  ],
])('design §3 state changes only by the reducer: tags that were %s are frozen, and so is the rest of a state', async (_, make) => {
  const credential = await make(createWorld());
  const { state } = credential;
  for (const part of [state, state.tags, state.claims, state.context, state.status, credential.tags, credential.metadata.tags])
    expect(Object.isFrozen(part)).toBe(true);
});

describe('replace', () => {
  it('puts a token in the place of a credential that is in use', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn(), { tags: ['work'] });
    const token = authority.signIn({ sub: 'bob' });
    expect(await a.store.store(token, { replace: credential })).toBe(credential);
    await settle();
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect(credential).toMatchObject({ tags: ['work'], claims: { sub: 'bob' } });
    expect(b.store.snapshot().credentials).toMatchObject([{ id: credential.id, isDefault: true, claims: { sub: 'bob' } }]);
  });

  it('is refused for a credential that is gone', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await credential.remove();
    expect(await codeOf(store.store(authority.signIn(), { replace: credential }))).toBe('credential_removed');
    expect(await codeOf(store.store(authority.signIn(), { replace: 'unknown' }))).toBe('credential_removed');
    expect(await store.allIDs()).toEqual([]);
  });

  it('is refused for a credential that is being revoked, so that the new token is not removed with the old one', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setRevocation(() => new Promise(() => undefined));
    const revoking = credential.revoke();
    await settle();
    expect(await codeOf(store.store(authority.signIn({ sub: 'bob' }), { replace: credential }))).toBe('credential_removed');
    await browser.advance(5_000);
    await revoking;
  });
});

describe('store', () => {
  it('takes nothing but tokens and lists of tags', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    await expect(store.store({ accessToken: 'x' } as never)).rejects.toThrow(TypeError);
    await expect(store.store(authority.signIn(), { tags: [''] })).rejects.toThrow(TypeError);
    await expect(store.store(authority.signIn(), { tags: 'work' as never })).rejects.toThrow(TypeError);
    expect(disk.records.size).toBe(0);
  });

  it.each<[unknown, RegExp]>([
    [['work'], /^store takes tags, replace and onePerUser, not 0$/],
    [{ tag: ['work'] }, /^store takes tags, replace and onePerUser, not tag$/],
    [null, /^options of store must be an object$/],
  ])('options that would be taken for none are refused by name: %j', async (options, message) => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const storing = store.store(authority.signIn(), options as never);
    await expect(storing).rejects.toThrow(TypeError);
    await expect(storing).rejects.toThrow(message);
    expect(disk.records.size).toBe(0);
  });
});
