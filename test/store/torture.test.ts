// Eight programs with stores over the same folders, and a real server. In every round the token expires for all of them at one instant; in some, programs
// are killed in the middle of the refresh, or the server fails.
import { runs } from '../support/counts';
import type { Line } from '../support/file-children';
import { leftovers, newFolder } from '../support/file-folder';
import {
  createRefreshServer,
  REFRESH_MODES,
  seededRandom,
  type Fault,
  type Listening,
  type LogEntry,
  type RefreshMode,
  type RefreshServer,
} from '../support/refresh-server';
import type { Place, Step } from './torture-child';
import { startFleet, type Fleet, type Member, type Victim } from './torture-fleet';

const PROGRAMS = 8;
const roundsOf = (mode: RefreshMode): number => (mode === 'strict-revoke' ? runs(12, 1_000) : runs(9, 150));
/** What the protocol waits for on purpose is so many times shorter; all deadlines are as they are. */
const HURRY = 10;
const ROUND_MS = 3_600_000;
const PATIENCE_MS = runs(120_000, 3_600_000);
/** A delay that ends when the program is dead that waits for the answer. */
const UNTIL_DEAD_MS = 86_400_000;

/** `arrived`: the request has, and the server did nothing yet; `answered`: it did all, and keeps the answer back. */
type Mishap =
  | { readonly fault: Fault }
  | { readonly kill: Step }
  | { readonly kill: 'arrived' | 'answered'; readonly fault: Fault }
  | { readonly kill: 'anywhere'; readonly who: number; readonly line: number };

const KILLS: readonly ((random: () => number) => Mishap)[] = [
  () => ({ kill: 'sends' }),
  () => ({ kill: 'answered', fault: { name: 'delay', afterMs: UNTIL_DEAD_MS } }),
  () => ({ kill: 'wrote' }),
  () => ({ kill: 'heard' }),
  () => ({ kill: 'arrived', fault: { name: 'drop-request', beforeMs: UNTIL_DEAD_MS } }),
  () => ({ kill: 'intends' }),
  () => ({ kill: 'commits' }),
  () => ({ kill: 'arrived', fault: { name: 'delay', beforeMs: UNTIL_DEAD_MS } }),
  (random) => ({ kill: 'anywhere', who: Math.floor(random() * PROGRAMS), line: 1 + Math.floor(random() * 2 * PROGRAMS) }),
];
/** The token is spent, and the answer lost. */
const LOSSES: readonly Fault[] = [
  { name: 'drop-response' },
  { name: '500-after-commit', commit: true },
  { name: 'truncated' },
  { name: 'cut-body' },
  { name: 'html', commit: true },
];
/** Nothing is spent, or what was given arrives: these end no session, whatever the server makes of a second use. */
const HARMLESS: readonly Fault[] = [
  { name: 'drop-request' },
  { name: 'malformed' },
  { name: '503', retryAfterS: 1 },
  { name: 'html' },
  { name: 'delay', beforeMs: 10, afterMs: 20 },
  { name: '500-after-commit', commit: false },
  { name: '429', retryAfterS: 1 },
];
/** Faults that tell the caller; after the others the token is sent again while it waits (RF-7). */
const TELLING = ['503', '429', 'malformed'];
const KINDS: readonly Place['kind'][] = ['plain', 'sealed'];
const STRICT: readonly RefreshMode[] = ['strict-fail', 'strict-revoke'];

/** Nothing in one round of three, a kill in one, a fault in one; now and then something more on top of these. */
function mishapsOf(mode: RefreshMode, round: number, seed: number): readonly Mishap[] {
  const random = seededRandom(seed);
  const turn = REFRESH_MODES.indexOf(mode) * 3 + Math.floor(round / 3);
  const kill = (number: number): Mishap => KILLS[number % KILLS.length](random);
  const fault = (number: number): Mishap => {
    const faults = STRICT.includes(mode) || number % 2 ? HARMLESS : LOSSES;
    return { fault: faults[Math.floor(number / 2) % faults.length] };
  };
  if (round % 3 === 0) return [];
  const first = round % 3 === 1 ? kill(turn) : fault(turn);
  if (random() < 0.7) return [first];
  return [first, (random() < 0.5 ? kill : fault)(Math.floor(random() * 1_000))];
}

/** A server, and the session that the programs have with it in each storage. */
interface Ground {
  readonly mode: RefreshMode;
  readonly server: RefreshServer;
  readonly listening: Listening;
  readonly sessions: Map<Place['kind'], Session>;
  /** Gets what a delay until a death is to go on with. */
  whenHeld: (resume: () => void) => void;
}

