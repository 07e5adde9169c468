/** Tokens, stores, storages and a server for the rows: the same for all groups. */

import { randomBytes } from 'node:crypto';

export const ISSUER = 'https://id.example.com';
export const CLIENT_ID = 'bench';

/** Numbers of credentials that rows are measured at. */
export const COUNTS = [100, 1_000, 10_000];

/** What the n-th token is made of, as a sign-in would have brought it. */
export function fieldsOf(n, { issuer = ISSUER, clientId = CLIENT_ID, lifetimeMs = 3_600_000, issuedAt = Date.now() } = {}) {
  return {
    id: randomBytes(16).toString('base64url'), // as flows make them
    accessToken: `access-${n}-`.padEnd(800, 'x'),
    refreshToken: `refresh-${n}-`.padEnd(60, 'y'),
    tokenType: 'Bearer',
    scope: 'openid profile offline_access',
    issuedAt,
    expiresAt: issuedAt + lifetimeMs,
    claims: { iss: issuer, sub: `user-${n}`, aud: clientId, exp: 4_000_000_000, iat: 1_700_000_000, name: `User ${n}` },
    context: { issuer, clientId, scope: 'openid profile offline_access' },
  };
}

/** The n-th token. */
export function tokenOf({ createToken }, n, options) {
  return createToken(fieldsOf(n, options));
}

/** Ten credentials carry each tag, however many there are. */
export function tagsOf(n, count) {
  return ['bench', `service:${n % Math.max(1, count / 10)}`];
}

/** What a storage that holds `count` credentials would be read as: made once, by a store. `tokenAt` makes the n-th token. */
export async function entriesOf(core, count, tokenAt = (n) => tokenOf(core, n)) {
  const storage = core.memoryStorage();
  const store = core.createCredentialStore({ clients: { issuer: ISSUER, clientId: CLIENT_ID }, storage });
  for (let n = 0; n < count; n++) await store.store(tokenAt(n), { tags: tagsOf(n, count) });
  await store.close();
  return storage.readAll();
}

/** A store that starts from these entries. */
export async function storeOf(core, entries, { storage = core.memoryStorage(), ...options } = {}) {
  for (const { value } of entries) await storage.write(value, 'absent');
  const store = core.createCredentialStore({ clients: { issuer: ISSUER, clientId: CLIENT_ID }, storage, ...options });
  await store.ready;
  return store;
}

/** A storage that counts what is written to the one inside: writes and removals, and their bytes as JSON. */
export function countingStorage(storage) {
  const counted = { writes: 0, bytes: 0, reset: () => Object.assign(counted, { writes: 0, bytes: 0 }) };
  const write = (record, condition) => {
    counted.writes++;
    counted.bytes += bytesOf(record);
    return storage.write(record, condition);
  };
  const remove = (id, condition) => {
    counted.writes++;
    return storage.remove(id, condition);
  };
  return { counted, storage: { ...storage, write, remove } };
}

/** Bytes of a value as JSON text in UTF-8. */
export function bytesOf(value) {
  return Buffer.byteLength(JSON.stringify(value));
}

/**
 * An authorization server that answers refresh requests with a token that has expired already: the next reading must renew again.
 * `handle` takes the path and returns the JSON to send.
 */
export function createServer(issuer = ISSUER) {
  const metadata = { issuer, token_endpoint: `${issuer}/token`, response_types_supported: ['code'] };
  let tokenRequests = 0;
  return {
    get tokenRequests() {
      return tokenRequests;
    },
    handle: (path) => {
      if (path !== '/token') return metadata;
      tokenRequests++;
      const n = String(tokenRequests);
      return { access_token: n.padEnd(800, 'a'), refresh_token: n.padEnd(60, 'r'), token_type: 'Bearer', expires_in: 0 };
    },
  };
}

/** A platform on which this server answers every request. */
export function platformOf({ defaultPlatform }, server) {
  return { ...defaultPlatform(), fetch: (url) => Promise.resolve(Response.json(server.handle(new URL(url).pathname))) };
}

/** One refresh request as one would write it by hand. */
export async function rawRefresh(fetch, issuer) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'r'.repeat(60), client_id: CLIENT_ID });
  const response = await fetch(`${issuer}/token`, { method: 'POST', body });
  return response.json();
}
