// Renewal without a refresh token in a real Chromium: hidden frames at a real authorization server.
import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { createControl, type Control, type ServerOptions } from '../support/control';
import { ROOT } from '../support/markdown';
import type { AppOptions } from './pages/silent';
import { fillLoginForm, launch, newProfile, watchConsole } from './support';

/** A page of the application's origin that may not be framed, and one whose page may frame nobody. */
const UNFRAMED = '/unframed';
const FRAMELESS = '/frameless';

let server: Server;
let browser: Browser;
let context: BrowserContext;
let app: string;
/** Of the same site as the application, as `id.example.com` is for `app.example.com`; and of another site. */
let near: { readonly issuer: string; readonly control: Control };
let far: { readonly issuer: string; readonly control: Control };

beforeAll(async () => {
  const { stdout } = await promisify(execFile)(
    join(ROOT, 'node_modules/.bin/esbuild'),
    [
      join(ROOT, 'test/e2e/pages/silent.ts'),
      '--bundle',
      '--format=esm',
      '--target=es2022',
      '--log-level=warning',
      `--tsconfig=${join(ROOT, 'tsconfig.json')}`,
    ],
    { cwd: ROOT, maxBuffer: 32 * 1024 * 1024 },
  );
  server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path === UNFRAMED) response.setHeader('content-security-policy', "frame-ancestors 'none'");
    if (path === FRAMELESS) response.setHeader('content-security-policy', "frame-src 'none'");
    response.setHeader('content-type', path === '/page.js' ? 'text/javascript' : 'text/html');
    const html = '<!doctype html><title>silent</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';
    response.end(path === '/page.js' ? stdout : html);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  app = `http://localhost:${(server.address() as AddressInfo).port}`;
  [near, far, browser] = await Promise.all([startAuthorizationServer('localhost'), startAuthorizationServer('127.0.0.1'), launch()]);
});
afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(async () => {
  context = await newProfile(browser);
  await Promise.all([near.control.resetLogs(), far.control.resetLogs()]);
});
afterEach(() => context.close());

async function startAuthorizationServer(host: string) {
  const client = {
    client_id: 'silent',
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [`${app}/callback`, app + UNFRAMED],
  };
  const options: ServerOptions & { readonly host: string } = { host, allowedOrigins: [app], clients: [client] };
  const { issuer, control } = await createControl(process.env['TEST_CONTROL_E2E'] ?? '').startServers(options);
  return { issuer, control: createControl(control) };
}

async function openTab(options: AppOptions, path = '/'): Promise<Page> {
  const page = await context.newPage();
  await page.goto(app + path);
  await start(page, options);
  return page;
}

async function start(page: Page, options: AppOptions): Promise<void> {
  await page.waitForFunction(() => 'silentApp' in globalThis);
  await page.evaluate((given) => silentApp.start(given), options);
}

/** The whole sign-in in a new tab; then the application is where it was asked to be. */
async function signedIn(options: AppOptions, path = '/'): Promise<Page> {
  const page = await openTab(options);
  await page.goto(await page.evaluate(() => silentApp.signInUrl()));
  await fillLoginForm(page, 'Alice Liddell');
  await page.waitForURL(`${app}/callback?**`);
  await start(page, options);
  await page.evaluate(() => silentApp.callback());
  await page.goto(app + path);
  await start(page, options);
  await near.control.resetLogs();
  return page;
}

const refresh = (page: Page) => page.evaluate(() => silentApp.refresh());
const traces = (page: Page) => page.evaluate(() => silentApp.traces());
const exchanges = async () => (await near.control.requests()).filter(({ endpoint }) => endpoint === 'token');

