// An accessibility scan of all that the demo shows, in light and dark (axe-core: WCAG 2.2 A and AA, and its best practices).
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ROOT } from '../support/markdown';
import { addAccount, callApi, launch, newProfile, press, said, signIn, startDemo, type Demo } from './support';

let demo: Demo;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let axe: string;

beforeAll(async () => {
  [demo, browser, axe] = await Promise.all([
    startDemo(),
    launch(),
    readFile(createRequire(join(ROOT, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8'),
  ]);
});
afterAll(() => browser.close());

/** What axe finds wrong, each with the elements it means. */
async function violations(): Promise<readonly string[]> {
  await page.evaluate(axe); // not as a <script>: the page's policy allows none of others
  const results = await page.evaluate(async () => (globalThis as unknown as { axe: { run: () => Promise<AxeResults> } }).axe.run());
  expect(results.passes.length).toBeGreaterThan(10);
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

describe.each(['light', 'dark'] as const)('axe finds nothing wrong with the demo, %s', (colorScheme) => {
  beforeAll(async () => {
    context = await newProfile(browser);
    page = await context.newPage();
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
  });
  afterAll(() => context.close());

  it('signed out, and with a problem shown', async () => {
    await page.goto(demo.app);
    await page.getByTestId('signed-out').waitFor();
    expect(await violations()).toEqual([]);
    await press(page, 'Unreachable issuer');
    await page.getByTestId('problem-code').first().waitFor();
    expect(await violations()).toEqual([]);
  });

  it('signed in, two accounts, with an answer of the API', async () => {
    await signIn(page, demo, 'Alice Liddell', 'work');
    await addAccount(page, 'Bob Martin');
    await callApi(page);
    expect(await violations()).toEqual([]);
  });

  it.each([
    ['Offline', 'api_unreachable'],
    ['Token endpoint down', 'server_unavailable'],
    ['API refuses tokens', 'api_401'],
  ])('the switch "%s" on, and what came of it: %s', async (name, code) => {
    const flip = (): Promise<void> => page.getByRole('switch', { name }).click();
    await flip();
    if (name === 'API refuses tokens') await said(page, 'The API refuses every token from now on.'); // the switch is the server's, and it answered
    await (name === 'Token endpoint down' ? press(page.getByRole('article').first(), 'Refresh') : press(page, 'Call the API'));
    await page.getByTestId('status-code').getByText(code, { exact: true }).waitFor();
    expect(await violations()).toEqual([]);
    await flip();
    if (name === 'API refuses tokens') await said(page, 'The API takes valid tokens again.');
  });

  it.each(['Orders', 'Eight tabs'])('the page %s', async (name) => {
    await page.getByRole('link', { name }).click();
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    await (name === 'Orders' ? page.getByRole('table') : page.getByText('Eight are waiting.')).waitFor();
    expect(await violations()).toEqual([]);
  });

  it('one of the eight tabs by itself', async () => {
    await page.goto(`${demo.app}/tab?n=1`);
    await page.getByTestId('tab-state').waitFor();
    expect(await violations()).toEqual([]);
  });

  it('a callback that went wrong', async () => {
    await page.goto(`${demo.app}/callback?code=forged`);
    await page.getByTestId('callback-failed').waitFor();
    expect(await violations()).toEqual([]);
  });
});
