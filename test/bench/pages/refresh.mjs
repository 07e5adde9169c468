/** The page of `rows/refresh-page.mjs`: refreshes by a store, and by hand; and what ten thousand idle credentials keep in a page. */
import { createCredentialStore, createToken, defaultPlatform, memoryStorage } from 'rx-credentials';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { sealed } from 'rx-credentials/storage/sealed';
import { requestTokens, tokenFieldsOf } from './by-hand.mjs';
import { openDatabase, settled, write } from './databases.mjs';

const EXPIRED_MS = 3_600_000;
const STORAGES = {
  memory: () => memoryStorage(),
  IndexedDB: () => indexedDBStorage({ namespace: 'bench' }),
  sealed: () => sealed(indexedDBStorage({ namespace: 'bench-sealed' })),
};

let aheadMs = 0;
const platform = { ...defaultPlatform(), now: () => Date.now() + aheadMs };
const stores = {};
const credentials = {};
const byHand = {};

/** Everybody gets a session: each storage, the raw requests, and the minimum by hand. */
async function prepare({ issuer, clientId, tokens }) {
  for (const [kind, storage] of Object.entries(STORAGES)) {
    const options = { clients: { issuer, clientId }, platform, renewal: { ahead: false } }; // the callers are measured
    stores[kind] = createCredentialStore({ ...options, storage: storage() });
    credentials[kind] = await stores[kind].store(createToken(tokenFieldsOf(tokens[kind], { issuer, clientId, now: platform.now() })));
  }
  Object.assign(byHand, {
    issuer,
    clientId,
    raw: tokens.raw.refresh_token,
    database: await openDatabase('by-hand'),
    held: null,
    asking: null,
  });
  const { refresh_token: refreshToken } = tokens.byHand;
  await write(byHand.database, (records) => records.put({ refreshToken, accessToken: '', expiresAt: 0 }, 'token'));
}

/** Milliseconds until so many callers have the next token. */
async function callers(kind, count) {
  const ask = kind.startsWith('by hand') ? askByHand : () => credentials[kind].accessToken();
  byHand.notesIntent = kind.endsWith('with an intent'); // so that whoever comes after a crash knows that the token may be used up (RF-3)
  aheadMs += EXPIRED_MS;
  await stores[kind]?.allIDs(); // a clock that jumps is a program that slept: that it reads everything again then is not measured
  const begin = performance.now();
  const given = await Promise.all(Array.from({ length: count }, ask));
  const ms = performance.now() - begin;
  if (new Set(given).size !== 1) throw new Error('the callers were given different tokens');
  return { ms, accessToken: given[0] };
}

/** Milliseconds of one refresh, of so many one after another. */
async function refreshes(kind, times) {
  const credential = credentials[kind];
  const begin = performance.now();
  for (let i = 0; i < times; i++) await credential.refresh();
  return (performance.now() - begin) / times;
}

/** The same for the request alone. */
async function rawRequests(times) {
  const begin = performance.now();
  for (let i = 0; i < times; i++) byHand.raw = (await requestTokens(byHand, byHand.raw)).refresh_token;
  return (performance.now() - begin) / times;
}

/** The least that is durable: one request for all callers of a tab, a lock for all tabs, a strict write before anybody is given the token. */
function askByHand() {
  const { held } = byHand;
  if (held && held.expiresAt > platform.now()) return Promise.resolve(held.accessToken);
  return (byHand.asking ??= renewByHand().finally(() => (byHand.asking = null)));
}

function renewByHand() {
  return navigator.locks.request('by-hand', async () => {
    const { database } = byHand;
    const stored = await settled(database.transaction('records').objectStore('records').get('token'));
    if (stored.expiresAt > platform.now()) return (byHand.held = stored).accessToken;
    if (byHand.notesIntent) await write(database, (records) => records.put({ ...stored, intent: platform.now() }, 'token'), 'relaxed');
    const tokens = await requestTokens(byHand, stored.refreshToken);
    const next = {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
      expiresAt: platform.now() + tokens.expires_in * 1_000,
    };
    await write(database, (records) => records.put(next, 'token'));
    byHand.held = next;
    return next.accessToken;
  });
}

/** Timers and listeners that a store with so many idle credentials keeps, beyond what the page had. */
async function idle(count, { issuer, clientId }) {
  const kept = counting();
  const storage = memoryStorage({ namespace: `idle-${count}` });
  const store = createCredentialStore({ clients: { issuer, clientId }, storage });
  const now = Date.now();
  const tokens = { access_token: 'a'.repeat(800), refresh_token: 'r'.repeat(60), scope: 'openid', expires_in: 600 };
  for (let n = 0; n < count; n++) await store.store(createToken(tokenFieldsOf(tokens, { issuer, clientId, now })));
  await new Promise((resolve) => kept.real.setTimeout.call(window, resolve, 100)); // whatever was begun has ended
  const { timers, listeners } = kept.counts();
  await store.close();
  const after = kept.counts();
  kept.stop();
  return { timers, listeners, timersAfter: after.timers, listenersAfter: after.listeners, stored: store.snapshot().ids.length };
}

/** Counts the timers that are armed, and the listeners of the page, from now on. */
function counting() {
  const real = {
    setTimeout: window.setTimeout,
    clearTimeout: window.clearTimeout,
    add: EventTarget.prototype.addEventListener,
    remove: EventTarget.prototype.removeEventListener,
  };
  const timers = new Set();
  let listeners = 0;
  const isOfPage = (target) => target === window || target === document || target === undefined;
  window.setTimeout = (callback, ms, ...args) => {
    const timer = real.setTimeout.call(
      window,
      () => {
        timers.delete(timer);
        callback(...args);
      },
      ms,
    );
    timers.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => {
    timers.delete(timer);
    real.clearTimeout.call(window, timer);
  };
  EventTarget.prototype.addEventListener = function (...args) {
    if (isOfPage(this)) listeners++;
    return real.add.apply(this, args);
  };
  EventTarget.prototype.removeEventListener = function (...args) {
    if (isOfPage(this)) listeners--;
    return real.remove.apply(this, args);
  };
  return {
    real,
    counts: () => ({ timers: timers.size, listeners }),
    stop: () => {
      Object.assign(window, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
      Object.assign(EventTarget.prototype, { addEventListener: real.add, removeEventListener: real.remove });
    },
  };
}

Object.assign(globalThis, { prepare, callers, refreshes, rawRequests, idle });
