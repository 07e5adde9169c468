/**
 * A request of Angular's `HttpClient` with a valid token, over one without the interceptor. The backend answers at once. Needs the built
 * adapter, too: `npm run build:angular`.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { CLIENT_ID, fieldsOf, ISSUER } from '../fixtures.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const ADAPTER = resolve(ROOT, 'dist/angular/fesm2022/rx-credentials-angular.mjs');
const API = 'https://api.example.com/v1/';
const URLS = Array.from({ length: 64 }, (_, n) => `${API}orders/${n}`); // a power of two

const PROGRAM = `
  import '@angular/compiler';
  import { PlatformLocation } from '@angular/common';
  import { HttpBackend, HttpClient, HttpResponse, provideHttpClient, withInterceptors } from '@angular/common/http';
  import { createEnvironmentInjector, DOCUMENT, NgZone, ɵChangeDetectionScheduler, ɵINJECTOR_SCOPE, ɵNoopNgZone } from '@angular/core';
  import { createToken } from 'rx-credentials';
  import { CredentialStore, credentialsInterceptor, provideCredentials, withResources } from 'rx-credentials-angular';
  import { of } from 'rxjs';

  const answer = new HttpResponse({ status: 200, body: null });
  export function applicationOf({ client, resources, isBare }) {
    const injector = createEnvironmentInjector([
      { provide: ɵINJECTOR_SCOPE, useValue: 'root' },
      { provide: NgZone, useValue: new ɵNoopNgZone() },
      { provide: ɵChangeDetectionScheduler, useValue: { notify: () => undefined } },
      { provide: DOCUMENT, useValue: { baseURI: 'https://app.example.com/', location: { href: 'https://app.example.com/' } } },
      { provide: PlatformLocation, useValue: { href: 'https://app.example.com/', getBaseHrefFromDOM: () => '/' } },
      provideCredentials(client, withResources(...resources)),
      provideHttpClient(withInterceptors(isBare ? [] : [credentialsInterceptor])),
      { provide: HttpBackend, useValue: { handle: () => of(answer) } },
    ]);
    const http = injector.get(HttpClient);
    const get = (url) => new Promise((done, fail) => http.get(url).subscribe({ complete: done, error: fail }));
    const signIn = (fields) => injector.get(CredentialStore).store(createToken(fields));
    return { get, signIn, end: () => injector.destroy() };
  }
`;

export default async function interceptor({ coreFolder, difference, growth }) {
  if (!existsSync(ADAPTER)) return console.error('interceptor: dist/angular is not built. Type: npm run build:angular');
  const folder = mkdtempSync(join(tmpdir(), 'rxc-bench-'));
  try {
    const outfile = join(folder, 'application.mjs');
    await build({
      stdin: { contents: PROGRAM, resolveDir: ROOT },
      bundle: true,
      format: 'esm',
      platform: 'node',
      outfile,
      logLevel: 'error',
      alias: { 'rx-credentials-angular': ADAPTER, 'rx-credentials': coreFolder },
    });
    const { applicationOf } = await import(pathToFileURL(outfile).href);
    await measure(applicationOf, { difference, growth });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(applicationOf, { difference, growth }) {
  const client = { issuer: ISSUER, clientId: CLIENT_ID };
  const bare = applicationOf({ client, resources: [API], isBare: true });
  let base;
  for (const count of [1, 100, 1_000]) {
    const others = Array.from({ length: count - 1 }, (_, n) => `https://api-${n}.example.com/`);
    const tested = applicationOf({ client, resources: [...others, API], isBare: false });
    for (let n = 0; n < count; n++) await tested.signIn(fieldsOf(n));
    const row = (name, urls, reach) =>
      difference({
        name: `${name}, ${count} credentials and resources`,
        floor: 'HttpClient without the interceptor',
        times: 1_000,
        ...reach,
        subject: (times) => requests(tested, urls, times),
        against: (times) => requests(bare, urls, times),
      });
    const attached = await row('HttpClient request with a valid token', URLS, { reach: 0.02, reachOf: 'issue 5' });
    await row('HttpClient request off the list', ['https://elsewhere.example.com/'], {});
    if (base) growth({ name: `the request with a token: ${count} credentials and resources against 1`, row: attached, base });
    base ??= attached;
    tested.end();
  }
  bare.end();
}

async function requests({ get }, urls, times) {
  for (let n = 0; n < times; n++) await get(urls[n & (urls.length - 1)]);
}
