// The contract of all HTTP adapters, for HttpClient over each of its backends: `fetch`, its default, is that of Node, and XMLHttpRequest that
// of jsdom, with preflights. Both follow redirects as a browser does.
import { runInThisContext } from 'node:vm';
import {
  HTTP_INTERCEPTORS,
  HttpClient,
  HttpContext,
  HttpErrorResponse,
  provideHttpClient,
  withInterceptors,
  withInterceptorsFromDi,
  withXhr,
} from '@angular/common/http';
import type { HttpFeature, HttpFeatureKind } from '@angular/common/http';
import { TestBed } from '@angular/core/testing';
import {
  CredentialStore,
  CredentialsInterceptor,
  credentialsInterceptor,
  noRetry,
  provideCredentials,
  withRefresh,
  withResources,
  withStepUp,
} from 'rx-credentials-angular';
import { firstValueFrom, fromEvent, takeUntil } from 'rxjs';
import { describeHttpAdapter } from '../contract/http-contract.js';
import type { Platform } from '../../src/index.js';

// Node's `fetch` takes signals of Node alone, not those of jsdom.
for (const name of ['AbortController', 'AbortSignal'])
  Object.defineProperty(globalThis, name, { value: runInThisContext(name), configurable: true, writable: true });

function describeHttpClient(name: string, tellsRedirects: boolean, ...features: readonly HttpFeature<HttpFeatureKind>[]): void {
  describeHttpAdapter(
    name,
    (store, { resources, stepUp, platform, waitMs, retryAfterMaxMs }) => {
      TestBed.resetTestingModule();
      TestBed.configureTestingModule({
        providers: [
          provideCredentials(
            { issuer: 'https://id.example.com', clientId: 'spa', platform: platform as Platform },
            withResources(...resources),
            withRefresh({ ...(waitMs !== undefined && { waitMs }), ...(retryAfterMaxMs !== undefined && { retryAfterMaxMs }) }),
            ...(stepUp ? [withStepUp(stepUp)] : []),
          ),
          { provide: CredentialStore, useValue: store },
          provideHttpClient(...features),
          { provide: HTTP_INTERCEPTORS, useClass: CredentialsInterceptor, multi: true }, // unused without withInterceptorsFromDi()
        ],
      });
      const http = TestBed.inject(HttpClient);
      return async ({ url, method = 'GET', headers = {}, body, isReadOnce, signal }) => {
        const context = isReadOnce ? noRetry() : new HttpContext(); // Angular sends no stream that Node's `fetch` would take
        const request = http.request(method, url, { body, headers, context, observe: 'response', responseType: 'text' });
        try {
          const answer = await firstValueFrom(signal ? request.pipe(takeUntil(fromEvent(signal, 'abort'))) : request);
          return { status: answer.status, body: answer.body ?? '' };
        } catch (error) {
          if (error instanceof HttpErrorResponse && error.status > 0) return { status: error.status, body: String(error.error ?? '') };
          throw error;
        }
      };
    },
    { looksUpRedirects: false, tellsRedirects, takesBaseUrl: false }, // a document has a base
  );
}

describeHttpClient('HttpClient of Angular', true, withInterceptors([credentialsInterceptor]));
describeHttpClient('HttpClient of Angular over XMLHttpRequest', false, withInterceptors([credentialsInterceptor]), withXhr());
describeHttpClient('HttpClient of Angular with the interceptor as a class', true, withInterceptorsFromDi());
