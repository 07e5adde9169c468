/**
 * Where guards send the user.
 *
 * @module
 */
import { EnvironmentInjector, inject, runInInjectionContext } from '@angular/core';
import { RedirectCommand, Router } from '@angular/router';
import type { NavigationBehaviorOptions, UrlTree } from '@angular/router';

/** Where to: a path of the application, or what the router understands. */
export type Destination = string | UrlTree | RedirectCommand;

/** A destination, or a function that finds one and runs in an injection context. */
export type DestinationOf<T> = string | ((argument: T) => Destination);

/** Makes redirects for the router, in the manner that is given; a `RedirectCommand` says that itself. */
export type Redirect = <T>(to: DestinationOf<T>, argument: T, manner?: NavigationBehaviorOptions) => RedirectCommand;

/** For guards, which have no injection context any more once they have waited. */
export function injectRedirect(): Redirect {
  const router = inject(Router);
  const injector = inject(EnvironmentInjector);
  return (to, argument, manner) => {
    const destination = typeof to === 'string' ? to : runInInjectionContext(injector, () => to(argument));
    const tree = typeof destination === 'string' ? router.parseUrl(destination) : destination;
    return 'redirectTo' in tree ? tree : new RedirectCommand(tree, manner);
  };
}

/** The address that is being navigated to, as a path of the application. */
export function injectWantedPath(): string {
  const router = inject(Router);
  const wanted = router.getCurrentNavigation()?.extractedUrl;
  return wanted ? router.serializeUrl(wanted) : router.url;
}
