// The refresh protocol as a table (standards.md §20): each step with each result. What the store makes of it is tested in test/store.
import fc from 'fast-check';
import {
  beginRefresh,
  MAX_SENDS,
  next,
  park,
  type Ending,
  type Found,
  type OnUnknownOutcome,
  type Refresh,
  type Results,
  type Step,
} from '../../src/credential/refresh-protocol';
import { runs } from '../support/counts';

jest.setTimeout(300_000); // tens of thousands of walks in long mode

const ME = 'me';
const POLICIES: readonly OnUnknownOutcome[] = ['retry', 'defer-until-expiry', 'reauthenticate'];

/** What may come of each step that is no reading; the dice favour lost answers. */
const WORDS = {
  prepare: ['ready', 'failed'],
  settle: ['waited'],
  pause: ['waited'],
  intend: ['written', 'unwritten', 'overtaken'],
  send: ['answered', 'answered_unjudged', 'outcome_unknown', 'outcome_unknown', 'outcome_unknown', 'refused', 'needs_user', 'rejected'],
  stage: ['done'],
  judge: ['token', 'not_yet', 'refused'],
  commit: ['committed', 'too_short', 'superseded', 'gone', 'needs_sign_in'],
  dismiss: ['done', 'overtaken'],
  retract: ['done'],
} as const satisfies { readonly [S in Step]?: readonly Results[S][] };

/** What a reading finds where a refresh of generation 1 is due and nothing is under way. */
const found = (changes: Partial<Found> = {}): Found => ({
  state: 'active',
  generation: 1,
  serves: false,
  lives: true,
  canSend: true,
  staged: false,
  intent: null,
  onUnknownOutcome: 'retry',
  ...changes,
});
/** A refresh of generation 1 in the middle of a step. */
const at = (step: Step, changes: Partial<Refresh> = {}): Refresh => ({ ...beginRefresh(ME), generation: 1, step, ...changes });
const after = (refresh: Refresh, result: Results[Step]): Refresh => next(refresh, result);
const ended = (ending: Ending): Partial<Refresh> => ({ step: 'end', ending });

type Row = readonly [title: string, from: Refresh, result: Results[Step], to: Partial<Refresh>];

const READ: readonly Row[] = [
  ['RF-13 finds it removed', at('read'), found({ state: 'gone' }), ended('gone')],
  ['E7 finds that the user must sign in', at('read'), found({ state: 'needs_sign_in' }), ended('needs_sign_in')],
  ['RF-2 finds that another has renewed it', at('read'), found({ generation: 2, serves: true }), ended('served')],
  ['finds nothing to send with', at('read'), found({ canSend: false }), ended('failed')],
  ['RF-4 finds an answer that was not judged yet', at('read'), found({ staged: true, intent: 'other' }), { step: 'judge' }],
  ['finds nothing under way', at('read'), found(), { step: 'prepare', generation: 1, inDoubt: false }],
  ['RF-7 finds its own intent', at('read', { sends: 1, inDoubt: true }), found({ intent: ME }), { step: 'send', sends: 1, inDoubt: true }],
  ['RF-8 finds the intent of a dead holder', at('read'), found({ intent: 'other' }), { step: 'settle', waitedFor: 'other', inDoubt: true }],
  [
    'RF-7 finds that a staged answer has come to nothing after the last send',
    at('read', { sends: 3 }),
    found({ intent: ME }),
    ended('failed'),
  ],
  [
    'RF-16 finds its own intent on the token that a parked refresh has stored meanwhile',
    at('read', { sends: 2 }),
    found({ generation: 2, intent: ME }),
    { step: 'send', generation: 2, sends: 0, inDoubt: true },
  ],
  [
    'RF-8 finds the intent that it has waited for',
    at('read', { waitedFor: 'other', inDoubt: true }),
    found({ intent: 'other' }),
    { step: 'prepare', inDoubt: true },
  ],
  [
    'RF-8 finds the intent of yet another, who died in between',
    at('read', { waitedFor: 'other', inDoubt: true }),
    found({ intent: 'third' }),
    { step: 'settle', waitedFor: 'third' },
  ],
  [
    'RF-8 finds that the dead holder had committed: there is no doubt any more, and nothing was sent',
    at('read', { waitedFor: 'other', inDoubt: true, sends: 2 }),
    found({ generation: 2 }),
    { step: 'prepare', generation: 2, inDoubt: false, sends: 0 },
  ],
  [
    'RF-16 parked, finds that another has renewed it',
    at('read', { parked: true }),
    found({ generation: 2, serves: true }),
    ended('served'),
  ],
  ['RF-16 parked, finds it removed', at('read', { parked: true }), found({ state: 'gone' }), ended('gone')],
  ['RF-11 RF-16 parked, is ready to send', at('prepare', { parked: true }), 'ready', ended('again')],
  ['RF-11 RF-16 parked, finds that it cannot send', at('prepare', { parked: true }), 'failed', ended('again')],
  ['RF-11 RF-16 parked, finds that it would have to send', at('read', { parked: true }), found(), ended('again')],
  [
    'RF-3 RF-16 parked, finds its own intent, of which nothing was sent: it is taken back',
    at('read', { parked: true, me: 'me' }),
    found({ intent: 'me' }),
    { step: 'retract', ending: 'again' },
  ],
  ['RF-16 parked, leaves what is staged to whoever has the lock', at('read', { parked: true }), found({ staged: true }), ended('again')],
];

