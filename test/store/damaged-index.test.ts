// A key-value store that cannot list its keys, and both copies of the index that is kept instead are damaged: every start is in memory.
import { keyValueStorage, type KeyValueStore } from '../../src/storage/key-value/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, codeOf, createWorld, inTime, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

function over(items: Map<string, string>): KeyValueStore {
  return { getItem: (key) => items.get(key), setItem: (key, value) => void items.set(key, value), removeItem: (key) => items.delete(key) };
}

/** Items of a program that had two credentials, and its next start, which finds no index. */
async function damaged(
  reach: 'process' | 'origin',
): Promise<{ world: World; items: Map<string, string>; start: () => Promise<Tab>; tab: Tab }> {
  const [world, items] = [createWorld(), new Map<string, string>()];
  const storage = (): CredentialStorage => keyValueStorage(over(items), { namespace: 'n', reach, platform: world.browser.openTab() }); // another program: another object
  const start = async (): Promise<Tab> => {
    const tab = world.startTab({ storage: storage() });
    await inTime(world.browser, tab.store.ready);
    return tab;
  };
  const first = await start();
  for (const id of ['me', 'bob']) await first.store.store(world.authority.signIn({ id, sub: id }));
  await first.store.close();
  for (const copy of ['index', 'index2']) items.set(`n:${copy}`, (items.get(`n:${copy}`) ?? '').slice(0, -2));
  return { world, items, start, tab: await start() };
}

describe.each(['process', 'origin'] as const)('E62 an index of which both copies are damaged, with reach %s', (reach) => {
  it('keeps nobody from clearing: the index begins anew, and what it has lost is believed by no later start', async () => {
    const { world, items, start, tab } = await damaged(reach);
    expect(tab.store.snapshot()).toMatchObject({ durable: false, ids: [], storageProblem: { code: 'storage_failed' } });
    await inTime(world.browser, tab.store.clear());
    await tab.store.close();
    expect([items.get('n:index'), items.get('n:index2')]).toEqual(['["@store"]', '["@store"]']);
    const { store } = await start();
    expect(store.snapshot()).toMatchObject({ durable: true, ids: [], defaultId: null });
    expect(await store.with('me')).toBeNull();
    expect(store.snapshot().ids).toEqual([]);
  });

  it('lets who clears sign in again, under the same id, too, and lists it', async () => {
    const { world, items, start, tab } = await damaged(reach);
    await inTime(world.browser, tab.store.clear());
    await tab.store.close();
    const second = await start();
    const token = world.authority.signIn({ id: 'me', sub: 'me' });
    await second.store.store(token);
    await second.store.close();
    const { store } = await start();
    expect(store.snapshot()).toMatchObject({ durable: true, ids: ['me'], defaultId: 'me' });
    expect(await (await store.getDefault())?.accessToken()).toBe(token.accessToken);
    expect(items.get('n:record:me')).toContain(token.accessToken);
  });

  it('is told of by a clear that cannot be written', async () => {
    const { world, items, tab } = await damaged(reach);
    const set = items.set.bind(items);
    items.set = (key, value) => {
      if (key.endsWith('@store')) throw new DOMException('full', 'QuotaExceededError');
      return set(key, value);
    };
    expect(await inTime(world.browser, codeOf(tab.store.clear()), 60_000)).toBe('storage_failed');
    expect(items.get('n:index')).not.toContain(']');
  });

  it('is mended by a clear of a program that runs', async () => {
    const [world, items] = [createWorld(), new Map<string, string>()];
    const storage = keyValueStorage(over(items), { namespace: 'n', reach, platform: world.browser.openTab() });
    const tab = await world.openTab({ storage });
    await tab.store.store(world.authority.signIn({ id: 'me' }));
    for (const copy of ['index', 'index2']) items.set(`n:${copy}`, '{');
    await inTime(world.browser, tab.store.clear());
    expect([...items.keys()].filter((key) => key.includes('record:'))).toEqual(['n:record:@store']);
  });

  it('nor does one believe the records of later epochs where the record of the store is lost, too', async () => {
    const [world, items] = [createWorld(), new Map<string, string>()];
    const start = async (): Promise<Tab> => {
      const storage = keyValueStorage(over(items), { namespace: 'n', reach, platform: world.browser.openTab() });
      const tab = world.startTab({ storage });
      await inTime(world.browser, tab.store.ready);
      return tab;
    };
    const first = await start();
    for (let i = 0; i < 3; i++) await inTime(world.browser, first.store.clear());
    await first.store.store(world.authority.signIn({ id: 'me' }));
    await first.store.close();
    items.delete('n:record:@store');
    for (const copy of ['index', 'index2']) items.set(`n:${copy}`, '{');
    const { store } = await start();
    await inTime(world.browser, store.clear());
    await store.close();
    const next = await start();
    expect([next.store.snapshot().ids, await next.store.with('me')]).toEqual([[], null]);
  });

  it('is begun anew by a clear alone, not where the record of the store was set back and is written over', async () => {
    const { world, items, start } = await damaged(reach);
    for (const copy of ['index', 'index2']) items.delete(`n:${copy}`); // a program that runs makes it anew
    const tab = await start();
    await tab.store.store(world.authority.signIn({ id: 'eve', sub: 'eve' }));
    const back = items.get('n:record:@store');
    await inTime(world.browser, tab.store.clear());
    await tab.store.store(world.authority.signIn({ id: 'eve', sub: 'eve' }));
    if (back === undefined) items.set('n:record:@store', '{"v":1,"id":"@store","revision":1,"epoch":0,"nullClaim":0,"topClaim":0}');
    else items.set('n:record:@store', back);
    for (const copy of ['index', 'index2']) items.set(`n:${copy}`, '{');
    await inTime(world.browser, codeOf(tab.store.setDefault(null)), 60_000).catch(() => undefined);
    expect([items.get('n:index'), items.get('n:index2')]).toEqual(['{', '{']);
  });
});
