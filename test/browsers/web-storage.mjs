// Shows in a real browser that no update is lost between tabs, whatever their processes see of web storage:
//   node test/browsers/web-storage.mjs [--steps 500]
// checkWebStorage(browser) is for other engines: firefox.mjs and webkit.mjs call it with tabs of their own.
import assert from 'node:assert/strict';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { program } from '../../tools/program.mjs';
import CHROMIUM_FLAGS from '../support/chromium-flags.json' with { type: 'json' };
import { commandLine, inAll, runChecks, servePage, tabsOf } from './two-tabs.mjs';

const TABS = 4;

/**
 * Runs every check on tabs of one origin and profile.
 *
 * @param browser.newTab opens a tab: { goto(url), evaluate(fn, arg), close() }
 * @param browser.duplicate opens a tab with a copy of another's sessionStorage; left out: the engine has none to offer, and what needs it is not tried
 * @param browser.url a page of a secure context; of WebKit by https, or there are no cookies
 */
export async function checkWebStorage({ newTab, duplicate, url }) {
  const code = await bundle();
  const load = (tab) => tab.evaluate((text) => void (0, eval)(text), code);
  const { open, closeAll } = tabsOf(async (original) => {
    const tab = await (original ? duplicate(original) : newTab());
    if (!original) await tab.goto(url);
    await load(tab);
    return tab;
  });
  const steps = Number(commandLine().values.steps);
  const tabs = { open, steps, kills: Math.ceil(steps / 50), records: Math.ceil(steps / 10) };
  await open(); // it stays
  const ofTwins = [twinsShareOneTruth, strangersShareNothing];
  if (!duplicate) console.log(`not tried, for want of a second tab of one session: ${ofTwins.map(({ name }) => name).join(', ')}`);
  const checks = [mediumAlone, clearedIsGone, ...(duplicate ? ofTwins : [])].map((check) => [check.name, () => check(tabs)]);
  const ofKinds = [
    [noStepIsLost, ['local', 'indexedDB', 'incoherent', 'cookies']],
    [killedWriter, ['local', 'cookies']],
    [removedStaysRemoved, ['local', 'cookies']],
  ].flatMap(([check, kinds]) => kinds.map((kind) => [`${check.name}, ${kind}`, () => check(tabs, kind)]));
  await runChecks([...checks, ...ofKinds], closeAll);
}

/** One after the other: WebDriver talks to one tab at a time. */
async function openAll(open) {
  const tabs = [];
  for (let i = 0; i < TABS; i++) tabs.push(await open());
  return tabs;
}

/** The control: what each medium alone does under an exclusive Web Lock. It says whether this browser can show the trouble at all. */
async function mediumAlone({ open, steps }) {
  const tabs = await openAll(open);
  const countUp = async (_, times) => {
    const cookie = () => Number(/(?:^|; )__Host-alone=(\d+)/.exec(document.cookie)?.[1] ?? 0);
    const step = () => {
      localStorage.setItem('alone', String(Number(localStorage.getItem('alone')) + 1));
      document.cookie = `__Host-alone=${cookie() + 1}; Path=/; Secure`;
    };
    for (let i = 0; i < times; i++) await navigator.locks.request('alone', step);
    return [Number(localStorage.getItem('alone')), cookie()];
  };
  const counts = await inAll(tabs, countUp, steps);
  const lines = ['localStorage', 'a cookie'].map((medium, which) => {
    const count = Math.max(...counts.map((both) => both[which]));
    return `${medium} under a Web Lock alone lost ${TABS * steps - count} of ${TABS * steps} updates`;
  });
  return lines.join('; ');
}

/** Conditional increments, read again on conflict. */
async function noStepIsLost({ open, steps }, kind) {
  const tabs = await openAll(open);
  const startedAt = performance.now();
  const conflicts = await inAll(tabs, (_, [what, times]) => lab.countUp(what, times), [kind, steps]);
  const ms = performance.now() - startedAt;
  const counts = await inAll([await open(), ...tabs], (_, what) => lab.count(what), kind);
  const isWhole = counts.every((count) => count === TABS * steps);
  assert.ok(isWhole, `of ${TABS * steps} updates ${TABS * steps - counts[0]} are lost: the tabs read ${counts}`);
  const conflict = conflicts.reduce((sum, one) => sum + one, 0);
  return `0 of ${TABS * steps} lost, ${conflict} conflicts, ${(ms / TABS / steps).toFixed(1)} ms a step`;
}