const POLICY: readonly Row[] = POLICIES.flatMap((onUnknownOutcome) =>
  [true, false].flatMap((lives): readonly Row[] => {
    const title = `RF-8 ${onUnknownOutcome} where another intended, and the access token ${lives ? 'lives' : 'has expired'}`;
    const waits: Partial<Refresh> = { step: 'settle', inDoubt: true };
    const ends: Partial<Refresh> = { step: 'dismiss', reason: 'rotation_lost' };
    const to = {
      retry: waits,
      'defer-until-expiry': lives ? ended('failed') : waits,
      reauthenticate: ends,
    }[onUnknownOutcome];
    return [
      [title, at('read'), found({ intent: 'other', onUnknownOutcome, lives }), to],
      [`${title}: nothing of that for an intent of its own`, at('read'), found({ intent: ME, onUnknownOutcome, lives }), { step: 'send' }],
      [`${title}: nothing of that where nobody intended`, at('read'), found({ onUnknownOutcome, lives }), { step: 'prepare' }],
    ];
  }),
);

const SEND: readonly Row[] = [
  ['is answered', at('send'), 'answered', { step: 'judge', sends: 1, inDoubt: false }],
  ['RF-4 is answered, and keys must be fetched', at('send'), 'answered_unjudged', { step: 'stage', sends: 1 }],
  ['is rejected: what is stored decides', at('send'), 'rejected', { step: 'verify', sends: 1 }],
  ['RF-7 gets no answer', at('send'), 'outcome_unknown', { step: 'pause', sends: 1, inDoubt: true }],
  ['RF-7 gets no answer the second time', at('send', { sends: 1, inDoubt: true }), 'outcome_unknown', { step: 'pause', sends: 2 }],
  ['RF-7 gets no answer the third time', at('send', { sends: 2, inDoubt: true }), 'outcome_unknown', { ...ended('failed'), sends: 3 }],
  ['E6 is refused: nothing was used up', at('send'), 'refused', { step: 'retract', ending: 'failed' }],
  ['asks for the user: nothing was used up', at('send'), 'needs_user', { step: 'retract', ending: 'failed' }],
  ['RF-7 is refused after no answer: the intent stays', at('send', { sends: 1, inDoubt: true }), 'refused', ended('failed')],
  ['RF-7 asks for the user after no answer: the intent stays', at('send', { sends: 1, inDoubt: true }), 'needs_user', ended('failed')],
  ['RF-16 parked, is answered: that is committed if it still can be', at('send', { parked: true }), 'answered', { step: 'judge' }],
  ['RF-16 parked, gets no answer: nothing is sent without the lock', at('send', { parked: true }), 'outcome_unknown', ended('again')],
  ['RF-16 parked, is rejected', at('send', { parked: true }), 'rejected', { step: 'verify' }],
];

