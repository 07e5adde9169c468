import type { Browser, BrowserContext, Page } from 'playwright-core';
import {
  addAccount,
  breakRecord,
  callApi,
  callbackProblem,
  card,
  launch,
  newProfile,
  press,
  said,
  signIn,
  startDemo,
  storedTokens,
  tailOf,
  type Demo,
  type StoredTokens,
} from './support';

let demo: Demo;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let alice: StoredTokens;

beforeAll(async () => {
  [demo, browser] = await Promise.all([startDemo(), launch()]);
});
afterAll(() => browser.close());
beforeEach(async () => {
  context = await newProfile(browser);
  page = await context.newPage();
  await signIn(page, demo, 'Alice Liddell');
  alice = await storedTokens(page, 'alice.liddell');
  await demo.control.resetLogs();
});
afterEach(() => context.close());

const AS_THEY_WERE = '✓ Stored credentials are as they were (1).';

/** Alice is signed in as before, with the same tokens, and the API takes them. */
async function expectAliceAsBefore(): Promise<void> {
  await page.goto(demo.app);
  await card(page, 'Alice Liddell').getByText(tailOf(alice.accessToken)).waitFor();
  expect(await storedTokens(page, 'alice.liddell')).toEqual(alice);
  expect(await demo.control.active(alice.refreshToken)).toBe(true);
  await callApi(page);
}

it('6749-4 a callback with a state that nobody sent is refused with callback_state_unknown, whatever else it says', async () => {
  for (const answer of ['code=forged&state=nobody', 'error=access_denied&state=nobody']) {
    await page.goto(`${demo.app}/callback?${answer}`);
    const { code, effect } = await callbackProblem(page);
    expect([code, effect]).toEqual(['callback_state_unknown', AS_THEY_WERE]);
    expect(page.url()).toBe(`${demo.app}/callback`);
  }
  expect(await demo.control.requests()).toEqual([]);
  await expectAliceAsBefore();
});

it('a callback without any state is callback_invalid', async () => {
  await page.goto(`${demo.app}/callback?code=forged`);
  expect(await callbackProblem(page)).toMatchObject({ code: 'callback_invalid', effect: AS_THEY_WERE });
  await expectAliceAsBefore();
});

it('a user who cancels at the provider comes back to authorization_failed, in words, with the server’s own as text', async () => {
  await press(page, 'Add an account');
  await page.getByRole('link', { name: 'Cancel' }).click();
  const { code, effect, text } = await callbackProblem(page);
  expect([code, effect]).toEqual(['authorization_failed', AS_THEY_WERE]);
  expect(text).toContain('access_denied');
  await said(page, 'The sign-in did not succeed.');
  await expectAliceAsBefore();
});

it('6749-3 a callback that is visited twice is exchanged once: callback_state_unknown, and what the code brought lives on', async () => {
  const callbacks: string[] = [];
  page.on('request', (request) => {
    if (request.isNavigationRequest() && request.url().startsWith(`${demo.app}/callback?`)) callbacks.push(request.url());
  });
  await addAccount(page, 'Bob Martin');
  const bob = await storedTokens(page, 'bob.martin');
  await demo.control.resetLogs();
  await page.goto(callbacks[0] ?? '');
  expect(await callbackProblem(page)).toMatchObject({
    code: 'callback_state_unknown',
    effect: '✓ Stored credentials are as they were (2).',
  });
  expect(await demo.control.requests()).toEqual([]);
  expect(await demo.control.active(bob.accessToken)).toBe(true);
  await expectAliceAsBefore();
});

it('E53 an answer of another issuer is refused with issuer_mismatch, and its code is sent to nobody', async () => {
  await page.route(`${demo.issuer}/auth?*`, (route) => {
    const state = new URL(route.request().url()).searchParams.get('state') ?? '';
    const answer = new URLSearchParams({ code: 'from-somebody-else', state, iss: 'https://id.attacker.example' });
    return route.fulfill({ status: 303, headers: { location: `${demo.app}/callback?${answer.toString()}` } });
  });
  await press(page, 'Add an account');
  expect(await callbackProblem(page)).toMatchObject({ code: 'issuer_mismatch', effect: AS_THEY_WERE });
  expect(await demo.control.requests()).toEqual([]);
  await expectAliceAsBefore();
});

it('garbage from the token endpoint at sign-in is response_invalid, and nobody is stored', async () => {
  await demo.control.failNext('token', { status: 200, body: '{"access_token": 42, "token_type"' });
  await press(page, 'Add an account');
  await page.getByLabel('Your name').fill('Bob Martin');
  await press(page, 'Sign in');
  expect(await callbackProblem(page)).toMatchObject({ code: 'response_invalid', effect: AS_THEY_WERE });
  await expectAliceAsBefore();
});

