import type { CredentialRecord } from '../../src/credential/record.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import type { Credential } from '../../src/store/credential.js';
import { refusal } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

interface Pair {
  readonly world: World;
  readonly A: Tab;
  readonly B: Tab;
  readonly a: Credential;
  readonly b: Credential;
}

async function twoTabs(storage?: (world: World) => CredentialStorage): Promise<Pair> {
  const world = createWorld();
  const A = await world.openTab(storage && { storage: storage(world) });
  const B = await world.openTab();
  const a = await A.store.store(world.authority.signIn());
  await settle();
  const b = await B.store.with(a.id);
  if (!b) throw new Error('the other tab has no credential');
  return { world, A, B, a, b };
}

/** The other tab writes, and its message is lost. */
async function unheard({ world: { browser } }: Pair, write: () => Promise<unknown>): Promise<void> {
  browser.setDelivery(0);
  await write();
  browser.setDelivery(1);
}

/** From now on this record cannot be read. */
const failReading = ({ world: { disk }, a }: Pair): (() => void) => disk.fail(({ method, id }) => method === 'read' && id === a.id);

/** Refuses writes for want of space, but says first where somebody else wrote. */
function fullStorage({ disk }: World, isFull: () => boolean): CredentialStorage {
  const raw = disk.storage();
  const write: CredentialStorage['write'] = async (record, condition, ...rest) => {
    const stored = disk.records.get(record.id) as { readonly revision?: unknown } | undefined;
    if (isFull() && !(Number.isInteger(condition) && stored?.revision !== condition)) throw new DOMException('full', 'QuotaExceededError');
    return raw.write(record, condition, ...rest);
  };
  return { ...raw, write };
}

describe('RF-15 a write that was refused, where it cannot be read why', () => {
  it('keeps a refresh token that was rotated, and the lock, until it is written', async () => {
    const pair = await twoTabs();
    const { world, A, a, b } = pair;
    world.authority.hold();
    const refreshing = a.refresh();
    await settle();
    await unheard(pair, () => b.setTags(['x']));
    const mend = failReading(pair);
    world.authority.refreshes[0]?.answer();
    const { refreshToken } = await inTime(world.browser, refreshing);
    expect(world.authority.liveRefreshTokens()).toEqual([refreshToken]);
    expect(A.store.snapshot().durable).toBe(false);
    expect([...world.browser.heldLocks]).toEqual([`app:refresh:${a.id}`]);
    mend();
    await world.browser.advance(60_000);
    expect(A.store.snapshot().durable).toBe(true);
    expect(world.disk.record(a.id)).toMatchObject({ tags: ['x'], secrets: { refreshToken } });
    world.authority.release();
    await inTime(world.browser, b.refresh());
    expect(world.authority.reuses()).toBe(0);
  });

  it('revoke() revokes, and the credential is gone here', async () => {
    const pair = await twoTabs();
    await unheard(pair, () => pair.b.setTags(['x']));
    const mend = failReading(pair);
    expect(await inTime(pair.world.browser, pair.a.revoke())).toMatchObject({ local: 'removed', refreshToken: { status: 'revoked' } });
    expect(await pair.A.store.allIDs()).toEqual([]);
    mend();
    await pair.world.browser.advance(60_000);
    expect(pair.world.disk.record(pair.a.id)).toMatchObject({ state: 'removed' });
  });

  it('remove() says that it could not, and the credential is forgotten here', async () => {
    const pair = await twoTabs();
    await unheard(pair, () => pair.b.setTags(['x']));
    const mend = failReading(pair);
    expect(await codeOf(inTime(pair.world.browser, pair.a.remove()))).toBe('storage_failed');
    expect(await pair.A.store.allIDs()).toEqual([]);
    mend();
    await pair.world.browser.advance(60_000);
    expect(pair.world.disk.record(pair.a.id)).toMatchObject({ state: 'removed' });
  });

  it('setTags() is rejected as a conflict, and changes nothing', async () => {
    const pair = await twoTabs();
    await unheard(pair, () => pair.b.setTags(['x']));
    failReading(pair);
    expect(await codeOf(pair.a.setTags(['y']))).toBe('storage_conflict');
    expect(pair.A.store.snapshot()).toMatchObject({ durable: true, credentials: [{ tags: [] }] });
  });

  it('revoke() ends also where the mark waits, another tab renews, and the next write fails', async () => {
    const pair = await twoTabs();
    const { world, A, B, a, b } = pair;
    await unheard(pair, () => b.refresh());
    let writes = 0;
    const mend = world.disk.fail(({ method }) => method === 'write' && [1, 3].includes(++writes));
    expect(await inTime(world.browser, a.revoke(), 60_000)).toMatchObject({ local: 'removed' });
    mend();
    await world.browser.advance(60_000);
    B.platform.emit('visible');
    await settle();
    expect([await A.store.allIDs(), await B.store.allIDs()]).toEqual([[], []]);
    expect(world.disk.record(a.id)).toMatchObject({ state: 'removed' });
  });
});

