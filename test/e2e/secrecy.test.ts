import type { Browser, BrowserContext, Page, Request } from 'playwright-core';
import { addAccount, callApi, card, launch, newProfile, press, said, signIn, startDemo, storedTokens, type Demo } from './support';

let demo: Demo;
let browser: Browser;
let context: BrowserContext;
let page: Page;

beforeAll(async () => {
  [demo, browser] = await Promise.all([startDemo(), launch()]);
});
afterAll(() => browser.close());
beforeEach(async () => {
  context = await newProfile(browser);
  page = await context.newPage();
});
afterEach(() => context.close());

/** Everything of a request that leaves the browser, its body included. */
async function sent(request: Request): Promise<string> {
  return [request.url(), JSON.stringify(await request.allHeaders()), request.postData() ?? ''].join('\n');
}

it('6750-2 tokens go to the authorization server and to the API below its path, and nowhere else, never in a URL (2.1-1)', async () => {
  const requests: Request[] = [];
  context.on('request', (request) => requests.push(request));
  await signIn(page, demo, 'Alice Liddell');
  const first = await storedTokens(page, 'alice.liddell');
  await callApi(page);
  await press(page, 'Call /public');
  await said(page, 'it saw no token');
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await said(page, 'has a new access token');
  const second = await storedTokens(page, 'alice.liddell');
  await press(card(page, 'Alice Liddell'), 'Revoke');
  await page.getByTestId('signed-out').waitFor();

  const secrets = [first, second].flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken]);
  const carrying: string[] = [];
  for (const request of requests) {
    const { origin, pathname } = new URL(request.url());
    expect(secrets.filter((secret) => request.url().includes(secret))).toEqual([]);
    const text = await sent(request);
    if (secrets.some((secret) => text.includes(secret))) carrying.push(origin + pathname);
  }
  expect([...new Set(carrying)].sort()).toEqual(
    [`${demo.api}/v1/orders`, `${demo.issuer}/token`, `${demo.issuer}/token/revocation`].sort(),
  );
  expect((await demo.control.apiLog()).filter(({ path }) => path === '/public')).toEqual([
    { method: 'GET', path: '/public', status: 200, tokenTail: null },
  ]);
});

it('OBS-1 E30 no token stands in the page, in the console, in web storage or in what tabs tell each other', async () => {
  const printed: string[] = [];
  context.on('console', (message) => printed.push(message.text()));
  await context.addInitScript(() => {
    const posted: string[] = [];
    Object.assign(window, { posted });
    const post = BroadcastChannel.prototype.postMessage;
    BroadcastChannel.prototype.postMessage = function (message) {
      posted.push(JSON.stringify(message));
      post.call(this, message);
    };
  });
  await signIn(page, demo, 'Alice Liddell');
  await addAccount(page, 'Bob Martin');
  const stored = [await storedTokens(page, 'alice.liddell'), await storedTokens(page, 'bob.martin')];
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await said(page, 'has a new access token');
  await callApi(page);
  stored.push(await storedTokens(page, 'alice.liddell'));

  const said_ = await page.evaluate(async () => ({
    posted: (window as unknown as { readonly posted: readonly string[] }).posted,
    html: document.documentElement.outerHTML,
    session: JSON.stringify({ ...sessionStorage }),
    local: JSON.stringify({ ...localStorage }),
    databases: await Promise.all(
      (await indexedDB.databases()).map(
        ({ name = '' }) =>
          new Promise<string>((resolve) => {
            const request = indexedDB.open(name);
            request.onsuccess = () => {
              const reading = request.result.transaction('records').objectStore('records').getAll();
              reading.onsuccess = () => resolve(JSON.stringify(reading.result));
            };
          }),
      ),
    ),
  }));
  expect(said_.posted.length).toBeGreaterThan(0);
  expect(said_.databases.join()).toContain('sealed'); // BBA-4
  const everything = JSON.stringify([said_, printed]);
  const secrets = new Set(stored.flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken]));
  expect(secrets.size).toBe(6); // the refresh replaced both of Alice's
  expect([...secrets].filter((secret) => everything.includes(secret))).toEqual([]);
});
