// A person at a browser, in words: what the tests of this folder do to the demo, and what they look at.
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from 'playwright-core';
import { createControl, type Control, type TokenRequest } from '../support/control';
import CHROMIUM_FLAGS from '../support/chromium-flags.json';

const PATIENCE_MS = 60_000;

/** A demo of the test file's own, and its control. */
export interface Demo {
  readonly app: string;
  readonly issuer: string;
  readonly api: string;
  readonly control: Control;
}

/** What the browser keeps of one user; tests alone may look. */
export interface StoredTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
}

export async function startDemo(): Promise<Demo> {
  const { app, issuer, api, control } = await createControl(process.env['TEST_CONTROL_E2E'] ?? '').startDemo();
  return { app, issuer, api, control: createControl(control) };
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['CHROME_BIN'] ?? '', args: CHROMIUM_FLAGS });
}

/** A fresh browser profile: no cookies, nothing stored. */
export async function newProfile(browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext({ reducedMotion: 'reduce', viewport: { width: 1024, height: 768 } });
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

/** The card of one user. */
export function card(page: Page, name: string): Locator {
  return page.getByRole('article', { name, exact: true });
}

/** Opens the demo, signs in as the first user. */
export async function signIn(page: Page, demo: Pick<Demo, 'app'>, name: string, tags = ''): Promise<void> {
  await page.goto(demo.app);
  await page.getByTestId('signed-out').waitFor();
  await page.getByLabel(/^Tags for/).fill(tags);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await fillLoginForm(page, name);
  await card(page, name).waitFor();
}

/** Adds a user to those who are signed in. */
export async function addAccount(page: Page, name: string, tags = ''): Promise<void> {
  await page.getByLabel(/^Tags for/).fill(tags);
  await page.getByRole('button', { name: 'Add an account' }).click();
  await fillLoginForm(page, name);
  await card(page, name).waitFor();
}

/** At the authorization server's own page. */
export async function fillLoginForm(page: Page, name: string): Promise<void> {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

export async function press(page: Page | Locator, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}

/** Waits for words in the status line. */
export async function said(page: Page, words: string | RegExp): Promise<void> {
  await page.getByTestId('status').filter({ hasText: words }).waitFor();
}

/** Calls the API and waits for what the status line says of it. */
export async function callApi(page: Page): Promise<void> {
  await press(page, 'Call the API');
  await said(page, /^\s*The API answered/);
}

export async function waitForState(page: Page, name: string, state: string): Promise<void> {
  await card(page, name).getByTestId('state').getByText(state, { exact: true }).waitFor();
}

/** The code of the problem that the callback page shows, once it says that nothing stored has changed. */
export async function callbackProblem(page: Page): Promise<{ readonly code: string; readonly effect: string; readonly text: string }> {
  await page.getByTestId('callback-failed').waitFor();
  const note = page.locator('app-callback');
  return {
    code: await note.getByTestId('problem-code').innerText(),
    effect: (await note.getByTestId('problem-effect').innerText()).trim(),
    text: await note.innerText(),
  };
}

/** The stored tokens of a user, read behind the store's back. */
export async function storedTokens(page: Page, sub: string): Promise<StoredTokens> {
  const found = (await readRecords(page)).find((record) => record.claims?.sub === sub && record.secrets);
  if (!found?.secrets) throw new Error(`no tokens of ${sub} are stored`);
  return found.secrets;
}

interface StoredRecord {
  readonly id?: string;
  readonly claims?: { readonly sub?: string } | null;
  readonly secrets?: StoredTokens | null;
}

/** As a script of the page could: the key cannot be copied, but it can be used. */
function readRecords(page: Page): Promise<readonly StoredRecord[]> {
  return page.evaluate(async () => {
    const settled = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('IndexedDB'));
      });
    const all = async (name: string): Promise<unknown[]> => {
      const database = await settled(indexedDB.open(name));
      const values: unknown[] = await settled(database.transaction('records').objectStore('records').getAll());
      database.close();
      return values;
    };
    const bytesOf = (text = ''): Uint8Array<ArrayBuffer> =>
      Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
    const [records, keys] = await Promise.all([
      all('rx-credentials:records'),
      all('rx-credentials:keys') as Promise<{ kid: string; key: CryptoKey }[]>,
    ]);
    const opened = async (record: unknown): Promise<unknown> => {
      const { secrets } = record as { readonly secrets?: { readonly sealed?: string } | null };
      if (typeof secrets?.sealed !== 'string') return record;
      const [header = '', , iv, ciphertext, tag] = secrets.sealed.split('.');
      const { kid } = JSON.parse(new TextDecoder().decode(bytesOf(header))) as { readonly kid: string };
      const key = keys.find((one) => one.kid === kid)?.key;
      if (!key) throw new Error('no key for a sealed record');
      const algorithm = { name: 'AES-GCM', iv: bytesOf(iv), additionalData: new TextEncoder().encode(header) };
      const text = await crypto.subtle.decrypt(algorithm, key, new Uint8Array([...bytesOf(ciphertext), ...bytesOf(tag)]));
      return { ...(record as object), secrets: JSON.parse(new TextDecoder().decode(text)) as unknown };
    };
    return Promise.all(records.map(opened)) as Promise<StoredRecord[]>;
  });
}

/** Writes gibberish over the record of a user. */
export async function breakRecord(page: Page, sub: string): Promise<void> {
  const record = (await readRecords(page)).find(({ claims }) => claims?.sub === sub);
  if (!record?.id) throw new Error(`no record of ${sub}`);
  await page.evaluate(
    (id) =>
      new Promise<void>((resolve, reject) => {
        const request = indexedDB.open('rx-credentials:records');
        request.onerror = () => reject(request.error ?? new Error('IndexedDB'));
        request.onsuccess = () => {
          const writing = request.result.transaction('records', 'readwrite');
          writing.objectStore('records').put({ v: 1, id, secrets: ['gibberish'], claims: 7 }, id);
          writing.oncomplete = () => {
            request.result.close();
            resolve();
          };
        };
      }),
    record.id,
  );
}

export async function refreshRequests(demo: Demo): Promise<readonly TokenRequest[]> {
  return (await demo.control.requests()).filter(({ grantType }) => grantType === 'refresh_token');
}

/** Errors of the page's console and errors nobody caught, as they come. */
export function watchConsole(context: BrowserContext): string[] {
  const errors: string[] = [];
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text());
  });
  context.on('weberror', (error) => errors.push(error.error().message));
  return errors;
}

/** The form in which logs name a token. */
export function tailOf(token: string): string {
  return token.slice(-6);
}
