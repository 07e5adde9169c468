// The answer of the server is durable before it is judged, when judging it must ask for keys.
import { CredentialError, ProtocolError } from '../../src/errors.js';
import { ISSUER, offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;

describe('an answer that cannot be judged without keys', () => {
  it('RF-4 E56 is written before the keys are asked for', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    let letKeys = (): void => undefined;
    authority.setKeys(() => new Promise((resolve) => (letKeys = resolve)));
    const refreshing = credential.refresh();
    await settle();
    const staged = disk.record(credential.id)['staged'] as { text: string };
    expect(JSON.parse(staged.text)).toMatchObject({ refresh_token: authority.liveRefreshTokens()[0] });
    letKeys();
    await refreshing;
    expect(disk.record(credential.id)).not.toHaveProperty('staged');
    expect(disk.record(credential.id)).toMatchObject({ generation: 2 });
  });

  it('RF-3 RF-4 is committed with two writes where no keys are needed, the intent and the token, and with three where they are', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const written = async (): Promise<readonly unknown[]> => {
      const { length } = disk.calls;
      await credential.refresh();
      const writes = disk.calls.slice(length).flatMap(({ record }) => (record ? [record] : []));
      return writes.map(({ generation, intent, staged }) => [generation, intent !== undefined, staged !== undefined]);
    };
    expect(await written()).toEqual([
      [1, true, false],
      [2, false, false],
    ]);
    authority.setKeys(() => Promise.resolve());
    expect(await written()).toEqual([
      [2, true, false],
      [2, true, true],
      [3, false, false],
    ]);
  });

  it.each([
    ['offline', offline()],
    ['busy', new CredentialError('server_unavailable', 'no', { issuer: ISSUER, status: 503 })],
  ])('IDR-6 survives that the key server is %s; the next refresh judges it and sends nothing', async (_, error) => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    authority.setKeys(() => Promise.reject(error));
    expect(await codeOf(credential.refresh())).toBe(error.code);
    expect(await credential.accessToken()).toBe(token.accessToken); // still valid
    authority.setKeys(() => Promise.resolve());
    const renewed = await credential.refresh();
    expect(renewed.accessToken).not.toBe(token.accessToken);
    expect(authority.liveRefreshTokens()).toEqual([renewed.refreshToken]);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('IDR-6 survives a restart, and another tab judges it', async () => {
    const { openTab, authority, browser } = createWorld();
    const first = await openTab();
    const credential = await first.store.store(authority.signIn());
    authority.setKeys(() => Promise.reject(offline()));
    expect(await codeOf(credential.refresh())).toBe('network_error');
    await first.store.close();
    authority.setKeys(() => Promise.resolve());
    const { store } = await openTab();
    await browser.advance(HOUR_MS - 10_000); // the old access token is about to expire
    const restored = await store.with(credential.id);
    expect(await restored?.accessToken()).toBe(restored?.token?.accessToken);
    expect(restored?.token?.refreshToken).toBe(authority.liveRefreshTokens()[0]);
    expect(authority.reuses()).toBe(0);
  });

  it('E18 is not handed out if it expired while it waited: its refresh token gets another one', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setKeys(() => Promise.reject(offline()));
    expect(await codeOf(credential.refresh())).toBe('network_error');
    await browser.advance(24 * HOUR_MS);
    authority.setKeys(() => Promise.resolve());
    newEvents();
    const accessToken = await credential.accessToken();
    expect(credential.state.expiresAt).toBeGreaterThan(browser.now());
    expect(accessToken).toBe(credential.token?.accessToken);
    expect(authority.refreshes).toHaveLength(2);
    expect(authority.reuses()).toBe(0);
    expect(authority.liveRefreshTokens()).toEqual([credential.token?.refreshToken]);
    expect(newEvents()).not.toContain('refresh_failed');
  });

  it('E56 that turns out not to be valid is dropped, but not the refresh token the server rotated to', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    authority.setKeys(() => Promise.reject(new ProtocolError('id_token_invalid', 'no', { issuer: ISSUER })));
    expect(await codeOf(credential.refresh())).toBe('id_token_invalid');
    expect(credential.token?.accessToken).toBe(token.accessToken); // E31: nothing unchecked is taken
    expect(await credential.accessToken()).toBe(token.accessToken);
    authority.setKeys(null);
    await credential.refresh();
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual([
      token.refreshToken,
      expect.stringContaining('refresh-CANARY'),
    ]);
    expect(authority.reuses()).toBe(0);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
  });

  it('E56 E31 that is malformed keeps the access token at hand and the refresh token the server rotated to', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const token = authority.signIn();
    const credential = await a.store.store(token);
    await settle();
    const other = await b.store.with(credential.id);
    authority.next({ access_token: 7 });
    expect(await codeOf(credential.refresh())).toBe('response_invalid');
    expect(credential.token).toMatchObject({ accessToken: token.accessToken, refreshToken: authority.liveRefreshTokens()[0] });
    await settle();
    await other?.refresh();
    expect(authority.reuses()).toBe(0);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('E56 is not lost when it could not be staged and keys cannot be had', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const mend = disk.fail(({ method, record }) => method === 'write' && record?.['staged'] !== undefined);
    authority.setKeys(() => Promise.reject(offline()));
    expect(await codeOf(credential.refresh())).toBe('network_error');
    mend();
    authority.setKeys(null);
    await credential.refresh();
    expect(authority.reuses()).toBe(0);
  });

  it('RF-4 is used once: another tab has taken it, and it brought no other refresh token', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    const theirs = (await b.store.with(credential.id))!;
    authority.tolerateReuse();
    const mend = disk.fail(({ method, record }) => method === 'write' && record?.['staged'] !== undefined);
    authority.setKeys(() => Promise.reject(offline()));
    authority.next({ refresh_token: undefined });
    expect(await codeOf(credential.refresh())).toBe('network_error');
    mend();
    authority.setKeys(null);
    const renewed = await inTime(browser, theirs.refresh());
    await settle();
    expect(renewed.refreshToken).toBe(credential.token?.refreshToken);
    expect(authority.refreshes).toHaveLength(1);
    expect((await credential.refresh()).accessToken).not.toBe(renewed.accessToken);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('7009-6 is revoked with the credential: nothing that was staged stays alive', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setKeys(() => Promise.reject(offline()));
    expect(await codeOf(credential.refresh())).toBe('network_error');
    const [live] = authority.liveRefreshTokens();
    expect(await credential.revoke()).toMatchObject({ refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    expect(authority.revocations.map(({ token }) => token)).toContain(live);
    expect(authority.revocations.filter(({ hint }) => hint === 'access_token')).toHaveLength(2);
    expect(authority.liveRefreshTokens()).toEqual([]);
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  });

  it('is given up when a token takes its place', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setKeys(() => Promise.reject(offline()));
    expect(await codeOf(credential.refresh())).toBe('network_error');
    const replacement = authority.signIn();
    await store.store(replacement, { replace: credential });
    authority.setKeys(null);
    expect(disk.record(credential.id)).not.toHaveProperty('staged');
    await credential.refresh();
    expect(authority.refreshes.at(-1)?.refreshToken).toBe(replacement.refreshToken);
  });
});
