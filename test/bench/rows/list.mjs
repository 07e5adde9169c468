/** A start whose application shows all credentials: `credentials$` is subscribed before storage has been read. */
import { entriesOf, ISSUER } from '../fixtures.mjs';

const COUNTS = [100, 3_000];

export default async function list({ core, ratio, growth }) {
  const rows = [];
  for (const count of COUNTS) {
    const storage = core.memoryStorage();
    for (const { value } of await entriesOf(core, count)) await storage.write(value, 'absent');
    const text = JSON.stringify(await storage.readAll());
    const times = Math.max(1, 1_000 / count);
    let shown = 0;
    const row = await ratio({
      name: `start with credentials$ subscribed, ${count.toLocaleString('en')} stored, each credential`,
      floor: 'JSON.parse of their records',
      times: times * count,
      subject: async () => {
        for (let i = 0; i < times; i++) shown += await start(core, storage);
      },
      against: () => {
        for (let i = 0; i < times; i++) shown += JSON.parse(text).length;
      },
    });
    if (shown === 0 || shown % count !== 0) throw new Error('not all credentials were shown');
    rows.push(row);
  }
  growth({ name: 'the same for each credential: 3,000 stored against 100', row: rows[1], base: rows[0] });
}

/** How many are shown first. */
async function start(core, storage) {
  const store = core.createCredentialStore({ clients: { issuer: ISSUER, clientId: 'bench' }, storage });
  const shown = await new Promise((resolve) => store.credentials$.subscribe((credentials) => resolve(credentials.length)));
  void store.close();
  return shown;
}
