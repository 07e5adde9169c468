// What a record or a storage says that no store of ours would ever write: others are unharmed, also after the next start.
import type { Platform } from '../../src/platform/platform.js';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage.js';
import type { Token } from '../../src/credential/token.js';
import type { Credential } from '../../src/store/credential.js';
import type { CredentialStore } from '../../src/store/store.js';
import { closeAll, codeOf, createWorld, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const MAX = 2 ** 48;
const STORE = { v: 1, id: '@store', revision: 1, epoch: 0, nullClaim: 0, topClaim: 0 };

/** A storage of this process that says nothing of its changes: a map, and a lock for all who share it. */
function shelf(records = new Map<string, unknown>()): CredentialStorage & { readonly records: Map<string, unknown> } {
  let last: Promise<unknown> = Promise.resolve();
  const holds = (id: string, condition: number | 'absent' | 'any'): boolean => {
    const found = records.get(id) as StoredRecord | undefined;
    return condition === 'any' || (condition === 'absent' ? found === undefined : found?.revision === condition);
  };
  return {
    records,
    namespace: 'shelf',
    open: () => Promise.resolve({ coherent: true, durability: 'relaxed', reach: 'process' }),
    read: (id) => Promise.resolve(records.get(id)),
    readAll: () => Promise.resolve(Array.from(records, ([id, value]) => ({ id, value }))),
    write: (record, condition) => Promise.resolve(holds(record.id, condition) && records.set(record.id, record) === records),
    remove: (id, condition) => Promise.resolve(holds(id, condition) && records.delete(id)),
    withLock: (_, run) => {
      const mine = last.then(run, run);
      last = mine.catch(() => undefined);
      return mine;
    },
    close: () => Promise.resolve(),
  };
}

describe('E62 counters at the end of their range', () => {
  it.each<[string, (hostile: Record<string, unknown>) => Record<string, unknown>]>([
    ['the claim of a record', (hostile) => ({ bad: { ...hostile, defaultClaim: MAX } })],
    ['the epoch of a record', (hostile) => ({ bad: { ...hostile, epoch: MAX } })],
    ['the revision and generation of a record', (hostile) => ({ bad: { ...hostile, revision: MAX, generation: MAX } })],
    ['the highest claim of the store', () => ({ '@store': { ...STORE, topClaim: MAX } })],
    ['the claim of nobody', () => ({ '@store': { ...STORE, nullClaim: MAX } })],
    ['the revision of the store', () => ({ '@store': { ...STORE, revision: MAX } })],
  ])('(%s) cost no other credential at the next start', async (_, hostileBy) => {
    const world = createWorld();
    const first = await world.openTab();
    const alice = await first.store.store(world.authority.signIn({ sub: 'alice' }));
    await first.store.close();
    const hostile = { ...(world.disk.records.get(alice.id) as object), id: 'bad', tags: [] };
    for (const [id, value] of Object.entries(hostileBy(hostile))) world.disk.records.set(id, value);
    const { store } = await world.openTab();
    const bob = await store.store(world.authority.signIn({ sub: 'bob' }));
    await store.setDefault(bob);
    await (await store.with(alice.id))?.setTags(['kept']);
    await (await store.with('bad'))?.setTags(['changed']);
    const before = store.snapshot().ids;
    expect(before).toEqual(expect.arrayContaining([alice.id, bob.id]));
    await store.close();
    const { store: later, events } = await world.openTab();
    expect(later.snapshot().ids).toEqual(before);
    expect((await later.with(alice.id))?.tags).toEqual(['kept']);
    expect(events.filter(({ type }) => type === 'record_quarantined')).toEqual([]);
  });

  it('E47 (the revision of a record) let it be removed, here and for good', async () => {
    const world = createWorld();
    const first = await world.openTab();
    const alice = await first.store.store(world.authority.signIn());
    await first.store.close();
    world.disk.records.set(alice.id, { ...(world.disk.records.get(alice.id) as object), revision: MAX, generation: MAX });
    const [{ store }, other] = [await world.openTab(), await world.openTab()];
    const credential = await store.with(alice.id);
    const old = credential?.token?.accessToken;
    const renewing = credential?.refresh();
    await settle();
    world.authority.refreshes.at(-1)?.answer();
    expect((await renewing)?.accessToken).not.toBe(old);
    expect(await credential?.accessToken()).not.toBe(old);
    await credential?.remove();
    await settle();
    expect([store.snapshot().ids, other.store.snapshot().ids]).toEqual([[], []]);
    await expect(credential?.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
    expect((await world.openTab()).store.snapshot().ids).toEqual([]);
  });

  it.each([{ revision: MAX }, { revision: MAX, epoch: MAX }, { epoch: MAX }, { epoch: MAX - 1 }])(
    '(the epoch of the store: %j) leave nothing of a clear, and what is stored after it stays',
    async (ends) => {
      const world = createWorld();
      world.disk.records.set('@store', { ...STORE, ...ends });
      const { store } = await world.openTab();
      const left = await store.store(world.authority.signIn());
      await store.clear();
      await store.clear();
      expect(store.snapshot().ids).toEqual([]);
      const stays = await store.store(world.authority.signIn());
      await store.close();
      const { store: later } = await world.openTab();
      expect(later.snapshot().ids).toEqual([stays.id]);
      expect(await later.with(left.id)).toBeNull();
    },
  );

  it('E62 a record of the end of time does not come before what is stored later', async () => {
    const world = createWorld();
    const first = await world.openTab();
    const alice = await first.store.store(world.authority.signIn());
    await first.store.close();
    world.disk.records.set('late', { ...(world.disk.records.get(alice.id) as object), id: 'late', storedAt: 1e308 });
    const { store, events } = await world.openTab();
    const more = [await store.store(world.authority.signIn()), await store.store(world.authority.signIn())];
    expect(store.snapshot().ids).toEqual([alice.id, ...more.map(({ id }) => id)]);
    expect(events).toContainEqual(expect.objectContaining({ type: 'record_quarantined', id: 'late', reason: 'bad_times' }));
  });
});

describe('E38 a storage whose list of records is none', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['an object', {}],
    ['a list of null', [null]],
    ['a list of texts', ['x']],
    ['entries without an id', [{ value: {} }]],
  ])('(%s) is not used: the store goes on in memory, and says so', async (_, given) => {
    const world = createWorld();
    const storage: CredentialStorage = { ...shelf(), readAll: () => Promise.resolve(given as never) };
    const { store, events } = await world.openTab({ storage });
    expect(events).toContainEqual(expect.objectContaining({ type: 'not_durable', code: 'storage_failed' }));
    const credential = await store.store(world.authority.signIn());
    expect(await credential.accessToken()).toBe(credential.token?.accessToken);
  });

  it('(later on) is an error of what was asked, and nothing is lost', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    storage.readAll = () => Promise.resolve(null as never);
    expect(await codeOf(store.clear())).toBe('storage_failed');
    expect(storage.records.has(credential.id)).toBe(true);
  });

  it('one id twice is one credential, and gone when it is removed', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store: first } = await world.openTab({ storage });
    const credential = await first.store(world.authority.signIn());
    await first.close();
    const { readAll } = storage;
    storage.readAll = async () => (await readAll()).flatMap((entry) => [entry, entry]);
    const { store } = await world.openTab({ storage });
    expect(store.snapshot().ids).toEqual([credential.id]);
    await (await store.with(credential.id))?.remove();
    expect(store.snapshot().ids).toEqual([]);
  });

  it('a record that throws when it is looked at is reported, and the others are there', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store: first } = await world.openTab({ storage });
    const credential = await first.store(world.authority.signIn());
    await first.close();
    storage.records.set('trap', {
      get v(): number {
        throw new Error('trap');
      },
    });
    const { store, events } = await world.openTab({ storage });
    expect(store.snapshot().ids).toEqual([credential.id]);
    expect(events).toContainEqual(expect.objectContaining({ type: 'record_quarantined', id: 'trap', reason: 'not_an_object' }));
  });
});

