// Every storage of browsers in a real Chromium: the contract, several tabs, tabs that are killed or frozen, a disk that is full.
import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { ROOT } from '../support/markdown';
import { runs } from '../support/counts';
import type { CaseResult } from './pages/storage';
import { launch } from './support';

let server: Server;
let origin: string;
let browser: Browser;
let context: BrowserContext;

beforeAll(async () => {
  const { stdout } = await promisify(execFile)(
    join(ROOT, 'node_modules/.bin/esbuild'),
    [
      join(ROOT, 'test/e2e/pages/storage.ts'),
      '--bundle',
      '--format=esm',
      '--target=es2022',
      '--log-level=warning',
      `--tsconfig=${join(ROOT, 'tsconfig.json')}`,
    ],
    { cwd: ROOT, maxBuffer: 32 * 1024 * 1024 },
  );
  server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? stdout : '<!doctype html><title>storage</title><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await launch();
});
afterAll(async () => {
  await browser.close();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(async () => {
  context = await browser.newContext();
});
afterEach(async () => {
  await context.close();
});

async function openTab(): Promise<Page> {
  const page = await context.newPage();
  await page.goto(origin);
  await page.waitForFunction(() => 'driver' in globalThis);
  return page;
}
async function startTab(storage: string, namespace = 'app'): Promise<Page> {
  const page = await openTab();
  await page.evaluate(([name, space]) => driver.start(name, space), [storage, namespace] as const);
  return page;
}
const ids = (page: Page): Promise<readonly string[]> => page.evaluate(() => driver.ids());

const STORAGES = [
  'indexedDB',
  'indexedDB, relaxed',
  'localforage',
  'web storage, local',
  'web storage, session',
  'key-value over localStorage',
  'sealed indexedDB',
  'sealed cookies',
];
const SHARED = STORAGES.filter((name) => name !== 'web storage, session');
/** Cookies are a few kilobytes in all: what stores many credentials is not for them. */
const ROOMY = SHARED.filter((name) => name !== 'sealed cookies');

it('all storages of browsers are tried here', async () => {
  const page = await openTab();
  expect(await page.evaluate(() => driver.storages())).toEqual(STORAGES);
});

describe('in Chromium, the storage contract', () => {
  it.each(STORAGES)(
    'holds for %s',
    async (name) => {
      const page = await openTab();
      const results: readonly CaseResult[] = await page.evaluate((which) => driver.contract(which), name);
      expect(results.length).toBeGreaterThan(20);
      expect(results.filter(({ failure }) => failure !== null)).toEqual([]);
    },
    120_000,
  );
});

describe('in Chromium, several tabs', () => {
  it.each(SHARED)(
    'see what each of them does, over %s',
    async (name) => {
      const [a, b] = [await startTab(name), await startTab(name)];
      await a.evaluate(() => driver.store('a'));
      await b.waitForFunction(async () => (await driver.ids()).join() === 'a');
      expect(await b.evaluate(() => driver.accessToken('a'))).toBe('access-CANARY-a');
      await b.evaluate(() => driver.setTags('a', ['theirs']));
      await a.waitForFunction(async () => (await driver.tags('a'))?.join() === 'theirs');
      await b.evaluate(() => driver.store('b'));
      await b.evaluate(() => driver.setDefault('b'));
      await a.waitForFunction(async () => (await driver.defaultId()) === 'b');
      await a.evaluate(() => driver.remove('b'));
      await b.waitForFunction(async () => (await driver.ids()).join() === 'a' && (await driver.defaultId()) === null);
      await b.evaluate(() => driver.clear());
      await a.waitForFunction(async () => (await driver.ids()).length === 0);
    },
    30_000,
  );

  it.each(ROOMY)(
    'E61 eight first stores at once make one default and lose none, over %s',
    async (name) => {
      const tabs = await Promise.all(Array.from({ length: 8 }, () => startTab(name)));
      await Promise.all(tabs.map((tab, i) => tab.evaluate((id) => driver.store(id), `id-${i}`)));
      const ninth = await startTab(name);
      expect([...(await ids(ninth))].sort()).toEqual(tabs.map((_, i) => `id-${i}`));
      const standard = await ninth.evaluate(() => driver.defaultId());
      expect(standard).not.toBeNull();
      for (const tab of tabs) await tab.waitForFunction(async (id) => (await driver.defaultId()) === id, standard);
      for (let i = 0; i < 8; i++) expect(await ninth.evaluate((id) => driver.accessToken(id), `id-${i}`)).toBe(`access-CANARY-id-${i}`);
    },
    60_000,
  );

  it.each(ROOMY)(
    'D-044 five tabs that sign one user in at once keep one credential, over %s',
    async (name) => {
      const tabs = await Promise.all(Array.from({ length: 5 }, () => startTab(name)));
      for (const sub of ['alice', 'bob']) {
        const kept = await Promise.all(
          tabs.map((tab, i) => tab.evaluate(([id, user]) => driver.signIn(id, user), [`${sub}-${i}`, sub] as const)),
        );
        expect(new Set(kept).size).toBe(1);
      }
      const later = await startTab(name);
      const all = await ids(later);
      expect(all.map((id) => id.split('-')[0]).sort()).toEqual(['alice', 'bob']);
      const signedIn = await Promise.all(all.map((id) => later.evaluate((one) => driver.accessToken(one), id)));
      expect(signedIn.sort()).toEqual([expect.stringMatching(/^access-CANARY-alice-/), expect.stringMatching(/^access-CANARY-bob-/)]);
    },
    60_000,
  );

  it('E61 BBA-4 eight tabs that start at once make one key, which no script can read out', async () => {
    const tabs = await Promise.all(Array.from({ length: 8 }, openTab));
    await Promise.all(tabs.map((tab) => tab.evaluate(() => driver.start('sealed indexedDB', 'keys'))));
    await Promise.all(tabs.map((tab, i) => tab.evaluate((id) => driver.store(id), `id-${i}`)));
    const found = await tabs[0].evaluate(async () => {
      const keys: boolean[] = [];
      for (const { name } of await indexedDB.databases()) {
        const request = indexedDB.open(name ?? '');
        await new Promise((resolve) => (request.onsuccess = resolve));
        for (const storeName of request.result.objectStoreNames) {
          const all = request.result.transaction(storeName).objectStore(storeName).getAll();
          await new Promise((resolve) => (all.onsuccess = resolve));
          const visit = (value: unknown): void => {
            if (value instanceof CryptoKey) keys.push(value.extractable);
            else if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit);
          };
          visit(all.result);
          if (JSON.stringify(all.result).includes('CANARY')) throw new Error('a token lies in the clear');
        }
        request.result.close();
      }
      return keys;
    });
    expect(found).toEqual([false]);
  });

  it('RF-15 another tab may delete the database of an open one: nobody is blocked, and the store goes on', async () => {
    const page = await startTab('indexedDB', 'deleted');
    await page.evaluate(() => driver.store('a'));
    const other = await openTab();
    await other.evaluate(async () => {
      for (const { name } of await indexedDB.databases()) {
        const request = indexedDB.deleteDatabase(name ?? '');
        await new Promise((resolve, reject) => {
          request.onsuccess = resolve;
          request.onblocked = () => reject(new Error('blocked'));
        });
      }
    });
    await page.evaluate(() => driver.store('b'));
    expect(await ids(await startTab('indexedDB', 'deleted'))).toContain('b');
  });
});

describe('in Chromium, a tab that is killed', () => {
  it.each(['indexedDB', 'localforage', 'web storage, local', 'sealed indexedDB'])(
    'at any moment loses nothing that was acknowledged, over %s',
    async (name) => {
      const acknowledged: string[] = [];
      await context.exposeFunction('acknowledge', (id: string) => void acknowledged.push(id));
      for (let round = 0; round < runs(3, 50); round++) {
        const victim = await startTab(name);
        const session = await context.newCDPSession(victim);
        const reached = acknowledged.length + 1 + Math.floor(Math.random() * 8);
        void victim
          .evaluate(() => driver.storeForEver((globalThis as unknown as { acknowledge(id: string): Promise<void> }).acknowledge))
          .catch(() => undefined);
        while (acknowledged.length < reached) await new Promise((resolve) => setImmediate(resolve));
        await crash(victim, session);
        const count = acknowledged.length;
        const next = await startTab(name);
        const found = await ids(next);
        expect(acknowledged.slice(0, count).filter((id) => !found.includes(id))).toEqual([]);
        expect(await next.evaluate(() => driver.events())).not.toContain('record_quarantined');
        const last = acknowledged[count - 1] ?? '';
        expect(await next.evaluate((id) => driver.accessToken(id), last)).toBe(`access-CANARY-${last}`);
        await next.evaluate((id) => driver.setTags(id, ['alive']), last); // no lock was left behind
        await next.close();
      }
    },
    300_000,
  );
});

/** Ends the process of the page, with whatever it is doing. */
async function crash(page: Page, session: CDPSession): Promise<void> {
  const crashed = new Promise((resolve) => page.once('crash', resolve));
  session.send('Page.crash').catch(() => undefined); // it has nobody left to answer
  await crashed;
  await page.close();
}

describe('in Chromium, a tab that is frozen', () => {
  it('agrees with the others before it answers its first question', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'test/browsers/frozen-tab.mjs')]);
    expect(JSON.parse(stdout)).toEqual({ frozenTimes: 1, ids: ['a', 'c'], oldTags: 0 });
  });
});

describe('in Chromium, a disk that is full', () => {
  it('RF-15 keeps what is stored in memory, says so, and writes it when there is room again', async () => {
    const page = await openTab();
    const session = await context.newCDPSession(page);
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 100_000 }); // before the database is opened
    await page.evaluate(() => driver.start('indexedDB', 'full'));
    await page.evaluate(() => driver.store('before'));
    await page.evaluate(() => driver.store('during', 'during', 5_000_000));
    expect(await page.evaluate(() => driver.durable())).toBe(false);
    expect(await page.evaluate(() => driver.events())).toContain('not_durable');
    expect(await page.evaluate(() => driver.accessToken('during'))).toContain('access-CANARY-during');
    expect(await page.evaluate(() => driver.accessToken('before'))).toBe('access-CANARY-before');
    expect(await ids(await startTab('indexedDB', 'full'))).toEqual(['before']);
    await session.send('Storage.overrideQuotaForOrigin', { origin });
    await page.waitForFunction(() => driver.durable(), undefined, { timeout: 90_000 });
    expect(await ids(await startTab('indexedDB', 'full'))).toEqual(['before', 'during']);
  });
});
