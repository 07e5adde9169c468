/**
 * What components inject: signals of frozen snapshots, and the flows of the application's client.
 *
 * @module
 */
import { assertInInjectionContext, inject } from '@angular/core';
import type { Signal } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import type { ClientName, CredentialState } from 'rx-credentials';
import { createAuthorizationCodeFlow, createSessionLogoutFlow } from 'rx-credentials/flows';
import type { AuthorizationCodeFlow, SessionLogoutFlow } from 'rx-credentials/flows';
import { distinctUntilChanged, map } from 'rxjs';
import { CredentialStore } from './providers';

/**
 * The default credential as a signal of frozen snapshots, so that templates repaint on every change.
 * `undefined`: storage has not been read yet; `null`: nobody is signed in.
 */
export function injectDefaultCredential(): Signal<CredentialState | null | undefined> {
  assertInInjectionContext(injectDefaultCredential);
  const state$ = inject(CredentialStore).state$.pipe(
    map((state) => state.credentials.find((credential) => credential.isDefault) ?? null),
    distinctUntilChanged(),
  );
  return toSignal(state$, { initialValue: undefined });
}

/** Sign-in by authorization code for a client of the store; without a name for the only one. */
export function injectAuthorizationCodeFlow(client?: ClientName): AuthorizationCodeFlow {
  assertInInjectionContext(injectAuthorizationCodeFlow);
  return createAuthorizationCodeFlow(inject(CredentialStore).client(client));
}

/** Sign-out at the authorization server for a client of the store; without a name for the only one. */
export function injectSessionLogoutFlow(client?: ClientName): SessionLogoutFlow {
  assertInInjectionContext(injectSessionLogoutFlow);
  return createSessionLogoutFlow(inject(CredentialStore).client(client));
}
