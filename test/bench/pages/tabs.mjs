/**
 * A tab of `rows/refresh-tabs.mjs`. It has two sessions, one in a store and one in a minimum by hand, and waits for a sign to ask for the
 * token of one of them. One more tab, the conductor, gives that sign and waits for all.
 */
import { createCredentialStore, createToken, defaultPlatform } from 'rx-credentials';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { requestTokens, tokenFieldsOf } from './by-hand.mjs';
import { openDatabase, settled, write } from './databases.mjs';

const query = new URLSearchParams(location.search);
const client = { issuer: query.get('issuer'), clientId: query.get('clientId') };
let aheadMs = Number(query.get('aheadMs'));
const now = () => Date.now() + aheadMs;
/** Epoch milliseconds: the tabs of a machine have one clock. */
const instant = () => performance.timeOrigin + performance.now();
const real = defaultPlatform();
const platform = {
  ...real,
  now,
  fetch: (url, init) => {
    globalThis.isSending ||= url.endsWith('/token');
    return real.fetch(url, init);
  },
};

const channel = new BroadcastChannel('conductor');
const opening = {
  store: () => {
    const options = { clients: client, platform, renewal: { ahead: false } }; // the tabs are measured when they ask
    return createCredentialStore({ ...options, storage: indexedDBStorage({ namespace: 'bench' }) });
  },
  'by hand': () => openDatabase('by-hand'),
};
const opened = {};
const open = (kind) => (opened[kind] ??= opening[kind]());
let held = null;

const asking = {
  store: async () => {
    const credential = await open('store').getDefault();
    return credential.accessToken();
  },
  /** The least that eight tabs can share: a lock, what is stored read again under it, one request, a strict write. */
  'by hand': () => {
    if (held && held.expiresAt > now()) return held.accessToken;
    return navigator.locks.request('by-hand', async () => {
      const database = await open('by hand');
      const stored = await settled(database.transaction('records').objectStore('records').get('token'));
      if (stored.expiresAt > now()) return (held = stored).accessToken;
      const tokens = await requestTokens(client, stored.refreshToken);
      const next = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token, expiresAt: now() + tokens.expires_in * 1_000 };
      await write(database, (records) => records.put(next, 'token'));
      held = next;
      return next.accessToken;
    });
  },
};

async function ask(kind) {
  const begin = instant();
  const accessToken = await asking[kind]();
  return { begin, end: instant(), accessToken };
}

channel.onmessage = async ({ data: { sign, kind, staggerMs, ahead } }) => {
  if (sign === 'prepare') {
    aheadMs = ahead;
    if (kind === 'store') await open(kind).allIDs(); // a clock that jumps is a program that slept: reading again then is not measured
    channel.postMessage({ done: 'prepare' });
  }
  if (sign === 'ask') {
    await new Promise((resolve) => (staggerMs ? setTimeout(resolve, staggerMs * Number(query.get('tab'))) : resolve()));
    channel.postMessage({ done: 'ask', ...(await ask(kind)) });
  }
};

/** Gives a sign, and resolves with what so many tabs answered. */
function conduct(count, message) {
  const answers = [];
  const conductor = new BroadcastChannel('conductor');
  return new Promise((resolve) => {
    conductor.onmessage = ({ data }) => {
      if (data.done === message.sign) answers.push(data);
      if (answers.length < count) return;
      conductor.close();
      resolve(answers);
    };
    channel.onmessage = null;
    conductor.postMessage(message);
  });
}

/** Puts a first session into both. */
async function fill(tokens) {
  const { store } = opening;
  const filling = store();
  await filling.store(createToken(tokenFieldsOf(tokens.store, { ...client, now: now() })));
  await filling.close();
  const database = await openDatabase('by-hand');
  await write(database, (records) =>
    records.put({ refreshToken: tokens['by hand'].refresh_token, accessToken: '', expiresAt: 0 }, 'token'),
  );
  database.close();
}

const restarted = query.get('ask');
if (restarted) {
  globalThis.asked = asking[restarted]().then((accessToken) => ({ begin: performance.timeOrigin, end: instant(), accessToken }));
}
Object.assign(globalThis, { conduct, fill, ask });
