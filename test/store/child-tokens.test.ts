// Access tokens for less scope or another resource: had once, kept in the record of their parent, which they leave as it is.
import { withFields } from '../../src/credential/create-token.js';
import type { Credential, CredentialEvent } from '../../src/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import { CredentialError } from '../../src/errors.js';
import { ISSUER, offline, refusal } from '../support/fake-client.js';
import { fakeServer } from '../support/fake-server.js';
import { closeAll, codeOf, createWorld, inTime, settle, type TabOptions, type World } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;
const RESOURCE = 'https://api.example.com/orders';
const OTHER_RESOURCE = 'https://files.example.com/';

/** A credential with three scopes, whose token is valid. */
async function signedIn(options: TabOptions = {}) {
  const world = createWorld();
  const tab = await world.openTab(options);
  const credential = await tab.store.store(world.authority.signIn({ scope: 'openid orders:read orders:write' }));
  tab.newEvents();
  return { ...world, ...tab, credential };
}
/** The same credential in another program over the same disk. */
async function elsewhere({ openTab }: World, { id }: Credential, options: TabOptions = {}): Promise<Credential> {
  const found = await (await openTab(options)).store.with(id);
  if (!found) throw new Error('the credential is gone');
  return found;
}
const secretsOf = ({ disk }: World, { id }: Credential) => disk.record(id)['secrets'] as { refreshToken?: string; children?: object[] };

