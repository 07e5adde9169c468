import { PlatformLocation } from '@angular/common';
import { Component, provideAppInitializer } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, Router, type Routes } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { CredentialStore, provideCredentials } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { TestCredential } from 'rx-credentials-angular/testing';
import { createToken, type Token } from 'rx-credentials';
import { loadFile } from '../support/example';

// The example of docs/angular/unauthorized.md as it stands there.
const example = loadFile('docs/angular/unauthorized.md', 'src/app/session.ts') as { followSession: () => void };

@Component({ template: '' })
class Page {}

let credentials: CredentialsTestingController;
async function application(...stored: readonly TestCredential[]): Promise<void> {
  TestBed.configureTestingModule({
    providers: [
      provideCredentials({ issuer: 'https://id.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/callback' }),
      provideRouter([
        { path: 'orders', component: Page },
        { path: 'sign-in', component: Page },
        { path: '', pathMatch: 'full', component: Page },
      ]),
      provideCredentialsTesting({ credentials: stored }),
      provideAppInitializer(() => example.followSession()),
    ],
  });
  credentials = TestBed.inject(CredentialsTestingController);
  await RouterTestingHarness.create('/orders');
  await credentials.tick();
  expect(await where()).toBe('/orders');
}

async function where(): Promise<string> {
  TestBed.tick();
  await credentials.tick();
  return TestBed.inject(Router).url;
}

/** What a sign-in in another tab gives. */
function tokenOf(sub: string): Token {
  const context = { issuer: 'https://id.example.com', clientId: 'spa' };
  const issuedAt = credentials.now();
  const claims = { iss: context.issuer, aud: context.clientId, sub, iat: 0, exp: 1 };
  return createToken({
    ...{ id: `of-${sub}`, accessToken: 'access', tokenType: 'Bearer', scope: 'openid', refreshToken: 'refresh' },
    ...{ issuedAt, expiresAt: issuedAt + 600_000, claims, context },
  });
}

/** The server refuses to renew the default. */
async function refuse(error?: string): Promise<void> {
  const user = await TestBed.inject(CredentialStore).getDefault();
  const refresh = user?.refresh().catch(() => undefined);
  await credentials.tick();
  await credentials.expectRefresh().fail(error);
  if (error !== undefined) await refresh;
}

describe('docs/angular/unauthorized.md: the page leads to the sign-in once', () => {
  it.each<[string, TestCredential, () => Promise<void>]>([
    ['a token has expired that nothing renews', { id: 'alice', refreshToken: null }, () => credentials.expire('alice')],
    ['the server refuses to renew', {}, () => refuse('invalid_grant')],
    ['the server asks for the user', {}, () => refuse('interaction_required')],
    [
      'the user has signed out in another tab',
      {},
      async () => {
        const there = await (await credentials.openTab()).getDefault();
        await there?.remove();
      },
    ],
  ])('%s', async (_, credential, end) => {
    await application(credential);
    await end();
    expect(await where()).toBe('/sign-in?returnTo=%2Forders');
  });

  it('where a resolver finds out, back to the page that was being gone to', async () => {
    await application({});
    const finds = async (): Promise<void> => {
      await refuse('invalid_grant');
      TestBed.tick();
    };
    TestBed.inject(Router).resetConfig([
      ...TestBed.inject(Router).config,
      { path: 'orders/:id', component: Page, resolve: { order: finds } },
    ]);
    await TestBed.inject(Router).navigateByUrl('/orders/5?all=1');
    expect(await where()).toBe('/sign-in?returnTo=%2Forders%2F5%3Fall%3D1');
  });

  it('9700-2 and never back to an answer of the server', async () => {
    await application({});
    const finds = async (): Promise<boolean> => {
      await refuse('invalid_grant');
      TestBed.tick();
      return true;
    };
    TestBed.inject(Router).resetConfig([...TestBed.inject(Router).config, { path: 'callback', component: Page, canActivate: [finds] }]);
    await TestBed.inject(Router).navigateByUrl('/callback?code=CANARY&state=s');
    expect(await where()).toBe('/sign-in?returnTo=%2Forders');
  });

  it('and not away from what a step-up asks for there', async () => {
    await application({});
    await TestBed.inject(Router).navigateByUrl('/sign-in?scope=orders&returnTo=%2Forders');
    await refuse('invalid_grant');
    expect(await where()).toBe('/sign-in?scope=orders&returnTo=%2Forders');
  });

  it('and not where the network is down, nobody was signed in, or another becomes the default', async () => {
    await application();
    await credentials.signIn({ id: 'alice' });
    expect(await where()).toBe('/orders');
    await credentials.signIn({ id: 'bob', sub: 'bob' });
    await TestBed.inject(CredentialStore).setDefault('bob');
    expect(await where()).toBe('/orders');
    await refuse();
    expect(await where()).toBe('/orders');
  });
});

describe('docs/angular/unauthorized.md: the page of the sign-in is left once the user has signed in in another tab', () => {
  /** Another tab signs in while this one shows an address. */
  async function signedInElsewhere(address: string, ...more: Routes): Promise<string> {
    await application();
    TestBed.inject(Router).resetConfig([...TestBed.inject(Router).config, ...more]);
    await TestBed.inject(Router).navigateByUrl(address);
    const there = await credentials.openTab();
    await there.store(tokenOf('alice'));
    return where();
  }

  it.each([
    ['/sign-in?returnTo=%2Forders%3Fpage%3D2', '/orders?page=2'],
    ['/sign-in', '/'],
    ['/sign-in?returnTo=%2Forders&returnTo=%2Fevil', '/orders'],
  ])('%s', async (address, url) => {
    expect(await signedInElsewhere(address)).toBe(url);
  });

  it('E5 also where the session was over before', async () => {
    await application({});
    const there = await credentials.openTab();
    await (await there.getDefault())?.remove();
    expect(await where()).toBe('/sign-in?returnTo=%2Forders');
    await there.store(tokenOf('alice'));
    expect(await where()).toBe('/orders');
  });

  it.each([
    ['https://evil.test/', '/sign-in?returnTo=https:%2F%2Fevil.test%2F'],
    ['//evil.test/orders', '/sign-in?returnTo=%2F%2Fevil.test%2Forders'],
    ['javascript:alert(1)', '/sign-in?returnTo=javascript:alert(1)'],
    ['/\\evil.test', '/%5Cevil.test'],
    ['/\t/evil.test', '/%09/evil.test'],
  ])('9700-1 a link cannot send the user to another site: %j', async (returnTo, url) => {
    const address = `/sign-in?${new URLSearchParams({ returnTo }).toString()}`;
    expect(await signedInElsewhere(address, { path: '**', component: Page })).toBe(url);
    const { href } = TestBed.inject(PlatformLocation);
    expect(new URL(url, href).origin).toBe(new URL(href).origin);
  });

  it('and not where nothing is there', async () => {
    expect(await signedInElsewhere('/sign-in?returnTo=%2Fnowhere')).toBe('/sign-in?returnTo=%2Fnowhere');
  });

  it.each([
    '/orders',
    '/sign-in?error=insufficient_scope&scope=pay&returnTo=%2Fcart', // an API asks for more than the other tab has
  ])('and not %s', async (address) => {
    expect(await signedInElsewhere(address)).toBe(address);
  });

  it('and not who is signed in when it is opened, as for another account', async () => {
    await application({});
    await TestBed.inject(Router).navigateByUrl('/sign-in');
    await credentials.signIn({ id: 'bob', sub: 'bob' });
    expect(await where()).toBe('/sign-in');
  });
});
