import { runInNewContext } from 'node:vm';
import { forceCloseDatabase, IDBFactory } from 'fake-indexeddb';
import { StorageError } from '../../src/errors';
import type { Platform } from '../../src/platform/platform';
import { indexedDBKeys, staticKeys, type KeyPlatform, type RotatingKeys } from '../../src/storage/sealed';
import { settled, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const DAY_MS = 24 * 60 * 60 * 1000;

type Browser = UnitPlatform & { readonly indexedDB: globalThis.IDBFactory };
/** One origin: tabs that are given it share its databases and its clock. */
const aBrowser = (changes: Partial<Platform> = {}): Browser => ({ ...unitPlatform(), indexedDB: new IDBFactory(), ...changes });
const aTab = (platform: KeyPlatform, namespace = 'app'): RotatingKeys => indexedDBKeys({ namespace, platform });
const entriesOf = async ({ indexedDB }: Browser, namespace = 'app'): Promise<readonly Record<string, unknown>[]> => {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(`${namespace}:keys`);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error!);
  });
  const entries = await new Promise<Record<string, unknown>[]>((resolve) => {
    const request = database.transaction('records').objectStore('records').getAll() as IDBRequest<Record<string, unknown>[]>;
    request.onsuccess = () => resolve(request.result);
  });
  database.close();
  return entries;
};
/** A crypto with another `generateKey`. */
const cryptoThatMakes = (generateKey: (...args: unknown[]) => Promise<unknown>): Crypto => {
  const { subtle } = crypto;
  return {
    getRandomValues: <T extends ArrayBufferView>(array: T) => crypto.getRandomValues(array as never) as unknown as T,
    subtle: { generateKey, encrypt: subtle.encrypt.bind(subtle), decrypt: subtle.decrypt.bind(subtle) },
  } as unknown as Crypto;
};
const realKey = (): Promise<unknown> => crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
const failureOf = (promise: Promise<unknown>): Promise<StorageError> =>
  promise.then(
    () => Promise.reject(new Error('did not fail')),
    (error: unknown) => {
      expect(error).toBeInstanceOf(StorageError);
      return error as StorageError;
    },
  );

afterEach(() => jest.restoreAllMocks());