const VERIFY: readonly Row[] = [
  ['RF-13 finds it removed', at('verify', { sends: 1 }), found({ state: 'gone' }), ended('gone')],
  ['finds that it has ended already', at('verify', { sends: 1 }), found({ state: 'needs_sign_in' }), ended('needs_sign_in')],
  ['E7 finds the token that was sent', at('verify', { sends: 1 }), found({ intent: ME }), { step: 'dismiss', reason: 'rejected' }],
  [
    'RF-8 finds the token that was sent, and it may have been used before',
    at('verify', { sends: 2, inDoubt: true }),
    found({ intent: ME }),
    { step: 'dismiss', reason: 'rotation_lost' },
  ],
  ['RF-5 finds that another has renewed it', at('verify', { sends: 1 }), found({ generation: 2, serves: true }), { step: 'read' }],
  ['RF-4 finds that a parked refresh has staged an answer', at('verify', { sends: 1 }), found({ staged: true }), { step: 'read' }],
  ['RF-16 parked, leaves it to whoever has the lock', at('verify', { sends: 1, parked: true }), found(), ended('again')],
  [
    'RF-16 parked, finds that another has renewed it',
    at('verify', { sends: 1, parked: true }),
    found({ generation: 2, serves: true }),
    { step: 'read' },
  ],
];

const REST: readonly Row[] = [
  ['RF-3 is ready to send', at('prepare'), 'ready', { step: 'intend' }],
  ['finds that it cannot send: nothing was written', at('prepare'), 'failed', ended('failed')],
  ['RF-8 has waited: its holder may have committed after all', at('settle', { waitedFor: 'other' }), 'waited', { step: 'read' }],
  ['RF-7 has waited: a sign-out needs no lock', at('pause', { sends: 1 }), 'waited', { step: 'read', sends: 1 }],
  ['RF-3 is durable', at('intend'), 'written', { step: 'send' }],
  ['RF-15 cannot be written', at('intend'), 'unwritten', { step: 'send' }],
  ['RF-5 comes too late', at('intend'), 'overtaken', { step: 'read' }],
  [
    'RF-11 RF-16 parked, is durable, but nothing is sent: it is taken back',
    at('intend', { parked: true }),
    'written',
    { step: 'retract', ending: 'again' },
  ],
  ['RF-16 parked and in doubt, is durable, and stays', at('intend', { parked: true, inDoubt: true }), 'written', ended('again')],
  ['RF-11 RF-16 parked, cannot be written, and nothing is sent', at('intend', { parked: true }), 'unwritten', ended('again')],
  [
    'RF-16 parked, comes too late: what it may have written is taken back',
    at('intend', { parked: true }),
    'overtaken',
    { step: 'retract', ending: 'again' },
  ],
  ['RF-4 is durable', at('stage'), 'done', { step: 'judge' }],
  ['finds a token', at('judge'), 'token', { step: 'commit' }],
  ['IDR-6 has no keys yet: the answer stays', at('judge'), 'not_yet', ended('failed')],
  ['E56 finds that the answer is none', at('judge'), 'refused', ended('failed')],
  ['is durable', at('commit'), 'committed', ended('served')],
  ['E18 is durable, but what waited has expired meanwhile', at('commit'), 'too_short', { step: 'read' }],
  ['RF-5 finds another token in its place', at('commit'), 'superseded', ended('served')],
  ['RF-13 comes after the end', at('commit'), 'gone', ended('gone')],
  ['RF-13 comes after the session has ended', at('commit'), 'needs_sign_in', ended('needs_sign_in')],
  ['RF-16 parked, is durable', at('commit', { parked: true }), 'committed', ended('served')],
  ['E7 is durable', at('dismiss'), 'done', ended('needs_sign_in')],
  ['RF-5 finds another token in its place', at('dismiss'), 'overtaken', { step: 'read' }],
  ['is taken back', at('retract', { ending: 'failed' }), 'done', ended('failed')],
  ['RF-16 is taken back, to begin anew under the lock', at('retract', { ending: 'again', parked: true }), 'done', ended('again')],
];

