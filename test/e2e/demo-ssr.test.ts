// `npm start -- --ssr`: the demo whose first page Angular's own server renders. That server knows nobody; the browser goes on from its page.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { callApi, card, launch, newProfile, press, said, signIn, storedTokens, tailOf, watchConsole, type Demo } from './support';

const START = join(__dirname, '../../tools/start.mjs');
/** How long the program may take to end once it is told to. */
const GRACE_MS = 20_000;

interface RunningDemo extends Pick<Demo, 'app'> {
  /** Tells the program to stop, and waits until it has. Its exit status; `null`: it had to be killed. */
  stop(): Promise<number | null>;
}

/** As a person types it, but on free ports. Resolves when the address is printed. */
async function startRendered(): Promise<RunningDemo> {
  const args = [START, '--ssr', '--app-port', '0', '--as-port', '0', '--api-port', '0'];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  let printed = '';
  const app = await new Promise<string>((resolve, reject) => {
    const read = (chunk: unknown): void => {
      printed += String(chunk);
      const address = /The demo runs at (http:\/\/localhost:\d+)/.exec(printed)?.[1];
      if (address !== undefined) resolve(address);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', () => reject(new Error(`npm start -- --ssr ended: ${printed}`)));
  });
  return {
    app,
    stop: () => {
      child.kill();
      const impatience = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
      return ended.finally(() => clearTimeout(impatience));
    },
  };
}

let demo: RunningDemo;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [demo, browser] = await Promise.all([startRendered(), launch()]);
});
afterAll(() => Promise.all([demo?.stop(), browser?.close()]));
beforeEach(async () => {
  context = await newProfile(browser);
  complaints = watchConsole(context);
  page = await context.newPage();
});
afterEach(() => context.close());

/** What the server sends, to who runs no script. */
async function render(path = '/', headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const response = await fetch(`${demo.app}${path}`, { headers });
  expect(response.status).toBe(200);
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('content-security-policy')).toContain("script-src 'self';");
  return response.text();
}

/** From here on, token requests of whatever page of the profile. */
function watchTokenRequests(): string[] {
  const requests: string[] = [];
  context.on('request', (request) => void (new URL(request.url()).pathname === '/token' && requests.push(request.method())));
  return requests;
}

it('the server renders the page as before anything was read: it says neither who is signed in nor that nobody is', async () => {
  const html = await render();
  expect(html).toContain('ng-server-context="ssr"');
  expect(html).toContain('Reading what is stored …');
  expect(html).toContain('Trouble, on purpose');
  expect(html).toContain('Rendered by: server, which knows nobody');
  expect(html).not.toContain('signed-out');
  const state = /<script id="ng-state" type="application\/json">(.*?)<\/script>/.exec(html)?.[1] ?? 'null';
  const { __nghData__: views, ...rest } = JSON.parse(state) as Record<string, unknown>;
  expect(views).toBeInstanceOf(Array);
  expect(rest).toEqual({ 'rendered-by': 'server' });
  expect(html.match(/<script(?![^>]*\bsrc=)[^>]*>/g)).toEqual(['<script id="ng-state" type="application/json">']); // the policy allows no other
});

it('requests at the same time have nothing of each other, and nothing of what they brought', async () => {
  const alone = await render();
  const pages = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      render(`/?wanted=secret-${n}`, { cookie: `session=secret-${n}`, authorization: `Bearer secret-${n}` }),
    ),
  );
  expect(new Set(pages)).toEqual(new Set([alone]));
});

it.each(['/callback?code=secret-code&state=secret-state', '/orders', '/tabs', '/tab?n=1'])(
  'the server leaves %s to the browser: it ends no sign-in, and turns nobody away',
  async (path) => {
    const html = await render(path);
    expect(html).toContain('Starting …');
    expect(html).not.toMatch(/secret-|ng-server-context/);
  },
);

it('Chromium takes the page over, element by element, and goes on: nobody is signed in', async () => {
  const spoken: string[] = [];
  page.on('console', (message) => spoken.push(message.text()));
  await page.addInitScript(() => {
    const seen = new MutationObserver(() => {
      const sent = document.querySelector('#trouble-title');
      if (sent === null) return;
      Object.assign(window, { sent });
      seen.disconnect();
    });
    seen.observe(document, { childList: true, subtree: true });
  });
  await page.goto(demo.app);
  await page.getByTestId('signed-out').waitFor();
  expect(await page.evaluate(() => document.querySelector('#trouble-title') === (window as unknown as { sent: Element }).sent)).toBe(true);
  expect(
    spoken.filter((text) => /^Angular hydrated [1-9]\d* component\(s\) and \d+ node\(s\), 0 component\(s\) were skipped/.test(text)),
  ).toHaveLength(1);
  await page.getByText('Rendered by: server').waitFor();
  expect(complaints).toEqual([]);
});

it('who is signed in and loads the page anew: the server still knows nobody, and the browser goes on with the token it has', async () => {
  await signIn(page, demo, 'Alice Liddell', 'work');
  await callApi(page);
  const { accessToken, refreshToken } = await storedTokens(page, 'alice.liddell');
  const tokenRequests = watchTokenRequests();
  const response = await page.reload();
  const html = (await response?.text()) ?? '';
  expect(html).toBe(await render()); // the page of nobody
  for (const secret of [accessToken, refreshToken, tailOf(accessToken), 'Alice', 'alice']) expect(html).not.toContain(secret);
  await card(page, 'Alice Liddell').waitFor();
  await callApi(page);
  await page.getByTestId('api-token').getByText(tailOf(accessToken)).waitFor();
  expect(tokenRequests).toEqual([]);
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await said(page, 'Alice Liddell has a new access token');
  expect(tokenRequests).toEqual(['POST']);
  expect(complaints).toEqual([]);
});

it('what the demo shows works on a page that was rendered: a guard, eight tabs, a 401 that is mended', async () => {
  await page.goto(`${demo.app}/orders`);
  await page.getByTestId('refusal').getByText('Sign in first').waitFor();
  await signIn(page, demo, 'Bob Martin');
  await page.goto(`${demo.app}/orders`);
  await page.getByText('Rendered by: browser').waitFor();
  await page.getByRole('cell', { name: '1', exact: true }).first().waitFor();
  await page.goto(demo.app);
  await page.getByRole('link', { name: 'Eight tabs' }).click();
  await page.getByTestId('tabs-result').getByText('Eight are waiting.', { exact: true }).waitFor();
  await press(page, 'Refresh in all eight at once');
  await page
    .getByTestId('tabs-result')
    .getByText('8 of 8 have a new token, all of them the same; 1 token request.', { exact: true })
    .waitFor();
  await page.getByRole('link', { name: 'Credentials', exact: true }).click();
  const tokenRequests = watchTokenRequests();
  await press(page, 'Spoil the access token');
  await said(page, 'The access token is dead');
  await callApi(page);
  expect(tokenRequests).toEqual(['POST']);
});

it('nothing that the pages left behind keeps the program alive: it ends when it is told to', async () => {
  await Promise.all(Array.from({ length: 20 }, () => render()));
  expect(await demo.stop()).toBe(0); // it closes its ports, and ends by itself
});
