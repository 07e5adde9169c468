// What is loaded later, in a real Chromium: it keeps a failed `import()` for the life of the page, which no fake does (D-061).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ROOT } from '../support/markdown';
import { launch } from './support';

const folder = mkdtempSync(join(tmpdir(), 'rx-credentials-chunks-'));
/** Files of the page, by what they were made of. */
const fileOf: Record<'encrypt' | 'protocol', string> = { encrypt: '', protocol: '' };
let server: Server;
let origin: string;
let browser: Browser;
let context: BrowserContext;
/** Paths that fail this many times more. */
const failing = new Map<string, number>();
let asked: string[] = [];
/** Refresh tokens that were presented, and the one that lives. */
let presented: string[] = [];
let live = '';

beforeAll(async () => {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['test/e2e/pages/chunks.ts'],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    metafile: true,
    logLevel: 'warning',
    tsconfig: join(ROOT, 'tsconfig.json'),
  });
  for (const [path, { entryPoint = '' }] of Object.entries(metafile.outputs)) {
    if (entryPoint.endsWith('jwe/compact/encrypt.js')) fileOf.encrypt = `/${basename(path)}`;
    if (entryPoint.endsWith('oauth/protocol.ts')) fileOf.protocol = `/${basename(path)}`;
  }
  server = createServer((request, response): unknown => {
    const { url = '' } = request;
    asked.push(url);
    if (url === '/') return response.setHeader('content-type', 'text/html').end('<script type="module" src="/chunks.js"></script>');
    if (url === '/token') {
      request.setEncoding('utf8').on('data', (body: string) => {
        const token = new URLSearchParams(body).get('refresh_token') ?? '';
        presented.push(token);
        const isLive = token === live;
        if (isLive) live = `refresh-${presented.length}`;
        const answer = { access_token: `access-${presented.length}`, refresh_token: live, token_type: 'Bearer', expires_in: 3600 };
        response.writeHead(isLive ? 200 : 400, { 'content-type': 'application/json' });
        response.end(JSON.stringify(isLive ? answer : { error: 'invalid_grant' }));
      });
      return undefined;
    }
    if (!url.endsWith('.js')) return response.writeHead(404).end();
    const left = failing.get(url) ?? 0;
    failing.set(url, left - 1);
    if (left > 0) return response.writeHead(503).end();
    response.setHeader('content-type', 'text/javascript').setHeader('cache-control', 'no-store');
    return response.end(readFileSync(join(folder, basename(url))));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await launch();
});
afterAll(async () => {
  await browser.close();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  context = await browser.newContext();
  failing.clear();
  [asked, presented, live] = [[], [], 'refresh-0'];
});
afterEach(() => context.close());

async function open(): Promise<Page> {
  const page = await context.newPage();
  await page.goto(origin);
  await page.waitForFunction(() => 'driverOfChunks' in globalThis);
  return page;
}
async function signedIn(): Promise<void> {
  const page = await open();
  expect(await page.evaluate(() => driverOfChunks.signIn('refresh-0'))).toBe(true);
  await page.close();
}
const has = (page: Page, path: string): Promise<unknown> =>
  page.waitForFunction((name) => performance.getEntriesByName(location.origin + name).length > 0, path);
const refresh = (page: Page): Promise<string | undefined> => page.evaluate(() => driverOfChunks.refresh());

it('E56 RF-3 without the code that seals no refresh token is spent, for the life of the page, and a reload has the session', async () => {
  await signedIn();
  failing.set(fileOf.encrypt, 1);
  const page = await open();
  expect(await refresh(page)).toBe('program_not_loaded');
  expect(await refresh(page)).toBe('program_not_loaded');
  expect(presented).toEqual([]);
  await page.reload();
  await page.waitForFunction(() => 'driverOfChunks' in globalThis);
  expect(await refresh(page)).toBe('access-1');
  expect(await refresh(page)).toBe('access-2');
  expect(presented).toEqual(['refresh-0', 'refresh-1']);
});

it('the code of requests that was lost once is told as what it is, and nothing is lost', async () => {
  await signedIn();
  failing.set(fileOf.protocol, 1);
  const page = await open();
  expect(await refresh(page)).toBe('program_not_loaded');
  expect(await refresh(page)).toBe('program_not_loaded'); // it was asked for once: the browser keeps the failure
  await page.reload();
  await page.waitForFunction(() => 'driverOfChunks' in globalThis);
  expect(await refresh(page)).toBe('access-1');
});

it('a deployment that removes all that is loaded later stops no page that was open before', async () => {
  await signedIn();
  const page = await open();
  for (const path of Object.values(fileOf)) await has(page, path);
  for (const path of asked) if (path.endsWith('.js')) failing.set(path, Infinity);
  expect(await refresh(page)).toBe('access-1');
  expect(await refresh(page)).toBe('access-2');
});

it('a page without a credential does not load the code of requests', async () => {
  const page = await open();
  await has(page, fileOf.encrypt); // a sign-in is to be sealed
  await page.waitForLoadState('networkidle');
  expect(asked).not.toContain(fileOf.protocol);
});
