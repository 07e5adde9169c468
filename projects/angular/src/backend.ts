/**
 * What sends the requests of `HttpClient`.
 *
 * @module
 */
import { isPlatformServer } from '@angular/common';
import { HttpBackend, HttpXhrBackend } from '@angular/common/http';
import { inject, PLATFORM_ID } from '@angular/core';

/** Angular's own: with `false`, which its CLI writes into what is for browsers, no `HttpXhrBackend` comes along for this. */
declare const ngServerMode: boolean | undefined;

/**
 * True on a server that sends by XMLHttpRequest. The one of Angular follows redirects itself, and takes `Authorization` along to any origin
 * (HT-3, D-045).
 */
export function injectSendsByXhr(): boolean {
  if (typeof ngServerMode !== 'undefined' && !ngServerMode) return false;
  const platform = inject(PLATFORM_ID, { optional: true }) ?? {}; // none: an injector that was made by hand
  return isPlatformServer(platform) && isXhr(inject(HttpBackend, { optional: true }));
}

/** With `withRequestsMadeViaParent()` the backend is the parent's handler, which has one. */
function isXhr(backend: unknown): boolean {
  if (typeof backend !== 'object' || backend === null) return false;
  return backend instanceof HttpXhrBackend || ('backend' in backend && isXhr(backend.backend));
}
