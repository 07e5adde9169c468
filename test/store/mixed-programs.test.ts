// Programs of one storage that are not alike: with another `persist`.
import { isSignedIn, type Credential } from '../../src/index.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab } from '../support/fixture.js';

afterEach(closeAll);

const HOUR = 3_600_000;

describe("E45 beside a program with `persist: 'refresh-only'`", () => {
  const refreshOnly = { options: { persist: 'refresh-only' } } as const;
  const withOf = async (tab: Tab, { id }: Credential): Promise<Credential> => (await tab.store.with(id))!;

  it('the one that stores all keeps its living token, though nothing of it was to be persisted', async () => {
    const world = createWorld();
    const all = await world.openTab();
    const mine = await all.store.store(world.authority.signIn({ refreshable: false }), { tags: ['a'] });
    const accessToken = await mine.accessToken();
    const other = await world.openTab(refreshOnly);
    await settle();
    expect(world.disk.record(mine.id)).toMatchObject({ state: 'needs_sign_in', reason: 'expired', secrets: null });
    expect([await mine.accessToken(), mine.status.token, isSignedIn(mine.state)]).toEqual([accessToken, 'valid', true]);
    await mine.setTags(['b']);
    expect([await mine.accessToken(), mine.tags, world.disk.record(mine.id)['state']]).toEqual([accessToken, ['b'], 'active']);
    await settle();
    expect((await withOf(other, mine)).tags).toEqual(['b']);
    await world.browser.advance(HOUR + 1);
    expect([await codeOf(mine.accessToken()), isSignedIn(mine.state)]).toEqual(['no_refresh_token', false]);
  });

  it('the one that stores all keeps its access token, whoever renews: six calls are two requests', async () => {
    const world = createWorld();
    const [all, other] = [await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn());
    const first = await mine.accessToken();
    await settle();
    const theirs = await withOf(other, mine);
    for (let i = 0; i < 3; i++) {
      await theirs.accessToken();
      await settle();
      expect(await mine.accessToken()).toBe(first);
      await settle();
    }
    expect(world.authority.refreshes).toHaveLength(1);
    await theirs.refresh();
    await settle();
    expect([await mine.accessToken(), mine.status.token]).toEqual([first, 'valid']);
    expect((await mine.refresh()).accessToken).not.toBe(first); // with the refresh token that the other got
    expect([world.authority.refreshes.length, world.authority.reuses()]).toEqual([3, 0]);
    expect(world.disk.record(mine.id)).toMatchObject({ secrets: { accessToken: mine.token?.accessToken } });
  });

  it.each([
    ['another user', 'alice', 'bob'],
    ['whoever it is, where nobody knows', null, null],
  ] as const)('who signs in there in its place takes the access token away (%s)', async (_, sub, next) => {
    const world = createWorld();
    const [all, other] = [await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn({ sub }));
    const first = await mine.accessToken();
    await settle();
    await other.store.store(world.authority.signIn({ sub: next }), { replace: mine.id });
    await settle();
    expect([mine.token, mine.status.token]).toEqual([null, 'expired']);
    expect(await inTime(world.browser, mine.accessToken())).not.toBe(first);
  });

  it('an access token that was revoked there is not kept', async () => {
    const world = createWorld();
    const [all, other] = [await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn());
    const first = await mine.accessToken();
    await settle();
    const theirs = await withOf(other, mine);
    await theirs.accessToken();
    await settle();
    await theirs.revoke('access');
    await settle();
    expect(await inTime(world.browser, mine.accessToken())).not.toBe(first);
  });

  it.each(['revoke', 'remove'] as const)('7009-2 its access token is revoked with the session, and by no removal (%s)', async (how) => {
    const world = createWorld();
    const [all, other] = [await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn());
    await settle();
    const theirs = await withOf(other, mine);
    const held = [await theirs.accessToken()];
    await settle();
    held.push(await mine.accessToken());
    await settle();
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    world.authority.setRevocation(() => answered);
    const ending: Promise<unknown> = how === 'revoke' ? theirs.revoke() : theirs.remove();
    await settle();
    answer();
    await inTime(world.browser, ending);
    await settle();
    const revoked = world.authority.revocations.filter(({ hint }) => hint === 'access_token').map(({ token }) => token);
    expect(revoked.sort()).toEqual(how === 'revoke' ? held.sort() : []);
    expect(await all.store.allIDs()).toEqual([]);
  });

  it('7009-2 between two that store all each access token is revoked once', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const mine = await a.store.store(world.authority.signIn());
    await settle();
    await (await withOf(b, mine)).accessToken();
    world.authority.setRevocation(() => settle());
    await inTime(world.browser, mine.revoke());
    await settle();
    expect(world.authority.revocations).toHaveLength(2);
  });
});
