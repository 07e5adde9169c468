// A client of the application's own in the place of ours: it may hang, and fail with errors of any kind.
import type { OAuth2Client } from '../../src/oauth/client.js';
import { closeAll, createWorld, inTime, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function openWith(world: World, change: (client: OAuth2Client) => Partial<OAuth2Client>): Promise<Tab> {
  return world.openTab({
    clients: (platform) => {
      const client = world.authority.client(platform);
      return { ...client, ...change(client) };
    },
  });
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
const never = (): Promise<never> => new Promise(() => undefined);

describe('E9 E10 a client of its own that does not answer', () => {
  it.each<readonly [keyof OAuth2Client, string]>([
    ['metadata', 'transient'],
    ['sendRefresh', 'unknown_outcome'],
    ['processRefresh', 'transient'],
  ])('%s: who asks is told after a while, and the next who asks gets the token', async (method, errorClass) => {
    const world = createWorld();
    let hangs = true;
    const { store } = await openWith(world, (client) => ({
      [method]: (...all: readonly unknown[]): unknown =>
        hangs ? never() : (client[method] as (...all: readonly unknown[]) => unknown)(...all),
    }));
    world.authority.setPrepared(method !== 'metadata');
    const credential = await store.store(world.authority.signIn());
    const asked = errorOf(credential.refresh());
    await world.browser.advance(20 * MINUTE_MS);
    expect(await asked).toMatchObject({ code: 'timeout', class: errorClass });
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(world.browser.heldLocks.size).toBe(0);
    hangs = false;
    await inTime(world.browser, credential.refresh());
    expect([world.authority.reuses(), credential.state.refreshFailure]).toEqual([0, null]);
    await inTime(world.browser, store.close());
  });
});

describe('RF-7 a client of its own that fails with an error that is none of ours', () => {
  it('and the server may have used up the token: it is sent again', async () => {
    const world = createWorld();
    const { authority, browser } = world;
    authority.tolerateReuse();
    let fails = 1;
    const { store, events } = await openWith(world, (client) => ({
      sendRefresh: async (grant, target) => {
        const answer = await client.sendRefresh(grant, target);
        if (fails-- > 0) throw new TypeError('fetch failed CANARY');
        return answer;
      },
    }));
    const credential = await store.store(authority.signIn());
    await inTime(browser, credential.refresh());
    expect(authority.refreshes).toHaveLength(2);
    fails = 3;
    const error = await inTime(browser, errorOf(credential.refresh()));
    expect(error).toMatchObject({ code: 'network_error', class: 'unknown_outcome' });
    expect(JSON.stringify([error, events])).not.toContain('CANARY');
    await browser.advance(HOUR_MS);
    expect(await inTime(browser, credential.accessToken())).toContain('CANARY');
    expect(credential.status.token).toBe('valid');
  });
});

describe('RF-13 a client of its own that revokes, and does not answer', () => {
  it.each(['hangs', 'throws at once', 'gives nothing'])('%s: neither who renews nor who closes waits for ever', async (how) => {
    const world = createWorld();
    const { authority, browser } = world;
    const revoke = (): Promise<void> => {
      if (how === 'throws at once') throw new Error('no');
      return how === 'hangs' ? never() : (undefined as never);
    };
    const { store } = await openWith(world, () => ({ revoke }));
    const credential = await store.store(authority.signIn());
    authority.next({ sub: 'mallory' });
    const asked = errorOf(credential.refresh());
    await browser.advance(20 * MINUTE_MS);
    expect(await asked).toMatchObject({ code: 'token_substitution' });
    await inTime(browser, store.close());
    expect(browser.heldLocks.size).toBe(0);
  });
});

it('a client of its own that gives no answer at all is asked again later', async () => {
  const world = createWorld();
  let fails = true;
  const { store } = await openWith(world, (client) => ({
    sendRefresh: (grant, target) => (fails ? Promise.resolve(null as never) : client.sendRefresh(grant, target)),
  }));
  const credential = await store.store(world.authority.signIn());
  expect(await inTime(world.browser, errorOf(credential.refresh()))).toMatchObject({ code: 'network_error', class: 'unknown_outcome' });
  fails = false;
  await inTime(world.browser, credential.refresh());
  expect(world.authority.reuses()).toBe(0);
});
