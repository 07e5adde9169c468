// A refresh is sent while the access token still lives, the server rotates, and its answer is lost. The server takes the old token again for half a
// minute; the access token lives for an hour. Whoever finds the intent sends it again while that makes sense.
import type { CredentialRecord } from '../../src/credential/record.js';
import type { OAuth2Client, OAuth2ClientOptions } from '../../src/oauth/client.js';
import { createDoubts } from '../../src/store/in-doubt.js';
import type { Credential } from '../../src/store/credential.js';
import { createToken } from '../../src/credential/create-token.js';
import { createFetch } from '../../src/http/index.js';
import type { FakePlatform } from '../support/fake-platform.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';
import { createRefreshServer, type Fault, type RefreshMode, type RefreshServer } from '../support/refresh-server/index.js';

/** Pages that were killed go on once the test is over, so that they can be closed. */
const graves: (() => void)[] = [];
afterEach(() => {
  graves.splice(0).forEach((rise) => rise());
  return closeAll();
});

const HOUR_MS = 3_600_000;
const LEEWAY_MS = 30_000;
const LOST: Fault = { name: 'drop-response' };
const NEVER: Fault = { name: 'drop-request' };
const MODES: readonly RefreshMode[] = ['leeway-latest', 'leeway-siblings', 'parent-ok'];
/** What a client may say of its server where the session must be kept. */
const KEPT: readonly (readonly [string, Partial<OAuth2ClientOptions>])[] = [
  ['nothing', {}],
  ['its leeway', { reuseLeewayMs: LEEWAY_MS }],
  ['its leeway, and reauthenticate', { reuseLeewayMs: LEEWAY_MS, onUnknownOutcome: 'reauthenticate' }],
  ['its leeway, and defer-until-expiry', { reuseLeewayMs: LEEWAY_MS, onUnknownOutcome: 'defer-until-expiry' }],
];

interface Ground extends World {
  readonly server: RefreshServer;
  /** A page with this credential; `kill` ends it as a crash does: nothing that it does reaches anybody any more. */
  open(ahead?: boolean, persist?: 'all' | 'refresh-only'): Promise<Tab & { kill(): void }>;
  signIn(tab: Tab, id?: string): Promise<Credential>;
  /** When token requests came, in milliseconds since the first. */
  sends(): readonly number[];
}

function ground(mode: RefreshMode, options: Partial<OAuth2ClientOptions> = {}): Ground {
  const world = createWorld();
  const { browser } = world;
  const timer = browser.openTab();
  const apartMs = browser.now() - timer.monotonicNow();
  const now = (): number => apartMs + timer.monotonicNow(); // nobody sets the clock of the server
  const server = createRefreshServer({ mode, leewayMs: LEEWAY_MS, now, setTimer: (run, ms) => timer.setTimer(run, ms) });
  const serve = server.asFetch();
  return {
    ...world,
    server,
    open: async (ahead = true, persist: 'all' | 'refresh-only' = 'all') => {
      let isDead = false;
      const never = new Promise<never>((_, reject) =>
        graves.push(() => {
          isDead = false;
          reject(new TypeError('fetch failed'));
        }),
      );
      never.catch(() => undefined);
      const base = browser.openTab();
      const { openChannel = () => ({ post: () => undefined, close: () => undefined }) } = base;
      const held = new Set<() => void>();
      const fetch: typeof serve = async (url, init) => {
        if (isDead) return never;
        const answer = await serve(url, init).catch((error: unknown) => error as Error);
        if (isDead) return never;
        if (answer instanceof Error) throw answer;
        return answer;
      };
      const locks: NonNullable<typeof base.locks> = {
        reach: 'origin',
        withLock: (name, run, signal) => {
          const dies = new Promise<never>((_, reject) => held.add(() => reject(new Error('the page is gone'))));
          dies.catch(() => undefined);
          const locked = base.locks.withLock(name, () => Promise.race([run(), dies]), signal);
          return locked.catch((error: unknown) => (isDead ? never : Promise.reject(error as Error)));
        },
      };
      const platform: FakePlatform = {
        ...base,
        fetch,
        locks,
        setTimer: (run, ms) => base.setTimer(() => void (isDead || run()), ms),
        openChannel: (name, hear) => openChannel(name, (one) => void (isDead || hear(one))),
      };
      const client = { issuer: server.issuer, clientId: 'spa', platform, ...options };
      const tab = await world.openTab({ clients: () => client, platform, options: { renewal: { ahead }, persist } });
      return {
        ...tab,
        kill: () => {
          isDead = true;
          held.forEach((die) => die());
        },
      };
    },
    signIn: async ({ store }, id = 'alice') => {
      const { access_token: accessToken, refresh_token: refreshToken = '', scope } = await server.authorize(id);
      const now = browser.now();
      const context = { issuer: server.issuer, clientId: 'spa', scope };
      const life = { issuedAt: now, expiresAt: now + HOUR_MS };
      return store.store(createToken({ id, accessToken, refreshToken, tokenType: 'Bearer', scope, ...life, claims: null, context }));
    },
    sends: () => server.log().map(({ at }) => at - (server.log()[0]?.at ?? 0)),
  };
}

