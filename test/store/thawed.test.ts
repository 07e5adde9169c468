// A program that was stopped (SIGSTOP) between the steps of a refresh: a lock file it had is another's by then.
import { inProcessLocks } from '../../src/platform/in-process-locks.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

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

describe.each(['reauthenticate', 'defer-until-expiry', 'retry'] as const)('RF-3 RF-9 with onUnknownOutcome %s', (onUnknownOutcome) => {
  /** A refresh whose program stops as soon as its intent is written, for longer than any write takes. */
  async function stoppedAtIntent() {
    const world = createWorld();
    const { store, platform } = await world.openTab({ clients: (of) => world.authority.client(of, { onUnknownOutcome }) });
    const credential = await store.store(world.authority.signIn());
    const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['intent'] !== undefined, 'after');
    const asked = credential.refresh();
    asked.catch(() => undefined);
    await gate.reached;
    return { ...world, platform, credential, asked, gate };
  }

  it('an intent of which nothing was sent is no lost answer to who goes on after a freeze', async () => {
    const { browser, authority, platform, credential, asked, gate } = await stoppedAtIntent();
    platform.emit('frozen');
    await settle();
    browser.sleep(70_000);
    gate.open();
    await settle();
    platform.emit('resumed');
    expect((await inTime(browser, asked)).accessToken).toBe(credential.token?.accessToken);
    expect([authority.refreshes.length, authority.reuses(), credential.status.token]).toEqual([1, 0, 'valid']);
  });

  it('nor where the storage cannot be read at that moment', async () => {
    const { browser, disk, authority, credential, asked, gate } = await stoppedAtIntent();
    browser.sleep(70_000);
    const mend = disk.fail(({ method }) => method === 'read');
    gate.open();
    expect(await codeOf(inTime(browser, asked))).toBe('storage_failed');
    mend();
    await browser.advance(60_000);
    expect((await inTime(browser, credential.refresh())).accessToken).toBe(credential.token?.accessToken);
    expect([authority.refreshes.length, authority.reuses(), credential.status.token]).toEqual([1, 0, 'valid']);
  });
});

it('RF-16 a page that freezes between two sends tells once that a refresh was started', async () => {
  const { openTab, authority, browser } = createWorld();
  const { store, platform, newEvents } = await openTab();
  const credential = await store.store(authority.signIn());
  newEvents();
  authority.next(offline());
  const renewed = credential.refresh();
  await browser.advance(100);
  platform.emit('frozen');
  await browser.advance(200);
  platform.emit('resumed');
  await inTime(browser, renewed);
  expect(authority.refreshes).toHaveLength(2);
  expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
});
