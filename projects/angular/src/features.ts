/**
 * The parts of a store's configuration: one `with…` function each.
 *
 * @module
 */
import type { Credential, CredentialEvent, CredentialStorage, Platform, ResourceChallenge } from 'rx-credentials';
import { createResourceMatcher } from 'rx-credentials/http';
import type { ProtectedResource } from 'rx-credentials/http';
import type { TransactionStorage } from 'rx-credentials/flows';
import type { SignInFailure } from './sign-in';

/** Options of `withRefresh`. */
export interface RefreshOptions {
  /** Renews tokens before they expire, without being asked for. Default: `true` in a browser, `false` on a server. */
  readonly ahead?: boolean | undefined;
  /** How long a request waits for a token, in milliseconds; then it fails with `timeout`, and the renewal goes on. Default 30,000. */
  readonly waitMs?: number | undefined;
  /** After 429 or 503 with `Retry-After` of at most this many milliseconds, a request is sent once more. Default 0: it is not. */
  readonly retryAfterMaxMs?: number | undefined;
}

/** Gets a better token where an API asks for one. `true`: the request is sent once more. */
export type StepUp = (challenge: ResourceChallenge, credential: Credential) => boolean | Promise<boolean>;

/** A sign-in that `completeSignIn` could not complete. Where the user wanted to go is not in it: an address may hold anything. */
export interface SignInFailed extends Omit<SignInFailure, 'returnTo'> {
  readonly type: 'sign_in_failed';
}

/** Where events are written. `console` is one. */
export interface CredentialsLogger {
  debug(message: string, event: CredentialEvent | SignInFailed): void;
  warn(message: string, event: CredentialEvent | SignInFailed): void;
}

/** A part of the configuration that is given by a `with…` function. */
export type CredentialsFeature =
  | { readonly kind: 'withStorage'; readonly create: () => CredentialStorage; readonly persist?: 'all' | 'refresh-only' | undefined }
  | { readonly kind: 'withTransactions'; readonly create: () => TransactionStorage }
  | { readonly kind: 'withResources'; readonly resources: readonly (string | ProtectedResource)[] }
  | { readonly kind: 'withRefresh'; readonly refresh: RefreshOptions }
  | { readonly kind: 'withStepUp'; readonly stepUp: StepUp; readonly waitMs?: number | undefined }
  | { readonly kind: 'withLogger'; readonly logger: CredentialsLogger }
  | { readonly kind: 'withPlatform'; readonly platform: () => Platform }
  | { readonly kind: 'withName'; readonly name: string };

/** Features by kind. */
export type FeatureSet = { readonly [Kind in CredentialsFeature['kind']]?: Extract<CredentialsFeature, { readonly kind: Kind }> };

/**
 * Where records live. The factory runs in an injection context when the store is first injected.
 * Without this feature tokens are kept in memory and are gone on reload.
 *
 * @param options.persist `'refresh-only'`: access tokens stay in memory, each tab and each start renews for its own; default `'all'`
 */
export function withStorage(
  create: () => CredentialStorage,
  options: { readonly persist?: 'all' | 'refresh-only' | undefined } = {},
): CredentialsFeature {
  assertFunction('withStorage', create);
  return { kind: 'withStorage', create, ...options };
}

/**
 * Where sign-ins wait for the return of the user. The factory runs in an injection context when a sign-in first begins or comes back.
 * Without this feature that is the session storage of the tab, or memory where there is no page.
 */
export function withTransactions(create: () => TransactionStorage): CredentialsFeature {
  assertFunction('withTransactions', create);
  return { kind: 'withTransactions', create };
}

/**
 * Where `credentialsInterceptor` may send tokens: absolute URLs, matched by origin and then by path on a segment boundary; as objects they
 * say by which methods, whose token and for which scope. Without this feature no request carries a token.
 *
 * @throws {TypeError} what is no such URL
 */
export function withResources(...resources: readonly (string | ProtectedResource)[]): CredentialsFeature {
  createResourceMatcher(resources);
  return { kind: 'withResources', resources };
}

