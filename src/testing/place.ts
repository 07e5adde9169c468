/**
 * What a case of the storage contract has at hand: a place of its own, and the records of the suite.
 *
 * @module
 */
import { defaultPlatform } from '../platform/platform.js';
import { randomText } from '../platform/random.js';
import type { CredentialStorage, StorageCapabilities, StoredEntry, StoredRecord } from '../storage/storage.js';

/** The storage to be proved. */
export interface StorageUnderTest {
  /**
   * A storage of this namespace, not yet opened. Another call with the same namespace is another tab, or another program, at the same
   * place; it may be the same object where nothing can be shared otherwise (memory).
   */
  readonly create: (namespace: string) => CredentialStorage;
  /**
   * Puts something under an id that is no record: what a crash, a bug or a stranger left. Resolves with the value that `read` is to give
   * back. The cases that need it are left out without it.
   */
  readonly plant?: (namespace: string, id: string, value: unknown) => Promise<unknown>;
}

/** A new place, and the storage opened there. */
export interface Place {
  readonly namespace: string;
  readonly storage: CredentialStorage;
  readonly capabilities: StorageCapabilities;
  /** One more storage, opened: of this namespace, or of the one named. */
  readonly another: (namespace?: string) => Promise<CredentialStorage>;
  readonly plant: (id: string, value: unknown) => Promise<unknown>;
}

/** A case as it is written down. */
export type Case = readonly [title: string, run: (place: Place) => Promise<void>];

/** A record with members of the test's own. */
export interface TestRecord extends StoredRecord {
  readonly [member: string]: unknown;
}

/** A record. */
export function record(id: string, revision: number, more: Readonly<Record<string, unknown>> = {}): TestRecord {
  return { id, revision, ...more };
}

/** Everything stored, by id: storages may list in any order. */
export async function everything(storage: CredentialStorage): Promise<readonly StoredEntry[]> {
  return inOrder((await storage.readAll()).map(({ id, value }) => ({ id, value })));
}

/** Records as `everything` gives them back. */
export function entriesOf(...records: readonly StoredRecord[]): readonly StoredEntry[] {
  return inOrder(records.map((value) => ({ id: value.id, value })));
}

/** Entries by id. */
export function inOrder(entries: readonly StoredEntry[]): readonly StoredEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * Lets everything else have its turn: tasks too, not just promises. A message where there are any (jsdom has none), since timers may be slow
 * or faked.
 */
export function breathe(): Promise<void> {
  if (typeof MessageChannel === 'undefined') return new Promise((resolve) => void defaultPlatform().setTimer(resolve, 0, true));
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Runs a case at a new place, and closes everything it opened. */
export async function atNewPlace({ create, plant }: StorageUnderTest, run: (place: Place) => Promise<void>): Promise<void> {
  const namespace = `contract-${randomText(defaultPlatform(), 9)}`;
  const opened = new Set<CredentialStorage>();
  const another = async (other = namespace): Promise<CredentialStorage> => {
    const storage = create(other);
    opened.add(storage);
    await storage.open();
    return storage;
  };
  try {
    const storage = await another();
    const capabilities = await storage.open();
    await run({ namespace, storage, capabilities, another, plant: async (id, value) => await plant?.(namespace, id, value) });
  } finally {
    await Promise.all([...opened].map((storage) => storage.close()));
  }
}
