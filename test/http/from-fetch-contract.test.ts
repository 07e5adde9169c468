import { firstValueFrom, fromEvent, takeUntil } from 'rxjs';
import { createFromFetch } from '../../src/http/rxjs.js';
import { describeHttpAdapter } from '../contract/http-contract.js';
import { streamOf } from '../support/read-once.js';

describeHttpAdapter('fromFetch of RxJS', (store, options) => {
  const fromFetch = createFromFetch(store, options);
  return ({ url, signal, isReadOnce, ...init }) => {
    const stream = isReadOnce && { body: streamOf(String(init.body)), duplex: 'half' };
    const answer = fromFetch(url, {
      ...init,
      ...stream,
      selector: async (response) => ({ status: response.status, body: await response.text() }),
    });
    return firstValueFrom(signal ? answer.pipe(takeUntil(fromEvent(signal, 'abort'))) : answer);
  };
});
