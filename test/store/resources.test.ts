// Sign-ins of one user for several resources, in programs that do not all store their access tokens: a token goes to the API it is for.
import { createToken, type Credential, type Token } from '../../src/index.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const HOUR = 3_600_000;
const [ONE, OTHER] = ['https://a.example/', 'https://b.example/'];
type Persist = 'all' | 'refresh-only';

const open = (world: World, persist: Persist): Promise<Tab> => world.openTab({ options: { persist } });

function tokenFor(world: World, resource: string, refreshable = true): Token {
  const { id, accessToken, refreshToken, tokenType, scope, issuedAt, expiresAt, claims, context } = world.authority.signIn({ refreshable });
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
