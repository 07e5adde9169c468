// The locks that stand in for Web Locks, in a real browser:  node test/browsers/locks.mjs [WORD …]   (Chromium)
// firefox.mjs and webkit.mjs open the tabs; a tab is { goto(url), evaluate(fn, ...args), close() }, and may have crash() and freeze().
import assert from 'node:assert/strict';
import http from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';
import { program } from '../../tools/program.mjs';
import CHROMIUM_FLAGS from '../support/chromium-flags.json' with { type: 'json' };
import { inAll, runChecks, tabsOf } from './two-tabs.mjs';

const TABS = 4;
const STEPS = 200;
const ROUNDS = 10;
const PATIENCE_MS = 20_000;

/** The page: `lab.locks` are those of the default platform, in a browser that has no Web Locks; `lab.count` is in IndexedDB. */
const PAGE = `
import { defaultPlatform } from './src/platform/platform.ts';
Object.defineProperty(navigator, 'locks', { value: undefined });
const { locks } = defaultPlatform();
const asked = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
let database;
const run = (mode, ask) => {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('lab', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('counts');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return database.then((db) => asked(ask(db.transaction('counts', mode).objectStore('counts'))));
};
const get = async (name) => (await run('readonly', (store) => store.get(name))) ?? 0;
const add = async (name) => {
  const before = await get(name); // a transaction of its own: only the lock keeps others away
  await run('readwrite', (store) => store.put(before + 1, name));
};
globalThis.lab = {
  locks, get, add,
  /** Resolves once the lock is held; free() ends that. */
  hold: (name) => new Promise((held) => {
    void locks.withLock(name, () => new Promise((free) => { lab.free = free; held(); }));
  }),
  /** Begins to wait; lab.got tells whether it has been granted. */
  ask: (name) => {
    lab.got = false;
    lab.waiting = locks.withLock(name, async () => void (lab.got = true));
  },
  leftovers: async () => (await indexedDB.databases()).map(({ name }) => name).filter((name) => name.startsWith('rx-credentials-lock')),
};
`;

