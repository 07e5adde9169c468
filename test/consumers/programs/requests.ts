/**
 * Requests by `fetch`, `fromFetch` of RxJS, axios and, in a page, `ajax` of RxJS, bundled by esbuild. Each of them asks two addresses of one
 * server, the second of them only begins like the API's. It prints one line of JSON: the answers.
 *
 * @module
 */
import axios from 'axios';
import { createCredentialStore, createToken } from 'rx-credentials';
import { createFetch } from 'rx-credentials/http';
import { credentialsInterceptor } from 'rx-credentials/http/axios';
import { createAjax, createFromFetch } from 'rx-credentials/http/rxjs';
import { firstValueFrom } from 'rxjs';

const context = { issuer: 'https://id.example.com', clientId: 'cli' };

const isPage = 'document' in globalThis;

async function main(origin: string): Promise<void> {
  const credentials = createCredentialStore({ clients: context });
  const issuedAt = Date.now();
  const fields = { tokenType: 'Bearer', scope: 'orders', issuedAt, expiresAt: issuedAt + 3_600_000, claims: null, context } as const;
  await credentials.store(createToken({ id: 'worker', accessToken: 'of-the-worker', ...fields }));

  const resources = [`${origin}/v1/`];
  const send = createFetch(credentials, { resources });
  const fromFetch = createFromFetch(credentials, { resources });
  const ajax = createAjax(credentials, { resources });
  const api = axios.create({ baseURL: origin });
  api.interceptors.request.use(credentialsInterceptor(credentials, { resources }));

  const answers: unknown[] = [];
  for (const path of ['/v1/orders', '/v10/orders']) {
    answers.push(await (await send(`${origin}${path}?by=fetch`)).json());
    answers.push(await firstValueFrom(fromFetch(`${origin}${path}?by=fromFetch`, { selector: (response) => response.json() })));
    answers.push((await api.get<unknown>(`${path}?by=axios`)).data);
    if (isPage) answers.push((await firstValueFrom(ajax<unknown>({ url: `${origin}${path}?by=ajax`, crossDomain: true }))).response);
  }
  console.log(JSON.stringify({ answers }));
  await credentials.close();
}

void main((isPage ? new URLSearchParams(location.search).get('api') : process.env['API']) ?? '');
