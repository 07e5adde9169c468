// Shows in a real browser that no update is lost between tabs, whatever their processes see of web storage:
//   node test/browsers/web-storage.mjs
// checkWebStorage(tabs) throws at the first failure; an e2e test calls it with tabs of its own.
import assert from 'node:assert/strict';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { program } from '../../tools/program.mjs';
import { servePage } from './two-tabs.mjs';

const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const TABS = 4;
const STEPS = 500;

/**
 * Runs every check on tabs of one origin and profile.
 *
 * @param tabs.newTab opens a tab: { goto(url), evaluate(fn, arg), close() }
 * @param tabs.duplicate opens a tab with a copy of another's sessionStorage
 * @param tabs.url a page of a secure context
 * @returns what was found, one line each
 */
export async function checkWebStorage({ newTab, duplicate, url }) {
  const code = await bundle();
  const load = (tab) => tab.evaluate((text) => void (0, eval)(text), code);
  const open = async () => {
    const tab = await newTab();
    await tab.goto(url);
    await load(tab);
    return tab;
  };
  const twinOf = async (tab) => {
    const twin = await duplicate(tab);
    await load(twin);
    return twin;
  };
  const lines = [];
  for (const check of [
    plainLocalStorage,
    noStepIsLost,
    killedWriter,
    removedStaysRemoved,
    clearedIsGone,
    twinsShareOneTruth,
    strangersShareNothing,
  ]) {
    lines.push(...(await check(open, twinOf)).map((line) => `ok ${check.name}: ${line}`));
  }
  return lines;
}

/** The control: what localStorage alone does under an exclusive Web Lock. It says whether this browser can show the trouble at all. */
async function plainLocalStorage(open) {
  const tabs = await Promise.all(Array.from({ length: TABS }, open));
  await tabs[0].evaluate(() => localStorage.setItem('plain', '0'));
  await Promise.all(
    tabs.map((tab) =>
      tab.evaluate(async (steps) => {
        const step = () => localStorage.setItem('plain', String(Number(localStorage.getItem('plain')) + 1));
        for (let i = 0; i < steps; i++) await navigator.locks.request('plain', step);
      }, STEPS),
    ),
  );
  const count = Number(await (await open()).evaluate(() => localStorage.getItem('plain')));
  await Promise.all(tabs.map((tab) => tab.close()));
  return [`localStorage under a Web Lock alone lost ${TABS * STEPS - count} of ${TABS * STEPS} updates`];
}

/** Conditional increments, read again on conflict. */
async function noStepIsLost(open) {
  const lines = [];
  for (const kind of ['local', 'indexedDB', 'incoherent']) {
    const tabs = await Promise.all(Array.from({ length: TABS }, open));
    const startedAt = performance.now();
    const results = await Promise.all(tabs.map((tab) => tab.evaluate(([what, steps]) => lab.countUp(what, steps), [kind, STEPS])));
    const ms = performance.now() - startedAt;
    const reader = await open();
    const counts = await Promise.all([reader, ...tabs].map((tab) => tab.evaluate((what) => lab.count(what), kind)));
    assert.deepEqual(
      counts,
      counts.map(() => TABS * STEPS),
      `${kind}: an update was lost`,
    );
    const conflicts = results.reduce((sum, one) => sum + one, 0);
    lines.push(`${kind}: 0 of ${TABS * STEPS} lost, ${conflicts} conflicts, ${(ms / TABS / STEPS).toFixed(1)} ms a step`);
    await Promise.all([reader, ...tabs].map((tab) => tab.close()));
  }
  return lines;
}

/** A tab that ends in the middle of a write leaves the old record or the new one, and no lock. */
async function killedWriter(open) {
  const reader = await open();
  await reader.evaluate(() => lab.countUp('local', 1));
  for (let i = 0; i < 10; i++) {
    const victim = await open();
    const before = await reader.evaluate(() => lab.count('local'));
    await victim.evaluate(() => void lab.countUp('local', 1_000_000));
    while ((await reader.evaluate(() => lab.count('local'))) < before + 5 + i); // it is in the middle of it
    await victim.close();
    const left = await reader.evaluate(() => lab.count('local'));
    assert.ok(left >= before + 5 + i);
    assert.equal(await reader.evaluate(async () => (await lab.countUp('local', 1), lab.count('local'))), left + 1);
  }
  await reader.close();
  return ['10 tabs ended while writing: the record was whole, the next write went through'];
}

async function removedStaysRemoved(open) {
  const [a, b] = [await open(), await open()];
  for (let i = 0; i < 50; i++) {
    await a.evaluate(() => lab.put('local', 'removed', { i: 1 }));
    assert.deepEqual(await b.evaluate(() => lab.get('local', 'removed')), { id: 'removed', revision: 1, i: 1 });
    assert.equal(await a.evaluate(() => lab.remove('local', 'removed')), true);
    assert.deepEqual(await b.evaluate(async () => [(await lab.get('local', 'removed')) ?? null, await lab.ids('local')]), [
      null,
      ['counter'],
    ]);
  }
  await Promise.all([a.close(), b.close()]);
  return ['50 records appeared in the other tab at once, and were gone at once'];
}

