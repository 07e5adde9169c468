import type { Browser, BrowserContext, Page } from 'playwright-core';
import {
  addAccount,
  callApi,
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
  waitForState,
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
});
afterEach(() => context.close());

it('E18 renews an expired token before the API is called: one refresh, and the API never sees the old one', async () => {
  await demo.control.setAccessTokenTtlSeconds(2);
  await signIn(page, demo, 'Alice Liddell');
  await waitForState(page, 'Alice Liddell', 'expired'); // by itself: the clock says so, nobody asked
  const old = await storedTokens(page, 'alice.liddell'); // a page that stood still on a busy machine may have renewed it once before
  await demo.control.setAccessTokenTtlSeconds(60);
  await demo.control.resetLogs();
  await callApi(page);

  const renewed = await storedTokens(page, 'alice.liddell');
  expect(renewed.accessToken).not.toBe(old.accessToken);
  expect(await demo.control.apiLog()).toEqual([{ method: 'GET', path: '/v1/orders', status: 200, tokenTail: tailOf(renewed.accessToken) }]);
  expect(await refreshRequests(demo)).toMatchObject([{ status: 200, refreshTokenTail: tailOf(old.refreshToken) }]);
  await waitForState(page, 'Alice Liddell', 'valid');
});

it('6750-4 a spoiled token gets a 401, one refresh and one retry; the page shows both requests', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const old = await storedTokens(page, 'alice.liddell');
  await demo.control.resetLogs();
  await press(page, 'Spoil the access token');
  await said(page, 'The access token is dead');
  expect(await demo.control.active(old.accessToken)).toBe(false);
  await callApi(page);

  const renewed = await storedTokens(page, 'alice.liddell');
  expect((await demo.control.apiLog()).map(({ status, tokenTail }) => [status, tokenTail])).toEqual([
    [401, tailOf(old.accessToken)],
    [200, tailOf(renewed.accessToken)],
  ]);
  expect(await refreshRequests(demo)).toMatchObject([{ status: 200, refreshTokenTail: tailOf(old.refreshToken) }]);
  const shown = await page.getByTestId('api-log').getByRole('listitem').allInnerTexts();
  expect(shown[0]).toContain(tailOf(renewed.accessToken));
  expect(shown[1]).toContain('401');
});

it('refreshes on request: same credential, another token, another minute', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const old = await storedTokens(page, 'alice.liddell');
  await demo.control.failNext('token', { delayOnly: true, delayMs: 500 });
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await waitForState(page, 'Alice Liddell', 'refreshing');
  await said(page, 'Alice Liddell has a new access token');
  await waitForState(page, 'Alice Liddell', 'valid');
  const renewed = await storedTokens(page, 'alice.liddell');
  expect(renewed.accessToken).not.toBe(old.accessToken);
  await card(page, 'Alice Liddell').getByText(tailOf(renewed.accessToken)).waitFor();
});

it('E2 two tabs that refresh at the same moment send one token request, and both show the new token', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const tab = await context.newPage();
  await tab.goto(demo.app);
  await card(tab, 'Alice Liddell').waitFor();
  const old = await storedTokens(page, 'alice.liddell');
  await demo.control.resetLogs();
  await demo.control.failNext('token', { delayOnly: true, delayMs: 1500 }); // both have asked before the first answer

  await Promise.all([page, tab].map((each) => press(card(each, 'Alice Liddell'), 'Refresh')));
  await Promise.all([page, tab].map((each) => said(each, 'Alice Liddell has a new access token')));

  const renewed = await storedTokens(page, 'alice.liddell');
  expect(await refreshRequests(demo)).toMatchObject([{ status: 200, refreshTokenTail: tailOf(old.refreshToken) }]);
  await Promise.all([page, tab].map((each) => card(each, 'Alice Liddell').getByText(tailOf(renewed.accessToken)).waitFor()));
});

it('E45 two tabs see each other’s changes: account, tags, default, removal', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const tab = await context.newPage();
  await tab.goto(demo.app);
  await card(tab, 'Alice Liddell').waitFor();

  await addAccount(page, 'Bob Martin', 'work');
  await card(tab, 'Bob Martin').getByText('work', { exact: true }).waitFor();

  await press(card(tab, 'Bob Martin'), 'Make default');
  await page.getByTestId('who').getByText('Bob Martin').waitFor();

  const alice = card(page, 'Alice Liddell');
  await press(alice, 'Edit tags');
  await alice.getByRole('textbox').fill('family');
  await press(alice, 'Save tags');
  await card(tab, 'Alice Liddell').getByText('family', { exact: true }).waitFor();

  await press(card(tab, 'Bob Martin'), 'Revoke');
  await card(page, 'Bob Martin').waitFor({ state: 'detached' });
  await page.getByTestId('who').getByText('no default').waitFor();
  const removal = page.getByTestId('events').getByRole('listitem').filter({ hasText: 'token_removed' });
  await removal.getByText('elsewhere').waitFor();
});

it('E7 a dead refresh token ends the credential with a reason, and signing in again takes its place: same id, tags and default', async () => {
  await signIn(page, demo, 'Alice Liddell', 'personal');
  const alice = card(page, 'Alice Liddell');
  const id = await alice.locator('dd code').nth(1).innerText();
  await press(page, 'Spoil refresh token');
  await page.getByTestId('trouble-result').getByText('The refresh token is dead').waitFor();
  await press(alice, 'Refresh');
  await page.getByTestId('status-code').getByText('needs_sign_in').waitFor();
  await waitForState(page, 'Alice Liddell', 'needs sign-in');

  await press(alice, 'Sign in again');
  expect(await page.getByLabel('Your name').inputValue()).toBe('alice.liddell@example.test');
  await page.getByLabel('Your name').fill('Alice Liddell');
  await press(page, 'Sign in');
  await waitForState(page, 'Alice Liddell', 'valid');
  expect(await alice.locator('dd code').nth(1).innerText()).toBe(id);
  expect(await alice.getByTestId('default').count()).toBe(1);
  await alice.getByText('personal', { exact: true }).waitFor();
});
