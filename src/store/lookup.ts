/**
 * Credentials by what is known of them: an index for each field that a query has asked for, kept up to date from then on. Whoever never
 * asks pays nothing. Storage is never read.
 *
 * @module
 */
import { isScalar } from '../credential/data.js';
import { lowerBound } from '../credential/draft.js';
import { idsOfMatches, type CompiledQuery, type Term } from '../credential/query.js';
import { byStoring } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';

/** The credentials of one store, by id and by content. */
export interface Lookup {
  get(id: string): CredentialState | undefined;
  /** Takes in one change; `undefined` before a credential came and after it went. */
  update(before: CredentialState | undefined, after: CredentialState | undefined): void;
  /** Forgets everything and begins with these, in order of storing. */
  reset(all: readonly CredentialState[]): void;
  /**
   * Ids of all that match, in order of storing. What a query's own function throws is thrown.
   *
   * @param all what this lookup was told of, in order of storing
   * @returns the same array as long as nothing of it changed, where an index has it
   */
  ids(query: CompiledQuery, all: readonly CredentialState[]): readonly string[];
}

/** The ids that have a value, in order of storing. One alone is no list: in most fields each value has one. */
type Posting = string | string[];

interface Index {
  readonly read: Term['read'];
  /** A map, because a tag may be called `__proto__`. */
  readonly postings: Map<unknown, Posting>;
}

/** More fields than a program asks for by name. What is asked for beyond is found by walking over all credentials. */
const MAX_INDEXES = 24;
/** So few candidates are tested faster than a further index is made. */
const FEW = 32;

/** A lookup that knows no credential. */
export function createLookup(): Lookup {
  const states = new Map<string, CredentialState>();
  const indexes = new Map<string, Index>();

  /** Where an id is in a list in order of storing, or belongs. */
  const placeOf = (credential: CredentialState, ids: readonly string[]): number =>
    lowerBound(ids.length, (place) => {
      const other = states.get(ids[place] ?? '');
      return other ? byStoring(other, credential) : 0;
    });
  /** A list that may be written to: one that a caller has is frozen, and copied before it changes. */
  const own = (postings: Index['postings'], value: unknown, posting: string[]): string[] => {
    if (!Object.isFrozen(posting)) return posting;
    const copy = [...posting];
    postings.set(value, copy);
    return copy;
  };
  const add = ({ read, postings }: Index, credential: CredentialState, place: typeof placeOf): void => {
    for (const value of valuesOf(read(credential))) {
      const posting = postings.get(value);
      if (posting === undefined) postings.set(value, credential.id);
      else if (typeof posting !== 'string') own(postings, value, posting).splice(place(credential, posting), 0, credential.id);
      else postings.set(value, place(credential, [posting]) === 0 ? [credential.id, posting] : [posting, credential.id]);
    }
  };
  const drop = ({ read, postings }: Index, credential: CredentialState): void => {
    for (const value of valuesOf(read(credential))) {
      const posting = postings.get(value);
      if (typeof posting === 'object' && posting.length > 1) own(postings, value, posting).splice(placeOf(credential, posting), 1);
      else postings.delete(value);
    }
  };
  const indexOf = ({ field, read }: Term, all: readonly CredentialState[]): Index => {
    const index: Index = { read, postings: new Map() };
    for (const credential of all) add(index, credential, (_, ids) => ids.length);
    indexes.set(field, index);
    return index;
  };
  /** Ids of those that have the value; `undefined` where it is not worth an index to know. */
  const idsWith = (term: Term, all: readonly CredentialState[], soFar: number): readonly string[] | undefined => {
    const { field, value } = term;
    if (field === 'id') return typeof value === 'string' && states.has(value) ? [value] : [];
    const isWorthIt = soFar > FEW && indexes.size < MAX_INDEXES;
    const index = indexes.get(field) ?? (isWorthIt ? indexOf(term, all) : undefined);
    const posting = index?.postings.get(value) ?? [];
    return index && (typeof posting === 'string' ? [posting] : posting);
  };

  return {
    get: (id) => states.get(id),
    update: (before, after) => {
      const moved = before?.storedAt !== after?.storedAt;
      const outdated = [...indexes.values()].filter(({ read }) => moved || !before || !after || !sameValues(read(before), read(after)));
      if (before) for (const index of outdated) drop(index, before);
      if (before && before.id !== after?.id) states.delete(before.id);
      if (after) states.set(after.id, after);
      if (after) for (const index of outdated) add(index, after, placeOf);
    },
    reset: (all) => {
      states.clear();
      indexes.clear();
      for (const credential of all) states.set(credential.id, credential);
    },
    ids: ({ terms, test }, all) => {
      let rarest: readonly string[] | undefined;
      const open = terms.filter((term) => {
        const found = idsWith(term, all, rarest?.length ?? Infinity);
        if (found && (!rarest || found.length < rarest.length)) rarest = found;
        return term.inList || found?.length !== all.length; // all have it: often there is but one issuer and one client
      });
      const isRarest = open.length === 1 && !open[0]?.inList && rarest && rarest.length < all.length;
      if (rarest && (open.length === 0 || isRarest)) return Object.freeze(rarest);
      // Walking in a row is faster than looking up every second one.
      if (!rarest || rarest.length * 2 >= all.length) return idsOfMatches(all, test);
      return rarest.filter((id) => {
        const credential = states.get(id);
        return credential && test(credential);
      });
    },
  };
}

/** Each value once: a claim may name a group twice. */
function valuesOf(read: unknown): Iterable<unknown> {
  if (Array.isArray(read)) return new Set<unknown>(read);
  return isScalar(read) ? [read] : [];
}

function sameValues(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((value, place) => value === b[place]);
}
