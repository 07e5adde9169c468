// Ending a credential while it is being refreshed, at each step of the refresh: what arrives late is revoked, never stored.
import { createToken, type Credential, type CredentialStore } from '../../src/index.js';
import { offline } from '../support/fake-client.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, settle, type World } from '../support/fixture.js';
import { tokenFields } from '../support/tokens.js';

afterEach(closeAll);

type Ending = (credential: Credential, store: CredentialStore) => Promise<unknown>;
/** Brings a refresh to a step; the function it returns lets it go on. */
type Step = (world: World, credential: Credential) => Promise<() => void>;

const ENDINGS: readonly (readonly [string, Ending])[] = [
  ['remove', (credential) => credential.remove()],
  ['clear', (_, store) => store.clear()],
  ['revoke', (credential) => credential.revoke()],
];

const isCommit = ({ method, record }: DiskCall): boolean =>
  method === 'write' && record?.['generation'] === 2 && record['state'] === 'active';
const isStaging = ({ method, record }: DiskCall): boolean => method === 'write' && record?.['staged'] !== undefined;
const atDisk =
  (matches: (call: DiskCall) => boolean, when: 'before' | 'after'): Step =>
  async ({ disk }) => {
    const gate = disk.hold(matches, when);
    await gate.reached;
    return () => gate.open();
  };
const STEPS: readonly (readonly [string, Step])[] = [
  ['it waits for the lock', atDisk(({ method }) => method === 'read', 'before')],
  [
    'the request is under way',
    async ({ authority }) => {
      authority.hold();
      await settle();
      expect(authority.refreshes).toHaveLength(1);
      return () => authority.refreshes[0]?.answer();
    },
  ],
  ['the answer is about to be written', atDisk(isCommit, 'before')],
  ['the answer was written, but nobody knows yet', atDisk(isCommit, 'after')],
];
const STAGED_STEPS: readonly (readonly [string, Step])[] = [
  ['the answer is about to be staged', atDisk(isStaging, 'before')],
  ['the answer was staged, but nobody knows yet', atDisk(isStaging, 'after')],
];

/** Nothing of a user is left: not in memory, not on the disk, not at the server. */
async function expectNothingLeft({ authority, disk, openTab }: World, store: CredentialStore): Promise<void> {
  await settle();
  expect(await store.allIDs()).toEqual([]);
  expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  expect((await openTab()).store.snapshot().ids).toEqual([]);
  expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  expect(authority.reuses()).toBe(0);
}

describe.each(ENDINGS)('E12 E60 7009-6 %s during a refresh', (name, end) => {
  it.each([...STEPS])('wins when %s', async (_, reach) => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    const stepping = reach(world, credential);
    const refreshing = credential.refresh().catch((error: unknown) => error);
    const goOn = await stepping;
    const ending = end(credential, store);
    await settle();
    goOn();
    await Promise.all([ending, refreshing]);
    await expectNothingLeft(world, store);
    const mustBeDead = name === 'revoke' ? world.authority.liveRefreshTokens() : []; // the others do not ask the server
    expect(mustBeDead).toEqual([]);
  });

  it.each([...STAGED_STEPS])('wins when %s', async (_, reach) => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    world.authority.setKeys(() => Promise.resolve());
    const stepping = reach(world, credential);
    const refreshing = credential.refresh().catch((error: unknown) => error);
    const goOn = await stepping;
    const ending = end(credential, store);
    await settle();
    goOn();
    await Promise.all([ending, refreshing]);
    await expectNothingLeft(world, store);
  });

  it('has the late answer revoked at the server and tells the caller that the credential is gone', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    world.authority.hold();
    const refreshing = codeOf(credential.refresh());
    await settle();
    await end(credential, store);
    const before = world.authority.revocations.length;
    world.authority.refreshes[0]?.answer();
    expect(await refreshing).toBe('credential_removed');
    await settle();
    expect(world.authority.revocations.slice(before).map(({ hint }) => hint)).toEqual(['refresh_token', 'access_token']);
    expect(world.authority.liveRefreshTokens()).toEqual([]);
    await expectNothingLeft(world, store);
  });

  it('has the late answer revoked when another tab did it and its message was lost', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const credential = await a.store.store(world.authority.signIn());
    await settle();
    const other = await b.store.with(credential.id);
    if (!other) throw new Error('the other tab has no credential');
    world.browser.setDelivery(0);
    world.authority.hold();
    const refreshing = codeOf(credential.refresh());
    await settle();
    await end(other, b.store);
    world.authority.refreshes[0]?.answer();
    expect(await refreshing).toBe('credential_removed');
    await settle();
    expect(world.authority.liveRefreshTokens()).toEqual([]);
    await expectNothingLeft(world, a.store);
  });

  it('has a late answer revoked that cannot be judged, because keys cannot be had', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    let failKeys = (): void => undefined;
    world.authority.setKeys(() => new Promise((_, reject) => (failKeys = () => reject(offline()))));
    const refreshing = credential.refresh().catch((error: unknown) => error);
    await settle();
    await end(credential, store);
    failKeys();
    await refreshing;
    await settle();
    expect(world.authority.liveRefreshTokens()).toEqual([]);
    await expectNothingLeft(world, store);
  });

  it('has a late answer revoked that is not valid', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    world.authority.hold();
    const refreshing = credential.refresh().catch((error: unknown) => error);
    await settle();
    await end(credential, store);
    world.authority.refreshes[0]?.answer({ access_token: 7 });
    await refreshing;
    await settle();
    expect(world.authority.liveRefreshTokens()).toEqual([]);
    await expectNothingLeft(world, store);
  });
});

