// A storage with little room, as that of cookies: what was removed leaves nothing behind that takes room from the next sign-in.
import { randomUUID } from 'node:crypto';
import { createCredentialStore, type CredentialStore } from '../../src/store/store.js';
import { createToken } from '../../src/credential/create-token.js';
import { cookieStorage, requestJar } from '../../src/storage/cookie';
import { sealed, staticKeys } from '../../src/storage/sealed';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, createWorld, inTime, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const narrow = ({ disk }: World): CredentialStorage => {
  const storage = disk.storage();
  return { ...storage, open: async () => ({ ...(await storage.open()), capacity: 8_192 }) };
};
const idsOn = ({ disk }: World): readonly string[] => [...disk.records.keys()].filter((id) => !id.startsWith('@'));

describe('RF-13 where room is short', () => {
  it('E45 a removal leaves no tombstone, reaches other tabs, and makes nobody else the default', async () => {
    const world = createWorld();
    const [one, two] = [await world.openTab({ storage: narrow(world) }), await world.openTab({ storage: narrow(world) })];
    const alice = await one.store.store(world.authority.signIn({ sub: 'alice' }));
    const bob = await one.store.store(world.authority.signIn({ sub: 'bob' }));
    await settle();
    const defaults: unknown[] = [];
    one.store.default$.subscribe((credential) => defaults.push(credential?.id ?? null));
    one.newEvents();
    await alice.remove();
    expect(one.newEvents()).toEqual(['token_removed', 'default_changed']);
    expect(defaults).toEqual([alice.id, null]);
    expect(idsOn(world)).toEqual([bob.id]);
    await settle();
    const later = await world.openTab({ storage: narrow(world) });
    for (const { store } of [one, two, later]) expect(store.snapshot()).toMatchObject({ ids: [bob.id], defaultId: null, durable: true });
  });

  it('a refresh of another tab that ends after the removal brings nothing back', async () => {
    const world = createWorld();
    const one = await world.openTab({ storage: narrow(world) });
    let readings = Promise.resolve();
    const storage = narrow(world);
    const two = await world.openTab({ storage: { ...storage, read: (id) => readings.then(() => storage.read(id)) } });
    const alice = await one.store.store(world.authority.signIn());
    await settle();
    world.authority.hold();
    const refreshing = (await two.store.with(alice.id))?.refresh().catch((error: { readonly code: string }) => error.code);
    await settle();
    let goOn = (): void => undefined;
    readings = new Promise((resolve) => (goOn = resolve)); // the other tab has not looked yet
    await alice.remove();
    world.authority.refreshes[0]?.answer();
    await settle();
    goOn();
    expect(await inTime(world.browser, Promise.resolve(refreshing))).toBe('credential_removed');
    await settle();
    expect(idsOn(world)).toEqual([]);
    expect(world.authority.revocations.map(({ hint }) => hint)).toContain('refresh_token');
  });

  it('a tombstone that could not be let go of stands for nobody, and the next start lets go of it', async () => {
    const world = createWorld();
    const { store } = await world.openTab({ storage: narrow(world) });
    const alice = await store.store(world.authority.signIn({ sub: 'alice' }));
    const bob = await store.store(world.authority.signIn({ sub: 'bob' }));
    const mend = world.disk.fail(({ method, id }) => method === 'remove' || (method === 'write' && id === '@store'));
    await alice.remove();
    expect(idsOn(world)).toEqual([alice.id, bob.id]);
    expect(JSON.stringify(world.disk.record(alice.id))).not.toContain('alice');
    expect(store.snapshot()).toMatchObject({ ids: [bob.id], defaultId: null, durable: true });
    await store.close();
    mend();
    const next = await world.openTab({ storage: narrow(world) });
    expect(next.store.snapshot()).toMatchObject({ ids: [bob.id], defaultId: null });
    await next.store.find({});
    await settle();
    expect(idsOn(world)).toEqual([bob.id]);
    expect((await world.openTab({ storage: narrow(world) })).store.snapshot().defaultId).toBeNull();
  });

  it('the id of what was removed can be stored again', async () => {
    const world = createWorld();
    const { store } = await world.openTab({ storage: narrow(world) });
    const token = world.authority.signIn();
    await (await store.store(token)).remove();
    const again = await store.store(world.authority.signIn({ id: token.id }));
    expect([again.id, idsOn(world), (await store.getDefault())?.id]).toEqual([token.id, [token.id], token.id]);
  });

  it('a late write of one who was removed does not go over who has the id since', async () => {
    const world = createWorld();
    const one = await world.openTab({ storage: narrow(world) });
    const two = await world.openTab({ storage: narrow(world) });
    const alice = await one.store.store(world.authority.signIn({ id: 'main', sub: 'alice' }));
    await settle();
    const late = await two.store.with('main');
    world.browser.setDelivery(0); // nothing is heard from now on
    await alice.remove();
    await world.browser.advance(1_000);
    const bob = await world.openTab({ storage: narrow(world) });
    await bob.store.store(world.authority.signIn({ id: 'main', sub: 'bob' }));
    await expect(late?.setTags(['late'])).rejects.toMatchObject({ code: 'credential_removed' });
    expect(world.disk.records.get('main')).toMatchObject({ claims: { sub: 'bob' }, tags: [] });
    const later = await world.openTab({ storage: narrow(world) });
    expect(later.store.snapshot()).toMatchObject({ defaultId: 'main', credentials: [{ claims: { sub: 'bob' } }] });
  });

  it('a removal that goes on after everything was cleared takes the default from nobody', async () => {
    const world = createWorld();
    const storage = narrow(world);
    let standing = Promise.resolve();
    const slow: CredentialStorage = {
      ...storage,
      write: async (record, condition) => {
        if (record.id === '@store') await standing;
        return storage.write(record, condition);
      },
    };
    const [one, two] = [await world.openTab({ storage: slow }), await world.openTab({ storage: narrow(world) })];
    const alice = await one.store.store(world.authority.signIn({ sub: 'alice' }));
    await settle();
    let goOn = (): void => undefined;
    standing = new Promise((resolve) => (goOn = resolve));
    const removing = alice.remove();
    await settle();
    await two.store.clear();
    const bob = await two.store.store(world.authority.signIn({ sub: 'bob' }));
    goOn();
    await removing;
    await settle();
    const later = await world.openTab({ storage: narrow(world) });
    for (const { store } of [two, later]) expect(store.snapshot()).toMatchObject({ ids: [bob.id], defaultId: bob.id });
  });
});

