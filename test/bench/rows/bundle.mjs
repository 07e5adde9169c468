/** What the smallest applications ship, each file compressed by brotli. */
import { brotliCompressSync } from 'node:zlib';
import { bundleOf } from '../applications.mjs';

const KIB = 1024;

const application = (imports, storage) => `
  import { createCredentialStore } from 'rx-credentials';
  ${imports}
  const store = createCredentialStore({ clients: { issuer: 'https://id.example.com', clientId: 'spa' }${storage && `, storage: ${storage}`} });
  export const accessToken = async () => (await store.getDefault())?.accessToken();
`;
const INDEXEDDB = `import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';`;
const SEALED = `import { sealed } from 'rx-credentials/storage/sealed';`;
const LOCALFORAGE = `import { localforageStorage } from 'rx-credentials/storage/localforage';`;
const APPLICATIONS = {
  memory: application('', ''),
  indexeddb: application(INDEXEDDB, 'indexedDBStorage()'),
  sealed: application(INDEXEDDB + SEALED, 'sealed(indexedDBStorage())'),
  localforage: application(LOCALFORAGE, 'localforageStorage()'),
};

/** Budgets in bytes: what was measured last, and a little more; of what is reached the reach. */
const LIMITS = {
  memoryStart: 15_660,
  memoryAll: 66_400,
  indexeddbStart: 16_870,
  indexeddbAll: 67_600,
  sealed: 9_216,
  rxjs: 6_500,
  localforageStart: 16_550,
  localforageAll: 75_900,
};

export default async function bundle({ coreFolder, bytes, count }) {
  const sizes = {};
  for (const [name, text] of Object.entries(APPLICATIONS)) sizes[name] = await sizesOf(text, { coreFolder, external: ['rxjs'] });
  const { memory, indexeddb, sealed, localforage } = sizes;
  const withRxjs = await sizesOf(APPLICATIONS.indexeddb, { coreFolder });
  const row = (name, value, limit, reach) =>
    bytes({ name: `“valid token, refreshed if needed”, ${name}`, value, limit, ...(reach && { reach: reach * KIB, reachOf: 'issue 3' }) });
  row('IndexedDB, at start', indexeddb.start, LIMITS.indexeddbStart, 8);
  row('IndexedDB, with all dynamic chunks', indexeddb.all, LIMITS.indexeddbAll, 14);
  row('sealed on top, all of it', sealed.all - indexeddb.all, LIMITS.sealed, 9);
  row('sealed on top, of that at start', sealed.start - indexeddb.start);
  row('RxJS on top', withRxjs.all - indexeddb.all, LIMITS.rxjs, 8);
  count({ name: '“valid token, refreshed if needed”, IndexedDB, at start', value: withRxjs.scripts, unit: 'scripts', limit: 1 });
  row('memory, at start', memory.start, LIMITS.memoryStart);
  row('memory, with all dynamic chunks', memory.all, LIMITS.memoryAll);
  row('localforage, at start', localforage.start, LIMITS.localforageStart);
  row('localforage, with all dynamic chunks', localforage.all, LIMITS.localforageAll);
}

/** Compressed bytes of what is loaded at once, and of everything; each file is compressed on its own. */
async function sizesOf(contents, options) {
  const files = await bundleOf(contents, options);
  const sum = (some) => some.reduce((total, { text }) => total + brotliCompressSync(text).byteLength, 0);
  const first = files.filter(({ atStart }) => atStart);
  return { start: sum(first), all: sum(files), scripts: first.length };
}
