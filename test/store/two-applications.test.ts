// Two applications of one origin that share a namespace: what the one does costs the other no session, no default and no key (D-013, D-018).
import type { CredentialStorage } from '../../src/storage/storage.js';
import { sealed, staticKeys } from '../../src/storage/sealed';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type TabOptions, type World } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;
const LONG_S = 10_000_000;
/** A tab of the other application. */
const other = ({ authority }: World, options: TabOptions = {}): TabOptions => ({
  ...options,
  clients: (platform) => ({ ...authority.client(platform), clientId: 'other' }),
});
const ofOther = ({ authority }: World, sub = 'bob'): ReturnType<typeof authority.signIn> =>
  authority.signIn({ sub, clientId: 'other', lifetimeS: LONG_S });
const defaultOf = ({ store }: Tab): string | null => store.snapshot().defaultId;
const days = async ({ browser }: World, count: number): Promise<void> => {
  for (let hours = 0; hours < count * 24; hours++) await browser.advance(HOUR_MS);
  await settle();
};
const narrow = ({ disk }: World): CredentialStorage => {
  const storage = disk.storage();
  return { ...storage, open: async () => ({ ...(await storage.open()), capacity: 8_192 }) };
};

describe('D-013 a sign-out in one of two applications', () => {
  it.each([
    ['first', 'last'],
    ['last', 'first'],
  ])('leaves the default of the other, and takes nobody of it, days and sweeps later (it claimed %s)', async (order) => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab(other(world))];
    const signInB = (): Promise<{ id: string }> => b.store.store(ofOther(world));
    const early = order === 'last' ? await signInB() : undefined;
    const alice = await a.store.store(world.authority.signIn({ sub: 'alice', lifetimeS: LONG_S }));
    const bob = early ?? (await signInB());
    await settle();
    await inTime(world.browser, alice.signOut());
    await days(world, 2);
    for (const tab of [b, await world.openTab(other(world))]) expect(defaultOf(tab)).toBe(bob.id);
    for (let start = 0; start < 2; start++) {
      const next = await world.openTab(); // sweeps
      expect(defaultOf(next)).toBeNull();
      await settle();
      await next.store.close();
    }
    expect(defaultOf(await world.openTab(other(world)))).toBe(bob.id);
    // One that keeps the place is enough
    const carol = await a.store.store(world.authority.signIn({ sub: 'carol', lifetimeS: LONG_S }));
    expect(defaultOf(a)).toBe(carol.id);
    await days(world, 2);
    expect(world.disk.record(alice.id)).toBeUndefined();
    expect([defaultOf(a), defaultOf(b)]).toEqual([carol.id, bob.id]);
  });

  it.each(['first', 'last'])('RF-13 leaves the default of the other where room is short (it claimed %s)', async (order) => {
    const world = createWorld();
    const [a, b] = [await world.openTab({ storage: narrow(world) }), await world.openTab(other(world, { storage: narrow(world) }))];
    const early = order === 'last' ? await b.store.store(ofOther(world)) : undefined;
    const alice = await a.store.store(world.authority.signIn({ sub: 'alice', lifetimeS: LONG_S }));
    const bob = early ?? (await b.store.store(ofOther(world)));
    await settle();
    await inTime(world.browser, alice.signOut());
    await days(world, 1);
    const later = [await world.openTab(other(world, { storage: narrow(world) })), await world.openTab({ storage: narrow(world) })];
    expect([defaultOf(b), ...later.map(defaultOf)]).toEqual([bob.id, bob.id, null]);
    // Without the other one it has no place to keep
    await bob.remove();
    await settle();
    await b.store.clear();
    expect([...world.disk.records.keys()].filter((id) => !id.startsWith('@'))).toEqual([]);
  });

  it('RF-15 leaves the default of the other where a full disk takes no tombstone', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab(other(world))];
    const bob = await b.store.store(ofOther(world));
    const alice = await a.store.store(world.authority.signIn({ sub: 'alice', lifetimeS: LONG_S }));
    await settle();
    const storage = world.disk.storage();
    const full = await world.openTab({
      storage: {
        ...storage,
        write: (record, over) => (record.id === alice.id ? Promise.reject(new Error('full')) : storage.write(record, over)),
      },
    });
    await (await full.store.with(alice.id))!.remove();
    await settle();
    expect(world.disk.record(alice.id)).toBeUndefined();
    expect(defaultOf(await world.openTab(other(world)))).toBe(bob.id);
  });
});

