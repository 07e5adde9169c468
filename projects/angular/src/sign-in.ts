/**
 * Signing in by authorization code, and the route the authorization server sends the user back to.
 *
 * @module
 */
import { DOCUMENT, isPlatformServer } from '@angular/common';
import { assertInInjectionContext, inject, PLATFORM_ID } from '@angular/core';
import { Router } from '@angular/router';
import { isCredentialError } from 'rx-credentials';
import type { ClientName, CredentialErrorCode } from 'rx-credentials';
import type { AuthorizationCodeFlow } from 'rx-credentials/flows';
import { injectBaseUrl } from './base-url';
import type { CredentialGuard } from './guard';
import { injectRedirect, injectWantedPath } from './redirect';
import type { DestinationOf } from './redirect';
import { injectStore, tokensOf } from './stores';
import type { StoreChoice } from './stores';

/** Why a sign-in did not succeed. No secret is in it. */
export interface SignInFailure {
  readonly code: CredentialErrorCode | 'unknown';
  readonly message: string;
  /** Where the user wanted to go. */
  readonly returnTo: string;
}

/** Options of `completeSignIn`. */
export interface CompleteSignInOptions extends StoreChoice {
  /** The client that began; left out: the only one. */
  readonly client?: ClientName;
  /** Tags of the credential. */
  readonly tags?: readonly string[];
  /** Where to go if the sign-in was begun without `returnTo`. Default `/`. */
  readonly home?: string;
  /** Where to go if it failed: a path, or a function that runs in an injection context. Default: as `home`. `injectSignInFailure` says why. */
  readonly failure?: DestinationOf<SignInFailure>;
}

/**
 * Sign-in by authorization code for a client of the store; without a name for the only one. What `start` is given as `returnTo` is where
 * `completeSignIn` goes.
 */
export function injectAuthorizationCodeFlow(client?: ClientName, options: StoreChoice = {}): AuthorizationCodeFlow {
  assertInInjectionContext(injectAuthorizationCodeFlow);
  return inject(tokensOf(options.store).flows).of(injectStore(options).client(client));
}

/**
 * A guard for the route of the redirect URI, `canActivate: [completeSignIn()]`: exchanges the code, stores the credential and sends the
 * user to where the sign-in began. The route itself is never shown. The code leaves the address bar before anything is asked, and is in
 * no history entry. Only paths of the application are gone to.
 */
export function completeSignIn(options: CompleteSignInOptions = {}): CredentialGuard {
  const { home = '/', failure: onFailure = home, tags } = options;
  return async () => {
    if (isPlatformServer(inject(PLATFORM_ID))) return true; // what began in a browser ends there
    const store = injectStore(options);
    const flow = injectAuthorizationCodeFlow(options.client, options);
    const redirect = injectRedirect();
    const { location } = inject(DOCUMENT);
    const asked = new URL(injectWantedPath(), injectBaseUrl()()).href;
    const replaceUrl = true;
    const address = [location.href, asked].find((one) => flow.isCallback(one));
    if (address === undefined) return redirect(home, null, { replaceUrl }); // somebody came by hand
    const returnTo = (): string => flow.returnToOf(address) ?? home;
    try {
      const token = await flow.resume(address);
      await store.store(token, tags ? { tags } : {});
      return redirect(returnTo(), null, { replaceUrl });
    } catch (error) {
      const failure = failureOf(error, returnTo());
      return redirect(onFailure, failure, { replaceUrl, state: { [FAILURE]: failure } });
    }
  };
}

/** Why the sign-in failed that sent the user to this page; `null`: none did. For components that the router makes. */
export function injectSignInFailure(): SignInFailure | null {
  assertInInjectionContext(injectSignInFailure);
  return (inject(Router).getCurrentNavigation()?.extras.state?.[FAILURE] as SignInFailure | undefined) ?? null;
}

const FAILURE = 'rx-credentials:sign-in-failure';

function failureOf(error: unknown, returnTo: string): SignInFailure {
  if (isCredentialError(error)) return { code: error.code, message: error.message, returnTo };
  return { code: 'unknown', message: 'The sign-in could not be completed.', returnTo };
}
