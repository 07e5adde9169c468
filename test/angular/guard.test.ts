import { Component, EnvironmentInjector, inject, runInInjectionContext } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, RedirectCommand, Router } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { provideCredentials, CredentialStore, requireCredential, withStorage } from 'rx-credentials-angular';
import { refusal } from '../support/fake-client.js';
import { createWorld, settle, type World } from '../support/fixture.js';

@Component({ template: 'orders' })
class Orders {}
@Component({ template: 'sign in' })
class SignIn {}

let world: World;
beforeEach(() => {
  world = createWorld();
  const platform = world.browser.openTab();
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(
        world.authority.client(platform),
        withStorage(() => world.disk.storage()),
      ),
      provideRouter([
        { path: 'orders', component: Orders, canMatch: [requireCredential({ orElse: '/sign-in?from=orders' })] },
        { path: 'activated', component: Orders, canActivate: [requireCredential({ orElse: '/sign-in' })] },
        { path: 'hidden', component: Orders, canMatch: [requireCredential()] },
        { path: 'hidden', component: SignIn },
        { path: 'sign-in', component: SignIn },
      ]),
    ],
  });
});

const guarded = (options?: { orElse?: string }): Promise<unknown> =>
  runInInjectionContext(TestBed.inject(EnvironmentInjector), () => Promise.resolve(requireCredential(options)() as Promise<unknown>));

describe('requireCredential', () => {
  it('waits until storage was read', async () => {
    const gate = world.disk.hold(({ method }) => method === 'readAll');
    let answer: unknown = 'none yet';
    const asking = guarded().then((result) => (answer = result));
    await gate.reached;
    await settle();
    expect(answer).toBe('none yet');
    gate.open();
    await asking;
    expect(answer).toBe(false);
  });

  it('lets the route match once somebody is signed in', async () => {
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    expect(await guarded({ orElse: '/sign-in' })).toBe(true);
    const harness = await RouterTestingHarness.create('/orders');
    expect(harness.routeNativeElement?.textContent).toBe('orders');
  });

  it('redirects by a command while nobody is signed in', async () => {
    const answer = await guarded({ orElse: '/sign-in?from=orders' });
    expect(answer).toBeInstanceOf(RedirectCommand);
    expect((answer as RedirectCommand).redirectTo.toString()).toBe('/sign-in?from=orders');
    const harness = await RouterTestingHarness.create('/orders');
    expect(harness.routeNativeElement?.textContent).toBe('sign in');
    expect(TestBed.inject(Router).url).toBe('/sign-in?from=orders');
    await harness.navigateByUrl('/activated');
    expect(TestBed.inject(Router).url).toBe('/sign-in');
  });

  it('without a place to go lets another route of the same path match', async () => {
    const harness = await RouterTestingHarness.create('/hidden');
    expect(harness.routeNativeElement?.textContent).toBe('sign in');
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    await harness.navigateByUrl('/');
    await harness.navigateByUrl('/hidden');
    expect(harness.routeNativeElement?.textContent).toBe('orders');
  });

  it('TM-3 lets through a token that has expired: the first request renews it', async () => {
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    world.browser.setClock(world.browser.now() + 3_700_000);
    expect(await guarded()).toBe(true);
    expect(world.authority.refreshes).toHaveLength(0);
  });

  it('takes a credential that needs sign-in, is being revoked or is not the default for nobody', async () => {
    const store = TestBed.inject(CredentialStore);
    const credential = await store.store(world.authority.signIn());
    await store.setDefault(null);
    expect(await guarded()).toBe(false);
    await store.setDefault(credential);
    world.authority.next(refusal('invalid_grant'));
    await credential.refresh().catch(() => undefined);
    expect(await guarded()).toBe(false);
    const again = await store.store(world.authority.signIn());
    expect(await guarded()).toBe(true);
    let answer = (): void => undefined;
    world.authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
    const revoking = again.revoke('refresh');
    await settle();
    expect(await guarded()).toBe(false);
    answer();
    await revoking;
  });

  it('needs an injection context', async () => {
    await expect(requireCredential()()).rejects.toThrow(/NG0?203/);
    expect(() => inject(CredentialStore)).toThrow(/NG0?203/);
  });
});
