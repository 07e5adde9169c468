/**
 * Letting go of what nobody needs any more: tombstones that are due, what a clear has left, and what the storage itself can spare.
 *
 * @module
 */
import { parseRecord, STORE_RECORD_ID, type CredentialRecord } from '../credential/record.js';
import { StorageError } from '../errors.js';
import { within } from '../storage/deadline.js';
import type { MembershipContext } from './membership.js';
import { keepingPlaces, nobodyUpTo, readableClaim } from './places.js';

/** How long a storage is swept at most, in milliseconds: others wait for the lock. */
const SWEEPING_MS = 15_000;
/** How long tombstones are removed at a time, in milliseconds, and how long others then have the lock to themselves. */
const REMOVING_MS = 3_000;
const PAUSE_MS = 60_000;
/** What takes as long to fail, in milliseconds, did not answer. */
const HANGS_MS = 5_000;
/** How often tombstones that are due are looked for; the first time at the start. */
const SWEEP_MS = 6 * 60 * 60_000;
/** So often a record that was cleared may be written again while it is removed. */
const MAX_TRIES = 20;
const TOMBSTONE_LIFE_MS = 24 * 60 * 60_000;

/** What removes records of one store for good. */
export interface Sweeping {
  /**
   * Removes records of earlier epochs, and of those of this one what is due; `null` stands for a record that cannot be read.
   * The others are told only if no store record tells them. One that cannot be removed keeps no other; the error comes at the end.
   */
  removeAll(isDue: (record: CredentialRecord | null) => boolean, isTold?: boolean): Promise<void>;
  /** Removes tombstones older than a day, as many as it can in a few seconds, and what a clear that was cut short left behind. */
  sweep(): Promise<void>;
  /** Milliseconds until the next sweep. */
  dueInMs(): number;
}

