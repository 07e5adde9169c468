/** Signing in and out: what the buttons of several components do. */
import { DOCUMENT, inject, Injectable, signal } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import type { Credential, RevokeResult, StoreState } from 'rx-credentials';
import { CredentialStore, injectAuthorizationCodeFlow, injectSessionLogoutFlow } from 'rx-credentials-angular';
import { injectIsServer } from './rendering';
import { nameOf } from './words';

export interface SignInOptions {
  /** True asks for another user, although one is signed in at the authorization server. */
  readonly anew?: boolean;
  readonly loginHint?: string;
  /** For the new credential; they wait in this tab until the user is back. */
  readonly tags?: readonly string[];
}

/** Query parameter: which page the user wanted when a guard sent them home. */
export const WANTED = 'wanted';

const TAGS_KEY = 'demo:tags';
const WANTED_KEY = 'demo:wanted';
const STATE_KEY = 'demo:last-state';
const SIGNED_OUT_KEY = 'demo:signed-out';

@Injectable({ providedIn: 'root' })
export class Accounts {
  readonly #location = inject(DOCUMENT).location;
  readonly #store = inject(CredentialStore);
  readonly #codeFlow = injectAuthorizationCodeFlow();
  readonly #logoutFlow = injectSessionLogoutFlow();

  /** What the store knows, without a secret in it. On a server: nothing was read yet, and the browser goes on from there. */
  readonly state = injectIsServer()
    ? signal<StoreState>({ ...this.#store.snapshot(), status: 'unknown' })
    : toSignal(this.#store.state$, { initialValue: this.#store.snapshot() });

  /** Leaves the page. */
  async signIn({ anew = false, loginHint, tags = [] }: SignInOptions = {}): Promise<string> {
    const additionalParameters = { ...(anew && { prompt: 'login' }), ...(loginHint && { login_hint: loginHint }) };
    const url = await this.#codeFlow.start({ additionalParameters });
    sessionStorage.setItem(TAGS_KEY, JSON.stringify(tags));
    sessionStorage.setItem(WANTED_KEY, new URLSearchParams(this.#location.search).get(WANTED) ?? '');
    return this.#leaveFor(url);
  }

  /** After a sign-in that failed: what waits in this tab, tags and destination, waits for the next one. Leaves the page. */
  async tryAgain(): Promise<string> {
    return this.#leaveFor(await this.#codeFlow.start({ additionalParameters: { prompt: 'login' } }));
  }

  /** The second half, at the address the user came back to. The address is clean before this returns its promise. */
  async finishSignIn(): Promise<string> {
    const { href } = this.#location;
    const state = new URL(href).searchParams.get('state');
    const token = await this.#codeFlow.resume(href);
    if (state !== null) sessionStorage.setItem(STATE_KEY, state);
    const tags = takeTags();
    const credential = await this.#store.store(token, tags.length > 0 ? { tags } : {});
    return `Signed in as ${nameOf(credential)}.`;
  }

  /** Where the user wanted to go when they were asked to sign in. Nothing but a page of ours. */
  takeDestination(): string {
    const wanted = takeItem(WANTED_KEY) ?? '';
    return ['orders', 'tabs'].includes(wanted) ? `/${wanted}` : '/';
  }

  /** Where a sign-in of this tab that is finished would come back to a second time. */
  spentCallback(): string | null {
    const state = sessionStorage.getItem(STATE_KEY);
    return state && `/callback?${new URLSearchParams({ code: 'spent', state }).toString()}`;
  }

  /** Revokes here and there, then ends the session at the authorization server. Leaves the page. */
  async signOut(id: string): Promise<string> {
    const credential = await this.#credential(id);
    const { url } = await credential.signOut({ flow: this.#logoutFlow });
    if (!url) return `${nameOf(credential)} is signed out here; the authorization server keeps its session.${this.#nobodyIsDefault()}`;
    sessionStorage.setItem(SIGNED_OUT_KEY, nameOf(credential));
    this.#location.assign(url);
    return `${nameOf(credential)} is signed out here. Going to the authorization server …`;
  }

  /** Words for a user who just came back from signing out there; `null` for everybody else. */
  async finishSignOut(): Promise<string | null> {
    if (!(await this.#logoutFlow.resume(this.#location.href))) return null;
    await this.#store.ready;
    return `${takeItem(SIGNED_OUT_KEY) ?? 'Somebody'} is signed out, here and at the authorization server.${this.#nobodyIsDefault()}`;
  }

  async refresh(id: string): Promise<string> {
    const credential = await this.#credential(id);
    await credential.refresh();
    return `${nameOf(credential)} has a new access token.`;
  }

  async revoke(id: string): Promise<string> {
    const credential = await this.#credential(id);
    const name = nameOf(credential);
    const remote = remoteInWords(await credential.revoke());
    return `${name} was removed here. ${remote}${this.#nobodyIsDefault()}`;
  }

  async makeDefault(id: string): Promise<string> {
    await this.#store.setDefault(id);
    return `API calls now go out for ${nameOf(await this.#credential(id))}.`;
  }

  async setTags(id: string, tags: readonly string[]): Promise<string> {
    const credential = await this.#credential(id);
    await credential.setTags(tags);
    return `The tags of ${nameOf(credential)} are stored.`;
  }

  #leaveFor(url: URL): string {
    this.#location.assign(url);
    return 'Going to the authorization server …';
  }

  #nobodyIsDefault(): string {
    const { credentials, defaultId } = this.#store.snapshot();
    return credentials.length > 0 && defaultId === null ? ' Nobody is the default now.' : '';
  }

  async #credential(id: string): Promise<Credential> {
    const credential = await this.#store.with(id);
    if (!credential) throw new Error('this credential is not here any more');
    return credential;
  }
}

/** "work, Service:Purchase " as tags. */
export function parseTags(text: string): readonly string[] {
  return text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
}

function takeItem(key: string): string | null {
  const stored = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
  return stored;
}

function takeTags(): readonly string[] {
  const stored = takeItem(TAGS_KEY);
  const tags: unknown = stored === null ? [] : JSON.parse(stored);
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}

function remoteInWords({ refreshToken, accessToken }: RevokeResult): string {
  const failed = [refreshToken, accessToken].find((remote) => remote.status === 'failed');
  return failed ? `The authorization server could not be told (${failed.code}).` : 'The authorization server revoked its tokens.';
}
