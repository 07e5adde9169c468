import { createCredentialStore, memoryStorage, type CredentialStorage } from '../../src/index.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, inTime } from '../support/fixture.js';

afterEach(closeAll);

describe('E47 clear on a storage that is broken', () => {
  it.each([[['write', 'remove']], [['read']], [['readAll']], [['read', 'readAll', 'write', 'remove']]])(
    'signs everybody out here when %j fail, and on the disk once it works again',
    async (methods) => {
      const { openTab, authority, disk, browser } = createWorld();
      const { store, events } = await openTab();
      const [alice, bob] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
      const mend = disk.fail(({ method }) => methods.includes(method));
      await inTime(
        browser,
        store.clear().catch(() => undefined),
        120_000,
      );
      expect([store.snapshot().ids, store.snapshot().defaultId]).toEqual([[], null]);
      for (const one of [alice, bob]) expect(await codeOf(one.accessToken())).toBe('credential_removed');
      expect(events.filter(({ type }) => type === 'token_removed' || type === 'cleared').length).toBeGreaterThan(0);
      mend();
      await browser.advance(120_000);
      expect(store.snapshot().ids).toEqual([]);
      const later = await openTab();
      expect(later.store.snapshot()).toMatchObject({ ids: [], defaultId: null, durable: true });
      expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
    },
  );

  it('says so', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn());
    const mend = disk.fail(({ method }) => method !== 'open');
    expect(await inTime(browser, codeOf(store.clear()), 120_000)).toBe('storage_failed');
    mend();
  });
});

