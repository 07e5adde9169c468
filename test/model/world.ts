// The world of the model: one record in a storage, a lock that dies with its holder, an authorization server, and tabs that run the real
// transition function. A world is plain data and is never changed: every event makes another one (events.ts).
import type { OnUnknownOutcome, Refresh, Results, Step } from '../../src/credential/refresh-protocol.js';
import { FIRST_TOKEN, newServer, type Server, type ServerRules } from './server.js';

/** The record as it lies in storage. */
export interface Stored {
  readonly state: 'active' | 'needs_sign_in' | 'gone';
  readonly generation: number;
  /** +1 on every write, the condition of a conditional one. */
  readonly revision: number;
  readonly token: number;
  readonly intent: { readonly holder: number; readonly generation: number } | null;
  readonly staged: number | null;
  readonly reason: Refresh['reason'] | null;
}

/** A request, or its answer. */
export interface Request {
  readonly token: number;
  /** `going`: the server has not seen it; else what it answers: the next token, or `null` for `invalid_grant`. */
  readonly answer: 'going' | number | null;
}

/** What could not be written yet, and what it is to be written over (RF-15). */
export interface Kept {
  readonly record: Stored;
  /** Revision. */
  readonly over: number;
  /** The generation that storage had when the first write failed. */
  readonly since: number;
}

/** One tab: a store, and the flight it may have in the air. */
export interface Tab {
  /** How many refreshes it may still ask for. */
  readonly asks: number;
  /** The newest generation it knows of. */
  readonly known: number;
  /** What it knew when it asked; `null`: no flight. */
  readonly seen: number | null;
  readonly hasLock: boolean;
  /** The refresh under way; `null` with a flight: it waits for the lock. */
  readonly refresh: Refresh | null;
  /** The lock was given up since the refresh began. */
  readonly parked: boolean;
  /** The step has taken effect, and this is on its way to whoever drives. */
  readonly result: Results[Step] | null;
  /** Token, generation and intent of the last reading. */
  readonly grant: number;
  readonly generation: number;
  readonly foundIntent: number | null;
  readonly request: Request | null;
  readonly answer: number | null;
  /** The answer was there before anything was sent. */
  readonly wasWaiting: boolean;
  /** Judging the answer must ask for keys. */
  readonly needsKeys: boolean;
  readonly kept: Kept | null;
  /** An answer in memory that is not committed yet, and the token it answers. */
  readonly unwritten: { readonly sent: number; readonly answer: number } | null;
  /** It goes by what it last knew: storage was not read. */
  readonly unread: boolean;

  // What only the observer sees.
  /** Has waited, under the lock it has now, until no request of a dead holder is on its way. */
  readonly settled: boolean;
  /** The generation whose token this refresh was the last to send; `null`: none. */
  readonly sent: number | null;
}

/**
 * `crash` of a tab; `drop` of a request before the server; `lose` of an answer; `refuse`: 503, nothing is used up; `freeze` of a tab;
 * `write`: storage takes no intent, or not the next token; `keys` to judge an answer with cannot be had.
 */
export const FAULTS = ['crash', 'drop', 'lose', 'refuse', 'freeze', 'write', 'keys'] as const;
export type Fault = (typeof FAULTS)[number];

export interface World {
  readonly record: Stored;
  readonly server: Server;
  readonly tabs: readonly Tab[];
  /** Requests whose sender is no more and which the server has not seen. Those of a frozen page may be slower than any settling. */
  readonly orphans: readonly { readonly token: number; readonly wasParked: boolean }[];
  /** Revocations that are on their way. */
  readonly revocations: readonly number[];
  /** The access token has expired; matters to `defer-until-expiry`. */
  readonly expired: boolean;
  readonly signOutsLeft: number;
  readonly faultsLeft: number;

  // What only the observer sees.
  /** How many faults of each kind there were. */
  readonly faults: Readonly<Record<Fault, number>>;
  /** The refresh that was the last to send the token of the stored generation, unless it has heard that nothing was used up. */
  readonly sender: number;
  /** Earlier generations whose token was sent. */
  readonly spent: readonly number[];
  readonly sends: number;
  /** A fault fell between a send and the durable write of its answer. */
  readonly hurt: boolean;
  /** The server has seen the request of a frozen page after another request with the same token. */
  readonly overtaken: boolean;
  /** Refresh tokens that a living tab got, and that were neither dropped for another one nor lost with their tab. */
  readonly received: readonly number[];
  /** The rule that the last event broke. */
  readonly broken: string | null;
}

