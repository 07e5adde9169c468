/**
 * What components inject: signals of frozen snapshots, so that OnPush and zoneless views repaint on every change. What happened, as
 * against what is, stays a stream: `events$` of the store (E28).
 *
 * @module
 */
import { assertInInjectionContext, computed } from '@angular/core';
import type { Signal } from '@angular/core';
import { toObservable, toSignal } from '@angular/core/rxjs-interop';
import type { ClientName, CredentialQuery, CredentialState, CredentialStatus, CredentialStore, Token } from 'rx-credentials';
import { createSessionLogoutFlow } from 'rx-credentials/flows';
import type { SessionLogoutFlow } from 'rx-credentials/flows';
import { combineLatest, map, switchMap } from 'rxjs';
import type { Observable, ObservableInput } from 'rxjs';
import { injectStore } from './stores';
import type { StoreChoice } from './stores';

/** An id, or a signal or function of it; `null` and `undefined` mean the default. */
export type CredentialId = string | null | undefined | (() => string | null | undefined);

/**
 * The default credential as a signal of frozen snapshots. `undefined`: storage has not been read yet; `null`: nobody is signed in.
 */
export function injectDefaultCredential(options: StoreChoice = {}): Signal<CredentialState | null | undefined> {
  assertInInjectionContext(injectDefaultCredential);
  return stateSignal(injectStore(options), undefined);
}

/**
 * The credentials that match, in order of storing; without a query: all. `undefined`: storage has not been read yet. The list is another
 * one when a credential of it changes, comes or goes.
 */
export function injectCredentials(query?: CredentialQuery, options: StoreChoice = {}): Signal<readonly CredentialState[] | undefined> {
  assertInInjectionContext(injectCredentials);
  const store = injectStore(options);
  const list$ = combineLatest([store.state$, matching$(store, query)]).pipe(
    map(([{ credentials }, matches]) => Object.freeze(credentials.filter(matches))),
  );
  return toSignal(list$, { initialValue: undefined, equal: hasSameMembers });
}

/** What is held of a credential and what is done with it. `undefined`: storage has not been read yet; `null`: it is not here. */
export function injectCredentialStatus(id?: CredentialId, options: StoreChoice = {}): Signal<CredentialStatus | null | undefined> {
  assertInInjectionContext(injectCredentialStatus);
  const state = stateSignal(injectStore(options), id);
  return computed(() => state() && (state()?.status ?? null), {
    equal: (a, b) => a === b || (!!a && !!b && a.token === b.token && a.activity === b.activity),
  });
}

/**
 * The token of a credential, opened if it is sealed. `undefined`: not known yet, also while another credential's is opened;
 * `null`: it is not here, or the user must sign in. It may have expired. Requests get theirs from the interceptor; this is for what does not go
 * through `HttpClient`.
 */
export function injectToken(id?: CredentialId, options: StoreChoice = {}): Signal<Token | null | undefined> {
  assertInInjectionContext(injectToken);
  const store = injectStore(options);
  const state = stateSignal(store, id);
  const tokenOf = (one: string | null | undefined): Observable<Token | null> =>
    one ? store.token$(one) : store.default$.pipe(switchMap((credential) => credential?.token$ ?? []));
  const held = toSignal(typeof id === 'function' ? toObservable(computed(id)).pipe(switchMap(tokenOf)) : tokenOf(id));
  // What is held lags behind: an id is followed when effects run, and a sealed token comes when it is opened. The state is of now
  return computed(() => {
    const wanted = state();
    const token = held();
    if (!wanted) return wanted;
    if (token?.id === wanted.id && token.claims?.sub === wanted.claims?.sub) return token;
    return wanted.status.token === 'needs_sign_in' ? null : undefined;
  });
}

/** Sign-out at the authorization server for a client of the store; without a name for the only one. */
export function injectSessionLogoutFlow(client?: ClientName, options: StoreChoice = {}): SessionLogoutFlow {
  assertInInjectionContext(injectSessionLogoutFlow);
  return createSessionLogoutFlow(injectStore(options).client(client));
}

function stateSignal(store: CredentialStore, id: CredentialId): Signal<CredentialState | null | undefined> {
  const state = toSignal(store.state$, { initialValue: undefined });
  return computed(() => {
    const wanted = typeof id === 'function' ? id() : id;
    const is = (one: CredentialState): boolean => (typeof wanted === 'string' ? one.id === wanted : one.isDefault);
    return state() && (state()?.credentials.find(is) ?? null);
  });
}

function matching$(store: CredentialStore, query: CredentialQuery = () => true): ObservableInput<(credential: CredentialState) => boolean> {
  if (typeof query === 'function') return [query];
  return store.find$(query).pipe(
    map((found) => new Set(found.map(({ id }) => id))),
    map(
      (ids) =>
        ({ id }: CredentialState) =>
          ids.has(id),
    ),
  );
}

function hasSameMembers(a: readonly unknown[] | undefined, b: readonly unknown[] | undefined): boolean {
  return a?.length === b?.length && !!a?.every((member, i) => member === b?.[i]);
}
