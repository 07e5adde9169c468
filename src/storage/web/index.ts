/**
 * Records in `localStorage` or `sessionStorage`, with a small coordination record in IndexedDB that says which copy is the newest.
 * Records are stored unsealed, as JSON.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { StorageError } from '../../errors.js';
import { defaultPlatform, type Platform, type WebItems } from '../../platform/platform.js';
import { coordinated } from '../coordination.js';
import { itemsOf, prefixOf } from '../key-value/items.js';
import type { CredentialStorage } from '../storage.js';
import { sessionOf } from './session.js';

/** Options of `webStorage`. */
export interface WebStorageOptions {
  /** All keys begin with it. Default `rx-credentials`. */
  readonly namespace?: string | undefined;
  /** Default: the platform of this runtime. */
  readonly platform?: Platform | undefined;
}

/**
 * A storage in web storage. `local` is shared by all tabs of an origin and outlives them. `session` belongs to a tab and its duplicates,
 * which share one truth, and ends with the last of them. Web storage itself is touched late: looking at it may throw.
 *
 * @throws {TypeError} for another area, a misspelled option, or a namespace that is no well-formed text or empty
 * @throws {StorageError} from `open`: `lock_unavailable` without any locks; `storage_failed` where web storage or IndexedDB is missing or
 * blocked
 */
export function webStorage(area: 'local' | 'session', options: WebStorageOptions = {}): CredentialStorage {
  const { namespace = 'rx-credentials', platform = defaultPlatform(), ...rest } = options;
  assertNothingElse(rest, 'webStorage takes namespace and platform');
  assertText(namespace, 'namespace');
  if (area !== 'local' && area !== 'session') throw new TypeError('area: "local" or "session" is expected.');
  const prefix = prefixOf(namespace);
  const storeOf = (): WebItems => {
    const store = area === 'local' ? platform.page?.localItems?.() : platform.page?.sessionItems();
    if (store) return store;
    throw new StorageError('storage_failed', `${area}Storage is missing or blocked here; credentials can be kept in memory only.`);
  };
  const session = area === 'session' ? () => sessionOf(storeOf(), `${prefix}session`, platform) : undefined;
  const storage = coordinated({ namespace, area, items: itemsOf(storeOf, namespace), session, platform });
  return session ? { ...storage, isPartial: true } : storage;
}