const TABLE: readonly Row[] = [...READ, ...POLICY, ...SEND, ...VERIFY, ...REST];

describe('the refresh protocol', () => {
  it('RF-1 begins by reading what is stored', () => {
    expect(beginRefresh(ME)).toEqual({ ...at('read'), generation: 0 });
  });

  it.each(TABLE.map(([title, from, result, to]) => [from.step, title, from, result, to] as const))(
    '%s %s',
    (_, _title, from, result, to) => {
      const goneOn = after(from, result);
      expect(goneOn).toMatchObject(to);
      // What no row speaks of stays as it was.
      const { step: _step, ending: _ending, generation: _generation, sends, inDoubt, waitedFor, reason, ...rest } = goneOn;
      expect(rest).toEqual({ me: from.me, parked: from.parked });
      expect({ sends, inDoubt, waitedFor, reason }).toEqual({
        sends: to.sends ?? (from.step === 'send' ? from.sends + 1 : from.sends),
        inDoubt: to.inDoubt ?? (from.inDoubt || result === 'outcome_unknown' || isTaken(from, result)),
        waitedFor: to.waitedFor ?? (to.step === 'settle' ? (result as Found).intent : from.waitedFor),
        reason: to.reason ?? from.reason,
      });
    },
  );

  it('has a row for each result of each step', () => {
    const covered = new Set(TABLE.map(([, from, result]) => `${from.step} ${typeof result === 'string' ? result : result.state}`));
    const all = Object.entries(WORDS).flatMap(([step, results]) => results.map((result) => `${step} ${result}`));
    const states = ['read', 'verify'].flatMap((step) => ['active', 'needs_sign_in', 'gone'].map((state) => `${step} ${state}`));
    expect([...covered].sort()).toEqual([...new Set([...all, ...states])].sort());
  });

  it('an end stays an end', () => {
    const end = after(at('read'), found({ state: 'gone' }));
    expect(after(end, 'done')).toBe(end);
  });

  it('park changes nothing else', () => {
    const refresh = at('send', { sends: 2, inDoubt: true, waitedFor: 'other' });
    expect(park(refresh)).toEqual({ ...refresh, parked: true });
  });
});

/** True for a reading that finds what another has begun. */
function isTaken(from: Refresh, result: Results[Step]): boolean {
  return (
    from.step === 'read' && typeof result === 'object' && result.intent !== null && result.intent !== ME && !result.staged && !from.parked
  );
}

/** One walk through the machine: what was done, and in which order. */
interface Walk {
  readonly steps: readonly Refresh[];
  readonly end: Refresh | undefined;
}

/**
 * Walks with whatever results the dice give, so long as others do something new at most `news` times: write first, renew, die in the middle
 * of a refresh. The page freezes before step `parkedAt`.
 */
