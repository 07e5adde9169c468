// On Angular's own server: a document that cannot say its base, and no browser that began anything.
import { PlatformLocation, XhrFactory } from '@angular/common';
import {
  FetchBackend,
  HTTP_INTERCEPTORS,
  HttpBackend,
  HttpClient,
  HttpContext,
  HttpXhrBackend,
  provideHttpClient,
  withInterceptors,
  withInterceptorsFromDi,
  withRequestsMadeViaParent,
} from '@angular/common/http';
import type { HttpFeature, HttpFeatureKind } from '@angular/common/http';
import { createEnvironmentInjector, EnvironmentInjector, PLATFORM_ID, type Type } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter } from '@angular/router';
import { completeSignIn, CredentialsInterceptor, credentialsInterceptor, CredentialStore, noCredential } from 'rx-credentials-angular';
import { settle } from '../support/fixture.js';
import { API, createAngularWorldOf, endAngularWorld, type AngularWorld } from '../support/angular-world.js';

let world: AngularWorld;
afterEach(() => {
  jest.restoreAllMocks();
  return endAngularWorld(world);
});

it('E49 requests carry tokens where the document of the server throws when it is asked for its base', async () => {
  const location = { href: 'https://app.example.com/orders', getBaseHrefFromDOM: () => '/' };
  world = createAngularWorldOf({
    resources: [API, 'https://app.example.com/api/'],
    providers: [{ provide: PlatformLocation, useValue: location }],
  });
  const credential = await world.signIn();
  jest.spyOn(document, 'baseURI', 'get').mockImplementation(() => {
    throw new Error('NotYetImplemented');
  });
  for (const [url, isCovered] of [
    [`${API}orders`, true],
    ['/api/orders', true],
    ['/other', false],
  ] as const) {
    world.get(url);
    await settle();
    const { request } = world.server.expectOne(url);
    expect([url, request.headers.get('Authorization')]).toEqual([url, isCovered ? `Bearer ${credential.token?.accessToken}` : null]);
  }
});

it('E49 a server that renders a document without an address sends absolute requests, and relative ones are its own', async () => {
  const location = { href: '/', getBaseHrefFromDOM: () => '/' }; // of `renderApplication(bootstrap, { document })`
  world = createAngularWorldOf({ resources: [API], providers: [{ provide: PlatformLocation, useValue: location }] });
  const credential = await world.signIn();
  jest.spyOn(document, 'baseURI', 'get').mockImplementation(() => {
    throw new Error('NotYetImplemented');
  });
  const tokens: unknown[] = [];
  for (const base of ['/', '', 'https://app.example.com/']) {
    location.getBaseHrefFromDOM = () => base;
    for (const url of [`${API}orders`, 'https://elsewhere.example.com/', '/orders']) {
      world.get(url);
      await settle();
      tokens.push(world.server.expectOne(url).request.headers.get('Authorization'));
    }
  }
  const bearer = `Bearer ${credential.token?.accessToken}`;
  expect(tokens).toEqual([bearer, null, null, bearer, null, null, bearer, null, null]);
});

it('E49 the guard of the callback leaves the code to the browser that began the sign-in', async () => {
  world = createAngularWorldOf({ providers: [provideRouter([]), { provide: PLATFORM_ID, useValue: 'server' }] });
  const guard = completeSignIn();
  expect(await TestBed.runInInjectionContext(() => guard())).toBe(true);
  expect(await TestBed.inject(CredentialStore).allIDs()).toEqual([]);
});

describe('HT-3 where HttpClient sends by XMLHttpRequest on a server, which takes a token to wherever a redirect leads', () => {
  const asFunction = [withInterceptors([credentialsInterceptor])];
  const SENT = new Error('here it would have been sent');

  /** Sends by the backend; `SENT` is the error of what was. */
  function openWorld(http: readonly HttpFeature<HttpFeatureKind>[], backend: Type<HttpBackend>, platform = 'server'): void {
    const build = (): never => {
      throw SENT;
    };
    jest.spyOn(globalThis, 'fetch').mockRejectedValue(SENT);
    world = createAngularWorldOf({
      http,
      providers: [
        { provide: PLATFORM_ID, useValue: platform },
        { provide: XhrFactory, useValue: { build } },
        { provide: HTTP_INTERCEPTORS, useClass: CredentialsInterceptor, multi: true },
        HttpXhrBackend,
        { provide: HttpBackend, useExisting: backend },
      ],
    });
  }
  async function errorsOf(
    { http }: Pick<AngularWorld, 'http'>,
    context = noCredential(),
    url = `${API}orders`,
  ): Promise<readonly unknown[]> {
    const errors: unknown[] = [];
    http.get(url, { context }).subscribe({ error: (error: unknown) => errors.push(error) });
    await settle();
    return errors;
  }
  const toBeSent = (errors: readonly unknown[]): void =>
    expect(errors.map((error) => (error === SENT ? SENT : (error as { readonly error: unknown }).error))).toEqual([SENT]);

  it.each([
    ['function', asFunction],
    ['class', [withInterceptorsFromDi()]],
  ])('nothing that would carry one is sent; all else is (%s)', async (_, http) => {
    openWorld(http, HttpXhrBackend);
    toBeSent(await errorsOf(world, new HttpContext())); // nobody is signed in
    await world.signIn();
    const [error] = await errorsOf(world, new HttpContext());
    expect(error).toMatchObject({ code: 'unsupported', message: expect.stringContaining('withFetch()') as string });
    toBeSent(await errorsOf(world));
    toBeSent(await errorsOf(world, new HttpContext(), 'https://elsewhere.example.com/'));
  });

  it('nor by way of a parent', async () => {
    openWorld(asFunction, HttpXhrBackend);
    const child = createEnvironmentInjector(
      [provideHttpClient(...asFunction, withRequestsMadeViaParent())],
      TestBed.inject(EnvironmentInjector),
    );
    await world.signIn();
    expect(await errorsOf({ http: child.get(HttpClient) }, new HttpContext())).toMatchObject([{ code: 'unsupported' }]);
    child.destroy();
  });

  it.each<[string, Type<HttpBackend>, string]>([
    ['by fetch on a server', FetchBackend, 'server'],
    ['by XMLHttpRequest in a browser', HttpXhrBackend, 'browser'],
  ])('it is sent %s', async (_, backend, platform) => {
    openWorld(asFunction, backend, platform);
    await world.signIn();
    toBeSent(await errorsOf(world, new HttpContext()));
  });
});
