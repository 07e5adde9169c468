// A store over sealed records, of which the test takes away what is loaded later.
import { createCredentialStore, createToken, isCredentialError } from '../../../src/index';
import { indexedDBStorage } from '../../../src/storage/indexeddb/index';
import { sealed } from '../../../src/storage/sealed/index';

const issuer = location.origin;
const store = createCredentialStore({
  clients: { issuer, clientId: 'spa', metadata: { token_endpoint: `${issuer}/token` } },
  storage: sealed(indexedDBStorage()),
});

const chunks = {
  signIn: async (refreshToken: string) => {
    const context = { issuer, clientId: 'spa' };
    const [issuedAt, expiresAt] = [Date.now(), Date.now() + 3_600_000];
    const fields = { id: 'one', accessToken: 'access-0', refreshToken, scope: 'openid', issuedAt, expiresAt };
    await store.store(createToken({ ...fields, tokenType: 'Bearer', claims: null, context }));
    return store.snapshot().durable;
  },
  /** The token that a refresh gave, or the code of its failure. */
  refresh: async () => {
    try {
      return (await (await store.getDefault())?.refresh())?.accessToken;
    } catch (error) {
      return isCredentialError(error) ? error.code : String(error);
    }
  },
};

declare global {
  var driverOfChunks: typeof chunks;
}
void store.ready.then(() => (globalThis.driverOfChunks = chunks));
