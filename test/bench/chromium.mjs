/** A real browser for the rows that need one, with a profile on disk: in a private context IndexedDB would be in memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { program } from '../../tools/program.mjs';
import { bundleOf } from './applications.mjs';
import CHROMIUM_FLAGS from '../support/chromium-flags.json' with { type: 'json' };

/**
 * Runs with a browser and a server on 127.0.0.1, and ends both. `files` are texts by path.
 *
 * @template T
 * @typedef {object} Tools
 * @property {(path: string) => Promise<import('playwright-core').Page>} open a new page, once it is loaded
 * @property {(path: string, tab?: import('playwright-core').Page) => Promise<unknown>} visit opens a page, resolves with what it posts to `/said`
 * as JSON, and closes it, unless it was to go to a tab that is there. The page is asked nothing meanwhile: a question runs a script in it, and
 * who takes longer to start would wait for that script, too
 * @param {Record<string, string>} files
 * @param {(tools: Tools) => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function withChromium(files, run) {
  const profile = await mkdtemp(join(tmpdir(), 'rx-credentials-bench-'));
  const server = await serve(files);
  let browser;
  try {
    browser = await chromium.launchPersistentContext(profile, { executablePath: program('chromium'), args: CHROMIUM_FLAGS });
    const open = async (path) => {
      const page = await browser.newPage();
      page.on('pageerror', (error) => console.error(`in ${path}: ${error.message}`));
      await page.goto(`${server.origin}${path}`);
      return page;
    };
    const visit = async (path, tab) => {
      const page = tab ?? (await browser.newPage());
      if (!tab) page.on('pageerror', (error) => console.error(`in ${path}: ${error.message}`));
      const said = server.said();
      await page.goto(`${server.origin}${path}`, { waitUntil: 'commit' });
      const words = await within(said, path);
      if (!tab) await page.close();
      return words;
    };
    return await run({ open, visit });
  } finally {
    await browser?.close();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const PATIENCE_MS = 60_000;

/** Ends a run that would wait for ever, for a page that failed before it said anything. */
async function within(said, path) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${path} said nothing`)), PATIENCE_MS)));
  return Promise.race([said, late]).finally(() => clearTimeout(timer));
}

/** A page of `pages/` with its bundle, as files to serve: `/NAME.html` and its scripts. */
export async function pageFiles(name, coreFolder) {
  const entry = fileURLToPath(new URL(`pages/${name}.mjs`, import.meta.url));
  const bundle = await bundleOf(`import ${JSON.stringify(entry)};`, { coreFolder });
  const scripts = bundle.map((file) => [`/${name}/${file.name}`, file.text]);
  const [first, ...others] = bundle.filter(({ atStart }) => atStart).map((file) => `/${name}/${file.name}`);
  const preloads = others.map((path) => `<link rel="modulepreload" href="${path}">`); // as build tools do
  const html = `<!doctype html><title>${name}</title>${preloads.join('')}<script type="module" src="${first}"></script>`;
  return Object.fromEntries([[`/${name}.html`, html], ...scripts]);
}

async function serve(files) {
  let hear = () => undefined;
  const server = createServer(async (request, response) => {
    const [path] = request.url.split('?');
    if (path === '/said') {
      hear(await json(request));
      return response.writeHead(204).end();
    }
    const text = files[path];
    const type = path.endsWith('.js') ? 'text/javascript' : path.endsWith('.json') ? 'application/json' : 'text/html';
    const cached = path.endsWith('.js') ? 'max-age=3600' : 'no-store'; // scripts as for a user who comes back
    response.writeHead(text === undefined ? 404 : 200, { 'content-type': type, 'cache-control': cached }).end(text);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    said: () => new Promise((resolve) => (hear = resolve)),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
