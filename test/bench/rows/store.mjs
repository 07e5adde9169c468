/** Storing into a store that holds many: the price of one, whatever their number. Each round begins with a new store. */
import { entriesOf, storeOf, tokenOf } from '../fixtures.mjs';

const TIMES = 25;

export default async function storing({ core, ratio, growth }) {
  const tokens = Array.from({ length: TIMES }, (_, i) => tokenOf(core, `new-${i}`));
  const resolved = Promise.resolve();
  const rows = [];
  for (const count of [100, 1_000, 10_000]) {
    const entries = await entriesOf(core, count);
    const map = new Map(entries.map(({ id, value }) => [id, value]));
    let store;
    const row = await ratio({
      name: `store(token) into a store of ${count.toLocaleString('en')}`,
      floor: 'Map.set and one awaited promise',
      times: TIMES,
      againstTimes: 20_000,
      beforeRound: async () => {
        await store?.close();
        store = await storeOf(core, entries);
      },
      subject: async (times) => {
        for (let i = 0; i < times; i++) await store.store(tokens[i]);
      },
      against: async (times) => {
        for (let i = 0; i < times; i++) {
          map.set(tokens[i % TIMES].id, tokens[i % TIMES]);
          await resolved;
        }
      },
    });
    rows.push(row);
    await store.close();
  }
  growth({ name: 'store(token): 10,000 held against 100', row: rows[2], base: rows[0] });
}
