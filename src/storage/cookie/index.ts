/**
 * Records in cookies: of the page, or of a request on a server. They must not hold tokens in the clear (6750-5, waived for this storage
 * alone): a store takes it only inside `sealed(…)`.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { inProcessLocks } from '../../platform/in-process-locks.js';
import { defaultPlatform, type Locks, type Platform } from '../../platform/platform.js';
import { late } from '../late.js';
import { conditionHolds, type CredentialStorage } from '../storage.js';
import { entriesOf, recordIn, valueOf } from './crumbs.js';
import type { CookieJar } from './request-jar.js';
import { answer, CAPACITY, openTin, put, sweep, take, type Tin } from './tin.js';

export { requestJar, type CookieJar, type RequestJar } from './request-jar.js';

/** Options of `cookieStorage`. */
export interface CookieStorageOptions {
  /** Begins the names of the cookies, after the prefix. Default `rx-credentials`. */
  readonly namespace?: string | undefined;
  /** Default: the cookies of the page. On a server `requestJar(header)`: then the records are those of one request. */
  readonly jar?: CookieJar | undefined;
  /** Default `/`, which the prefix `__Host-` demands. */
  readonly path?: string | undefined;
  /** Default: the host of the page alone, as the prefix `__Host-` demands. */
  readonly domain?: string | undefined;
  /** With which requests browsers send the cookies. Default `Lax`. */
  readonly sameSite?: 'Strict' | 'Lax' | 'None' | undefined;
  /** Default true. */
  readonly secure?: boolean | undefined;
  /** One jar for each site that embeds the page (CHIPS). Default false. */
  readonly partitioned?: boolean | undefined;
  /** Seconds a record is kept after its last write, and what says who the default is after any, at most 34,560,000 (400 days). Default: until the browser ends. */
  readonly maxAgeS?: number | undefined;
  /** Browsers hold the cookies to it. Default `__Host-`: Secure, Path=/ and no Domain. */
  readonly prefix?: '__Host-' | '__Secure-' | '' | undefined;
  /** Default: the platform of this runtime. Its page and its locks are used, unless there is a `jar`. */
  readonly platform?: Platform | undefined;
}

/**
 * A storage in cookies, for a few records: all of them together take at most 8 KiB, and go out with each request to their path.
 * Tabs are coordinated by a Web Lock and a small entry in IndexedDB, which says what is the newest; with a `jar` neither is needed.
 *
 * @throws {TypeError} an option is misspelled, the namespace is no text or empty, the attributes contradict each other, or browsers would refuse them
 * @throws {StorageError} from its methods: `storage_failed` where cookies are blocked, do not fit or were not kept (what was stored before
 * still is), or where a page has no IndexedDB; `lock_unavailable` without any locks
 */
export function cookieStorage(options: CookieStorageOptions = {}): CredentialStorage {
  const { namespace = 'rx-credentials', jar, maxAgeS, path: _p, domain: _d, sameSite: _s, secure: _e, ...others } = options;
  const { partitioned: _a, prefix: _r, platform: _l, ...rest } = others;
  assertNothingElse(rest, 'cookieStorage takes CookieStorageOptions');
  assertText(namespace, 'namespace');
  const platform = (): Platform => options.platform ?? defaultPlatform();
  const tin = openTin(options, platform);
  const durability = maxAgeS ? 'relaxed' : 'none';
  const storage = jar
    ? jarStorage(namespace, jar, tin, durability)
    : late(namespace, async () => {
        const { pageStorage } = await import('./page.js');
        return pageStorage({ namespace, tin, durability, platform: platform() });
      });
  return { ...storage, needsSealing: true, isPartial: true };
}

/** The cookies of one request. Nobody else sees them, and no change has a pause: a condition holds until its write is done. */
function jarStorage(namespace: string, jar: CookieJar, tin: Tin, durability: 'none' | 'relaxed'): CredentialStorage {
  const locks = locksOf(jar); // those of the platform would make the requests of a server wait for each other
  const stored = (id: string): unknown => recordIn(valueOf(tin.all(), tin.base, id));
  return {
    namespace,
    open: () => Promise.resolve({ coherent: true, durability, reach: 'process', capacity: CAPACITY }),
    read: (id) => answer(() => stored(id)),
    readAll: () => answer(() => entriesOf(tin.all(), tin.base).map(({ id, value }) => ({ id, value: recordIn(value) }))),
    write: (record, condition) =>
      answer(() => {
        if (!conditionHolds(stored(record.id), condition)) return false;
        sweep(tin);
        put(tin, record.id, record); // and no other again: what another request has written meanwhile must not come back
        sweep(tin);
        return true;
      }),
    remove: (id, condition) =>
      answer(() => {
        if (!conditionHolds(stored(id), condition)) return false;
        take(tin, id);
        return true;
      }),
    withLock: (name, run, signal) => locks.withLock(name, run, signal),
    sweep: () => answer(() => sweep(tin)),
    close: () => Promise.resolve(),
  };
}

/** Storages over one jar exclude each other; nothing but the jar is known to all of them. */
const LOCKS = new WeakMap<CookieJar, Locks>();

function locksOf(jar: CookieJar): Locks {
  const locks = LOCKS.get(jar) ?? inProcessLocks();
  LOCKS.set(jar, locks);
  return locks;
}
