// A program that was stopped (SIGSTOP) between the steps of a refresh: a lock file it had is another's by then.
import { inProcessLocks } from '../../src/platform/in-process-locks.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, createWorld, inTime } from '../support/fixture.js';

afterEach(closeAll);

it('RF-9 a program that thaws when its intent has been written, and another had the lock meanwhile, looks before it sends', async () => {
  const world = createWorld();
  const disk = world.disk.storage();
  let stopped: Promise<void> | undefined;
  const [clock, due] = [world.browser.openTab(), new Array<() => void>()];
  const stops: CredentialStorage = {
    ...disk,
    withLock: inProcessLocks().withLock, // nobody else is kept waiting: the lock is lost
    write: async (record, ...rest) => {
      const written = await disk.write(record, ...rest);
      if ('intent' in record) await stopped;
      return written;
    },
  };
  const setTimer: typeof clock.setTimer = (fire, ...rest) => clock.setTimer(() => (stopped ? due.push(fire) : fire()), ...rest);
  const [a, b] = [await world.openTab({ storage: stops, platform: { setTimer } }), await world.openTab()];
  const { id } = await a.store.store(world.authority.signIn());
  await world.browser.advance(1);
  let thaw = (): void => undefined;
  stopped = new Promise((resolve) => (thaw = resolve));
  const asked = (await a.store.with(id))!.refresh();
  await world.browser.advance(20_000);
  const other = await inTime(world.browser, (await b.store.with(id))!.refresh(), 180_000);
  await world.browser.advance(150_000);
  stopped = undefined;
  thaw();
  due.forEach((fire) => fire());
  expect((await inTime(world.browser, asked)).accessToken).toBe(other.accessToken);
  expect([world.authority.refreshes.length, world.authority.reuses()]).toEqual([1, 0]);
});