describe('cookieStorage in requests of one browser', () => {
  const now = Date.now();
  const client = { issuer: 'https://id.example.com', clientId: 'web' };
  const keys = staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(7) }]);
  let header = '';
  const answer = async <T>(work: (store: CredentialStore) => Promise<T>): Promise<T> => {
    const jar = requestJar(header);
    const store = createCredentialStore({ clients: client, storage: sealed(cookieStorage({ jar, maxAgeS: 28_800 }), { keys }) });
    const value = await work(store).finally(() => store.close());
    expect(store.snapshot().durable).toBe(true);
    header = jar.read();
    return value;
  };
  const signIn = () =>
    createToken({
      id: randomUUID(),
      tokenType: 'Bearer',
      accessToken: 'a'.repeat(1_800),
      refreshToken: 'r'.repeat(900),
      scope: 'openid profile offline_access',
      issuedAt: now,
      expiresAt: now + 3_600_000,
      claims: null,
      context: { ...client, scope: 'openid profile offline_access' },
    });

  it('E38 there is room for a sign-in after any number of sign-outs', async () => {
    for (let i = 0; i < 12; i++) {
      const id = await answer(async (store) => (await store.store(signIn())).id);
      await answer(async (store) => {
        await store.ready;
        expect([store.snapshot().ids, store.snapshot().defaultId]).toEqual([[id], id]);
        await (await store.getDefault())?.remove();
      });
      expect(header.length).toBeLessThan(300);
    }
  });
});
