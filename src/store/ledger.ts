/**
 * What this store knows of the records, and the only way to read or write them. Whatever is read or written is compared with what was
 * known, and the difference becomes actions: a write of this store, of another tab, and a start are folded alike.
 *
 * @module
 */
import type { EventOrigin, StorageFact } from '../credential/actions.js';
import { difference } from '../credential/difference.js';
import {
  defaultIdOf,
  factsOf,
  NEW_STORE_RECORD,
  parseRecord,
  parseStoreRecord,
  STORE_RECORD_ID,
  tokenOf,
  type CredentialRecord,
  type StoreRecord,
} from '../credential/record.js';
import type { Token } from '../credential/token.js';
import { StorageError } from '../errors.js';
import { inProcessLocks } from '../platform/in-process-locks.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage, StoredEntry } from '../storage/storage.js';
import type { Loop } from './loop.js';

const MAX_TRIES = 20;

/** A record to write; the ledger counts the revision and stamps the time. */
export type RecordDraft = Omit<CredentialRecord, 'revision' | 'changedAt'>;

/** What is known of the records. */
export interface Ledger {
  /** Tombstones included. */
  record(id: string): CredentialRecord | undefined;
  records(): Iterable<CredentialRecord>;
  /** The token of an active record; the same object as long as it is the same token. */
  token(id: string): Token | null;
  store(): StoreRecord;
  /** The highest claim to be the default. */
  topClaim(): number;
  /** Takes in everything a start found. Returns the ids that were to be read again meanwhile: what was found of them may be old. */
  restore(entries: readonly StoredEntry[], durable: boolean): readonly string[];
  /** True if what is stored under the id could not be read the last time. */
  isUnreadable(id: string): boolean;
  /** Reads one record again and folds the difference. */
  reread(id: string): Promise<CredentialRecord | undefined>;
  /** Reads everything again and folds the differences. */
  reload(): Promise<void>;
  /** Writes a record where there is none. `false`: there is one by now, and it has been read. */
  insert(draft: RecordDraft): Promise<boolean>;
  /**
   * Writes what `change` makes of the record, which is read again and changed anew if someone else wrote first (RF-5).
   * `null` from `change` gives up. Resolves with the record written, once the write has committed.
   */
  update(id: string, change: (current: CredentialRecord) => RecordDraft | null): Promise<CredentialRecord | null>;
  /** The same for the store's own record. */
  updateStore(change: (current: StoreRecord) => Omit<StoreRecord, 'revision'>): Promise<StoreRecord>;
  /** True if records of an earlier epoch were found: a clear was cut short. */
  hasLeftovers(): boolean;
  /** Removes records of earlier epochs, and of those of this one what is due; `null` stands for a record that cannot be read. */
  sweep(isDue: (record: CredentialRecord | null) => boolean): Promise<void>;
}

