// Tombstones of a day ago, and how little whoever uses the store notices of their end.
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, codeOf, createWorld, inTime, type TabOptions, type World } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;

/** A world in which so many credentials were removed more than a day ago, and one of them was the default. */
async function withTombstones(count: number) {
  const world = createWorld();
  const { store } = await world.openTab();
  const credential = await store.store(world.authority.signIn());
  await credential.remove();
  await store.close();
  for (let i = 1; i < count; i++) {
    const id = `gone-${i}`;
    world.disk.records.set(id, { ...world.disk.record(credential.id), id, defaultClaim: 0 });
  }
  await world.browser.advance(25 * HOUR_MS);
  const left = (): number => [...world.disk.records.keys()].filter((id) => id !== '@store').length;
  return { ...world, world, first: credential.id, left };
}

/** A storage whose removals take so long. */
function slow({ disk, browser }: World, removalMs: number): TabOptions & { readonly storage: CredentialStorage } {
  const storage = disk.storage();
  const platform = browser.openTab();
  const later = (): Promise<void> => new Promise((resolve) => void platform.setTimer(resolve, removalMs));
  return { storage: { ...storage, remove: (id, condition) => later().then(() => storage.remove(id, condition)) } };
}

describe('E47 a sweep of many tombstones in a storage that is slow', () => {
  it('holds nobody up for more than three seconds at a time, and goes on until all are gone', async () => {
    const { world, browser, authority, left, first } = await withTombstones(600);
    const { store } = await world.openTab(slow(world, 100));
    const began = browser.now();
    const credential = await inTime(browser, store.store(authority.signIn()));
    await inTime(browser, store.setDefault(null));
    await inTime(browser, store.setDefault(credential));
    expect(browser.now() - began).toBeLessThan(5_000);
    expect(left()).toBeGreaterThan(550);
    expect(world.disk.record(first)).toBeUndefined();
    await browser.advance(30 * 60_000);
    expect([...world.disk.records.keys()].sort()).toEqual(['@store', credential.id].sort());
    expect((await world.openTab()).store.snapshot().defaultId).toBe(credential.id);
  });

  it('makes nobody the default, whenever the program ends', async () => {
    const { world, browser, authority, disk, left, first } = await withTombstones(100);
    disk.records.set('other', { ...disk.record(first), id: 'other', state: 'active', defaultClaim: 0, ...fieldsOf(authority.signIn()) });
    const { store } = await world.openTab(slow(world, 100));
    await browser.advance(1_000);
    await inTime(browser, store.close());
    expect(left()).toBeGreaterThan(50);
    for (let starts = 0; starts < 5; starts++) {
      const later = await world.openTab(slow(world, 100));
      await browser.advance(1_000);
      expect(later.store.snapshot().defaultId).toBeNull();
      await inTime(browser, later.store.close());
    }
    expect(left()).toBeLessThan(50);
  });

  it('removes some each time, though to look at all of them takes longer than that', async () => {
    const { world, browser, left } = await withTombstones(400);
    await world.openTab({ platform: { now: () => (browser.sleep(10), browser.now()) } });
    await browser.advance(1_000);
    expect(left()).toBeLessThan(400);
  });

  it('RF-15 goes past a removal that is never answered, and others wait no longer for it', async () => {
    const { world, browser, authority, disk, left } = await withTombstones(10);
    const gate = disk.hold(({ method, id }) => method === 'remove' && id === 'gone-3');
    const { store } = await world.openTab();
    await gate.reached;
    const credential = await inTime(browser, store.store(authority.signIn()), 3_500);
    await inTime(browser, store.setDefault(null), 3_500);
    await browser.advance(3 * 60_000);
    expect(left()).toBe(2);
    gate.open();
    await browser.advance(7 * HOUR_MS);
    expect([...disk.records.keys()].sort()).toEqual(['@store', credential.id].sort());
  });
});

describe('RF-13 where nobody is signed in any more', () => {
  it('what they have left goes a day later all the same, though it takes many sweeps', async () => {
    const { world, browser, authority, disk } = await withTombstones(1);
    const { store } = await world.openTab(slow(world, 100));
    await browser.advance(1_000);
    for (let i = 0; i < 100; i++) await (await store.store(authority.signIn({ sub: `user-${i}` }))).remove();
    await browser.advance(23 * HOUR_MS);
    expect(disk.records.size).toBeGreaterThan(100);
    await browser.advance(8 * HOUR_MS);
    expect([...disk.records.keys()]).toEqual(['@store']);
  });

  it('and nobody ever was in this store, as in that of one request, it holds no timer: a later start sees to it', async () => {
    const { world, browser, authority, disk } = await withTombstones(1);
    const { store } = await world.openTab();
    await (await store.store(authority.signIn())).remove();
    await store.close();
    const later = await world.openTab();
    expect(later.platform.held().timers).toBe(0);
    await browser.advance(31 * HOUR_MS);
    expect(disk.records.size).toBe(2);
    await world.openTab();
    expect([...disk.records.keys()]).toEqual(['@store']);
  });
});

it('E68 a sign-in where nobody is reads what is left of others once', async () => {
  const { world, authority, disk } = await withTombstones(1);
  const { store } = await world.openTab();
  await (await store.store(authority.signIn())).remove();
  const before = disk.calls.length;
  await store.store(authority.signIn());
  expect(disk.calls.slice(before).filter(({ method }) => method === 'readAll')).toHaveLength(1);
});

describe('E62 a tombstone that cannot be removed', () => {
  it('keeps no other, and goes later', async () => {
    const { world, browser, authority, disk, left } = await withTombstones(10);
    const { store } = await world.openTab();
    await store.store(authority.signIn({ lifetimeS: 30 * 86_400 }));
    await store.close();
    for (const id of ['gone-a', 'gone-b', 'gone-c'])
      disk.records.set(id, { ...tombstone(world, id), changedAt: browser.now() - 25 * HOUR_MS });
    const mend = disk.fail(({ method, id }) => method === 'remove' && id === 'gone-a');
    await world.openTab();
    expect(left()).toBe(2);
    mend();
    await browser.advance(7 * HOUR_MS);
    expect(left()).toBe(1);
  });

  it.each([
    ['later', 1],
    ['at the very revision that it had, being swept elsewhere before', 0],
  ])('since another credential was stored under its id, %s, is that one: nobody heard of it', async (_, further) => {
    const { world, browser, authority, disk } = await withTombstones(3);
    const { store } = await world.openTab(slow(world, 100)); // on its way to remove the first one
    const found = disk.record('gone-2');
    const anew = { revision: Number(found['revision']) + further, storedAt: browser.now(), changedAt: browser.now(), state: 'active' };
    disk.records.set('gone-2', { ...found, ...anew, ...fieldsOf(authority.signIn()) });
    await browser.advance(1_000);
    expect(store.snapshot().ids).toEqual(['gone-2']);
    expect(await codeOf(store.store(authority.signIn({ id: 'gone-2' })))).toBe('credential_exists');
  });
});

/** What a removed credential of a world would leave. */
function tombstone({ disk }: World, id: string): Readonly<Record<string, unknown>> {
  const [any] = [...disk.records.values()].filter((value) => (value as { readonly id: string }).id !== '@store');
  return { ...(any as object), id, state: 'removed', defaultClaim: 0, secrets: null, claims: null, tags: [], scope: '' };
}

function fieldsOf({
  accessToken,
  tokenType,
  scope,
  issuedAt,
  expiresAt,
  claims,
  context,
}: ReturnType<World['authority']['signIn']>): object {
  return { secrets: { accessToken }, tokenType, scope, issuedAt, expiresAt, claims, context };
}
