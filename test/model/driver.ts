// What a tab does: the driver of the real transition function, which follows src/store/refresh-steps.ts line by line. Each step takes
// effect first (`outcomes`), and its result reaches the driver later (`told`); in between others act, and the page may freeze.
import type { Found, Refresh, Results, Step } from '../../src/credential/refresh-protocol.js';
import { faulty, NOBODY, tabOf, viewOf, withTab, type Request, type Settings, type Stored, type World } from './world.js';

export type Result = Results[Step];
/** What a step came to, and the world after its effect. */
export type Outcome = readonly [what: string, to: World, result: Result];
type Change = (now: Stored) => Stored | null;

/** What the step under way may come to. The result is not known to the tab yet. */
export function outcomes(world: World, settings: Settings, index: number, { step, me, reason }: Refresh): readonly Outcome[] {
  const { grant, needsKeys } = tabOf(world, index);
  switch (step) {
    case 'read':
      return [reading(world, settings, index, step), ...trusting(world, settings, index)];
    case 'verify':
      return [reading(world, settings, index, step)];
    case 'prepare':
      return [[step, world, 'ready']];
    case 'settle':
      if (settings.flaw !== 'settles while a request of the dead is on its way' && world.orphans.some(({ wasParked }) => !wasParked))
        return [];
      return [[step, withTab(world, index, { settled: true }), 'waited']];
    case 'pause':
      return [[step, world, 'waited']];
    case 'intend':
      return intending(world, settings, index, Number(me));
    case 'stage':
      return [staging(world, index, Number(me))];
    case 'judge':
      return [[step, world, 'token'], ...(needsKeys ? faulty(world, settings, 'keys') : []).map((to) => judgingFails(to, settings, index))];
    case 'commit':
      return committing(world, settings, index, Number(me));
    case 'dismiss': {
      const end: Change = (now) =>
        holds(now, grant) ? { ...closed(now), state: 'needs_sign_in', reason, generation: now.generation + 1 } : null;
      const { to, written } = write(world, index, end);
      return [[step, to, written ? 'done' : 'overtaken']];
    }
    case 'retract': {
      const isAnyones = settings.flaw === 'takes back the intent of another';
      const takeBack: Change = (now) => (isOf(now, Number(me)) || (isAnyones && holds(now, grant)) ? closed(now) : null);
      return [[step, write(world, index, takeBack).to, 'done']];
    }
    default:
      throw new RangeError(`nothing to do for ${step}`);
  }
}

/** The effect has happened. The tab hears of it at once, unless its page may freeze before. */
export function after(world: World, settings: Settings, index: number, result: Result): World {
  const { refresh } = tabOf(world, index);
  const isLocal = refresh !== null && LOCAL.includes(refresh.step);
  return mayFreeze(world, settings, index) && !isLocal ? withTab(world, index, { result }) : told(world, settings, index, result);
}

/** Nobody but the tab itself can see these. */
const LOCAL: readonly Step[] = ['prepare', 'settle', 'pause', 'judge'];

/** The driver hears what came of the step, and goes on (`runRefresh`). */
export function told(world: World, settings: Settings, index: number, result: Result): World {
  const { refresh: before, parked, needsKeys } = tabOf(world, index);
  if (!before) throw new TypeError('nobody to tell');
  const { machine } = settings;
  const refresh = machine.next(parked ? machine.park(before) : before, result);
  const to = withTab(world, index, { refresh, result: null });
  if (refresh.step === 'end') return ended(to, index, refresh);
  if (refresh.step === 'send') return sending(to, settings, index, refresh);
  if (refresh.step === 'dismiss' && !tabOf(to, index).hasLock) return { ...to, broken: 'RF-1 a session is ended by who has lost the lock' };
  if (mayFreeze(to, settings, index)) return to;
  if (refresh.step === 'prepare') return told(to, settings, index, 'ready');
  if (refresh.step === 'pause') return told(to, settings, index, 'waited');
  return refresh.step === 'judge' && !needsKeys ? told(to, settings, index, 'token') : to;
}

