// A refresh that cannot begin, since there is no lock or no reading to be had, is told as any other that fails (RF-15).
import { StorageError, type CredentialErrorCode } from '../../src/errors.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { inProcessLocks } from '../../src/platform/in-process-locks.js';
import { closeAll, codeOf, createWorld, inTime, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

interface Blocked extends Tab {
  readonly world: World;
  readonly withLock: NonNullable<CredentialStorage['withLock']>;
  mend(): void;
}

/** A tab whose storage gives no lock, as a full or read-only disk does, or no reading, until it is mended. */
async function blocked(
  what: 'withLock' | 'read' | 'nothing',
  ahead: boolean,
  code: CredentialErrorCode = 'storage_failed',
): Promise<Blocked> {
  const world = createWorld();
  let isBlocked = false;
  const disk = world.disk.storage();
  const { withLock } = inProcessLocks();
  const fails = (): Promise<never> => Promise.reject(new StorageError(code as never, 'The disk is full.'));
  const storage: CredentialStorage = {
    ...disk,
    read: (id) => (isBlocked && what === 'read' ? fails() : disk.read(id)),
    write: (...args) => (isBlocked && what === 'read' ? fails() : disk.write(...args)),
    withLock: (name, run, signal) => (isBlocked && what === 'withLock' ? fails() : withLock(name, run, signal)),
  };
  const tab = await world.openTab({ storage, options: { renewal: { ahead } } });
  await tab.store.store(world.authority.signIn());
  await world.browser.advance(3_000_000);
  isBlocked = true;
  tab.newEvents();
  return { ...tab, world, withLock, mend: () => void (isBlocked = false) };
}

describe('RF-15 a refresh that storage lets not begin', () => {
  it.each([
    ['its lock', 'withLock', 'storage_failed'],
    ['its lock', 'withLock', 'lock_unavailable'],
  ] as const)(
    'for want of %s (%s: %s) is told as one that fails: event, refreshFailure and backoff; nothing is sent',
    async (_, what, code) => {
      const { world, store, newEvents, events, mend } = await blocked(what, false, code);
      const credential = (await store.getDefault())!;
      await world.browser.advance(700_000);
      newEvents();
      expect(await codeOf(credential.accessToken())).toBe(code);
      expect(await codeOf(credential.accessToken())).toBe(code); // too early: no second event
      expect(newEvents()).toEqual(['refresh_failed']);
      expect(events.at(-1)).toMatchObject({ code, class: 'configuration', attempts: 1, nextTryAt: null });
      expect(credential.state).toMatchObject({ status: { token: 'expired', activity: 'idle' }, refreshFailure: { code, attempts: 1 } });
      expect(world.authority.refreshes).toEqual([]);
      mend();
      await world.browser.advance(1_500);
      await credential.accessToken();
      expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
      expect(world.authority.refreshes).toHaveLength(1);
    },
  );

  it('is tried again ahead of expiry, every 45 s at most, and told each time', async () => {
    const { world, store, newEvents, events, mend } = await blocked('withLock', true);
    const credential = (await store.getDefault())!;
    await world.browser.advance(546_000); // the lead
    expect(newEvents().filter((type) => type !== 'expiring')).toEqual(expect.arrayContaining(['refresh_failed']));
    expect(credential.state.refreshFailure).toMatchObject({ code: 'storage_failed', nextTryAt: expect.any(Number) as number });
    await world.browser.advance(1_800_000);
    const times = events.filter(({ type }) => type === 'refresh_failed').map(({ at }) => at);
    expect(times.length).toBeGreaterThan(40);
    expect(Math.min(...times.slice(8).map((at, i) => at - times[i + 7]))).toBeGreaterThanOrEqual(15_000);
    expect(world.authority.refreshes).toEqual([]);
    mend();
    await world.browser.advance(46_000);
    expect(credential.status.token).toBe('valid');
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('is about the credential, whatever target was asked for', async () => {
    const { world, store, events } = await blocked('withLock', false);
    const credential = (await store.getDefault())!;
    expect(await codeOf(credential.accessToken({ resource: 'https://api.example.com/' }))).toBe('storage_failed');
    expect(events.at(-1)).toMatchObject({ type: 'refresh_failed' });
    expect(events.at(-1)).not.toHaveProperty('target');
    expect(credential.state.refreshFailure).toMatchObject({ code: 'storage_failed' });
    expect(world.authority.refreshes).toEqual([]);
  });

  it.each([
    ['another has the lock for too long', 'timeout', 130_000],
    ['nothing can be read', 'storage_failed', 20_000],
  ] as const)('is told as well where %s', async (_, code, withinMs) => {
    const { world, store, withLock, events } = await blocked(code === 'timeout' ? 'nothing' : 'read', false);
    const credential = (await store.getDefault())!;
    let free = (): void => undefined;
    if (code === 'timeout') void withLock(`app:refresh:${credential.id}`, () => new Promise<void>((resolve) => (free = resolve)));
    expect(await codeOf(inTime(world.browser, credential.refresh(), withinMs))).toBe(code);
    free();
    expect(events.at(-1)).toMatchObject({ type: 'refresh_failed', code, attempts: 1 });
    expect(world.authority.refreshes).toEqual([]);
  });
});
