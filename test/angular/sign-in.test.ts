import { Component, inject, InjectionToken } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { NavigationStart, provideRouter, RedirectCommand, Router, withHashLocation, type UrlTree } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import {
  completeSignIn,
  CredentialStore,
  injectAuthorizationCodeFlow,
  injectSignInFailure,
  provideCredentials,
  withLogger,
  withName,
  withTransactions,
} from 'rx-credentials-angular';
import type { CompleteSignInOptions, CredentialsFeature, SignInFailure } from 'rx-credentials-angular';
import { provideCredentialsTesting } from 'rx-credentials-angular/testing';
import { config } from 'rxjs';
import { sessionTransactions } from 'rx-credentials/flows';
import type { TransactionStorage } from 'rx-credentials/flows';
import { createWorld, settle, type World } from '../support/fixture.js';
import { OAuthResponseError } from '../../src/oauth/oauth-response-error.js';
import { refusal } from '../support/fake-client.js';
import { defaultPlatform, type CodeExchange, type OAuth2Client, type Platform } from '../../src/index.js';

@Component({ template: 'orders' })
class Orders {}
@Component({ template: 'home {{ failure?.code }} {{ failure?.returnTo }}' })
class Home {
  readonly failure = injectSignInFailure();
}

@Component({ template: 'round in circles' })
class Circle {}

let world: World;
let exchanges: CodeExchange[];
let answer: () => Promise<never> | undefined;
let items: Map<string, string>;
const SHARED = new InjectionToken<Storage>('');

/** The session storage of a tab. */
function sessionItems(): Storage {
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
    key: (index: number) => [...items.keys()][index] ?? null,
    get length() {
      return items.size;
    },
    clear: () => items.clear(),
  };
}

interface ApplicationOptions {
  readonly options?: CompleteSignInOptions;
  /** Default: there is one. */
  readonly hasPage?: boolean;
  readonly features?: readonly CredentialsFeature[];
  /** The address and the history of the page are those of the document. */
  readonly inDocument?: boolean;
  /** The redirect URI is the root. */
  readonly atRoot?: boolean;
  /** Routes are in the fragment. */
  readonly hash?: boolean;
}

/** Of a server that repeats what it was sent. */
const REFUSAL = new OAuthResponseError(
  { error: 'invalid_request', errorDescription: 'unsupported prompt\n\u202E0123456789-CANARY-0123456789' },
  'authorization_failed',
);

/** More than any test takes: redirects that went on for ever would let no timer end it. */
const MOST_NAVIGATIONS = 10;

function application({
  options = {},
  hasPage = true,
  features = [],
  inDocument = false,
  atRoot = false,
  hash = false,
}: ApplicationOptions = {}): void {
  const tab = world.browser.openTab();
  const page = {
    url: () => 'https://app.example.com/',
    replaceUrl: () => undefined,
    ...(inDocument && defaultPlatform().page),
    sessionItems,
  };
  const platform: Platform = hasPage ? { ...tab, page } : tab;
  const client: OAuth2Client = {
    ...world.authority.client(platform),
    redirectUri: `https://app.example.com/${atRoot ? '' : 'callback'}`,
    metadata: () => Promise.resolve({ issuer: 'https://id.example.com', authorization_endpoint: 'https://id.example.com/authorize' }),
    exchangeCode: async (exchange) => {
      exchanges.push(exchange);
      await answer();
      return world.authority.signIn();
    },
  };
  TestBed.resetTestingModule();
  TestBed.configureTestingModule({
    providers: [
      provideCredentials(client, ...features),
      { provide: SHARED, useFactory: sessionItems },
      provideRouter(
        [
          { path: '', pathMatch: 'full', component: Home, canActivate: atRoot ? [completeSignIn(options)] : [] },
          { path: 'orders', component: Orders },
          { path: 'failed', component: Home },
          { path: 'callback', canActivate: [completeSignIn(options)], component: Orders },
        ],
        ...(hash ? [withHashLocation()] : []),
      ),
    ],
  });
  const router = TestBed.inject(Router);
  let navigations = 0;
  router.events.subscribe((event) => {
    if (event instanceof NavigationStart && ++navigations > MOST_NAVIGATIONS) router.resetConfig([{ path: '**', component: Circle }]);
  });
}

