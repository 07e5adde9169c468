import { CredentialError } from '../../src/errors.js';
import { createSessionLogoutFlow } from '../../src/flows/session-logout.js';
import type { AdditionalParameters } from '../../src/flows/parameters.js';
import type { SignOutFlow, SignOutOptions } from '../../src/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import { CLIENT_ID, ISSUER, offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const ENDED = new URL('https://id.example.com/end');

/** A logout flow that notes what it is given. */
function aFlow(start: SignOutFlow['start'] = () => Promise.resolve(ENDED)): { readonly flow: SignOutFlow; readonly given: unknown[] } {
  const given: unknown[] = [];
  return {
    given,
    flow: {
      start: (options) => {
        given.push(options);
        return start(options);
      },
    },
  };
}

describe('signOut', () => {
  it('RPL-2 revokes and removes, gives the address of the logout with the ID token there was, then says signed_out', async () => {
    const { openTab, authority } = createWorld();
    const { store, events, newEvents } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    const { generation } = credential.state;
    const furthers: AdditionalParameters = { ui_locales: 'de', prompt: undefined };
    newEvents();
    const { flow, given } = aFlow();
    const seen: unknown[] = [];
    store.events$.subscribe(({ type }) => type === 'signed_out' && seen.push(store.snapshot().defaultId));
    expect(await credential.signOut({ flow, additionalParameters: furthers })).toEqual({
      local: 'removed',
      refreshToken: { status: 'revoked' },
      accessToken: { status: 'revoked' },
      url: ENDED,
    });
    expect(given).toEqual([{ idToken: token.idToken, additionalParameters: furthers }]);
    expect(authority.liveRefreshTokens()).toEqual([]);
    expect(newEvents().slice(-3)).toEqual(['token_removed', 'default_changed', 'signed_out']);
    expect(events.at(-1)).toMatchObject({ type: 'signed_out', id: credential.id, generation, origin: 'here' });
    expect(seen).toEqual([null]); // state first, event second
    expect(await store.getDefault()).toBeNull();
  });

  it('without a flow asks for no address', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    expect(await credential.signOut()).toEqual({
      local: 'removed',
      refreshToken: { status: 'revoked' },
      accessToken: { status: 'revoked' },
      url: null,
    });
  });

  it.each<[string, () => Promise<URL>, string]>([
    ['is offline', () => Promise.reject(offline()), 'network_error'],
    ['has no such endpoint', () => Promise.reject(new CredentialError('endpoint_missing', 'none')), 'endpoint_missing'],
    ['cannot be reached by fetch', () => Promise.reject(new TypeError('fetch failed')), 'network_error'],
    ['fails otherwise', () => Promise.reject(new Error('secret')), 'network_error'],
    ['never answers', () => new Promise(() => undefined), 'timeout'],
  ])('signs out here all the same where the server %s', async (_, start, urlFailure) => {
    const { openTab, authority, browser } = createWorld();
    const { store, events } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.setRevocation(() => start() as never);
    expect(await inTime(browser, credential.signOut({ flow: aFlow(start).flow }))).toMatchObject({
      local: 'removed',
      url: null,
      urlFailure,
    });
    expect(store.snapshot().ids).toEqual([]);
    expect(events.at(-1)?.type).toBe('signed_out');
  });

  it('takes five seconds in all where neither the key nor the server answers', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const storage = sealed(disk.storage(), { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]) });
    const first = await openTab({ storage });
    const { id } = await first.store.store(authority.signIn());
    await first.store.setDefault(null); // so that a start opens nothing
    await first.store.close();
    const { store } = await openTab({ storage: { ...storage, unseal: () => new Promise(() => undefined) } });
    const credential = await store.with(id);
    const startedAt = browser.now();
    const { flow } = aFlow(() => new Promise(() => undefined));
    expect(await inTime(browser, credential!.signOut({ flow }))).toMatchObject({ local: 'removed', url: null, urlFailure: 'timeout' });
    expect(browser.now() - startedAt).toBeLessThanOrEqual(5_000);
    expect(store.snapshot().ids).toEqual([]);
  });

  it.each([
    ['at a server that revokes', true],
    ['at a server that revokes nothing', false],
  ])('RPL-2 sends the ID token of one that was never opened, however long its key takes, %s', async (_, revokes) => {
    const { openTab, authority, disk } = createWorld();
    const storage = sealed(disk.storage(), { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]) });
    const first = await openTab({ storage });
    const token = authority.signIn();
    const { id } = await first.store.store(token);
    await first.store.setDefault(null); // so that a start opens nothing
    await first.store.close();
    if (!revokes) authority.setRevocation(() => Promise.reject(new CredentialError('endpoint_missing', 'none')));
    const unseal: typeof storage.unseal = async (record) => {
      await settle();
      return storage.unseal?.(record);
    };
    const { store } = await openTab({ storage: { ...storage, unseal } });
    const credential = await store.with(id);
    const { flow, given } = aFlow();
    expect(await credential?.signOut({ flow })).toMatchObject({ local: 'removed', url: ENDED });
    expect(given).toEqual([{ idToken: token.idToken }]);
  });

  it('of a session that has ended, or cannot be opened, asks with the client id', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    const { flow, given } = aFlow();
    expect(await credential.signOut({ flow })).toMatchObject({ local: 'removed', url: ENDED });
    expect(given).toEqual([{ idToken: undefined }]);
  });

  it.each([
    ['another server', { issuer: 'https://other.example.com' }],
    ['another client', { issuer: ISSUER, clientId: 'other' }],
  ])('ISS-3 does not ask the flow of %s, which would be shown the ID token', async (_, other) => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const { flow, given } = aFlow();
    expect(await credential.signOut({ flow: { ...flow, ...other } })).toMatchObject({
      local: 'removed',
      refreshToken: { status: 'revoked' },
      url: null,
      urlFailure: 'issuer_mismatch',
    });
    expect(given).toEqual([]);
    const next = await store.store(authority.signIn());
    expect(await next.signOut({ flow: { ...flow, issuer: ISSUER, clientId: CLIENT_ID } })).toMatchObject({ url: ENDED });
    expect(given).toHaveLength(1);
  });

  it('twice at a time is once', async () => {
    const { openTab, authority } = createWorld();
    const { store, events } = await openTab();
    const credential = await store.store(authority.signIn());
    const [first, second] = await Promise.allSettled([credential.signOut(), credential.signOut()]);
    expect(first).toMatchObject({ status: 'fulfilled', value: { local: 'removed' } });
    expect(second).toMatchObject({ status: 'fulfilled', value: { local: 'removed', refreshToken: { status: 'not_asked' } } });
    expect(authority.revocations).toHaveLength(2);
    expect(await codeOf(credential.signOut())).toBe('credential_removed');
    for (const once of ['token_removed', 'signed_out']) expect(events.filter(({ type }) => type === once)).toHaveLength(1);
  });

  it('is heard in other tabs as a removal', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    b.newEvents();
    await credential.signOut();
    await settle();
    expect(b.store.snapshot().ids).toEqual([]);
    expect(b.newEvents().filter((type) => type === 'token_removed' || type === 'signed_out')).toEqual(['token_removed']);
  });

  it.each<[string, unknown]>([
    ['flow', { flow: 'https://id.example.com/end' }],
    ['flow', { flow: null }],
    ['extra', { extra: true }],
    ['options', null],
    ['additionalParameters', { additionalParameters: 'ui_locales=de' }],
    ['ui_locales', { additionalParameters: { ui_locales: 5 } }],
    ['id_token_hint', { flow: aFlow().flow, additionalParameters: { id_token_hint: 'x' } }],
  ])('a wrong %s is told, and nobody is signed out', async (name, options) => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await expect(credential.signOut(options as SignOutOptions)).rejects.toThrow(new RegExp(name));
    expect(store.snapshot().ids).toEqual([credential.id]);
    expect(authority.revocations).toEqual([]);
  });

  it('takes the session logout flow as it is', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab({
      clients: (platform) => ({
        ...authority.client(platform),
        metadata: () => Promise.resolve({ issuer: 'https://id.example.com', end_session_endpoint: ENDED.href }),
      }),
    });
    const token = authority.signIn();
    const credential = await store.store(token);
    const { url } = await credential.signOut({ flow: createSessionLogoutFlow(store.client()) });
    expect(url?.href.split('?')[0]).toBe(ENDED.href);
    expect(url?.searchParams.get('id_token_hint')).toBe(token.idToken);
    const other = await store.store(authority.signIn());
    const forbidden = { flow: createSessionLogoutFlow(store.client()), additionalParameters: { state: 'mine' } };
    await expect(other.signOut(forbidden)).rejects.toThrow(/state/);
    expect(store.snapshot().ids).toEqual([other.id]); // nothing was done
  });
});
