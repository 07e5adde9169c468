// What the demo shows of the library: eight tabs at once, and faults that last until they are switched off.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import {
  addAccount,
  card,
  launch,
  newProfile,
  press,
  refreshRequests,
  said,
  signIn,
  startDemo,
  storedTokens,
  tailOf,
  type Demo,
} from './support';

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
  await signIn(page, demo, 'Alice Liddell');
  await demo.control.resetLogs();
});
afterEach(() => context.close());

const flip = (name: string) => page.getByRole('switch', { name }).click();

it('E2 RF-1 eight applications in one page ask at once: one token request, and all have the new token', async () => {
  await page.getByRole('link', { name: 'Eight tabs' }).click();
  const result = page.getByTestId('tabs-result');
  const sent: unknown[] = [];
  for (let round = 1; round <= 3; round++) {
    const before = await storedTokens(page, 'alice.liddell');
    await result.filter({ hasText: round === 1 ? 'Eight are waiting.' : '1 token request.' }).waitFor();
    await press(page, 'Refresh in all eight at once');
    // The result of the round before is there until the page is painted anew
    await page
      .frameLocator('iframe[title="Tab 1"]')
      .getByTestId('tab-token')
      .getByText(tailOf(before.accessToken))
      .waitFor({ state: 'detached' });
    await result.getByText('8 of 8 have a new token, all of them the same; 1 token request.', { exact: true }).waitFor();
    const after = await storedTokens(page, 'alice.liddell');
    sent.push([200, tailOf(before.refreshToken)]);
    expect((await refreshRequests(demo)).map(({ status, refreshTokenTail }) => [status, refreshTokenTail])).toEqual(sent);
    for (let n = 1; n <= 8; n++)
      await page.frameLocator(`iframe[title="Tab ${n}"]`).getByTestId('tab-token').getByText(tailOf(after.accessToken)).waitFor();
  }
});

it('the page of eight tabs wants somebody to be signed in, and who signs in comes back to it', async () => {
  await press(card(page, 'Alice Liddell'), 'Revoke');
  await page.getByTestId('signed-out').waitFor();
  await page.goto(`${demo.app}/tabs`);
  await page.getByTestId('refusal').getByText('Sign in first').waitFor();
  expect(new URL(page.url()).pathname).toBe('/');
  await press(page, 'Sign in');
  await page.getByTestId('tabs-result').getByText('Eight are waiting.').waitFor();
});

it('a token endpoint that is down costs nothing: the refresh goes well once it is up again', async () => {
  const before = await storedTokens(page, 'alice.liddell');
  await flip('Token endpoint down');
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await page.getByTestId('status-code').getByText('server_unavailable', { exact: true }).waitFor();
  expect(await storedTokens(page, 'alice.liddell')).toEqual(before);
  await flip('Token endpoint down');
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await said(page, 'Alice Liddell has a new access token');
});

it('offline nothing leaves the page and nothing is lost: calls and refreshes go well once it is online again', async () => {
  const before = await storedTokens(page, 'alice.liddell');
  await flip('Offline');
  await press(page, 'Call the API');
  await page.getByTestId('status-code').getByText('api_unreachable', { exact: true }).waitFor();
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await page.getByTestId('status-code').getByText('network_error', { exact: true }).waitFor();
  expect(await storedTokens(page, 'alice.liddell')).toEqual(before);
  expect([await refreshRequests(demo), await demo.control.apiLog()]).toEqual([[], []]);
  await flip('Offline');
  await press(page, 'Call the API');
  await said(page, 'The API answered 200; it saw the token');
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await said(page, 'Alice Liddell has a new access token');
});

it('6750-4 an API that refuses every token gets two requests of the first call and one of the next: there is no second refresh', async () => {
  await flip('API refuses tokens');
  await said(page, 'The API refuses every token from now on.');
  for (const requests of [2, 3]) {
    await press(page, 'Call the API');
    await page.getByTestId('status-code').getByText('api_401', { exact: true }).waitFor();
    await page
      .getByTestId('api-log')
      .getByRole('listitem')
      .nth(requests - 1)
      .waitFor();
    expect((await demo.control.apiLog()).filter(({ path }) => path === '/v1/orders').map(({ status }) => status)).toEqual(
      Array.from({ length: requests }, () => 401),
    );
    expect(await refreshRequests(demo)).toHaveLength(1);
    await press(page, 'Call /public');
    await said(page, 'The API answered 200');
  }
  await flip('API refuses tokens');
  await said(page, 'The API takes valid tokens again.');
  await press(page, 'Call the API');
  await said(page, 'The API answered 200; it saw the token');
});

it('a request is sent for whom it is told to be, whoever is the default; for nobody it goes without a token', async () => {
  await addAccount(page, 'Bob Martin');
  const [alice, bob] = [await storedTokens(page, 'alice.liddell'), await storedTokens(page, 'bob.martin')];
  await demo.control.resetLogs();
  for (const whose of ['Bob Martin', 'Alice Liddell']) {
    await page.getByLabel('Calls go out for').selectOption({ label: whose });
    await press(page, 'Call the API');
    const { accessToken } = whose === 'Bob Martin' ? bob : alice;
    await page.getByTestId('api-token').getByText(tailOf(accessToken)).waitFor();
  }
  await page.getByLabel('Calls go out for').selectOption({ label: 'nobody: without a token' });
  await press(page, 'Call the API');
  await page.getByTestId('status-code').getByText('api_401', { exact: true }).waitFor();
  expect((await demo.control.apiLog()).map(({ status, tokenTail }) => [status, tokenTail])).toEqual([
    [200, tailOf(bob.accessToken)],
    [200, tailOf(alice.accessToken)],
    [401, null],
  ]);
  expect(await refreshRequests(demo)).toEqual([]);
});