/** The address that the server sends the user back to. */
async function begin(returnTo?: string, store?: string): Promise<string> {
  const flow = TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow(undefined, { store }));
  const url = await flow.start(returnTo === undefined ? {} : { returnTo });
  expect(url.href).not.toContain('orders'); // the server does not learn where the user was
  return `code=abc&state=${url.searchParams.get('state')}`;
}

beforeEach(() => {
  world = createWorld();
  exchanges = [];
  answer = () => undefined;
  items = new Map();
  application();
});

describe('completeSignIn', () => {
  it('stores the credential and goes to where the sign-in began, also after the page was left', async () => {
    const answered = await begin('/orders?page=2#end');
    application({ options: { tags: ['work'] } }); // the page is loaded anew
    const harness = await RouterTestingHarness.create(`/callback?${answered}`);
    expect([TestBed.inject(Router).url, harness.routeNativeElement?.textContent]).toEqual(['/orders?page=2#end', 'orders']);
    expect(TestBed.inject(CredentialStore).snapshot().credentials).toMatchObject([{ tags: ['work'], isDefault: true }]);
    expect(exchanges).toHaveLength(1);
    expect([...items.values()].join()).not.toContain('/orders'); // used once
  });

  it.each([
    [{}, '/'],
    [{ home: '/orders' }, '/orders'],
  ])('goes home if nothing else was wanted: %j', async (options, home) => {
    application({ options });
    await RouterTestingHarness.create(`/callback?${await begin()}`);
    expect(TestBed.inject(Router).url).toBe(home);
  });

  it('goes there where there is no session storage, as long as the page was not left', async () => {
    application({ hasPage: false });
    await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(TestBed.inject(Router).url).toBe('/orders');
    expect(TestBed.inject(CredentialStore).snapshot().credentials).toHaveLength(1);
  });

  it('leaves no history entry with the code', async () => {
    const harness = await RouterTestingHarness.create('/orders');
    const replaced: unknown[] = [];
    TestBed.inject(Router).events.subscribe(() => {
      const { extras } = TestBed.inject(Router).getCurrentNavigation() ?? {};
      if (extras?.replaceUrl) replaced.push(TestBed.inject(Router).getCurrentNavigation()?.extractedUrl.toString());
    });
    await harness.navigateByUrl(`/callback?${await begin('/orders?back=1')}`);
    expect(new Set(replaced)).toEqual(new Set(['/orders?back=1']));
  });

  it.each([
    'https://evil.example.com/',
    '//evil.example.com',
    '/\\evil.example.com',
    '/\t/evil.example.com',
    '/./\\evil',
    '/ord\ners',
    'orders',
    '',
    'javascript:alert(1)',
  ])('9700-1 begins no sign-in that would end at %j', async (returnTo) => {
    await expect(begin(returnTo)).rejects.toThrow(TypeError);
    await expect(begin(returnTo)).rejects.toThrow(/returnTo/);
  });

  it.each(['https://evil.example.com/', '//evil.example.com', '/\\evil.example.com', 7, null, ['/orders']])(
    '9700-1 goes home where somebody has put %j into the session storage',
    async (path) => {
      const answered = await begin('/orders');
      for (const [key, value] of items) if (value.includes('/orders')) items.set(key, value.replace('"/orders"', JSON.stringify(path)));
      await RouterTestingHarness.create(`/callback?${answered}`);
      expect(TestBed.inject(Router).url).toBe('/');
    },
  );

  it.each(['garbage', '{"a":1}', '[1,[2],"x"]'])(
    'goes home where %s is in the place of the sign-in: nothing is exchanged',
    async (garbage) => {
      const answered = await begin('/orders');
      for (const [key, value] of items) if (value.includes('/orders')) items.set(key, garbage);
      const harness = await RouterTestingHarness.create(`/callback?${answered}`);
      expect(harness.routeNativeElement?.textContent).toBe('home callback_state_unknown /');
      expect([TestBed.inject(Router).url, exchanges]).toEqual(['/', []]);
    },
  );

  it('goes home for somebody who came by hand: nothing is exchanged', async () => {
    await RouterTestingHarness.create('/callback');
    expect([TestBed.inject(Router).url, exchanges]).toEqual(['/', []]);
  });

  it('goes home with the reason if it failed', async () => {
    answer = () => Promise.reject(refusal('invalid_grant'));
    const harness = await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(harness.routeNativeElement?.textContent).toBe('home oauth_error /orders');
    expect(TestBed.inject(CredentialStore).snapshot().credentials).toEqual([]);
  });

  it.each<[string, CompleteSignInOptions['failure'], string]>([
    ['a path', '/failed', '/failed'],
    [
      'a function',
      ({ code, returnTo }: SignInFailure) => `/failed?code=${code}&to=${encodeURIComponent(returnTo)}`,
      '/failed?code=callback_state_unknown&to=%2F',
    ],
  ])('goes to %s if it failed', async (_, failure, url) => {
    application({ options: { failure: failure as string } });
    await RouterTestingHarness.create('/callback?code=abc&state=unknown');
    expect(TestBed.inject(Router).url).toBe(url);
  });

  it.each<[string, () => UrlTree | string]>([
    ['a path', () => '/'],
    ['a UrlTree', () => inject(Router).parseUrl('/')],
  ])('the reason goes along, and no history entry has the address of the callback, where the function gives %s', async (_, failure) => {
    application({ options: { failure } });
    const ends: unknown[] = [];
    const router = TestBed.inject(Router);
    router.events.subscribe(() => {
      const { extras } = router.getCurrentNavigation() ?? {};
      if (extras?.state) ends.push(extras.replaceUrl);
    });
    const harness = await RouterTestingHarness.create('/callback?code=abc&state=unknown');
    expect(harness.routeNativeElement?.textContent).toContain('callback_state_unknown');
    expect(ends[0]).toBe(true);
  });

  it('takes a RedirectCommand as it is', async () => {
    application({ options: { failure: () => new RedirectCommand(inject(Router).parseUrl('/'), { state: { own: 1 }, info: 'own' }) } });
    const ends: unknown[] = [];
    const router = TestBed.inject(Router);
    router.events.subscribe(() => {
      const { extras } = router.getCurrentNavigation() ?? {};
      if (extras?.state) ends.push([extras.state, extras.info]);
    });
    await RouterTestingHarness.create('/callback?code=abc&state=unknown');
    expect(ends[0]).toEqual([{ own: 1 }, 'own']);
  });

  it('E51 says nothing of an error that is not ours', async () => {
    answer = () => Promise.reject(new Error('code=CANARY'));
    const seen: SignInFailure[] = [];
    application({ options: { failure: (failure) => (seen.push(failure), '/') } });
    await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(seen).toEqual([{ code: 'unknown', class: 'unknown', message: 'The sign-in failed.', returnTo: '/orders' }]);
  });

  it('says what to do, and the word of the server: a silent check that finds nobody is no failure to show', async () => {
    const seen: SignInFailure[] = [];
    application({ options: { failure: (failure) => (seen.push(failure), '/') } });
    answer = () => Promise.reject(new OAuthResponseError({ error: 'login_required' }, 'authorization_failed'));
    await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(seen).toMatchObject([{ code: 'authorization_failed', class: 'needs_user', error: 'login_required', returnTo: '/orders' }]);
    expect(seen[0]).not.toHaveProperty('errorDescription');
    expect(structuredClone(seen)).toEqual(seen); // it goes along in the state of a history entry
  });

  it('6749-13 says how the server explains it, cleaned', async () => {
    const seen: SignInFailure[] = [];
    application({ options: { failure: (failure) => (seen.push(failure), '/') } });
    answer = () => Promise.reject(REFUSAL);
    await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(seen).toMatchObject([{ error: 'invalid_request', errorDescription: 'unsupported prompt  [redacted]' }]);
  });
});

