// Compiled with `skipLibCheck: false` against the built package, for a program of Node: no types of the DOM (npm run typecheck).
import * as core from '../../dist/core/index.js';
import * as flows from '../../dist/core/flows/index.js';
import * as http from '../../dist/core/http/index.js';
import * as cookie from '../../dist/core/storage/cookie/index.js';
import * as file from '../../dist/core/storage/file/index.js';
import * as indexeddb from '../../dist/core/storage/indexeddb/index.js';
import * as keyValue from '../../dist/core/storage/key-value/index.js';
import * as localforage from '../../dist/core/storage/localforage/index.js';
import * as memory from '../../dist/core/storage/memory/index.js';
import * as sealed from '../../dist/core/storage/sealed/index.js';
import * as web from '../../dist/core/storage/web/index.js';
import * as testing from '../../dist/core/testing/index.js';

export const entries = [core, flows, http, cookie, file, indexeddb, keyValue, localforage, memory, sealed, web, testing];

export const store: core.CredentialStore = core.createCredentialStore({
  clients: { issuer: 'https://id.example.com', clientId: 'cli' },
  storage: sealed.sealed(file.fileStorage({ folder: 'credentials' }), {
    keys: sealed.staticKeys([{ kid: 'a', key: new Uint8Array(32) }]),
  }),
});
