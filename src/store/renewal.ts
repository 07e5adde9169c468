/**
 * When tokens are renewed without anybody asking, and when after a failure it is tried again.
 *
 * @module
 */
import { isOpen, type CredentialRecord } from '../credential/record.js';
import { targetKey } from '../credential/children.js';
import { backoffMs, renewalLeadMs } from '../credential/expiry.js';
import type { CredentialState, Target } from '../credential/state.js';
import { isCredentialError, type CredentialError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import { toldAgain } from '../oauth/passing.js';
import type { Platform } from '../platform/platform.js';
import { randomFraction } from '../platform/random.js';
import type { Doubts } from './in-doubt.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';
import { mayBeDead } from '../oauth/refusals.js';
import { isBound } from './refresh-answers.js';

/** However short tokens live: none is renewed unasked more often than this, in milliseconds. */
const MIN_INTERVAL_MS = 5_000;
/** What fails before anything has begun, or brings a token that is due already, rests twice as long each time, up to this, in milliseconds. */
const MAX_REST_MS = 300_000;
/** What storage refuses no server is asked for: it is tried again within this, in milliseconds, and half as much. */
const MAX_STORAGE_BACKOFF_MS = 30_000;
/** So many are renewed ahead at a time, and the default besides; the others are looked at a second later. */
const MAX_AT_ONCE = 4;
/** The same while some are in doubt: a leeway is short. */
const MAX_IN_DOUBT = 16;
const NEXT_BATCH_MS = 1_000;
/** Tabs that wake together begin at different instants within this time, in milliseconds. */
const SPREAD_MS = 500;

/** Who was told a time comes up to half as much later, but no more than this, in milliseconds: not all come at one instant. */
const MAX_LATE_MS = 60_000;
/** Of so many targets of one credential it is known that they were refused. */
const MAX_TARGETS = 100;

/** What a program says of renewal. */
export interface RenewalOptions {
  /**
   * Renews tokens before they expire, without being asked: that of the default, and those that were used since they were last renewed.
   * Default: `true` in a page, `false` elsewhere. Where it is off, tokens are renewed when they are asked for.
   */
  readonly ahead?: boolean | undefined;
}

/** What renewal needs of the store around it. */
export interface RenewalContext {
  readonly ledger: Ledger;
  readonly loop: Loop;
  readonly platform: Pick<Platform, 'now' | 'monotonicNow' | 'crypto' | 'isOnline'>;
  readonly isAhead: boolean;
  /** Ids of credentials that were used since they were last renewed. */
  readonly used: Set<string>;
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
  readonly doubts: Doubts;
}

/** The policy of one store. */
export interface Renewal {
  /** Milliseconds until a credential is to be renewed unasked; `Infinity` if it is not. */
  dueInMs(credential: CredentialState): number;
  /** Renews what is due of these; `done` hears of each when it is over. */
  run(credentials: readonly CredentialState[], renew: Renew, done: (id: string) => void): void;
  /** Somebody asks for a token: what an earlier refresh has left in doubt is taken up beside, if it is time. */
  takeUp(credential: CredentialState, renew: Renew, done: (id: string) => void): void;
  /** The error that a caller gets instead of another request: the last one was answered a moment ago. */
  refusal(id: string, isForced: boolean, target: Target | undefined): CredentialError | undefined;
  /** How many failures there were. */
  failureCount(): number;
  /** The same for who asked when there were so many failures, and has waited for a turn since. */
  refusalSince(id: string, failureCount: number, target: Target | undefined): CredentialError | undefined;
  failed(id: string, error: CredentialError, target: Target | undefined): { readonly attempts: number; readonly nextTryAt: number | null };
  succeeded(id: string, target?: Target): void;
  /** The network may be back, or the program has slept: what failed for lack of it is tried again now. */
  wake(): void;
  forget(id: string): void;
}

/** Renews a token that is good for no more than this, or of which nobody knows whether it was used up. */
type Renew = (id: string, minValidityMs: number) => Promise<unknown>;

interface Failure {
  readonly attempts: number;
  readonly error: CredentialError;
  /** Which failure it was: two may come within one tick of a clock. */
  readonly order: number;
  /** Monotonic milliseconds. */
  readonly retryAt: number;
  /** Until then the server wants to be left alone by anybody. */
  readonly namedUntil: number;
}

/** A policy that has seen nothing yet. */
export function createRenewal({ ledger, loop, platform, isAhead, used, clientOf, doubts }: RenewalContext): Renewal {
  /** By id, then by target. */
  const failures = new Map<string, Map<string, Failure>>();
  /** By id, whether it was in doubt: its server may not answer, and takes no place of those that are due. */
  const running = new Map<string, boolean>();
  const leads = new Map<string, { readonly generation: number; readonly fraction: number }>();
  /** How often in a row it came to nothing, and the monotonic instant until when it rests. */
  const resting = new Map<string, { readonly times: number; readonly until: number }>();
  let notBefore = -Infinity;
  let failureCount = 0;

  const failureOf = (id: string, target: Target | undefined): Failure | undefined => failures.get(id)?.get(targetKey(target));
  /** Of targets a program may ask for any number: the oldest failures go. */
  const note = (id: string, target: Target | undefined, failure: Failure): void => {
    const ofOne = failures.get(id) ?? new Map<string, Failure>();
    const [key, own] = [targetKey(target), targetKey(undefined)];
    ofOne.delete(key); // so that it is the youngest
    failures.set(id, ofOne.set(key, failure));
    const targets = [...ofOne.keys()].filter((one) => one !== own);
    for (const oldest of targets.slice(0, -MAX_TARGETS)) ofOne.delete(oldest);
  };
  const fractionOf = ({ id, generation }: CredentialState): number => {
    const known = leads.get(id);
    if (known?.generation === generation) return known.fraction;
    const fraction = randomFraction(platform);
    leads.set(id, { generation, fraction });
    return fraction;
  };
  const waitMs = (attempts: number, error: CredentialError): number => {
    const fraction = randomFraction(platform);
    const ms = backoffMs(attempts, fraction);
    const { retryAfterMs: named = 0 } = error;
    if (isOfStorage(error)) return Math.min(ms, MAX_STORAGE_BACKOFF_MS * (0.5 + fraction));
    return Math.max(ms, named + fraction * Math.min(named / 2, MAX_LATE_MS));
  };
  const hasRoom = (isInDoubt: boolean): boolean =>
    [...running.values()].filter((one) => one === isInDoubt).length < (isInDoubt ? MAX_IN_DOUBT : MAX_AT_ONCE);
  const isOffline = (): boolean => platform.isOnline?.() === false; // what tells that it is online again wakes the store
  /** Milliseconds until what an earlier refresh has left is taken up. */
  const againInMs = (credential: CredentialState): number => {
    const { id } = credential;
    const record = ledger.record(id);
    const leastMs = (failureOf(id, undefined)?.retryAt ?? -Infinity) - platform.monotonicNow();
    return record ? doubts.dueInMs(record, fractionOf(credential), leastMs) : Infinity;
  };
  /** False where nothing could be sent, or nothing would be gained. */
  const canRenew = ({ id, status }: CredentialState): boolean => {
    if (running.has(id) || status.activity === 'revoking') return false;
    if (status.token === 'needs_sign_in' || status.token === 'needs_interaction') return false;
    const record = ledger.record(id);
    const client = record && clientOf(record);
    if (!client) return false;
    if (client.renew) return true;
    return !isBound(record) && (!isOpen(record) || record.secrets?.refreshToken !== undefined);
  };
  /** Milliseconds until its token is due, or `againMs` if that is sooner; later after a failure. */
  const nextInMs = (credential: CredentialState, againMs: number): number => {
    const remainingMs = ledger.remainingMs(credential.id);
    const nextMs = Math.min(remainingMs - renewalLeadMs(credential, fractionOf(credential)), againMs);
    if (nextMs === Infinity) return Infinity;
    const failure = failureOf(credential.id, undefined);
    // Trying again would change nothing, but for what means something else once the token has expired (D-047)
    if (failure && !mayPass(failure.error) && againMs === Infinity)
      return mayBeDead(failure.error) ? Math.max(remainingMs, failure.retryAt - platform.monotonicNow()) : Infinity;
    const ageMs = platform.now() - credential.issuedAt; // negative where the clock was set back
    const restMs = ageMs >= 0 ? MIN_INTERVAL_MS - ageMs : 0;
    const waitMs = Math.max(failure?.retryAt ?? notBefore, resting.get(credential.id)?.until ?? -Infinity) - platform.monotonicNow();
    const turnMs = credential.isDefault || hasRoom(againMs <= 0) ? 0 : NEXT_BATCH_MS;
    return Math.max(nextMs, restMs, waitMs, turnMs);
  };
  /** As `againInMs`, but not while it is under way here. */
  const leftInMs = (credential: CredentialState): number => (credential.status.activity === 'idle' ? againInMs(credential) : Infinity);
  const isWanted = ({ id, isDefault }: CredentialState, againMs: number): boolean => isDefault || used.has(id) || againMs < Infinity;
  const dueInMs: Renewal['dueInMs'] = (credential) => {
    if (!isAhead || isOffline() || !canRenew(credential)) return Infinity;
    const againMs = leftInMs(credential);
    return isWanted(credential, againMs) ? nextInMs(credential, againMs) : Infinity;
  };
  /** Else it would be due again at once: no failure was counted that says when, or what was given is as old as what was there. */
  const rest = (id: string): void => {
    const now = platform.monotonicNow();
    const credential = loop.stateOf(id);
    if (!credential || (failureOf(id, undefined)?.retryAt ?? now) > now) return;
    const isDue = ledger.remainingMs(id) <= renewalLeadMs(credential, 0);
    const times = isDue ? (resting.get(id)?.times ?? 0) : 0;
    resting.set(id, { times: isDue ? times + 1 : 0, until: now + Math.min(MIN_INTERVAL_MS * 2 ** times, MAX_REST_MS) });
  };
  const begin = (credential: CredentialState, renew: Renew, done: (id: string) => void, againMs: number): void => {
    const { id } = credential;
    running.set(id, againMs <= 0);
    const wasUsed = used.delete(id); // until it is used again, if only by who hears of the new token
    void renew(id, renewalLeadMs(credential, fractionOf(credential)))
      .catch(() => void (wasUsed && loop.stateOf(id) && used.add(id))) // an event has said why, or whoever asks hears it
      .finally(() => {
        running.delete(id);
        rest(id);
        done(id);
      });
  };
  const refusalBy = (
    id: string,
    target: Target | undefined,
    untilOf: (failure: Failure) => number,
    isLate: (failure: Failure) => boolean = () => true,
  ): CredentialError | undefined => {
    const now = platform.monotonicNow();
    const failure = [failureOf(id, undefined), failureOf(id, target)].find((one) => one && untilOf(one) > now);
    if (!failure || !isLate(failure)) return undefined;
    const { message, issuer, status, class: errorClass, cause: why } = failure.error;
    const cause = isCredentialError(why) ? why : failure.error; // what the server said is found at the same place
    const details = { issuer, status, class: errorClass, retryAfterMs: Math.ceil(untilOf(failure) - now), cause };
    return toldAgain(failure.error, details, `${message} It is too early to try again.`);
  };
  return {
    dueInMs,
    run: (credentials, renew, done) => {
      const due = credentials.filter((credential) => dueInMs(credential) <= 0);
      // First the default, whatever has become of the others: their server may not answer
      for (const credential of due) if (credential.isDefault) begin(credential, renew, done, leftInMs(credential));
      const others = due.filter(({ isDefault }) => !isDefault);
      for (const credential of others) {
        const againMs = leftInMs(credential);
        if (hasRoom(againMs <= 0)) begin(credential, renew, done, againMs);
      }
    },
    takeUp: (credential, renew, done) => {
      const againMs = leftInMs(credential);
      if (againMs > 0 || isOffline() || !canRenew(credential) || nextInMs(credential, againMs) > 0) return;
      begin(credential, renew, done, againMs);
    },
    refusal: (id, isForced, target) => refusalBy(id, target, ({ namedUntil, retryAt }) => (isForced ? namedUntil : retryAt)),
    failureCount: () => failureCount,
    refusalSince: (id, count, target) =>
      refusalBy(
        id,
        target,
        ({ retryAt }) => retryAt,
        ({ order }) => order > count,
      ),
    failed: (id, error, target) => {
      const about = isPassing(error) ? undefined : target;
      const attempts = (failureOf(id, about)?.attempts ?? 0) + 1;
      const credential = loop.stateOf(id);
      failureCount++;
      const untold = { attempts, nextTryAt: null };
      if (!credential) return untold;
      const now = platform.monotonicNow();
      const [retryAt, namedUntil] = [now + waitMs(attempts, error), now + (error.retryAfterMs ?? -Infinity)];
      note(id, about, { attempts, error, order: failureCount, retryAt, namedUntil });
      const againMs = againInMs(credential);
      if (!isAhead || !(mayPass(error) || (!about && againMs < Infinity))) return untold; // no target is tried by itself
      const nextMs = running.has(id) || isWanted(credential, againMs) ? nextInMs(credential, againMs) : Infinity;
      return nextMs < Infinity ? { attempts, nextTryAt: Math.ceil(platform.now() + nextMs) } : untold;
    },
    succeeded: (id, target) => {
      for (const one of [undefined, target]) failures.get(id)?.delete(targetKey(one));
    },
    wake: () => {
      const now = platform.monotonicNow();
      notBefore = now + SPREAD_MS * randomFraction(platform);
      resting.clear();
      for (const ofOne of failures.values())
        for (const [key, failure] of ofOne) {
          if (failure.namedUntil <= now && mayPass(failure.error))
            ofOne.set(key, { ...failure, retryAt: Math.min(failure.retryAt, notBefore) });
        }
    },
    forget: (id) => {
      failures.delete(id);
      leads.delete(id);
      resting.delete(id);
      used.delete(id);
      doubts.forget(id);
    },
  };
}

/** True for what may be otherwise the next time. */
export function isPassing({ class: errorClass }: CredentialError): boolean {
  return errorClass === 'transient' || errorClass === 'unknown_outcome';
}

/** True if the storage, or its lock, failed: a disk is not full for ever, though that is a matter of configuration. A person who gave no key has decided. */
export function isOfStorage({ code, class: errorClass }: CredentialError): boolean {
  return (code === 'storage_failed' || code === 'lock_unavailable') && errorClass !== 'needs_user';
}

/** True for what is tried again without being asked. */
function mayPass(error: CredentialError): boolean {
  return isPassing(error) || isOfStorage(error);
}
