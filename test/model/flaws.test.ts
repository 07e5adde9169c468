// The exploration can fail: each way to do it wrong breaks a rule, and is found.
import type { Found, Refresh, Results, Step } from '../../src/credential/refresh-protocol.js';
import { REFRESH_MODES } from '../support/refresh-server/modes.js';
import { explore } from './explore.js';
import { MACHINE, USUAL } from './settings.js';
import type { Flaw, Machine, Settings } from './world.js';

/** The rules that a flawed protocol breaks, mode by mode, as far as the one that is expected. */
function rulesBrokenBy(flawed: Partial<Settings>, expected: string): readonly string[] {
  const broken: string[] = [];
  for (const mode of REFRESH_MODES) {
    const { violation, isFinite } = explore({ ...USUAL, ...flawed, mode });
    if (violation) broken.push(violation.rule);
    else if (!isFinite) broken.push('some run never ends');
    if (broken.includes(expected)) break;
  }
  return broken;
}

/** The transition function with some steps taken otherwise. */
function otherwise(change: (to: Refresh, from: Refresh, result: Results[Step]) => Refresh): Machine {
  return { ...MACHINE, next: (from, result) => change(MACHINE.next(from, result), from, result) };
}

const DRIVER: readonly (readonly [flaw: Flaw, rule: string, settings: Partial<Settings>])[] = [
  ['settles while a request of the dead is on its way', 'a session was lost though the server takes the token again', {}],
  ['leaves its lock behind when it dies', 'nothing can happen, and somebody waits', {}],
  ['commits over whatever is there', 'RF-13 something is written over a tombstone', { signOuts: 1 }],
  ['does not revoke what comes after the end', 'RF-13 a refresh token lives on after the sign-out', { signOuts: 1, revocation: 'token' }],
  ['lets go of the lock when the answer is there', 'a session was lost without a fault', { faults: 0 }],
  ['drops what cannot be written', 'a session was lost by a fault that fell outside of send and durable write', { kinds: ['write'] }],
  ['takes back the intent of another', 'RF-3 a token may be spent, and nothing is written down about it', { faults: 2 }],
  ['clears the intent of another with its own', 'a session was lost though the server takes the token again', { kinds: ['freeze'] }],
  [
    'writes its intent over a record that it has not read',
    'RF-8 a token that may be spent is sent again, and nobody has waited',
    { asks: 2 },
  ],
  ['sends what it has not read where it cannot write', 'RF-2 a token is sent that is not stored any more', { asks: 2 }],
  [
    'revokes what it cannot judge',
    'a session was lost though the server takes the token again',
    { faults: 2, kinds: ['freeze', 'keys'], fetchesKeys: true },
  ],
];

it.each(DRIVER)('a driver that %s: %s', (flaw, rule, settings) => {
  expect(rulesBrokenBy({ ...settings, flaw }, rule)).toContain(rule);
});

const hasFound = (result: Results[Step]): result is Found => typeof result === 'object';

const MACHINES: readonly (readonly [title: string, rule: string, machine: Machine, settings: Partial<Settings>])[] = [
  [
    'does not look whether another was there first',
    'RF-2 a request is sent though another has renewed the token',
    otherwise((to, from, result) => (from.step === 'read' && to.ending === 'served' ? MACHINE.next(from, withoutNews(result)) : to)),
    { faults: 0 },
  ],
  [
    'writes no intent',
    'RF-3 a token may be spent, and nothing is written down about it',
    otherwise((to) => (to.step === 'intend' ? { ...to, step: 'send' } : to)),
    { faults: 0 },
  ],
  [
    'does not wait for the dead',
    'RF-8 a token that may be spent is sent again, and nobody has waited',
    otherwise((to) => (to.step === 'settle' ? { ...to, step: 'prepare' } : to)),
    {},
  ],
  [
    'does not know that it has lost the lock',
    'RF-1 a request is sent by who has lost the lock',
    { ...MACHINE, park: (at) => at },
    { kinds: ['freeze'] },
  ],
  [
    'ends the session without the lock',
    'RF-1 a session is ended by who has lost the lock',
    { ...MACHINE, next: (at, result) => MACHINE.next(at.step === 'verify' ? { ...at, parked: false } : at, result) },
    { kinds: ['freeze'] },
  ],
  [
    'believes a rejection without reading again',
    'RF-1 a session is ended by who has lost the lock',
    otherwise((to) => (to.step === 'verify' ? { ...to, step: 'dismiss', reason: 'rotation_lost' } : to)),
    { kinds: ['freeze'] },
  ],
  [
    'forgets that it was in doubt',
    'the loss is reported as a rejection',
    otherwise((to) => ({ ...to, inDoubt: to.step === 'pause' && to.inDoubt, reason: 'rejected' })),
    { kinds: ['crash'] },
  ],
  [
    'sends without end',
    'RF-7 a token was sent more than three times in a row',
    otherwise((to, from, result) => {
      if (from.step === 'send' && result === 'outcome_unknown') return { ...to, step: 'pause' };
      return from.step === 'read' && from.sends > 2 && to.ending === 'failed' ? { ...to, step: 'send' } : to;
    }),
    { tabs: 1, faults: 4, kinds: ['drop'] },
  ],
  [
    'does not use an answer that was staged',
    'some run never ends',
    otherwise((to, from, result) =>
      from.step === 'read' && hasFound(result) && result.staged ? MACHINE.next(from, { ...result, staged: false }) : to,
    ),
    { kinds: ['keys'], fetchesKeys: true, asks: 2 },
  ],
  [
    'goes round in circles',
    'some run never ends',
    otherwise((to, from) => (from.step === 'pause' || to.step !== 'prepare' ? to : { ...to, step: 'pause' })),
    { faults: 0 },
  ],
  [
    'gives up after a lost answer',
    'a session was lost though the server takes the token again',
    otherwise((to) => (to.step === 'pause' ? { ...to, step: 'dismiss', reason: 'rotation_lost' } : to)),
    { kinds: ['lose'] },
  ],
];

function withoutNews(result: Results[Step]): Results[Step] {
  return hasFound(result) ? { ...result, serves: false } : result;
}

it.each(MACHINES)('a machine that %s: %s', (_title, rule, machine, settings) => {
  expect(rulesBrokenBy({ ...settings, machine }, rule)).toContain(rule);
});
