/**
 * Names of what a store is made of in an injector. Without a name: the store of the application.
 *
 * @module
 */
import { inject, InjectionToken } from '@angular/core';
import type {
  CredentialStorage,
  CredentialStoreOptions,
  CredentialStore as CredentialStoreType,
  OAuth2Client,
  OAuth2ClientOptions,
  Platform,
} from 'rx-credentials';
import type { AttachmentPolicy } from 'rx-credentials/http';
import type { SignInFlows } from './sign-in-flow';

/** The store of the application: `inject(CredentialStore)`. */
export const CredentialStore = new InjectionToken<CredentialStoreType>('rx-credentials CredentialStore: provideCredentials(…)');
/** The type behind the token of the same name. */
export type CredentialStore = CredentialStoreType;

/** Which of several stores. */
export interface StoreChoice {
  /** The name that was given by `withName`; left out: the store without a name. */
  readonly store?: string | undefined;
}

/** What a store is made of, before it is. */
export interface StoreSetup {
  readonly clients: CredentialStoreOptions['clients'];
  /** Its timers, listeners and requests are outside the zone. */
  readonly platform: Platform;
}

/** The tokens of one store. */
export interface StoreTokens {
  readonly store: InjectionToken<CredentialStoreType>;
  readonly setup: InjectionToken<StoreSetup>;
  readonly policy: InjectionToken<AttachmentPolicy>;
  readonly flows: InjectionToken<SignInFlows>;
}

const tokens = new Map<string, StoreTokens>();

/** The tokens of a name; `''` is no name. */
export function tokensOf(name = ''): StoreTokens {
  const known = tokens.get(name);
  if (known) return known;
  const part = (): InjectionToken<never> => new InjectionToken(`rx-credentials CredentialStore "${name}": provideCredentials(…)`);
  const made: StoreTokens = { store: name === '' ? CredentialStore : part(), setup: part(), policy: part(), flows: part() };
  tokens.set(name, made);
  return made;
}

/** The token of a store that has a name: `inject(credentialStoreToken('admin'))`. The same name gives the same token. */
export function credentialStoreToken(name?: string): InjectionToken<CredentialStoreType> {
  return tokensOf(name).store;
}

/** The store a caller means. */
export function injectStore({ store }: StoreChoice = {}): CredentialStoreType {
  return inject(tokensOf(store).store);
}

/** Names of the stores of an environment; a child environment has its own. */
export const STORE_NAMES = new InjectionToken<readonly string[]>('');

/** The policies of an environment, in the order of its stores. */
export const ATTACHMENT_POLICIES = new InjectionToken<readonly AttachmentPolicy[]>('rx-credentials CredentialStore: provideCredentials(…)');

/** For `rx-credentials-angular/testing` alone: what it puts in the place of everything that is outside a test. */
export interface CredentialsOverrides {
  readonly platform: Platform;
  client(client: OAuth2ClientOptions | OAuth2Client): OAuth2Client;
  storage(name: string): CredentialStorage;
  /** A store was made. */
  made(name: string, store: CredentialStoreType): void;
}

/** For `rx-credentials-angular/testing` alone. */
export const CREDENTIALS_OVERRIDES = new InjectionToken<CredentialsOverrides>('');
