/**
 * Guards: routes that need a credential.
 *
 * @module
 */
import { inject } from '@angular/core';
import { RedirectCommand, Router } from '@angular/router';
import type { CanMatchFn, UrlTree } from '@angular/router';
import { isSignedIn } from 'rx-credentials';
import { CredentialStore } from './providers';

/** Options of `requireCredential`. */
export interface RequireCredentialOptions {
  /** Where to go while nobody is signed in: a path of the application. Without it the route just does not match. */
  readonly orElse?: string;
}

/**
 * Lets a route match once somebody is signed in. Waits until storage was read, never navigates by itself, never asks the server: a
 * token that has expired is renewed by the first request that needs it. Fits `canMatch`, `canActivate` and `canActivateChild`.
 */
export function requireCredential({ orElse }: RequireCredentialOptions = {}): () => ReturnType<CanMatchFn> {
  return async (): Promise<boolean | UrlTree | RedirectCommand> => {
    const store = inject(CredentialStore);
    const router = inject(Router);
    await store.ready;
    const { credentials } = store.snapshot();
    if (isSignedIn(credentials.find((credential) => credential.isDefault))) return true;
    return orElse === undefined ? false : new RedirectCommand(router.parseUrl(orElse));
  };
}