/** The session goes on long after, and nobody was told anything else. */
async function lives({ browser, server }: World & Ground, credential: Credential): Promise<void> {
  await browser.advance(HOUR_MS + 60_000);
  await inTime(browser, credential.accessToken());
  expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
  expect(server.grants()).toMatchObject([{ state: 'live' }]);
}

describe.each(MODES)('RF-7 RF-8 D-055 a refresh of a token that lives loses its answers, and the server is in mode %s', (mode) => {
  it.each(KEPT)('sent by refresh(), of which the client says %s', async (_, options) => {
    const world = ground(mode, options);
    const tab = await world.open();
    const credential = await world.signIn(tab);
    world.server.faults.plan('token', LOST, LOST, LOST);
    expect(await codeOf(inTime(world.browser, credential.refresh()))).toBe('network_error');
    await world.browser.advance(LEEWAY_MS);
    expect(world.sends()).toHaveLength(4);
    expect(world.sends()[3]).toBeLessThan(10_000);
    await lives(world, credential);
  });

  it('sent after the 401 of an API, and for less scope', async () => {
    for (const isChild of [false, true]) {
      const world = ground(mode);
      const tab = await world.open();
      const credential = await world.signIn(tab);
      world.server.faults.plan('token', LOST, LOST, LOST);
      const options = isChild ? { scope: 'api:read' } : { refused: credential.token?.accessToken ?? '' };
      expect(await codeOf(inTime(world.browser, credential.accessToken(options)))).toBe('network_error');
      await world.browser.advance(LEEWAY_MS);
      expect(world.sends()).toHaveLength(4);
      await lives(world, credential);
    }
  });

  it.each(['another page lives', 'the page is loaded again'])('and the page is gone with them: %s', async (who) => {
    const world = ground(mode, { reuseLeewayMs: LEEWAY_MS });
    const [tab, other] = [await world.open(), who === 'another page lives' ? await world.open() : undefined];
    const { id } = await world.signIn(tab);
    await settle();
    world.server.faults.plan('token', { name: 'delay', afterMs: 5_000 });
    void (await tab.store.with(id))?.refresh().catch(() => undefined);
    await world.browser.advance(300);
    tab.kill();
    await world.browser.advance(1_000);
    const { store, events } = other ?? (await world.open());
    await world.browser.advance(15_000);
    expect(world.sends()).toHaveLength(2);
    expect(events.filter(({ type }) => type === 'token_replaced')).toHaveLength(1);
    const credential = await store.with(id);
    if (!credential) throw new Error('it is gone');
    await lives(world, credential);
  });
});

