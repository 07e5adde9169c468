/**
 * What this store knows of the records: what a start found, and what is at hand of their secrets. `following.ts` keeps it true.
 *
 * @module
 */
import type { ObservableInput } from 'rxjs';
import type { StorageFact } from '../credential/actions.js';
import { isPlainObject } from '../credential/data.js';
import { factsOf, ownFirst, type IsOurs } from '../credential/facts.js';
import {
  defaultIdOf,
  isCount,
  isLastCount,
  isOpen,
  isSealedText,
  NEW_STORE_RECORD,
  nextCount,
  parseRecord,
  parseStoreRecord,
  STORE_RECORD_ID,
  tokenOf,
  type CredentialRecord,
  type OpenRecord,
  type StoreRecord,
} from '../credential/record.js';
import type { Token } from '../credential/token.js';
import { causeOf, isCredentialError, isStorageError, StorageError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { refusalOf, type CredentialStorage, type StoredEntry } from '../storage/storage.js';
import { within } from '../storage/deadline.js';
import { asRead, asUnreadable, holdsTheSame } from './as-read.js';
import type { Loop } from './loop.js';
import { entriesOf } from './open-storage.js';

/** A valid access token at hand: what a reader gets without asking anybody. */
export interface Live {
  readonly accessToken: Promise<string>;
  /** Wall clock, epoch milliseconds. */
  readonly until: number;
  /** Monotonic clock, milliseconds (TM-2). */
  readonly monotonicUntil: number;
  /** Wall clock, epoch milliseconds: when the monotonic clock was last asked. */
  comparedAt: number;
}

/** A credential that a command means: that one, or whoever has the id. */
export interface Meant {
  readonly id: string;
  /** Tells the credentials of one id apart. */
  readonly storedAt?: number | undefined;
}

/** What a handle reads. */
export interface Holding extends Meant {
  live: Live | undefined;
  /** What all who ask for the access token without conditions wait for. */
  asking: Promise<string> | undefined;
  /** What all who listen for its token wait for, once it could not be opened for now. */
  waiting?: Promise<ObservableInput<Token | null>> | undefined;
  /** Hears that it was opened. */
  onOpened?: (() => void) | undefined;
}

/**
 * What is known of one credential; the same object as long as it is there. One that is stored later under the same id has another: no handle
 * gives the token of another user. So who waited for anything looks up the entry again.
 */
export interface Entry extends Holding {
  /** As last read or written; the secrets in the clear once they were opened. */
  record: CredentialRecord;
  /** The revision in storage, 0 where there is none: behind the record's while a write waits (RF-15). */
  storedRevision: number;
  /** What is stored, where the secrets of it cannot be opened; `record` then says that the user must sign in. */
  unreadable: CredentialRecord | undefined;
  /** `undefined`: not made yet. */
  token: Token | null | undefined;
  /** Monotonic instant of the expiry (TM-2). */
  monotonicExpiresAt: number;
  opening: Promise<OpenRecord> | undefined;
}

/** What a record that waits to be written was made of. */
export interface Base {
  /** That storage had when the first write failed. */
  readonly generation: number;
  /** What is stored with one of these is older than what waits. */
  readonly refreshTokens: ReadonlySet<string>;
  /** When the session was first ended, where that is what waits; in epoch milliseconds. */
  readonly endedAt?: number | undefined;
}

/** What concerns all records. */
export interface Book {
  store: StoreRecord;
  /** The default as last told. */
  defaultId: string | null;
  /** True if records of an earlier epoch were found: a clear was cut short. */
  leftovers: boolean;
  /** Ids of all that ever claimed to be the default: few of many. */
  readonly claimants: Set<string>;
  /** id → why what is stored under it could not be read the last time; so each is reported once. */
  readonly quarantined: Map<string, string>;
  /** The claims of what a start could not read: nobody is promoted in the place of a default that may be among them. */
  readonly lostClaims: Map<string, number>;
  /** By id of a record that waits to be written (RF-15). */
  readonly waiting: Map<string, Base>;
  /** True if the storage keeps what it takes. */
  isDurable: boolean;
  /** True if it has little room: no tombstone stays there. */
  isNarrow?: boolean;
}

/** What is known of the records. */
export interface Ledger {
  readonly book: Book;
  readonly isOurs: IsOurs;
  entry(id: string): Entry | undefined;
  /** Tombstones included. */
  record(id: string): CredentialRecord | undefined;
  entries(): Iterable<Entry>;
  /** The token of an active record; the same object as long as it is the same token; `undefined` while it is sealed. */
  token(id: string): Token | null | undefined;
  /** Milliseconds until the token expires by the one of both clocks that says so first (TM-2); `Infinity` for an unknown lifetime. */
  remainingMs(id: string): number;
  /** Takes in everything a start found. False if some of it could not be read. */
  restore(entries: readonly StoredEntry[], durable: boolean): boolean;
  /**
   * The record with its secrets in the clear; opened once, then held in memory. Takes as long as it takes, since a key may ask a person: for
   * who makes nobody else wait.
   *
   * @throws {StorageError} `key_lost`, `seal_broken`: the record stays as it is, and the user must sign in
   */
  open(id: string): Promise<OpenRecord | undefined>;
  /** The same for what a default has at hand: no key is asked for what is nobody's, or of a client that is not configured (D-018). */
  openOwn(id: string | null): Promise<unknown>;
  /** The same within `limitMs`, by default 30 s. @throws {StorageError} also `storage_failed` */
  openInTime(id: string, limitMs?: number): Promise<OpenRecord | undefined>;
  /** Notes that a record is this one by now, which storage has at `storedRevision`. */
  readonly keep: (record: CredentialRecord, storedRevision: number) => Entry;
  /** @throws {StorageError} `key_lost`, `seal_broken`; `storage_failed` after `limitMs`, by default 30 s */
  readonly unsealed: (record: CredentialRecord, limitMs?: number) => Promise<OpenRecord>;
  readonly quarantine: (id: string, reason: string) => readonly StorageFact[];
  /** Notes that a record does not wait to be written any more. */
  readonly settled: (id: string) => readonly StorageFact[];
  /** Forgets that there ever was a record of this id. */
  readonly drop: (id: string) => void;
  /** Everything there is, by id. @throws {StorageError} */
  readonly readAll: () => Promise<readonly StoredEntry[]>;
  readonly read: <T>(question: (storage: CredentialStorage) => Promise<T>) => Promise<T>;
  readonly write: <T>(command: (storage: CredentialStorage) => Promise<T>) => Promise<T>;
}

/** What a ledger needs of the store around it. */
export interface LedgerContext {
  /** Asked for late: it may turn out to be another one. */
  readonly storageOf: () => CredentialStorage;
  readonly platform: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer'>;
  readonly loop: Loop;
  readonly isOurs: IsOurs;
  /** True if access tokens stay in memory. */
  readonly refreshOnly: boolean;
}

/** A ledger that knows nothing yet. */
export function createLedger({ storageOf, platform, loop, isOurs, refreshOnly }: LedgerContext): Ledger {
  const known = new Map<string, Entry>();
  const book: Book = {
    store: NEW_STORE_RECORD,
    defaultId: null,
    leftovers: false,
    claimants: new Set(),
    quarantined: new Map(),
    lostClaims: new Map(),
    waiting: new Map(),
    isDurable: false,
  };

  const keep = (record: CredentialRecord, storedRevision: number): Entry => {
    const { id, storedAt, state, issuedAt, expiresAt, secrets } = record;
    const before = known.get(id);
    if (record.defaultClaim > 0) book.claimants.add(id);
    const sameToken = before?.record.issuedAt === issuedAt && before.record.expiresAt === expiresAt;
    const sameSecrets = sameToken && before.record.state === state && holdsTheSame(before.record.secrets, secrets);
    const isSame = before?.record.storedAt === storedAt && (before.record.state !== 'removed' || state === 'removed');
    const entry = isSame ? before : (new Known(id) as Entry);
    if (before) before.live = undefined;
    known.set(id, entry);
    return Object.assign(entry, {
      unreadable: entry.unreadable,
      record,
      storedRevision,
      token: sameSecrets ? before.token : undefined,
      monotonicExpiresAt: sameToken ? before.monotonicExpiresAt : monotonicOf(record, platform),
      opening: undefined,
      live: undefined,
      asking: sameSecrets ? entry.asking : undefined,
    });
  };
  /** A record that the storage gave and cannot open: it is shown as such, and stays as it is stored. */
  const refuse = (record: CredentialRecord): Entry =>
    Object.assign(keep(asUnreadable(record, null), record.revision), { unreadable: record });
  const heldOf = (record: CredentialRecord): CredentialRecord => asRead(record, refreshOnly && isOurs(record));
  /** Reported once per reason; what was known of the credential stays in use, and the record stays where it is. */
  const quarantine = (id: string, reason: string): readonly StorageFact[] => {
    if (book.quarantined.get(id) === reason) return [];
    book.quarantined.set(id, reason);
    return [{ type: 'record_quarantined', id, reason }];
  };
  /** If a store record that cannot be read does not say whether nobody was to be the default, nobody is; who signs in next takes the place. */
  const loseStore = (value: unknown, epoch: number): void => {
    let nullClaim = claimOf(value, epoch, 'nullClaim');
    if (nullClaim === undefined) {
      nullClaim = 1;
      for (const { record } of known.values()) nullClaim = Math.max(nullClaim, nextCount(record.defaultClaim));
      book.lostClaims.set(STORE_RECORD_ID, nextCount(nullClaim));
    }
    book.store = { ...book.store, nullClaim };
  };
  const settled = (id: string): readonly StorageFact[] =>
    book.waiting.delete(id) && book.waiting.size === 0 && book.isDurable ? [{ type: 'durable' }] : [];
  const inTime = <T>(question: (storage: CredentialStorage) => Promise<T>): Promise<T> =>
    within(platform, PATIENCE_MS, 'The storage does not answer; try again.', question(storageOf()));
  const read: Ledger['read'] = (question) => asking(() => inTime(question), 'read');
  const write: Ledger['write'] = (command) => asking(() => inTime(command), 'written');

  const opened = async (record: CredentialRecord): Promise<OpenRecord> => {
    if (isOpen(record)) return record;
    const value = await asking(async () => {
      const storage = storageOf();
      if (!storage.unseal)
        throw new StorageError('key_lost', 'The record is sealed, and this storage cannot open it; wrap it in sealed(…).');
      return storage.unseal(record);
    }, 'read');
    const read = parseRecord(value, record.id);
    if ('corrupt' in read || !isOpen(read)) throw new StorageError('seal_broken', 'What was sealed is no secret of a credential.');
    return read;
  };
  /** Holds what was opened, or finds that it cannot be. */
  const openEntry = async (entry: Entry): Promise<OpenRecord> => {
    const { record } = entry;
    const isAsItWas = (): boolean => known.get(entry.id) === entry && entry.record === record;
    try {
      const open = asRead(await opened(record), refreshOnly && isOurs(record)) as OpenRecord;
      if (isAsItWas()) keep(open, entry.storedRevision).onOpened?.();
      return open;
    } catch (error) {
      const reason = isCredentialError(error) ? error.code : '';
      if (isAsItWas() && record.state === 'active' && (reason === 'key_lost' || reason === 'seal_broken')) {
        const unreadable = asUnreadable(record, reason === 'key_lost' ? record.claims : null); // without its key nothing tells against it
        const credential = factsOf(unreadable);
        keep(unreadable, entry.storedRevision).unreadable = record;
        const { id, generation } = record;
        loop.dispatch(
          [...quarantine(id, reason), ...(credential ? [{ type: 'sign_in_required' as const, id, generation, credential }] : [])],
          'here',
        );
      }
      throw error;
    }
  };
  const openedInTime = <T>(limitMs: number, opening: Promise<T>): Promise<T> =>
    within(platform, limitMs, 'The record was not opened in time.', opening);
  const openNow = async (id: string): Promise<OpenRecord | undefined> => {
    for (;;) {
      const entry = known.get(id);
      if (!entry || isOpen(entry.record)) return entry?.record as OpenRecord | undefined;
      await (entry.opening ??= openEntry(entry).finally(() => (entry.opening = undefined)));
    }
  };

  const openOwn = async (id: string | null): Promise<unknown> => {
    const record = id === null ? undefined : known.get(id)?.record;
    return record && isOurs(record) ? openNow(record.id) : undefined;
  };

  return {
    book,
    isOurs,
    entry: (id) => known.get(id),
    record: (id) => known.get(id)?.record,
    entries: () => known.values(),
    token: (id) => {
      const entry = known.get(id);
      if (!entry || entry.record.state !== 'active' || !isOurs(entry.record)) return null;
      if (isSealedText(entry.record.secrets)) return undefined;
      return entry.token === undefined ? (entry.token = tokenOf(entry.record)) : entry.token;
    },
    remainingMs: (id) => {
      const entry = known.get(id);
      if (!entry || entry.record.expiresAt === null) return Infinity;
      return Math.min(entry.record.expiresAt - platform.now(), entry.monotonicExpiresAt - platform.monotonicNow());
    },
    restore: (entries, durable) => {
      book.isDurable = durable;
      const problems: StorageFact[] = [];
      const parsed: CredentialRecord[] = [];
      const refused = new Set<CredentialRecord>();
      const corrupt: StoredEntry[] = [];
      let lostStore: unknown;
      for (const { id, value } of entries) {
        if (id === STORE_RECORD_ID) {
          book.store = parseStoreRecord(value) ?? book.store;
          if (book.store.revision === 0) problems.push({ type: 'record_quarantined', id, reason: 'bad_store_record' });
          lostStore = value;
          continue;
        }
        const record = parseRecord(value, id);
        if ('corrupt' in record) {
          corrupt.push({ id, value });
          problems.push(...quarantine(id, record.corrupt));
          continue;
        }
        parsed.push(record);
        const why = refusalOf(value);
        if (why === undefined) continue;
        refused.add(record);
        problems.push(...quarantine(id, why));
      }
      // Of a store record that cannot be read the newest epoch found is the best guess; where there is none, nothing was ever cleared.
      const isLost = problems.some((problem) => 'id' in problem && problem.id === STORE_RECORD_ID);
      const epoch = isLost ? parsed.reduce((newest, record) => Math.max(newest, record.epoch), 0) : book.store.epoch;
      book.store = { ...book.store, epoch };
      const records: CredentialRecord[] = [];
      for (const record of parsed) {
        if (record.epoch < epoch) book.leftovers = true;
        else records.push((refused.has(record) ? refuse(record) : keep(heldOf(record), record.revision)).record);
      }
      for (const { id, value } of corrupt) {
        const claim = claimOf(value, epoch);
        if (claim) book.lostClaims.set(id, claim);
      }
      if (isLost) loseStore(lostStore, epoch);
      const credentials = records.map((record) => factsOf(record, isOurs)).filter((facts) => facts !== null);
      book.defaultId = defaultIdOf(ownFirst(records, isOurs), book.store, book.lostClaims.values());
      void openOwn(book.defaultId).catch(() => undefined); // on its way while the state is made; who waits for it hears what failed
      loop.begin({ type: 'restored', durable, credentials, defaultId: book.defaultId });
      loop.dispatch(problems, 'here');
      return problems.length === 0;
    },
    open: openNow,
    openOwn,
    openInTime: (id, limitMs = PATIENCE_MS) => openedInTime(limitMs, openNow(id)),
    keep,
    unsealed: (record, limitMs = PATIENCE_MS) => openedInTime(limitMs, opened(record)),
    quarantine,
    settled,
    drop: (id) => {
      known.delete(id);
      book.claimants.delete(id);
    },
    readAll: () => read(async (storage) => entriesOf(await storage.readAll())),
    read,
    write,
  };
}

/** Its time of storing is its record's: ten thousand are held. */
class Known {
  declare readonly record: CredentialRecord;
  readonly id: string;
  constructor(id: string) {
    this.id = id;
  }
  get storedAt(): number {
    return this.record.storedAt;
  }
}

/** No token lives longer than it was given, wherever the clock stands: one that was set back makes its end seem far away (E42). */
function monotonicOf({ issuedAt, expiresAt }: CredentialRecord, { now, monotonicNow }: LedgerContext['platform']): number {
  return expiresAt === null ? Infinity : monotonicNow() + Math.min(expiresAt - now(), Math.max(0, expiresAt - issuedAt));
}

/**
 * What a stored value that is no readable record says of claims; `undefined` where it says nothing, or is of an epoch before this one. Nothing has
 * counted so high as half of the range.
 */
function claimOf(value: unknown, epoch: number, name = 'defaultClaim'): number | undefined {
  try {
    const { [name]: claim, epoch: own = epoch } = isPlainObject(value) ? value : {};
    return isCount(claim) && !isLastCount(claim * 2) && isCount(own) && own >= epoch ? claim : undefined;
  } catch {
    return undefined; // it throws when it is looked at
  }
}

/** How long a storage may take for one answer, in milliseconds: one that never answers has failed, too (RF-15). */
const PATIENCE_MS = 30_000;

/** What a storage throws becomes ours; its own errors may hold anything. */
async function asking<T>(question: () => Promise<T>, verb: 'read' | 'written'): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if (isStorageError(error)) throw error;
    throw new StorageError('storage_failed', `The storage could not be ${verb}${causeOf(error)}.`);
  }
}
