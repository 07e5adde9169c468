// A reading that fails is made up for: what it would have said is not lost, and what was not read is not trusted.
import { memoryStorage } from '../../src/storage/memory/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import type { DiskCall } from '../support/fake-disk.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const isReading = ({ method }: DiskCall): boolean => method === 'read' || method === 'readAll';

describe('RF-15 a sign-in while storage cannot be read', () => {
  it.each([
    ['into an empty store', false],
    ['beside another', true],
  ])('is stored, and stays: %s', async (_, isSecond) => {
    const world = createWorld();
    const { store } = await world.openTab();
    const before = isSecond ? [(await store.store(world.authority.signIn())).id] : [];
    const mend = world.disk.fail(isReading);
    const credential = await store.store(world.authority.signIn({ sub: 'bob' }));
    expect(store.snapshot()).toMatchObject({ ids: [...before, credential.id], defaultId: before[0] ?? credential.id, durable: true });
    mend();
    expect((await world.openTab()).store.snapshot()).toMatchObject(store.snapshot());
  });

  it('nor written is kept in memory, said so, and written when it can be', async () => {
    const world = createWorld();
    const { store, events } = await world.openTab();
    const alice = await store.store(world.authority.signIn());
    await store.setDefault(null);
    const mend = world.disk.fail(({ method }) => method !== 'close');
    const bob = await store.store(world.authority.signIn({ sub: 'bob' }));
    expect(store.snapshot()).toMatchObject({ ids: [alice.id, bob.id], defaultId: null, durable: false });
    expect(events).toContainEqual(expect.objectContaining({ type: 'not_durable', code: 'storage_failed' }));
    mend();
    await world.browser.advance(60_000);
    expect(world.disk.record(bob.id)).toMatchObject({ state: 'active' });
  });

  it('that takes the place of a user who must sign in again takes it', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    world.authority.forget(credential.token?.refreshToken);
    expect(await codeOf(credential.refresh())).toBe('needs_sign_in');
    const mend = world.disk.fail(({ method }) => method !== 'close');
    expect(await store.store(world.authority.signIn())).toBe(credential);
    expect(credential.status.token).toBe('valid');
    mend();
    await world.browser.advance(60_000);
    expect(world.disk.record(credential.id)).toMatchObject({ state: 'active' });
  });

  it('nor its lock be had goes on without it', async () => {
    const world = createWorld();
    const storage: CredentialStorage = memoryStorage();
    const { store } = await world.openTab({ storage });
    const broken = (): Promise<never> => Promise.reject(new Error('gone'));
    Object.assign(storage, { withLock: broken, read: broken, readAll: broken, write: broken });
    const { id } = await store.store(world.authority.signIn());
    expect(store.snapshot()).toMatchObject({ ids: [id], defaultId: id, durable: false });
  });

  it('for hanging is bounded: it is kept in memory', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    await store.store(world.authority.signIn());
    world.disk.hold(({ method }) => method !== 'close');
    const bob = await inTime(world.browser, store.store(world.authority.signIn({ sub: 'bob' })), 120_000);
    expect(store.snapshot()).toMatchObject({ durable: false });
    expect(bob.status.token).toBe('valid');
  });

  it('promotes nobody in the place of a removed default whose id is stored again', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    await store.store(world.authority.signIn());
    const bob = await store.store(world.authority.signIn({ sub: 'bob', id: 'bob' }));
    await store.setDefault(bob);
    await bob.remove();
    const mend = world.disk.fail(({ id }) => id === '@store');
    await store.store(world.authority.signIn({ sub: 'bob', id: 'bob' }));
    expect(store.snapshot().defaultId).toBe('bob'); // it was before, and no other may be
    mend();
    expect((await world.openTab()).store.snapshot().defaultId).toBe('bob');
  });

  it('says that a credential to replace is unknown, or cannot be looked for', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const token = world.authority.signIn();
    expect(await codeOf(store.store(token, { replace: 'unknown' }))).toBe('credential_removed');
    world.disk.fail(isReading);
    expect(await codeOf(store.store(token, { replace: 'unknown' }))).toBe('storage_failed');
  });
});

