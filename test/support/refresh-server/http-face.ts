// The server on a loopback port, for browsers and other processes, with its control beside it.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Exchange } from './exchange';
import type { Reply } from './faults';
import type { ForeignRequest } from './fetch-face';

export interface HttpFaceParts {
  readonly exchange: Exchange;
  readonly foreign: ForeignRequest[];
  readonly wait: (ms: number) => Promise<void>;
  /** Methods of `POST /control/<name>` by name. */
  readonly control: Readonly<Record<string, (...args: never[]) => unknown>>;
}

export interface ListenOptions {
  /**
   * Lets connections be used again; default false. Chromium sends a request once more by itself, POST or not, when a connection that was
   * used before dies without an answer, so that `drop-response` on a kept connection is a reuse no client code could prevent. With true a
   * test sees that; without, every request has a connection of its own.
   */
  readonly keepAlive?: boolean;
}

export interface Listening {
  /** Issuer and origin, `http://127.0.0.1:<port>`. */
  readonly issuer: string;
  /** Address of the control, for `createRefreshControl()`. */
  readonly control: string;
  /** Where redirects go: another origin, which answers 200 to all. */
  readonly elsewhere: string;
  /** Cuts all connections, hanging ones too. */
  close(): Promise<void>;
}

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, content-type, dpop',
  'access-control-allow-methods': 'GET, POST',
  'access-control-expose-headers': 'date, retry-after, www-authenticate',
  'access-control-max-age': '600',
};

export async function listenHttp(parts: HttpFaceParts, { keepAlive = false }: ListenOptions = {}): Promise<Listening> {
  const abroad = createServer(guarded((request, response) => answerAbroad(parts.foreign, request, response)));
  const elsewhere = `${await listening(abroad)}/elsewhere`;
  let issuer = '';
  const home = createServer(
    guarded(async (request, response) => {
      if (!keepAlive) response.setHeader('connection', 'close');
      if (request.method === 'OPTIONS') return void response.writeHead(204, CORS).end();
      const path = new URL(request.url ?? '/', issuer).pathname;
      const body = await readText(request);
      if (path.startsWith('/control/')) return answerControl(parts.control, path.slice('/control/'.length), body, response);
      const { method = 'GET', headers } = request;
      const wire = { method, path, authorization: headers.authorization ?? null, form: new URLSearchParams(body) };
      return bring(await parts.exchange(wire, { issuer, elsewhere }), request, response, parts.wait);
    }),
  );
  issuer = await listening(home);
  return {
    issuer,
    control: `${issuer}/control`,
    elsewhere,
    close: async () => void (await Promise.all([closed(home), closed(abroad)])),
  };
}

/** Brings a reply to the client. */
async function bring(reply: Reply, request: IncomingMessage, response: ServerResponse, wait: (ms: number) => Promise<void>): Promise<void> {
  if (reply.kind === 'hang') return;
  if (reply.kind === 'dead') return void request.socket.destroy();
  const { status, headers, text, tail, cors } = reply;
  const whole = tail === undefined && { 'content-length': Buffer.byteLength(text) };
  response.writeHead(status, { ...headers, ...(cors && CORS), ...whole });
  if (tail === undefined) return void response.end(text);
  await new Promise<void>((resolve) => response.write(text, () => resolve())); // what was promised is on its way before the cut
  if (tail === 'cut') return void request.socket.destroy();
  while (!response.destroyed) {
    if (!response.write('x'.repeat(tail.chunkBytes))) await drained(response);
    await wait(tail.everyMs);
  }
}

async function answerControl(control: HttpFaceParts['control'], name: string, body: string, response: ServerResponse): Promise<void> {
  const method = Object.hasOwn(control, name) ? (control[name] as (...args: unknown[]) => unknown) : undefined;
  if (!method) return sendJson(response, 404, { error: `no method ${name}` });
  try {
    const args: unknown = JSON.parse(body === '' ? '[]' : body);
    if (!Array.isArray(args)) throw new TypeError('arguments are a JSON array');
    return sendJson(response, 200, { result: (await method(...(args as unknown[]))) ?? null });
  } catch (error) {
    return sendJson(response, 500, { error: error instanceof Error ? error.message : String(error) });
  }
}

async function answerAbroad(foreign: ForeignRequest[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'OPTIONS') return void response.writeHead(204, CORS).end();
  const body = await readText(request);
  foreign.push({ method: request.method ?? 'GET', url: `http://${request.headers.host ?? ''}${request.url ?? ''}`, body });
  sendJson(response, 200, {});
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...CORS });
  response.end(JSON.stringify(body));
}

/** A client may be gone at any moment: that is what this server is for. */
function guarded(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>): RequestListener {
  return (request, response) => {
    response.on('error', () => undefined);
    handle(request, response).catch(() => request.socket.destroy());
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  return text;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once('drain', resolve);
    response.once('close', resolve);
  });
}

function listening(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
