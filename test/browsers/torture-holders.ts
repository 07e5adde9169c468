// Refreshes that stand still at every step while their tab is lost, frozen or left, or another one signs out.
import assert from 'node:assert/strict';
import type { Answer, PageStep, Place, Subject } from '../e2e/pages/torture';
import type { Fault } from '../support/refresh-server';
import {
  assertNinth,
  assertSignedIn,
  type Case,
  countsOf,
  given,
  inAll,
  loaded,
  median,
  type Mode,
  MODES,
  nameOf,
  open,
  type Room,
  signIn,
  signInAndExpire,
  subjectOf,
  subjects,
  type Tab,
  TABS,
  unspent,
  until,
} from './torture-lab';

/** Where a refresh can be stopped: in its page, or at the server before its work, after it, or with a request that it will never see. */
export type Step = Exclude<PageStep, 'settle'> | 'dropped' | 'arrived' | 'committed';

/** What it costs to lose the holder there: requests in all, and whether the server has used up a token whose successor nobody stored. */
export const STEPS: Readonly<Record<Step, { readonly requests: number; readonly isSpent: boolean }>> = {
  lock: { requests: 1, isSpent: false },
  intent: { requests: 1, isSpent: false },
  send: { requests: 1, isSpent: false },
  dropped: { requests: 2, isSpent: false },
  arrived: { requests: 2, isSpent: true },
  committed: { requests: 2, isSpent: true },
  answer: { requests: 2, isSpent: true },
  commit: { requests: 2, isSpent: true },
  written: { requests: 1, isSpent: false },
};
export const ALL_STEPS = Object.keys(STEPS) as Step[];
export const AT_SERVER: Readonly<Partial<Record<Step, Fault>>> = {
  dropped: { name: 'drop-request', beforeMs: 1 },
  arrived: { name: 'delay', beforeMs: 1 },
  committed: { name: 'delay', afterMs: 1 },
};

/** A refresh that stands still. */
export interface Held {
  readonly one: Case;
  readonly step: Step;
  /** The answer lies in the record already, and waits for keys to be judged with. */
  readonly isStaged: boolean;
  /** Lets the server go on; nothing where the page stands still. */
  readonly releaseServer: () => void;
}

/** Begins a refresh in a tab and waits until it has come to the step. */
export async function hold(tab: Tab, one: Case, step: Step): Promise<Held> {
  const fault = AT_SERVER[step];
  const subject = subjectOf(one);
  if (!fault) {
    await tab.evaluate(
      (name, target) => {
        torture.stopAt(name, target.id);
        torture.begin([target]);
        return torture.reached(name, target.id);
      },
      step as PageStep,
      subject,
    );
    return { one, step, isStaged: await isStaged(tab, subject), releaseServer: () => undefined };
  }
  one.server.core.faults.plan('token', fault);
  await tab.evaluate((target) => torture.begin([target]), subject);
  return { one, step, isStaged: false, releaseServer: await one.server.gate.next() };
}

export async function isStaged(tab: Tab, subject: Subject): Promise<boolean> {
  return (await tab.evaluate((one) => torture.record(one), subject)).isStaged;
}

/** A refresh that stands still at each step, for each mode. */
export async function holdAll(room: Room, holder: Tab, steps: readonly Step[], modes: readonly Mode[], place: Place): Promise<Held[]> {
  const kinds = steps.flatMap((step) => modes.map((mode) => ({ step, mode, place })));
  const cases = await signInAndExpire(room, room.tabs, kinds);
  const held: Held[] = [];
  for (const [i, one] of cases.entries()) held.push(await hold(holder, one, kinds[i]?.step ?? 'lock'));
  return held;
}

export async function releasePage(tab: Tab, held: readonly Held[]): Promise<void> {
  const stopped = held.filter(({ step }) => !AT_SERVER[step]).map(({ one, step }) => [step as PageStep, one.id] as const);
  await tab.evaluate((all) => all.forEach(([step, id]) => torture.release(step, id)), stopped);
}

/** What it costs to lose this holder now. */
export function costOf({ step, isStaged }: Held): { readonly requests: number; readonly isSpent: boolean } {
  return isStaged ? { requests: 1, isSpent: false } : STEPS[step];
}

/** The strict modes may lose a session whose token the server has used up, and must then say so. */
export function isLost(held: Held): boolean {
  return costOf(held).isSpent && held.one.server.mode !== 'leeway-latest';
}

/** What each tab got for each refresh that stood still is what it may be, and so is what the server counted. */
export function assertOutcomes(held: readonly Held[], byTab: readonly (readonly Answer[])[]): void {
  for (const [i, each] of held.entries()) {
    const { one, step } = each;
    const answers = byTab.map((all) => given(all[i]));
    if (isLost(each)) {
      for (const { code, reason } of answers) assert.deepEqual({ code, reason }, { code: 'needs_sign_in', reason: 'rotation_lost' }, nameOf(one, step)); // prettier-ignore
    } else assertSignedIn(one, answers, step);
    const { requests, isSpent } = costOf(each);
    assert.deepEqual(countsOf(one), { requests, reuse: isSpent ? 1 : 0 }, nameOf(one, step));
  }
}