/** Serves the page on localhost. */
export async function serveLocks() {
  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: fileURLToPath(new URL('../..', import.meta.url)), loader: 'js' },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  const server = http.createServer(({ url }, response) => {
    const isScript = url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? outputFiles[0].text : '<!doctype html><title>locks</title><script type="module" src="/page.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Runs every check; `newTab` opens a tab in one profile. */
export async function checkLocks(newTab, url) {
  const tabs = tabsOf(async () => {
    const tab = await newTab();
    await tab.goto(url);
    await until(tab, () => 'lab' in globalThis);
    return tab;
  });
  const first = await tabs.open();
  const checks = [
    ['locks of the origin without Web Locks', () => withoutWebLocks(first)],
    [`${TABS} tabs × ${STEPS} steps of a counter, one after the other`, () => counter(tabs, countOneByOne, STEPS)],
    [`${TABS} tabs × ${STEPS / 4} steps of a counter, asked for all at once`, () => counter(tabs, countAtOnce, STEPS / 4)],
    ['a holder is closed', () => lostHolder(tabs, (tab) => tabs.close(tab))],
    ['a waiter is closed', () => closedWaiter(tabs)],
    ['a holder that computes keeps its lock', () => busyHolder(tabs)],
    ...(first.crash ? [['a holder is killed', () => lostHolder(tabs, (tab) => tab.crash())]] : []),
    ...(first.freeze ? [['a waiter is frozen', () => frozenWaiter(tabs)]] : []),
  ];
  await runChecks(checks, tabs.closeAll);
}

/** Waits until the tab answers yes. */
async function until(tab, question, ...args) {
  for (const end = performance.now() + PATIENCE_MS; !(await tab.evaluate(question, ...args));) {
    if (performance.now() > end) throw new Error(`it never came to be: ${question} ${JSON.stringify(args)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function withoutWebLocks(tab) {
  const found = await tab.evaluate(() => [navigator.locks === undefined, globalThis.lab.locks.reach]);
  assert.deepEqual(found, [true, 'origin']);
  return (await tab.evaluate(() => isSecureContext)) ? 'Web Locks are hidden' : 'no secure context';
}

async function countOneByOne(_, [name, steps]) {
  for (let i = 0; i < steps; i++) await globalThis.lab.locks.withLock(name, () => globalThis.lab.add(name));
}

async function countAtOnce(_, [name, steps]) {
  await Promise.all(Array.from({ length: steps }, () => globalThis.lab.locks.withLock(name, () => globalThis.lab.add(name))));
}

async function counter({ open }, count, steps) {
  const tabs = [];
  for (let i = 0; i < TABS; i++) tabs.push(await open());
  const start = performance.now();
  await inAll(tabs, count, [count.name, steps]);
  const ms = (performance.now() - start) / TABS / steps;
  assert.equal(await tabs[0].evaluate((name) => globalThis.lab.get(name), count.name), TABS * steps);
  await until(tabs[0], async () => (await globalThis.lab.leftovers()).length === 0);
  return `0 lost, ${ms.toFixed(1)} ms each`;
}

async function lostHolder({ open }, lose) {
  const witness = await open();
  for (let round = 0; round < ROUNDS; round++) {
    const holder = await open();
    const name = `lost ${round}`;
    await holder.evaluate((name) => globalThis.lab.hold(name), name);
    const isEarly = round % 2 === 0; // it waits already, or it comes later
    if (isEarly) await witness.evaluate((name) => globalThis.lab.ask(name), name);
    if (isEarly) assert.equal(await witness.evaluate(() => globalThis.lab.got), false);
    await lose(holder);
    if (!isEarly) await witness.evaluate((name) => globalThis.lab.ask(name), name);
    await until(witness, () => globalThis.lab.got);
  }
  await until(witness, async () => (await globalThis.lab.leftovers()).length === 0);
  return `${ROUNDS} times`;
}

async function closedWaiter({ open, close }) {
  const [holder, last] = [await open(), await open()];
  for (let round = 0; round < ROUNDS; round++) {
    const name = `waiter ${round}`;
    const waiter = await open();
    await holder.evaluate((name) => globalThis.lab.hold(name), name);
    await waiter.evaluate((name) => globalThis.lab.ask(name), name);
    await last.evaluate((name) => globalThis.lab.ask(name), name);
    await close(waiter);
    assert.equal(await last.evaluate(() => globalThis.lab.got), false);
    await holder.evaluate(() => globalThis.lab.free());
    await until(last, () => globalThis.lab.got);
  }
  return `${ROUNDS} times`;
}

/** Its event loop stands still, as in a debugger: neither timers nor messages arrive. */
async function busyHolder({ open }) {
  const [holder, waiter] = [await open(), await open()];
  await holder.evaluate(
    () =>
      new Promise((held) => {
        globalThis.ended = globalThis.lab.locks.withLock('busy', async () => {
          held();
          await new Promise((resolve) => setTimeout(resolve, 100)); // lets the answer go out
          for (const end = performance.now() + 3_000; performance.now() < end;);
          await globalThis.lab.add('busy');
        });
      }),
  );
  const seen = await waiter.evaluate(() => globalThis.lab.locks.withLock('busy', () => globalThis.lab.get('busy')));
  await holder.evaluate(() => globalThis.ended);
  assert.equal(seen, 1, 'the lock was taken from a holder that lives');
}

/** A tab that is frozen while it waits must not be given a lock that it cannot give back. */
async function frozenWaiter({ open }) {
  const [holder, waiter, last] = [await open(), await open(), await open()];
  for (let round = 0; round < ROUNDS; round++) {
    const name = `frozen ${round}`;
    await holder.evaluate((name) => globalThis.lab.hold(name), name);
    await waiter.evaluate((name) => globalThis.lab.ask(name), name);
    await waiter.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200))); // it waits by now, or a look is under way
    assert.equal(await waiter.evaluate(() => globalThis.lab.got), false);
    const thaw = await waiter.freeze();
    await holder.evaluate(() => globalThis.lab.free());
    await last.evaluate((name) => globalThis.lab.ask(name), name);
    await until(last, () => globalThis.lab.got);
    await thaw();
    await until(waiter, () => globalThis.lab.got);
  }
  return `${ROUNDS} times`;
}

/** By puppeteer: playwright keeps all tabs visible, and a visible tab is never frozen. */
async function inChromium() {
  const page = await serveLocks();
  const args = [...CHROMIUM_FLAGS, '--host-resolver-rules=MAP locks.test 127.0.0.1'];
  const browser = await puppeteer.launch({ executablePath: program('chromium'), args });
  try {
    console.log(await browser.version());
    const newTab = async () => {
      const tab = await browser.newPage();
      const send = async (...message) => (await tab.createCDPSession()).send(...message);
      return Object.assign(tab, {
        crash: () => Promise.race([send('Page.crash'), new Promise((resolve) => tab.once('error', resolve))]),
        freeze: async () => {
          const front = (await browser.pages()).find((other) => other !== tab);
          await front.bringToFront();
          await send('Page.setWebLifecycleState', { state: 'frozen' });
          return () => send('Page.setWebLifecycleState', { state: 'active' });
        },
      });
    };
    await checkLocks(newTab, page.url.replace('localhost', 'locks.test')); // plain http: no secure context
  } finally {
    await browser.close();
    page.close();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await inChromium();