describe('withLogger', () => {
  const lines: unknown[][] = [];
  const logger = {
    debug: (...line: unknown[]) => void lines.push(['debug', ...line]),
    warn: (...line: unknown[]) => void lines.push(['warn', ...line]),
  };
  const failed = (): unknown => lines.filter(([, message]) => /sign_in/.test(String(message)));
  beforeEach(() => void (lines.length = 0));

  it('E51 writes why a sign-in failed, and not where the user wanted to go', async () => {
    application({ features: [withLogger(logger), withName('shop')], options: { store: 'shop' } });
    answer = () => Promise.reject(REFUSAL);
    await RouterTestingHarness.create(`/callback?${await begin('/orders', 'shop')}`);
    expect(failed()).toEqual([
      [
        'warn',
        '[rx-credentials shop] sign_in_failed',
        {
          type: 'sign_in_failed',
          code: 'authorization_failed',
          class: 'configuration',
          error: 'invalid_request',
          errorDescription: 'unsupported prompt  [redacted]',
          message: 'The authorization server answered with the error "invalid_request".',
        },
      ],
    ]);
  });

  it.each([
    ['login_required', 'debug'],
    ['consent_required', 'debug'],
    ['access_denied', 'warn'],
  ])('a silent sign-in that finds nobody is nothing to warn of: %s is written by %s', async (error, level) => {
    application({ features: [withLogger(logger)] });
    answer = () => Promise.reject(new OAuthResponseError({ error }, 'authorization_failed'));
    await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(failed()).toMatchObject([[level, '[rx-credentials] sign_in_failed', { error }]]);
  });

  it('E51 writes nothing of an error that is not ours', async () => {
    application({ features: [withLogger(logger)] });
    answer = () => Promise.reject(new Error('code=CANARY'));
    await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    const [event] = [{ type: 'sign_in_failed', code: 'unknown', class: 'unknown', message: 'The sign-in failed.' }];
    expect(failed()).toEqual([['warn', '[rx-credentials] sign_in_failed', event]]);
  });

  it('writes nothing of an answer that is over while somebody is signed in, which is no failure', async () => {
    application({ features: [withLogger(logger)] });
    await TestBed.inject(CredentialStore).store(world.authority.signIn());
    await RouterTestingHarness.create('/callback?code=abc&state=unknown');
    expect([TestBed.inject(Router).url, failed()]).toEqual(['/', []]);
  });

  it('a logger that throws keeps nobody from the page that tells of it', async () => {
    const thrown: unknown[] = [];
    config.onUnhandledError = (error) => void thrown.push(error);
    const broken = {
      ...logger,
      warn: () => {
        throw new Error('the console is full');
      },
    };
    application({ features: [withLogger(broken)], options: { failure: '/failed' } });
    answer = () => Promise.reject(REFUSAL);
    const harness = await RouterTestingHarness.create(`/callback?${await begin('/orders')}`);
    expect(harness.routeNativeElement?.textContent).toBe('home authorization_failed /orders');
    await new Promise((resolve) => setTimeout(resolve));
    config.onUnhandledError = null;
    expect(thrown).toEqual([new Error('the console is full')]);
  });
});

