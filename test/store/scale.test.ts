// What takes no longer than it must where there is much: limits are a tenth of what a wrong order of growth takes.
import { memoryStorage } from '../../src/storage/memory/index.js';
import { closeAll, createWorld, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

/** How long something keeps the program, in milliseconds. */
async function msOf(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

/** So many credentials, stored at once. */
async function filled(count: number): Promise<{ readonly world: World; readonly tab: Tab }> {
  const world = createWorld();
  const tab = await world.openTab({ storage: memoryStorage() }); // it tells of each record that goes
  await Promise.all(Array.from({ length: count }, (_, i) => tab.store.store(world.authority.signIn({ sub: `user-${i}` }))));
  return { world, tab };
}

describe('E68 many that were once the default', () => {
  it('are cleared in a moment', async () => {
    const { tab } = await filled(700);
    for (const credential of await tab.store.find({})) await tab.store.setDefault(credential);
    expect(await msOf(() => tab.store.clear())).toBeLessThan(1_000);
    expect(tab.store.snapshot()).toMatchObject({ ids: [], defaultId: null });
  }, 30_000);
});
