/**
 * Who is in the store and who is the default. What concerns more than one record runs under the store's own lock, so that two first
 * credentials in two tabs make one default.
 *
 * @module
 */
import { STORE_RECORD_ID, type CredentialRecord } from '../credential/record.js';
import { withFields, type Token } from '../credential/token.js';
import { CredentialError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';
import { gone } from './credential.js';
import { newDraft, replacementOf } from './drafts.js';
import type { Ledger } from './ledger.js';
import type { Loop } from './loop.js';

const TOMBSTONE_LIFE_MS = 24 * 60 * 60_000;

/** What membership needs of the store around it. */
export interface MembershipContext {
  readonly ledger: Ledger;
  readonly loop: Loop;
  readonly platform: Platform;
  readonly isShared: () => boolean;
  /** The client a record belongs to; `undefined` where none is configured. */
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
  readonly withLock: <T>(name: string, run: () => Promise<T>) => Promise<T>;
}

/** Commands that concern the store as a whole. */
export interface Membership {
  /** Keeps a token; resolves with the id it is stored under. */
  store(token: Token, tags: readonly string[] | undefined, replace: string | undefined): Promise<string>;
  setDefault(id: string | null): Promise<void>;
  clear(): Promise<void>;
  /** Removes tombstones older than a day, and what a clear that was cut short left behind. */
  sweep(): Promise<void>;
}

/** The membership of one store. */
export function createMembership({ ledger, loop, platform, isShared, withLock, clientOf }: MembershipContext): Membership {
  const alone = <T>(run: () => Promise<T>): Promise<T> => withLock('members', run);
  /** Takes in what no message may have told of. */
  const catchUp = async (): Promise<void> => {
    if (isShared()) await ledger.reload();
  };

  return {
    store: (token, tags, replace) =>
      alone(async () => {
        if (isShared()) await rereadWhatMatters(token);
        const id = replace ?? waitingFor(ledger, token)?.id;
        if (id === undefined) return add(token, tags ?? []);
        const kept = id === token.id ? token : withFields(token, { id });
        const written = await ledger.update(id, (current) => (isEnding(current) ? null : replacementOf(current, kept, tags)));
        if (written) return id;
        if (replace === undefined) return add(token, tags ?? []); // the one that waited was removed meanwhile
        throw gone();
      }),
    setDefault: async (id) => {
      await alone(async () => {
        await catchUp(); // what is believed to be the default may be so no longer
        if (loop.snapshot().defaultId === id) return;
        const claim = ledger.topClaim() + 1;
        if (id === null) await ledger.updateStore((current) => ({ ...current, nullClaim: claim }));
        else if (!(await ledger.update(id, (current) => (current.state === 'removed' ? null : { ...current, defaultClaim: claim }))))
          throw gone();
      });
    },
    clear: () =>
      alone(async () => {
        const newest = [...ledger.records()].reduce((top, { epoch }) => Math.max(top, epoch), 0); // a damaged one may be ahead
        await ledger.updateStore((current) => ({ ...current, epoch: Math.max(current.epoch, newest) + 1, nullClaim: 0 }));
        await ledger.sweep((record) => record === null); // what no one can read is forgotten, too
      }),
    sweep: async () => {
      const isDue = (record: CredentialRecord | null): boolean =>
        record?.state === 'removed' && platform.now() - record.changedAt > TOMBSTONE_LIFE_MS;
      if (![...ledger.records()].some(isDue) && !ledger.hasLeftovers()) return;
      await alone(async () => {
        // A tombstone with the highest claim says that nobody is the default; from now on the store record says so.
        const nobody = loop.snapshot().defaultId === null && ledger.topClaim() > ledger.store().nullClaim;
        if (nobody) await ledger.updateStore((current) => ({ ...current, nullClaim: ledger.topClaim() }));
        await ledger.sweep(isDue);
      });
    },
  };

  /** Where others write, too, messages may have been lost: is this the epoch, is the store empty, who waits for this user? */
  async function rereadWhatMatters(token: Token): Promise<void> {
    await ledger.reread(STORE_RECORD_ID); // after a clear elsewhere a record must not be of the epoch before
    for (let [id] = loop.snapshot().ids; id !== undefined; [id] = loop.snapshot().ids) {
      if ((await ledger.reread(id))?.state !== 'removed') break; // not empty
    }
    if (loop.snapshot().ids.length === 0) await ledger.reload(); // somebody else's first credential may be there
    if (token.claims === null) return;
    for (const record of ledger.records()) if (record.state === 'active' && isOfSameUser(record, token)) await ledger.reread(record.id);
  }

  /** True if a credential that is stored now must become the default: there is none that can be used, or the default cannot. */
  function isNeeded(): boolean {
    const { ids, defaultId } = loop.snapshot();
    const isUsable = (id: string): boolean => {
      const record = ledger.record(id);
      return record?.state === 'active' && clientOf(record) !== undefined;
    };
    if (defaultId !== null) return !isUsable(defaultId);
    return ids.every((id) => ledger.record(id)?.state === 'revoking');
  }

  /** A new record, or one over the tombstone of the same id. */
  async function add(token: Token, tags: readonly string[]): Promise<string> {
    const { credentials } = loop.snapshot();
    const draft = newDraft(token, {
      generation: 1,
      epoch: ledger.store().epoch,
      storedAt: Math.max(platform.now(), (credentials.at(-1)?.storedAt ?? -Infinity) + 1),
      defaultClaim: isNeeded() ? ledger.topClaim() + 1 : 0,
      tags,
    });
    const before = ledger.record(token.id) ?? (isShared() ? await ledger.reread(token.id) : undefined);
    const isTombstone = before?.state === 'removed' && before.revision > 0;
    const written = isTombstone
      ? await ledger.update(token.id, (current) => (current.state === 'removed' ? { ...draft, generation: current.generation + 1 } : null))
      : await ledger.insert(draft);
    if (written) return token.id;
    throw new CredentialError(
      'credential_exists',
      `A credential with the id ${token.id} is stored already. Refreshing keeps the id, signing in makes a new one; to put a token in its place, use "replace".`,
    );
  }
}

/** What is being revoked is as good as removed: nothing takes its place. */
function isEnding({ state }: CredentialRecord): boolean {
  return state === 'removed' || state === 'revoking';
}

/** The credential that waits for this very user to sign in again; none for a token that has a place already. */
function waitingFor(ledger: Ledger, token: Token): CredentialRecord | undefined {
  const own = ledger.record(token.id)?.state;
  if (own === 'active' || own === 'revoking') return undefined;
  for (const record of ledger.records()) {
    if (record.state === 'needs_sign_in' && isOfSameUser(record, token)) return record;
  }
  return undefined;
}

function isOfSameUser({ context, claims }: CredentialRecord, token: Token): boolean {
  const { issuer, clientId } = token.context;
  return token.claims !== null && claims?.sub === token.claims.sub && context.issuer === issuer && context.clientId === clientId;
}
