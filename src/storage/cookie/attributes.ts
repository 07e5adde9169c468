/**
 * The attributes of our cookies, checked when they are configured: a browser drops a cookie with wrong ones without a word.
 *
 * @module
 */
import type { CookieStorageOptions } from './index.js';

/** 400 days: browsers cut a longer life to this (rfc6265bis §5.5). */
const MAX_AGE_S = 34_560_000;

/** A browser ignores an attribute whose value is longer (rfc6265bis §5.6). */
const MAX_ATTRIBUTE_BYTES = 1_024;

/** What begins a name by which browsers demand attributes (rfc6265bis §4.1.3), `HttpOnly` of the last two. Case does not matter to them. */
const RESERVED = /^__(host-http-|host-|secure-|http-)/i;

const PREFIXES: readonly unknown[] = ['__Host-', '__Secure-', ''] satisfies CookieStorageOptions['prefix'][];
const SAME_SITES: readonly unknown[] = ['Strict', 'Lax', 'None'] satisfies CookieStorageOptions['sameSite'][];

/** How our cookies look. */
export interface CookieFormat {
  /** What their names begin with, before the namespace. */
  readonly prefix: string;
  /** What stands behind name and value of a cookie that is set: `; Path=/; …`. */
  readonly kept: string;
  /** The same of one that is deleted: with other attributes it would be another cookie. */
  readonly deleted: string;
}

/**
 * Prefix and attributes as the options say.
 *
 * @throws {TypeError} a browser would refuse such a cookie
 */
export function cookieFormat(options: CookieStorageOptions): CookieFormat {
  const { namespace = 'rx-credentials', prefix = '__Host-', path = '/', domain, secure = true, maxAgeS } = options;
  const { sameSite = 'Lax', partitioned = false } = options;
  refuse(!PREFIXES.includes(prefix), 'prefix', 'it is __Host-, __Secure- or empty');
  refuse(!SAME_SITES.includes(sameSite), 'sameSite', 'it is Strict, Lax or None');
  const isWide = path !== '/' || domain !== undefined;
  refuse(isWide && prefix === '__Host-', 'prefix', 'a __Host- cookie has Path=/ and no Domain; take __Secure-');
  const whySecure = [prefix, sameSite === 'None' && 'SameSite=None', partitioned && 'Partitioned'].find(Boolean);
  if (whySecure) refuse(!secure, 'secure', `a ${whySecure} cookie must be Secure`);
  refuse(!isPath(path), 'path', 'it begins with /, has no ; and at most 1,024 bytes');
  refuse(!isDomain(domain), 'domain', 'it is a host name of at most 1,024 bytes');
  refuse(!isAge(maxAgeS), 'maxAgeS', 'it is whole seconds, at least 1 and at most 34,560,000 (400 days)');
  const [reserved = ''] = RESERVED.exec(prefix + namespace) ?? [];
  refuse(reserved !== prefix, 'namespace', `${reserved} means something else to browsers`);
  const place = attribute('Path', path) + attribute('Domain', domain);
  const rest = attribute('Secure', secure) + attribute('SameSite', sameSite) + attribute('Partitioned', partitioned);
  return { prefix, kept: place + attribute('Max-Age', maxAgeS) + rest, deleted: place + attribute('Max-Age', '0') + rest };
}

function attribute(name: string, value: string | number | boolean | undefined): string {
  if (value === undefined || value === false) return '';
  return value === true ? `; ${name}` : `; ${name}=${value}`;
}

function refuse(isWrong: boolean, option: string, reason: string): void {
  if (isWrong) throw new TypeError(`cookieStorage: \`${option}\` does not do: ${reason}.`);
}

function isPath(path: string): boolean {
  return /^\/[^;\p{Cc}]*$/u.test(path) && new TextEncoder().encode(path).length <= MAX_ATTRIBUTE_BYTES;
}

function isDomain(domain: string | undefined): boolean {
  return domain === undefined || (/^[\w.-]+$/.test(domain) && domain.length <= MAX_ATTRIBUTE_BYTES);
}

function isAge(seconds: number | undefined): boolean {
  return seconds === undefined || (Number.isInteger(seconds) && seconds > 0 && seconds <= MAX_AGE_S);
}
