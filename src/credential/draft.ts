/**
 * A state while actions are folded into it: lists are copied at the first change and then written in place, so that ten thousand
 * actions of one batch copy them once.
 *
 * @module
 */
import { byStoring } from './snapshot.js';
import type { CredentialState, StoreState } from './state.js';

/** What became of one credential; `undefined` before it came or after it went. */
export interface Change {
  readonly before: CredentialState | undefined;
  readonly after: CredentialState | undefined;
}

/** A state, and the changes that led to it, in their order. */
export interface Folded {
  readonly state: StoreState;
  readonly changes: readonly Change[];
}

/** A state that is being written. It is lost once `end` was called. */
export interface Draft {
  status: StoreState['status'];
  durable: boolean;
  storageProblem: StoreState['storageProblem'] | undefined;
  defaultId: string | null;
  get(id: string): CredentialState | undefined;
  /** Puts `after` in the place of `before`; `undefined` means that it was not there, or is no more. */
  change(before: CredentialState | undefined, after: CredentialState | undefined): void;
  /** Other credentials instead of all there are; in order of storing. */
  reset(credentials: CredentialState[], defaultId: string | null): void;
  /** The same reference as at the beginning if nothing changed. */
  end(): Folded;
}

/** A draft of a state. `find` answers for the state as it was. */
export function openDraft(state: StoreState, find: (id: string) => CredentialState | undefined): Draft {
  const latest = new Map<string, CredentialState | undefined>(); // what differs from what `find` answers
  const changes: Change[] = [];
  let ids: string[] | undefined;
  let list: CredentialState[] | undefined;
  const note = (before: CredentialState | undefined, after: CredentialState | undefined): void => {
    const one = after ?? before;
    if (one) latest.set(one.id, after);
    changes.push({ before, after });
  };

  const draft: Draft = {
    status: state.status,
    durable: state.durable,
    storageProblem: state.storageProblem,
    defaultId: state.defaultId,
    get: (id) => (latest.has(id) ? latest.get(id) : find(id)),
    change: (before, after) => {
      note(before, after);
      list ??= copyOf(state.credentials);
      if (before && before.storedAt === after?.storedAt) {
        list[placeOf(before, list)] = after;
        return;
      }
      ids ??= copyOf(state.ids);
      if (before) {
        const place = placeOf(before, list);
        list.splice(place, 1);
        ids.splice(place, 1);
      }
      if (!after) return;
      // An id that was removed and stored again elsewhere has another place now.
      const place = placeOf(after, list);
      insert(list, place, after);
      insert(ids, place, after.id);
    },
    reset: (credentials, defaultId) => {
      draft.defaultId = defaultId;
      const before = list ?? state.credentials;
      if (before.length === 0 && credentials.length === 0) return;
      for (const one of before) note(one, undefined);
      for (const one of credentials) note(undefined, one);
      list = credentials;
      ids = credentials.map(({ id }) => id);
    },
    end: () => ({ state: finished(state, draft, ids, list), changes }),
  };
  return draft;
}

/** Where a credential is in a list in order of storing, or belongs; almost always near the end. */
function placeOf(credential: CredentialState, list: readonly CredentialState[]): number {
  return lowerBound(list.length, (place) => byStoring(list[place] as CredentialState, credential));
}

/** The first place of a sorted list at which `compare` is not negative; the end is tried first, because most that comes is new. */
export function lowerBound(length: number, compare: (place: number) => number): number {
  let [low, high] = [0, length];
  let middle = length - 1;
  while (low < high) {
    if (compare(middle) < 0) low = middle + 1;
    else high = middle;
    middle = (low + high) >>> 1;
  }
  return low;
}

function insert<T>(list: T[], place: number, item: T): void {
  if (place === list.length) list.push(item);
  else list.splice(place, 0, item);
}

function finished(before: StoreState, draft: Draft, ids?: string[], list?: CredentialState[]): StoreState {
  const { status, durable, storageProblem, defaultId } = draft;
  const isSame = (['status', 'durable', 'storageProblem', 'defaultId'] as const).every((name) => draft[name] === before[name]);
  if (isSame && !list) return before;
  return Object.freeze({
    status,
    durable,
    ...(storageProblem && { storageProblem }),
    defaultId,
    ids: ids ? Object.freeze(ids) : before.ids,
    credentials: list ? Object.freeze(list) : before.credentials,
  });
}

/** By spreading: `slice`, `with` and `toSpliced` of a frozen array take V8 thirty times as long (docs/benchmarks.md). */
function copyOf<T>(list: readonly T[]): T[] {
  return [...list];
}
