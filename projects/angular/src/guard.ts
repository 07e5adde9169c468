/**
 * Guards: routes that need a credential.
 *
 * @module
 */
import type { RedirectCommand, UrlTree } from '@angular/router';
import { isSignedIn } from 'rx-credentials';
import type { CredentialState, StoreState } from 'rx-credentials';
import { injectRedirect, injectWantedPath } from './redirect';
import type { DestinationOf } from './redirect';
import { injectStore } from './stores';
import type { StoreChoice } from './stores';

/** What a guard found missing. */
export interface MissingCredential {
  /** The address that was asked for, as a path of the application: for `returnTo` of a sign-in. */
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
    await store.ready;
    const candidates = candidatesOf(store.snapshot(), tags);
    if (candidates.some((credential) => scopes.every((scope) => wordsOf(credential.scope).includes(scope)))) return true;
    return orElse !== undefined && redirect(orElse, { returnTo, credential: candidates[0] ?? null });
  };
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
