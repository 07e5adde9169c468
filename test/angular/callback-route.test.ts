import { Component, inject } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { NavigationStart, provideRouter, RedirectCommand, Router, withHashLocation } from '@angular/router';
import type { Routes } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import {
  completeSignIn,
  CredentialStore,
  injectAuthorizationCodeFlow,
  injectSignInFailure,
  provideCredentials,
} from 'rx-credentials-angular';
import type { CompleteSignInOptions, SignInFailure } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { TestCredential } from 'rx-credentials-angular/testing';

@Component({ template: 'home {{ failure?.code }}' })
class Home {
  readonly failure = injectSignInFailure();
}
@Component({ template: 'page {{ failure?.code }} {{ failure?.returnTo }}' })
class Page {
  readonly failure = injectSignInFailure();
}

@Component({ template: 'round in circles' })
class Circle {}

/** More than any test takes: redirects that went on for ever would let no timer end it. */
const MOST_NAVIGATIONS = 10;

const CALLBACK = { redirectUri: 'https://app.example.com/callback' };

function application(routes: Routes, { redirectUri = 'https://app.example.com/', hash = false } = {}): void {
  TestBed.configureTestingModule({
    providers: [
      provideCredentials({ issuer: 'https://id.example.com', clientId: 'spa', redirectUri }),
      provideRouter(routes, ...(hash ? [withHashLocation()] : [])),
      provideCredentialsTesting(),
    ],
  });
  let navigations = 0;
  TestBed.inject(Router).events.subscribe((event) => {
    if (event instanceof NavigationStart && ++navigations > MOST_NAVIGATIONS)
      TestBed.inject(Router).resetConfig([{ path: '**', component: Circle }]);
  });
}

/** What the server sends the user back with. */
async function begin(returnTo?: string): Promise<string> {
  const flow = TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow());
  return `code=abc&state=${(await flow.start({ returnTo })).searchParams.get('state')}`;
}

const shown = ({ routeNativeElement }: RouterTestingHarness): unknown => [
  TestBed.inject(Router).url,
  routeNativeElement?.textContent.trim(),
];
const users = (): readonly unknown[] =>
  TestBed.inject(CredentialStore)
    .snapshot()
    .credentials.map(({ claims }) => claims?.sub);
const root = (options?: CompleteSignInOptions): Routes => [
  { path: '', pathMatch: 'full', component: Home, canActivate: [completeSignIn(options)] },
  { path: 'orders', component: Page },
];

describe('a callback that is home, too', () => {
  it.each(['/', '/?page=2', '/?code=SPRING', '/#top'])('is shown to who comes by hand to %s', async (path) => {
    application(root());
    expect(shown(await RouterTestingHarness.create(path))).toEqual([path, 'home']);
  });

  it.each([
    [undefined, '/'],
    ['/', '/'],
    ['/?page=2', '/?page=2'],
  ])('is where a sign-in that began with returnTo %j ends', async (returnTo, url) => {
    application(root());
    const harness = await RouterTestingHarness.create('/orders');
    await harness.navigateByUrl(`/?${await begin(returnTo)}`);
    expect(shown(harness)).toEqual([url, 'home']);
    expect(users()).toEqual(['user']);
  });

  it('shows why a sign-in failed', async () => {
    application(root());
    expect(shown(await RouterTestingHarness.create('/?code=abc&state=unknown'))).toEqual(['/', 'home callback_state_unknown']);
  });

  it.each(['/caf%C3%A9', 'callback', '/callback?from=sign-in'])('may be %s', async (home) => {
    const path = decodeURI(home).replace(/^\/|\?.*/g, '');
    application([{ path, component: Home, canActivate: [completeSignIn({ home: decodeURI(home) })] }]);
    expect(shown(await RouterTestingHarness.create(`/${path}`))).toEqual([encodeURI(`/${path}`), 'home']);
  });
});

describe('a callback that shows what failed', () => {
  it('is shown with the reason, and leads home without one', async () => {
    application(
      [
        { path: '', pathMatch: 'full', component: Home },
        { path: 'callback', component: Page, canActivate: [completeSignIn({ failure: '/callback' })] },
      ],
      CALLBACK,
    );
    const harness = await RouterTestingHarness.create('/callback?code=abc&state=unknown');
    expect(shown(harness)).toEqual(['/callback', 'page callback_state_unknown /']);
    await harness.navigateByUrl('/');
    await harness.navigateByUrl('/callback');
    expect(shown(harness)).toEqual(['/', 'home']);
  });
});

describe('a failure that is told by ?error=', () => {
  const failure = (path: string) => ({ failure: ({ code }: SignInFailure) => `${path}?error=${code}` });

  it.each<[string, Routes]>([
    ['/', root(failure('/'))],
    [
      '/callback',
      [
        { path: '', pathMatch: 'full', component: Home },
        { path: 'callback', component: Home, canActivate: [completeSignIn(failure('/callback'))] },
      ],
    ],
  ])('at the redirect URI itself, %s, is shown there and is no answer of the server', async (path, routes) => {
    application(routes, { redirectUri: `https://app.example.com${path}` });
    const harness = await RouterTestingHarness.create(`${path}?code=abc&state=unknown`);
    expect(shown(harness)).toEqual([`${path}?error=callback_state_unknown`, 'home callback_state_unknown']);
  });
});

