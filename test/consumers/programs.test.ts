import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type Metafile } from 'esbuild';
import { chromium } from 'playwright-core';
import CHROMIUM_FLAGS from '../support/chromium-flags.json';
import { linkedConsumer, type Consumer } from './consumer';
import { serveApi, serveFiles } from './servers';

const PROGRAMS = join(__dirname, 'programs');

let consumer: Consumer;
beforeEach(async () => {
  consumer = await linkedConsumer();
  consumer.write({ 'package.json': JSON.stringify({ name: 'consumer', private: true, type: 'module' }) });
});
afterEach(() => consumer.remove());

function program(name: string): string {
  return readFileSync(join(PROGRAMS, name), 'utf8');
}

/** Bundles a program as ESM; afterwards nothing is in the folder but `main.js` and what it loads later. */
async function bundle(name: string, options: Pick<BuildOptions, 'platform' | 'mainFields' | 'conditions'>): Promise<Metafile> {
  consumer.write({ 'main.ts': program(name) });
  const { metafile } = await build({
    ...options,
    absWorkingDir: consumer.folder,
    entryPoints: ['main.ts'],
    outdir: 'out',
    bundle: true,
    splitting: true,
    format: 'esm',
    metafile: true,
    logLevel: 'silent',
  });
  expect(Object.keys(metafile.inputs).some((path) => path.startsWith('node_modules/rx-credentials/'))).toBe(true); // the tarball, not the sources
  const bundles = Object.fromEntries(
    readdirSync(consumer.path('out')).map((file) => [file, readFileSync(consumer.path('out', file), 'utf8')]),
  );
  consumer.remove();
  consumer.write({ ...bundles, 'package.json': '{ "type": "module" }' });
  return metafile;
}

