// Every runtime export of every entry point: what is added or lost here is a change of the product's interface.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ENTRIES: Record<string, { readonly load: () => Promise<object>; readonly exports: readonly string[] }> = {
  '.': {
    load: () => import('rx-credentials'),
    exports: [
      'CredentialError',
      'NetworkError',
      'OAuthResponseError',
      'ProtocolError',
      'StorageError',
      'createCredentialStore',
      'createOAuth2Client',
      'createToken',
      'credentialState',
      'defaultPlatform',
      'isCredentialError',
      'isSignedIn',
      'memoryStorage',
      'unverifiedClaims',
    ],
  },
  './flows': {
    load: () => import('rx-credentials/flows'),
    exports: ['createAuthorizationCodeFlow', 'createSessionLogoutFlow', 'memoryTransactions', 'sessionTransactions', 'silentAuthorization'],
  },
  './http': {
    load: () => import('rx-credentials/http'),
    exports: ['copyOfBody', 'createAttachmentPolicy', 'createFetch', 'createResourceMatcher', 'parseChallenges'],
  },
  './http/axios': { load: () => import('rx-credentials/http/axios'), exports: ['credentialsInterceptor'] },
  './http/rxjs': { load: () => import('rx-credentials/http/rxjs'), exports: ['createAjax', 'createFromFetch'] },
  './storage/cookie': { load: () => import('rx-credentials/storage/cookie'), exports: ['cookieStorage', 'requestJar'] },
  './storage/file': { load: () => import('rx-credentials/storage/file'), exports: ['fileStorage'] },
  './storage/indexeddb': { load: () => import('rx-credentials/storage/indexeddb'), exports: ['indexedDBStorage'] },
  './storage/key-value': { load: () => import('rx-credentials/storage/key-value'), exports: ['keyValueStorage'] },
  './storage/memory': { load: () => import('rx-credentials/storage/memory'), exports: ['memoryStorage'] },
  './storage/sealed': { load: () => import('rx-credentials/storage/sealed'), exports: ['indexedDBKeys', 'sealed', 'staticKeys'] },
  './storage/web': { load: () => import('rx-credentials/storage/web'), exports: ['webStorage'] },
  './testing': { load: () => import('rx-credentials/testing'), exports: ['storageContract'] },
  './storage/localforage': { load: () => import('rx-credentials/storage/localforage'), exports: ['localforageStorage'] },
};

describe.each(Object.entries(ENTRIES))('the entry point %s', (_, { load, exports }) => {
  it('exports these names and no other', async () => {
    expect(Object.keys(await load()).sort()).toEqual([...exports].sort());
  });

  it('2.1-1 9700-6 7662-1 offers no implicit flow, no password grant, no introspection', async () => {
    expect(Object.keys(await load()).join()).not.toMatch(/implicit|password|ropc|introspect/i);
  });
});

it('the package has no entry point that is not listed here', () => {
  const { exports, sideEffects } = JSON.parse(readFileSync(join(__dirname, '../src/package.json'), 'utf8')) as {
    exports: object;
    sideEffects: boolean;
  };
  expect(
    Object.keys(exports)
      .filter((path) => path !== './package.json')
      .sort(),
  ).toEqual(Object.keys(ENTRIES).sort());
  expect(sideEffects).toBe(false);
});

describe('importing', () => {
  /** Globals that belong to the runtime, not to the language. */
  const AMBIENT = [
    'BroadcastChannel',
    'MessageChannel',
    'Worker',
    'caches',
    'clearTimeout',
    'crypto',
    'document',
    'fetch',
    'history',
    'indexedDB',
    'localStorage',
    'location',
    'navigator',
    'performance',
    'process',
    'queueMicrotask',
    'self',
    'sessionStorage',
    'setInterval',
    'setTimeout',
    'window',
  ];

  it.each(Object.entries(ENTRIES))('E49 E50 %s touches nothing ambient', async (entry, { load }) => {
    const touched: string[] = [];
    const before = new Map(AMBIENT.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
    let watching = false;
    const random = jest.spyOn(Math, 'random');
    const clock = jest.spyOn(Date, 'now');
    await jest.isolateModulesAsync(async () => {
      await Promise.all([import('rxjs'), import('axios')]); // peers: what they do at import is not ours to answer for
      for (const name of AMBIENT) {
        const given = before.get(name);
        Object.defineProperty(globalThis, name, {
          configurable: true,
          get: () => {
            if (watching) touched.push(name);
            return given?.get ? (given.get.call(globalThis) as unknown) : (given?.value as unknown);
          },
        });
      }
      random.mockClear();
      clock.mockClear();
      watching = true;
      try {
        await load();
      } finally {
        watching = false;
        for (const [name, given] of before) {
          if (given) Object.defineProperty(globalThis, name, given);
          else Reflect.deleteProperty(globalThis, name);
        }
      }
    });
    // Jest answers the import of the module `node:process` with the global.
    expect([...new Set(touched)]).toEqual(entry === './storage/file' ? ['process'] : []);
    expect(random).not.toHaveBeenCalled();
    jest.restoreAllMocks();
  });
});