interface Session {
  readonly id: string;
  readonly grant: string;
}

/** What was seen of a round. */
interface Report {
  readonly mishaps: readonly Mishap[];
  /** How many mishaps have happened that are a reason to send again. */
  readonly reasons: number;
  readonly log: readonly LogEntry[];
  readonly victims: readonly Victim[];
  /** The last line of each program. */
  readonly ends: readonly Line[];
}

let aheadMs = 0;
let rounds = 0;
let fleet: Fleet;
let folder: string;
const grounds: Ground[] = [];

beforeAll(async () => {
  folder = newFolder();
  fleet = await startFleet(PROGRAMS, { hurry: HURRY });
});
afterAll(() => Promise.all(grounds.map(({ listening }) => listening.close())));

async function prepare(mode: RefreshMode): Promise<Ground> {
  const setTimer = (callback: () => void, ms: number): (() => void) => {
    if (ms === UNTIL_DEAD_MS) ground.whenHeld(callback);
    const timer = ms === UNTIL_DEAD_MS ? undefined : setTimeout(callback, ms);
    return () => clearTimeout(timer);
  };
  const server = createRefreshServer({ mode, leewayMs: 60_000, now: () => Date.now() + aheadMs, setTimer });
  const ground: Ground = { mode, server, listening: await server.listen(), sessions: new Map(), whenHeld: (resume) => resume() };
  grounds.push(ground);
  for (const kind of KINDS) await signIn(ground, kind);
  return ground;
}

function placeOf({ mode, listening }: Ground, kind: Place['kind']): Place {
  return { kind, folder: `${folder}-${mode}-${kind}`, issuer: listening.issuer };
}

async function signIn(ground: Ground, kind: Place['kind']): Promise<void> {
  const { server, sessions } = ground;
  const before = sessions.get(kind);
  const tokens = await server.authorize('user');
  const session = { id: `${ground.mode}-${kind}-${server.grants().length}`, grant: server.grants().at(-1)?.id ?? '' };
  fleet.members[0].order({ signIn: session.id, forget: before?.id ?? null, tokens, aheadMs, ...placeOf(ground, kind) });
  await fleet.until(() => fleet.members[0].lines.find((line) => line['signedIn'] === session.id));
  sessions.set(kind, session);
}

/** Lets the token expire, and all ask for one at once, until each has one, or knows that it will get none. */
async function play(ground: Ground, kind: Place['kind'], mishaps: readonly Mishap[]): Promise<Report> {
  const { server, sessions } = ground;
  const ahead = [...mishaps];
  const take = (isIt: (mishap: Mishap) => boolean): Mishap | undefined => ahead.splice(ahead.findIndex(isIt) >>> 0, 1)[0];
  const killing: Promise<void>[] = [];
  const kill = (member: Member): Promise<void> => {
    const killed = fleet.kill(member);
    killing.push(killed);
    return killed;
  };
  const killHolder = async (resume: () => void): Promise<void> => {
    const holder = await fleet.until(
      () => fleet.members.find(isWaitingForAnswer) ?? (fleet.victims().some(({ hasSent }) => hasSent) ? 'dead' : undefined),
    );
    if (holder !== 'dead') await kill(holder);
    resume();
  };
  const hear = (member: Member, { at, waits }: Line): void => {
    lines++;
    const anywhere = take((one) => 'kill' in one && one.kill === 'anywhere' && one.line <= lines);
    if (anywhere && 'who' in anywhere) void kill(fleet.members[anywhere.who]);
    if (!waits || !fleet.members.includes(member)) return;
    if (take((one) => 'kill' in one && one.kill === at)) void kill(member);
    else member.order({ goOn: true });
  };
  let lines = 0;
  aheadMs += ROUND_MS;
  server.resetLog();
  server.faults.random(() => {
    const mishap = take((one) => 'fault' in one);
    return mishap && 'fault' in mishap ? mishap.fault : null;
  });
  ground.whenHeld = (resume) => void killing.push(killHolder(resume));
  const stops = mishaps.flatMap((mishap) => ('kill' in mishap && !('fault' in mishap) && mishap.kill !== 'anywhere' ? [mishap.kill] : []));
  fleet.ask({ ask: ++rounds, id: sessions.get(kind)?.id ?? '', stops, aheadMs, ...placeOf(ground, kind) }, hear);
  const ends = await fleet.until(() => {
    const last = fleet.members.map(({ said }) => said.find((line) => 'got' in line || 'over' in line));
    return last.every((line) => line !== undefined) ? last : undefined;
  });
  await Promise.all(killing);
  const happened = mishaps.filter((one) => !ahead.includes(one));
  const reasons = happened.filter((one) => 'kill' in one || one.fault.name !== 'delay').length;
  return { mishaps, reasons, log: server.log(), victims: fleet.victims(), ends };
}

