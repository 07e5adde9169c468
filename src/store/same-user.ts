/**
 * Which credential is of the very user that a token is of, and may give it its place (D-013, D-044).
 *
 * @module
 */
import type { CredentialQuery } from '../credential/query.js';
import type { CredentialRecord } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import { isForUser, type Known } from './of-use.js';

/** What is looked at. */
export interface SameUserContext extends Known {
  /** Ids of all that match, in order of storing. */
  readonly find: (query: CredentialQuery) => readonly string[];
}

/** The credentials of one user. */
export interface SameUser {
  /** Ids of all that the user of a token has of its client, whatever their state. */
  of(token: Token): readonly string[];
  /**
   * The credential that waits for this very user to sign in again; none for a token that has a place already. The user may have several, each
   * for its own tags (D-013): only one that has those of the token counts, or one without any whose session has ended.
   */
  waiting(token: Token, tags: readonly string[] | undefined): CredentialRecord | undefined;
  /** The one that is hers, signed in or not, if it has all of the tags: the default rather than another (D-044). */
  only(token: Token, tags: readonly string[] | undefined): CredentialRecord | undefined;
}

/** The users of one store. */
export function createSameUser(context: SameUserContext): SameUser {
  const { ledger, loop, find } = context;

  return {
    of,
    waiting: (token, tags = []) => {
      const records = recordsOf(token);
      const ended = records.filter(({ state }) => state === 'needs_sign_in');
      const hasTheirs = (record: CredentialRecord): boolean => hasTags(record, tags);
      return (
        ended.find(hasTheirs) ?? records.find((one) => isForUser(context, one) && hasTheirs(one)) ?? ended.find((one) => gives(one, tags))
      );
    },
    only: (token, tags) => recordsOf(token).find((record) => isHers(record, tags)),
  };

  /** The default first; none where the token has a place of its own. */
  function recordsOf(token: Token): readonly CredentialRecord[] {
    const own = ledger.record(token.id)?.state;
    if (own === 'active' || own === 'revoking') return [];
    const { defaultId } = loop.snapshot();
    return of(token)
      .toSorted((a, b) => Number(b === defaultId) - Number(a === defaultId))
      .map((id) => ledger.record(id))
      .filter((record) => record !== undefined);
  }

  /** By the index of subjects first: each has few credentials, however many there are. Who could not be opened is known by what is stored. */
  function of({ claims, context: { issuer, clientId } }: Token): readonly string[] {
    if (claims === null) return [];
    const found = find({ sub: claims.sub, issuer, clientId });
    const unproven = [...ledger.book.quarantined.keys()].filter((id) => {
      const { claims: theirs = null, context } = ledger.entry(id)?.unreadable ?? {};
      return theirs?.sub === claims.sub && context?.issuer === issuer && context.clientId === clientId && !found.includes(id);
    });
    return [...found, ...unproven];
  }
}

/** True for a credential that its user has, signed in or not. */
export function isHers(record: CredentialRecord, tags: readonly string[] | undefined): boolean {
  return (record.state === 'active' || record.state === 'needs_sign_in') && hasTags(record, tags);
}

/** True for a credential that may give its place to a token with these tags, as soon as only the user can bring its next one. */
export function gives(record: CredentialRecord, tags?: readonly string[]): boolean {
  return hasTags(record, tags) || (record.state === 'needs_sign_in' && record.tags.length === 0);
}

function hasTags(record: CredentialRecord, tags: readonly string[] = []): boolean {
  return tags.every((tag) => record.tags.includes(tag));
}
