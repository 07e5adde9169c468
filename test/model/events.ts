// What can happen in a world of the model. Tabs, storage, network and server take their turns in any order that is possible.
import type { Results } from '../../src/credential/refresh-protocol.js';
import { after, flushed, outcomes, revoking, told, write } from './driver.js';
import { present, revoke } from './server.js';
import { faulty, freeName, NOBODY, restarted, tabOf, withTab, type Request, type Settings, type Tab, type World } from './world.js';

export interface Event {
  readonly what: string;
  /** `null`: it happens to no tab. */
  readonly tab: number | null;
  readonly to: World;
}

type Add = (what: string, to: World) => void;

/** Everything that can happen next. */
export function events(world: World, settings: Settings): readonly Event[] {
  const all: Event[] = [];
  world.tabs.forEach(({ result, request, refresh, kept }, index) => {
    const add: Add = (what, to) => void all.push({ what, tab: index, to });
    asking(world, settings, index, add);
    if (result !== null) add(`hears of ${refresh?.step}`, told(world, settings, index, result));
    else if (request) networking(world, settings, index, request, add);
    else if (refresh) for (const [what, to, came] of outcomes(world, settings, index, refresh)) add(what, after(to, settings, index, came));
    if (kept) add('writes what it kept', lettingGo(flushed(world, index), index));
    failing(world, settings, index, add);
    signingOut(world, index, add);
  });
  const add: Add = (what, to) => void all.push({ what, tab: null, to });
  world.orphans.forEach(({ token, wasParked }, place) => {
    const rest = { ...world, orphans: world.orphans.filter((_, other) => other !== place) };
    add('the request of a dead tab arrives', arrived(rest, settings, token, wasParked).to);
    add('the request of a dead tab is cut off', rest);
  });
  const [revoked, ...revocations] = world.revocations;
  if (revoked !== undefined) add('a revocation arrives', { ...world, revocations, server: revoke(world.server, settings, revoked) });
  if (settings.leewayEnds && world.server.clock === 0) add('the leeway ends', { ...world, server: { ...world.server, clock: 1 } });
  if (settings.policy !== 'retry' && !world.expired) add('the access token expires', { ...world, expired: true });
  return all;
}

function asking(world: World, { machine }: Settings, index: number, add: Add): void {
  const { seen, asks, known, refresh, hasLock } = tabOf(world, index);
  if (seen === null && asks > 0) {
    add('asks', withTab(world, index, { seen: known, asks: asks - 1 }));
    const { generation } = world.record;
    if (generation > known)
      add('asks, having heard the news', withTab(world, index, { seen: generation, known: generation, asks: asks - 1 }));
  }
  const isFree = hasLock || world.tabs.every((tab) => !tab.hasLock); // it has the lock still where it keeps what it had to write
  if (seen !== null && !refresh && isFree)
    add('gets the lock', withTab(world, index, { hasLock: true, refresh: machine.begin(String(freeName(world))) }));
}

/** A request and its answer, on their way. */
function networking(world: World, settings: Settings, index: number, { token, answer }: Request, add: Add): void {
  const { hasLock, refresh } = tabOf(world, index);
  const heard = (to: World, result: Results['send'], change: Partial<Tab> = {}): World =>
    after(withTab(to, index, { request: null, ...change }), settings, index, result);
  if (answer === 'going') {
    const reached = arrived(world, settings, token, !hasLock);
    add('the request arrives', withTab(reached.to, index, { request: { token, answer: reached.answer } }));
    for (const to of faulty(world, settings, 'drop')) add('the request is lost', heard(to, 'outcome_unknown'));
    const isClear = world.sender === Number(refresh?.me) && !refresh?.inDoubt;
    for (const to of faulty(world, settings, 'refuse'))
      add('the request is refused', heard(isClear ? { ...to, sender: NOBODY } : to, 'refused'));
    return;
  }
  for (const to of faulty(world, settings, 'lose'))
    add('the answer is lost', heard({ ...to, hurt: to.hurt || answer !== null }, 'outcome_unknown'));
  if (answer === null) return add('the answer arrives: invalid_grant', heard(world, 'rejected'));
  const got = { ...world, received: world.received.includes(answer) ? world.received : [...world.received, answer].sort() };
  const keepsLock = hasLock && settings.flaw !== 'lets go of the lock when the answer is there';
  const inMemory = { answer, wasWaiting: false, needsKeys: false, unwritten: { sent: token, answer }, hasLock: keepsLock };
  add('the answer arrives', heard(got, 'answered', inMemory));
  if (settings.fetchesKeys) add('the answer arrives, keys are missing', heard(got, 'answered_unjudged', { ...inMemory, needsKeys: true }));
}

/** The server handles a request. */
function arrived(world: World, settings: Settings, token: number, isLate: boolean): { readonly to: World; readonly answer: number | null } {
  const wasSpent = world.server.tokens[token]?.spentAt !== null;
  const { server, answer } = present(world.server, settings, token);
  return { to: { ...world, server, overtaken: world.overtaken || (isLate && wasSpent) }, answer };
}

/** What befalls a tab as a whole. */
function failing(world: World, settings: Settings, index: number, add: Add): void {
  const { seen, kept, request, answer, parked, hasLock, refresh } = tabOf(world, index);
  const isBegun = refresh !== null && world.record.intent?.holder === Number(refresh.me);
  const hurt = world.hurt || isBegun || request !== null || answer !== null || kept !== null;
  if (seen !== null || kept) for (const to of faulty(world, settings, 'crash')) add('crashes', dead({ ...to, hurt }, settings, index));
  if (parked) add('never wakes', dead({ ...world, hurt }, settings, index));
  if (!hasLock) return;
  for (const to of faulty(world, settings, 'freeze'))
    add('freezes', { ...withTab(to, index, { hasLock: false, parked: refresh !== null, settled: false }), hurt });
}

function dead(world: World, { flaw }: Settings, index: number): World {
  const tab = tabOf(world, index);
  const { request, hasLock, kept, unwritten, answer } = tab;
  const orphans = request?.answer === 'going' ? [...world.orphans, { token: request.token, wasParked: !hasLock }] : world.orphans;
  const lost = [kept?.record.token, unwritten?.answer, answer];
  const durable = [world.record.token, world.record.staged];
  const received = world.received.filter((token) => durable.includes(token) || !lost.includes(token));
  const next = { ...restarted(tab), hasLock: hasLock && flaw === 'leaves its lock behind when it dies' };
  return { ...world, orphans, received, tabs: world.tabs.map((one, place) => (place === index ? next : one)) };
}

/** The record ends first, then what is stored is revoked (revocation.ts). */
function signingOut(world: World, index: number, add: Add): void {
  if (world.signOutsLeft === 0 || world.record.state !== 'active') return;
  const begun = { ...world, signOutsLeft: world.signOutsLeft - 1 };
  const { to, written } = write(begun, index, (now) =>
    now.state === 'active' ? { ...now, state: 'gone', generation: now.generation + 1 } : null,
  );
  if (written) add('signs out', lettingGo(revoking(to, written.staged ?? written.token), index));
}

/** The lock was kept for what had to be written. */
function lettingGo(world: World, index: number): World {
  const { refresh, kept, hasLock } = tabOf(world, index);
  return withTab(world, index, { hasLock: hasLock && (refresh !== null || kept !== null) });
}
