/**
 * Which requests may carry a token, and which: an allow-list of parsed URLs, compared by origin and then by path on a segment boundary
 * (6750-2, E14 to E17). Off the list, and with no list, nothing is attached.
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import { assertNothingElse } from '../credential/options.js';
import { assertScope } from '../credential/scope.js';
import { isResource } from '../credential/token.js';
import { assertChoice, saysSomething, type CredentialChoice } from './choice.js';

/** A place that tokens may be sent to, and what goes there. */
export interface ProtectedResource {
  /**
   * Absolute https URL (http for this machine), without query and fragment. `https://api.example.com/v1/` and `https://api.example.com/v1`
   * both mean that path and what lies below.
   */
  readonly url: string;
  /** Only requests by these methods, in any case; left out: by all. */
  readonly methods?: readonly string[];
  /** Whose token; left out: that of the default. */
  readonly credential?: CredentialChoice;
  /** Scopes the request needs, separated by blanks: if more was granted, a token with just these is asked for (RFC 6749 §6). */
  readonly scope?: string;
  /** The resource the token must be for, if it is not that of the login: an absolute URI (RFC 8707 §2), named at the sign-in, too (§2.2). */
  readonly resource?: string;
}

/** A request as far as the list is concerned. */
export interface ResourceRequest {
  readonly url: string;
  readonly method: string;
}

/**
 * The entry that covers a request: of several the one with the longest path, then one that names methods. `null`: no token may go there, or
 * servers may differ in which entry's place it is.
 */
export type ResourceMatcher = (request: ResourceRequest) => ProtectedResource | null;

interface Place {
  readonly resource: ProtectedResource;
  readonly origin: string;
  /** Ends in `/`. */
  readonly path: string;
  /** In upper case; `null`: all. */
  readonly methods: ReadonlySet<string> | null;
}

/** The entries of one origin, by path. */
interface Site {
  readonly places: Map<string, Place[]>;
  /** Length of the longest path. */
  longest: number;
}

/** A question with its answer. */
interface Asked extends ResourceRequest {
  readonly base: string | undefined;
  readonly found: ProtectedResource | null;
}

/**
 * The allow-list as a function. What it costs does not depend on how many entries there are.
 *
 * @param resources URLs, or objects that say more
 * @param baseUrl what relative request URLs are relative to; without it they never match. Where it gives no absolute URL they are a `TypeError`
 * @throws {TypeError} an entry that is no such URL, or has a member that is wrong or unknown
 */
export function createResourceMatcher(
  resources: readonly (string | ProtectedResource)[],
  baseUrl?: () => string | undefined,
): ResourceMatcher {
  const sites = new Map<string, Site>();
  for (const place of resources.map(placeOf)) addTo(sites, place);
  const find = (url: string, method: string, base: string | undefined): ProtectedResource | null => {
    const target = parse(url, base);
    const site = target && sites.get(target.origin);
    return site ? entryOf(site, target.pathname, method) : null;
  };
  // Who asks whether a request is covered asks again at once what goes with it.
  let last: Asked | undefined;
  return ({ url, method }) => {
    const base = baseUrl?.();
    if (last?.url !== url || last.method !== method || last.base !== base) last = { url, method, base, found: find(url, method, base) };
    return last.found;
  };
}

function addTo(sites: Map<string, Site>, place: Place): void {
  const site = sites.get(place.origin) ?? { places: new Map<string, Place[]>(), longest: 0 };
  sites.set(place.origin, site);
  site.longest = Math.max(site.longest, place.path.length);
  const list = [...(site.places.get(place.path) ?? []), place];
  site.places.set(
    place.path,
    list.sort((a, b) => Number(a.methods === null) - Number(b.methods === null)),
  );
}

