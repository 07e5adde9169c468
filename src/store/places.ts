/**
 * The defaults of applications that share a namespace: each has its own, by the claims of its own records (D-013). What one of them lets go of
 * must take nobody's default away, and must not make a user of the other its own.
 *
 * @module
 */
import type { CredentialRecord } from '../credential/record.js';
import type { Ledger } from './ledger.js';

/** What is stored and has claimed to be the default, tombstones included. */
function claimants(ledger: Ledger): readonly CredentialRecord[] {
  return [...ledger.book.claimants].flatMap((id) => {
    const { record, storedRevision = 0 } = ledger.entry(id) ?? {};
    return record && storedRevision > 0 && record.defaultClaim > 0 ? [record] : [];
  });
}

/** True if records of another application than that of this one have claimed, too. */
export function isContested(ledger: Ledger, record: CredentialRecord): boolean {
  return claimants(ledger).some((other) => ledger.isOurs(other) !== ledger.isOurs(record));
}

/**
 * As of now, for any number of records: true for a tombstone that has to stay, however old and wherever it is: it is what says that nobody is the default of its application, while that of
 * another has one. One is enough: that with the highest claim.
 */
export function keepingPlaces(ledger: Ledger): (record: CredentialRecord) => boolean {
  const highest = { ours: 0, theirs: 0 };
  const sideOf = (record: CredentialRecord): keyof typeof highest => (ledger.isOurs(record) ? 'ours' : 'theirs');
  for (const record of claimants(ledger)) highest[sideOf(record)] = Math.max(highest[sideOf(record)], record.defaultClaim);
  return (record) => {
    const side = sideOf(record);
    const isContested = highest[side === 'ours' ? 'theirs' : 'ours'] > 0;
    return isContested && record.defaultClaim > 0 && record.defaultClaim >= highest[side];
  };
}

/**
 * Up to which claim the store record may say that nobody is the default, where no tombstone can: below the default of another application, unless one of
 * our users would be promoted then. A request in the name of another user is worse than a default less.
 */
export function nobodyUpTo(ledger: Ledger, claim: number): number {
  const living = claimants(ledger).filter(({ state }) => state !== 'removed');
  let [own, spared] = [0, claim];
  for (const record of living) {
    const { defaultClaim } = record;
    if (ledger.isOurs(record)) own = Math.max(own, defaultClaim);
    else if (defaultClaim > ledger.book.store.nullClaim) spared = Math.min(spared, defaultClaim - 1);
  }
  return own > spared && own <= claim ? claim : spared;
}

/** The highest claim of what can be read, tombstones included. */
export function readableClaim(ledger: Ledger, counts: (record: CredentialRecord) => boolean = () => true): number {
  let highest = ledger.book.store.nullClaim;
  for (const id of ledger.book.claimants) {
    const record = ledger.record(id);
    if (record && counts(record)) highest = Math.max(highest, record.defaultClaim);
  }
  return highest;
}
