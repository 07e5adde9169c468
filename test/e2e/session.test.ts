import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import {
  addAccount,
  callApi,
  card,
  fillLoginForm,
  launch,
  newProfile,
  press,
  said,
  signIn,
  startDemo,
  storedTokens,
  tailOf,
  waitForState,
  watchConsole,
  type Demo,
} from './support';

let demo: Demo;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let consoleErrors: string[];

beforeAll(async () => {
  [demo, browser] = await Promise.all([startDemo(), launch()]);
});
afterAll(() => browser.close());
beforeEach(async () => {
  context = await newProfile(browser);
  consoleErrors = watchConsole(context);
  page = await context.newPage();
});
afterEach(() => context.close());

it('signs in through the login form of the provider; the code is gone from the address bar and from history (2.1-2, 9700-2)', async () => {
  const addresses: string[] = [];
  page.on('framenavigated', (frame) => addresses.push(frame.url()));
  await signIn(page, demo, 'Alice Liddell', 'personal');

  expect(page.url()).toBe(`${demo.app}/`);
  const codeShown = addresses.map((address) => address.startsWith(`${demo.app}/callback?code=`));
  expect(codeShown).toContain(true);
  const shown = addresses.slice(codeShown.lastIndexOf(true) + 1); // the entry is written once more when its note is taken back
  expect(shown.filter((address, place) => address !== shown[place - 1])).toEqual([`${demo.app}/callback`, `${demo.app}/`]);
  expect(consoleErrors).toEqual([]);
  await page.goBack(); // to the provider, whose form is used up
  expect(page.url().startsWith(demo.issuer)).toBe(true);
});

it('shows who is signed in: claims, tags, default, state and the time left, in a bar that a screen reader can read', async () => {
  await signIn(page, demo, 'Alice Liddell', 'personal, work');
  const alice = card(page, 'Alice Liddell');
  await alice.getByText('alice.liddell@example.test').waitFor();
  expect(await alice.getByRole('listitem').allInnerTexts()).toEqual(['personal', 'work']);
  expect(await alice.getByTestId('default').count()).toBe(1);
  await waitForState(page, 'Alice Liddell', 'valid');
  const bar = alice.getByRole('progressbar', { name: 'Time left of the access token' });
  expect(await bar.getAttribute('aria-valuemax')).toBe('60');
  const before = Number(await bar.getAttribute('aria-valuenow'));
  expect(before).toBeGreaterThan(45);
  await alice.locator(`[role=progressbar][aria-valuenow="${before - 1}"]`).waitFor();
});

it('keeps the user signed in over a reload, without asking the authorization server', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const { accessToken } = await storedTokens(page, 'alice.liddell');
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.reload();
  await card(page, 'Alice Liddell').getByText(tailOf(accessToken)).waitFor();
  await page.getByTestId('who').getByText('Alice Liddell').waitFor();
  expect(asked.filter((url) => url.startsWith(demo.issuer))).toEqual([]);
});

it('guards a route: signed out it leads home with a word why, signed in it shows the orders', async () => {
  await page.goto(`${demo.app}/orders`);
  await page.getByTestId('refusal').getByText('Sign in first').waitFor();
  await press(page, 'Sign in');
  await fillLoginForm(page, 'Alice Liddell');
  await page.getByRole('cell', { name: 'Espresso beans' }).waitFor(); // where they wanted to go
  expect(page.url()).toBe(`${demo.app}/orders`);
  await page.reload();
  await page.getByRole('cell', { name: 'Espresso beans' }).waitFor();
});

it('who cancels at the provider and tries again gets to where they wanted to go, with the tags that they gave', async () => {
  await page.goto(`${demo.app}/orders`);
  await page.getByTestId('refusal').waitFor();
  await page.getByLabel(/^Tags for/).fill('work');
  await press(page, 'Sign in');
  await page.getByText('Cancel', { exact: true }).click();
  await page.getByTestId('callback-failed').waitFor();
  await press(page, 'Try again');
  await fillLoginForm(page, 'Alice Liddell');
  await page.getByRole('cell', { name: 'Espresso beans' }).waitFor();
  expect(page.url()).toBe(`${demo.app}/orders`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Credentials' }).click();
  await card(page, 'Alice Liddell').waitFor();
  expect(await card(page, 'Alice Liddell').getByRole('listitem').allInnerTexts()).toEqual(['work']);
});

it('says why the orders are refused to somebody who is home already: signed out, and with accounts of which none is the default', async () => {
  await page.goto(demo.app);
  await page.getByTestId('signed-out').waitFor();
  await page.getByRole('link', { name: 'Orders' }).click();
  await page.getByTestId('refusal').getByText('Sign in first').waitFor();
  await said(page, 'Sign in first');
  const home = page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Credentials' });
  expect(await home.getAttribute('aria-current')).toBe('page');
  await home.click();
  await page.getByTestId('refusal').waitFor({ state: 'detached' });

  await signIn(page, demo, 'Alice Liddell');
  await addAccount(page, 'Bob Martin');
  await press(card(page, 'Alice Liddell'), 'Revoke');
  await said(page, 'Nobody is the default now.');
  await page.getByRole('link', { name: 'Orders' }).click();
  await page.getByTestId('refusal').getByText('No credential is the default: press Make default on one.').waitFor();
  await said(page, 'No credential is the default');
  await press(page, 'Call the API');
  await said(page, 'No token went out; choose a credential, or make one the default.');
  await page.getByRole('link', { name: 'Orders' }).click(); // refused once more, and said once more
  await said(page, 'No credential is the default');

  await press(card(page, 'Bob Martin'), 'Make default');
  await page.getByTestId('refusal').waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Orders' }).click();
  await page.getByRole('cell', { name: 'Espresso beans' }).waitFor();
});

it('keeps the keyboard where it is, or brings it somewhere sensible when its button goes away', async () => {
  await signIn(page, demo, 'Alice Liddell');
  await addAccount(page, 'Bob Martin');
  const alice = card(page, 'Alice Liddell');
  const bob = card(page, 'Bob Martin');
  const pressByKey = async (button: Locator): Promise<void> => {
    await button.focus();
    await page.keyboard.press('Enter');
  };
  const callButton = page.getByRole('button', { name: 'Call the API' });
  await pressByKey(callButton);
  await said(page, /The API answered/);
  expect(await isFocused(callButton)).toBe(true);
  const refreshButton = alice.getByRole('button', { name: 'Refresh' });
  await pressByKey(refreshButton);
  await said(page, 'has a new access token');
  expect(await isFocused(refreshButton)).toBe(true);
  await pressByKey(bob.getByRole('button', { name: 'Make default' }));
  await said(page, 'API calls now go out for Bob Martin');
  await bob.getByRole('button', { name: 'Refresh' }).and(page.locator(':focus')).waitFor();
  await pressByKey(alice.getByRole('button', { name: 'Revoke' }));
  await alice.waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'Credentials', exact: true }).and(page.locator(':focus')).waitFor();
});

