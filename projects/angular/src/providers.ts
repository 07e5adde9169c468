/**
 * Wiring: one store for each `provideCredentials`, made when it is first injected.
 *
 * @module
 */
import { DestroyRef, inject, Injector, makeEnvironmentProviders, NgZone, runInInjectionContext } from '@angular/core';
import type { EnvironmentProviders } from '@angular/core';
import { createCredentialStore, defaultPlatform, isCredentialError, memoryStorage } from 'rx-credentials';
import type {
  CredentialStorage,
  CredentialStore as CredentialStoreType,
  CredentialStoreOptions,
  OAuth2Client,
  OAuth2ClientOptions,
  Platform,
} from 'rx-credentials';
import { createAttachmentPolicy, createResourceMatcher } from 'rx-credentials/http';
import type { AttachmentPolicy } from 'rx-credentials/http';
import type { TransactionStorage } from 'rx-credentials/flows';
import { injectBaseUrl } from './base-url';
import { featureSet, logEvent } from './features';
import type { CredentialsFeature, FeatureSet } from './features';
import { createSignInFlows } from './sign-in-flow';
import { ATTACHMENT_POLICIES, CREDENTIALS_OVERRIDES, STORE_NAMES, tokensOf } from './stores';
import type { StoreSetup, StoreTokens } from './stores';

/** What `provideCredentials` configures: the clients whose tokens are kept. */
export type CredentialsConfig = CredentialStoreOptions['clients'];

type ConfigFactory = () => CredentialsConfig;

/**
 * Provides a store. Nothing is read or asked before the store is injected, or a request goes to a resource; bootstrap neither waits for it
 * nor fails with it. In the providers of a route: a store for that route, closed when its environment is destroyed.
 *
 * @param config one client or several, or a factory that runs in an injection context
 * @throws {TypeError} the same feature twice, or features that contradict each other or the configuration
 */
export function provideCredentials(
  config: OAuth2ClientOptions | CredentialsConfig | ConfigFactory,
  ...features: readonly CredentialsFeature[]
): EnvironmentProviders {
  const set = featureSet(features);
  if (typeof config !== 'function') assertOnePlatform(config, set);
  const name = set.withName?.name ?? '';
  const tokens = tokensOf(name);
  return makeEnvironmentProviders([
    { provide: tokens.setup, useFactory: () => setupOf(config, set) },
    { provide: tokens.store, useFactory: () => createStore(name, tokens, set) },
    { provide: tokens.flows, useFactory: () => createSignInFlows(transactionsOf(set), (event) => logEvent(set, event)) },
    { provide: tokens.policy, useFactory: () => createPolicy(tokens, set) },
    { provide: STORE_NAMES, useValue: name, multi: true },
    { provide: ATTACHMENT_POLICIES, useFactory: () => [...new Set(inject(STORE_NAMES))].map((one) => inject(tokensOf(one).policy)) },
  ]);
}

function setupOf(config: CredentialsConfig | ConfigFactory, set: FeatureSet): StoreSetup {
  const overrides = inject(CREDENTIALS_OVERRIDES, { optional: true });
  const clients = [typeof config === 'function' ? config() : config].flat() as readonly (OAuth2ClientOptions | OAuth2Client)[];
  assertOnePlatform(clients, set);
  const platform = outsideZone(
    overrides?.platform ?? set.withPlatform?.platform() ?? clients.find((client) => client.platform)?.platform ?? defaultPlatform(),
    inject(NgZone),
  );
  return { platform, clients: overrides ? clients.map((client) => overrides.client(client)) : clients };
}

/** Made when it is first asked: what the browser forbids is then told by `start` and `resume`. */
function transactionsOf({ withTransactions }: FeatureSet): TransactionStorage | undefined {
  if (!withTransactions || inject(CREDENTIALS_OVERRIDES, { optional: true })) return undefined;
  const injector = inject(Injector);
  let made: TransactionStorage | undefined;
  const storage = (): TransactionStorage => (made ??= runInInjectionContext(injector, withTransactions.create));
  return { put: (transaction) => storage().put(transaction), take: (state) => storage().take(state) };
}