describe('a page that is loaded anew while the code is exchanged', () => {
  const original = location.href;
  afterEach(() => history.replaceState(null, '', original));

  /** The first navigation of a page at the address that the browser shows. */
  async function load(options: CompleteSignInOptions = {}): Promise<RouterTestingHarness> {
    application({ options, inDocument: true });
    return RouterTestingHarness.create(location.pathname + location.search);
  }

  /** A page that is left before the server has answered. */
  async function interrupted(): Promise<void> {
    application({ inDocument: true });
    history.replaceState(null, '', `/callback?${await begin('/orders')}`);
    answer = () => new Promise<never>(() => undefined);
    void load();
    await settle();
    expect([location.pathname + location.search, exchanges.length]).toEqual(['/callback', 1]);
  }

  it('7636-3 says that the sign-in failed, and where the user wanted to go', async () => {
    await interrupted();
    const harness = await load({ failure: '/failed' });
    expect([TestBed.inject(Router).url, harness.routeNativeElement?.textContent]).toEqual([
      '/failed',
      'home callback_state_unknown /orders',
    ]);
    expect(exchanges).toHaveLength(1);
  });

  it('6749-3 goes there without a failure while somebody is signed in, as who went back to it', async () => {
    await interrupted();
    application({ inDocument: true });
    const token = world.authority.signIn();
    await TestBed.inject(CredentialStore).store(token);
    const harness = await RouterTestingHarness.create('/callback');
    expect([TestBed.inject(Router).url, harness.routeNativeElement?.textContent]).toEqual(['/orders', 'orders']);
  });

  it('6749-3 where the guard is asked again in the same page, it waits for the same answer', async () => {
    application({ inDocument: true });
    history.replaceState(null, '', `/callback?${await begin('/orders')}`);
    let go = (): void => undefined;
    const waiting = new Promise<never>((resolve) => (go = resolve as () => void));
    answer = () => waiting;
    const first = load();
    await settle();
    // As withExperimentalPlatformNavigation does when the address is cleaned
    const second = TestBed.inject(Router).navigateByUrl('/callback');
    await settle();
    go();
    await second;
    await first;
    expect([TestBed.inject(Router).url, exchanges.length]).toEqual(['/orders', 1]);
    expect(TestBed.inject(CredentialStore).snapshot().credentials).toHaveLength(1);
  });
});