it('E6 garbage, a maintenance page or a cut line at a refresh keep the credential; the next refresh goes well', async () => {
  const faults = [
    ['response_invalid', { status: 200, body: 'not json', times: 3 }], // no answer is asked for three times (RF-7)
    ['server_unavailable', { status: 503, body: '<h1>Back soon</h1>', contentType: 'text/html' }],
    ['network_error', { hangUp: true, times: 6 }], // Chromium sends each once more by itself
  ] as const;
  for (const [code, fault] of faults) {
    await demo.control.failNext('token', fault);
    await press(card(page, 'Alice Liddell'), 'Refresh');
    await page.getByTestId('status-code').getByText(code, { exact: true }).waitFor();
    expect(await storedTokens(page, 'alice.liddell')).toEqual(alice);
    await page.getByTestId('events').getByText(code).first().waitFor();
  }
  await demo.control.resetLogs();
  await press(card(page, 'Alice Liddell'), 'Refresh');
  await page.getByTestId('status').getByText('Alice Liddell has a new access token').waitFor();
});

it('E62 a corrupt record harms only itself: reported with its reason, the other account works on', async () => {
  await addAccount(page, 'Bob Martin');
  await press(card(page, 'Bob Martin'), 'Make default');
  await page.getByTestId('who').getByText('Bob Martin').waitFor();
  await breakRecord(page, 'alice.liddell');
  await page.reload();
  const warning = page.getByTestId('warning');
  await warning.getByText('record_quarantined').waitFor();
  expect(await warning.innerText()).toMatch(/A stored record is unreadable and was set aside \(\w+\)/);
  expect(await page.getByTestId('credential').count()).toBe(1);
  await page.getByTestId('who').getByText('Bob Martin').waitFor();
  await callApi(page);
});

it('a wrong issuer is issuer_mismatch, and what is stored for the right one is kept', async () => {
  await page.route('**/demo-config.json', async (route) => {
    const config = (await (await route.fetch()).json()) as Record<string, string>;
    await route.fulfill({ json: { ...config, issuer: `${config['issuer']}/` } });
  });
  await page.goto(demo.app);
  await card(page, 'Alice Liddell').waitFor();
  await press(page, 'Add an account');
  await page.getByTestId('status-code').getByText('issuer_mismatch', { exact: true }).waitFor();
  await page.unroute('**/demo-config.json');
  await expectAliceAsBefore();
});

it('an unreachable issuer is network_error, and the credential is kept', async () => {
  await page.route(`${demo.issuer}/**`, (route) => route.abort('connectionrefused'));
  await page.goto(demo.app);
  for (const button of ['Add an account', 'Refresh']) {
    await press(page, 'Call /public'); // so that the status is not the one of before
    await page.getByTestId('status').getByText('it saw no token').waitFor();
    await press(page, button);
    await page.getByTestId('status-code').getByText('network_error', { exact: true }).waitFor();
  }
  await page.unroute(`${demo.issuer}/**`);
  await expectAliceAsBefore();
});

it('the demo shows each of these at the press of a button, with its code and in words', async () => {
  const here = {
    'Wrong issuer': 'issuer_mismatch',
    'Unreachable issuer': 'network_error',
    'Garbage for a token': 'response_invalid',
    'Maintenance page': 'server_unavailable',
    Offline: 'network_error',
  };
  const result = page.getByTestId('trouble-result');
  for (const [label, code] of Object.entries(here)) {
    await press(page, label);
    await result.getByRole('heading', { name: label }).waitFor();
    await result.getByTestId('problem-code').getByText(code, { exact: true }).waitFor();
    expect((await result.getByTestId('problem-effect').innerText()).trim()).toBe(AS_THEY_WERE);
  }
  const callbacks = {
    'Wrong state': 'callback_state_unknown',
    'With an error': 'authorization_failed',
    'Foreign issuer': 'issuer_mismatch',
    'Visit it twice': 'callback_state_unknown',
  };
  for (const [label, code] of Object.entries(callbacks)) {
    await press(page, label);
    expect(await callbackProblem(page)).toMatchObject({ code, effect: AS_THEY_WERE });
    await page.getByRole('link', { name: 'Back to the credentials' }).click();
  }
  await press(page, 'Break a record');
  await page.getByTestId('warning').getByText('record_quarantined').waitFor();
  await result.getByText('See the banner above.').waitFor();
  await expectAliceAsBefore();
});

it('says in words that its own configuration cannot be read, instead of showing a blank page', async () => {
  await page.route('**/demo-config.json', (route) => route.fulfill({ status: 503, body: 'starting' }));
  await page.goto(demo.app);
  await page.getByRole('alert').getByText('The demo could not start: its server answered 503').waitFor();
});
