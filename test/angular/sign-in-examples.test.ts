// The pages of /sign-in in docs/angular, as they stand there: who cancels at the server and tries again gets to where she wanted to go.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Component } from '@angular/core';
import type { ApplicationConfig } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, Router } from '@angular/router';
import type { Routes } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { provideCredentials } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import ts from 'typescript';
import { ROOT } from '../support/markdown';

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

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS,
  experimentalDecorators: true,
  useDefineForClassFields: false,
};

/** What code of a page exports; `given` are its neighbours. */
function run(code: string, given: Readonly<Record<string, object>> = {}): Record<string, unknown> {
  const { outputText } = ts.transpileModule(code, { compilerOptions });
  const exported = {};
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- it is what a bundler does with a file
  const load = new Function('require', 'exports', 'location', outputText) as (...all: readonly unknown[]) => void;
  load((name: string) => given[name] ?? jest.requireActual<object>(name), exported, location);
  return exported;
}

const page = (name: string): string => readFileSync(join(ROOT, 'docs/angular', `${name}.md`), 'utf8');

/** A file of a page. */
function file(name: string, path: string, given?: Readonly<Record<string, object>>): Record<string, unknown> {
  const text = page(name);
  const start = text.indexOf('```typescript\n', text.indexOf(`\n\`${path}\``)) + '```typescript\n'.length;
  return run(text.slice(start, text.indexOf('\n```\n', start)), given);
}

/** The page of a silent check, which is a block of its own. */
function silentCheck(): Record<string, unknown> {
  const [, code = ''] = /```ts\n((?:(?!```)[^])*prompt: 'none'[^]*?)\n```/.exec(page('protect-a-route')) ?? [];
  return run(code);
}

/** The routes of docs/angular/protect-a-route.md with one of its pages. */
function protectedRoutes(example: Record<string, unknown>): Routes {
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
