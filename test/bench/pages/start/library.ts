/**
 * The application with `rx-credentials-angular`, wired as the demo is.
 *
 * @module
 */
import { provideHttpClient, withInterceptors } from '@angular/common/http';
import { createToken } from 'rx-credentials';
import type { CredentialStorage } from 'rx-credentials';
import { CredentialStore, credentialsInterceptor, provideCredentials, withResources, withStorage } from 'rx-credentials-angular';
import { sealed } from 'rx-credentials/storage/sealed';
import { api, issuer, start } from './application';

export function startWith(storage: () => CredentialStorage): void {
  const credentials = provideCredentials(
    { issuer, clientId: 'bench' },
    withStorage(() => sealed(storage())),
    withResources(api),
  );
  void start([credentials, provideHttpClient(withInterceptors([credentialsInterceptor]))], async ({ injector }, fields) => {
    const store = injector.get(CredentialStore);
    await store.store(createToken(fields));
    await store.close();
  });
}
