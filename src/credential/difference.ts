/**
 * What the difference between two readings of a record means, as facts. A re-read may skip generations; the result is what counts.
 *
 * @module
 */
import type { StorageFact } from './actions.js';
import { factsOf, type IsOurs } from './facts.js';
import type { CredentialRecord } from './record.js';

/** The fact that leads from what was known to what was read; `null` if there is none. What is shown counts, as `factsOf` has it. */
export function difference(before: CredentialRecord | undefined, after: CredentialRecord, isOurs: IsOurs = () => true): StorageFact | null {
  if (before && isStale(before, after)) return null;
  const facts = factsOf(after, isOurs);
  const { id, generation } = after;
  if (!facts) return before && before.state !== 'removed' ? { type: 'token_removed', id, generation } : null;
  if (!before || before.state === 'removed') return { type: 'token_added', id, generation, credential: facts };
  const { recordState } = facts;
  if (recordState === 'needs_sign_in' && factsOf(before, isOurs)?.recordState !== 'needs_sign_in')
    return { type: 'sign_in_required', id, generation, credential: facts };
  if (recordState === 'active' && generation > before.generation) return { type: 'token_replaced', id, generation, credential: facts };
  return sameMetadata(before, after) ? null : { type: 'metadata_updated', id, generation, credential: facts };
}

/** True for a reading that was overtaken by what is known already. */
function isStale(before: CredentialRecord, after: CredentialRecord): boolean {
  return after.revision < before.revision || (before.state !== 'removed' && after.generation < before.generation);
}

function sameMetadata(a: CredentialRecord, b: CredentialRecord): boolean {
  const sameTags = a.tags.length === b.tags.length && a.tags.every((tag, index) => tag === b.tags[index]);
  return sameTags && a.state === b.state && a.reason === b.reason && a.generation === b.generation;
}