describe('D-018 of another application', () => {
  it('design §4.5 a sign-out that was cut short is taken up by its own program, which can revoke', async () => {
    const world = createWorld();
    const b = await world.openTab(other(world));
    const { id } = await b.store.store(ofOther(world));
    await b.store.close();
    const record = world.disk.record(id);
    world.disk.records.set(id, { ...record, state: 'revoking', revision: Number(record['revision']) + 1 });
    await world.openTab();
    await world.browser.advance(60_000);
    expect(world.disk.record(id)).toMatchObject({ state: 'revoking' });
    await world.openTab(other(world));
    await world.browser.advance(60_000);
    expect([world.disk.record(id)?.['state'], world.authority.liveRefreshTokens()]).toEqual(['removed', []]);
  });

  it('design §6 a credential that nobody has told of is not made the default', async () => {
    const world = createWorld();
    const deaf: TabOptions = { platform: { openChannel: undefined as never } };
    const [a, b] = [await world.openTab(deaf), await world.openTab(other(world, deaf))];
    await a.store.store(world.authority.signIn({ sub: 'alice' }));
    const bob = await b.store.store(ofOther(world));
    const carol = await b.store.store(ofOther(world, 'carol'));
    expect(await codeOf(a.store.setDefault(carol.id))).toBe('client_unknown');
    expect(defaultOf(await world.openTab(other(world)))).toBe(bob.id);
  });

  it('design §6 a credential gives its place to nobody, and who signs in is stored beside it: the code is spent (RF-15)', async () => {
    const world = createWorld();
    const b = await world.openTab(other(world));
    const bob = await b.store.store(ofOther(world));
    await settle();
    const a = await world.openTab();
    const alice = await a.store.store(world.authority.signIn({ sub: 'alice' }), { replace: bob.id });
    await settle();
    expect([alice.id === bob.id, defaultOf(a), alice.status.token]).toEqual([false, alice.id, 'valid']);
    expect([bob.claims?.sub, bob.status.token]).toEqual(['bob', 'valid']);
    expect(world.authority.liveRefreshTokens()).toHaveLength(2);
  });

  it('design §6 a token is not given up by who cannot revoke it', async () => {
    const world = createWorld();
    const b = await world.openTab(other(world));
    const bob = await b.store.store(ofOther(world));
    await settle();
    const a = await world.openTab();
    expect(await codeOf((await a.store.with(bob.id))!.revoke('access'))).toBe('client_unknown');
    await settle();
    expect(bob.status.token).toBe('valid');
  });

  it.each(['all', 'refresh-only'] as const)(
    'BBA-4 a record that other keys have sealed is not opened, and not said to be lost (%s)',
    async (persist) => {
      const world = createWorld();
      let asked = 0;
      const keysOf = (fill: number): ReturnType<typeof staticKeys> => staticKeys([{ kid: `k${fill}`, key: new Uint8Array(32).fill(fill) }]);
      const over = (fill: number): CredentialStorage => {
        const storage = sealed(world.disk.storage(), { keys: keysOf(fill) });
        return { ...storage, unseal: (record) => ((asked += fill === 1 ? 1 : 0), storage.unseal(record)) };
      };
      const b = await world.openTab(other(world, { storage: over(2) }));
      const bob = await b.store.store(ofOther(world));
      await settle();
      const a = await world.openTab({ storage: over(1), options: { persist } });
      const kept = (await a.store.getDefault())!;
      const second = await b.store.store(ofOther(world, 'carol'));
      await b.store.setDefault(second); // A hears of another default that is not its own
      await settle();
      await world.browser.advance(60_000);
      kept.token$.subscribe().unsubscribe();
      const asks = [
        () => kept.accessToken(),
        () => kept.refresh(),
        () => kept.refreshIfNeeded(),
        () => kept.accessToken({ scope: 'openid' }),
        () => kept.userInfo(),
        () => kept.introspect('refresh_token'),
        () => kept.revoke('access'),
        () => kept.reportChallenge({ error: 'insufficient_scope', resource: 'https://api.example.com' }),
      ];
      for (const ask of asks) expect(await codeOf(ask())).toBe('client_unknown');
      expect([asked, a.events.filter(({ type }) => type === 'record_quarantined')]).toEqual([0, []]);
      expect([kept.id, kept.state.reason]).toEqual([bob.id, 'client_unknown']);
    },
  );
});
