// The lock of a refresh: kept while what it brought is not durable, waited for with an end to patience, given up when the page freezes.
import { firstValueFrom } from 'rxjs';
import type { Credential, CredentialStore } from '../../src/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { createRefreshLocks } from '../../src/store/refresh-locks.js';
import { offline, refusal } from '../support/fake-client.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

interface TabWithCredential extends Tab {
  readonly credential: Credential;
}

/** Tabs that know the same credential. */
async function tabsWith(world: World, count: number): Promise<readonly [TabWithCredential, TabWithCredential, ...TabWithCredential[]]> {
  const token = world.authority.signIn();
  const tabs: TabWithCredential[] = [];
  for (let i = 0; i < count; i++) {
    const tab = await world.openTab();
    const credential = i === 0 ? await tab.store.store(token) : await tab.store.with(token.id);
    if (!credential) throw new Error(`tab ${i} does not know the credential`);
    tabs.push({ ...tab, credential });
  }
  const [first, second, ...more] = tabs;
  if (!first || !second) throw new Error('there must be two tabs');
  return [first, second, ...more];
}

const lockOf = ({ id }: Credential): string => `app:refresh:${id}`;
const isWrite = ({ method }: DiskCall): boolean => method === 'write';
const isIntent = ({ method, record }: DiskCall): boolean => method === 'write' && record?.['intent'] !== undefined;
const isCommit = ({ method, record }: DiskCall): boolean => method === 'write' && record?.['generation'] === 2;
/** `pending`, until everything that needs no time has happened. */
async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'settled'> {
  let state: 'pending' | 'settled' = 'pending';
  const note = (): void => void (state = 'settled');
  promise.then(note, note);
  await settle();
  return state;
}

/** A lock that is free again once somebody calls what is put into the list. */
function slowLock(gives: (() => void)[]): Required<CredentialStorage>['withLock'] {
  return async (name, run) => {
    const value = await run();
    if (name.includes('refresh:')) await new Promise<void>((resolve) => gives.push(resolve));
    return value;
  };
}

describe('RF-15 a lock is kept while the new token could not be written', () => {
  it.each([
    ['does not take the token', isCommit],
    ['takes nothing, not even the intent', isWrite],
  ])('where the disk %s: another tab waits, and gets the token once it is written', async (_, fails) => {
    const world = createWorld();
    const { authority, browser, disk } = world;
    const [a, b] = await tabsWith(world, 2);
    const mend = disk.fail(fails);
    const renewed = await a.credential.refresh();
    expect(a.store.snapshot().durable).toBe(false);
    const waiting = b.credential.refresh();
    await browser.advance(5_000);
    expect(await stateOf(waiting)).toBe('pending');
    expect([...browser.heldLocks]).toEqual([lockOf(a.credential)]);
    mend();
    expect((await inTime(browser, waiting, 60_000)).isEqual(renewed)).toBe(true);
    expect(browser.heldLocks.size).toBe(0);
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.reuses()).toBe(0);
    expect(disk.record(a.credential.id)).not.toHaveProperty('intent');
  });

  it('its own tab goes on refreshing under it', async () => {
    const world = createWorld();
    const { authority, browser, disk } = world;
    const [a, b] = await tabsWith(world, 2);
    const mend = disk.fail(isWrite);
    await a.credential.refresh();
    const second = await a.credential.refresh();
    expect(authority.refreshes).toHaveLength(2);
    const waiting = b.credential.refresh();
    expect(await stateOf(waiting)).toBe('pending');
    mend();
    expect((await inTime(browser, waiting, 60_000)).isEqual(second)).toBe(true);
    expect(authority.reuses()).toBe(0);
  });

  it('a sign-out needs no lock, and frees it', async () => {
    const world = createWorld();
    const { authority, browser, disk } = world;
    const [a, b] = await tabsWith(world, 2);
    disk.fail(isWrite);
    await a.credential.refresh();
    await a.credential.remove();
    await settle();
    expect(browser.heldLocks.size).toBe(0);
    expect(await codeOf(b.credential.refresh())).toBe('credential_removed');
    expect(authority.refreshes).toHaveLength(1);
  });

  it('close frees it: what could not be written is lost, and said to be', async () => {
    const world = createWorld();
    const { authority, browser, disk } = world;
    const [a, b] = await tabsWith(world, 2);
    const mend = disk.fail(isCommit);
    await a.credential.refresh();
    const waiting = codeOf(inTime(browser, b.credential.refresh()));
    await settle();
    await a.store.close();
    mend();
    expect(await waiting).toBe('needs_sign_in');
    expect(b.credential.state).toMatchObject({ reason: 'rotation_lost' });
    expect(authority.refreshes).toHaveLength(2);
    expect(browser.heldLocks.size).toBe(0);
  });
});

