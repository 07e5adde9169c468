/** The page that `rows/load.mjs` compares with: the least that reads a sealed token and knows whether it is valid still. */
import { begunAt } from './begin.mjs';
import { openDatabase, settled, write } from './databases.mjs';

const database = await openDatabase('minimum');
const records = database.transaction('records').objectStore('records');
const [record, key] = await Promise.all([settled(records.get('default')), settled(records.get('key'))]);
if (record) {
  const text = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: record.iv }, key, record.sealed);
  const token = JSON.parse(new TextDecoder().decode(text));
  if (token.expiresAt > Date.now()) {
    const accessToken = token.accessToken;
    const tokenAt = performance.now(); // milliseconds since the navigation began
    void fetch('/said', { method: 'POST', body: JSON.stringify({ begunAt, tokenAt, accessToken }) });
  }
}

globalThis.fill = async (fields) => {
  const made = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, made, new TextEncoder().encode(JSON.stringify(fields)));
  await write(database, (store) => {
    store.put(made, 'key');
    store.put({ iv, sealed }, 'default');
  });
  database.close();
};
globalThis.close = () => database.close();
