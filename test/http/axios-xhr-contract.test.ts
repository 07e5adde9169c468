/** @jest-environment ./test/env/web-jsdom.cjs */
// The default of axios in browsers. XMLHttpRequest is that of jsdom: with preflights, and redirects as a browser follows them.
import { describeHttpAdapter } from '../contract/http-contract.js';
import { sendByAxios } from '../support/axios-send.js';

describeHttpAdapter('axios over XMLHttpRequest', (store, options) => sendByAxios('xhr', store, options), {
  looksUpRedirects: false,
  tellsRedirects: false,
});
