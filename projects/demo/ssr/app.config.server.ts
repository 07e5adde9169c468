/** What is different where Angular's server draws the page: it knows nobody, see docs/ssr.md. */
import { inject, mergeApplicationConfig, provideAppInitializer, TransferState } from '@angular/core';
import type { ApplicationConfig } from '@angular/core';
import { provideServerRendering, RenderMode, withRoutes } from '@angular/ssr';
import type { ServerRoute } from '@angular/ssr';
import { memoryStorage } from 'rx-credentials';
import { appConfig, CREDENTIAL_STORAGE } from '../src/app/app.config';
import type { DemoConfig } from '../src/app/config';
import { RENDERED_BY } from '../src/app/rendering';
import { provideHydration, RENDERED_BY_KEY } from './hydration';

/** Guards wait for the store, and the end of a sign-in is the browser's: it alone has what it began. */
const routes: ServerRoute[] = [
  { path: 'callback', renderMode: RenderMode.Client },
  { path: 'orders', renderMode: RenderMode.Client },
  { path: 'tabs', renderMode: RenderMode.Client },
  { path: 'tab', renderMode: RenderMode.Client },
  { path: '**', renderMode: RenderMode.Server },
];

export function serverConfig(config: DemoConfig): ApplicationConfig {
  return mergeApplicationConfig(appConfig(config), {
    providers: [
      provideHydration(),
      provideServerRendering(withRoutes(routes)),
      { provide: CREDENTIAL_STORAGE, useFactory: () => memoryStorage() }, // one for each request, empty
      { provide: RENDERED_BY, useValue: 'server' },
      provideAppInitializer(() => inject(TransferState).set(RENDERED_BY_KEY, 'server')),
    ],
  });
}