describe('D-055 what is in doubt', () => {
  /** A refresh of a token that lives has lost all its answers a moment ago. */
  async function lost(
    options: Partial<OAuth2ClientOptions>,
    ahead = true,
    ...faults: readonly Fault[]
  ): Promise<Ground & { tab: Tab; credential: Credential }> {
    const world = ground('leeway-latest', options);
    const tab = await world.open(ahead);
    const credential = await world.signIn(tab);
    const [fault = LOST] = faults;
    world.server.faults.plan('token', ...(faults.length > 1 ? faults : [fault, fault, fault]));
    expect(await codeOf(inTime(world.browser, credential.refresh(), 120_000))).toMatch(
      /^(network_error|timeout|server_unavailable|oauth_error)$/,
    );
    return { ...world, tab, credential };
  }

  it('is left until the token is due by who would send it nevertheless: outside of the leeway, or where another policy is for that', async () => {
    for (const options of [
      { onUnknownOutcome: 'reauthenticate' },
      { onUnknownOutcome: 'defer-until-expiry' },
      { reuseLeewayMs: 0 },
    ] as const) {
      const { browser, credential, sends } = await lost(options);
      await browser.advance(HOUR_MS / 2);
      expect(sends()).toHaveLength(3);
      expect(credential.status.token).toBe('valid');
    }
  });

  it('is sent later and later where no answer comes, and not for ever', async () => {
    const { browser, server, credential, sends } = await lost({});
    server.faults.random(() => NEVER);
    await browser.advance(HOUR_MS / 2);
    expect(sends().length).toBeLessThanOrEqual(3 * 10);
    expect(sends().length).toBeGreaterThanOrEqual(3 * 5);
    expect(sends().at(-1)).toBeLessThan(5 * 60_000);
    expect(credential.state).toMatchObject({ status: { token: 'valid', activity: 'idle' } });
  });

  it('is sent no more often by five pages than by one', async () => {
    const world = ground('leeway-latest');
    const tabs = [await world.open(), await world.open(), await world.open(), await world.open(), await world.open()];
    const credential = await world.signIn(tabs[0]);
    world.server.faults.random(() => NEVER);
    expect(await codeOf(inTime(world.browser, credential.refresh()))).toBe('network_error');
    await world.browser.advance(HOUR_MS / 2);
    expect(world.sends().length).toBeLessThanOrEqual(3 * 12);
  });

  it('is taken up where nothing is renewed ahead, too, beside who asks for a token and gets the one at hand', async () => {
    const { browser, credential, sends, tab, ...world } = await lost({}, false);
    const held = credential.token?.accessToken;
    await browser.advance(20_000);
    expect(sends()).toHaveLength(3);
    const seen: (string | null)[] = [];
    const api = createFetch(tab.store, {
      resources: ['https://api.example.com/'],
      fetch: (input, init) => {
        seen.push(new Request(input, init).headers.get('authorization'));
        return Promise.resolve(new Response());
      },
    });
    const asked = [credential.accessToken(), credential.accessToken(), api('https://api.example.com/')];
    await Promise.all(asked);
    expect(await asked[0]).toBe(held);
    expect(seen).toEqual([`Bearer ${held}`]);
    await browser.advance(5_000);
    expect(sends()).toHaveLength(4);
    expect(await credential.accessToken()).not.toBe(held);
    await browser.advance(HOUR_MS);
    expect(sends()).toHaveLength(4);
    await inTime(browser, credential.accessToken());
    expect(world.server.grants()).toMatchObject([{ state: 'live' }]);
  });

  it('is what no page looks for while a refresh goes well, and no page of those that hear of it reads more than once', async () => {
    const world = ground('strict-revoke');
    const [a, b] = [await world.open(), await world.open()];
    const credential = await world.signIn(a);
    await settle();
    await inTime(world.browser, credential.refresh()); // from now on the metadata is at hand
    await world.browser.advance(20_000);
    const before = world.disk.calls.length;
    await inTime(world.browser, credential.refresh());
    await world.browser.advance(20_000);
    const reads = world.disk.calls
      .slice(before)
      .filter(({ method, id }) => method === 'readAll' || (method === 'read' && id === credential.id));
    expect(reads).toHaveLength(1);
    expect(b.events.filter(({ type }) => type === 'token_replaced')).toHaveLength(2);
  });

  it('is not what a living page is about: one that is slow is waited for, and nothing is sent twice', async () => {
    const world = ground('strict-revoke');
    const [a, b] = [await world.open(), await world.open()];
    const credential = await world.signIn(a);
    await settle();
    world.server.faults.plan('token', { name: 'delay', afterMs: 25_000 });
    await inTime(world.browser, credential.refresh(), 30_000);
    await world.browser.advance(20_000);
    expect(world.sends()).toHaveLength(1);
    expect(b.events.filter(({ type }) => /^refresh/.test(type))).toEqual([]);
    await lives(world, credential);
  });

  it('RF-16 is not what a page is about that was frozen for a moment, has no lock any more, and waits for its answer', async () => {
    const world = ground('strict-revoke');
    const [a, b] = [await world.open(), await world.open()];
    const credential = await world.signIn(a);
    await settle();
    world.server.faults.plan('token', { name: 'delay', afterMs: 12_000 });
    const refreshing = credential.refresh();
    await settle();
    a.platform.emit('frozen');
    await world.browser.advance(500);
    a.platform.emit('resumed');
    await inTime(world.browser, refreshing, 30_000);
    await world.browser.advance(60_000);
    expect(world.sends()).toHaveLength(1);
    expect(b.store.snapshot().credentials).toMatchObject([{ status: { token: 'valid' } }]);
    await lives(world, credential);
  });

  it('is taken up after requests that were given up one after the other, each at its deadline', async () => {
    const { browser, sends } = await lost({}, true, { name: 'hang' });
    await browser.advance(30_000);
    expect(sends().length).toBeGreaterThan(3);
  });

  it('is taken up in time, however many are', async () => {
    const { browser, server, open, signIn } = ground('leeway-latest', { reuseLeewayMs: LEEWAY_MS });
    const tab = await open();
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => signIn(tab, `user ${i}`)));
    server.faults.random(() => LOST);
    const codes = await inTime(browser, Promise.all(all.map((one) => codeOf(one.refresh()))), 30_000);
    expect(new Set(codes)).toEqual(new Set(['network_error']));
    server.faults.random(null);
    await browser.advance(LEEWAY_MS);
    expect(all.filter((one) => one.token?.refreshToken === undefined || one.status.token !== 'valid')).toEqual([]);
    expect(server.grants().filter(({ state }) => state !== 'live')).toEqual([]);
    await browser.advance(2 * HOUR_MS);
    for (const one of all) await inTime(browser, one.accessToken());
    expect(server.grants().filter(({ state }) => state !== 'live')).toEqual([]);
  });

  it('takes no place of those that are due, though its server does not answer', async () => {
    const { browser, server, open, signIn } = ground('leeway-latest', { reuseLeewayMs: LEEWAY_MS });
    const tab = await open();
    const all = await Promise.all(Array.from({ length: 12 }, (_, i) => signIn(tab, `user ${i}`)));
    await tab.store.setDefault(null);
    server.faults.random(() => LOST);
    await inTime(browser, Promise.all(all.map((one) => codeOf(one.refresh()))), 30_000);
    server.faults.random(() => ({ name: 'hang' }));
    await browser.advance(20_000); // all of them are under way again
    const { access_token: accessToken, refresh_token: refreshToken = '', scope } = await server.authorize('bob');
    const issuedAt = browser.now();
    const context = { issuer: server.issuer, clientId: 'spa', scope };
    const bob = createToken({
      id: 'bob',
      accessToken,
      refreshToken,
      tokenType: 'Bearer',
      scope,
      issuedAt,
      expiresAt: issuedAt + 40_000,
      claims: null,
      context,
    });
    const credential = await tab.store.store(bob);
    await credential.accessToken();
    await browser.advance(39_000);
    expect(tab.events.filter((event) => event.type === 'refresh_started' && event.id === 'bob')).toHaveLength(1);
  });

  it('is not begun by a store that closes: who has a token need not wait', async () => {
    const { browser, server, tab, credential, sends } = await lost({}, false);
    server.faults.random(() => ({ name: 'hang' }));
    await browser.advance(3_000);
    await credential.accessToken();
    await settle();
    const closing = tab.store.close();
    await inTime(browser, closing, 5_000);
    expect(sends()).toHaveLength(3);
  });

  it('is still its own where the page freezes while it writes that it sends again', async () => {
    const { browser, tab, disk, sends } = await lost({});
    const gate = disk.hold(({ method, record }) => method === 'write' && record?.['id'] === 'alice');
    let isReached = false;
    void gate.reached.then(() => (isReached = true));
    for (let i = 0; i < 100 && !isReached; i++) await browser.advance(100);
    expect(isReached).toBe(true);
    tab.platform.emit('frozen');
    gate.open();
    await settle();
    await browser.advance(6_000);
    tab.platform.emit('resumed');
    await browser.advance(30_000);
    expect(sends().length).toBeGreaterThan(3);
    expect(tab.store.snapshot().credentials).toMatchObject([{ status: { token: 'valid', activity: 'idle' }, refreshFailure: null }]);
  });

  describe.each([-60 * 60_000, -60_000, -2_000, 50_000, 10 * 60_000])('TM-2 E42 is sent again though the clock is set by %d ms', (ms) => {
    it.each(['retry', 'reauthenticate', 'defer-until-expiry'] as const)('after it was lost, with %s', async (onUnknownOutcome) => {
      const { browser, credential, sends, server } = await lost({ reuseLeewayMs: LEEWAY_MS, onUnknownOutcome });
      browser.setClock(browser.now() + ms);
      await browser.advance(LEEWAY_MS);
      expect(sends()).toHaveLength(4);
      expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
      expect(server.grants()).toMatchObject([{ state: 'live' }]);
    });

    it.each(['retry', 'reauthenticate', 'defer-until-expiry'] as const)('while it is under way, with %s', async (onUnknownOutcome) => {
      const world = ground('leeway-latest', { reuseLeewayMs: LEEWAY_MS, onUnknownOutcome });
      const { browser, server, sends } = world;
      const credential = await world.signIn(await world.open());
      server.faults.plan('token', LOST, LOST, LOST);
      const refreshing = codeOf(credential.refresh());
      await browser.advance(300);
      browser.setClock(browser.now() + ms);
      expect(await inTime(browser, refreshing)).toBe('network_error');
      await browser.advance(LEEWAY_MS);
      expect(sends()).toHaveLength(4);
      expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
      expect(server.grants()).toMatchObject([{ state: 'live' }]);
    });
  });

  it.each([
    [401, 'invalid_client'],
    [400, 'invalid_request'],
    [400, 'invalid_scope'],
  ])('is sent again, and the try is named, after an answer %d %s, which says nothing of the request before', async (status, error) => {
    const { browser, credential, tab, sends, server } = await lost({}, true, LOST, { name: 'oauth-error', status, error });
    const named = tab.events.flatMap((event) => (event.type === 'refresh_failed' ? [event.nextTryAt ?? 0] : []));
    expect(named).toHaveLength(1);
    expect(named[0]).toBe(Math.trunc(named[0] ?? 0));
    expect((named[0] ?? 0) - browser.now()).toBeLessThan(10_000);
    expect(named[0]).toBeGreaterThanOrEqual(browser.now());
    await browser.advance(LEEWAY_MS);
    expect(sends()).toHaveLength(3);
    expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
    expect(server.grants()).toMatchObject([{ state: 'live' }]);
  });

  it('names no try that would come after the leeway', async () => {
    const { browser, tab, sends } = await lost({ reuseLeewayMs: 10_000 }, true, LOST, { name: '503', retryAfterS: 60 });
    const named = tab.events.flatMap((event) => (event.type === 'refresh_failed' ? [event.nextTryAt] : []));
    await browser.advance(10 * 60_000);
    expect([sends().length, named.map((at) => at !== null && at > browser.now())]).toEqual([2, [true]]);
  });
});

