/**
 * The root component of the applications that are built from the packed packages. It takes no sign-in: it stores a token in memory, then
 * calls two addresses of one server, the second of them only begins like the API's.
 *
 * @module
 */
import { HttpClient } from '@angular/common/http';
import { Component, inject, signal } from '@angular/core';
import { createToken } from 'rx-credentials';
import { CredentialStore, injectDefaultCredential } from 'rx-credentials-angular';
import { firstValueFrom } from 'rxjs';

@Component({
  selector: 'app-root',
  template: `<p>{{ credential()?.id ?? 'nobody' }}: {{ answers() }}</p>`,
})
export class App {
  readonly credential = injectDefaultCredential();
  readonly answers = signal('waiting');
  readonly #credentials = inject(CredentialStore);
  readonly #http = inject(HttpClient);

  constructor() {
    void this.#run().catch((error: unknown) => this.answers.set(String(error)));
  }

  async #run(): Promise<void> {
    const { issuer, clientId } = this.#credentials.client();
    const issuedAt = Date.now();
    const fields = { tokenType: 'Bearer', scope: 'orders', issuedAt, expiresAt: issuedAt + 3_600_000, claims: null } as const;
    await this.#credentials.store(createToken({ id: 'worker', accessToken: 'of-the-worker', ...fields, context: { issuer, clientId } }));
    const api = new URLSearchParams(location.search).get('api') ?? '';
    const paths = ['/v1/orders', '/v10/orders'];
    const answers = paths.map((path) => firstValueFrom(this.#http.get<string>(api + path)));
    this.answers.set((await Promise.all(answers)).join(' '));
  }
}
