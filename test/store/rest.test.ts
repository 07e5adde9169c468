import { CredentialError } from '../../src/errors.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import { ISSUER, offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const AHEAD = { renewal: { ahead: true } };

describe('E43 renewal ahead that fails before anything has begun', () => {
  type Break = (world: World, tab: Tab, id: string) => void;
  it.each<readonly [string, Break]>([
    ['reads and writes that fail', ({ disk }) => void disk.fail(({ method }) => method === 'read' || method === 'write')],
    ['reads that fail', ({ disk }) => void disk.fail(({ method }) => method === 'read')],
    ['a record that cannot be parsed', ({ disk }, _, id) => void disk.records.set(id, { id, revision: 7 })],
  ])('rests longer and longer: %s', async (_, destroy) => {
    const world = createWorld();
    const tab = await world.openTab({ options: AHEAD });
    const { id } = await tab.store.store(world.authority.signIn({ lifetimeS: 600 }));
    world.authority.setPrepared(false);
    destroy(world, tab, id);
    const before = world.disk.calls.length;
    await world.browser.advance(590_000);
    expect(world.disk.calls.length - before).toBeGreaterThan(0);
    expect(world.disk.calls.length - before).toBeLessThan(20);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it('rests where a lock fails, and goes on when the page wakes', async () => {
    const world = createWorld();
    const tab = await world.openTab({ options: AHEAD });
    const credential = await tab.store.store(world.authority.signIn({ lifetimeS: 600 }));
    let asked = 0;
    let isBroken = true;
    const { locks } = tab.platform;
    const withLock = locks.withLock.bind(locks);
    Object.assign(locks, {
      withLock: (name: string, run: () => Promise<unknown>, signal?: AbortSignal) => {
        asked++;
        return isBroken ? Promise.reject(new DOMException('no', 'InvalidStateError')) : withLock(name, run, signal);
      },
    });
    await world.browser.advance(590_000);
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(10);
    isBroken = false;
    tab.platform.emit('visible');
    await world.browser.advance(1_000);
    expect(credential.status.token).toBe('valid');
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('rests where the intent of a dead tab has to be waited out', async () => {
    const world = createWorld();
    const clients = (platform: Tab['platform']) => world.authority.client(platform, { onUnknownOutcome: 'defer-until-expiry' });
    const first = await world.openTab({ clients });
    const { id } = await first.store.store(world.authority.signIn({ lifetimeS: 600 }));
    await first.store.close();
    const startedAt = world.browser.now();
    world.disk.records.set(id, {
      ...world.disk.record(id),
      intent: { holder: 'dead', attempt: 1, generation: 1, startedAt, since: startedAt },
    });
    const tab = await world.openTab({ clients, options: AHEAD });
    const before = world.disk.calls.length;
    await world.browser.advance(590_000);
    expect(world.disk.calls.length - before).toBeLessThan(20);
    await world.browser.advance(330_000); // once the access token has expired it is sent
    expect(world.authority.refreshes).toHaveLength(1);
    expect(tab.store.snapshot().credentials[0]?.status.token).toBe('valid');
  });

  it('rests where the key cannot be had now', async () => {
    const world = createWorld();
    const keys = staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]);
    const storage = sealed(world.disk.storage(), { keys });
    const first = await world.openTab({ storage });
    await first.store.store(world.authority.signIn({ lifetimeS: 600 })); // real keys take real time, and no other
    await first.store.close();
    let opened = 0;
    const unseal = (): Promise<never> => (opened++, Promise.reject(new CredentialError('timeout', 'not now')));
    await world.openTab({ storage: { ...storage, unseal }, options: AHEAD });
    await world.browser.advance(590_000);
    expect(opened).toBeLessThan(20);
  });
});

describe('E43 a token that cannot be renewed', () => {
  it('is given as long as it lives, without a lock and a reading each time', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const token = world.authority.signIn({ lifetimeS: 600, refreshable: false });
    const credential = await store.store(token);
    await world.browser.advance(590_000);
    const before = [world.disk.calls.length, world.browser.lockNames.length];
    for (let i = 0; i < 10; i++) expect(await credential.accessToken()).toBe(token.accessToken);
    expect([world.disk.calls.length, world.browser.lockNames.length]).toEqual(before);
    await world.browser.advance(10_000);
    expect(await codeOf(credential.accessToken())).toBe('no_refresh_token');
  });
});

describe('RF-7 who waits for a turn while another is refused', () => {
  const ask = async (world: World) => {
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn({ lifetimeS: 1, scope: 'openid a b' }));
    await world.browser.advance(2_000);
    return Promise.all(
      [
        credential.accessToken(),
        credential.refresh(),
        credential.refreshIfNeeded(60_000),
        credential.accessToken({ minValidityMs: 5 }),
        credential.accessToken({ scope: 'a' }),
        credential.accessToken({ scope: 'b' }),
      ].map((one) => codeOf(inTime<unknown>(world.browser, one))),
    );
  };

  it('gets the same error: one request, as Retry-After says', async () => {
    const world = createWorld();
    const busy = new CredentialError('server_unavailable', 'no', { issuer: ISSUER, status: 429, retryAfterMs: 60_000 });
    world.authority.next(...Array.from({ length: 9 }, () => busy));
    expect(await ask(world)).toEqual(Array.from({ length: 6 }, () => 'server_unavailable'));
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('gets the same error: three sends of one refresh token', async () => {
    const world = createWorld();
    world.authority.next(...Array.from({ length: 30 }, offline));
    expect(await ask(world)).toEqual(Array.from({ length: 6 }, () => 'network_error'));
    expect(world.authority.refreshes).toHaveLength(3);
  });
});

describe('RF-16 a refresh that a frozen page began', () => {
  const frozenRefresh = async (world: World) => {
    const tab = await world.openTab();
    const credential = await tab.store.store(world.authority.signIn());
    world.authority.hold();
    const refreshing = codeOf(credential.refresh());
    await settle();
    tab.platform.emit('frozen');
    await settle();
    return { tab, credential, refreshing };
  };

  it('ends with refresh_failed where another tab has the lock meanwhile', async () => {
    const world = createWorld();
    const { tab, credential, refreshing } = await frozenRefresh(world);
    let free = (): void => undefined;
    void tab.platform.locks.withLock(`app:refresh:${credential.id}`, () => new Promise<void>((resolve) => (free = resolve)));
    world.authority.refreshes[0]?.answer(offline());
    await settle();
    tab.platform.emit('resumed');
    expect(await inTime(world.browser, refreshing, 200_000)).toBe('timeout');
    expect(credential.status.activity).toBe('idle');
    expect(tab.newEvents().filter((type) => type.startsWith('refresh_'))).toEqual(['refresh_started', 'refresh_failed']);
    free();
  });

  it('ends with refresh_failed where the record cannot be read when it goes on', async () => {
    const world = createWorld();
    const { tab, credential, refreshing } = await frozenRefresh(world);
    const mend = world.disk.fail(({ method }) => method === 'read');
    world.authority.refreshes[0]?.answer(offline());
    await settle();
    tab.platform.emit('resumed');
    expect(await inTime(world.browser, refreshing, 200_000)).toBe('storage_failed');
    mend();
    expect(credential.status.activity).toBe('idle');
    expect(tab.newEvents().filter((type) => type.startsWith('refresh_'))).toEqual(['refresh_started', 'refresh_failed']);
  });
});
