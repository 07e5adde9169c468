/**
 * Records in cookies: of the page, or of a request on a server. They must not hold tokens in the clear (6750-5, waived for this storage
 * alone): a store takes it only inside `sealed(…)`.
 *
 * @module
 */
import { StorageError } from '../../errors.js';
import { inProcessLocks } from '../../platform/in-process-locks.js';
import { defaultPlatform, type Locks, type Platform } from '../../platform/platform.js';
import { exclusively } from '../deadline.js';
import { conditionHolds, type CredentialStorage, type StorageCapabilities } from '../storage.js';
import { cookieFormat } from './attributes.js';
import { crumbsOf, entriesOf, isOurs, nameOf, orphansOf, parseCookies, sizeOf, valueOf, type Cookies } from './crumbs.js';
import type { CookieJar } from './request-jar.js';

export { requestJar, type CookieJar, type RequestJar } from './request-jar.js';

/** Options of `cookieStorage`. */
export interface CookieStorageOptions {
  /** Begins the names of the cookies, after the prefix. Default `rx-credentials`. */
  readonly namespace?: string;
  /** Default: the cookies of the page. On a server `requestJar(header)`: then the records are those of one request. */
  readonly jar?: CookieJar;
  /** Default `/`, which the prefix `__Host-` demands. */
  readonly path?: string;
  /** Default: the host of the page alone, as the prefix `__Host-` demands. */
  readonly domain?: string;
  /** With which requests browsers send the cookies. Default `Lax`. */
  readonly sameSite?: 'Strict' | 'Lax' | 'None';
  /** Default true. */
  readonly secure?: boolean;
  /** One jar for each site that embeds the page (CHIPS). Default false. */
  readonly partitioned?: boolean;
  /** Seconds a record is kept after its last write, at most 34,560,000 (400 days). Default: until the browser ends. */
  readonly maxAgeS?: number;
  /** Browsers hold the cookies to it. Default `__Host-`: Secure, Path=/ and no Domain. */
  readonly prefix?: '__Host-' | '__Secure-' | '';
  /** Default: the platform of this runtime. Its page and its locks are used, unless there is a `jar`. */
  readonly platform?: Platform;
}

/** Bytes of all our cookies in a request; Node refuses a request with more than 16 KiB of headers. */
const CAPACITY = 8_192;

/** The cookies as they are now. */
interface Tin {
  /** What the names of ours begin with. */
  readonly base: string;
  readonly all: () => Cookies;
  readonly set: (name: string, value: string) => void;
  readonly expire: (name: string) => void;
}

/**
 * A storage in cookies, for a few records: all of them together take at most 8 KiB, and go out with each request to their path.
 * Conditional writes run under a short Web Lock; with a `jar` they are one synchronous step.
 *
 * @throws {TypeError} the attributes contradict each other, or browsers would refuse them
 * @throws {StorageError} from its methods: `storage_failed` where cookies are blocked, do not fit or were not kept (what was stored before
 * still is), `lock_unavailable` without Web Locks
 */
