/**
 * A program of RxJS alone, bundled by esbuild: it watches a store while a credential comes, is renewed by the application, and goes.
 * It prints one line of JSON.
 *
 * @module
 */
import { createCredentialStore, createToken, type Token } from 'rx-credentials';
import { combineLatest, distinctUntilChanged, filter, firstValueFrom, map, of, switchMap, take, toArray } from 'rxjs';

const context = { issuer: 'https://id.example.com', clientId: 'cli' };

function token(id: string, accessToken: string): Token {
  const issuedAt = Date.now();
  return createToken({
    id,
    accessToken,
    tokenType: 'Bearer',
    scope: 'read',
    issuedAt,
    expiresAt: issuedAt + 60_000,
    claims: null,
    context,
  });
}

async function main(): Promise<void> {
  const credentials = createCredentialStore({ clients: context });
  const headers$ = credentials.default$.pipe(
    switchMap((credential) => credential?.token$ ?? of(null)),
    map((current) => (current ? `Bearer ${current.accessToken}` : 'none')),
    distinctUntilChanged(),
  );
  const headers = firstValueFrom(headers$.pipe(take(4), toArray()));
  const count$ = combineLatest([credentials.credentials$, credentials.find$({ tags: 'work' })]).pipe(
    map((lists) => lists.map(({ length }) => length)),
  );
  const both = firstValueFrom(count$.pipe(filter(([all, work]) => all === 2 && work === 1)));

  const first = await credentials.store(token('first', 'one'), { tags: ['home'] });
  const second = await credentials.store(token('second', 'two'), { tags: ['work'] });
  await both;
  await credentials.setDefault(second);
  await first.remove();
  await second.remove();
  console.log(JSON.stringify({ headers: await headers, left: await credentials.allIDs() }));
  await credentials.close();
}

void main();
