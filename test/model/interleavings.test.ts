// Real stores in several tabs: calls of the storage, locks, messages, requests and answers in any order; tabs that crash, freeze and wake.
import fc from 'fast-check';
import { runs } from '../support/counts.js';
import { scripts } from './scripts.js';
import { play } from './play.js';

it(
  'RF-1, RF-7, RF-8, RF-13, RF-16 whatever the order, nothing is sent, lost or left behind that the protocol does not allow',
  async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const { broken } = await play(script);
        expect(broken).toEqual([]);
      }),
      { numRuns: runs(2_000, 100_000) },
    );
  },
  runs(300_000, 7_200_000),
);

it.each([
  ['grants every lock at once', 'RF-1 two requests of holders are under way'],
  ['writes whatever the condition', 'RF-2 a token was used twice'],
] as const)('it is found if a browser %s', async (flaw, rule) => {
  const broken: string[] = [];
  for (const script of fc.sample(scripts, { seed: 1, numRuns: 300 })) {
    broken.push(...(await play(script, flaw)).broken);
    if (broken.includes(rule)) break;
  }
  expect(broken).toContain(rule);
});
