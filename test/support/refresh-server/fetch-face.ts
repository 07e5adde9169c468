// The server as a `fetch` function for unit tests: no socket, and time only through the timer that was passed in.
import type { Exchange, WireRequest } from './exchange';
import type { Reply } from './faults';

/** A request that went to another origin, which answers 200 to all: a followed redirect, or a client that was misled. */
export interface ForeignRequest {
  readonly method: string;
  readonly url: string;
  /** As it was sent; look for a refresh token in it. */
  readonly body: string;
}

export interface FetchFaceParts {
  readonly exchange: Exchange;
  readonly issuer: string;
  readonly elsewhere: string;
  readonly foreign: ForeignRequest[];
  readonly wait: (ms: number) => Promise<void>;
}

/**
 * A `fetch`. It rejects with the signal's reason once that is aborted (the server's work goes on), and with a TypeError where the
 * connection dies, the answer is not readable across origins, or `redirect: 'error'` meets a redirect. `redirect: 'manual'` shows the
 * redirect as Node does; `follow` (the default of fetch) re-sends to the other origin as the Fetch standard has it.
 */
export function createFetchFace({ exchange, issuer, elsewhere, foreign, wait }: FetchFaceParts): typeof fetch {
  const send = async (url: string, init: RequestInit): Promise<Response> => {
    const body = bodyOf(init);
    const method = init.method ?? 'GET';
    if (!url.startsWith(`${issuer}/`)) return abroad(foreign, { method, url, body });
    const { pathname } = new URL(url.slice(issuer.length), 'http://path.invalid');
    const request: WireRequest = {
      method,
      path: pathname,
      authorization: new Headers(init.headers).get('authorization'),
      form: new URLSearchParams(body),
    };
    const reply = await exchange(request, { issuer, elsewhere });
    if (reply.kind === 'hang') return new Promise<never>(() => undefined);
    if (reply.kind === 'dead' || !reply.cors) throw new TypeError('fetch failed');
    const location = reply.headers['location'];
    if (location === undefined || init.redirect === 'manual') return responseOf(reply, init.signal, wait);
    if (init.redirect === 'error') throw new TypeError('unexpected redirect');
    const keepsMethod = reply.status === 307 || reply.status === 308 || method === 'GET';
    return send(location, keepsMethod ? init : { ...init, method: 'GET', body: null });
  };
  return async (input, init = {}) => {
    if (input instanceof Request) throw new TypeError('pass a URL, not a Request');
    const { signal } = init;
    signal?.throwIfAborted();
    const answer = send(String(input), init);
    return signal ? unlessAborted(answer, signal) : answer;
  };
}

function abroad(foreign: ForeignRequest[], request: ForeignRequest): Response {
  foreign.push(request);
  return new Response('{}', { headers: { 'content-type': 'application/json' } });
}

function bodyOf({ body }: RequestInit): string {
  if (body === undefined || body === null) return '';
  if (typeof body === 'string' || body instanceof URLSearchParams) return String(body);
  throw new TypeError('pass a form or a text as body');
}

function responseOf(
  { status, headers, text, tail }: Extract<Reply, { kind: 'answer' }>,
  signal: AbortSignal | null | undefined,
  wait: (ms: number) => Promise<void>,
): Response {
  if (tail === undefined) return new Response([204, 304].includes(status) ? null : text, { status, headers });
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      controller.enqueue(encoder.encode(text));
      signal?.addEventListener('abort', () => controller.error(signal.reason), { once: true });
    },
    pull: async (controller) => {
      if (tail === 'cut') return controller.error(new TypeError('terminated'));
      if (tail.everyMs > 0) await wait(tail.everyMs);
      if (!signal?.aborted) controller.enqueue(encoder.encode('x'.repeat(tail.chunkBytes)));
    },
  });
  return new Response(stream, { status, headers });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
