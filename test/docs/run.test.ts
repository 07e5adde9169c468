// Examples that lose a session, or mix up users, if they are wrong: run as they stand on their pages.
import { createHash } from 'node:crypto';
import { createToken, CredentialError, type Credential, type CredentialStore, type Token } from '../../src/index';
import { CLIENT_ID, ISSUER } from '../support/fake-client';
import { closeAll, codeOf, createWorld, settle, type World } from '../support/fixture';
import { load } from '../support/example';
import { CLAIMS, tokenFields } from '../support/tokens';

afterEach(closeAll);

describe('docs/pitfalls.md: a callback that runs twice', () => {
  const SUPPLIED = { credential: true };
  function setUp() {
    const flow = { isCallback: (href: string) => href.includes('code='), resume: jest.fn(() => Promise.resolve('token')) };
    const store = { client: () => ({}), store: jest.fn(() => Promise.resolve(SUPPLIED)), setDefault: jest.fn(() => Promise.resolve()) };
    const location = { href: 'https://app.example.com/callback?code=c&state=s' };
    const given = {
      'rx-credentials': { createCredentialStore: () => store },
      'rx-credentials/flows': { createAuthorizationCodeFlow: () => flow },
    };
    const { callback } = load('docs/pitfalls.md', 'complete', given, { location }) as { callback: () => Promise<unknown> };
    return { flow, store, location, callback };
  }

  it('6749-3 ends one sign-in, however often it is called', async () => {
    const { flow, store, location, callback } = setUp();
    const both = Promise.all([callback(), callback()]);
    location.href = 'https://app.example.com/callback'; // the first call has cleaned it
    expect([...(await both), await callback()]).toEqual([SUPPLIED, SUPPLIED, SUPPLIED]);
    for (const one of [flow.resume, store.store, store.setDefault]) expect(one).toHaveBeenCalledTimes(1);
  });

  it('does not forget a sign-in that succeeded because the default could not be set, or the token not be stored', async () => {
    const { flow, store, callback } = setUp();
    store.store.mockRejectedValueOnce(new CredentialError('storage_conflict', 'x'));
    store.setDefault.mockRejectedValueOnce(new CredentialError('timeout', 'x', { class: 'transient' }));
    for (const code of ['storage_conflict', 'timeout']) expect(await codeOf(callback())).toBe(code);
    expect(await callback()).toBe(SUPPLIED);
    expect([flow, store].map((one) => Object.values(one).map((f) => (jest.isMockFunction(f) ? f.mock.calls.length : 0)))).toEqual([
      [0, 1],
      [0, 2, 2],
    ]);
  });

  it('asks again after a failure that has kept the sign-in, and after no other', async () => {
    const { flow, callback } = setUp();
    flow.resume.mockRejectedValueOnce(new CredentialError('server_unavailable', 'x'));
    expect(await codeOf(callback())).toBe('server_unavailable');
    flow.resume.mockRejectedValueOnce(new CredentialError('server_unavailable', 'x', { class: 'needs_user' }));
    for (let i = 0; i < 2; i++) expect(await codeOf(callback())).toBe('server_unavailable');
    expect(flow.resume).toHaveBeenCalledTimes(2);
  });

  it('is no sign-in where the page was opened by hand', async () => {
    const { flow, location, callback } = setUp();
    location.href = 'https://app.example.com/callback';
    expect(await callback()).toBeNull();
    expect(flow.resume).not.toHaveBeenCalled();
  });
});

