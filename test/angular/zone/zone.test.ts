import { ɵREQUESTS_CONTRIBUTE_TO_STABILITY } from '@angular/common/http';
import { ApplicationRef, ChangeDetectionStrategy, Component, NgZone } from '@angular/core';
import { fakeAsync, TestBed } from '@angular/core/testing';
import {
  CredentialStore,
  injectCredentials,
  injectDefaultCredential,
  injectToken,
  provideCredentials,
  withRefresh,
} from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import { createToken, defaultPlatform, type Platform } from '../../../src/index.js';
import { createAngularWorld, createAngularWorldOf, endAngularWorld, API, type AngularWorld } from '../../support/angular-world.js';
import { CLIENT_ID, ISSUER } from '../../support/fake-client.js';
import { createWorld, settle } from '../../support/fixture.js';

let world: AngularWorld | undefined;
afterEach(async () => {
  await endAngularWorld(world);
  world = undefined;
});

/** How often the application was entered. */
function entriesOf(zone: NgZone): { count(): number } {
  let entries = 0;
  zone.onUnstable.subscribe(() => entries++);
  return { count: () => entries };
}

describe('with zone.js', () => {
  it('the zone is a real one', () => {
    expect(TestBed.inject(NgZone).run(() => NgZone.isInAngularZone())).toBe(true);
    expect(TestBed.inject(NgZone).constructor.name).toBe('NgZone');
  });

  it('E44 a credential that waits to expire leaves the application stable, and its ticks do not enter it', async () => {
    const system = defaultPlatform();
    const enough: (() => void)[] = [];
    let ticks = 0;
    const platform: Platform = {
      ...system,
      crypto: system.crypto,
      // Timers of the browser, as zone.js sees them; shorter, so that there are many
      setTimer: (callback, delayMs) =>
        system.setTimer(
          () => {
            callback();
            if (++ticks === 20) enough.forEach((resolve) => resolve());
          },
          Math.min(delayMs, 5),
        ),
    };
    const { authority } = createWorld();
    TestBed.configureTestingModule({ providers: [provideCredentials(authority.client(platform), withRefresh({ ahead: true }))] });
    const [zone, application] = [TestBed.inject(NgZone), TestBed.inject(ApplicationRef)];
    const store = zone.run(() => TestBed.inject(CredentialStore)); // as a component would
    await store.ready;
    const issuedAt = Date.now();
    const context = { issuer: ISSUER, clientId: CLIENT_ID };
    const times = { issuedAt, expiresAt: issuedAt + 3_600_000 };
    const token = createToken({
      id: 'a',
      accessToken: 'a',
      refreshToken: 'r',
      tokenType: 'Bearer',
      scope: '',
      claims: null,
      context,
      ...times,
    });
    await zone.run(() => store.store(token));
    await application.whenStable();
    expect(zone.hasPendingMacrotasks).toBe(false);
    const entries = entriesOf(zone);
    ticks = 0;
    await zone.runOutsideAngular(() => new Promise<void>((resolve) => enough.push(resolve)));
    expect([ticks >= 20, entries.count(), zone.hasPendingMacrotasks]).toEqual([true, 0, false]);
    await store.close();
  });

  it('what another tab does enters nothing by itself, and repaints OnPush views all the same', async () => {
    world = createAngularWorld();
    @Component({
      changeDetection: ChangeDetectionStrategy.OnPush,
      template: `{{ user()?.claims?.sub ?? 'nobody' }} {{ all()?.length }} {{ token()?.accessToken !== undefined }}
        {{ user()?.status?.activity }}`,
    })
    class View {
      readonly user = injectDefaultCredential();
      readonly all = injectCredentials();
      readonly token = injectToken();
    }
    const fixture = TestBed.createComponent(View);
    fixture.autoDetectChanges();
    const text = async (): Promise<string> => {
      await fixture.whenStable();
      return (fixture.nativeElement as HTMLElement).textContent.trim();
    };
    const credential = await world.signIn();
    expect(await text()).toBe('alice 1 true idle');
    world.authority.hold();
    const zone = TestBed.inject(NgZone);
    const refreshing = zone.runOutsideAngular(() => credential.refresh());
    await settle();
    expect(await text()).toBe('alice 1 true refreshing');
    world.authority.refreshes[0]?.answer();
    await refreshing;
    expect(await text()).toBe('alice 1 true idle');
    await zone.runOutsideAngular(() => credential.remove());
    expect(await text()).toBe('nobody 0 false');
  });

  it('E20 a request that waits for a token holds the application up no longer than waitMs', async () => {
    world = createAngularWorldOf({
      features: [withRefresh({ waitMs: 5_000 })],
      providers: [{ provide: ɵREQUESTS_CONTRIBUTE_TO_STABILITY, useValue: true }], // as outside of tests
    });
    const { authority, browser } = world;
    await world.signIn();
    browser.setClock(browser.now() + 3_700_000);
    authority.hold();
    const [zone, application] = [TestBed.inject(NgZone), TestBed.inject(ApplicationRef)];
    const sent = zone.run(() => world!.get(`${API}orders`));
    await settle();
    let isStable = false;
    const stable = application.whenStable().then(() => (isStable = true));
    await zone.runOutsideAngular(() => browser.advance(4_900));
    expect(isStable).toBe(false);
    await zone.runOutsideAngular(() => browser.advance(200));
    await stable;
    expect(sent.errors).toMatchObject([{ code: 'timeout' }]);
    authority.refreshes[0]?.answer();
    await settle();
  });

  it('a request without a token to wait for emits inside the zone', async () => {
    world = createAngularWorld();
    await world.signIn();
    const zone = TestBed.inject(NgZone);
    const inside: boolean[] = [];
    zone.run(() => world!.http.get(`${API}orders`).subscribe(() => inside.push(NgZone.isInAngularZone())));
    await settle();
    zone.run(() => world!.server.expectOne(`${API}orders`).flush('ok'));
    expect(inside).toEqual([true]);
  });
});

describe('CredentialsTestingController in a project with zone.js', () => {
  const application = (): CredentialsTestingController => {
    TestBed.configureTestingModule({
      providers: [
        provideCredentials({ issuer: ISSUER, clientId: CLIENT_ID }),
        provideCredentialsTesting({ credentials: [{ id: 'alice', sub: 'alice' }] }),
      ],
    });
    return TestBed.inject(CredentialsTestingController);
  };

  it('says that fakeAsync is none of its business, where it would wait for ever', fakeAsync(() => {
    const credentials = application();
    expect(() => credentials.tick()).toThrow(/async function/);
  }));

  it('tells it by the promise where it gives one that waits for nothing else', async () => {
    let failed: unknown;
    fakeAsync(
      () =>
        void application()
          .signIn()
          .catch((error: unknown) => (failed = error)),
    )();
    await settle();
    expect(String(failed)).toContain('fakeAsync');
  });

  it('works in an async function; detectChanges repaints', async () => {
    const credentials = application();
    @Component({ template: `{{ user()?.claims?.sub }}` })
    class View {
      readonly user = injectDefaultCredential();
    }
    const fixture = TestBed.createComponent(View);
    await credentials.tick();
    fixture.detectChanges();
    expect((fixture.nativeElement as HTMLElement).textContent).toBe('alice');
  });
});