describe('a storage that breaks while somebody signs out', () => {
  it('E47 after a clear that emptied it, but could not read it again, nobody is signed in here', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    storage.read = () => Promise.reject(new Error('broken'));
    await codeOf(store.clear());
    expect(storage.records.has(credential.id)).toBe(false);
    expect(store.snapshot()).toMatchObject({ ids: [], defaultId: null });
    await expect(credential.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
  });

  it('E47 RF-15 what could never be written is removed without an error, and leaves nothing', async () => {
    const world = createWorld();
    const storage = shelf();
    const { write } = storage;
    storage.write = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
    const { store, events } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    await credential.remove();
    expect(store.snapshot().ids).toEqual([]);
    storage.write = write;
    await world.browser.advance(600_000);
    await settle();
    expect(JSON.stringify([...storage.records])).not.toContain('accessToken');
    expect(events.map(({ type }) => type)).toContain('durable');
  });

  it('E47 RF-13 who signs out while her first write hangs stays signed out when it commits after all', async () => {
    const world = createWorld();
    const storage = shelf();
    const { write } = storage;
    let commit = (): Promise<unknown> => Promise.resolve();
    storage.write = (record, condition) => {
      if (record.id.startsWith('@')) return write(record, condition);
      commit = () => write(record, condition);
      storage.write = () => Promise.reject(new Error('broken'));
      return new Promise(() => undefined);
    };
    const { store } = await world.openTab({ storage });
    const storing = store.store(world.authority.signIn());
    await world.browser.advance(31_000);
    const credential = await storing;
    await credential.remove();
    expect(await commit()).toBe(true);
    expect(JSON.stringify([...storage.records])).toContain('accessToken'); // as feared
    storage.write = write;
    await world.browser.advance(60_000);
    expect(JSON.stringify([...storage.records])).not.toContain('accessToken');
    await store.close();
    const { store: later } = await world.openTab({ storage });
    expect(later.snapshot().ids).toEqual([]);
  });
});