function walk(dice: readonly number[], news: number, parkedAt: number, limit: number): Walk {
  let [refresh, generation, holder, left, throws] = [beginRefresh(ME), 1, 'other', news, 0];
  let mine: string | null = null;
  const steps: Refresh[] = [];
  const roll = (sides: number): number => (dice[throws++ % dice.length] ?? 0) % sides;
  const isNew = (): boolean => left > 0 && roll(2) === 0 && left-- > 0;
  while (refresh.step !== 'end' && steps.length < limit) {
    steps.push(refresh);
    let result: Results[Step];
    if (refresh.step === 'read' || refresh.step === 'verify') {
      if (isNew()) generation++;
      if (isNew()) holder = `other ${left}`;
      result = found({
        generation,
        state:
          (['active', 'active', 'active', 'active', 'active', 'active', 'active', 'gone', 'needs_sign_in'] as const)[roll(9)] ?? 'active',
        serves: roll(8) === 0,
        lives: roll(2) === 0,
        canSend: roll(8) !== 0,
        staged: roll(8) === 0,
        intent: [null, mine, holder][roll(3)] ?? null,
        onUnknownOutcome: POLICIES[roll(3)] ?? 'retry',
      });
    } else {
      const words: readonly Results[Step][] = WORDS[refresh.step];
      result = words[roll(words.length)] ?? 'done';
      // Each of these means that the record is another one now.
      if ((result === 'overtaken' || result === 'too_short') && !(left > 0 && left-- > 0)) result = words[0] ?? 'done';
      else if (result === 'overtaken' || result === 'too_short') generation++;
    }
    if (refresh.step === 'intend' && result === 'written') mine = ME;
    if (steps.length > parkedAt) refresh = park(refresh);
    refresh = after(refresh, result);
  }
  return { steps, end: refresh.step === 'end' ? refresh : undefined };
}

/** What ends a request that was under way when the page froze. */
const ALLOWED_WITHOUT_LOCK: ReadonlySet<Step> = new Set(['read', 'stage', 'judge', 'commit', 'verify', 'retract']);
const NEWS = 4;
/** read, settle, read, prepare, intend, then three times send, pause, read, and at last verify, dismiss: for each generation. */
const STEPS_PER_GENERATION = 16;
const walks = fc
  .tuple(fc.array(fc.nat(719), { minLength: 20, maxLength: 60 }), fc.nat(NEWS), fc.oneof(fc.constant(Infinity), fc.nat(12)))
  .map(([dice, news, parkedAt]) => walk(dice, news, parkedAt, 1_000));

describe('any walk through the protocol', () => {
  const always = (check: (walked: Walk) => void): void => fc.assert(fc.property(walks, check), { numRuns: runs(500, 50_000) });

  it('ends, where others do not for ever do something new', () => {
    always(({ steps, end }) => {
      expect(end).toBeDefined();
      expect(steps.length).toBeLessThanOrEqual(STEPS_PER_GENERATION * (NEWS + 1));
    });
  });

  it(`RF-7 sends one token ${MAX_SENDS} times at most, and the last time says so`, () => {
    always(({ steps }) => {
      const sends = new Map<number, number>();
      for (const { step, generation } of steps) if (step === 'send') sends.set(generation, (sends.get(generation) ?? 0) + 1);
      expect(Math.max(0, ...sends.values())).toBeLessThanOrEqual(MAX_SENDS);
    });
  });

  it('RF-3 sends only what it has intended, RF-8 waits before it sends what another may have sent', () => {
    always(({ steps }) => {
      steps.forEach(({ step, inDoubt, waitedFor, sends }, index) => {
        if (step !== 'send') return;
        expect(['intend', 'read']).toContain(steps[index - 1]?.step);
        if (inDoubt && sends === 0 && steps[index - 1]?.step === 'intend') expect(waitedFor).not.toBeNull();
      });
    });
  });

  it('RF-11 RF-16 writes nothing new and sends nothing once it is parked', () => {
    always(({ steps }) => {
      const begun = steps.filter(({ parked, step }) => parked && !ALLOWED_WITHOUT_LOCK.has(step));
      expect(begun).toEqual([]);
    });
  });

  it('E7 ends a session only after a rejection of the token that is stored, or where the policy says so', () => {
    always(({ steps }) => {
      steps.forEach(({ step, reason, inDoubt }, index) => {
        if (step !== 'dismiss') return;
        const before = steps[index - 1]?.step;
        expect(before === 'verify' || (before === 'read' && reason === 'rotation_lost')).toBe(true);
        expect(reason).toBe(inDoubt ? 'rotation_lost' : 'rejected');
      });
    });
  });
});
