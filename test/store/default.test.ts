import { refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);

describe('the default credential', () => {
  it.each([undefined, 5, {}, []])('is not set to %j: a TypeError that says what to pass', async (wrong) => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await expect(store.setDefault(wrong as never)).rejects.toThrow(new TypeError('setDefault takes a credential, its id, or null'));
    expect(await store.getDefault()).toBe(credential);
  });

  it('is the first credential stored, and no later one', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const seen = collect(store.default$);
    const first = await store.store(authority.signIn({ sub: 'alice' }));
    await store.store(authority.signIn({ sub: 'bob' }));
    expect(seen.values).toEqual([null, first]);
    expect(await store.getDefault()).toBe(first);
  });

  it('comes in the same emission and the same record write as the first credential', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const states = collect(store.state$);
    const { id } = await store.store(authority.signIn());
    expect(states.values.map((state) => [state.ids, state.defaultId])).toEqual([
      [[], null],
      [[id], id],
    ]);
    expect(disk.calls.filter(({ method }) => method === 'write').map((call) => call.id)).toEqual([id]);
  });

  it('stays the same after a restart', async () => {
    const { openTab, authority } = createWorld();
    const before = await openTab();
    await before.store.store(authority.signIn());
    const second = await before.store.store(authority.signIn({ sub: 'bob' }));
    await before.store.setDefault(second);
    await before.store.close();
    const after = await openTab();
    expect((await after.store.getDefault())?.id).toBe(second.id);
  });

  it('reaches other tabs', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const first = await a.store.store(authority.signIn());
    const second = await a.store.store(authority.signIn({ sub: 'bob' }));
    await settle();
    const seen = collect(b.store.default$);
    await a.store.setDefault(second.id);
    await settle();
    expect(seen.values.map((credential) => credential?.id)).toEqual([first.id, second.id]);
    expect(b.events.at(-1)).toMatchObject({ type: 'default_changed', id: second.id, origin: 'elsewhere' });
  });

  it('emits nothing and writes nothing when it is set again', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    const [defaults, states] = [collect(store.default$), collect(store.state$)];
    const writes = disk.calls.filter(({ method }) => method === 'write').length;
    newEvents();
    await store.setDefault(credential);
    await store.setDefault(credential.id);
    expect(newEvents()).toEqual([]);
    expect([defaults.values.length, states.values.length]).toEqual([1, 1]);
    expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(writes);
  });

  it('is nobody after the default was removed, and nothing is promoted, also not after a restart', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn());
    await store.store(authority.signIn({ sub: 'bob' }));
    const seen = collect(store.default$);
    await first.remove();
    expect(seen.values).toEqual([first, null]);
    await store.close();
    expect(await (await openTab()).store.getDefault()).toBeNull();
  });

  it('stays nobody after the tombstone that says so was swept', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn());
    const other = await store.store(authority.signIn({ sub: 'bob' }));
    await store.setDefault(other);
    await store.setDefault(first); // so that both have claimed it
    await first.remove();
    await store.close();
    await browser.advance(25 * 60 * 60_000);
    const second = await openTab();
    expect(disk.records.has(first.id)).toBe(false);
    expect(await second.store.getDefault()).toBeNull();
    await second.store.close();
    expect(await (await openTab()).store.getDefault()).toBeNull();
  });

  it('is nobody when set to null, in all tabs and after a restart, and can be claimed again', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await a.store.setDefault(null);
    await settle();
    expect(await b.store.getDefault()).toBeNull();
    expect(await (await openTab()).store.getDefault()).toBeNull();
    await b.store.setDefault(credential.id);
    await settle();
    expect((await a.store.getDefault())?.id).toBe(credential.id);
  });

  it('is not claimed by a later credential after it was set to null', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn());
    await store.setDefault(null);
    await store.store(authority.signIn({ sub: 'bob' }));
    expect(await store.getDefault()).toBeNull();
  });

  it('is the first credential stored after all others were removed', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    await (await store.store(authority.signIn())).remove();
    const next = await store.store(authority.signIn());
    expect(await store.getDefault()).toBe(next);
  });

  it('is who signs in where nobody is, and nothing that is there can be used: else nobody could be signed in again', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const bob = await store.store(authority.signIn({ sub: 'bob' }));
    authority.next(refusal('invalid_grant'));
    await bob.refresh().catch(() => undefined);
    expect(bob.status.token).toBe('needs_sign_in');
    await (await store.store(authority.signIn({ sub: 'alice' }))).remove();
    expect(await store.getDefault()).toBeNull(); // nobody is promoted
    const again = await store.store(authority.signIn({ sub: 'alice' }));
    expect(await store.getDefault()).toBe(again);
    expect(await (await openTab()).store.getDefault()).toMatchObject({ id: again.id });
  });

  it('E61 RF-12 is not taken from who signed in elsewhere, though nobody has told of it', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    for (const sub of ['xavier', 'yvonne']) {
      const one = await a.store.store(authority.signIn({ sub }));
      authority.next(refusal('invalid_grant'));
      await one.refresh().catch(() => undefined);
    }
    await a.store.setDefault(null);
    await settle();
    browser.setDelivery(0);
    const yvonne = await b.store.store(authority.signIn({ sub: 'yvonne' }));
    await b.store.setDefault(yvonne);
    await a.store.store(authority.signIn({ sub: 'zoe' }));
    expect([a, await openTab()].map(({ store }) => store.snapshot().defaultId)).toEqual([yvonne.id, yvonne.id]);
  });

  it('stays nobody after the default was removed, as long as another can be used', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn());
    await store.store(authority.signIn({ sub: 'bob' }));
    await first.remove();
    await store.store(authority.signIn({ sub: 'carol' }));
    expect(await store.getDefault()).toBeNull();
  });

  it('E61 is exactly one when two tabs store their first credential at the same time', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    await Promise.all([a.store.store(authority.signIn()), b.store.store(authority.signIn({ sub: 'bob' }))]);
    await settle();
    const defaults = [a, b, await openTab()].map(({ store }) => store.snapshot().defaultId);
    expect(defaults[0]).not.toBeNull();
    expect(new Set(defaults).size).toBe(1);
    expect(a.store.snapshot().credentials.filter(({ isDefault }) => isDefault)).toHaveLength(1);
  });

  it('E61 RF-12 is exactly one though the tab that stores second has heard of nothing', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    browser.setDelivery(0);
    const { id } = await a.store.store(authority.signIn());
    await b.store.store(authority.signIn({ sub: 'bob' }));
    expect([b, await openTab()].map(({ store }) => store.snapshot().defaultId)).toEqual([id, id]);
  });

  it('E61 RF-12 is the next one stored though the tab that stores it has not heard that the last one was removed', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const first = await a.store.store(authority.signIn());
    await settle();
    expect(b.store.snapshot().ids).toEqual([first.id]);
    browser.setDelivery(0);
    await first.remove();
    const second = await b.store.store(authority.signIn({ sub: 'bob' }));
    expect([b, await openTab()].map(({ store }) => store.snapshot().defaultId)).toEqual([second.id, second.id]);
  });

  it('E61 does not move while parallel first stores of one tab are written', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const seen = collect(store.default$);
    const stored = await Promise.all(['a', 'b', 'c', 'd'].map((sub) => store.store(authority.signIn({ sub }))));
    expect(seen.values).toEqual([null, stored[0]]);
  });

  it('is the next one stored while the default is being revoked, so that who signs in is signed in', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn());
    let finish = (): void => undefined;
    authority.setRevocation(() => new Promise((resolve) => (finish = resolve)));
    const revoking = first.revoke();
    await settle();
    const second = await store.store(authority.signIn({ sub: 'bob' }));
    expect(store.snapshot().defaultId).toBe(second.id);
    authority.setRevocation(() => Promise.resolve());
    finish();
    await revoking;
    expect([store.snapshot().defaultId, (await (await openTab()).store.getDefault())?.id]).toEqual([second.id, second.id]);
  });

  it('is the next one stored while the default needs another user to sign in', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const first = await store.store(authority.signIn());
    authority.forget(first.token?.refreshToken);
    expect(await codeOf(first.refresh())).toBe('needs_sign_in');
    const second = await store.store(authority.signIn({ sub: 'bob' }));
    expect(store.snapshot().defaultId).toBe(second.id);
  });

  it('is the next one stored where the default belongs to a client that is not configured', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn({ clientId: 'another-app' }));
    const mine = await store.store(authority.signIn({ sub: 'bob' }));
    expect(store.snapshot().defaultId).toBe(mine.id);
  });

  it('RF-12 is what was asked for even if the message of another tab that changed it was lost', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const first = await a.store.store(authority.signIn());
    const second = await a.store.store(authority.signIn({ sub: 'bob' }));
    await settle();
    browser.setDelivery(0);
    await a.store.setDefault(second);
    await b.store.setDefault(first.id); // b believes that this is so already
    expect((await (await openTab()).store.getDefault())?.id).toBe(first.id);
  });

  it('cannot be a credential that is not there', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await expect(store.setDefault('unknown')).rejects.toMatchObject({ code: 'credential_removed' });
    await credential.remove();
    await expect(store.setDefault(credential)).rejects.toMatchObject({ code: 'credential_removed' });
  });
});

it('nothing is promoted when an id is stored again whose removal made nobody the default', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const alice = await store.store(authority.signIn({ sub: 'alice' }));
  const bob = await store.store(authority.signIn({ sub: 'bob', id: 'bob' }));
  await store.setDefault(bob);
  await bob.remove();
  expect(store.snapshot().defaultId).toBeNull();
  await store.store(authority.signIn({ sub: 'bob', id: 'bob' }));
  expect(store.snapshot().defaultId).toBeNull();
  expect((await openTab()).store.snapshot().defaultId).toBeNull();
  await store.setDefault(alice);
  expect((await openTab()).store.snapshot().defaultId).toBe(alice.id);
});

it('a credential whose times are before 1970 can vanish like any other', async () => {
  const { openTab, authority, disk, browser } = createWorld();
  const { id } = await (await openTab()).store.store(authority.signIn());
  disk.records.set(id, { ...disk.record(id), changedAt: -1, storedAt: -2 });
  const tab = await openTab();
  expect(tab.store.snapshot().defaultId).toBe(id);
  disk.records.delete(id);
  browser.sleep(3_600_000);
  tab.platform.emit('resumed');
  await settle();
  expect(await tab.store.allIDs()).toEqual([]);
});