describe('E9 who waits for the lock', () => {
  it('waits as long as a refresh may take, 120 s, and no longer; the lock that is granted later does nothing', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a, b] = await tabsWith(world, 2);
    authority.hold();
    const holding = a.credential.refresh();
    await settle();
    const waiting = b.credential.refresh().catch((error: unknown) => error);
    await browser.advance(119_999);
    expect(await stateOf(waiting)).toBe('pending');
    await browser.advance(1);
    expect(await waiting).toMatchObject({ code: 'timeout', class: 'transient' });
    expect(b.credential.status).toEqual({ token: 'valid', activity: 'idle' });
    authority.refreshes[0]?.answer();
    const renewed = await holding;
    await settle();
    expect(authority.refreshes).toHaveLength(1);
    expect(browser.heldLocks.size).toBe(0);
    expect(b.credential.token?.isEqual(renewed)).toBe(true);
  });

  it('RF-9 never takes it from a living holder, however long it takes: its answer is committed', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a, b] = await tabsWith(world, 2);
    authority.hold();
    const holding = a.credential.refresh();
    await settle();
    for (let tries = 0; tries < 2; tries++) {
      const waiting = codeOf(b.credential.refresh());
      await browser.advance(120_000);
      expect(await waiting).toBe('timeout');
    }
    expect(authority.refreshes).toHaveLength(1);
    authority.refreshes[0]?.answer();
    const renewed = await holding;
    expect(await b.credential.accessToken()).toBe(renewed.accessToken);
    expect(authority.reuses()).toBe(0);
  });

  it.each([
    ['has brought a token', (): null => null],
    ['was refused', () => refusal('invalid_grant')],
  ])('RF-9 a refresh that %s ends once its lock is free: a program that ends then leaves none', async (_, answer) => {
    const { openTab, authority, browser, disk } = createWorld();
    const gives: (() => void)[] = [];
    const { store } = await openTab({ storage: { ...disk.storage(), withLock: slowLock(gives) } });
    const credential = await store.store(authority.signIn());
    const refused = answer();
    if (refused) authority.next(refused);
    const refreshing = credential.refresh().catch(() => undefined);
    for (let ms = 0; ms < 10_000 && gives.length === 0; ms += 100) await browser.advance(100);
    expect(await stateOf(refreshing)).toBe('pending');
    gives.shift()?.();
    expect(await stateOf(refreshing)).toBe('settled');
    const hanging = credential.refresh().catch(() => undefined); // and one that is never given back keeps nobody for long (RF-15)
    await browser.advance(2_000);
    expect(await stateOf(hanging)).toBe('settled');
  });

  it.each([
    ['could not be written', false],
    ['close itself writes', true],
    ['was written a moment ago', true],
  ])('RF-9 close ends once a lock is free that was kept for what %s', async (when, isMended) => {
    const { openTab, authority, browser, disk } = createWorld();
    const gives: (() => void)[] = [];
    const { store } = await openTab({ storage: { ...disk.storage(), withLock: slowLock(gives) } });
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isCommit);
    await credential.refresh();
    if (isMended) mend();
    if (when === 'was written a moment ago') await browser.advance(1_000);
    const closing = store.close();
    await browser.advance(500);
    expect([await stateOf(closing), gives.length, store.snapshot().durable]).toEqual(['pending', 1, isMended]);
    gives.shift()?.();
    expect(await stateOf(closing)).toBe('settled');
  });

  it('RF-9 close waits two seconds at most for a lock that is never free', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store } = await openTab({ storage: { ...disk.storage(), withLock: slowLock([]) } });
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(isCommit);
    await credential.refresh();
    mend();
    const closing = store.close();
    await browser.advance(2_000);
    expect(await stateOf(closing)).toBe('settled');
  });

  it('asks for the lock no longer than it waits', async () => {
    const timers: (() => void)[] = [];
    const signals: (AbortSignal | undefined)[] = [];
    const locks = createRefreshLocks({
      withLock: (_name, _run, signal) => (signals.push(signal), new Promise(() => undefined)),
      writing: { isWaiting: () => false },
      platform: { setTimer: (callback) => (timers.push(callback), () => undefined) },
    });
    const waiting = codeOf(
      locks.alone(
        'id',
        () => Promise.resolve(),
        () => undefined,
      ),
    );
    await settle();
    while (signals[0]?.aborted === false && timers.length > 0) timers.shift()?.();
    expect(await waiting).toBe('timeout');
    expect(signals.map((signal) => signal?.aborted)).toEqual([true]);
  });

  it('is served by the one who had it, and asks for it anew the next time', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a, b] = await tabsWith(world, 2);
    authority.hold();
    const holding = a.credential.refresh();
    await settle();
    const late = codeOf(b.credential.refresh());
    await browser.advance(120_000);
    expect(await late).toBe('timeout');
    const waiting = b.credential.refresh();
    await browser.advance(30_000);
    authority.refreshes[0]?.answer();
    expect((await waiting).isEqual(await holding)).toBe(true);
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('RF-16 a tab that freezes in the middle of a refresh', () => {
  /** The first tab has sent a refresh, which waits for its answer; then it freezes. */
  async function parked(count = 2) {
    const world = createWorld();
    const tabs = await tabsWith(world, count);
    const [a, b] = tabs;
    world.authority.tolerateReuse();
    world.authority.hold();
    const refreshing = a.credential.refresh();
    refreshing.catch(() => undefined);
    await settle();
    expect(world.authority.refreshes).toHaveLength(1);
    a.platform.emit('frozen');
    await settle();
    return { ...world, tabs, a, b, refreshing };
  }

  it('gives up its lock at once: another has it without any time passing', async () => {
    const { a, b, browser, authority } = await parked();
    expect(browser.heldLocks.size).toBe(0);
    const theirs = b.credential.refresh();
    await settle();
    expect([...browser.heldLocks]).toEqual([lockOf(b.credential)]);
    expect(authority.refreshes).toHaveLength(1); // what the frozen one sent may still be on its way
    await browser.advance(2_000);
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual(Array(2).fill(a.credential.token?.refreshToken));
    authority.refreshes[1]?.answer();
    expect((await theirs).accessToken).toBe(b.credential.token?.accessToken);
  });

  it('commits the late answer where the record is unchanged, and sends nothing again', async () => {
    const { a, b, authority, browser, disk, refreshing } = await parked();
    await browser.advance(500); // the page runs no timer while it stands still: none of a second fires here
    authority.refreshes[0]?.answer();
    const renewed = await refreshing;
    expect(disk.record(a.credential.id)).toMatchObject({ generation: 2, secrets: { refreshToken: renewed.refreshToken } });
    await settle();
    expect(b.credential.token?.isEqual(renewed)).toBe(true);
    a.platform.emit('resumed');
    await settle();
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.reuses()).toBe(0);
  });

  it('commits it over changed tags, which stay', async () => {
    const { a, b, authority, refreshing } = await parked();
    await b.credential.setTags(['new']);
    authority.refreshes[0]?.answer();
    const renewed = await refreshing;
    expect(a.credential.token?.isEqual(renewed)).toBe(true);
    expect(a.credential.tags).toEqual(['new']);
  });

  it.each(['before it wakes', 'after it has woken'])('drops the answer that comes %s where another has renewed: RF-5', async (when) => {
    const { a, b, authority, browser, disk, refreshing } = await parked();
    const theirs = b.credential.refresh();
    await browser.advance(500);
    browser.sleep(1_500); // no timer of the frozen tab fires
    await browser.advance(100);
    authority.refreshes[1]?.answer();
    const renewed = await inTime(browser, theirs);
    const stored = disk.record(b.credential.id);
    if (when === 'after it has woken') a.platform.emit('resumed');
    await settle();
    authority.refreshes[0]?.answer();
    expect((await refreshing).isEqual(renewed)).toBe(true);
    expect(disk.record(a.credential.id)).toEqual(stored);
    expect(a.credential.token?.isEqual(renewed)).toBe(true);
    expect(authority.revocations).toEqual([]); // that might end the other one, too
    expect(authority.refreshes).toHaveLength(2);
  });

  it('RF-13 revokes the late answer where the credential was removed meanwhile', async () => {
    const { b, authority, disk, refreshing } = await parked();
    await b.credential.remove();
    authority.refreshes[0]?.answer();
    expect(await codeOf(refreshing)).toBe('credential_removed');
    await settle();
    expect(authority.revocations.map(({ hint }) => hint)).toEqual(['refresh_token', 'access_token']);
    expect(authority.liveRefreshTokens()).toEqual([]);
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  });

  it('RF-3 leaves the intent of the one who has the lock by now, though its own request is refused', async () => {
    const { a, b, authority, browser, disk, refreshing } = await parked();
    const theirs = b.credential.refresh();
    await browser.advance(2_000);
    const { intent } = disk.record(a.credential.id);
    expect(authority.refreshes).toHaveLength(2);
    authority.refreshes[0]?.answer(refusal('temporarily_unavailable'));
    expect(await codeOf(refreshing)).toBe('oauth_error');
    expect(disk.record(a.credential.id)).toMatchObject({ intent });
    authority.refreshes[1]?.answer();
    await theirs;
    expect(disk.record(a.credential.id)).not.toHaveProperty('intent');
  });

  it('RF-4 leaves an answer that is judged once keys can be had, whatever the server says to the next one', async () => {
    const { a, b, authority, browser, disk, refreshing } = await parked();
    const haveKeys: (() => void)[] = [];
    authority.setKeys(() => new Promise((resolve) => haveKeys.push(resolve)));
    const theirs = b.credential.refresh();
    await browser.advance(2_000);
    authority.refreshes[0]?.answer();
    await settle();
    expect(disk.record(a.credential.id)).toHaveProperty('staged');
    authority.refreshes[1]?.answer(refusal('invalid_grant'));
    await settle();
    authority.setKeys(null);
    for (const resolve of haveKeys) resolve();
    const [mine, other] = await inTime(browser, Promise.all([refreshing, theirs]));
    expect(other.isEqual(mine)).toBe(true);
    expect(a.credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(authority.liveRefreshTokens()).toContain(mine.refreshToken);
  });

  it('RF-8 gets no answer: it asks again under the lock once it has woken, after what it had sent has come to its end', async () => {
    const { a, authority, browser, refreshing } = await parked();
    authority.refreshes[0]?.answer(offline());
    await settle();
    expect(authority.refreshes).toHaveLength(1);
    expect(browser.heldLocks.size).toBe(0);
    a.platform.emit('resumed');
    await settle();
    expect([...browser.heldLocks]).toEqual([lockOf(a.credential)]);
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(2_000);
    expect(authority.refreshes).toHaveLength(2);
    authority.refreshes[1]?.answer();
    expect((await refreshing).isEqual(a.credential.token ?? (await refreshing))).toBe(true);
  });

  it('stores its late answer while another has the lock: who waits for that is served at once', async () => {
    const { a, b, tabs, authority, browser, refreshing } = await parked(3);
    const theirs = b.credential.refresh();
    const [, , c] = tabs;
    const waiting = c?.credential.refresh();
    await browser.advance(2_000);
    expect(authority.refreshes).toHaveLength(2); // by the frozen one and the one that has the lock
    authority.refreshes[0]?.answer();
    const late = await refreshing;
    expect((await waiting)?.isEqual(late)).toBe(true);
    expect([...browser.heldLocks]).toEqual([lockOf(a.credential)]);
    authority.refreshes[1]?.answer();
    await inTime(browser, theirs);
    expect(browser.heldLocks.size).toBe(0);
    expect(b.credential.status.token).toBe('valid');
  });

  it('is not in the way of a third tab: its request for the lock is withdrawn', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a, b, c] = await tabsWith(world, 3);
    if (!c) throw new Error('there must be three tabs');
    authority.hold();
    const holding = b.credential.refresh();
    await settle();
    const waiting = a.credential.refresh();
    await settle();
    a.platform.emit('frozen');
    authority.refreshes[0]?.answer();
    const renewed = await holding;
    await settle();
    expect(browser.heldLocks.size).toBe(0); // the frozen one was not given it
    const next = c.credential.refresh();
    await settle();
    expect(authority.refreshes).toHaveLength(2);
    authority.refreshes[1]?.answer();
    const newest = await next;
    expect(newest.isEqual(renewed)).toBe(false);
    a.platform.emit('resumed');
    expect((await waiting).isEqual(newest)).toBe(true);
    expect(authority.refreshes).toHaveLength(2);
  });
});

