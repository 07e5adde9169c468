import { describeHttpAdapter } from '../contract/http-contract.js';
import { sendByAxios } from '../support/axios-send.js';

describeHttpAdapter('axios in Node', (store, options) => sendByAxios('http', store, options));

describeHttpAdapter('axios over fetch', (store, options) => sendByAxios('fetch', store, options), {
  looksUpRedirects: false,
});