describe('D-055 a page that dies while it renews by itself', () => {
  const STATED = { reuseLeewayMs: LEEWAY_MS };
  /** Half an hour before its token is due, a page has another one sent, and is gone before the answer. */
  async function dies(world: Ground, tab: Tab & { kill(): void }, asked: () => unknown = () => undefined): Promise<void> {
    world.server.faults.plan('token', { name: 'delay', afterMs: 5_000 });
    for (let tries = 0; tries < 40 && world.sends().length === 0; tries++) await world.browser.advance(500);
    expect(world.sends()).toHaveLength(1);
    tab.kill();
    await world.browser.advance(4_000);
    await asked();
    await world.browser.advance(11_000);
    expect(world.sends()).toHaveLength(2);
  }

  it.each(['refresh-only', 'all'] as const)(
    'at its start, since it has no token of its own: told to one that has, with persist %s',
    async (persist) => {
      const world = ground('leeway-latest', STATED);
      const a = await world.open(true, persist);
      const credential = await world.signIn(a);
      await settle();
      await dies(world, await world.open(true, 'refresh-only'));
      await lives(world, credential);
    },
  );

  it.each([
    [true, false],
    [false, true],
    [false, false],
  ])('what the others do not renew by themselves, ahead %p, as the default %p', async (ahead, isDefault) => {
    const world = ground('leeway-latest', STATED);
    const [a, b] = [await world.open(ahead), await world.open()];
    const credential = await world.signIn(a);
    if (!isDefault) await a.store.setDefault(null);
    await settle();
    await (await b.store.with(credential.id))?.accessToken(); // used there
    await world.browser.advance(HOUR_MS - 65_000);
    expect(world.sends()).toEqual([]);
    await dies(world, b, () => ahead || credential.accessToken()); // else nobody takes up what nobody asks for
    await lives(world, credential);
  });

  it('tells nobody where nobody would take it up: a message costs a page its place in the back/forward cache', async () => {
    for (const options of [{}, { reuseLeewayMs: 0 }, STATED]) {
      const world = ground('strict-fail', options);
      const credential = await world.signIn(await world.open());
      await settle();
      const before = world.browser.posts.length;
      await inTime(world.browser, credential.refresh());
      await settle();
      expect(world.browser.posts.length - before).toBe(options === STATED ? 2 : 1); // that it was begun, and what came of it
    }
  });
});

