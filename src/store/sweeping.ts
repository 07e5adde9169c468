/**
 * Letting go of what nobody needs any more: tombstones that are due, what a clear has left, and what the storage itself can spare.
 *
 * @module
 */
import { parseRecord, STORE_RECORD_ID, type CredentialRecord } from '../credential/record.js';
import { within } from '../storage/deadline.js';
import type { MembershipContext } from './membership.js';
import { keepsPlace, nobodyUpTo, readableClaim } from './places.js';

/** How long a storage is swept at most, in milliseconds: others wait for the lock. */
const SWEEPING_MS = 15_000;
const TOMBSTONE_LIFE_MS = 24 * 60 * 60_000;

/** What removes records of one store for good. */
export interface Sweeping {
  /**
   * Removes records of earlier epochs, and of those of this one what is due; `null` stands for a record that cannot be read.
   * The others are told only if no store record tells them. One that cannot be removed keeps no other; the error comes at the end.
   */
  removeAll(isDue: (record: CredentialRecord | null) => boolean, isTold?: boolean): Promise<void>;
  /** Removes tombstones older than a day, and what a clear that was cut short left behind. */
  sweep(): Promise<void>;
}

/** The sweeping of one store. */
export function createSweeping(context: Omit<MembershipContext, 'find'>): Sweeping {
  const { ledger, following, writing, loop, platform, storageOf, locks, hears, announce } = context;
  const removeAll: Sweeping['removeAll'] = async (isDue, isTold = false) => {
    const { epoch } = ledger.book.store;
    const removals: Promise<void>[] = [];
    let hasFailed = false;
    for (const { id, value } of await ledger.readAll()) {
      if (id === STORE_RECORD_ID) continue;
      const parsed = parseRecord(value, id);
      const record = 'corrupt' in parsed ? null : parsed;
      if (record && record.epoch >= epoch && !isDue(record)) continue;
      if (!record && !isDue(null)) continue;
      // Of an earlier epoch goes whatever is there by now: a refresh may have written it again meanwhile.
      const condition = record && record.epoch >= epoch ? record.revision : 'any';
      const removing = following.turns.withLock(id, async () => {
        await ledger.write((storage) => storage.remove(id, condition));
        if (isTold) announce({ id, generation: 0, revision: Number.MAX_SAFE_INTEGER }); // whoever knows it must look
      });
      removals.push(removing);
      // One that cannot be removed must not keep the others (E62); from then on all at once, since each may take until its time is up.
      if (!hasFailed) hasFailed = await removing.then(no, yes);
    }
    await Promise.allSettled(removals);
    ledger.book.leftovers = hasFailed;
    await Promise.all(removals);
  };
  const isDue = (record: CredentialRecord | null): boolean =>
    record?.state === 'removed' &&
    (ledger.book.isNarrow || platform.now() - record.changedAt > TOMBSTONE_LIFE_MS) &&
    (record.defaultClaim === 0 || ledger.isOurs(record)) && // else it keeps nobody's place in another application
    !keepsPlace(ledger, record); // nor in this one
  /** A tombstone with the highest claim says that nobody is the default; from now on the store record says so. */
  const keepNobody = async (): Promise<void> => {
    const ours = (): number => readableClaim(ledger, ledger.isOurs);
    const isKept = [...ledger.entries()].some(
      ({ record }) => record.state === 'removed' && keepsPlace(ledger, record) && ledger.isOurs(record),
    );
    const nobody = !isKept && loop.snapshot().defaultId === null && ours() > ledger.book.store.nullClaim;
    const said = (): number => nobodyUpTo(ledger, ours());
    if (nobody) await writing.updateStore((current) => ({ ...current, nullClaim: Math.max(current.nullClaim, said()) }));
  };
  return {
    removeAll,
    sweep: async () => {
      const hasDue = ledger.book.leftovers || [...ledger.entries()].some(({ record }) => isDue(record));
      if (!hasDue && !storageOf().sweep) return;
      await locks.alone('members', async () => {
        if (hasDue) {
          if (!hears()) await following.reload(); // another application may have a default by now
          await keepNobody();
          await removeAll(isDue);
          for (const { id, record } of [...ledger.entries()]) if (isDue(record) && !writing.isWaiting(id)) ledger.drop(id);
        }
        await within(platform, SWEEPING_MS, 'The storage is not swept in time.', (async () => storageOf().sweep?.())());
      });
    },
  };
}

const no = (): boolean => false;
const yes = (): boolean => true;