describe('RF-11 between freezing and waking', () => {
  it.each(['visible', 'online', 'resumed'] as const)('nothing is sent and no lock is asked for, until %s', async (event) => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a] = await tabsWith(world, 2);
    a.platform.emit('frozen');
    const refreshing = a.credential.refresh();
    await settle();
    expect(authority.refreshes).toHaveLength(0);
    expect(browser.heldLocks.size).toBe(0);
    a.platform.emit(event);
    await refreshing;
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a timer that fires after a second shows that the page runs, though nobody has said so', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a] = await tabsWith(world, 2);
    a.platform.emit('frozen');
    const refreshing = a.credential.refresh();
    await browser.advance(999);
    expect(authority.refreshes).toHaveLength(0);
    await browser.advance(1);
    await refreshing;
    expect(authority.refreshes).toHaveLength(1);
  });

  it.each<readonly [string, (call: DiskCall) => boolean, 'before' | 'after']>([
    ['reading', ({ method }) => method === 'read', 'before'],
    ['having read', ({ method }) => method === 'read', 'after'],
    ['writing the intent', isIntent, 'before'],
    ['having written the intent', isIntent, 'after'],
  ])('a refresh that was %s sends nothing, and once after waking', async (_, matches, when) => {
    const world = createWorld();
    const { authority, browser, disk } = world;
    authority.setPrepared(false); // else nothing is read before the intent
    const [a] = await tabsWith(world, 2);
    const gate = disk.hold(matches, when);
    const refreshing = a.credential.refresh();
    await gate.reached;
    a.platform.emit('frozen');
    gate.open();
    await settle();
    expect(authority.refreshes).toHaveLength(0);
    expect(browser.heldLocks.size).toBe(0);
    a.platform.emit('resumed');
    await inTime(browser, refreshing);
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.reuses()).toBe(0);
  });

  it('a refresh that was waiting for its client’s metadata writes no intent over that of another', async () => {
    const world = createWorld();
    const { authority, browser, disk } = world;
    let haveMetadata = (): void => undefined;
    const metadata = new Promise<void>((resolve) => (haveMetadata = resolve));
    const slow = await world.openTab({
      clients: (platform) => {
        const client = authority.client(platform);
        return { ...client, metadata: () => metadata.then(() => client.metadata()) };
      },
    });
    const mine = await slow.store.store(authority.signIn());
    const other = await world.openTab();
    const theirs = await other.store.with(mine.id);
    const refreshing = mine.refresh();
    await settle();
    slow.platform.emit('frozen');
    authority.hold();
    const renewing = theirs?.refresh();
    await settle();
    const { intent } = disk.record(mine.id);
    expect(intent).toBeDefined();
    haveMetadata();
    await settle();
    expect(disk.record(mine.id)).toMatchObject({ intent });
    authority.refreshes[0]?.answer();
    const renewed = await renewing;
    slow.platform.emit('resumed');
    expect((await inTime(browser, refreshing)).accessToken).toBe(renewed?.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a pause before the next send is no reason to send: RF-7 goes on under the lock after waking', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a] = await tabsWith(world, 2);
    authority.next(offline());
    const refreshing = a.credential.refresh();
    await settle();
    expect(authority.refreshes).toHaveLength(1);
    a.platform.emit('frozen');
    await browser.advance(900); // longer than the pause
    expect(authority.refreshes).toHaveLength(1);
    a.platform.emit('resumed');
    await inTime(browser, refreshing);
    expect(authority.refreshes).toHaveLength(2);
  });
});

