/**
 * `reduce(state, action)`: pure and total. No clock (time is `action.at`), no I/O, no throw; the same reference if nothing changed.
 * Replaying the actions of a store gives its state, one by one or in batches: a batch copies each list once, however long it is.
 *
 * @module
 */
import { assertNever, type CredentialFacts, type StorageAction } from './actions.js';
import { sameData } from './data.js';
import { openDraft, type Draft, type Folded } from './draft.js';
import { validityAt } from './expiry.js';
import { hasNoToken, restored, snapshot } from './snapshot.js';
import type { Activity, CredentialState, CredentialStatus, RefreshFailure, StoreState } from './state.js';

type AgeAction = { readonly id: string; readonly generation: number; readonly at: number };

/** The state after an action. */
export function reduce(state: StoreState, action: StorageAction): StoreState {
  return fold(state, [action]).state;
}

/** The state after all actions, in their order. */
export function reduceAll(state: StoreState, actions: readonly StorageAction[]): StoreState {
  return fold(state, actions).state;
}

/**
 * The state after all actions, and what became of each credential on the way.
 *
 * @param find the credential of an id in `state`, for who has an index of it; without it the list is searched
 */
export function fold(state: StoreState, actions: readonly StorageAction[], find?: (id: string) => CredentialState | undefined): Folded {
  const draft = openDraft(state, find ?? finderOf(state, actions.length));
  for (const action of actions) apply(draft, action);
  return draft.end();
}

function apply(draft: Draft, action: StorageAction): void {
  switch (action.type) {
    case 'restored':
      return restore(draft, action);
    case 'token_added':
      return put(draft, action.credential, action.at);
    case 'token_replaced':
    case 'metadata_updated':
    case 'sign_in_required': // only `token_added` brings a credential (back): E12
      return draft.get(action.id) && put(draft, action.credential, action.at);
    case 'token_removed':
      return remove(draft, action.id, action.generation);
    case 'default_changed':
      return setDefault(draft, action.id);
    case 'cleared':
      return draft.reset([], null);
    case 'refresh_started':
      return setStatus(draft, action, ({ token, activity }) => ({ token, activity: activity === 'revoking' ? activity : 'refreshing' }));
    case 'refresh_ended':
      return setStatus(draft, action, ({ token, activity }) => ({ token, activity: idleAfter(activity) }));
    case 'refresh_failed': {
      const { code, class: errorClass, attempts, nextTryAt } = action;
      const failure = Object.freeze({ code, class: errorClass, attempts, nextTryAt });
      const isEnding = draft.get(action.id)?.status.activity === 'revoking';
      const known = action.target ? undefined : failure;
      return isEnding ? undefined : setStatus(draft, action, ({ token }) => ({ token, activity: 'idle' }), known);
    }
    case 'interaction_required':
      return setStatus(draft, action, ({ token, activity }) => ({
        token: token === 'needs_sign_in' ? token : 'needs_interaction',
        activity: idleAfter(activity),
      }));
    case 'expiring':
      return age(draft, action, action.token);
    case 'expired':
      return age(draft, action, 'expired');
    case 'durable':
      return setDurable(draft, undefined);
    case 'not_durable':
      return setDurable(draft, action);
    case 'challenged':
    case 'signed_out':
    case 'record_quarantined':
      return; // news, not state
    default:
      return assertNever(action);
  }
}

function setDurable(draft: Draft, problem: Extract<StorageAction, { type: 'not_durable' }> | undefined): void {
  draft.durable = !problem;
  const before = draft.storageProblem;
  if (problem?.code === before?.code && problem?.message === before?.message) return;
  draft.storageProblem = problem && Object.freeze({ code: problem.code, message: problem.message });
}

function restore(draft: Draft, action: Extract<StorageAction, { type: 'restored' }>): void {
  const { credentials, defaultId } = restored(action);
  draft.reset([...credentials], defaultId);
  draft.status = 'ready';
  draft.durable = action.durable;
}

/** Adds or replaces one credential; facts of an older generation are late and change nothing. */
function put(draft: Draft, facts: CredentialFacts, at: number): void {
  const before = draft.get(facts.id);
  if (before && facts.generation < before.generation) return;
  const after = snapshot(facts, before, at, draft.defaultId === facts.id);
  if (!sameData(before, after)) draft.change(before, after);
}

function remove(draft: Draft, id: string, generation: number): void {
  const before = draft.get(id);
  if (!before || generation < before.generation) return;
  draft.change(before, undefined);
  if (draft.defaultId === id) draft.defaultId = null;
}

function setDefault(draft: Draft, id: string | null): void {
  const { defaultId } = draft;
  if (defaultId === id || (id !== null && !draft.get(id))) return;
  for (const one of [defaultId, id]) {
    const before = one === null ? undefined : draft.get(one);
    if (before) draft.change(before, Object.freeze({ ...before, isDefault: one === id }));
  }
  draft.defaultId = id;
}

function setStatus(
  draft: Draft,
  { id, generation }: { readonly id: string; readonly generation: number },
  change: (status: CredentialStatus, credential: CredentialState) => CredentialStatus,
  failure?: RefreshFailure,
  validityOf?: (credential: CredentialState) => 'valid' | 'expiring' | 'expired',
): void {
  const before = draft.get(id);
  if (!before || before.generation !== generation) return;
  const status = change(before.status, before);
  const hasExpired = hasNoToken(status, validityOf ? validityOf(before) === 'expired' : before.hasExpired);
  const { token, activity } = before.status;
  const refreshFailure = !failure || sameData(failure, before.refreshFailure) ? before.refreshFailure : failure;
  const isSame = refreshFailure === before.refreshFailure && hasExpired === before.hasExpired;
  if (isSame && status.token === token && status.activity === activity) return;
  draft.change(before, Object.freeze({ ...before, status: Object.freeze(status), refreshFailure, hasExpired }));
}

/**
 * What the clocks say of a token (TM-2): whoever dispatches has asked both, `at` is only one of them. They move a status between valid,
 * expiring and expired, or say that beside `needs_interaction`; they alone never sign anyone out (TM-3).
 */
function age(draft: Draft, action: AgeAction, token?: 'valid' | 'expiring' | 'expired'): void {
  const validityOf = (credential: CredentialState): 'valid' | 'expiring' | 'expired' => token ?? validityAt(credential, action.at);
  const change = (current: CredentialStatus, credential: CredentialState): CredentialStatus => {
    const isForUser = current.token === 'needs_sign_in' || current.token === 'needs_interaction';
    return isForUser ? current : { ...current, token: validityOf(credential) };
  };
  setStatus(draft, action, change, undefined, validityOf);
}

function idleAfter(activity: Activity): Activity {
  return activity === 'refreshing' ? 'idle' : activity;
}

/** Above this many actions an index of all credentials costs less than searching for each. */
const FEW_ACTIONS = 8;

function finderOf({ credentials }: StoreState, actions: number): (id: string) => CredentialState | undefined {
  if (actions > FEW_ACTIONS) {
    const byId = new Map(credentials.map((credential) => [credential.id, credential]));
    return (id) => byId.get(id);
  }
  return (id) => {
    let place = credentials.length - 1; // a loop: `findLast` of a frozen array takes V8 eight times as long
    while (place >= 0 && credentials[place]?.id !== id) place--;
    return credentials[place];
  };
}