describe('an access token for less scope', () => {
  it('6749-11 is asked for by the scope, kept, and not asked for again', async () => {
    const { authority, credential } = await signedIn();
    const child = await credential.accessToken({ scope: 'orders:read' });
    expect(authority.refreshes.map(({ target }) => target)).toEqual([{ scope: 'orders:read' }]);
    for (let i = 0; i < 3; i++) expect(await credential.accessToken({ scope: 'orders:read' })).toBe(child);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('leaves its parent usable: same token, same scope and expiry, and the refresh token that the server rotated to', async () => {
    const { authority, credential, newEvents } = await signedIn();
    const { token, state } = credential;
    const child = await credential.accessToken({ scope: 'orders:read' });
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
    expect(child).not.toBe(token?.accessToken);
    const { accessToken, idToken, claims, scope, issuedAt, expiresAt } = token ?? {};
    expect(credential.token).toMatchObject({ accessToken, idToken, claims, scope, issuedAt, expiresAt });
    expect(credential.token?.refreshToken).toBe(authority.liveRefreshTokens()[0]);
    expect(credential.state).toMatchObject({
      scope: state.scope,
      expiresAt: state.expiresAt,
      status: { token: 'valid', activity: 'idle' },
    });
    expect(await credential.accessToken()).toBe(accessToken);
    expect(await credential.accessToken({ scope: 'orders:read' })).toBe(child);
    await credential.refresh();
    expect(authority.reuses()).toBe(0);
  });

  it('TMB-1 is never the token that can do more, though that is at hand', async () => {
    const { credential } = await signedIn();
    const whole = await credential.accessToken();
    const both = await credential.accessToken({ scope: 'orders:read orders:write' });
    const one = await credential.accessToken({ scope: 'orders:read' });
    expect(new Set([whole, both, one]).size).toBe(3);
  });

  it('E65 is never one that can do less, though that is at hand', async () => {
    const { authority, credential } = await signedIn();
    const one = await credential.accessToken({ scope: 'orders:read' });
    const both = await credential.accessToken({ scope: 'orders:read orders:write' });
    expect(both).not.toBe(one);
    expect(authority.refreshes.map(({ target }) => target?.scope)).toEqual(['orders:read', 'orders:read orders:write']);
  });

  it.each(['openid orders:read orders:write', ' orders:write  openid orders:read ', 'openid openid orders:read orders:write'])(
    'of all that was granted is the token itself, without a request: %j',
    async (scope) => {
      const { authority, credential } = await signedIn();
      expect(await credential.accessToken({ scope })).toBe(credential.token?.accessToken);
      expect(authority.refreshes).toHaveLength(0);
    },
  );

  it('is the same in whatever order the scopes are named', async () => {
    const { authority, credential } = await signedIn();
    const child = await credential.accessToken({ scope: 'orders:write orders:read' });
    expect(await credential.accessToken({ scope: ' orders:read orders:write orders:read' })).toBe(child);
    expect(authority.refreshes).toHaveLength(1);
  });

  it.each(['admin', 'orders:read admin', 'ORDERS:READ', 'orders'])(
    '6749-11 beyond the grant is refused without a request: %s',
    async (scope) => {
      const { authority, credential, newEvents } = await signedIn();
      const refused: unknown = await credential.accessToken({ scope }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'scope_not_granted', class: 'needs_user' });
      expect(authority.refreshes).toHaveLength(0);
      expect(newEvents()).toEqual([]);
    },
  );

  it('6749-11 that the user once granted may be asked for again, though the token at hand has less', async () => {
    const { authority, credential } = await signedIn();
    authority.next({ scope: 'openid' });
    await credential.refresh();
    expect(credential.token?.scope).toBe('openid');
    await credential.accessToken({ scope: 'orders:read' });
    expect(authority.refreshes.at(-1)?.target).toEqual({ scope: 'orders:read' });
  });

  it('E65 that the server narrows further does not serve who asked for more', async () => {
    const { authority, credential } = await signedIn();
    authority.next({ scope: 'orders:read' });
    expect(await codeOf(credential.accessToken({ scope: 'orders:read orders:write' }))).toBe('scope_not_granted');
    expect(credential.status.token).toBe('valid');
    await credential.refresh(); // what it rotated to is kept
    expect(authority.reuses()).toBe(0);
  });

  it.each<[unknown, string]>([
    ['read', 'options of accessToken must be an object'],
    [['read'], 'accessToken takes AccessTokenOptions, not 0'],
    [{ scopes: 'read' }, 'accessToken takes AccessTokenOptions, not scopes'],
    [{ signal: new AbortController() }, 'signal must be a signal: pass controller.signal'],
    [{ signal: true }, 'signal must be a signal: pass controller.signal'],
    [null, 'options of accessToken must be an object'],
    [5, 'options of accessToken must be an object'],
    [{ refused: 5 }, 'refused must be a text'],
  ])('TMB-1 asked for by what nobody reads is no token that can do everything: %j', async (options, message) => {
    const { credential } = await signedIn();
    await expect(credential.accessToken(options as never)).rejects.toThrow(new TypeError(message));
  });

  it.each(['', '  ', 'a\nb', 'a"b', 7 as never])('that is no scope is a TypeError: %j', async (scope) => {
    const { authority, credential } = await signedIn();
    await expect(credential.accessToken({ scope })).rejects.toThrow(TypeError);
    expect(authority.refreshes).toHaveLength(0);
  });
});

describe('RES-1 an access token for another resource', () => {
  it('is asked for by the resource, with or without less scope; each is a token of its own', async () => {
    const { authority, credential } = await signedIn();
    const tokens = [
      await credential.accessToken(),
      await credential.accessToken({ resource: RESOURCE }),
      await credential.accessToken({ resource: OTHER_RESOURCE }),
      await credential.accessToken({ resource: RESOURCE, scope: 'orders:read' }),
    ];
    expect(new Set(tokens).size).toBe(4);
    expect(authority.refreshes.map(({ target }) => target)).toEqual([
      { resource: RESOURCE },
      { resource: OTHER_RESOURCE },
      { resource: RESOURCE, scope: 'orders:read' },
    ]);
    expect(await credential.accessToken({ scope: 'orders:read', resource: RESOURCE })).toBe(tokens[3]);
    expect(authority.refreshes).toHaveLength(3);
  });

  it.each(['api', '/orders', 'https://api.example.com/#x', '', 'not a url', 7 as never])(
    'that is no absolute URI is a TypeError: %j',
    async (resource) => {
      const { authority, credential } = await signedIn();
      await expect(credential.accessToken({ resource })).rejects.toThrow(TypeError);
      expect(authority.refreshes).toHaveLength(0);
    },
  );

  it('6749-11 RES-1 goes out as RFC 6749 §6 and RFC 8707 §2.2 have it, and its answer is judged as any other', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await world.openTab({
      clients: (platform) => ({ issuer: server.issuer, clientId: server.clientId, platform: { ...platform, fetch: server.fetch } }),
    });
    const token = world.authority.signIn({ scope: 'openid orders:read orders:write' });
    const credential = await store.store(token);
    server.plan('token', { access_token: 'child', token_type: 'bearer', expires_in: 60, refresh_token: 'rotated' });
    expect(await credential.accessToken({ scope: 'orders:read', resource: RESOURCE })).toBe('child');
    expect(Object.fromEntries(server.calls('token')[0]?.form ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: token.refreshToken,
      client_id: 'spa',
      scope: 'orders:read',
      resource: RESOURCE,
    });
    expect(credential.token).toMatchObject({ accessToken: token.accessToken, refreshToken: 'rotated', scope: token.scope });
    server.plan('token', { access_token: 'next', token_type: 'bearer' });
    await credential.refresh();
    const form = server.calls('token')[1]?.form;
    expect([form?.get('refresh_token'), form?.has('scope'), form?.has('resource')]).toEqual(['rotated', false, false]);
  });
});

