import {
  HttpClient,
  HttpContext,
  HttpContextToken,
  provideHttpClient,
  withInterceptors,
  withRequestsMadeViaParent,
} from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting } from '@angular/common/http/testing';
import { Component, inject } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, withAutoCleanupInjectors } from '@angular/router';
import type { RouterFeatures } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { credentialsInterceptor, credentialStoreToken, noRetry, provideCredentials, withName, withResources } from 'rx-credentials-angular';
import type { CredentialStore } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';

const CLIENT = { issuer: 'https://id.example.com', clientId: 'spa' };
const ADMIN = credentialStoreToken('admin');

@Component({ selector: 'app-other', template: 'other' })
class Other {}

@Component({ selector: 'app-admin', template: 'admin' })
class Admin {
  readonly store = inject(ADMIN);
  readonly http = inject(HttpClient);
  readonly api = inject(HttpTestingController);
}

/** An application with a store, and a route that has another one and an `HttpClient` of its own. */
async function start(
  httpOfRoute: readonly Parameters<typeof provideHttpClient>[number][],
  { rootCovers = ['https://api.example.com/'], router = [] }: { rootCovers?: string[]; router?: RouterFeatures[] } = {},
): Promise<Started> {
  const isOwnBackend = httpOfRoute.length === 0; // which is then played, too
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(CLIENT, withResources(...rootCovers)),
      provideHttpClient(withInterceptors([credentialsInterceptor])),
      provideHttpClientTesting(),
      provideCredentialsTesting({ credentials: [{ accessToken: 'of-root' }] }),
      provideRouter(
        [
          {
            path: 'admin',
            component: Admin,
            providers: [
              provideCredentials({ ...CLIENT, clientId: 'console' }, withName('admin'), withResources('https://admin.example.com/')),
              provideHttpClient(withInterceptors([credentialsInterceptor]), ...httpOfRoute),
              isOwnBackend ? provideHttpClientTesting() : [],
            ],
          },
          { path: 'other', component: Other },
        ],
        ...router,
      ),
    ],
  });
  const credentials = TestBed.inject(CredentialsTestingController);
  const harness = await RouterTestingHarness.create('/other');
  return { credentials, harness, enter: () => harness.navigateByUrl('/admin', Admin) };
}

interface Started {
  readonly credentials: CredentialsTestingController;
  readonly harness: RouterTestingHarness;
  readonly enter: () => Promise<Admin>;
}

/** The tokens that requests of the route carry, by host. */
async function tokensOf({ credentials }: Started, { http, api }: Admin): Promise<Readonly<Record<string, string | null>>> {
  for (const host of ['api', 'admin']) http.get(`https://${host}.example.com/x`).subscribe();
  await credentials.tick();
  const sent = api.match(() => true).map(({ request }) => [new URL(request.url).host.split('.')[0], request.headers.get('Authorization')]);
  return Object.fromEntries(sent) as Record<string, string | null>;
}

/** What a store answers: `open`, or the code of its error. */
function stateOf(store: CredentialStore): Promise<string> {
  return store.allIDs().then(
    () => 'open',
    (error: unknown) => (error as { readonly code: string }).code,
  );
}

describe('a store in the providers of a route', () => {
  it('is made with the route; the requests of its HttpClient carry its token, and not those of the root', async () => {
    const app = await start([]);
    const admin = await app.enter();
    await app.credentials.signIn({ accessToken: 'of-admin' }, { store: 'admin' });
    expect(await tokensOf(app, admin)).toEqual({ admin: 'Bearer of-admin', api: null });
    expect(TestBed.inject(ADMIN, null)).toBe(null);
  });

  it('with withRequestsMadeViaParent the store of the root attaches to its own', async () => {
    const app = await start([withRequestsMadeViaParent()]);
    const admin = await app.enter();
    await app.credentials.signIn({ accessToken: 'of-admin' }, { store: 'admin' });
    expect(await tokensOf(app, admin)).toEqual({ admin: 'Bearer of-admin', api: 'Bearer of-root' });
  });

  it('what the store of the route covers is not left to that of the root while nobody is signed in there', async () => {
    const app = await start([withRequestsMadeViaParent()], { rootCovers: ['https://api.example.com/', 'https://admin.example.com/'] });
    const admin = await app.enter();
    expect(await tokensOf(app, admin)).toEqual({ admin: null, api: 'Bearer of-root' });
    admin.http.get('https://admin.example.com/z').subscribe(); // behind an interceptor that copies the context
    await app.credentials.tick();
    const { context: kept } = admin.api.expectOne('https://admin.example.com/z').request;
    admin.http.get('https://admin.example.com/z', { context: noRetry(kept) }).subscribe();
    await app.credentials.tick();
    expect(admin.api.expectOne('https://admin.example.com/z').request.headers.has('Authorization')).toBe(false);
    const mine = new HttpContextToken(() => 'nothing');
    const context = new HttpContext();
    admin.http.get('https://admin.example.com/y', { context }).subscribe();
    await app.credentials.tick();
    admin.api.expectOne('https://admin.example.com/y').request.context.set(mine, 'seen');
    expect(context.get(mine)).toBe('seen');
  });

  it('stays open when the route is left, since its injector is kept; whoever comes back finds it', async () => {
    const app = await start([]);
    const { store } = await app.enter();
    await app.harness.navigateByUrl('/other');
    expect(await stateOf(store)).toBe('open');
    expect((await app.enter()).store).toBe(store);
  });

  it('is closed when the route is left, and made anew, where the router cleans up injectors', async () => {
    const app = await start([], { router: [withAutoCleanupInjectors()] });
    const { store } = await app.enter();
    await app.harness.navigateByUrl('/other');
    expect(await stateOf(store)).toBe('store_closed');
    const next = (await app.enter()).store;
    expect([next === store, await stateOf(next)]).toEqual([false, 'open']);
  });
});
