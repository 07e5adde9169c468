/** Answers no authorization server should give, put in the way of the real one. Everything ambient of a store is passed in, so this needs no trick. */
import { HttpErrorResponse } from '@angular/common/http';
import type { HttpInterceptorFn } from '@angular/common/http';
import { inject, Injectable, signal } from '@angular/core';
import { defaultPlatform } from 'rx-credentials';
import type { Platform } from 'rx-credentials';
import { throwError } from 'rxjs';

/** What the token endpoint seems to answer. `offline`: the request never leaves; while it lasts, no other request does either. */
export type TokenFault = 'garbage' | 'html' | 'offline';

@Injectable({ providedIn: 'root' })
export class Faults {
  #passing: TokenFault | null = null;
  readonly #browser = defaultPlatform();
  /** What goes wrong with every token request until it is set to `null`; `offline`: with every request. */
  readonly lasting = signal<TokenFault | null>(null);
  /** Requests for another token that this page has made, in whatever way they ended. */
  readonly refreshes = signal(0);
  /** The platform of the browser, but for what is to go wrong. */
  readonly platform: Platform = { ...this.#browser, fetch: (input, init) => this.#fetch(input, init) };

  /** Runs `task` with every token request going wrong: a single one would be sent again, and the refresh go well. */
  async during<T>(fault: TokenFault, task: () => Promise<T>): Promise<T> {
    this.#passing = fault;
    try {
      return await task();
    } finally {
      this.#passing = null;
    }
  }

  #fetch(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Response> {
    const grantType = grantTypeOf(init);
    if (grantType === 'refresh_token') this.refreshes.update((count) => count + 1);
    if (this.lasting() === 'offline') return Promise.reject(new TypeError('offline'));
    const fault = grantType === null ? null : (this.#passing ?? this.lasting());
    if (fault === null) return this.#browser.fetch(input, init);
    if (fault === 'offline') return Promise.reject(new TypeError('offline'));
    return Promise.resolve(fault === 'html' ? maintenancePage() : garbage());
  }
}

/** What calls of the API meet while the page is said to be offline: what a browser says that has no network. */
export const offlineInterceptor: HttpInterceptorFn = (request, next) => {
  if (inject(Faults).lasting() !== 'offline') return next(request);
  return throwError(() => new HttpErrorResponse({ status: 0, url: request.url, error: new ProgressEvent('error') }));
};

/** `null` for what is no token request (RFC 6749 §4). */
function grantTypeOf(init: RequestInit | undefined): string | null {
  const { body } = init ?? {};
  const form = body instanceof URLSearchParams || typeof body === 'string' ? new URLSearchParams(body) : null;
  return form?.get('grant_type') ?? null;
}

function maintenancePage(): Response {
  return new Response('<!doctype html><h1>Back soon</h1>', { status: 503, headers: { 'content-type': 'text/html' } });
}

function garbage(): Response {
  return new Response('{"access_token": 42, "token_type": ["Bearer"', { headers: { 'content-type': 'application/json' } });
}
