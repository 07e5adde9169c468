/**
 * What a record says that is no secret.
 *
 * @module
 */
import type { CredentialFacts } from './actions.js';
import type { CredentialRecord } from './record.js';

/** Says of a record whether its client is configured: else the record is kept, and never used. */
export type IsOurs = (record: Pick<CredentialRecord, 'context'>) => boolean;

/** The facts of a record; `null` for a tombstone. No session is shown where nobody can use it, whatever is stored (D-018). */
export function factsOf(record: CredentialRecord, isOurs: IsOurs = () => true): CredentialFacts | null {
  if (record.state === 'removed') return null;
  const isForeign = record.state === 'active' && !isOurs(record);
  return {
    id: record.id,
    generation: record.generation,
    storedAt: record.storedAt,
    reason: isForeign ? 'client_unknown' : record.reason,
    context: record.context,
    tags: record.tags,
    claims: record.claims,
    tokenType: record.tokenType,
    scope: record.scope,
    issuedAt: record.issuedAt,
    expiresAt: record.expiresAt,
    isRenewable: !isForeign && record.renewable !== false && record.context.dpopKeyId === undefined,
    recordState: isForeign ? 'needs_sign_in' : record.state,
  };
}

/**
 * Of whose claims the default is one (D-003): of those of our clients, once one of them has claimed. Another application of the origin, or what
 * was deployed for a while, has a default of its own.
 */
export function ownFirst(records: readonly CredentialRecord[], isOurs: IsOurs): readonly CredentialRecord[] {
  const own = records.filter(isOurs);
  return own.some(({ defaultClaim }) => defaultClaim > 0) ? own : records;
}
