// A program of Node, ESM as it is. The first run signs in, the second finds the credential in a sealed file.
import { createCredentialStore, createToken, isSignedIn } from 'rx-credentials';
import { fileStorage } from 'rx-credentials/storage/file';
import { sealed, staticKeys } from 'rx-credentials/storage/sealed';

const context = { issuer: 'https://id.example.com', clientId: 'cli' };
const keys = staticKeys([{ kid: 'a', key: new Uint8Array(32).fill(7) }]);
const credentials = createCredentialStore({ clients: context, storage: sealed(fileStorage({ folder: 'credentials' }), { keys }) });
await credentials.ready;
const found = await credentials.getDefault();
if (!found) {
  const now = Date.now();
  const fields = { tokenType: 'Bearer', scope: 'read', issuedAt: now, expiresAt: now + 3_600_000, claims: null, context };
  await credentials.store(createToken({ id: 'kept', accessToken: 'very-secret', ...fields }));
}
const credential = await credentials.getDefault();
const line = {
  wasThere: found !== null,
  id: credential?.id,
  isSignedIn: isSignedIn(credential?.state),
  accessToken: await credential?.accessToken(),
};
console.log(JSON.stringify(line));
await credentials.close();
