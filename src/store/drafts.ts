/**
 * Records that follow from other records: what a command is about to write.
 *
 * @module
 */
import { RECORD_VERSION, recordFieldsOf, type CredentialRecord } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import type { RecordDraft } from './writing.js';

/** A new record of a token. */
export function newDraft(
  token: Token,
  fields: Pick<RecordDraft, 'generation' | 'epoch' | 'storedAt' | 'defaultClaim' | 'tags'>,
): RecordDraft {
  return { v: RECORD_VERSION, id: token.id, ...fields, state: 'active', reason: null, ...recordFieldsOf(token) };
}

/** The record with another token in its place: same id, tags and default, next generation. */
export function replacementOf(current: CredentialRecord, token: Token, tags: readonly string[] | undefined): RecordDraft {
  const { staged: _, ...kept } = current;
  return {
    ...kept,
    ...recordFieldsOf(token),
    tags: tags ?? current.tags,
    state: 'active',
    reason: null,
    generation: current.generation + 1,
  };
}

/**
 * What is left of a removed credential: nothing of the user, but the generation that keeps a late refresh from bringing it back, and
 * the claim that keeps the default from moving to another credential (RF-13).
 */
export function tombstoneOf(current: CredentialRecord): RecordDraft {
  const { staged: _, ...kept } = current;
  return { ...kept, state: 'removed', reason: null, tags: [], claims: null, scope: '', secrets: null, generation: current.generation + 1 };
}
