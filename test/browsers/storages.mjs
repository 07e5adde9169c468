// What every storage of browsers must do in a real one: the contract, several tabs at once, a tab that ends in the middle of its work.
// firefox.mjs and webkit.mjs open the tabs; a tab is { goto(url), evaluate(fn, ...args), close() }. In Chromium test/e2e does the same.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { inAll, runChecks, tabsOf } from './two-tabs.mjs';

const PATIENCE_MS = 20_000;
const ROUNDS = 10;

/**
 * Serves the page of test/e2e, which has every storage, on localhost (a secure context).
 *
 * @param options.tls by https with a certificate that nobody knows: WebKit takes Secure cookies in no other way, not even on localhost
 */
export async function serveStorages({ tls = false } = {}) {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [`${root}/test/e2e/pages/storage.ts`],
    tsconfig: `${root}/tsconfig.json`,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  const answer = ({ url }, response) => {
    const isScript = url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? outputFiles[0].text : '<!doctype html><title>storages</title><script type="module" src="/page.js"></script>');
  };
  const server = tls ? https.createServer(certificate(), answer) : http.createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http${tls ? 's' : ''}://localhost:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A key and a certificate for localhost, for a day. */
function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'rxc-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const request =
    '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost';
  try {
    execFileSync('openssl', ['req', ...request.split(' '), '-keyout', key, '-out', cert], { stdio: ['ignore', 'ignore', 'pipe'] });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } catch (error) {
    throw error.code === 'ENOENT' ? new Error('openssl is missing. Type: sudo apt-get install -y openssl') : error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs every check; `newTab` opens a tab in one profile. */
export async function checkStorages(newTab, url) {
  const { open, close, closeAll } = tabsOf(async () => {
    const tab = await newTab();
    await tab.goto(url);
    await until(tab, () => 'driver' in globalThis);
    return tab;
  });
  const start = async (storage, namespace) => {
    const tab = await open();
    await tab.evaluate((name, space) => globalThis.driver.start(name, space), storage, namespace);
    return tab;
  };
  const tabs = { open, start, close };
  const first = await open();
  const storages = await first.evaluate(() => globalThis.driver.storages());
  const shared = storages.filter((name) => name !== 'web storage, session');
  const roomy = shared.filter((name) => name !== 'sealed cookies'); // cookies are a few kilobytes in all
  const checks = [
    ...storages.map((name) => [`contract, ${name}`, () => contract(tabs, name)]),
    ...shared.map((name) => [`several tabs, ${name}`, () => severalTabs(tabs, name)]),
    ...roomy.map((name) => [`eight first stores at once, ${name}`, () => eightFirstStores(tabs, name)]),
    ['eight tabs make one key', () => oneKey(tabs)],
    ...['indexedDB', 'localforage', 'web storage, local', 'sealed indexedDB'].map((name) => [
      `a tab is closed, ${name}`,
      () => closedTab(tabs, name),
    ]),
    ['the database is deleted', () => deletedDatabase(tabs)],
  ];
  await runChecks(checks, closeAll);
}

/** Waits until the tab answers yes. */
async function until(tab, question, ...args) {
  for (const end = performance.now() + PATIENCE_MS; !(await tab.evaluate(question, ...args));) {
    if (performance.now() > end) throw new Error(`it never came to be: ${question} ${JSON.stringify(args)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function contract({ open }, name) {
  const tab = await open();
  const results = await tab.evaluate((which) => globalThis.driver.contract(which), name);
  await tab.evaluate(forgetCookies); // of all its namespaces: a server refuses requests with so many
  const failures = results.filter(({ failure }) => failure !== null);
  if (failures.length > 0) {
    const texts = failures.map(({ title, failure }) => `\n    ${title}: ${failure}`);
    throw new Error(`${failures.length} of ${results.length} cases fail${texts.join('')}`);
  }
  assert.ok(results.length > 20);
  return `${results.length} cases`;
}

function forgetCookies() {
  for (const cookie of document.cookie.split('; ')) document.cookie = `${cookie.split('=', 1)[0]}=; Path=/; Secure; Max-Age=0`;
}

async function severalTabs({ start }, name) {
  const [a, b] = [await start(name, `several ${name}`), await start(name, `several ${name}`)];
  await a.evaluate(() => globalThis.driver.store('a'));
  await until(b, async () => (await globalThis.driver.ids()).join() === 'a');
  assert.equal(await b.evaluate(() => globalThis.driver.accessToken('a')), 'access-CANARY-a');
  await b.evaluate(() => globalThis.driver.setTags('a', ['theirs']));
  await until(a, async () => (await globalThis.driver.tags('a'))?.join() === 'theirs');
  await b.evaluate(() => globalThis.driver.store('b'));
  await b.evaluate(() => globalThis.driver.setDefault('b'));
  await until(a, async () => (await globalThis.driver.defaultId()) === 'b');
  await a.evaluate(() => globalThis.driver.remove('b'));
  await until(b, async () => (await globalThis.driver.ids()).join() === 'a' && (await globalThis.driver.defaultId()) === null);
  await b.evaluate(() => globalThis.driver.clear());
  await until(a, async () => (await globalThis.driver.ids()).length === 0);
}

async function eightFirstStores({ start }, name) {
  const tabs = [];
  for (let i = 0; i < 8; i++) tabs.push(await start(name, `eight ${name}`));
  await inAll(tabs, (number) => globalThis.driver.store(`id-${number}`));
  const ninth = await start(name, `eight ${name}`);
  assert.deepEqual(
    (await ninth.evaluate(() => globalThis.driver.ids())).toSorted(),
    tabs.map((_, i) => `id-${i}`),
  );
  const standard = await ninth.evaluate(() => globalThis.driver.defaultId());
  assert.notEqual(standard, null);
  for (const tab of tabs) await until(tab, async (id) => (await globalThis.driver.defaultId()) === id, standard);
  for (let i = 0; i < 8; i++) {
    assert.equal(await ninth.evaluate((id) => globalThis.driver.accessToken(id), `id-${i}`), `access-CANARY-id-${i}`);
  }
}

async function oneKey({ open }) {
  const tabs = [];
  for (let i = 0; i < 8; i++) tabs.push(await open());
  await inAll(tabs, async (number) => {
    await globalThis.driver.start('sealed indexedDB', 'one key');
    await globalThis.driver.store(`id-${number}`);
  });
  const found = await tabs[0].evaluate(async () => {
    const asked = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const keys = [];
    const visit = (value) => {
      if (value instanceof CryptoKey) keys.push(value.extractable);
      else if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit);
    };
    for (const { name } of await indexedDB.databases()) {
      if (!name.includes('one key')) continue; // others are from other checks
      const database = await asked(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        const all = await asked(database.transaction(store).objectStore(store).getAll());
        visit(all);
        if (JSON.stringify(all).includes('CANARY')) throw new Error('a token lies in the clear');
      }
      database.close();
    }
    return keys;
  });
  assert.deepEqual(found, [false]);
}

/** The acknowledgements go to another tab, which outlives the one that is closed. */
async function closedTab({ open, start, close }, name) {
  const witness = await open();
  await witness.evaluate(() => {
    globalThis.acknowledged = [];
    new BroadcastChannel('acknowledged').onmessage = ({ data }) => globalThis.acknowledged.push(data);
  });
  const heard = () => witness.evaluate(() => globalThis.acknowledged);
  for (let round = 0; round < ROUNDS; round++) {
    const victim = await start(name, `closed ${name}`);
    const enough = (await heard()).length + 2 + round;
    await victim.evaluate(() => {
      const channel = new BroadcastChannel('acknowledged');
      void globalThis.driver.storeForEver((id) => Promise.resolve(channel.postMessage(id)));
    });
    await until(witness, (count) => globalThis.acknowledged.length >= count, enough);
    await close(victim);
    const acknowledged = await heard();
    const next = await start(name, `closed ${name}`);
    const found = await next.evaluate(() => globalThis.driver.ids());
    assert.deepEqual(
      acknowledged.filter((id) => !found.includes(id)),
      [],
      'what was acknowledged is lost',
    );
    assert.ok(!(await next.evaluate(() => globalThis.driver.events())).includes('record_quarantined'));
    const last = acknowledged.at(-1);
    assert.equal(await next.evaluate((id) => globalThis.driver.accessToken(id), last), `access-CANARY-${last}`);
    await next.evaluate((id) => globalThis.driver.setTags(id, ['alive']), last); // no lock was left behind
    await close(next);
  }
  return `${ROUNDS} tabs, ${(await heard()).length} credentials`;
}

async function deletedDatabase({ open, start }) {
  const tab = await start('indexedDB', 'deleted');
  await tab.evaluate(() => globalThis.driver.store('a'));
  const other = await open();
  await other.evaluate(async () => {
    for (const { name } of await indexedDB.databases()) {
      const request = indexedDB.deleteDatabase(name);
      await new Promise((resolve, reject) => {
        request.onsuccess = resolve;
        request.onerror = () => reject(request.error);
        request.onblocked = () => reject(new Error(`${name} is blocked`));
      });
    }
  });
  await tab.evaluate(() => globalThis.driver.store('b'));
  const later = await start('indexedDB', 'deleted');
  assert.ok((await later.evaluate(() => globalThis.driver.ids())).includes('b'));
}