describe('E9 RF-11 patience that ends while the page is frozen', () => {
  it.each(['resumed', 'a timer'] as const)('is over, whatever wakes the page: %s', async (how) => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a, b] = await tabsWith(world, 2);
    authority.hold();
    const holding = a.credential.refresh();
    await settle();
    const waiting = codeOf(b.credential.refresh());
    await browser.advance(119_500);
    b.platform.emit('frozen');
    await browser.advance(700); // its last second was in here
    if (how === 'resumed') b.platform.emit('resumed');
    else await browser.advance(1_000);
    expect(await inTime(browser, waiting)).toBe('timeout');
    authority.refreshes[0]?.answer();
    await holding;
    authority.release();
    await b.credential.refresh(); // its turn was given back
    expect(authority.refreshes).toHaveLength(2);
    expect(browser.heldLocks.size).toBe(0);
  });

  it('nor does it keep a store from closing', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    const [a, b] = await tabsWith(world, 2);
    authority.hold();
    const holding = a.credential.refresh();
    await settle();
    const waiting = codeOf(b.credential.refresh());
    await settle();
    const closing = b.store.close();
    await browser.advance(4_500);
    b.platform.emit('frozen');
    await browser.advance(2_000);
    await inTime(browser, closing);
    expect(await inTime(browser, waiting)).toBe('timeout');
    authority.refreshes[0]?.answer();
    await holding;
    expect(browser.heldLocks.size).toBe(0);
  });
});