describe('indexedDBKeys', () => {
  it('BBA-4 makes an AES-GCM key of 256 bits that no script can export', async () => {
    const browser = aBrowser();
    const { key } = await aTab(browser).current();
    expect(key).toMatchObject({ extractable: false, type: 'secret', algorithm: { name: 'AES-GCM', length: 256 } });
    expect([...(key as CryptoKey).usages].sort()).toEqual(['decrypt', 'encrypt']);
    await expect(crypto.subtle.exportKey('raw', key as CryptoKey)).rejects.toMatchObject({ name: 'InvalidAccessError' });
  });

  it('touches nothing before it is asked', () => {
    const platform = {
      get indexedDB(): never {
        throw new Error('touched');
      },
      get crypto(): never {
        throw new Error('touched');
      },
      now: () => 0,
      setTimer: () => () => undefined,
    };
    expect(() => indexedDBKeys({ platform })).not.toThrow();
  });

  it('RF-15 a key is durable before anything is sealed with it', async () => {
    const transaction = jest.spyOn(IDBDatabase.prototype, 'transaction');
    await aTab(aBrowser()).current();
    const writing = transaction.mock.calls.filter(([, mode]) => mode === 'readwrite');
    expect(writing.map(([, , options]) => options)).toEqual([{ durability: 'strict' }]);
  });

  it('uses a key once before it counts, and not again each time it is asked for', async () => {
    const encrypt = jest.spyOn(crypto.subtle, 'encrypt');
    const keys = aTab(aBrowser());
    for (let i = 0; i < 3; i++) await keys.current();
    expect(encrypt).toHaveBeenCalledTimes(1);
  });

  it('E39 keeps keys in a database of their own, one for each namespace', async () => {
    const browser = aBrowser();
    const [a, b] = [await aTab(browser, 'a').current(), await aTab(browser, 'a2').current()];
    expect((await browser.indexedDB.databases()).map(({ name }) => name).sort()).toEqual(['a2:keys', 'a:keys']);
    expect(await entriesOf(browser, 'a')).toMatchObject([{ kid: a.kid }]);
    expect(await aTab(browser, 'a').get(b.kid)).toBeUndefined();
  });

  it('uses the namespace rx-credentials and the platform of the runtime unless told otherwise', async () => {
    const keys = indexedDBKeys();
    await keys.current();
    expect((await indexedDB.databases()).map(({ name }) => name)).toContain('rx-credentials:keys');
    keys.close();
  });

  it('the next start finds the key that was made', async () => {
    const browser = aBrowser();
    const first = await aTab(browser).current();
    const next = aTab(browser);
    expect((await next.current()).kid).toBe(first.kid);
    expect(await next.get(first.kid)).toMatchObject({ extractable: false });
    expect(await entriesOf(browser)).toHaveLength(1);
  });

  it('E61 eight tabs that start at once make one key', async () => {
    const browser = aBrowser();
    const made = await Promise.all(Array.from({ length: 8 }, () => aTab(browser).current()));
    expect(new Set(made.map(({ kid }) => kid)).size).toBe(1);
    expect(await entriesOf(browser)).toHaveLength(1);
  });

  it('E61 eight tabs that have all generated before any has stored make one key', async () => {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let generated = 0;
    const browser = aBrowser({ crypto: cryptoThatMakes(async () => (generated++, await gate, realKey())) });
    const made = Array.from({ length: 8 }, () => aTab(browser).current());
    while (generated < 8) await settled();
    open();
    expect(new Set((await Promise.all(made)).map(({ kid }) => kid)).size).toBe(1);
    expect(await entriesOf(browser)).toHaveLength(1);
  });

  it('E61 a tab that dies between generating and storing leaves nothing behind, and one that is only slow takes the key of the other', async () => {
    const browser = aBrowser();
    const dead = aTab({ ...browser, crypto: cryptoThatMakes(() => new Promise(() => undefined)) });
    let wake = (): void => undefined;
    const slow = aTab({ ...browser, crypto: cryptoThatMakes(() => new Promise<void>((resolve) => (wake = resolve)).then(realKey)) });
    void dead.current();
    const late = slow.current();
    await settled();
    expect(await entriesOf(browser)).toEqual([]);
    const { kid } = await aTab(browser).current();
    wake();
    expect((await late).kid).toBe(kid);
    expect(await entriesOf(browser)).toMatchObject([{ kid }]);
  });

  it('E61 a transaction that fails while storing the first key leaves none, and the next question makes it', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    const add = jest.spyOn(IDBObjectStore.prototype, 'add').mockImplementation(function (this: IDBObjectStore) {
      this.transaction.abort();
      throw new DOMException('canary', 'QuotaExceededError');
    });
    expect(await failureOf(keys.current())).toMatchObject({
      code: 'storage_failed',
      message: expect.not.stringContaining('canary') as string,
    });
    expect(await entriesOf(browser)).toEqual([]);
    add.mockRestore();
    const { kid } = await keys.current();
    expect(await entriesOf(browser)).toMatchObject([{ kid, retiredAt: null }]);
  });

  it('E38 an engine that cannot clone keys is storage_failed, and keeps nothing', async () => {
    const unclonable = { algorithm: { name: 'AES-GCM', length: 256 }, f: () => undefined };
    const browser = aBrowser({ crypto: cryptoThatMakes(() => Promise.resolve(unclonable)) });
    const error = await failureOf(aTab(browser).current());
    expect(error).toMatchObject({ code: 'storage_failed', message: expect.stringContaining('(DataCloneError)') as string });
    expect(await entriesOf(browser)).toEqual([]);
  });

  it.each([
    ['gives back something that is no key', {}],
    ['gives back a key that cannot be used', { algorithm: { name: 'AES-GCM', length: 256 } }],
  ])('E38 an engine that %s is storage_failed', async (_, stored) => {
    const keys = aTab(aBrowser({ crypto: cryptoThatMakes(() => Promise.resolve(stored)) }));
    expect((await failureOf(keys.current())).code).toBe('storage_failed');
    expect((await failureOf(keys.current())).code).toBe('storage_failed'); // proven by use, never by repetition
  });

  const throwing = (): never => {
    throw new DOMException('canary', 'SecurityError');
  };
  /** A request that fails, or, without an error, one that never answers. */
  const request = (error?: DOMException): IDBOpenDBRequest => {
    const fake = { error, onerror: (): void => undefined };
    if (error) queueMicrotask(() => queueMicrotask(() => fake.onerror()));
    return fake as unknown as IDBOpenDBRequest;
  };
  it.each([
    ['is missing', undefined],
    ['throws', { open: throwing }],
    ['fails', { open: () => request(new DOMException('canary', 'UnknownError')) }],
  ])('E38 an IndexedDB that %s is storage_failed, in words of our own', async (_, factory) => {
    const keys = aTab({ ...unitPlatform(), indexedDB: factory as never });
    const questions = [() => keys.current(), () => keys.get('x'), () => keys.list(), () => keys.rotate(), () => keys.remove('x')];
    for (const ask of questions) {
      const error = await failureOf(ask());
      expect(error.code).toBe('storage_failed');
      expect(String(error.stack)).not.toContain('canary');
    }
  });

  it('E38 access to IndexedDB that throws is storage_failed, and so is a page without Web Crypto', async () => {
    const blocked = {
      ...unitPlatform(),
      get indexedDB(): never {
        throw new DOMException('no', 'SecurityError');
      },
    };
    expect(await failureOf(aTab(blocked).current())).toMatchObject({
      code: 'storage_failed',
      message: expect.stringContaining('SecurityError') as string,
    });
    expect((await failureOf(aTab(aBrowser({ crypto: undefined as never })).current())).code).toBe('storage_failed');
    expect((await failureOf(aTab(aBrowser({ crypto: {} as never })).rotate())).code).toBe('storage_failed');
  });

  it('E38 a rotation in an engine that gives back no key says so', async () => {
    const { code, message } = await failureOf(aTab(aBrowser({ crypto: cryptoThatMakes(() => Promise.resolve({})) })).rotate());
    expect([code, message]).toEqual(['storage_failed', 'This browser does not keep keys.']);
  });

  it('a failure is not remembered: the next question opens the database anew', async () => {
    const browser = aBrowser();
    let isBlocked = true;
    const keys = aTab({
      ...unitPlatform(),
      get indexedDB(): globalThis.IDBFactory | undefined {
        return isBlocked ? undefined : browser.indexedDB;
      },
    });
    await failureOf(keys.current());
    isBlocked = false;
    expect((await keys.current()).kid).toBe((await aTab(browser).current()).kid);
  });

  it('E59 rotate makes a new key that seals from now on; the old one stays to open, with the time it was replaced', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    const old = await keys.current();
    browser.advance(5_000);
    const kid = await keys.rotate();
    expect(kid).not.toBe(old.kid);
    expect((await keys.current()).kid).toBe(kid);
    expect(await keys.get(old.kid)).toBeDefined();
    expect(await keys.list()).toEqual(
      expect.arrayContaining([
        { kid, retiredAt: null },
        { kid: old.kid, retiredAt: browser.now() },
      ]),
    );
    expect(await aTab(browser).list()).toHaveLength(2);
  });

  it('a list that is younger than a second is not read again, unless the database was deleted or closed', async () => {
    const browser = aBrowser();
    const connections: IDBDatabase[] = [];
    const watched = {
      open: (name: string, version?: number) => {
        const request = browser.indexedDB.open(name, version);
        request.addEventListener('success', () => connections.push(request.result));
        return request;
      },
    } as IDBFactory;
    const keys = aTab({ ...browser, indexedDB: watched });
    const { kid } = await keys.current();
    await aTab(browser).remove(kid);
    expect(await keys.list()).toEqual([{ kid, retiredAt: null }]);
    forceCloseDatabase(connections.at(-1) as never);
    await settled();
    expect(await keys.list()).toEqual([]);
  });

  it('a list that was read by a tab that was frozen meanwhile is as old as its beginning', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    const { kid } = await keys.current();
    browser.advance(1_000);
    const reading = keys.list();
    browser.advance(1_000);
    expect(await reading).toEqual([{ kid, retiredAt: null }]);
    await aTab(browser).remove(kid);
    expect(await keys.list()).toEqual([]);
  });

  it('rotate before there is any key makes the first', async () => {
    const keys = aTab(aBrowser());
    const kid = await keys.rotate();
    expect(await keys.list()).toEqual([{ kid, retiredAt: null }]);
  });

  it('eight tabs that rotate at once leave one key that seals, and lose none', async () => {
    const browser = aBrowser();
    const { kid: first } = await aTab(browser).current();
    const tabs = Array.from({ length: 8 }, () => aTab(browser));
    const rotated = await Promise.all(tabs.map((tab) => tab.rotate()));
    const listed = await aTab(browser).list();
    expect(listed).toHaveLength(9);
    expect(listed.map(({ kid }) => kid)).toEqual(expect.arrayContaining([first, ...rotated]));
    expect(listed.filter(({ retiredAt }) => retiredAt === null)).toHaveLength(1);
  });

  it('another tab takes up a rotation after a minute at the latest, and at once when it lists', async () => {
    const browser = aBrowser();
    const [a, b, c] = [aTab(browser), aTab(browser), aTab(browser)];
    const { kid: old } = await a.current();
    await Promise.all([b.current(), c.current()]);
    const kid = await a.rotate();
    browser.advance(59_999);
    expect((await b.current()).kid).toBe(old);
    await c.list();
    expect((await c.current()).kid).toBe(kid);
    browser.advance(1);
    expect((await b.current()).kid).toBe(kid);
  });

  it('TM-2 a clock that is set back does not keep an old reading alive', async () => {
    const browser = aBrowser();
    const [a, b] = [aTab(browser), aTab(browser)];
    await b.current();
    const kid = await a.rotate();
    browser.jump(-DAY_MS);
    expect((await b.current()).kid).toBe(kid);
  });

  it('a key that another tab made a moment ago is found by its name', async () => {
    const browser = aBrowser();
    const [a, b] = [aTab(browser), aTab(browser)];
    await b.current();
    expect(await b.get(await a.rotate())).toBeDefined();
  });

  it('remove forgets one key for good; the others stay', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    const { kid: old } = await keys.current();
    const kid = await keys.rotate();
    await keys.remove(old);
    expect(await keys.get(old)).toBeUndefined();
    expect(await keys.list()).toEqual([{ kid, retiredAt: null }]);
    await keys.remove('never there');
    expect(await aTab(browser).list()).toEqual([{ kid, retiredAt: null }]);
  });

  it('a key that was removed from outside is replaced by one of another name, never by itself', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    const { kid: old } = await keys.current();
    await aTab(browser).remove(old);
    browser.advance(60_000);
    expect(await keys.get(old)).toBeUndefined();
    expect((await keys.current()).kid).not.toBe(old);
    expect(await entriesOf(browser)).toHaveLength(1);
  });

  it('does not stand in the way of someone who deletes the database; afterwards there is a new key', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    const { kid: old } = await keys.current();
    await new Promise<void>((resolve, reject) => {
      const request = browser.indexedDB.deleteDatabase('app:keys');
      request.onsuccess = () => resolve();
      request.onblocked = () => reject(new Error('blocked'));
    });
    browser.advance(60_000);
    expect(await keys.get(old)).toBeUndefined();
    expect((await keys.current()).kid).not.toBe(old);
  });

  it('E62 entries that are no keys are no keys, whatever they are', async () => {
    const browser = aBrowser();
    const { kid } = await aTab(browser).current();
    const database = await new Promise<IDBDatabase>((resolve) => {
      const request = browser.indexedDB.open('app:keys');
      request.onsuccess = () => resolve(request.result);
    });
    const weak = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 128 }, false, ['encrypt']);
    const store = database.transaction('records', 'readwrite').objectStore('records');
    const planted = [null, 5, 'text', {}, { algorithm: null }, { algorithm: 5 }, weak];
    for (const [index, key] of planted.entries()) store.put({ kid: `!${index}`, key, retiredAt: null }, `!${index}`);
    store.put(null, '!null');
    await settled();
    database.close();
    expect(await entriesOf(browser)).toHaveLength(planted.length + 2);
    expect((await aTab(browser).current()).kid).toBe(kid);
    expect(await aTab(browser).list()).toEqual([{ kid, retiredAt: null }]);
  });

  it('a rotation that fails leaves the key that seals', async () => {
    const browser = aBrowser();
    const { kid } = await aTab(browser).current();
    const unclonable = { algorithm: { name: 'AES-GCM', length: 256 }, f: () => undefined };
    const broken = aTab({ ...browser, crypto: cryptoThatMakes(() => Promise.resolve(unclonable)) });
    expect((await failureOf(broken.rotate())).code).toBe('storage_failed');
    expect(await aTab(browser).list()).toEqual([{ kid, retiredAt: null }]);
  });

  it('RF-15 a database that another tab blocks is storage_failed after a while, not for ever pending', async () => {
    const platform = unitPlatform();
    const question = failureOf(aTab({ ...platform, indexedDB: { open: () => request() } as never }).current());
    await settled();
    expect(platform.timers()).toHaveLength(1);
    platform.advance(60_000);
    expect(await question).toMatchObject({ code: 'storage_failed', message: expect.stringContaining('another tab') as string });
  });

  it('close lets go of the database; a later question opens it again', async () => {
    const browser = aBrowser();
    const keys = aTab(browser);
    keys.close();
    const { kid } = await keys.current();
    const close = jest.spyOn(IDBDatabase.prototype, 'close');
    keys.close();
    keys.close();
    await settled();
    expect(close).toHaveBeenCalledTimes(1);
    expect((await keys.current()).kid).toBe(kid);
  });
});

