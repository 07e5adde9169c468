/** Attaching a token that is at hand: what `createFetch` costs over the `fetch` it calls. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { entriesOf, storeOf } from '../fixtures.mjs';

const API = 'https://api.example.com/v1/';

export default async function attach({ core, coreFolder, difference }) {
  const { createFetch } = await import(pathToFileURL(join(coreFolder, 'http/index.js')).href);
  const response = new Response('ok');
  let characters = 0; // what is sent is looked at, or the compiler drops it
  const stub = (input, init) => {
    characters += input.length + (init?.method?.length ?? 0);
    return Promise.resolve(response);
  };
  const urls = Array.from({ length: 128 }, (_, n) => `${API}orders/${n}`); // no two requests that follow each other are for the same
  const store = await storeOf(core, await entriesOf(core, 128));
  const [credential] = await store.find({ tags: 'bench' });
  await credential.accessToken(); // as one that is in use
  const many = Array.from({ length: 1_000 }, (_, n) => `https://api.example.com/other-${n}/`);
  const cases = [
    ['a token that is at hand', [API], undefined, { reach: 0.01, reachOf: 'issue 5' }],
    ['the same, with 1,000 resources more', [API, ...many], undefined, { reach: 0.01, reachOf: 'issue 5' }],
    ['the same, with headers of its own', [API], { method: 'POST', headers: { accept: 'application/json' }, body: '{}' }, {}],
    ['the same, with a credential that is named by its id', [{ url: API, credential: credential.id }], undefined, {}],
    ['off the list', ['https://other.example.com/'], undefined, {}],
  ];
  for (const [name, resources, init, reach] of cases) {
    const send = createFetch(store, { resources, fetch: stub });
    await difference({
      name: `createFetch: ${name}`,
      floor: 'fetch to a stub',
      times: 2_000,
      ...reach,
      subject: async (times) => {
        for (let i = 0; i < times; i++) await send(urls[i & 127], init);
      },
      against: async (times) => {
        for (let i = 0; i < times; i++) await stub(urls[i & 127], init);
      },
    });
  }
  if (characters === 0) throw new Error('nothing was sent');
  await store.close();
}
