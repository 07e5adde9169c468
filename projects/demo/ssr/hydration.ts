import { makeStateKey } from '@angular/core';
import type { EnvironmentProviders } from '@angular/core';
import { provideClientHydration, withNoIncrementalHydration } from '@angular/platform-browser';
import type { Renderer } from '../src/app/rendering';

/** The one thing that the server tells the browser. */
export const RENDERED_BY_KEY = makeStateKey<Renderer>('rendered-by');

/** Without the replay of events, which incremental hydration brings along: it is a script in the page, and the demo's policy forbids those. */
export function provideHydration(): EnvironmentProviders {
  return provideClientHydration(withNoIncrementalHydration());
}
