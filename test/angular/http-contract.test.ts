// The contract of all HTTP adapters, for HttpClient over the XMLHttpRequest of jsdom: with preflights, and redirects as a browser follows them.
import { HttpClient, HttpErrorResponse, provideHttpClient, withInterceptors, withXhr } from '@angular/common/http';
import { TestBed } from '@angular/core/testing';
import {
  CredentialStore,
  credentialsInterceptor,
  provideCredentials,
  withRefresh,
  withResources,
  withStepUp,
} from 'rx-credentials-angular';
import { firstValueFrom, fromEvent, takeUntil } from 'rxjs';
import { describeHttpAdapter } from '../contract/http-contract.js';
import type { Platform } from '../../src/index.js';

describeHttpAdapter(
  'HttpClient of Angular',
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
        provideHttpClient(withXhr(), withInterceptors([credentialsInterceptor])),
      ],
    });
    const http = TestBed.inject(HttpClient);
    return async ({ url, method = 'GET', headers = {}, body, signal }) => {
      const request = http.request(method, url, { body, headers, observe: 'response', responseType: 'text' });
      try {
        const answer = await firstValueFrom(signal ? request.pipe(takeUntil(fromEvent(signal, 'abort'))) : request);
        return { status: answer.status, body: answer.body ?? '' };
      } catch (error) {
        if (error instanceof HttpErrorResponse && error.status > 0) return { status: error.status, body: String(error.error ?? '') };
        throw error;
      }
    };
  },
  { looksUpRedirects: false, stopsAtOrigins: true },
);
