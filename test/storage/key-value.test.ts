import fc from 'fast-check';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import { keyValueStorage, type KeyValueStore } from '../../src/storage/key-value';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';
import { describeStorage } from '../contract/storage-contract';
import { runs } from '../support/counts';
import { fakeStorage, settled, unitPlatform, type UnitPlatform } from '../support/unit-platform';
import { fakeOrigin, pageWith, tabPlatform } from './web-fakes';

const bare = (inner: Storage = fakeStorage()): KeyValueStore => ({
  getItem: (key) => inner.getItem(key),
  setItem: (key, value) => inner.setItem(key, value),
  removeItem: (key) => inner.removeItem(key),
});
const late = (inner: Storage = fakeStorage()): KeyValueStore => ({
  getItem: async (key) => inner.getItem(key),
  setItem: async (key, value) => inner.setItem(key, value),
  removeItem: async (key) => inner.removeItem(key),
});
const all = (inner: Storage): string[] => Array.from({ length: inner.length }, (_, i) => inner.key(i) ?? '');
const kinds: readonly [string, (inner: Storage) => KeyValueStore][] = [
  ['sync, with length and key', (inner) => inner],
  ['sync, without a list', bare],
  ['async, without a list', late],
  ['async, with getAllKeys', (inner) => ({ ...late(inner), getAllKeys: async () => all(inner) })],
  ['async, with keys as an object', (inner) => ({ ...late(inner), keys: async () => ({ keys: all(inner) }) })],
  ['sync, with keys as an iterator', (inner) => ({ ...bare(inner), keys: () => new Set(all(inner)).values() })],
];
for (const [name, kind] of kinds) {
  const inner = fakeStorage();
  const store = kind(inner);
  describeStorage(`keyValueStorage, ${name}`, {
    create: (namespace) => keyValueStorage(store, { namespace }),
    plant: async (namespace, id, value) => {
      const prefix = `${encodeURIComponent(namespace)}:`;
      inner.setItem(`${prefix}record:${id}`, JSON.stringify(value));
      if (name.includes('without')) {
        const index = JSON.parse(inner.getItem(`${prefix}index`) ?? '[]') as string[];
        inner.setItem(`${prefix}index`, JSON.stringify([...index, id]));
      }
      return value;
    },
  });
}
{
  // As docs/storage/key-value.md has it for Expo's SecureStore
  const inner = fakeStorage();
  const allowed = (key: string): string => key.replace(/[^a-z0-9.-]/gi, (unit) => `_${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const checked = (key: string): string => {
    if (!/^[\w.-]+$/.test(key)) throw new Error(`Invalid key: ${key}`);
    return key;
  };
  const store: KeyValueStore = {
    getItem: async (key) => inner.getItem(checked(allowed(key))),
    setItem: async (key, value) => inner.setItem(checked(allowed(key)), value),
    removeItem: async (key) => inner.removeItem(checked(allowed(key))),
  };
  describeStorage('keyValueStorage, keys of certain characters only', {
    create: (namespace) => keyValueStorage(store, { namespace }),
    plant: async (namespace, id, value) => {
      const prefix = `${encodeURIComponent(namespace)}:`;
      const index = JSON.parse(inner.getItem(allowed(`${prefix}index`)) ?? '[]') as string[];
      inner.setItem(allowed(`${prefix}record:${id}`), JSON.stringify(value));
      inner.setItem(allowed(`${prefix}index`), JSON.stringify([...index, id]));
      return value;
    },
  });
}
{
  const inner = fakeStorage();
  describeStorage('keyValueStorage, shared by an origin', {
    create: (namespace) => keyValueStorage({ ...late(inner), getAllKeys: () => all(inner) }, { namespace, reach: 'origin' }),
    plant: async (namespace, id, value) => {
      inner.setItem(`${encodeURIComponent(namespace)}:record:${id}`, JSON.stringify(value));
      return value;
    },
  });
}
{
  const origin = fakeOrigin();
  describeStorage('keyValueStorage, incoherent', {
    create: (namespace) =>
      keyValueStorage(origin.openTab(3).storage, { namespace, reach: 'origin', coherent: false, platform: tabPlatform(pageWith({})) }),
    plant: async (namespace, id, value) => {
      origin.plant(`${encodeURIComponent(namespace)}:record:${id}`, JSON.stringify(value));
      return value;
    },
  });
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
const rec = (revision: number, more: object = {}) => ({ id: 'one', revision, ...more });
const on = (store: KeyValueStore, options = {}) => keyValueStorage(store, { namespace: 'kv', ...options });

describe('keyValueStorage', () => {
  it('says what it was told of its store', async () => {
    expect(await keyValueStorage(fakeStorage()).open()).toEqual({ coherent: true, durability: 'relaxed', reach: 'process' });
    expect(await on(fakeStorage(), { reach: 'origin', durability: 'strict' }).open()).toEqual({
      coherent: true,
      durability: 'strict',
      reach: 'origin',
    });
    expect(keyValueStorage(fakeStorage()).namespace).toBe('rx-credentials');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['text', 'x'],
    ['an object without removeItem', { getItem: () => null, setItem: () => undefined }],
  ])('refuses %s as a store', (_, store) => {
    expect(() => keyValueStorage(store as KeyValueStore)).toThrow(TypeError);
  });

  it('takes a class with static methods', async () => {
    class Shelf {
      static readonly items = new Map<string, string>();
      static getItem = (key: string): unknown => Shelf.items.get(key);
      static setItem = (key: string, text: string): unknown => Shelf.items.set(key, text);
      static removeItem = (key: string): unknown => Shelf.items.delete(key);
    }
    await on(Shelf).write(rec(1), 'absent');
    expect(await on(Shelf).readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    expect(await on(Shelf).write(rec(1), 'absent')).toBe(false);
  });

  it.each([
    ['a list of keys', { keys: (inner: Storage) => all(inner) }],
    ['no list', {}],
  ])(
    'E57 finds its records over a class with a static helper called `key`, and %s',
    async (_, { keys }: { keys?: (inner: Storage) => string[] }) => {
      const inner = fakeStorage();
      class Items {
        static readonly key = (name: unknown): string => `app.${String(name)}`;
        static readonly getItem = (key: string): string | null => inner.getItem(Items.key(key));
        static readonly setItem = (key: string, value: string): void => inner.setItem(Items.key(key), value);
        static readonly removeItem = (key: string): void => inner.removeItem(Items.key(key));
      }
      const list = keys && { keys: () => keys(inner).map((key) => key.slice('app.'.length)) };
      const store = Object.assign(Items, list);
      await keyValueStorage(store).write({ id: 'one', revision: 1 }, 'absent');
      expect(await keyValueStorage(store).readAll()).toEqual([{ id: 'one', value: { id: 'one', revision: 1 } }]);
    },
  );

  it('a list of keys goes before `length` and `key`, which may be helpers of somebody else', async () => {
    const inner = fakeStorage();
    const store = { ...bare(inner), length: 0, key: (name: unknown) => `app.${String(name)}`, getAllKeys: () => all(inner) };
    await keyValueStorage(store).write({ id: 'one', revision: 1 }, 'absent');
    expect(await keyValueStorage(store).readAll()).toEqual([{ id: 'one', value: { id: 'one', revision: 1 } }]);
  });

  it('refuses a namespace that cannot be encoded, and incoherence within one program', () => {
    expect(() => on(fakeStorage(), { namespace: '\udc00' })).toThrow(TypeError);
    expect(() => on(fakeStorage(), { coherent: false })).toThrow(TypeError);
  });

  it('E39 E67 touches and lists no key but its own; the keys of a record are readable', async () => {
    const inner = fakeStorage();
    const foreign = { theme: 'dark', 'kv:theme': 'x', 'kv2:record:one': '{}', 'kv%3A:record:one': '{}', 'xkv:record:one': '{}' };
    for (const [key, text] of Object.entries(foreign)) inner.setItem(key, text);
    const storage = on(inner);
    expect(await storage.readAll()).toEqual([]);
    await storage.write(rec(1), 'absent');
    expect(JSON.parse(inner.getItem('kv:record:one') ?? '')).toEqual(rec(1));
    await storage.remove('one', 'any');
    expect(Object.fromEntries(all(inner).map((key) => [key, inner.getItem(key)]))).toEqual(foreign);
  });

  it('E29 storages over one object exclude each other, others do not wait', async () => {
    const store = late();
    const [a, b, other] = [on(store), on(store), on(late())];
    await a.write(rec(1), 'absent');
    const won = await Promise.all([a, b, a, b].map((storage, by) => storage.write(rec(2, { by }), 1)));
    expect(won.filter(Boolean)).toHaveLength(1);
    let release = (): void => undefined;
    const held = a.withLock?.('x', () => new Promise<void>((resolve) => (release = resolve)));
    let isIn = false;
    const waiting = b.withLock?.('x', async () => void (isIn = true));
    await other.withLock?.('x', async () => undefined);
    expect(isIn).toBe(false);
    release();
    await Promise.all([held, waiting]);
    expect(isIn).toBe(true);
  });

  it('a watcher hears of the records of its own namespace, from any storage over the object, until it stops', async () => {
    const store = fakeStorage();
    const [a, b, elsewhere] = [on(store), on(store), on(store, { namespace: 'other' })];
    const heard: string[] = [];
    const stop = b.watch?.((id) => heard.push(id));
    await a.write(rec(1), 'absent');
    await a.write(rec(1), 'absent');
    await elsewhere.write(rec(1), 'absent');
    await a.remove('one', 1);
    stop?.();
    await a.write(rec(1), 'absent');
    expect(heard).toEqual(['one', 'one']);
  });

  it('with reach origin the locks are those of the platform, and it does not open without them', async () => {
    const storage = on(fakeStorage(), { reach: 'origin' });
    expect(storage.withLock).toBeUndefined();
    expect(storage.watch).toBeUndefined();
    const names: string[] = [];
    const platform = tabPlatform(pageWith({}), { locks: { reach: 'origin', withLock: (name, run) => (names.push(name), run()) } });
    await on(bare(), { reach: 'origin', platform }).write(rec(1), 'absent');
    expect(names).toEqual(['kv:write:one', 'kv:index']);
    const without = on(fakeStorage(), { reach: 'origin', platform: { ...platform, locks: undefined } });
    for (const question of [without.open(), without.write(rec(1), 'absent')])
      expect(await failure(question)).toMatchObject({ code: 'lock_unavailable' });
    expect(await without.readAll()).toEqual([]);
  });

  it.each(['lock_unavailable', 'storage_failed'])('incoherent, it does not open without locks or IndexedDB: %s', async (code) => {
    const platform = tabPlatform(pageWith({}), code === 'storage_failed' ? { indexedDB: undefined } : { locks: undefined });
    const storage = on(fakeStorage(), { reach: 'origin', coherent: false, platform });
    await storage.close();
    expect(await failure(storage.open())).toMatchObject({ code });
  });

  it.each(['none', 'relaxed', 'strict'] as const)('incoherent, it is as durable as was said: %s', async (durability) => {
    const storage = on(fakeStorage(), { reach: 'origin', coherent: false, durability, platform: tabPlatform(pageWith({})) });
    expect(await storage.open()).toEqual({ coherent: true, durability, reach: 'origin' });
    await storage.close();
  });

  it('incoherent and without a list it finds its records all the same: IndexedDB knows them', async () => {
    const [a, b] = [bare(), bare()];
    const storage = on(a, { reach: 'origin', coherent: false, namespace: 'kv-unlisted', platform: tabPlatform(pageWith({})) });
    await storage.write(rec(1), 'absent');
    expect(await storage.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    expect(a.getItem('kv-unlisted:index')).toBeNull();
    expect(b.getItem('kv-unlisted:record:one')).toBeNull();
    await storage.close();
  });

  it.each<['getItem' | 'setItem' | 'removeItem' | 'key', (storage: CredentialStorage) => Promise<unknown>]>([
    ['getItem', (storage) => storage.open()],
    ['getItem', (storage) => storage.read('one')],
    ['key', (storage) => storage.readAll()],
    ['setItem', (storage) => storage.write(rec(2), 1)],
    ['removeItem', (storage) => storage.remove('one', 1)],
  ])('E38 a %s that throws is a rejection; what was there stays, and the next question is answered', async (method, question) => {
    const store = fakeStorage();
    const storage = on(store);
    await storage.write(rec(1), 'absent');
    const given = store[method];
    store[method] = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    expect(await failure(question(storage))).toMatchObject({ name: 'QuotaExceededError' });
    store[method] = given as never;
    expect(await storage.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    expect(await storage.write(rec(2), 1)).toBe(true);
  });

  it('RF-15 a rejected write leaves the old record and frees the lock', async () => {
    const inner = fakeStorage();
    const store = { ...late(inner), getAllKeys: async () => all(inner) };
    const storage = on(store);
    await storage.write(rec(1), 'absent');
    const setItem = store.setItem;
    store.setItem = () => Promise.reject(new Error('disk full'));
    expect(await failure(storage.write(rec(2), 1))).toMatchObject({ message: 'disk full' });
    expect(await storage.read('one')).toEqual(rec(1));
    store.setItem = setItem;
    expect(await storage.write(rec(2), 1)).toBe(true);
  });

  it('E57 a write resolves after the store has kept it', async () => {
    let keep = (): void => undefined;
    const inner = fakeStorage();
    const storage = on({
      ...late(inner),
      keys: () => all(inner),
      setItem: (key, value) =>
        new Promise<void>((resolve) => {
          keep = () => {
            inner.setItem(key, value);
            resolve();
          };
        }),
    });
    const order: string[] = [];
    const writing = storage.write(rec(1), 'absent').then(() => order.push('resolved'));
    await settled();
    order.push('kept');
    keep();
    await writing;
    expect(order).toEqual(['kept', 'resolved']);
  });

  it('E62 text that is no JSON, and values that are no text, are seen as they are', async () => {
    const inner = new Map<string, unknown>([
      ['kv:record:torn', '{"id":"torn","revi'],
      ['kv:record:null', 'null'],
      ['kv:record:number', 5],
      ['kv:record:object', { id: 'object', revision: 1 }],
    ]);
    const storage = on({
      getItem: (key) => inner.get(key),
      setItem: (key, value) => inner.set(key, value),
      removeItem: (key) => inner.delete(key),
      keys: () => inner.keys(),
    });
    expect(await storage.readAll()).toEqual([
      { id: 'torn', value: '{"id":"torn","revi' },
      { id: 'null', value: 'null' },
      { id: 'number', value: 5 },
      { id: 'object', value: { id: 'object', revision: 1 } },
    ]);
    expect(await storage.write({ id: 'null', revision: 1 }, 'absent')).toBe(false);
    for (const id of ['torn', 'null', 'number', 'object']) expect(await storage.remove(id, 'any')).toBe(true);
    expect(inner.size).toBe(0);
  });

  it('no stored text changes a prototype', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (text) => {
        const inner = fakeStorage();
        inner.setItem('kv:record:one', text);
        inner.setItem('kv:record:two', `{"__proto__":{"polluted":${JSON.stringify(text)}},"id":"two","revision":1}`);
        const storage = on(inner);
        expect(await storage.readAll()).toHaveLength(2);
        expect(await storage.write({ id: 'two', revision: 2 }, 1)).toBe(true);
        expect(await storage.write(rec(1), 'absent')).toBe(false);
        expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
      }),
      { numRuns: runs(200, 10_000) },
    );
  });

  it('a removal in the middle of listing hides no other record', async () => {
    const inner = fakeStorage();
    for (const id of ['a', 'b', 'c']) inner.setItem(`kv:record:${id}`, JSON.stringify({ id, revision: 1 }));
    const listing = on({ ...late(inner), length: 3, key: async (i) => inner.key(i) }).readAll();
    await Promise.resolve();
    inner.removeItem('kv:record:a');
    expect((await listing).map(({ id }) => id)).toEqual(['b', 'c']);
  });

  it('a list in a form that is not known is a rejection that says so', async () => {
    for (const keys of [
      () => 5,
      async () => undefined,
      () => ({ keys: 5 }),
      () => [Buffer.from('kv:record:a')],
      () => [['kv:record:a', 1]],
    ] as const) {
      expect(await failure(on({ ...bare(), keys }).readAll())).toMatchObject({ code: 'storage_failed' });
    }
    expect(await on({ ...bare(), keys: () => [1, null, 'kv:record:gone'] }).readAll()).toEqual([]);
  });

  describe('with an index of its own', () => {
    let inner: Storage;
    beforeEach(() => (inner = fakeStorage()));

    it('lists a record before it is written, and strikes it out after it was removed: a crash at any step leaves no unlisted record', async () => {
      for (let step = 0; ; step++) {
        const [medium, setup] = [fakeStorage(), bare()];
        Object.assign(setup, bare(medium));
        await on(setup).write({ id: 'old', revision: 1 }, 'absent');
        let changes = 0;
        const crash = (): void => {
          if (changes++ >= step) throw new Error('crash');
        };
        const crashing: KeyValueStore = {
          getItem: (key) => medium.getItem(key),
          setItem: (key, value) => (crash(), medium.setItem(key, value)),
          removeItem: (key) => (crash(), medium.removeItem(key)),
        };
        const storage = on(crashing);
        const outcome = await failure(storage.write(rec(1), 'absent').then(() => storage.remove('old', 1)));
        const records = all(medium).filter((key) => key.includes('record'));
        const found = await on(bare(medium)).readAll();
        expect(found.map(({ id }) => `kv:record:${id}`).sort()).toEqual(records.sort());
        expect(await on(bare(medium)).write({ id: 'next', revision: 1 }, 'absent')).toBe(true);
        if ((outcome as { value?: boolean }).value) {
          expect(found).toEqual([{ id: 'one', value: rec(1) }]);
          expect(step).toBe(4); // two copies of the index, the item, the removal: what follows is not needed
          break;
        }
      }
    });

    it('E47 a removal counts, and watchers hear of it, although the index cannot be written', async () => {
      const store = bare(inner);
      const [storage, other] = [on(store), on(store)];
      await storage.write(rec(1), 'absent');
      const heard: string[] = [];
      other.watch?.((id) => heard.push(id));
      const { setItem } = store;
      store.setItem = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
      expect(await storage.remove('one', 1)).toBe(true);
      expect([heard, await other.read('one'), await other.readAll()]).toEqual([['one'], undefined, []]);
      store.setItem = setItem;
      expect(await storage.write(rec(1), 'absent')).toBe(true);
      expect(await other.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    });

    it('is not touched when a record is replaced', async () => {
      const setItem = jest.spyOn(inner, 'setItem');
      const storage = on(bare(inner));
      await storage.write(rec(1), 'absent');
      setItem.mockClear();
      await storage.write(rec(2), 1);
      expect(setItem.mock.calls.map(([key]) => key)).toEqual(['kv:record:one']);
    });

    it.each(['kv:index', 'kv:index2'])('E62 survives the loss of or damage to %s', async (key) => {
      for (const damage of ['{', '5', '{"a":1}', null]) {
        const storage = on(bare(inner));
        await storage.write(rec(1), 'absent');
        if (damage === null) inner.removeItem(key);
        else inner.setItem(key, damage);
        expect(await storage.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
        await storage.write({ id: 'two', revision: 1 }, 'absent');
        expect(await on(bare(inner)).readAll()).toHaveLength(2);
        expect(JSON.parse(inner.getItem(key) ?? '')).toEqual(['one', 'two']); // mended
        inner.clear();
      }
    });

    it('E62 with both copies damaged it says so instead of forgetting everybody; single records are still there', async () => {
      const storage = on(bare(inner));
      await storage.write(rec(1), 'absent');
      for (const key of ['kv:index', 'kv:index2']) inner.setItem(key, '{');
      expect(await failure(storage.readAll())).toMatchObject({
        code: 'storage_failed',
        message: expect.stringContaining('"kv:index') as string,
      });
      expect(await storage.read('one')).toEqual(rec(1));
      expect(await storage.write(rec(2), 1)).toBe(true);
    });

    it.each([
      ['another record', { id: 'two', revision: 1 }],
      ['the record of the store, of the same epoch', { id: '@store', revision: 3, epoch: 1 }],
      ['the record of the store, once more though it is lost', { id: '@store', revision: 7, epoch: 1 }],
    ])('E62 begins anew by no write but that of a clear: not by %s', async (_, record) => {
      const storage = on(bare(inner));
      await storage.write(rec(1), 'absent');
      const isLost = record.revision === 7;
      if (!isLost) inner.setItem('kv:record:@store', JSON.stringify({ id: '@store', revision: 2, epoch: 1 }));
      for (const key of ['kv:index', 'kv:index2']) inner.setItem(key, '{');
      expect(await failure(on(bare(inner)).write(record, isLost || record.id === 'two' ? 'absent' : 2))).toMatchObject({
        code: 'storage_failed',
      });
      expect([inner.getItem('kv:index'), inner.getItem('kv:index2')]).toEqual(['{', '{']);
    });

    it('E62 is left as it is by a clear that cannot be written', async () => {
      for (const key of ['kv:index', 'kv:index2']) inner.setItem(key, '{');
      const full = { ...bare(inner), setItem: () => { throw new DOMException('full', 'QuotaExceededError'); } }; // prettier-ignore
      expect(await failure(on(full).write({ id: '@store', revision: 1, epoch: 1 } as StoredRecord, 'absent'))).toBeDefined();
      expect(inner.getItem('kv:index')).toBe('{');
    });

    it('entries that are no text are passed over', async () => {
      inner.setItem('kv:index', '[5,null,"one",{"a":1}]');
      inner.setItem('kv:record:one', JSON.stringify(rec(1)));
      inner.setItem('kv:record:5', '{}');
      expect(await on(bare(inner)).readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    });

    it.each([
      ['is forgotten with the last close: a program that opens one for each session keeps nothing of them', 'last', false],
      ['is not while another storage has the namespace open, however often one is closed', 'other', true],
      ['is not while a change is under way that may lie over it', 'under way', true],
    ])('%s', async (_, which, isKept) => {
      const inner = fakeStorage();
      const asked: string[] = [];
      const hanging: (() => void)[] = [];
      const store: KeyValueStore = {
        ...late(inner),
        getItem: async (key) => (asked.push(key), inner.getItem(key)),
        removeItem: (key) => (which === 'under way' ? new Promise<void>((resolve) => hanging.push(resolve)) : inner.removeItem(key)),
      };
      const [one, other] = [keyValueStorage(store, { namespace: 'n' }), keyValueStorage(store, { namespace: 'n' })];
      await Promise.all([one.open(), other.open()]);
      await one.write({ id: 'a', revision: 1 }, 'absent');
      const removing = which === 'under way' ? other.remove('a', 'any') : undefined;
      await settled();
      await one.close();
      await one.close();
      if (which !== 'other') await other.close();
      inner.clear();
      asked.length = 0;
      const next = keyValueStorage(store, { namespace: 'n' });
      await next.open();
      await next.readAll();
      expect(asked.includes('n:record:a')).toBe(isKept);
      hanging.forEach((end) => end());
      await removing;
      await next.write({ id: 'b', revision: 1 }, 'absent');
      expect(await other.readAll()).toMatchObject([{ id: 'b' }]);
    });

    it('of two namespaces is two', async () => {
      const [a, b] = [on(bare(inner)), on(bare(inner), { namespace: 'kv:index' })];
      await a.write(rec(1), 'absent');
      await b.write({ id: 'two', revision: 1 }, 'absent');
      expect((await a.readAll()).map(({ id }) => id)).toEqual(['one']);
      expect((await b.readAll()).map(({ id }) => id)).toEqual(['two']);
    });
  });
});

describe('a call that is never answered', () => {
  const HOLD_MS = 20_000;
  const slow = (inner = fakeStorage()) => {
    const waiting: (() => void)[] = [];
    let hangs: (key: string) => boolean = () => false;
    const hanging = (key: string, effect: () => void): Promise<void> | void => {
      if (!hangs(key)) return effect();
      hangs = () => false; // one of them
      return new Promise((resolve) => waiting.push(() => resolve(effect())));
    };
    const store: KeyValueStore = {
      getItem: (key) => inner.getItem(key),
      setItem: (key, value) => hanging(key, () => inner.setItem(key, value)),
      removeItem: (key) => hanging(key, () => inner.removeItem(key)),
    };
    const hang = (part: string): void => void (hangs = (key) => key.includes(part));
    return { store, inner, hang, answer: () => waiting.splice(0).forEach((effect) => effect()) };
  };
  const platforms = (): [UnitPlatform, () => Promise<void>] => {
    const platform = unitPlatform();
    return [platform, async () => (await settled(), platform.advance(HOLD_MS), settled())];
  };

  it.each([
    ['of a record', 'record:one', rec(2)],
    ['of the index', 'kv:index', { id: 'two', revision: 1 }],
  ])('RF-15 (%s) fails after 20 s, and keeps nobody from the next change', async (_, part, record) => {
    const [platform, later] = platforms();
    const { store, hang } = slow();
    const [storage, other] = [on(store, { platform }), on(store, { platform })];
    await storage.write(rec(1), 'absent');
    hang(part);
    const first = failure(storage.write(record, record.id === 'one' ? 1 : 'absent'));
    const next = other.write(record, record.id === 'one' ? 1 : 'absent');
    await later();
    expect(await first).toMatchObject({ code: 'storage_failed' });
    expect(await next).toBe(true);
    expect(await storage.read(record.id)).toEqual(record);
  });

  it.each([
    ['a write', (storage: CredentialStorage) => storage.write(rec(2, { text: 'old' }), 1)],
    ['a removal', (storage: CredentialStorage) => storage.remove('one', 1)],
  ])('%s that takes effect over a later one does not stay, and watchers look again', async (_, change) => {
    const [platform, later] = platforms();
    const { store, hang, answer } = slow();
    const [storage, other] = [on(store, { platform }), on(store, { platform })];
    await storage.write(rec(1), 'absent');
    hang('record:one');
    const first = failure(change(storage));
    await later();
    expect(await first).toMatchObject({ code: 'storage_failed' });
    await other.write(rec(2, { text: 'new' }), 1);
    await other.write(rec(3), 2);
    const seen: string[] = [];
    other.watch?.((id) => seen.push(id));
    answer();
    await settled();
    expect(await other.read('one')).toEqual(rec(3));
    expect(await on(store).readAll()).toEqual([{ id: 'one', value: rec(3) }]);
    expect(seen).toEqual(['one']);
  });

  it.each([
    ['a change that was under way at the last close', 'record:two', 1, 0],
    ['one that had not begun by then', 'record:two', 2, 0],
    ['a repair', 'record:two', 1, HOLD_MS],
    ['a repair of the index', 'index', 1, HOLD_MS],
  ])('the names of a namespace that nobody has open are forgotten after %s', async (_, part, writes, ms) => {
    const platform = unitPlatform();
    const { store, inner, hang, answer } = slow();
    const asked: string[] = [];
    const watched: KeyValueStore = { ...store, getItem: (key) => (asked.push(key), inner.getItem(key)) };
    const storage = on(watched, { platform });
    await storage.open();
    await storage.write(rec(1), 'absent');
    hang(part);
    const given = Array.from({ length: writes }, (_, i) => failure(storage.write({ id: 'two', revision: i + 1 }, i || 'absent')));
    await settled();
    await storage.close();
    platform.advance(ms);
    await settled();
    answer();
    await Promise.all(given);
    await settled();
    inner.clear();
    asked.length = 0;
    await on(watched).readAll();
    expect(asked).toEqual(['kv:index', 'kv:index2']);
  });

  it('RF-15 an index that is written late, over names that were entered since, hides none of them', async () => {
    const [platform, later] = platforms();
    const { store, hang, answer } = slow();
    const storage = on(store, { platform });
    hang('kv:index');
    const first = failure(storage.write({ id: 'two', revision: 1 }, 'absent'));
    await later();
    await first;
    await storage.write(rec(1), 'absent');
    answer();
    await settled();
    expect(await on(store).readAll()).toEqual([{ id: 'one', value: rec(1) }]);
  });

  it('RF-15 two copies of the index that are written late, over a name that was entered since, hide it from no later start', async () => {
    const [platform, later] = platforms();
    const { store, inner, hang, answer } = slow();
    const [storage, other] = [on(store, { platform }), on(store, { platform })];
    for (const [copy, id] of [
      ['kv:index', 'a'],
      ['kv:index2', 'b'],
    ] as const) {
      hang(copy);
      const given = failure(storage.write({ id, revision: 1 }, 'absent'));
      await later();
      expect(await given).toMatchObject({ code: 'storage_failed' });
    }
    await other.write(rec(1), 'absent');
    answer();
    await settled();
    expect(await on(bare(inner)).readAll()).toEqual([{ id: 'one', value: rec(1) }]);
    expect(await storage.readAll()).toEqual([{ id: 'one', value: rec(1) }]);
  });

  it('RF-15 a removal that was answered late strikes out no name that was entered since', async () => {
    const [platform, later] = platforms();
    const inner = fakeStorage();
    let answer = (): void => undefined;
    const store: KeyValueStore = {
      ...bare(inner),
      removeItem: (key) => {
        inner.removeItem(key);
        return new Promise<void>((resolve) => (answer = resolve));
      },
    };
    const storage = on(store, { platform });
    await storage.write(rec(1), 'absent');
    const first = failure(storage.remove('one', 1));
    await later();
    expect(await first).toMatchObject({ code: 'storage_failed' });
    await storage.write(rec(2), 'absent');
    answer();
    await settled();
    expect(await on(bare(inner)).readAll()).toEqual([{ id: 'one', value: rec(2) }]);
  });

  it('E45 a repair that fails is tried again, with pauses, and not without end', async () => {
    const [platform, later] = platforms();
    const { store, inner, hang, answer } = slow();
    const storage = on(store, { platform });
    await storage.write(rec(1), 'absent');
    const lateOver = async (revision: number): Promise<void> => {
      hang('record:one');
      const first = failure(storage.write(rec(revision, { text: 'old' }), revision - 1));
      await later();
      await first;
      await storage.write(rec(revision), revision - 1);
    };
    const { setItem } = store;
    let writes = 0;
    const fail = (): void => {
      writes++;
      throw new Error('busy');
    };
    await lateOver(2);
    store.setItem = fail;
    answer();
    await settled();
    expect([writes, await storage.read('one')]).toEqual([1, rec(2, { text: 'old' })]);
    store.setItem = setItem;
    platform.advance(1_000);
    await settled();
    expect(await on(bare(inner)).read('one')).toEqual(rec(2));

    await lateOver(3);
    store.setItem = fail;
    answer();
    for (let i = 0; i < 10; i++) await later();
    expect(writes).toBe(1 + 6);
  });

  it('RF-15 a repair that is itself late over a later write is repaired, too', async () => {
    const [platform, later] = platforms();
    const { store, inner, hang, answer } = slow();
    const storage = on(store, { platform });
    await storage.write(rec(1), 'absent');
    hang('record:one');
    const first = failure(storage.write(rec(2, { text: 'old' }), 1));
    await later();
    await first;
    await storage.write(rec(2), 1);
    hang('record:one');
    answer(); // the repair hangs now
    await later();
    expect(await storage.write(rec(3), 2)).toBe(true);
    answer();
    await settled();
    expect(await on(bare(inner)).readAll()).toEqual([{ id: 'one', value: rec(3) }]);
  });

  it('RF-4 with reach origin a turn ends with its last effect: no other tab writes something under it', async () => {
    const [unit, later] = platforms();
    const { store, inner, hang, answer } = slow();
    const platform: UnitPlatform = { ...unit, locks: { ...inProcessLocks(), reach: 'origin' } };
    const [tab, other] = [store, bare(inner)].map((one) => on(one, { platform, reach: 'origin' })) as [
      CredentialStorage,
      CredentialStorage,
    ];
    await tab.write(rec(1), 'absent');
    hang('record:one');
    const first = failure(tab.write(rec(2, { text: 'old' }), 1));
    await later();
    const next = failure(other.write(rec(2), 1));
    await later();
    expect([await first, await next]).toMatchObject([{ code: 'storage_failed' }, { code: 'storage_failed' }]);
    expect(await other.write({ id: 'two', revision: 1 }, 'absent')).toBe(true); // other records do not wait
    answer();
    await settled();
    expect(await other.write(rec(2), 1)).toBe(false);
    expect(await other.write(rec(3), 2)).toBe(true);
    expect(await tab.read('one')).toEqual(rec(3));
  });

  it('does not go on where its reading was answered too late', async () => {
    const [platform, later] = platforms();
    const inner = fakeStorage();
    let goOn: () => void = () => undefined;
    let isSlow = false;
    const store: KeyValueStore = {
      ...bare(inner),
      getItem: (key) => {
        const found = inner.getItem(key);
        return isSlow ? new Promise((resolve) => (goOn = () => resolve(found))) : found;
      },
    };
    const storage = on(store, { platform });
    await storage.write(rec(1), 'absent');
    isSlow = true;
    const first = failure(storage.write(rec(2, { text: 'late' }), 1));
    await later();
    expect(await first).toMatchObject({ code: 'storage_failed' });
    isSlow = false;
    await storage.write(rec(2), 1);
    goOn();
    await settled();
    expect(await storage.read('one')).toEqual(rec(2));
  });
});

it.each(['setItem', 'removeItem'] as const)(
  'E45 a %s that was kept although its answer was an error is told to the other stores',
  async (method) => {
    const inner = fakeStorage();
    let isLost = false;
    const lost = (effect: () => void): void => {
      effect();
      if (isLost) throw new Error('ECONNRESET');
    };
    const store: KeyValueStore = {
      getItem: (key) => inner.getItem(key),
      setItem: (key, value) => lost(() => inner.setItem(key, value)),
      removeItem: (key) => lost(() => inner.removeItem(key)),
    };
    const [storage, other] = [on(store), on(store)];
    await storage.write(rec(1), 'absent');
    const seen: string[] = [];
    other.watch?.((id) => seen.push(id));
    isLost = true;
    await failure(method === 'setItem' ? storage.write(rec(2), 1) : storage.remove('one', 1));
    await settled();
    expect(seen).toEqual(['one']);
  },
);

it.each([
  ['a write', (storage: CredentialStorage) => storage.write(rec(2), 1)],
  ['a removal', (storage: CredentialStorage) => storage.remove('one', 1)],
])('%s that failed is told to nobody: two stores would retry each other without a pause', async (_, change) => {
  const inner = fakeStorage();
  const store = bare(inner);
  const [storage, other] = [on(store), on(store)];
  await storage.write(rec(1), 'absent');
  const seen: string[] = [];
  other.watch?.((id) => seen.push(id));
  store.setItem = store.removeItem = () => {
    throw new DOMException('full', 'QuotaExceededError');
  };
  await failure(change(storage));
  await settled();
  expect(seen).toEqual([]);
});