it.each<[string, (credential: Credential, store: CredentialStore) => Promise<unknown>]>([
  ['removed', (credential) => credential.remove()],
  ['revoked', (credential) => credential.revoke()],
  ['cleared', (_, store) => store.clear()],
])('E47 who waits for a renewal hears at once that the credential was %s; its late answer is revoked', async (_, end) => {
  const { openTab, authority, browser } = createWorld();
  const [{ store }, other] = [await openTab(), await openTab()];
  const credential = await store.store(authority.signIn());
  authority.hold();
  const heard: string[] = [];
  const waiting = [credential.refresh(), credential.accessToken({ forceRefresh: true }), firstValueFrom(credential.refresh$())];
  waiting.forEach((one) => void codeOf(one).then((code) => heard.push(String(code))));
  await settle();
  const ending = end((await other.store.with(credential.id))!, other.store);
  await settle();
  expect(heard).toEqual(['credential_removed', 'credential_removed', 'credential_removed']);
  authority.refreshes[0]?.answer();
  authority.release();
  await browser.advance(1_000);
  await ending;
  expect(authority.liveRefreshTokens()).toEqual([]);
});

it('close begins no other request: one that is sent is waited for, and its intent stays', async () => {
  const { openTab, authority, browser, disk } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  authority.hold();
  const refreshing = codeOf(credential.refresh());
  await settle();
  const closing = store.close();
  authority.refreshes[0]?.answer(offline());
  await browser.advance(10_000);
  await closing;
  expect(await refreshing).toBe('network_error');
  expect(authority.refreshes).toHaveLength(1);
  expect(disk.record(credential.id)).toMatchObject({ state: 'active', intent: { attempt: 1 } });
});

it('nor does a store that closes in a pause between two requests', async () => {
  const { openTab, authority, browser } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  authority.next(offline());
  const refreshing = codeOf(credential.refresh());
  await settle();
  const closing = store.close();
  await browser.advance(10_000);
  await closing;
  expect(await refreshing).toBe('network_error');
  expect(authority.refreshes).toHaveLength(1);
});
