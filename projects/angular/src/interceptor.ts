/**
 * Attaches tokens to the requests of `HttpClient` that go to a resource of the allow-list, and sends again what another token can mend.
 *
 * @module
 */
import { HttpErrorResponse } from '@angular/common/http';
import type {
  HttpEvent,
  HttpHandler,
  HttpHandlerFn,
  HttpInterceptor,
  HttpInterceptorFn,
  HttpRequest,
  HttpResponseBase,
} from '@angular/common/http';
import { inject, Injectable } from '@angular/core';
import { CredentialError } from 'rx-credentials';
import { copyOfBody, type Attachment, type AttachmentPolicy } from 'rx-credentials/http';
import { catchError, from, Observable, switchMap, tap } from 'rxjs';
import { injectSendsByXhr } from './backend';
import { injectBaseUrl } from './base-url';
import { choiceOf, leftAsItIs } from './request-context';
import { ATTACHMENT_POLICIES } from './stores';

/**
 * For `provideHttpClient(withInterceptors([credentialsInterceptor]))`. Requests off the list, and those that carry an `Authorization`
 * header of their own, pass untouched. While nobody is signed in, requests go without a token. A token that expired and cannot be
 * renewed is never sent: the request fails with the `CredentialError` of the renewal. On a server `HttpClient` needs `withFetch()`: without
 * it requests that would carry a token fail with `unsupported`.
 *
 * Of several stores the first one whose list covers the request attaches.
 */
export const credentialsInterceptor: HttpInterceptorFn = (request, next) => intercepted(injectWays(), request, next);

/** The same as a class: `{ provide: HTTP_INTERCEPTORS, useClass: CredentialsInterceptor, multi: true }` and `withInterceptorsFromDi()`. */
@Injectable()
export class CredentialsInterceptor implements HttpInterceptor {
  readonly #ways = injectWays();

  intercept(request: HttpRequest<unknown>, next: HttpHandler): Observable<HttpEvent<unknown>> {
    return intercepted(this.#ways, request, (handled) => next.handle(handled));
  }
}

/** What requests of an injector get, and how they are sent. */
interface Ways {
  readonly policies: readonly AttachmentPolicy[];
  readonly byXhr: boolean;
  /** What relative addresses start from now. */
  readonly baseUrl: () => string | undefined;
}

function injectWays(): Ways {
  return { policies: inject(ATTACHMENT_POLICIES), byXhr: injectSendsByXhr(), baseUrl: injectBaseUrl() };
}

function intercepted({ policies, byXhr, baseUrl }: Ways, given: HttpRequest<unknown>, next: HttpHandlerFn): Observable<HttpEvent<unknown>> {
  const { credential, isSentOnce } = choiceOf(given.context);
  // A script tag of JSONP carries no header
  if (credential === null || given.method === 'JSONP' || given.headers.has('Authorization')) return next(given);
  const asked = { url: given.urlWithParams, method: given.method };
  const policy = policies.find((one) => one.covers(asked));
  if (!policy) return next(given);
  return new Observable((subscriber) => {
    const request = taken(given);
    const asMeant = anchoredAt(given.url, baseUrl);
    const left = new AbortController();
    const options = { credential, mayRetry: !isSentOnce && !isStream(request.body), signal: left.signal };
    let isOver = false; // to abort what has ended costs a stack trace
    const end = (): void => void (isOver = true);
    const send = (attachment: Attachment | null): void => {
      if (subscriber.closed) return;
      if (attachment && byXhr)
        throw new CredentialError('unsupported', 'XMLHttpRequest on a server takes tokens to wherever a redirect leads; use withFetch().');
      // What an API says to nobody does not go from the server to the browser of a user (docs/ssr.md)
      const sent = attachment
        ? sentWith(attachment, () => asMeant(request), next)
        : next(request.clone({ transferCache: false, context: leftAsItIs(request.context) }));
      // The subscriber itself: one that leaves in the middle of a synchronous answer stops what follows
      sent.pipe(tap({ error: end, complete: end })).subscribe(subscriber);
    };
    const fail = (error: unknown): void => subscriber.error(error);
    policy.attach(asked, options).then(send).catch(fail);
    return () => void (isOver || left.abort()); // ends the waiting, never the refresh
  });
}

/** A request with its body as it is now: without a token to wait for, `HttpClient` would have sent it. Of bytes in a view it makes JSON, by their type. */
function taken(request: HttpRequest<unknown>): HttpRequest<unknown> {
  const { body } = request;
  return body === null || ArrayBuffer.isView(body) ? request : request.clone({ body: copyOfBody(body) });
}

/**
 * Gives a request the address that it has now, should the base of the page move before it is sent: the policy has judged that one, and no token
 * goes to another (E14).
 */
function anchoredAt(url: string, baseUrl: () => string | undefined): (request: HttpRequest<unknown>) => HttpRequest<unknown> {
  const address = (): string | undefined => (URL.canParse(url, baseUrl()) ? new URL(url, baseUrl()).href : undefined);
  const meant = address();
  return (request) => (meant === undefined || address() === meant ? request : request.clone({ url: meant }));
}

/** The tries after the first come from `retryOf`: no mark travels with the request (E13). */
function sentWith(attachment: Attachment, requested: () => HttpRequest<unknown>, next: HttpHandlerFn): Observable<HttpEvent<unknown>> {
  const request = requested();
  const answers = next(request.clone({ setHeaders: { Authorization: attachment.authorization } }));
  const retryOf = ({ status, headers, url, redirected }: HttpResponseBase): Promise<Attachment | null> => {
    const askedUrl = url && isAt(url, request.url) ? url : undefined; // `fetch` tells whether it was led somewhere
    return attachment.retryOf({ status, header: (name) => headers.get(name), url, redirected, askedUrl });
  };
  const told = attachment.isNew ? answers.pipe(tap((event) => 'body' in event && void retryOf(event))) : answers;
  return told.pipe(
    catchError((error: unknown) => {
      if (!(error instanceof HttpErrorResponse)) throw error;
      return from(retryOf(error)).pipe(
        switchMap((again) => {
          if (again) return sentWith(again, requested, next);
          throw error as unknown;
        }),
      );
    }),
  );
}

/** True if an answer is from the path that a request was sent to. The query may differ: interceptors add to it, and Angular may leave it out. */
function isAt(url: string, asked: string): boolean {
  const path = (address: string): string | undefined => address.split(/[?#]/)[0];
  return url === asked || (URL.canParse(url) && path(url) === path(new URL(asked, url).href));
}

/** What is read while it is sent cannot be sent again; everything else that `HttpClient` takes can. */
function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body);
}