function isWaitingForAnswer({ said }: Member): boolean {
  return said.findLastIndex(({ at }) => at === 'sends') > said.findLastIndex(({ at }) => at === 'heard');
}

/** True if the session is lost. Throws at what must not be. */
function judge({ mode, server, sessions }: Ground, kind: Place['kind'], { mishaps, reasons, log, victims, ends }: Report): boolean {
  if (reasons === 0) expect(log.map(({ outcome }) => outcome)).toEqual([mode === 'keep' ? 'kept' : 'rotated']);
  if (mishaps[0] && 'kill' in mishaps[0]) expect(victims.length).toBeGreaterThan(0);
  expect(log.length).toBeGreaterThanOrEqual(1);
  expect(log.length).toBeLessThanOrEqual(1 + reasons);
  const inTheMiddle = victims.filter(({ hasSent, hasWritten }) => hasSent && !hasWritten).length;
  const answersLost = log.filter(({ fault, outcome }) => outcome !== 'dropped' && LOSSES.some(({ name }) => name === fault)).length;
  expect(log.filter(({ reuse }) => reuse).length).toBeLessThanOrEqual(inTheMiddle + answersLost);

  const refusals = log.filter(({ outcome }) => outcome.startsWith('reuse-re')).length;
  if (refusals > 0) {
    expect(STRICT).toContain(mode);
    expect(inTheMiddle).toBeGreaterThan(0);
    expect(refusals).toBeLessThanOrEqual(inTheMiddle); // whoever hears of it asks no more; who died before may have been refused, too
    for (const end of ends) expect(end).toMatchObject({ over: 'needs_sign_in', reason: 'rotation_lost' });
    return true;
  }
  const isTold = log.some(({ fault = '' }) => TELLING.includes(fault));
  for (const end of ends) {
    const isLive = server.isLive(String(end['got']));
    expect({ ...end, isLive }).toMatchObject({ isLive: true, ...(!isTold && { tries: 1 }) });
  }
  expect(server.grants().find(({ id }) => id === sessions.get(kind)?.grant)).toMatchObject({ state: 'live' });
  return false;
}

async function playAndJudge(ground: Ground, kind: Place['kind'], mishaps: readonly Mishap[], which: object): Promise<void> {
  const report = await play(ground, kind, mishaps);
  let isLost: boolean;
  try {
    isLost = judge(ground, kind, report);
  } catch (error) {
    const said = fleet.members.map(({ name, said }) => [name, said]);
    const what = JSON.stringify({ mode: ground.mode, kind, ...which, ...report, said }, null, 1);
    throw new Error(`${(error as Error).message}\n${what}`, { cause: error });
  }
  if (isLost) await signIn(ground, kind);
}

describe.each(REFRESH_MODES)('eight programs over one fileStorage, plain and sealed, and a server in mode %s', (mode) => {
  it(
    'RF-1 RF-2 RF-3 RF-7 RF-8 send one request where nothing happens, a spent token only in doubt, and lose a session only where none could keep it',
    async () => {
      const ground = await prepare(mode);
      for (let round = 0; round < roundsOf(mode); round++) {
        const seed = round * REFRESH_MODES.length + REFRESH_MODES.indexOf(mode);
        const kind = KINDS[Math.floor(seededRandom(-seed)() * 2)];
        await playAndJudge(ground, kind, mishapsOf(mode, round, seed), { round, seed });
      }
    },
    PATIENCE_MS,
  );
});

it(
  'RF-6 programs that come afterwards find each session alive, and no locks of the dead',
  async () => {
    expect(grounds).toHaveLength(REFRESH_MODES.length);
    expect(await fleet.end()).toEqual(Array(PROGRAMS).fill(0));
    fleet = await startFleet(1, { hurry: HURRY });
    for (const ground of grounds) {
      for (const kind of KINDS) await playAndJudge(ground, kind, [], { round: 'last' });
    }
    expect(await fleet.end()).toEqual([0]);
    for (const ground of grounds) {
      for (const kind of KINDS) expect(await leftovers(placeOf(ground, kind).folder)).toEqual([]);
    }
  },
  PATIENCE_MS,
);
