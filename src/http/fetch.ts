/**
 * `fetch` with tokens: the same signature, the same answers.
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import { defaultPlatform } from '../platform/platform.js';
import { isOfClient, runtimeFetch } from '../platform/requests.js';
import { assertKnown } from './arguments.js';
import { createAttachmentPolicy, type Attachment, type AttachmentOptions, type RequestOptions } from './attachment.js';
import { copyOfBody, isReplayable, letGo } from './bodies.js';
import type { StoreOfCredentials } from './choice.js';
import { hopOf, withoutCredentials, type Hop, type KeptHeaders, type Redirectable } from './redirects.js';
import { anchored, isRead, type ResourceRequest } from './resources.js';

/** Options of `createFetch`. */
export interface FetchOptions extends AttachmentOptions {
  /** What sends. Default: the `fetch` of this runtime as it is when it is called, or, where this one has taken its place, as it was before. */
  readonly fetch?: typeof fetch | undefined;
  /**
   * Who follows redirects of requests that carry a token. `by-hand`: at most five, and each is looked up in the list anew, so that a token
   * goes nowhere else; not possible in browsers. `platform`: the runtime, which drops the token where the origin changes. Default:
   * `platform` in browsers, else `by-hand`. A request with `redirect: 'error'` or `'manual'` of its own keeps it.
   */
  readonly redirects?: 'platform' | 'by-hand' | undefined;
}

/** A request as it goes out, the token apart. */
interface Outgoing extends Redirectable {
  readonly input: string | Request;
  readonly init: RequestInit;
  readonly options: RequestOptions;
}

/**
 * A `fetch` that attaches tokens to requests on the list, and passes all others on as they are: also those that carry an `Authorization`
 * header of their own, and all while nobody is signed in. As with `fetch`, what the caller does with the arguments afterwards changes
 * nothing. A request whose body is a stream, or that is a `Request` with a body, is never sent twice: its 401 goes to the caller. Rejects
 * as `fetch` does, or with the `CredentialError` that says why there is no token.
 *
 * @throws {TypeError} a wrong option
 */
export function createFetch(store: StoreOfCredentials, options: FetchOptions): typeof fetch {
  const policy = createAttachmentPolicy(store, options);
  assertKnown(options, 'FetchOptions');
  const runtime = runtimeFetch();
  const { redirects = isBrowser() ? 'platform' : 'by-hand', fetch: send = runtime.send } = options;
  if (redirects !== 'platform' && redirects !== 'by-hand') throw new TypeError('redirects must be "platform" or "by-hand"');

  /** Sends until the answer is the caller's. */
  const exchange = async (request: Outgoing, attachment: Attachment | null, how?: RequestInit): Promise<Response> => {
    for (let current = attachment; ;) {
      const headers = current ? withAuthorization(request.headers, current) : request.headers;
      const response = await send(request.input, { ...referrerOf(request), ...request.init, ...how, ...(headers && { headers }) });
      current = current && (current.isNew || mayConcernToken(response)) ? await retryOf(current, response) : null;
      if (!current) return response;
    }
  };
  /** The same, through redirects: each is a request of its own (HT-3). */
  const following = async (first: Outgoing, attachment: Attachment): Promise<Response> => {
    let request = first;
    let current: Attachment | null = attachment;
    for (let hops = 0; ; hops++) {
      const response = await exchange(request, current, { redirect: 'manual' });
      if (response.type === 'opaqueredirect')
        throw new CredentialError(
          'unexpected_redirect',
          'A browser does not show where a redirect leads; leave the option "redirects" out.',
        );
      const hop = orDiscard(response, () => hopOf(response, request, hops));
      if (!hop) return hops === 0 ? response : asRedirected(response);
      discard(response);
      const isKept = hop.isSameOrigin && policy.covers(hop);
      request = hopped(request, hop, isKept ? hop.headers : withoutCredentials(hop.headers));
      current = await attachment.follow(hop, request.options);
    }
  };
  return async (input, init) => {
    if (runtime.isBack(init)) return runtime.before(input, init);
    if (isOfClient(init) || !policy.covers(addressee(input, init))) return send(input, init);
    const request = outgoing(isRequest(input) ? input : anchored(String(input), options.baseUrl?.()), init);
    const attachment = hasAuthorization(request.headers) ? null : await policy.attach(request, request.options).catch(abandon(request));
    if (!attachment) return send(request.input, request.init);
    const redirect = request.init.redirect ?? (isRequest(request.input) ? request.input.redirect : 'follow');
    return redirects === 'by-hand' && redirect === 'follow' ? following(request, attachment) : exchange(request, attachment);
  };
}

/** An answer, and its clones, that say there was a redirect. */
function asRedirected(response: Response): Response {
  const clone = response.clone.bind(response);
  return Object.defineProperties(response, { redirected: { value: true }, clone: { value: () => asRedirected(clone()) } });
}

/** Where `fetch` would send to, and how. */
function addressee(input: string | URL | Request, init?: RequestInit | null): ResourceRequest {
  const from = isRequest(input) ? input : undefined;
  return { url: from?.url ?? (input as string | URL).toString(), method: init?.method ?? from?.method ?? 'GET' };
}