/** The entry that a request belongs to; none where a server may take the address for one that belongs to another entry, and its token. */
function entryOf(site: Site, pathname: string, method: string): ProtectedResource | null {
  // Such a URL may mean something above a path: no path covers it
  const isVague = hasEncodedSeparator(pathname);
  const found = longestOf(site, isVague ? '/' : `${pathname}/`, method);
  if (!found || site.longest === 1 || !/[%;\\]|\/\//.test(pathname)) return found?.resource ?? null;
  const { path, resource } = found;
  const decoded = `${pathname}/`
    .slice(path.length)
    .replace(/%([2-7][\da-f])/gi, decodedChar)
    .replaceAll('\\', '/');
  // Ways up lead anywhere, and so does a parameter that ends where a server decodes a separator
  if (/\/\.\.?[;/]/.test(`/${decoded}`) || (isVague && decoded.includes(';'))) return null;
  // To some servers `;` begins a parameter, and several slashes are one. Who does but a part of all this comes below the same paths
  const merged = decoded
    .replace(/;[^/]*/g, '')
    .replace(/\/+/g, '/')
    .replace(/^\//, '');
  return [decoded, merged].every((below) => longestOf(site, path + below, method) === found) ? resource : null;
}

/** What servers may decode before they look at a path: what needs no code (RFC 3986 §2.3), and what separates. */
function decodedChar(code: string, hex: string): string {
  const char = String.fromCharCode(parseInt(hex, 16));
  return /[\w.~;/\\-]/.test(char) ? char : code;
}

/** The entry whose path is the longest that the path lies below; a path ends at a slash. */
function longestOf({ places, longest }: Site, path: string, method: string): Place | undefined {
  for (let end = path.lastIndexOf('/', longest - 1); end >= 0; end = end === 0 ? -1 : path.lastIndexOf('/', end - 1)) {
    const place = places.get(path.slice(0, end + 1))?.find(({ methods }) => methods?.has(method.toUpperCase()) ?? true);
    if (place) return place;
  }
  return undefined;
}

function placeOf(entry: unknown): Place {
  const resource = (typeof entry === 'string' ? { url: entry } : entry) as ProtectedResource;
  if (!isPlainObject(resource) || typeof resource.url !== 'string') throw new TypeError('resources must be URLs, or objects with a url');
  const { origin, pathname } = placeUrl(resource.url);
  assertMembers(resource);
  return {
    resource: Object.freeze({ ...resource }),
    origin,
    path: pathname.endsWith('/') ? pathname : `${pathname}/`,
    methods: resource.methods ? new Set(resource.methods.map((method) => method.toUpperCase())) : null,
  };
}

function placeUrl(text: string): URL {
  const url = parse(text, undefined);
  if (!url) throw new TypeError('resources must be absolute http(s) URLs without user, query and fragment');
  if (text.includes('*')) throw new TypeError('resources are no patterns: a path means itself and all below it');
  if (url.search !== '' || url.hash !== '') throw new TypeError('resources must have no query and no fragment');
  const local = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(url.hostname);
  if (url.protocol === 'http:' && !local) throw new TypeError('resources must be https; http is for this machine only');
  if (hasEncodedSeparator(url.pathname)) throw new TypeError('resources must not hold encoded slashes, back-slashes or dots');
  return url;
}

function assertMembers({ url: _url, methods, credential, scope, resource, ...rest }: ProtectedResource): void {
  assertNothingElse(rest, 'a resource takes url, methods, credential, scope and resource');
  if (methods !== undefined && !(Array.isArray(methods) && methods.length > 0 && methods.every((one) => typeof one === 'string')))
    throw new TypeError('methods of a resource must be a list such as ["GET", "HEAD"]; leave it out for all');
  if (credential !== undefined) assertChoice(credential);
  if (typeof credential === 'object' && !saysSomething(credential))
    throw new TypeError(
      'credential of a resource must say which: criteria that hold of every credential, or have a member that is undefined, name none',
    );
  if (scope !== undefined && (typeof scope !== 'string' || assertScope(scope, 'scope of a resource') === ''))
    throw new TypeError('scope of a resource must be a text of scopes, such as "read write"; leave it out for all that were granted');
  if (resource !== undefined && !isResource(resource))
    throw new TypeError('resource of a resource must be an absolute URI without fragment');
}

/** What means the same whatever the base is: for the web that takes `//`, since `https:a` is relative to a base of that scheme. */
const ABSOLUTE = /^(?!https?:(?!\/\/))[a-z][a-z\d+.-]*:/i;

/**
 * As fetch and XMLHttpRequest will parse it; `null` for what is no http(s) URL, or carries a user.
 *
 * @throws {TypeError} the base is needed, and is none
 */
function parse(text: string, baseUrl: string | undefined): URL | null {
  const base = ABSOLUTE.test(text) ? undefined : baseUrl;
  let url: URL;
  try {
    url = new URL(text, base);
  } catch {
    if (base !== undefined && !URL.canParse(base)) throw new TypeError('baseUrl must give an absolute URL, or undefined');
    return null;
  }
  const web = url.protocol === 'https:' || url.protocol === 'http:';
  return web && url.username === '' && url.password === '' ? url : null;
}

/** True for requests that ask for something and change nothing (RFC 9110 §9.2.1). */
export function isRead(method: string): boolean {
  return /^(get|head)$/i.test(method);
}

/** An address for comparing: absolute, without fragment; `undefined` for what is none. */
export function addressOf(text: string, baseUrl: string | undefined): string | undefined {
  return parse(text, baseUrl)?.href.split('#', 1)[0];
}

/**
 * The text of a covered address, made to mean the same wherever it is sent from: who sends it has a base of its own, and `/a` and `https:a`
 * would go there.
 */
export function anchored(text: string, baseUrl: string | undefined): string {
  return ABSOLUTE.test(text) ? text : new URL(text, baseUrl).href;
}

function hasEncodedSeparator(pathname: string): boolean {
  return /%2f|%5c|%2e|\\|\/\.\.?;/i.test(pathname); // `..;` is a way up to servers that know path parameters
}
