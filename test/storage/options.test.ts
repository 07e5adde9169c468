// What is misspelled must not pass for what was left out: a namespace that is shared, a cookie that ends with the browser.
import { cookieStorage } from '../../src/storage/cookie';
import { fileStorage } from '../../src/storage/file';
import { indexedDBStorage } from '../../src/storage/indexeddb';
import { keyValueStorage } from '../../src/storage/key-value';
import { localforageStorage } from '../../src/storage/localforage';
import { memoryStorage } from '../../src/storage/memory';
import { sealed, staticKeys } from '../../src/storage/sealed';
import { webStorage } from '../../src/storage/web';
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
