/**
 * The cookies of one HTTP request, on a server.
 *
 * @module
 */
import { parseCookies } from './crumbs.js';

/** Where cookies are read and set. What was set is read at once. */
export interface CookieJar {
  /** All cookies, as in a `Cookie` header: `a=1; b=2`. */
  readonly read: () => string;
  /** Sets or deletes one cookie: a line as in `Set-Cookie`. */
  readonly write: (cookie: string) => void;
}

/** The cookies of a request, and those to send with its answer. */
export interface RequestJar extends CookieJar {
  /** One `Set-Cookie` line for each cookie that was changed, in the order in which a browser is to take them. */
  readonly setCookies: () => readonly string[];
}

/**
 * A jar for one request. What it sets is `HttpOnly`: no script reads what a server keeps. Send an answer that has such lines with
 * `Cache-Control: no-store` (BFF-8).
 *
 * @param header the `Cookie` header; absent where the browser sent none
 * @throws {TypeError} a header that is no text
 */
export function requestJar(header?: string | null): RequestJar {
  if (header != null && typeof header !== 'string') throw new TypeError('requestJar takes the Cookie header, a text');
  const cookies = parseCookies(header ?? '');
  const lines = new Map<string, string>();
  return {
    read: () => Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; '),
    write: (cookie) => {
      const [[name, value] = ['', '']] = parseCookies(cookie.split(';', 1)[0] ?? '');
      if (/; Max-Age=0(?:;|$)/i.test(cookie)) cookies.delete(name);
      else cookies.set(name, value);
      lines.delete(name); // the last line counts, at its place in the order
      lines.set(name, `${cookie}; HttpOnly`);
    },
    setCookies: () => [...lines.values()],
  };
}