/** A tab whose default credential is sealed with a key that asks a person, who does not answer. */
async function withKeyThatAsks(): Promise<{ world: World; storage: ReturnType<typeof shelf>; store: CredentialStore; id: string }> {
  const world = createWorld();
  const storage = shelf();
  const { store: first } = await world.openTab({ storage });
  const { id } = await first.store(world.authority.signIn());
  await first.close();
  storage.records.set(id, { ...(storage.records.get(id) as object), secrets: { sealed: 'text' } });
  storage.unseal = () => new Promise(() => undefined);
  const { store } = world.startTab({ storage });
  await world.browser.advance(10_000); // so long a start waits
  return { world, storage, store, id };
}

describe('RF-15 a storage that stops answering', () => {
  const stopped = (): Promise<never> => new Promise(() => undefined);

  it.each<[string, (tab: Opened) => Promise<unknown>]>([
    ['a change of tags', ({ credential }) => credential.setTags(['x'])],
    ['one more credential', ({ store, world }) => store.store(world.authority.signIn())],
    ['a removal', ({ credential }) => credential.remove()],
    ['a new default', ({ store }) => store.setDefault(null)],
    ['a clear', ({ store }) => store.clear()],
    ['a revocation', ({ credential }) => credential.revoke()],
    ['a refresh', ({ credential }) => credential.refresh()],
  ])('holds %s for a bounded time, and closing, too', async (_, command) => {
    const world = createWorld();
    const storage = shelf();
    const tab = await world.openTab({ storage });
    const credential = await tab.store.store(world.authority.signIn());
    storage.read = storage.readAll = storage.write = storage.remove = storage.close = stopped;
    let isSettled = false;
    const settled = command({ ...tab, world, credential }).then(
      () => (isSettled = true),
      (error: unknown) => {
        isSettled = true;
        expect(error).toMatchObject({ name: 'StorageError', code: 'storage_failed' });
      },
    );
    for (let minutes = 0; minutes < 20 && !isSettled; minutes++) {
      world.authority.refreshes.at(-1)?.answer();
      await world.browser.advance(60_000);
    }
    expect(isSettled).toBe(true);
    await settled;
    const closing = tab.store.close();
    for (let minutes = 0; minutes < 20; minutes++) await world.browser.advance(60_000);
    await closing;
  });

  it.each<[string, (tab: Opened) => Promise<unknown>]>([
    ['a refresh', ({ credential }) => credential.refresh()],
    ['a change of tags', ({ credential }) => credential.setTags(['x'])],
    ['a new default', ({ store }) => store.setDefault(null)],
    ['a removal', ({ credential }) => credential.remove()],
    ['a revocation', ({ credential }) => credential.revoke()],
  ])('RF-15 that was set back, by a backup or a failover, takes %s: what is known goes over it', async (what, command) => {
    const world = createWorld();
    const storage = shelf();
    const tab = await world.openTab({ storage });
    const credential = await tab.store.store(world.authority.signIn());
    const before = new Map(storage.records);
    await credential.refresh();
    await credential.setTags(['later']);
    await tab.store.setDefault(null);
    await tab.store.setDefault(credential);
    for (const [id, value] of before) storage.records.set(id, value);
    await command({ ...tab, world, credential });
    const known = tab.store.snapshot();
    const next = await world.openTab({ storage });
    expect(next.store.snapshot().defaultId).toBe(known.defaultId);
    if (what === 'a new default') return; // which says nothing of the record
    expect(next.store.snapshot().credentials.map(({ id, generation, tags }) => ({ id, generation, tags }))).toEqual(
      known.credentials.map(({ id, generation, tags }) => ({ id, generation, tags })),
    );
    expect(world.authority.reuses()).toBe(0);
  });

  it('RF-15 whose readings are old, as those of a replica, is not taken for one that was set back', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    const old = new Map(storage.records);
    const { read } = storage;
    storage.read = (id) => (old.has(id) ? Promise.resolve(old.get(id)) : read(id));
    for (let round = 0; round < 3; round++) {
      await credential.refresh();
      await credential.setTags([`round-${round}`]);
      await store.setDefault(round % 2 ? credential : null);
    }
    expect(storage.records.get(credential.id)).toMatchObject({ generation: 4, tags: ['round-2'] });
    expect(world.authority.reuses()).toBe(0);
  });

  it('holds a lock, and closing, by a sweep that never ends no longer than others wait for it', async () => {
    const world = createWorld();
    const storage = shelf();
    storage.sweep = stopped;
    const { store } = await world.openTab({ storage });
    const signingIn = store.store(world.authority.signIn());
    await world.browser.advance(15_000);
    expect((await signingIn).status.token).toBe('valid');
    const clearing = store.clear();
    await world.browser.advance(5_000);
    await clearing;
    expect(store.snapshot().ids).toEqual([]);
    const { store: another } = world.startTab({ storage });
    await another.ready;
    await settle();
    const closing = another.close();
    await world.browser.advance(15_000);
    await closing;
  });

  it.each<[string, () => Required<CredentialStorage>['withLock']]>([
    ['takes no notice of the signal', () => () => new Promise(() => undefined)],
    ['rejects at once', () => () => Promise.reject(new Error('no lock'))],
    [
      'rejects when it is late, and is granted all the same',
      () => (_, run, signal) =>
        new Promise((_resolve, reject) => signal?.addEventListener('abort', () => (reject(new Error('late')), void run()))),
    ],
  ])('E47 a revocation whose lock %s is done once', async (_, lock) => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    const { withLock } = storage;
    const hostile = lock();
    storage.withLock = (name, run, signal) => (name.includes('revoke:') ? hostile(name, run, signal) : withLock!(name, run, signal));
    const revoked = credential.revoke();
    await world.browser.advance(5_000);
    expect(await revoked).toMatchObject({ local: 'removed' });
    await settle();
    expect(world.authority.revocations.map(({ hint }) => hint).toSorted()).toEqual(['access_token', 'refresh_token']);
  });

  it('an opening that asks a person may take as long as it takes', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store: first } = await world.openTab({ storage });
    const { id } = await first.store(world.authority.signIn());
    await first.close();
    const open = storage.records.get(id) as { readonly secrets: unknown };
    storage.records.set(id, { ...open, secrets: { sealed: 'text' } });
    let answer = (): void => undefined;
    storage.unseal = () => new Promise((resolve) => (answer = () => resolve(open)));
    const { store } = world.startTab({ storage });
    await world.browser.advance(10_000); // so long a start waits
    const asking = store.getDefault().then((credential) => credential?.accessToken());
    await world.browser.advance(120_000);
    answer();
    expect(await asking).toBe((open.secrets as { readonly accessToken: string }).accessToken);
  });

  it.each<[string, boolean]>([
    ['heard of', true],
    ['found when the page woke', false],
  ])('E47 a rotation elsewhere that was %s, and whose key asks a person, keeps nobody else', async (_, isHeard) => {
    const world = createWorld();
    let asks = false;
    /** A seal that anybody can open, unless it asks. */
    const sealing = (): CredentialStorage => {
      const inner = world.disk.storage();
      return {
        ...inner,
        write: (record, condition) => {
          const { secrets } = record as { readonly secrets?: object | null };
          const isOpen = secrets != null && !('sealed' in secrets);
          return inner.write(isOpen ? ({ ...record, secrets: { sealed: JSON.stringify(secrets) } } as typeof record) : record, condition);
        },
        unseal: (record) => {
          if (asks) return new Promise(() => undefined);
          const { sealed: text } = (record as unknown as { readonly secrets: { readonly sealed: string } }).secrets;
          return Promise.resolve({ ...record, secrets: JSON.parse(text) as unknown } as typeof record);
        },
      };
    };
    const other = await world.openTab({ storage: sealing() });
    const [one, two] = [await other.store.store(world.authority.signIn()), await other.store.store(world.authority.signIn({ sub: 'bob' }))];
    const { store, platform } = await world.openTab({ storage: sealing() });
    const [mine, theirs] = [(await store.with(one.id))!, (await store.with(two.id))!];
    await Promise.all([mine.accessToken(), theirs.accessToken()]);
    if (!isHeard) world.browser.setDelivery(0);
    asks = true;
    await one.refresh();
    if (!isHeard) platform.emit('visible');
    const asked = [theirs.accessToken(), theirs.setTags(['x']), store.allIDs(), mine.setTags(['y']), theirs.remove(), mine.revoke()];
    const ended = Promise.allSettled(asked);
    await world.browser.advance(60_000);
    expect((await ended).map(({ status }) => status)).toEqual(asked.map(() => 'fulfilled'));
    const closing = Promise.all([store.close(), other.store.close()]);
    await world.browser.advance(60_000);
    await closing;
  });

  it('E47 a refresh whose key asks a person lets others at the lock after thirty seconds', async () => {
    const { world, storage, store, id } = await withKeyThatAsks();
    const refreshing = (await store.with(id))!.refresh();
    refreshing.catch(() => undefined);
    await settle();
    let isFree = false;
    void storage.withLock?.(`${storage.namespace}:refresh:${id}`, async () => void (isFree = true));
    await world.browser.advance(29_000);
    expect(isFree).toBe(false);
    await world.browser.advance(1_000);
    await expect(refreshing).rejects.toMatchObject({ code: 'storage_failed' });
    expect(isFree).toBe(true);
    await store.close();
  });

  it('E47 a revocation whose key asks a person purges after five seconds, and says that the server was not told', async () => {
    const { world, storage, store, id } = await withKeyThatAsks();
    const revoked = (await store.with(id))?.revoke();
    await world.browser.advance(5_000);
    const failed = { status: 'failed', code: 'key_lost' };
    expect(await revoked).toEqual({ local: 'removed', refreshToken: failed, accessToken: failed });
    expect(JSON.stringify([...storage.records])).not.toContain('sealed');
  });

  it('locks that fail are a lock_unavailable that says nothing of why, and nothing is done', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const [alice, bob] = [await store.store(world.authority.signIn()), await store.store(world.authority.signIn({ sub: 'bob' }))];
    storage.withLock = () => Promise.reject(new Error('CANARY'));
    for (const command of [store.setDefault(bob), alice.refresh()]) {
      const error = (await command.catch((thrown: unknown) => thrown)) as Error;
      expect(error).toMatchObject({ code: 'lock_unavailable' });
      expect(String(error)).not.toContain('CANARY');
    }
    storage.withLock = () => Promise.resolve(undefined as never); // granted to nobody
    await expect(store.setDefault(bob)).rejects.toMatchObject({ code: 'lock_unavailable' });
    expect([store.snapshot().defaultId, world.authority.refreshes.length]).toEqual([alice.id, 0]);
  });

  it('what was done under a lock is done, whatever the lock says afterwards', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const [, bob] = [await store.store(world.authority.signIn()), await store.store(world.authority.signIn({ sub: 'bob' }))];
    storage.withLock = async (_, run) => {
      await Promise.all([run(), run()]); // twice, at that
      throw new Error('the lock server is gone');
    };
    await store.setDefault(bob);
    expect(store.snapshot().defaultId).toBe(bob.id);
  });

  it('E47 a lock that is never to be had: commands say so after thirty seconds, who clears does not wait', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const [alice, bob] = [await store.store(world.authority.signIn()), await store.store(world.authority.signIn({ sub: 'bob' }))];
    const late: (() => Promise<unknown>)[] = [];
    storage.withLock = (_, run) => new Promise(() => late.push(run));
    const command = store.setDefault(bob);
    command.catch(() => undefined);
    await world.browser.advance(30_000);
    await expect(command).rejects.toMatchObject({ code: 'timeout', class: 'transient' });
    for (const run of late.splice(0)) await run().catch(() => undefined); // given after all
    expect(store.snapshot().defaultId).toBe(alice.id);
    const clearing = store.clear();
    await world.browser.advance(5_000);
    await clearing;
    expect(store.snapshot().ids).toEqual([]);
    expect(JSON.stringify([...storage.records])).not.toContain('accessToken');
  });

  it.each<[string, (run: () => Promise<unknown>) => Promise<unknown>]>([
    ['is never to be had', () => new Promise(() => undefined)],
    ['is never given back', async (run) => (await run(), new Promise(() => undefined))],
  ])('D-017 RF-15 a sign-in waits five seconds for a lock that %s, and is stored', async (_, lock) => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const late: (() => Promise<unknown>)[] = [];
    storage.withLock = (_name, run) => (late.push(run), lock(run) as never);
    const [first, second] = [world.authority.signIn(), world.authority.signIn({ sub: 'bob' })];
    const storing = store.store(first);
    await world.browser.advance(5_000);
    const credential = await storing;
    expect(await credential.accessToken()).toBe(first.accessToken);
    await store.store(second); // no more than one more: needs no lock
    const replacing = store.store(world.authority.signIn(), { replace: credential });
    await world.browser.advance(5_000);
    expect(await replacing).toBe(credential);
    const before = [...storage.records.values()];
    for (const run of late) await run(); // given after all
    expect([...storage.records.values()]).toEqual(before);
    expect(store.snapshot()).toMatchObject({ ids: [first.id, second.id], defaultId: first.id });
  });

  it('E61 first sign-ins of two tabs that have no lock make one default', async () => {
    const world = createWorld();
    const storage = shelf();
    storage.withLock = () => new Promise(() => undefined);
    const tabs = [await world.openTab({ storage }), await world.openTab({ storage })];
    const storing = tabs.map(({ store }, i) => store.store(world.authority.signIn({ sub: `user ${i}` })));
    await world.browser.advance(5_000);
    await Promise.all(storing);
    const { store: later } = await world.openTab({ storage });
    expect(later.snapshot().ids).toHaveLength(2);
    expect(later.snapshot().credentials.filter(({ isDefault }) => isDefault)).toHaveLength(1);
    for (const { store } of tabs) expect((await store.getDefault())?.id).toBe(later.snapshot().defaultId);
  });

  it('E47 the lock of a revocation is free again when it ends', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    const { withLock } = storage;
    let held = 0;
    storage.withLock = async (name, run, signal) => {
      if (!name.includes('revoke:')) return withLock!(name, run, signal);
      held++;
      const value = await run();
      await settle();
      held--;
      return value;
    };
    await credential.revoke();
    expect(held).toBe(0);
  });

  it('E47 a revocation waits half of its five seconds for its lock, and purges without it', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    const { withLock } = storage;
    storage.withLock = (name, run, signal) =>
      name.includes('revoke:')
        ? new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new DOMException('left', 'AbortError'))))
        : withLock!(name, run, signal);
    const revoked = credential.revoke();
    await world.browser.advance(2_499);
    expect(JSON.stringify(storage.records.get(credential.id))).toContain('accessToken');
    await world.browser.advance(1);
    expect(await revoked).toMatchObject({ local: 'removed' });
    expect(JSON.stringify(storage.records.get(credential.id))).not.toContain('accessToken');
  });
});

