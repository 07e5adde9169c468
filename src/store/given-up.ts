/**
 * Clearing a storage that could not be used at the start: the store goes on in memory (D-009), but who clears means what lies on the medium, too.
 *
 * @module
 */
import { causeOf, isCredentialError, isStorageError, StorageError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { within } from '../storage/deadline.js';
import type { CredentialStorage, StorageCapabilities } from '../storage/storage.js';
import { createFollowing } from './following.js';
import { createLedger } from './ledger.js';
import { createLoop } from './loop.js';
import { createMembership, type Membership } from './membership.js';
import { createStoreLocks, type StoreLocks } from './store-locks.js';
import { connect } from './tabs.js';
import { createWriting } from './writing.js';

/** How long who clears waits for the storage to open, to close, and for a first reading, in milliseconds. */
const OPENING_MS = 5_000;

/** What clearing needs of the store around it. */
export interface GivenUpContext {
  readonly platform: Platform;
  /** The storage in use. */
  readonly storageOf: () => CredentialStorage;
  /** The one that the store was made with. */
  readonly given: CredentialStorage | undefined;
  /** Those of the storage in use. */
  readonly locks: Pick<StoreLocks, 'withLock'>;
}

/** Clears the storage in use, and then the one that was given up for it, opened once more. @throws {StorageError} it may still hold something */
export async function clearAll(membership: Pick<Membership, 'clear'>, context: GivenUpContext): Promise<void> {
  const { storageOf, given, locks } = context;
  await membership.clear(); // first: nobody is signed in here any more, whatever comes of the rest
  if (given && given !== storageOf()) await locks.withLock('given up', () => clearGiven(given, context)); // one user of it at a time
}

async function clearGiven(storage: CredentialStorage, { platform }: GivenUpContext): Promise<void> {
  try {
    const capabilities = await open(storage, platform);
    if (capabilities !== null) await empty(storage, capabilities, platform);
  } catch (thrown) {
    const why = isStorageError(thrown) ? thrown.message : `It could not be opened${causeOf(thrown)}.`;
    throw new StorageError('storage_failed', `Everything is forgotten here, but storage may still hold it; clear again. ${why}`);
  } finally {
    await within(platform, OPENING_MS, '', (async () => storage.close())()).catch(() => undefined);
  }
}

/** What is there now; `null` where the browser has no storage for this page: then there is nothing that could be asked. */
async function open(storage: CredentialStorage, platform: Platform): Promise<Pick<StorageCapabilities, 'reach' | 'capacity'> | null> {
  const opening = (async () => storage.open())();
  try {
    return await within(platform, OPENING_MS, 'The storage did not open in time.', opening);
  } catch (thrown) {
    if (!isStorageError(thrown)) throw thrown;
    if (hasNoStorage(platform)) return null;
    if (thrown.code === 'crypto_unavailable') return { reach: 'origin' }; // to remove what is there nothing is sealed
    throw thrown;
  }
}

/** Storage of every kind is kept from a page together: by the user, who allows no site data, or since it is framed by others (E38). */
function hasNoStorage(platform: Platform): boolean {
  const { page } = platform;
  if (!page) return false;
  try {
    return !platform.indexedDB || (page.localItems !== undefined && page.localItems() === undefined);
  } catch {
    return true;
  }
}

/** As a store of it would: under its lock, by a new epoch of which others hear, and which a later start believes. No key is asked for. */
async function empty(
  storage: CredentialStorage,
  { reach, capacity }: Pick<StorageCapabilities, 'reach' | 'capacity'>,
  platform: Platform,
): Promise<void> {
  const nothing = (): void => undefined;
  const connection = connect(storage, platform, reach, nothing);
  try {
    const loop = createLoop(platform);
    const storageOf = (): CredentialStorage => storage;
    const ledger = createLedger({ storageOf, platform, loop, refreshOnly: false, isOurs: () => false });
    ledger.book.isNarrow = capacity !== undefined;
    const following = createFollowing(ledger, loop, false, nothing);
    const context = { ledger, loop, platform, storageOf, following, announce: connection.announce.bind(connection), hears: () => false };
    const writing = createWriting({ ...context, refreshOnly: false, clientOf: nothing as () => undefined, dropped: nothing });
    const membership = createMembership({ ...context, writing, locks: createStoreLocks(context), find: () => [] });
    const entries = await within(platform, OPENING_MS, '', ledger.readAll()).catch(() => null);
    ledger.restore(entries ?? [], false);
    // What could not be read may be of any epoch that was counted; none is as late as the clock, in seconds
    if (!entries) ledger.book.store = { ...ledger.book.store, epoch: Math.floor(platform.now() / 1000) };
    await membership.clear();
  } catch (thrown) {
    if (isCredentialError(thrown)) throw new StorageError('storage_failed', 'It could not be emptied.');
    throw thrown;
  } finally {
    connection.close();
  }
}
