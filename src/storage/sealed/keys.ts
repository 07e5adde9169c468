/**
 * Where the keys come from that records are sealed with, and keys that a program brings along.
 *
 * @module
 */
import { isCredentialError, StorageError } from '../../errors.js';

/** Web Crypto's `CryptoKey`, also where a program is compiled without the DOM's types. */
type CryptoKey = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;

/** A key for AES-GCM with 256 bits, and the name that sealed records know it by. */
export interface SealingKey {
  /** Stored in the clear with each record: no secret. At most 200 characters. A name is never used again for another key. */
  readonly kid: string;
  /** A `CryptoKey` for AES-GCM with 256 bits, or its 32 bytes. */
  readonly key: CryptoKey | Uint8Array;
}

/** A key that exists, without the key. */
export interface ListedKey {
  readonly kid: string;
  /** Epoch milliseconds of the rotation that replaced it; `null` for the one that seals. */
  readonly retiredAt: number | null;
}

/** Keys of a sealed storage. Every method may reject; the store reports it as `storage_failed`. */
export interface SealingKeys {
  /** The key that seals; made if there is none, never over another one. */
  current(): Promise<SealingKey>;
  /**
   * The key of this name; `undefined` if it is gone for good.
   *
   * @param kid what a record says, at most 200 characters: whoever can write to the storage has chosen it. Look it up in a list; make no path or
   * query of it
   */
  get(kid: string): Promise<SealingKey['key'] | undefined>;
  /** All keys there are now, or were a second ago: so that a writer notices a rotation, and old keys can be removed. */
  list?(): Promise<readonly ListedKey[]>;
  /** Forgets a key for good, a second after `rotate()` at the earliest: until then another tab may seal with it. Records that name it can no longer be opened: `sweep()` of the sealed storage asks for this at the right time. */
  remove?(kid: string): Promise<void>;
  /** Lets go of connections; a later call opens them again. */
  close?(): void;
}

/** Keys that can be replaced by new ones. */
export interface RotatingKeys extends Required<SealingKeys> {
  /**
   * Makes a new key and seals with it from now on; other tabs notice within a second, with their next write. What is sealed with an older key
   * can be opened as before, and is sealed with the new one when its tokens are next replaced.
   *
   * @returns the name of the new key
   * @throws {StorageError} `storage_failed`
   */
  rotate(): Promise<string>;
}

/**
 * Keys that the program brings along, for servers and command lines: from a secret manager or the environment, never from the source code.
 * The first seals, all open. To rotate, put a new key first and keep the old ones until no record needs them.
 *
 * @param keys 32 bytes each, or a `CryptoKey` for AES-GCM with 256 bits; a name (`kid`) stands for one key for ever
 * @throws {TypeError} no key at all, a key of another length or kind, a name that is empty, too long or there twice
 */
export function staticKeys(keys: readonly SealingKey[]): SealingKeys {
  if (typeof (keys as Partial<typeof keys> | undefined)?.forEach !== 'function')
    throw new TypeError('staticKeys takes a list: [{ kid, key }]');
  const byKid = new Map<string, SealingKey['key']>();
  keys.forEach(({ kid, key }, index) => {
    const isGood = isBytes(key) ? key.length === 32 : isSealingCryptoKey(key);
    // By its place in the list: who confuses the two members must not find the key in a log.
    if (!isGood) throw new TypeError(`staticKeys: key ${index} must be a Uint8Array of 32 bytes or an AES-GCM CryptoKey of 256 bits`);
    if (!isKid(kid) || kid === '' || byKid.has(kid)) throw new TypeError(`staticKeys: key ${index} needs a kid of its own`);
    byKid.set(kid, isBytes(key) ? Uint8Array.from(key) : key);
  });
  const [first] = byKid;
  if (!first) throw new TypeError('staticKeys: at least one { kid, key } is needed');
  return {
    current: () => Promise.resolve({ kid: first[0], key: first[1] }),
    get: (kid) => Promise.resolve(byKid.get(kid)),
  };
}

/** Also of another realm. */
function isBytes(key: SealingKey['key']): key is Uint8Array {
  return Object.prototype.toString.call(key) === '[object Uint8Array]';
}

/** True for what may be the name of a key. */
export function isKid(kid: unknown): kid is string {
  return typeof kid === 'string' && kid.length <= 200;
}

/** True for what a database or a caller gives as a key, if it is one. */
export function isSealingCryptoKey(key: unknown): key is CryptoKey {
  const { name, length } = ((key as CryptoKey | null | undefined)?.algorithm ?? {}) as Partial<AesKeyAlgorithm>;
  return name === 'AES-GCM' && length === 256;
}

/** Asks for keys, or for what uses them; a failure is `storage_failed`, and says no more than its name. */
export async function askingForKeys<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if (isCredentialError(error)) throw error;
    throw new StorageError('storage_failed', `Credentials cannot be sealed or opened now${nameOf(error)}.`);
  }
}

/** The name of a DOMException says what happened (DataCloneError …); its text is not ours to trust. */
function nameOf(error: unknown): string {
  return error instanceof DOMException ? ` (${error.name})` : '';
}