/** What `fetch` would make of its arguments, taken before it returns: they are the caller's own, who may change them meanwhile. */
function outgoing(input: string | Request, init?: RequestInit | null): Outgoing {
  const given = init ?? {}; // `fetch` takes null
  if (isRequest(given)) return outgoing(new Request(input, given)); // its members are not its own
  const from = isRequest(input) ? taken(input, given.body) : undefined;
  const { url, method } = addressee(input, given);
  const copy = copyOfInit(given);
  const headers = copyOfHeaders(copy.headers ?? from?.headers);
  const body = copy.body ?? from?.body;
  const signal = copy.signal === undefined ? from?.signal : copy.signal;
  const mayRetry = body === undefined ? !from || isRead(method) : isReplayable(body); // Firefox does not show the body of a Request
  return { input: from ?? url, init: copy, url, method, headers, body, mayRetry, options: { signal, mayRetry } };
}

/**
 * A `Request` as `fetch` takes it: its headers are copied, and its body is used from then on, unless there is another beside it. A clone where
 * there is no body keeps more in Node; one of another library is cloned, or, with a body, sent as it is.
 */
function taken(request: Request, beside: RequestInit['body']): Request {
  const isUsed = beside === undefined || beside === null;
  if (isUsed && request.body !== null) return request instanceof Request ? new Request(request) : request; // of a clone somebody must read both
  return !isUsed && request.bodyUsed ? request : request.clone();
}

/** What a `Request` would lose by a second argument that the caller has not given (Fetch §5.4): how much of the page's address is told. */
function referrerOf({ input, init }: Outgoing): RequestInit | undefined {
  if (!isRequest(input) || Object.values(init).some((member) => member !== undefined)) return undefined;
  const { referrer, referrerPolicy } = input;
  return { referrer, referrerPolicy };
}

function copyOfInit(init: RequestInit): RequestInit {
  const headers = copyOfHeaders(init.headers);
  return { ...init, ...(headers && { headers }), ...(init.body && { body: copyOfBody(init.body) }) };
}

/** The request that follows from a redirect. */
function hopped(request: Outgoing, { url, method, body }: Hop, headers: KeptHeaders | undefined): Outgoing {
  const mayRetry = isReplayable(body);
  const init = { ...initOf(request), method, body: body ?? null };
  return { input: url, init, url, method, headers, body, mayRetry, options: { ...request.options, mayRetry } };
}

/** What a request was made with, for another address. */
function initOf({ input, init }: Outgoing): RequestInit {
  if (!isRequest(input)) return init;
  const { cache, credentials, integrity, keepalive, mode, referrer, referrerPolicy, signal } = input;
  return { cache, credentials, integrity, keepalive, mode, referrer, referrerPolicy, signal, ...init };
}

function isRequest(input: string | URL | Request | RequestInit): input is Request {
  return typeof input === 'object' && 'clone' in input;
}

/** An iterable can be read once; an object is not worth a `Headers`. */
function copyOfHeaders(headers: HeadersInit | KeptHeaders | undefined): KeptHeaders | undefined {
  return headers && (Symbol.iterator in headers ? new Headers(headers) : { ...headers });
}

function hasAuthorization(headers: KeptHeaders = {}): boolean {
  if (headers instanceof Headers) return headers.has('authorization');
  return Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
}

function withAuthorization(headers: KeptHeaders | undefined, { authorization }: Attachment): HeadersInit {
  const all = copyOfHeaders(headers);
  if (!(all instanceof Headers)) return { ...all, authorization };
  all.set('authorization', authorization);
  return all;
}

/** False for most: then there is nothing to wait for. */
function mayConcernToken({ status }: Response): boolean {
  return status === 401 || status === 403 || status === 429 || status === 503;
}

/** What goes with the next try; the answer that it makes up for is let go of. */
async function retryOf(attachment: Attachment, response: Response): Promise<Attachment | null> {
  try {
    const { status, headers, redirected, url } = response;
    const again = await attachment.retryOf({ status, header: (name) => headers.get(name), url: redirected ? url : null, redirected });
    if (again) discard(response);
    return again;
  } catch (error) {
    discard(response);
    throw error;
  }
}

function orDiscard<T>(response: Response, run: () => T): T {
  try {
    return run();
  } catch (error) {
    discard(response);
    throw error;
  }
}

/** What was to be sent is not: its source hears of it, as with `fetch`. */
function abandon({ body }: Outgoing): (reason: unknown) => never {
  return (reason) => {
    if (typeof body === 'object' && body && 'cancel' in body) void body.cancel(reason).catch(() => undefined);
    throw reason;
  };
}

/** Nobody reads it: its connection is free again. */
function discard({ body }: Response): void {
  letGo(body);
}

declare const WorkerGlobalScope: (abstract new () => object) | undefined;
declare const self: unknown;

/**
 * True in pages and in their workers: there, a redirect cannot be followed by hand, and the browser drops the token where the origin changes.
 * Servers may have the name of a worker's scope as well, without being one (Cloudflare), and need not drop anything (HT-3).
 */
function isBrowser(): boolean {
  if (defaultPlatform().page) return true;
  return typeof WorkerGlobalScope !== 'undefined' && self instanceof WorkerGlobalScope && 'location' in self;
}
