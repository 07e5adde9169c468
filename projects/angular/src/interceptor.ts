/**
 * Attaches tokens to the requests of `HttpClient` that go to a resource of the allow-list, and retries once after a 401 that a
 * renewed token can mend.
 *
 * @module
 */
import { HttpErrorResponse } from '@angular/common/http';
import type { HttpEvent, HttpHandlerFn, HttpInterceptorFn, HttpRequest } from '@angular/common/http';
import { inject } from '@angular/core';
import type { Attachment } from 'rx-credentials/http';
import { catchError, from, switchMap, throwError } from 'rxjs';
import type { Observable } from 'rxjs';
import { ATTACHMENT_POLICY } from './providers';

/**
 * For `provideHttpClient(withInterceptors([credentialsInterceptor]))`. Requests off the list, and those that carry an `Authorization`
 * header of their own, pass untouched. While nobody is signed in, requests go without a token. A token that expired and cannot be
 * renewed is never sent: the request fails with the `CredentialError` of the renewal.
 */
export const credentialsInterceptor: HttpInterceptorFn = (request, next) => {
  const policy = inject(ATTACHMENT_POLICY);
  if (!policy.covers(request.url) || request.headers.has('Authorization')) return next(request);
  return from(policy.attach()).pipe(switchMap((attachment) => (attachment ? sendWith(attachment, request, next) : next(request))));
};

/** The first try, and the only retry: what was tried is known by where we are, no mark travels with the request (E13). */
function sendWith(attachment: Attachment, request: HttpRequest<unknown>, next: HttpHandlerFn): Observable<HttpEvent<unknown>> {
  return next(withAuthorization(request, attachment)).pipe(
    catchError((error: unknown) => {
      if (!(error instanceof HttpErrorResponse) || error.status !== 401) return throwError(() => error);
      return from(attachment.afterUnauthorized(error.headers.get('WWW-Authenticate'))).pipe(
        switchMap((renewed) => (renewed ? next(withAuthorization(request, renewed)) : throwError(() => error))),
      );
    }),
  );
}

function withAuthorization(request: HttpRequest<unknown>, { authorization }: Attachment): HttpRequest<unknown> {
  return request.clone({ setHeaders: { Authorization: authorization } });
}
