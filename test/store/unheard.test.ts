// Commands of a tab that no message has reached: what others did is found by reading (D-019), and the same comes of it as if they had been heard.
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, codeOf, createWorld, inTime, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const narrow = ({ disk }: World): CredentialStorage => {
  const storage = disk.storage();
  return { ...storage, open: async () => ({ ...(await storage.open()), capacity: 8_192 }) };
};

/** Two tabs between which nothing is heard, and what a new one finds. */
async function deaf(storageOf: (world: World) => CredentialStorage = ({ disk }) => disk.storage()) {
  const world = createWorld();
  world.browser.setDelivery(0);
  const [a, b] = [await world.openTab({ storage: storageOf(world) }), await world.openTab({ storage: storageOf(world) })];
  const found = async (): Promise<string | null> => (await world.openTab({ storage: storageOf(world) })).store.snapshot().defaultId;
  return { ...world, a: a.store, b: b.store, found };
}

describe('D-019 setDefault', () => {
  it.each(['bob', null])('to %j counts, though nobody told of the credential that was the first', async (to) => {
    const { a, b, authority, found } = await deaf();
    await a.store(authority.signIn({ id: 'alice', sub: 'alice' }));
    await a.store(authority.signIn({ id: 'bob', sub: 'bob' }));
    await b.setDefault(to === null ? null : await b.with(to));
    expect([b.snapshot().defaultId, await found()]).toEqual([to, to]);
  });

  it('counts after a clear, too, where the first of the new epoch was not heard of', async () => {
    const { a, b, authority, found } = await deaf();
    await a.store(authority.signIn({ id: 'zoe', sub: 'zoe' }));
    await a.clear();
    await a.store(authority.signIn({ id: 'alice', sub: 'alice' }));
    await a.store(authority.signIn({ id: 'bob', sub: 'bob' }));
    await b.setDefault(await b.with('bob'));
    expect([b.snapshot().defaultId, await found()]).toEqual(['bob', 'bob']);
  });

  it('finds a credential that was stored again under the id of one that was removed', async () => {
    const { a, b, authority, found } = await deaf();
    await a.store(authority.signIn({ id: 'alice', sub: 'alice' }));
    await a.store(authority.signIn({ id: 'x', sub: 'bob' }));
    await (await b.with('x'))?.remove();
    await a.with('x');
    await a.store(authority.signIn({ id: 'x', sub: 'bob' }));
    await b.setDefault('x');
    expect(await found()).toBe('x');
  });

  it('is not undone by a sign-in of a tab where the former default needs one', async () => {
    const { a, b, authority, browser, found } = await deaf();
    const alice = await a.store(authority.signIn({ id: 'alice', sub: 'alice' }));
    await a.store(authority.signIn({ id: 'bob', sub: 'bob' }));
    authority.forget(alice.token?.refreshToken);
    expect(await codeOf(inTime(browser, alice.refresh()))).toBe('needs_sign_in');
    await b.with('alice');
    await b.setDefault(await b.with('bob'));
    await a.store(authority.signIn({ id: 'carol', sub: 'carol' }));
    expect([a.snapshot().defaultId, await found()]).toEqual(['bob', 'bob']);
  });

  it('E68 reads everything once, not for each credential that is stored afterwards', async () => {
    const { a, b, authority, disk } = await deaf();
    await a.store(authority.signIn({ id: 'alice', sub: 'alice' }));
    const gate = disk.calls.length;
    await b.with('alice');
    for (let i = 0; i < 20; i++) await a.store(authority.signIn({ sub: `user-${i}` }));
    const readings = (from: number): number => disk.calls.slice(from).filter(({ method }) => method === 'readAll').length;
    expect(readings(gate)).toBe(0);
    await b.setDefault('alice'); // it is the default
    const before = disk.calls.length;
    for (let i = 20; i < 40; i++) await a.store(authority.signIn({ sub: `user-${i}` }));
    expect(readings(before)).toBeLessThanOrEqual(1);
  });
});

it.each<[string, ((world: World) => CredentialStorage) | undefined]>([
  ['wide', undefined],
  ['narrow', narrow],
])('design §4.2 in a %s storage a credential is stored under the id of one that another tab removed', async (_, storageOf) => {
  const { a, b, authority } = await deaf(storageOf);
  await a.store(authority.signIn({ id: 'alice', sub: 'alice' }));
  const x = await a.store(authority.signIn({ id: 'x', sub: 'bob' }));
  await b.with('x');
  await x.remove();
  const token = authority.signIn({ id: 'x', sub: 'bob' });
  expect(await (await b.store(token)).accessToken()).toBe(token.accessToken);
  await settle();
  expect(await codeOf(b.store(authority.signIn({ id: 'x', sub: 'bob' })))).toBe('credential_exists');
});

describe('wrong arguments change nothing', () => {
  it.each([false, '', 0, NaN, null, true, 5, {}])('tags: %j', async (tags) => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const { id } = await store.store(authority.signIn());
    const before = JSON.stringify([...disk.records]);
    const wrong = { tags } as unknown as { tags: readonly string[] };
    await expect(store.store(authority.signIn({ sub: 'bob' }), wrong)).rejects.toThrow(TypeError);
    await expect(store.store(authority.signIn({ sub: 'bob' }), { ...wrong, replace: id })).rejects.toThrow(TypeError);
    expect(JSON.stringify([...disk.records])).toBe(before);
  });

  it.each([undefined, null, NaN, 5, {}, []])('with(%j)', async (id) => {
    const { store } = await createWorld().openTab();
    await expect(store.with(id as string)).rejects.toThrow(new TypeError('with takes an id'));
  });

  it.each([null, 0, 1, 'true', [], Promise.resolve(true)])('forceRefresh: %j', async (forceRefresh) => {
    const { openTab, authority } = createWorld();
    const credential = await (await openTab()).store.store(authority.signIn());
    await expect(credential.accessToken({ forceRefresh: forceRefresh as unknown as boolean })).rejects.toThrow(TypeError);
    expect(authority.refreshes).toHaveLength(0);
  });
});

it('E34 no subscriber can change the event that the others get', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const frozen: boolean[] = [];
  store.events$.subscribe((event) => frozen.push(Object.isFrozen(event)));
  await (await store.store(authority.signIn())).refresh();
  expect(frozen.length).toBeGreaterThanOrEqual(3);
  expect(frozen).not.toContain(false);
});