describe('the address bar', () => {
  const original = location.href;
  afterEach(() => history.replaceState(null, '', original));

  it.each([['/'], ['/callback']])('has the answer where routes are in the fragment: it came to %s', async (path) => {
    application(root(), { hash: true, redirectUri: `https://app.example.com${path}` });
    const answer = await begin('/orders');
    history.replaceState(null, '', `${path}?${answer}`);
    expect(shown(await RouterTestingHarness.create('/'))).toEqual(['/orders', 'page']);
    expect(users()).toEqual(['user']);
  });

  it('that keeps the answer, since a browser refused to change it, is asked once', async () => {
    application(root(), { hash: true });
    const answer = await begin();
    history.replaceState(null, '', `/?${answer}`);
    const harness = await RouterTestingHarness.create('/');
    expect(shown(harness)).toEqual(['/', 'home']);
    history.replaceState(null, '', `/?${answer}#/`);
    await harness.navigateByUrl('/orders');
    await harness.navigateByUrl('/');
    expect(shown(harness)).toEqual(['/', 'home']);
    expect(users()).toEqual(['user']);
  });

  it('that keeps a wrong answer does not lead round in circles', async () => {
    const failure = (): RedirectCommand => new RedirectCommand(inject(Router).parseUrl('/?failed=1'));
    application(root({ failure }), { hash: true });
    history.replaceState(null, '', '/?code=abc&state=unknown');
    expect(shown(await RouterTestingHarness.create('/'))).toEqual(['/?failed=1', 'home']);
  });

  it.each(['/stores?state=CA&code=90210', '/connect/github?code=gh1&state=xyz'])(
    '9700-4 of the page that is being left, %s, is no answer to who goes home',
    async (left) => {
      application([...root({ failure: '/sign-in' }), { path: 'sign-in', component: Page }, { path: '**', component: Page }]);
      const harness = await RouterTestingHarness.create('/orders');
      await harness.navigateByUrl(left);
      history.replaceState(null, '', left); // tests of routers leave the browser's own address alone
      await harness.navigateByUrl('/');
      expect(shown(harness)).toEqual(['/', 'home']);
      expect(location.pathname + location.search).toBe(left);
    },
  );

  it('says nothing of an error of another page', async () => {
    application(
      [
        { path: '', pathMatch: 'full', component: Home },
        { path: 'callback', component: Page, canActivate: [completeSignIn()] },
      ],
      { redirectUri: 'https://app.example.com/callback' },
    );
    history.replaceState(null, '', '/search?error=404');
    expect(shown(await RouterTestingHarness.create('/callback'))).toEqual(['/', 'home']);
  });
});

describe('an answer that is none any more', () => {
  const routes = (): Routes => [
    { path: '', pathMatch: 'full', component: Home },
    { path: 'orders', component: Page },
    { path: 'sign-in', component: Page },
    { path: 'callback', component: Page, canActivate: [completeSignIn({ failure: '/sign-in' })] },
  ];
  const credentials = (): CredentialsTestingController => TestBed.inject(CredentialsTestingController);

  it('6749-3 leads to where the sign-in led for who went back to it', async () => {
    application(routes(), CALLBACK);
    const harness = await RouterTestingHarness.create('/');
    const answer = await begin('/orders');
    await harness.navigateByUrl(`/callback?${answer}`);
    await harness.navigateByUrl(`/callback?${answer}`);
    expect(shown(harness)).toEqual(['/orders', 'page']);
  });

  it('leads home while somebody is signed in, and stores nothing', async () => {
    application(routes(), CALLBACK);
    await credentials().signIn({ sub: 'alice' });
    expect(shown(await RouterTestingHarness.create('/callback?code=abc&state=forged'))).toEqual(['/', 'home']);
    expect(users()).toEqual(['alice']);
  });

  it.each<[string, TestCredential]>([
    ['the session has ended', { refreshToken: null, expiresIn: 1 }],
    ['nobody is the default', {}],
  ])('is a failure where %s', async (what, credential) => {
    application(routes(), CALLBACK);
    await credentials().signIn(credential);
    await credentials().tick(2_000);
    if (what === 'nobody is the default') await TestBed.inject(CredentialStore).setDefault(null);
    const harness = await RouterTestingHarness.create('/callback?code=abc&state=unknown');
    expect(shown(harness)).toEqual(['/sign-in', 'page callback_state_unknown /']);
  });

  it('is a failure where the server said no, whoever is signed in', async () => {
    application(routes(), CALLBACK);
    await credentials().signIn({ sub: 'alice' });
    const refused = (await begin('/orders')).replace('code=abc', 'error=access_denied');
    expect(shown(await RouterTestingHarness.create(`/callback?${refused}`))).toEqual(['/sign-in', 'page authorization_failed /orders']);
  });
});

describe('an error without state', () => {
  it.each([
    ['https://app.example.com/callback', '/callback?error=access_denied&error_description=not+assigned'],
    ['https://app.example.com/callback/', '/callback?error=access_denied'],
  ])('6749-4 comes to %s and is a failure: nobody signs in again without knowing why', async (redirectUri, address) => {
    application(
      [
        { path: '', pathMatch: 'full', component: Home },
        { path: 'sign-in', component: Page },
        { path: 'orders', component: Page },
        { path: 'callback', component: Page, canActivate: [completeSignIn({ failure: '/sign-in' })] },
      ],
      { redirectUri },
    );
    const answer = await begin('/orders'); // 6749-4: it stays usable
    const harness = await RouterTestingHarness.create(address);
    expect(shown(harness)).toEqual(['/sign-in', 'page callback_invalid /']);
    await harness.navigateByUrl(`/callback?${answer}`);
    expect(users()).toEqual(['user']);
  });

  it('is one on a root that is the redirect URI, too; elsewhere it is a parameter of the application', async () => {
    application([...root(), { path: 'search', component: Page, canActivate: [completeSignIn({ home: '/search' })] }]);
    const harness = await RouterTestingHarness.create('/search?error=404');
    expect(shown(harness)).toEqual(['/search?error=404', 'page']);
    await harness.navigateByUrl('/?error=server_error');
    expect(shown(harness)).toEqual(['/', 'home callback_invalid']);
  });
});
