/**
 * What relative URLs start from.
 *
 * @module
 */
import { DOCUMENT, PlatformLocation } from '@angular/common';
import { inject } from '@angular/core';

/** In browsers the base of the document, as `fetch` has it; the document of Angular's server cannot say it, so there the address of the request. */
export function injectBaseUrl(): () => string {
  const document = inject(DOCUMENT);
  const location = inject(PlatformLocation);
  return () => {
    try {
      return document.baseURI;
    } catch {
      return new URL(location.getBaseHrefFromDOM() || location.href, location.href).href;
    }
  };
}
