/** Reading a token that is valid: what an application does before every request. */
import { entriesOf, storeOf } from '../fixtures.mjs';

const COUNT = 128; // a power of two: `& MASK` is the cheapest way around the list
const MASK = COUNT - 1;

export default async function read({ core, ratio }) {
  const store = await storeOf(core, await entriesOf(core, COUNT));
  const credentials = await store.find({ tags: 'bench' });
  const [credential] = credentials;
  const resolved = Promise.resolve(await credential.accessToken());

  await ratio({
    name: 'current valid token, async: accessToken()',
    floor: 'await of a resolved promise',
    times: 20_000,
    reach: 5,
    reachOf: 'first target; 3 × later',
    subject: async (times) => {
      for (let i = 0; i < times; i++) await credential.accessToken();
    },
    against: async (times) => {
      for (let i = 0; i < times; i++) await resolved;
    },
  });

  const ids = credentials.map(({ id }) => id);
  const tokens = new Map(credentials.map(({ id, token }) => [id, token.accessToken]));
  let characters = 0; // what is read is used, or the compiler drops the reading
  await ratio({
    name: 'current token, sync: token.accessToken',
    floor: 'Map look-up',
    times: 200_000,
    reach: 12,
    reachOf: 'later target',
    subject: (times) => {
      for (let i = 0; i < times; i++) characters += credentials[i & MASK].token.accessToken.length;
    },
    against: (times) => {
      for (let i = 0; i < times; i++) characters += tokens.get(ids[i & MASK]).length;
    },
  });
  if (characters === 0) throw new Error('nothing was read');
  await store.close();
}
