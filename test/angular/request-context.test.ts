import {
  HTTP_INTERCEPTORS,
  HttpClient,
  HttpContext,
  HttpContextToken,
  provideHttpClient,
  withInterceptors,
  withInterceptorsFromDi,
} from '@angular/common/http';
import { HttpTestingController, provideHttpClientTesting, type TestRequest } from '@angular/common/http/testing';
import { TestBed } from '@angular/core/testing';
import {
  CredentialsInterceptor,
  credentialsInterceptor,
  noCredential,
  noRetry,
  provideCredentials,
  useCredential,
  withResources,
} from 'rx-credentials-angular';
import { CredentialsTestingController, provideCredentialsTesting } from 'rx-credentials-angular/testing';
import type { CredentialChoice, ProtectedResource } from '../../src/http/index.js';

const API = 'https://api.example.com/v1/';
const ORDERS = `${API}orders`;
const REFUSED = { status: 401, statusText: 'Unauthorized', headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } };
const MINE = new HttpContextToken(() => 'default');
const authorizationOf = ({ request }: TestRequest): string | null => request.headers.get('Authorization');

let credentials: CredentialsTestingController;
let api: HttpTestingController;
let bodies: unknown[];
let errors: unknown[];

interface ApplicationOptions {
  readonly resource?: string | ProtectedResource;
  /** By a class instead of the function. */
  readonly byClass?: boolean;
}

/** Alice is the default, and Bob is for purchases. */
function twoAccounts({ resource = API, byClass = false }: ApplicationOptions = {}): void {
  TestBed.configureTestingModule({
    providers: [
      provideCredentials({ issuer: 'https://id.example.com', clientId: 'spa' }, withResources(resource)),
      provideHttpClient(byClass ? withInterceptorsFromDi() : withInterceptors([credentialsInterceptor])),
      byClass ? { provide: HTTP_INTERCEPTORS, useClass: CredentialsInterceptor, multi: true } : [],
      provideHttpClientTesting(),
      provideCredentialsTesting({
        credentials: [
          { id: 'alice', accessToken: 'of-alice' },
          { id: 'bob', sub: 'bob', tags: ['service:purchase'], accessToken: 'of-bob' },
        ],
      }),
    ],
  });
  credentials = TestBed.inject(CredentialsTestingController);
  api = TestBed.inject(HttpTestingController);
  [bodies, errors] = [[], []];
}

/** Sends a GET; what comes of it is collected. */
async function get(url: string, context: HttpContext): Promise<void> {
  TestBed.inject(HttpClient)
    .get(url, { context })
    .subscribe({ next: (body) => bodies.push(body), error: (error: unknown) => errors.push(error) });
  await credentials.tick();
}

async function refuse(request: TestRequest): Promise<void> {
  request.flush(null, REFUSED);
  await credentials.tick();
}

afterEach(() => {
  api.verify();
  credentials.verify();
});

describe('useCredential', () => {
  it.each<[string, CredentialChoice]>([
    ['an id', 'bob'],
    ['a tag', 'service:purchase'],
    ['criteria', { sub: 'bob' }],
    ['a function that gives an id', () => 'bob'],
    ['a function that gives criteria later', async () => ({ sub: 'bob' })],
  ])('sends the token that %s means', async (_, choice) => {
    twoAccounts();
    await get(ORDERS, useCredential(choice));
    const request = api.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe('Bearer of-bob');
    request.flush(null);
  });

  it('gives a function the address that is sent and the method', async () => {
    twoAccounts();
    const asked: unknown[] = [];
    const context = useCredential((request) => (asked.push(request), 'alice'));
    TestBed.inject(HttpClient)
      .post(ORDERS, null, { params: { page: 2 }, context })
      .subscribe();
    await credentials.tick();
    api.expectOne(`${ORDERS}?page=2`).flush(null);
    expect(asked).toEqual([{ url: `${ORDERS}?page=2`, method: 'POST' }]);
  });

  it('goes before what the resource says', async () => {
    twoAccounts({ resource: { url: API, credential: 'bob' } });
    await get(ORDERS, new HttpContext());
    await get(ORDERS, useCredential('alice'));
    const requests = api.match(ORDERS);
    expect(requests.map(authorizationOf)).toEqual(['Bearer of-bob', 'Bearer of-alice']);
    requests.forEach((request) => request.flush(null));
  });

  it('fails with needs_sign_in if there is no such credential: nothing is sent', async () => {
    twoAccounts();
    await get(ORDERS, useCredential('carol'));
    api.expectNone(ORDERS);
    expect(errors).toMatchObject([{ code: 'needs_sign_in' }]);
  });

  it.each([undefined, noCredential()])('D-037 nobody is named by what is not known yet, least of all the default (%#)', async (context) => {
    twoAccounts();
    await get(ORDERS, useCredential(undefined as unknown as string, context));
    api.expectNone(ORDERS);
    expect(errors).toMatchObject([{ code: 'needs_sign_in' }]);
  });

  it('E14 attaches nothing off the list, whatever is chosen', async () => {
    twoAccounts();
    await get('https://api.example.com.evil.test/v1/', useCredential('bob'));
    const request = api.expectOne('https://api.example.com.evil.test/v1/');
    expect(request.request.headers.keys()).toEqual([]);
    request.flush(null);
  });

  it('says in the request what is no choice', async () => {
    twoAccounts();
    await get(ORDERS, useCredential(7 as unknown as string));
    api.expectNone(ORDERS);
    expect(errors).toEqual([expect.any(TypeError)]);
  });

  it('renews the credential that was chosen after a 401, and no other', async () => {
    twoAccounts();
    await get(ORDERS, useCredential('bob'));
    await refuse(api.expectOne(ORDERS));
    await credentials.expectRefresh('bob').flush({ accessToken: 'next-of-bob' });
    const retried = api.expectOne(ORDERS);
    expect(authorizationOf(retried)).toBe('Bearer next-of-bob');
    retried.flush('ok');
    expect(bodies).toEqual(['ok']);
  });
});

