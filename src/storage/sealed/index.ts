/**
 * Encryption at rest: a storage whose secrets are sealed with AES-256-GCM before they reach the storage inside. What is known without
 * opening a token (tags, claims, expiry) stays readable, so that a start and a search need no key. `docs/storage/sealed.md` says what this
 * protects from, and what it does not.
 *
 * @module
 */
import { assertNothingElse } from '../../credential/options.js';
import { defaultPlatform } from '../../platform/platform.js';
import { isCredentialError, StorageError } from '../../errors.js';
import { within } from '../deadline.js';
import { RECORD_VERSION, STORE_RECORD_ID } from '../../credential/record.js';
import type { CredentialStorage, StoredEntry, StoredRecord } from '../storage.js';
import { indexedDBKeys, type KeyPlatform } from './indexeddb-keys.js';
import { isSealed, kidOf, loadJose, openPart, sealPart, SECRET_PARTS, type SecretPart, type Unjudged } from './jwe.js';
import { askingForKeys, type SealingKeys } from './keys.js';

export { indexedDBKeys, type IndexedDBKeysOptions, type KeyPlatform } from './indexeddb-keys.js';
export { staticKeys, type ListedKey, type RotatingKeys, type SealingKey, type SealingKeys } from './keys.js';

/** Options of `sealed`. */
export interface SealedStorageOptions {
  /** Default in browsers: `indexedDBKeys()` with the namespace of the storage. Required where there is no IndexedDB. */
  readonly keys?: SealingKeys | undefined;
  /**
   * `sealed` (default) seals what is written. `plain` is the way back: it opens what is sealed and writes plain records. Both kinds can be
   * read either way.
   */
  readonly write?: 'sealed' | 'plain' | undefined;
  /** Default: the platform of this runtime. */
  readonly platform?: KeyPlatform | undefined;
}

/** A storage that seals. */
export type SealedStorage = CredentialStorage & Required<Pick<CredentialStorage, 'unseal' | 'prepare' | 'sweep'>>;

/** How long a replaced key is kept at least, in milliseconds. */
const KEEP_MS = 24 * 60 * 60 * 1000;
/** How long each step of a sweep, or of a look after a write, is waited for, and after what time a sweep removes no further key, in milliseconds: the lock is let go after 15 s. */
const ANSWER_MS = 4_000;
const SWEEP_MS = 10_000;
const MAX_TRIES = 3;
/** A write that took no longer than this, in milliseconds, was not frozen: no key that was current when it began has been swept by its end. */
const PROMPT_MS = 5_000;

/**
 * Seals the secrets of the records of a storage: a fresh IV for each write, bound to the id, generation and metadata of the record (BBA-4).
 * `write` also rejects with `storage_failed` where keys can neither be read nor kept.
 *
 * @param storage where the records live; the locks and watchers are its own
 * @throws {TypeError} no storage, no keys, an unknown way to write, or a misspelled option; `options.keys` is missing where there is no IndexedDB for the default ones
 */
