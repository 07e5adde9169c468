/**
 * One bounded timer for all credentials of a store: it wakes at the next change of a status, and compares with both clocks those that are
 * due by then; at the latest after 30 s, or when a clock was set, it compares all. A long timer would fire at once or oversleep (E41, E70); a clock that was set, or a machine that slept, is
 * noticed by the one clock or the other (TM-2). It goes on as long as there is a credential: whatever time does to that, a sign-out
 * elsewhere is missed by who sleeps (E45).
 *
 * @module
 */
import type { StorageFact } from '../credential/actions.js';
import { defaultGraceMs } from '../credential/expiry.js';
import type { CredentialState } from '../credential/state.js';
import type { Platform } from '../platform/platform.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';

const MAX_SLEEP_MS = 30_000;
/** Browsers let a timer of a hidden page fire once a minute. Later than that, the page was frozen or the machine slept. */
const OVERDUE_MS = 90_000;
/** Clocks that drift apart by more than this, in milliseconds, since all were compared: one of them was set. */
const DRIFT_MS = 20;

/** Keeps statuses true as time passes. */
export interface Clock {
  /** Arms the timer for what a credential has become. */
  consider(credential: CredentialState | undefined): void;
  /** Wakes after this many milliseconds at the latest. */
  within(delayMs: number): void;
  /** Compares every credential with the time now, as after a sleep. */
  check(): void;
  /** Compares what may have changed since: what is due, or everything where the clocks say that something was missed. */
  tick(): void;
  /** Fires after this many milliseconds, and not before, unless `check` comes first. */
  pause(delayMs: number): void;
  /** Stops until there is something to wake for. */
  rest(): void;
  /** Epoch milliseconds after which the timer should have fired long ago; `Infinity` without a timer. */
  overdueAt(): number;
  /** True if it should have by either clock: the program slept. */
  isOverdue(): boolean;
  close(): void;
}

/** What a clock needs of the store around it. */
export interface ClockContext {
  readonly platform: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer'>;
  readonly loop: Pick<Loop, 'snapshot' | 'stateOf' | 'dispatch'>;
  readonly ledger: Pick<Ledger, 'remainingMs' | 'entry'>;
  /** Called when the timer fires; `tick` is what there is to do. */
  readonly onTimer: () => void;
  /** Called at each waking with the credentials whose statuses were compared. */
  readonly onWake: (compared: readonly CredentialState[]) => void;
  /** Hears that `overdueAt` may answer otherwise now. */
  readonly onArmed: () => void;
  /** Milliseconds until something else is to be done with a credential. */
  readonly dueInMs: (credential: CredentialState) => number;
}

/** The clock of one store; asleep until a credential comes. */
export function createClock({ platform, loop, ledger, onTimer, onWake, onArmed, dueInMs }: ClockContext): Clock {
  let wakesAt = Infinity; // monotonic
  let setAt = Infinity; // wall
  let stillUntil = -Infinity; // monotonic
  let cancel: (() => void) | undefined;
  let closed = false;

  const within = (delayMs: number): void => {
    const now = platform.monotonicNow();
    const ms = Math.min(Math.max(delayMs, stillUntil - now, 0), MAX_SLEEP_MS);
    const at = now + ms;
    if (closed || delayMs === Infinity || at >= wakesAt) return;
    cancel?.();
    wakesAt = at;
    setAt = platform.now();
    cancel = platform.setTimer(onTimer, ms);
    onArmed();
  };
  const sleep = (): void => {
    cancel?.();
    cancel = undefined;
    wakesAt = setAt = Infinity;
  };
  const untilNext = (credential: CredentialState): number => Math.min(untilChange(credential, ledger), dueInMs(credential), MAX_SLEEP_MS);
  /** What is due before all are compared again: of ten thousand only few have to be asked at each waking. */
  const soon = new Set<string>();
  let allAt = -Infinity; // monotonic: when all were compared
  let apart = 0; // by how much the wall clock was ahead of the monotonic one then
  const gap = (): number => platform.now() - platform.monotonicNow();
  const isMissing = (): boolean => platform.monotonicNow() >= allAt + MAX_SLEEP_MS || Math.abs(gap() - apart) > DRIFT_MS;
  const consider = (credential: CredentialState): number => {
    const ms = untilNext(credential);
    if (ms < MAX_SLEEP_MS) soon.add(credential.id);
    return ms;
  };
  const arm = (credentials: readonly CredentialState[]): void => {
    let soonest = allAt + MAX_SLEEP_MS - platform.monotonicNow();
    for (const credential of credentials) soonest = Math.min(soonest, consider(credential));
    if (loop.snapshot().credentials.length > 0) within(soonest);
  };
  const compare = (credentials: readonly CredentialState[]): void => {
    const facts = credentials.map((credential) => {
      const remainingMs = ledger.remainingMs(credential.id);
      const entry = ledger.entry(credential.id);
      if (entry && remainingMs <= defaultGraceMs(credential)) entry.live = undefined; // whatever the wall clock says to its readers
      return changeOf(credential, remainingMs);
    });
    loop.dispatch(
      facts.filter((fact) => fact !== null),
      'here',
    );
  };
  const wake = (current: () => readonly CredentialState[]): void => {
    sleep();
    stillUntil = -Infinity;
    compare(current());
    onWake(current());
    arm(current());
  };
  const wakeAll = (): void => {
    allAt = platform.monotonicNow();
    apart = gap();
    soon.clear();
    wake(() => loop.snapshot().credentials);
  };
  const wakeSome = (): void => {
    const ids = [...soon];
    soon.clear(); // what is to be compared again comes back
    wake(() => ids.map((id) => loop.stateOf(id)).filter((credential) => credential !== undefined));
  };
  return {
    consider: (credential) => {
      if (credential) within(consider(credential));
    },
    within,
    check: () => {
      if (!closed) wakeAll();
    },
    tick: () => {
      if (!closed) (isMissing() ? wakeAll : wakeSome)();
    },
    pause: (delayMs) => {
      sleep();
      stillUntil = platform.monotonicNow() + delayMs;
      within(delayMs);
    },
    rest: sleep,
    overdueAt: () => setAt + OVERDUE_MS,
    isOverdue: () => platform.now() > setAt + OVERDUE_MS || platform.monotonicNow() > wakesAt + OVERDUE_MS,
    close: () => {
      closed = true;
      sleep();
    },
  };
}

/** Milliseconds until a status changes; `Infinity` if time will not change it. */
function untilChange(credential: CredentialState, ledger: ClockContext['ledger']): number {
  if (credential.status.token === 'needs_sign_in') return Infinity;
  const remainingMs = ledger.remainingMs(credential.id);
  if (changeOf(credential, remainingMs)) return 0; // since it was last compared
  if (remainingMs <= 0) return Infinity; // should one of the clocks be set right, the next waking tells
  const graceMs = defaultGraceMs(credential);
  return remainingMs > graceMs ? remainingMs - graceMs : remainingMs;
}

/** What time did to a credential. A clock that was ahead and is set right again makes its token valid again. */
function changeOf(credential: CredentialState, remainingMs: number): StorageFact | null {
  const { id, generation, status, hasExpired } = credential;
  if (status.token === 'needs_sign_in') return null;
  const token = remainingMs <= 0 ? 'expired' : remainingMs <= defaultGraceMs(credential) ? 'expiring' : 'valid';
  if (status.token === 'needs_interaction' ? (token === 'expired') === hasExpired : token === status.token) return null;
  return token === 'expired' ? { type: 'expired', id, generation } : { type: 'expiring', id, generation, token };
}
