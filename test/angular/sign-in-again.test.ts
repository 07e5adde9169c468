import { Component } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, Router } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import {
  completeSignIn,
  CredentialStore,
  injectAuthorizationCodeFlow,
  provideCredentials,
  requireCredential,
} from 'rx-credentials-angular';
import type { CompleteSignInOptions } from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { TestCredential } from 'rx-credentials-angular/testing';

@Component({ template: '' })
class Page {}

const ALICE: TestCredential = { id: 'alice', sub: 'alice', scope: 'openid', tags: ['pinned'] };

function application(credentials: readonly TestCredential[], options: CompleteSignInOptions = {}): void {
  TestBed.configureTestingModule({
    providers: [
      provideCredentials({ issuer: 'https://id.example.com', clientId: 'spa', redirectUri: 'https://app.example.com/callback' }),
      provideRouter([
        { path: 'invoices', component: Page, canActivate: [requireCredential({ scopes: 'invoices:read', orElse: '/sign-in' })] },
        { path: 'sign-in', component: Page },
        { path: 'callback', component: Page, canActivate: [completeSignIn(options)] },
      ]),
      provideCredentialsTesting({ credentials }),
    ],
  });
}

/** Goes to the invoices, is sent away, and comes back from the server with what it gives. */
async function signInAgain(tokens: Partial<TestCredential>, meanwhile: () => Promise<void> = async () => undefined): Promise<string> {
  const harness = await RouterTestingHarness.create('/invoices');
  expect(TestBed.inject(Router).url).toMatch(/^\/sign-in/);
  const flow = TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow());
  const state = (await flow.start({ returnTo: '/invoices', scope: 'openid invoices:read' })).searchParams.get('state');
  TestBed.inject(CredentialsTestingController).nextSignIn({ scope: 'openid invoices:read', ...tokens });
  await meanwhile();
  await harness.navigateByUrl(`/callback?code=abc&state=${state}`);
  return TestBed.inject(Router).url;
}

function credentials(): readonly unknown[] {
  return TestBed.inject(CredentialStore)
    .snapshot()
    .credentials.map(({ id, claims, scope, tags, isDefault }) => ({ id, sub: claims?.sub, scope, tags, isDefault }));
}

describe('who signs in again', () => {
  it('for more scope keeps her credential, and the route that asked for it opens', async () => {
    application([ALICE]);
    expect(await signInAgain({ sub: 'alice' })).toBe('/invoices');
    expect(credentials()).toEqual([{ id: 'alice', sub: 'alice', scope: 'openid invoices:read', tags: ['pinned'], isDefault: true }]);
  });

  it('keeps the default of several of hers', async () => {
    application([{ ...ALICE, id: 'other', scope: 'mail' }, ALICE]);
    const store = TestBed.inject(CredentialStore);
    await store.ready;
    await store.setDefault('alice');
    expect(await signInAgain({ sub: 'alice' })).toBe('/invoices');
    expect(credentials()).toMatchObject([
      { id: 'other', scope: 'mail', isDefault: false },
      { id: 'alice', scope: 'openid invoices:read', isDefault: true },
    ]);
  });

  it('with other tags has another credential', async () => {
    application([ALICE], { tags: ['invoices'] });
    expect(await signInAgain({ sub: 'alice' })).toMatch(/^\/sign-in/); // the guard asks about the default
    expect(credentials()).toMatchObject([
      { id: 'alice', scope: 'openid', tags: ['pinned'] },
      { sub: 'alice', scope: 'openid invoices:read', tags: ['invoices'] },
    ]);
  });

  it('as somebody else has another credential', async () => {
    application([ALICE]);
    await signInAgain({ sub: 'bob' });
    expect(credentials()).toMatchObject([
      { id: 'alice', sub: 'alice', scope: 'openid' },
      { sub: 'bob', scope: 'openid invoices:read', tags: [] },
    ]);
  });

  it('has a new credential if the old one is removed before she is back', async () => {
    application([ALICE]);
    const url = await signInAgain({ sub: 'alice' }, async () => {
      const old = await TestBed.inject(CredentialStore).with('alice');
      await old?.remove();
    });
    expect(url).toBe('/invoices');
    expect(credentials()).toMatchObject([{ sub: 'alice', scope: 'openid invoices:read', tags: [], isDefault: true }]);
  });
});
