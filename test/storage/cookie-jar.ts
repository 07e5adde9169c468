// A browser's cookies as rfc6265bis has them: what it does not like it drops without a word.
import { IDBFactory } from 'fake-indexeddb';

export interface BrowserJarOptions {
  /** Address of the page. */
  readonly url?: string;
  /** Cookies of a host before the oldest are evicted. */
  readonly limit?: number;
}

/** The cookies of one browser, and of one page in it. */
export interface BrowserJar {
  /** `document.cookie`. */
  readonly read: () => string;
  readonly write: (cookie: string) => void;
  /** The same as sent by the server of the page. */
  readonly receive: (setCookie: string) => void;
  /** A jar of another page in the same browser. */
  readonly at: (url: string) => BrowserJar;
  readonly stored: () => readonly StoredCookie[];
  /**
   * A jar of the same page in a process of its own, which keeps a copy of the cookies (Firefox, WebKit): its own changes it sees at once,
   * those of others after `lag` reads of its own; `Infinity`: only when they are delivered.
   */
  readonly inProcess: (lag: number) => BrowserJar;
  /** What others changed arrives in all processes; `only`: of cookies of these names. */
  readonly deliver: (only?: (name: string) => boolean) => void;
  /** The databases of the browser. */
  readonly indexedDB: IDBFactory;
  /** Every cookie that was written by a page, dropped ones too. */
  readonly written: string[];
  advance(seconds: number): void;
}

export interface StoredCookie {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly hostOnly: boolean;
  readonly path: string;
  readonly secure: boolean;
  readonly httpOnly: boolean;
  readonly sameSite: string;
  readonly partitioned: boolean;
  /** Seconds of the jar's clock; `Infinity` for the end of the session. */
  readonly expiresAt: number;
}

interface Browser {
  cookies: StoredCookie[];
  now: number;
  readonly limit: number;
  readonly written: string[];
  readonly indexedDB: IDBFactory;
  readonly processes: Browser[];
}

const MAX_AGE_S = 34_560_000;
const bytes = (text: string): number => new TextEncoder().encode(text).length;

export function browserJar({ url = 'https://app.example.com/', limit = 180 }: BrowserJarOptions = {}): BrowserJar {
  return pageIn({ cookies: [], now: 0, limit, written: [], indexedDB: new IDBFactory(), processes: [] }, new URL(url));
}

function pageIn(browser: Browser, url: URL): BrowserJar {
  const alive = (): StoredCookie[] => (browser.cookies = browser.cookies.filter(({ expiresAt }) => expiresAt > browser.now));
  const visible = ({ domain, hostOnly, path, secure, httpOnly }: StoredCookie): boolean =>
    (url.hostname === domain || (!hostOnly && url.hostname.endsWith(`.${domain}`))) &&
    (url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`)) &&
    (!secure || url.protocol === 'https:') &&
    !httpOnly;
  return {
    read: () =>
      alive()
        .filter(visible)
        .sort((a, b) => b.path.length - a.path.length)
        .map(({ name, value }) => `${name}=${value}`)
        .join('; '),
    write: (cookie) => {
      browser.written.push(cookie);
      put(browser, url, cookie, true);
    },
    receive: (setCookie) => put(browser, url, setCookie, false),
    at: (other) => pageIn(browser, new URL(other)),
    stored: alive,
    written: browser.written,
    indexedDB: browser.indexedDB,
    inProcess: (lag) => processOf(browser, url, lag),
    deliver: (only) => browser.processes.forEach((copy) => deliver(browser, copy, only)),
    advance: (seconds) => (browser.now += seconds),
  };
}

function processOf(browser: Browser, url: URL, lag: number): BrowserJar {
  const copy: Browser = { ...browser };
  browser.processes.push(copy);
  const [original, mine] = [pageIn(browser, url), pageIn(copy, url)];
  let reads = 0;
  return {
    ...original,
    read: () => {
      if (mine.read() !== original.read() && reads++ >= lag) {
        deliver(browser, copy);
        reads = 0;
      }
      return mine.read();
    },
    write: (cookie) => {
      original.write(cookie);
      put(copy, url, cookie, true);
    },
  };
}

function deliver(browser: Browser, copy: Browser, only: (name: string) => boolean = () => true): void {
  copy.cookies = [...copy.cookies.filter(({ name }) => !only(name)), ...browser.cookies.filter(({ name }) => only(name))];
}

/** Without spaces and tabs at its ends; any other white space belongs to a name. */
const stripped = (text: string): string => text.replace(/^[ \t]+|[ \t]+$/g, '');

/** §5.6 and §5.7 of draft-ietf-httpbis-rfc6265bis. */
function put(browser: Browser, url: URL, text: string, byScript: boolean): void {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text)) return;
  const [pair = '', ...attributes] = text.split(';').map(stripped);
  const at = pair.indexOf('=');
  const [name, value] = at < 0 ? ['', pair] : [stripped(pair.slice(0, at)), stripped(pair.slice(at + 1))];
  if (bytes(name) + bytes(value) > 4_096 || name + value === '') return;
  const given = new Map<string, string>();
  for (const attribute of attributes) {
    const [key = '', ...rest] = attribute.split('=');
    if (bytes(rest.join('=')) <= 1_024) given.set(key.toLowerCase(), rest.join('='));
  }
  const age = given.has('max-age') ? Math.min(Number(given.get('max-age')), MAX_AGE_S) : Infinity;
  const domain = given.get('domain')?.replace(/^\./, '').toLowerCase() ?? '';
  if (domain !== '' && url.hostname !== domain && !url.hostname.endsWith(`.${domain}`)) return;
  const cookie: StoredCookie = {
    name,
    value,
    domain: domain || url.hostname,
    hostOnly: domain === '',
    path: given.get('path')?.startsWith('/') ? (given.get('path') ?? '/') : url.pathname.replace(/\/[^/]*$/, '') || '/',
    secure: given.has('secure'),
    httpOnly: given.has('httponly'),
    sameSite: given.get('samesite') ?? 'Lax',
    partitioned: given.has('partitioned'),
    expiresAt: age > 0 ? browser.now + age : -Infinity,
  };
  const isSecurePage = url.protocol === 'https:';
  if (cookie.secure && !isSecurePage) return;
  if ((cookie.sameSite === 'None' || cookie.partitioned) && !cookie.secure) return;
  if (cookie.httpOnly && byScript) return;
  if (/^__secure-/i.test(name) && !cookie.secure) return;
  if (/^__host-/i.test(name) && !(cookie.secure && cookie.hostOnly && cookie.path === '/')) return;
  if (/^__(host-)?http-/i.test(name) && !(cookie.secure && cookie.httpOnly)) return;
  const twin = browser.cookies.find(
    (one) => one.name === name && one.domain === cookie.domain && one.path === cookie.path && one.partitioned === cookie.partitioned,
  );
  if (twin?.httpOnly && byScript) return;
  if (twin && cookie.expiresAt > browser.now)
    browser.cookies[browser.cookies.indexOf(twin)] = cookie; // keeps its creation time
  else browser.cookies = [...browser.cookies.filter((one) => one !== twin), cookie];
  browser.cookies = browser.cookies.filter(({ expiresAt }) => expiresAt > browser.now).slice(-browser.limit);
}
