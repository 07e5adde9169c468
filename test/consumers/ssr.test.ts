import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { newApplication, ng, NPM_FLAGS, succeeded } from './application';
import CHROMIUM_FLAGS from '../support/chromium-flags.json';
import { emptyConsumer, type Consumer } from './consumer';
import { serve, type Served } from './servers';

jest.setTimeout(900_000);

const PAGE = readFileSync(join(__dirname, '../../docs/ssr.md'), 'utf8');
const KEY = randomBytes(32).toString('base64');
/** What an API says beside what the page shows. */
const PRIVATE = 'internal-note-of-the-api';

/** The files of one of the page's two ways, by their paths. */
function recipe(heading: string): Record<string, string> {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';
  return Object.fromEntries(
    Array.from(section.matchAll(/^`(src\/[^`]+)`\n\n```typescript\n([^]*?)^```$/gm), ([, path, code]) => [path, code]),
  );
}

/** A route that signs in without asking, and one that counts what is left running. */
const TEST_ROUTES = `
import { createHook } from 'node:async_hooks';
import { createToken } from 'rx-credentials';
import { CLIENT } from './app/credentials';
import { cookiesFor } from './app/request-credentials';

const timers = new Set<number>();
createHook({
  init: (id, type) => void (type === 'Timeout' && timers.add(id)),
  destroy: (id) => void timers.delete(id),
}).enable();
app.get('/timers', (_, response) => void response.json(timers.size));
app.get('/as/:name', (request, response, next) => {
  const { name } = request.params;
  const issuedAt = Date.now();
  const claims = { iss: CLIENT.issuer, aud: CLIENT.clientId, sub: name, name, iat: issuedAt / 1000, exp: issuedAt / 1000 + 3600 };
  const fields = { tokenType: 'Bearer', scope: 'orders', issuedAt, expiresAt: issuedAt + 3_600_000, claims } as const;
  const context = { issuer: CLIENT.issuer, clientId: CLIENT.clientId };
  const token = createToken({ id: name, accessToken: 'secret-of-' + name, refreshToken: 'refresh-of-' + name, ...fields, context });
  cookiesFor(token, request.headers.cookie).then((lines) => response.setHeader('set-cookie', [...lines]).redirect('/'), next);
});
`;

/** The API: each answer waits until as many requests are there as were asked for. */
interface SlowApi extends Served {
  readonly authorizations: readonly (string | undefined)[];
  /** From now on answers wait for this many requests. */
  together(count: number): void;
}

async function serveSlowApi(): Promise<SlowApi> {
  const authorizations: (string | undefined)[] = [];
  let [waiting, wanted]: [(() => void)[], number] = [[], 1];
  const served = await serve((request, response) => {
    authorizations.push(request.headers.authorization);
    const count = { 'Bearer secret-of-alice': 1, 'Bearer secret-of-bob': 2 }[request.headers.authorization ?? ''];
    const answer = (): void =>
      void response
        .writeHead(count ? 200 : 401, { 'content-type': 'application/json' })
        .end(JSON.stringify(Array(count ?? 0).fill(PRIVATE)));
    waiting.push(answer);
    if (waiting.length < wanted) return;
    waiting.forEach((go) => go());
    waiting = [];
  });
  return { ...served, authorizations, together: (count) => void (wanted = count) };
}

/** Angular's own server, in a process of its own. */
async function startServer(consumer: Consumer): Promise<Served> {
  const free = await serve(() => undefined); // a port that is free
  await free.close();
  const origin = free.origin.replace('127.0.0.1', 'localhost');
  const env = { PATH: process.env['PATH'], PORT: new URL(origin).port, SEALING_KEY: KEY, NG_ALLOWED_HOSTS: 'localhost' };
  const child: ChildProcess = fork(consumer.path('dist/fresh/server/server.mjs'), [], {
    cwd: consumer.folder,
    env,
    execArgv: [],
    silent: true,
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let printed = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (chunk) => (printed += String(chunk)));
    child.stdout?.on('data', (chunk) => {
      printed += String(chunk);
      if (printed.includes('listening')) resolve();
    });
    child.once('exit', () => reject(new Error(`the server ended: ${printed}`)));
  });
  return {
    origin,
    close: async () => {
      child.kill();
      await ended;
    },
  };
}

/** Signs in, and gives the cookies as the browser would send them. */
async function cookiesOf(app: Served, name: string): Promise<string> {
  const response = await fetch(`${app.origin}/as/${name}`, { redirect: 'manual' });
  const lines = response.headers.getSetCookie();
  expect(lines.every((line) => /; Secure; SameSite=Lax; HttpOnly$/.test(line))).toBe(true);
  return lines.map((line) => line.split(';')[0]).join('; ');
}

async function render(app: Served, cookie?: string): Promise<{ readonly html: string; readonly cache: string | null }> {
  const response = await fetch(app.origin, cookie === undefined ? {} : { headers: { cookie } });
  return { html: await response.text(), cache: response.headers.get('cache-control') };
}

/** Opens the page, and looks whether Angular took over the paragraph that the server had sent. */
async function hydrated(
  page: Page,
  address: string,
  text: string,
): Promise<{ readonly isSame: boolean; readonly complaints: readonly string[] }> {
  const complaints: string[] = [];
  page.on('console', (message) => void (['error', 'warning'].includes(message.type()) && complaints.push(message.text())));
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.addInitScript(() => {
    const seen = new MutationObserver(() => {
      const paragraph = document.querySelector('app-root p');
      if (paragraph) Object.assign(window, { sent: paragraph });
      if (paragraph) seen.disconnect();
    });
    seen.observe(document, { childList: true, subtree: true });
  });
  await page.goto(address);
  await page.locator('app-root:not([ngh]) p', { hasText: text }).waitFor(); // the mark goes when the component is hydrated
  const isSame = await page.evaluate(() => document.querySelector('app-root p') === (window as unknown as { sent: Element }).sent);
  return { isSame, complaints };
}

if (process.env['RXC_LONG']) {
  let consumer: Consumer;
  let api: SlowApi;
  let browser: Browser;
  let cliServer: string;
  let app: Served | undefined;

  beforeAll(async () => {
    consumer = emptyConsumer();
    await newApplication(consumer, '22', '--ssr');
    succeeded(await consumer.npm('install', ...NPM_FLAGS));
    cliServer = readFileSync(consumer.path('src/server.ts'), 'utf8');
    api = await serveSlowApi();
    browser = await chromium.launch({ executablePath: process.env['CHROME_BIN'] ?? '', args: CHROMIUM_FLAGS });
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });
  afterAll(async () => {
    await browser?.close();
    await api?.close();
    consumer.remove();
  });

  async function built(files: Readonly<Record<string, string>>, routes: string): Promise<void> {
    const local = Object.entries(files).map(([path, code]) => [path, code.replace('https://api.example.com', api.origin)]);
    const [before, after] = cliServer.split('const angularApp = new AngularNodeAppEngine();');
    consumer.write({
      ...(Object.fromEntries(local) as Record<string, string>),
      'src/server.ts': `${before}const angularApp = new AngularNodeAppEngine();\n${routes}${after}`,
    });
    expect(succeeded(await ng(consumer, 'build'))).not.toMatch(/warning/i);
  }

  test('a server that knows nobody renders the page before anything was read; the browser goes on', async () => {
    const files = recipe('The server knows nobody');
    expect(Object.keys(files)).toHaveLength(4);
    await built({ ...files, 'src/app/app.routes.server.ts': recipe('The server has')['src/app/app.routes.server.ts'] ?? '' }, '');
    app = await startServer(consumer);
    const { html } = await render(app);
    expect(html).toContain('<p>…</p>');
    const page = await browser.newPage();
    const { complaints } = await hydrated(page, app.origin, 'Nobody is signed in.');
    await page.close();
    expect(complaints).toEqual([]);
  });

  describe("a server that has the user's cookie", () => {
    beforeAll(async () => {
      const files = recipe("The server has the user's cookie");
      expect(Object.keys(files)).toHaveLength(5);
      await built({ ...recipe('The server knows nobody'), ...files }, TEST_ROUTES);
    });
    beforeEach(async () => {
      app = await startServer(consumer);
    });

    test('renders their page, and sends no secret in it', async () => {
      const cookie = await cookiesOf(app!, 'alice');
      const { html, cache } = await render(app!, cookie);
      expect(html).toContain('<p>alice: 1 orders</p>');
      expect(cache).toBe('no-store');
      expect(html).toContain('<script id="ng-state" type="application/json">');
      for (const secret of ['secret-of', 'refresh-of', PRIVATE, ...cookie.split('; ').map((pair) => pair.slice(pair.indexOf('=') + 1))]) {
        expect(html).not.toContain(secret);
      }
      expect(cookie).not.toMatch(/secret-of|refresh-of/);
    });

    test('without a cookie, or with one of another key, renders the page of nobody, and asks the API nothing', async () => {
      const asked = api.authorizations.length;
      const cookie = (await cookiesOf(app!, 'alice')).replace(/[^.]{8}$/, 'AAAAAAAA');
      for (const sent of [undefined, 'theme=dark', cookie])
        expect((await render(app!, sent)).html).toContain('<p>Nobody is signed in.</p>');
      expect(api.authorizations.length).toBe(asked);
    });

    test('requests at the same time with different cookies never mix', async () => {
      const cookies = { alice: await cookiesOf(app!, 'alice'), bob: await cookiesOf(app!, 'bob') };
      const names = Array.from({ length: 20 }, (_, i) => (i % 2 ? 'alice' : 'bob'));
      api.together(names.length); // all of them are in the middle of their page
      const pages = await Promise.all(names.map((name) => render(app!, cookies[name])));
      api.together(1);
      const texts = pages.map(({ html }) => /<p>(.*?)<\/p>/.exec(html)?.[1]);
      expect(texts).toEqual(names.map((name) => (name === 'alice' ? 'alice: 1 orders' : 'bob: 2 orders')));
      pages.forEach(({ html }, i) => expect(html).not.toContain(names[i] === 'alice' ? 'bob' : 'alice'));
    });

    test('leaves no timer behind', async () => {
      const cookie = await cookiesOf(app!, 'alice');
      const timers = async (): Promise<number> => Number(await (await fetch(`${app!.origin}/timers`)).text());
      await render(app!);
      const before = await timers();
      await Promise.all(Array.from({ length: 20 }, () => render(app!, cookie)));
      let left = await timers();
      for (const end = Date.now() + 10_000; left > before + 5 && Date.now() < end;) left = await timers(); // the collector has its own pace
      expect(left).toBeLessThanOrEqual(before + 5); // those of the server's own connections
    });

    test('Chromium takes over the page without drawing it anew', async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`${app!.origin}/as/alice`); // sets the cookie, which Chromium keeps
      expect(await hydrated(page, app!.origin, 'alice: 1 orders')).toEqual({ isSame: true, complaints: [] });
      expect(await page.evaluate(() => document.cookie)).toBe('');
      await context.close();
    });
  });
} else {
  test('docs/ssr.md has the files of both ways (npm run test:long builds and serves them)', () => {
    expect(Object.keys(recipe('The server knows nobody'))).toHaveLength(4);
    expect(Object.keys(recipe("The server has the user's cookie"))).toHaveLength(5);
  });
}
