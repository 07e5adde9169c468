// RF-15: closing while a storage does not answer.
import type { Credential } from '../../src/store/credential.js';
import type { DiskCall } from '../support/fake-disk.js';
import { offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const isWrite = ({ method }: DiskCall): boolean => method === 'write';

/** Milliseconds until the store is closed. */
async function closing({ browser }: World, close: () => Promise<void>): Promise<number> {
  const before = browser.now();
  await inTime(browser, close(), 150_000);
  return browser.now() - before;
}

describe('RF-15 close, where storage takes no write and says nothing', () => {
  it('waits for nothing if nothing is under way', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    await store.store(world.authority.signIn());
    world.disk.hold(isWrite);
    expect(await closing(world, () => store.close())).toBe(0);
  });

  it.each<readonly [string, (one: Credential) => Promise<unknown>, number]>([
    ['a change of tags', (one) => one.setTags(['x']), 30],
    ['a removal', (one) => one.remove(), 90],
    ['a refresh', (one) => one.refresh(), 120],
    ['a revocation', (one) => one.revoke(), 120],
  ])('waits for %s: half a minute for each question it has, and for a last try', async (_, begin, seconds) => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    world.disk.hold(isWrite);
    begin(credential).catch(() => undefined);
    await settle();
    expect(await closing(world, () => store.close())).toBeLessThanOrEqual(seconds * 1_000 + 200);
  });

  it('so what the server gave is written by a storage that takes a minute to come back', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    disk.hold(isWrite);
    const refreshing = credential.refresh();
    await settle();
    const closed = store.close();
    const before = browser.now();
    const token = await inTime(browser, refreshing, 120_000); // in memory: its own write was given up
    expect(browser.now() - before).toBeGreaterThanOrEqual(60_000);
    disk.release();
    await inTime(browser, closed);
    expect(disk.record(credential.id)).toMatchObject({ secrets: { refreshToken: token.refreshToken } });
  });
});

describe('OBS-2 close, while a refresh is under way', () => {
  it.each([true, false])(
    'and its first answer is lost: who asked is told of that, and not that the credential is gone (expired: %p)',
    async (isExpired) => {
      const world = createWorld();
      const { openTab, authority, browser, disk } = world;
      const { store, newEvents } = await openTab();
      const credential = await store.store(authority.signIn());
      if (isExpired) await browser.advance(3_600_000);
      newEvents();
      authority.next(offline());
      const asked = codeOf(isExpired ? credential.accessToken() : credential.refresh());
      await settle();
      const gate = disk.hold(({ method, id }) => method === 'read' && id === credential.id); // before it is sent again
      await browser.advance(1_000);
      await gate.reached;
      const closed = store.close();
      disk.release();
      expect(await inTime(browser, asked)).toBe('network_error');
      await inTime(browser, closed);
      expect(newEvents().filter((type) => type !== 'expired')).toEqual(['refresh_started', 'refresh_failed']);
      expect(disk.record(credential.id)).toMatchObject({ state: 'active', intent: { attempt: 1 } });
    },
  );

  it('that nobody asked for, before anything is sent: nothing has failed', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    let ready = (): void => undefined;
    const metadata = new Promise<void>((resolve) => (ready = resolve));
    const { store, events } = await openTab({
      options: { renewal: { ahead: true } },
      clients: (platform) => {
        const client = authority.client(platform);
        return { ...client, metadata: () => metadata.then(() => client.metadata()) };
      },
    });
    authority.setPrepared(false);
    const credential = await store.store(authority.signIn());
    await browser.advance(3_600_000 - 30_000);
    expect(credential.status.activity).toBe('refreshing');
    const closed = store.close();
    await settle();
    ready();
    await inTime(browser, closed);
    expect(events.map(({ type }) => type).filter((type) => type.startsWith('refresh_'))).toEqual(['refresh_started', 'refresh_ended']);
    expect(credential.state).toMatchObject({ refreshFailure: null, status: { activity: 'idle' } });
    expect([authority.refreshes.length, disk.record(credential.id)?.['intent']]).toEqual([0, undefined]);
  });
});
