/**
 * Keys in a browser: `CryptoKey`s that cannot be exported, in an IndexedDB database of their own. A script can use such a key, but cannot copy
 * it. The browser itself keeps it in its profile, Chromium and Firefox without further encryption: apart from the records, not from their owner.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { StorageError } from '../../errors.js';
import { defaultPlatform, type Platform } from '../../platform/platform.js';
import { randomText } from '../../platform/random.js';
import { database } from '../database.js';
import { askingForKeys, isSealingCryptoKey, type ListedKey, type RotatingKeys } from './keys.js';

/** Options of `indexedDBKeys`. */
export interface IndexedDBKeysOptions {
  /** The keys are in the database `<namespace>:keys`. Default `rx-credentials`; `sealed` uses the namespace of its storage. */
  readonly namespace?: string | undefined;
  /** Default: the platform of this runtime. Its `indexedDB`, `crypto`, `now` and `setTimer` are used. */
  readonly platform?: KeyPlatform | undefined;
}

/** What keys in a browser need of a platform. */
export type KeyPlatform = Pick<Platform, 'indexedDB' | 'crypto' | 'now' | 'setTimer' | 'page'>;

/** How long a reading of the keys is taken for true, in milliseconds. */
const CACHE_MS = 60_000;
/** The same where a writer asks whether its key is still the one: of many writes each would take a tenth more. */
const LIST_MS = 1_000;

interface Entry extends ListedKey {
  readonly key: CryptoKey;
}

/**
 * Keys that cannot be exported, shared by all tabs of the origin. The first is made when it is first needed: once, however many tabs start at
 * a time. A key is never written over another one.
 *
 * Methods reject with `storage_failed` where keys can neither be read nor kept: IndexedDB is blocked, the page is no secure context, or the
 * browser cannot store a `CryptoKey` (some cannot in private windows).
 *
 * @throws {TypeError} a misspelled option, or a namespace that is no text or empty
 */
export function indexedDBKeys(options: IndexedDBKeysOptions = {}): RotatingKeys {
  const { namespace = 'rx-credentials', platform = defaultPlatform(), ...rest } = options;
  assertNothingElse(rest, 'indexedDBKeys takes namespace and platform'); // misspelled, two applications would share their keys
  assertText(namespace, 'namespace');
  // `strict`: a key that a power cut takes away would take all its records along.
  const entriesIn = database({ name: `${namespace}:keys`, durability: 'strict', platform });
  let known: { readonly entries: readonly Entry[]; readonly at: number } | undefined;
  let isProven = false;

  let loading: Promise<readonly Entry[]> | undefined;

  const load = (): Promise<readonly Entry[]> => {
    const at = platform.now(); // a tab can be frozen while it reads
    // An engine that cannot restore a key gives null, or something without it.
    const read = (): Promise<unknown[]> => entriesIn.run('readonly', (records) => records.getAll());
    const mine = (async () => {
      const entries = (await askingForKeys(read)).filter(isEntry);
      known = { entries, at };
      return entries;
    })().finally(() => (loading = undefined));
    return (loading = mine);
  };
  /** Of a database that is there still. Not just "younger than": a clock that was set back is no reason to believe an old reading. */
  const recent = (ms: number): readonly Entry[] | undefined =>
    known && entriesIn.isConnected() && Math.abs(platform.now() - known.at) < ms ? known.entries : undefined;
  const entries = async (): Promise<readonly Entry[]> => recent(CACHE_MS) ?? loading ?? load();
  /** Adds a new key if there is none, or, to rotate, in any case. */
  const make = (rotates: boolean): Promise<Entry> =>
    askingForKeys(async () => {
      // Made first: a transaction ends while anything but its database is waited for. Who loses the race uses the key of the winner.
      const key = await platform.crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
      const kid = randomText(platform, 12);
      await entriesIn.run('readwrite', async (records) => {
        const others = (await records.getAll()).filter((one): one is Entry => isEntry(one) && isCurrent(one));
        if (others.length > 0 && !rotates) return;
        if (!(await records.add({ kid, key, retiredAt: null }, kid))) throw new TypeError(kid); // nothing is written then, nor if it fails
        for (const other of others) await records.put({ ...other, retiredAt: platform.now() }, other.kid);
      });
      const made = currentOf(await load());
      if (!made) throw new StorageError('storage_failed', 'This browser does not keep keys.');
      return made;
    });
  /** Stored and read back is not enough: a key counts once it has been used. */
  const prove = async (entry: Entry): Promise<Entry> => {
    if (isProven) return entry;
    const { crypto } = platform;
    const algorithm = { name: 'AES-GCM', iv: crypto.getRandomValues(new Uint8Array(12)) };
    await crypto.subtle.decrypt(algorithm, entry.key, await crypto.subtle.encrypt(algorithm, entry.key, new Uint8Array(1)));
    isProven = true;
    return entry;
  };
  return {
    current: () => askingForKeys(async () => prove(currentOf(await entries()) ?? (await make(false)))),
    get: async (kid) => {
      const keyIn = (all: readonly Entry[]): CryptoKey | undefined => all.find((entry) => entry.kid === kid)?.key;
      return keyIn(await entries()) ?? keyIn(await load());
    },
    list: async () => {
      const all = recent(LIST_MS) ?? (await load());
      return all.map(({ kid, retiredAt }) => ({ kid, retiredAt }));
    },
    rotate: async () => (await make(true)).kid,
    remove: async (kid) => {
      await askingForKeys(() => entriesIn.run('readwrite', (records) => records.delete(kid)));
      await load();
    },
    close: () => entriesIn.close(),
  };
}

function currentOf(entries: readonly Entry[]): Entry | undefined {
  return entries.find(isCurrent);
}

function isCurrent({ retiredAt }: Entry): boolean {
  return retiredAt === null;
}

function isEntry(value: unknown): value is Entry {
  return isSealingCryptoKey((value as Partial<Entry> | null)?.key);
}
