// What is misspelled must not pass for what was left out: a namespace that is shared, a cookie that ends with the browser.
import { cookieStorage } from '../../src/storage/cookie';
import { fileStorage } from '../../src/storage/file';
import { indexedDBStorage } from '../../src/storage/indexeddb';
import { keyValueStorage } from '../../src/storage/key-value';
import { localforageStorage } from '../../src/storage/localforage';
import { memoryStorage } from '../../src/storage/memory';
import { indexedDBKeys, sealed, staticKeys } from '../../src/storage/sealed';
import { webStorage } from '../../src/storage/web';
import { createCredentialStore, StorageError } from '../../src/index';
import { storageContract } from '../../src/testing';
import { fakeStorage } from '../support/unit-platform';

const kinds: readonly [string, (options: object) => unknown][] = [
  ['cookieStorage', (options) => cookieStorage(options)],
  ['fileStorage', (options) => fileStorage({ folder: 'tokens', ...options })],
  ['indexedDBStorage', (options) => indexedDBStorage(options)],
  ['keyValueStorage', (options) => keyValueStorage(fakeStorage(), options)],
  ['localforageStorage', (options) => localforageStorage(options)],
  ['webStorage', (options) => webStorage('local', options)],
];

it.each(kinds)('%s refuses a misspelled option, and takes one that is undefined', (name, make) => {
  for (const odd of ['namspace', 'maxAge'])
    expect(() => make({ [odd]: 'x' })).toThrow(new RegExp(`^${name} takes .*, not ${odd}$|takes .*, not ${odd}$`));
  expect(() => make({ namespace: undefined, platform: undefined })).not.toThrow();
});

it('memoryStorage and sealed do, too', () => {
  expect(() => memoryStorage({ namspace: 'x' } as object)).toThrow('memoryStorage takes namespace, not namspace');
  expect(memoryStorage({ namespace: undefined }).namespace).toBe('rx-credentials');
  const keys = staticKeys([{ kid: 'a', key: new Uint8Array(32) }]);
  expect(() => sealed(memoryStorage(), { keys, wrte: 'plain' } as object)).toThrow('sealed takes keys, write and platform, not wrte');
  expect(() => sealed(memoryStorage(), { keys, write: undefined, platform: undefined })).not.toThrow();
});

it('cookieStorage takes every option of its own', () => {
  const options = {
    path: '/a',
    domain: 'example.com',
    sameSite: 'None',
    secure: true,
    partitioned: true,
    maxAgeS: 60,
    prefix: '__Secure-',
  } as const;
  expect(cookieStorage({ ...options, namespace: 'app', jar: undefined, platform: undefined }).namespace).toBe('app');
});

it.each([
  ['coherent', 'false'],
  ['reach', 'proces'],
  ['reach', 'machine'],
  ['durability', 'strickt'],
])('keyValueStorage refuses %s: %s', (name, value) => {
  expect(() => keyValueStorage(fakeStorage(), { [name]: value })).toThrow(TypeError);
});

const byNamespace: readonly [string, (options: object) => { readonly namespace?: string }][] = [
  ...(kinds as readonly [string, (options: object) => { readonly namespace?: string }][]),
  ['memoryStorage', (options) => memoryStorage(options)],
  ['keyValueStorage of an origin that shows old values', (options) => keyValueStorage(fakeStorage(), { ...origin, ...options })],
  ['indexedDBKeys', (options) => indexedDBKeys(options) as object],
];
const origin = { reach: 'origin', coherent: false } as const;

it.each(byNamespace)('E39 %s refuses a namespace that is no text or empty: those without a tenant would share one', (_, make) => {
  for (const namespace of [null, '', 7, {}, ['a']])
    expect(() => make({ namespace })).toThrow(new TypeError('namespace must be a text that is not empty'));
  for (const namespace of ['7', 'null', ' ']) expect(make({ namespace }).namespace ?? namespace).toBe(namespace);
});

it('indexedDBKeys refuses a misspelled option', () => {
  expect(() => indexedDBKeys({ namspace: 'x' } as object)).toThrow('indexedDBKeys takes namespace and platform, not namspace');
});

it('indexedDBStorage refuses an unknown durability, with which it would fail at the first question', () => {
  for (const durability of ['x', null, 'none'])
    expect(() => indexedDBStorage({ durability } as object)).toThrow(new TypeError('durability must be "strict" or "relaxed"'));
  expect(() => indexedDBStorage({ durability: 'relaxed' })).not.toThrow();
});

it('sealed refuses an unknown way to write, and keys that are none', () => {
  const keys = staticKeys([{ kid: 'a', key: new Uint8Array(32) }]);
  for (const write of ['x', 'Plain', null, false])
    expect(() => sealed(memoryStorage(), { keys, write } as object)).toThrow(new TypeError('sealed: write must be "sealed" or "plain"'));
  for (const none of [null, {}, 7, 'x', [keys]])
    expect(() => sealed(memoryStorage(), { keys: none } as object)).toThrow(new TypeError('sealed: pass keys like staticKeys'));
});

it('storageContract takes nothing but a way to make a storage', () => {
  for (const odd of [undefined, null, 'x', {}, { create: 1 }, memoryStorage(), { create: () => memoryStorage(), plant: 1 }])
    expect(() => storageContract(odd as never)).toThrow(new TypeError('storageContract takes { create, plant? }, two functions'));
});

it('E38 a store goes on in memory whatever the namespace of a storage of your own that fails', async () => {
  const failing = { ...memoryStorage(), open: () => Promise.reject(new StorageError('storage_failed', 'no')) };
  for (const namespace of ['', undefined, null, 7]) {
    const store = createCredentialStore({
      clients: { issuer: 'https://id.example.com', clientId: 'spa' },
      storage: { ...failing, namespace } as never,
    });
    await store.ready;
    expect(store.snapshot()).toMatchObject({ status: 'ready', durable: false });
    await store.close();
  }
});
