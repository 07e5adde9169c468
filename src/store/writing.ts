/**
 * Writing records. Each write is conditional on the revision that was read; whoever loses re-reads and changes anew (RF-5). Where the
 * storage fails, a token that cannot be had again is kept in memory and written later (RF-15).
 *
 * @module
 */
import {
  isOpen,
  nextCount,
  parseRecord,
  parseStoreRecord,
  STORE_RECORD_ID,
  type CredentialRecord,
  type OpenRecord,
  type StoreRecord,
} from '../credential/record.js';
import { type CredentialError, isStorageError, StorageError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';
import { randomFraction } from '../platform/random.js';
import { revisionOf } from '../storage/storage.js';
import { asStored, firstCount, isEnd, judged } from './drafts.js';
import { asRead, holdsTheSame } from './as-read.js';
import { storedForm } from './own-tokens.js';
import type { Following } from './following.js';
import type { Base, Entry, Ledger, Meant } from './ledger.js';
import { isContested, keepingPlaces, nobodyUpTo } from './places.js';
import type { Connection } from './tabs.js';

const MAX_TRIES = 20;
/** So many at once; then with pauses of random length, or who writes without reading would be first each time. */
const TRIES_AT_ONCE = 4;
/** The longest pause, in milliseconds. */
const MAX_PAUSE_MS = 32;

/** A record to write; the revision is counted and the time stamped here. */
export type RecordDraft = Omit<CredentialRecord, 'revision' | 'changedAt'>;

/** How a change is to be made. */
export interface ChangeOptions {
  /** Keeps the change in memory where storage fails, and writes it later: for what must not be lost. */
  readonly keep?: boolean;
  /** For what no one else can use: others need not look, unless nothing follows on what was begun. */
  readonly isQuiet?: boolean;
}

/** All writes of one store. */
export interface Writing {
  /** Writes a record where there is none. `false`: there is one by now, and it has been read. */
  insert(draft: RecordDraft): Promise<boolean>;
  /**
   * Writes what `change` makes of the record, which is read again and changed anew if someone else wrote first.
   * `null` from `change` gives up, and so does finding another credential under the id than the one that was meant, or was there when this
   * was asked for. Resolves with the record written, once the write has committed.
   */
  update(
    meant: Meant,
    change: (current: CredentialRecord) => RecordDraft | null,
    options?: ChangeOptions,
  ): Promise<CredentialRecord | null>;
  /** The same with the secrets in the clear. */
  updateOpen(meant: Meant, change: (current: OpenRecord) => RecordDraft | null, options?: ChangeOptions): Promise<CredentialRecord | null>;
  /** The same for the store's own record. */
  updateStore(change: (current: StoreRecord) => Omit<StoreRecord, 'revision'>): Promise<StoreRecord>;
  /** Tries again to write what could not be written. */
  retry(): Promise<void>;
  /** The attempt that is under way. */
  retrying(): Promise<void> | undefined;
  /** Reads one record again; another token that was stored meanwhile counts also where a record waits to be written. */
  reread(id: string): Promise<void>;
  /** Forgets that anything waits to be written. */
  giveUp(): void;
  /** True if something, or this record, waits to be written. */
  isWaiting(id?: string): boolean;
}

/** What writing needs of the store around it. */
export interface WritingContext {
  readonly ledger: Ledger;
  readonly following: Following;
  readonly platform: Pick<Platform, 'crypto' | 'now' | 'setTimer'>;
  readonly refreshOnly: boolean;
  /** The client a record belongs to; `undefined` where none is configured. */
  readonly clientOf: (record: Pick<CredentialRecord, 'context'>) => OAuth2Client | undefined;
  /** Tells the other tabs of a committed write. */
  readonly announce: Connection['announce'];
  /** Hears of a record that could not be written before the credential ended elsewhere: its tokens are live, and nobody's. */
  readonly dropped: (record: OpenRecord) => void;
}

/** The writes of one store. */
export function createWriting({ ledger, following, platform, refreshOnly, clientOf, announce, dropped }: WritingContext): Writing {
  const { read, write, settled, unsealed } = ledger;
  const { waiting } = ledger.book;
  let lostClaim = 0;
  const { turns, tell, learn, learnStore, rereadNow, rereadStore } = following;

  const pauseAfter = async (tries: number): Promise<void> => {
    if (tries < TRIES_AT_ONCE) return;
    const mostMs = Math.min(2 ** (tries - TRIES_AT_ONCE), MAX_PAUSE_MS);
    await new Promise<void>((resolve) => platform.setTimer(resolve, mostMs * randomFraction(platform), true));
  };
  /** Where no tombstone stays, a record of the same id may have counted up to any number: a late write over it must not fit this one. */
  const firstCountOf = ({ epoch }: RecordDraft): number =>
    firstCount(epoch) + (ledger.book.isNarrow ? Math.floor(randomFraction(platform) * 2 ** 19) : 0);
  const formOf = (record: CredentialRecord): CredentialRecord => storedForm(record, refreshOnly && ledger.isOurs(record));
  const put = (record: CredentialRecord, over: number, isPassing = false): Promise<boolean> =>
    write((storage) => storage.write(formOf(record), over || 'absent', isPassing));
  const written = async (record: CredentialRecord, storedRevision = record.revision, isQuiet = false): Promise<CredentialRecord> => {
    const isDurable = settled(record.id);
    tell([...learn(record, storedRevision), ...isDurable], 'here');
    if (!isQuiet || isTold(record)) announce(record, isQuiet);
    if (record.state === 'removed' && storedRevision > 0 && ledger.book.isNarrow) await letGo(record).catch(() => undefined); // the next start does
    return record;
  };
  /** A refresh that who hears of it takes up, should its page be gone: within a known leeway alone (D-055). A message costs a page in the back/forward cache its place there. */
  const isTold = (record: CredentialRecord): boolean => {
    const { reuseLeewayMs = 0, renew } = (record.intent && clientOf(record)) ?? {};
    return reuseLeewayMs > 0 && !renew;
  };
  /** Where room is short no tombstone stays: a late commit fails on an absent record as well (RF-13). First the store record takes over its claim (D-057). */
  const letGo = async (record: CredentialRecord): Promise<void> => {
    if (keepingPlaces(ledger)(record)) return;
    const { id, revision, defaultClaim, epoch } = record;
    if (defaultClaim > ledger.book.store.nullClaim && !isContested(ledger, record)) await setNobody(defaultClaim, epoch);
    const isGone = await write((storage) => storage.remove(id, revision));
    const entry = ledger.entry(id);
    if (isGone && entry?.storedRevision === revision) entry.storedRevision = 0;
  };
  /** In memory until it can be written: what a server gave once it does not give again. */
  const kept = (record: CredentialRecord, over: number, { code, message }: CredentialError): CredentialRecord => {
    const before = ledger.record(record.id);
    const base = madeOf(before, waiting.get(record.id)?.generation ?? (over === 0 ? 0 : (before?.generation ?? 0)));
    waiting.set(record.id, { ...base, endedAt: base.endedAt ?? (isEnd(record) ? record.changedAt : undefined) });
    const facts = learn(record, over);
    tell(waiting.has(record.id) ? [...facts, { type: 'not_durable', code, message }] : facts, 'here'); // else of an earlier epoch
    return record;
  };
  /** What a record that waits is made of by now. */
  const madeOf = (record: CredentialRecord | undefined, generation: number): Base => {
    const refreshTokens = new Set(record && waiting.get(record.id)?.refreshTokens);
    const own = tokenIn(record);
    if (own !== undefined) refreshTokens.add(own);
    return { generation, refreshTokens, endedAt: record && waiting.get(record.id)?.endedAt };
  };
  /** Commits one record and folds what the write means; `unread`: others wrote first, and what they wrote cannot be read now. */
  const commit = async (
    draft: RecordDraft,
    entry: Entry | undefined,
    { keep, isQuiet }: ChangeOptions,
    unread?: StorageError,
  ): Promise<CredentialRecord | 'again' | null> => {
    const over = entry?.storedRevision ?? 0;
    const before = entry?.record;
    const revision = nextCount(Math.max(over, entry?.record.revision ?? 0, over === 0 ? firstCountOf(draft) : 0));
    const record: CredentialRecord = Object.freeze({
      ...judged(asStored(draft, entry), clientOf(draft)),
      revision,
      changedAt: platform.now(),
    });
    try {
      if (unread) throw unread;
      // What only says that something is under way means nothing after a loss of power; a token that waits means everything.
      const isPassing = isQuiet && !waiting.has(record.id);
      return (await put(record, over, isPassing)) ? await written(record, record.revision, isQuiet) : null;
    } catch (error) {
      if (!keep || !isStorageError(error)) throw error;
      return inMemory(record, over, error, () => ledger.record(record.id) === before);
    }
  };
  /** `again`: a reload has found another record meanwhile, and the change is to be made of that, or given up (RF-5). */
  const inMemory = async (
    record: CredentialRecord,
    over: number,
    error: CredentialError,
    isAsKnown: () => boolean,
  ): Promise<CredentialRecord | 'again'> => {
    if (record.state === 'removed' && over > 0 && (await removed(record.id, over))) {
      const gone = await written(record, 0);
      await keepNobody(record.defaultClaim);
      return gone;
    }
    return isAsKnown() ? kept(record, over, error) : 'again';
  };
  /** A full disk takes no tombstone, but it lets go of the record. */
  const removed = (id: string, over: number): Promise<boolean> => write((storage) => storage.remove(id, over)).catch(() => false);

  /** Removes what a clear has left under the id, by what is stored alone: of a storage that was emptied a low epoch is the newest. True if it did. */
  const cleared = async (id: string): Promise<boolean> => {
    const stored = parseRecord(await read((storage) => storage.read(id)), id);
    const store = parseStoreRecord(await read((storage) => storage.read(STORE_RECORD_ID)));
    if ('corrupt' in stored || !store || stored.epoch >= store.epoch) return false;
    return write((storage) => storage.remove(id, stored.revision));
  };

  const changing = async <R extends CredentialRecord>(
    { id, storedAt = ledger.record(id)?.storedAt }: Meant,
    isReady: (record: CredentialRecord) => record is R,
    change: (current: R) => RecordDraft | null,
    options: ChangeOptions = {},
  ): Promise<CredentialRecord | null> =>
    turns.withLock(id, async () => {
      if (id === STORE_RECORD_ID) return null; // no credential
      let unread: StorageError | undefined;
      for (let tries = 1; tries <= (options.keep ? 2 : 1) * MAX_TRIES; tries++) {
        let entry = ledger.entry(id) ?? (await rereadNow(id, 'elsewhere'));
        while (entry && !isReady(entry.record)) {
          await ledger.openInTime(id);
          entry = ledger.entry(id);
        }
        if (!entry) return null;
        if (storedAt !== undefined && entry.record.storedAt !== storedAt) return null;
        // From here to the call of the storage nothing is waited for: a reload may find another revision at any time, and what was made of
        // the one before must not be written over that.
        const draft = change(entry.record as R);
        if (!draft) return null;
        const record = await commit(draft, entry, options, unread);
        if (record === 'again') continue;
        if (record) return record;
        await pauseAfter(tries);
        unread = (await catchUp(draft, entry)) ?? (tries < MAX_TRIES ? undefined : busy('record')); // then it is kept
      }
      throw busy('record');
    });

  /** Reads what others wrote first; resolves with why it cannot be read. */
  const catchUp = async (draft: RecordDraft, entry: Entry): Promise<StorageError | undefined> => {
    const { id } = entry;
    try {
      await rereadNow(id, 'elsewhere', true);
      // A damaged record keeps nobody signed in: it makes room for the end of the session.
      const why = ledger.entry(id)?.unreadable ? undefined : ledger.book.quarantined.get(id);
      if (why !== undefined && !isEnd(draft)) return new StorageError('storage_conflict', `What is stored cannot be read (${why}).`);
      if (why !== undefined && (await write((storage) => storage.remove(id, 'any')))) (ledger.entry(id) ?? entry).storedRevision = 0;
      if (waiting.has(id)) await settle(id, MAX_TRIES);
      return undefined;
    } catch (error) {
      if (!isStorageError(error)) throw error;
      return new StorageError('storage_conflict', `Others wrote first, and it cannot be read what: ${error.message}`);
    }
  };

  /** One more try for a record that waits; what others wrote meanwhile decides. Runs in the record's turn. */
  const settle = async (id: string, tries = 1): Promise<void> => {
    const entry = ledger.entry(id);
    if (!entry) return tell(settled(id), 'here');
    if (await put(entry.record, entry.storedRevision)) return void (await written(entry.record));
    return merge(entry, true, tries);
  };
  /** What counts of what is stored and what waits; where that cannot be written either, it is what waits from now on. */
  const merge = async ({ id, record, storedRevision }: Entry, wasRefused: boolean, tries = 1): Promise<void> => {
    const value = await read((storage) => storage.read(id));
    const isGone = value === undefined || value === null;
    if (!wasRefused && (isGone || revisionOf(value) === storedRevision)) return;
    if (isGone) {
      tell(settled(id), 'here');
      if (isOpen(record)) dropped(record);
      return void (await rereadNow(id, 'elsewhere'));
    }
    const stored = parseRecord(value, id);
    if ('corrupt' in stored) throw new StorageError('storage_failed', 'What is stored under the id cannot be read.');
    const next = (await isOurs(stored, record)) ? record : await mergedWith(stored, record);
    const isPut = next === record || (await put(next, stored.revision).catch(() => undefined));
    if (isPut) return void (await written(next));
    if (isPut === false) return tries < MAX_TRIES ? pauseAfter(tries).then(() => settle(id, tries + 1)) : undefined; // it waits on
    waiting.set(id, madeOf(record, stored.generation));
    tell(learn(next, stored.revision), 'here');
  };
  /** What is to be stored where others have written before what waits could be. */
  const mergedWith = async (stored: CredentialRecord, record: CredentialRecord): Promise<CredentialRecord> => {
    const revision = nextCount(Math.max(stored.revision, record.revision));
    const { tags, defaultClaim, agedAt } = stored;
    if (isEndOf(stored, record, waiting.get(record.id))) {
      if (record.state === 'revoking') return { ...stored, state: 'revoking', revision };
      return { ...record, defaultClaim, revision, generation: Math.max(nextCount(stored.generation), record.generation) };
    }
    const opened = await unsealed(stored).catch(() => stored);
    // The token is one that ours was made of, so only tags, the default or an access token that was revoked changed: ours goes on top (RF-5).
    if (stored.state === 'active' && isBefore(opened, record)) {
      const isRaised = stored.generation !== waiting.get(record.id)?.generation;
      const generation = isRaised ? Math.max(record.generation, nextCount(stored.generation)) : record.generation;
      const intent = stored.intent && { ...stored.intent, generation }; // somebody may have sent the token before ours
      return { ...record, tags, defaultClaim, revision, generation, ...(intent && { intent }), ...(agedAt !== undefined && { agedAt }) };
    }
    // Another token, or a sign-out: that counts, ours is dropped. Its generation goes above ours, or it would look like an old one.
    if ((stored.state !== 'active' || stored.storedAt !== record.storedAt) && isOpen(record)) dropped(record);
    const generation = isOpen(opened) ? Math.max(stored.generation, nextCount(record.generation)) : stored.generation;
    return { ...asRead(opened, refreshOnly && ledger.isOurs(opened)), generation, revision };
  };
  /** True if what is stored is what our record was made of. */
  const isBefore = (stored: CredentialRecord, record: CredentialRecord): boolean => {
    if (stored.storedAt !== record.storedAt) return false; // another credential
    const base = waiting.get(record.id);
    const theirs = tokenIn(stored);
    const isOlder = theirs !== undefined && theirs !== tokenIn(record) && base?.refreshTokens.has(theirs) === true;
    return isOlder || stored.generation === base?.generation;
  };
  const isOurs = async (stored: CredentialRecord, record: CredentialRecord): Promise<boolean> => {
    if ((['revision', 'changedAt', 'generation'] as const).some((name) => stored[name] !== record[name])) return false;
    const [opened, form] = [await unsealed(stored).catch(() => stored), formOf(record)];
    return stored.state === form.state && holdsTheSame(opened.secrets, form.secrets);
  };

  const updateStore: Writing['updateStore'] = (change) =>
    turns.withLock(STORE_RECORD_ID, async () => {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const value = await rereadStore();
        const found = parseStoreRecord(value);
        if (value !== undefined && !found) await write((storage) => storage.remove(STORE_RECORD_ID, 'any'));
        const { store } = ledger.book; // at first over what is known: less may be an old reading. Where that is refused, the storage was set back
        const over = tries === 0 ? store.revision : found?.revision;
        const next: StoreRecord = Object.freeze({ ...change(store), revision: nextCount(store.revision) });
        if (!(await write((storage) => storage.write(next, (found && over) ?? 'absent')))) {
          await pauseAfter(tries);
          continue;
        }
        tell(learnStore(next), 'here');
        announce({ id: next.id, generation: next.epoch, revision: next.revision });
        return next;
      }
      throw busy('store record');
    });
  /** Nobody is the default who claims no more than this, unless everything was cleared since that epoch: then claims are counted anew. */
  const setNobody = (claim: number, epoch = Infinity): Promise<StoreRecord> =>
    updateStore((current) => {
      const least = current.epoch > epoch ? 0 : claim;
      return { ...current, nullClaim: Math.max(current.nullClaim, nobodyUpTo(ledger, least)), topClaim: Math.max(current.topClaim, least) };
    });
  /** What a record that went without a tombstone claimed stays nobody's: else the next start would take another user for the default (D-022). */
  const keepNobody = async (claim: number): Promise<void> => {
    if (claim <= ledger.book.store.nullClaim) return tell(settled(STORE_RECORD_ID), 'here');
    lostClaim = Math.max(lostClaim, claim);
    try {
      await setNobody(lostClaim);
      tell(settled(STORE_RECORD_ID), 'here');
    } catch (error) {
      if (!isStorageError(error)) throw error;
      waiting.set(STORE_RECORD_ID, { generation: 0, refreshTokens: new Set() });
      tell([{ type: 'not_durable', code: error.code, message: error.message }], 'here');
    }
  };
  let retrying: Promise<void> | undefined;
  const retryAll = async (): Promise<void> => {
    // Each for itself: one that cannot be written must not keep the others from it (E62).
    const tries = [...waiting.keys()].map((id) => {
      if (id === STORE_RECORD_ID) return keepNobody(lostClaim);
      return turns.withLock(id, () => (waiting.has(id) ? settle(id) : Promise.resolve()));
    });
    await Promise.allSettled(tries);
    await Promise.all(tries);
  };

  return {
    insert: (draft) =>
      turns.withLock(draft.id, async () => {
        for (let tries = 0; tries < MAX_TRIES; tries++) {
          const entry = ledger.entry(draft.id);
          const isFree = !entry || (entry.record.state === 'removed' && entry.storedRevision === 0);
          const record = isFree ? await commit(draft, entry, { keep: true }) : null;
          if (record === 'again') continue; // a reload has read it meanwhile
          if (record) return true;
          if (!isFree || !(await cleared(draft.id).catch(() => false))) break;
        }
        await rereadNow(draft.id, 'elsewhere');
        return false;
      }),
    update: (meant, change, options) => changing(meant, isAny, change, options),
    updateOpen: (meant, change, options) => changing(meant, isOpen, change, options),
    updateStore,
    // One at a time: where the storage hangs, others would queue up behind it faster than they fail.
    retry: () => (retrying ??= retryAll().finally(() => (retrying = undefined))),
    retrying: () => retrying,
    reread: (id) =>
      turns.withLock(id, async () => {
        const entry = waiting.has(id) && ledger.entry(id);
        if (entry) await merge(entry, false);
        else await rereadNow(id, 'elsewhere');
      }),
    giveUp: () => tell([...waiting.keys()].flatMap(settled), 'here'),
    isWaiting: (id) => (id === undefined ? waiting.size > 0 : waiting.has(id)),
  };
}

/** They wrote first each time. */
function busy(what: string): StorageError {
  return new StorageError('storage_conflict', `The ${what} is written by others faster than it can be read; try again.`);
}

function tokenIn(record: CredentialRecord | undefined): string | undefined {
  return record && isOpen(record) ? record.secrets?.refreshToken : undefined;
}

/** True for the end of what is stored: it wins over whatever became of the same session meanwhile (RF-13), but not over a later sign-in. */
function isEndOf(stored: CredentialRecord, record: CredentialRecord, { endedAt = Infinity }: Partial<Base> = {}): boolean {
  if (!isEnd(record) || stored.state === 'removed' || stored.storedAt !== record.storedAt) return false;
  const { signedInAt } = stored;
  return signedInAt === undefined || signedInAt === record.signedInAt || signedInAt <= endedAt;
}

const isAny = (_: CredentialRecord): _ is CredentialRecord => true;
