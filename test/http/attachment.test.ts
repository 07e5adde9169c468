import { createToken } from '../../src/credential/create-token';
import type { Token } from '../../src/credential/token';
import { NetworkError } from '../../src/errors';
import { createAttachmentPolicy } from '../../src/http/attachment';
import { memoryStorage } from '../../src/storage/memory';
import { createCredentialStore, type CredentialStore } from '../../src/store/store';
import type { Credential } from '../../src/store/credential';
import { fakeServer, json, type FakeServer } from '../support/fake-server';
import { refusal } from '../support/oauth';
import { aToken, tokenFields } from '../support/tokens';
import { inTime, settled, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const resources = ['https://api.example.com/v1/'];
const stores = new Set<CredentialStore>();
afterEach(async () => {
  const open = [...stores];
  stores.clear();
  await Promise.all(open.map((store) => store.close()));
});

interface SetUp {
  readonly server: FakeServer;
  readonly platform: UnitPlatform;
  readonly store: CredentialStore;
  readonly credential: Credential;
}

/** A real store in front of a fake server, with one token that has ten minutes to live. */
async function setUp(token: Token = aToken()): Promise<SetUp> {
  const server = fakeServer();
  const platform = unitPlatform({ fetch: server.fetch });
  const store = createCredentialStore({ clients: { issuer: server.issuer, clientId: 'spa' }, platform });
  stores.add(store);
  return { server, platform, store, credential: await store.store(token) };
}
const renewed = (n: number) => ({ access_token: `access-${n}`, token_type: 'bearer', expires_in: 600, refresh_token: `refresh-${n}` });

describe('attach', () => {
  it('6750-1 is a header value of the token’s own type', async () => {
    const { store } = await setUp(aToken({ accessToken: 'access-0' }));
    expect((await createAttachmentPolicy(store, { resources }).attach())?.authorization).toBe('Bearer access-0');
  });

  it('E22 a DPoP token is never sent as Bearer', async () => {
    const { store } = await setUp(aToken({ tokenType: 'DPoP' }));
    expect(await refusal(createAttachmentPolicy(store, { resources }).attach())).toMatchObject({ code: 'unsupported' });
  });

  it('is nothing while nobody is signed in', async () => {
    const { store, credential } = await setUp();
    const policy = createAttachmentPolicy(store, { resources });
    await store.setDefault(null);
    expect(await policy.attach()).toBeNull();
    await store.setDefault(credential);
    expect(await policy.attach()).not.toBeNull();
    await credential.remove();
    expect(await policy.attach()).toBeNull();
  });

  it('E7 is nothing once the server has rejected the refresh token', async () => {
    const { server, store, credential } = await setUp();
    server.plan('token', json({ error: 'invalid_grant' }, { status: 400 }));
    expect(await refusal(credential.refresh())).toMatchObject({ code: 'needs_sign_in' });
    expect(await createAttachmentPolicy(store, { resources }).attach()).toBeNull();
  });

  it('7009-5 is nothing while the credential is being revoked', async () => {
    const { server, store, credential, platform } = await setUp();
    server.plan('revocation', 'hang');
    const revoking = credential.revoke('refresh');
    while (credential.status.activity !== 'revoking') await new Promise((resolve) => setImmediate(resolve));
    expect(await createAttachmentPolicy(store, { resources }).attach()).toBeNull();
    while (platform.timers().length < 2) await new Promise((resolve) => setImmediate(resolve));
    platform.advance(5_000);
    await revoking;
  });

  it('E18 an expired token is renewed first', async () => {
    const { server, platform, store } = await setUp();
    server.plan('token', renewed(1));
    platform.advance(600_000);
    expect((await createAttachmentPolicy(store, { resources }).attach())?.authorization).toBe('Bearer access-1');
  });

  it('E18 an expired token that cannot be renewed is not sent: the renewal’s error is the answer', async () => {
    const { server, platform, store } = await setUp();
    server.plan('token', 'offline', 'offline', 'offline');
    platform.advance(600_000);
    const attachment = createAttachmentPolicy(store, { resources }).attach();
    expect(await refusal(inTime(platform, attachment))).toBeInstanceOf(NetworkError);
  });

  it('E18 an expired token without a refresh token is not sent', async () => {
    const { refreshToken: _, ...fields } = tokenFields();
    const { platform, store } = await setUp(createToken(fields));
    platform.advance(600_000);
    expect(await refusal(createAttachmentPolicy(store, { resources }).attach())).toMatchObject({ code: 'no_refresh_token' });
  });

  it('E6 a token that is merely about to expire is sent where it cannot be renewed', async () => {
    const { server, platform, store } = await setUp(aToken({ accessToken: 'access-0' }));
    server.plan('token', json({ error: 'temporarily_unavailable' }, { status: 400 }));
    platform.advance(599_000);
    const policy = createAttachmentPolicy(store, { resources });
    expect((await policy.attach())?.authorization).toBe('Bearer access-0');
    expect((await policy.attach())?.authorization).toBe('Bearer access-0'); // too early to ask again
    expect(server.calls('token')).toHaveLength(1);
  });

  it('E26 a token of unknown lifetime is sent and never renewed by the clock', async () => {
    const { server, platform, store } = await setUp(aToken({ accessToken: 'access-0', expiresAt: null }));
    platform.advance(10 * 365 * 24 * 3_600_000);
    expect((await createAttachmentPolicy(store, { resources }).attach())?.authorization).toBe('Bearer access-0');
    expect(server.calls()).toEqual([]);
  });

  it('waits until storage was read, and says so once the store is closed', async () => {
    const server = fakeServer();
    const memory = memoryStorage();
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const storage = { ...memory, open: () => gate.then(() => memory.open()) };
    const store = createCredentialStore({
      clients: { issuer: server.issuer, clientId: 'spa' },
      storage,
      platform: unitPlatform({ fetch: server.fetch }),
    });
    const policy = createAttachmentPolicy(store, { resources });
    let answered = false;
    const attachment = policy.attach().finally(() => (answered = true));
    await settled();
    expect(answered).toBe(false);
    open();
    expect(await attachment).toBeNull();
    await store.close();
    expect(await refusal(policy.attach())).toMatchObject({ code: 'store_closed' });
  });
});

describe('after a 401', () => {
  it('6750-4 a burst of 50 is one refresh, and every request gets the new token', async () => {
    const { server, store } = await setUp();
    const policy = createAttachmentPolicy(store, { resources });
    const attachments = await Promise.all(Array.from({ length: 50 }, () => policy.attach()));
    server.plan('token', renewed(1));
    const next = await Promise.all(attachments.map((one) => one!.afterUnauthorized('Bearer error="invalid_token"')));
    expect(new Set(next.map((one) => one?.authorization))).toEqual(new Set(['Bearer access-1']));
    expect(server.calls('token')).toHaveLength(1);
  });

  it('6750-4 who was refused with an older token gets the current one, without a refresh', async () => {
    const { server, store, credential } = await setUp();
    const policy = createAttachmentPolicy(store, { resources });
    const late = await policy.attach();
    server.plan('token', renewed(1));
    await credential.refresh();
    expect((await late!.afterUnauthorized(null))?.authorization).toBe('Bearer access-1');
    expect(server.calls('token')).toHaveLength(1);
  });

  it('6750-4 the next try can be refused in its turn: that is a refresh of its own', async () => {
    const { server, store } = await setUp();
    server.plan('token', renewed(1), renewed(2));
    const first = await createAttachmentPolicy(store, { resources }).attach();
    const second = await first!.afterUnauthorized(null);
    expect((await second!.afterUnauthorized(null))?.authorization).toBe('Bearer access-2');
    expect(server.calls('token').map(({ form }) => form.get('refresh_token'))).toEqual([tokenFields().refreshToken, 'refresh-1']);
  });

  it.each([
    null,
    '',
    'Bearer',
    'Bearer realm="api"',
    'Bearer error="invalid_token"',
    'bearer ERROR=invalid_token, error_description="expired"',
    'Negotiate, Bearer error="invalid_token"',
  ])('6750-4 the challenge %j is about the token: it is renewed', async (challenge) => {
    const { server, store } = await setUp();
    server.plan('token', renewed(1));
    const attachment = await createAttachmentPolicy(store, { resources }).attach();
    expect((await attachment!.afterUnauthorized(challenge))?.authorization).toBe('Bearer access-1');
  });

  it.each([
    'Bearer error="insufficient_scope", scope="admin"',
    'Bearer error=insufficient_scope',
    'Bearer realm="x", error = "insufficient_user_authentication"',
    'DPoP error="use_dpop_nonce"',
    'Bearer error="invalid_request"',
  ])('6750-4 the challenge %j is not about the token: no refresh, no retry', async (challenge) => {
    const { server, store } = await setUp();
    const attachment = await createAttachmentPolicy(store, { resources }).attach();
    expect(await attachment!.afterUnauthorized(challenge)).toBeNull();
    expect(server.calls()).toEqual([]);
  });

  it('E6 E21 a refresh that fails means no retry, and nothing is thrown: the 401 is the answer', async () => {
    const { server, platform, store, credential } = await setUp();
    server.plan('token', 'offline', 'offline', 'offline');
    const attachment = await createAttachmentPolicy(store, { resources }).attach();
    expect(await inTime(platform, attachment!.afterUnauthorized(null))).toBeNull();
    expect(credential.token?.refreshToken).toBe(tokenFields().refreshToken);
  });

  it('a refresh that yields the very same access token means no retry', async () => {
    const { server, store } = await setUp();
    server.plan('token', { ...renewed(1), access_token: tokenFields().accessToken });
    const attachment = await createAttachmentPolicy(store, { resources }).attach();
    expect(await attachment!.afterUnauthorized(null)).toBeNull();
    expect(server.calls('token')).toHaveLength(1);
  });

  it('E12 a credential that was removed meanwhile is not attached again', async () => {
    const { server, store, credential } = await setUp();
    const attachment = await createAttachmentPolicy(store, { resources }).attach();
    await credential.remove();
    expect(await attachment!.afterUnauthorized(null)).toBeNull();
    expect(server.calls()).toEqual([]);
  });
});

describe('the policy', () => {
  it('E15 with no resources covers nothing', async () => {
    const { store } = await setUp();
    expect(createAttachmentPolicy(store, { resources: [] }).covers('https://api.example.com/v1/')).toBe(false);
    expect(createAttachmentPolicy(store, { resources }).covers('https://api.example.com/v1/')).toBe(true);
  });

  it('takes relative addresses from its base', async () => {
    const { store } = await setUp();
    const policy = createAttachmentPolicy(store, { resources: ['https://app.example.com/api'], baseUrl: () => 'https://app.example.com/' });
    expect([policy.covers('/api/x'), policy.covers('/x')]).toEqual([true, false]);
  });

  it('a wrong resource is a TypeError at once', async () => {
    const { store } = await setUp();
    expect(() => createAttachmentPolicy(store, { resources: ['api'] })).toThrow(TypeError);
  });

  it('E19 the token endpoint is not covered by itself', async () => {
    const { server, store } = await setUp();
    expect(createAttachmentPolicy(store, { resources }).covers(`${server.issuer}/token`)).toBe(false);
  });
});
