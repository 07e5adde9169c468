// On Angular's own server: a document that cannot say its base, and no browser that began anything.
import { PlatformLocation } from '@angular/common';
import { PLATFORM_ID } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter } from '@angular/router';
import { completeSignIn, CredentialStore } from 'rx-credentials-angular';
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

it('E49 the guard of the callback leaves the code to the browser that began the sign-in', async () => {
  world = createAngularWorldOf({ providers: [provideRouter([]), { provide: PLATFORM_ID, useValue: 'server' }] });
  const guard = completeSignIn();
  expect(await TestBed.runInInjectionContext(() => guard())).toBe(true);
  expect(await TestBed.inject(CredentialStore).allIDs()).toEqual([]);
});
