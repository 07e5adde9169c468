/** Answers no authorization server should give, put in the way of the real one. Everything ambient of a store is passed in, so this needs no trick. */
import { Injectable } from '@angular/core';
import { defaultPlatform } from 'rx-credentials';
import type { Platform } from 'rx-credentials';

/** What the token endpoint seems to answer. `offline`: the request never leaves. */
export type TokenFault = 'garbage' | 'html' | 'offline';

@Injectable({ providedIn: 'root' })
export class Faults {
  #armed: TokenFault | null = null;
  readonly #browser = defaultPlatform();
  /** The platform of the browser, but for token requests while a fault is armed. */
  readonly platform: Platform = { ...this.#browser, fetch: (input, init) => this.#fetch(input, init) };

  /** Runs `task` with every token request going wrong: a single one would be sent again, and the refresh go well. */
  async during<T>(fault: TokenFault, task: () => Promise<T>): Promise<T> {
    this.#armed = fault;
    try {
      return await task();
    } finally {
      this.#armed = null;
    }
  }

  #fetch(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Response> {
    const fault = isTokenRequest(init) ? this.#armed : null;
    if (fault === null) return this.#browser.fetch(input, init);
    if (fault === 'offline') return Promise.reject(new TypeError('offline'));
    return Promise.resolve(fault === 'html' ? maintenancePage() : garbage());
  }
}

function isTokenRequest(init: RequestInit | undefined): boolean {
  return init?.body !== undefined && init.body !== null && new URLSearchParams(bodyText(init.body)).has('grant_type');
}

function bodyText(body: BodyInit): string {
  return body instanceof URLSearchParams ? body.toString() : typeof body === 'string' ? body : '';
}

function maintenancePage(): Response {
  return new Response('<!doctype html><h1>Back soon</h1>', { status: 503, headers: { 'content-type': 'text/html' } });
}

function garbage(): Response {
  return new Response('{"access_token": 42, "token_type": ["Bearer"', { headers: { 'content-type': 'application/json' } });
}
