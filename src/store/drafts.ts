/**
 * Records that follow from other records: what a command is about to write.
 *
 * @module
 */
import { isOpen, nextCount, RECORD_VERSION, recordFieldsOf, type CredentialRecord, type OpenRecord } from '../credential/record.js';
import type { SignInReason } from '../credential/state.js';
import type { Token } from '../credential/token.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Entry } from './ledger.js';
import type { RecordDraft } from './writing.js';

/** Frozen, as all tags are: they are shown as they are stored. */
const NO_TAGS: readonly string[] = Object.freeze([]);

/** A new record of a token. */
export function newDraft(
  token: Token,
  fields: Pick<RecordDraft, 'generation' | 'epoch' | 'storedAt' | 'signedInAt' | 'defaultClaim'>,
  tags: readonly string[] = NO_TAGS,
): RecordDraft {
  return { v: RECORD_VERSION, id: token.id, ...fields, tags, state: 'active', reason: null, ...recordFieldsOf(token) };
}

/** The record with another token in its place: same id, tags and default, next generation. */
export function replacementOf(
  current: CredentialRecord,
  token: Token,
  tags: readonly string[] | undefined,
  signedInAt: number,
): RecordDraft {
  return {
    ...closed(current),
    ...recordFieldsOf(token),
    tags: tags ?? current.tags,
    signedInAt,
    state: 'active',
    reason: null,
    generation: nextCount(current.generation),
  };
}

/**
 * What is left of a removed credential: nothing of the user, but the generation that keeps a late refresh from bringing it back, and
 * the claim that keeps the default from moving to another credential (RF-13).
 */
export function tombstoneOf(current: CredentialRecord): RecordDraft {
  return {
    ...closed(current),
    context: { issuer: current.context.issuer, clientId: current.context.clientId },
    state: 'removed',
    reason: null,
    tags: NO_TAGS,
    claims: null,
    scope: '',
    secrets: null,
    generation: nextCount(current.generation),
  };
}

/** What is left of a session that has ended: who must sign in, and nothing to sign in with. */
export function dismissed(current: OpenRecord, reason: SignInReason): RecordDraft {
  return { ...closed(current), state: 'needs_sign_in', reason, secrets: null, generation: nextCount(current.generation) };
}

/** True for a session that ends. */
export function isEnd({ state }: Pick<CredentialRecord, 'state'>): boolean {
  return state === 'removed' || state === 'revoking';
}

/** Where the revisions of an epoch begin: a tab that has not heard of a clear must not take a record for the one it knows. */
export function firstCount(epoch: number): number {
  return (epoch % 2 ** 27) * 2 ** 20;
}

/** The record without anything that was begun and not finished. */
export function closed<R extends CredentialRecord>({ staged: _, intent: __, ...record }: R): Omit<R, 'staged' | 'intent'> {
  return record;
}

/**
 * The record with what a refresh brought, without what it had begun. Another's intent stays, and speaks of the next generation: a parked
 * refresh may commit while the next holder of the lock has sent the same token, and nobody knows then which answer lives.
 */
export function finished({ staged: _, intent, ...record }: OpenRecord, holder: string | undefined): Omit<OpenRecord, 'staged'> {
  const generation = nextCount(record.generation);
  const isOthers = intent !== undefined && intent.holder !== holder;
  return { ...record, generation, ...(isOthers && { intent: { ...intent, generation } }) };
}

/** True if the record says that this refresh is under way. */
export function isOf({ state, intent }: CredentialRecord, me: string | undefined): boolean {
  return state === 'active' && intent !== undefined && intent.holder === me;
}

/** Says whether anything renews the token without the user, which is seen while nothing is sealed, by who knows the client. */
export function judged(draft: RecordDraft, client: OAuth2Client | undefined): RecordDraft {
  if (!client || !isOpen(draft)) return draft;
  const { renewable: _, ...record } = draft;
  const isRenewable = client.renew !== undefined || record.staged !== undefined || record.secrets?.refreshToken !== undefined;
  return isRenewable || record.state !== 'active' ? record : { ...record, renewable: false };
}

/** A change of tags or of the default must not cost secrets that cannot be opened now: they stay as they are stored. */
export function asStored(draft: RecordDraft, entry: Entry | undefined): RecordDraft {
  const original = entry?.unreadable;
  if (!original || draft.generation !== original.generation || draft.state === 'removed') return draft;
  const { state, reason, claims, secrets, staged } = original;
  const kept = draft.state === 'needs_sign_in' ? { state, reason } : {};
  return { ...draft, ...kept, claims, secrets, ...(staged && { staged }) };
}
