// An Angular application over a fake browser, disk and authorization server.
import { HttpClient, provideHttpClient, withInterceptors } from '@angular/common/http';
import type { HttpContext, HttpFeature, HttpFeatureKind } from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting } from '@angular/common/http/testing';
import { TestBed } from '@angular/core/testing';
import type { EnvironmentProviders, Provider } from '@angular/core';
import { CredentialStore, credentialsInterceptor, provideCredentials, withResources, withStorage } from 'rx-credentials-angular';
import type { CredentialsFeature } from 'rx-credentials-angular';
import type { ProtectedResource } from 'rx-credentials/http';
import type { FakeDisk } from './fake-disk.js';
import type { FakeAuthority, SignInOptions } from './fake-client.js';
import type { FakeBrowser, FakePlatform } from './fake-platform.js';
import { createWorld, settle } from './fixture.js';
import type { Credential } from '../../src/index.js';

export const API = 'https://api.example.com/v1/';

export interface AngularWorld {
  readonly authority: FakeAuthority;
  readonly browser: FakeBrowser;
  readonly disk: FakeDisk;
  readonly platform: FakePlatform;
  readonly http: HttpClient;
  readonly server: HttpTestingController;
  readonly store: CredentialStore;
  signIn(options?: SignInOptions): Promise<Credential>;
  /** Sends a GET; what comes of it is collected. */
  get(url: string, options?: { headers?: Record<string, string>; context?: HttpContext }): Sent;
}

export interface Sent {
  readonly bodies: readonly unknown[];
  readonly errors: readonly unknown[];
  unsubscribe(): void;
}

export interface AngularWorldOptions {
  readonly resources?: readonly (string | ProtectedResource)[];
  readonly features?: readonly CredentialsFeature[];
  readonly providers?: readonly (Provider | EnvironmentProviders)[];
  /** Default: the interceptor function. */
  readonly http?: readonly HttpFeature<HttpFeatureKind>[];
}

export function createAngularWorld(...resources: readonly string[]): AngularWorld {
  return createAngularWorldOf(resources.length > 0 ? { resources } : {});
}

export function createAngularWorldOf(options: AngularWorldOptions): AngularWorld {
  const { resources = [API], features = [], providers = [], http: httpFeatures = [withInterceptors([credentialsInterceptor])] } = options;
  const { authority, browser, disk } = createWorld();
  const platform = browser.openTab();
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(
        authority.client(platform),
        withStorage(() => disk.storage()),
        withResources(...resources),
        ...features,
      ),
      provideHttpClient(...httpFeatures),
      provideHttpClientTesting(),
      ...providers,
    ],
  });
  const http = TestBed.inject(HttpClient);
  const server = TestBed.inject(HttpTestingController);
  const store = TestBed.inject(CredentialStore);
  return {
    authority,
    browser,
    disk,
    platform,
    http,
    server,
    store,
    signIn: async (options) => store.store(authority.signIn(options)),
    get: (url, options = {}) => {
      const [bodies, errors]: [unknown[], unknown[]] = [[], []];
      const subscription = http
        .get(url, options)
        .subscribe({ next: (body) => bodies.push(body), error: (error: unknown) => errors.push(error) });
      return { bodies, errors, unsubscribe: () => subscription.unsubscribe() };
    },
  };
}

/** For `afterEach`: no request is left over, and the application's end gives back what its store held. */
export async function endAngularWorld(world: AngularWorld | undefined): Promise<void> {
  if (!world) return;
  world.server.verify();
  world.authority.release();
  world.disk.release();
  TestBed.resetTestingModule();
  await settle();
  await settle();
  expect(world.platform.held()).toEqual({ timers: 0, channels: 0, listeners: 0 });
}
