import * as fc from 'fast-check';
import { firstValueFrom } from 'rxjs';
import { closeAll, codeOf, collect, createWorld, settle, type World } from '../support/fixture.js';
import { runs } from '../support/counts.js';

jest.setTimeout(runs(30_000, 600_000)); // a run is a store from its start to its end
afterEach(closeAll);

const JSON_ONLY = { withDate: false, withBigInt: false, withMap: false, withSet: false, withObjectString: true, maxDepth: 3 } as const;

/** Two credentials on the disk, the first of them the default, and no store open. */
async function twoCredentials({ openTab, authority }: World) {
  const { store } = await openTab();
  const [alice, bob] = [
    await store.store(authority.signIn({ sub: 'alice' }), { tags: ['a'] }),
    await store.store(authority.signIn({ sub: 'bob' })),
  ];
  await store.close();
  return [alice.id, bob.id] as const;
}

describe('E62 a record that cannot be read', () => {
  it.each([
    ['a string', 'garbage', 'not_an_object'],
    ['a list', [1, 2], 'not_an_object'],
    ['an empty object', {}, 'unknown_version'],
    ['of which the storage says so', { unreadable: 'not JSON' }, 'unreadable'],
    ['of a later version', { v: 2, id: 'bad' }, 'unknown_version'],
    ['under the key of another', { v: 1, id: 'other' }, 'foreign_id'],
    ['without counters', { v: 1, id: 'bad' }, 'bad_counters'],
  ])('(%s) is reported once and harms no other', async (_, value, reason) => {
    const world = createWorld();
    const [alice, bob] = await twoCredentials(world);
    world.disk.records.set('bad', value);
    const { store, events, platform } = world.startTab();
    await store.ready;
    platform.emit('visible');
    world.browser.forge('app:records', { id: 'bad', generation: 1, revision: 1 });
    await settle();
    expect(events.filter(({ type }) => type === 'record_quarantined')).toEqual([
      { type: 'record_quarantined', id: 'bad', reason, at: world.browser.now(), origin: 'here' },
    ]);
    expect(store.snapshot()).toMatchObject({ ids: [alice, bob], defaultId: alice });
    expect(await (await store.with(bob))?.refresh()).toBe((await store.with(bob))?.token);
    expect(await store.with('bad')).toBeNull();
    expect(world.disk.records.get('bad')).toEqual(value); // left for whoever can read it
  });

  it('is forgotten by clear()', async () => {
    const world = createWorld();
    await twoCredentials(world);
    world.disk.records.set('bad', 'garbage');
    const { store } = await world.openTab();
    await store.clear();
    expect([...world.disk.records.keys()]).toEqual(['@store']);
  });

  it('is reported again when it is damaged again after it was removed', async () => {
    const world = createWorld();
    const { store, events } = await world.openTab();
    await store.store(world.authority.signIn());
    const told = (): number => events.filter(({ type }) => type === 'record_quarantined').length;
    const counts: number[] = [];
    for (const value of [{ id: 'bad' }, { id: 'bad' }, undefined, { id: 'bad' }]) {
      if (value) world.disk.records.set('bad', value);
      else world.disk.records.delete('bad');
      await store.with('bad');
      counts.push(told());
    }
    expect(counts).toEqual([1, 1, 1, 2]);
  });

  it('of the store itself is reported, signs nobody out, and is replaced by clear()', async () => {
    const world = createWorld();
    const [alice, bob] = await twoCredentials(world);
    world.disk.records.set('@store', { v: 1, id: '@store', epoch: 'NaN' });
    const { store, events } = world.startTab();
    await store.ready;
    expect(events).toMatchObject([{ type: 'restored' }, { type: 'record_quarantined', id: '@store', reason: 'bad_store_record' }]);
    expect(await store.allIDs()).toEqual([alice, bob]);
    await store.setDefault(null);
    expect(world.disk.record('@store')).toMatchObject({ revision: expect.any(Number) as number, nullClaim: expect.any(Number) as number });
    expect((await world.openTab()).store.snapshot().defaultId).toBeNull();
    await store.clear();
    expect(await (await world.openTab()).store.allIDs()).toEqual([]);
  });

  it.each<[string, (record: object) => unknown, boolean]>([
    ['cut off', () => ({ unreadable: 'not JSON' }), true],
    ['of a later version', (record) => ({ ...record, v: 2 }), false],
    ['with a revision that is none', (record) => ({ ...record, revision: 'x' }), false],
    ['with a claim that is none', (record) => ({ ...record, nullClaim: -1 }), true],
  ])('of the store itself (%s) makes nobody the default after setDefault(null)', async (_, damage, isUnknown) => {
    const world = createWorld();
    const [alice, bob] = await twoCredentials(world);
    const first = await world.openTab();
    await first.store.setDefault(bob);
    await first.store.setDefault(null);
    await first.store.close();
    world.disk.records.set('@store', damage(world.disk.record('@store')));
    const { store } = await world.openTab();
    expect(store.snapshot()).toMatchObject({ ids: [alice, bob], defaultId: null });
    await (await store.with(alice))?.setTags(['x']);
    expect((await world.openTab()).store.snapshot().defaultId).toBeNull();
    const seen = collect(store.default$);
    const carol = await store.store(world.authority.signIn({ sub: 'carol' }));
    // Where nobody knows what was asked for, who signs in next takes the place (D-051).
    expect(seen.values).toEqual(isUnknown ? [null, carol] : [null]);
    expect((await world.openTab()).store.snapshot().defaultId).toBe(isUnknown ? carol.id : null);
    await store.setDefault(alice);
    expect((await world.openTab()).store.snapshot().defaultId).toBe(alice);
  });

  it.each([2 ** 48, 2 ** 48 - 1, 2 ** 48 - 2, 2 ** 47])(
    'with a claim of %d is the default no longer than until another one is set',
    async (claim) => {
      const world = createWorld();
      const [alice, bob] = await twoCredentials(world);
      world.disk.records.set(bob, { ...world.disk.record(bob), defaultClaim: claim });
      const [{ store }, other] = [await world.openTab(), await world.openTab()];
      expect(store.snapshot().defaultId).toBe(bob);
      for (const id of [alice, null, bob, alice]) {
        await store.setDefault(id);
        await settle();
        for (const tab of [{ store }, other, await world.openTab()]) expect(tab.store.snapshot().defaultId).toBe(id);
      }
      await (await store.with(bob))?.setTags(['x']);
      await (await store.with(alice))?.remove();
      const carol = await store.store(world.authority.signIn({ sub: 'carol' }));
      expect(store.snapshot().defaultId).toBeNull();
      await store.setDefault(carol);
      expect((await world.openTab()).store.snapshot().defaultId).toBe(carol.id);
    },
  );

  it.each(['nullClaim', 'topClaim'])('of the store whose %s is at the end of its range takes another default', async (name) => {
    const world = createWorld();
    const [alice] = await twoCredentials(world);
    world.disk.records.set('@store', { v: 1, id: '@store', revision: 1, epoch: 0, nullClaim: 0, topClaim: 0, [name]: 2 ** 48 });
    const { store } = await world.openTab();
    for (const id of [alice, null, alice]) {
      await store.setDefault(id);
      expect((await world.openTab()).store.snapshot().defaultId).toBe(id);
    }
  });

  it('takes no refresh token with it: nothing is sent whose answer could not be kept', async () => {
    const world = createWorld();
    const { store, events } = await world.openTab();
    const token = world.authority.signIn();
    const credential = await store.store(token);
    const good = world.disk.record(credential.id);
    world.disk.records.set(credential.id, { v: 2, id: credential.id, written: 'by a later version' });
    expect(await codeOf(credential.refresh())).toBe('storage_failed');
    expect(world.authority.refreshes).toHaveLength(0);
    expect(await credential.accessToken()).toBe(token.accessToken); // what is known stays in use
    expect(events.map(({ type }) => type)).toContain('record_quarantined');
    world.disk.records.set(credential.id, good);
    await credential.refresh();
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('does not shut out the others by a counter at the end of its range', async () => {
    const world = createWorld();
    const [alice, bob] = await twoCredentials(world);
    const far = Number.MAX_SAFE_INTEGER;
    world.disk.records.set(bob, { ...world.disk.record(bob), defaultClaim: far });
    const { store } = await world.openTab();
    await store.setDefault(alice);
    expect((await (await world.openTab()).store.with(alice))?.token?.accessToken).toContain('CANARY');
  });

  it('does not take the others with it by claiming to be of a later epoch', async () => {
    const world = createWorld();
    const [alice, bob] = await twoCredentials(world);
    world.disk.records.set(bob, { ...world.disk.record(bob), epoch: 7 });
    const { store } = await world.openTab();
    await settle();
    expect(await store.allIDs()).toContain(alice);
    expect(world.disk.records.has(alice)).toBe(true);
    await store.clear();
    expect(await store.allIDs()).toEqual([]);
    expect([...world.disk.records.keys()]).toEqual(['@store']);
  });
});

describe('whatever lies in the storage', () => {
  it('E62 starts, keeps the good credentials usable, and can be cleared', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ minLength: 1 }), fc.anything(JSON_ONLY), { maxKeys: 10, noNullPrototype: true }),
        async (garbage) => {
          const world = createWorld();
          const [alice, bob] = await twoCredentials(world);
          for (const [id, value] of Object.entries(garbage)) if (value !== undefined && value !== null) world.disk.records.set(id, value);
          const { store } = await world.openTab();
          expect(store.snapshot()).toMatchObject({ ids: [alice, bob], defaultId: alice });
          const credential = await store.with(alice);
          await credential?.setTags(['new']);
          expect(await credential?.refresh()).toBe(credential?.token);
          await store.store(world.authority.signIn({ sub: 'carol' }));
          await store.setDefault(bob);
          await store.clear();
          expect([...world.disk.records.keys()]).toEqual(['@store']);
          await closeAll();
        },
      ),
      { numRuns: runs(50, 2_000) },
    );
  });

  it('E62 takes a record with one member changed for good or for bad, and nothing breaks', async () => {
    const members = ['v', 'id', 'revision', 'generation', 'epoch', 'storedAt', 'changedAt', 'defaultClaim', 'state', 'reason', 'context', 'tags', 'claims', 'tokenType', 'scope', 'issuedAt', 'expiresAt', 'secrets', 'staged', 'intent']; // prettier-ignore
    const value = fc.oneof(
      fc.anything(JSON_ONLY),
      fc.constantFrom(0, -1, 1e308, Number.MAX_SAFE_INTEGER, '', 'active', 'removed', 'revoking', 'needs_sign_in', null, {}, []),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...members), value, async (member, changed) => {
        const world = createWorld();
        const [alice, bob] = await twoCredentials(world);
        world.disk.records.set(bob, JSON.parse(JSON.stringify({ ...world.disk.record(bob), [member]: changed })));
        const { store } = await world.openTab();
        const errors: unknown[] = [];
        for (const id of await store.allIDs()) {
          store.token$(id).subscribe({ error: (error: unknown) => errors.push(error) });
          await (await store.with(id))?.accessToken().catch((error: unknown) => expect(error).toHaveProperty('code'));
          await (await store.with(id))?.setTags(['new']).catch((error: unknown) => expect(error).toHaveProperty('code'));
        }
        expect(errors).toEqual([]);
        expect((await firstValueFrom(store.token$(alice)))?.accessToken).toContain('CANARY');
        expect(collect(store.state$).values).toHaveLength(1);
        expect((await (await world.openTab()).store.with(alice))?.token?.accessToken).toContain('CANARY');
        await store.clear();
        expect([...world.disk.records.keys()]).toEqual(['@store']);
        await closeAll();
      }),
      { numRuns: runs(200, 2_000) },
    );
  });
});