describe('a login that named several resources', () => {
  const resources = [RESOURCE, OTHER_RESOURCE];
  const naming = ({ authority }: World, named: object) => {
    const token = authority.signIn();
    return withFields(token, { context: { ...token.context, ...named } });
  };

  it('RES-1 gets a token for each, keeps them through a refresh, and so does another program that opens its sealed record', async () => {
    const world = createWorld();
    const keys = staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]);
    const options = (): TabOptions => ({ storage: sealed(world.disk.storage(), { keys }) });
    const { store } = await world.openTab(options());
    const credential = await store.store(naming(world, { resource: RESOURCE, resources }));
    await credential.refresh();
    expect(credential.metadata.context).toMatchObject({ resource: RESOURCE, resources });
    expect(await credential.accessToken({ resource: RESOURCE })).toBe(credential.token?.accessToken);
    const other = await elsewhere(world, credential, options());
    expect(await other.accessToken({ resource: OTHER_RESOURCE })).not.toBe(other.token?.accessToken);
    expect(world.authority.refreshes.map(({ target }) => target)).toEqual([undefined, { resource: OTHER_RESOURCE }]);
  });

  it.each<[string, object]>([
    ['one', { resource: RESOURCE }],
    ['two', { resource: RESOURCE, resources }],
  ])(
    'RES-1 E7 is not asked for another one, where it named %s: a server may use up the refresh token before it refuses',
    async (_, named) => {
      const world = createWorld();
      const { store, newEvents } = await world.openTab();
      const credential = await store.store(naming(world, named));
      newEvents();
      const asked = [{ resource: 'urn:other' }, { resource: 'urn:other', scope: 'openid' }, { resource: 'urn:other', forceRefresh: true }];
      for (const options of asked) expect(await codeOf(credential.accessToken(options))).toBe('scope_not_granted');
      expect(newEvents()).toEqual([]);
      expect(world.authority.refreshes).toEqual([]);
      await credential.refresh();
      expect(credential.state).toMatchObject({ status: { token: 'valid', activity: 'idle' }, refreshFailure: null });
    },
  );

  it('RES-1 says that nothing renews it, where it is so, whatever resource is asked for', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const token = world.authority.signIn({ refreshable: false });
    const credential = await store.store(withFields(token, { context: { ...token.context, resource: RESOURCE } }));
    expect(await codeOf(credential.accessToken({ resource: OTHER_RESOURCE }))).toBe('no_refresh_token');
  });
});