describe('a hidden frame in Chromium', () => {
  it('renews without a trace: no frame, no history, nothing stored, and the page it ends at runs no script', async () => {
    const errors = watchConsole(context);
    const page = await signedIn({ issuer: near.issuer });
    const before = await traces(page);
    const [first, second] = [await refresh(page), await refresh(page)];
    expect([first.code, second.code]).toEqual([null, null]);
    expect(await near.control.active(second.accessToken ?? '')).toBe(true);
    expect(second.accessToken).not.toBe(first.accessToken);
    expect(await traces(page)).toEqual({ ...before, seenFrames: 2 });
    expect(before).toMatchObject({ frames: 0, seenFrames: 0, kept: [], address: `${app}/` });
    expect(await exchanges()).toMatchObject([
      { grantType: 'authorization_code', status: 200 },
      { grantType: 'authorization_code', status: 200 },
    ]);
    expect(context.pages()).toEqual([page]);
    expect(errors.filter((error) => !error.includes('Blocked script execution'))).toEqual([]);
  });

  it('E2 RF-1 is one for eight tabs whose token has expired', async () => {
    await signedIn({ issuer: near.issuer });
    const tabs = await Promise.all(Array.from({ length: 8 }, () => openTab({ issuer: near.issuer, aheadMs: 61_000 })));
    const outcomes = await Promise.all(tabs.map((tab) => tab.evaluate(() => silentApp.accessToken())));
    expect(outcomes.map(({ code }) => code)).toEqual(Array(8).fill(null));
    expect(new Set(outcomes.map(({ accessToken }) => accessToken)).size).toBe(1);
    expect(await near.control.active(outcomes[0].accessToken ?? '')).toBe(true);
    expect(await exchanges()).toHaveLength(1);
    const seen = await Promise.all(tabs.map(traces));
    expect(seen.reduce((sum, { seenFrames }) => sum + seenFrames, 0)).toBe(1);
    expect(seen.map(({ frames }) => frames)).toEqual(Array(8).fill(0));
  });

  it('E21 at a server without a session needs the user, and opens and leads nowhere', async () => {
    const page = await signedIn({ issuer: near.issuer });
    const before = await traces(page);
    const { accessToken } = await page.evaluate(() => silentApp.accessToken());
    await context.clearCookies();
    expect(await refresh(page)).toEqual({ accessToken: null, code: 'needs_interaction' });
    expect(await page.evaluate(() => silentApp.status())).toBe('needs_interaction');
    expect(await page.evaluate(() => silentApp.accessToken())).toEqual({ accessToken, code: null });
    expect(await traces(page)).toEqual({ ...before, seenFrames: 1 });
    expect(context.pages()).toEqual([page]);
    expect(await exchanges()).toEqual([]);
  });

  it('at a server of another site takes no cookie along: the server says that it needs the user', async () => {
    const page = await signedIn({ issuer: far.issuer });
    expect((await refresh(page)).code).toBe('needs_interaction');
    expect((await traces(page)).frames).toBe(0);
  });
});

describe('a frame that Chromium or a server does not let end', () => {
  it.each<readonly [string, Partial<AppOptions>, string]>([
    ['the server shows a page of its own, which may not be framed', { silentPath: '/unknown' }, '/'],
    ['the page at the redirect URI may not be framed', { silentPath: UNFRAMED }, '/'],
    ['the page may frame nobody', {}, FRAMELESS],
  ])('E48 since %s: that passes, and the session stays', async (_, options, path) => {
    const page = await signedIn({ issuer: near.issuer, ...options }, path);
    const before = await traces(page);
    expect((await refresh(page)).code).toBe('renewal_failed');
    expect(await page.evaluate(() => silentApp.status())).toBe('valid');
    expect(await traces(page)).toEqual({ ...before, seenFrames: 1 });
    expect(await page.evaluate(() => silentApp.events())).toEqual(['restored', 'refresh_started', 'refresh_failed']);
  });

  it('E48 since the server cannot be reached: that passes', async () => {
    const page = await signedIn({ issuer: near.issuer });
    await context.route(`${near.issuer}/auth?**`, (route) => route.abort('connectionrefused'));
    expect((await refresh(page)).code).toBe('renewal_failed');
    await context.unroute(`${near.issuer}/auth?**`);
    expect((await refresh(page)).code).toBeNull();
    expect((await traces(page)).frames).toBe(0);
  });

  it('E48 since the server does not answer: it is given up and gone', async () => {
    const page = await signedIn({ issuer: near.issuer, timeoutMs: 500 });
    await context.route(`${near.issuer}/auth?**`, () => undefined);
    expect((await refresh(page)).code).toBe('timeout');
    expect(await traces(page)).toMatchObject({ frames: 0, seenFrames: 1 });
    await context.unrouteAll({ behavior: 'ignoreErrors' });
    expect((await refresh(page)).code).toBeNull();
  });
});
