// The guard of docs/angular.md for the address that the server leads to after its logout, as it stands there, in a document.
import { BrowserPlatformLocation, PlatformLocation } from '@angular/common';
import { Component } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { NavigationEnd, provideRouter, Router } from '@angular/router';
import type { CanActivateFn } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { completeSignIn, injectSessionLogoutFlow, provideCredentials } from 'rx-credentials-angular';
import { filter, firstValueFrom } from 'rxjs';
import { load } from '../support/example';

const example = load('docs/angular.md', 'export const completeSignOut') as { completeSignOut: CanActivateFn };

@Component({ template: 'home' })
class Home {}
@Component({ template: '' })
class Other {}

const original = location.href;
afterEach(() => {
  sessionStorage.clear();
  history.replaceState(null, '', original);
});

/** A page that is loaded at the address that the browser shows; its router writes that address. */
function start(): void {
  TestBed.resetTestingModule();
  TestBed.configureTestingModule({
    providers: [
      provideCredentials({
        issuer: 'https://id.example.com',
        clientId: 'spa',
        redirectUri: 'https://app.example.com/callback',
        postLogoutRedirectUri: 'https://app.example.com/',
        metadata: { end_session_endpoint: 'https://id.example.com/logout' },
      }),
      provideRouter([
        {
          path: '',
          pathMatch: 'full',
          component: Home,
          canActivate: [completeSignIn(), example.completeSignOut],
        },
        { path: 'other', component: Other },
      ]),
      { provide: PlatformLocation, useClass: BrowserPlatformLocation },
    ],
  });
}

async function shown(): Promise<unknown[]> {
  const harness = await RouterTestingHarness.create();
  const router = TestBed.inject(Router);
  const done = firstValueFrom(router.events.pipe(filter((event) => event instanceof NavigationEnd)));
  router.initialNavigation();
  await done;
  return [router.url, location.pathname + location.search, harness.routeNativeElement?.textContent];
}

/** The `state` of a logout that was begun here. */
async function begin(): Promise<string> {
  start();
  const url = await TestBed.runInInjectionContext(() => injectSessionLogoutFlow()).start();
  return url.searchParams.get('state') ?? '';
}

describe('docs/angular.md: back from the logout of the server', () => {
  it('RPL-1 the address is clean, and so is what the router knows of it; no history entry is added', async () => {
    history.replaceState(null, '', `/?state=${await begin()}`);
    const { length } = history;
    start();
    expect(await shown()).toEqual(['/', '/', 'home']);
    expect(history).toHaveLength(length);
    await TestBed.inject(Router).navigateByUrl('/other');
    await TestBed.inject(Router).navigateByUrl('/');
    expect([TestBed.inject(Router).url, location.pathname + location.search]).toEqual(['/', '/']);
  });

  it.each(['/', '/?page=2', '/?state=of-somebody-else'])('and %s is shown as it is', async (address) => {
    await begin();
    history.replaceState(null, '', address);
    start();
    expect(await shown()).toEqual([address, address, 'home']);
  });

  it('E38 and so it is where the session storage is blocked', async () => {
    start();
    history.replaceState(null, '', '/?state=s');
    jest.spyOn(Storage.prototype, 'getItem').mockImplementation(() => {
      throw new DOMException('no', 'SecurityError');
    });
    jest.spyOn(Storage.prototype, 'removeItem').mockImplementation(() => {
      throw new DOMException('no', 'SecurityError');
    });
    expect(await shown()).toEqual(['/?state=s', '/?state=s', 'home']);
    jest.restoreAllMocks();
  });
});