describe('E63 who asks for the same', () => {
  it('shares a request: the same resource and scopes, in whatever order', async () => {
    const { authority, credential } = await signedIn();
    const scopes = ['orders:read orders:write', 'orders:write orders:read'];
    const tokens = await Promise.all(Array.from({ length: 100 }, (_, i) => credential.accessToken({ scope: scopes[i % 2] ?? '' })));
    expect(new Set(tokens).size).toBe(1);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('does not share it with who asks for something else; all are sent one after the other, with the rotated token', async () => {
    const { authority, credential } = await signedIn();
    const tokens = await Promise.all([
      credential.accessToken({ scope: 'orders:read' }),
      credential.accessToken({ scope: 'orders:write' }),
      credential.accessToken({ scope: 'orders:read', resource: RESOURCE }),
      credential.accessToken({ resource: RESOURCE }),
      credential.accessToken({ forceRefresh: true }),
    ]);
    expect(new Set(tokens).size).toBe(5);
    expect(authority.refreshes).toHaveLength(5);
    expect(authority.reuses()).toBe(0);
  });

  it('gets another one where it is forced, also while the parent or another child is being renewed', async () => {
    const { authority, credential } = await signedIn();
    const first = await credential.accessToken({ scope: 'orders:read' });
    const [, , forced, kept] = await Promise.all([
      credential.refresh(),
      credential.accessToken({ scope: 'orders:write' }),
      credential.accessToken({ scope: 'orders:read', forceRefresh: true }),
      credential.accessToken({ scope: 'orders:read' }),
    ]);
    expect(forced).not.toBe(first);
    expect([first, forced]).toContain(kept);
    expect(authority.refreshes).toHaveLength(4);
    expect(await credential.accessToken({ scope: 'orders:read' })).toBe(forced);
  });

  it('E2 in another tab sends one request together with this one', async () => {
    const world = await signedIn();
    const theirs = await elsewhere(world, world.credential);
    const tokens = await Promise.all([world.credential, theirs].map((one) => one.accessToken({ scope: 'orders:read' })));
    expect(new Set(tokens).size).toBe(1);
    expect(world.authority.refreshes).toHaveLength(1);
  });
});

describe('where child tokens are kept', () => {
  it('is the record of their parent: no other record, and no request after a restart or in another tab', async () => {
    const world = await signedIn();
    const { authority, credential, disk, store } = world;
    const theirs = await elsewhere(world, credential);
    const child = await credential.accessToken({ scope: 'orders:read' });
    await settle();
    expect(await theirs.accessToken({ scope: 'orders:read' })).toBe(child);
    expect([...disk.records.keys()]).toEqual([credential.id]);
    await store.close();
    expect(await (await elsewhere(world, credential)).accessToken({ scope: 'orders:read' })).toBe(child);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('stays so when the parent is renewed, here or elsewhere', async () => {
    const world = await signedIn();
    const { authority, credential } = world;
    const child = await credential.accessToken({ scope: 'orders:read' });
    await credential.refresh();
    await (await elsewhere(world, credential)).refresh();
    await credential.setTags(['x']);
    await settle();
    expect(await credential.accessToken({ scope: 'orders:read' })).toBe(child);
    expect(authority.refreshes).toHaveLength(3);
  });

  it('shows in nothing but the record: not in events, states, messages', async () => {
    const world = await signedIn();
    const { authority, credential, browser, store, events } = world;
    await credential.accessToken({ scope: 'orders:read', resource: RESOURCE });
    const shown = JSON.stringify([events, store.snapshot(), browser.posts, browser.lockNames, credential, credential.metadata]);
    expect(shown).not.toContain('CANARY');
    expect(authority.secrets.length).toBeGreaterThan(4);
  });

  it('BBA-4 is sealed with it', async () => {
    const world = createWorld();
    const over = (): TabOptions => ({
      storage: sealed(world.disk.storage(), { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]) }),
    });
    const { store } = await world.openTab(over());
    const credential = await store.store(world.authority.signIn({ scope: 'openid orders:read' }));
    const child = await credential.accessToken({ scope: 'orders:read' });
    expect(JSON.stringify([...world.disk.records])).not.toMatch(/CANARY|orders:read.*accessToken/);
    await store.close();
    expect(await (await elsewhere(world, credential, over())).accessToken({ scope: 'orders:read' })).toBe(child);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('is memory alone where access tokens are not persisted; the next program gets its own', async () => {
    const options: TabOptions = { options: { persist: 'refresh-only' } };
    const world = await signedIn(options);
    const { authority, credential, store } = world;
    const child = await credential.accessToken({ scope: 'orders:read' });
    expect(Object.keys(secretsOf(world, credential)).sort()).toEqual(['idToken', 'refreshToken']);
    const theirs = await elsewhere(world, credential, options);
    const their = await theirs.accessToken({ scope: 'orders:read' });
    expect(their).not.toBe(child);
    await settle();
    expect(await credential.accessToken({ scope: 'orders:read' })).toBe(child); // its own, still
    await store.close();
    const third = await (await elsewhere(world, credential, options)).accessToken({ scope: 'orders:read' });
    expect([child, their]).not.toContain(third);
    expect(authority.refreshes).toHaveLength(3);
    expect(authority.reuses()).toBe(0);
  });

  it('holds twenty at most: the oldest go first, and the record does not grow without end', async () => {
    const world = await signedIn();
    const { authority, credential } = world;
    for (let i = 0; i < 25; i++) await credential.accessToken({ resource: `${RESOURCE}/${i}` });
    expect(secretsOf(world, credential).children).toHaveLength(20);
    await credential.accessToken({ resource: `${RESOURCE}/24` });
    expect(authority.refreshes).toHaveLength(25);
    await credential.accessToken({ resource: `${RESOURCE}/0` });
    expect(authority.refreshes).toHaveLength(26);
  });

  it('E62 a damaged one is had anew and harms nothing else', async () => {
    const world = await signedIn();
    const { authority, credential, disk, store } = world;
    const kept = await credential.accessToken({ scope: 'orders:write' });
    await credential.accessToken({ scope: 'orders:read' });
    await store.close();
    const record = disk.record(credential.id);
    const secrets = record['secrets'] as { children: { scope: string }[] };
    const children = secrets.children.map((child) => (child.scope === 'orders:read' ? { ...child, accessToken: 7 } : child));
    disk.records.set(credential.id, { ...record, secrets: { ...secrets, children: [...children, null, 'x', {}] } });
    const restored = await elsewhere(world, credential);
    expect(await restored.accessToken({ scope: 'orders:write' })).toBe(kept);
    await restored.accessToken({ scope: 'orders:read' });
    expect(authority.refreshes).toHaveLength(3);
    expect(await restored.accessToken()).toBe(credential.token?.accessToken);
  });
});

describe('a child token that expires', () => {
  it('is had anew, and its parent is not renewed for it', async () => {
    const { authority, browser, credential } = await signedIn();
    authority.next({ expires_in: 60 });
    const first = await credential.accessToken({ scope: 'orders:read' });
    await browser.advance(44_999);
    expect(await credential.accessToken({ scope: 'orders:read' })).toBe(first);
    const parent = credential.token?.accessToken;
    await browser.advance(1); // a quarter of its life is left
    const second = await credential.accessToken({ scope: 'orders:read' });
    expect(second).not.toBe(first);
    expect(credential.token?.accessToken).toBe(parent);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('is swept from the record by the next write', async () => {
    const world = await signedIn();
    const { authority, browser, credential } = world;
    authority.next({ expires_in: 60 });
    await credential.accessToken({ scope: 'orders:read' });
    expect(secretsOf(world, credential).children).toHaveLength(1);
    await browser.advance(61_000);
    await credential.refresh();
    expect(secretsOf(world, credential)).not.toHaveProperty('children');
  });

  it('E40 is used while it lives though it cannot be renewed, and no longer', async () => {
    const { authority, browser, credential } = await signedIn();
    authority.next({ expires_in: 60 });
    const child = await credential.accessToken({ scope: 'orders:read' });
    await browser.advance(50_000);
    authority.next(refusal('temporarily_unavailable'), refusal('temporarily_unavailable'));
    expect(await inTime(browser, credential.accessToken({ scope: 'orders:read' }))).toBe(child);
    await browser.advance(10_000);
    expect(await codeOf(inTime(browser, credential.accessToken({ scope: 'orders:read' })))).toBe('oauth_error');
  });

  it('lasts as long as is asked for; 0 means 0', async () => {
    const { authority, browser, credential } = await signedIn();
    authority.next({ expires_in: 60 });
    const scope = 'orders:read';
    const first = await credential.accessToken({ scope });
    await browser.advance(59_999);
    expect(await credential.accessToken({ scope, minValidityMs: 0 })).toBe(first);
    await browser.advance(1);
    const second = await credential.accessToken({ scope, minValidityMs: 0 });
    expect(second).not.toBe(first);
    await browser.advance(HOUR_MS / 10);
    expect(await credential.accessToken({ scope, minValidityMs: HOUR_MS * 0.9 - 1 })).toBe(second);
    const third = await credential.accessToken({ scope, minValidityMs: HOUR_MS * 0.9 });
    expect(third).not.toBe(second);
    await browser.advance(HOUR_MS / 10);
    expect(await credential.accessToken({ scope, minValidityMs: HOUR_MS })).toBe(third); // E43: no token has that
    await expect(credential.accessToken({ scope, minValidityMs: -1 })).rejects.toThrow(TypeError);
  });

  it('E26 of which nobody knows when, is kept', async () => {
    const { authority, browser, credential } = await signedIn();
    authority.next({ expires_in: undefined });
    const child = await credential.accessToken({ scope: 'orders:read' });
    await browser.advance(100 * HOUR_MS);
    expect(await credential.accessToken({ scope: 'orders:read' })).toBe(child);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('is had though its parent has expired, which is renewed by who asks for it', async () => {
    const { authority, browser, credential } = await signedIn();
    await browser.advance(2 * HOUR_MS);
    await credential.accessToken({ scope: 'orders:read' });
    expect(credential.status.token).toBe('expired');
    await credential.accessToken();
    expect(authority.refreshes.map(({ target }) => target)).toEqual([{ scope: 'orders:read' }, undefined]);
    expect(credential.status.token).toBe('valid');
  });
});

describe('a child token that cannot be had', () => {
  it.each(['invalid_target', 'invalid_scope', 'invalid_request'])(
    'E7 because of %s is its caller’s affair: the parent can be renewed, at a server that checks before it uses up the refresh token',
    async (error) => {
      const { authority, browser, credential } = await signedIn({ options: { renewal: { ahead: true } } });
      await browser.advance(5_000);
      authority.next(refusal(error));
      expect(await codeOf(credential.accessToken({ resource: RESOURCE }))).toBe('oauth_error');
      expect(credential.state).toMatchObject({ status: { token: 'valid', activity: 'idle' }, refreshFailure: null });
      expect(await codeOf(credential.accessToken({ resource: RESOURCE }))).toBe('oauth_error'); // too early to ask again
      expect(authority.refreshes).toHaveLength(1);
      await credential.accessToken({ resource: OTHER_RESOURCE });
      await credential.refreshIfNeeded(HOUR_MS - 5_000);
      expect(authority.refreshes).toHaveLength(3);
      await browser.advance(HOUR_MS);
      expect(credential.status.token).toBe('valid');
      expect(authority.refreshes).toHaveLength(4);
    },
  );

  it.each(['consent_required', 'interaction_required'])('because of %s asks for the user, but the parent does not', async (error) => {
    const { authority, credential, events } = await signedIn();
    authority.next(refusal(error));
    expect(await codeOf(credential.accessToken({ resource: RESOURCE }))).toBe('needs_interaction');
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(events.map(({ type }) => type)).not.toContain('interaction_required');
    await credential.refresh();
  });

  it('E7 because of invalid_grant ends the parent, too, if its own refresh is rejected: it is its refresh token that is dead', async () => {
    const { authority, credential } = await signedIn();
    await credential.accessToken({ scope: 'orders:write' });
    authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.accessToken({ scope: 'orders:read' }))).toBe('needs_sign_in');
    expect(credential.status.token).toBe('needs_sign_in');
    for (const scope of ['orders:read', 'orders:write']) expect(await codeOf(credential.accessToken({ scope }))).toBe('needs_sign_in');
    expect(authority.refreshes).toHaveLength(3); // the child that was had, the one that was not, the parent
  });

  it('E7 because of invalid_grant that is about the target alone leaves the parent as it is: Entra says so where a user has not consented', async () => {
    const { authority, credential } = await signedIn();
    authority.next(refusal('invalid_grant'));
    const asked = await Promise.all([1, 2].map(() => codeOf(credential.accessToken({ resource: RESOURCE }))));
    expect(asked).toEqual(['oauth_error', 'oauth_error']);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(authority.refreshes).toHaveLength(2); // one of the child, one of the parent, which tells
    expect(await codeOf(credential.accessToken({ resource: RESOURCE }))).toBe('oauth_error'); // too early to ask again
    expect(authority.refreshes).toHaveLength(2);
    await credential.accessToken({ resource: OTHER_RESOURCE });
  });

  it('E6 because the network fails is told of the credential, and both are tried again', async () => {
    const { authority, browser, credential } = await signedIn();
    authority.next(offline(), offline(), offline());
    expect(await codeOf(inTime(browser, credential.accessToken({ scope: 'orders:read' })))).toBe('network_error');
    expect(credential.state.refreshFailure).toMatchObject({ code: 'network_error', attempts: 1 });
    await browser.advance(2_000);
    await inTime(browser, credential.accessToken({ scope: 'orders:read' }));
    expect(credential.state.refreshFailure).toBeNull();
    expect(authority.reuses()).toBe(0);
  });

  it('because there is no refresh token, no client or no user sends nothing', async () => {
    const { authority, store } = await signedIn();
    const poor = await store.store(authority.signIn({ refreshable: false, sub: 'bob', scope: 'a b' }));
    const foreign = await store.store(authority.signIn({ issuer: 'https://other.example.com', scope: 'a b' }));
    const refused = poor.accessToken({ scope: 'a' });
    await expect(refused).rejects.toMatchObject({ code: 'no_refresh_token', class: 'configuration' }); // to sign in again would change nothing
    await expect(poor.refresh()).rejects.toMatchObject({ code: 'no_refresh_token', class: 'needs_user' });
    expect(await codeOf(foreign.accessToken({ scope: 'a' }))).toBe('client_unknown');
    await poor.remove();
    expect(await codeOf(poor.accessToken({ scope: 'a' }))).toBe('credential_removed');
    expect(authority.refreshes).toHaveLength(0);
  });

  it('E32 because its answer is of another user is an attack, as with any answer', async () => {
    const { authority, credential, store } = await signedIn();
    authority.next({ sub: 'mallory' });
    expect(await codeOf(credential.accessToken({ scope: 'orders:read' }))).toBe('token_substitution');
    expect(await store.allIDs()).toEqual([]);
    expect(authority.liveRefreshTokens()).toEqual([]);
  });

  it('E56 because its answer is malformed keeps what the server rotated to', async () => {
    const { authority, credential } = await signedIn();
    authority.next({ access_token: 7 });
    expect(await codeOf(credential.accessToken({ scope: 'orders:read' }))).toBe('response_invalid');
    await credential.refresh();
    expect(authority.reuses()).toBe(0);
  });
});

describe('RF-4 the answer for a child that waits for keys', () => {
  it('is that of a child also for who judges it: another program, which asks for something else', async () => {
    const world = await signedIn();
    const { authority, credential, store, disk, browser } = world;
    const parent = credential.token?.accessToken;
    authority.setKeys(() => Promise.reject(new CredentialError('server_unavailable', 'no keys', { issuer: ISSUER, status: 503 })));
    expect(await codeOf(credential.accessToken({ scope: 'orders:read' }))).toBe('server_unavailable');
    expect(disk.record(credential.id)).toMatchObject({ staged: { target: { scope: 'orders:read' } } });
    await store.close();
    authority.setKeys(null);
    const restored = await elsewhere(world, credential);
    expect(await restored.accessToken()).toBe(parent);
    const renewed = await inTime(browser, restored.refresh());
    expect(authority.refreshes.map(({ target }) => target)).toEqual([{ scope: 'orders:read' }, undefined]);
    expect(renewed.accessToken).not.toBe(parent);
    const child = await restored.accessToken({ scope: 'orders:read' });
    expect(authority.refreshes).toHaveLength(2);
    expect([parent, renewed.accessToken]).not.toContain(child);
    expect(authority.reuses()).toBe(0);
  });

  it('E18 is not handed out if it expired while it waited', async () => {
    const { authority, browser, credential } = await signedIn();
    authority.setKeys(() => Promise.reject(offline()));
    authority.next({ expires_in: 60 });
    expect(await codeOf(credential.accessToken({ scope: 'orders:read' }))).toBe('network_error');
    await browser.advance(120_000);
    authority.setKeys(null);
    await inTime(browser, credential.accessToken({ scope: 'orders:read' }));
    expect(authority.refreshes).toHaveLength(2);
    expect(authority.reuses()).toBe(0);
  });
});

describe('the end of a credential', () => {
  it.each<readonly [string, (credential: Credential, world: World) => Promise<unknown>]>([
    ['removed', (credential) => credential.remove()],
    ['revoked', (credential) => credential.revoke()],
  ])('that is %s is that of its children: nothing of them is handed out or left on the disk', async (_, end) => {
    const world = await signedIn();
    const { authority, credential, disk } = world;
    await credential.accessToken({ scope: 'orders:read' });
    await end(credential, world);
    expect(await codeOf(credential.accessToken({ scope: 'orders:read' }))).toBe('credential_removed');
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
    expect(authority.refreshes).toHaveLength(1);
  });

  it('7009-2 revokes its children at the server, too', async () => {
    const { authority, credential } = await signedIn();
    const tokens = [await credential.accessToken(), await credential.accessToken({ scope: 'orders:read' })];
    await credential.revoke();
    const revoked = authority.revocations.map(({ token, hint }) => `${hint} ${token}`);
    expect(revoked[0]).toMatch(/^refresh_token/);
    expect(revoked.slice(1).sort()).toEqual(tokens.map((token) => `access_token ${token}`).sort());
  });

  it('RF-13 wins over a request for a child that is under way: its answer is revoked', async () => {
    const { authority, credential, disk } = await signedIn();
    authority.hold();
    const asking = codeOf(credential.accessToken({ scope: 'orders:read' }));
    await settle();
    await credential.remove();
    authority.refreshes[0]?.answer();
    expect(await asking).toBe('credential_removed');
    await settle();
    expect(authority.liveRefreshTokens()).toEqual([]);
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  });

  it('and a new login in its place: a child of the former one is not handed out', async () => {
    const { authority, credential, store } = await signedIn();
    const before = await credential.accessToken({ scope: 'orders:read' });
    await store.store(authority.signIn({ scope: 'openid orders:read' }), { replace: credential });
    const after = await credential.accessToken({ scope: 'orders:read' });
    expect(after).not.toBe(before);
    expect(authority.refreshes).toHaveLength(2);
  });
});

it('RF-10 a caller’s signal ends the waiting for a child, never the request', async () => {
  const { authority, credential } = await signedIn();
  authority.hold();
  const abort = new AbortController();
  const impatient = codeOf(credential.accessToken({ scope: 'orders:read', signal: abort.signal }));
  const patient = credential.accessToken({ scope: 'orders:read' });
  await settle();
  abort.abort();
  expect(await impatient).toBe('aborted');
  authority.refreshes[0]?.answer();
  expect(await credential.accessToken({ scope: 'orders:read' })).toBe(await patient);
  expect(authority.refreshes).toHaveLength(1);
});

it('RF-15 a child that could not be written is used from memory, and written later', async () => {
  const { authority, browser, credential, disk, events } = await signedIn();
  const mend = disk.fail(({ method }) => method === 'write');
  const child = await credential.accessToken({ scope: 'orders:read' });
  expect(events.map(({ type }: CredentialEvent) => type)).toContain('not_durable');
  expect(await credential.accessToken({ scope: 'orders:read' })).toBe(child);
  mend();
  await browser.advance(60_000);
  expect(disk.record(credential.id)).toMatchObject({ secrets: { children: [{ scope: 'orders:read', accessToken: child }] } });
  await credential.refresh();
  expect(authority.reuses()).toBe(0);
});