export function kept(held: readonly Held[]): Case[] {
  return held.filter((each) => !isLost(each)).map(({ one }) => one);
}

export function lost(held: readonly Held[]): Case[] {
  return held.filter(isLost).map(({ one }) => one);
}

export async function holderLost(room: Room, how: 'killed' | 'closed'): Promise<string> {
  const batches = batchesOf(room, ALL_STEPS);
  let [sessions, reported, waited] = [0, 0, 0];
  for (let batch = 0; batch < batches; batch++) {
    const victim = given(room.tabs[batch % TABS]);
    const others = room.tabs.filter((tab) => tab !== victim);
    const held = await holdAll(room, victim, ALL_STEPS, MODES, batch % 2 === 0 ? 'plain' : 'sealed');
    const all = subjects(held.map(({ one }) => one));
    const isEarly = batch % 2 === 0; // the others wait for the lock already, or they come later
    await inAll(room, others, () => torture.stopAt('settle', ''));
    if (isEarly) await askAndWait(room, others, all);
    const begun = performance.now();
    await (how === 'killed' ? victim.crash?.() : victim.close());
    if (isEarly) await settling(room, others);
    for (const { releaseServer } of held) releaseServer(); // the server works on for a client that is gone
    await inAll(room, others, () => torture.release('settle', ''));
    if (!isEarly) await inAll(room, others, (subjects) => torture.begin(subjects), all);
    const answers = await inAll(room, others, (subjects) => torture.answers(subjects), all);
    waited = Math.max(waited, performance.now() - begun);
    const next = await open(room);
    room.tabs[batch % TABS] = next;
    answers.push(await next.evaluate((subjects) => torture.answers(subjects), all));
    assertOutcomes(held, answers);
    await assertNinth(room, kept(held), lost(held));
    sessions += kept(held).length;
    reported += lost(held).length;
  }
  return `${batches} tabs ${how}, ${sessions + reported} cases: ${sessions} sessions kept, ${reported} lost and reported, which were spent in strict modes; all answered after ${Math.round(waited)} ms at most`;
}

/**
 * Asks in these tabs, and waits until every one of them waits for every lock. A tab that stood still for a while on a busy machine has read everything
 * again: what was written already serves it.
 */
export async function askAndWait(room: Room, tabs: readonly Tab[], all: readonly Subject[]): Promise<void> {
  await inAll(room, tabs, (subjects) => torture.begin(subjects), all);
  await until('all wait for the locks, or were served', async () => {
    const waiting = (await tabs[0]?.evaluate(() => torture.waiting())) ?? 0;
    const ended = (await inAll(room, tabs, (subjects) => torture.ended(subjects), all)).flat().filter(Boolean).length;
    return waiting + ended === tabs.length * all.length;
  });
}

/** When each lock was first given to one of these tabs, in epoch milliseconds, once all have been. */
export async function granted(room: Room, tabs: readonly Tab[], all: readonly Subject[]): Promise<readonly number[]> {
  let first: readonly number[] = [];
  await until('all locks are granted', async () => {
    const byTab = await inAll(room, tabs, (subjects) => torture.grantedAt(subjects), all);
    first = all.map((_, i) => Math.min(...byTab.map((times) => times[i] || Infinity)));
    return first.every(Number.isFinite);
  });
  return first;
}

/** Resolves once one of these tabs waits for what a former holder may have sent. */
export async function settling(room: Room, tabs: readonly Tab[]): Promise<void> {
  await until('a tab settles', async () => (await inAll(room, tabs, () => torture.isStopped('settle', ''))).some(Boolean));
}

export function batchesOf({ rounds }: Room, steps: readonly Step[]): number {
  return Math.ceil(rounds / (steps.length * MODES.length));
}

