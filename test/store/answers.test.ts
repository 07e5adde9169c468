// What a refresh answer leaves out stays: from the wire through the real client into the record, and back after a restart.
import { createToken, type IdTokenClaims } from '../../src/index.js';
import { StorageError } from '../../src/errors.js';
import { salvage } from '../../src/store/refresh-answers.js';
import { fakeServer, type FakeServer } from '../support/fake-server.js';
import { closeAll, codeOf, createWorld, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const open = (world: World, server: FakeServer): Promise<Tab> =>
  world.openTab({
    clients: (platform) => ({ issuer: server.issuer, clientId: server.clientId, platform: { ...platform, fetch: server.fetch } }),
  });

describe('a refresh answer', () => {
  it('E5 E55 keeps the refresh token, ID token, claims, scope and tags that it omits, also after a restart', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const token = world.authority.signIn();
    const credential = await store.store(token, { tags: ['work'] });
    server.plan('token', { access_token: 'new-access', token_type: 'Bearer', expires_in: 600 });
    await credential.refresh();
    await store.close();
    const restored = await (await open(world, server)).store.with(token.id);
    const { refreshToken, idToken, claims, scope } = token;
    expect(restored?.token).toMatchObject({ accessToken: 'new-access', refreshToken, idToken, claims, scope });
    expect(restored).toMatchObject({ tags: ['work'], metadata: { issuedAt: world.browser.now() } });
  });

  it('6749-12 replaces the refresh token by the one it holds', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const credential = await store.store(world.authority.signIn());
    const answer = { access_token: 'new-access', token_type: 'Bearer', refresh_token: 'new-refresh', scope: 'openid less' };
    server.plan('token', answer, { access_token: 'newer-access', token_type: 'Bearer' });
    await credential.refresh();
    await credential.refresh();
    expect(server.calls('token').map(({ form }) => form.get('refresh_token'))).toEqual([expect.stringContaining('CANARY'), 'new-refresh']);
    expect(credential.token).toMatchObject({ accessToken: 'newer-access', refreshToken: 'new-refresh', scope: 'openid less' });
  });

  it('E26 without a lifetime does not inherit the expiry of the token before', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const credential = await store.store(world.authority.signIn({ lifetimeS: 60 }));
    await world.browser.advance(61_000);
    expect(credential.status.token).toBe('expired');
    server.plan('token', { access_token: 'new-access', token_type: 'Bearer' });
    expect(await credential.accessToken()).toBe('new-access');
    expect(credential.state).toMatchObject({ expiresAt: null, status: { token: 'valid' } });
    await world.browser.advance(3_600_000);
    expect(await credential.accessToken()).toBe('new-access');
  });

  it('E27 keeps opaque tokens as they are', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const credential = await store.store(world.authority.signIn());
    server.plan('token', { access_token: 'ab%2Bcd', token_type: 'bearer', refresh_token: 'ab%zz==' });
    await credential.refresh();
    await store.close();
    const restored = await (await open(world, server)).store.with(credential.id);
    expect(restored?.token).toMatchObject({ accessToken: 'ab%2Bcd', refreshToken: 'ab%zz==', tokenType: 'Bearer' });
  });

  it('TM-1 counts the lifetime from before the request was sent', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const credential = await store.store(world.authority.signIn());
    const sentAt = world.browser.now();
    server.plan('token', async () => {
      await world.browser.advance(20_000);
      return Response.json({ access_token: 'new-access', token_type: 'Bearer', expires_in: 60 });
    });
    await credential.refresh();
    expect(credential.state).toMatchObject({ issuedAt: sentAt, expiresAt: sentAt + 60_000 });
  });

  it('E32 for another subject is an attack: its refresh token is revoked, the credential removed, the event says why', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store, events } = await open(world, server);
    const credential = await store.store(world.authority.signIn({ sub: 'alice' }));
    const other = await store.store(world.authority.signIn({ sub: 'bob' }));
    const idToken = await server.idToken({ sub: 'mallory' });
    server.plan('token', { access_token: 'evil-access', token_type: 'Bearer', refresh_token: 'evil-refresh', id_token: idToken });
    const sent = credential.token?.refreshToken;
    server.plan('revocation', new Response(null), new Response(null), new Response(null));
    expect(await codeOf(credential.refresh())).toBe('token_substitution');
    expect(server.calls('revocation').map(({ form }) => form.get('token'))).toEqual(['evil-refresh', 'evil-access', sent]);
    expect(await store.allIDs()).toEqual([other.id]);
    expect(credential.token).toBeNull();
    expect(events.filter((event) => 'id' in event && event.id === credential.id).map((event) => event.type)).toContain('token_removed');
    expect(events.at(-1)).toMatchObject({ type: 'refresh_failed', code: 'token_substitution', class: 'security' });
    expect(JSON.stringify([...world.disk.records])).not.toContain('evil');
  });

  it('E32 E47 for another subject keeps nobody waiting where that cannot be written down', async () => {
    const attacked = new Set<string>();
    const thrown = new StorageError('storage_conflict', 'no');
    const context = { attacked, ledger: {}, writing: { updateOpen: () => Promise.reject(thrown) } } as unknown as Parameters<
      typeof salvage
    >[0];
    const [client, grant] = [{}, { id: 'one' }] as unknown as [Parameters<typeof salvage>[1], Parameters<typeof salvage>[2]];
    const attack = { code: 'token_substitution' } as Parameters<typeof salvage>[4];
    await expect(salvage(context, client, grant, '{}', attack, 'me')).rejects.toBe(thrown);
    expect([...attacked]).toEqual([]); // who removes it now is not waited for by those who ask
  });

  it.each([
    ['another user', { sub: 'mallory' }],
    ['another user in another case', { sub: 'Alice' }],
  ])('IDR-5 an answer for %s is known for one where no ID token is stored: the claims of the login are', async (_what, claims) => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const token = world.authority.signIn({ sub: 'alice' });
    const { id, accessToken, refreshToken = '', tokenType, scope, issuedAt, expiresAt, context } = token;
    const login = { ...token.claims, nonce: 'of-the-login', auth_time: 1_600_000_000 } as IdTokenClaims;
    await store.store(createToken({ id, accessToken, refreshToken, tokenType, scope, issuedAt, expiresAt, context, claims: login }));
    await store.close();
    expect(world.disk.record(token.id)['secrets']).not.toHaveProperty('idToken');
    const credential = (await (await open(world, server)).store.with(token.id))!;
    server.plan('token', { access_token: 'evil-access', token_type: 'Bearer', id_token: await server.idToken(claims) });
    server.plan('revocation', new Response(null), new Response(null));
    expect(await codeOf(credential.refresh())).toBe('token_substitution');
  });

  it('E54 asks for discovery and keys once, not at each refresh', async () => {
    const [world, server] = [createWorld(), fakeServer()];
    const { store } = await open(world, server);
    const credential = await store.store(world.authority.signIn());
    for (let round = 0; round < 3; round++) {
      server.plan('token', { access_token: `access-${round}`, token_type: 'Bearer', id_token: await server.idToken({ sub: 'alice' }) });
      await credential.refresh();
    }
    expect(server.calls().map(({ endpoint }) => endpoint)).toEqual(['discovery', 'token', 'jwks', 'token', 'token']);
  });
});
