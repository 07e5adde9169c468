/** @jest-environment ./test/env/web-jsdom.cjs */
// XMLHttpRequest is that of jsdom: with preflights, and redirects as a browser follows them.
import { firstValueFrom, fromEvent, takeUntil } from 'rxjs';
import type { AjaxError } from 'rxjs/ajax';
import { createAjax } from '../../src/http/rxjs.js';
import { describeHttpAdapter } from '../contract/http-contract.js';
import { readOnce } from '../support/read-once.js';

describeHttpAdapter(
  'ajax of RxJS',
  (store, options) => {
    const ajax = createAjax(store, options);
    return async ({ url, method, headers, body, isReadOnce, signal }) => {
      const request = ajax<string>({
        url,
        crossDomain: true,
        responseType: 'text',
        ...(method && { method }),
        ...(headers && { headers }),
        body: isReadOnce ? readOnce(String(body)) : body,
      });
      try {
        const { status, response } = await firstValueFrom(signal ? request.pipe(takeUntil(fromEvent(signal, 'abort'))) : request);
        return { status, body: response };
      } catch (error) {
        const failed = error as AjaxError;
        if (failed.name === 'AjaxError' && failed.status > 0) return { status: failed.status, body: String(failed.response) };
        throw error;
      }
    };
  },
  { looksUpRedirects: false, tellsRedirects: false },
);
