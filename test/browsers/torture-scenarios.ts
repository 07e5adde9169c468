// What eight tabs of one origin are put through, in any engine: test/browsers/torture.mjs brings the engine. Counted at the server. Node strips the
// types; functions that are passed to `evaluate` run in the page of test/e2e/pages/torture.ts.
import assert from 'node:assert/strict';
import type { Answer, Grant, PageStep, Place, Subject, TortureConfig } from '../e2e/pages/torture';
import type { Fault, RefreshServer, RefreshServerOptions } from '../support/refresh-server';

/** A tab of an engine. `evaluate` waits for the promise that the function returns. */
export interface Tab {
  goto(url: string): Promise<unknown>;
  evaluate<Args extends readonly unknown[], Result>(run: (...args: Args) => Result, ...args: Args): Promise<Awaited<Result>>;
  close(): Promise<void>;
  /** Ends the process of the tab. */
  crash?(): Promise<void>;
  /** Freezes the tab; resolves with the way to thaw it. */
  freeze?(): Promise<() => Promise<void>>;
  /** Goes to another page, with this one in the back/forward cache; resolves with the way back. */
  leave?(url: string): Promise<() => Promise<void>>;
}

/** A browser with one profile. */
export interface Engine {
  /** False where the driver answers one call at a time. */
  readonly isParallel: boolean;
  /** True if a page that held a lock can come back from the back/forward cache. */
  readonly cachesPages: boolean;
  newTab(): Promise<Tab>;
  close(): Promise<void>;
}

/** A browser whose profile outlives it. */
export interface Profile {
  /** Starts it with these pages; the one before is ended first. */
  start(urls: readonly string[], end: 'closed' | 'killed'): Promise<Engine & { readonly tabs: readonly Tab[] }>;
  close(): Promise<void>;
}

export interface LabOptions {
  readonly engine: Engine;
  /** Address of the page of test/e2e/pages/torture.ts. */
  readonly url: string;
  /** How many cases of each kind. */
  readonly rounds: number;
  readonly createRefreshServer: (options: RefreshServerOptions) => RefreshServer;
  /** Left out where an engine cannot be started again with its profile. */
  readonly newProfile?: () => Promise<Profile>;
}

/** One kind of torture; resolves with what was counted, in words. */
export interface Scenario {
  readonly name: string;
  readonly run: () => Promise<string>;
}

type Mode = Extract<RefreshServerOptions['mode'], 'strict-revoke' | 'strict-fail' | 'leeway-latest'>;
const MODES: readonly Mode[] = ['strict-revoke', 'strict-fail', 'leeway-latest'];
const TABS = 8;
const PATIENCE_MS = 60_000;
/** Longer than any case takes on any machine. */
const LEEWAY_MS = 600_000;

/** Holds what the server is about to do until it is told to go on. */
interface Gate {
  readonly setTimer: NonNullable<RefreshServerOptions['setTimer']>;
  /** Resolves with the way on, once something waits. */
  next(): Promise<() => void>;
}

interface Server {
  readonly mode: Mode;
  readonly port: string;
  readonly core: RefreshServer;
  readonly gate: Gate;
}

/** One credential and the grant it is of. */
interface Case extends Subject {
  readonly server: Server;
  readonly grant: string;
  readonly expiresAt: number;
}

