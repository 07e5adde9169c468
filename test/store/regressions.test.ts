// What a hostile reader broke once.
import { createCredentialStore } from '../../src/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, collect, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);

const isWrite = ({ method }: DiskCall): boolean => method === 'write';
const isWriteOrRemove = ({ method }: DiskCall): boolean => method === 'write' || method === 'remove';
/** A promise's state after everything has settled. */
const stateOf = async (promise: Promise<unknown>): Promise<string> => {
  let state = 'pending';
  promise.then(
    () => (state = 'resolved'),
    () => (state = 'rejected'),
  );
  await settle();
  await settle();
  return state;
};

describe('find$ subscribed to before storage was read', () => {
  it('does not make the store forget what the start finds', async () => {
    const { openTab, startTab, authority, disk } = createWorld();
    const mine = await (await openTab()).store.store(authority.signIn(), { tags: ['a'] });
    const gate = disk.hold(({ method }) => method === 'readAll');
    const { store } = startTab();
    const found = collect(store.find$({ tags: 'a' }));
    const defaults = collect(store.default$);
    await gate.reached;
    await settle();
    gate.open();
    await store.ready;
    await settle();
    expect(store.snapshot().defaultId).toBe(mine.id);
    expect((await store.getDefault())?.id).toBe(mine.id);
    expect(defaults.values.map((one) => one?.id)).toEqual([mine.id]);
    expect(found.values.map((list) => list.map(({ id }) => id))).toEqual([[mine.id]]);
    expect((await store.find({})).map(({ id }) => id)).toEqual([mine.id]);
  });

  it('does not make the store take an old reading for the newest', async () => {
    const { openTab, startTab, authority, disk } = createWorld();
    const mine = await (await openTab()).store.store(authority.signIn());
    const gate = disk.hold(({ method }) => method === 'readAll', 'after');
    const { store } = startTab();
    collect(store.find$({}));
    await gate.reached;
    await settle();
    await mine.remove();
    await settle();
    gate.open();
    await store.ready;
    await settle();
    expect(store.snapshot().ids).toEqual([]);
  });
});

describe('a rotated token that waits to be written', () => {
  it('is not lost when another tab writes the record twice meanwhile', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const mend = disk.fail(isWrite);
    const mine = await credential.refresh();
    mend();
    const theirs = (await b.store.with(credential.id))!;
    await theirs.setTags(['one']);
    await settle();
    await theirs.setTags(['two']);
    await settle();
    await browser.advance(60_000);
    expect(credential.token?.refreshToken).toBe(mine.refreshToken);
    const next = (await (await openTab()).store.with(credential.id))!;
    expect([next.token?.refreshToken, next.tags]).toEqual([mine.refreshToken, ['two']]);
    await next.refresh();
    expect(authority.reuses()).toBe(0);
  });
});

describe('a removal that waits to be written', () => {
  it.each(['remove', 'revoke'] as const)('%s wins over a refresh of another tab', async (command) => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const theirs = (await b.store.with(credential.id))!;
    const mend = disk.fail(isWriteOrRemove);
    await credential[command]().catch(() => undefined);
    expect(await a.store.allIDs()).toEqual([]);
    mend();
    await theirs.refresh().catch(() => undefined);
    await settle();
    expect(await a.store.allIDs()).toEqual([]);
    await browser.advance(60_000);
    expect(await a.store.allIDs()).toEqual([]);
    expect(await b.store.allIDs()).toEqual([]);
  });
});

describe('clear on a full disk', () => {
  const quota = Object.assign(new Error(), { name: 'QuotaExceededError' });
  it('forgets a credential that could not be written yet, too', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    const mend = disk.fail(isWrite, quota);
    await store.store(authority.signIn());
    await store.clear();
    expect(await store.allIDs()).toEqual([]);
    mend();
    await browser.advance(60_000);
    expect(await store.allIDs()).toEqual([]);
    expect(await (await openTab()).store.allIDs()).toEqual([]);
  });

  it('reaches the other tabs', async () => {
    const { openTab, disk, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    await a.store.store(authority.signIn());
    await settle();
    disk.fail(isWrite, quota);
    await a.store.clear();
    await settle();
    await settle();
    expect(b.store.snapshot().ids).toEqual([]);
  });
});

