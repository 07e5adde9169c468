/**
 * Opens every storage for pages that the package has, stores a token in each and finds it in a second store. It prints one line of JSON.
 *
 * @module
 */
import { createCredentialStore, createToken, memoryStorage, type CredentialStorage } from 'rx-credentials';
import { cookieStorage } from 'rx-credentials/storage/cookie';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { keyValueStorage } from 'rx-credentials/storage/key-value';
import { localforageStorage } from 'rx-credentials/storage/localforage';
import { sealed } from 'rx-credentials/storage/sealed';
import { webStorage } from 'rx-credentials/storage/web';

const context = { issuer: 'https://id.example.com', clientId: 'page' };
const storages: Readonly<Record<string, () => CredentialStorage>> = {
  memory: () => memoryStorage({ namespace: 'shared' }),
  'web, local': () => webStorage('local'),
  'web, session': () => webStorage('session'),
  indexeddb: () => indexedDBStorage({ namespace: 'plain' }),
  localforage: () => localforageStorage(),
  'key-value': () => keyValueStorage(localStorage, { namespace: 'kv' }),
  'sealed indexeddb': () => sealed(indexedDBStorage({ namespace: 'sealed' })),
  'sealed cookies': () => sealed(cookieStorage({ namespace: 'jar' })),
};

async function foundIn(make: () => CredentialStorage): Promise<string> {
  const events: string[] = [];
  const open = (): ReturnType<typeof createCredentialStore> => {
    const store = createCredentialStore({ clients: context, storage: make() });
    store.events$.subscribe(({ type }) => events.push(type));
    return store;
  };
  const first = open();
  const issuedAt = Date.now();
  const fields = { tokenType: 'Bearer', scope: '', issuedAt, expiresAt: issuedAt + 3_600_000, claims: null, context } as const;
  await first.store(createToken({ id: 'one', accessToken: 'access', ...fields }));
  await first.close();
  const second = open();
  const found = await (await second.getDefault())?.accessToken();
  await second.close();
  return events.includes('not_durable') ? 'not durable' : (found ?? 'nothing');
}

async function main(): Promise<void> {
  const found: Record<string, string> = {};
  for (const [name, make] of Object.entries(storages)) found[name] = await foundIn(make).catch(String);
  console.log(JSON.stringify(found));
}

void main();
