/**
 * What resource servers ask for beyond the token they were sent: who is told of it, and how often the application is asked (STEP-2, D-039).
 *
 * @module
 */
import type { ResourceChallenge } from '../credential/actions.js';
import type { Platform } from '../platform/platform.js';
import type { Credential } from '../store/credential.js';
import { createRecent } from './recent.js';
import { ended, LONGEST_MS } from './waiting.js';

/** A question to the application that is under way, or was a moment ago. */
export interface StepUp {
  granted: Promise<boolean>;
  isOver: boolean;
  /** For those who come later; they do not wait. */
  readonly end: () => void;
  /** What was asked for, and an event said so. */
  readonly told: Set<string>;
}

/** Those of all requests of a policy. */
export interface StepUps {
  /** The one for this resource and credential that is known, or a new one. There is an event for each thing that is asked for. */
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

/** Knows of none yet. */
export function createStepUps(
  { stepUp, stepUpWaitMs = STEP_UP_WAIT_MS }: StepUpOptions,
  platform: Pick<Platform, 'monotonicNow' | 'setTimer'>,
): StepUps {
  /** By resource and credential. */
  const known = createRecent<StepUp>(platform);
  /** Resources that the application was asked about a moment ago. */
  const prompted = createRecent<true>(platform);

  const begin = (key: string, challenge: ResourceChallenge, credential: Credential): StepUp => {
    const { resource } = challenge;
    const isOver = !stepUp || prompted.get(resource) === true;
    const begun: StepUp = {
      granted: Promise.resolve(false),
      isOver,
      end: () => {
        begun.isOver = true;
        known.set(key, begun);
        prompted.set(resource, true);
      },
      told: new Set(),
    };
    known.set(key, begun, isOver ? undefined : Infinity); // a user may take her time
    tell(begun, challenge, credential);
    if (!stepUp || isOver) return begun;
    // For whatever credential: one that it brought may be refused, too. If nobody waits, nobody ends it
    prompted.set(resource, true, Math.max(stepUpWaitMs, STEP_UP_WAIT_MS));
    begun.granted = (async () => (await stepUp(challenge, credential)) === true)();
    begun.granted.then(begun.end, begun.end);
    return begun;
  };
  return {
    of: (challenge, credential) => {
      const key = `${challenge.resource} ${credential.id}`;
      const found = known.get(key);
      if (!found) return begin(key, challenge, credential);
      tell(found, challenge, credential);
      return found;
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

/** An event for what was not asked for a moment ago. */
function tell({ told }: StepUp, challenge: ResourceChallenge, credential: Credential): void {
  const { error, scope, acrValues, maxAge } = challenge;
  const asked = JSON.stringify([error, scope, acrValues, maxAge]);
  if (told.size >= MAX_TOLD || told.has(asked)) return;
  told.add(asked);
  credential.reportChallenge(challenge);
}