/** The sweeping of one store. */
export function createSweeping(context: Omit<MembershipContext, 'find'>): Sweeping {
  const { ledger, following, writing, loop, platform, storageOf, locks, hears, announce } = context;
  const removeAll: Sweeping['removeAll'] = async (isDue, isTold = false) => {
    const { epoch } = ledger.book.store;
    const recordOf = (id: string, value: unknown): CredentialRecord | null => {
      const parsed = parseRecord(value, id);
      return 'corrupt' in parsed ? null : parsed;
    };
    const isOld = (record: CredentialRecord | null): boolean => record !== null && record.epoch < epoch;
    /** Of an earlier epoch goes whatever is there by now, for a refresh may have written it again; but no one who has signed in under its id since. */
    const remove = async (id: string, before: CredentialRecord | null): Promise<void> => {
      let record = before;
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const condition = record?.revision ?? 'any';
        if (await ledger.write((storage) => storage.remove(id, condition))) return;
        const value = await ledger.read((storage) => storage.read(id));
        record = recordOf(id, value);
        if (value === undefined || value === null || !isOld(record)) return;
      }
      throw new StorageError('storage_conflict', 'A record that was cleared is written by others faster than it can be removed.');
    };
    const removals: Promise<void>[] = [];
    let [hasFailed, hangs] = [false, false];
    for (const { id, value } of await ledger.readAll()) {
      if (id === STORE_RECORD_ID) continue;
      const record = recordOf(id, value);
      if (!isOld(record) && !isDue(record)) continue;
      const removing = following.turns.withLock(id, async () => {
        await remove(id, record);
        if (isTold) announce({ id, generation: 0, revision: Number.MAX_SAFE_INTEGER }); // whoever knows it must look
      });
      removals.push(removing);
      // One that cannot be removed must not keep the others (E62). Where one took long to fail all are asked at once, since each may take until its time is up.
      const beganAt = platform.monotonicNow();
      if (hangs || !(await removing.then(no, yes))) continue;
      hasFailed = true;
      hangs = platform.monotonicNow() - beganAt > HANGS_MS;
    }
    await Promise.allSettled(removals);
    ledger.book.leftovers = hasFailed;
    await Promise.all(removals);
  };
  /** Whether a tombstone is due, as of now, for any number of them. */
  const judging = (): ((record: CredentialRecord) => boolean) => {
    const keepsPlace = keepingPlaces(ledger);
    return (record) =>
      record.state === 'removed' &&
      (ledger.book.isNarrow || platform.now() - record.changedAt > TOMBSTONE_LIFE_MS) &&
      (record.defaultClaim === 0 || ledger.isOurs(record)) && // else it keeps nobody's place in another application
      !keepsPlace(record); // nor in this one
  };
  const due = (): readonly string[] => {
    const isDue = judging();
    return [...ledger.entries()].filter(({ record }) => isDue(record)).map(({ id }) => id);
  };
  /** A tombstone with the highest claim says that nobody is the default; from now on the store record says so. */
  const keepNobody = async (): Promise<void> => {
    const ours = (): number => readableClaim(ledger, ledger.isOurs);
    const keepsPlace = keepingPlaces(ledger);
    const isKept = [...ledger.entries()].some(({ record }) => record.state === 'removed' && keepsPlace(record) && ledger.isOurs(record));
    const nobody = !isKept && loop.snapshot().defaultId === null && ours() > ledger.book.store.nullClaim;
    const said = (): number => nobodyUpTo(ledger, ours());
    if (nobody) await writing.updateStore((current) => ({ ...current, nullClaim: Math.max(current.nullClaim, said()) }));
  };
  let sweepsAt = platform.monotonicNow() + SWEEP_MS;
  const failed = new Set<string>(); // ids of what could not be removed: others come first (E62)
  /** On the condition that it is still there: another credential may be stored under its id by now. */
  const removeOne = (id: string): Promise<void> =>
    following.turns.withLock(id, async () => {
      // As it is stored: swept elsewhere and stored anew, it may be at the revision that is known here
      if ((ledger.entry(id)?.storedRevision ?? 0) > 0) await following.rereadNow(id, 'elsewhere');
      const { record, storedRevision = 0 } = ledger.entry(id) ?? {};
      if (!record || !judging()(record) || writing.isWaiting(id)) return;
      const isRemoved = storedRevision === 0 || (await ledger.write((storage) => storage.remove(id, storedRevision)));
      if (!isRemoved) await following.rereadNow(id, 'elsewhere');
      const now = ledger.entry(id);
      if (now && judging()(now.record) && (isRemoved || now.storedRevision === 0)) ledger.drop(id);
      failed.delete(id);
    });
  /** One after the other until the time is up. True if others are left that may go. */
  const removeDue = async (): Promise<boolean> => {
    const ids = due().toSorted((a, b) => Number(failed.has(a)) - Number(failed.has(b)));
    const endsAt = platform.monotonicNow() + REMOVING_MS;
    for (const id of ids) {
      const leftMs = endsAt - platform.monotonicNow();
      if (leftMs <= 0) return !failed.has(id);
      await within(platform, leftMs, '', removeOne(id)).catch(() => failed.add(id));
    }
    return false;
  };
  return {
    removeAll,
    sweep: async () => {
      sweepsAt = platform.monotonicNow() + SWEEP_MS;
      const hasDue = ledger.book.leftovers || due().length > 0;
      if (!hasDue && !storageOf().sweep) return;
      if (hasDue && !hears()) await following.reload(); // here it keeps nobody waiting
      await locks.alone('members', async () => {
        if (hasDue) {
          if (!hears()) await following.reload(); // another application may have a default by now
          await keepNobody();
          if (ledger.book.leftovers) await removeAll(no).catch(no); // it is noted what is left
          if (await removeDue()) return void (sweepsAt = platform.monotonicNow() + PAUSE_MS);
        }
        await within(platform, SWEEPING_MS, 'The storage is not swept in time.', (async () => storageOf().sweep?.())());
      });
    },
    dueInMs: () => sweepsAt - platform.monotonicNow(),
  };
}

const no = (): boolean => false;
const yes = (): boolean => true;
