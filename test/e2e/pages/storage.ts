// Runs inside a real browser: the contract suite on every storage of browsers, and stores that tests of Node drive from outside.
import { createCredentialStore, createToken, type CredentialStorage, type CredentialStore } from '../../../src/index';
import { cookieStorage } from '../../../src/storage/cookie/index';
import { indexedDBStorage } from '../../../src/storage/indexeddb/index';
import { keyValueStorage } from '../../../src/storage/key-value/index';
import { localforageStorage } from '../../../src/storage/localforage/index';
import { indexedDBKeys, sealed } from '../../../src/storage/sealed/index';
import { webStorage } from '../../../src/storage/web/index';
import { storageContract } from '../../../src/testing/index';

const STORAGES: Readonly<Record<string, (namespace: string) => CredentialStorage>> = {
  indexedDB: (namespace) => indexedDBStorage({ namespace }),
  'indexedDB, relaxed': (namespace) => indexedDBStorage({ namespace, durability: 'relaxed' }),
  localforage: (namespace) => localforageStorage({ namespace }),
  'web storage, local': (namespace) => webStorage('local', { namespace }),
  'web storage, session': (namespace) => webStorage('session', { namespace }),
  'key-value over localStorage': (namespace) => keyValueStorage(localStorage, { namespace, reach: 'origin', coherent: false }),
  'sealed indexedDB': (namespace) => sealed(indexedDBStorage({ namespace }), { keys: indexedDBKeys({ namespace }) }),
  'sealed cookies': (namespace) => sealed(cookieStorage({ namespace }), { keys: indexedDBKeys({ namespace }) }),
};

/** One case of the contract and what came of it; `null`: it holds. */
export interface CaseResult {
  readonly title: string;
  readonly failure: string | null;
}

let store: CredentialStore | undefined;
const events: string[] = [];

function tokenOf(id: string, sub = id, size = 0) {
  const context = { issuer: 'https://id.example.com', clientId: 'spa' };
  const claims = { iss: context.issuer, sub, aud: 'spa', exp: 4_000_000_000, iat: 1_700_000_000 };
  const [issuedAt, expiresAt] = [Date.now(), Date.now() + 3_600_000];
  return createToken({ id, accessToken: `access-CANARY-${id}`.padEnd(size, 'x'), refreshToken: `refresh-CANARY-${id}`, tokenType: 'Bearer', scope: 'openid', issuedAt, expiresAt, claims, context }); // prettier-ignore
}
const current = (): CredentialStore => {
  if (!store) throw new Error('start a store first');
  return store;
};

const driver = {
  storages: () => Object.keys(STORAGES),
  titles: (name: string): readonly string[] => storageContract({ create: STORAGES[name] }).map(({ title }) => title),
  async contract(name: string): Promise<readonly CaseResult[]> {
    const results: CaseResult[] = [];
    for (const { title, run } of storageContract({ create: STORAGES[name] })) {
      const failure = await run().then(
        () => null,
        (error: unknown) => String(error),
      );
      results.push({ title, failure });
    }
    return results;
  },
  async start(name: string, namespace: string): Promise<void> {
    store = createCredentialStore({ clients: { issuer: 'https://id.example.com', clientId: 'spa' }, storage: STORAGES[name](namespace) });
    store.events$.subscribe((event) => events.push(event.type));
    await store.ready;
  },
  events: () => events.splice(0),
  durable: () => current().snapshot().durable,
  store: async (id: string, sub?: string, size?: number) => (await current().store(tokenOf(id, sub, size), { tags: [`tag-${id}`] })).id,
  signIn: async (id: string, sub: string) => (await current().store(tokenOf(id, sub), { onePerUser: true })).id,
  ids: () => current().allIDs(),
  defaultId: async () => (await current().getDefault())?.id ?? null,
  accessToken: async (id: string) => (await (await current().with(id))?.accessToken()) ?? null,
  setTags: async (id: string, tags: readonly string[]) => (await current().with(id))?.setTags(tags),
  tags: async (id: string) => (await current().with(id))?.tags ?? null,
  remove: async (id: string) => (await current().with(id))?.remove(),
  setDefault: (id: string | null) => current().setDefault(id),
  clear: () => current().clear(),
  close: () => current().close(),
  /** Asked in the very task in which the page wakes: no timer and no message comes first. */
  answersOnWaking: () =>
    new Promise((resolve) => {
      const ask = (): void =>
        void Promise.all([current().allIDs(), current().find({ tags: 'tag-a' })]).then(([ids, found]) => resolve([ids, found.length]));
      document.addEventListener('resume', ask, { once: true });
    }),
  /** Stores one credential after another, and says of each when it is durable. */
  async storeForEver(acknowledge: (id: string) => Promise<void>): Promise<void> {
    for (let i = 0; ; i++) {
      const id = await driver.store(`${crypto.randomUUID()}-${i}`);
      await acknowledge(id);
      await driver.setTags(id, [`${i}`]);
      if (i % 3 === 2) await driver.setDefault(id);
    }
  },
};

declare global {
  var driver: PageDriver;
}
export type PageDriver = typeof driver;
globalThis.driver = driver;
