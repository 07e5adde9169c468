/** What the smallest applications ship: bundled and minified by esbuild, compressed by brotli, split at dynamic imports. */
import { brotliCompressSync } from 'node:zlib';
import { build } from 'esbuild';

const KIB = 1024;

const IN_MEMORY = `
  import { createCredentialStore } from 'rx-credentials';
  const store = createCredentialStore({ clients: { issuer: 'https://id.example.com', clientId: 'spa' } });
  export const accessToken = async () => (await store.getDefault())?.accessToken();
`;
const IN_INDEXEDDB = `
  import { createCredentialStore } from 'rx-credentials';
  import { localforageStorage } from 'rx-credentials/storage/localforage';
  const store = createCredentialStore({ clients: { issuer: 'https://id.example.com', clientId: 'spa' }, storage: localforageStorage() });
  export const accessToken = async () => (await store.getDefault())?.accessToken();
`;

export default async function bundle({ coreFolder, bytes }) {
  const memory = await sizes(IN_MEMORY, coreFolder, ['rxjs']);
  const withRxjs = await sizes(IN_MEMORY, coreFolder, []);
  const localforage = await sizes(IN_INDEXEDDB, coreFolder, ['rxjs']);
  const row = (name, value, limits) => bytes({ name: `“valid token, refreshed if needed”, ${name}`, value, ...limits });
  row('memory, at start', memory.start, { limit: LIMITS.memoryStart });
  row('memory, dynamic chunks', memory.dynamic, { limit: LIMITS.memoryDynamic });
  row('RxJS on top', withRxjs.start - memory.start, { limit: LIMITS.rxjs, reach: 8 * KIB, reachOf: 'later target' });
  row('localforage, at start', localforage.start, { limit: LIMITS.localforageStart, reach: 8 * KIB, reachOf: 'later target' });
  row('localforage, with all dynamic chunks', localforage.start + localforage.dynamic, {
    limit: LIMITS.localforageAll,
    reach: 14 * KIB,
    reachOf: 'later target',
  });
}

/** Budgets in bytes: what was measured last, and about 5 % more. */
const LIMITS = { memoryStart: 15_900, memoryDynamic: 12_200, rxjs: 5_900, localforageStart: 16_600, localforageAll: 37_700 };

/** Compressed bytes of what the entry loads at once, and of what it may load later; each file is compressed on its own. */
async function sizes(contents, coreFolder, external) {
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
  const outputs = metafile.outputs;
  const atStart = new Set(Object.keys(outputs).filter((path) => path.endsWith('/stdin.js'))); // esbuild's name for our text
  for (const path of atStart) {
    for (const { path: imported, kind } of outputs[path].imports) {
      if (kind === 'import-statement' && imported in outputs) atStart.add(imported);
    }
  }
  const sizeOf = ({ contents: text }) => brotliCompressSync(text).byteLength;
  const sum = (files) => files.reduce((total, file) => total + sizeOf(file), 0);
  const isAtStart = ({ path }) => atStart.has(path.slice(1));
  return { start: sum(outputFiles.filter(isAtStart)), dynamic: sum(outputFiles.filter((file) => !isAtStart(file))) };
}
