/**
 * Keeps what is known of the records true. Whatever is read or written is compared with what was known, and the difference becomes
 * actions: a write of this store and one of another tab are folded alike.
 *
 * @module
 */
import type { EventOrigin, StorageFact } from '../credential/actions.js';
import { difference } from '../credential/difference.js';
import { ownFirst } from '../credential/facts.js';
import {
  defaultIdOf,
  isLastCount,
  isOpen,
  isSealedText,
  NEW_STORE_RECORD,
  parseRecord,
  parseStoreRecord,
  STORE_RECORD_ID,
  type CredentialRecord,
  type OpenRecord,
  type StoreRecord,
} from '../credential/record.js';
import { StorageError } from '../errors.js';
import { inProcessLocks } from '../platform/in-process-locks.js';
import type { Locks } from '../platform/platform.js';
import { refusalOf, revisionOf } from '../storage/storage.js';
import { asUnreadable } from './as-read.js';
import { isOneToken, withHeld } from './own-tokens.js';
import type { Entry, Ledger } from './ledger.js';
import type { Loop } from './loop.js';

/** Re-reads, compares and tells. */
export interface Following {
  /** One operation at a time per record, so that our own write is never mistaken for someone else's. */
  readonly turns: Locks;
  /** Reads one record again and folds the difference. */
  reread(id: string): Promise<CredentialRecord | undefined>;
  /** Reads everything again and folds the differences. */
  reload(): Promise<void>;
  /** Forgets one record, which cannot be read any more. */
  forget(id: string): void;
  /** Forgets all that is known, since storage was emptied. */
  forgetAll(): void;
  /** Tells of facts, and of the default that follows from them once all of them are known. */
  readonly tell: (facts: readonly StorageFact[], origin: EventOrigin) => void;
  /** What changes when a record is known to be this one, which storage has at `storedRevision`. */
  readonly learn: (after: CredentialRecord, storedRevision: number) => readonly StorageFact[];
  readonly learnStore: (next: StoreRecord) => readonly StorageFact[];
  /** The same as `reread`, for who has the record's turn already; `wasRefused`: and could not write over what is known. */
  readonly rereadNow: (id: string, origin: EventOrigin, wasRefused?: boolean) => Promise<Entry | undefined>;
  /** Reads the store record again; resolves with what is stored. */
  readonly rereadStore: () => Promise<unknown>;
}

/** What was known of a record at some time. */
type Known = Pick<Entry, 'id' | 'record' | 'storedRevision'>;

/** A reading of one record, which all share who asked before it began. */
interface Reading {
  readonly turn: Promise<CredentialRecord | undefined>;
  /** With the reading of everything that may follow from it. */
  whole?: Promise<CredentialRecord | undefined>;
}

type Parsed = CredentialRecord | { readonly corrupt: string } | undefined;

/** True if the default may be another one now. */
function isClaimChange(before: CredentialRecord | undefined, after: CredentialRecord): boolean {
  return after.defaultClaim !== (before?.defaultClaim ?? 0) || (after.defaultClaim > 0 && after.state !== before?.state);
}

/** True for what is left here of a record that is not stored any more. */
function isPhantom({ record, storedRevision }: Entry): boolean {
  return record.state === 'removed' && storedRevision === 0;
}

/** True if a stored value is what was last read or written, by its counter and by what tells credentials of one id apart. */
function isAsKnown(entry: Entry | undefined, value: unknown): boolean {
  const revision = revisionOf(value);
  if (!entry || revision !== entry.storedRevision || isLastCount(revision)) return false;
  return (value as Partial<CredentialRecord>).storedAt === entry.record.storedAt;
}

/** True if what could not be opened is stored as it was, but for what needs no key. */
function staysUnreadable({ unreadable }: Entry, after: CredentialRecord): boolean {
  return !!unreadable && isOneToken(unreadable, after) && unreadable.state === after.state;
}

/**
 * The record with the access tokens alone that are nowhere but here, where another tab has begun to revoke it. Of what is sealed only the option
 * tells; else what was marked does: who stores none, or has renewed since, knows nothing of those here.
 */
