/**
 * Opening a storage: what goes wrong is a finding, not an exception, since a program goes on without its storage (E38).
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import { asCredentialError, causeOf, isCredentialError, StorageError, type CredentialError } from '../errors.js';
import { countdown } from '../platform/countdown.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage, Reach, StorageCapabilities, StoredEntry } from '../storage/storage.js';

/** What a start finds. */
export interface OpenedStorage {
  readonly capabilities: StorageCapabilities;
  readonly entries: readonly StoredEntry[];
  /** Why the storage is not used. */
  readonly error?: CredentialError;
}

/**
 * Opens and reads the storage, unless its records are shared further than any lock at hand reaches. What may pass is tried again for half a
 * second: who gives up at once is signed out until the next start. `onOpen` is called as soon as the reading is asked for: who listens from
 * then on misses no write of others (E45), and makes nobody wait for it.
 */
export async function openStorage(
  storage: CredentialStorage,
  platform: Platform,
  onOpen: (capabilities: StorageCapabilities) => void,
): Promise<OpenedStorage> {
  const deadline = deadlineOf(platform);
  let capabilities: StorageCapabilities | undefined;
  const open = async (): Promise<OpenedStorage> => {
    capabilities ??= usable(await Promise.race([storage.open(), deadline.passed]), storage, platform);
    const reading = (async () => storage.readAll())();
    reading.catch(() => undefined); // should listening fail
    onOpen(capabilities);
    return { capabilities, entries: entriesOf(await Promise.race([reading, deadline.passed])) };
  };
  try {
    for (const pauseMs of PAUSES_MS) {
      const opened = await open().catch(leaveIfPassing);
      if (opened) return opened;
      if (!capabilities) closeUnused(storage); // as many times as it was opened
      await Promise.race([new Promise<void>((resolve) => platform.setTimer(resolve, pauseMs, true)), deadline.passed]);
    }
    return await open();
  } catch (thrown) {
    const error = asCredentialError(thrown, 'storage_failed', `The storage could not be opened${causeOf(thrown)}.`);
    return { capabilities: { coherent: true, durability: 'none', reach: 'process' }, entries: [], error };
  } finally {
    deadline.cancel();
  }
}

/** Lets go of a storage that could not be opened. */
export function closeUnused(storage: CredentialStorage): void {
  void (async () => storage.close())().catch(() => undefined);
}

/** What the next attempt may not meet: anything but an error that says it stays. */
function leaveIfPassing(thrown: unknown): void {
  if (isCredentialError(thrown) && thrown.class !== 'transient') throw thrown;
}

/** @throws {StorageError} why these capabilities cannot be used here */
function usable(capabilities: StorageCapabilities, storage: CredentialStorage, platform: Platform): StorageCapabilities {
  // An unknown word would pass for the narrowest reach, and two programs would refresh at once
  const reach = REACHES.indexOf(capabilities.reach);
  if (reach < 0 || !DURABILITY.test(capabilities.durability))
    throw new StorageError('storage_failed', 'The storage names no known reach or durability.');
  const lockReach = storage.withLock ? capabilities.reach : platform.locks?.reach;
  if (!lockReach || REACHES.indexOf(lockReach) < reach) {
    throw new StorageError('lock_unavailable', 'The storage is shared further than any lock at hand reaches; it is not used.');
  }
  if (!capabilities.coherent && capabilities.reach !== 'process') {
    throw new StorageError('storage_failed', 'The storage is shared, but a reader may see old records; two programs would lose a session.');
  }
  return capabilities;
}

/** What a storage gives as all of its records: a list, each id once. @throws {StorageError} it is none */
export function entriesOf(given: unknown): readonly StoredEntry[] {
  const byId = new Map<string, StoredEntry>();
  for (const entry of Array.isArray(given) ? (given as readonly unknown[]) : [null]) {
    if (!isPlainObject(entry) || typeof entry['id'] !== 'string')
      throw new StorageError('storage_failed', 'The storage gave no list of records.');
    if (!byId.has(entry['id'])) byId.set(entry['id'], { id: entry['id'], value: entry['value'] });
  }
  return [...byId.values()];
}

const DEADLINE_MS = 10_000;
/** Between attempts that failed. */
const PAUSES_MS = [100, 400];
/** From narrow to wide. */
const REACHES: readonly Reach[] = ['process', 'origin', 'machine'];
const DURABILITY = /^(none|relaxed|strict)$/;

/** A guard that waits for `ready` must not wait for ever. */
export function deadlineOf(platform: Platform): { readonly passed: Promise<never>; cancel(): void } {
  let cancel = (): void => undefined;
  const passed = new Promise<never>((_, reject) => {
    const late = (): void => reject(new StorageError('storage_failed', `The storage did not open within ${DEADLINE_MS} ms.`));
    cancel = countdown(platform, DEADLINE_MS, late);
  });
  return { passed, cancel: () => cancel() };
}

/** True for what looks like a storage. */
export function isStorage(value: unknown): boolean {
  return isPlainObject(value) && typeof value['open'] === 'function' && typeof value['write'] === 'function';
}
