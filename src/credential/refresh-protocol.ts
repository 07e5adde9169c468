/**
 * The refresh of one credential as a state machine: `standards.md` §20 on one page. It is pure and holds no token, so that the same
 * table is drawn in `docs/refresh.md`, explored exhaustively in `test/model` and driven by the store. Whoever drives it does what
 * `step` says, alone among all tabs and processes (RF-1), and tells it what came of that.
 *
 * @module
 */

/** What to do next; `end` is what became of it. */
export type Step = keyof Results;

/** What may come of each step. */
export interface Results {
  /** Read the record (RF-2). */
  read: Found;
  /** Have ready whatever a request needs, so that nothing can fail between the intent and the request. */
  prepare: 'ready' | 'failed';
  /** Wait until a request of a dead or parked holder has come to its end (RF-8). */
  settle: 'waited';
  /** Wait before the same token is sent again (RF-7). */
  pause: 'waited';
  /** Write down durably that this token is about to be sent (RF-3); `unwritten`: the storage is broken (RF-15). */
  intend: 'written' | 'unwritten' | 'overtaken';
  send: 'answered' | 'answered_unjudged' | 'outcome_unknown' | 'refused' | 'needs_user' | 'rejected';
  /** Write the raw answer down before it is judged with keys that must be fetched (RF-4). */
  stage: 'done';
  judge: 'token' | 'not_yet' | 'refused';
  /** Write the next token over the one that was sent (RF-5). `too_short`: it was an earlier answer, and does not serve the caller. */
  commit: 'committed' | 'too_short' | 'superseded' | 'gone' | 'needs_sign_in';
  /** Read again what is stored after the server rejected the token: another may have renewed it. */
  verify: Found;
  /** End the session: the record without its dead secrets. */
  dismiss: 'done' | 'overtaken';
  /** Take the intent back: nothing was used up. */
  retract: 'done';
  end: never;
}

/** What a reading of the record says. */
export interface Found {
  readonly state: 'active' | 'needs_sign_in' | 'gone';
  /** Tells one token from the next. */
  readonly generation: number;
  /** True if what is there serves the caller: nothing has to be sent. */
  readonly serves: boolean;
  /** True if the access token that is there still lives. */
  readonly lives: boolean;
  /** False if no request can be made: no refresh token, no client. */
  readonly canSend: boolean;
  /** True if an answer is there that was not judged yet. */
  readonly staged: boolean;
  /** Who wrote down that this very token was about to be sent, and has not said what came of it. */
  readonly intent: string | null;
  /** What to do if there is such an intent. */
  readonly onUnknownOutcome: OnUnknownOutcome;
}

/** How it ended. `again`: the lock was given up before anything was sent; begin anew under the lock. */
export type Ending = 'served' | 'needs_sign_in' | 'gone' | 'failed' | 'again';

/** What a taker-over does that cannot know whether the server has used up the refresh token (RF-8). */
export type OnUnknownOutcome = 'retry' | 'defer-until-expiry' | 'reauthenticate';

/** One refresh. */
export interface Refresh {
  readonly step: Step;
  /** Names this refresh; what it intends carries the name. */
  readonly me: string;
  /** The generation that is sent; 0 before the first reading. */
  readonly generation: number;
  /** How often the token was sent. */
  readonly sends: number;
  /** True if a request with this token may have reached the server without an answer that reached us. */
  readonly inDoubt: boolean;
  /** Whose intent has been waited out. */
  readonly waitedFor: string | null;
  /** True once the lock was given up because the page froze (RF-16): nothing new is sent, what was sent is committed if it still can be. */
  readonly parked: boolean;
  readonly ending: Ending;
  /** Why the session ends, for `dismiss`. */
  readonly reason: 'rejected' | 'rotation_lost';
}

/** How often one token is sent before it is left to the next refresh (RF-7). */
export const MAX_SENDS = 3;

/** A refresh that has just got the lock. */
export function beginRefresh(me: string): Refresh {
  const nothingSent = { generation: 0, sends: 0, inDoubt: false, waitedFor: null };
  return { step: 'read', me, ...nothingSent, parked: false, ending: 'failed', reason: 'rejected' };
}

/** The same refresh without its lock. */
export function park(at: Refresh): Refresh {
  return { ...at, parked: true };
}

