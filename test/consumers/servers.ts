/**
 * What a built application talks to, on loopback: the files it is, and an API that writes down who asked.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

/** A server on a free port. */
export interface Served {
  readonly origin: string;
  close(): Promise<void>;
}

/** A request, as the API saw it. */
export interface ApiCall {
  readonly path: string;
  readonly authorization: string | null;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.ico': 'image/x-icon',
};

export async function serve(listener: RequestListener): Promise<Served> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** The files of a folder; every path without an extension is its `index.html`. */
export function serveFiles(folder: string): Promise<Served> {
  return serve((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const name = extname(pathname) === '' ? '/index.html' : pathname;
    readFile(join(folder, name)).then(
      (bytes) => response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' }).end(bytes),
      () => response.writeHead(name === '/favicon.ico' ? 204 : 404).end(), // the icon is binary: applications made in memory have none
    );
  });
}

/** Answers everything with `"ok"`, to any origin, and keeps what was asked. */
export async function serveApi(): Promise<Served & { readonly calls: readonly ApiCall[] }> {
  const calls: ApiCall[] = [];
  const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization', 'content-type': 'application/json' };
  const served = await serve(({ method, url = '', headers }, response) => {
    if (method !== 'OPTIONS') calls.push({ path: url, authorization: headers.authorization ?? null });
    response.writeHead(200, cors).end('"ok"');
  });
  return { ...served, calls };
}