describe('docs/how-to.md: an idle time-out', () => {
  const IDLE_MS = 600_000;
  type Leave = (credentials: { find: () => Promise<readonly { signOut: () => Promise<unknown> }[]> }, idleMs: number) => void;

  /** One browser: a clock, what its tabs share, and who is signed in. */
  function setUp() {
    const items = new Map<string, string>();
    const signedIn = new Set<string>(['alice']);
    let now = Date.UTC(2026, 0, 1);
    const localStorage = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => items.set(key, value),
    };
    const find = (): Promise<{ signOut: () => Promise<unknown> }[]> =>
      Promise.resolve(Array.from(signedIn, (user) => ({ signOut: () => Promise.resolve(signedIn.delete(user)) })));
    const openTab = () => {
      const listeners = new Map<string, () => void>();
      const timers: (() => void)[] = [];
      const named = {
        localStorage,
        Date: { now: () => now },
        addEventListener: (type: string, listener: () => void) => listeners.set(type, listener),
        setInterval: (tick: () => void) => timers.push(tick),
      };
      const { signOutWhenIdle } = load('docs/how-to.md', 'signOutWhenIdle', {}, named) as { signOutWhenIdle: Leave };
      signOutWhenIdle({ find }, IDLE_MS);
      return {
        on: (type: string) => listeners.get(type)?.(),
        tick: () => timers.forEach((tick) => tick()),
      };
    };
    return { openTab, signedIn, items, after: (ms: number) => (now += ms) };
  }

  it.each(['visibilitychange', 'pointerdown', 'keydown'])(
    'design §4.4 ends a session after a sleep, whatever the page hears first: %s',
    async (type) => {
      const { openTab, signedIn, after } = setUp();
      const tab = openTab();
      after(IDLE_MS);
      tab.on(type);
      await settle();
      expect([...signedIn]).toEqual([]);
    },
  );

  it('ends it with the first page load after that time, and no sign-in that comes then', async () => {
    const { openTab, signedIn, after } = setUp();
    openTab();
    after(IDLE_MS);
    const tab = openTab();
    await settle();
    expect([...signedIn]).toEqual([]);
    signedIn.add('bob');
    tab.on('visibilitychange');
    await settle();
    expect([...signedIn]).toEqual(['bob']);
  });

  it('goes on while any tab is used; to hide or show a page is no use of it', async () => {
    const { openTab, signedIn, after } = setUp();
    const [one, two] = [openTab(), openTab()];
    after(IDLE_MS - 1);
    two.on('keydown');
    after(IDLE_MS - 1);
    one.tick();
    one.on('visibilitychange');
    await settle();
    expect([...signedIn]).toEqual(['alice']);
    after(1);
    one.tick();
    await settle();
    expect([...signedIn]).toEqual([]);
  });

  it('ends nothing because its note was cleared, and begins anew with what the user does next', async () => {
    const { openTab, signedIn, items, after } = setUp();
    const tab = openTab();
    items.clear();
    for (const event of ['visibilitychange', 'keydown']) tab.on(event);
    await settle();
    expect([...signedIn]).toEqual(['alice']);
    after(IDLE_MS);
    tab.tick();
    await settle();
    expect([...signedIn]).toEqual([]);
  });
});

describe('docs/how-to.md: a sign-in for each API', () => {
  it('design §4.2 keeps a credential for each of them, also when one is signed in to again', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    let returnTo = '';
    const flow = { resume: () => Promise.resolve(authority.signIn()), returnToOf: () => returnTo };
    const given = {
      'rx-credentials': { createCredentialStore: () => store },
      'rx-credentials/flows': { createAuthorizationCodeFlow: () => flow },
      'rx-credentials/http': { createFetch: (_store: unknown, options: unknown) => options },
    };
    const location = { href: 'https://app.example.com/callback?code=c&state=s' };
    const { callback } = load('docs/how-to.md', 'APIS', given, { location }) as { callback: () => Promise<void> };
    for (const api of ['orders', 'billing', 'orders']) {
      returnTo = `/?api=${api}`;
      await callback();
    }
    expect((await store.find({})).map(({ tags }) => tags)).toEqual([['orders'], ['billing']]);
  });
});

