/** Commands on a store that holds many: the price of one, whatever their number. Each round begins with a new store. */
import { COUNTS, entriesOf, storeOf, tokenOf } from '../fixtures.mjs';

const TIMES = 25;

export default async function storing({ core, ratio, growth }) {
  const tokens = Array.from({ length: TIMES }, (_, i) => tokenOf(core, `new-${i}`));
  const commands = {
    'store(token)': (store, _, i) => store.store(tokens[i]),
    'setTags(tags)': (_, credentials, i) => credentials[i].setTags(['bench', `tag-${i}`]),
    'setDefault(credential)': (store, credentials, i) => store.setDefault(credentials[i]),
  };
  const rows = {};
  for (const count of COUNTS) {
    const entries = await entriesOf(core, count);
    for (const [name, command] of Object.entries(commands)) {
      rows[`${name} ${count}`] = await measure(ratio, core, { name, command, entries, tokens });
    }
  }
  for (const name of Object.keys(commands)) {
    growth({ name: `${name}: 10,000 held against 100`, row: rows[`${name} 10000`], base: rows[`${name} 100`] });
  }
}

async function measure(ratio, core, { name, command, entries, tokens }) {
  const resolved = Promise.resolve();
  const map = new Map(entries.map(({ id, value }) => [id, value]));
  let store;
  let credentials;
  const row = await ratio({
    name: `${name} in a store of ${entries.length.toLocaleString('en')}`,
    floor: 'Map.set and one awaited promise',
    times: TIMES,
    againstTimes: 20_000,
    beforeRound: async () => {
      await store?.close();
      store = await storeOf(core, entries);
      credentials = (await store.find({})).slice(1, TIMES + 1); // not the default
      await credentials[TIMES - 1].setTags([]); // the code that loads late
    },
    subject: async (times) => {
      for (let i = 0; i < times; i++) await command(store, credentials, i);
    },
    against: async (times) => {
      for (let i = 0; i < times; i++) {
        map.set(tokens[i % TIMES].id, tokens[i % TIMES]);
        await resolved;
      }
    },
  });
  await store.close();
  return row;
}
