import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import {
  CredentialStore,
  injectDefaultCredential,
  injectToken,
  provideCredentials,
  withRefresh,
  withStorage,
} from 'rx-credentials-angular';
import { sealed, staticKeys } from 'rx-credentials/storage/sealed';
import { createCredentialStore, memoryStorage, type CredentialStorage } from '../../src/index.js';
import { createWorld, settle } from '../support/fixture.js';

it('E12 a token is never another credential’s, nor another user’s: undefined until the one that is wanted now is opened', async () => {
  const [inner, keys] = [memoryStorage(), staticKeys([{ kid: 'a', key: new Uint8Array(32).fill(7) }])];
  const { authority, browser } = createWorld();
  const storage = (): CredentialStorage => sealed(inner, { keys });
  const elsewhere = (): CredentialStore => {
    const platform = browser.openTab();
    return createCredentialStore({ clients: authority.client(platform), storage: storage(), platform, renewal: { ahead: false } });
  };
  const earlier = elsewhere();
  await earlier.store(authority.signIn({ id: 'a', sub: 'alice' }));
  await earlier.store(authority.signIn({ id: 'b', sub: 'bob' }));
  await earlier.close();
  TestBed.configureTestingModule({
    providers: [provideCredentials(authority.client(browser.openTab()), withStorage(storage), withRefresh({ ahead: false }))],
  });
  const store = TestBed.inject(CredentialStore);
  const selected = signal('a');
  const [user, token, ofSelected] = TestBed.runInInjectionContext(() => [injectDefaultCredential(), injectToken(), injectToken(selected)]);
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 50 && !isSo(); turn++) await settle();
  };
  await store.ready;
  TestBed.tick();
  expect([token()?.id, ofSelected()?.id]).toEqual(['a', 'a']);

  await store.setDefault('b');
  expect([user()?.id, token()]).toEqual(['b', undefined]); // sealed as yet
  await until(() => token() !== undefined);
  expect(token()?.id).toBe('b');

  selected.set('b');
  expect(ofSelected()).toBeUndefined(); // before effects run
  TestBed.tick();
  expect(ofSelected()).toBe(token());

  const seen: unknown[] = [];
  store.state$.subscribe(() => seen.push([user()?.claims?.sub, token()?.claims?.sub]));
  const other = elsewhere();
  await other.store(authority.signIn({ sub: 'carol' }), { replace: 'b' });
  await until(() => token()?.claims?.sub === 'carol');
  expect(seen).not.toContainEqual(['carol', 'bob']);
  expect(token()?.claims?.sub).toBe('carol');
  await Promise.all([other.close(), store.close()]);
});
