import { filter, firstValueFrom } from 'rxjs';
import { offline } from '../support/fake-client.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, codeOf, collect, createWorld, inTime, type World } from '../support/fixture.js';

afterEach(closeAll);

const keyOf = (fill: number, kid = `key-${fill}`) => ({ kid, key: new Uint8Array(32).fill(fill) });
const over = (world: World, fill = 1): CredentialStorage => sealed(world.disk.storage(), { keys: staticKeys([keyOf(fill)]) });

/** Everything on the disk, as text. */
const disk = (world: World): string => JSON.stringify([...world.disk.records.values()]);

describe('a store over sealed records', () => {
  it('BBA-4 shows no token on the disk, in any generation, and finds them again after a restart', async () => {
    const world = createWorld();
    const { store } = await world.openTab({ storage: over(world) });
    const credential = await store.store(world.authority.signIn(), { tags: ['a'] });
    expect(disk(world)).not.toContain('CANARY');
    const renewed = await credential.refresh();
    await credential.setTags(['b']);
    expect(disk(world)).not.toContain('CANARY');
    expect(disk(world)).toContain('sealed');
    const next = await (await world.openTab({ storage: over(world) })).store.with(credential.id);
    expect(await next?.accessToken()).toBe(renewed.accessToken);
    expect(next?.token?.isEqual(renewed)).toBe(true);
    expect(next?.tags).toEqual(['b']);
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('opens nothing to list, find and show credentials; the default is open once the store is ready', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    for (const sub of ['alice', 'bob', 'carol']) await first.store.store(world.authority.signIn({ sub }));
    const opened: string[] = [];
    const storage = over(world);
    const spied: CredentialStorage = { ...storage, unseal: (record) => (opened.push(record.id), storage.unseal!(record)) };
    const { store } = await world.openTab({ storage: spied });
    const [alice, bob] = await store.find(() => true);
    expect((await store.find({ sub: 'bob' }))[0]).toBe(bob);
    expect([bob?.claims?.sub, bob?.status.token, bob?.token]).toEqual(['bob', 'valid', null]);
    expect(opened).toEqual([alice?.id]);
    expect(alice?.token).not.toBeNull();
    await bob?.setTags(['x']); // tags are outside: nothing is opened for them
    expect(opened).toEqual([alice?.id]);
    const tokens = collect(bob.token$);
    await bob?.accessToken();
    expect(opened).toEqual([alice?.id, bob?.id]); // once
    expect(tokens.values).toEqual([bob?.token]);
  });

  it('E9 a key that never answers holds up a refresh for half a minute, and not once more', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    for (const sub of ['alice', 'bob']) await first.store.store(world.authority.signIn({ sub }));
    const storage = over(world);
    let hangs = false;
    const unseal: CredentialStorage['unseal'] = (record) => (hangs ? new Promise(() => undefined) : storage.unseal!(record));
    const { store } = await world.openTab({ storage: { ...storage, unseal } });
    hangs = true;
    const [bob] = await store.find({ sub: 'bob' });
    expect(await codeOf(inTime(world.browser, bob.refresh(), 45_000))).toBe('storage_failed');
    expect([world.authority.refreshes.length, world.browser.heldLocks.size]).toEqual([0, 0]);
  });

  it('E1 is opened once for a thousand readers', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    await first.store.store(world.authority.signIn());
    const bob = await first.store.store(world.authority.signIn({ sub: 'bob' }));
    let opened = 0;
    const storage = over(world);
    const { store } = await world.openTab({ storage: { ...storage, unseal: (record) => (opened++, storage.unseal!(record)) } });
    opened = 0;
    const handle = await store.with(bob.id);
    const tokens = await Promise.all(Array.from({ length: 1000 }, () => handle!.accessToken()));
    expect(new Set(tokens).size).toBe(1);
    expect(opened).toBe(1);
  });

  it('never shows a moment without a token when another tab renews it', async () => {
    const world = createWorld();
    const a = await world.openTab({ storage: over(world) });
    const credential = await a.store.store(world.authority.signIn());
    const b = await world.openTab({ storage: over(world) });
    const theirs = await b.store.getDefault();
    const streamed = collect(theirs!.token$);
    const peeked: unknown[] = [];
    b.store.state$.subscribe(() => peeked.push(theirs?.token));
    const heard = firstValueFrom(b.store.events$.pipe(filter(({ type }) => type === 'token_replaced')));
    const renewed = await credential.refresh();
    await heard;
    expect(await theirs?.accessToken()).toBe(renewed.accessToken);
    expect(streamed.values).not.toContain(null);
    expect(peeked).not.toContain(null);
    expect(streamed.values.at(-1)?.isEqual(renewed)).toBe(true);
  });

  it('E62 a lost key is said once; the record stays as it is, the user must sign in, and takes the same place', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    const token = world.authority.signIn();
    await first.store.store(token, { tags: ['mine'] });
    await first.store.store(world.authority.signIn({ sub: 'bob' }));
    const before = world.disk.record(token.id);
    const { store, events } = world.startTab({ storage: over(world, 2) });
    await store.ready;
    const alice = (await store.getDefault())!;
    expect([alice.id, alice.status.token, alice.state.reason, alice.token]).toEqual([token.id, 'needs_sign_in', 'unreadable', null]);
    expect(await codeOf(alice.accessToken())).toBe('needs_sign_in');
    expect(await codeOf(alice.refresh())).toBe('needs_sign_in');
    const told = events.filter(({ type }) => type === 'record_quarantined');
    expect(told).toMatchObject([{ id: token.id, reason: 'key_lost' }]);
    expect(world.disk.record(token.id)).toEqual(before);
    const again = world.authority.signIn();
    expect(await store.store(again)).toBe(alice);
    expect([alice.status.token, alice.tags, alice.token?.accessToken]).toEqual(['valid', ['mine'], again.accessToken]);
    expect((await store.getDefault())?.id).toBe(token.id);
  });

  it('nothing is lost: tags may change while the key is away, and the session is back with the key', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    const token = world.authority.signIn();
    await first.store.store(token);
    const without = await world.openTab({ storage: over(world, 2) });
    await (await without.store.getDefault())?.setTags(['changed']);
    await without.store.setDefault(null);
    expect((await without.store.with(token.id))?.status.token).toBe('needs_sign_in');
    const back = await (await world.openTab({ storage: over(world) })).store.with(token.id);
    expect([back?.status.token, back?.tags]).toEqual(['valid', ['changed']]);
    expect(await back?.accessToken()).toBe(token.accessToken);
  });

  it('without sealed(…) sealed records are kept and said to be unreadable, and are back with it', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab({ storage: over(world) })).store.store(token);
    const plain = await world.openTab();
    expect((await plain.store.getDefault())?.state.reason).toBe('unreadable');
    const back = await (await world.openTab({ storage: over(world) })).store.getDefault();
    expect(await back?.accessToken()).toBe(token.accessToken);
  });

  it('plain records are read, and sealed with the next write', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab()).store.store(token);
    expect(disk(world)).toContain('CANARY');
    const credential = await (await world.openTab({ storage: over(world) })).store.getDefault();
    expect(await credential?.accessToken()).toBe(token.accessToken);
    await credential?.refresh();
    expect(disk(world)).not.toContain('CANARY');
  });

  it('an edited record is refused: claims of another user open no token', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab({ storage: over(world) })).store.store(token);
    const record = world.disk.record(token.id);
    world.disk.records.set(token.id, { ...record, claims: { ...(record['claims'] as object), sub: 'mallory' } });
    const { store, events } = world.startTab({ storage: over(world) });
    await store.ready;
    const credential = (await store.getDefault())!;
    expect(credential.token).toBeNull();
    expect(events.filter(({ type }) => type === 'record_quarantined')).toMatchObject([{ reason: 'seal_broken' }]);
    // What it says of the user is no more than what somebody has written there.
    expect([credential.claims, credential.state.claims, await store.find({ sub: 'mallory' })]).toEqual([null, null, []]);
    await credential.setTags(['x']);
    expect([credential.claims, world.disk.record(token.id)['claims']]).toEqual([null, { ...(record['claims'] as object), sub: 'mallory' }]);
  });

  it('keys that cannot be read now cost nothing: the next reader gets the token', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab({ storage: over(world) })).store.store(token);
    const storage = over(world);
    let fails = true;
    const flaky: CredentialStorage = {
      ...storage,
      unseal: (record) => (fails ? Promise.reject(new Error('CANARY')) : storage.unseal!(record)),
    };
    const { store } = await world.openTab({ storage: flaky });
    const credential = (await store.getDefault())!;
    expect(await codeOf(credential.accessToken())).toBe('storage_failed');
    expect(credential.status.token).toBe('valid');
    fails = false;
    expect(await credential.accessToken()).toBe(token.accessToken);
  });

  it('RF-15 keys that cannot be kept: nothing lies in the clear, the session lives in memory, and it is said', async () => {
    const world = createWorld();
    const broken = { current: () => Promise.reject(new Error('no')), get: () => Promise.resolve(undefined) };
    const { store, events } = world.startTab({ storage: sealed(world.disk.storage(), { keys: broken }) });
    await store.ready;
    const token = world.authority.signIn();
    const credential = await store.store(token);
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect([store.snapshot().durable, events.map(({ type }) => type)]).toEqual([false, expect.arrayContaining(['not_durable'])]);
    expect([...world.disk.records.keys()]).not.toContain(token.id);
    expect(disk(world)).not.toContain('CANARY');
  });

  it('the default is open whoever became it, and a lost key is told the same way each time', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    const alice = await first.store.store(world.authority.signIn());
    const bob = await first.store.store(world.authority.signIn({ sub: 'bob' }));
    const { store } = await world.openTab({ storage: over(world) });
    await store.setDefault(bob.id);
    const handle = (await store.getDefault())!;
    await firstValueFrom(handle.token$);
    expect(handle.token?.idToken).toBe(bob.token?.idToken);
    const lost = await world.openTab({ storage: over(world, 2) });
    const hers = (await lost.store.with(alice.id))!;
    for (let i = 0; i < 3; i++) {
      const message = expect.stringContaining('(key_lost): bring the key back') as string;
      expect(await hers.accessToken().catch((error: unknown) => error)).toMatchObject({ code: 'needs_sign_in', message });
    }
  });

  it('wrong keys, and a wrong storage, are said at once', () => {
    const storage = createWorld().disk.storage();
    expect(() => sealed(storage, { keys: [keyOf(1)] as never })).toThrow(/staticKeys/);
    expect(() => sealed(undefined as never)).toThrow(/takes a storage first/);
  });

  it('without Web Crypto it does not open: crypto_unavailable', async () => {
    const platform = { ...createWorld().browser.openTab(), crypto: {} as Crypto };
    expect(await codeOf(sealed(createWorld().disk.storage(), { keys: staticKeys([keyOf(1)]), platform }).open())).toBe(
      'crypto_unavailable',
    );
  });

  it('revokes what is sealed, at the server and here', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab({ storage: over(world) })).store.store(token);
    const { store } = await world.openTab({ storage: over(world) });
    const result = await (await store.getDefault())?.revoke();
    expect(result).toMatchObject({ local: 'removed', refreshToken: { status: 'revoked' } });
    expect(world.authority.liveRefreshTokens()).toEqual([]);
  });

  it('removes what cannot be opened: local removal needs no key', async () => {
    const world = createWorld();
    const token = world.authority.signIn();
    await (await world.openTab({ storage: over(world) })).store.store(token);
    const { store } = await world.openTab({ storage: over(world, 2) });
    expect(await (await store.getDefault())?.revoke()).toMatchObject({
      local: 'removed',
      refreshToken: { status: 'failed', code: 'key_lost' },
    });
    expect(await store.allIDs()).toEqual([]);
    expect(await (await world.openTab({ storage: over(world) })).store.allIDs()).toEqual([]);
  });

  it.each([undefined, { minValidityMs: 1_000 }, { scope: 'a' }, { refused: 'x' }])(
    'closes though a key asks a person who never answers: accessToken(%j)',
    async (options) => {
      const world = createWorld();
      const first = await world.openTab({ storage: over(world) });
      const { id } = await first.store.store(world.authority.signIn({ scope: 'openid a' }));
      await first.store.setDefault(null);
      let asked = 0;
      const unseal = (): Promise<never> => (asked++, new Promise(() => undefined));
      const { store } = await world.openTab({ storage: { ...over(world), unseal } });
      void (await store.with(id))?.accessToken(options).catch(() => undefined);
      await world.browser.advance(1_000);
      expect(asked).toBe(1);
      await inTime(world.browser, store.close());
    },
  );

  it('has the token for less scope from a key whose person takes a minute', async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    const { id } = await first.store.store(world.authority.signIn({ scope: 'openid a' }));
    await first.store.setDefault(null);
    const storage = over(world);
    let allow = (): void => undefined;
    const allowed = new Promise<void>((resolve) => (allow = resolve));
    const { store } = await world.openTab({
      storage: { ...storage, unseal: async (record) => (await allowed, storage.unseal!(record)) },
    });
    const asking = (await store.with(id))!.accessToken({ scope: 'a' });
    await world.browser.advance(60_000);
    allow();
    expect(await asking).toBe(world.authority.secrets.at(-1));
    expect(world.authority.refreshes).toHaveLength(1);
  });

  it('RF-4 E56 a staged answer is sealed, too, and survives a restart', async () => {
    const world = createWorld();
    const { store } = await world.openTab({ storage: over(world) });
    const credential = await store.store(world.authority.signIn());
    world.authority.setKeys(() => Promise.reject(offline()));
    expect(await codeOf(credential.refresh())).toBe('network_error');
    expect(disk(world)).not.toContain('CANARY');
    expect(world.disk.record(credential.id)['staged']).toEqual({ sealed: expect.any(String) as string });
    world.authority.setKeys(() => Promise.resolve());
    const next = await (await world.openTab({ storage: over(world) })).store.getDefault();
    await next?.refresh();
    expect(world.authority.refreshes).toHaveLength(1);
    expect(world.authority.reuses()).toBe(0);
    expect(world.authority.liveRefreshTokens()).toEqual([next?.token?.refreshToken]);
  });

  it('needs to be sealed: a medium that must not hold tokens in the clear is refused as it is', () => {
    const world = createWorld();
    const bare: CredentialStorage = { ...world.disk.storage(), needsSealing: true };
    expect(() => world.startTab({ storage: bare })).toThrow(TypeError);
    expect(() => world.startTab({ storage: sealed(bare, { keys: staticKeys([keyOf(1)]) }) })).not.toThrow();
  });

  it.each(['sealed', 'plain'] as const)(
    'D-018 a credential that cannot be opened keeps its place: tags, default, removal (%s)',
    async (write) => {
      const world = createWorld();
      const { store } = await world.openTab({ storage: over(world) });
      await store.store(world.authority.signIn());
      const { id } = await store.store(world.authority.signIn({ sub: 'bob' }));
      const record = world.disk.records.get(id) as { secrets: { sealed: string } };
      world.disk.records.set(id, { ...record, secrets: { sealed: `${record.secrets.sealed.slice(0, -4)}AAAA` } });
      const storage = sealed(world.disk.storage(), { keys: staticKeys([keyOf(1)]), write });
      const next = (await world.openTab({ storage })).store;
      const credential = (await next.with(id))!;
      expect(await codeOf(credential.accessToken())).toBe('needs_sign_in');
      await credential.setTags(['x']);
      await next.setDefault(credential);
      expect([credential.tags, (await next.getDefault())?.id, next.snapshot().durable]).toEqual([['x'], id, true]);
      await credential.remove();
      expect(await next.with(id)).toBeNull();
    },
  );
});