async function clearedIsGone(open) {
  const [a, b] = [await open(), await open()];
  await a.evaluate(() => lab.put('local', 'cleared', {}));
  await b.evaluate(() => localStorage.clear());
  for (const tab of [b, a]) assert.deepEqual(await tab.evaluate(() => lab.ids('local')), []);
  assert.equal(await a.evaluate(() => lab.put('local', 'cleared', { again: true })), true);
  assert.deepEqual(await b.evaluate(() => lab.get('local', 'cleared')), { id: 'cleared', revision: 1, again: true });
  await Promise.all([a.close(), b.close()]);
  return ['after localStorage.clear() nothing is left, and writing goes on'];
}

async function twinsShareOneTruth(open, twinOf) {
  const a = await open();
  await a.evaluate(() => lab.countUp('session', 3));
  const b = await twinOf(a);
  assert.equal(await b.evaluate(() => lab.count('session')), 3);
  await Promise.all([a, b].map((tab) => tab.evaluate((steps) => lab.countUp('session', steps), STEPS)));
  for (const tab of [a, b]) assert.equal(await tab.evaluate(() => lab.count('session')), 3 + 2 * STEPS);
  assert.equal(await b.evaluate(() => lab.remove('session', 'counter')), true);
  assert.deepEqual(await a.evaluate(() => lab.ids('session')), []);
  await Promise.all([a.close(), b.close()]);
  return [`a duplicated tab and its original: 0 of ${2 * STEPS} lost, a removal reaches both`];
}

async function strangersShareNothing(open, twinOf) {
  const [a, b] = [await open(), await open()];
  await a.evaluate(() => lab.put('session', 'mine', { secret: 'canary' }));
  assert.deepEqual(await b.evaluate(() => lab.ids('session')), []);
  const found = await b.evaluate(() => lab.everythingInIndexedDB());
  assert.ok(!found.includes('canary'), 'the copy in IndexedDB is readable');
  const twin = await twinOf(a);
  await a.close();
  assert.deepEqual(await twin.evaluate(() => lab.get('session', 'mine')), { id: 'mine', revision: 1, secret: 'canary' });
  await Promise.all([b.close(), twin.close()]);
  return ['another tab of the origin sees no record of a session, and cannot read what lies in IndexedDB'];
}

/** The storages as one script, with what the checks do inside a tab. */
async function bundle() {
  const { outputFiles } = await build({
    stdin: { contents: LAB, resolveDir: fileURLToPath(new URL('../..', import.meta.url)), loader: 'ts' },
    bundle: true,
    format: 'iife',
    target: 'es2022',
    write: false,
  });
  return outputFiles[0].text;
}

const LAB = `
import { indexedDBStorage } from './src/storage/indexeddb/index.ts';
import { keyValueStorage } from './src/storage/key-value/index.ts';
import { webStorage } from './src/storage/web/index.ts';
const namespace = 'browser-check';
const made = {};
const make = {
  local: () => webStorage('local', { namespace }),
  session: () => webStorage('session', { namespace }),
  indexedDB: () => indexedDBStorage({ namespace, durability: 'relaxed' }),
  incoherent: () => keyValueStorage(localStorage, { namespace: 'incoherent', reach: 'origin', coherent: false }),
};
const storage = async (kind) => {
  made[kind] ??= Promise.resolve(make[kind]()).then(async (one) => { await one.open(); return one; });
  return made[kind];
};
globalThis.lab = {
  /** Resolves with the number of conflicts. */
  countUp: async (kind, steps) => {
    const store = await storage(kind);
    let conflicts = 0;
    for (let i = 0; i < steps;) {
      const record = await store.read('counter');
      const next = { id: 'counter', revision: (record?.revision ?? 0) + 1, n: (record?.n ?? 0) + 1 };
      if (await store.write(next, record?.revision ?? 'absent')) i++;
      else conflicts++;
    }
    return conflicts;
  },
  count: async (kind) => (await (await storage(kind)).read('counter'))?.n,
  put: async (kind, id, more) => (await storage(kind)).write({ id, revision: 1, ...more }, 'absent'),
  get: async (kind, id) => (await storage(kind)).read(id),
  ids: async (kind) => (await (await storage(kind)).readAll()).map(({ id }) => id),
  remove: async (kind, id) => (await storage(kind)).remove(id, 1).then(async (done) => done || (await storage(kind)).remove(id, 'any')),
  /** Every byte of every database, as text. */
  everythingInIndexedDB: async () => {
    const asked = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
    const texts = [];
    for (const { name } of await indexedDB.databases()) {
      const database = await asked(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        for (const value of await asked(database.transaction(store).objectStore(store).getAll())) {
          texts.push(JSON.stringify(value, (_, part) => part instanceof ArrayBuffer || ArrayBuffer.isView(part) ? new TextDecoder().decode(part) : part));
        }
      }
      database.close();
    }
    return texts.join();
  },
};
`;

/** Chromium's tabs: one profile, duplicates by window.open, which copies sessionStorage. */
async function inChromium() {
  const page = await servePage();
  const browser = await chromium.launch({ executablePath: program('chromium'), args: CHROMIUM_ARGS });
  try {
    console.log('Chromium', browser.version());
    const context = await browser.newContext();
    const duplicate = async (tab) => {
      const [twin] = await Promise.all([tab.waitForEvent('popup'), tab.evaluate(() => void window.open(window.location.href))]);
      await twin.waitForLoadState();
      return twin;
    };
    for (const line of await checkWebStorage({ newTab: () => context.newPage(), duplicate, url: page.url })) console.log(line);
  } finally {
    await browser.close();
    page.close();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await inChromium();
