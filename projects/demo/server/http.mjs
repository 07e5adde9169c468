// What the demo's small servers share: listening, closing, reading a body, answering JSON.
import { once } from 'node:events';

/** Listens and answers the port, which the system chooses for 0. A taken port is an Error that names it. */
export async function listen(server, { port, host }) {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    throw new Error(`cannot listen on ${host}:${port} (${error.code ?? 'unknown'})`);
  }
  return server.address().port;
}

/** Resolves when the port is free again; open keep-alive connections do not hold it up. */
export function close(server) {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** The body as text. Refuses more than 64 KiB: nothing here has a reason to send that. */
export async function readText(request, { maxBytes = 64 * 1024 } = {}) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error('request body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export function sendJson(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

/** The last six characters of a token, never more than half of it: enough to tell two apart, too few to use one. */
export function tail(token) {
  if (typeof token !== 'string' || token === '') return null;
  return token.slice(token.length - Math.min(6, Math.floor(token.length / 2)));
}
