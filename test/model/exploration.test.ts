// Every state that the protocol of a refresh can reach, with each server of standards.md §20 (RF-1 to RF-9, RF-13, RF-15, RF-16).
import { runs } from '../support/counts.js';
import { REFRESH_MODES } from '../support/refresh-server/modes.js';
import { explore } from './explore.js';
import { USUAL } from './settings.js';
import { isQuiet, type Fault, type Settings, type World } from './world.js';

const NO_FREEZE: readonly Fault[] = ['crash', 'drop', 'lose', 'refuse', 'write'];
const KEYS: readonly Fault[] = ['keys', 'crash', 'lose', 'freeze'];

/**
 * What is explored, and how many states there are in all modes together. A number that differs says that the protocol or the model is
 * another one: if that was meant, write down the new number.
 */
const SCENARIOS: readonly (readonly [title: string, settings: Partial<Settings>, states: number])[] = [
  ['RF-2 three tabs that refresh twice, and no fault: nothing is lost', { tabs: 3, asks: runs(2, 3), faults: 0 }, runs(10_507, 84_231)],
  ['RF-7, RF-8, RF-9, RF-15, RF-16 two faults while two tabs refresh', { faults: runs(2, 3) }, runs(47_820, 308_684)],
  ['RF-8, RF-9, RF-16 a fault while two tabs refresh twice', { asks: 2, faults: runs(1, 2) }, runs(46_068, 808_864)],
  ['RF-8, RF-9, RF-16 a fault while three tabs refresh', { tabs: 3, faults: runs(1, 2) }, runs(18_453, 316_787)],
  [
    'RF-7, RF-8 two faults of three tabs and the network',
    { tabs: 3, faults: runs(2, 3), kinds: ['crash', 'drop', 'lose'] },
    runs(9_364, 20_786),
  ],
  ['RF-8 the leeway of the server ends at any time', { leewayEnds: true, asks: runs(1, 2) }, runs(11_970, 158_757)],
  [
    'RF-13 a sign-out at any time, and servers that revoke one token',
    { signOuts: 1, revocation: 'token', asks: runs(1, 2) },
    runs(38_516, 456_858),
  ],
  [
    'RF-13 a sign-out and two faults',
    { signOuts: 1, revocation: 'token', faults: 2, asks: runs(1, 2), kinds: NO_FREEZE },
    runs(27_600, 528_207),
  ],
  [
    'RF-4 answers that are judged with keys that must be fetched',
    { fetchesKeys: true, asks: runs(1, 2), faults: 2, kinds: KEYS },
    runs(56_689, 1_047_862),
  ],
  ['RF-2 tabs that do not share access tokens', { shares: false, asks: runs(1, 2), faults: runs(2, 2) }, runs(53_402, 1_209_316)],
  ['RF-8 defer-until-expiry', { policy: 'defer-until-expiry', asks: runs(1, 2) }, runs(8_576, 87_875)],
  ['RF-8 reauthenticate: nothing is sent again for another', { policy: 'reauthenticate', asks: runs(1, 2) }, runs(7_854, 84_656)],
];

it.each(SCENARIOS)(
  '%s',
  (_title, settings, states) => {
    const found = REFRESH_MODES.map((mode) => ({ mode, ...explore({ ...USUAL, ...settings, mode }) }));
    for (const { mode, violation } of found) expect({ mode, violation }).toEqual({ mode, violation: null });
    expect(found.filter(({ isFinite }) => !isFinite)).toEqual([]); // no run goes round in circles
    expect(found.reduce((sum, one) => sum + one.states, 0)).toBe(states);
  },
  runs(60_000, 1_800_000),
);

const SITUATIONS: readonly (readonly [title: string, isIt: (world: World) => boolean, settings: Partial<Settings>])[] = [
  [
    'a frozen page and its successor have a request under way with the same token',
    ({ tabs }) => tabs.some(({ parked, request }) => parked && request) && tabs.some(({ hasLock, request }) => hasLock && request),
    { kinds: ['freeze'] },
  ],
  [
    'another has renewed the token while a page kept what it could not write',
    ({ record, tabs }) => record.state === 'active' && tabs.some(({ kept }) => kept && record.generation > kept.since),
    { mode: 'open', faults: 2, kinds: ['freeze', 'write'] },
  ],
  [
    'an answer arrives after the sign-out',
    ({ record, tabs }) => record.state === 'gone' && tabs.some(({ answer }) => answer !== null),
    { signOuts: 1, faults: 0 },
  ],
  [
    'an answer is staged, and its tab is dead',
    (world) => isQuiet(world) && world.record.staged !== null && world.faults.crash === 1,
    { kinds: ['crash'], fetchesKeys: true },
  ],
  ['a server that is strict has used up what a crash has lost', ({ record }) => record.reason === 'rotation_lost', { kinds: ['crash'] }],
  ['a page that froze is overtaken by its successor', ({ overtaken }) => overtaken, { kinds: ['freeze'] }],
];

it.each(SITUATIONS)('the exploration comes to where %s', (title, isIt, settings) => {
  const { violation } = explore({ ...USUAL, mode: 'strict-revoke', ...settings }, (world) => (isIt(world) ? title : null));
  expect(violation?.rule).toBe(title);
});