interface Opened extends Tab {
  readonly world: World;
  readonly credential: Credential;
}

describe('E61 two stores over one storage of this process that tells nobody of its changes', () => {
  it('have one default, know each other’s credentials when asked, and store into the epoch there is', async () => {
    const world = createWorld();
    const records = shelf().records;
    const storage = shelf(records);
    const [{ store: a }, { store: b }] = [await world.openTab({ storage }), await world.openTab({ storage })];
    const first = await a.store(world.authority.signIn());
    const second = await b.store(world.authority.signIn());
    expect((await b.with(first.id))?.id).toBe(first.id);
    await b.clear();
    const third = await a.store(world.authority.signIn());
    await Promise.all([a.close(), b.close()]);
    const { store } = await world.openTab({ storage: shelf(records) });
    expect(store.snapshot()).toMatchObject({ ids: [third.id], defaultId: third.id });
    expect(await store.with(second.id)).toBeNull();
  });
});

describe('E45 two stores over one storage of this process that tells nobody of its changes', () => {
  it('see what the other did to a credential when they ask for it', async () => {
    const world = createWorld();
    const storage = shelf();
    const [{ store: a }, { store: b }] = [await world.openTab({ storage }), await world.openTab({ storage })];
    const mine = await a.store(world.authority.signIn());
    const theirs = await b.with(mine.id);
    await mine.setTags(['new']);
    expect((await b.with(mine.id))?.tags).toEqual(['new']);
    await mine.remove();
    expect(await b.with(mine.id)).toBeNull();
    expect(b.snapshot()).toMatchObject({ ids: [], defaultId: null });
    expect(await codeOf(theirs!.accessToken())).toBe('credential_removed');
  });

  it('so do programs of one machine: a channel of the platform reaches no other program', async () => {
    const world = createWorld();
    const storage = { ...shelf(), open: () => Promise.resolve({ coherent: true, durability: 'none', reach: 'machine' } as const) };
    const deaf: Partial<Platform> = { openChannel: () => ({ post: () => undefined, close: () => undefined }) };
    const [{ store: a }, { store: b }] = [
      await world.openTab({ storage, platform: deaf }),
      await world.openTab({ storage, platform: deaf }),
    ];
    const mine = await a.store(world.authority.signIn());
    expect((await b.with(mine.id))?.id).toBe(mine.id);
    await mine.remove();
    expect(await b.with(mine.id)).toBeNull();
  });

  it('and answer with what they know where nothing can be read', async () => {
    const world = createWorld();
    const storage = shelf();
    const { store } = await world.openTab({ storage });
    const credential = await store.store(world.authority.signIn());
    storage.read = () => Promise.reject(new Error('broken'));
    expect(await store.with(credential.id)).toBe(credential);
    expect(await codeOf(store.with('unknown'))).toBe('storage_failed');
  });
});