describe('staticKeys', () => {
  it.each([undefined, null, { kid: 'a', key: new Uint8Array(32) }])('takes a list, and says so: %j', (keys) => {
    expect(() => staticKeys(keys as never)).toThrow('staticKeys takes a list');
  });

  const bytes = (fill: number, length = 32): Uint8Array => new Uint8Array(length).fill(fill);

  it('the first seals, all open, and a name that is not among them is gone', async () => {
    const cryptoKey = (await realKey()) as CryptoKey;
    const keys = staticKeys([{ kid: 'b', key: bytes(2) }, { kid: 'a', key: cryptoKey }]); // prettier-ignore
    expect(await keys.current()).toEqual({ kid: 'b', key: bytes(2) });
    expect(await keys.get('a')).toBe(cryptoKey);
    expect(await keys.get('b')).toEqual(bytes(2));
    expect(await keys.get('c')).toBeUndefined();
    expect(await keys.get('__proto__')).toBeUndefined();
    expect(keys.list).toBeUndefined();
  });

  it('takes bytes of another realm, as of a test environment or a `vm` context', async () => {
    const key = runInNewContext('new Uint8Array(32).fill(4)') as Uint8Array;
    expect(key instanceof Uint8Array).toBe(false);
    expect((await staticKeys([{ kid: 'a', key }]).current()).key).toEqual(bytes(4));
  });

  it('what becomes of the bytes afterwards is the caller’s affair', async () => {
    const mine = bytes(1);
    const keys = staticKeys([{ kid: 'a', key: mine }]);
    mine.fill(0);
    expect((await keys.current()).key).toEqual(bytes(1));
  });

  it.each<[string, readonly unknown[]]>([
    ['no key', []],
    ['numbers that are no bytes', [{ kid: 'a', key: Float64Array.from({ length: 32 }, Math.random) }]],
    ['longer numbers', [{ kid: 'a', key: new BigUint64Array(32) }]],
    ['a short key', [{ kid: 'a', key: bytes(7, 31) }]],
    ['a long key', [{ kid: 'a', key: bytes(7, 33) }]],
    ['text', [{ kid: 'a', key: 'canary-key-canary-key-canary-key' }]],
    ['no key in it', [{ kid: 'a' }]],
    ['null', [{ kid: 'a', key: null }]],
    ['a key of another kind', [{ kid: 'a', key: { algorithm: { name: 'AES-CBC', length: 256 } } }]],
    ['a shorter CryptoKey', [{ kid: 'a', key: { algorithm: { name: 'AES-GCM', length: 128 } } }]],
    [
      'a name twice',
      [
        { kid: 'a', key: bytes(7) },
        { kid: 'a', key: bytes(8) },
      ],
    ],
    ['an empty name', [{ kid: '', key: bytes(7) }]],
    ['the key as its name', [{ kid: bytes(7), key: bytes(7) }]],
    ['name and key confused', [{ kid: bytes(7), key: 'canary-key-canary-key-canary-key' }]],
  ])('refuses %s with a TypeError that holds no key', (_, list) => {
    // prettier-ignore
    const make = (): unknown => staticKeys(list as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/^staticKeys: [^]*$/);
    expect(make).not.toThrow(/canary|7,7|0707/);
  });
});
