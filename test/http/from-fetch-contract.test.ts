import { firstValueFrom, fromEvent, takeUntil } from 'rxjs';
import { createFromFetch } from '../../src/http/rxjs.js';
import { describeHttpAdapter } from '../contract/http-contract.js';

describeHttpAdapter('fromFetch of RxJS', (store, options) => {
  const fromFetch = createFromFetch(store, options);
  return ({ url, signal, ...init }) => {
    const answer = fromFetch(url, { ...init, selector: async (response) => ({ status: response.status, body: await response.text() }) });
    return firstValueFrom(signal ? answer.pipe(takeUntil(fromEvent(signal, 'abort'))) : answer);
  };
});