test('no link of a README in a package leads to what is in the repository only', () => {
  for (const name of ['rx-credentials', 'rx-credentials-angular']) {
    const readme = readFileSync(consumer.path('node_modules', name, 'README.md'), 'utf8');
    const links = Array.from(readme.matchAll(/\]\(([^)]+)\)/g), ([, to = '']) => to);
    expect(links.filter((to) => !/^(https?:|#)/.test(to))).toEqual([]);
    expect(readme).toContain('```ts');
  }
});

test('a program of RxJS alone, bundled by esbuild, runs without any installed package', async () => {
  const metafile = await bundle('rxjs.ts', { platform: 'neutral', mainFields: ['module', 'main'], conditions: ['import'] });
  const loadedFirst = metafile.outputs['out/main.js'].imports.filter(({ kind }) => kind === 'import-statement');
  expect(loadedFirst).toEqual([]); // one script at start: what loads later shares no file with it (D-042)
  const inputs = Object.keys(metafile.inputs);
  expect(inputs.filter((path) => /localforage|\/storage\/(file|cookie|web)\//.test(path))).toEqual([]); // what it does not use it does not ship
  const { status, output } = await consumer.node(['main.js']);
  expect({ status, ...(JSON.parse(output) as object) }).toEqual({
    status: 0,
    headers: ['none', 'Bearer one', 'Bearer two', 'none'],
    left: [],
  });
});

test('6750-1 6750-2 requests of a program that esbuild bundled: fetch, fromFetch and axios send the token to the API alone', async () => {
  await bundle('requests.ts', { platform: 'browser' }); // axios over fetch then
  const api = await serveApi();
  try {
    const { status, output } = await consumer.node(['main.js'], { API: api.origin });
    expect({ status, output }).toEqual({ status: 0, output: `${JSON.stringify({ answers: Array(6).fill('ok') })}\n` });
    const by = (path: string, authorization: string | null): unknown =>
      ['fetch', 'fromFetch', 'axios'].map((adapter) => ({ path: `${path}?by=${adapter}`, authorization }));
    expect(api.calls).toEqual([by('/v1/orders', 'Bearer of-the-worker'), by('/v10/orders', null)].flat());
  } finally {
    await api.close();
  }
});

test('6750-1 6750-2 the same program in a page: ajax of RxJS and axios over XMLHttpRequest, too', async () => {
  await bundle('requests.ts', { platform: 'browser' });
  consumer.write({ 'index.html': '<!doctype html><title>requests</title><script type="module" src="main.js"></script>' });
  const [api, app] = [await serveApi(), await serveFiles(consumer.folder)];
  const browser = await chromium.launch({ executablePath: process.env['CHROME_BIN'] ?? '', args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage();
    const failed = new Promise<never>((_, reject) => page.on('pageerror', reject));
    const printed = page.waitForEvent('console', (message) => message.type() === 'log');
    await page.goto(`${app.origin}/?api=${encodeURIComponent(api.origin)}`);
    expect((await Promise.race([printed, failed])).text()).toBe(JSON.stringify({ answers: Array(8).fill('ok') }));
    expect(api.calls).toEqual(
      [
        ['/v1/orders', 'Bearer of-the-worker'],
        ['/v10/orders', null],
      ].flatMap(([path, authorization]) =>
        ['fetch', 'fromFetch', 'axios', 'ajax'].map((adapter) => ({ path: `${path}?by=${adapter}`, authorization })),
      ),
    );
  } finally {
    await browser.close();
    await Promise.all([api.close(), app.close()]);
  }
});

test('every storage for pages keeps a token from one store to the next, as it is packed', async () => {
  await bundle('storages.ts', { platform: 'browser' });
  consumer.write({ 'index.html': '<!doctype html><title>storages</title><script type="module" src="main.js"></script>' });
  const app = await serveFiles(consumer.folder);
  const browser = await chromium.launch({ executablePath: process.env['CHROME_BIN'] ?? '', args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage();
    const failed = new Promise<never>((_, reject) => page.on('pageerror', reject));
    const printed = page.waitForEvent('console', (message) => message.type() === 'log');
    await page.goto(app.origin);
    const kept = ['web, local', 'web, session', 'indexeddb', 'localforage', 'key-value', 'sealed indexeddb', 'sealed cookies'];
    expect(JSON.parse((await Promise.race([printed, failed])).text())).toEqual({
      memory: 'nothing', // of another store
      ...Object.fromEntries(kept.map((name) => [name, 'access'])),
    });
  } finally {
    await browser.close();
    await app.close();
  }
});

test('a program of Node keeps its credential from one run to the next, sealed', async () => {
  consumer.write({ 'main.mjs': program('node.mjs') });
  const runs = [await consumer.node(['main.mjs']), await consumer.node(['main.mjs'])];
  expect(runs.map(({ status, output }) => ({ status, ...(JSON.parse(output) as object) }))).toEqual([
    { status: 0, wasThere: false, id: 'kept', isSignedIn: true, accessToken: 'very-secret' },
    { status: 0, wasThere: true, id: 'kept', isSignedIn: true, accessToken: 'very-secret' },
  ]);
  const files = readdirSync(consumer.path('credentials'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(0);
  for (const { parentPath, name } of files) expect(readFileSync(join(parentPath, name), 'utf8')).not.toContain('very-secret');
});

test('functions on the way to the first token are compiled with their script, none of them when it is first called (D-042)', async () => {
  consumer.write({ 'main.mjs': program('node.mjs') });
  await consumer.node(['main.mjs']);
  expect((await consumer.node(['--log-function-events', '--logfile=v8.log', '--no-logfile-per-isolate', 'main.mjs'])).status).toBe(0);
  const lines = readFileSync(consumer.path('v8.log'), 'utf8')
    .split('\n')
    .map((line) => line.split(','));
  const ours = new Map(
    lines
      .filter(([event, , url = '']) => event === 'script-details' && /\/rx-credentials\/.*\.js$/.test(url))
      .map(([, id, url = '']) => [id, readFileSync(fileURLToPath(url), 'utf8')]),
  );
  // What stands before a function that is in parentheses of its own, not in those of a call
  const named = (kind: string): string[] =>
    lines.flatMap(([event, what, id, from, to]) => {
      const text = event === 'function' && what === kind ? ours.get(id) : undefined;
      const isOwn = /(^|[^\w$)\]])\((async )?(function\*? ?\w*)?$/.test(text?.slice(0, Number(from)) ?? '');
      return isOwn ? [text!.slice(Number(from) - 40, Number(to)).slice(0, 120)] : [];
    });
  expect(named('interpreter').length).toBeGreaterThan(100);
  expect(named('parse-function')).toEqual([]);
});

test('every entry of the package is there for Node, and ends by itself', async () => {
  const manifest = JSON.parse(readFileSync(consumer.path('node_modules/rx-credentials/package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json');
  expect(entries.length).toBeGreaterThan(10);
  const names = entries.map((entry) => join('rx-credentials', entry));
  consumer.write({
    'main.mjs': `for (const name of ${JSON.stringify(names)}) console.log(name, Object.keys(await import(name)).length > 0);\n`,
  });
  const { status, output } = await consumer.node(['main.mjs']);
  expect({ status, output }).toEqual({ status: 0, output: names.map((name) => `${name} true\n`).join('') });
});