function mayFreeze(world: World, { kinds }: Settings, index: number): boolean {
  return world.faultsLeft > 0 && kinds.includes('freeze') && tabOf(world, index).hasLock;
}

function ended(world: World, index: number, { ending }: Refresh): World {
  const { hasLock, kept, seen } = tabOf(world, index);
  const over = {
    refresh: null,
    answer: null,
    foundIntent: null,
    wasWaiting: false,
    needsKeys: false,
    parked: false,
    settled: false,
    unread: false,
    sent: null,
  };
  return withTab(world, index, { ...over, seen: ending === 'again' ? seen : null, hasLock: hasLock && kept !== null });
}

function sending(world: World, { mode, shares, policy }: Settings, index: number, { me, inDoubt }: Refresh): World {
  const { grant, generation, seen, hasLock, settled, sent } = tabOf(world, index);
  const isCurrent = generation === viewOf(world, index).generation;
  const isFresh = isCurrent ? world.sender === NOBODY : !world.spent.includes(generation);
  const isOwnRetry = sent === generation && inDoubt;
  const mayTakeOver = settled && (policy === 'retry' || (policy === 'defer-until-expiry' && world.expired));
  const rules: readonly (readonly [holds: boolean, rule: string])[] = [
    [hasLock, 'RF-1 a request is sent by who has lost the lock'],
    [grant !== NO_TOKEN, 'RF-2 a token is sent that is not stored any more'],
    [!shares || generation <= (seen ?? 0), 'RF-2 a request is sent though another has renewed the token'],
    [
      isFresh || isOwnRetry || mayTakeOver || mode === 'keep' || world.faults.write > 0,
      'RF-8 a token that may be spent is sent again, and nobody has waited',
    ],
  ];
  const broken = rules.find(([isKept]) => !isKept)?.[1] ?? world.broken;
  const request: Request = { token: grant, answer: 'going' };
  const to = withTab(world, index, { request, sent: generation });
  return { ...to, sends: world.sends + 1, broken, ...(isCurrent && { sender: Number(me) }) };
}

function reading(world: World, settings: Settings, index: number, step: 'read' | 'verify'): Outcome {
  const tab = tabOf(world, index);
  const { state, generation, token, staged, intent } = viewOf(world, index);
  const nothing = { serves: false, lives: false, canSend: false, staged: false, intent: null, onUnknownOutcome: settings.policy };
  const known = Math.max(tab.known, generation);
  if (state !== 'active') return [step, withTab(world, index, { known }), { ...nothing, state, generation: 0 }];
  const answer = staged ?? (tab.unwritten?.sent === token ? tab.unwritten.answer : null);
  const isWaiting = answer !== null;
  const holder = intent?.generation === generation ? intent.holder : null;
  const found: Found = {
    ...nothing,
    state,
    generation,
    serves: settings.shares && generation > (tab.seen ?? 0),
    lives: !world.expired,
    canSend: true,
    staged: isWaiting,
    intent: holder === null ? null : String(holder),
  };
  const read = { unread: false, known, grant: token, generation, foundIntent: holder, answer, wasWaiting: isWaiting, needsKeys: isWaiting };
  return [step, withTab(world, index, read), found];
}

/** The first reading may be left to the write of the intent, by a tab that knows of nothing but a token to be sent (`unread`). */
function trusting(world: World, { shares }: Settings, index: number): readonly Outcome[] {
  const { known, seen, refresh, unwritten, kept } = tabOf(world, index);
  const isServed = shares && known > (seen ?? 0);
  if (refresh?.generation !== 0 || known === 0 || isServed || unwritten || kept) return [];
  const found: Found = {
    state: 'active',
    generation: known,
    serves: false,
    lives: !world.expired,
    canSend: true,
    staged: false,
    intent: null,
    onUnknownOutcome: 'retry',
  };
  const { generation, token } = world.record;
  const grant = generation === known ? token : NO_TOKEN;
  const reading = { grant, generation: known, foundIntent: null, answer: null, wasWaiting: false, needsKeys: false, unread: true };
  return [['trusts what it knows', withTab(world, index, reading), found]];
}