describe('docs/how-to.md: sign in in a popup', () => {
  it('design §4.2 gives who signs in twice one credential, and makes the last one the default', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const address = new URL('https://id.example.com/authorize?state=s');
    let sub = '';
    const flow = { start: () => Promise.resolve(address), resume: () => Promise.resolve(authority.signIn({ sub })) };
    const given = {
      'rx-credentials': { createCredentialStore: () => store, createOAuth2Client: () => ({}), defaultPlatform: () => ({}) },
      'rx-credentials/flows': { createAuthorizationCodeFlow: () => flow, memoryTransactions: () => ({}) },
    };
    class Channel {
      onmessage: ((message: { data: string }) => void) | undefined;
      constructor() {
        setTimeout(() => this.onmessage?.({ data: 'https://app.example.com/popup?code=c&state=s' }));
      }
      close = (): void => undefined;
    }
    const named = { open: () => ({ location: {}, close: () => undefined }), BroadcastChannel: Channel };
    const { signInByPopup } = load('docs/how-to.md', 'signInByPopup', given, named) as {
      signInByPopup: (signal: AbortSignal) => Promise<Credential>;
    };
    for (sub of ['alice', 'alice', 'bob'])
      expect((await signInByPopup(new AbortController().signal)).state).toMatchObject({ isDefault: true });
    expect((await store.find({})).map(({ claims }) => claims?.sub)).toEqual(['alice', 'bob']);
  });
});

describe('docs/silent-renewal.md: silent sign-in', () => {
  const SILENT = 'https://app.example.com/silent.html';

  async function setUp(end: string | null | Error, answer: () => Promise<Token>) {
    const { openTab } = createWorld();
    const { store } = await openTab();
    const flow = {
      start: () => Promise.resolve(new URL('https://id.example.com/authorize?prompt=none&state=s')),
      isCallback: (href: string) => /[?&](code|error)=/.test(href),
      resume: jest.fn(answer),
    };
    const loadFrame = (): Promise<string | null> => (end instanceof Error ? Promise.reject(end) : Promise.resolve(end));
    const given = {
      'rx-credentials': {
        createCredentialStore: () => store,
        createOAuth2Client: () => ({}),
        defaultPlatform: () => ({ page: { loadFrame } }),
      },
      'rx-credentials/flows': { createAuthorizationCodeFlow: () => flow, memoryTransactions: () => ({}) },
    };
    const { signInSilently } = load('docs/silent-renewal.md', 'signInSilently', given) as {
      signInSilently: () => Promise<Credential | null>;
    };
    return { flow, store, signInSilently };
  }
  const alice = () => Promise.resolve(createToken({ ...tokenFields(), id: crypto.randomUUID(), claims: CLAIMS }));

  it.each([
    ['a page that cannot be read', null],
    ['a page that is no answer', 'https://app.example.com/login?state=s'],
    ['the answer to another question (6749-4)', `${SILENT}?code=c&state=other`],
    ['no end in time', new Error('timeout')],
  ])('is nobody, and exchanges nothing, after %s', async (_, end) => {
    const { flow, signInSilently } = await setUp(end, alice);
    expect(await signInSilently()).toBeNull();
    expect(flow.resume).not.toHaveBeenCalled();
  });

  it('is nobody where the server says so, and who is there once, however often she is asked for', async () => {
    const nobody = await setUp(`${SILENT}?error=login_required&state=s`, () =>
      Promise.reject(new CredentialError('authorization_failed', 'x')),
    );
    expect(await nobody.signInSilently()).toBeNull();
    const { store, signInSilently } = await setUp(`${SILENT}?code=c&state=s`, alice);
    expect(await signInSilently()).toBe(await signInSilently());
    expect(await store.allIDs()).toHaveLength(1);
  });
});

describe('docs/how-to.md: a silent check at the start', () => {
  it('sends the user away once in a tab, and back to where she was', async () => {
    const items = new Map<string, string>();
    const sessionStorage = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => items.set(key, value),
    };
    const location = { pathname: '/orders', search: '?page=2', replace: jest.fn() };
    const start = jest.fn(() => Promise.resolve(new URL('https://id.example.com/')));
    const { askWhoIsThere } = load('docs/how-to.md', 'askWhoIsThere', {}, { sessionStorage, location }) as {
      askWhoIsThere: (flow: object) => Promise<void>;
    };
    for (let i = 0; i < 2; i++) await askWhoIsThere({ start });
    expect(start.mock.calls).toEqual([[{ returnTo: '/orders?page=2', additionalParameters: { prompt: 'none' } }]]);
    expect(location.replace).toHaveBeenCalledTimes(1);
  });
});

