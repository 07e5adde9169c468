// What a server may believe of cookies: whoever sends them can write them.
import { filter, firstValueFrom } from 'rxjs';
import type { CredentialRecord } from '../../src/credential/record.js';
import { CredentialError, isSignedIn } from '../../src/index.js';
import { cookieStorage, requestJar, type CookieJar } from '../../src/storage/cookie/index.js';
import { sealed, staticKeys, type SealingKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import type { FakePlatform } from '../support/fake-platform.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const KEYS = staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]);
const cookies = (jar: CookieJar): CredentialStorage => cookieStorage({ jar, maxAgeS: 3_600 });
const over = (jar: CookieJar, keys: SealingKeys = KEYS, platform?: FakePlatform): CredentialStorage =>
  sealed(cookies(jar), { keys, platform });

/** A `Cookie` header with sealed credentials of these users, in this order; the first is the default. */
async function headerOf(world: World, ...subs: string[]): Promise<string> {
  const jar = requestJar();
  const { store } = await world.openTab({ storage: over(jar) });
  for (const sub of subs) await store.store(world.authority.signIn({ sub }), { tags: [sub] });
  await store.close();
  return jar.read();
}

type Change = (record: CredentialRecord) => unknown;

/** The same header with the records changed, by somebody who has no key. */
async function forged(header: string, change: Change): Promise<string> {
  const jar = requestJar(header);
  const storage = cookies(jar);
  await storage.open();
  for (const { id, value } of await storage.readAll()) {
    const record = structuredClone(value) as CredentialRecord;
    if (id !== '@store') await storage.write({ ...(change(record) as CredentialRecord), revision: record.revision + 1 }, record.revision);
  }
  return jar.read();
}

const asAdmin: Change = (record) => ({ ...record, claims: { ...record.claims, sub: 'admin' } });
const inTheClear: Change = (record) => ({
  ...(asAdmin(record) as object),
  secrets: { accessToken: 'canary-forged', refreshToken: 'forged' },
});
const withKid =
  (kid: string): Change =>
  (record) => {
    const [, ...rest] = (record.secrets as { sealed: string }).sealed.split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid })).toString('base64url');
    return { ...(asAdmin(record) as object), secrets: { sealed: [header, ...rest].join('.') } };
  };
const withPlainAnswer: Change = (record) => ({
  ...record,
  staged: { text: '{"access_token":"canary-forged","token_type":"Bearer"}', sentAt: 1, receivedAt: 2 },
});

async function request(world: World, header: string, keys?: SealingKeys): Promise<Tab & { readonly jar: ReturnType<typeof requestJar> }> {
  const jar = requestJar(header);
  const tab = world.startTab({ storage: over(jar, keys, keys && world.browser.openTab()) });
  await (keys ? inTime(world.browser, tab.store.ready) : tab.store.ready);
  await settle();
  return { ...tab, jar };
}

