/**
 * Providers of tests.
 *
 * @module
 */
import { DestroyRef, inject, Injector, makeEnvironmentProviders } from '@angular/core';
import type { EnvironmentProviders } from '@angular/core';
import { ɵCREDENTIALS_OVERRIDES } from 'rx-credentials-angular';
import { CredentialsTestingController } from './controller';
import type { TestCredential } from './tokens';
import { TestWorld } from './world';

/** Options of `provideCredentialsTesting`. */
export interface CredentialsTestingOptions {
  /** What is stored already, in the store without a name; the first one is the default. */
  readonly credentials?: readonly TestCredential[] | undefined;
  /** What the clock shows at first, in epoch milliseconds. Default: 2026-01-01. */
  readonly now?: number | undefined;
}

/**
 * Goes beside `provideCredentials(…)`, whose clients, resources and names it leaves as they are. Storage, clock, network and tabs are in
 * memory; tokens are renewed when they are asked for, unless `withRefresh({ ahead: true })` says otherwise.
 */
export function provideCredentialsTesting(options: CredentialsTestingOptions = {}): EnvironmentProviders {
  return makeEnvironmentProviders([
    {
      provide: TestWorld,
      useFactory: () => {
        const world = new TestWorld(inject(Injector), options.credentials ?? [], options.now ?? Date.UTC(2026, 0, 1));
        inject(DestroyRef).onDestroy(() => void world.close());
        return world;
      },
    },
    { provide: CredentialsTestingController, useExisting: TestWorld },
    { provide: ɵCREDENTIALS_OVERRIDES, useExisting: TestWorld },
  ]);
}
