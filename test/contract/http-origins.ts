// Resource servers on ports of 127.0.0.1, each an origin of its own. What they saw is what tests assert.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it arrived. */
export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Resolves when its connection was closed before the answer was complete. */
  readonly cut: Promise<void>;
}

export type Answering = (response: ServerResponse, seen: Seen) => void;

export interface Origin {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  /** All requests but preflights, in their order. */
  readonly seen: readonly Seen[];
  /** What is answered at a path, whatever the query; elsewhere it is 404. */
  on(path: string, answer: Answering): void;
  /** Resolves when that many requests have arrived, or at once if they have. */
  arrived(count: number): Promise<void>;
  /** Forgets what was seen and what is answered. */
  reset(): void;
  close(): Promise<void>;
}

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'authorization, content-type, x-test',
  'Access-Control-Allow-Methods': 'GET, POST, PUT, PATCH, DELETE',
  'Access-Control-Expose-Headers': 'www-authenticate, retry-after',
};

/** Starts an origin on a free port. */
export async function startOrigin(): Promise<Origin> {
  const seen: Seen[] = [];
  const answers = new Map<string, Answering>();
  let waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const notice = (): void => {
    for (const one of waiting) if (seen.length >= one.count) one.resolve();
    waiting = waiting.filter(({ count }) => seen.length < count);
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    const cut = new Promise<void>((resolve) => response.on('close', () => response.writableFinished || resolve()));
    let body = '';
    request.setEncoding('utf8');
    for await (const chunk of request) body += String(chunk);
    const path = request.url ?? '';
    const one: Seen = { method: request.method ?? '', path, headers: request.headers, body, cut };
    seen.push(one);
    const answering = answers.get(path.split('?')[0] ?? '');
    if (answering) answering(response, one);
    else response.writeHead(404).end();
    notice();
  };
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    on: (path, answering) => void answers.set(path, answering),
    arrived: (count) => new Promise((resolve) => (waiting.push({ count, resolve }), notice())),
    reset: () => {
      seen.length = 0;
      answers.clear();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** For a test file: opens origins that are closed after each test. */
export function originsOfTests(): () => Promise<Origin> {
  const origins: Origin[] = [];
  afterEach(async () => void (await Promise.all(origins.splice(0).map((origin) => origin.close()))));
  return async () => {
    const origin = await startOrigin();
    origins.push(origin);
    return origin;
  };
}
