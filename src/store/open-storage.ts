/**
 * Opening a storage: what goes wrong is a finding, not an exception, since a program goes on without its storage (E38).
 *
 * @module
 */
import { asCredentialError, StorageError, type CredentialError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage, StorageCapabilities, StoredEntry } from '../storage/storage.js';

/** What a start finds. */
export interface OpenedStorage {
  readonly capabilities: StorageCapabilities;
  readonly entries: readonly StoredEntry[];
  /** Why the storage is not used. */
  readonly error?: CredentialError;
}

/**
 * Opens and reads the storage, unless its records are shared further than any lock at hand reaches. `onOpen` is called before anything is
 * read: who listens from then on misses no write of others (E45).
 */
export async function openStorage(
  storage: CredentialStorage,
  platform: Platform,
  onOpen: (capabilities: StorageCapabilities) => void,
): Promise<OpenedStorage> {
  try {
    const capabilities = await storage.open();
    const lockReach = storage.withLock ? capabilities.reach : platform.locks?.reach;
    if (!lockReach || (capabilities.reach === 'origin' && lockReach === 'process')) {
      throw new StorageError('lock_unavailable', 'The storage is shared further than any lock at hand reaches; it is not used.');
    }
    onOpen(capabilities);
    return { capabilities, entries: await storage.readAll() };
  } catch (thrown) {
    const error = asCredentialError(thrown, 'storage_failed', 'The storage could not be opened.');
    return { capabilities: { coherent: true, durability: 'none', reach: 'process' }, entries: [], error };
  }
}
