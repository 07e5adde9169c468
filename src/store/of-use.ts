/**
 * Which credentials their user is signed in by, and which only wait for her (D-013).
 *
 * @module
 */
import type { CredentialRecord } from '../credential/record.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';

/** What is known of credentials. */
export interface Known {
  readonly ledger: Ledger;
  readonly loop: Loop;
}

/** True for a credential that its user is signed in by. */
export function isOfUse(known: Known, id: string): boolean {
  const record = known.ledger.record(id);
  return record?.state === 'active' && known.ledger.isOurs(record) && !hasEnded(known, record);
}

/** True where only the user can bring the next token. */
export function isForUser(known: Known, record: CredentialRecord): boolean {
  return record.state === 'active' ? hasEnded(known, record) || isAskedFor(known, record.id) : record.state === 'needs_sign_in';
}

/** True where what is stored is no record, or one of another release, so that nothing is ever written over it; not where a key is missing. */
export function isUnreadable(ledger: Ledger, id: string): boolean {
  return ledger.book.quarantined.has(id) && !ledger.entry(id)?.unreadable;
}

/** True once a token has expired that nothing renews without the user. */
function hasEnded(known: Known, { id, renewable, context }: CredentialRecord): boolean {
  const { ledger } = known;
  return (
    ledger.remainingMs(id) <= 0 &&
    (renewable === false || isAskedFor(known, id) || isUnreadable(ledger, id) || context.dpopKeyId !== undefined)
  );
}

/** True while the server asks for the user of a credential. */
function isAskedFor({ loop }: Known, id: string): boolean {
  return loop.stateOf(id)?.status.token === 'needs_interaction';
}