describe('records that wait', () => {
  it('E62 do not starve behind one that cannot be written', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    const [alice, bob] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    const mend = disk.fail(isWrite);
    await alice.refresh();
    const renewed = await bob.refresh();
    disk.records.set(alice.id, 'garbage');
    mend();
    await browser.advance(300_000);
    expect(disk.record(bob.id)['secrets']).toMatchObject({ refreshToken: renewed.refreshToken });
  });

  it('are tried once more by close', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isWrite);
    const renewed = await credential.refresh();
    mend();
    await store.close();
    expect(disk.record(credential.id)['secrets']).toMatchObject({ refreshToken: renewed.refreshToken });
  });

  it('that are gone leave the store durable again', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isWrite);
    await credential.refresh();
    mend();
    disk.records.delete(credential.id);
    await browser.advance(60_000);
    expect(await store.allIDs()).toEqual([]);
    expect(store.snapshot().durable).toBe(true);
  });

  it('do not make a storage durable that never was', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const storage: CredentialStorage = {
      ...disk.storage(),
      open: () => Promise.resolve({ coherent: true, durability: 'none', reach: 'process' }),
    };
    const { store } = await openTab({ storage });
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isWrite);
    await credential.refresh();
    mend();
    await browser.advance(60_000);
    expect(store.snapshot().durable).toBe(false);
  });

  it('leave nothing in storage when another tab cleared meanwhile, and their tokens are revoked', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const mend = disk.fail(isWrite);
    const mine = await credential.refresh();
    mend();
    await b.store.clear();
    await settle();
    await browser.advance(60_000);
    expect([...disk.records.keys()]).toEqual(['@store']);
    expect(authority.revocations.map(({ token }) => token)).toContain(mine.refreshToken);
  });
});

describe('waking', () => {
  it('in the middle of a reading reads again: what was read before the sleep is old', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const mine = await a.store.store(authority.signIn({ lifetimeS: 86_400 }));
    await settle();
    const theirs = (await b.store.with(mine.id))!;
    await theirs.accessToken();
    const gate = disk.hold(({ method }) => method === 'readAll', 'after');
    b.platform.emit('visible');
    await gate.reached;
    b.platform.emit('frozen');
    browser.setDelivery(0);
    await mine.remove();
    browser.sleep(3_600_000);
    b.platform.emit('resumed');
    gate.open();
    expect(await codeOf(theirs.accessToken())).toBe('credential_removed');
  });

  it('a tab that was told to freeze trusts nothing it holds until it has read again', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const mine = await a.store.store(authority.signIn());
    await settle();
    const theirs = (await b.store.with(mine.id))!;
    await theirs.accessToken();
    b.platform.emit('frozen');
    await mine.remove();
    await settle();
    expect(await codeOf(theirs.accessToken())).toBe('credential_removed');
  });

  it('in the middle of a start: what was read before the sleep is old', async () => {
    const { openTab, startTab, disk, authority, browser } = createWorld();
    const a = await openTab();
    const mine = await a.store.store(authority.signIn({ lifetimeS: 86_400 }));
    const gate = disk.hold(({ method }) => method === 'readAll', 'after');
    const b = startTab();
    await gate.reached;
    b.platform.emit('frozen');
    browser.setDelivery(0);
    await mine.remove();
    b.platform.emit('resumed');
    gate.open();
    await b.store.ready;
    await settle();
    expect(await b.store.allIDs()).toEqual([]);
  });
});

describe('close', () => {
  it('refuses commands for good, also after a refresh that it waited for', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.hold();
    const renewing = credential.accessToken({ forceRefresh: true });
    await settle();
    const closing = store.close();
    authority.refreshes[0]?.answer();
    await renewing;
    await closing;
    expect(await codeOf(credential.accessToken())).toBe('store_closed');
  });
});

describe('a refresh whose token is at hand', () => {
  it('RF-15 succeeds though the storage breaks altogether while the answer is on the way', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    newEvents();
    authority.hold();
    const renewing = credential.refresh();
    await settle();
    disk.fail(() => true);
    authority.refreshes[0]?.answer();
    expect((await renewing).accessToken).toBe(credential.token?.accessToken);
    expect(newEvents()).not.toContain('refresh_failed');
  });
});

describe('refresh-only', () => {
  it('a forced refresh that waited for another tab does not give back the token that was refused', async () => {
    const world = createWorld();
    const start = async () => {
      const platform = world.browser.openTab();
      const store = createCredentialStore({
        clients: world.authority.client(platform),
        storage: world.disk.storage(),
        platform,
        persist: 'refresh-only',
      });
      await store.ready;
      return store;
    };
    const [a, b] = [await start(), await start()];
    try {
      const mine = await a.store(world.authority.signIn());
      await settle();
      const theirs = (await b.with(mine.id))!;
      const refused = await theirs.accessToken();
      await settle();
      world.authority.hold();
      const before = world.authority.refreshes.length;
      const first = mine.refresh();
      await settle();
      const second = theirs.accessToken({ forceRefresh: true });
      await settle();
      world.authority.refreshes[before]?.answer();
      await first;
      await settle();
      world.authority.refreshes[before + 1]?.answer();
      expect(await second).not.toBe(refused);
    } finally {
      world.authority.release();
      await Promise.all([a.close(), b.close()]);
    }
  });
});

