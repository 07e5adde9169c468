// What a refresh needs of the program is loaded before one is due, and nothing is sent where its answer could not be stored (D-061).
import { CredentialError, StorageError, type OAuth2Client } from '../../src/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { CLIENT_ID, offline } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const KEYS = staticKeys([{ kid: 'one', key: new Uint8Array(32).fill(1) }]);
const over = (world: World): CredentialStorage => sealed(world.disk.storage(), { keys: KEYS });
const notThere = (): void => {
  jest.doMock('jose/jwe/compact/encrypt', () => {
    throw new Error('Failed to fetch dynamically imported module');
  });
};
afterEach(() => jest.dontMock('jose/jwe/compact/encrypt'));

describe('what cannot be sealed', () => {
  it('E56 RF-3 is not asked for: without the code that seals no refresh token is spent, and a reload has the session', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    const { id } = await first.store.store(world.authority.signIn());
    await first.store.close();
    const stored = JSON.stringify(world.disk.record(id));
    notThere();
    const { store, newEvents } = await world.openTab({ storage: over(world) });
    const credential = (await store.getDefault())!;
    await world.browser.advance(5_000);
    expect(await credential.refresh().catch((error: unknown) => error)).toMatchObject({
      code: 'program_not_loaded',
      class: 'transient',
      message: expect.stringContaining('reload the page') as string,
    });
    expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
    expect(await codeOf(credential.refreshIfNeeded(3_595_000))).toBe('program_not_loaded'); // it rests, as after any failure that passes
    expect(credential.state.refreshFailure).toMatchObject({ code: 'program_not_loaded', attempts: 1 });
    expect([world.authority.refreshes.length, JSON.stringify(world.disk.record(id))]).toEqual([0, stored]);
    expect(store.snapshot().durable).toBe(true);
    await store.close();
    jest.dontMock('jose/jwe/compact/encrypt');
    const reloaded = (await (await world.openTab({ storage: over(world) })).store.getDefault())!;
    await reloaded.refresh();
    expect([world.authority.refreshes.length, world.authority.reuses()]).toEqual([1, 0]);
  });

  it('E11 is asked for where the code can be loaded after all', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    await first.store.store(world.authority.signIn());
    notThere();
    const { store } = await world.openTab({ storage: over(world), options: { renewal: { ahead: true } } });
    await world.browser.advance(3_600_000);
    const credential = (await store.getDefault())!;
    expect([world.authority.refreshes.length, credential.state.refreshFailure?.code]).toEqual([0, 'program_not_loaded']);
    jest.dontMock('jose/jwe/compact/encrypt');
    await world.browser.advance(600_000);
    expect([world.authority.refreshes.length, credential.status.token]).toEqual([1, 'valid']);
  });

  it('RF-15 is renewed in memory where nothing is stored that could be spent', async () => {
    const world = createWorld();
    notThere();
    const { store } = await world.openTab({ storage: over(world) });
    const credential = await store.store(world.authority.signIn());
    expect(store.snapshot()).toMatchObject({ durable: false, storageProblem: { code: 'program_not_loaded' } });
    await inTime(world.browser, credential.refresh());
    expect(credential.token?.refreshToken).toBe(world.authority.liveRefreshTokens()[0]);
    jest.dontMock('jose/jwe/compact/encrypt');
    await world.browser.advance(600_000);
    expect(store.snapshot().durable).toBe(true);
  });

  it('is no matter of who writes plain records', async () => {
    const world = createWorld();
    notThere();
    const storage = sealed(world.disk.storage(), { keys: KEYS, write: 'plain' });
    const { store } = await world.openTab({ storage });
    await (await store.store(world.authority.signIn())).refresh();
    expect(world.authority.refreshes).toHaveLength(1);
  });
});

