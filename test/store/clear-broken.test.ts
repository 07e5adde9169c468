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
