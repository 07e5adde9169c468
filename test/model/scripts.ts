// What may be played: acts of any kind in any tab, and scenes that bring tabs near each other.
import fc from 'fast-check';
import { REFRESH_MODES } from '../support/refresh-server/index.js';
import type { Act, Deed, Script } from './play.js';

const soon = fc.nat(8);
const anyTab = fc.nat(2);

function does(deed: Deed, tab: fc.Arbitrary<Act['tab']> = anyTab, after: fc.Arbitrary<number> = soon): fc.Arbitrary<Act> {
  return fc.record({ after, tab, does: fc.constant(deed) });
}

/** One act alone. */
const anything: fc.Arbitrary<readonly Act[]> = fc
  .oneof(
    { weight: 6, arbitrary: does('refresh') },
    { weight: 3, arbitrary: does('renew') },
    { weight: 1, arbitrary: does('tag') },
    { weight: 1, arbitrary: does('revoke') },
    { weight: 1, arbitrary: does('crash') },
    { weight: 1, arbitrary: does('freeze') },
    { weight: 1, arbitrary: does('wake') },
    { weight: 1, arbitrary: does('fill the disk') },
    { weight: 1, arbitrary: does('free the disk') },
  )
  .map((act) => [act]);

/** All ask at once. */
const crowd: fc.Arbitrary<readonly Act[]> = fc.tuple(...[0, 1, 2].map((tab) => does('refresh', fc.constant(tab), fc.nat(2))));

const holder = fc.constant('holder' as const);

/** Whoever has the lock falls out, another takes over, and the first may come back before that one is done. */
const takeover: fc.Arbitrary<readonly Act[]> = fc
  .record({
    tab: fc.nat(2),
    refresh: does('refresh'),
    falls: fc.oneof({ weight: 3, arbitrary: does('freeze', holder) }, { weight: 1, arbitrary: does('crash', holder) }),
    wakes: does('wake', anyTab, fc.nat(25)),
    other: does('refresh', anyTab, fc.nat(2)),
  })
  .map(({ tab, refresh, falls, wakes, other }) => [{ ...refresh, tab }, falls, { ...other, tab: tab + 1 }, { ...wakes, tab }]);

const anyScript: fc.Arbitrary<Script> = fc.record({
  seed: fc.integer(),
  mode: fc.constantFrom(...REFRESH_MODES),
  tabs: fc.integer({ min: 2, max: 3 }),
  persist: fc.constantFrom('all', 'all', 'refresh-only'),
  lives: fc.boolean(),
  prepared: fc.boolean(),
  losses: fc.constantFrom(0, 0, 1, 2),
  acts: fc
    .array(fc.oneof({ weight: 4, arbitrary: anything }, { weight: 1, arbitrary: crowd }, { weight: 2, arbitrary: takeover }), {
      minLength: 1,
      maxLength: 6,
    })
    .map((scenes) => scenes.flat()),
});

/** Where access tokens are not shared, each page that opens asks for one of its own. */
export const scripts = anyScript.map((script) => ({ ...script, lives: script.lives && script.persist === 'all' }));