describe('E12 E60 RF-13 a sign-out while another tab reads everything again', () => {
  it.each([
    ['and whose record was removed, since the disk was full', true],
    ['and whose tombstone was written', false],
  ])('%s stays one, and nothing else is heard', async (_, isFull) => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const mine = await a.store.store(world.authority.signIn());
    await settle();
    b.newEvents();
    const gate = world.disk.hold(({ method }) => method === 'readAll', 'after');
    b.platform.emit('visible');
    await gate.reached; // it has what was stored before the sign-out
    if (isFull) world.disk.fail(({ method, record }) => method === 'write' && record?.['state'] === 'removed');
    await mine.remove();
    await settle();
    gate.open();
    await settle();
    expect(b.store.snapshot()).toMatchObject({ ids: [], defaultId: null });
    expect(b.newEvents()).toEqual(['token_removed', 'default_changed']);
  });

  it('is told once, and in order, where the reading waits for a key to be opened', async () => {
    const world = createWorld();
    let open = (): void => undefined;
    const opening = new Promise<void>((resolve) => (open = resolve));
    const storage = (): CredentialStorage => ({
      ...world.disk.storage(),
      unseal: async (record) => {
        await opening;
        const { sealed } = (record as unknown as { readonly secrets: { readonly sealed: string } }).secrets;
        return { ...record, secrets: JSON.parse(sealed) as unknown };
      },
    });
    const seal = (id: string): void => {
      const record = world.disk.record(id);
      world.disk.records.delete(id); // it is the last that is read
      world.disk.records.set(id, { ...record, secrets: { sealed: JSON.stringify(record['secrets']) } });
    };
    const [a, b] = [await world.openTab({ storage: storage() }), await world.openTab({ storage: storage() })];
    const other = await a.store.store(world.authority.signIn({ sub: 'bob' }));
    await settle();
    world.browser.setDelivery(0);
    const mine = await a.store.store(world.authority.signIn());
    await other.refresh();
    seal(other.id);
    b.newEvents();
    b.platform.emit('visible');
    await settle();
    world.browser.setDelivery(1);
    await mine.remove();
    await settle();
    open();
    await settle();
    expect(b.store.snapshot().ids).toEqual([other.id]);
    expect(b.newEvents()).toEqual(['token_replaced']);
    expect((await b.store.with(other.id))?.token?.accessToken).toBe(other.token?.accessToken);
  });
});

