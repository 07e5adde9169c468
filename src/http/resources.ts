/**
 * Which requests may carry a token: an allow-list of parsed URLs, compared by origin and then by path on a segment boundary
 * (6750-2, E14 to E17). Off the list, and with no list, nothing is attached.
 *
 * @module
 */

/** One place that tokens may be sent to. */
interface Resource {
  readonly origin: string;
  /** Ends in `/`. */
  readonly path: string;
}

/** True if a token may go to this URL. */
export type ResourceMatcher = (url: string) => boolean;

/**
 * The allow-list as a function. `https://api.example.com/v1/` and `https://api.example.com/v1` both mean that path and what lies below.
 *
 * @param resources absolute https URLs (http for this machine), without query and fragment
 * @param baseUrl what relative request URLs are relative to; without it they never match
 * @throws {TypeError} an entry that is no such URL
 */
export function createResourceMatcher(resources: readonly string[], baseUrl?: () => string | undefined): ResourceMatcher {
  const allowed = resources.map(parseResource);
  return (url) => {
    const parsed = parse(url, baseUrl?.());
    return parsed !== null && allowed.some((resource) => resource.origin === parsed.origin && isBelow(parsed.pathname, resource.path));
  };
}

function parseResource(resource: string): Resource {
  const url = parse(resource, undefined);
  if (!url) throw new TypeError('resources must be absolute http(s) URLs without user, query and fragment');
  if (resource.includes('*')) throw new TypeError('resources are no patterns: a path means itself and all below it (E14)');
  if (url.search !== '' || url.hash !== '') throw new TypeError('resources must have no query and no fragment');
  const local = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(url.hostname);
  if (url.protocol === 'http:' && !local) throw new TypeError('resources must be https; http is for this machine only');
  if (hasEncodedSeparator(url.pathname)) throw new TypeError('resources must not hold encoded slashes, back-slashes or dots');
  return { origin: url.origin, path: url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/` };
}

/** As fetch and XMLHttpRequest will parse it; `null` for what is no http(s) URL, or carries a user. */
function parse(url: string, baseUrl: string | undefined): URL | null {
  if (!URL.canParse(url, baseUrl)) return null;
  const parsed = new URL(url, baseUrl);
  const web = parsed.protocol === 'https:' || parsed.protocol === 'http:';
  return web && parsed.username === '' && parsed.password === '' ? parsed : null;
}

/** Servers differ in how they read encoded separators: below a path, such a URL may mean something above it. */
function isBelow(pathname: string, path: string): boolean {
  return (pathname === path.slice(0, -1) || pathname.startsWith(path)) && (path === '/' || !hasEncodedSeparator(pathname));
}

function hasEncodedSeparator(pathname: string): boolean {
  return /%2f|%5c|%2e|\\|\/\.\.?;/i.test(pathname); // `..;` is a way up to servers that know path parameters
}