describe('docs/migrating.md: the session that there is', () => {
  type TakeOver = (credentials: CredentialStore, take: () => string | null, drop: () => void) => Promise<void>;

  /** The function of the page, for the server and client of the fake. */
  async function setUp(): Promise<
    World & {
      readonly take: (tab?: number) => Promise<boolean>;
      readonly leave: (sub: string) => void;
      readonly former: () => string;
      readonly stores: CredentialStore[];
    }
  > {
    const world = createWorld();
    const context = { issuer: ISSUER, clientId: CLIENT_ID };
    const given = { 'rx-credentials': { createToken: (fields: Parameters<typeof createToken>[0]) => createToken({ ...fields, context }) } };
    const { takeOver } = load('docs/migrating.md', 'takeOver', given) as { takeOver: TakeOver };
    const [{ store: one }, { store: two }] = [await world.openTab(), await world.openTab()];
    const leave = (sub: string): void => void (stored = world.authority.signIn({ sub }).refreshToken ?? '');
    let stored: string | null = null;
    leave('alice');
    const take = async (tab = 0): Promise<boolean> => {
      await takeOver(
        [one, two][tab] ?? one,
        () => stored,
        () => (stored = null),
      );
      return stored === null;
    };
    return { ...world, take, leave, former: () => stored ?? '', stores: [one, two] };
  }

  it('takes the refresh token over once for two tabs, and drops the other copy', async () => {
    const { take, stores, authority } = await setUp();
    expect(await Promise.all([take(0), take(1)])).toEqual([true, true]);
    const [id = ''] = (await stores[0]?.allIDs()) ?? [];
    expect(await stores[0]?.allIDs()).toEqual([expect.stringMatching(/^taken-over-[0-9a-f]{24}$/)]);
    expect(authority.reuses()).toBe(0);
    expect((await stores[1]?.with(id))?.status.token).toBe('valid');
  });

  it.each(['alice', 'bob'])('takes over another session beside the first, as of an account that signed in later: %s', async (sub) => {
    const { take, leave, stores, authority } = await setUp();
    await take();
    leave(sub);
    expect(await take()).toBe(true);
    expect((await stores[0]?.find({}))?.map(({ status }) => status.token)).toEqual(['valid', 'valid']);
    expect(authority.liveRefreshTokens()).toHaveLength(2);
  });

  it('RF-15 leaves the former copy, and spends nothing, where the storage takes no writes', async () => {
    const { take, stores, authority, disk } = await setUp();
    const mend = disk.fail(({ method }) => method === 'write');
    expect(await take()).toBe(false);
    expect(await stores[0]?.allIDs()).toEqual([]);
    expect(authority.refreshes).toHaveLength(0);
    mend();
    expect(await take(1)).toBe(true);
  });

  it('leaves the former copy where what lies under the id cannot be read', async () => {
    const { take, former, authority, disk } = await setUp();
    const id = `taken-over-${createHash('sha256').update(former()).digest('hex').slice(0, 24)}`;
    disk.records.set(id, { v: 99, id, revision: 1 });
    await settle();
    expect(await take()).toBe(false);
    expect(authority.refreshes).toHaveLength(0);
  });
});

describe('docs/http.md: a better token', () => {
  type StepUp = (asked: object, credential: { readonly claims: Token['claims'] }) => Promise<boolean>;

  it.each([
    ['the same user', CLAIMS, true],
    ['another user', { ...CLAIMS, sub: 'mallory' }, false],
    ['nobody can tell who', null, false],
  ])('design §4.2 D-048 the token of a window in which %s has signed in', async (_, claims, isTaken) => {
    const stored: unknown[] = [];
    const store = { store: (...all: unknown[]) => Promise.resolve(stored.push(all)) };
    const given = {
      'rx-credentials': { createCredentialStore: () => store },
      'rx-credentials/http': { createFetch: (_store: unknown, options: unknown) => options },
    };
    const token = createToken({ ...tokenFields(), claims });
    const { apiFetch } = load('docs/http.md', 'stepUp', given, { signInAgain: () => Promise.resolve(token) }) as {
      apiFetch: { stepUp: StepUp };
    };
    const credential = { claims: CLAIMS };
    expect(await apiFetch.stepUp({ scope: 'pay' }, credential)).toBe(isTaken);
    expect(stored).toEqual(isTaken ? [[token, { replace: credential }]] : []);
  });
});