/** A tab that ends in the middle of a write leaves the old record or the new one, and no lock. */
async function killedWriter({ open, kills }, kind) {
  const reader = await open();
  await reader.evaluate((what) => lab.countUp(what, 1), kind);
  for (let i = 0; i < kills; i++) {
    const victim = await open();
    const before = await reader.evaluate((what) => lab.count(what), kind);
    await victim.evaluate((what) => void lab.countUp(what, 1_000_000), kind);
    while ((await reader.evaluate((what) => lab.count(what), kind)) < before + 5 + i); // it is in the middle of it
    await victim.close();
    const left = await reader.evaluate((what) => lab.count(what), kind);
    assert.ok(left >= before + 5 + i);
    assert.equal(await reader.evaluate(async (what) => (await lab.countUp(what, 1), lab.count(what)), kind), left + 1);
  }
  await reader.close();
  return `${kills} tabs ended while writing: the record was whole, the next write went through`;
}

async function removedStaysRemoved({ open, records }, kind) {
  const [a, b] = [await open(), await open()];
  for (let i = 0; i < records; i++) {
    await a.evaluate((what) => lab.put(what, 'removed', { i: 1 }), kind);
    assert.deepEqual(await b.evaluate((what) => lab.get(what, 'removed'), kind), { id: 'removed', revision: 1, i: 1 });
    assert.equal(await a.evaluate((what) => lab.remove(what, 'removed'), kind), true);
    const look = async (what) => [(await lab.get(what, 'removed')) ?? null, (await lab.ids(what)).includes('removed')];
    const left = await b.evaluate(look, kind);
    assert.deepEqual(left, [null, false]);
  }
  return `${records} records appeared in the other tab at once, and were gone at once`;
}

async function clearedIsGone({ open }) {
  const [a, b] = [await open(), await open()];
  await a.evaluate(() => lab.put('local', 'cleared', {}));
  await b.evaluate(() => localStorage.clear());
  for (const tab of [b, a]) assert.deepEqual(await tab.evaluate(() => lab.ids('local')), []);
  assert.equal(await a.evaluate(() => lab.put('local', 'cleared', { again: true })), true);
  assert.deepEqual(await b.evaluate(() => lab.get('local', 'cleared')), { id: 'cleared', revision: 1, again: true });
  return 'after localStorage.clear() nothing is left, and writing goes on';
}

async function twinsShareOneTruth({ open, steps }) {
  const a = await open();
  await a.evaluate(() => lab.countUp('session', 3));
  const b = await open(a);
  assert.equal(await b.evaluate(() => lab.count('session')), 3);
  await inAll([a, b], (_, times) => lab.countUp('session', times), steps);
  for (const tab of [a, b]) assert.equal(await tab.evaluate(() => lab.count('session')), 3 + 2 * steps);
  assert.equal(await b.evaluate(() => lab.remove('session', 'counter')), true);
  assert.deepEqual(await a.evaluate(() => lab.ids('session')), []);
  return `a duplicated tab and its original: 0 of ${2 * steps} lost, a removal reaches both`;
}

async function strangersShareNothing({ open }) {
  const [a, b] = [await open(), await open()];
  await a.evaluate(() => lab.put('session', 'mine', { secret: 'canary' }));
  assert.deepEqual(await b.evaluate(() => lab.ids('session')), []);
  const found = await b.evaluate(() => lab.everythingInIndexedDB());
  assert.ok(!found.includes('canary'), 'the copy in IndexedDB is readable');
  const twin = await open(a);
  await a.close();
  assert.deepEqual(await twin.evaluate(() => lab.get('session', 'mine')), { id: 'mine', revision: 1, secret: 'canary' });
  return 'another tab of the origin sees no record of a session, and cannot read what lies in IndexedDB';
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
import { cookieStorage } from './src/storage/cookie/index.ts';
import { indexedDBStorage } from './src/storage/indexeddb/index.ts';
import { keyValueStorage } from './src/storage/key-value/index.ts';
import { webStorage } from './src/storage/web/index.ts';
const namespace = 'browser-check';
const made = {};
const make = {
  local: () => webStorage('local', { namespace }),
  session: () => webStorage('session', { namespace }),
  cookies: () => cookieStorage({ namespace }),
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
  const browser = await chromium.launch({ executablePath: program('chromium'), args: CHROMIUM_FLAGS });
  try {
    console.log('Chromium', browser.version());
    const context = await browser.newContext();
    const duplicate = async (tab) => {
      const [twin] = await Promise.all([tab.waitForEvent('popup'), tab.evaluate(() => void window.open(window.location.href))]);
      await twin.waitForLoadState();
      return twin;
    };
    await checkWebStorage({ newTab: () => context.newPage(), duplicate, url: page.url });
  } finally {
    await browser.close();
    page.close();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await inChromium();
