// The first reading of a refresh is left to the write of its intent, which reads the record in its own transaction and is made only over what is known.
import type { Credential } from '../../src/index.js';
import { refusal } from '../support/fake-client.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

interface Two {
  readonly a: Tab & { readonly credential: Credential };
  readonly b: Tab & { readonly credential: Credential };
}

/** Two tabs with the same credential, which hear nothing of each other from now on. */
async function deafTabs(world: World): Promise<Two> {
  const [one, two] = [await world.openTab(), await world.openTab()];
  const mine = await one.store.store(world.authority.signIn());
  await settle();
  const theirs = await two.store.with(mine.id);
  if (!theirs) throw new Error('the other tab does not know the credential');
  world.browser.setDelivery(0);
  return { a: { ...one, credential: mine }, b: { ...two, credential: theirs } };
}

const isOfRecord = ({ id, method }: DiskCall, one: Credential): boolean => id === one.id && (method === 'read' || method === 'write');

describe('a refresh', () => {
  it('RF-2 RF-3 makes two calls of the storage for its record: its intent, and its token', async () => {
    const world = createWorld();
    const { a } = await deafTabs(world);
    const before = world.disk.calls.length;
    await a.credential.refresh();
    const calls = world.disk.calls.slice(before).filter((call) => isOfRecord(call, a.credential));
    expect(calls.map(({ method, record }) => [method, record?.['generation'], record?.['intent'] !== undefined])).toEqual([
      ['write', 1, true],
      ['write', 2, false],
    ]);
  });

  it('RF-2 reads first where the metadata must be fetched: another may have it served meanwhile', async () => {
    const world = createWorld();
    const { a } = await deafTabs(world);
    world.authority.setPrepared(false);
    const before = world.disk.calls.length;
    await a.credential.refresh();
    const calls = world.disk.calls.slice(before).filter((call) => isOfRecord(call, a.credential));
    expect(calls.map(({ method }) => method)).toEqual(['read', 'write', 'write']);
  });

  it('RF-2 reads first where it has waited for the lock', async () => {
    const world = createWorld();
    const { a, b } = await deafTabs(world);
    world.authority.hold();
    const theirs = b.credential.refresh();
    await settle();
    const mine = a.credential.refresh();
    await world.browser.advance(50);
    const before = world.disk.calls.length;
    world.authority.refreshes[0]?.answer();
    const [first, second] = await inTime(world.browser, Promise.all([theirs, mine]));
    expect(second.isEqual(first)).toBe(true);
    const writes = world.disk.calls.slice(before).filter(({ method, id }) => method === 'write' && id === a.credential.id);
    expect(writes.map(({ record }) => record?.['generation'])).toEqual([2]); // by the first alone
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it.each([
    ['takes writes', false],
    ['takes none', true],
  ] as const)('RF-2 RF-15 sends nothing that another has used up, of which it has not heard; where the disk %s', async (_, isFull) => {
    const world = createWorld();
    const { a, b } = await deafTabs(world);
    const theirs = await b.credential.refresh();
    if (isFull) world.disk.fail(({ method }) => method === 'write');
    const before = world.disk.calls.length;
    expect((await a.credential.refresh()).isEqual(theirs)).toBe(true);
    const calls = world.disk.calls.slice(before).filter((call) => isOfRecord(call, a.credential));
    expect(calls[0]).toMatchObject({ method: 'write', record: { generation: 1 } }); // it was tried, and not made
    expect(world.authority.refreshes).toHaveLength(1);
    expect(a.events.filter(({ type }) => type === 'refresh_started')).toEqual([]); // it did not come to that
    expect(a.credential.status).toEqual(b.credential.status);
  });

  it.each([
    ['removed it', (one: Credential) => one.remove()],
    ['cleared the store', (_: Credential, tab: Tab) => tab.store.clear()],
  ] as const)('RF-13 sends nothing for a credential where another has %s, of which it has not heard', async (_, end) => {
    const world = createWorld();
    const { a, b } = await deafTabs(world);
    await end(b.credential, b);
    await expect(a.credential.refresh()).rejects.toMatchObject({ code: 'credential_removed' });
    expect(world.authority.refreshes).toEqual([]);
    expect(a.credential.token).toBeNull();
  });
});

describe('RF-5 a page that wakes reads everything again', () => {
  it.each<readonly [string, (one: Credential) => Promise<unknown>, object]>([
    ['tags', (one) => one.setTags(['changed']), { generation: 2, tags: ['changed'] }],
    ['a refresh', (one) => one.refresh(), { state: 'active' }],
  ])('and what it does at that very moment is made of what it finds, never written over it: %s', async (_, change, expected) => {
    for (let offset = 0; offset < 60; offset++) {
      const world = createWorld();
      const { a, b } = await deafTabs(world);
      const theirs = await b.credential.refresh();
      const changing = change(a.credential);
      for (let i = 0; i < offset; i++) await Promise.resolve();
      a.platform.emit('resumed');
      await changing;
      await settle();
      expect(world.disk.record(a.credential.id)).toMatchObject(expected);
      expect(world.authority.reuses()).toBe(0);
      expect(world.authority.liveRefreshTokens()).toEqual([a.credential.token?.refreshToken]);
      expect(a.credential.token?.refreshToken === theirs.refreshToken).toBe(world.authority.refreshes.length === 1);
    }
  });

  it('RF-15 and a token that could not be written is kept, though a later revision was found meanwhile', async () => {
    const world = createWorld();
    const { a, b } = await deafTabs(world);
    const isCommit = ({ method, record }: DiskCall): boolean => method === 'write' && record?.['generation'] === 2;
    const gate = world.disk.hold(isCommit);
    const free = world.disk.fail(isCommit);
    const refreshing = a.credential.refresh();
    await gate.reached;
    await b.credential.setTags(['changed']);
    a.platform.emit('resumed');
    await settle();
    gate.open();
    const renewed = await inTime(world.browser, refreshing);
    expect(a.credential.token?.isEqual(renewed)).toBe(true);
    free();
    await world.browser.advance(120_000); // it is tried again
    expect(world.disk.record(a.credential.id)).toMatchObject({
      generation: 2,
      tags: ['changed'],
      secrets: { refreshToken: renewed.refreshToken },
    });
  });

  it('RF-13 RF-15 and a token that could not be written is revoked if the reading found a sign-out', async () => {
    const world = createWorld();
    const { a, b } = await deafTabs(world);
    const isCommit = ({ method, record }: DiskCall): boolean =>
      method === 'write' && record?.['generation'] === 2 && record['state'] === 'active';
    const gate = world.disk.hold(isCommit);
    world.disk.fail(isCommit);
    const refreshing = codeOf(a.credential.refresh());
    await gate.reached;
    await b.credential.remove();
    a.platform.emit('resumed');
    await settle();
    gate.open();
    expect(await inTime(world.browser, refreshing)).toBe('credential_removed');
    expect(a.events.slice(-2).map(({ type }) => type)).not.toContain('token_added');
    expect([a.credential.token, world.authority.liveRefreshTokens()]).toEqual([null, []]);
  });

  it('RF-5 RF-15 and is dropped if the reading found another sign-in', async () => {
    const world = createWorld();
    const { a, b } = await deafTabs(world);
    const newest = world.authority.signIn();
    const isCommit = ({ method, record }: DiskCall): boolean =>
      method === 'write' &&
      (record?.['secrets'] as { refreshToken?: string } | null)?.refreshToken !== newest.refreshToken &&
      record?.['generation'] === 2;
    const gate = world.disk.hold(isCommit);
    const refreshing = a.credential.refresh();
    await gate.reached;
    await b.store.store(newest, { replace: a.credential.id });
    const free = world.disk.fail(isCommit);
    a.platform.emit('resumed');
    await settle();
    gate.open();
    await inTime(world.browser, refreshing);
    free();
    await world.browser.advance(120_000);
    expect(world.disk.record(a.credential.id)).toMatchObject({ secrets: { refreshToken: newest.refreshToken } });
    expect(a.credential.token?.refreshToken).toBe(newest.refreshToken);
  });
});

describe('RF-3 an intent that was written, though the storage said no', () => {
  it.each([
    ['an answer', undefined, ['refresh_started', 'token_replaced']],
    ['no answer', refusal('temporarily_unavailable'), ['refresh_started', 'refresh_failed']],
  ] as const)('is a refresh like any other: %s', async (_, answer, events) => {
    const world = createWorld();
    const { a } = await deafTabs(world);
    if (answer) world.authority.next(answer);
    let count = 0;
    world.disk.fail(({ method, id, record }) => {
      if (method !== 'write' || !record?.['intent'] || count++ > 0) return false;
      world.disk.records.set(id ?? '', record);
      return true;
    });
    a.newEvents();
    await a.credential.refresh().catch(() => undefined);
    expect(a.newEvents()).toEqual(events);
    expect(world.authority.refreshes).toHaveLength(1);
  });
});

it('RF-13 a clear that comes between the answer and its write, and of which nobody tells, leaves nothing alive', async () => {
  const world = createWorld();
  const { a, b } = await deafTabs(world);
  const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['generation'] === 2);
  const refreshing = codeOf(a.credential.refresh());
  await gate.reached;
  await settle();
  const sweep = world.disk.hold(({ method, id }) => method === 'remove' && id === a.credential.id);
  const clearing = b.store.clear();
  await settle();
  gate.open();
  expect(await inTime(world.browser, refreshing)).toBe('credential_removed');
  sweep.open();
  await inTime(world.browser, clearing);
  expect([a.credential.token, world.authority.liveRefreshTokens()]).toEqual([null, []]);
});
