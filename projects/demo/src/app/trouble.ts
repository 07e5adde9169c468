/** Bad input on purpose. Each trouble must end in an error with a code, and leave what is stored as it was. */
import { DOCUMENT, inject, Injectable } from '@angular/core';
import { createOAuth2Client } from 'rx-credentials';
import type { Credential, StoreState } from 'rx-credentials';
import { CredentialStore, injectAuthorizationCodeFlow } from 'rx-credentials-angular';
import { Accounts } from './accounts';
import { DEMO_CONFIG } from './config';
import { Faults } from './faults';
import type { TokenFault } from './faults';

/** The discard port (RFC 863): browsers refuse to call it, so nothing answers. */
const UNREACHABLE_ISSUER = 'http://127.0.0.1:9';
const BROKEN_ID = 'broken-by-the-demo';
const BROKEN_KEY = 'demo:broken';

@Injectable({ providedIn: 'root' })
export class Trouble {
  readonly #location = inject(DOCUMENT).location;
  readonly #config = inject(DEMO_CONFIG);
  readonly #store = inject(CredentialStore);
  readonly #flow = injectAuthorizationCodeFlow();
  readonly #faults = inject(Faults);
  readonly #accounts = inject(Accounts);

  /** An answer to a sign-in that was never begun. */
  comeBackWithWrongState(): Promise<string> {
    return this.#comeBack({ code: 'forged', state: 'nobody-sent-this', iss: this.#config.issuer });
  }

  async comeBackWithError(): Promise<string> {
    const state = await this.#beginSignIn();
    const { issuer: iss } = this.#config;
    return this.#comeBack({ error: 'access_denied', error_description: 'The user said: no, thanks', state, iss });
  }

  async comeBackFromForeignIssuer(): Promise<string> {
    const state = await this.#beginSignIn();
    return this.#comeBack({ code: 'from-somebody-else', state, iss: 'https://id.attacker.example' });
  }

  comeBackTwice(): Promise<string> {
    const url = this.#accounts.spentCallback();
    if (url === null) return Promise.reject(new Error('sign in first; then this visits the same callback again'));
    this.#location.assign(url);
    return Promise.resolve('Going back to the callback …');
  }

  /** Equal but for a slash: the mistake everybody makes once. */
  wrongIssuer(): Promise<string> {
    return this.#discover(`${this.#config.issuer}/`);
  }

  unreachableIssuer(): Promise<string> {
    return this.#discover(UNREACHABLE_ISSUER);
  }

  /** A refresh whose answer is not what an authorization server answers. */
  async badTokenAnswer(fault: TokenFault): Promise<string> {
    const credential = await this.#default();
    await this.#faults.during(fault, () => credential.refresh());
    return 'The refresh went well, to everybody’s surprise.';
  }

  /** Access token: refused with 401 from now on. Refresh token: the next refresh is the last. The store is not told. */
  async spoil(which: 'access' | 'refresh'): Promise<string> {
    const { token } = await this.#default();
    const secret = which === 'access' ? token?.accessToken : token?.refreshToken;
    if (!secret) throw new Error(`the default credential has no ${which} token`);
    const { revocation_endpoint: endpoint } = await this.#store.client().metadata();
    if (!endpoint) throw new Error('the authorization server revokes nothing');
    const body = new URLSearchParams({ token: secret, token_type_hint: `${which}_token`, client_id: this.#config.clientId });
    const response = await fetch(endpoint, { method: 'POST', body });
    if (!response.ok) throw new Error(`the authorization server answered ${response.status}`);
    return which === 'access'
      ? 'The access token is dead, and the store does not know. Call the API: 401, one refresh, one retry.'
      : 'The refresh token is dead, and the store does not know. Refresh to find out.';
  }

  /** Adds a record that nobody can read, and starts again. */
  async breakStoredRecord(): Promise<string> {
    await toRecords((records) => records.put({ v: 'no version of ours', secrets: 'gibberish' }, BROKEN_ID));
    sessionStorage.setItem(BROKEN_KEY, 'yes');
    this.#location.reload();
    return 'Starting again …';
  }

  /** True once, after the page started again with a broken record. */
  takeBroken(): boolean {
    const broken = sessionStorage.getItem(BROKEN_KEY) !== null;
    sessionStorage.removeItem(BROKEN_KEY);
    return broken;
  }

  async removeBrokenRecord(): Promise<string> {
    await toRecords((records) => records.delete(BROKEN_ID));
    return 'The broken record is gone. The next start will be quiet.';
  }

  /** A sign-in is under way from now on; the user is not sent away. */
  async #beginSignIn(): Promise<string> {
    return (await this.#flow.start()).searchParams.get('state') ?? '';
  }

  #comeBack(answer: Readonly<Record<string, string>>): Promise<string> {
    this.#location.assign(`/callback?${new URLSearchParams(answer).toString()}`);
    return Promise.resolve('Going to the callback …');
  }

  async #discover(issuer: string): Promise<string> {
    const { clientId } = this.#config;
    await createOAuth2Client({ issuer, clientId, redirectUri: `${this.#location.origin}/callback` }).metadata();
    return 'There is an authorization server after all.';
  }

  async #default(): Promise<Credential> {
    const credential = await this.#store.getDefault();
    if (!credential) throw new Error('sign in first; this needs a default credential');
    return credential;
  }
}

/** What must not change: which credentials there are, and which token each holds. */
export function fingerprint({ credentials, defaultId }: StoreState): string {
  return JSON.stringify([defaultId, ...credentials.map(({ id, generation, tags }) => [id, generation, tags])]);
}

/** Writes to the records of the store, behind its back. */
async function toRecords(write: (records: IDBObjectStore) => void): Promise<void> {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('rx-credentials:records');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB does not open'));
  });
  const transaction = database.transaction('records', 'readwrite');
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('nothing was written'));
    write(transaction.objectStore('records'));
  });
  database.close();
}
