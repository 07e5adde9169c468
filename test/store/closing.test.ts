// RF-15: closing while a storage does not answer.
import type { Credential } from '../../src/store/credential.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, createWorld, inTime, settle, type World } from '../support/fixture.js';

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