describe('D-055 whose it is to send again', () => {
  const client = (options: object): OAuth2Client => ({ reuseLeewayMs: 30_000, ...options }) as OAuth2Client;
  const intent = { holder: 'h', attempt: 1, generation: 1, startedAt: 0, since: 0 };
  const record = { id: 'alice', state: 'active', intent } as unknown as CredentialRecord;

  it.each([
    ['within a leeway that is stated', {}, true, 3_000],
    ['without one', { reuseLeewayMs: undefined }, true, Infinity],
    ['where nobody tells of a write', {}, false, Infinity],
  ])('others do so %s', (_, options, hears, ms) => {
    const doubts = createDoubts({ platform: { now: () => 0, monotonicNow: () => 0 }, clientOf: () => client(options), hears: () => hears });
    expect(doubts.dueInMs(record)).toBe(ms);
  });

  it.each([
    [{}, true],
    [{ reuseLeewayMs: undefined }, true],
    [{}, false],
  ])('who has sent it does so in any case: %j, tells %p', (options, hears) => {
    const doubts = createDoubts({ platform: { now: () => 0, monotonicNow: () => 0 }, clientOf: () => client(options), hears: () => hears });
    doubts.left('alice', 'h');
    expect([doubts.dueInMs(record), doubts.dueInMs(record, 0, 29_999), doubts.dueInMs(record, 0, 60_000)]).toEqual([500, 29_999, Infinity]);
    doubts.begun('alice', intent, 'of the next attempt');
    expect(doubts.dueInMs({ ...record, intent: { ...intent, holder: 'of the next attempt' } })).toBe(500);
    doubts.forget('alice');
    doubts.left('alice', 'of another attempt');
    expect(doubts.dueInMs(record)).not.toBe(500);
  });

  it('others do not where a clock was set back since: nobody there knows how old it is', () => {
    const platform = { now: () => 20_000, monotonicNow: () => 0 };
    const doubts = createDoubts({ platform, clientOf: () => client({ onUnknownOutcome: 'reauthenticate' }), hears: () => true });
    const after = { ...record, intent: { ...intent, startedAt: 10_000, since: 10_000 } };
    expect([doubts.dueInMs(after), doubts.ageMs(after)]).toEqual([0, 10_000]);
    const before = { ...record, intent: { ...intent, startedAt: 10_000, since: 60_000 } };
    expect([doubts.dueInMs(before), doubts.ageMs(before)]).toEqual([Infinity, -40_000]);
  });

  it('begins anew with another attempt for two minutes at most, so that it ends, however long the leeway', () => {
    let now = 0;
    const doubts = createDoubts({
      platform: { now: () => now, monotonicNow: () => now },
      clientOf: () => client({ reuseLeewayMs: 3_600_000 }),
      hears: () => true,
    });
    const late = { ...record, intent: { ...intent, startedAt: 3_590_000, attempt: 4 } };
    doubts.begun('alice', undefined, 'the first');
    now = 3_590_000;
    doubts.begun('alice', { ...intent, holder: 'the first' }, 'h');
    now = 3_595_000;
    doubts.left('alice', 'h');
    expect([doubts.dueInMs(late), doubts.dueInMs(late, 0, 119_999), doubts.dueInMs(late, 0, 120_000)]).toEqual([0, 119_999, Infinity]);
  });
});
