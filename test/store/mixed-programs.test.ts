// Programs of one storage that are not alike: of another release, or with another `persist`.
import { createToken, isSignedIn, type Credential, type Token } from '../../src/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';
import { refusal } from '../support/fake-client.js';

afterEach(closeAll);

const HOUR = 3_600_000;
const ahead = { options: { renewal: { ahead: true } } } as const;

describe('RF-15 D-018 a sign-in where what is stored cannot be read', () => {
  type Damage = (record: Record<string, unknown>) => unknown;
  const raised = ({ revision }: Record<string, unknown>): object => ({ revision: (revision as number) + 1 });
  const later: Damage = (record) => ({ ...record, ...raised(record), v: 2 });
  /** What becomes of a record under a tab that goes on. */
  const damages: readonly (readonly [string, Damage])[] = [
    ['of a later release', later],
    ['damaged', (record) => ({ ...record, ...raised(record), tokenType: 7 })],
    ['garbage', () => 'garbage'],
  ];
  const damage = ({ disk }: World, id: string, how: Damage): void => void disk.records.set(id, how(disk.record(id)));
  const shown = (tab: Tab): unknown => tab.store.snapshot().credentials.map(({ id, status, tags }) => [id, status.token, tags]);

  it.each(damages)('is stored beside it, renewed, and there after a start, with its tags and its default (%s)', async (_, how) => {
    const world = createWorld();
    const tab = await world.openTab();
    const before = await tab.store.store(world.authority.signIn(), { tags: ['work'] });
    damage(world, before.id, how);
    const kept = world.disk.records.get(before.id);
    await world.browser.advance(HOUR + 1);
    const again = await tab.store.store(world.authority.signIn(), { replace: before });
    expect([again.id === before.id, await tab.store.getDefault()]).toEqual([false, again]);
    expect(shown(tab)).toEqual([[again.id, 'valid', ['work']]]); // as the next start has it
    expect(await codeOf(before.accessToken())).toBe('credential_removed');
    await inTime(world.browser, again.refresh());
    expect(tab.events.filter(({ type }) => type === 'not_durable')).toEqual([]);
    const next = await world.openTab();
    expect(shown(next)).toEqual([[again.id, 'valid', ['work']]]);
    expect((await next.store.getDefault())?.token?.isEqual(again.token as Token)).toBe(true);
    expect(world.disk.records.get(before.id)).toEqual(kept); // left for whoever can read it
  });

  it('takes its place without being told to, too, once the token has expired', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const before = await tab.store.store(world.authority.signIn());
    damage(world, before.id, later);
    await world.browser.advance(HOUR + 1);
    expect(await codeOf(before.accessToken())).toBe('storage_failed');
    const again = await tab.store.store(world.authority.signIn());
    expect([await tab.store.getDefault(), shown(tab)]).toEqual([again, [[again.id, 'valid', []]]]);
  });

  it('finds out when it writes, where nobody knows whose it is', async () => {
    const world = createWorld();
    const signIn = (): Token => world.authority.signIn({ sub: null });
    const tab = await world.openTab();
    const [first, before] = [await tab.store.store(signIn()), await tab.store.store(signIn())];
    damage(world, before.id, later);
    const again = await tab.store.store(signIn(), { replace: before.id });
    expect(tab.store.snapshot()).toMatchObject({ ids: [first.id, again.id], defaultId: first.id, durable: true });
    expect(world.disk.record(again.id)).toMatchObject({ state: 'active', secrets: { refreshToken: again.token?.refreshToken } });
  });

  it('another account leaves the default where it is, as long as its token lives', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const alice = await tab.store.store(world.authority.signIn());
    damage(world, alice.id, later);
    await tab.store.store(world.authority.signIn({ sub: 'bob' }));
    expect(await tab.store.getDefault()).toBe(alice);
    expect(await alice.accessToken()).toBe(alice.token?.accessToken);
  });

  it('what could be read again counts again', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const before = await tab.store.store(world.authority.signIn());
    const good = world.disk.record(before.id);
    damage(world, before.id, later);
    const again = await tab.store.store(world.authority.signIn(), { replace: before });
    world.disk.records.set(before.id, good);
    tab.platform.emit('resumed');
    await settle();
    expect([tab.store.snapshot().ids, (await tab.store.getDefault())?.id]).toEqual([[before.id, again.id], again.id]);
  });

  it('that takes the place of what can be read again by now is who is there, alone, here and after a start', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    await tab.store.store(world.authority.signIn({ sub: 'zoe' }));
    const alice = await tab.store.store(world.authority.signIn());
    const good = world.disk.record(alice.id);
    for (const found of ['garbage', good]) {
      world.disk.records.set(alice.id, found);
      tab.platform.emit('resumed');
      await settle();
    }
    await tab.store.store(world.authority.signIn({ sub: 'bob' }), { replace: alice });
    for (const { store } of [tab, await world.openTab()])
      expect(store.snapshot().credentials.map(({ claims }) => claims?.sub)).toEqual(['zoe', 'bob']);
  });

  it('where the token has expired the error says that the user can help, and reading goes on now and then', async () => {
    const world = createWorld();
    const tab = await world.openTab(ahead);
    const { authority } = world;
    const credential = await tab.store.store(authority.signIn());
    const good = world.disk.record(credential.id);
    damage(world, credential.id, later);
    await expect(credential.refresh()).rejects.toMatchObject({ code: 'storage_failed', class: 'configuration' });
    for (let minutes = 0; minutes < 62; minutes++) await world.browser.advance(60_000); // and what failed before it had is told no more
    await expect(credential.accessToken()).rejects.toMatchObject({ code: 'storage_failed', class: 'needs_user' });
    const calls = world.disk.calls.length;
    for (let minutes = 0; minutes < 30; minutes++) await world.browser.advance(60_000);
    const reads = world.disk.calls.slice(calls).filter(({ id }) => id === credential.id);
    expect(reads.length).toBeGreaterThan(2);
    expect(reads.length).toBeLessThan(60);
    expect([authority.refreshes.length, isSignedIn(credential.state)]).toEqual([0, true]); // it is no sign-out
    world.disk.records.set(credential.id, good);
    await inTime(world.browser, credential.accessToken());
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('E22 a refresh token that is bound to a key', () => {
  /** As a later release stores it, which sends proofs (RFC 9449 §5). */
  const bound = ({ authority }: World): Token => {
    const { id, accessToken, refreshToken, scope, issuedAt, expiresAt, claims, context } = authority.signIn();
    return createToken({
      ...{ id, accessToken, scope, issuedAt, expiresAt, claims },
      tokenType: 'DPoP',
      context: { ...context, dpopKeyId: 'key-1' },
      ...(refreshToken !== undefined && { refreshToken }),
    });
  };

  it.each(['asked', 'ahead'] as const)('is never sent without a proof: the session of other programs lives on (%s)', async (how) => {
    const world = createWorld();
    const tab = await world.openTab(ahead);
    const credential = await tab.store.store(bound(world));
    const record = world.disk.record(credential.id);
    world.authority.next(refusal('invalid_grant'));
    const calls = world.disk.calls.length;
    for (let minutes = 0; minutes < 90; minutes++) await world.browser.advance(60_000);
    if (how === 'asked') {
      await expect(credential.accessToken()).rejects.toMatchObject({ code: 'unsupported', class: 'needs_user' });
      await expect(credential.refresh()).rejects.toMatchObject({ code: 'unsupported' });
    } else expect(world.disk.calls.slice(calls).filter(({ id }) => id === credential.id)).toEqual([]); // nothing could be sent
    expect(world.authority.refreshes).toEqual([]);
    expect([credential.status, world.disk.record(credential.id)]).toEqual([{ token: 'expired', activity: 'idle' }, record]);
    world.authority.next();
  });

  it('gives its place to a sign-in that says so', async () => {
    const world = createWorld();
    const tab = await world.openTab();
    const credential = await tab.store.store(bound(world));
    await world.browser.advance(HOUR + 1);
    const token = world.authority.signIn();
    expect(await tab.store.store(token, { replace: credential })).toBe(credential);
    expect(credential.token?.context.dpopKeyId).toBeUndefined();
    await inTime(world.browser, credential.refresh());
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('gives its place, once its token has expired, to who signs in as the error says', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(bound(world));
    await world.browser.advance(HOUR + 1);
    await expect(credential.accessToken()).rejects.toMatchObject({ code: 'unsupported', class: 'needs_user' });
    const token = world.authority.signIn();
    const again = await store.store(token);
    expect([await store.getDefault(), store.snapshot().ids]).toEqual([again, [again.id]]);
    expect(await again.accessToken()).toBe(token.accessToken);
  });
});

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

  it('nor one that a third program revoked before the other renewed, by a tab that heard of neither', async () => {
    const world = createWorld();
    const [all, third, other] = [await world.openTab(), await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn());
    const first = await mine.accessToken();
    await settle();
    all.platform.emit('frozen');
    await (await withOf(third, mine)).revoke('access');
    await (await withOf(other, mine)).refresh();
    await third.store.close(); // it knows that the token was revoked
    all.platform.emit('resumed');
    await settle();
    expect(world.authority.revocations).toEqual([{ token: first, hint: 'access_token' }]);
    expect(await inTime(world.browser, mine.accessToken())).not.toBe(first);
  });

  it('one that was revoked here is not written over what the other has renewed since', async () => {
    const world = createWorld();
    const [all, other] = [await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn());
    await settle();
    await mine.revoke('access');
    await settle();
    const theirs = await withOf(other, mine);
    const renewed = await theirs.accessToken();
    await settle();
    await mine.setTags(['b']);
    await settle();
    expect([theirs.tags, theirs.status.token, await theirs.accessToken()]).toEqual([['b'], 'valid', renewed]);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('6749-11 who signs in there for other scope takes the access token away: none is shown with scope it was not granted', async () => {
    const world = createWorld();
    const [all, other] = [await world.openTab(), await world.openTab(refreshOnly)];
    const mine = await all.store.store(world.authority.signIn());
    const first = await mine.accessToken();
    await settle();
    await other.store.store(world.authority.signIn({ scope: 'openid mail' }), { replace: mine.id });
    await settle();
    expect([mine.metadata.scope, mine.token]).toEqual(['openid mail', null]);
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

  it.each(['at its start', 'by a renewal'] as const)('sealed, too, the other takes no access token away (%s)', async (how) => {
    const world = createWorld();
    const storage = (): CredentialStorage =>
      sealed(world.disk.storage(), { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(7) }]) });
    const all = await world.openTab({ storage: storage() });
    const mine = await all.store.store(world.authority.signIn());
    const statuses = collect(mine.status$);
    const first = await mine.accessToken();
    const before = world.disk.record(mine.id)['revision'];
    const other = await world.openTab({ ...refreshOnly, storage: storage() });
    await settle();
    if (how === 'by a renewal') await (await withOf(other, mine)).accessToken();
    await settle();
    expect(world.disk.record(mine.id)['revision']).not.toBe(before);
    expect([await mine.accessToken(), world.authority.refreshes.length]).toEqual([first, how === 'by a renewal' ? 1 : 0]);
    expect(new Set(statuses.values.map(({ token }) => token))).toEqual(new Set(['valid']));
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
