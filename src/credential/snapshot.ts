/**
 * From what a record says to what is shown of it: all that a start needs of the reducer.
 *
 * @module
 */
import type { CredentialFacts, StorageAction } from './actions.js';
import { validityAt } from './expiry.js';
import type { CredentialState, CredentialStatus, StoreState } from './state.js';

/** The state that a start begins with. */
export function restored({ credentials, defaultId, durable, at }: Extract<StorageAction, { type: 'restored' }>): StoreState {
  const known = credentials.some(({ id }) => id === defaultId) ? defaultId : null;
  const snapshots = credentials.map((facts) => snapshot(facts, undefined, at, facts.id === known)).sort(byStoring);
  const ids = Object.freeze(snapshots.map(({ id }) => id));
  return Object.freeze({ status: 'ready', durable, defaultId: known, ids, credentials: Object.freeze(snapshots) });
}

/** That of most, once for all: ten thousand are held. */
const VALID: CredentialStatus = Object.freeze({ token: 'valid', activity: 'idle' });

/** The status that goes with a record: what is known of a token, and what goes on with it, stays so as long as it is the same one. */
function statusOf(facts: CredentialFacts, before: CredentialState | undefined, at: number): CredentialStatus {
  if (facts.recordState === 'needs_sign_in') return { token: 'needs_sign_in', activity: 'idle' };
  const same = before?.generation === facts.generation && before.status.token !== 'needs_sign_in' ? before.status : undefined;
  const token = same?.token ?? validityAt(facts, at);
  if (facts.recordState === 'revoking') return { token, activity: 'revoking' };
  const activity = same && same.activity !== 'revoking' ? same.activity : 'idle';
  return token === VALID.token && activity === VALID.activity ? VALID : { token, activity };
}

/** A frozen snapshot of what a record says; what this program knows of the same token besides stays. */
export function snapshot(facts: CredentialFacts, before: CredentialState | undefined, at: number, isDefault: boolean): CredentialState {
  const { recordState: _, ...known } = facts;
  const isSame = before?.generation === facts.generation && facts.recordState === 'active';
  const refreshFailure = isSame ? before.refreshFailure : null;
  const status = Object.freeze(statusOf(facts, before, at));
  const hasExpired = hasNoToken(status, before?.hasExpired === true);
  return Object.freeze({ ...known, refreshFailure, isDefault, status, hasExpired });
}

/** True if no access token lives by a status; `hidden` where it does not say. */
export function hasNoToken({ token }: CredentialStatus, hidden: boolean): boolean {
  return token === 'needs_interaction' ? hidden : token === 'expired' || token === 'needs_sign_in';
}

/** Order of storing. */
export function byStoring(a: Pick<CredentialState, 'storedAt' | 'id'>, b: Pick<CredentialState, 'storedAt' | 'id'>): number {
  return a.storedAt - b.storedAt || (a.id < b.id ? -1 : Number(a.id > b.id));
}
