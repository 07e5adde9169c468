// D-022: where no tombstone can be written the record of the default is removed, and with it what says that nobody is the default.
import { closeAll, createWorld, inTime } from '../support/fixture.js';

afterEach(closeAll);

it.each([
  ['one write fails', 1],
  ['writes fail for a while', Infinity],
])('nobody is promoted in the place of a default that was removed while %s', async (_, times) => {
  const { openTab, authority, disk, browser } = createWorld();
  const { store, events } = await openTab();
  const bob = await store.store(authority.signIn({ sub: 'bob' }));
  const alice = await store.store(authority.signIn({ sub: 'alice' }));
  await store.setDefault(alice);
  let failed = 0;
  const mend = disk.fail(({ method }) => method === 'write' && ++failed <= times);
  await inTime(browser, alice.remove());
  expect(store.snapshot().defaultId).toBeNull();
  if (times > 1) expect(events.map(({ type }) => type)).toContain('not_durable');
  mend();
  await browser.advance(60_000);
  expect(store.snapshot()).toMatchObject({ durable: true, defaultId: null, ids: [bob.id] });
  const later = await openTab();
  expect(later.store.snapshot()).toMatchObject({ defaultId: null, ids: [bob.id] });
  await store.setDefault(bob);
  expect((await openTab()).store.snapshot().defaultId).toBe(bob.id);
});
