/** What replacing one token writes: one record, however many are stored. Counts, the same on every machine. */
import { randomBytes } from 'node:crypto';
import { bytesOf, countingStorage, createServer, entriesOf, ISSUER, platformOf, storeOf, tokenOf } from '../fixtures.mjs';

const HELD = [10, 1_000, 10_000];
/** What each command writes: a refresh the intent before the request and the token after it (RF-3). */
const COMMANDS = {
  'store(token, { replace })': { records: 1, run: (store, credential, core) => store.store(tokenOf(core, 'new'), { replace: credential }) },
  'refresh()': { records: 2, run: (store, credential) => credential.refresh() },
};

export default async function replacing({ core, importCore, count }) {
  const { sealed, staticKeys } = await importCore('storage/sealed');
  const keys = staticKeys([{ kid: 'bench', key: randomBytes(32) }]);
  const kinds = [
    { name: 'plain', wrap: (storage) => storage, reach: 1.3 },
    { name: 'sealed', wrap: (storage) => sealed(storage, { keys }), reach: 1.8 },
  ];
  const entriesBySize = await Promise.all(HELD.map((held) => entriesOf(core, held)));
  for (const { name, wrap, reach } of kinds) {
    const figures = [];
    for (const entries of entriesBySize) figures.push(await measure(core, entries, wrap));
    for (const [command, { records }] of Object.entries(COMMANDS)) {
      const measured = figures.map((of) => of[command]);
      const at = `${name}: ${command}`;
      const reachOf = records === 1 ? 'issue 3' : 'issue 4';
      count({ name: `${at}, records written`, value: most(measured, 'writes'), unit: 'records', reach: records, reachOf });
      const share = most(measured, 'share') / records;
      count({ name: `${at}, bytes of each against the plain record`, value: share, unit: '×', reach, reachOf });
      const growth = measured.at(-1).bytes / measured[0].bytes;
      count({ name: `${at}, bytes at 10,000 stored against 10`, value: growth, unit: '×', reach: 1, limit: 1.01, reachOf });
    }
  }
}

function most(figures, member) {
  return Math.max(...figures.map((figure) => figure[member]));
}

/** Writes and bytes of each command on one credential among those that are stored. */
async function measure(core, entries, wrap) {
  const server = createServer();
  const { counted, storage: inside } = countingStorage(core.memoryStorage());
  const storage = wrap(inside);
  const clients = { issuer: ISSUER, clientId: 'bench', platform: platformOf(core, server) };
  const store = await storeOf(core, entries, { storage, clients });
  const all = await store.find({ tags: 'bench' });
  const credential = all[Math.floor(all.length / 2)];
  await credential.refresh(); // discovery, the code that loads late, and what a start does besides
  const figures = {};
  for (const [name, { run }] of Object.entries(COMMANDS)) {
    counted.reset();
    await run(store, credential, core);
    const { writes, bytes } = counted;
    const stored = await inside.read(credential.id);
    const plain = storage.unseal ? await storage.unseal(stored) : stored;
    if (plain.secrets.accessToken !== credential.token.accessToken) throw new Error('what was counted is not what is stored');
    figures[name] = { writes, bytes, share: bytes / bytesOf(plain) };
  }
  await store.close();
  return figures;
}
