/**
 * Prints as JSON what `COUNT` credentials that were read from a storage take of the heap, each, beyond their own bytes.
 *
 *   node --expose-gc test/bench/memory-child.mjs CORE-FOLDER COUNT plain|sealed
 */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bytesOf, entriesOf, storeOf } from './fixtures.mjs';

const [coreFolder, countText, kind] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(resolve(coreFolder, path)).href);
const core = await load('index.js');
const { sealed, staticKeys } = await load('storage/sealed/index.js');
const wrap = kind === 'sealed' ? (storage) => sealed(storage, { keys: KEYS }) : (storage) => storage;
const KEYS = staticKeys([{ kid: 'bench', key: randomBytes(32) }]);

await measure(100); // code and maps of objects are nobody's bytes
console.log(JSON.stringify(await measure(Number(countText))));

async function measure(count) {
  const { text, own } = await stored(count);
  const before = await heap();
  const store = await storeOf(core, [], { storage: wrap(storageOf(text)) });
  const beyond = async () => Math.round((await heap()) / count - before / count - own / count);
  const figures = { read: await beyond() };
  let found = 0;
  const subscriptions = [{ tags: 'service:3' }, { claims: { sub: 'user-3' } }].map((query) =>
    store.find$(query).subscribe(({ length }) => (found += length)),
  );
  figures.indexed = await beyond();
  subscriptions.push(store.credentials$.subscribe(({ length }) => (found += length)));
  figures.handles = await beyond();
  if (found !== 10 + 1 + count) throw new Error('not everything was found');
  for (const subscription of subscriptions) subscription.unsubscribe();
  await store.close();
  return figures;
}

/** The entries as one text outside of the heap, and the bytes of all records. */
async function stored(count) {
  const inside = core.memoryStorage();
  const storage = wrap(inside);
  for (const { value } of await entriesOf(core, count)) await storage.write(value, 'absent');
  const entries = await inside.readAll();
  return { text: Buffer.from(JSON.stringify(entries)), own: entries.reduce((sum, { value }) => sum + bytesOf(value), 0) };
}

/** A storage that is read, as a database is: what it returns is new, and it keeps nothing of it. */
function storageOf(text) {
  const storage = core.memoryStorage();
  return { ...storage, readAll: () => Promise.resolve(JSON.parse(text.toString())) };
}

/** Bytes in use, once nothing is left to collect. */
async function heap() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await new Promise((done) => setImmediate(done));
  }
  return process.memoryUsage().heapUsed;
}
