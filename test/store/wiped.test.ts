// Storage that is emptied under living tabs: the user clears the data of the site, a script deletes the database.
import { closeAll, createWorld, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

/** What a tab that starts now finds, which all others must show, too. */
async function agree(world: World, ...tabs: readonly Tab[]): Promise<void> {
  const { store } = await world.openTab();
  const { ids, defaultId } = store.snapshot();
  for (const tab of tabs) expect(tab.store.snapshot()).toMatchObject({ ids, defaultId });
}

/** How a tab finds out that the storage is another one. */
const WAYS = ['hears', 'wakes'] as const;

describe('E45 a sign-in in another tab after the storage was emptied', () => {
  it.each([
    ['of which nothing is known but one credential', async () => undefined],
    [
      'whose store record had counted',
      async ({ store }: Tab, { authority }: World) => void (await store.setDefault((await store.store(authority.signIn({ sub: 'x' }))).id)),
    ],
    [
      'where nobody was the default',
      async ({ store }: Tab, { authority }: World) => (await store.store(authority.signIn({ sub: 'x' })), store.setDefault(null)),
    ],
    [
      'that had been cleared before',
      async ({ store }: Tab, { authority }: World) => (await store.clear(), void (await store.store(authority.signIn({ sub: 'x' })))),
    ],
    ['that had been cleared before, and holds nothing', async ({ store }: Tab) => store.clear()],
    [
      'with a tombstone',
      async ({ store }: Tab, { authority }: World) => {
        for (const id of store.snapshot().ids) await (await store.with(id))?.remove();
        await store.store(authority.signIn());
      },
    ],
    [
      'with many claims',
      async ({ store }: Tab, { authority }: World) => {
        const [b, c] = [await store.store(authority.signIn({ sub: 'b' })), await store.store(authority.signIn({ sub: 'c' }))];
        for (const one of [b, c, b]) await store.setDefault(one);
      },
    ],
  ])('is seen, and is the default: %s', async (_, prepare) => {
    for (const way of WAYS) {
      const world = createWorld();
      const old = await world.openTab();
      await old.store.store(world.authority.signIn());
      await prepare(old, world);
      await world.browser.advance(5_000);
      world.disk.records.clear();
      const other = await world.openTab();
      if (way === 'wakes') world.browser.setDelivery(0);
      const { id } = await other.store.store(world.authority.signIn({ sub: 'new' }));
      await settle();
      world.browser.setDelivery(1);
      if (way === 'hears' && old.store.snapshot().ids.includes(id))
        old.platform.emit('visible'); // that the others are gone nobody tells
      else if (way === 'wakes') old.platform.emit('visible');
      await settle();
      expect(old.store.snapshot()).toMatchObject({ ids: [id], defaultId: id });
      await agree(world, old, other);
      await old.store.store(world.authority.signIn({ sub: 'next' }));
      await settle();
      await agree(world, old, other);
      await other.store.setDefault(null);
      await settle();
      await agree(world, old, other);
      await other.store.clear();
      await settle();
      await agree(world, old, other);
    }
  });

  it('is seen by a tab that woke before it, and by one that did not', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    await a.store.store(world.authority.signIn());
    await a.store.clear();
    await a.store.store(world.authority.signIn());
    await settle();
    await world.browser.advance(1_000);
    world.disk.records.clear();
    a.platform.emit('visible');
    await settle();
    expect(a.store.snapshot()).toMatchObject({ ids: [], defaultId: null });
    const c = await world.openTab();
    const { id } = await c.store.store(world.authority.signIn());
    await settle();
    for (const { store } of [a, b, c]) expect(store.snapshot()).toMatchObject({ ids: [id], defaultId: id });
    expect((await a.store.with(id))?.id).toBe(id);
  });

  it('is seen though the other tab has counted further than this one knew', async () => {
    const world = createWorld();
    const old = await world.openTab();
    await old.store.store(world.authority.signIn());
    for (let i = 0; i < 3; i++) await old.store.clear();
    await old.store.store(world.authority.signIn());
    await world.browser.advance(1_000);
    world.disk.records.clear();
    world.browser.setDelivery(0);
    const other = await world.openTab();
    const [one, two] = [await other.store.store(world.authority.signIn()), await other.store.store(world.authority.signIn({ sub: 'bob' }))];
    await other.store.setDefault(two);
    old.platform.emit('visible');
    await settle();
    expect(old.store.snapshot()).toMatchObject({ ids: [one.id, two.id], defaultId: two.id });
  });
});

describe('RF-15 what only looks like another storage', () => {
  /** A storage that was cleared, counts, and has a default that was chosen. */
  async function withHistory() {
    const world = createWorld();
    const tab = await world.openTab();
    await tab.store.store(world.authority.signIn());
    await tab.store.clear();
    const [alice, bob] = [await tab.store.store(world.authority.signIn()), await tab.store.store(world.authority.signIn({ sub: 'bob' }))];
    await tab.store.setDefault(bob);
    await tab.store.setDefault(null);
    await world.browser.advance(1_000);
    return { world, tab, alice, bob };
  }

  it('is no reason to promote anybody: the store record alone is gone', async () => {
    const { world, tab } = await withHistory();
    const before = tab.store.snapshot();
    world.disk.records.delete('@store');
    tab.platform.emit('visible');
    await settle();
    expect(tab.store.snapshot()).toEqual(before);
  });

  it('brings back nothing that was cleared: a backup was put back', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    await tab.store.store(world.authority.signIn());
    await tab.store.setDefault(null);
    const backup = new Map(world.disk.records);
    await tab.store.clear();
    const { id } = await tab.store.store(world.authority.signIn({ sub: 'bob' }));
    await world.browser.advance(1_000);
    const kept = world.disk.record(id);
    world.disk.records.clear();
    for (const [key, value] of [...backup, [id, kept] as const]) world.disk.records.set(key, value);
    tab.platform.emit('visible');
    await settle();
    expect(tab.store.snapshot()).toMatchObject({ ids: [id], defaultId: id });
  });

  it('costs no session: one old reading of everything, and the next one is right', async () => {
    const { world, tab, alice, bob } = await withHistory();
    const now = new Map(world.disk.records);
    const gate = world.disk.hold(({ method }) => method === 'readAll');
    tab.platform.emit('visible');
    await gate.reached;
    world.disk.records.clear();
    const second = world.disk.hold(({ method, id }) => method === 'read' && id === '@store');
    gate.open();
    await second.reached;
    for (const [key, value] of now) world.disk.records.set(key, value);
    second.open();
    await settle();
    expect(tab.store.snapshot()).toMatchObject({ ids: [alice.id, bob.id], defaultId: null });
  });
});

it('D-022 nobody is promoted in the place of a default whose record was removed for lack of room', async () => {
  const world = createWorld();
  const [a, b] = [await world.openTab(), await world.openTab()];
  const first = await a.store.store(world.authority.signIn());
  const second = await a.store.store(world.authority.signIn({ sub: 'bob' }));
  await a.store.setDefault(second);
  await a.store.setDefault(first);
  await settle();
  world.disk.fail(({ method, record }) => method === 'write' && record?.['state'] === 'removed');
  await first.remove();
  await settle();
  for (const { store, platform } of [a, b]) {
    platform.emit('visible');
    await settle();
    expect(store.snapshot()).toMatchObject({ ids: [second.id], defaultId: null });
  }
});
