/**
 * What was stored before `persist: 'refresh-only'` was asked for: access tokens that are to lie on no medium any more.
 *
 * @module
 */
import { isSealedText, parseRecord, type CredentialRecord, type OpenRecord } from '../credential/record.js';
import type { OAuth2Client } from '../oauth/client.js';
import { storedForm } from './own-tokens.js';
import type { Ledger } from './ledger.js';
import type { Writing } from './writing.js';

/** What it needs of the store around it. */
export interface AtRestContext {
  readonly ledger: Ledger;
  readonly writing: Pick<Writing, 'updateOpen'>;
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
}

/** Writes the records anew that were stored with their access tokens. What cannot be opened or written now is looked at after the next start. */
export async function withdrawAccessTokens({ ledger, writing, clientOf }: AtRestContext): Promise<void> {
  // As it is, or, of whom nothing is left that could renew it, as what it will be from the next start on: a user who must sign in
  const anew = (record: OpenRecord): OpenRecord | null => {
    if (record.state !== 'active' || !clientOf(record)) return null;
    const isLost = record.secrets?.accessToken === undefined && !clientOf(record)?.renew;
    return isLost ? (storedForm(record, true) as OpenRecord) : record;
  };
  for (const { id, value } of await ledger.readAll()) {
    const stored = parseRecord(value, id);
    if ('corrupt' in stored || !isWhole(stored) || !clientOf(stored)) continue; // another application of the origin may live by it
    await writing.updateOpen(stored, anew).catch(() => undefined);
  }
}

/** True if an access token is stored. Of a sealed one the time tells: without a token none is left. */
function isWhole({ state, secrets, staged, intent, issuedAt, expiresAt }: CredentialRecord): boolean {
  if (state !== 'active' || !secrets || staged || intent) return false; // what is being renewed is written anew in any case
  if (isSealedText(secrets)) return expiresAt === null || expiresAt > issuedAt;
  return secrets.accessToken !== undefined || secrets.children !== undefined;
}