describe('a storage of your own', () => {
  it.each<[string, () => Promise<void>, string]>([
    ['an error of its own', () => Promise.reject(new Error('CANARY')), 'storage_failed'],
    ['a StorageError', () => Promise.reject(new StorageError('key_lost', 'not now')), 'key_lost'],
    ['a throw', () => { throw new Error('CANARY'); }, 'storage_failed'], // prettier-ignore
  ])('E56 that is not prepared, and says so by %s, costs no refresh token', async (_, prepare, code) => {
    const world = createWorld();
    const { store } = await world.openTab({ storage: { ...world.disk.storage(), prepare } });
    const credential = await store.store(world.authority.signIn());
    const error: unknown = await credential.refresh().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, class: 'transient' });
    expect(String(error)).not.toContain('CANARY');
    expect([world.authority.refreshes.length, credential.status.token]).toEqual([0, 'valid']);
  });

  it('that never gets prepared is given up after half a minute', async () => {
    const world = createWorld();
    const prepare = (): Promise<void> => new Promise(() => undefined);
    const { store } = await world.openTab({ storage: { ...world.disk.storage(), prepare } });
    const credential = await store.store(world.authority.signIn());
    expect(await codeOf(inTime(world.browser, credential.refresh(), 120_000))).toBe('storage_failed');
    expect(world.authority.refreshes).toHaveLength(0);
  });
});

describe('the code of requests', () => {
  /** A world whose clients tell when they are asked to load. */
  const loading = () => {
    const world = createWorld();
    const loads: string[] = [];
    const load: OAuth2Client['load'] = () => (loads.push('load'), Promise.reject(new CredentialError('program_not_loaded', 'no')));
    const clients = (platform: OAuth2Client['platform']): OAuth2Client => ({ ...world.authority.client(platform), load });
    return { world, loads, clients };
  };

  it('is loaded once a start is over, and what follows it: then who was waiting has had the first token', async () => {
    const { world, loads, clients } = loading();
    await (await world.openTab()).store.store(world.authority.signIn());
    await (await world.openTab()).store.store(world.authority.signIn({ sub: 'bob' }));
    const { store } = world.startTab({ clients });
    await (await store.getDefault())?.accessToken();
    expect(loads).toEqual([]);
    await settle();
    await settle();
    expect(loads).toEqual(['load']); // once for all
  });

  it('D-061 what a renewal by a function needs is loaded, too, once for each function', async () => {
    const world = createWorld();
    const loads: unknown[] = [];
    const renewing = (name: string) =>
      Object.assign(() => Promise.reject(offline()), {
        load: ({ clientId }: OAuth2Client) => (loads.push([name, clientId]), Promise.reject(offline())),
      });
    const [first, second] = [renewing('first'), renewing('second')];
    const clients = (platform: OAuth2Client['platform']): OAuth2Client[] => [
      { ...world.authority.client(platform), renew: first },
      { ...world.authority.client(platform), clientId: 'other', renew: second },
    ];
    const { store } = await world.openTab({ clients });
    for (const clientId of [CLIENT_ID, 'other', 'other']) await store.store(world.authority.signIn({ clientId, refreshable: false }));
    await settle();
    expect(loads).toEqual([
      ['first', CLIENT_ID],
      ['second', 'other'],
    ]);
  });

  it('is not loaded for nobody, but for who signs in here or elsewhere', async () => {
    const { world, loads, clients } = loading();
    const [here, there] = [await world.openTab({ clients }), await world.openTab({ clients })];
    expect(loads).toEqual([]);
    await here.store.store(world.authority.signIn());
    await settle();
    await settle();
    expect(there.store.snapshot().ids).toHaveLength(1);
    expect(loads).toEqual(['load', 'load']);
  });

  it('is not loaded for records of a client that is not configured, nor for who must sign in anyway', async () => {
    const { world, loads, clients } = loading();
    const { store } = await world.openTab();
    await store.store(world.authority.signIn({ clientId: 'another' }));
    const ended = await store.store(world.authority.signIn());
    world.authority.forget(ended.token?.refreshToken);
    expect(await codeOf(ended.refresh())).toBe('needs_sign_in');
    const other = await world.openTab({ clients });
    await settle();
    expect([other.store.snapshot().ids.length, loads]).toEqual([2, []]);
  });
});
