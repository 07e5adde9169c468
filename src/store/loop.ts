/**
 * The one loop: actions come in, the pure reducer folds them, the state goes out first and the events second. Whoever dispatches while
 * the loop runs is queued, so that all subscribers see the same order. What a start found needs no reducer: until one is brought, only
 * that is shown, and whatever else happens waits in the queue.
 *
 * @module
 */
import { BehaviorSubject, filter, Subject, type Observable } from 'rxjs';
import { eventOf, type CredentialEvent, type EventOrigin, type StorageAction, type StorageFact } from '../credential/actions.js';
import { restored } from '../credential/snapshot.js';
import { UNKNOWN_STATE, type CredentialState, type StoreState } from '../credential/state.js';
import type { Platform } from '../platform/platform.js';

/** How actions become state. */
export interface Folding {
  /** The state after the actions; called once for each batch, in order. */
  fold(state: StoreState, actions: readonly StorageAction[]): StoreState;
  stateOf(id: string): CredentialState | undefined;
}

/** The only writer of the state. */
export interface Loop {
  /** The state from the moment on when storage has been read; replays. */
  readonly ready$: Observable<StoreState>;
  readonly events$: Observable<CredentialEvent>;
  snapshot(): StoreState;
  stateOf(id: string): CredentialState | undefined;
  /** Shows what a start found. */
  begin(found: Extract<StorageFact, { type: 'restored' }>): void;
  /** Folds the facts of one operation: one emission of state, then their events. */
  dispatch(facts: readonly StorageFact[], origin: EventOrigin): void;
  /** Brings the reducer, for the state there is; what waited is folded at once. */
  attach(folding: (state: StoreState) => Folding): void;
  close(): void;
}

interface Batch {
  readonly actions: readonly StorageAction[];
  readonly origin: EventOrigin;
}

/** A loop in the state `unknown`. */
export function createLoop(platform: Pick<Platform, 'now'>): Loop {
  const states = new BehaviorSubject<StoreState>(UNKNOWN_STATE);
  const events = new Subject<CredentialEvent>();
  const queue: Batch[] = [];
  let state = UNKNOWN_STATE;
  let folding: Folding | undefined;
  let found: Map<string, CredentialState> | undefined; // what a start found, by id: who shows all of them asks for each
  let draining = false;

  const show = (next: StoreState, { actions, origin }: Batch): void => {
    const changed = next !== state;
    state = next;
    if (changed) states.next(state);
    for (const action of actions) events.next(Object.freeze(eventOf(action, origin)));
  };
  const drain = (): void => {
    if (draining || !folding) return;
    draining = true;
    try {
      for (let batch = queue.shift(); batch; batch = queue.shift()) show(folding.fold(state, batch.actions), batch);
    } finally {
      draining = false;
    }
  };
  return {
    ready$: states.pipe(filter((known) => known.status === 'ready')),
    events$: events.asObservable(),
    snapshot: () => state,
    stateOf: (id) => {
      if (folding) return folding.stateOf(id);
      if (state.status === 'unknown') return undefined;
      found ??= new Map(state.credentials.map((credential) => [credential.id, credential]));
      return found.get(id);
    },
    begin: (found) => {
      const action = { ...found, at: platform.now() };
      draining = true; // who dispatches on seeing it waits
      try {
        show(restored(action), { actions: [action], origin: 'here' });
      } finally {
        draining = false;
      }
      drain();
    },
    dispatch: (facts, origin) => {
      if (facts.length === 0) return;
      const at = platform.now();
      queue.push({ actions: facts.map((fact) => ({ ...fact, at })), origin });
      drain();
    },
    attach: (bring) => {
      folding = bring(state);
      found = undefined;
      drain();
    },
    close: () => {
      states.complete();
      events.complete();
    },
  };
}
