// Messages between tabs are hints: lost, doubled, reordered, late or forged, they change nothing but timing (RF-12).
import fc from 'fast-check';
import type { Credential } from '../../src/index.js';
import { closeAll, createWorld, settle, type Tab } from '../support/fixture.js';
import { runs } from '../support/counts.js';

afterEach(closeAll);

const TABS = 3;

/** One thing that happens: a command in one tab, or something to the messages. */
type Step =
  | {
      readonly do: 'store' | 'refresh' | 'remove' | 'setTags' | 'setDefault' | 'setNobody';
      readonly tab: number;
      readonly pick: number;
      readonly waits: boolean;
    }
  | { readonly do: 'clear'; readonly tab: number; readonly waits: boolean }
  | { readonly do: 'arrive'; readonly pick: number; readonly times: 0 | 1 | 2 }
  | { readonly do: 'forge'; readonly id: string; readonly revision: unknown };

const tab = fc.nat(TABS - 1);
const pick = fc.nat(20);
const waits = fc.boolean(); // or goes on while the command runs
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constantFrom('store', 'refresh', 'remove', 'setTags', 'setDefault', 'setNobody'), tab, pick, waits }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear'), tab, waits }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('arrive'), pick, times: fc.constantFrom(0, 1, 2) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('forge'),
      id: fc.constantFrom('credential-2', '@store', '__proto__', 'nobody', ''),
      revision: fc.oneof(fc.integer(), fc.constant(Infinity), fc.constant('x'), fc.constant(undefined)),
    }),
  },
);

async function perform(
  one: Step & { readonly tab: number },
  { store }: Tab,
  signIn: () => Parameters<typeof store.store>[0],
): Promise<unknown> {
  const all = await store.find(() => true);
  const credential: Credential | undefined = 'pick' in one ? all[one.pick % Math.max(1, all.length)] : undefined;
  switch (one.do) {
    case 'store':
      return store.store(signIn(), { tags: [`tag-${'pick' in one ? one.pick % 3 : 0}`] });
    case 'setNobody':
      return store.setDefault(null);
    case 'clear':
      return store.clear();
    case 'refresh':
      return credential?.refresh();
    case 'remove':
      return credential?.remove();
    case 'setTags':
      return credential?.setTags([`tag-${'pick' in one ? one.pick % 3 : 0}`]);
    default:
      return credential && store.setDefault(credential);
  }
}

/** What failed once: a clear whose message was lost, and a message of what was stored after it. */
const FAILED: [Step[]][] = [
  [
    [
      { do: 'clear', tab: 0, waits: true },
      { do: 'store', tab: 0, pick: 0, waits: true },
      { do: 'arrive', pick: 0, times: 0 },
      { do: 'store', tab: 0, pick: 0, waits: true },
      { do: 'store', tab: 0, pick: 0, waits: true },
      { do: 'arrive', pick: 1, times: 2 },
    ],
  ],
];

/** What a tab shows, but for what only it can know. */
const shown = ({ store }: Tab): unknown => ({
  defaultId: store.snapshot().defaultId,
  credentials: store.snapshot().credentials.map(({ status: { token }, ...rest }) => ({ ...rest, token })),
});

it('RF-12 whatever becomes of the messages, every tab agrees with storage once it has looked, and no refresh token is used twice', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const world = createWorld();
      const tabs = await Promise.all(Array.from({ length: TABS }, () => world.openTab()));
      const underway: (() => void)[] = [];
      const running: Promise<unknown>[] = [];
      world.browser.setDelivery((arrive) => underway.push(arrive));
      for (const one of steps) {
        if (one.do === 'arrive') {
          const [arrive] = underway.splice(one.pick % Math.max(1, underway.length), 1);
          for (let times = 0; times < one.times; times++) arrive?.();
        } else if (one.do === 'forge') {
          world.browser.setDelivery(1);
          world.browser.forge('app:records', { id: one.id, revision: one.revision, generation: 7 });
          world.browser.setDelivery((arrive) => underway.push(arrive));
        } else {
          // What is gone elsewhere may be refused here; nothing else may fail.
          const command = perform(one, tabs[one.tab], () => world.authority.signIn({ sub: `user-${underway.length}` }));
          const done = command.catch((error: unknown) => expect(error).toMatchObject({ code: 'credential_removed' }));
          running.push(done);
          if (one.waits) await done;
        }
        await settle();
      }
      await Promise.all(running);
      for (const { platform } of tabs) platform.emit('resumed');
      await Promise.all(tabs.map(({ store }) => store.allIDs()));
      const fresh = await world.openTab();
      for (const one of tabs) expect(shown(one)).toEqual(shown(fresh));
      expect(world.authority.reuses()).toBe(0);
      for (const id of await fresh.store.allIDs()) {
        const [token] = [(await fresh.store.with(id))?.token];
        for (const one of tabs) expect((await one.store.with(id))?.token?.accessToken).toBe(token?.accessToken);
      }
      world.browser.setDelivery(1);
      await closeAll();
    }),
    { numRuns: runs(500, 10_000), examples: FAILED },
  );
});