function ownTokensOf(before: CredentialRecord, marked: CredentialRecord, refreshOnly: boolean): OpenRecord | undefined {
  if (before.state !== 'active' || marked.state !== 'revoking' || marked.storedAt !== before.storedAt || !isOpen(before)) return undefined;
  const { refreshToken: _, ...secrets } = before.secrets ?? {};
  const isKnown = isSealedText(marked.secrets)
    ? !refreshOnly
    : marked.secrets?.accessToken !== undefined && marked.secrets.accessToken === secrets.accessToken;
  return isKnown ? undefined : { ...before, secrets, changedAt: marked.changedAt };
}

/** True where keys cannot be asked for now: that takes nothing away of what was opened before (design §4.5). */
function isAway(known: Entry | undefined, why: string | undefined): boolean {
  return why === 'storage_failed' && known !== undefined && !known.unreadable && known.record.state !== 'removed';
}

/** Notes that what waited in memory is stored by now; nothing else has changed. */
function stored(entry: Entry | undefined, { revision }: CredentialRecord, storedRevision: number): readonly StorageFact[] {
  if (entry?.record.revision === revision) entry.storedRevision = Math.max(entry.storedRevision, storedRevision);
  return [];
}

/**
 * How a reading stands to what was known. `anew`: the same id was stored again after its tombstone was swept, and counts from the
 * beginning; `older`: storage was set back behind our knowledge, and what it holds counts; or another credential was stored under the id
 * after a removal that was not heard of: it may count from the beginning, too.
 */
function relationOf(before: CredentialRecord | undefined, after: CredentialRecord): 'later' | 'overtaken' | 'anew' | 'older' {
  if (!before) return 'later';
  const wasRemoved = before.state === 'removed';
  if (wasRemoved && after.state !== 'removed' && after.storedAt !== before.storedAt) return 'anew';
  if (after.revision <= before.revision && !isLastCount(after.revision) && after.storedAt <= before.storedAt) return 'overtaken';
  if (wasRemoved) return 'later';
  return after.generation < before.generation || after.storedAt !== before.storedAt ? 'older' : 'later';
}

/**
 * A storage that takes no write over what it said was stored, and has less, was set back, by a backup or a failover: what is known here is what
 * goes over it. That it has less alone may be an old reading.
 */
function setBack(entry: Entry | undefined, parsed: Parsed): void {
  if (!entry || !parsed || 'corrupt' in parsed || isLastCount(entry.storedRevision)) return;
  entry.storedRevision = Math.min(entry.storedRevision, parsed.revision);
}

/** How long a tab looks at a token that another has renewed, in milliseconds: its key may ask a person. Then it stays sealed until it is used. */
const OPENING_MS = 5_000;