/** When tokens are renewed, and how long requests wait. @throws {TypeError} what is no number of milliseconds */
export function withRefresh(refresh: RefreshOptions): CredentialsFeature {
  const { ahead = true, ...times } = refresh;
  if (typeof ahead !== 'boolean') throw new TypeError('withRefresh: ahead must be a boolean');
  for (const [name, ms] of Object.entries(times)) assertMs(`withRefresh: ${name}`, ms);
  return { kind: 'withRefresh', refresh };
}

/**
 * What happens where an API asks for more scope or another login (RFC 6750 §3.1, RFC 9470). The function runs in an injection context, once
 * for all requests that ask for the same, once a minute at most for each resource. Without this feature there is an event, `challenged`, and
 * the answer goes to the caller.
 *
 * @param options.waitMs how long requests wait for it, in milliseconds; then the answer goes to the caller. Default 300,000
 */
export function withStepUp(stepUp: StepUp, options: { readonly waitMs?: number | undefined } = {}): CredentialsFeature {
  assertFunction('withStepUp', stepUp);
  assertMs('withStepUp: waitMs', options.waitMs);
  return { kind: 'withStepUp', stepUp, ...options };
}

/**
 * Writes each event with its type, and why a sign-in failed: no token or claim is in it, but words of the server may be, cleaned and untrusted.
 * Default: to the console, by `debug`, which browsers may hide, and `warn`.
 */
export function withLogger(logger: CredentialsLogger = console): CredentialsFeature {
  for (const level of ['debug', 'warn'] as const)
    if (typeof logger[level] !== 'function') throw new TypeError(`withLogger: ${level} must be a function`);
  return { kind: 'withLogger', logger };
}

/** Clock, timers, network, locks and page of the store. The function runs in an injection context when the store is first injected. */
export function withPlatform(platform: () => Platform): CredentialsFeature {
  assertFunction('withPlatform', platform);
  return { kind: 'withPlatform', platform };
}

/** One of several stores: `inject(credentialStoreToken(name))`, and `{ store: name }` wherever a store is meant. */
export function withName(name: string): CredentialsFeature {
  if (typeof name !== 'string' || name === '') throw new TypeError('withName takes a text');
  return { kind: 'withName', name };
}

function assertFunction(feature: string, value: unknown): void {
  if (typeof value !== 'function') throw new TypeError(`${feature} takes a function`);
}

function assertMs(option: string, ms: unknown = 0): void {
  if (!(typeof ms === 'number' && ms >= 0)) throw new TypeError(`${option} must be a number of milliseconds`);
}

/** @throws {TypeError} what is no feature, a feature twice, or two that contradict each other */
export function featureSet(features: readonly CredentialsFeature[]): FeatureSet {
  const set: Partial<Record<CredentialsFeature['kind'], CredentialsFeature>> = {};
  for (const feature of features) {
    if (!(feature as CredentialsFeature | undefined)?.kind)
      throw new TypeError('provideCredentials was given a feature that was not called');
    if (set[feature.kind]) throw new TypeError(`provideCredentials was given ${feature.kind} twice`);
    set[feature.kind] = feature;
  }
  if (set.withStepUp && !set.withResources) throw new TypeError('provideCredentials was given withStepUp without withResources');
  return set as FeatureSet;
}

/** What somebody should see to. */
const WARNING = /failed|required|challenged|not_durable|quarantined/;

/** What a server says that was asked without a page (`prompt=none`), and that has no session of the user: nobody has failed (OIDC Core §3.1.2.6). */
const NOBODY_THERE = /^(login|interaction|consent|account_selection)_required$/;

/** Writes one event, if there is a logger. */
export function logEvent({ withLogger, withName }: FeatureSet, event: CredentialEvent | SignInFailed): void {
  const isUsual = event.type === 'sign_in_failed' && NOBODY_THERE.test(event.error ?? '');
  const level = WARNING.test(event.type) && !isUsual ? 'warn' : 'debug';
  withLogger?.logger[level](`[rx-credentials${withName ? ` ${withName.name}` : ''}] ${event.type}`, event);
}
