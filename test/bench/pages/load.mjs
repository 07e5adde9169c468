/** The page of `rows/load.mjs`: an application whose first question is the token. */
import { begunAt } from './begin.mjs';
import { createCredentialStore, createToken } from 'rx-credentials';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { sealed } from 'rx-credentials/storage/sealed';

const issuer = new URLSearchParams(location.search).get('issuer');
const store = createCredentialStore({ clients: { issuer, clientId: 'bench' }, storage: sealed(indexedDBStorage()) });
const credential = await store.getDefault();
if (credential) {
  const accessToken = await credential.accessToken();
  const tokenAt = performance.now(); // milliseconds since the navigation began
  void fetch('/said', { method: 'POST', body: JSON.stringify({ begunAt, tokenAt, accessToken }) });
}

globalThis.fill = async (fields) => {
  await store.store(createToken(fields));
  await store.close();
};
globalThis.close = () => store.close();