describe('E62 one record that cannot be removed', () => {
  const removing = (id: string) => (call: DiskCall) => call.method === 'remove' && call.id === id;

  it.each([
    ['takes a new epoch', []],
    ['is full', ['write']],
  ])('keeps no token of others on a disk that %s', async (_, methods) => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    const [alice] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    await store.store(authority.signIn({ sub: 'carol' }));
    disk.fail(removing(alice.id));
    disk.fail(({ method }) => methods.includes(method));
    expect(await inTime(browser, codeOf(store.clear()), 120_000)).toBe('storage_failed');
    expect(store.snapshot().ids).toEqual([]);
    expect([...disk.records.keys()].filter((id) => !id.startsWith('@'))).toEqual([alice.id]);
    disk.release();
    await store.store(authority.signIn({ sub: 'dave' }));
    await browser.advance(7 * 3_600_000); // what is left is looked for every six hours
    expect(JSON.stringify(disk.records.get(alice.id) ?? null)).not.toContain('CANARY');
  });

  it('keeps no token of thousands on a medium that takes one removal after the other', async () => {
    const { authority, browser } = createWorld();
    const platform = browser.openTab();
    const medium = memoryStorage();
    let last: Promise<unknown> = Promise.resolve();
    const storage: CredentialStorage = {
      ...medium,
      remove: async (id, condition) => {
        await (last = last.then(() => new Promise<void>((resolve) => platform.setTimer(resolve, 100))));
        if (id === 'stays') throw new Error('disk failure');
        return medium.remove(id, condition);
      },
    };
    const store = createCredentialStore({ clients: authority.client(platform), storage, platform, renewal: { ahead: false } });
    for (const id of ['stays', ...Array.from({ length: 400 }, (_, i) => `more ${i}`)]) await store.store(authority.signIn({ id, sub: id }));
    expect(await inTime(browser, codeOf(store.clear()), 200_000)).toBe('storage_failed');
    expect((await medium.readAll()).map(({ id }) => id).filter((id) => !id.startsWith('@'))).toEqual(['stays']);
    await inTime(browser, store.close());
  });

  it('is left by a start that lets go of all others, whatever is damaged', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    disk.records.set('bad', { v: 99 });
    const { store } = await openTab();
    const [alice, bob] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    const mend = disk.fail(({ method }) => method === 'remove');
    expect(await inTime(browser, codeOf(store.clear()), 120_000)).toBe('storage_failed');
    await store.close();
    expect([...disk.records.keys()]).toEqual(expect.arrayContaining(['bad', alice.id, bob.id]));
    mend();
    disk.fail(removing(alice.id));
    const { store: later } = await openTab();
    await later.find({});
    await browser.advance(1_000);
    expect([...disk.records.keys()].filter((id) => !id.startsWith('@'))).toEqual(['bad', alice.id]);
  });

  it.each([['here'], ['at the next start'], ['in another tab']])(
    'keeps nobody from storing under its id once it can be removed: %s',
    async (where) => {
      const { openTab, authority, disk, browser } = createWorld();
      const { store } = await openTab();
      const other = await openTab();
      await store.store(authority.signIn({ id: 'me' }));
      const mend = disk.fail(removing('me'));
      expect(await inTime(browser, codeOf(store.clear()), 120_000)).toBe('storage_failed');
      mend();
      const next = where === 'here' ? { store } : where === 'in another tab' ? other : await openTab();
      const token = authority.signIn({ id: 'me', sub: 'me' });
      await inTime(browser, next.store.store(token));
      expect((await openTab()).store.snapshot()).toMatchObject({ ids: ['me'], defaultId: 'me', durable: true });
      expect(disk.record('me')).toMatchObject({ state: 'active', epoch: 1, secrets: { accessToken: token.accessToken } });
    },
  );

  it('E47 takes nobody along who signs in under an id that is about to be removed', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    const other = await openTab();
    for (const id of ['first', 'me']) await store.store(authority.signIn({ id, sub: id }));
    const gate = disk.hold(removing('first'));
    const clearing = store.clear();
    await gate.reached;
    const token = authority.signIn({ id: 'me', sub: 'me' });
    await inTime(browser, other.store.store(token)); // she waits for the lock of the store no longer than five seconds
    gate.open();
    await inTime(browser, clearing);
    expect((await openTab()).store.snapshot()).toMatchObject({ ids: ['me'], defaultId: 'me' });
    expect(disk.record('me')).toMatchObject({ secrets: { accessToken: token.accessToken } });
  });

  it('RF-15 one whose removal is never answered costs the time of one answer, not of each', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    for (let i = 0; i < 8; i++) await store.store(authority.signIn({ sub: `user ${i}` }));
    disk.hold(({ method }) => method === 'remove');
    expect(await inTime(browser, codeOf(store.clear()), 4 * 61_000)).toBe('storage_failed');
  });
});

it('E68 one more credential of a user who has a hundred costs no more readings than one of a user who has ten', async () => {
  const { openTab, authority, disk } = createWorld();
  const { store } = await openTab();
  const readings: number[] = [];
  for (let i = 0; i < 101; i++) {
    const before = disk.calls.length;
    await store.store(authority.signIn());
    readings.push(disk.calls.slice(before).filter(({ method }) => method === 'read').length);
  }
  expect(readings[100]).toBe(readings[10]);
});

it('E47 who signs in while a storage takes long not to let go of a record stays signed in', async () => {
  const { openTab, authority, disk, browser } = createWorld();
  const { store } = await openTab();
  await store.store(authority.signIn({ sub: 'alice' }));
  disk.records.set('garbage', 5); // what no one can read is removed by clear
  const stuck = disk.hold(({ method, id }) => method === 'remove' && id === 'garbage', 'before');
  disk.fail(({ method, id }) => method === 'remove' && id === 'garbage');
  const clearing = codeOf(store.clear());
  await stuck.reached;
  const bob = await inTime(browser, store.store(authority.signIn({ sub: 'bob' })));
  stuck.open();
  expect(await inTime(browser, clearing)).toBe('storage_failed');
  expect(store.snapshot()).toMatchObject({ ids: [bob.id], defaultId: bob.id });
  expect([...disk.records.keys()]).toContain(bob.id);
});