/** A ledger. The storage is asked for late: it may turn out to be another one. `announce` tells the other tabs of a committed write. */
export function createLedger(
  storageOf: () => CredentialStorage,
  platform: Pick<Platform, 'now'>,
  loop: Loop,
  announce: (record: { readonly id: string; readonly generation: number; readonly revision: number }) => void,
): Ledger {
  const known = new Map<string, CredentialRecord>();
  const tokens = new Map<string, { readonly generation: number; readonly token: Token | null }>();
  const quarantined = new Map<string, string>();
  let early: Set<string> | null = new Set(); // ids of which something was heard before the start was taken in
  const turns = inProcessLocks(); // one operation at a time per record, so that our own write is never mistaken for someone else's
  let store = NEW_STORE_RECORD;

  let leftovers = false;
  let defaultId: string | null = null; // as last told
  let claimsChanged = false;

  /** Tells of facts, and of the default that follows from them once all of them are known. */
  const tell = (facts: readonly StorageFact[], origin: EventOrigin): void => {
    const id = claimsChanged ? defaultIdOf(known.values(), store) : defaultId;
    const change: readonly StorageFact[] = id === defaultId ? [] : [{ type: 'default_changed', id }];
    claimsChanged = false;
    defaultId = id;
    loop.dispatch([...facts, ...change], origin);
  };
  /** What changes when a record is known to be this one. */
  const learn = (after: CredentialRecord): readonly StorageFact[] => {
    const before = known.get(after.id);
    if (after.epoch < store.epoch) return forget(after.id);
    quarantined.delete(after.id);
    const fact = difference(before, after);
    if (before && after.revision <= before.revision) return [];
    known.set(after.id, after);
    if (after.state === 'removed') tokens.delete(after.id);
    claimsChanged ||= after.defaultClaim !== (before?.defaultClaim ?? 0) || (after.defaultClaim > 0 && after.state !== before?.state);
    return fact ? [fact] : [];
  };
  /** What changes when a record is known to be gone. What is left here keeps its claim: nothing is promoted in the place of a default. */
  const forget = (id: string): readonly StorageFact[] => {
    const before = known.get(id);
    if (!before) return [];
    known.set(id, { ...before, state: 'removed', secrets: null, revision: 0, generation: 0 });
    if (before.state === 'removed') return []; // a tombstone that somebody swept
    tokens.delete(id);
    claimsChanged = true;
    return [{ type: 'token_removed', id, generation: before.generation + 1 }];
  };
  const judge = (id: string, value: unknown): readonly StorageFact[] => {
    if (value === undefined || value === null) return forget(id);
    const record = parseRecord(value, id);
    return 'corrupt' in record ? quarantine(id, record.corrupt) : learn(record);
  };
  /** Reported once per reason; what was known of the credential stays in use, and the record stays where it is. */
  const quarantine = (id: string, reason: string): readonly StorageFact[] => {
    if (quarantined.get(id) === reason) return [];
    quarantined.set(id, reason);
    return [{ type: 'record_quarantined', id, reason }];
  };
  const learnStore = (next: StoreRecord): readonly StorageFact[] => {
    if (next.revision <= store.revision) return [];
    const cleared = next.epoch > store.epoch;
    store = next;
    claimsChanged = true;
    if (!cleared) return [];
    for (const [id, record] of known) if (record.epoch < store.epoch) known.delete(id);
    tokens.clear();
    return [{ type: 'cleared' }];
  };

  const read = <T>(question: (storage: CredentialStorage) => Promise<T>): Promise<T> => asking(() => question(storageOf()), 'read');
  const write = <T>(command: (storage: CredentialStorage) => Promise<T>): Promise<T> => asking(() => command(storageOf()), 'written');
  const rereadNow = async (id: string, origin: EventOrigin): Promise<CredentialRecord | undefined> => {
    const value = await read((storage) => storage.read(id));
    tell(judge(id, value), origin);
    return known.get(id);
  };
  const rereadStore = async (): Promise<unknown> => {
    const value = await read((storage) => storage.read(STORE_RECORD_ID));
    const record = parseStoreRecord(value);
    if (record) tell(learnStore(record), 'elsewhere');
    return value;
  };
  /** Commits one record and folds what the write means. */
  const commit = async (draft: RecordDraft, revision: number, condition: number | 'absent'): Promise<CredentialRecord | null> => {
    const record: CredentialRecord = Object.freeze({ ...draft, revision, changedAt: platform.now() });
    if (!(await write((storage) => storage.write(record, condition)))) return null;
    tell(learn(record), 'here');
    announce(record);
    return record;
  };

  const ledger: Ledger = {
    record: (id) => known.get(id),
    records: () => known.values(),
    token: (id) => {
      const record = known.get(id);
      if (!record || record.state !== 'active') return null;
      const cached = tokens.get(id);
      if (cached?.generation === record.generation) return cached.token;
      const token = tokenOf(record);
      tokens.set(id, { generation: record.generation, token });
      return token;
    },
    store: () => store,
    topClaim: () => [...known.values()].reduce((top, record) => Math.max(top, record.defaultClaim), store.nullClaim),
    restore: (entries, durable) => {
      const problems: StorageFact[] = [];
      const parsed: CredentialRecord[] = [];
      for (const { id, value } of entries) {
        if (id === STORE_RECORD_ID) {
          store = parseStoreRecord(value) ?? store;
          if (store.revision === 0) problems.push({ type: 'record_quarantined', id, reason: 'bad_store_record' });
          continue;
        }
        const record = parseRecord(value, id);
        if ('corrupt' in record) problems.push(...quarantine(id, record.corrupt));
        else parsed.push(record);
      }
      // Of a store record that cannot be read the newest epoch found is the best guess; where there is none, nothing was ever cleared.
      const isLost = problems.some((problem) => 'id' in problem && problem.id === STORE_RECORD_ID);
      const epoch = isLost ? parsed.reduce((newest, record) => Math.max(newest, record.epoch), 0) : store.epoch;
      store = { ...store, epoch };
      leftovers = parsed.some((record) => record.epoch < epoch);
      for (const record of parsed) if (record.epoch >= epoch) known.set(record.id, record);
      const credentials = Array.from(known.values(), factsOf).filter((facts) => facts !== null);
      defaultId = defaultIdOf(known.values(), store);
      loop.dispatch([{ type: 'restored', durable, credentials, defaultId }, ...problems], 'here');
      const changed = [...(early ?? [])];
      early = null;
      return changed;
    },
    isUnreadable: (id) => quarantined.has(id),
    reread: (id) =>
      turns.withLock(id, async () => {
        if (early) return void early.add(id);
        if (id !== STORE_RECORD_ID) return rereadNow(id, 'elsewhere');
        await rereadStore();
        return undefined;
      }),
    reload: async () => {
      if (early) return; // everything is being read
      const entries = await read((storage) => storage.readAll());
      await turns.withLock(STORE_RECORD_ID, rereadStore);
      const found = new Set(entries.map(({ id }) => id));
      const facts = entries.filter(({ id }) => id !== STORE_RECORD_ID).flatMap(({ id, value }) => judge(id, value));
      tell(facts, 'elsewhere');
      // What is missing may have been written meanwhile: only a reading of its own can tell.
      for (const { id, state } of [...known.values()]) if (!found.has(id) && state !== 'removed') await ledger.reread(id);
    },
    insert: (draft) =>
      turns.withLock(draft.id, async () => {
        const written = await commit(draft, 1, 'absent');
        if (!written) await rereadNow(draft.id, 'elsewhere');
        return written !== null;
      }),
    update: (id, change) =>
      turns.withLock(id, async () => {
        for (let tries = 0; tries < MAX_TRIES; tries++) {
          const current = known.get(id) ?? (await rereadNow(id, 'elsewhere'));
          const draft = current ? change(current) : null;
          if (!current || !draft) return null;
          const written = await commit(draft, current.revision + 1, current.revision || 'absent');
          if (written) return written;
          await rereadNow(id, 'elsewhere');
        }
        throw new StorageError('storage_conflict', 'The record is written by others faster than it can be read; try again.');
      }),
    updateStore: (change) =>
      turns.withLock(STORE_RECORD_ID, async () => {
        for (let tries = 0; tries < MAX_TRIES; tries++) {
          const value = await rereadStore();
          if (value !== undefined && !parseStoreRecord(value)) await write((storage) => storage.remove(STORE_RECORD_ID, 'any'));
          const readable = parseStoreRecord(value) !== null;
          const next: StoreRecord = Object.freeze({ ...change(store), revision: store.revision + 1 });
          if (!(await write((storage) => storage.write(next, readable ? store.revision : 'absent')))) continue;
          tell(learnStore(next), 'here');
          announce({ id: next.id, generation: next.epoch, revision: next.revision });
          return next;
        }
        throw new StorageError('storage_conflict', 'The store record is written by others faster than it can be read; try again.');
      }),
    hasLeftovers: () => leftovers,
    sweep: async (isDue) => {
      for (const { id, value } of await read((storage) => storage.readAll())) {
        if (id === STORE_RECORD_ID) continue;
        const parsed = parseRecord(value, id);
        const record = 'corrupt' in parsed ? null : parsed;
        if (record && record.epoch >= store.epoch && !isDue(record)) continue;
        if (!record && !isDue(null)) continue;
        // Of an earlier epoch goes whatever is there by now: a refresh may have written it again meanwhile.
        const condition = record && record.epoch >= store.epoch ? record.revision : 'any';
        await turns.withLock(id, () => write((storage) => storage.remove(id, condition)));
      }
      leftovers = false;
    },
  };
  return ledger;
}

/** What a storage throws becomes ours; its own errors may hold anything. */
async function asking<T>(question: () => Promise<T>, verb: 'read' | 'written'): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if (error instanceof StorageError) throw error;
    throw new StorageError('storage_failed', `The storage could not be ${verb}${reasonOf(error)}.`);
  }
}

/** The name of a DOMException says what happened (QuotaExceededError …); its text is not ours to trust. */
function reasonOf(error: unknown): string {
  const name = error instanceof Error ? error.name.replace(/\W/g, '').slice(0, 40) : '';
  return name && name !== 'Error' ? ` (${name})` : '';
}
