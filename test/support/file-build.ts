// Compiles sources for a program that runs in plain Node, apart from Jest: to be killed, stopped or counted there.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './markdown';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/**
 * Bundles a module of this checkout, with all it imports, into one file for Node. Nothing is kept or shared; the file is gone when the
 * test file ends.
 *
 * @param entry path from the root of the checkout, such as `src/index.ts`
 * @returns the absolute path of an ES module with the same exports
 */
export async function buildForNode(entry: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'rxc-build-'));
  folders.push(folder);
  const name = basename(entry).replace(/\.ts$/, '');
  await promisify(execFile)(
    join(ROOT, 'node_modules/.bin/esbuild'),
    [
      join(ROOT, entry),
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--target=node22',
      '--splitting',
      `--outdir=${folder}`,
      '--out-extension:.js=.mjs',
      '--log-level=warning',
      '--sourcemap=inline',
      // packages in CommonJS may ask for modules of Node
      "--banner:js=import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    ],
    { cwd: ROOT },
  );
  return join(folder, `${name}.mjs`);
}