describe('a store over sealed cookies', () => {
  it('BBA-4 believes what was sealed, with all of it opened before it is ready', async () => {
    const world = createWorld();
    const { store } = await request(world, await headerOf(world, 'alice', 'bob'));
    const [alice, bob] = store.snapshot().credentials;
    expect([alice?.claims?.sub, bob?.claims?.sub]).toEqual(['alice', 'bob']);
    expect(await store.find({ sub: 'bob' })).toHaveLength(1);
    const handle = (await store.find({ tags: 'bob' }))[0];
    expect(handle.token?.accessToken).toBe(await handle.accessToken());
    expect(await store.getDefault()).toMatchObject({ claims: { sub: 'alice' }, status: { token: 'valid' } });
  });

  const forgeries: [string, Change, string][] = [
    ['claims that were edited', asAdmin, 'seal_broken'],
    ['a record that was never sealed', inTheClear, 'seal_broken'],
    ['an answer to a refresh that was never sealed', withPlainAnswer, 'seal_broken'],
    ['the name of a key that never was', withKid('no such key'), 'key_lost'],
  ];
  it.each(forgeries)('BBA-4 6750-5 %s: nobody is signed in, and nothing it says of a user is told', async (_, change, reason) => {
    const world = createWorld();
    const header = await forged(await headerOf(world, 'alice', 'bob'), change);
    const { store, events } = await request(world, header);
    const told = events.filter(({ type }) => type === 'record_quarantined');
    expect(told).toMatchObject([{ reason }, { reason }]);
    const { credentials, defaultId } = store.snapshot();
    expect(credentials).toHaveLength(2);
    for (const state of credentials) {
      expect([isSignedIn(state), state.claims, state.status.token, state.reason]).toEqual([false, null, 'needs_sign_in', 'unreadable']);
      const handle = (await store.with(state.id))!;
      expect([handle.claims, handle.token]).toEqual([null, null]);
      for (const ask of [() => handle.accessToken(), () => handle.refresh(), () => handle.userInfo()])
        expect(await codeOf(ask())).toBe('needs_sign_in');
    }
    expect(defaultId).toBe(credentials[0]?.id);
    for (const sub of ['admin', 'alice', 'bob']) expect(await store.find({ sub })).toEqual([]);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it.each(forgeries)('BBA-4 %s: no later write seals it', async (_, change) => {
    const world = createWorld();
    const first = await request(world, await forged(await headerOf(world, 'alice'), change));
    const handle = (await first.store.getDefault())!;
    await handle.setTags(['seen']);
    await first.store.setDefault(null);
    await first.store.setDefault(handle);
    expect(handle.claims).toBeNull();
    await first.store.close();
    expect(first.jar.read()).not.toContain('canary');
    const { store } = await request(world, first.jar.read());
    const again = (await store.getDefault())!;
    expect([again.tags, again.claims, isSignedIn(again.state), again.token]).toEqual([['seen'], null, false, null]);
  });

  it('BBA-4 6750-5 a sign-out that was never sealed sends nothing to the server', async () => {
    const world = createWorld();
    const header = await forged(await headerOf(world, 'alice'), (record) => ({ ...(inTheClear(record) as object), state: 'revoking' }));
    const { store } = await request(world, header);
    await inTime(world.browser, store.close());
    expect(world.authority.revocations).toEqual([]);
  });

  it('BBA-4 a record without secrets is no session: it names who should sign in, by its own account', async () => {
    const world = createWorld();
    const header = await forged(await headerOf(world, 'alice'), (record) => ({ ...(asAdmin(record) as object), state: 'needs_sign_in', secrets: null })); // prettier-ignore
    const { store } = await request(world, header);
    const state = store.snapshot().credentials[0];
    expect([isSignedIn(state), state.status.token, await codeOf((await store.getDefault())!.accessToken())]).toEqual([
      false,
      'needs_sign_in',
      'needs_sign_in',
    ]);
    const bare = await request(world, await forged(header, (record) => ({ ...record, state: 'active' })));
    expect(bare.store.snapshot().credentials).toEqual([]);
  });

  it('BBA-4 keys that cannot be asked, or do not answer, let nobody in, and cost no record', async () => {
    const world = createWorld();
    const header = await headerOf(world, 'alice');
    const fails = { ...KEYS, get: () => Promise.reject(new Error('canary')) };
    const hangs = { ...KEYS, get: () => new Promise<undefined>(() => undefined) };
    for (const keys of [fails, hangs]) {
      const { store, jar, events } = await request(world, header, keys);
      const state = store.snapshot().credentials[0];
      expect([isSignedIn(state), state.claims]).toEqual([false, null]);
      expect(events.filter(({ type }) => type === 'record_quarantined')).toMatchObject([{ reason: 'storage_failed' }]);
      const tagged = store.with(state.id).then((handle) => handle?.setTags(['later']));
      await inTime(world.browser, tagged, 30_000);
      const next = await request(world, jar.read());
      expect(next.store.snapshot().credentials[0]).toMatchObject({ claims: { sub: 'alice' }, tags: ['later'], status: { token: 'valid' } });
    }
  });

  it.each(['network_error', 'timeout', 'aborted', 'unsupported', 'program_not_loaded', 'lock_unavailable'] as const)(
    'BBA-4 whatever word keys of one’s own fail by (%s), nothing is believed that was not opened',
    async (code) => {
      const world = createWorld();
      const header = await forged(await headerOf(world, 'alice'), asAdmin);
      const keys = { ...KEYS, get: () => Promise.reject(new CredentialError(code, 'no')) };
      const { store, events } = await request(world, header, keys);
      const state = store.snapshot().credentials[0];
      expect([isSignedIn(state), state?.claims]).toEqual([false, null]);
      expect(events.filter(({ type }) => type === 'record_quarantined')).toMatchObject([{ reason: 'storage_failed' }]);
    },
  );

  it('design §4.5 keys that are away for a moment take no session from who has it open', async () => {
    const world = createWorld();
    let isAway = false;
    const keys = { ...KEYS, get: (kid: string) => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(KEYS.get(kid))) };
    const shared = (of: SealingKeys): CredentialStorage => sealed({ ...world.disk.storage(), needsSealing: true }, { keys: of });
    const [a, b] = [await world.openTab({ storage: shared(KEYS) }), await world.openTab({ storage: shared(keys) })];
    const mine = await a.store.store(world.authority.signIn({ sub: 'alice' }));
    await settle();
    const theirs = (await b.store.with(mine.id))!;
    const before = await theirs.accessToken();
    b.newEvents();
    isAway = true;
    await mine.refresh();
    await settle();
    b.platform.emit('frozen');
    world.browser.sleep(60_000);
    b.platform.emit('resumed'); // and everything is read again
    expect([await theirs.accessToken(), theirs.status.token, theirs.claims?.sub, b.newEvents()]).toEqual([before, 'valid', 'alice', []]);
    isAway = false;
    await b.store.with(mine.id);
    await b.store.setDefault(mine.id); // reads it again
    b.platform.emit('frozen');
    world.browser.sleep(60_000);
    b.platform.emit('resumed');
    await theirs.refreshIfNeeded();
    expect(theirs.token?.accessToken).toBe(mine.token?.accessToken);
  });

  /** Two stores over one storage; of the first the keys can be taken away, and it hears of nothing from then on. */
  async function withKeysAway() {
    const world = createWorld();
    let isAway = false;
    const keys = { ...KEYS, get: (kid: string) => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(KEYS.get(kid))) };
    const shared = (of: SealingKeys): CredentialStorage => sealed({ ...world.disk.storage(), needsSealing: true }, { keys: of });
    const [a, b] = [await world.openTab({ storage: shared(keys) }), await world.openTab({ storage: shared(KEYS) })];
    const credential = await a.store.store(world.authority.signIn({ sub: 'alice' }));
    await settle();
    const setAway = (away: boolean): void => {
      isAway = away;
      world.browser.setDelivery(away ? 0 : 1);
    };
    return { ...world, shared, keys, a, credential, elsewhere: (await b.store.with(credential.id))!, setAway };
  }

  it('design §4.6 a sign-out ends the session, though keys are away for what another tab wrote', async () => {
    const { browser, authority, disk, credential, elsewhere, setAway } = await withKeysAway();
    setAway(true);
    await elsewhere.setTags(['new']);
    expect(await inTime(browser, credential.signOut(), 60_000)).toMatchObject({ refreshToken: { status: 'revoked' } });
    setAway(false);
    await browser.advance(60_000);
    expect([disk.record(credential.id)['state'], authority.liveRefreshTokens()]).toEqual(['removed', []]);
  });

  it('RF-15 an answer is kept, though keys are away for what another tab wrote, and no token is sent twice', async () => {
    const { browser, authority, openTab, shared, a, credential, elsewhere, setAway } = await withKeysAway();
    authority.hold();
    const asked = credential.refresh();
    await settle();
    setAway(true);
    await elsewhere.setTags(['new']);
    authority.refreshes[0]?.answer();
    authority.release();
    expect((await inTime(browser, asked, 60_000)).accessToken).toBe(credential.token?.accessToken);
    setAway(false);
    await browser.advance(120_000);
    await a.store.close();
    const next = (await (await openTab({ storage: shared(KEYS) })).store.with(credential.id))!;
    await inTime(browser, next.refresh());
    expect([next.tags, next.status.token, authority.reuses()]).toEqual([['new'], 'valid', 0]);
  });

  it('design §4.2 a sign-in of the same user takes her place while keys are away', async () => {
    const { openTab, authority, shared, keys, credential, setAway } = await withKeysAway();
    setAway(true);
    const { store } = await openTab({ storage: shared(keys) });
    expect(store.snapshot().credentials).toMatchObject([{ id: credential.id, claims: null, reason: 'unreadable' }]);
    const again = await store.store(authority.signIn({ sub: 'alice' }));
    expect([again.id, store.snapshot().ids]).toEqual([credential.id, [credential.id]]);
  });

  it('design §4.2 a sign-in of the same user takes the place of what could not be opened', async () => {
    const world = createWorld();
    const header = await forged(await headerOf(world, 'alice'), (record) => ({ ...record, scope: 'more' }));
    const { store, jar } = await request(world, header);
    const handle = (await store.getDefault())!;
    expect(handle.claims).toBeNull();
    expect(await store.store(world.authority.signIn({ sub: 'alice' }))).toBe(handle);
    expect([handle.claims?.sub, handle.tags, isSignedIn(handle.state)]).toEqual(['alice', ['alice'], true]);
    await store.close();
    const next = await request(world, jar.read());
    expect(next.store.snapshot().credentials).toMatchObject([{ claims: { sub: 'alice' }, status: { token: 'valid' } }]);
  });

  it('E62 removes and clears what could not be opened', async () => {
    const world = createWorld();
    const header = await forged(await headerOf(world, 'alice', 'bob'), inTheClear);
    const { store, jar } = await request(world, header);
    await (await store.getDefault())?.remove();
    expect(await store.allIDs()).toHaveLength(1);
    await store.clear();
    await store.close();
    expect((await request(world, jar.read())).store.snapshot().credentials).toEqual([]);
    expect(world.authority.revocations).toEqual([]);
  });

  it('BBA-4 what others write later is opened, too, before anybody hears of it', async () => {
    const world = createWorld();
    const shared = (): CredentialStorage => sealed({ ...world.disk.storage(), needsSealing: true }, { keys: KEYS });
    const [a, b] = [await world.openTab({ storage: shared() }), await world.openTab({ storage: shared() })];
    const mine = await a.store.store(world.authority.signIn({ sub: 'alice' }), { tags: ['mine'] });
    await settle();
    const theirs = (await b.store.with(mine.id))!;
    const seen = collect(b.store.state$);
    const heard = firstValueFrom(b.store.events$.pipe(filter(({ type }) => type === 'token_replaced')));
    await mine.refresh();
    await heard;
    expect([theirs.token?.accessToken, theirs.claims?.sub]).toEqual([mine.token?.accessToken, 'alice']);
    const record = world.disk.record(mine.id) as unknown as CredentialRecord;
    for (const [id, change] of [['one more', inTheClear], ['another', asAdmin], [mine.id, asAdmin]] as const) {
      world.disk.records.set(id, { ...(change(record) as CredentialRecord), id, revision: record.revision + 1 });
      await b.store.with(id);
      await b.store.setDefault(id); // reads it again
    }
    expect(b.store.snapshot().credentials.map(({ claims, status }) => [claims, status.token])).toEqual([
      [null, 'needs_sign_in'],
      [null, 'needs_sign_in'],
      [null, 'needs_sign_in'],
    ]);
    expect(JSON.stringify(seen.values)).not.toContain('admin');
    expect(theirs.token).toBeNull();
  }); // prettier-ignore
});