/** What to do after a step came to a result. */
export function next<S extends Step>(at: Refresh, result: Results[S]): Refresh {
  return (PROTOCOL[at.step] as (at: Refresh, result: Results[S]) => Refresh)(at, result);
}

const PROTOCOL: { readonly [S in Step]: (at: Refresh, result: Results[S]) => Refresh } = {
  read: (at, found) => {
    if (found.state !== 'active') return end(at, found.state);
    if (found.serves) return end(at, 'served');
    if (at.parked) return found.intent === at.me ? leave(at) : end(at, 'again');
    if (!found.canSend) return end(at, 'failed');
    // On another generation nothing was sent yet, unless a parked refresh has stored it while ours was under way.
    const anew = { ...at, generation: found.generation, sends: 0, inDoubt: found.intent === at.me };
    const known = at.generation === found.generation ? at : anew;
    if (found.staged) return { ...known, step: 'judge' };
    if (known.sends >= MAX_SENDS) return end(known, 'failed'); // a staged answer that was seen has come to nothing
    if (found.intent === null) return { ...known, step: 'prepare' };
    if (found.intent === at.me) return { ...known, step: 'send' };
    const taken: Refresh = { ...known, inDoubt: true };
    if (found.onUnknownOutcome === 'reauthenticate') return { ...taken, step: 'dismiss', reason: 'rotation_lost' };
    if (found.onUnknownOutcome === 'defer-until-expiry' && found.lives) return end(taken, 'failed');
    return found.intent === at.waitedFor ? { ...taken, step: 'prepare' } : { ...taken, step: 'settle', waitedFor: found.intent };
  },
  prepare: (at, result) => {
    if (at.parked) return end(at, 'again');
    return result === 'ready' ? { ...at, step: 'intend' } : end(at, 'failed');
  },
  settle: (at) => ({ ...at, step: 'read' }), // its holder may have committed after all
  pause: (at) => ({ ...at, step: 'read' }), // a sign-out needs no lock
  intend: (at, result) => {
    if (at.parked) return result === 'unwritten' ? end(at, 'again') : leave(at);
    return { ...at, step: result === 'overtaken' ? 'read' : 'send' };
  },
  send: (before, result) => {
    const at = { ...before, sends: before.sends + 1 };
    switch (result) {
      case 'answered':
        return { ...at, step: 'judge' };
      case 'answered_unjudged':
        return { ...at, step: 'stage' };
      case 'rejected':
        return { ...at, step: 'verify' };
      case 'outcome_unknown':
        if (at.parked) return end({ ...at, inDoubt: true }, 'again');
        return at.sends < MAX_SENDS ? { ...at, step: 'pause', inDoubt: true } : end({ ...at, inDoubt: true }, 'failed');
      default: // refused, needs_user: this request has used up nothing; an earlier one may have
        return at.inDoubt ? end(at, 'failed') : { ...at, step: 'retract', ending: 'failed' };
    }
  },
  stage: (at) => ({ ...at, step: 'judge' }),
  judge: (at, result) => (result === 'token' ? { ...at, step: 'commit' } : end(at, 'failed')),
  commit: (at, result) => {
    if (result === 'too_short') return { ...at, step: 'read' };
    return end(at, result === 'gone' || result === 'needs_sign_in' ? result : 'served');
  },
  verify: (at, found) => {
    if (found.state !== 'active') return end(at, found.state);
    if (found.generation !== at.generation || found.staged) return { ...at, step: 'read' };
    if (at.parked) return end(at, 'again'); // whoever has the lock now may be about to store what the server gave
    return { ...at, step: 'dismiss', reason: at.inDoubt ? 'rotation_lost' : 'rejected' };
  },
  dismiss: (at, result) => (result === 'overtaken' ? { ...at, step: 'read' } : end(at, 'needs_sign_in')),
  retract: (at) => end(at, at.ending),
  end: (at) => at,
};

/** To whoever has the lock now. An intent of which nothing was sent would look like a request whose answer was lost. */
function leave(at: Refresh): Refresh {
  return at.sends === 0 && !at.inDoubt ? { ...at, step: 'retract', ending: 'again' } : end(at, 'again');
}

function end(at: Refresh, ending: Ending): Refresh {
  return { ...at, step: 'end', ending };
}
