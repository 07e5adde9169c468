/** Where pages are drawn: `npm start` leaves all to the browser, with `npm start -- --ssr` Angular's own server draws the first one. */
import { isPlatformServer } from '@angular/common';
import { inject, InjectionToken, PLATFORM_ID } from '@angular/core';

export type Renderer = 'browser' | 'server';

/** Who drew what the user saw first. */
export const RENDERED_BY = new InjectionToken<Renderer>('who drew the page', { factory: () => 'browser' });

/** True where nobody can be known: no storage of a user, no address bar, no frames. */
export function injectIsServer(): boolean {
  return isPlatformServer(inject(PLATFORM_ID));
}
