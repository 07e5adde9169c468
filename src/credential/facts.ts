/**
 * What a record says that is no secret.
 *
 * @module
 */
import type { CredentialFacts } from './actions.js';
import type { CredentialRecord } from './record.js';

/** The facts of a record; `null` for a tombstone. */
export function factsOf(record: CredentialRecord): CredentialFacts | null {
  if (record.state === 'removed') return null;
  return {
    id: record.id,
    generation: record.generation,
    storedAt: record.storedAt,
    reason: record.reason,
    context: record.context,
    tags: record.tags,
    claims: record.claims,
    tokenType: record.tokenType,
    scope: record.scope,
    issuedAt: record.issuedAt,
    expiresAt: record.expiresAt,
    isRenewable: record.renewable !== false,
    recordState: record.state,
  };
}
