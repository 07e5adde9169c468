// Design §6: records of clients that are not configured are kept, never used; and whoever cannot use one is not signed in by it (D-018).
import { isSignedIn, type CredentialStore } from '../../src/index.js';
import { closeAll, codeOf, createWorld, inTime, settle, type TabOptions, type World } from '../support/fixture.js';

afterEach(closeAll);

/** A tab of an application that has another client, as after a deployment. */
const otherClient = ({ authority }: World): TabOptions => ({
  clients: (platform) => ({ ...authority.client(platform), clientId: 'spa-v2' }),
});
const shown = (store: CredentialStore): unknown =>
  store.snapshot().credentials.map((state) => [state.status.token, state.reason, state.isRenewable, isSignedIn(state)]);

describe('a credential whose client is not configured any more', () => {
  it.each([3_600, -1])('design §6 needs sign-in, and its store counts as empty (a token of %i s)', async (lifetimeS) => {
    const world = createWorld();
    const first = await world.openTab();
    const old = await first.store.store(world.authority.signIn({ lifetimeS }), { tags: ['work'] });
    await first.store.close();
    const { store, events } = await world.openTab(otherClient(world));
    expect(shown(store)).toEqual([['needs_sign_in', 'client_unknown', false, false]]);
    const kept = await store.getDefault();
    expect([kept?.id, kept?.token]).toEqual([old.id, null]); // it says who must sign in
    await expect(kept?.accessToken()).rejects.toMatchObject({ code: 'client_unknown', class: 'needs_user' });
    expect([await store.find({ tags: 'work' }), await store.allIDs()]).toEqual([[kept], [old.id]]);
    const next = await store.store(world.authority.signIn({ clientId: 'spa-v2' }));
    expect(await store.getDefault()).toBe(next);
    expect(next.id).not.toBe(old.id);
    expect(await codeOf(store.setDefault(old.id))).toBe('client_unknown');
    expect(world.authority.refreshes).toHaveLength(0);
    expect(events.filter(({ type }) => type === 'sign_in_required')).toEqual([]);
  });

  it('design §6 is the default and signed in once its client is back, whoever signed in and whatever was changed meanwhile', async () => {
    const world = createWorld();
    const first = await world.openTab();
    const token = world.authority.signIn({ lifetimeS: null });
    const { id } = await first.store.store(token);
    await first.store.close();
    const between = await world.openTab(otherClient(world));
    await (await between.store.with(id))?.setTags(['kept']);
    await between.store.store(world.authority.signIn({ clientId: 'spa-v2' }));
    await between.store.close();
    const { store } = await world.openTab();
    const back = await store.getDefault();
    expect([back?.id, back?.tags, back && isSignedIn(back.state), back?.state.reason]).toEqual([id, ['kept'], true, null]);
    expect(await back?.accessToken()).toBe(token.accessToken);
    expect((await back?.refresh())?.accessToken).not.toBe(token.accessToken);
  });

  it('design §6 keeps its access token where this application stores none, and is removed and cleared like any other', async () => {
    const world = createWorld();
    const first = await world.openTab();
    const { id } = await first.store.store(world.authority.signIn({ lifetimeS: null, refreshable: false }));
    await first.store.close();
    const other = await world.openTab({ ...otherClient(world), options: { persist: 'refresh-only' } });
    await (await other.store.with(id))?.setTags(['kept']);
    await settle();
    await other.store.close();
    const again = await world.openTab();
    expect(shown(again.store)).toEqual([['valid', null, false, true]]);
    const last = await world.openTab(otherClient(world));
    await (await last.store.with(id))?.remove();
    expect(await last.store.allIDs()).toEqual([]);
    expect(world.disk.record(id)).toMatchObject({ state: 'removed' });
  });
});

describe('two applications in one namespace', () => {
  it('design §6 have a default each, take no place of the other, and hear of its renewals without a storm of events', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab(otherClient(world))];
    const ofA = await a.store.store(world.authority.signIn());
    const ofB = await b.store.store(world.authority.signIn({ clientId: 'spa-v2' }));
    await settle();
    const defaults = async (): Promise<unknown> => [(await a.store.getDefault())?.id, (await b.store.getDefault())?.id];
    expect(await defaults()).toEqual([ofA.id, ofB.id]);
    const later = [await world.openTab(), await world.openTab(otherClient(world))];
    expect(later.map(({ store }) => store.snapshot().defaultId)).toEqual([ofA.id, ofB.id]);
    b.newEvents();
    for (let round = 0; round < 3; round++) await inTime(world.browser, ofA.refresh());
    await settle();
    expect(new Set(b.newEvents())).toEqual(new Set(['metadata_updated']));
    expect(isSignedIn((await b.store.with(ofA.id))?.state)).toBe(false);
    await ofA.remove();
    await settle();
    expect(await defaults()).toEqual([undefined, ofB.id]); // nothing is promoted
  });

  it('design §6 sweep no tombstone that keeps a place in the other', async () => {
    const world = createWorld();
    const a = await world.openTab();
    await a.store.store(world.authority.signIn({ sub: 'alice' }));
    const bob = await a.store.store(world.authority.signIn({ sub: 'bob' }));
    await a.store.setDefault(bob);
    await bob.remove();
    await a.store.close();
    const b = await world.openTab(otherClient(world));
    await b.store.store(world.authority.signIn({ clientId: 'spa-v2' }));
    await world.browser.advance(49 * 3_600_000);
    await settle();
    await b.store.close();
    const later = await world.openTab(otherClient(world)); // sweeps at its start
    expect(later.store.snapshot().defaultId).not.toBeNull();
    await settle();
    expect((await world.openTab()).store.snapshot().defaultId).toBeNull();
  });

  it('design §6 give away no token at hand for less scope', async () => {
    const world = createWorld();
    const a = await world.openTab();
    const { id } = await a.store.store(world.authority.signIn({ scope: 'a b' }));
    await inTime(world.browser, (await a.store.with(id))!.accessToken({ scope: 'a' }));
    const b = await world.openTab(otherClient(world));
    expect(await codeOf((await b.store.with(id))!.accessToken({ scope: 'a' }))).toBe('client_unknown');
  });
});
