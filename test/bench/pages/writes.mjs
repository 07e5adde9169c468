/** The page of `rows/writes.mjs`: storing sealed credentials, and putting the same bytes by hand. */
import { createCredentialStore, createToken } from 'rx-credentials';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { sealed } from 'rx-credentials/storage/sealed';
import { openDatabase, settled, write } from './databases.mjs';

const NAMESPACE = 'bench';
let store;
let byHand;
let template;
let stored = 0;
let put = 0;

/** Opens both, and takes a record that the store has written as what to write by hand. */
async function prepare({ issuer, clientId, tokens }) {
  store = createCredentialStore({ clients: { issuer, clientId }, storage: sealed(indexedDBStorage({ namespace: NAMESPACE })) });
  await store.ready;
  const credential = await store.store(createToken(tokens[0]));
  const database = await openDatabase(`${NAMESPACE}:records`);
  template = await settled(database.transaction('records').objectStore('records').get(credential.id));
  database.close();
  if (typeof template.secrets.sealed !== 'string') throw new Error('the record is not sealed');
  byHand = await openDatabase('by-hand');
}

/** Milliseconds for each credential. */
async function storeAll(tokens) {
  const made = tokens.map(createToken);
  const begin = performance.now();
  for (const token of made) await store.store(token);
  stored += made.length;
  return (performance.now() - begin) / made.length;
}

/** The same bytes, one transaction for each record. */
async function putAll(tokens, durability) {
  const made = tokens.map(({ id }) => ({ ...template, id }));
  const begin = performance.now();
  for (const record of made) await write(byHand, (records) => records.put(record, record.id), durability);
  put += made.length;
  return (performance.now() - begin) / made.length;
}

async function counts() {
  await store.close();
  return { stored, put, kept: store.snapshot().ids.length - 1 };
}

Object.assign(globalThis, { prepare, storeAll, putAll, counts });
