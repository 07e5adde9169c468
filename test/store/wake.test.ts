import { closeAll, collect, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;

/** Two tabs; the second one is frozen: it hears nothing, and its timers do not fire, which the tests do by asking before they can. */
async function withFrozenTab() {
  const world = createWorld();
  const [a, b] = [await world.openTab(), await world.openTab()];
  const mine = await a.store.store(world.authority.signIn({ lifetimeS: 24 * 3600 }), { tags: ['old'] });
  const other = await a.store.store(world.authority.signIn({ sub: 'bob', lifetimeS: 24 * 3600 }));
  await settle();
  const theirs = (await b.store.with(mine.id))!;
  await theirs.accessToken(); // at hand from now on
  world.browser.setDelivery(0);
  return { ...world, a, b, mine, other, theirs };
}

describe('a tab that was frozen for an hour', () => {
  it.each(['resumed', 'visible'] as const)('agrees with the others before it answers its first question after %s', async (event) => {
    const { browser, authority, a, b, mine, other, theirs } = await withFrozenTab();
    const renewed = await mine.refresh();
    await mine.setTags(['new']);
    await a.store.setDefault(other);
    const carol = await a.store.store(authority.signIn({ sub: 'carol' }));
    browser.setDelivery(1);
    b.platform.emit(event);
    const [token, found, byTag, ids, standard] = await Promise.all([
      theirs.accessToken(),
      b.store.find({ sub: 'carol' }),
      b.store.find({ tags: 'old' }),
      b.store.allIDs(),
      b.store.getDefault(),
    ]);
    expect(token).toBe(renewed.accessToken);
    expect(found.map(({ id }) => id)).toEqual([carol.id]);
    expect(byTag).toEqual([]);
    expect(ids).toEqual([mine.id, other.id, carol.id]);
    expect(standard?.id).toBe(other.id);
    expect(b.store.snapshot().credentials).toEqual(a.store.snapshot().credentials);
  });

  it('uses no token of a user who signed out meanwhile, whoever tells it of the thaw', async () => {
    const { b, mine, theirs } = await withFrozenTab();
    await mine.remove();
    b.platform.emit('resumed');
    await expect(theirs.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
    expect(theirs.token).toBeNull();
  });

  it('notices without being told: its timer should have fired long ago', async () => {
    const { browser, b, mine, theirs } = await withFrozenTab();
    await mine.remove();
    browser.setClock(browser.now() + HOUR_MS); // and no timer fires before the question
    await expect(theirs.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
    expect(await b.store.allIDs()).toHaveLength(1);
  });

  it.each([
    ['has a lifetime', 24 * 3600],
    ['has none that is known', null],
  ])('E45 nor one that slept just after its clock had woken, where the token %s', async (_, lifetimeS) => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const mine = await a.store.store(world.authority.signIn({ lifetimeS }));
    await a.store.store(world.authority.signIn({ sub: 'bob', lifetimeS: 600, refreshable: false }));
    const theirs = (await b.store.with(mine.id))!;
    b.newEvents();
    await world.browser.advance(575_000);
    expect(b.newEvents()).toEqual(['expiring']); // of the other one, in a waking
    await theirs.accessToken();
    world.browser.setDelivery(0);
    world.browser.sleep(2 * HOUR_MS);
    await mine.remove();
    await expect(theirs.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
  });

  it.each(['wall', 'monotonic'] as const)('E45 its timer notices, too, by the %s clock: nobody has to ask', async (clock) => {
    const { browser, a, b, mine } = await withFrozenTab();
    browser.sleep(HOUR_MS);
    if (clock === 'monotonic') browser.setClock(browser.now() - HOUR_MS);
    await mine.remove();
    expect(a.store.snapshot().ids).not.toContain(mine.id);
    await browser.advance(1_000);
    expect(b.store.snapshot().ids).not.toContain(mine.id);
  });

  it('E45 gives nobody a token before it has read, not even who hears of the waking', async () => {
    const { browser, authority, a, b, mine, theirs } = await withFrozenTab();
    browser.setDelivery(1);
    const other = await a.store.store(authority.signIn({ sub: 'carol', lifetimeS: 600, refreshable: false }));
    await settle();
    browser.setDelivery(0);
    let heard: Promise<unknown> | undefined;
    b.store.events$.subscribe((event) => {
      if (event.type === 'expired' && event.id === other.id) heard = theirs.accessToken().catch((error: unknown) => error);
    });
    browser.sleep(HOUR_MS);
    await mine.remove();
    await browser.advance(1_000);
    expect(await heard).toMatchObject({ code: 'credential_removed' });
  });

  it('E45 that only seemed to be: the page runs on, and its timer fires', async () => {
    const { browser, disk, b, mine } = await withFrozenTab();
    b.platform.emit('frozen');
    const before = disk.calls.length;
    await mine.setTags(['new']);
    await browser.advance(999);
    expect(disk.calls.slice(before).map(({ method }) => method)).toEqual(['write']);
    await mine.remove();
    await browser.advance(1);
    expect(b.store.snapshot().ids).not.toContain(mine.id);
    expect(await b.store.allIDs()).toHaveLength(1);
  });

  it('hands the token at hand on without asking, however long nothing changes', async () => {
    const { browser, b, theirs } = await withFrozenTab();
    await browser.advance(2 * HOUR_MS);
    await theirs.accessToken();
    const [first, second] = [theirs.accessToken(), theirs.accessToken()];
    expect(second).toBe(first);
    expect(b.store.snapshot().credentials).toHaveLength(2);
    await browser.advance(100_000);
    expect(theirs.accessToken()).toBe(first);
  });

  it('answers from what it knows when storage cannot be read on the thaw', async () => {
    const { disk, b, theirs } = await withFrozenTab();
    const mend = disk.fail(({ method }) => method === 'readAll');
    b.platform.emit('resumed');
    expect(await theirs.accessToken()).toBe(theirs.token?.accessToken);
    mend();
  });

  it('E68 reads everything once, however often it is woken, and parses nothing that it knows', async () => {
    const { disk, b } = await withFrozenTab();
    const before = disk.calls.length;
    for (const event of ['visible', 'resumed', 'online', 'visible'] as const) b.platform.emit(event);
    const events = b.events.length;
    await b.store.allIDs();
    expect(disk.calls.slice(before).filter(({ method }) => method === 'readAll')).toHaveLength(1);
    expect(b.events).toHaveLength(events);
  });
});

describe('a tab that is about to be frozen', () => {
  it('reads nothing any more, whatever it hears: a reading that never ends would keep the others from writing', async () => {
    const { browser, disk, b, mine } = await withFrozenTab();
    browser.setDelivery(1);
    b.platform.emit('frozen');
    const before = disk.calls.length;
    await mine.setTags(['new']);
    await settle();
    expect(disk.calls.slice(before).map(({ method }) => method)).toEqual(['write']);
    b.platform.emit('resumed');
    expect(await b.store.find({ tags: 'new' })).toHaveLength(1);
  });

  it('nor because of what becomes due in its last moment', async () => {
    const { browser, authority, disk, b, theirs } = await withFrozenTab();
    authority.hold();
    const refreshing = theirs.refresh();
    await settle();
    b.platform.emit('frozen');
    const before = disk.calls.length;
    authority.refreshes[0]?.answer({ expires_in: 0.4 });
    await refreshing;
    expect(theirs.status.token).toBe('valid');
    await browser.advance(900);
    expect(theirs.status.token).toBe('valid'); // as last seen
    expect(disk.calls.slice(before).filter(({ method }) => method === 'readAll')).toEqual([]);
    await browser.advance(100);
    expect(theirs.status.token).toBe('expired');
  });

  it('gives who sends something as the page is left the token at hand, and reads nothing for it', async () => {
    const { disk, b, theirs } = await withFrozenTab();
    const before = disk.calls.length;
    b.platform.emit('frozen');
    const standard = await b.store.getDefault();
    expect(await standard?.accessToken()).toBe(theirs.token?.accessToken);
    expect(disk.calls).toHaveLength(before);
  });

  it('and is asked something after all, reads everything first', async () => {
    const { browser, b, mine } = await withFrozenTab();
    b.platform.emit('frozen');
    browser.sleep(500);
    await mine.setTags(['new']);
    expect(await b.store.find({ tags: 'new' })).toHaveLength(1);
  });
});

describe('TM-2 two clocks', () => {
  it('E42 a clock that is set back an hour does not lengthen a life: it ends when the monotonic clock says so', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    const seen = collect(credential.status$);
    const first = await credential.accessToken();
    browser.setClock(browser.now() - HOUR_MS);
    await browser.advance(569_000);
    expect(await credential.accessToken()).toBe(first);
    newEvents();
    await browser.advance(31_000);
    expect(seen.values.map(({ token }) => token)).toEqual(['valid', 'expiring', 'expired']);
    expect(newEvents()).toEqual(['expiring', 'expired']);
    expect(await credential.accessToken()).not.toBe(first);
  });

  it('E42 a reader notices before any timer: the token at hand is not used beyond its life', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    const first = await credential.accessToken();
    expect(await credential.accessToken()).toBe(first);
    browser.setClock(browser.now() - HOUR_MS);
    browser.sleep(600_000); // both clocks move, no timer fires
    expect(platform.held().timers).toBe(1);
    expect(await credential.accessToken()).not.toBe(first);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('E42 a clock that is set back by just the time that passes: its reader sees the same instant, and still no token lives longer', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    const first = await credential.accessToken();
    const instant = browser.now();
    expect(await credential.accessToken()).toBe(first);
    browser.setClock(instant - 575_000);
    await browser.advance(575_000);
    expect(browser.now()).toBe(instant);
    expect(await credential.accessToken()).not.toBe(first);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('TM-3 a clock that is a year ahead ages tokens and signs nobody out; set right, they are valid again', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 3600 }));
    const token = credential.token;
    const right = browser.now();
    browser.setClock(right + 365 * 24 * HOUR_MS);
    await browser.advance(30_000);
    expect(credential.status.token).toBe('expired');
    expect(credential.token).toBe(token);
    newEvents();
    browser.setClock(right + 30_000);
    await browser.advance(30_000);
    expect(credential.status.token).toBe('valid');
    expect(newEvents()).toEqual(['expiring']);
    expect(await credential.accessToken()).toBe(token?.accessToken);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('TM-1 TM-2 a token that is renewed under a wrong clock does not spin once the clock is set right', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    browser.setClock(browser.now() + HOUR_MS);
    await credential.accessToken();
    browser.setClock(browser.now() - HOUR_MS);
    for (let i = 0; i < 10; i++) {
      await credential.accessToken();
      await browser.advance(10_000);
    }
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a sleep of eight hours in which the monotonic clock stands still is noticed by the wall clock', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 3600 }));
    const first = await credential.accessToken();
    browser.setClock(browser.now() + 8 * HOUR_MS);
    expect(await credential.accessToken()).not.toBe(first);
    await browser.advance(30_000);
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('E41 one bounded timer', () => {
  it('is one for ten thousand credentials, and ten thousand that expire at one instant are one emission', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const seed = await openTab();
    const model = await seed.store.store(authority.signIn({ lifetimeS: 600 }));
    const record = disk.record(model.id);
    for (let i = 0; i < 10_000; i++) disk.records.set(`id-${i}`, { ...record, id: `id-${i}`, storedAt: i, defaultClaim: 0 });
    const { store, platform } = await openTab();
    expect(platform.held()).toEqual({ timers: 1, channels: 1, listeners: 1 });
    const states = collect(store.state$);
    await browser.advance(570_000);
    expect(states.values).toHaveLength(2);
    expect(new Set(store.snapshot().credentials.map(({ status }) => status.token))).toEqual(new Set(['expiring']));
    expect(platform.held().timers).toBe(1);
  });
});