function createStore(name: string, tokens: StoreTokens, set: FeatureSet): CredentialStoreType {
  const overrides = inject(CREDENTIALS_OVERRIDES, { optional: true });
  const { clients, platform } = inject(tokens.setup);
  const storage = overrides?.storage(name) ?? (set.withStorage && storageOf(set.withStorage.create));
  const options: CredentialStoreOptions = {
    clients,
    platform,
    renewal: { ahead: set.withRefresh?.refresh.ahead ?? (overrides ? false : undefined) },
    persist: set.withStorage?.persist,
    storage,
  };
  const store = inject(NgZone).runOutsideAngular(() => createCredentialStore(options));
  inject(DestroyRef).onDestroy(() => void store.close());
  overrides?.made(name, store);
  if (set.withLogger) store.events$.subscribe((event) => logEvent(set, event)); // completes with the store
  return store;
}

/** Asks for the store when there is a request for it: so that what makes the store may use `HttpClient`. */
function createPolicy(tokens: StoreTokens, set: FeatureSet): AttachmentPolicy {
  const injector = inject(Injector);
  const baseUrl = injectBaseUrl();
  const { withResources, withRefresh, withStepUp } = set;
  const resources = withResources?.resources ?? [];
  const match = createResourceMatcher(resources, baseUrl);
  let policy: AttachmentPolicy | undefined;
  let reason: unknown;
  // Of the store itself: what is remembered of refusals is that of all its adapters (D-038)
  const made = (): AttachmentPolicy => {
    const { platform } = injector.get(tokens.setup);
    return (policy ??= createAttachmentPolicy(injector.get(tokens.store), {
      resources,
      baseUrl,
      platform,
      ...withRefresh?.refresh,
      ...(withStepUp && {
        stepUp: (...args) => runInInjectionContext(injector, () => withStepUp.stepUp(...args)),
        stepUpWaitMs: withStepUp.waitMs,
      }),
    }));
  };
  // At once: before the next turn Angular makes the rest of its components, and the storage may open meanwhile. The request may come from the
  // factory that makes the store: then it is there a turn later
  const makeIt = async (): Promise<AttachmentPolicy> => {
    try {
      return made();
    } catch (error) {
      await Promise.resolve();
      try {
        return made();
      } catch {
        throw (reason ??= error); // Angular calls no factory twice, and says ever after that it depends on itself
      }
    }
  };
  return {
    covers: (request) => (policy ? policy.covers(request) : match(request) !== null),
    attach: async (request, own) => (policy ?? (await makeIt())).attach(request, own),
  };
}

/** The storage; what the browser forbids is found out by the store, which says so and goes on in memory (E38). */
function storageOf(create: () => CredentialStorage): CredentialStorage {
  try {
    return create() ?? (null as never); // none that is given is no storage that was left out
  } catch (error) {
    const isForbidden = isCredentialError(error) || (typeof DOMException === 'function' && error instanceof DOMException);
    if (!isForbidden) throw error; // a mistake of the program
    return { ...memoryStorage(), open: () => Promise.reject(error) };
  }
}

function assertOnePlatform(clients: CredentialsConfig, set: FeatureSet): void {
  if (set.withPlatform && [clients].flat().some((client) => client.platform && !('sendRefresh' in client)))
    throw new TypeError('provideCredentials was given withPlatform and a client with a platform');
}

/**
 * The platform with its timers, listeners and requests outside the zone (E44): a waiting credential keeps no application unstable, and a
 * tick repaints nothing by itself. What changes reaches views through signals.
 */
function outsideZone(platform: Platform, zone: NgZone): Platform {
  const members: Record<string, unknown> = {};
  for (const name of ['fetch', 'setTimer', 'openChannel', 'lifecycle'] as const) {
    if (platform[name])
      members[name] = (...args: never[]) => zone.runOutsideAngular(() => (platform[name] as (...given: never[]) => unknown)(...args));
  }
  // The others are asked for late, as before. Defined, since assigning fails where the platform is frozen or has getters
  return Object.create(platform, Object.getOwnPropertyDescriptors(members)) as Platform;
}
