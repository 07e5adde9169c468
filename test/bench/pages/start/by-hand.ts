/**
 * What `rows/start.mjs` compares with: an interceptor that reads a sealed token from IndexedDB and knows whether it is valid still.
 *
 * @module
 */
import { provideHttpClient, withInterceptors } from '@angular/common/http';
import type { HttpInterceptorFn } from '@angular/common/http';
import type { TokenFields } from 'rx-credentials';
import { from, switchMap } from 'rxjs';
import { openDatabase, settled, write } from '../databases.mjs';
import { api, start } from './application';

interface SealedSession {
  readonly iv: BufferSource;
  readonly sealed: BufferSource;
}

let session: Promise<TokenFields | null> | undefined;

async function readSession(): Promise<TokenFields | null> {
  const database = await openDatabase('by-hand');
  const records = database.transaction('records').objectStore('records');
  const [record, key] = await Promise.all([
    settled(records.get('default') as IDBRequest<SealedSession | undefined>),
    settled(records.get('key') as IDBRequest<CryptoKey>),
  ]);
  database.close();
  if (!record) return null;
  const text = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: record.iv }, key, record.sealed);
  return JSON.parse(new TextDecoder().decode(text)) as TokenFields;
}

const attachToken: HttpInterceptorFn = (request, next) => {
  if (!request.url.startsWith(api)) return next(request);
  return from((session ??= readSession())).pipe(
    switchMap((token) => {
      const isValid = token !== null && (token.expiresAt ?? 0) > Date.now();
      return next(isValid ? request.clone({ setHeaders: { Authorization: `Bearer ${token.accessToken}` } }) : request);
    }),
  );
};

async function fill(fields: TokenFields): Promise<void> {
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, new TextEncoder().encode(JSON.stringify(fields)));
  const database = await openDatabase('by-hand');
  await write(database, (records) => {
    records.put(key, 'key');
    records.put({ iv, sealed }, 'default');
  });
  database.close();
}

void start([provideHttpClient(withInterceptors([attachToken]))], (_, fields) => fill(fields));