/** The transition function under test. */
export interface Machine {
  begin(me: string): Refresh;
  next(at: Refresh, result: Results[Step]): Refresh;
  park(at: Refresh): Refresh;
}

/** What a driver could do wrong, but `src/store/refresh-steps.ts` must not, or a lock. */
export type Flaw =
  | 'settles while a request of the dead is on its way'
  | 'commits over whatever is there'
  | 'does not revoke what comes after the end'
  | 'lets go of the lock when the answer is there'
  | 'drops what cannot be written'
  | 'takes back the intent of another'
  | 'clears the intent of another with its own'
  | 'revokes what it cannot judge'
  | 'writes its intent over a record that it has not read'
  | 'sends what it has not read where it cannot write'
  | 'leaves its lock behind when it dies';

export interface Settings extends ServerRules {
  readonly machine: Machine;
  readonly flaw: Flaw | null;
  readonly tabs: number;
  /** How often each tab asks. */
  readonly asks: number;
  /** How many faults may happen, and of which kinds. */
  readonly faults: number;
  readonly kinds: readonly Fault[];
  readonly signOuts: number;
  /** The leeway may end at any time. */
  readonly leewayEnds: boolean;
  /** Answers may have to be judged with keys that must be fetched. */
  readonly fetchesKeys: boolean;
  /** Access tokens are stored; else each tab renews for its own. */
  readonly shares: boolean;
  readonly policy: OnUnknownOutcome;
}

/** The name of no refresh. */
export const NOBODY = -1;

const IDLE: Omit<Tab, 'asks' | 'known'> = {
  seen: null,
  hasLock: false,
  refresh: null,
  parked: false,
  result: null,
  grant: FIRST_TOKEN,
  generation: 0,
  foundIntent: null,
  request: null,
  answer: null,
  wasWaiting: false,
  needsKeys: false,
  kept: null,
  unwritten: null,
  settled: false,
  unread: false,
  sent: null,
};

export function firstWorld({ tabs, asks, faults, signOuts }: Settings): World {
  return {
    record: { state: 'active', generation: 1, revision: 1, token: FIRST_TOKEN, intent: null, staged: null, reason: null },
    server: newServer,
    tabs: Array.from({ length: tabs }, () => ({ ...IDLE, asks, known: 1 })),
    orphans: [],
    revocations: [],
    expired: false,
    signOutsLeft: signOuts,
    faultsLeft: faults,
    faults: { crash: 0, drop: 0, lose: 0, refuse: 0, freeze: 0, write: 0, keys: 0 },
    sender: NOBODY,
    spent: [],
    sends: 0,
    hurt: false,
    overtaken: false,
    received: [FIRST_TOKEN],
    broken: null,
  };
}

/** The same tab after its program has died and was started again. */
export function restarted({ asks }: Tab): Tab {
  return { ...IDLE, asks, known: 0 };
}

export function withTab(world: World, index: number, change: Partial<Tab>): World {
  return { ...world, tabs: world.tabs.map((tab, place) => (place === index ? { ...tab, ...change } : tab)) };
}

export function tabOf({ tabs }: World, index: number): Tab {
  const tab = tabs[index];
  if (!tab) throw new RangeError(`no tab ${index}`);
  return tab;
}

/** What a tab takes for stored. */
export function viewOf(world: World, index: number): Stored {
  return tabOf(world, index).kept?.record ?? world.record;
}

/** The least number that names no refresh that still matters. */
export function freeName({ record, tabs, sender }: World): number {
  const taken = new Set<number | undefined>([record.intent?.holder, sender]);
  for (const { refresh, kept } of tabs) {
    taken.add(kept?.record.intent?.holder);
    if (refresh) taken.add(Number(refresh.me)).add(Number(refresh.waitedFor ?? NOBODY));
  }
  for (let name = 0; ; name++) if (!taken.has(name)) return name;
}

/** The worlds in which a fault of this kind has happened: one, if one may. */
export function faulty(world: World, { kinds }: Settings, kind: Fault): readonly World[] {
  if (world.faultsLeft === 0 || !kinds.includes(kind)) return [];
  return [{ ...world, faultsLeft: world.faultsLeft - 1, faults: { ...world.faults, [kind]: world.faults[kind] + 1 } }];
}

/** True if nothing is under way: no flight, no request, nothing that waits to be written. */
export function isQuiet({ tabs, orphans, revocations }: World): boolean {
  return orphans.length === 0 && revocations.length === 0 && tabs.every(({ seen, kept }) => seen === null && kept === null);
}