describe('noCredential', () => {
  it('sends the request as it is, at once, and gives a 401 to the caller', async () => {
    twoAccounts();
    const sent = get(ORDERS, noCredential());
    const request = api.expectOne(ORDERS); // before anything could have been waited for
    expect(request.request.headers.keys()).toEqual([]);
    await refuse(request);
    await sent;
    expect(errors).toMatchObject([{ status: 401 }]);
  });
});

describe('noRetry', () => {
  it('6750-4 sends once; the token is renewed for those that come after', async () => {
    twoAccounts();
    await get(ORDERS, noRetry());
    const request = api.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe('Bearer of-alice');
    await refuse(request);
    expect(errors).toMatchObject([{ status: 401 }]);
    await credentials.expectRefresh('alice').flush({ accessToken: 'next-of-alice' });
    api.expectNone(ORDERS);
    await get(ORDERS, noRetry());
    const next = api.expectOne(ORDERS);
    expect(authorizationOf(next)).toBe('Bearer next-of-alice');
    next.flush(null);
  });
});

describe('contexts', () => {
  it('can be built upon each other, and upon one of the application', async () => {
    twoAccounts();
    const context = noRetry(useCredential('bob', new HttpContext().set(MINE, 'mine')));
    expect(context.get(MINE)).toBe('mine');
    await get(ORDERS, context);
    const request = api.expectOne(ORDERS);
    expect(authorizationOf(request)).toBe('Bearer of-bob');
    await refuse(request);
    await credentials.expectRefresh('bob').flush();
    api.expectNone(ORDERS);
    expect(errors).toMatchObject([{ status: 401 }]);
  });

  it('E13 are not changed: neither the one built upon, nor the one that was sent', async () => {
    twoAccounts();
    const mine = new HttpContext().set(MINE, 'mine');
    const chosen = useCredential('bob', mine);
    noCredential(chosen);
    noRetry(chosen);
    const keys = [...chosen.keys()];
    expect([[...mine.keys()], keys.length]).toEqual([[MINE], 2]);
    for (let round = 1; round <= 2; round++) {
      await get(ORDERS, chosen);
      await refuse(api.expectOne(ORDERS));
      await credentials.expectRefresh('bob').flush();
      const retried = api.expectOne(ORDERS);
      expect([...retried.request.context.keys()]).toEqual(keys);
      retried.flush(round);
    }
    expect([bodies, [...chosen.keys()]]).toEqual([[1, 2], keys]);
  });
});

describe('CredentialsInterceptor', () => {
  it('does as a class what the function does', async () => {
    twoAccounts({ byClass: true });
    await get(ORDERS, useCredential('bob'));
    await refuse(api.expectOne(ORDERS));
    await credentials.expectRefresh('bob').flush({ accessToken: 'next-of-bob' });
    const retried = api.expectOne(ORDERS);
    expect(authorizationOf(retried)).toBe('Bearer next-of-bob');
    retried.flush('ok');
    expect(bodies).toEqual(['ok']);
    await get('https://elsewhere.example.com/', new HttpContext());
    const elsewhere = api.expectOne('https://elsewhere.example.com/');
    expect(elsewhere.request.headers.keys()).toEqual([]);
    elsewhere.flush(null);
  });
});
