/** Reading a token that is valid: what an application does before every request. */
import { entriesOf, storeOf } from '../fixtures.mjs';

const COUNT = 128; // a power of two: `& MASK` is the cheapest way around the list
const MASK = COUNT - 1;

export default async function read({ core, ratio }) {
  const store = await storeOf(core, await entriesOf(core, COUNT));
  const credentials = await store.find({ tags: 'bench' });
  const byHand = credentials.map(({ token }) => minimum(token));
  for (const credential of credentials) await credential.accessToken(); // as one that is in use
  await reading(ratio, 'async: accessToken()', credentials[0], { reach: 3, reachOf: 'issue 3' });
  await reading(ratio, 'async: a minimum by hand', byHand[0], {});

  const ids = credentials.map(({ id }) => id);
  const tokens = new Map(credentials.map(({ id, token }) => [id, token.accessToken]));
  let characters = 0; // what is read is used, or the compiler drops the reading
  const peeking = (name, subject, reach) =>
    ratio({
      name: `current token, sync: ${name}`,
      floor: 'Map look-up',
      times: 20_000,
      ...reach,
      subject,
      against: (times) => {
        for (let i = 0; i < times; i++) characters += tokens.get(ids[i & MASK]).length;
      },
    });
  const reach = { reach: 12, reachOf: 'issue 3' };
  const peek = (times) => {
    for (let i = 0; i < times; i++) characters += credentials[i & MASK].token.accessToken.length;
  };
  const peekIfValid = (times) => {
    for (let i = 0; i < times; i++) {
      const credential = credentials[i & MASK];
      if (credential.status.token === 'valid') characters += credential.token.accessToken.length;
    }
  };
  const peekByHand = (times) => {
    for (let i = 0; i < times; i++) characters += byHand[i & MASK].token?.length ?? 0;
  };
  await peeking('token.accessToken', peek, reach);
  await peeking('token.accessToken if status.token is valid', peekIfValid, reach);
  await peeking('a minimum by hand', peekByHand);
  if (characters === 0) throw new Error('nothing was read');
  await store.close();
}

async function reading(ratio, name, credential, reach) {
  const resolved = Promise.resolve(await credential.accessToken());
  await ratio({
    name: `current valid token, ${name}`,
    floor: 'await of a resolved promise',
    times: 5_000, // short: a busy machine interrupts few of the rounds
    ...reach,
    subject: async (times) => {
      for (let i = 0; i < times; i++) await credential.accessToken();
    },
    against: async (times) => {
      for (let i = 0; i < times; i++) await resolved;
    },
  });
}

/** The least that knows whether its token is valid still. */
function minimum({ accessToken, expiresAt }) {
  return {
    get token() {
      return Date.now() < expiresAt ? accessToken : null;
    },
    async accessToken() {
      if (Date.now() < expiresAt) return accessToken;
      throw new Error('the token has expired');
    },
  };
}