describe('a root that is the redirect URI, in a document', () => {
  const original = location.href;
  const shown = ({ routeNativeElement }: RouterTestingHarness): unknown => [
    TestBed.inject(Router).url,
    routeNativeElement?.textContent.trim(),
  ];
  const open = { inDocument: true, atRoot: true };
  afterEach(() => history.replaceState(null, '', original));

  it.each([
    [undefined, false],
    ['/', false],
    ['/?page=2', false],
    [undefined, true],
    ['/', true],
  ])('6749-3 is shown after a sign-in that began with returnTo %j (routes in the fragment: %s)', async (returnTo, hash) => {
    application({ ...open, hash });
    history.replaceState({ kept: 1 }, '', `/?${await begin(returnTo)}`);
    const harness = await RouterTestingHarness.create(hash ? '/' : location.pathname + location.search);
    expect(shown(harness)).toEqual([returnTo ?? '/', 'home']);
    await harness.navigateByUrl('/orders');
    await harness.navigateByUrl('/');
    expect([...(shown(harness) as unknown[]), exchanges.length, history.state]).toEqual(['/', 'home', 1, { kept: 1 }]);
  });

  it('7636-3 is shown after a reload during the exchange, with the reason, and once', async () => {
    application(open);
    history.replaceState({ kept: 1 }, '', `/?${await begin('/')}`);
    answer = () => new Promise<never>(() => undefined);
    void RouterTestingHarness.create(location.pathname + location.search);
    await settle();
    application(open);
    const harness = await RouterTestingHarness.create('/');
    expect(shown(harness)).toEqual(['/', 'home callback_state_unknown /']);
    await harness.navigateByUrl('/orders');
    await harness.navigateByUrl('/');
    expect([...(shown(harness) as unknown[]), history.state]).toEqual(['/', 'home', { kept: 1 }]);
  });

  it('can be gone to after a failure that leaves the address as it is', async () => {
    const failure = (): RedirectCommand => new RedirectCommand(inject(Router).parseUrl('/failed'), { skipLocationChange: true, state: {} });
    application({ ...open, options: { failure } });
    history.replaceState(null, '', '/?code=abc&state=unknown');
    const harness = await RouterTestingHarness.create(location.pathname + location.search);
    expect(shown(harness)).toEqual(['/failed', 'home']);
    await harness.navigateByUrl('/orders');
    await harness.navigateByUrl('/');
    expect(shown(harness)).toEqual(['/', 'home']);
  });
});

describe('withTransactions', () => {
  const inShared = (): TransactionStorage => sessionTransactions(inject(SHARED), { now: () => world.browser.openTab().now() });

  it('says where sign-ins wait: one of them comes back to another page', async () => {
    const features = [withTransactions(inShared)];
    application({ hasPage: false, features });
    const answered = await begin('/orders');
    expect([...items.values()].join()).toContain('/orders');
    application({ hasPage: false, features });
    await RouterTestingHarness.create(`/callback?${answered}`);
    expect([TestBed.inject(Router).url, exchanges.length, items.size]).toEqual(['/orders', 1, 0]);
  });

  it('is asked when a sign-in begins, and once', async () => {
    const create = jest.fn(inShared);
    application({ features: [withTransactions(create)] });
    TestBed.runInInjectionContext(() => injectAuthorizationCodeFlow());
    expect(create).not.toHaveBeenCalled();
    await begin();
    await begin();
    expect(create).toHaveBeenCalledTimes(1);
  });

  it('E38 fails the sign-in and nothing else where the browser forbids it', async () => {
    const forbidden = (): never => {
      throw new DOMException('no', 'SecurityError');
    };
    application({ features: [withTransactions(forbidden)] });
    await expect(begin()).rejects.toMatchObject({ code: 'storage_failed' });
  });

  it('is not asked in tests of applications, whose clock is another', async () => {
    const create = jest.fn(inShared);
    TestBed.resetTestingModule();
    TestBed.configureTestingModule({
      providers: [
        provideCredentials(
          {
            issuer: 'https://id.example.com',
            clientId: 'spa',
            redirectUri: 'https://app.example.com/cb',
          },
          withTransactions(create),
        ),
        provideCredentialsTesting(),
      ],
    });
    expect(await begin('/orders')).toMatch(/state=/);
    expect(create).not.toHaveBeenCalled();
  });
});
