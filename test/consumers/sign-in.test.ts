import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import CHROMIUM_FLAGS from '../support/chromium-flags.json';
import { createControl, type TestServers } from '../support/control';
import { newLinkedApplication, ng, succeeded } from './application';
import { linkedConsumer, type Consumer } from './consumer';
import { serveFiles, type Served } from './servers';

jest.setTimeout(300_000);

const PAGE = readFileSync(join(__dirname, '../../docs/angular/protect-a-route.md'), 'utf8');

/** The files of the page, for a server that knows no invoices. */
const recipe = Object.fromEntries(
  Array.from(PAGE.matchAll(/^`(src\/[^`]+)`\n\n```typescript\n([^]*?)^```$/gm), ([, path, code = '']) => [
    path,
    code.replaceAll('invoices:read', 'api:read'),
  ]),
);

let consumer: Consumer | undefined;
let app: Served | undefined;
let servers: TestServers;
let browser: Browser | undefined;

/** The application of the page, as its reader builds it, with an authorization server and an API of its own. */
beforeAll(async () => {
  consumer = await linkedConsumer();
  app = await serveFiles(consumer.path('dist/fresh/browser')); // before it is built: its address is a redirect URI
  const { origin } = app;
  const control = createControl(process.env['TEST_CONTROL_CONSUMERS'] ?? '');
  servers = await control.startServers({ redirectUris: [`${origin}/callback`], allowedOrigins: [origin] });
  await newLinkedApplication(consumer);
  const api = `${servers.api}/v1/`;
  const options = { issuer: servers.issuer, 'client-id': 'spa', 'api-url': api, 'redirect-uri': `${origin}/callback` };
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  succeeded(await ng(consumer, 'add', 'rx-credentials-angular', '--skip-confirmation', ...flags));
  const config = readFileSync(consumer.path('src/app/app.config.ts'), 'utf8')
    .replace('withResources,', 'withResources, withStorage,')
    .replace('withResources(', 'withStorage(() => sealed(indexedDBStorage())),\n      withResources(');
  const imports = ['indexedDBStorage', 'sealed'].map(
    (name, i) => `import { ${name} } from 'rx-credentials/storage/${['indexeddb', 'sealed'][i]}';\n`,
  );
  const root = readFileSync(join(__dirname, 'programs/sign-in-app.ts'), 'utf8').replace('https://api.example.com/v1/', api);
  consumer.write({ ...recipe, 'src/app/app.config.ts': imports.join('') + config, 'src/app/app.ts': root });
  expect(succeeded(await ng(consumer, 'build'))).not.toMatch(/warning/i);
  browser = await chromium.launch({ executablePath: process.env['CHROME_BIN'] ?? '', args: CHROMIUM_FLAGS });
});
afterAll(async () => {
  await browser?.close();
  await app?.close();
  consumer?.remove();
});

const signIn = (page: Page): Promise<void> => page.getByRole('button', { name: 'Sign in' }).click();
const who = (page: Page): Promise<string | null> => page.locator('#who').textContent();

/** The path that the router shows in the end. */
async function arrives(page: Page, path: string): Promise<void> {
  await page.waitForURL(`${app?.origin ?? ''}${path}`);
}

test('9700-2 the page on protected routes, typed off: who is sent away signs in, comes back, asks the API, and stays one credential', async () => {
  const page = await browser!.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  const addresses: string[] = [];
  page.on('framenavigated', (frame) => addresses.push(frame.url()));

  await page.goto(`${app!.origin}/invoices?year=2026`);
  await arrives(page, `/sign-in?returnTo=${encodeURIComponent('/invoices?year=2026')}&scope=api:read`);
  expect(await who(page)).toBe('nobody');
  await signIn(page);
  await page.getByLabel('Your name').fill('Alice');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await arrives(page, '/invoices?year=2026');
  await page.locator('#who').filter({ hasText: 'Alice' }).waitFor();
  const alice = await who(page);
  expect(alice).toMatch(/^Alice \S+ service:purchase$/);
  await page.getByRole('button', { name: 'Ask the API' }).click();
  await page
    .locator('#answer')
    .filter({ hasText: /^\d+ orders$/ })
    .waitFor();

  await page.goto(`${app!.origin}/sign-in?returnTo=${encodeURIComponent('/orders')}`);
  await signIn(page); // the session there lives: nobody is asked
  await arrives(page, '/orders');
  await page.locator('#who').filter({ hasText: 'Alice' }).waitFor();
  expect(await who(page)).toBe(alice);
  await page.reload();
  await page.locator('#who').filter({ hasText: 'Alice' }).waitFor();
  expect(await who(page)).toBe(alice);

  const control = createControl(servers.control);
  const exchanges = (await control.requests()).filter(({ endpoint }) => endpoint === 'token');
  expect(exchanges.map(({ grantType, status }) => `${grantType ?? ''} ${status}`)).toEqual([
    'authorization_code 200',
    'authorization_code 200',
  ]);
  expect((await control.apiLog()).filter(({ method }) => method === 'GET').map(({ status }) => status)).toEqual([200]);
  // The code was in the address bar no longer than it took to read it
  const withCode = addresses.filter((address) => address.includes('code='));
  expect(withCode).toHaveLength(2);
  const entries = await page.evaluate(() => history.length); // not until there is none: a guard may lead on while we go back
  for (let entry = 0; entry < entries; entry++) {
    expect(page.url()).not.toContain('code=');
    if ((await page.goBack()) === null) break;
  }
  expect(complaints).toEqual([]);
  // The page may be on its way still: to close it then may never end, in Chromium. It is closed with the browser
});

test('an answer that nobody asked for ends at the page for it, and says why', async () => {
  const page = await (await browser!.newContext()).newPage();
  await page.goto(`${app!.origin}/callback?error=access_denied&state=forged`);
  await page.getByRole('alert').filter({ hasText: 'callback_state_unknown' }).waitFor();
  expect(page.url()).toBe(`${app!.origin}/sign-in`);
  expect(await who(page)).toBe('nobody');
  await page.context().close();
});
