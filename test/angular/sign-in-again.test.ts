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
import { CredentialError } from 'rx-credentials';
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

  it('design §4.2 has the tags of where the sign-in began: one credential for each API of one user', async () => {
    const tags = jest.fn((returnTo: string) => [`api:${returnTo.slice(1)}`]);
    application([ALICE], { tags });
    await signInAgain({ sub: 'alice' });
    expect(credentials()).toMatchObject([
      { id: 'alice', scope: 'openid', tags: ['pinned'] },
      { sub: 'alice', scope: 'openid invoices:read', tags: ['api:invoices'] },
    ]);
    expect(tags.mock.calls).toEqual([['/invoices']]);
  });

  it('fails, and stores nothing, where the function of the tags throws', async () => {
    const tags = (): never => {
      throw new Error('no');
    };
    application([ALICE], { tags, failure: '/sign-in' });
    expect(await signInAgain({ sub: 'alice' })).toMatch(/^\/sign-in/);
    expect(credentials()).toMatchObject([{ id: 'alice', scope: 'openid', tags: ['pinned'] }]);
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

describe('who signs in', () => {
  const defaults = (): readonly unknown[] =>
    TestBed.inject(CredentialStore)
      .snapshot()
      .credentials.map(({ claims, isDefault }) => [claims?.sub, isDefault]);
  const BOB: TestCredential = { id: 'bob', sub: 'bob', scope: 'openid' };
  /** The default signs out; the other credential stays. */
  async function leave(): Promise<void> {
    const user = await TestBed.inject(CredentialStore).getDefault();
    await user?.remove();
    expect(TestBed.inject(CredentialStore).snapshot().defaultId).toBeNull();
  }

  it.each<[string, CompleteSignInOptions, string]>([
    ['as somebody new', {}, 'carol'],
    ['as somebody new, with tags', { tags: ['mail'] }, 'carol'],
    ['as who is there', {}, 'bob'],
    ['as who is there, with other tags', { tags: ['mail'] }, 'bob'],
  ])('after the default has signed out is the default, though others are there: %s', async (_, options, sub) => {
    application([ALICE, BOB], options);
    expect(await signInAgain({ sub }, leave)).toBe('/invoices');
    expect(defaults().filter((one) => (one as unknown[])[1])).toEqual([[sub, true]]);
    const tab = await TestBed.inject(CredentialsTestingController).openTab();
    expect((await tab.getDefault())?.claims?.sub).toBe(sub); // it is stored
  });

  it('as another user leaves the default alone, unless there is one account: then the last one is it', async () => {
    application([ALICE]);
    expect(await signInAgain({ sub: 'bob' })).toMatch(/^\/sign-in/);
    expect(defaults()).toEqual([
      ['alice', true],
      ['bob', false],
    ]);
    TestBed.resetTestingModule();
    application([ALICE], { asDefault: true });
    expect(await signInAgain({ sub: 'bob' })).toBe('/invoices');
    expect(defaults()).toEqual([
      ['alice', false],
      ['bob', true],
    ]);
  });

  it('is stored, and told what failed, where nobody can be made the default', async () => {
    application([ALICE, BOB], { failure: ({ code, returnTo }) => `/sign-in?code=${code}&to=${returnTo}` });
    const store = TestBed.inject(CredentialStore);
    const url = await signInAgain({ sub: 'carol' }, async () => {
      await leave();
      jest.spyOn(store, 'setDefault').mockRejectedValue(new CredentialError('storage_failed', 'full'));
    });
    expect(url).toBe('/sign-in?code=storage_failed&to=%2Finvoices');
    expect(defaults()).toEqual([
      ['bob', false],
      ['carol', false],
    ]);
  });

  it('in two tabs at a time after a sign-out makes one of the two the default in both', async () => {
    application([ALICE, BOB]);
    const tab = await TestBed.inject(CredentialsTestingController).openTab();
    let other: Promise<void> | undefined;
    await signInAgain({ sub: 'carol' }, async () => {
      await leave();
      const [bob] = await tab.find({ sub: 'bob' });
      other = tab.setDefault(bob ?? null); // as its completeSignIn does
    });
    await other;
    await TestBed.inject(CredentialsTestingController).tick();
    const { snapshot } = TestBed.inject(CredentialStore);
    expect(defaults().filter((one) => (one as unknown[])[1])).toHaveLength(1);
    expect(tab.snapshot().defaultId).toBe(snapshot().defaultId);
  });
});