describe('what is given to store() and is no token', () => {
  it.each<[string, (token: Token) => unknown]>([
    ['a line break in the access token', (token) => ({ ...lookalike(token), accessToken: 'a\r\nb' })],
    ['an id of the store’s own', (token) => ({ ...lookalike(token), id: '@store' })],
    ['no time of expiry', (token) => ({ ...lookalike(token), expiresAt: Number.NaN })],
  ])('6750-1 (%s) is a TypeError, and nothing is stored', async (_, forge) => {
    const world = createWorld();
    const { store } = await world.openTab();
    await expect(store.store(forge(world.authority.signIn()) as Token)).rejects.toThrow(TypeError);
    expect(store.snapshot().ids).toEqual([]);
  });

  it.each([{}, null, 7])('%j is no credential to replace: a TypeError', async (replace) => {
    const world = createWorld();
    const { store } = await world.openTab();
    await expect(store.store(world.authority.signIn(), { replace: replace as never })).rejects.toThrow(TypeError);
    expect(store.snapshot().ids).toEqual([]);
  });
});

/** The members of a token, as another object. */
function lookalike({
  id,
  accessToken,
  refreshToken,
  idToken,
  tokenType,
  scope,
  issuedAt,
  expiresAt,
  claims,
  context,
  isEqual,
}: Token): object {
  return { id, accessToken, refreshToken, idToken, tokenType, scope, issuedAt, expiresAt, claims, context, isEqual };
}
