// Members of a token response that belong to no standard, and that an application asked to keep: `extraParameters`, `token.extra`.
import { inspect } from 'node:util';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { createToken, type CredentialStore } from '../../src/index.js';
import { fakeServer, type FakeServer } from '../support/fake-server.js';
import { closeAll, createWorld, type World } from '../support/fixture.js';
import { tokenFields } from '../support/tokens.js';

afterEach(closeAll);

const SIGNED_IN = { patient: 'canary-patient-1', need_patient_banner: false, fhirContext: [{ reference: 'ImagingStudy/1' }] };
const RENEWED = { access_token: 'second', token_type: 'Bearer', expires_in: 600, refresh_token: 'next' };
const NAMES = ['patient', 'need_patient_banner', 'fhirContext', 'instance_url'];

function setUp() {
  const world = createWorld();
  const server = fakeServer();
  const openStore = async (
    extraParameters: readonly string[] | undefined = NAMES,
    { persist, ...options }: { readonly storage?: CredentialStorage; readonly persist?: 'refresh-only' } = {},
  ): Promise<CredentialStore> => {
    const clients = { issuer: server.issuer, clientId: server.clientId, extraParameters };
    const tab = await world.openTab({
      clients: (platform) => ({ ...clients, platform: { ...platform, fetch: server.fetch } }),
      ...options,
      options: { ...(persist && { persist }) },
    });
    return tab.store;
  };
  return { world, server, openStore };
}

const tokenOf = (server: FakeServer, extra: Readonly<Record<string, unknown>> = SIGNED_IN) =>
  createToken({
    ...tokenFields({ claims: null, extra }),
    context: { issuer: server.issuer, clientId: server.clientId, scope: 'openid' },
  });

describe('token.extra', () => {
  it.each<[string, (world: World) => CredentialStorage]>([
    ['plain', (world) => world.disk.storage()],
    ['sealed', (world) => sealed(world.disk.storage(), { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]) })],
  ])('HT-7 E37 is stored with the token and is there after a restart, %s', async (kind, storageOf) => {
    const { world, server, openStore } = setUp();
    const { id } = await (await openStore(NAMES, { storage: storageOf(world) })).store(tokenOf(server));
    expect(JSON.stringify(world.disk.record(id)).includes('canary-patient')).toBe(kind === 'plain');
    const token = (await (await openStore(NAMES, { storage: storageOf(world) })).with(id))!;
    await token.accessToken();
    expect(token.token?.extra).toEqual(SIGNED_IN);
    expect(Object.getPrototypeOf(token.token?.extra)).toBeNull();
    expect(token.token?.isEqual(tokenOf(server))).toBe(true);
    expect(token.token?.isEqual(tokenOf(server, { ...SIGNED_IN, patient: '2' }))).toBe(false);
  });

  it('design §4.3 a refresh changes what its answer has of it and keeps the rest; what was not asked for is dropped (6749-8)', async () => {
    const { server, openStore } = setUp();
    const credential = await (await openStore()).store(tokenOf(server));
    const elsewhere = (await (await openStore()).with(credential.id))!;
    server.plan('token', { ...RENEWED, patient: '2', instance_url: null, session_state: 'x', __proto__: { polluted: 1 } });
    const renewed = await credential.refresh();
    expect(renewed.extra).toEqual({ ...SIGNED_IN, patient: '2' });
    await elsewhere.accessToken();
    expect(elsewhere.token?.extra).toEqual({ ...SIGNED_IN, patient: '2' });
    server.plan('token', { ...RENEWED, access_token: 'third', instance_url: 'https://eu1.example.com' });
    expect((await elsewhere.refresh()).extra).toEqual({ ...SIGNED_IN, patient: '2', instance_url: 'https://eu1.example.com' });
  });

  it('6749-8 is empty where nothing is asked for; what a record holds of it stays', async () => {
    const { server, openStore } = setUp();
    const credential = await (await openStore([])).store(tokenOf(server));
    server.plan('token', { ...RENEWED, patient: '2' });
    expect((await credential.refresh()).extra).toEqual(SIGNED_IN);
    const other = createToken(tokenFields());
    expect([other.extra, Object.isFrozen(other.extra), Object.getPrototypeOf(other.extra)]).toEqual([{}, true, null]);
  });

  it("is stored with `persist: 'refresh-only'`, where the access token is not", async () => {
    const { world, server, openStore } = setUp();
    const { id } = await (await openStore(NAMES, { persist: 'refresh-only' })).store(tokenOf(server));
    expect(Object.keys(world.disk.record(id)['secrets'] as object).sort()).toEqual(['extra', 'idToken', 'refreshToken']);
    const next = (await (await openStore(NAMES, { persist: 'refresh-only' })).with(id))!;
    server.plan('token', RENEWED);
    expect((await next.refresh()).extra).toEqual(SIGNED_IN);
  });

  it('OBS-3 is shown by no printed form of a token, a credential or the store', async () => {
    const { server, openStore } = setUp();
    const store = await openStore();
    const credential = await store.store(tokenOf(server));
    const all = [credential.token, credential, store, credential.state, store.snapshot(), structuredClone({ ...credential.token })];
    for (const one of all) {
      expect(inspect(one, { showHidden: true, getters: true, depth: 9 })).not.toContain('canary');
      expect(JSON.stringify(one)).not.toContain('canary');
    }
    expect(credential.token?.toJSON()['extra']).toBe('[redacted]');
  });

  it('E62 one that is damaged in storage costs its credential nothing', async () => {
    const { world, server, openStore } = setUp();
    const { id } = await (await openStore()).store(tokenOf(server));
    const record = world.disk.record(id);
    world.disk.records.set(id, { ...record, secrets: { ...(record['secrets'] as object), extra: ['no', 'object'] } });
    const credential = (await (await openStore()).with(id))!;
    await credential.accessToken();
    expect([credential.token?.accessToken, credential.token?.extra]).toEqual([tokenFields().accessToken, {}]);
  });

  it.each<[string, unknown]>([
    ['a list', ['x']],
    ['a text', 'x'],
    ['null', null],
    ['an empty text', ''],
    ['zero', 0],
    ['a function in it', { x: [() => 1, 1n] }],
    ['what is too deep', JSON.parse(`${'{"a":'.repeat(25)}1${'}'.repeat(25)}`)],
  ])('createToken refuses %s', (_, extra) => {
    expect(() => createToken({ ...tokenFields(), extra: extra as Record<string, unknown> })).toThrow(TypeError);
  });

  it.each<[string, unknown]>([
    ['a token', ['patient', 'refresh_token']],
    ['a text', 'patient'],
    ['an empty name', ['']],
  ])('extraParameters that name %s are a TypeError', async (_, names) => {
    const { openStore } = setUp();
    await expect(openStore(names as string[])).rejects.toThrow(TypeError);
  });
});
