// Sign-ins of one user for several resources, in programs that do not all store their access tokens: a token goes to the API it is for.
import fc from 'fast-check';
import { createToken, type Credential, type Token } from '../../src/index.js';
import type { OAuth2Client } from '../../src/oauth/client.js';
import { accessTokenIn } from '../../src/oauth/token-response.js';
import type { FakePlatform } from '../support/fake-platform.js';
import { runs } from '../support/counts.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const HOUR = 3_600_000;
const [ONE, OTHER] = ['https://a.example/', 'https://b.example/'];
type Persist = 'all' | 'refresh-only';

const open = (world: World, persist: Persist): Promise<Tab> => world.openTab({ options: { persist } });

function tokenFor(world: World, resource: string, refreshable = true): Token {
  const { id, accessToken, refreshToken, tokenType, scope, issuedAt, expiresAt, claims, context } = world.authority.signIn({
    refreshable,
    scope: 'openid api',
  });
  return createToken({ id, accessToken, refreshToken, tokenType, scope, issuedAt, expiresAt, claims, context: { ...context, resource } });
}

async function sameIn({ store }: Tab, { id }: Credential): Promise<Credential> {
  await settle();
  return (await store.with(id))!;
}

describe('RES-1 D-056 a sign-in in another program, for another resource', () => {
  it.each(['refresh-only', 'all'] as const)('takes the access token away: it goes to no other API (beside %s)', async (persist) => {
    const world = createWorld();
    const [a, b] = [await open(world, 'refresh-only'), await open(world, persist)];
    const theirs = await b.store.store(tokenFor(world, ONE));
    await settle();
    const before = await theirs.accessToken();
    await a.store.store(tokenFor(world, OTHER), { replace: theirs.id });
    await settle();
    const after = await theirs.accessToken({ resource: OTHER });
    expect([after === before, await theirs.accessToken(), world.authority.refreshes.length]).toEqual([false, after, 1]);
  });

  it.each([true, false])(
    'leaves it where nothing could bring another one, for what it is (refresh token before: %s)',
    async (refreshable) => {
      const world = createWorld();
      const [a, b] = [await open(world, 'refresh-only'), await open(world, 'all')];
      const token = tokenFor(world, ONE, refreshable);
      const mine = await a.store.store(token);
      const theirs = await sameIn(b, mine);
      const other = tokenFor(world, OTHER, false);
      await b.store.store(other, { replace: theirs });
      await settle();
      expect([await mine.accessToken({ resource: ONE }), mine.status.token]).toEqual([token.accessToken, 'valid']);
      expect(await codeOf(mine.accessToken({ resource: OTHER }))).toBe('no_refresh_token');
      expect(await theirs.accessToken({ resource: OTHER })).toBe(other.accessToken);
    },
  );

  it.each([true, false])('is written over by no earlier one, though both are kept (refresh token before: %s)', async (refreshable) => {
    const world = createWorld();
    const [a, b] = [await open(world, 'refresh-only'), await open(world, 'all')];
    const [token, other] = [tokenFor(world, ONE, refreshable), tokenFor(world, OTHER, false)];
    const theirs = await b.store.store(token);
    const mine = await sameIn(a, theirs);
    await a.store.store(other, { replace: mine });
    await settle();
    await theirs.setTags(['x']);
    await settle();
    expect(await mine.accessToken({ resource: OTHER })).toBe(other.accessToken);
    expect(await codeOf(mine.accessToken({ resource: ONE }))).toBe('no_refresh_token');
    expect(await theirs.accessToken({ resource: ONE })).toBe(token.accessToken);
  });

  it.each<Persist>(['all', 'refresh-only'])('is not given to who asks for the first, and has not heard of it (%s)', async (persist) => {
    const world = createWorld();
    const [a, b] = [await open(world, persist), await open(world, persist)];
    const theirs = await b.store.store(tokenFor(world, ONE));
    const mine = await sameIn(a, theirs);
    world.browser.setDelivery(0);
    await world.browser.advance(HOUR + 1);
    await a.store.store(tokenFor(world, OTHER), { replace: mine });
    expect(await codeOf(inTime(world.browser, theirs.accessToken({ resource: ONE })))).toBe('scope_not_granted');
    expect(await inTime(world.browser, theirs.accessToken())).toBe(await inTime(world.browser, theirs.accessToken({ resource: OTHER })));
  });

  it.each<Persist>(['all', 'refresh-only'])('nor to who asks for less scope of it (%s)', async (persist) => {
    const world = createWorld();
    const [a, b] = [await open(world, persist), await open(world, persist)];
    const theirs = await b.store.store(tokenFor(world, ONE));
    const mine = await sameIn(a, theirs);
    world.browser.setDelivery(0);
    await a.store.store(tokenFor(world, OTHER), { replace: mine });
    expect(await codeOf(inTime(world.browser, theirs.accessToken({ resource: ONE, scope: 'api' })))).toBe('scope_not_granted');
  });

  it('RES-1 E65 a server that answers with less scope is asked no second time', async () => {
    const world = createWorld();
    const { store } = await open(world, 'all');
    const one = await store.store(tokenFor(world, ONE));
    world.authority.next({ scope: 'openid' });
    await inTime(world.browser, one.accessToken({ resource: ONE, scope: 'api openid', forceRefresh: true }));
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it.each<Persist>(['all', 'refresh-only'])('nor to who asks while it comes (%s)', async (persist) => {
    const world = createWorld();
    const [a, b] = [await open(world, persist), await open(world, persist)];
    const theirs = await b.store.store(tokenFor(world, ONE));
    const mine = await sameIn(a, theirs);
    await world.browser.advance(HOUR + 1);
    world.authority.hold();
    const asked = codeOf(theirs.accessToken({ resource: ONE }));
    await settle();
    const signedIn = a.store.store(tokenFor(world, OTHER), { replace: mine });
    await settle();
    world.authority.release();
    await inTime(world.browser, signedIn);
    expect(await inTime(world.browser, asked)).toBe('scope_not_granted');
  });
});

describe('RES-1 in any order of sign-ins, questions and renewals', () => {
  const APIS = [ONE, OTHER, 'https://c.example/'];
  const step = fc.record({
    by: fc.nat(2),
    what: fc.constantFrom('signIn', 'ask', 'askFor', 'askForLess', 'refresh', 'setTags', 'sleep'),
    api: fc.nat(2),
    refreshable: fc.boolean(),
    thenMs: fc.constantFrom(1, 1, 2, 50, 3_000, 60_000, HOUR),
  });

  it('an access token is given to nobody who asks for another API', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<Persist>('all', 'refresh-only'), { minLength: 3, maxLength: 3 }),
        fc.constantFrom(1, 0, 2),
        fc.array(step, { minLength: 5, maxLength: 25 }),
        async (programs, timesTold, steps) => {
          const world = createWorld();
          const { authority, browser } = world;
          browser.setDelivery(timesTold);
          /** By access token: what it is good for. */
          const apiOf = new Map<string, string | undefined>();
          const clients = (platform: FakePlatform): OAuth2Client => {
            const client = authority.client(platform);
            return {
              ...client,
              sendRefresh: async (grant, target) => {
                const answer = await client.sendRefresh(grant, target);
                apiOf.set(accessTokenIn(answer.text) ?? '', target?.resource ?? grant.context.resource);
                return answer;
              },
            };
          };
          const tabs = await Promise.all(programs.map((persist) => world.openTab({ clients, options: { persist } })));
          const signIn = (resource: string, refreshable: boolean): Token => {
            const token = tokenFor(world, resource, refreshable);
            apiOf.set(token.accessToken, resource);
            return token;
          };
          const askFor = async (one: Credential, resource: string, scope?: string): Promise<void> => {
            const accessToken = await one.accessToken({ resource, ...(scope !== undefined && { scope }) });
            expect(apiOf.get(accessToken)).toBe(resource);
          };
          const running: Promise<unknown>[] = [];
          for (const { by, what, api, refreshable, thenMs } of steps) {
            const { store, platform } = tabs[by];
            const resource = APIS[api];
            const one = await store.getDefault();
            const act = async (): Promise<unknown> => {
              if (what === 'signIn') return store.store(signIn(resource, refreshable), one ? { replace: one } : {});
              if (what === 'sleep') return sleep(world, platform);
              if (!one) return undefined;
              if (what === 'askFor') return askFor(one, resource);
              if (what === 'askForLess') return askFor(one, resource, 'api');
              if (what === 'setTags') return one.setTags([resource]);
              return what === 'ask' ? one.accessToken() : one.refresh();
            };
            running.push(act().catch((error: unknown) => expect(error).toHaveProperty('code')));
            await browser.advance(thenMs);
          }
          await inTime(browser, Promise.all(running), HOUR);
          for (const { platform } of tabs) platform.emit('visible');
          await browser.advance(100);
          for (const { store } of tabs) {
            const one = await store.getDefault();
            for (const resource of one ? APIS : [])
              await inTime(
                browser,
                askFor(one!, resource).catch((error: unknown) => expect(error).toHaveProperty('code')),
                HOUR,
              );
          }
          expect(authority.reuses()).toBe(0);
          await closeAll();
        },
      ),
      { numRuns: runs(100, 3_000) },
    );
  }, 600_000);

  async function sleep({ browser }: World, platform: FakePlatform): Promise<void> {
    platform.emit('frozen');
    await settle();
    browser.sleep(10_000);
    platform.emit('resumed');
  }
});
