/**
 * What relative URLs start from.
 *
 * @module
 */
import { DOCUMENT, PlatformLocation } from '@angular/common';
import { inject } from '@angular/core';

/**
 * In browsers the base of the document, as `fetch` has it; the document of Angular's server cannot say it, so there the address of the request.
 * None where that is not known: `renderApplication` takes a document without an address.
 */
export function injectBaseUrl(): () => string | undefined {
  const document = inject(DOCUMENT);
  const location = inject(PlatformLocation);
  return () => {
    try {
      return document.baseURI;
    } catch {
      const { href } = location;
      const base = location.getBaseHrefFromDOM() || href;
      const page = URL.canParse(href) ? href : undefined;
      return URL.canParse(base, page) ? new URL(base, page).href : undefined;
    }
  };
}
