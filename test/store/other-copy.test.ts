// A client or a storage may come of another copy of the package, as with two bundles on a page: its errors are of other classes.
import * as own from '../../src/index.js';
import { isStorageError } from '../../src/errors.js';
import { isOAuthResponseError } from '../../src/oauth/oauth-response-error.js';
import { asPassing } from '../../src/oauth/passing.js';
import { ISSUER } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime } from '../support/fixture.js';

let other: typeof own;
beforeAll(() => jest.isolateModulesAsync(async () => void (other = await import('../../src/index.js'))));
afterEach(closeAll);

it('RF-8 invalid_grant of a client of another copy ends the session', async () => {
  const { openTab, authority, browser } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  authority.next(new other.OAuthResponseError({ error: 'invalid_grant' }, 'oauth_error', { issuer: ISSUER, status: 400 }));
  const code = await inTime(browser, codeOf(credential.refresh()));
  expect([code, own.isSignedIn(credential.state), credential.state.reason]).toEqual(['needs_sign_in', false, 'rejected']);
  expect(authority.refreshes).toHaveLength(1);
});

it('RF-15 a storage of another copy says why it failed, and what it did not take is kept', async () => {
  const { openTab, authority, disk } = createWorld();
  const error = new other.StorageError('key_lost', 'The key is gone.');
  const storage = { ...disk.storage(), write: () => Promise.reject(error) };
  const { store } = await openTab({ storage });
  const credential = await store.store(authority.signIn());
  expect(store.snapshot()).toMatchObject({ durable: false, storageProblem: { code: 'key_lost' } });
  await expect(credential.setTags(['x'])).rejects.toMatchObject({ code: 'key_lost', message: 'The key is gone.' });
});

it('E51 errors of another copy are told again as what they are', () => {
  expect(isStorageError(new other.CredentialError('storage_failed', 'x'))).toBe(false);
  expect(isOAuthResponseError(new other.NetworkError('network_error', 'x'))).toBe(false);
  const told = asPassing(new other.OAuthResponseError({ error: 'slow_down' }, 'oauth_error'));
  expect([isOAuthResponseError(told) && told.error, told.class]).toEqual(['slow_down', 'transient']);
  for (const Kind of [other.NetworkError, other.ProtocolError, other.StorageError])
    expect(asPassing(new Kind('timeout', 'x'))).toMatchObject({ name: new Kind('timeout', 'x').name, code: 'timeout' });
});