/** Follows the records of a ledger. */
export function createFollowing(ledger: Ledger, loop: Loop, refreshOnly: boolean, dropped: (record: OpenRecord) => void): Following {
  const { book, keep, quarantine, settled, read, unsealed } = ledger;
  const locks = inProcessLocks();
  const unbegun = new Map<string, Reading>(); // by id: the reading that is the last in the queue of turns, and has not begun
  const turns: Locks = {
    reach: locks.reach,
    withLock: (id, run, signal) => {
      unbegun.delete(id); // who asks from now on hears what this has written
      return locks.withLock(id, run, signal);
    },
  };
  let claimsChanged = false;
  const ranks = new WeakMap<Entry, number>(); // claims in the order in which they were learned of
  let learned = 0;
  const refusals = new WeakMap<CredentialRecord, string>(); // why the storage could not open what it gave
  const strange = new Set<string>(); // ids under which a record of an earlier epoch was found

  /**
   * The records whose claim counts. What vanished keeps its claim: nothing is promoted in the place of a default. But who claims later in one storage has
   * the higher claim: if one was stored, and learned of, after the last that is known of what vanished, that vanished with the whole storage.
   */
  const claimants = (): readonly CredentialRecord[] => {
    const entries = [...book.claimants].map((id) => ledger.entry(id)).filter((entry) => entry !== undefined);
    const rankOf = (entry: Entry): number => ranks.get(entry) ?? 0;
    const later = entries.filter(({ record }) => record.state !== 'removed').sort((a, b) => a.record.storedAt - b.record.storedAt);
    const counting = entries.filter((entry) => !isPhantom(entry));
    // Both lists are gone through once, the newest first: of what vanished in a year there may be much.
    let highest = -1; // rank of those that are later
    for (const phantom of entries.filter(isPhantom).sort((a, b) => b.record.changedAt - a.record.changedAt)) {
      while ((later.at(-1)?.record.storedAt ?? -Infinity) > phantom.record.changedAt)
        highest = Math.max(highest, rankOf(later.pop() as Entry));
      if (highest <= rankOf(phantom)) counting.push(phantom);
    }
    return counting.map(({ record }) => record);
  };
  const tell: Following['tell'] = (facts, origin) => {
    // Another credential under the id of one that is gone: first that one goes, and its handle with it.
    const added = new Set(facts.flatMap((fact) => (fact.type === 'token_added' ? [fact.id] : [])));
    const gone = facts.filter((fact) => fact.type === 'token_removed' && added.has(fact.id));
    if (gone.length > 0) {
      const wasDefault = gone.some((fact) => 'id' in fact && fact.id === book.defaultId);
      loop.dispatch(wasDefault ? [...gone, { type: 'default_changed', id: null }] : gone, origin);
      if (wasDefault) book.defaultId = null;
      claimsChanged = true;
      return tell(
        facts.filter((fact) => !gone.includes(fact)),
        origin,
      );
    }
    const id = claimsChanged ? defaultIdOf(ownFirst(claimants(), ledger.isOurs), book.store, book.lostClaims.values()) : book.defaultId;
    const change: readonly StorageFact[] = id === book.defaultId ? [] : [{ type: 'default_changed', id }];
    claimsChanged = false;
    book.defaultId = id;
    loop.dispatch([...facts, ...change], origin);
  };
  const noteClaim = (before: CredentialRecord | undefined, after: CredentialRecord): void => {
    if (!isClaimChange(before, after)) return;
    claimsChanged = true;
    const entry = ledger.entry(after.id);
    if (entry && after.state !== 'removed') ranks.set(entry, ++learned);
  };
  /** How a record is seen that cannot be opened; `undefined` for another. */
  const asUnopened = (entry: Entry | undefined, after: CredentialRecord): CredentialRecord | undefined => {
    if (refusals.has(after)) return asUnreadable(after, null);
    return entry && staysUnreadable(entry, after) ? asUnreadable(after, entry.record.claims) : undefined;
  };
  const learn: Following['learn'] = (after, storedRevision) => {
    const { id } = after;
    const entry = ledger.entry(id);
    const before = entry?.record;
    if (after.epoch < book.store.epoch) return forget(id);
    const unopened = asUnopened(entry, after);
    if (!unopened) book.quarantined.delete(id);
    claimsChanged = book.lostClaims.delete(id) || claimsChanged;
    const relation = relationOf(before, after);
    if (relation === 'overtaken') return stored(entry, after, storedRevision);
    const seen = unopened ?? after;
    const fact = difference(relation === 'later' ? before : undefined, seen, ledger.isOurs);
    const gone: readonly StorageFact[] =
      relation === 'older' && before ? [{ type: 'token_removed', id, generation: before.generation }] : [];
    keep(seen, storedRevision).unreadable = unopened && after;
    noteClaim(before, after);
    return fact ? [...gone, fact] : gone;
  };
  /** What changes when a record is known to be gone. What is left here keeps its claim: nothing is promoted in the place of a default. */
  const forget = (id: string): readonly StorageFact[] => {
    const before = ledger.record(id);
    book.quarantined.delete(id); // what comes in its place is told anew
    claimsChanged = book.lostClaims.delete(id) || claimsChanged;
    if (!before) return [];
    keep({ ...before, state: 'removed', secrets: null, claims: null, tags: [], revision: 0, generation: 0 }, 0).unreadable = undefined;
    const isDurable = settled(id);
    claimsChanged ||= before.epoch >= book.store.epoch && book.claimants.has(id); // no other counts
    if (before.state === 'removed') return isDurable; // a tombstone that somebody swept
    return [{ type: 'token_removed', id, generation: before.generation + 1 }, ...isDurable];
  };
  const judge = (id: string, parsed: Parsed): readonly StorageFact[] => {
    if (book.waiting.has(id)) return []; // the next try to write it finds out what counts
    const entry = ledger.entry(id);
    if (parsed === undefined) return forget(id);
    if ('corrupt' in parsed) return quarantine(id, parsed.corrupt);
    const why = refusals.get(parsed);
    if (why === undefined) {
      if (!ledger.isOurs(parsed)) return learn(parsed, parsed.revision); // nothing of it is held
      const own = entry && ownTokensOf(entry.record, parsed, refreshOnly);
      const facts = learn(withHeld(entry?.record, parsed, refreshOnly), parsed.revision);
      if (own && ledger.record(id)?.state === 'revoking') dropped(own); // who ends the session knows nothing of these
      return facts;
    }
    const facts = learn(parsed, parsed.revision); // first: a record it was before may have been quarantined
    return ledger.entry(id)?.unreadable === parsed ? [...quarantine(id, why), ...facts] : facts;
  };
  const learnStore: Following['learnStore'] = (next) => {
    if (next.revision <= book.store.revision && !isLastCount(next.revision)) return [];
    const cleared = next.epoch > book.store.epoch;
    book.store = next;
    book.lostClaims.delete(next.id);
    claimsChanged = true;
    if (!cleared) return [];
    book.lostClaims.clear();
    const entries = [...ledger.entries()];
    const removed = entries.filter(({ record }) => record.epoch < next.epoch).flatMap(({ id }) => forget(id));
    // What was stored after the clear may have been heard of before it.
    return entries.some(({ record }) => record.epoch >= next.epoch && record.state !== 'removed')
      ? removed
      : [{ type: 'cleared' }, ...removed.filter(({ type }) => type === 'durable')];
  };

  /** A token of ours that another renewed is opened before anyone hears of it: nobody sees a moment without a token. */
  const parsedAndOpen = async (id: string, value: unknown): Promise<Parsed> => {
    if (value === undefined || value === null) return undefined;
    const parsed = parseRecord(value, id);
    const why = refusalOf(value);
    const before = ledger.record(id);
    if (isAway(ledger.entry(id), why)) return before;
    if (why !== undefined && !('corrupt' in parsed)) refusals.set(parsed, why);
    const holds = before?.secrets && !isSealedText(before.secrets);
    if (!holds || 'corrupt' in parsed || isOpen(parsed) || why !== undefined) return parsed;
    if (isOneToken(parsed, before) && !isSealedText(parsed.staged)) return parsed; // held already
    return unsealed(parsed, OPENING_MS).catch(() => parsed);
  };
  const rereadNow: Following['rereadNow'] = async (id, origin, wasRefused = false) => {
    const value = await read((storage) => storage.read(id));
    const parsed = await parsedAndOpen(id, value);
    // Who is refused a write has to know what is there: nothing can be made of what keys are away for
    if (wasRefused && parsed && parsed === ledger.record(id))
      throw new StorageError('storage_failed', 'What others wrote cannot be opened now.');
    if (wasRefused) setBack(ledger.entry(id), parsed);
    if (parsed && 'epoch' in parsed && parsed.epoch < book.store.epoch) strange.add(id);
    tell(judge(id, parsed), origin);
    return ledger.entry(id);
  };
  const rereadStore: Following['rereadStore'] = async () => {
    const value = await read((storage) => storage.read(STORE_RECORD_ID));
    const record = parseStoreRecord(value);
    if (!record) return value;
    const lost = [...book.waiting.keys()].map((id) => ledger.record(id)).filter((one) => one && one.epoch < record.epoch && isOpen(one));
    tell(learnStore(record), 'elsewhere');
    for (const one of lost) dropped(one as OpenRecord);
    return value;
  };
  /** One that is yet to begin reads later than whoever asks for it now: however many ask, in a storage that is slow or hangs, they wait for two. */
  const readingOf = (id: string): Reading => {
    const known = unbegun.get(id);
    if (known) return known;
    const turn = turns.withLock(id, async () => {
      if (unbegun.get(id) === reading) unbegun.delete(id);
      if (id !== STORE_RECORD_ID) return (await rereadNow(id, 'elsewhere'))?.record;
      await rereadStore();
      return undefined;
    });
    const reading: Reading = { turn };
    unbegun.set(id, reading);
    return reading;
  };
  /** What is stored for the store, where that is less than is known; an old reading, or another storage. */
  const behind = (value: unknown): StoreRecord | undefined => {
    const found = value === undefined || value === null ? NEW_STORE_RECORD : parseStoreRecord(value);
    return found && found.revision < book.store.revision ? found : undefined;
  };
  /** True if nothing is left of what was stored: all that is there was stored after all that is gone. */
  const isRefilled = (before: ReadonlyMap<string, Known>): boolean => {
    const isLeft = ({ id }: Known): boolean => (ledger.entry(id)?.storedRevision ?? 0) > 0;
    const known = [...before.values()].filter(({ storedRevision }) => storedRevision > 0);
    const gone = known.filter((entry) => !isLeft(entry));
    const newest = gone.reduce((latest, { record }) => Math.max(latest, record.storedAt), gone.length > 0 ? -Infinity : Infinity);
    return known.every((entry) => !isLeft(entry) || entry.record.storedAt > newest);
  };
  /** Forgets what was counted in a storage that was emptied, once a second reading says so. */
  const beginAnew = (found: ReadonlySet<string>): Promise<boolean> =>
    turns.withLock(STORE_RECORD_ID, async () => {
      const next = behind(await rereadStore());
      if (!next) return false;
      for (const entry of [...ledger.entries()]) if (isPhantom(entry) && !book.waiting.has(entry.id)) ledger.drop(entry.id);
      for (const id of [...book.lostClaims.keys()]) if (!found.has(id)) book.lostClaims.delete(id);
      book.store = next;
      return (claimsChanged = true);
    });
  const reload = async (): Promise<void> => {
    const before = new Map<string, Known>();
    for (const { id, record, storedRevision } of ledger.entries()) before.set(id, { id, record, storedRevision });
    const entries = await ledger.readAll();
    const isBehind = behind(await turns.withLock(STORE_RECORD_ID, rereadStore)) !== undefined;
    const changed = new Map<string, Parsed>();
    for (const { id, value } of entries) {
      if (id !== STORE_RECORD_ID && !isAsKnown(ledger.entry(id), value)) changed.set(id, await parsedAndOpen(id, value));
    }
    // Of what became known or was forgotten since the reading began, and of what is missing, which may have been written meanwhile, only a
    // reading of its own can tell. What is left is judged and told in one step, so that nobody tells of the same record in between.
    const found = new Set(entries.map(({ id }) => id));
    const unsure = new Set([...changed.keys()].filter((id) => ledger.record(id) !== before.get(id)?.record));
    for (const entry of ledger.entries()) if (!found.has(entry.id) && !isPhantom(entry)) unsure.add(entry.id);
    tell(
      [...changed].flatMap(([id, parsed]) => (unsure.has(id) ? [] : judge(id, parsed))),
      'elsewhere',
    );
    for (const id of unsure) await readingOf(id).turn;
    if (isBehind && isRefilled(before) && (await beginAnew(found))) await reload();
  };

  return {
    turns,
    reread: (id) => {
      const reading = readingOf(id);
      return (reading.whole ??= reading.turn.then(async (record) => {
        if (!strange.delete(id)) return record;
        await reload(); // left of a clear, or the first of a storage that was emptied
        return ledger.record(id);
      }));
    },
    reload,
    forget: (id) => tell(forget(id), 'here'),
    forgetAll: () =>
      tell(
        [...ledger.entries()].flatMap(({ id }) => forget(id)),
        'here',
      ),
    tell,
    learn,
    learnStore,
    rereadNow,
    rereadStore,
  };
}