export function cookieStorage(options: CookieStorageOptions = {}): CredentialStorage {
  const { namespace = 'rx-credentials', jar, maxAgeS } = options;
  const platform = (): Platform => options.platform ?? defaultPlatform();
  const tin = openTin(options, platform);
  const { base } = tin;
  const locks = jar && locksOf(jar); // those of the platform would make the requests of a server wait for each other
  /** Runs a change alone among all who share the cookies. A change has no pause: whoever reads meanwhile sees the old or the new. */
  const alone = async <T>(change: () => T): Promise<T> => {
    return jar ? change() : exclusively(platform(), `${namespace}:cookies`, () => answer(change));
  };
  return {
    namespace,
    needsSealing: true,
    isPartial: true,
    open: () =>
      alone((): StorageCapabilities => {
        if (!jar) probe(tin);
        return { coherent: true, durability: maxAgeS ? 'relaxed' : 'none', reach: jar ? 'process' : 'origin', capacity: CAPACITY };
      }),
    read: (id) => answer(() => valueOf(tin.all(), base, id)),
    readAll: () => answer(() => entriesOf(tin.all(), base)),
    write: async (record, condition) => {
      const wanted = crumbsOf(record, base);
      return alone(() => {
        if (!conditionHolds(valueOf(tin.all(), base, record.id), condition)) return false;
        sweep(tin);
        replace(tin, wanted, base + nameOf(record.id));
        sweep(tin);
        return true;
      });
    },
    remove: (id, condition) =>
      alone(() => {
        if (!conditionHolds(valueOf(tin.all(), base, id), condition)) return false;
        const head = base + nameOf(id);
        tin.expire(head); // first, since from here on there is no record
        recordOf(tin, head).forEach((_, name) => tin.expire(name));
        if (tin.all().has(head)) throw notKept(); // a part that is left is no record, and swept later
        return true;
      }),
    ...(locks && { withLock: (name, run) => locks.withLock(name, run) }),
    sweep: () => alone(() => sweep(tin)),
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

/** Attributes are checked now, cookies touched later. */
function openTin(options: CookieStorageOptions, platform: () => Platform): Tin {
  const { prefix, kept, deleted } = cookieFormat(options);
  const jar = (): CookieJar => options.jar ?? pageJar(platform());
  const write = (cookie: string): void => tried(() => jar().write(cookie));
  return {
    base: `${prefix}${nameOf(options.namespace ?? 'rx-credentials')}.`,
    all: () => parseCookies(tried(() => jar().read())),
    set: (name, value) => write(`${name}=${value}${kept}`),
    expire: (name) => write(`${name}=${deleted}`),
  };
}

/** A browser that blocks cookies does not say so. The probe is named like a part of no record: a sweep would take it. */
function probe(tin: Tin): void {
  const name = `${tin.base}.0-0.0`;
  setAll(tin, new Map([[name, '1']]));
  tin.expire(name);
}

/** The cookies under the name of a head, its parts and those of other writes. */
function recordOf(tin: Tin, head: string): Cookies {
  return new Map([...tin.all()].filter(([name]) => name === head || (name.startsWith(`${head}.`) && isOurs(name, tin.base))));
}

/** Deletes parts that belong to no record. */
function sweep(tin: Tin): void {
  orphansOf(tin.all(), tin.base).forEach(tin.expire);
}

/** Puts the cookies of a record in the place of its old ones: all parts, then the head that makes them the record. */
function replace(tin: Tin, wanted: Cookies, head: string): void {
  const before = new Map([...tin.all()].filter(([name]) => isOurs(name, tin.base)));
  const size = sizeOf(before) - sizeOf(recordOf(tin, head)) + sizeOf(wanted);
  if (size > CAPACITY) throw new StorageError('storage_failed', `The cookies would take ${size} bytes, and ${CAPACITY} is the limit.`);
  try {
    setAll(tin, new Map([...wanted].filter(([name]) => name !== head)));
    setAll(tin, new Map([...wanted].filter(([name]) => name === head)), wanted); // the head may have pushed a part out
  } catch (error) {
    restore(tin, wanted, before);
    throw error;
  }
}

/** Sets cookies, and makes sure that they were kept: browsers drop without a word what they do not like (CK-2). */
function setAll(tin: Tin, cookies: Cookies, expected = cookies): void {
  cookies.forEach((value, name) => tin.set(name, value));
  const found = tin.all();
  expected.forEach((value, name) => {
    if (found.get(name) !== value) throw notKept();
  });
}

/** After a write that failed: what it has set goes, what the browser pushed out for it comes back. */
function restore(tin: Tin, wanted: Cookies, before: Cookies): void {
  try {
    wanted.forEach((_, name) => before.has(name) || tin.expire(name));
    const found = tin.all();
    before.forEach((value, name) => found.get(name) === value || tin.set(name, value));
  } catch {
    // reported is the error that led here
  }
}

function notKept(): StorageError {
  const reasons = 'too many or blocked, an insecure page, a path or domain of another page, or a second cookie of the same name';
  return new StorageError('storage_failed', `The browser did not do as the cookie says: ${reasons}.`);
}

function pageJar({ page }: Platform): CookieJar {
  if (!page?.cookies || !page.setCookie) {
    throw new StorageError('storage_failed', 'There is no page here that has cookies; pass a `jar`.');
  }
  return { read: () => page.cookies?.() ?? '', write: (cookie) => page.setCookie?.(cookie) };
}

function tried<T>(access: () => T): T {
  try {
    return access();
  } catch (error) {
    throw error instanceof StorageError ? error : new StorageError('storage_failed', 'Cookies cannot be read or set here.');
  }
}

/** A promise of what is known at once, or of the error. */
function answer<T>(ask: () => T): Promise<T> {
  return new Promise((resolve) => resolve(ask()));
}
