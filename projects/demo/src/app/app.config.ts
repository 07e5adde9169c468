/** The whole wiring: this is what an application of your own would look like. */
import { provideHttpClient, withInterceptors } from '@angular/common/http';
import {
  DOCUMENT,
  inject,
  InjectionToken,
  provideAppInitializer,
  provideBrowserGlobalErrorListeners,
  provideZonelessChangeDetection,
} from '@angular/core';
import type { ApplicationConfig } from '@angular/core';
import { provideRouter } from '@angular/router';
import type { Routes } from '@angular/router';
import type { CredentialStorage } from 'rx-credentials';
import { credentialsInterceptor, provideCredentials, requireCredential, withResources, withStorage } from 'rx-credentials-angular';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { sealed } from 'rx-credentials/storage/sealed';
import { DEMO_CONFIG } from './config';
import type { DemoConfig } from './config';
import { EventLog } from './event-log';
import { Faults, offlineInterceptor } from './faults';
import { Callback } from './pages/callback';
import { Home } from './pages/home';

const routes: Routes = [
  { path: '', component: Home, title: 'rx-credentials' },
  { path: 'callback', component: Callback, title: 'Signing in · rx-credentials' },
  {
    path: 'orders',
    canMatch: [requireCredential({ orElse: '/?wanted=orders' })],
    loadComponent: () => import('./pages/orders').then(({ Orders }) => Orders),
    title: 'Orders · rx-credentials',
  },
  {
    path: 'tabs',
    canMatch: [requireCredential({ orElse: '/?wanted=tabs' })],
    loadComponent: () => import('./pages/tabs').then(({ Tabs }) => Tabs),
    title: 'Eight tabs · rx-credentials',
  },
  { path: 'tab', loadComponent: () => import('./pages/tab').then(({ Tab }) => Tab), title: 'Tab · rx-credentials' },
  { path: '**', redirectTo: '' },
];

/** A token of its own, since a server has no storage of a browser. */
export const CREDENTIAL_STORAGE = new InjectionToken<CredentialStorage>('where credentials are kept', {
  factory: () => sealed(indexedDBStorage()),
});

export function appConfig(config: DemoConfig): ApplicationConfig {
  const { issuer, clientId, apiUrl } = config;
  return {
    providers: [
      provideZonelessChangeDetection(),
      provideBrowserGlobalErrorListeners(),
      provideRouter(routes),
      { provide: DEMO_CONFIG, useValue: config },
      provideCredentials(
        () => {
          const { origin } = inject(DOCUMENT).location;
          return {
            issuer,
            clientId,
            scope: 'openid profile email offline_access api:read',
            redirectUri: `${origin}/callback`,
            postLogoutRedirectUri: `${origin}/`,
            platform: inject(Faults).platform, // the platform of the browser, with a switch for bad answers; leave it out elsewhere
          };
        },
        withStorage(() => inject(CREDENTIAL_STORAGE)),
        withResources(apiUrl),
      ),
      provideHttpClient(withInterceptors([credentialsInterceptor, offlineInterceptor])), // the second one is the demo's: leave it out elsewhere
      provideAppInitializer(() => void inject(EventLog)), // before storage was read: what is found broken there is an event, too
    ],
  };
}
