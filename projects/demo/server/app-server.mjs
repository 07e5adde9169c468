// Serves the built Angular application, as a plain web server would: files, and for every route of the application index.html, or the page that
// Angular's own server renders.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { close, listen, sendJson } from './http.mjs';

const CONTENT_TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

/** What the demo asks for to show an issuer that does not answer: the discard port, which browsers refuse to call. */
const UNREACHABLE = 'http://127.0.0.1:9';

/**
 * Starts the web server of the application.
 *
 * @param options.port 0 lets the system choose; default 0
 * @param options.root folder with the files of the browser, index.html among them where pages are not rendered here
 * @param options.renderPage answers a request for a page; (request, response, config) => false where there is no such page
 * @param options.config served at /demo-config.json; or a function that returns it, where it is known only later
 */
export async function startAppServer({ port = 0, host = '127.0.0.1', root, renderPage, config }) {
  const folder = resolve(root);
  const readConfig = typeof config === 'function' ? config : () => config;
  const server = createServer((request, response) => {
    answer(request, response, { folder, renderPage, config: readConfig() }).catch((error) => {
      if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') console.error('app server:', error.message);
      response.destroy();
    });
  });
  // "localhost", not 127.0.0.1: the application is another site than the authorization server, as in production.
  const origin = `http://localhost:${await listen(server, { port, host })}`;
  return { origin, close: () => close(server) };
}

async function answer(request, response, { folder, renderPage, config }) {
  for (const [name, value] of Object.entries(securityHeaders(config))) response.setHeader(name, value);
  if (!['GET', 'HEAD'].includes(request.method)) {
    response.setHeader('Allow', 'GET, HEAD');
    return sendJson(response, 405, { error: 'method_not_allowed' });
  }
  const pathname = decodePath(request.url);
  if (pathname === undefined) return sendJson(response, 400, { error: 'bad_path' });
  if (pathname === '/demo-config.json') return sendJson(response, config ? 200 : 503, config ?? { error: 'starting' });
  const file = await findFile(folder, pathname);
  if (!file && renderPage && isRoute(pathname)) {
    if (!config) return sendJson(response, 503, { error: 'starting' });
    response.setHeader('Cache-Control', 'no-store');
    if (await renderPage(request, response, config)) return;
  }
  if (!file) return sendJson(response, 404, { error: 'not_found' });
  return sendFile(request, response, file);
}

/** The file, or index.html where the path looks like a route of the application: a missing script must not answer with HTML. */
async function findFile(folder, pathname) {
  const wanted = resolve(join(folder, pathname));
  if (wanted !== folder && !wanted.startsWith(folder + sep)) return undefined;
  if (await isFile(wanted)) return wanted;
  const index = join(folder, 'index.html');
  return isRoute(pathname) && (await isFile(index)) ? index : undefined;
}

function isRoute(pathname) {
  return extname(pathname) === '';
}

async function sendFile(request, response, file) {
  const { size } = await stat(file);
  response.writeHead(200, {
    'content-type': CONTENT_TYPES[extname(file)] ?? 'application/octet-stream',
    'content-length': size,
    'cache-control': cacheControl(file),
  });
  if (request.method === 'HEAD') return response.end();
  return pipeline(createReadStream(file), response);
}

function cacheControl(file) {
  if (extname(file) === '.html') return 'no-store';
  return /-[\w-]{8}\.\w+$/.test(file) ? 'public, max-age=31536000, immutable' : 'no-cache';
}

function securityHeaders(config) {
  const elsewhere = [config?.issuer, config?.apiOrigin].filter(Boolean).map((url) => new URL(url).origin);
  const policy = [
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'", // Angular adds component styles as <style> elements
    "img-src 'self' data:",
    `connect-src ${["'self'", ...elsewhere, UNREACHABLE].join(' ')}`,
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'", // the page of eight tabs
  ];
  return {
    'Content-Security-Policy': policy.join('; '),
    'Referrer-Policy': 'no-referrer', // the callback's address holds the code
    'X-Content-Type-Options': 'nosniff',
  };
}

/** @returns the decoded path, or undefined where it is malformed or holds what no file name here does */
function decodePath(url) {
  try {
    const path = decodeURIComponent(url.split(/[?#]/)[0]);
    return path.startsWith('/') && !/[\0\\]/.test(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

async function isFile(path) {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
