/**
 * An index of names, for key-value stores that have no way to list their keys.
 *
 * @module
 */
import { StorageError } from '../../errors.js';
import { parsed, type KeyValueStore } from './items.js';
import type { Alone, Repeatedly } from './turns.js';

/** The names there may be items of. */
export interface NameIndex {
  /** Lists a name, so that what is about to be written is found. */
  enter(name: string, isNew: boolean): Promise<void>;
  /** Strikes out the name of an item that was removed, unless that is late by then: it may have been entered again. */
  strike(name: string, isLate: () => boolean): Promise<void>;
  names(): Promise<readonly string[]>;
  /** True if both copies are damaged. */
  isDamaged(): Promise<boolean>;
  /** Lists a name, in an index that begins anew if both copies are damaged: for who has made all before it worthless. */
  beginAnew(name: string): Promise<void>;
}

/** What an index needs. */
export interface NameIndexOptions {
  readonly store: KeyValueStore;
  readonly prefix: string;
  /** The name of its lock. */
  readonly lock: string;
  readonly alone: Alone;
  readonly repeatedly: Repeatedly;
  /**
   * Gives what the index is known to hold. Where only this program changes it: one set for all who do, which is believed, too, since a copy that
   * is written late lies over the names that were entered since.
   */
  readonly known: () => Set<string>;
  readonly isOurs: boolean;
}

const COPIES = ['index', 'index2'] as const;

/** The index is kept twice: a copy that was damaged does not take the records with it (E62). What is in one of them counts. */
export function nameIndex({ store, prefix, lock, alone, repeatedly, known, isOurs }: NameIndexOptions): NameIndex {
  const copies = async (): Promise<{
    readonly texts: readonly unknown[];
    readonly lists: readonly unknown[][];
    readonly isDamaged: boolean;
  }> => {
    const texts: unknown[] = [];
    for (const copy of COPIES) texts.push((await store.getItem(prefix + copy)) ?? undefined);
    const lists = texts.map(parsed).filter((list) => Array.isArray(list));
    return { texts, lists, isDamaged: lists.length === 0 && texts.some((text) => text !== undefined) };
  };
  const read = async ({ anew = false } = {}): Promise<{ readonly texts: readonly unknown[]; readonly names: Set<string> }> => {
    const { texts, lists, isDamaged } = await copies();
    if (isDamaged && !anew)
      throw new StorageError(
        'storage_failed',
        `The items "${prefix}${COPIES.join('" and "')}" are damaged; clear the store, or remove both, to start anew.`,
      );
    const names = new Set(lists.flat().filter((one) => typeof one === 'string'));
    if (isOurs || isDamaged) for (const name of known()) names.add(name);
    return { texts, names };
  };
  const write = async (copy: string, text: string, isLate: () => boolean): Promise<void> => {
    try {
      await store.setItem(prefix + copy, text);
    } finally {
      if (isOurs && isLate()) void repeatedly(lock, () => change(() => undefined)); // else the lock was kept, and nothing lies below
    }
  };
  const change = (by: (names: Set<string>) => void, options?: { readonly anew: boolean }): Promise<void> =>
    alone(lock, async (isLate) => {
      const { texts, names } = await read(options);
      if (isLate()) return;
      by(names);
      const text = JSON.stringify([...names]);
      for (const [i, copy] of COPIES.entries()) if (texts[i] !== text && !isLate()) await write(copy, text, isLate);
      if (isLate()) return;
      const all = known();
      all.clear();
      for (const name of names) all.add(name);
    });
  return {
    // Also a record that was there before this storage: its index may have been lost
    enter: async (name, isNew) => {
      if (isNew || !known().has(name)) await change((names) => names.add(name));
    },
    strike: (name, isLate) => change((names) => !isLate() && names.delete(name)),
    names: async () => [...(await read()).names],
    isDamaged: async () => (await copies()).isDamaged,
    beginAnew: (name) => change((names) => names.add(name), { anew: true }),
  };
}
