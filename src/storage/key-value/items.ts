/**
 * Text items of one namespace in any key-value store, sync or async, and a list of them where the store has none to offer.
 *
 * @module
 */
import { StorageError } from '../../errors.js';
import type { NameIndex } from './names.js';

/**
 * An object that keeps text under keys: React Native's `AsyncStorage`, a map, a class with static methods, or a few lines of your own. Every
 * method may return a promise. Not `localStorage`: take `webStorage('local')`, since tabs share it, and see old values of it. Without a way to list keys (`keys`, `getAllKeys`, or `length` with `key`) an index is kept in two items of its own.
 */
export interface KeyValueStore {
  /** The text, or `null` or `undefined` if there is none. */
  getItem(key: string): unknown;
  /** Replaces one item as a whole; throws or rejects if it could not. */
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
  /** All keys, foreign ones too: an iterable, or an object with `keys`. */
  keys?(): unknown;
  getAllKeys?(): unknown;
  /** With `key`: the number of keys. */
  readonly length?: unknown;
  key?(index: number): unknown;
}

/** The items of one namespace; names are without its prefix. */
export interface Items {
  get(name: string): Promise<unknown>;
  /** `isNew` says that there was none: it is then entered in the index, if there is one. Nothing more is begun once it is late. */
  set(name: string, text: string, isNew: boolean, isLate?: () => boolean): Promise<void>;
  remove(name: string, isLate?: () => boolean): Promise<void>;
  /** The names there may be items of. */
  names(): Promise<readonly string[]>;
}

/** A record's own items begin with this; what else begins with the namespace is not read and not touched. */
export const RECORD = 'record:';

/**
 * What the keys of a namespace begin with. No one begins with another's (E39): the encoded text has no colon.
 *
 * @throws {TypeError} for text that cannot be encoded
 */
export function prefixOf(namespace: string): string {
  try {
    return `${encodeURIComponent(namespace)}:`;
  } catch {
    throw new TypeError('namespace: it is no well-formed text (a lone surrogate).');
  }
}

/** What JSON text says; text that is none, and what is no text, stays as it is: unreadable is for the store to judge (E62). */
export function parsed(text: unknown): unknown {
  if (typeof text !== 'string') return text ?? undefined;
  try {
    return (JSON.parse(text) as unknown) ?? text;
  } catch {
    return text;
  }
}

/**
 * The items of a namespace. The store is asked for late: looking at web storage may throw.
 *
 * @param index left out: no index is kept, and without a way to list there are no names
 */
export function itemsOf(storeOf: () => KeyValueStore, namespace: string, index?: NameIndex): Items {
  const itemPrefix = prefixOf(namespace) + RECORD;
  const indexed = (): NameIndex | undefined => (index && !listOf(storeOf()) ? index : undefined);
  return {
    get: async (name) => (await storeOf().getItem(itemPrefix + name)) ?? undefined,
    set: async (name, text, isNew, isLate) => {
      await indexed()?.enter(name, isNew); // first: what is listed without an item is no record, never the reverse
      if (!isLate?.()) await storeOf().setItem(itemPrefix + name, text);
    },
    remove: async (name, isLate) => {
      await storeOf().removeItem(itemPrefix + name);
      const striking = indexed()?.strike(name, () => isLate?.() === true);
      await striking?.catch(() => undefined); // it is gone: what is listed without an item is no record
    },
    names: async () => {
      const list = listOf(storeOf());
      if (!list) return (await index?.names()) ?? [];
      const keys = Array.from(await listed(list));
      if (keys.length > 0 && !keys.some((key) => typeof key === 'string')) throw unknownForm(); // to find nothing would be a sign-out of everybody
      return keys.flatMap((key) => (typeof key === 'string' && key.startsWith(itemPrefix) ? [key.slice(itemPrefix.length)] : []));
    },
  };
}

/** Asks the store for all of its keys; `undefined` where it has no way to. `length` of a class is that of its constructor's parameters. */
function listOf(store: KeyValueStore): (() => unknown) | undefined {
  if (typeof store.keys === 'function') return () => store.keys?.();
  if (typeof store.getAllKeys === 'function') return () => store.getAllKeys?.();
  if (typeof store === 'function' || typeof store.length !== 'number' || typeof store.key !== 'function') return undefined;
  const { length } = store;
  return () => Promise.all(Array.from({ length }, (_, i) => store.key?.(i))); // all in one go: what is removed meanwhile moves the others
}

async function listed(list: () => unknown): Promise<Iterable<unknown>> {
  const found = await list();
  if (isIterable(found)) return found;
  if (typeof found === 'object' && found !== null && 'keys' in found && isIterable(found.keys)) return found.keys;
  throw unknownForm();
}

function unknownForm(): StorageError {
  return new StorageError('storage_failed', 'The store lists its keys in a form that is not known: an iterable of strings is.');
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}
