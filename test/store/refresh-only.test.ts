import { createCredentialStore, type CredentialStore } from '../../src/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, collect, createWorld, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const open: CredentialStore[] = [];
afterEach(() => Promise.all(open.splice(0).map((store) => store.close())));

/** @param isDeaf no channel tells it of others */
async function startStore(
  world: World,
  storage: CredentialStorage = world.disk.storage(),
  { isDeaf = false } = {},
): Promise<CredentialStore> {
  const { openChannel, ...tab } = world.browser.openTab();
  const platform = isDeaf ? tab : { ...tab, openChannel };
  const store = createCredentialStore({ clients: world.authority.client(platform), storage, platform, persist: 'refresh-only' });
  open.push(store);
  await store.ready;
  return store;
}
const stored = (world: World, id: string): unknown => world.disk.record(id)['secrets'];

describe("persist: 'refresh-only'", () => {
  it('stores the refresh token and never an access token', async () => {
    const world = createWorld();
    const store = await startStore(world);
    const token = world.authority.signIn();
    const credential = await store.store(token);
    expect(stored(world, token.id)).toEqual({ refreshToken: token.refreshToken, idToken: token.idToken });
    expect(await credential.accessToken()).toBe(token.accessToken);
    const renewed = await credential.refresh();
    await credential.setTags(['x']);
    expect(stored(world, token.id)).toEqual({ refreshToken: renewed.refreshToken, idToken: renewed.idToken });
    expect(JSON.stringify(world.disk.calls)).not.toContain(renewed.accessToken);
    expect(credential.token).toBe(await credential.refreshIfNeeded());
  });

  it('renews once at a start, for all who ask, and shows the token as expired until then', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await startStore(world)).store(token);
    const credential = (await (await startStore(world)).getDefault())!;
    expect([credential.status.token, credential.token]).toEqual(['expired', null]);
    const got = await Promise.all([credential.accessToken(), credential.accessToken(), credential.accessToken()]);
    expect(new Set(got)).toEqual(new Set([credential.token?.accessToken]));
    expect(world.authority.refreshes).toHaveLength(1);
    expect(credential.status.token).toBe('valid');
  });

  it('switched back to `all`, a token that is not there is no valid one', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    const before = await startStore(world);
    expect((await before.store(token)).status.token).toBe('valid');
    await before.close();
    const { store } = await world.openTab();
    const credential = (await store.getDefault())!;
    expect([credential.status.token, credential.token]).toEqual(['expired', null]);
    const renewed = await credential.accessToken();
    expect([credential.status.token, credential.token?.accessToken]).toEqual(['valid', renewed]);
  });

  it('two tabs each renew for their own once, and do not make each other renew again', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn());
    const first = await mine.accessToken();
    await settle();
    const theirs = (await b.with(mine.id))!;
    const second = await theirs.accessToken();
    await settle();
    expect(second).not.toBe(first);
    for (let i = 0; i < 5; i++) {
      expect([await mine.accessToken(), await theirs.accessToken()]).toEqual([first, second]);
      await settle();
    }
    expect(world.authority.refreshes).toHaveLength(1);
    expect(world.authority.reuses()).toBe(0);
    await mine.refresh(); // with the refresh token the other tab got
    expect(world.authority.reuses()).toBe(0);
    expect(mine.token?.refreshToken).toBe((stored(world, mine.id) as { refreshToken: string }).refreshToken);
  });

  it('a renewal elsewhere never flickers: the own access token stays', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn());
    await settle();
    const tokens = collect(mine.token$);
    const statuses = collect(mine.status$);
    await (await b.with(mine.id))?.accessToken();
    await settle();
    expect(tokens.values).not.toContain(null);
    expect(new Set(tokens.values.map((token) => token?.accessToken)).size).toBe(1);
    expect(new Set(statuses.values.map(({ token }) => token))).toEqual(new Set(['valid']));
  });

  it('a sign-out elsewhere ends it here, whatever is still in memory', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn());
    await settle();
    await (await b.with(mine.id))?.remove();
    await settle();
    expect(await a.allIDs()).toEqual([]);
    expect(mine.token).toBeNull();
  });

  it('7009-2 a tab whose credential is being revoked elsewhere revokes its own access tokens, each once', async () => {
    const world = createWorld();
    const [a, b, c] = [await startStore(world), await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn({ scope: 'openid a b' }));
    await settle();
    const theirs = (await b.with(mine.id))!;
    await c.with(mine.id); // has none of its own
    const held = [await mine.accessToken(), await theirs.accessToken(), await theirs.accessToken({ scope: 'a' })];
    await settle();
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    world.authority.setRevocation(() => answered);
    const ending = mine.signOut();
    await settle();
    await settle();
    await b.close(); // waits for none of it
    answer();
    await ending;
    const revoked = world.authority.revocations.filter(({ hint }) => hint === 'access_token').map(({ token }) => token);
    expect(revoked.sort()).toEqual(held.sort());
    expect(world.authority.revocations.filter(({ hint }) => hint === 'refresh_token')).toHaveLength(1);
  });

  it('7009-2 two tabs that sign out at the same time revoke the access tokens of both', async () => {
    const world = createWorld();
    const disk = world.disk.storage();
    let reading = Promise.resolve();
    const slow = { ...disk, read: (id: string) => reading.then(() => disk.read(id)) };
    const [a, b] = [await startStore(world, slow), await startStore(world)];
    const mine = await a.store(world.authority.signIn());
    await settle();
    const theirs = (await b.with(mine.id))!;
    const held = [await mine.accessToken(), await theirs.accessToken()];
    await settle();
    let goOn = (): void => undefined;
    reading = new Promise((resolve) => (goOn = resolve));
    const first = mine.signOut();
    await settle(); // it is marked, and read once more
    const second = theirs.signOut();
    await settle();
    goOn();
    await Promise.all([first, second]);
    await settle();
    const revoked = world.authority.revocations.filter(({ hint }) => hint === 'access_token').map(({ token }) => token);
    expect(revoked.sort()).toEqual(held.sort());
  });

  it.each(['remove', 'clear'] as const)('asks the server nothing where another tab says %s()', async (how) => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn());
    await settle();
    await (await b.with(mine.id))!.accessToken();
    await settle();
    await (how === 'clear' ? a.clear() : mine.remove());
    await settle();
    expect(await b.allIDs()).toEqual([]);
    expect(world.authority.revocations).toEqual([]);
  });

  it('an access token that was revoked elsewhere is not kept', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn());
    const before = await mine.accessToken();
    await settle();
    const theirs = (await b.with(mine.id))!;
    await theirs.accessToken();
    await settle();
    await theirs.revoke('access');
    await settle();
    expect(await mine.accessToken()).not.toBe(before);
  });

  it('without a refresh token nothing is left for the next start but who must sign in', async () => {
    const world = createWorld();
    const token = world.authority.signIn({ refreshable: false });
    const store = await startStore(world);
    const credential = await store.store(token);
    await credential.setTags(['x']);
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect(credential.status.token).toBe('valid');
    expect(stored(world, token.id)).toBeNull();
    const next = (await (await startStore(world)).getDefault())!;
    expect([next.status.token, next.state.reason, next.claims?.sub, next.tags]).toEqual(['needs_sign_in', 'expired', 'alice', ['x']]);
  });

  it('E45 without a refresh token, a sign-in in one tab leaves the access token of the others alone', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const signedIn = (): ReturnType<typeof world.authority.signIn> => world.authority.signIn({ refreshable: false });
    const [first, second] = [signedIn(), signedIn()];
    const mine = await a.store(first);
    await settle();
    const theirs = (await b.getDefault())!;
    expect([theirs.id, theirs.status.token]).toEqual([mine.id, 'needs_sign_in']);
    const statuses = collect(mine.status$);
    expect(await b.store(second)).toBe(theirs);
    await settle();
    for (let i = 0; i < 3; i++) {
      await (i % 2 ? mine : theirs).setTags([`tag-${i}`]);
      await settle();
      expect([await mine.accessToken(), await theirs.accessToken()]).toEqual([first.accessToken, second.accessToken]);
    }
    expect(new Set(statuses.values.map(({ token }) => token))).toEqual(new Set(['valid']));
    expect(JSON.stringify(world.disk.calls)).not.toContain(first.accessToken);
  });

  it('E45 without a refresh token, another user takes the place all the same, and a sign-out elsewhere counts', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const mine = await a.store(world.authority.signIn({ refreshable: false }));
    await settle();
    await b.store(world.authority.signIn({ refreshable: false, sub: 'bob' }), { replace: mine.id });
    await settle();
    expect([mine.claims?.sub, mine.status.token, mine.token]).toEqual(['bob', 'needs_sign_in', null]);
    await (await b.with(mine.id))!.remove();
    await settle();
    expect(await a.allIDs()).toEqual([]);
  });

  it('a sign-in elsewhere that leaves no refresh token leaves the own access token, and takes the refresh token of the session before', async () => {
    const world = createWorld();
    const [a, b] = [await startStore(world), await startStore(world)];
    const token = world.authority.signIn();
    const mine = await a.store(token);
    await settle();
    await b.store(world.authority.signIn({ refreshable: false }), { replace: mine.id });
    await settle();
    expect([await mine.accessToken(), mine.token?.refreshToken]).toEqual([token.accessToken, undefined]);
    expect(stored(world, mine.id)).toBeNull();
  });

  it('reads what was stored whole before, without using its access token', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab()).store.store(token);
    const credential = (await (await startStore(world)).getDefault())!;
    expect(await credential.accessToken()).not.toBe(token.accessToken);
    expect(JSON.stringify(stored(world, token.id))).not.toContain('access');
  });

  it('takes access tokens off the medium that were stored before it was asked for, and shows who must sign in', async () => {
    const world = createWorld();
    const { store: before } = await world.openTab();
    const [alice, bob] = [world.authority.signIn(), world.authority.signIn({ sub: 'bob', refreshable: false })];
    for (const token of [alice, bob]) await before.store(token);
    await before.close();
    const store = await startStore(world);
    await settle();
    expect(stored(world, alice.id)).toEqual({ refreshToken: alice.refreshToken, idToken: alice.idToken });
    expect(stored(world, bob.id)).toBeNull();
    const states = await Promise.all([alice, bob].map(async ({ id }) => (await store.with(id))?.state));
    expect(states.map((state) => [state?.status.token, state?.reason])).toEqual([
      ['expired', null],
      ['needs_sign_in', 'expired'],
    ]);
    const writes = world.disk.calls.length;
    await (await startStore(world)).close();
    expect(world.disk.calls.slice(writes).filter(({ method }) => method === 'write')).toEqual([]); // once for all
    expect(await (await store.with(alice.id))?.accessToken()).not.toBe(alice.accessToken);
  });

  it('takes sealed access tokens off the medium, too, and leaves alone what it cannot open', async () => {
    const world = createWorld();
    const over = (fill: number): CredentialStorage =>
      sealed(world.disk.storage(), { keys: staticKeys([{ kid: `k${fill}`, key: new Uint8Array(32).fill(fill) }]) });
    const tokens = [world.authority.signIn(), world.authority.signIn({ sub: 'bob', lifetimeS: null })];
    for (const [i, token] of tokens.entries()) {
      const { store } = await world.openTab({ storage: over(i + 1) });
      await store.store(token);
      await store.close();
    }
    const lost = stored(world, tokens[1].id);
    await (await startStore(world, over(1))).close(); // waits for what was begun
    const { unseal } = over(1);
    expect(await unseal!(world.disk.record(tokens[0].id) as never)).toMatchObject({ secrets: { refreshToken: tokens[0].refreshToken } });
    expect(JSON.stringify(await unseal!(world.disk.record(tokens[0].id) as never))).not.toContain(tokens[0].accessToken);
    expect(stored(world, tokens[1].id)).toEqual(lost);
  });

  it('goes together with sealing', async () => {
    const world = createWorld();
    const over = (): CredentialStorage =>
      sealed(world.disk.storage(), { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(7) }]) });
    const token = world.authority.signIn();
    await (await startStore(world, over())).store(token);
    expect(JSON.stringify([...world.disk.records.values()])).not.toContain('CANARY');
    const credential = (await (await startStore(world, over())).getDefault())!;
    expect(credential.status.token).toBe('expired');
    const renewed = await credential.accessToken();
    expect(renewed).not.toBe(token.accessToken);
    expect(world.authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual([token.refreshToken]);
  });

  it('refuses another word for it', () => {
    const world = createWorld();
    const platform = world.browser.openTab();
    expect(() => createCredentialStore({ clients: world.authority.client(platform), persist: 'none' as never })).toThrow(TypeError);
  });
});

