/**
 * Cookies of one namespace, changed a record at a time. A change has no pause: whoever reads meanwhile sees the old record or the new.
 *
 * @module
 */
import { StorageError } from '../../errors.js';
import type { Platform } from '../../platform/platform.js';
import { cookieFormat } from './attributes.js';
import { STORE_RECORD_ID } from '../../credential/record.js';
import type { StoredRecord } from '../storage.js';
import { crumbsOf, entriesOf, isOurs, nameOf, orphansOf, parseCookies, recordIn, sizeOf, type Cookies } from './crumbs.js';
import type { CookieStorageOptions } from './index.js';
import type { CookieJar } from './request-jar.js';

/** Bytes of all our cookies in a request; Node refuses a request with more than 16 KiB of headers. */
export const CAPACITY = 8_192;

/** The cookies as they are now. */
export interface Tin {
  /** What the names of ours begin with. */
  readonly base: string;
  /** Tells these cookies from those of the same namespace with other attributes. */
  readonly place: string;
  readonly all: () => Cookies;
  readonly set: (name: string, value: string) => void;
  readonly expire: (name: string) => void;
  /** True if cookies end some time after they were set. */
  readonly isTimed: boolean;
}

/**
 * Attributes are checked now, cookies touched later.
 *
 * @throws {TypeError} the attributes contradict each other, or browsers would refuse them
 */
export function openTin(options: CookieStorageOptions, platform: () => Platform): Tin {
  const { prefix, kept, deleted } = cookieFormat(options);
  const { namespace = 'rx-credentials', path = '/', domain = '', partitioned = false } = options;
  const jar = (): CookieJar => options.jar ?? pageJar(platform());
  const write = (cookie: string): void => tried(() => jar().write(cookie));
  return {
    base: `${prefix}${nameOf(namespace)}.`,
    place: `${prefix}${domain}${path}${partitioned ? ';' : ''}`,
    all: () => parseCookies(tried(() => jar().read())),
    set: (name, value) => write(`${name}=${value}${kept}`),
    expire: (name) => write(`${name}=${deleted}`),
    isTimed: options.maxAgeS !== undefined,
  };
}

/**
 * A browser that blocks cookies does not say so. The probe is named like a part of no record: a sweep would take it.
 *
 * @throws {StorageError} `storage_failed`
 */
export function probe(tin: Tin): void {
  const name = `${tin.base}.0-0.0`;
  setAll(tin, new Map([[name, '1']]));
  tin.expire(name);
}

/**
 * Deletes parts that belong to no record.
 *
 * @param head of the record whose parts are meant; left out: of all
 */
export function sweep(tin: Tin, head?: string): void {
  const orphans = orphansOf(tin.all(), tin.base);
  orphans.filter((name) => head === undefined || name.startsWith(`${head}.`)).forEach(tin.expire);
}

/**
 * Puts the cookies of a value in the place of the old ones under its id: all parts, then the head that makes them a record.
 *
 * @throws {StorageError} `storage_failed`: they do not fit, or were not kept; what was stored before still is
 */
export function put(tin: Tin, id: string, value: unknown): void {
  const wanted = crumbsOf(id, value, tin.base);
  const head = tin.base + nameOf(id);
  const before = new Map([...tin.all()].filter(([name]) => isOurs(name, tin.base)));
  const size = sizeOf(before) - sizeOf(partsOf(tin, head)) + sizeOf(wanted);
  if (size > CAPACITY) throw new StorageError('storage_failed', `The cookies would take ${size} bytes, and ${CAPACITY} is the limit.`);
  try {
    setAll(tin, new Map([...wanted].filter(([name]) => name !== head)));
    setAll(tin, new Map([...wanted].filter(([name]) => name === head)), wanted); // the head may have pushed a part out
  } catch (error) {
    restore(tin, wanted, before);
    throw error;
  }
}

/**
 * The records that must not end before the one that is about to be written, or another user would become the default: the store's own, and
 * the one that claims the default.
 */
export function outlivingOf(tin: Tin, written: StoredRecord): readonly string[] {
  if (!tin.isTimed) return [];
  const entries = entriesOf(tin.all(), tin.base).filter(({ id, value }) => id !== written.id && typeof value === 'object');
  let [claimant, highest] = ['', claimIn(written)];
  for (const { id, value } of entries) if (claimIn(value) > highest) [claimant, highest] = [id, claimIn(value)];
  return entries.map(({ id }) => id).filter((id) => id === STORE_RECORD_ID || id === claimant);
}

function claimIn(value: unknown): number {
  const record = recordIn(value);
  return typeof record === 'object' && record !== null && 'defaultClaim' in record ? Number(record.defaultClaim) || 0 : 0;
}

/**
 * Deletes what is stored under the id.
 *
 * @throws {StorageError} `storage_failed`: a cookie of this name is left that is not ours to delete
 */
export function take(tin: Tin, id: string): void {
  const head = tin.base + nameOf(id);
  tin.expire(head); // first, since from here on there is no record
  partsOf(tin, head).forEach((_, name) => tin.expire(name));
  if (tin.all().has(head)) throw notKept(); // a part that is left is no record, and swept later
}

/** The cookies under the name of a head, its parts and those of other writes. */
function partsOf(tin: Tin, head: string): Cookies {
  return new Map([...tin.all()].filter(([name]) => name === head || (name.startsWith(`${head}.`) && isOurs(name, tin.base))));
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
export function answer<T>(ask: () => T): Promise<T> {
  return new Promise((resolve) => resolve(ask()));
}
