/**
 * The one loop: actions come in, the pure reducer folds them, the state goes out first and the events second. Whoever dispatches while
 * the loop runs is queued, so that all subscribers see the same order.
 *
 * @module
 */
import { BehaviorSubject, filter, Subject, type Observable } from 'rxjs';
import { eventOf, type CredentialEvent, type EventOrigin, type StorageAction, type StorageFact } from '../credential/actions.js';
import { reduce } from '../credential/reducer.js';
import { UNKNOWN_STATE, type CredentialState, type StoreState } from '../credential/state.js';
import type { Platform } from '../platform/platform.js';

/** The only writer of the state. */
export interface Loop {
  /** The state from the moment on when storage has been read; replays. */
  readonly ready$: Observable<StoreState>;
  readonly events$: Observable<CredentialEvent>;
  snapshot(): StoreState;
  stateOf(id: string): CredentialState | undefined;
  /** Folds the facts of one operation: one emission of state, then their events. */
  dispatch(facts: readonly StorageFact[], origin: EventOrigin): void;
  closed(): boolean;
  close(): void;
}

interface Batch {
  readonly actions: readonly StorageAction[];
  readonly origin: EventOrigin;
}

/**
 * A loop in the state `unknown`. `onAction` hears of each action after it was folded, before anyone else; `onGone` of each credential that
 * is no more, with its last state.
 */
export function createLoop(
  platform: Pick<Platform, 'now'>,
  onAction: (action: StorageAction) => void,
  onGone: (last: CredentialState) => void,
): Loop {
  const states = new BehaviorSubject<StoreState>(UNKNOWN_STATE);
  const events = new Subject<CredentialEvent>();
  const byId = new Map<string, CredentialState>(); // the states of `states`, by id: a look-up must not cost a search
  const queue: Batch[] = [];
  let state = UNKNOWN_STATE;
  let draining = false;
  let ended = false;

  const fold = (action: StorageAction): void => {
    const next = reduce(state, action);
    if (next !== state) {
      const only = 'id' in action && action.type !== 'default_changed' ? action.id : undefined;
      index(byId, next, only).forEach(onGone);
      state = next;
    }
    onAction(action);
  };
  const run = ({ actions, origin }: Batch): void => {
    const before = state;
    actions.forEach(fold);
    if (state !== before) states.next(state);
    actions.forEach((action) => events.next(eventOf(action, origin)));
  };
  return {
    ready$: states.pipe(filter((known) => known.status === 'ready')),
    events$: events.asObservable(),
    snapshot: () => state,
    stateOf: (id) => byId.get(id),
    dispatch: (facts, origin) => {
      if (facts.length === 0) return;
      const at = platform.now();
      queue.push({ actions: facts.map((fact) => ({ ...fact, at })), origin });
      if (draining) return;
      draining = true;
      try {
        for (let batch = queue.shift(); batch; batch = queue.shift()) run(batch);
      } finally {
        draining = false;
      }
    },
    closed: () => ended,
    close: () => {
      ended = true;
      states.complete();
      events.complete();
    },
  };
}

/** Brings the index up to date, for one credential where only one can have changed. Returns what is no longer there. */
function index(byId: Map<string, CredentialState>, { credentials }: StoreState, only: string | undefined): readonly CredentialState[] {
  if (only === undefined) {
    const before = [...byId.values()];
    byId.clear();
    for (const credential of credentials) byId.set(credential.id, credential);
    return before.filter(({ id }) => !byId.has(id));
  }
  let position = credentials.length - 1;
  while (position >= 0 && credentials[position]?.id !== only) position--;
  const [before, found] = [byId.get(only), credentials[position]];
  if (found) byId.set(only, found);
  else byId.delete(only);
  return before && !found ? [before] : [];
}
