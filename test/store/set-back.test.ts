// E42: a wall clock that is set back makes the end of a token seem far away. No token lives longer than it was given.
import type { Credential } from '../../src/index.js';
import type { Platform } from '../../src/platform/platform.js';
import { closeAll, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const DAY_MS = 86_400_000;
const RESOURCE = 'https://api.example.com/';

async function found(store: { with(id: string): Promise<Credential | null> }, id: string): Promise<Credential> {
  const credential = await store.with(id);
  if (!credential) throw new Error('the credential is gone');
  return credential;
}

describe('E42 TM-2 a clock that is set back', () => {
  it('before a reload: the token lives no longer than it was given, counted from there', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    await store.store(token);
    await store.close();
    browser.setClock(browser.now() - DAY_MS);
    const { store: again } = await openTab();
    const credential = await found(again, token.id);
    expect(await credential.accessToken()).toBe(token.accessToken); // TM-3: the clock alone signs nobody out
    await browser.advance(3_600_001);
    expect(credential.status.token).toBe('expired');
    expect(await credential.accessToken()).not.toBe(token.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('before another tab signed in: the same for what is read of that', async () => {
    const { openTab, authority, browser } = createWorld();
    const [first, second] = [await openTab(), await openTab()];
    const token = authority.signIn();
    browser.setClock(browser.now() - DAY_MS);
    await first.store.store(token);
    await settle();
    const credential = await found(second.store, token.id);
    await browser.advance(3_600_001);
    expect(await credential.accessToken()).not.toBe(token.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('by minutes, as by the next setting of the clock: the token is used, and no longer than it lives', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const { id } = await store.store(authority.signIn());
    await store.close();
    browser.setClock(browser.now() - 120_000);
    const { store: again } = await openTab();
    const credential = await found(again, id);
    await credential.accessToken();
    expect(authority.refreshes).toHaveLength(0);
    await browser.advance(3_600_001);
    await credential.accessToken();
    expect(authority.refreshes).toHaveLength(1);
  });

  it('in the middle of a refresh', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(10_000);
    authority.hold();
    const renewing = credential.refresh();
    await settle();
    browser.setClock(browser.now() - DAY_MS);
    authority.refreshes[0]?.answer();
    const renewed = await renewing;
    await browser.advance(2 * 3_600_000);
    const asked = credential.accessToken();
    await settle();
    authority.refreshes[1]?.answer();
    expect(await asked).not.toBe(renewed.accessToken);
  });

  it('and a token for another resource', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const first = await credential.accessToken({ resource: RESOURCE });
    browser.setClock(browser.now() - DAY_MS);
    await browser.advance(2 * 3_600_000);
    expect(await inTime(browser, credential.accessToken({ resource: RESOURCE }))).not.toBe(first);
  });

  it('makes no refresh token one that the server takes again: its leeway is over where its age is unknown', async () => {
    const { openTab, authority, browser } = createWorld();
    const clients = (platform: Platform) =>
      authority.client(platform, { reuseLeewayMs: 10_000, onUnknownOutcome: 'reauthenticate' as const });
    const first = await openTab({ clients });
    const { id } = await first.store.store(authority.signIn());
    authority.hold();
    void (await found(first.store, id)).refresh().catch(() => undefined);
    await settle();
    first.platform.emit('frozen');
    await settle();
    await browser.advance(60_000);
    browser.setClock(browser.now() - 3_600_000);
    const second = await openTab({ clients });
    void (await found(second.store, id)).refresh().catch(() => undefined);
    await browser.advance(5_000);
    expect(authority.refreshes).toHaveLength(1);
  });
});