/** Eight tabs, three servers, one page. */
export interface Lab {
  readonly scenarios: readonly Scenario[];
  /** Errors that nobody caught in the tabs since it was asked last. */
  troubles(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Opens eight tabs. */
export async function openLab({ engine, url, rounds, createRefreshServer, newProfile }: LabOptions): Promise<Lab> {
  const clock = { aheadMs: 0 };
  const listeners = await Promise.all(MODES.map((mode) => startServer(createRefreshServer, mode, () => Date.now() + clock.aheadMs)));
  const servers = listeners.map(({ server }) => server);
  const room: Room = { engine, rounds, clock, servers, namespace: 'torture', url, tabs: [], spare: {} };
  for (let i = 0; i < TABS; i++) room.tabs.push(await open(room));
  const can = given(room.tabs[0]);
  return {
    scenarios: [
      { name: 'one instant', run: () => together(room, 0) },
      { name: 'staggered by 15 ms', run: () => together(room, 15) },
      { name: 'renewed ahead, unasked', run: () => ahead(room) },
      ...(newProfile ? [{ name: 'restarted', run: () => restarted(room, newProfile) }] : []),
      ...(can.crash ? [{ name: 'holder killed', run: () => holderLost(room, 'killed') }] : []),
      { name: 'holder closed', run: () => holderLost(room, 'closed') },
      { name: 'signed out by remove', run: () => signedOut(room, 'remove') },
      { name: 'signed out by revoke', run: () => signedOut(room, 'revoke') },
      { name: 'clocks leap', run: () => leaps(room) },
      ...(can.freeze ? [{ name: 'holder frozen', run: () => holderAway(room, 'frozen') }] : []),
      ...(can.freeze ? [{ name: 'holder frozen for a moment', run: () => holderBackEarly(room, 'frozen') }] : []),
      ...(can.leave ? [{ name: 'holder navigated away', run: () => holderAway(room, 'navigated') }] : []),
      ...(can.leave && engine.cachesPages
        ? [{ name: 'holder navigated away for a moment', run: () => holderBackEarly(room, 'navigated') }]
        : []),
    ],
    troubles: async () => (await inAll(room, room.tabs, () => torture.troubles())).flat(),
    close: async () => void (await Promise.all(listeners.map(({ close }) => close()))),
  };
}

interface Room {
  readonly engine: Engine;
  readonly rounds: number;
  readonly clock: { aheadMs: number };
  readonly servers: readonly Server[];
  readonly namespace: string;
  readonly url: string;
  readonly tabs: Tab[];
  /** The ninth, which stands on another page until it is needed. */
  readonly spare: { tab?: Tab };
}

async function startServer(
  createRefreshServer: LabOptions['createRefreshServer'],
  mode: Mode,
  now: () => number,
): Promise<{ readonly server: Server; close(): Promise<void> }> {
  const gate = createGate();
  // An ID token makes three writes of two: the first answer in a tab waits, staged, for the keys.
  const idTokens = mode === 'strict-fail';
  const core = createRefreshServer({ mode, leewayMs: LEEWAY_MS, revocation: 'token', idTokens, now, setTimer: gate.setTimer });
  const { issuer, close } = await core.listen();
  return { server: { mode, port: new URL(issuer).port, core, gate }, close };
}

function createGate(): Gate {
  const waiting: (() => void)[] = [];
  const wanted: ((goOn: () => void) => void)[] = [];
  return {
    setTimer: (goOn) => {
      const next = wanted.shift();
      if (next) next(goOn);
      else waiting.push(goOn);
      return () => undefined;
    },
    next: async () => waiting.shift() ?? (await new Promise((resolve) => wanted.push(resolve))),
  };
}

// ---- tabs

function addressOf({ url, namespace, servers, clock }: Room, ask: readonly Subject[] = []): string {
  const config: TortureConfig = { namespace, issuers: servers.map(({ core }) => core.issuer), aheadMs: clock.aheadMs, ask };
  return `${url}?start=${encodeURIComponent(JSON.stringify(config))}`;
}

async function open(room: Room): Promise<Tab> {
  const tab = await room.engine.newTab();
  await tab.goto(addressOf(room));
  await loaded(tab);
  return tab;
}

async function loaded(tab: Tab): Promise<void> {
  await until('the page has loaded', () => tab.evaluate(() => 'torture' in globalThis));
  await tab.evaluate(() => torture.ready);
}

/** What the function gives in each tab, in order. */
async function inAll<Args extends readonly unknown[], Result>(
  { engine }: Room,
  tabs: readonly Tab[],
  run: (...args: Args) => Result,
  ...args: Args
): Promise<Awaited<Result>[]> {
  if (engine.isParallel) return Promise.all(tabs.map((tab) => tab.evaluate(run, ...args)));
  const results: Awaited<Result>[] = [];
  for (const tab of tabs) results.push(await tab.evaluate(run, ...args));
  return results;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds());) {
    if (performance.now() > end) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// ---- credentials

/** What is there by construction. */
function given<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new TypeError('nothing there');
  return value;
}

function subjectOf({ place, id }: Subject): Subject {
  return { place, id };
}

function subjects(cases: readonly Case[]): readonly Subject[] {
  return cases.map(subjectOf);
}

/** Signs in once for each kind, in one tab, with tokens that live so long; resolves when all tabs know. */
async function signIn(
  room: Room,
  tabs: readonly Tab[],
  kinds: readonly { readonly mode: Mode; readonly place: Place }[],
  livesMs: number,
): Promise<Case[]> {
  const grants: Grant[] = [];
  const cases: Case[] = [];
  for (const { mode, place } of kinds) {
    const server = given(room.servers.find((one) => one.mode === mode));
    const grant = `g${server.core.grants().length + 1}`;
    const id = `${server.port}-${grant}`;
    const body = await server.core.authorize(id);
    const expiresAt = now(room) + livesMs;
    grants.push({ place, id, issuer: server.core.issuer, body, expiresAt });
    cases.push({ place, id, server, grant, expiresAt });
  }
  await tabs[0]?.evaluate((all) => torture.store(all), grants);
  await inAll(room, tabs, (all) => torture.known(all), subjects(cases));
  return cases;
}

/** As above, with tokens that all tabs have seen expire. */
async function signInAndExpire(room: Room, tabs: readonly Tab[], kinds: Parameters<typeof signIn>[2]): Promise<Case[]> {
  const cases = await signIn(room, tabs, kinds, 250);
  await expired(room, cases);
  return cases;
}

async function expired(room: Room, cases: readonly Case[]): Promise<void> {
  await until('the tokens have expired', () => cases.every(({ expiresAt }) => now(room) >= expiresAt));
}

function now({ clock }: Room): number {
  return Date.now() + clock.aheadMs;
}

/** Token requests for a credential, and how many presented a spent token. */
function countsOf({ server, grant }: Case): { readonly requests: number; readonly reuse: number } {
  const entries = server.core.log().filter((entry) => entry.grant === grant);
  return { requests: entries.length, reuse: entries.filter(({ reuse }) => reuse).length };
}

/** Indices of the refresh tokens that somebody could still use. */
function unspent({ server, grant }: Case): readonly number[] {
  return server.core.grants().find(({ id }) => id === grant)?.current ?? [];
}

function nameOf({ server, place, id }: Case, step = ''): string {
  return `${server.mode}, ${place}, ${id} ${step}`;
}

function assertSignedIn(one: Case, answers: readonly Answer[], step?: string): void {
  for (const [tab, { accessToken, code, reason }] of answers.entries()) {
    const isValid = accessToken !== undefined && one.server.core.isLive(accessToken);
    assert.ok(isValid, `${nameOf(one, step)}: tab ${tab} has no valid token: ${accessToken === undefined ? `${code}, ${reason}` : 'dead'}`);
  }
}

/** A tab that is opened now is signed in, its refresh token lives, and it can renew. */
async function assertNinth(room: Room, kept: readonly Case[], lost: readonly Case[] = []): Promise<void> {
  const ninth = (room.spare.tab ??= await room.engine.newTab());
  await ninth.goto(addressOf(room));
  await loaded(ninth);
  const before = kept.map(countsOf);
  const answers = await ninth.evaluate((all) => torture.answers(all), subjects(kept));
  for (const [i, one] of kept.entries()) assertSignedIn(one, [given(answers[i])], 'in a ninth tab');
  assert.deepEqual(kept.map(countsOf), before, 'the ninth tab needs no request');
  const ends = await ninth.evaluate((all) => Promise.all(all.map((one) => torture.refresh(one))), subjects([...kept, ...lost]));
  for (const [i, one] of kept.entries()) assert.equal(ends[i], 'renewed', `${nameOf(one)}: the session is lost`);
  for (const [i, one] of lost.entries()) assert.equal(ends[kept.length + i], 'needs_sign_in', nameOf(one));
  const after = before.map(({ requests, reuse }) => ({ requests: requests + 1, reuse }));
  assert.deepEqual(kept.map(countsOf), after, 'a renewal is one request');
  await ninth.goto(`${room.url}away`);
}

// ---- a, b: all at once, and one after the other

async function together(room: Room, staggerMs: number): Promise<string> {
  const [spreads, times]: [number[], number[]] = [[], []];
  for (let round = 0; round < room.rounds; round++) {
    const mode = MODES[Math.max(0, (round % 5) - 2)] ?? 'strict-revoke'; // three of five
    const isDue = round % 4 === 3; // it still lives, but not for long
    const tabs = room.tabs.map((_, i) => given(room.tabs[(i + round) % TABS])); // another one stores each time
    const cases = await signIn(room, tabs, [{ mode, place: round % 2 === 0 ? 'plain' : 'sealed' }], isDue ? 20_000 : 250);
    const [one] = cases;
    if (!one) continue;
    for (const [i, tab] of tabs.entries()) await tab.evaluate((all, ms) => torture.beginOnGo(all, ms), subjects(cases), i * staggerMs);
    if (!isDue) await expired(room, cases);
    await tabs[0]?.evaluate(() => torture.go());
    await until('all tabs have asked', async () =>
      (await inAll(room, tabs, (all) => torture.hasBegun(all), subjects(cases))).every(Boolean),
    );
    const answers = (await inAll(room, tabs, (all) => torture.answers(all), subjects(cases))).flat();
    assertSignedIn(one, answers);
    await inAll(room, tabs, (subject) => torture.renewed(subject, 1), subjectOf(one));
    assert.deepEqual(countsOf(one), { requests: 1, reuse: 0 }, nameOf(one));
    const tokens = await inAll(room, tabs, (subject) => torture.refreshToken(subject), subjectOf(one));
    assert.equal(new Set(tokens).size, 1, 'all tabs hold the same refresh token');
    assert.ok(one.server.core.isLive(tokens[0] ?? ''), `${nameOf(one)}: the session is lost`);
    await assertNinth(room, cases);
    const asked = answers.map(({ askedAt }) => askedAt);
    spreads.push(Math.max(...asked) - Math.min(...asked));
    times.push(Math.max(...answers.map(({ answeredAt }) => answeredAt)) - Math.min(...asked));
  }
  return `${room.rounds} rounds, 1 request each, 0 reuse, 0 lost; asked within ${median(spreads)} ms, all valid after ${median(times)} ms`;
}

/** Nobody asks: all tabs find at the same time that the default's token is due. */
async function ahead(room: Room): Promise<string> {
  const rounds = Math.ceil(room.rounds / 2);
  for (let round = 0; round < rounds; round++) {
    const cases = await signIn(room, room.tabs, [{ mode: MODES[round % 3] ?? 'strict-fail', place: 'ahead' }], 30_000);
    const [one] = cases;
    const [tab] = room.tabs;
    if (!one || !tab) continue;
    await tab.evaluate((subject) => torture.setDefault(subject), subjectOf(one));
    await inAll(room, room.tabs, (subject) => torture.renewed(subject, 1), subjectOf(one));
    await assertNinth(room, cases);
    assert.deepEqual(countsOf(one), { requests: 2, reuse: 0 }, `${nameOf(one)}: one by the tabs, one by the ninth`);
    await tab.evaluate((all) => torture.signOut(all, 'remove'), subjects(cases)); // or it is renewed again one day
  }
  return `${rounds} rounds, 1 request each, 0 reuse, 0 lost`;
}

// ---- c: the browser is ended and started again

async function restarted(room: Room, newProfile: () => Promise<Profile>): Promise<string> {
  const kinds = MODES.flatMap((mode) => (['plain', 'sealed'] as const).map((place) => ({ mode, place })));
  const restarts = Math.ceil(room.rounds / 10);
  const profile = await newProfile();
  const ends = ['killed', 'closed'] as const;
  try {
    let { tabs, ...engine } = await profile.start([addressOf(room)], 'closed');
    for (let round = 0; round < restarts; round++) {
      await Promise.all(tabs.map(loaded));
      const cases = await signIn({ ...room, engine }, tabs, kinds, 250);
      await expired(room, cases);
      const addresses = Array.from({ length: TABS }, () => addressOf(room, subjects(cases)));
      ({ tabs, ...engine } = await profile.start(addresses, ends[round % 2] ?? 'killed'));
      const restored = { ...room, engine, spare: {} };
      await Promise.all(tabs.map(loaded));
      const answers = await inAll(restored, tabs, (all) => torture.answers(all), subjects(cases));
      for (const [i, one] of cases.entries()) {
        assertSignedIn(one, answers.map((all) => given(all[i])), 'after a restart'); // prettier-ignore
        assert.deepEqual(countsOf(one), { requests: 1, reuse: 0 }, nameOf(one));
      }
      await assertNinth(restored, cases);
    }
  } finally {
    await profile.close();
  }
  return `${restarts} restarts, ${restarts * kinds.length} cases, 1 request each, 0 reuse, 0 lost`;
}

// ---- d: the holder of the lock is lost

/** Where a refresh can be stopped: in its page, or at the server before its work, after it, or with a request that it will never see. */
type Step = Exclude<PageStep, 'settle'> | 'dropped' | 'arrived' | 'committed';

/** What it costs to lose the holder there: requests in all, and whether the server has used up a token whose successor nobody stored. */
const STEPS: Readonly<Record<Step, { readonly requests: number; readonly isSpent: boolean }>> = {
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
const ALL_STEPS = Object.keys(STEPS) as Step[];
const AT_SERVER: Readonly<Partial<Record<Step, Fault>>> = {
  dropped: { name: 'drop-request', beforeMs: 1 },
  arrived: { name: 'delay', beforeMs: 1 },
  committed: { name: 'delay', afterMs: 1 },
};

/** A refresh that stands still. */
interface Held {
  readonly one: Case;
  readonly step: Step;
  /** The answer lies in the record already, and waits for keys to be judged with. */
  readonly isStaged: boolean;
  /** Lets the server go on; nothing where the page stands still. */
  readonly releaseServer: () => void;
}

/** Begins a refresh in a tab and waits until it has come to the step. */
async function hold(tab: Tab, one: Case, step: Step): Promise<Held> {
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

async function isStaged(tab: Tab, subject: Subject): Promise<boolean> {
  return (await tab.evaluate((one) => torture.record(one), subject)).isStaged;
}

/** A refresh that stands still at each step, for each mode. */
async function holdAll(room: Room, holder: Tab, steps: readonly Step[], modes: readonly Mode[], place: Place): Promise<Held[]> {
  const kinds = steps.flatMap((step) => modes.map((mode) => ({ step, mode, place })));
  const cases = await signInAndExpire(room, room.tabs, kinds);
  const held: Held[] = [];
  for (const [i, one] of cases.entries()) held.push(await hold(holder, one, kinds[i]?.step ?? 'lock'));
  return held;
}

async function releasePage(tab: Tab, held: readonly Held[]): Promise<void> {
  const stopped = held.filter(({ step }) => !AT_SERVER[step]).map(({ one, step }) => [step as PageStep, one.id] as const);
  await tab.evaluate((all) => all.forEach(([step, id]) => torture.release(step, id)), stopped);
}

/** What it costs to lose this holder now. */
function costOf({ step, isStaged }: Held): { readonly requests: number; readonly isSpent: boolean } {
  return isStaged ? { requests: 1, isSpent: false } : STEPS[step];
}

/** The strict modes may lose a session whose token the server has used up, and must then say so. */
function isLost(held: Held): boolean {
  return costOf(held).isSpent && held.one.server.mode !== 'leeway-latest';
}

/** What each tab got for each refresh that stood still is what it may be, and so is what the server counted. */
function assertOutcomes(held: readonly Held[], byTab: readonly (readonly Answer[])[]): void {
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

function kept(held: readonly Held[]): Case[] {
  return held.filter((each) => !isLost(each)).map(({ one }) => one);
}

function lost(held: readonly Held[]): Case[] {
  return held.filter(isLost).map(({ one }) => one);
}

async function holderLost(room: Room, how: 'killed' | 'closed'): Promise<string> {
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

/** Asks in these tabs, and waits until every one of them waits for every lock. */
async function askAndWait(room: Room, tabs: readonly Tab[], all: readonly Subject[]): Promise<void> {
  await inAll(room, tabs, (subjects) => torture.begin(subjects), all);
  await until('all wait for the locks', async () => (await tabs[0]?.evaluate(() => torture.waiting())) === tabs.length * all.length);
}

/** When each lock was first given to one of these tabs, in epoch milliseconds, once all have been. */
async function granted(room: Room, tabs: readonly Tab[], all: readonly Subject[]): Promise<readonly number[]> {
  let first: readonly number[] = [];
  await until('all locks are granted', async () => {
    const byTab = await inAll(room, tabs, (subjects) => torture.grantedAt(subjects), all);
    first = all.map((_, i) => Math.min(...byTab.map((times) => times[i] || Infinity)));
    return first.every(Number.isFinite);
  });
  return first;
}

/** Resolves once one of these tabs waits for what a former holder may have sent. */
async function settling(room: Room, tabs: readonly Tab[]): Promise<void> {
  await until('a tab settles', async () => (await inAll(room, tabs, () => torture.isStopped('settle', ''))).some(Boolean));
}

function batchesOf({ rounds }: Room, steps: readonly Step[]): number {
  return Math.ceil(rounds / (steps.length * MODES.length));
}

// ---- e: signed out at each step of another tab's refresh

async function signedOut(room: Room, how: 'remove' | 'revoke'): Promise<string> {
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
function leftBy({ one, step }: Held, how: 'remove' | 'revoke'): readonly number[] {
  const stored = step === 'written' ? 1 : 0;
  return unspent(one).filter((index) => how === 'revoke' || index !== stored);
}

// ---- f: clocks that leap, pages that stand still

const HOUR_MS = 3_600_000;

async function leaps(room: Room): Promise<string> {
  const leapsMs = [HOUR_MS, -HOUR_MS];
  const cases: Case[] = [];
  for (let round = 0; round < room.rounds; round++) {
    const leapMs = leapsMs[round % 2] ?? 0;
    const isMidway = round % 4 >= 2; // in the middle of a refresh, or between two
    const holder = given(room.tabs[round % TABS]);
    const kind = { mode: MODES[round % 3] ?? 'strict-fail', place: round % 5 === 4 ? 'sealed' : 'plain' } as const;
    const [one] = isMidway ? await signInAndExpire(room, room.tabs, [kind]) : await signIn(room, room.tabs, [kind], 300_000);
    if (!one) continue;
    cases.push(one);
    const held = isMidway ? await hold(holder, one, 'arrived') : undefined;
    const others = held ? room.tabs.filter((tab) => tab !== holder) : room.tabs;
    if (held) await askAndWait(room, others, subjects([one]));
    room.clock.aheadMs += leapMs; // the server's, too: the device has slept, or its clock was corrected
    await inAll(room, room.tabs, (ms) => torture.setAhead(ms), room.clock.aheadMs);
    held?.releaseServer();
    if (!held) await inAll(room, room.tabs, (all) => torture.begin(all), subjects([one]));
    const answers = (await inAll(room, room.tabs, (all) => torture.answers(all), subjects([one]))).flat();
    assertSignedIn(one, answers, `leap of ${leapMs} ms${isMidway ? ' in the middle of a refresh' : ''}`);
    const requests = leapMs > 0 ? (isMidway ? 2 : 1) : isMidway ? 1 : 0; // an answer may be as old as its request: then it has expired, too
    assert.deepEqual(countsOf(one), { requests, reuse: 0 }, `${nameOf(one)}, leap of ${leapMs} ms`);
    await assertNinth(room, [one]);
  }
  room.clock.aheadMs = 0;
  await inAll(room, room.tabs, () => torture.setAhead(0));
  return `${cases.length} leaps of an hour, forward and back, between refreshes and in the middle of one: no request too many, 0 reuse, 0 lost`;
}

/** Stops a page in whatever it does; resolves with the way back, which tells whether what comes back is that very page. */
async function goAway(room: Room, tab: Tab, how: 'frozen' | 'navigated'): Promise<() => Promise<'the same page' | 'a new page'>> {
  const mark = await tab.evaluate(() => torture.mark());
  const comeBack = given(await (how === 'frozen' ? tab.freeze?.() : tab.leave?.(`${room.url}away`)));
  return async () => {
    await comeBack();
    await loaded(tab);
    return (await tab.evaluate(() => torture.mark())) === mark ? 'the same page' : 'a new page';
  };
}

/** A page that froze before it wrote or sent anything; one whose request is out; one that has its answer. */
const FREEZE_STEPS: readonly Step[] = ['intent', 'dropped', 'arrived', 'committed', 'answer', 'commit', 'written'];

async function holderAway(room: Room, how: 'frozen' | 'navigated'): Promise<string> {
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
async function holderBackEarly(room: Room, how: 'frozen' | 'navigated'): Promise<string> {
  const steps = ['committed', 'answer', 'commit'] as const;
  const batches = Math.ceil(room.rounds / (steps.length * MODES.length * 2));
  let [saved, sessions, reported] = [0, 0, 0];
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
    assert.equal(await comeBack(), 'the same page');
    await releasePage(holder, held);
    const ended = await seen(holder, all);
    await next.evaluate(() => torture.release('settle', ''));
    for (const release of sent) release();
    const answers = await inAll(room, room.tabs, (subjects) => torture.answers(subjects), all);
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
  return `${batches * 2} times, ${sessions + reported} cases: ${saved} answers stored by the page that came back, ${sessions} sessions kept, ${reported} lost and reported`;
}

/** Resolves once the tab has made something of its answers: which have come to an end; for the others it waits for the lock. */
async function seen(tab: Tab, all: readonly Subject[]): Promise<readonly boolean[]> {
  let ended: readonly boolean[] = [];
  await until('the holder has seen its answers', async () => {
    const [ends, waiting] = await tab.evaluate(async (subjects) => [torture.ended(subjects), await torture.waiting()] as const, all);
    ended = ends;
    return ends.filter(Boolean).length + waiting === all.length;
  });
  return ended;
}

/** From now on no answer waits for keys in this tab. */
async function learnKeys(room: Room, tab: Tab): Promise<void> {
  const [one] = await signIn(room, room.tabs, [{ mode: 'strict-fail', place: 'plain' }], 60_000);
  await tab.evaluate((subject) => torture.refresh(subject), subjectOf(given(one)));
  await inAll(room, room.tabs, (subject) => torture.renewed(subject, 1), subjectOf(given(one)));
}

/** Milliseconds, whole. */
function median(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0);
}
