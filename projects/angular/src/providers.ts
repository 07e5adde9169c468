/**
 * Wiring: one store for the application, made when it is first injected.
 *
 * @module
 */
import { DOCUMENT } from '@angular/common';
import { DestroyRef, inject, InjectionToken, makeEnvironmentProviders, NgZone } from '@angular/core';
import type { EnvironmentProviders } from '@angular/core';
import { createCredentialStore, defaultPlatform } from 'rx-credentials';
import { createAttachmentPolicy } from 'rx-credentials/http';
import type { AttachmentPolicy } from 'rx-credentials/http';
import type {
  CredentialStorage,
  CredentialStore as CredentialStoreType,
  CredentialStoreOptions,
  OAuth2ClientOptions,
  Platform,
} from 'rx-credentials';

/** The store of the application: `inject(CredentialStore)`. */
export const CredentialStore = new InjectionToken<CredentialStoreType>('rx-credentials CredentialStore');
/** The type behind the token of the same name. */
export type CredentialStore = CredentialStoreType;

/** @internal The policy of the environment that provides the store: a child environment has its own. */
export const ATTACHMENT_POLICY = new InjectionToken<AttachmentPolicy>('rx-credentials attachment policy');

/** What `provideCredentials` configures: the clients whose tokens are kept. */
export type CredentialsConfig = CredentialStoreOptions['clients'];

/** A part of the configuration that is given by a `with…` function. */
export type CredentialsFeature =
  | { readonly kind: 'storage'; readonly create: () => CredentialStorage; readonly persist?: 'all' | 'refresh-only' }
  | { readonly kind: 'resources'; readonly resources: readonly string[] };

/**
 * Where records live. The factory runs in an injection context when the store is first injected.
 * Without this feature tokens are kept in memory and are gone on reload.
 *
 * @param options.persist `'refresh-only'`: access tokens stay in memory, each tab and each start renews for its own; default `'all'`
 */
export function withStorage(
  create: () => CredentialStorage,
  options: { readonly persist?: 'all' | 'refresh-only' } = {},
): CredentialsFeature {
  return { kind: 'storage', create, ...options };
}

/**
 * Where `credentialsInterceptor` may send tokens: absolute URLs, matched by origin and then by path on a segment boundary.
 * Without this feature no request carries a token.
 */
export function withResources(...resources: readonly string[]): CredentialsFeature {
  return { kind: 'resources', resources };
}

/**
 * Provides the store. Nothing is read or asked before the store is injected; bootstrap neither waits for it nor fails with it.
 *
 * @param config one client or several, or a factory that runs in an injection context
 * @throws {TypeError} the same feature twice
 */
export function provideCredentials(
  config: OAuth2ClientOptions | CredentialsConfig | (() => CredentialsConfig),
  ...features: readonly CredentialsFeature[]
): EnvironmentProviders {
  const kinds = new Set(features.map(({ kind }) => kind));
  if (kinds.size < features.length) throw new TypeError('provideCredentials was given the same feature twice');
  const storage = features.find((feature) => feature.kind === 'storage');
  const resources = features.find((feature) => feature.kind === 'resources');
  return makeEnvironmentProviders([
    {
      provide: ATTACHMENT_POLICY,
      useFactory: (): AttachmentPolicy => {
        const document = inject(DOCUMENT);
        return createAttachmentPolicy(inject(CredentialStore), { resources: resources?.resources ?? [], baseUrl: () => document.baseURI });
      },
    },
    {
      provide: CredentialStore,
      useFactory: (): CredentialStoreType => {
        const clients = typeof config === 'function' ? config() : config;
        const platform = [clients].flat().find((client) => client.platform)?.platform ?? defaultPlatform();
        const store = createCredentialStore({
          clients,
          platform: outsideZone(platform, inject(NgZone)),
          ...(storage && { storage: storage.create() }),
          ...(storage?.persist && { persist: storage.persist }),
        });
        inject(DestroyRef).onDestroy(() => void store.close());
        return store;
      },
    },
  ]);
}

/**
 * The platform with its timers and listeners outside the zone (E44): a waiting credential keeps no application unstable, and a tick
 * repaints nothing by itself. What changes reaches views through signals.
 */
function outsideZone(platform: Platform, zone: NgZone): Platform {
  const { openChannel, lifecycle } = platform;
  const members: Partial<Platform> = {
    setTimer: (callback, delayMs) => zone.runOutsideAngular(() => platform.setTimer(callback, delayMs)),
    ...(openChannel && { openChannel: (name, onMessage) => zone.runOutsideAngular(() => openChannel(name, onMessage)) }),
    ...(lifecycle && { lifecycle: (listener) => zone.runOutsideAngular(() => lifecycle(listener)) }),
  };
  return Object.assign(Object.create(platform) as Platform, members); // the others are asked for late, as before
}
