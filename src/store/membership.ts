/**
 * Who is in the store and who is the default. What concerns more than one record runs under the store's own lock, so that two first
 * credentials in two tabs make one default.
 *
 * @module
 */
import type { CredentialQuery } from '../credential/query.js';
import { isLastCount, MAX_TIME, nextCount, STORE_RECORD_ID, type CredentialRecord } from '../credential/record.js';
import { withFields } from '../credential/create-token.js';
import type { Token } from '../credential/token.js';
import { CredentialError, isStorageError, StorageError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { within } from '../storage/deadline.js';
import type { CredentialStorage } from '../storage/storage.js';
import type { Credential } from './credential.js';
import { gone, notOurs } from './usable-token.js';
import { newDraft, replacementOf, tombstoneOf } from './drafts.js';
import type { Following } from './following.js';
import type { Ledger, Meant } from './ledger.js';
import { isForUser, isOfUse, isUnreadable } from './of-use.js';
import { readableClaim } from './places.js';
import { createSameUser, gives, isHers } from './same-user.js';
import type { StoreLocks } from './store-locks.js';
import { createSweeping } from './sweeping.js';
import type { RecordDraft, Writing } from './writing.js';
import type { Loop } from './loop.js';

/** Who clears waits no longer for others (E47), in milliseconds. */
const CLEARING_MS = 5_000;
/** Nor does who signs in: the code is spent, and every write is conditional. In milliseconds. */
const SIGNING_IN_MS = 5_000;
/** So many of one user are read again before one more of hers is stored (E68). */
const MOST_REREAD = 8;

/** Options of `store`. */
export interface StoreOptions {
  /** Default: none; for a token that takes another's place: its tags. Unless `replace` says so, one with other tags keeps its place. */
  readonly tags?: readonly string[] | undefined;
  /** The credential whose place the token takes: same id, tags and default. */
  readonly replace?: Credential | string | undefined;
  /**
   * True: who signs in twice has one credential. The token takes the place of what its user (`sub`) has of its client, the default rather than another, also
   * where she signs in in several tabs at once. With `tags` one that has all of them; it keeps those it has. Default: false. A token without
   * an ID token is one more: nobody knows whose it is. A user who has none here yet costs a reading of all records, since another tab may just have stored hers.
   */
  readonly onePerUser?: boolean | undefined;
}

type Tags = readonly string[] | undefined;

/** What membership needs of the store around it. */
export interface MembershipContext {
  readonly ledger: Ledger;
  readonly following: Following;
  readonly writing: Writing;
  readonly loop: Loop;
  readonly platform: Platform;
  readonly storageOf: () => CredentialStorage;
  readonly locks: StoreLocks;
  /** False where nobody tells of a write. */
  readonly hears: () => boolean;
  /** Ids of all that match, in order of storing. */
  readonly find: (query: CredentialQuery) => readonly string[];
  /** Tells the other tabs of a change. */
  readonly announce: (record: { readonly id: string; readonly generation: number; readonly revision: number }) => void;
}

/** Commands that concern the store as a whole. */
export interface Membership {
  /** Keeps a token; resolves with the id it is stored under. `onePerUser`: in the place of what the same user has. */
  store(token: Token, tags: readonly string[] | undefined, replace: Meant | undefined, onePerUser: boolean): Promise<string>;
  setDefault(meant: Meant | null): Promise<void>;
  clear(): Promise<void>;
  /** Removes tombstones older than a day, as many as it can in a few seconds, and what a clear that was cut short left behind. */
  sweep(): Promise<void>;
  /** Milliseconds until it is to be swept again. */
  sweepInMs(): number;
}

/** The membership of one store. */
export function createMembership(context: MembershipContext): Membership {
  const { ledger, following, writing, loop, platform, storageOf, locks, hears } = context;
  const alone = <T>(run: () => Promise<T>): Promise<T> => locks.alone('members', run);
  const isUsable = (id: string): boolean => isOfUse(context, id);
  const sameUser = createSameUser(context);
  const sweeping = createSweeping(context);
  let lookedFor = 0; // the claim for which everything was read

  return {
    store: async (token, tags, replace, onePerUser) => {
      const isOnly = onePerUser && token.claims !== null; // else nobody knows whose it is
      // Almost always it is one more: then nothing needs to be decided together with others.
      await rereadWhatMatters(token);
      if (replace) await inTrouble(() => rereadGone(replace), undefined);
      const isOneMore = replace === undefined && !isOnly && !isNeeded() && !sameUser.waiting(token, tags) && !ledger.record(token.id);
      if (isOneMore) return add(token, tags);
      // Without the lock where it is not had in time: two defaults can be told apart, a spent code is not had again (D-017).
      return locks.aloneInTime('members', SIGNING_IN_MS, async () => {
        await rereadWhatMatters(token);
        // Somebody else's first credential may be there; or hers, of a tab in which she signs in, too
        const isUnknown = isOnly ? !sameUser.only(token, tags) : loop.snapshot().ids.length === 0;
        if (isUnknown) await inTrouble(() => following.reload(), undefined);
        const meant = replace ?? (isOnly ? sameUser.only(token, tags) : undefined) ?? sameUser.waiting(token, tags);
        if (meant === undefined) return add(token, tags);
        const { id } = meant;
        if (isUnreadable(ledger, id)) await within(platform, SIGNING_IN_MS, '', following.reread(id)).catch(() => undefined);
        const kept = id === token.id ? token : withFields(token, { id });
        let [isForeign, isLost] = [false, false]; // it gives its place to nobody, and a spent code is not had again
        const mayReplace = (current: CredentialRecord): boolean => {
          isLost = id !== token.id && isUnreadable(ledger, id); // by the time of a second try
          if (isLost) return false;
          if (replace === undefined && !(isOnly && isHers(current, tags))) return isForUser(context, current) && gives(current, tags);
          isForeign = !ledger.isOurs(current);
          return !isForeign && current.state !== 'removed' && current.state !== 'revoking';
        };
        // Its own claim is enough if it is the default. Another one that is of no use gives way (D-013).
        const claim = loop.snapshot().defaultId !== id && isNeeded() ? { defaultClaim: await claimAbove() } : {};
        // Whose place is taken unasked keeps the tags that she has (design §4.2)
        const tagsFor = (record?: CredentialRecord): Tags => (replace || !record?.tags.length ? tags : undefined);
        const taken = (current: CredentialRecord): RecordDraft => ({
          ...replacementOf(current, kept, tagsFor(current), platform.now()),
          ...claim,
        });
        const written = await writing.update(meant, (current) => (mayReplace(current) ? taken(current) : null), { keep: true });
        if (written) return id;
        if (isLost) return addInPlaceOf(id, token, tagsFor(ledger.record(id)));
        if (replace === undefined || isForeign) return add(token, tags); // the one that waited was removed, or its user is back already
        throw gone();
      });
    },
    setDefault: (meant) =>
      alone(async () => {
        const id = meant?.id ?? null;
        if (meant) assertIsMeant(meant);
        await rereadDefault();
        if (meant) await rereadGone(meant);
        if (loop.snapshot().defaultId === id && claimOf(id) >= ledger.book.store.topClaim && !(id === null && isLost())) return;
        if (meant === null)
          return void (await writing.updateStore((current) => ({ ...current, ...claimed(), nullClaim: claimed().topClaim })));
        const defaultClaim = await reserveClaim();
        const isGoing = ({ state }: CredentialRecord): boolean => state === 'removed' || state === 'revoking';
        const change = (current: CredentialRecord): RecordDraft | null => {
          if (isGoing(current)) return null;
          if (!ledger.isOurs(current)) throw notOurs(); // nobody has told of it before
          return { ...current, defaultClaim };
        };
        if (!(await writing.update(meant, change))) throw gone();
      }),
    clear: () =>
      locks.aloneInTime('members', CLEARING_MS, async () => {
        let newest = 0; // a damaged one may be ahead
        for (const { record } of ledger.entries()) newest = Math.max(newest, record.epoch);
        const epoch = nextCount(Math.max(ledger.book.store.epoch, newest));
        const isLast = nextCount(epoch) === epoch; // no epoch comes after it that would tell what was cleared
        const begins = writing.updateStore((current) => ({ ...current, epoch: Math.max(nextCount(current.epoch), epoch), nullClaim: 0 }));
        if (await begins.catch(() => null)) {
          // Who signs in meanwhile belongs to the new epoch, and stays, whatever the storage does not let go of. What no one can read goes, too
          await sweeping.removeAll((record) => record === null || isLast).finally(() => isLast && following.forgetAll());
        } else await clearOneByOne();
        await within(platform, CLEARING_MS, '', (async () => storageOf().sweep?.())()).catch(() => undefined); // keys that nobody needs: the next start finds them
      }),
    sweep: () => sweeping.sweep(),
    sweepInMs: () => sweeping.dueInMs(),
  };

  /** A full disk takes no new epoch, but it lets go of records. One that lets go of nothing signs everybody out here, and later there. */
  async function clearOneByOne(): Promise<void> {
    try {
      await sweeping.removeAll(() => true, true);
    } catch {
      const known = [...ledger.entries()].filter(({ record }) => record.state !== 'removed');
      const ended = known.map(({ record }) =>
        writing.update(record, (current) => (current.state === 'removed' ? null : tombstoneOf(current)), { keep: true }),
      );
      await Promise.all(ended);
      throw new StorageError(
        'storage_failed',
        'Everything is forgotten here, but storage may still hold it: what is known is removed later; clear again.',
      );
    }
    writing.giveUp();
    following.forgetAll();
    await following.reload();
  }

  /** What cannot be read is as it is known: a token whose code is spent must not be lost for it (RF-15). */
  async function rereadWhatMatters(token: Token): Promise<void> {
    await inTrouble(() => rereadNow(token), undefined);
  }

  /** Where others write, too, messages may have been lost: is this the epoch, is the store empty, who waits for this user? */
  async function rereadNow(token: Token): Promise<void> {
    const { defaultId, ids } = loop.snapshot();
    const ofUser = sameUser
      .of(token)
      .filter((id) => ledger.record(id)?.state === 'active')
      .slice(0, MOST_REREAD);
    const wanted = new Set([STORE_RECORD_ID, ...ofUser, ...(defaultId === null ? [] : [defaultId])]);
    await Promise.all([...wanted].map((id) => following.reread(id))); // after a clear elsewhere a record must not be of the epoch before
    if (hasUnknownDefault()) await following.reload();
    if (loop.snapshot().defaultId !== null || ids.length === 0) return;
    const usable = ids.find(isUsable);
    if (usable !== undefined) {
      await following.reread(usable);
      if (isUsable(usable)) return; // not empty
    }
    await following.reload(); // somebody may have signed in elsewhere, and be the default
  }

  /** @throws {CredentialError} `credential_removed`: another has its id by now; `client_unknown`: it is kept, never used */
  function assertIsMeant({ id, storedAt }: Meant): void {
    const known = ledger.record(id);
    if (known && storedAt !== undefined && known.storedAt !== storedAt) throw gone();
    if (known && known.state !== 'removed' && !ledger.isOurs(known)) throw notOurs();
  }

  /** What is believed to be the default may be so no longer; and the first claim of all is counted by no store record. */
  async function rereadDefault(): Promise<void> {
    await following.reread(STORE_RECORD_ID);
    if (!hears() || topClaim() === 0) await following.reload();
  }

  /** Somebody may have stored another under the id of one that was removed. */
  async function rereadGone({ id, storedAt }: Meant): Promise<void> {
    if (storedAt === undefined && ledger.record(id)?.state === 'removed') await following.reread(id);
  }

  /** True once where a claim was counted that is above that of the default: somebody may have set another. */
  function hasUnknownDefault(): boolean {
    const { defaultId } = loop.snapshot();
    const counted = ledger.book.store.topClaim;
    if (defaultId === null || claimOf(defaultId) >= counted || counted === lookedFor) return false;
    lookedFor = counted; // a setDefault that failed has counted one, too
    return true;
  }

  /** A claim above all that were ever made, also by tabs whose messages were lost. */
  async function reserveClaim(): Promise<number> {
    if (isLastCount(topClaim())) await recount();
    if (loop.snapshot().ids.length === 0) return claimed().topClaim; // of an empty store everything was read
    return (await writing.updateStore((current) => ({ ...current, ...claimed() }))).topClaim;
  }

  function claimed(): { readonly topClaim: number } {
    return { topClaim: nextCount(topClaim()) };
  }

  /** The highest claim that is known of. */
  function topClaim(): number {
    let highest = Math.max(ledger.book.store.topClaim, readableClaim(ledger));
    for (const claim of ledger.book.lostClaims.values()) highest = Math.max(highest, claim);
    return highest;
  }

  /** Above a claim at the end of the range no other can be: all are given up and counted anew. Meanwhile nobody is the default: nobody is promoted. */
  async function recount(): Promise<void> {
    const last = { nullClaim: nextCount(Infinity), topClaim: nextCount(Infinity) };
    await writing.updateStore((current) => ({ ...current, ...last }));
    await following.reload(); // there may be claims that nobody has told of
    for (const id of [...ledger.book.claimants]) {
      const entry = ledger.entry(id);
      if (!entry?.record.defaultClaim) continue;
      if (entry.storedRevision > 0) await writing.update(entry.record, (current) => ({ ...current, defaultClaim: 0 }));
      else if (entry.record.state === 'removed' && !writing.isWaiting(id)) ledger.drop(id);
    }
    await writing.updateStore((current) => ({ ...current, nullClaim: 0, topClaim: 0 }));
  }

  function claimOf(id: string | null): number {
    return (id === null ? undefined : ledger.record(id)?.defaultClaim) ?? ledger.book.store.nullClaim;
  }

  /** True if a credential that is stored now must become the default: there is none that can be used, or the default cannot. */
  function isNeeded(): boolean {
    const { ids, defaultId } = loop.snapshot();
    if (defaultId !== null) return !isUsable(defaultId);
    if (isLost()) return true; // it may be she who signs in again
    return !ids.some(isUsable);
  }

  /** True if the default is among what cannot be read. */
  function isLost(): boolean {
    const highest = readableClaim(ledger);
    return [...ledger.book.lostClaims.values()].some((claim) => claim > highest);
  }

  /** A tombstone may be what says that nobody is the default. Before its place is taken the store record says so: nothing is promoted. */
  async function keepNobody(id: string): Promise<void> {
    const claim = claimOfTombstone(id);
    if (claim <= ledger.book.store.nullClaim) return;
    await writing.updateStore((current) => ({ ...current, nullClaim: Math.max(current.nullClaim, claim) }));
  }

  function claimOfTombstone(id: string): number {
    return isTombstone(id) ? (ledger.record(id)?.defaultClaim ?? 0) : 0;
  }

  /** Where the store record cannot be written it is one above all claims that are known. */
  function claimAbove(): Promise<number> {
    return inTrouble(reserveClaim, claimed().topClaim);
  }

  /** The claim of a new record; that of the tombstone it is put over where the store record cannot be written. */
  async function claimFor(id: string): Promise<number> {
    if (isNeeded()) return claimAbove();
    return inTrouble(async () => {
      await keepNobody(id);
      return 0;
    }, claimOfTombstone(id));
  }

  function isTombstone(id: string): boolean {
    const entry = ledger.entry(id);
    return entry?.record.state === 'removed' && entry.storedRevision > 0;
  }

  /** With tags and default of one that cannot be read (D-018), and which is seen here no longer, as after a start. */
  async function addInPlaceOf(lost: string, token: Token, tags = ledger.record(lost)?.tags): Promise<string> {
    const id = await add(token, tags, { isDefault: loop.snapshot().defaultId === lost });
    following.forget(lost);
    return id;
  }

  /** A new record, or one over the tombstone of the same id. */
  async function add(token: Token, tags: Tags, { tries = 0, isDefault = false } = {}): Promise<string> {
    // After all that are there, and after the one whose id it takes: by that others tell them apart.
    const latest = Math.max(loop.snapshot().credentials.at(-1)?.storedAt ?? -Infinity, ledger.record(token.id)?.storedAt ?? -Infinity);
    const storedAt = Math.min(Math.max(platform.now(), latest + 1), MAX_TIME);
    const counts = {
      generation: 1,
      epoch: ledger.book.store.epoch,
      storedAt,
      ...(storedAt > platform.now() && { signedInAt: platform.now() }),
      defaultClaim: isDefault ? await claimAbove() : await claimFor(token.id),
    };
    const draft = newDraft(token, counts, tags);
    const written = isTombstone(token.id)
      ? await writing.update(
          token,
          (current) => (current.state === 'removed' ? { ...draft, generation: nextCount(current.generation) } : null),
          { keep: true },
        )
      : await writing.insert(draft);
    if (written) return token.id;
    // Removed before this tab heard of it; of some storages no tombstone is left
    if (ledger.record(token.id)?.state === 'removed' && tries < MOST_REREAD) return add(token, tags, { tries: tries + 1, isDefault });
    throw new CredentialError(
      'credential_exists',
      `A credential with the id ${token.id} is stored already. Refreshing keeps the id, signing in makes a new one; to put a token in its place, use "replace".`,
    );
  }
}

/** What is asked, or what it is taken for where the storage fails. */
async function inTrouble<T>(ask: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (isStorageError(error)) return otherwise;
    throw error;
  }
}
