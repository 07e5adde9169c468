/** The page of `rows/startup.mjs`: a start of a store that holds many sealed credentials, and the reading of the same bytes by hand. */
import { createCredentialStore, memoryStorage } from 'rx-credentials';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { indexedDBKeys, sealed } from 'rx-credentials/storage/sealed';
import { openDatabase, settled, write } from './databases.mjs';

const NAMESPACE = 'bench';
const DATABASE = `${NAMESPACE}:records`;

/** Seals what the server has and puts it where the storage will look for it. */
async function fill() {
  const entries = await (await fetch('/entries.json')).json();
  const memory = memoryStorage({ namespace: NAMESPACE });
  const storage = sealed(memory, { keys: indexedDBKeys({ namespace: NAMESPACE }) });
  await storage.open();
  for (const { value } of entries) await storage.write(value, 'absent');
  await storage.close();
  const disk = indexedDBStorage({ namespace: NAMESPACE }); // makes the database
  await disk.open();
  await disk.close();
  const database = await openDatabase(DATABASE);
  const all = await memory.readAll();
  await write(database, (records) => all.forEach(({ id, value }) => records.put(value, id)));
  database.close();
}

async function startStore({ issuer, clientId, tag }) {
  let opened = 0;
  const begin = performance.now();
  const inside = sealed(indexedDBStorage({ namespace: NAMESPACE }));
  const unseal = (record) => {
    opened++;
    return inside.unseal(record);
  };
  const store = createCredentialStore({ clients: { issuer, clientId }, storage: { ...inside, unseal } });
  await store.ready;
  const found = await store.find({ tags: tag });
  const ms = performance.now() - begin;
  const count = store.snapshot().ids.length;
  await store.close();
  return { ms, opened, found: found.length, count };
}

async function readByHand() {
  const begin = performance.now();
  const database = await openDatabase(DATABASE);
  const records = await settled(database.transaction('records').objectStore('records').getAll());
  const ms = performance.now() - begin;
  database.close();
  return { ms, count: records.length };
}

Object.assign(globalThis, { fill, startStore, readByHand });
