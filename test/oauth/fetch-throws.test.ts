import { send } from '../../src/oauth/transport.js';
import { unitPlatform } from '../support/unit-platform.js';

it('D-055 a fetch that throws before it gave a promise has sent nothing', async () => {
  const platform = unitPlatform({
    fetch: () => {
      throw new ReferenceError('CANARY');
    },
  });
  const sent = send(platform, 'https://id.example.com/token', {}, { timeoutMs: 1_000, maxBytes: 1_000 }, 'https://id.example.com');
  await expect(sent).rejects.toMatchObject({
    code: 'network_error',
    class: 'transient',
    message: 'fetch could not be called (ReferenceError).',
  });
});

it('D-055 of a fetch that was called and gave nothing nobody knows what it has sent', async () => {
  const fetch = jest.fn(() => undefined as unknown as Promise<Response>);
  const limits = { timeoutMs: 1_000, maxBytes: 1_000 };
  const sent = send(unitPlatform({ fetch }), 'https://id.example.com/token', {}, limits, 'https://id.example.com');
  await expect(sent).rejects.toMatchObject({ code: 'network_error', class: 'unknown_outcome' });
  expect(fetch).toHaveBeenCalledTimes(1);
});