export async function signedOut(room: Room, how: 'remove' | 'revoke'): Promise<string> {
  const batches = batchesOf(room, ALL_STEPS);
  for (let batch = 0; batch < batches; batch++) {
    const holder = given(room.tabs[batch % TABS]);
    const others = room.tabs.filter((tab) => tab !== holder);
    const isSealed = (batch % 2 === 0) === (how === 'revoke');
    const held = await holdAll(room, holder, ALL_STEPS, MODES, isSealed ? 'sealed' : 'plain');
    const cases = held.map(({ one }) => one);
    const all = subjects(cases);
    await askAndWait(room, others.slice(1), all);
    await others[0]?.evaluate((subjects, way) => torture.signOut(subjects, way), all, how); // it waits for no refresh
    for (const { releaseServer } of held) releaseServer();
    await releasePage(holder, held);
    for (const answers of await inAll(room, [holder, ...others.slice(1)], (subjects) => torture.answers(subjects), all)) {
      for (const [i, { code, accessToken }] of answers.entries()) {
        const { one, step } = given(held[i]);
        // What was written before the sign-out may be given out: it was valid then.
        if (step === 'written' && accessToken !== undefined) continue;
        assert.equal(code, 'credential_removed', nameOf(one, step));
      }
    }
    await inAll(room, room.tabs, (subjects) => torture.gone(subjects), all);
    for (const record of await inAll(
      room,
      others.slice(0, 1),
      (subjects) => Promise.all(subjects.map((one) => torture.record(one))),
      all,
    )) {
      for (const { state, hasSecrets } of record) assert.deepEqual({ state, hasSecrets }, { state: 'removed', hasSecrets: false });
    }
    const left = (): string[] => held.flatMap((each) => leftBy(each, how).map((index) => nameOf(each.one, `${each.step}: refresh token ${index} lives`))); // prettier-ignore
    await until('what came after the sign-out is revoked', () => left().length === 0).catch(() => assert.deepEqual(left(), []));
  }
  const cases = batches * ALL_STEPS.length * MODES.length;
  return `${cases} cases: 0 credentials left in any tab, 0 refresh tokens that somebody received${how === 'remove' ? ' after the sign-out' : ''} live`;
}

/** Refresh tokens that live and should not. `remove` does not ask the server: the token that was stored then lives on (and no later one). */
export function leftBy({ one, step }: Held, how: 'remove' | 'revoke'): readonly number[] {
  const stored = step === 'written' ? 1 : 0;
  return unspent(one).filter((index) => how === 'revoke' || index !== stored);
}

/** Stops a page in whatever it does; resolves with the way back, which tells whether what comes back is that very page. */
export async function goAway(room: Room, tab: Tab, how: 'frozen' | 'navigated'): Promise<() => Promise<'the same page' | 'a new page'>> {
  const mark = await tab.evaluate(() => torture.mark());
  const comeBack = given(await (how === 'frozen' ? tab.freeze?.() : tab.leave?.(`${room.url}away`)));
  return async () => {
    await comeBack();
    await loaded(tab);
    return (await tab.evaluate(() => torture.mark())) === mark ? 'the same page' : 'a new page';
  };
}

/** A page that froze before it wrote or sent anything; one whose request is out; one that has its answer. */
export const FREEZE_STEPS: readonly Step[] = ['intent', 'dropped', 'arrived', 'committed', 'answer', 'commit', 'written'];

export async function holderAway(room: Room, how: 'frozen' | 'navigated'): Promise<string> {
  const batches = batchesOf(room, FREEZE_STEPS);
  const waits: number[] = [];
  let [sessions, reported, restored] = [0, 0, 0];
  for (let batch = 0; batch < batches; batch++) {
    const holder = given(room.tabs[batch % TABS]);
    const others = room.tabs.filter((tab) => tab !== holder);
    const held = await holdAll(room, holder, FREEZE_STEPS, MODES, batch % 2 === 0 ? 'plain' : 'sealed');
    const all = subjects(held.map(({ one }) => one));
    await inAll(room, others, () => torture.stopAt('settle', ''));
    await askAndWait(room, others, all);
    let waitsFrom = Date.now();
    const comeBack = await goAway(room, holder, how);
    const grants = await granted(room, others, all);
    await settling(room, others);
    for (const { releaseServer } of held) releaseServer(); // its answers wait for a page that stands still
    await inAll(room, others, () => torture.release('settle', ''));
    const answers = await inAll(room, others, (subjects) => torture.answers(subjects), all);
    assertOutcomes(held, answers);
    const recordsOf = (tab: Tab) => tab.evaluate((subjects) => Promise.all(subjects.map((one) => torture.record(one))), all);
    const before = await recordsOf(others[0] ?? holder);
    if ((await comeBack()) === 'the same page') [restored, waitsFrom] = [restored + 1, await holder.evaluate(() => torture.frozenAt())];
    await releasePage(holder, held);
    const late = await holder.evaluate((subjects) => torture.answers(subjects), all);
    for (const [i, each] of held.entries()) {
      const answer = given(late[i]);
      if (isLost(each)) assert.equal(answer.accessToken, undefined, `${nameOf(each.one, each.step)}: a token of a session that has ended`);
      else assertSignedIn(each.one, [answer], `${each.step}, after the thaw`);
    }
    assert.deepEqual(await recordsOf(others[0] ?? holder), before, 'the page that stood still has written something');
    assertOutcomes(held, answers);
    await assertNinth(room, kept(held), lost(held));
    waits.push(...grants.map((at) => at - waitsFrom));
    sessions += kept(held).length;
    reported += lost(held).length;
  }
  assert.ok(median(waits) < 1_000, `half of the locks took more than ${median(waits)} ms`);
  if (how === 'frozen') assert.equal(restored, batches);
  return `${batches} times, ${restored} came back as they were, ${sessions + reported} cases: ${sessions} sessions kept, ${reported} lost and reported, which were spent in strict modes; lock granted after ${median(waits)} ms, at most ${Math.max(...waits)} ms; 0 stale writes`;
}