export function sealed(storage: CredentialStorage, options: SealedStorageOptions = {}): SealedStorage {
  const { keys: given, write = 'sealed', platform = defaultPlatform(), ...rest } = options;
  assertStorage(storage);
  assertNothingElse(rest, 'sealed takes keys, write and platform');
  const keys = given === undefined ? defaultKeys(storage.namespace, platform) : asKeys(given);
  const seals = write !== 'plain';
  if (seals && write !== 'sealed') throw new TypeError('sealed: write must be "sealed" or "plain"');

  /** The record with all its secrets sealed, and the key for it. Sealed text that is carried over from a read is left alone. */
  const seal = async (record: StoredRecord, parts: readonly SecretPart[]): Promise<{ sealedRecord: StoredRecord; kid: string }> => {
    const key = await askingForKeys(() => keys.current());
    const texts = parts.map(async (part) => [part, { sealed: await sealPart(fieldsOf(record), part, key, platform.crypto) }] as const);
    return { sealedRecord: { ...record, ...Object.fromEntries(await Promise.all(texts)) }, kid: key.kid };
  };
  const unseal = async (record: StoredRecord): Promise<StoredRecord> => {
    const parts = SECRET_PARTS.filter((part) => isSealed(fieldsOf(record)[part]));
    if (parts.length === 0) return record;
    const opened = parts.map(async (part) => [part, await openPart(fieldsOf(record), part, keys, platform.crypto)] as const);
    return { ...record, ...Object.fromEntries(await Promise.all(opened)) };
  };
  /** Others wait for a sweep, which holds the store's lock, and for who looks again after a write: either ends before they give up. */
  const answered = <T>(answer: T): Promise<Awaited<T>> =>
    within(platform, ANSWER_MS, 'Keys or storage do not answer.', Promise.resolve(answer));
  /** False if the key was replaced or is gone. Where this cannot be asked, the record stays as it was written. */
  const isStillCurrent = async (kid: string): Promise<boolean> => {
    try {
      const all = keys.list && (await answered(keys.list()));
      return !all || all.some((key) => key.kid === kid && key.retiredAt === null);
    } catch {
      return true;
    }
  };
  /** The record in the clear; as it is where it cannot be opened: tags need no key (D-018). */
  const opened = async (record: StoredRecord): Promise<StoredRecord> => {
    try {
      return await unseal(record);
    } catch (error) {
      if (lossIn(error)) return record;
      throw error;
    }
  };
  const writeSealed: CredentialStorage['write'] = async (record, condition, isPassing) => {
    const parts = plainPartsOf(record);
    if (parts.length === 0) return storage.write(record, condition, isPassing);
    let { sealedRecord, kid } = await seal(record, parts);
    const sealedAt = platform.now();
    const asked = isStillCurrent(kid); // beside the write
    if (!(await storage.write(sealedRecord, condition, isPassing))) return false;
    // A tab can be frozen between sealing and writing, for days. Meanwhile the key was replaced, and swept, since no record named it yet:
    // what was written after all could never be opened. So who wrote looks again, and seals again with the key that is current by now. A key
    // that is merely replaced counts, too: then no record appears under an old key behind the back of a sweep that has read all records.
    const tookMs = platform.now() - sealedAt;
    let isCurrent = (await asked) && tookMs >= 0 && tookMs < PROMPT_MS;
    try {
      for (let tries = 1; tries < MAX_TRIES && !(isCurrent ||= await isStillCurrent(kid)); tries++) {
        ({ sealedRecord, kid } = await answered(seal(record, parts)));
        if (!(await answered(storage.write(sealedRecord, record.revision)))) break;
      }
    } catch {
      // the write has been committed
    }
    return true;
  };
  return {
    namespace: storage.namespace,
    ...(storage.withLock && { withLock: storage.withLock.bind(storage) }),
    ...(storage.watch && { watch: storage.watch.bind(storage) }),
    ...(!seals && storage.needsSealing && { needsSealing: true }),
    isPartial: storage.isPartial === true,
    sendsUnstored: storage.sendsUnstored !== false,
    open: async () => {
      const { crypto } = platform as { readonly crypto?: Partial<Crypto> };
      if (!crypto?.subtle) throw new StorageError('crypto_unavailable', 'Sealing needs Web Crypto: use https or localhost.');
      const opening = storage.open();
      // On its way: the first token that is opened needs it. Where keys cannot be kept, the first write says so, and the store keeps in memory.
      void (async () => keys.list?.())().catch(() => undefined);
      return opening;
    },
    ...(seals && storage.needsSealing
      ? readsOpened(storage, (record) => answered(unseal(record))) // a start waits for it
      : { read: storage.read.bind(storage), readAll: storage.readAll.bind(storage) }),
    write: seals ? writeSealed : async (record, condition, isPassing) => storage.write(await opened(record), condition, isPassing),
    remove: storage.remove.bind(storage),
    unseal,
    // Not the keys, too: where they cannot be had it may be for good, and what cannot be written lives in memory (RF-15).
    prepare: async () => {
      if (seals) await loadJose();
      await storage.prepare?.();
    },
    sweep: async () => {
      const endsAt = platform.now() + SWEEP_MS;
      await answered(storage.sweep?.());
      if (storage.isPartial) return; // who knows which keys the records name that cannot be seen from here
      const before = platform.now() - KEEP_MS;
      const old = ((await answered(keys.list?.())) ?? []).filter(({ retiredAt }) => retiredAt !== null && retiredAt < before);
      if (old.length === 0) return;
      const all = await answered(storage.readAll());
      if (!all.every(showsItsKeys)) return;
      const named = all.flatMap(({ value }) => SECRET_PARTS.map((part) => kidOf(fieldsOf(value)[part])));
      for (const { kid } of old) if (!named.includes(kid) && platform.now() < endsAt) await answered(keys.remove?.(kid));
    },
    close: async () => {
      await storage.close();
      keys.close?.();
    },
  };
}

