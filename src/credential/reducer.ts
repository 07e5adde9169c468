/**
 * `reduce(state, action)`: pure and total. No clock (time is `action.at`), no I/O, no throw; the same reference if nothing changed.
 * Replaying the actions of a store gives its state.
 *
 * @module
 */
import { assertNever, type CredentialFacts, type StorageAction } from './actions.js';
import { sameData } from './data.js';
import { validityAt } from './expiry.js';
import type { Activity, CredentialState, CredentialStatus, StoreState, TokenStatus } from './state.js';

/** The state after an action. */
export function reduce(state: StoreState, action: StorageAction): StoreState {
  switch (action.type) {
    case 'restored':
      return restored(action);
    case 'token_added':
      return put(state, action.credential, action.at);
    case 'token_replaced':
    case 'metadata_updated':
    case 'sign_in_required': // only `token_added` brings a credential (back): E12
      return indexOf(state, action.id) < 0 ? state : put(state, action.credential, action.at);
    case 'token_removed':
      return remove(state, action.id, action.generation);
    case 'default_changed':
      return setDefault(state, action.id);
    case 'cleared':
      return state.ids.length === 0 && state.defaultId === null
        ? state
        : freeze({ ...state, defaultId: null, ids: freeze([]), credentials: freeze([]) });
    case 'refresh_started':
      return setStatus(state, action, (current) => (current.activity === 'revoking' ? current : { ...current, activity: 'refreshing' }));
    case 'refresh_failed':
      return setStatus(state, action, (current) => ({ ...current, activity: idleAfter(current.activity) }));
    case 'interaction_required':
      return setStatus(state, action, (current) => ({
        token: current.token === 'needs_sign_in' ? current.token : 'needs_interaction',
        activity: idleAfter(current.activity),
      }));
    case 'expiring':
    case 'expired':
      return setStatus(state, action, (current, credential) => ({ ...current, token: aged(current.token, credential, action.at) }));
    case 'not_durable':
      return state.durable ? freeze({ ...state, durable: false }) : state;
    case 'record_quarantined':
      return state;
    default:
      return assertNever(action);
  }
}

function restored(action: Extract<StorageAction, { type: 'restored' }>): StoreState {
  const credentials = action.credentials
    .toSorted(byStoring)
    .map((facts) => snapshot(facts, statusOf(facts, undefined, action.at), facts.id === action.defaultId));
  return freeze({
    status: 'ready',
    durable: action.durable,
    defaultId: credentials.some((credential) => credential.isDefault) ? action.defaultId : null,
    ids: freeze(credentials.map((credential) => credential.id)),
    credentials: freeze(credentials),
  });
}

/** Adds or replaces one credential; facts of an older generation are late and change nothing. */
function put(state: StoreState, facts: CredentialFacts, at: number): StoreState {
  const index = indexOf(state, facts.id);
  const before = state.credentials[index];
  if (before === undefined) return insert(state, snapshot(facts, statusOf(facts, undefined, at), state.defaultId === facts.id));
  if (facts.generation < before.generation) return state;
  const after = snapshot(facts, statusOf(facts, before, at), before.isDefault);
  if (sameData(before, after)) return state;
  // An id that was removed and stored again elsewhere has another place now.
  return before.storedAt === after.storedAt ? replace(state, index, after) : insert(without(state, index), after);
}

/** Almost always at the end: credentials come in order of storing. */
function insert(state: StoreState, credential: CredentialState): StoreState {
  let index = state.credentials.length;
  for (let before = state.credentials[index - 1]; before && byStoring(credential, before) < 0; before = state.credentials[index - 1])
    index--;
  return freeze({
    ...state,
    ids: spliced(state.ids, index, 0, credential.id),
    credentials: spliced(state.credentials, index, 0, credential),
  });
}

function replace(state: StoreState, index: number, credential: CredentialState): StoreState {
  return freeze({ ...state, credentials: spliced(state.credentials, index, 1, credential) });
}

function without(state: StoreState, index: number): StoreState {
  return { ...state, ids: spliced(state.ids, index, 1), credentials: spliced(state.credentials, index, 1) };
}

function remove(state: StoreState, id: string, generation: number): StoreState {
  const index = indexOf(state, id);
  const before = state.credentials[index];
  if (before === undefined || generation < before.generation) return state;
  return freeze({ ...without(state, index), defaultId: state.defaultId === id ? null : state.defaultId });
}

function setDefault(state: StoreState, id: string | null): StoreState {
  if (state.defaultId === id || (id !== null && indexOf(state, id) < 0)) return state;
  const credentials = state.credentials.map((credential) =>
    credential.isDefault === (credential.id === id) ? credential : freeze({ ...credential, isDefault: credential.id === id }),
  );
  return freeze({ ...state, defaultId: id, credentials: freeze(credentials) });
}

function setStatus(
  state: StoreState,
  { id, generation }: { readonly id: string; readonly generation: number },
  change: (status: CredentialStatus, credential: CredentialState) => CredentialStatus,
): StoreState {
  const index = indexOf(state, id);
  const before = state.credentials[index];
  if (before === undefined || before.generation !== generation) return state;
  const status = change(before.status, before);
  if (status.token === before.status.token && status.activity === before.status.activity) return state;
  return replace(state, index, freeze({ ...before, status: freeze(status) }));
}

/** The status that goes with a record: what was going on stays so as long as the token is the same one. */
function statusOf(facts: CredentialFacts, before: CredentialState | undefined, at: number): CredentialStatus {
  if (facts.recordState === 'needs_sign_in') return { token: 'needs_sign_in', activity: 'idle' };
  const sameToken = before?.generation === facts.generation;
  const token = sameToken ? aged(before.status.token, facts, at) : validityAt(facts, at);
  if (facts.recordState === 'revoking') return { token, activity: 'revoking' };
  return { token, activity: sameToken && before.status.activity !== 'revoking' ? before.status.activity : 'idle' };
}

/** Time moves a status between valid, expiring and expired; the clock alone never signs anyone out (TM-3). */
function aged(current: TokenStatus, lifetime: Pick<CredentialState, 'issuedAt' | 'expiresAt'>, at: number): TokenStatus {
  return current === 'needs_sign_in' || current === 'needs_interaction' ? current : validityAt(lifetime, at);
}

function idleAfter(activity: Activity): Activity {
  return activity === 'refreshing' ? 'idle' : activity;
}

function snapshot({ recordState: _, ...facts }: CredentialFacts, status: CredentialStatus, isDefault: boolean): CredentialState {
  return freeze({ ...facts, status: freeze(status), isDefault });
}

function indexOf(state: StoreState, id: string): number {
  const { ids } = state;
  for (let i = ids.length - 1; i >= 0; i--) if (ids[i] === id) return i;
  return -1;
}

function byStoring(a: Pick<CredentialState, 'storedAt' | 'id'>, b: Pick<CredentialState, 'storedAt' | 'id'>): number {
  return a.storedAt - b.storedAt || (a.id < b.id ? -1 : Number(a.id > b.id));
}

/** `toSpliced`, frozen. Copied by spreading: `with` and `toSpliced` of a frozen array take V8 thirty times as long (docs/benchmarks.md). */
function spliced<T>(list: readonly T[], index: number, deleteCount: number, ...items: readonly T[]): readonly T[] {
  const copy = [...list];
  copy.splice(index, deleteCount, ...items);
  return freeze(copy);
}

function freeze<T>(value: T): Readonly<T> {
  return Object.freeze(value);
}
