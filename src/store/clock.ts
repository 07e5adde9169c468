/**
 * One bounded timer for all credentials of a store: it wakes at the next change of a status, at the latest after 30 s, and compares
 * with the wall clock. A long timer would fire at once or oversleep (E41, E70).
 *
 * @module
 */
import type { StorageAction, StorageFact } from '../credential/actions.js';
import { nextChangeAfter, validityAt } from '../credential/expiry.js';
import type { CredentialState } from '../credential/state.js';
import type { Platform } from '../platform/platform.js';
import type { Loop } from './loop.js';

const MAX_SLEEP_MS = 30_000;

/** Keeps statuses true as time passes. */
export interface Clock {
  /** Arms the timer for what an action brought. */
  consider(action: StorageAction): void;
  /** Compares every credential with the time now, as after a sleep. */
  check(): void;
  close(): void;
}

/** The clock of one store; asleep until a credential with a known lifetime comes. */
export function createClock(platform: Pick<Platform, 'now' | 'setTimer'>, loop: () => Loop): Clock {
  let nextAt = Infinity;
  let cancel: (() => void) | undefined;
  let closed = false;

  const arm = (at: number): void => {
    if (closed || at >= nextAt) return;
    cancel?.();
    nextAt = at;
    cancel = platform.setTimer(wake, Math.min(Math.max(at - platform.now(), 0), MAX_SLEEP_MS));
  };
  const wake = (): void => {
    cancel?.();
    cancel = undefined;
    nextAt = Infinity;
    const now = platform.now();
    const { credentials } = loop().snapshot();
    loop().dispatch(
      credentials.map((credential) => changeOf(credential, now)).filter((fact) => fact !== null),
      'here',
    );
    arm(
      loop()
        .snapshot()
        .credentials.reduce((soonest, credential) => Math.min(soonest, nextOf(credential, now)), Infinity),
    );
  };
  return {
    consider: (action) => {
      if (action.type === 'restored')
        arm(action.credentials.reduce((soonest, facts) => Math.min(soonest, nextChangeAfter(facts, action.at)), Infinity));
      else if ('credential' in action) arm(nextChangeAfter(action.credential, action.at));
    },
    check: () => {
      if (!closed) wake();
    },
    close: () => {
      closed = true;
      cancel?.();
    },
  };
}

function nextOf(credential: CredentialState, now: number): number {
  return credential.status.token === 'needs_sign_in' ? Infinity : nextChangeAfter(credential, now);
}

/** What time did to a credential; a clock set back makes an expired token valid again only in so far as its status says. */
function changeOf(credential: CredentialState, now: number): StorageFact | null {
  const { token } = credential.status;
  if (token === 'needs_sign_in' || token === 'needs_interaction') return null;
  const validity = validityAt(credential, now);
  if (validity === token) return null;
  return { type: validity === 'expired' ? 'expired' : 'expiring', id: credential.id, generation: credential.generation };
}
