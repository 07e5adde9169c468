import { createFetch } from '../../src/http/index.js';
import { describeHttpAdapter, type ContractSend } from '../contract/http-contract.js';
import { streamOf } from '../support/read-once.js';

/** As an application would use it. */
function sendBy(send: typeof fetch): ContractSend {
  return async ({ url, signal, isReadOnce, ...init }) => {
    const stream = isReadOnce && { body: streamOf(String(init.body)), duplex: 'half' };
    const response = await send(url, { ...init, ...stream, ...(signal && { signal }) });
    return { status: response.status, body: await response.text() };
  };
}

describeHttpAdapter('fetch', (store, options) => sendBy(createFetch(store, options)));

describeHttpAdapter(
  'fetch, requests as objects',
  (store, options) => {
    const send = createFetch(store, options);
    // A body in a `Request` is a stream: one that is to be sent again is given beside it.
    return ({ body, isReadOnce, ...request }) => {
      const given = isReadOnce ? { body: streamOf(String(body)), duplex: 'half' } : { ...(body !== undefined && { body }) };
      return sendBy((url, init) => send(new Request(url, init), given))(request);
    };
  },
  { takesBaseUrl: false },
);

describeHttpAdapter(
  'fetch, redirects by the runtime',
  (store, options) => sendBy(createFetch(store, { ...options, redirects: 'platform' })),
  {
    looksUpRedirects: false,
  },
);