/** The page runs again while the next holder still waits for its request to end, or has sent its own. */
export async function holderBackEarly(room: Room, how: 'frozen' | 'navigated'): Promise<string> {
  const steps = ['committed', 'answer', 'commit'] as const;
  const batches = Math.ceil(room.rounds / (steps.length * MODES.length * 2));
  let [saved, sessions, reported, dropped] = [0, 0, 0, 0];
  for (let batch = 0; batch < batches * 2; batch++) {
    const isSending = batch % 2 === 1;
    const modes = isSending ? (['strict-fail', 'leeway-latest'] as const) : MODES; // strict-revoke has ended the session by then
    const [holder, next] = [given(room.tabs[batch % TABS]), given(room.tabs[(batch + 1) % TABS])];
    await learnKeys(room, holder);
    const held = await holdAll(room, holder, steps, modes, batch % 4 < 2 ? 'plain' : 'sealed');
    const all = subjects(held.map(({ one }) => one));
    await next.evaluate(() => torture.stopAt('settle', ''));
    const comeBack = await goAway(room, holder, how);
    for (const { one } of held) if (isSending) one.server.core.faults.plan('token', { name: 'delay', beforeMs: 1 });
    await next.evaluate((subjects) => torture.begin(subjects), all);
    await granted(room, [next], all);
    const sent: (() => void)[] = [];
    if (isSending) {
      await next.evaluate(() => torture.release('settle', ''));
      for (const { one } of held) sent.push(await one.server.gate.next());
    }
    for (const { releaseServer } of held) releaseServer();
    const isBack = (await comeBack()) === 'the same page';
    await releasePage(holder, held);
    const ended = isBack ? await seen(holder, all) : [];
    await next.evaluate(() => torture.release('settle', ''));
    for (const release of sent) release();
    const answers = await inAll(room, room.tabs, (subjects) => torture.answers(subjects), all);
    if (!isBack) {
      // A browser may drop a page from its cache at any time: that is the scenario of one that went away. This one is tried again
      assert.ok(how === 'navigated' && ++dropped <= 3 * batches, `${dropped} pages did not come back`);
      batch--;
      continue;
    }
    const late = held.filter((_, i) => !ended[i]); // its request had ended with the page: as if the holder were lost
    assertOutcomes(late, answers.map((byTab) => byTab.filter((_, i) => !ended[i]))); // prettier-ignore
    for (const [i, { one, step }] of held.entries()) {
      if (!ended[i]) continue;
      assertSignedIn(one, answers.map((byTab) => given(byTab[i])), step); // prettier-ignore
      assert.deepEqual(countsOf(one), isSending ? { requests: 2, reuse: 1 } : { requests: 1, reuse: 0 }, nameOf(one, step));
    }
    if (how === 'frozen' && !isSending) assert.deepEqual(late.map(({ one, step }) => nameOf(one, step)), []); // prettier-ignore
    const over = lost(late);
    await assertNinth(room, held.map(({ one }) => one).filter((one) => !over.includes(one)), over); // prettier-ignore
    saved += held.length - late.length;
    sessions += held.length - over.length;
    reported += over.length;
  }
  return `${batches * 2} times, ${sessions + reported} cases: ${saved} answers stored by the page that came back, ${sessions} sessions kept, ${reported} lost and reported${dropped > 0 ? `; ${dropped} more pages did not come back from the cache` : ''}`;
}

/** Resolves once the tab has made something of its answers: which have come to an end; for the others it waits for the lock. */
export async function seen(tab: Tab, all: readonly Subject[]): Promise<readonly boolean[]> {
  let ended: readonly boolean[] = [];
  await until('the holder has seen its answers', async () => {
    const [ends, waiting] = await tab.evaluate(async (subjects) => [torture.ended(subjects), await torture.waiting()] as const, all);
    ended = ends;
    return ends.filter(Boolean).length + waiting === all.length;
  });
  return ended;
}

/** From now on no answer waits for keys in this tab. */
export async function learnKeys(room: Room, tab: Tab): Promise<void> {
  const [one] = await signIn(room, room.tabs, [{ mode: 'strict-fail', place: 'plain' }], 60_000);
  await tab.evaluate((subject) => torture.refresh(subject), subjectOf(given(one)));
  await inAll(room, room.tabs, (subject) => torture.renewed(subject, 1), subjectOf(given(one)));
}