const AFTER_A_START = /token_replaced|refresh_failed|refresh_ended|sign_in_required|interaction_required|token_removed|cleared/;

describe.each<readonly [string, Ending]>([
  ...ENDINGS,
  ['replace', (credential, store) => store.store(createToken({ ...tokenFields({ id: 'z' }), claims: null }), { replace: credential })],
  ['remove in another tab', (credential) => credential.remove()],
  ['clear in another tab', (_, store) => store.clear()],
])('design §3 of a refresh that meets %s', (name, end) => {
  it('nobody hears that it began after the end, or hears of no end, however few turns lie between', async () => {
    for (let turns = 0; turns < 60; turns++) {
      const world = createWorld();
      const [{ store, newEvents }, other] = [await world.openTab(), await world.openTab()];
      const credential = await store.store(world.authority.signIn({ id: 'one' }));
      await settle();
      newEvents();
      const elsewhere = name.endsWith('another tab');
      const theirs = elsewhere ? (await other.store.with('one'))! : credential;
      const refreshing = credential.refresh().catch(() => undefined);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await end(theirs, elsewhere ? other.store : store);
      const sent = world.authority.refreshes.length;
      await refreshing;
      await settle();
      const events = newEvents();
      const started = events.indexOf('refresh_started');
      const isEnd = /token_removed|cleared/;
      expect([turns, events.slice(0, Math.max(started, 0)).filter((type) => isEnd.test(type))]).toEqual([turns, []]);
      expect([turns, started === -1 || events.slice(started + 1).some((type) => AFTER_A_START.test(type))]).toEqual([turns, true]);
      if (!elsewhere) expect([turns, world.authority.refreshes.length]).toEqual([turns, sent]); // nothing is sent after the end
    }
  });
});