/** What a tab holds that its storage does not hold any more. */
const NO_TOKEN = -1;

function intending(world: World, settings: Settings, index: number, me: number): readonly Outcome[] {
  const { flaw } = settings;
  const { grant, generation, foundIntent, unread } = tabOf(world, index);
  const intent = { holder: me, generation };
  const isBlind = unread && flaw === 'writes its intent over a record that it has not read';
  const { to, written } = write(world, index, (now) => {
    const isAsRead = now.generation === generation && (now.intent?.holder ?? null) === foundIntent && now.staged === null;
    return holds(now, grant) && (isAsRead || isBlind) ? { ...now, intent } : null;
  });
  const isSent = !unread || flaw === 'sends what it has not read where it cannot write';
  const failing = faulty(world, settings, 'write').map((failed): Outcome => ['intend fails', failed, isSent ? 'unwritten' : 'overtaken']);
  if (!written) return [['intend', to, 'overtaken'], ...(isSent && unread ? failing : [])];
  return [['intend', withTab(to, index, { unread: false }), 'written'], ...failing];
}

function staging(world: World, index: number, me: number): Outcome {
  const { grant, answer } = tabOf(world, index);
  const { staged } = viewOf(world, index);
  const isMine = ({ intent }: Stored): boolean => intent === null || intent.holder === me; // else somebody has taken over
  const { to, written } = write(world, index, (now) => (holds(now, grant) && isMine(now) ? { ...now, staged: answer } : null));
  return ['stage', written && staged !== answer ? without(to, staged) : to, 'done'];
}

/** A staged answer waits; one that is not staged is given up, but not what it rotated to (`salvage`, E56). */
function judgingFails(world: World, settings: Settings, index: number): Outcome {
  const { grant, answer, wasWaiting, foundIntent, refresh } = tabOf(world, index);
  const view = viewOf(world, index);
  if (view.staged !== null && holds(view, grant)) return ['judge fails', world, 'not_yet'];
  const rotated = answer === grant ? null : answer; // no new token in the answer
  const holder = wasWaiting ? foundIntent : Number(refresh?.me);
  const { to, written } = write(world, index, (now) => {
    if (!holds(now, grant)) return null;
    return rotated === null ? closed(now) : { ...finished(now, holder), token: rotated };
  });
  const given = withTab(to, index, { unwritten: null });
  if (rotated === null || written) return ['judge fails', given, 'refused'];
  const isNobodys = viewOf(to, index).state !== 'active' || settings.flaw === 'revokes what it cannot judge';
  return ['judge fails', isNobodys ? revoking(given, rotated) : without(given, rotated), 'refused'];
}

function committing(world: World, settings: Settings, index: number, me: number): readonly Outcome[] {
  const { grant, answer, wasWaiting, foundIntent } = tabOf(world, index);
  const { flaw, shares } = settings;
  if (answer === null) throw new TypeError('no answer');
  const holder = wasWaiting ? foundIntent : me; // whose intent has come to its end
  const renew: Change = (now) => {
    if (!holds(now, grant) && !isOf(now, me) && flaw !== 'commits over whatever is there') return null;
    const base =
      flaw === 'clears the intent of another with its own' ? { ...closed(now), generation: now.generation + 1 } : finished(now, holder);
    return { ...base, state: 'active', reason: null, token: answer };
  };
  const { to, written } = write(world, index, renew);
  const done = withTab(to, index, { unwritten: null, known: Math.max(tabOf(to, index).known, viewOf(to, index).generation) });
  if (written) {
    const { token, staged } = viewOf(world, index);
    const dropped = [token, staged].filter((one) => one !== answer && one !== grant);
    const all: Outcome[] = [['commit', dropped.reduce(without, done), 'committed']];
    if (wasWaiting) all.push(['commit of an earlier answer', dropped.reduce(without, done), 'too_short']);
    for (const failed of faulty(world, settings, 'write'))
      all.push(['commit fails', flaw === 'drops what cannot be written' ? failed : keeping(failed, index, renew), 'committed']);
    return all;
  }
  // Where access tokens are not shared, what another stored does not serve this tab.
  if (viewOf(done, index).state === 'active')
    return [['commit comes too late', without(done, answer), shares ? 'superseded' : 'too_short']];
  return [['commit after the end', flaw === 'does not revoke what comes after the end' ? done : revoking(done, answer), 'gone']];
}