describe('E45 a sign-out elsewhere whose record could not be read when a tab heard of it', () => {
  /** Two tabs; the second one has a token at hand and fails to read its end. */
  async function withMissedEnd(isMissed: (call: DiskCall) => boolean) {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const mine = await a.store.store(world.authority.signIn());
    await settle();
    const theirs = (await b.store.with(mine.id))!;
    await theirs.accessToken(); // at hand from now on
    const mend = world.disk.fail(isMissed);
    b.newEvents();
    return { world, a, b, mine, theirs, mend };
  }

  it('is found by the next question', async () => {
    const { mine, theirs, mend } = await withMissedEnd(isReading);
    await mine.remove();
    await settle();
    mend();
    await expect(theirs.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
  });

  it('is found without a question, after a second, and one record is read for it', async () => {
    const { world, b, mine, mend } = await withMissedEnd(isReading);
    await mine.remove();
    await settle();
    mend();
    const before = world.disk.calls.length;
    expect(b.store.snapshot().ids).toEqual([mine.id]);
    await world.browser.advance(1_000);
    expect(b.newEvents()).toEqual(['token_removed', 'default_changed']);
    expect(world.disk.calls.slice(before)).toEqual([{ method: 'read', id: mine.id }]);
  });

  it('is found when everything that could not be read at a wake can be', async () => {
    const { world, b, mine, theirs, mend } = await withMissedEnd(({ method }) => method === 'readAll');
    world.browser.setDelivery(0);
    await mine.remove();
    b.platform.emit('visible');
    expect(await theirs.accessToken()).toBe(theirs.token?.accessToken); // it is all there is
    mend();
    await world.browser.advance(2_000);
    expect(b.newEvents()).toEqual(['token_removed', 'default_changed']);
    await expect(theirs.accessToken()).rejects.toMatchObject({ code: 'credential_removed' });
  });

  it('RF-15 is looked for after 1, 2, 4 … 30 s, and what is known is in use meanwhile', async () => {
    const { world, b, mine, theirs, mend } = await withMissedEnd(isReading);
    await mine.remove();
    await settle();
    const before = world.disk.calls.length;
    await world.browser.advance(91_000);
    expect(world.disk.calls.slice(before).filter(isReading)).toHaveLength(7);
    expect(await theirs.accessToken()).toBe(theirs.token?.accessToken);
    mend();
    await world.browser.advance(30_000);
    expect(b.newEvents().slice(-2)).toEqual(['token_removed', 'default_changed']);
    const calm = world.disk.calls.length;
    await world.browser.advance(120_000);
    expect(world.disk.calls).toHaveLength(calm);
  });

  it('RF-15 holds no question for longer than two seconds where the storage hangs', async () => {
    const { world, mine, theirs } = await withMissedEnd(isReading);
    await mine.remove();
    await settle();
    world.disk.hold(isReading);
    const token = theirs.token?.accessToken;
    expect(await inTime(world.browser, theirs.accessToken(), 2_100)).toBe(token);
    expect(await inTime(world.browser, theirs.accessToken(), 100)).toBe(token);
  });

  it('E62 costs others no reading, and no more than one a second where questions come without end', async () => {
    const { world, a, b, mine, theirs } = await withMissedEnd(({ id }) => id === 'bad');
    world.browser.forge('app:records', { id: 'bad', generation: 1, revision: 1 });
    await settle();
    const before = world.disk.calls.length;
    for (let asked = 0; asked < 100; asked++) expect(await theirs.accessToken()).toBe(mine.token?.accessToken);
    expect(world.disk.calls.slice(before).map(({ id }) => id)).toEqual(['bad']);
    await a.store.close();
    await b.store.close();
  });
});

describe('RF-15 many who ask for one record at the same time', () => {
  /** A tab that no one tells of writes, so that it reads at each question, and how often it has read. */
  async function deafTab() {
    const world = createWorld();
    const tab = await world.openTab({ platform: { openChannel: undefined } });
    const credential = await tab.store.store(world.authority.signIn());
    await settle();
    const before = world.disk.calls.length;
    return { world, ...tab, credential, readings: () => world.disk.calls.slice(before).filter(isReading).length };
  }

  it('share a reading that has not begun', async () => {
    const { world, store, credential, readings } = await deafTab();
    const gate = world.disk.hold(isReading);
    const first = store.with(credential.id);
    await gate.reached;
    const others = Array.from({ length: 50 }, () => store.with(credential.id));
    await settle();
    gate.open();
    expect(new Set(await Promise.all([first, ...others]))).toEqual(new Set([credential]));
    expect(readings()).toBe(2);
  });

  it('wait for two readings at most where the storage hangs', async () => {
    const { world, store } = await deafTab();
    world.disk.hold(isReading);
    const codes: Promise<unknown>[] = [];
    for (let s = 0; s < 120; s++) {
      const started = world.browser.now();
      codes.push(codeOf(store.with('nobody')).then((code) => [code, world.browser.now() - started <= 60_000]));
      await world.browser.advance(1_000);
    }
    await world.browser.advance(60_000);
    expect(await Promise.all(codes)).toEqual(codes.map(() => ['storage_failed', true]));
  });

  it('hear what was written before they asked, though a reading was asked for before that', async () => {
    const { world, store, credential } = await deafTab();
    const gate = world.disk.hold(isReading);
    const first = store.with(credential.id);
    await gate.reached;
    const second = store.with(credential.id);
    await settle();
    const removing = credential.remove();
    await settle();
    const third = store.with(credential.id);
    await settle();
    gate.open();
    await removing;
    expect([await first, await second, await third]).toEqual([credential, credential, null]);
  });

  it('E45 all hear of the first of a storage that was emptied', async () => {
    const { world, store } = await deafTab();
    await store.clear();
    world.disk.records.clear();
    const other = await world.openTab();
    const { id } = await other.store.store(world.authority.signIn({ sub: 'bob' }));
    const found = await Promise.all([store.with(id), store.with(id), store.with(id)]);
    expect(found.map((one) => one?.id)).toEqual([id, id, id]);
  });
});
