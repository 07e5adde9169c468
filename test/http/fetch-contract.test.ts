import { createFetch } from '../../src/http/index.js';
import { describeHttpAdapter, type ContractSend } from '../contract/http-contract.js';

/** As an application would use it. */
function sendBy(send: typeof fetch): ContractSend {
  return async ({ url, signal, ...init }) => {
    const response = await send(url, { ...init, ...(signal && { signal }) });
    return { status: response.status, body: await response.text() };
  };
}

describeHttpAdapter('fetch', (store, options) => sendBy(createFetch(store, options)));

describeHttpAdapter('fetch, requests as objects', (store, options) => {
  const send = createFetch(store, options);
  // A body in a `Request` is a stream: one that is to be sent again is given beside it.
  return ({ body, ...request }) => sendBy((url, init) => send(new Request(url, init), body === undefined ? {} : { body }))(request);
});

describeHttpAdapter(
  'fetch, redirects by the runtime',
  (store, options) => sendBy(createFetch(store, { ...options, redirects: 'platform' })),
  {
    looksUpRedirects: false,
  },
);