/**
 * What lies where others can write, such as the cookies of a request, is opened before anything it says is believed: its claims are proven by
 * its seal alone. Nothing lies there in the clear that a store has written.
 */
function readsOpened(
  storage: CredentialStorage,
  unseal: (record: StoredRecord) => Promise<StoredRecord>,
): Pick<CredentialStorage, 'read' | 'readAll'> {
  const opened = async (value: unknown): Promise<unknown> => {
    const plain = plainPartsOf(value);
    let refused: string | undefined = 'seal_broken';
    try {
      if (plain.length === 0) return await unseal(value as StoredRecord);
    } catch (error) {
      refused = lossIn(error) ?? 'storage_failed'; // whatever keys of one's own say
    }
    const nothing = plain.map((part) => [part, { sealed: '' }] as const); // else the next write would seal it
    return { ...fieldsOf(value), ...Object.fromEntries(nothing), refused };
  };
  return {
    read: async (id) => opened(await storage.read(id)),
    readAll: async () => Promise.all((await storage.readAll()).map(async ({ id, value }) => ({ id, value: await opened(value) }))),
  };
}

/** What lies in the clear in a record, and should not. */
function plainPartsOf(record: unknown): readonly SecretPart[] {
  const fields = fieldsOf(record);
  return SECRET_PARTS.filter((part) => fields[part] != null && !isSealed(fields[part]));
}

/** The code of an error by which sealed text can never be opened. */
function lossIn(error: unknown): string | undefined {
  const code = isCredentialError(error) ? error.code : '';
  return code === 'key_lost' || code === 'seal_broken' ? code : undefined;
}

/** Members of a value that is anything at all. */
function fieldsOf(record: unknown): Unjudged {
  return (record ?? {}) as Unjudged;
}

/** False for what is damaged, of a later version, or closed for now (CLI-2): it may be readable again, and name any key. */
function showsItsKeys({ id, value }: StoredEntry): boolean {
  const fields = fieldsOf(value);
  const isShown = (part: SecretPart): boolean => !isSealed(fields[part]) || kidOf(fields[part]) !== undefined;
  return id === STORE_RECORD_ID || (fields['v'] === RECORD_VERSION && SECRET_PARTS.every(isShown));
}

function assertStorage(storage: unknown): void {
  if (typeof (storage as Partial<CredentialStorage> | undefined)?.open !== 'function') throw new TypeError('sealed takes a storage first');
}

function asKeys(keys: SealingKeys): SealingKeys {
  if (typeof (keys as Partial<SealingKeys> | null)?.current === 'function') return keys;
  throw new TypeError('sealed: pass keys like staticKeys');
}

function defaultKeys(namespace: string, platform: KeyPlatform): SealingKeys {
  let isMissing: boolean;
  try {
    isMissing = !platform.indexedDB && !platform.page; // in a page that has none, as in some web views, "open" says so, too
  } catch {
    isMissing = false; // blocked, as in a sandboxed frame: `open` says so, and the store goes on in memory
  }
  if (isMissing) throw new TypeError('sealed: no IndexedDB here: seal in the browser only or pass { keys }');
  return indexedDBKeys({ namespace, platform });
}