describe('RF-5 RF-15 a record that another program writes without end', () => {
  /** Between each reading and each write of the first tab another one writes tags. */
  async function contested() {
    const world = createWorld();
    const raw = world.disk.storage();
    let isBusy = false;
    let writes = 0;
    const write: CredentialStorage['write'] = async (record, condition) => {
      const now = isBusy ? ((await raw.read(record.id)) as CredentialRecord | undefined) : undefined;
      if (now) await raw.write({ ...now, revision: now.revision + 1, tags: [`other ${++writes}`] } as CredentialRecord, now.revision);
      return raw.write(record, condition);
    };
    const tab = await world.openTab({ storage: { ...raw, write } });
    const credential = await tab.store.store(world.authority.signIn());
    tab.newEvents();
    const { id } = credential;
    /** Opened when nobody writes any more. */
    const later = async (): Promise<Tab> => {
      isBusy = false;
      await world.browser.advance(60_000);
      expect(tab.store.snapshot().durable).toBe(true);
      return world.openTab();
    };
    return { ...world, ...tab, id, credential, later, begins: () => (isBusy = true), writes: () => writes };
  }

  it('a refreshed token is kept in memory, is written once that has ended, and nothing is sent twice', async () => {
    const { store, authority, browser, credential, id, later, begins, newEvents } = await contested();
    authority.hold();
    const refreshing = credential.refresh();
    await settle();
    begins(); // the intent is written
    authority.refreshes[0]?.answer();
    const { refreshToken } = await inTime(browser, refreshing);
    expect(newEvents()).toEqual(expect.arrayContaining(['refresh_started', 'token_replaced', 'not_durable']));
    expect([store.snapshot().durable, authority.liveRefreshTokens()]).toEqual([false, [refreshToken]]);
    const next = await (await later()).store.with(id);
    authority.release();
    await inTime(browser, next!.refresh());
    expect([authority.reuses(), next!.status.token]).toEqual([0, 'valid']);
    expect(next!.tags[0]).toContain('other');
  });

  it.each(['remove', 'revoke', 'signOut'] as const)('%s() ends the session here, and everywhere once that has ended', async (end) => {
    const { store, browser, credential, later, begins } = await contested();
    begins();
    await inTime<unknown>(browser, credential[end]());
    expect([await store.allIDs(), credential.token]).toEqual([[], null]);
    expect(await (await later()).store.allIDs()).toEqual([]);
  });

  it('a sign-in in its place is not lost', async () => {
    const { store, authority, browser, credential, id, later, begins } = await contested();
    begins();
    const token = authority.signIn();
    await inTime(browser, store.store(token, { replace: credential }));
    expect(credential.token?.accessToken).toBe(token.accessToken);
    expect((await (await later()).store.with(id))?.token?.accessToken).toBe(token.accessToken);
  });

  it('tags are rejected as a conflict after a second at most, and change nothing', async () => {
    const { browser, credential, begins, writes } = await contested();
    begins();
    expect(await codeOf(inTime(browser, credential.setTags(['mine']), 1_000))).toBe('storage_conflict');
    expect(credential.tags).not.toContain('mine');
    expect(writes()).toBe(20);
  });
});

describe('RF-5 a token that waits to be written', () => {
  it("is written over what another tab's revoke('access') left of the token before", async () => {
    let isFull = false;
    const pair = await twoTabs((world) => fullStorage(world, () => isFull));
    const { world, a, b } = pair;
    isFull = true;
    const { refreshToken } = await a.refresh();
    await b.revoke('access');
    isFull = false;
    await world.browser.advance(60_000);
    expect(world.disk.record(a.id)).toMatchObject({ secrets: { refreshToken } });
    expect(world.authority.liveRefreshTokens()).toEqual([refreshToken]);
    await inTime(world.browser, b.refresh());
    expect([world.authority.reuses(), b.status.token]).toEqual([0, 'valid']);
  });

  it('is written over the one before it, which was written though the storage said no', async () => {
    const { disk, openTab, authority, browser } = createWorld();
    const raw = disk.storage();
    let isLying = false;
    const write: CredentialStorage['write'] = async (...args) => {
      const isWritten = await raw.write(...args);
      if (isLying && isWritten) throw new Error('not committed');
      return isWritten;
    };
    const { store } = await openTab({ storage: { ...raw, write } });
    const credential = await store.store(authority.signIn());
    isLying = true;
    await credential.refresh();
    const mend = disk.fail(({ method }) => method === 'write');
    const { refreshToken } = await credential.refresh();
    isLying = false;
    mend();
    await browser.advance(60_000);
    expect(store.snapshot().durable).toBe(true);
    expect(disk.record(credential.id)).toMatchObject({ secrets: { refreshToken } });
    expect(authority.liveRefreshTokens()).toEqual([refreshToken]);
  });
});

describe('RF-2 a token that waits to be revoked', () => {
  it('is not sent where another tab has renewed it, though nothing can be written', async () => {
    let isFull = false;
    const pair = await twoTabs((world) => fullStorage(world, () => isFull));
    const { world, a, b } = pair;
    isFull = true;
    await a.revoke('access');
    const { accessToken } = await b.refresh();
    await settle();
    expect(await inTime(world.browser, a.accessToken())).toBe(accessToken);
    expect(world.authority.reuses()).toBe(0);
    isFull = false;
    await world.browser.advance(60_000);
    expect(world.disk.record(a.id)).toMatchObject({ secrets: { accessToken } });
  });

  it('is not sent where a conflict says that another tab wrote, and it cannot be read what', async () => {
    const pair = await twoTabs();
    const { world, a, b } = pair;
    world.authority.setPrepared(false); // so it is read first
    await unheard(pair, () => b.setTags(['x']));
    const gate = world.disk.hold(({ method, id }) => method === 'read' && id === a.id, 'after');
    const refreshing = a.refresh();
    await gate.reached;
    await unheard(pair, () => b.setTags(['y']));
    const mend = failReading(pair);
    gate.open();
    expect(await codeOf(inTime(world.browser, refreshing))).toBe('storage_conflict');
    expect(world.authority.refreshes).toHaveLength(0);
    mend();
    world.authority.next(refusal('temporarily_unavailable'));
    await codeOf(inTime(world.browser, a.refresh()));
    expect(world.authority.refreshes).toHaveLength(1);
  });
});
