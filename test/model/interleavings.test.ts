// Real stores in several tabs: calls of the storage, locks, messages, requests and answers in any order; tabs that crash, freeze and wake.
import fc from 'fast-check';
import { runs } from '../support/counts.js';
import { REFRESH_MODES } from '../support/refresh-server/index.js';
import { play, type Act, type Deed, type Script } from './play.js';

const deeds: readonly (readonly [Deed, weight: number])[] = [
  ['refresh', 12],
  ['renew', 4],
  ['tag', 2],
  ['revoke', 1],
  ['crash', 2],
  ['freeze', 3],
  ['wake', 3],
  ['fill the disk', 1],
  ['free the disk', 1],
];
const act: fc.Arbitrary<Act> = fc.record({
  at: fc.nat(120),
  tab: fc.nat(2),
  does: fc.oneof(...deeds.map(([does, weight]) => ({ weight, arbitrary: fc.constant(does) }))),
});
const script: fc.Arbitrary<Script> = fc.record({
  seed: fc.integer(),
  mode: fc.constantFrom(...REFRESH_MODES),
  tabs: fc.integer({ min: 2, max: 3 }),
  persist: fc.constantFrom('all', 'all', 'refresh-only'),
  losses: fc.constantFrom(0, 0, 1, 2),
  acts: fc.array(act, { minLength: 2, maxLength: 9 }),
});

it(
  'RF-1, RF-7, RF-8, RF-13, RF-16 whatever the order, nothing is sent, lost or left behind that the protocol does not allow',
  async () => {
    await fc.assert(
      fc.asyncProperty(script, async (one) => {
        const { broken } = await play(one);
        expect(broken).toEqual([]);
      }),
      { numRuns: runs(2_000, 100_000) },
    );
  },
  runs(300_000, 7_200_000),
);