describe('a damaged record', () => {
  it.each(['remove', 'revoke'] as const)('does not keep its user from signing out: %s', async (command) => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    disk.records.set(credential.id, 'garbage');
    await credential[command]();
    expect(await store.allIDs()).toEqual([]);
    expect(await (await openTab()).store.allIDs()).toEqual([]);
  });

  it('of an earlier generation hangs no command, and state and ledger agree', async () => {
    const { openTab, disk, authority } = createWorld();
    const [a] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await credential.refresh();
    await a.store.setDefault(null);
    const record = disk.record(credential.id);
    disk.records.set(credential.id, { ...record, revision: 99, generation: 0, state: 'removed', secrets: null });
    let reads = 0;
    disk.fail(({ method, id }) => method === 'read' && id === credential.id && ++reads > 50); // or the loop would never end
    const storing = a.store.store(authority.signIn({ sub: 'bob' }));
    expect(await stateOf(storing)).toBe('resolved');
    expect(a.store.snapshot().ids).not.toContain(credential.id);
  });
});

describe('minValidityMs beyond the lifetime', () => {
  it('E1 two callers at the same time share one refresh', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(1_800_000);
    await Promise.all([credential.accessToken({ minValidityMs: 7_200_000 }), credential.accessToken({ minValidityMs: 7_300_000 })]);
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('tombstones', () => {
  it('RF-13 are purged after a day, not at the next start only', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn({ lifetimeS: 30 * 86_400 }));
    for (let i = 0; i < 20; i++) await (await store.store(authority.signIn({ sub: `user-${i}` }))).remove();
    await browser.advance(31 * 3_600_000);
    expect(disk.records.size).toBeLessThan(5);
  });
});

describe('a start', () => {
  it('ends though the key of the default never answers', async () => {
    const { openTab, startTab, disk, authority, browser } = createWorld();
    const { id } = await (await openTab()).store.store(authority.signIn());
    disk.records.set(id, { ...disk.record(id), secrets: { sealed: 'x' } });
    let answer: () => void = () => undefined;
    const hangs = new Promise<unknown>((_, reject) => (answer = () => reject(new Error('late'))));
    const { store } = startTab({ storage: { ...disk.storage(), unseal: () => hangs } });
    try {
      await browser.advance(60_000);
      expect(await stateOf(store.ready)).toBe('resolved');
    } finally {
      answer();
    }
  });
});

describe('the same id again', () => {
  it('is stored after it was removed from a full disk', async () => {
    const { openTab, disk, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    await credential.refresh();
    const mend = disk.fail(isWrite);
    await credential.remove();
    mend();
    await store.store(token);
    expect(await store.allIDs()).toEqual([token.id]);
  });

  it('stored by another tab after its tombstone was swept is seen here', async () => {
    const { openTab, disk, authority, browser } = createWorld();
    const a = await openTab();
    const token = authority.signIn();
    const credential = await a.store.store(token);
    await credential.setTags(['x']);
    await credential.remove();
    await browser.advance(1_000);
    disk.records.delete(token.id); // swept by another start, a day later
    const b = await openTab();
    await b.store.store(token);
    await settle();
    expect(a.store.snapshot().ids).toEqual([token.id]);
    expect(await a.store.with(token.id)).not.toBeNull();
  });
});

describe('revoke("access")', () => {
  it('stops using the token at once, whatever the server does, and ends within 5 s', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    let answer: () => void = () => undefined;
    authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
    const revoking = credential.revoke('access');
    try {
      await browser.advance(60_000);
      expect(await stateOf(revoking)).toBe('resolved');
    } finally {
      answer();
    }
  });
});

describe('a part of the program that could not be loaded at a start', () => {
  it('is asked for again as soon as another tab writes: a sign-out elsewhere is followed', async () => {
    const { openTab, startTab, authority } = createWorld();
    const a = await openTab();
    const mine = await a.store.store(authority.signIn());
    jest.doMock('../../src/store/living.js', () => {
      throw new Error('offline');
    });
    const b = startTab();
    await b.store.ready;
    await settle();
    jest.dontMock('../../src/store/living.js');
    await mine.remove();
    await settle();
    await settle();
    expect(b.store.snapshot().ids).toEqual([]);
  });
});