describe('E45 programs that each have an access token of their own', () => {
  it.each([
    [3, true],
    [5, true],
    [5, false],
  ])('%i of them, deaf: %s, send a request each, not one whenever others have', async (count, isDeaf) => {
    const world = createWorld();
    const all = await Promise.all(Array.from({ length: count }, () => startStore(world, undefined, { isDeaf })));
    const [first] = all;
    const id = (await first.store(world.authority.signIn())).id;
    await settle();
    for (let second = 0; second < 60; second++) {
      for (const store of all) {
        await (await store.with(id))?.accessToken();
        await settle();
      }
      await world.browser.advance(1_000);
    }
    expect(world.authority.refreshes).toHaveLength(count - 1);
    expect(world.authority.reuses()).toBe(0);
  });

  it('E65 are alike in scope, whatever the order in which a server says its words', async () => {
    const world = createWorld();
    const [mine, theirs] = [await startStore(world), await startStore(world)];
    const { id } = await mine.store(world.authority.signIn({ scope: 'openid a' }));
    await settle();
    world.authority.next(...Array.from({ length: 10 }, (_, i) => ({ scope: i % 2 === 0 ? 'a openid' : 'openid a' })));
    for (let second = 0; second < 10; second++) {
      for (const store of [mine, theirs]) {
        await (await store.with(id))?.accessToken();
        await settle();
      }
      await world.browser.advance(1_000);
    }
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it.each(['a openid', 'openid a b'])(
    'keep it though the user signs in elsewhere for %s, where no refresh token gets another',
    async (scope) => {
      const world = createWorld();
      const [mine, theirs] = [await startStore(world), await startStore(world)];
      const credential = await mine.store(world.authority.signIn({ scope: 'openid a', refreshable: false }));
      const { accessToken } = credential.token!;
      await settle();
      await theirs.store(world.authority.signIn({ scope, refreshable: false }), { replace: credential.id });
      await settle();
      expect([credential.status.token, await credential.accessToken(), credential.token?.scope]).toEqual([
        'valid',
        accessToken,
        'openid a',
      ]);
    },
  );
});
