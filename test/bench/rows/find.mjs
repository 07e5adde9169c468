/** Finding some among many by what is known of them. */
import { COUNTS, entriesOf, ISSUER, storeOf, tagsOf, tokenOf } from '../fixtures.mjs';

export default async function find(bench) {
  const { core, growth } = bench;
  const rowsByCount = [];
  for (const count of COUNTS) {
    const tokenAt = (n) => tokenOf(core, n, { clientId: `client-${n % (count / 10)}` });
    const store = await storeOf(core, await entriesOf(core, count, tokenAt));
    const metadata = (await store.find({})).map((credential) => credential.metadata);
    const rows = [];
    for (const criterion of criteriaFor(count, metadata[3])) rows.push(await measure(bench, store, metadata, criterion));
    rowsByCount.push(rows);
    await store.close();
  }
  const [few, , many] = rowsByCount;
  few.forEach((base, kind) => growth({ name: base.name.replace(' among 100', ': 10,000 against 100'), row: many[kind], base }));
}

/** What is asked for, the same for an array, and how many there are; `one` is the fourth credential of all. */
function criteriaFor(count, { id, context: { clientId }, claims: { sub } }) {
  const tag = tagsOf(3, count)[1];
  return [
    { name: '{ tags }, ten have it', query: { tags: tag }, test: (one) => one.tags.includes(tag), matches: 10 },
    { name: '{ id }', query: { id }, test: (one) => one.id === id, matches: 1 },
    { name: '{ clientId }, ten have it', query: { clientId }, test: (one) => one.context.clientId === clientId, matches: 10 },
    { name: '{ claims: { sub } }, one has it', query: { claims: { sub } }, test: (one) => one.claims?.sub === sub, matches: 1 },
    { name: '{ issuer }, all have it', query: { issuer: ISSUER }, test: (one) => one.context.issuer === ISSUER, matches: count },
  ];
}

async function measure({ ratio }, store, metadata, { name, query, test, matches }) {
  const count = metadata.length;
  const times = Math.max(20, 200_000 / count);
  let found = 0;
  let asked = 0;
  const row = await ratio({
    name: `find(${name}) among ${count.toLocaleString('en')}`,
    floor: 'array filter over the metadata',
    times,
    ...(count === 10_000 && { reach: 1, reachOf: 'issue 3' }),
    subject: async () => {
      for (let i = 0; i < times; i++) found += (await store.find(query)).length;
      asked += times;
    },
    against: () => {
      for (let i = 0; i < times; i++) found += metadata.filter(test).length;
      asked += times;
    },
  });
  if (found !== asked * matches) throw new Error(`${name} did not find ${matches}`);
  return row;
}
