/** Applications as they are shipped: bundled and minified by esbuild, split at dynamic imports. */
import { build } from 'esbuild';

/**
 * The files of an application, and which of them are loaded at start: the entry, which comes first, and what it imports statically.
 *
 * @param {string} contents the entry
 * @param {{ coreFolder: string, external?: readonly string[] }} options what `rx-credentials` is, and what is left out
 * @returns {Promise<{ name: string, text: string, atStart: boolean, modules: Record<string, { bytesInOutput: number }> }[]>}
 */
export async function bundleOf(contents, { coreFolder, external = [] }) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: coreFolder, sourcefile: 'app.js' },
    alias: { 'rx-credentials': coreFolder },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    outdir: '/bundle',
    absWorkingDir: '/',
    external,
    write: false,
    metafile: true,
    logLevel: 'error',
  });
  const { outputs } = metafile;
  const atStart = new Set(Object.keys(outputs).filter((path) => path.endsWith('/stdin.js'))); // esbuild's name for our text
  for (const path of atStart) {
    for (const { path: imported, kind } of outputs[path].imports) {
      if (kind === 'import-statement' && imported in outputs) atStart.add(imported);
    }
  }
  const files = outputFiles.map(({ path, text }) => ({
    name: path.slice('/bundle/'.length),
    text,
    atStart: atStart.has(path.slice(1)),
    modules: outputs[path.slice(1)].inputs,
  }));
  return files.toSorted((a, b) => Number(b.name === 'stdin.js') - Number(a.name === 'stdin.js'));
}
