// Angular applications: over what `rx-credentials-angular/testing` gives, and over a fake browser, disk and authorization server.
import { HttpClient, provideHttpClient, withInterceptors } from '@angular/common/http';
import type { HttpContext, HttpFeature, HttpFeatureKind } from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting } from '@angular/common/http/testing';
import { TestBed } from '@angular/core/testing';
import type { EnvironmentProviders, Provider } from '@angular/core';
import { CredentialStore, credentialsInterceptor, provideCredentials, withResources, withStorage } from 'rx-credentials-angular';
import type { CredentialsFeature } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { ProtectedResource } from 'rx-credentials/http';
import type { TestWorld } from '../../projects/angular/testing/src/world.js';
import type { FakeDisk } from './fake-disk.js';
import type { FakeAuthority, SignInOptions } from './fake-client.js';
import type { FakeBrowser, FakePlatform } from './fake-platform.js';
import { createWorld, settle } from './fixture.js';
import type { Credential } from '../../src/index.js';

export const API = 'https://api.example.com/v1/';

/** An application as those who use the library test theirs. */
export interface AngularApp {
  readonly credentials: CredentialsTestingController;
  readonly http: HttpClient;
  readonly server: HttpTestingController;
  readonly store: CredentialStore;
  readonly get: AngularWorld['get'];
  /** How many timers wait. */
  timers(): number;
}

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
  const { resources = [API], features = [], providers = [], http: httpFeatures = FUNCTION } = options;
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
    get: getWith(http),
  };
}

const FUNCTION = [withInterceptors([credentialsInterceptor])];

function getWith(http: HttpClient): AngularWorld['get'] {
  return (url, options = {}) => {
    const [bodies, errors]: [unknown[], unknown[]] = [[], []];
    const subscription = http
      .get(url, options)
      .subscribe({ next: (body) => bodies.push(body), error: (error: unknown) => errors.push(error) });
    return { bodies, errors, unsubscribe: () => subscription.unsubscribe() };
  };
}

export function createAngularApp(options: AngularWorldOptions = {}): AngularApp {
  const { resources = [API], features = [], providers = [], http: httpFeatures = FUNCTION } = options;
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(
        { issuer: 'https://id.example.com', clientId: 'spa', redirectUri: REDIRECT },
        withResources(...resources),
        ...features,
      ),
      provideHttpClient(...httpFeatures),
      provideHttpClientTesting(),
      provideCredentialsTesting(),
      ...providers,
    ],
  });
  const http = TestBed.inject(HttpClient);
  const credentials = TestBed.inject(CredentialsTestingController);
  return {
    credentials,
    http,
    server: TestBed.inject(HttpTestingController),
    get store() {
      return TestBed.inject(CredentialStore);
    },
    get: getWith(http),
    timers: () => (credentials as TestWorld).timers(),
  };
}

const REDIRECT = 'https://app.example.com/callback';

/** For `afterEach`: no request and no refresh is left over, and the application's end gives back what its store held. */
export async function endAngularApp({ server, credentials, timers }: AngularApp): Promise<void> {
  server.verify();
  credentials.verify();
  TestBed.resetTestingModule();
  await settle();
  await settle();
  expect(timers()).toBe(0);
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
