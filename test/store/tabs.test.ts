import type { Channel } from '../../src/platform/platform.js';
import { offline, refusal } from '../support/fake-client.js';
import { closeAll, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

/** Tabs that know the same credential. */
async function tabsWith(world: World, count: number) {
  const tabs: Tab[] = [];
  for (let i = 0; i < count; i++) tabs.push(await world.openTab());
  const token = world.authority.signIn();
  await tabs[0]?.store.store(token);
  await settle();
  const credentials = await Promise.all(tabs.map(({ store }) => store.with(token.id)));
  return tabs.map((tab, index) => {
    const credential = credentials[index];
    if (!credential) throw new Error(`tab ${index} does not know the credential`);
    return { ...tab, credential };
  });
}

describe('tabs', () => {
  it('E2 RF-1 RF-2 send one refresh together; the others adopt its token', async () => {
    const world = createWorld();
    const tabs = await tabsWith(world, 8);
    await world.browser.advance(3_700_000);
    const tokens = await Promise.all(tabs.map(({ credential }) => credential.accessToken()));
    expect(world.authority.refreshes).toHaveLength(1);
    expect(new Set(tokens).size).toBe(1);
    expect(world.authority.reuses()).toBe(0);
  });

  it('E2 send one refresh together also when it is forced', async () => {
    const world = createWorld();
    const tabs = await tabsWith(world, 3);
    const tokens = await Promise.all(tabs.map(({ credential }) => credential.refresh()));
    expect(world.authority.refreshes).toHaveLength(1);
    expect(new Set(tokens.map(({ accessToken }) => accessToken)).size).toBe(1);
  });

  it('E2 the second waits until the first has committed', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.authority.hold();
    const both = Promise.all([a?.credential.refresh(), b?.credential.refresh()]);
    await settle();
    expect(world.authority.refreshes).toHaveLength(1);
    expect([...world.browser.heldLocks]).toEqual([`app:refresh:${a?.credential.id ?? ''}`]);
    world.authority.refreshes[0]?.answer();
    const [first, second] = await both;
    expect(second?.isEqual(first ?? second)).toBe(true);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('E58 the second sends for itself when the first has failed', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.authority.next(refusal('temporarily_unavailable'));
    const [first, second] = await Promise.allSettled([a?.credential.refresh(), b?.credential.refresh()]);
    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
    expect(b?.credential.token).not.toBeNull();
    expect(world.authority.refreshes).toHaveLength(2);
  });

  it('E58 RF-8 the second sends for itself when the first got no answer, once nothing of it is on its way any more', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.authority.next(offline(), offline(), offline());
    const both = Promise.allSettled([a?.credential.refresh(), b?.credential.refresh()]);
    while (world.authority.refreshes.length < 3) await world.browser.advance(100);
    await world.browser.advance(1_900);
    expect(world.authority.refreshes).toHaveLength(3);
    const [first, second] = await inTime(world.browser, both);
    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
    expect(world.authority.refreshes).toHaveLength(4);
    expect(world.authority.reuses()).toBe(0);
  });

  it('E58 RF-12 a tab that missed every message refreshes with what is stored, not with what it remembers', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.browser.setDelivery(0);
    const renewed = await a?.credential.refresh();
    await world.browser.advance(3_700_000);
    const token = await b?.credential.accessToken();
    expect(world.authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual([expect.any(String), renewed?.refreshToken]);
    expect(token).toBe(b?.credential.token?.accessToken);
    expect(world.authority.reuses()).toBe(0);
  });

  it('RF-12 a tab that missed the message adopts the token on its own next refresh and sends nothing', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    await world.browser.advance(3_700_000);
    world.browser.setDelivery(0);
    const renewed = await a?.credential.accessToken();
    expect(await b?.credential.accessToken()).toBe(renewed);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('RF-12 a tab that has not heard of a rejection puts the new token of that user in its place all the same', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.browser.setDelivery(0);
    world.authority.forget(a?.credential.token?.refreshToken);
    await expect(a?.credential.refresh()).rejects.toMatchObject({ code: 'needs_sign_in' });
    const stored = await b?.store.store(world.authority.signIn());
    expect(stored?.id).toBe(a?.credential.id);
    expect(b?.store.snapshot().ids).toEqual([a?.credential.id]);
  });

  it('RF-12 a message that arrives twice changes nothing twice', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    b?.newEvents();
    world.browser.setDelivery(2);
    await a?.credential.setTags(['work']);
    await a?.credential.refresh();
    await settle();
    expect(b?.newEvents()).toEqual(['metadata_updated', 'token_replaced']);
  });

  it.each([
    ['of a credential that does not exist', { id: 'unknown', generation: 9, revision: 9 }],
    ['of a far revision', { id: 'THIS', generation: 99, revision: 99 }],
    ['of an earlier revision', { id: 'THIS', generation: 0, revision: 0 }],
    ['without a revision', { id: 'THIS' }],
    ['of the store record', { id: '@store', generation: 99, revision: 99 }],
    ['with a token in it', { id: 'THIS', revision: 99, accessToken: 'stolen', record: { state: 'removed' } }],
    ['that is a string', 'clear'],
    ['that is null', null],
    ['that is a list', ['THIS', 1, 1]],
    ['whose id is a number', { id: 7, revision: 7 }],
  ])('RF-12 a forged message %s changes nothing', async (_, message) => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    const before = b?.store.snapshot();
    a?.newEvents();
    b?.newEvents();
    const forged = JSON.parse(JSON.stringify(message).replaceAll('THIS', a?.credential.id ?? '')) as unknown;
    world.browser.forge('app:records', forged);
    await settle();
    expect([a?.newEvents(), b?.newEvents()]).toEqual([[], []]);
    expect(b?.store.snapshot()).toBe(before);
  });

  it('see what others store, tag, refresh and remove, marked as done elsewhere', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const credential = await a.store.store(world.authority.signIn(), { tags: ['old'] });
    await credential.setTags(['new']);
    await credential.refresh();
    await settle();
    const other = await b.store.with(credential.id);
    expect(other).toMatchObject({ tags: ['new'], token: { accessToken: credential.token?.accessToken } });
    await credential.remove();
    await settle();
    expect(await b.store.allIDs()).toEqual([]);
    expect(b.events.every((event) => event.origin === (event.type === 'restored' ? 'here' : 'elsewhere'))).toBe(true);
    expect(b.events.map(({ type }) => type)).toEqual(expect.arrayContaining(['token_added', 'token_removed']));
  });

  it('read everything again when their page comes back, and so learn what no message told them', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.browser.setDelivery(0);
    await a?.credential.remove();
    const { id } = (await a?.store.store(world.authority.signIn({ sub: 'bob' }))) ?? { id: '' };
    expect(await b?.store.allIDs()).toEqual([b?.credential.id]);
    b?.platform.emit('resumed');
    await settle();
    expect(await b?.store.allIDs()).toEqual([id]);
    expect(await b?.store.getDefault()).toMatchObject({ id });
  });

  it('forget a credential whose record has vanished, and are not signed in by its late message', async () => {
    const world = createWorld();
    const [, b] = await tabsWith(world, 2);
    world.disk.records.clear(); // as a browser does that needs the space
    b?.platform.emit('visible');
    await settle();
    expect(await b?.store.allIDs()).toEqual([]);
    world.browser.forge('app:records', { id: b?.credential.id, generation: 1, revision: 1 });
    await settle();
    expect(await b?.store.allIDs()).toEqual([]);
    expect(b?.credential.token).toBeNull();
  });

  it('learn of a clear when their page comes back', async () => {
    const world = createWorld();
    const [a, b] = await tabsWith(world, 2);
    world.browser.setDelivery(0);
    await a?.store.clear();
    b?.platform.emit('visible');
    await settle();
    expect(await b?.store.allIDs()).toEqual([]);
  });

  it('E45 that are starting do not miss what happens while they read', async () => {
    const world = createWorld();
    const [a] = await tabsWith(world, 1);
    const reading = world.disk.hold(({ method }) => method === 'readAll', 'after');
    const starting = world.startTab();
    await reading.reached; // the new tab has read the credential, and does not know it yet
    await a?.credential.remove();
    await settle();
    reading.open();
    await starting.store.ready;
    await settle();
    expect(starting.store.snapshot().ids).toEqual([]);
  });

  it('of other namespaces do not hear of each other', async () => {
    const world = createWorld();
    const [a] = await tabsWith(world, 1);
    const reads = world.disk.calls.filter(({ method }) => method === 'read').length;
    world.browser.forge('other:records', { id: a?.credential.id, generation: 9, revision: 9 });
    await settle();
    expect(world.disk.calls.filter(({ method }) => method === 'read')).toHaveLength(reads);
  });

  it('do not lose a session when many refresh, tag and read at once', async () => {
    const world = createWorld();
    const tabs = await tabsWith(world, 4);
    for (let round = 0; round < 25; round++) {
      world.browser.setClock(world.browser.now() + 3_700_000);
      await Promise.all(
        tabs.flatMap(({ credential }, n) => [credential.accessToken(), credential.refresh(), credential.setTags([`${round}-${n}`])]),
      );
      await settle();
    }
    expect(world.authority.reuses()).toBe(0);
    expect(world.authority.liveRefreshTokens()).toHaveLength(1);
    const [live] = world.authority.liveRefreshTokens();
    expect(tabs.map(({ credential }) => credential.token?.refreshToken)).toEqual(Array(4).fill(live));
    for (const { credential } of tabs) await credential.refresh();
    expect(world.authority.reuses()).toBe(0);
  });
});

it.each<[string, () => Channel]>([
  ['cannot be opened', () => fail()],
  ['cannot be posted to', () => ({ post: fail, close: () => undefined })],
  ['cannot be closed', () => ({ post: () => undefined, close: fail })],
])('RF-12 a channel that %s, as some extensions make it, costs no command: messages are hints', async (_, openChannel) => {
  const { openTab, authority, disk } = createWorld();
  const { store, events } = await openTab({ platform: { openChannel } });
  const credential = await store.store(authority.signIn());
  await credential.refresh();
  await credential.setTags(['x']);
  expect(disk.record(credential.id)).toMatchObject({ tags: ['x'], generation: 2 });
  await credential.remove();
  await store.close();
  expect(events.filter(({ type }) => type === 'not_durable' || type === 'refresh_failed')).toEqual([]);
});

function fail(): never {
  throw new DOMException('no channel', 'InvalidStateError');
}
