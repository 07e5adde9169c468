import { closeAll, codeOf, collect, createWorld, settle } from '../support/fixture.js';

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
