import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { linkedConsumer, type Consumer } from './consumer';

jest.setTimeout(60_000);

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

test('a program of RxJS alone, bundled by esbuild, runs without any installed package', async () => {
  consumer.write({ 'main.ts': program('rxjs.ts') });
  const { metafile } = await build({
    absWorkingDir: consumer.folder,
    entryPoints: ['main.ts'],
    outdir: 'out',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['import'],
    metafile: true,
    logLevel: 'silent',
  });
  const inputs = Object.keys(metafile.inputs);
  expect(inputs.some((path) => path.startsWith('node_modules/rx-credentials/'))).toBe(true); // the tarball, not the sources
  const loadedFirst = metafile.outputs['out/main.js']!.imports.filter(({ kind }) => kind === 'import-statement');
  expect(loadedFirst).toEqual([]); // one script at start: what loads later shares no file with it (D-042)
  expect(inputs.filter((path) => /localforage|\/storage\/(file|cookie|web)\//.test(path))).toEqual([]); // what it does not use it does not ship
  const bundles = Object.fromEntries(
    readdirSync(consumer.path('out')).map((name) => [name, readFileSync(consumer.path('out', name), 'utf8')]),
  );
  consumer.remove();
  consumer.write({ ...bundles, 'package.json': '{ "type": "module" }' });
  const { status, output } = await consumer.node(['main.js']);
  expect({ status, ...(JSON.parse(output) as object) }).toEqual({
    status: 0,
    headers: ['none', 'Bearer one', 'Bearer two', 'none'],
    left: [],
  });
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
