/**
 * The start of an Angular application that is wired as the demo is: how much later its first request leaves, with the token that lay in
 * storage, than with an interceptor written by hand. Both are built by Angular's CLI. Needs the built adapter, too:
 * `npm run build:angular`.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withChromium } from '../chromium.mjs';
import { CLIENT_ID, fieldsOf } from '../fixtures.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const ADAPTER = resolve(ROOT, 'dist/angular');
const PAGES = resolve(ROOT, 'test/bench/pages');
const NG = resolve(ROOT, 'node_modules/@angular/cli/bin/ng.js');

const BY_HAND = 'by-hand';
const LIBRARIES = [
  { page: 'library-indexeddb', storage: 'sealed IndexedDB, as the demo', reach: { reach: 10, reachOf: 'issue 5' } },
  { page: 'library-localforage', storage: 'sealed localforage', reach: {} },
];

export default async function start(bench) {
  if (!existsSync(join(ADAPTER, 'package.json'))) return console.error('start: dist/angular is not built. Type: npm run build:angular');
  const files = await built([BY_HAND, ...LIBRARIES.map(({ page }) => page)], bench.coreFolder);
  const api = await serveApi();
  try {
    await withChromium(files, async (tools) => {
      const fields = fieldsOf(0, { issuer: api.issuer, clientId: CLIENT_ID, lifetimeMs: 24 * 3_600_000 });
      const startOf = (page) =>
        started(tools, `/${page}/index.html?${new URLSearchParams({ issuer: api.issuer, api: api.address })}`, fields);
      const byHand = await startOf(BY_HAND);
      for (const { page, storage, reach } of LIBRARIES) await measure(bench, { storage, reach, subject: await startOf(page), byHand });
    });
    bench.count({ name: 'requests to the authorization server before it', value: api.otherRequests, limit: 0 });
  } finally {
    api.close();
  }
}

/** Two rows of the same starts: from the bootstrap, and from the navigation. */
async function measure({ difference }, { storage, reach, subject, byHand }) {
  const floor = 'interceptor by hand: IndexedDB get, AES-GCM decrypt, expiry checked';
  const starts = { subject: [], against: [] };
  const seen = async (kind, startOnce) => {
    const times = await startOnce();
    starts[kind].push(times);
    return times.requestAt - times.bootstrapAt;
  };
  await difference({
    name: `${storage}: bootstrap to the first API request with its token, longer than by hand`,
    floor,
    ...reach,
    selfTimed: true,
    subject: () => seen('subject', subject),
    against: () => seen('against', byHand),
  });
  await difference({
    name: `${storage}: the same starts, from the navigation on`,
    floor,
    selfTimed: true,
    subject: () => starts.subject.shift().requestAt,
    against: () => starts.against.shift().requestAt,
  });
}

/** Puts a session into the storage of a page. Returns what starts it once, in a new page, and resolves with its times. */
async function started({ open, visit }, path, fields) {
  const filling = await open(path);
  await filling.waitForFunction(() => 'fill' in globalThis);
  await filling.evaluate((given) => globalThis.fill(given), fields);
  await filling.close();
  return async () => {
    const { answer, ...times } = await visit(path);
    if (answer !== `Bearer ${fields.accessToken}`) throw new Error(`${path}: this is not the token that was stored`);
    return times;
  };
}

/** An API on an origin of its own, which answers with the `Authorization` header it was sent, and an authorization server that has nothing. */
async function serveApi() {
  let otherRequests = 0;
  const server = createServer((request, response) => {
    const isOfApi = request.url.startsWith('/api/');
    if (!isOfApi) otherRequests++;
    const headers = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization', 'access-control-max-age': 600 };
    response.writeHead(isOfApi ? 200 : 404, headers).end(request.headers.authorization ?? 'nobody');
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  return {
    issuer,
    address: `${issuer}/api/`,
    get otherRequests() {
      return otherRequests;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The applications as Angular's CLI builds them for production: files to serve, below the name of each. */
async function built(names, coreFolder) {
  mkdirSync(resolve(ROOT, 'out-tsc'), { recursive: true });
  const folder = mkdtempSync(resolve(ROOT, 'out-tsc/bench-start-')); // inside the repository: its node_modules are found
  try {
    writeWorkspace(folder, names, coreFolder);
    const files = {};
    for (const name of names) {
      await promisify(execFile)(process.execPath, [NG, 'build', name], { cwd: folder, env: { ...process.env, NG_CLI_ANALYTICS: 'false' } });
      const output = join(folder, 'dist', name, 'browser');
      for (const file of readdirSync(output)) files[`/${name}/${file}`] = readFileSync(join(output, file), 'utf8');
    }
    return files;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeWorkspace(folder, names, coreFolder) {
  const fromHere = (path) => relative(folder, path);
  const paths = {
    'rx-credentials': [fromHere(coreFolder)],
    'rx-credentials/*': [`${fromHere(coreFolder)}/*`],
    'rx-credentials-angular': [fromHere(ADAPTER)],
  };
  const projects = names.map((name) => {
    const options = {
      browser: fromHere(join(PAGES, 'start', `${name}.ts`)),
      index: 'index.html',
      tsConfig: 'tsconfig.json',
      outputPath: `dist/${name}`,
      baseHref: `/${name}/`,
      allowedCommonJsDependencies: ['localforage'],
    };
    return [name, { projectType: 'application', root: '', architect: { build: { builder: '@angular/build:application', options } } }];
  });
  const workspace = { version: 1, cli: { analytics: false, cache: { enabled: false } }, projects: Object.fromEntries(projects) };
  const files = {
    'angular.json': JSON.stringify(workspace),
    'tsconfig.json': JSON.stringify({
      extends: fromHere(resolve(ROOT, 'tsconfig.json')),
      compilerOptions: { paths },
      files: names.map((name) => fromHere(join(PAGES, 'start', `${name}.ts`))),
    }),
    'index.html': '<!doctype html><html><head><title>start</title><base href="/"></head><body><app-root></app-root></body></html>',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
