// docs/storage/key-value.md, "A store for each request": a namespace for each session, in a store that lets go of what nobody asks for.
import { keyValueStorage, type KeyValueStore } from '../../src/storage/key-value/index.js';
import { closeAll, createWorld, inTime, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const DAY_MS = 86_400_000;

/** A store of texts that go thirty days after they were last written or, as `GETEX` has it, read. */
function expiring({ browser }: World): { readonly store: KeyValueStore; size(): number } {
  const items = new Map<string, { readonly text: string; readonly until: number }>();
  const keep = (key: string, text: string): void => void items.set(key, { text, until: browser.now() + 30 * DAY_MS });
  const living = (key: string): string | null => {
    const item = items.get(key);
    return item && item.until > browser.now() ? item.text : null;
  };
  return {
    store: {
      getItem: (key) => {
        const text = living(key);
        if (text !== null) keep(key, text);
        return text;
      },
      setItem: keep,
      removeItem: (key) => void items.delete(key),
    },
    size: () => [...items.keys()].filter((key) => living(key) !== null).length,
  };
}

describe('design §8 a store for each request', () => {
  it('keeps a session that is used for as long as it is used, and nothing of one that is not', async () => {
    const world = createWorld();
    const { store: items, size } = expiring(world);
    const request = (): Promise<Tab> => world.openTab({ storage: keyValueStorage(items, { namespace: 'session-1' }) });
    const first = await request();
    await first.store.store(world.authority.signIn());
    await first.store.close();
    for (let day = 1; day <= 90; day++) {
      await world.browser.advance(DAY_MS);
      const { store } = await request();
      const credential = await store.getDefault();
      expect(credential && (await inTime(world.browser, credential.accessToken()))).toEqual(expect.any(String));
      await store.close();
    }
    expect(world.authority.reuses()).toBe(0);
    expect(size()).toBeGreaterThan(0);
    await world.browser.advance(30 * DAY_MS);
    expect(size()).toBe(0);
  });
});
