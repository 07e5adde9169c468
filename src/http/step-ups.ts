/**
 * What resource servers ask for beyond the token they were sent: who is told of it, and how often the application is asked (STEP-2, D-039).
 *
 * @module
 */
import type { ResourceChallenge } from '../credential/actions.js';
import type { Platform } from '../platform/platform.js';
import type { Credential } from '../store/credential.js';
import { createRecent, type Recent } from './recent.js';
import { ended, LONGEST_MS } from './waiting.js';

/** A question to the application that is under way, or was a moment ago. */
export interface StepUp {
  granted: Promise<boolean>;
  isOver: boolean;
  /** For those who come later; they do not wait. */
  readonly end: () => void;
}

/** What is remembered of them for a store. */
export interface StepUpMemory {
  /** By resource and credential: events by what was asked for. */
  readonly told: Recent<Map<string, Promise<void>>>;
  /** What each function was asked: what one answers, or how long it takes, must not keep another from being asked. */
  readonly questions: WeakMap<NonNullable<StepUpOptions['stepUp']>, Questions>;
}

/** What one function was asked; by how long requests wait for it, too, since those who leave early end it for who comes later. */
interface Questions {
  /** By resource and credential. */
  readonly known: Recent<StepUp>;
  /** Resources that it was asked about a moment ago. */
  readonly prompted: Recent<true>;
}

/** Remembers nothing yet. */
export function createStepUpMemory(platform: Pick<Platform, 'monotonicNow'>): StepUpMemory {
  return { told: createRecent(platform, MAX_TOLD_KEYS), questions: new WeakMap() };
}

/** Those of all requests of a policy. */
export interface StepUps {
  /** Resolves once there was an event for what is asked for: one a minute. @throws {CredentialError} why there is none */
  tell(challenge: ResourceChallenge, credential: Credential): Promise<void>;
  /** The one for this resource and credential that is known, or a new one. */
  of(challenge: ResourceChallenge, credential: Credential): StepUp;
  /** What comes of it as long as the request waits for it; then it is over for those who come later, too. */
  outcomeOf(stepUp: StepUp, signal: AbortSignal | null | undefined): Promise<boolean>;
}

/** The part of the options that is about them. */
interface StepUpOptions {
  readonly stepUp?: ((challenge: ResourceChallenge, credential: Credential) => boolean | Promise<boolean>) | undefined;
  readonly stepUpWaitMs?: number | undefined;
}

const STEP_UP_WAIT_MS = 300_000;
/** A hostile server must not fill a log: of one credential at one resource so many events at a time. */
const MAX_TOLD = 10;
/** Nor memory: what was asked for is its text. */
const MAX_TOLD_KEYS = 200;

/** Those of a policy, with what its store remembers. */
export function createStepUps(
  { stepUp, stepUpWaitMs = STEP_UP_WAIT_MS }: StepUpOptions,
  platform: Pick<Platform, 'setTimer' | 'monotonicNow'>,
  { told, questions }: StepUpMemory,
): StepUps {
  const longestMs = Math.max(stepUpWaitMs, STEP_UP_WAIT_MS);
  const { known, prompted } = (stepUp && questions.get(stepUp)) ?? { known: createRecent(platform), prompted: createRecent(platform) };
  if (stepUp) questions.set(stepUp, { known, prompted });

  const begin = (key: string, challenge: ResourceChallenge, credential: Credential): StepUp => {
    const resource = `${stepUpWaitMs} ${challenge.resource}`;
    const isOver = !stepUp || prompted.get(resource) === true;
    const begun: StepUp = {
      granted: Promise.resolve(false),
      isOver,
      end: () => {
        begun.isOver = true;
        if ((known.get(key) ?? begun) !== begun) return; // it comes too late: there is another by now
        known.set(key, begun);
        prompted.set(resource, true);
      },
    };
    known.set(key, begun, isOver ? undefined : longestMs); // a user may take her time; a window that she has closed may never answer
    if (!stepUp || isOver) return begun;
    // For whatever credential: one that it brought may be refused, too. If nobody waits, nobody ends it
    prompted.set(resource, true, longestMs);
    begun.granted = (async () => (await stepUp(challenge, credential)) === true)();
    begun.granted.then(begun.end, begun.end);
    return begun;
  };
  return {
    tell: async (challenge, credential) => {
      const { error, scope, acrValues, maxAge } = challenge;
      const key = keyOf(challenge, credential);
      const events = told.get(key) ?? new Map<string, Promise<void>>();
      const asked = JSON.stringify([error, scope, acrValues, maxAge]);
      if (events.size === 0) told.set(key, events);
      if (events.size < MAX_TOLD && !events.has(asked)) {
        const event = credential.reportChallenge(challenge);
        events.set(asked, event);
        event.catch(() => events.delete(asked)); // nobody was told: the next one tries again
      }
      await events.get(asked);
    },
    of: (challenge, credential) => {
      const key = `${stepUpWaitMs} ${keyOf(challenge, credential)}`;
      return known.get(key) ?? begin(key, challenge, credential);
    },
    outcomeOf: async (one, signal) => {
      let cancel = (): void => undefined;
      const late = new Promise<boolean>((resolve) => {
        const giveUp = (): void => {
          one.granted = Promise.resolve(false); // it may come to no end at all
          one.end();
          resolve(false);
        };
        cancel = platform.setTimer(giveUp, Math.min(stepUpWaitMs, LONGEST_MS), true);
      });
      return ended(Promise.race([one.granted, late]), signal).finally(cancel);
    },
  };
}

function keyOf({ resource }: ResourceChallenge, { id }: Credential): string {
  return `${resource} ${id}`;
}
