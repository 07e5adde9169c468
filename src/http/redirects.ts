/**
 * Redirects that are followed by hand, as the Fetch standard says (§4.4, HTTP-redirect fetch).
 *
 * @module
 */
import { CredentialError } from '../errors.js';

/** So many are followed (HT-3). */
export const MAX_HOPS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Go where they were meant for, and nowhere else. */
const CREDENTIALS: readonly string[] = ['authorization', 'cookie', 'dpop', 'proxy-authorization'];
/** Say what a body is. */
const OF_BODY = ['content-encoding', 'content-language', 'content-length', 'content-location', 'content-type'];

/** Headers that can be read more than once. */
export type KeptHeaders = Headers | Readonly<Record<string, string>>;

/** A request, as far as a redirect changes it. */
export interface Redirectable {
  /** Absolute. */
  readonly url: string;
  readonly method: string;
  readonly headers: KeptHeaders | undefined;
  readonly body: RequestInit['body'];
  /** True if the body can be sent again. */
  readonly mayRetry: boolean;
}

/** Where an answer leads, and with which method, headers and body. */
export interface Hop extends Omit<Redirectable, 'mayRetry'> {
  readonly isSameOrigin: boolean;
}

/**
 * The request that follows from an answer; `null` if the answer is none that leads elsewhere.
 *
 * @param done how many redirects were followed already
 * @throws {CredentialError} `unexpected_redirect`: too many, to no web address, or with a body that cannot be sent again
 */
export function hopOf({ status, headers }: Response, request: Redirectable, done: number): Hop | null {
  const location = REDIRECTS.has(status) ? headers.get('Location') : null;
  if (location === null) return null;
  if (done >= MAX_HOPS) throw refused(`The resource server redirected more than ${MAX_HOPS} times.`, status);
  const url = addressOf(decoded(location), request.url);
  if (!url) throw refused('The resource server redirected to what is no plain web address.', status);
  const isSameOrigin = url.origin === new URL(request.url).origin;
  if (becomesGet(status, request.method.toUpperCase()))
    return { url: url.href, method: 'GET', headers: without(request.headers, OF_BODY), body: null, isSameOrigin };
  if (!request.mayRetry) throw refused('The resource server redirected a request whose body cannot be sent again.', status);
  return { url: url.href, method: request.method, headers: request.headers, body: request.body, isSameOrigin };
}

/** Headers show a byte as a character; what is not ASCII is UTF-8, as runtimes read it that follow redirects themselves. */
function decoded(location: string): string {
  const isBytes = /[\x80-\xff]/.test(location) && !/[^\0-\xff]/.test(location);
  return isBytes ? new TextDecoder().decode(Uint8Array.from(location, (char) => char.charCodeAt(0))) : location;
}

/** What a redirect leads to; `null` for what is no http(s) URL, or carries a user. */
function addressOf(location: string, base: string): URL | null {
  const url = URL.canParse(location, base) ? new URL(location, base) : null;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  return isWeb && url.username === '' && url.password === '' ? url : null;
}

/** @param method in upper case */
function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'GET' && method !== 'HEAD';
  return (status === 301 || status === 302) && method === 'POST';
}

/** True for headers that stand for somebody. */
export function isCredentialHeader(name: string): boolean {
  return CREDENTIALS.includes(name.toLowerCase());
}

/** Headers without those that stand for somebody. */
export function withoutCredentials(headers: HeadersInit | undefined): Headers {
  return without(headers, CREDENTIALS);
}

function without(headers: HeadersInit | undefined, names: readonly string[]): Headers {
  const left = new Headers(headers);
  for (const name of names) left.delete(name);
  return left;
}

function refused(message: string, status: number): CredentialError {
  return new CredentialError('unexpected_redirect', message, { status });
}