/** Whether the keyboard is on it. */
function isFocused(element: Locator): Promise<boolean> {
  return element.evaluate((it) => it === document.activeElement);
}

it('holds two accounts: the API is called for the default one, and for the other one once that is made the default', async () => {
  await signIn(page, demo, 'Alice Liddell');
  await addAccount(page, 'Bob Martin');
  const alice = await storedTokens(page, 'alice.liddell');
  const bob = await storedTokens(page, 'bob.martin');
  await demo.control.resetLogs();

  await callApi(page);
  await page.getByTestId('api-answer').getByText('"sub": "alice.liddell"').waitFor();
  await press(card(page, 'Bob Martin'), 'Make default');
  await page.getByTestId('who').getByText('Bob Martin').waitFor();
  await press(page, 'Call the API');
  await page.getByTestId('api-answer').getByText('"sub": "bob.martin"').waitFor();

  expect((await demo.control.apiLog()).map(({ status, tokenTail }) => [status, tokenTail])).toEqual([
    [200, tailOf(alice.accessToken)],
    [200, tailOf(bob.accessToken)],
  ]);
  expect(consoleErrors).toEqual([]);
});

it('changes tags by keyboard and finds by tag, live', async () => {
  await signIn(page, demo, 'Alice Liddell', 'personal');
  await addAccount(page, 'Bob Martin', 'work');
  const alice = card(page, 'Alice Liddell');
  await alice.getByRole('button', { name: 'Edit tags' }).focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('personal, service:orders');
  await page.keyboard.press('Enter');
  await said(page, 'The tags of Alice Liddell are stored');
  expect(await isFocused(alice.getByRole('button', { name: 'Edit tags' }))).toBe(true);

  await page.getByRole('searchbox', { name: 'Find by tag' }).fill('service:orders');
  await page.getByTestId('count').getByText('1 of 2').waitFor();
  expect(await card(page, 'Bob Martin').count()).toBe(0);
  await press(alice, 'Edit tags');
  await alice.getByRole('textbox').fill('personal');
  await press(alice, 'Save tags');
  await page.getByTestId('count').getByText('0 of 2').waitFor();
});

it('revokes at the provider and removes here: refresh token first (7009-2), and the provider knows neither token any more', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const { accessToken, refreshToken } = await storedTokens(page, 'alice.liddell');
  expect(await demo.control.active(accessToken)).toBe(true);
  await demo.control.resetLogs();
  await press(card(page, 'Alice Liddell'), 'Revoke');
  await said(page, 'Alice Liddell was removed here. The authorization server revoked its tokens.');
  await page.getByTestId('signed-out').waitFor();

  expect(await demo.control.active(accessToken)).toBe(false);
  expect(await demo.control.active(refreshToken)).toBe(false);
  expect((await demo.control.requests()).map(({ endpoint, tokenTail }) => [endpoint, tokenTail])).toEqual([
    ['revocation', tailOf(refreshToken)],
    ['revocation', tailOf(accessToken)],
  ]);
  await page.reload();
  await page.getByTestId('signed-out').waitFor();
});

it('signs out: gone here before the page is left (RPL-2), tokens revoked, session at the provider ended', async () => {
  await signIn(page, demo, 'Alice Liddell');
  const { accessToken, refreshToken } = await storedTokens(page, 'alice.liddell');
  const tab = await context.newPage();
  await tab.goto(demo.app);
  await card(tab, 'Alice Liddell').waitFor();

  await press(card(page, 'Alice Liddell'), 'Sign out');
  await page.getByRole('heading', { name: 'Sign out?' }).waitFor();
  await tab.getByTestId('signed-out').waitFor();
  expect(await demo.control.active(accessToken)).toBe(false);
  expect(await demo.control.active(refreshToken)).toBe(false);
  await press(page, 'Sign out');
  await said(page, /Alice Liddell is signed out, here and at the authorization server\.$/);
  expect(page.url()).toBe(`${demo.app}/`);

  await press(page, 'Sign in'); // were the session alive, no form would come
  await page.getByLabel('Your name').waitFor();
  expect(consoleErrors).toEqual([]);
});
