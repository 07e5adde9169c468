/**
 * Guards: routes that need a credential.
 *
 * @module
 */
import { inject } from '@angular/core';
import type { RedirectCommand, UrlTree } from '@angular/router';
import { isSignedIn } from 'rx-credentials';
import type { CredentialState, StoreState } from 'rx-credentials';
import { injectBaseUrl } from './base-url';
import { injectRedirect, injectWantedPath } from './redirect';
import type { DestinationOf } from './redirect';
import { FAILURE } from './sign-in-flow';
import { injectStore, tokensOf } from './stores';
import type { StoreChoice } from './stores';

/** What a guard found missing. */
export interface MissingCredential {
  /**
   * The address that was asked for, as a path of the application: for `returnTo` of a sign-in. Of an answer to a sign-in, whose route is guarded by
   * mistake, it is `/`: a code belongs into no other address (RFC 9700 §4.2.4). `injectSignInFailure` then says `callback_invalid`.
   */
  readonly returnTo: string;
  /** Who is signed in, but not with these scopes; `null`: nobody. */
  readonly credential: CredentialState | null;
}

/** Options of `requireCredential`. */
export interface RequireCredentialOptions extends StoreChoice {
  /** Any credential that has all of these will do; left out: it must be the default. */
  readonly tags?: string | readonly string[];
  /** Scopes that must be granted: words with spaces between, or a list. */
  readonly scopes?: string | readonly string[];
  /**
   * Where to go otherwise: a path of the application, or a function that runs in an injection context. Without it the route just does not
   * match.
   */
  readonly orElse?: DestinationOf<MissingCredential>;
}

/** Fits `canMatch`, `canActivate` and `canActivateChild`. */
export type CredentialGuard = () => Promise<boolean | UrlTree | RedirectCommand>;

/**
 * Lets a route match once somebody is signed in. Waits until storage was read, ten seconds at most; never navigates by itself, never asks
 * the server: a token that has expired is renewed by the first request that needs it.
 *
 * @throws {TypeError} it was given to the router uncalled
 */
export function requireCredential(options: RequireCredentialOptions = {}, ...more: readonly never[]): CredentialGuard {
  assertCalled(more);
  const { orElse } = options;
  const tags = options.tags === undefined ? null : [options.tags].flat();
  const scopes = [options.scopes ?? []].flat().flatMap(wordsOf);
  return async () => {
    const store = injectStore(options);
    const redirect = injectRedirect();
    const returnTo = injectWantedPath();
    const flows = inject(tokensOf(options.store).flows);
    const isAnswer = injectIsAnswer(options)(returnTo);
    await store.ready;
    const candidates = candidatesOf(store.snapshot(), tags);
    if (candidates.some((credential) => scopes.every((scope) => wordsOf(credential.scope).includes(scope)))) return true;
    if (orElse === undefined) return false;
    const credential = candidates[0] ?? null;
    if (!isAnswer) return redirect(orElse, { returnTo, credential });
    const failure = { ...GUARDED, returnTo: '/' };
    flows.failed(GUARDED);
    return redirect(orElse, { returnTo: '/', credential }, { replaceUrl: true, state: { [FAILURE]: failure } });
  };
}

const GUARDED = {
  code: 'callback_invalid',
  class: 'security',
  message: 'requireCredential guards the callback route: only completeSignIn() may.',
} as const;

/** What a server answers with (RFC 6749 §4.1.2). */
const ANSWER = /^[^?#]*\?(?=(?:[^#]*&)?state=)(?:[^#]*&)?(?:code|error)=/;

/** Whether a path of the application is that of a redirect URI of the store, and has an answer. */
function injectIsAnswer({ store }: StoreChoice): (path: string) => boolean {
  const { clients } = inject(tokensOf(store).setup);
  const base = injectBaseUrl()();
  return (path) => {
    const wanted = pathOf(`.${path}`, base);
    return ANSWER.test(path) && wanted !== null && [clients].flat().some(({ redirectUri }) => pathOf(redirectUri) === wanted);
  };
}

function pathOf(address = '', base?: string): string | null {
  return URL.canParse(address, base) ? new URL(address, base).pathname.replace(/\/$/, '') : null;
}

/** The router takes a factory for a guard, whose result is no refusal: uncalled, it would open the route to everybody. It passes two arguments. */
export function assertCalled(more: readonly unknown[]): void {
  if (more.length > 0) throw new TypeError('Call the guard');
}

function candidatesOf({ credentials }: StoreState, tags: readonly string[] | null): readonly CredentialState[] {
  return credentials.filter(
    (credential) => isSignedIn(credential) && (tags ? tags.every((tag) => credential.tags.includes(tag)) : credential.isDefault),
  );
}

function wordsOf(text: string): readonly string[] {
  return text.split(' ').filter((word) => word !== '');
}