/** True if the record still holds what the request was sent with. */
function holds({ state, token }: Stored, grant: number): boolean {
  return state === 'active' && token === grant;
}

/** True if the record says that this refresh is under way. */
function isOf({ state, intent }: Stored, me: number): boolean {
  return state === 'active' && intent?.holder === me;
}

function closed(now: Stored): Stored {
  return { ...now, staged: null, intent: null };
}

/** The next generation. Another's intent stays, and speaks of it. */
function finished({ intent, ...now }: Stored, holder: number | null): Stored {
  const generation = now.generation + 1;
  return { ...now, staged: null, generation, intent: intent && intent.holder !== holder ? { ...intent, generation } : null };
}

/** A change of the record, tried again until nobody else has written in between: so it happens at once, or not at all (writing.ts, `changing`). */
export function write(world: World, index: number, change: Change): { readonly to: World; readonly written: Stored | null } {
  const { kept } = tabOf(world, index);
  const from = kept && kept.over !== world.record.revision ? flushed(world, index) : world;
  const changed = change(viewOf(from, index));
  if (!changed) return { to: from, written: null };
  const written = { ...changed, revision: from.record.revision + 1 };
  return { to: withTab(stored(from, written), index, { kept: null }), written };
}

/** The same in memory: storage takes nothing now (writing.ts, `kept`). */
function keeping(world: World, index: number, change: Change): World {
  const { kept, known } = tabOf(world, index);
  const record = change(viewOf(world, index));
  if (!record) throw new TypeError('nothing to keep');
  const { over, since } = kept ?? { over: world.record.revision, since: world.record.generation };
  return withTab(world, index, { kept: { record, over, since }, unwritten: null, known: Math.max(known, record.generation) });
}

/** One more try for what a tab has kept; what others wrote meanwhile decides (writing.ts, `settle`). */
export function flushed(world: World, index: number): World {
  const { kept } = tabOf(world, index);
  if (!kept) return world;
  const { record, over, since } = kept;
  const now = world.record;
  const done = withTab(world, index, { kept: null });
  const revision = now.revision + 1;
  if (now.revision === over) return stored(done, { ...record, revision });
  if (now.state === 'active' && now.generation === since)
    return stored(done, { ...record, revision, intent: now.intent && { ...now.intent, generation: record.generation } });
  return now.state === 'active' ? without(done, record.token) : revoking(done, record.token);
}

function stored(world: World, record: Stored): World {
  const broken = world.record.state === 'gone' ? 'RF-13 something is written over a tombstone' : world.broken;
  if (record.generation === world.record.generation) return { ...world, record, broken };
  const spent = world.sender === NOBODY ? world.spent : [...world.spent, world.record.generation];
  return { ...world, record, broken, spent, sender: NOBODY };
}

/** A token is dropped, not revoked: others go on with another one of the same session (RF-5). */
function without(world: World, token: number | null): World {
  return { ...world, received: world.received.filter((one) => one !== token) };
}

export function revoking(world: World, token: number): World {
  return { ...world, revocations: [...world.revocations, token] };
}
