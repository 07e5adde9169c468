// The pages of /sign-in in docs/angular, as they stand there: who cancels at the server and tries again gets to where she wanted to go.
import { Component } from '@angular/core';
import type { ApplicationConfig } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, Router } from '@angular/router';
import type { Routes } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { provideCredentials } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import { load, loadFile } from '../support/example';

@Component({ template: '' })
class Page {}

interface SignInPage {
  readonly failure: unknown;
  signIn(): Promise<void>;
}

/** The addresses that a page has left for. */
let left: URL[];
beforeEach(() => {
  left = [];
  for (const level of ['debug', 'warn'] as const) jest.spyOn(console, level).mockReturnValue(); // one page has a logger
});
afterEach(() => jest.restoreAllMocks());
const location = { assign: (url: URL) => void left.push(url), replace: (url: URL) => void left.push(url) };

/** A file of a page. */
const file = (name: string, path: string, given?: Readonly<Record<string, object>>): Record<string, unknown> =>
  loadFile(`docs/angular/${name}.md`, path, given, { location }) as Record<string, unknown>;

/** The page of a silent check, which is a block of its own. */
const silentCheck = (): object => load('docs/angular/protect-a-route.md', "prompt: 'none'", {}, { location }) as object;

/** The routes of docs/angular/protect-a-route.md with one of its pages. */
function protectedRoutes(example: object): Routes {
  return file('protect-a-route', 'src/app/app.routes.ts', { './sign-in': example })['routes'] as Routes;
}

const others: Routes = ['orders', 'elsewhere'].map((path) => ({ path, component: Page }));

function application(routes: Routes): void {
  TestBed.configureTestingModule({
    providers: [
      provideCredentials({
        issuer: 'https://id.example.com',
        clientId: 'spa',
        scope: 'openid',
        redirectUri: 'https://app.example.com/callback',
      }),
      provideRouter([...others, ...routes]),
      provideCredentialsTesting(),
    ],
  });
}

const protectARoute = (): void => application(protectedRoutes(file('protect-a-route', 'src/app/sign-in.ts')));
const silent = (): void => application(protectedRoutes(silentCheck()));

function unauthorized(): void {
  const session = file('unauthorized', 'src/app/session.ts');
  const signIn = file('unauthorized', 'src/app/sign-in.ts');
  const { appConfig } = file('unauthorized', 'src/app/app.config.ts', { './session': session, './sign-in': signIn });
  TestBed.configureTestingModule({ providers: [...(appConfig as ApplicationConfig).providers, provideCredentialsTesting()] });
  const router = TestBed.inject(Router);
  router.resetConfig([...others, ...router.config]);
}

/** The server's answer to the sign-in that was begun last. */
const answered = (answer: string): string => `/callback?${answer}&state=${left.at(-1)?.searchParams.get('state')}`;

it.each([
  ['docs/angular/protect-a-route.md', protectARoute, '/sign-in?returnTo=%2Forders'],
  ['docs/angular/protect-a-route.md, a silent check', silent, '/sign-in?returnTo=%2Forders'],
  ['docs/angular/unauthorized.md', unauthorized, '/sign-in?error=insufficient_scope&scope=pay&returnTo=%2Forders'],
])('%s: a second try leads to where the first would have', async (_, start, address) => {
  start();
  const harness = await RouterTestingHarness.create();
  const shown = (): SignInPage => harness.routeDebugElement?.componentInstance as SignInPage;
  await harness.navigateByUrl(address);
  await shown().signIn();
  await harness.navigateByUrl('/elsewhere'); // the page is left
  await harness.navigateByUrl(answered('error=access_denied'));
  expect([TestBed.inject(Router).url, shown().failure]).toMatchObject(['/sign-in', { error: 'access_denied' }]);
  await shown().signIn();
  await harness.navigateByUrl('/elsewhere');
  await harness.navigateByUrl(answered('code=abc'));
  await TestBed.inject(CredentialsTestingController).tick();
  expect(TestBed.inject(Router).url).toBe('/orders');
});