describe('a refresh', () => {
  it('RF-5 keeps tags that were changed meanwhile, here and in another tab', async () => {
    const { openTab, authority } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn(), { tags: ['old'] });
    await settle();
    authority.hold();
    const refreshing = credential.refresh();
    await settle();
    await credential.setTags(['new', 'here']);
    await settle();
    const other = await b.store.with(credential.id);
    await other?.setTags([...other.tags, 'there']);
    authority.refreshes[0]?.answer();
    const token = await refreshing;
    await settle();
    for (const handle of [credential, other])
      expect(handle).toMatchObject({ tags: ['new', 'here', 'there'], token: { accessToken: token.accessToken } });
  });

  it('RF-5 keeps a default that was set meanwhile', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn());
    const credential = await store.store(authority.signIn({ sub: 'bob' }));
    authority.hold();
    const refreshing = credential.refresh();
    await settle();
    await store.setDefault(credential);
    authority.refreshes[0]?.answer();
    await refreshing;
    expect(await store.getDefault()).toBe(credential);
    expect((await (await openTab()).store.getDefault())?.id).toBe(credential.id);
  });

  it('RF-5 whose token was replaced meanwhile adopts the stored one, and drops its own without revoking the grant', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.hold();
    const refreshing = credential.refresh();
    await settle();
    const replacement = authority.signIn();
    await store.store(replacement, { replace: credential });
    authority.refreshes[0]?.answer();
    expect((await refreshing).accessToken).toBe(replacement.accessToken);
    expect(credential.token?.isEqual(await refreshing)).toBe(true);
    expect(authority.revocations).toEqual([]);
  });

  it('whose place another user took meanwhile is told so, not given the other user’s token; its own is revoked', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.hold();
    const refreshing = codeOf(credential.refresh());
    await settle();
    const bob = authority.signIn({ sub: 'bob' });
    await store.store(bob, { replace: credential });
    authority.refreshes[0]?.answer();
    expect(await refreshing).toBe('credential_removed');
    expect(credential.token?.accessToken).toBe(bob.accessToken);
    expect(authority.liveRefreshTokens()).toEqual([bob.refreshToken]);
  });

  it('leaves a credential usable that was stored anew under the same id after a removal', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.hold();
    const refreshing = credential.refresh().catch((error: unknown) => error);
    await settle();
    await credential.remove();
    const again = authority.signIn({ id: credential.id });
    await store.store(again);
    authority.refreshes[0]?.answer();
    await refreshing;
    expect(await (await store.with(credential.id))?.accessToken()).toBe(again.accessToken);
  });
});

describe('clear', () => {
  it('forgets everything in all tabs with one write, and one emission', async () => {
    const { openTab, authority, disk } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    for (const sub of ['alice', 'bob', 'carol']) await a.store.store(authority.signIn({ sub }));
    await settle();
    const writes = disk.calls.filter(({ method }) => method === 'write').length;
    a.newEvents();
    b.newEvents();
    await a.store.clear();
    await settle();
    expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(writes + 1);
    expect([a.newEvents(), b.newEvents()]).toEqual(Array(2).fill(['cleared', 'default_changed']));
    expect([await a.store.allIDs(), await b.store.allIDs()]).toEqual([[], []]);
    expect([...disk.records.keys()]).toEqual(['@store']);
    expect(authority.revocations).toEqual([]);
  });

  it('7009-6 wins over a refresh of another tab that commits between its first write and its last, though the message was lost', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    authority.hold();
    const refreshing = codeOf(credential.refresh());
    await settle();
    const sweeping = disk.hold(({ method }) => method === 'readAll');
    const clearing = b.store.clear();
    await sweeping.reached;
    authority.refreshes[0]?.answer();
    expect(await refreshing).toBe('credential_removed');
    sweeping.open();
    await clearing;
    expect(await a.store.allIDs()).toEqual([]);
    expect(authority.liveRefreshTokens()).toEqual([]);
    expect(JSON.stringify([...disk.records])).not.toContain('CANARY');
  });

  it('is finished at the next start when the program ended after its first write', async () => {
    const { openTab, authority, disk } = createWorld();
    const crashed = await openTab();
    await crashed.store.store(authority.signIn());
    const gate = disk.hold(({ method }) => method === 'readAll');
    void crashed.store.clear().catch(() => undefined);
    await gate.reached;
    expect(disk.records.size).toBe(2);
    gate.open();
    const { store } = await openTab();
    expect(await store.allIDs()).toEqual([]);
    expect([...disk.records.keys()]).toEqual(['@store']);
  });

  it('RF-12 does not take a credential with it that another tab stores afterwards, though the message of the clear was lost', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    await a.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    await a.store.clear();
    const { id } = await b.store.store(authority.signIn({ sub: 'bob' })); // b knows nothing of the clear
    const { store } = await openTab();
    expect(store.snapshot()).toMatchObject({ ids: [id], defaultId: id });
    expect(b.store.snapshot()).toMatchObject({ ids: [id], defaultId: id });
  });

  it('lets the next credential be the default', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn());
    await store.setDefault(null);
    await store.clear();
    const credential = await store.store(authority.signIn());
    expect(await store.getDefault()).toBe(credential);
  });
});
