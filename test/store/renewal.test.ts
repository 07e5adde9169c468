// Renewal ahead of expiry: what is renewed unasked, when, how often; what happens after a failure; what waking does.
import { CredentialError, NetworkError, ProtocolError } from '../../src/errors.js';
import { OAuthResponseError } from '../../src/oauth/oauth-response-error.js';
import type { Token } from '../../src/credential/token.js';
import type { Platform } from '../../src/platform/platform.js';
import { ISSUER, offline, refusal, type Answer } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type TabOptions } from '../support/fixture.js';
import { fakePage } from '../support/unit-platform.js';

afterEach(closeAll);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const AHEAD: TabOptions = { options: { renewal: { ahead: true } } };

/** A platform whose dice always show the same: 0 up to 1. */
function rigged(fraction: number): Pick<Platform, 'crypto'> {
  const { crypto } = globalThis;
  const getRandomValues = <T extends ArrayBufferView | null>(values: T): T =>
    values instanceof Uint32Array
      ? (values.fill(Math.min(Math.floor(fraction * 2 ** 32), 2 ** 32 - 1)), values)
      : crypto.getRandomValues(values as never);
  return { crypto: { subtle: crypto.subtle, randomUUID: () => crypto.randomUUID(), getRandomValues } };
}
const unavailable = (retryAfterMs?: number): CredentialError =>
  new CredentialError('server_unavailable', 'busy', { issuer: ISSUER, status: 503, retryAfterMs });
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
const times = (count: number, answer: Answer): readonly Answer[] => Array<Answer>(count).fill(answer);

describe('renewal ahead of expiry', () => {
  it.each([
    ['an hour', 3_600, 60_000, 54_000],
    ['four minutes', 240, 60_000, 54_000],
    ['two minutes', 120, 30_000, 27_000],
    ['a minute', 60, 15_000, 13_500],
  ])('comes within its window where a token lives %s, sooner or later by chance', async (_, lifetimeS, soonestMs, latestMs) => {
    for (const [fraction, leadMs] of [
      [0, soonestMs],
      [1, latestMs],
    ] as const) {
      const { openTab, authority, browser } = createWorld();
      const { store, newEvents } = await openTab({ ...AHEAD, platform: rigged(fraction) });
      const credential = await store.store(authority.signIn({ lifetimeS }));
      newEvents();
      await browser.advance(lifetimeS * 1000 - leadMs - 10);
      expect(authority.refreshes).toHaveLength(0);
      await browser.advance(20);
      expect(authority.refreshes).toHaveLength(1);
      // Of a life shorter than two minutes the last quarter counts as `expiring`, and the window begins there.
      expect(newEvents().filter((type) => lifetimeS > 120 || type !== 'expiring')).toEqual(['refresh_started', 'token_replaced']);
      expect(credential.state.issuedAt).toBeGreaterThan(browser.now() - 100);
    }
  });

  it('comes at different instants for different tokens', async () => {
    const instants = new Set<number>();
    for (let tries = 0; tries < 5; tries++) {
      const { openTab, authority, browser } = createWorld();
      const { store } = await openTab(AHEAD);
      const credential = await store.store(authority.signIn());
      const start = browser.now();
      await browser.advance(HOUR_MS);
      const leadMs = start + HOUR_MS - credential.state.issuedAt;
      expect(leadMs).toBeGreaterThanOrEqual(54_000);
      expect(leadMs).toBeLessThanOrEqual(60_000);
      instants.add(leadMs);
    }
    expect(instants.size).toBeGreaterThan(1); // 1 in 10 ** 15 by chance
  });

  it('is for the default alone, and for what was used since it was last renewed', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const [standard, used, unused] = await Promise.all(
      ['alice', 'bob', 'carol'].map((sub) => store.store(authority.signIn({ sub }), { tags: [sub] })),
    );
    await used?.accessToken();
    await browser.advance(HOUR_MS - 10_000);
    expect(authority.refreshes).toHaveLength(2);
    expect([standard, used, unused].map((one) => one?.status.token)).toEqual(['valid', 'valid', 'expiring']);
    await browser.advance(HOUR_MS);
    expect(authority.refreshes).toHaveLength(3);
    expect([standard, used, unused].map((one) => one?.status.token)).toEqual(['valid', 'expired', 'expired']);
    await used?.accessToken();
    expect(authority.refreshes).toHaveLength(4);
    await browser.advance(HOUR_MS);
    expect(used?.status.token).toBe('valid');
    expect(authority.reuses()).toBe(0);
  });

  it('counts what is used by who hears of the new token as used', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    await store.store(authority.signIn());
    const used = await store.store(authority.signIn({ sub: 'bob' }));
    store.events$.subscribe((event) => {
      if (event.type === 'token_replaced' && event.id === used.id) void used.accessToken();
    });
    await used.accessToken();
    await browser.advance(5 * HOUR_MS);
    expect(used.status.token).toBe('valid');
    expect(authority.refreshes).toHaveLength(10);
  });

  it.each<readonly [string, TabOptions, number]>([
    ['is on in a page', { platform: { page: fakePage('https://app.example.com/') } }, 1],
    ['is off where there is no page', {}, 0],
    [
      'is off in a page that switches it off',
      { platform: { page: fakePage('https://app.example.com/') }, options: { renewal: { ahead: false } } },
      0,
    ],
    ['is on elsewhere where it is switched on', AHEAD, 1],
  ])('%s', async (_, options, count) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(options);
    const credential = await store.store(authority.signIn());
    await browser.advance(HOUR_MS);
    expect(authority.refreshes).toHaveLength(count);
    expect(credential.status.token).toBe(count === 1 ? 'valid' : 'expired');
  });

  it('sends nothing for what cannot be renewed: no refresh token, no client, no lifetime, no user', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const all = [
      await store.store(authority.signIn({ refreshable: false })),
      await store.store(authority.signIn({ issuer: 'https://other.example.com' })),
      await store.store(authority.signIn({ sub: 'eternal', lifetimeS: null })),
      await store.store(authority.signIn({ sub: 'gone' })),
      await store.store(authority.signIn({ sub: 'asked' })),
    ];
    for (const one of all) await one.accessToken().catch(() => undefined);
    authority.next(refusal('invalid_grant'), refusal('login_required'));
    expect(await codeOf(all[3]?.refresh() ?? Promise.resolve())).toBe('needs_sign_in');
    expect(await codeOf(all[4]?.refresh() ?? Promise.resolve())).toBe('needs_interaction');
    for (const one of all) {
      await store.setDefault(one).catch(() => undefined); // not of the client that is not there
      await browser.advance(HOUR_MS);
    }
    expect(authority.refreshes).toHaveLength(2);
  });

  it('is what a signed-out or revoked credential has no more', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const [a, b] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    await b.accessToken();
    await a.remove();
    await b.revoke();
    await browser.advance(2 * HOUR_MS);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('stops when the store closes', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    await store.store(authority.signIn());
    await store.close();
    await browser.advance(2 * HOUR_MS);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('TM-4 is one request for tabs that have the same credential', async () => {
    const { openTab, authority, browser } = createWorld();
    const tabs = [await openTab(AHEAD), await openTab(AHEAD), await openTab(AHEAD)];
    const credential = await tabs[0]?.store.store(authority.signIn());
    await browser.advance(5 * HOUR_MS);
    expect(authority.refreshes).toHaveLength(5);
    expect(authority.reuses()).toBe(0);
    for (const { store } of tabs) expect((await store.with(credential?.id ?? ''))?.status.token).toBe('valid');
  });
});

describe('E43 tokens that live but a moment', () => {
  it.each([
    [1, 120],
    [4, 120],
    [60, 13], // each after 45 to 46.5 s
    [600, 1],
  ])('of %d s are renewed at most %d times in ten minutes', async (lifetimeS, most) => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab(AHEAD);
    authority.next(...times(200, { expires_in: lifetimeS }));
    await store.store(authority.signIn({ lifetimeS }));
    const before = platform.delays.length;
    await browser.advance(10 * MINUTE_MS);
    expect(authority.refreshes.length).toBeLessThanOrEqual(most);
    expect(authority.refreshes.length).toBeGreaterThanOrEqual(Math.floor(most * 0.85));
    expect(platform.delays.length - before).toBeLessThan(20 * most + 100);
  });

  it('that have expired when they arrive do not make it spin either', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    authority.next(...times(200, { expires_in: 0 }));
    await store.store(authority.signIn({ lifetimeS: 0 }));
    await browser.advance(10 * MINUTE_MS);
    expect(authority.refreshes.length).toBeLessThanOrEqual(8); // each time twice as long after the last
    await browser.advance(HOUR_MS);
    expect(authority.refreshes.length).toBeLessThanOrEqual(20);
  });

  it('that a function takes from a cache rest twice as long each time, until one gains time', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    let cached = authority.signIn({ refreshable: false });
    const asked: number[] = [];
    const renew = (): Promise<Token> => {
      asked.push(browser.now());
      return Promise.resolve(cached);
    };
    // Each token gets its own lead: by chance that of the second would begin a little after the rest has ended.
    const clients = (platform: Platform): ReturnType<typeof authority.client> => authority.client(platform, { renew });
    const { store } = await openTab({ ...AHEAD, platform: rigged(0.5), clients });
    const credential = await store.store(cached);
    await browser.advance(HOUR_MS - MINUTE_MS);
    const before = disk.calls.length;
    await browser.advance(MINUTE_MS - 1);
    expect(asked).toHaveLength(4);
    asked.slice(1).forEach((at, index) => expect(at - (asked[index] ?? 0)).toBe(5_000 * 2 ** index));
    expect(disk.calls.length - before).toBeLessThan(25);
    cached = authority.signIn({ refreshable: false });
    await browser.advance(HOUR_MS - 10_000);
    expect(credential.status.token).toBe('expiring');
    const later = asked.slice(5);
    expect(later.length).toBeGreaterThan(1); // due again an hour later
    expect((later[1] ?? 0) - (later[0] ?? 0)).toBe(5_000);
  });

  it('are renewed all the same by who asks for them', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    authority.next(...times(10, { expires_in: 1 }));
    const credential = await store.store(authority.signIn({ lifetimeS: 1 }));
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++) {
      seen.add(await credential.accessToken());
      await browser.advance(1_000);
    }
    expect(seen.size).toBe(3);
  });

  it('E42 and a clock that was set back by a year, do not keep it from renewing', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    browser.setClock(browser.now() - 365 * 24 * HOUR_MS);
    await browser.advance(11 * MINUTE_MS);
    expect(authority.refreshes).toHaveLength(1);
    expect(credential.status.token).toBe('valid');
  });
});

describe('a device that is offline', () => {
  it('sends nothing, spins not, and renews as soon as it is online', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn());
    platform.setOnline(false);
    const before = platform.delays.length;
    await browser.advance(2 * HOUR_MS);
    expect(authority.refreshes).toHaveLength(0);
    expect(credential.state).toMatchObject({ status: { token: 'expired', activity: 'idle' }, refreshFailure: null });
    expect(platform.delays.length - before).toBeLessThan((2 * HOUR_MS) / 30_000 + 20);
    platform.setOnline(true);
    await browser.advance(500);
    expect(authority.refreshes).toHaveLength(1);
    expect(credential.status.token).toBe('valid');
  });

  it('tells who asks that it is offline; that is over when it is online', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(HOUR_MS);
    newEvents();
    platform.setOnline(false);
    const refused: unknown = await credential.accessToken().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'network_error', class: 'transient' });
    expect(newEvents()).toEqual(['refresh_started', 'refresh_failed']);
    expect(authority.refreshes).toHaveLength(0);
    platform.setOnline(true);
    await browser.advance(500);
    await credential.accessToken();
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('E11 after a failure', () => {
  it('it is tried again by itself, later and later, and resumes', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, events } = await openTab({ ...AHEAD, platform: rigged(0.5) });
    const credential = await store.store(authority.signIn());
    authority.next(...times(12, unavailable()));
    await browser.advance(3 * HOUR_MS);
    const failures = events.flatMap((event) => (event.type === 'refresh_failed' ? [event] : []));
    expect(failures.map(({ attempts }) => attempts)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const waits = failures.map(({ at, nextTryAt }) => Math.round(((nextTryAt ?? NaN) - at) / 1_000));
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    const started = events.flatMap(({ type, at }) => (type === 'refresh_started' ? [at] : []));
    failures
      .slice(0, 12)
      .forEach(({ nextTryAt }, index) => expect((started[index + 1] ?? NaN) - (nextTryAt ?? NaN)).toBeLessThanOrEqual(10));
    expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
    await browser.advance(HOUR_MS);
    expect(credential.status.token).toBe('valid'); // and goes on as before
    expect(authority.reuses()).toBe(0);
  });

  it.each([
    [0, 500],
    [0.999, 1_499],
  ])('the pause is half as much more or less: by %d it is %d ms', async (fraction, waitMs) => {
    const { openTab, authority, browser } = createWorld();
    const { store, events } = await openTab({ ...AHEAD, platform: rigged(fraction) });
    await store.store(authority.signIn());
    authority.next(unavailable());
    await browser.advance(HOUR_MS);
    const failure = events.find(({ type }) => type === 'refresh_failed');
    expect(failure).toMatchObject({ nextTryAt: expect.any(Number) as number });
    if (failure?.type === 'refresh_failed') expect((failure.nextTryAt ?? NaN) - failure.at).toBeCloseTo(waitMs, 0);
  });

  it('a used credential that is not the default is tried again, too', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    await store.store(authority.signIn({ lifetimeS: null }));
    const other = await store.store(authority.signIn({ sub: 'bob' }));
    await other.accessToken();
    authority.next(unavailable(), unavailable());
    await browser.advance(HOUR_MS - 30_000);
    expect(authority.refreshes).toHaveLength(3);
    expect(other.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
  });

  it('one credential’s failure keeps no other from being renewed', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const [a, b] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    await b.accessToken();
    authority.forget(a.token?.refreshToken);
    await browser.advance(HOUR_MS);
    expect([a, b].map(({ status }) => status.token)).toEqual(['needs_sign_in', 'valid']);
  });

  it('E6 E56 an answer that is refused is a failure like any other, though its refresh token is kept', async () => {
    const { openTab, authority, browser } = createWorld();
    const [{ store, events }, other] = [await openTab({ ...AHEAD, platform: rigged(0.5) }), await openTab()];
    const credential = await store.store(authority.signIn());
    authority.next(...times(8, { access_token: 5 }));
    await browser.advance(HOUR_MS - 10_000);
    const failures = events.flatMap((event) => (event.type === 'refresh_failed' ? [event] : []));
    expect(failures.map(({ attempts }) => attempts)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(failures.map(({ generation }) => generation)).toEqual([2, 3, 4, 5, 6, 7]);
    expect(credential.state).toMatchObject({ generation: 7, refreshFailure: { code: 'response_invalid', attempts: 6 } });
    await browser.advance(4 * MINUTE_MS);
    expect(authority.refreshes).toHaveLength(9);
    expect(credential.state).toMatchObject({ status: { token: 'valid' }, refreshFailure: null });
    expect(other.events.filter(({ type }) => type === 'refresh_failed')).toEqual([]);
    expect(authority.reuses()).toBe(0);
  });

  it('Retry-After is waited for as long as it says', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn());
    authority.next(unavailable(30_000));
    await browser.advance(HOUR_MS - 54_000);
    expect(authority.refreshes).toHaveLength(1);
    const { nextTryAt } = credential.state.refreshFailure ?? { nextTryAt: null };
    const leftMs = (nextTryAt ?? NaN) - browser.now();
    await browser.advance(leftMs - 1);
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(11);
    expect(authority.refreshes).toHaveLength(2);
    expect(credential.status.token).toBe('valid');
  });

  it.each([0, 1, -5])('E11 Retry-After of %d s makes the pauses no shorter than they are without', async (seconds) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    await store.store(authority.signIn());
    authority.next(...times(1_000, unavailable(seconds * 1_000)));
    await browser.advance(HOUR_MS + 10 * MINUTE_MS);
    expect(authority.refreshes.length).toBeGreaterThan(5);
    expect(authority.refreshes.length).toBeLessThanOrEqual(16);
  });

  it('E11 Retry-After is waited for half as long again at most, so that not all come at one instant; by who asks no longer than it says', async () => {
    const waits: number[] = [];
    for (const fraction of [0, 0.999]) {
      const { openTab, authority, browser } = createWorld();
      const { store, events } = await openTab({ ...AHEAD, platform: rigged(fraction) });
      const credential = await store.store(authority.signIn());
      authority.next(unavailable(30_000));
      await browser.advance(HOUR_MS - 53_000);
      for (const event of events)
        if (event.type === 'refresh_failed') waits.push(Math.round(((event.nextTryAt ?? NaN) - event.at) / 1_000));
      const asked: unknown = await credential.refresh().catch((error: unknown) => error);
      expect((asked as CredentialError).retryAfterMs).toBeLessThanOrEqual(30_000);
    }
    expect(waits).toEqual([30, 45]);
  });

  it('E11 nextTryAt is when it is tried: a token that lives is renewed when it is due', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn());
    authority.next(unavailable());
    expect(await codeOf(credential.refresh())).toBe('server_unavailable');
    const nextMs = (credential.state.refreshFailure?.nextTryAt ?? NaN) - browser.now();
    await browser.advance(nextMs - 10);
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(20);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('E7 what no time mends is not tried again by itself, but when it is asked for', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, events } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn());
    authority.next(refusal('invalid_client'));
    await browser.advance(10 * HOUR_MS);
    expect(authority.refreshes).toHaveLength(1);
    expect(events.find(({ type }) => type === 'refresh_failed')).toMatchObject({ class: 'configuration', nextTryAt: null });
    await credential.accessToken();
    expect(authority.refreshes).toHaveLength(2);
    await browser.advance(HOUR_MS);
    expect(authority.refreshes).toHaveLength(3);
  });

  it('callers get the last error without a request, until it is time; who forces one asks anyway', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab({ platform: rigged(0.5) });
    const credential = await store.store(authority.signIn());
    await browser.advance(HOUR_MS);
    authority.next(unavailable(), unavailable());
    expect(await codeOf(credential.accessToken())).toBe('server_unavailable');
    newEvents();
    const refused: unknown = await credential.accessToken().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'server_unavailable', class: 'transient', status: 503, retryAfterMs: 1_000 });
    expect(await codeOf(credential.refreshIfNeeded())).toBe('server_unavailable');
    expect(newEvents()).toEqual([]);
    expect(authority.refreshes).toHaveLength(1);
    expect(await codeOf(credential.refresh())).toBe('server_unavailable');
    expect(authority.refreshes).toHaveLength(2);
    await browser.advance(2_000);
    await credential.accessToken();
    expect(authority.refreshes).toHaveLength(3);
  });

  it.each<[string, () => CredentialError]>([
    [
      'the server',
      () => new OAuthResponseError({ error: 'unsupported_grant_type', errorDescription: 'not here' }, 'oauth_error', { status: 400 }),
    ],
    ['no server', () => new NetworkError('network_error', 'no way', { issuer: ISSUER, class: 'transient' })],
    ['a broken answer', () => new ProtocolError('unexpected_redirect', 'away', { issuer: ISSUER, class: 'transient' })],
  ])('E6 the last error of %s is told again as what it is', async (_, failure) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(HOUR_MS);
    const error = failure();
    authority.next(error);
    const told = await Promise.all([caught(credential.accessToken()), caught(credential.accessToken())]);
    expect(told).toEqual([error, error]);
    const again = await caught(credential.accessToken());
    expect(again).toMatchObject({
      ...error.toJSON(),
      message: expect.any(String) as string,
      retryAfterMs: expect.any(Number) as number,
      cause: error,
    });
    expect(again).toBeInstanceOf(error.constructor);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a server that asks for the user is not asked again and again', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(HOUR_MS);
    authority.next(...times(20, refusal('login_required')));
    for (let i = 0; i < 20; i++) expect(await codeOf(credential.accessToken())).toBe('needs_interaction');
    expect(authority.refreshes.length).toBeLessThanOrEqual(1);
  });

  it('callers take what another tab has got meanwhile', async () => {
    const { openTab, authority, browser } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    const credential = await a.store.store(authority.signIn());
    await settle();
    browser.setDelivery(0);
    await browser.advance(HOUR_MS);
    authority.next(unavailable());
    expect(await codeOf(credential.accessToken())).toBe('server_unavailable');
    const theirs = await (await b.store.with(credential.id))?.accessToken();
    expect(await credential.accessToken()).toBe(theirs);
    expect(authority.refreshes).toHaveLength(2);
  });

  it.each(['visible', 'online', 'resumed'] as const)('it is tried again at once when the page is %s', async (event) => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn());
    authority.next(...times(8, unavailable()));
    await browser.advance(HOUR_MS);
    expect(credential.state.refreshFailure?.attempts).toBeGreaterThan(3);
    authority.next(...times(20, unavailable()));
    await browser.advance(HOUR_MS);
    const before = authority.refreshes.length;
    authority.next();
    platform.emit(event);
    await browser.advance(500);
    expect(authority.refreshes).toHaveLength(before + 1);
  });

  it('RF-7 an outcome that stays unknown is tried again by itself, with the same token', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const token = authority.signIn();
    const credential = await store.store(token);
    authority.next(...times(6, offline()));
    await browser.advance(HOUR_MS);
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).toEqual(Array(7).fill(token.refreshToken));
    expect(credential.status.token).toBe('valid');
  });
});

describe('waking', () => {
  it.each(['visible', 'online', 'resumed'] as const)(
    'TM-4 E41 renews what expired meanwhile once the page is %s, within half a second',
    async (event) => {
      const { openTab, authority, browser } = createWorld();
      const { store, platform } = await openTab(AHEAD);
      const credential = await store.store(authority.signIn());
      platform.emit('frozen');
      browser.sleep(5 * HOUR_MS); // and no timer fires
      platform.emit(event);
      expect(credential.status.token).toBe('expired');
      await browser.advance(500);
      expect(authority.refreshes).toHaveLength(1);
      expect(credential.status.token).toBe('valid');
    },
  );

  it('TM-4 eight tabs that wake together send one refresh', async () => {
    const { openTab, authority, browser } = createWorld();
    const tabs = await Promise.all(Array.from({ length: 8 }, () => openTab(AHEAD)));
    const credential = await tabs[0]?.store.store(authority.signIn());
    await settle();
    for (const { platform } of tabs) platform.emit('frozen');
    browser.sleep(5 * HOUR_MS);
    for (const { platform } of tabs) platform.emit('resumed');
    await browser.advance(10_000);
    expect(authority.refreshes).toHaveLength(1);
    for (const { store } of tabs) expect((await store.with(credential?.id ?? ''))?.status.token).toBe('valid');
    expect(authority.reuses()).toBe(0);
  });

  it('TM-4 tabs that wake together begin at different instants', async () => {
    const { openTab, authority, browser } = createWorld();
    const tabs = await Promise.all([0, 0.25, 0.5, 0.75].map((fraction) => openTab({ ...AHEAD, platform: rigged(fraction) })));
    for (const [index, { store }] of tabs.entries()) {
      const credential = await store.store(authority.signIn({ sub: `user ${index}` }));
      await credential.accessToken();
    }
    browser.sleep(5 * HOUR_MS);
    for (const { platform } of tabs) platform.emit('visible');
    const counts: number[] = [];
    for (let ms = 0; ms <= 500; ms += 125) {
      counts.push(authority.refreshes.length);
      await browser.advance(125);
    }
    expect(new Set(counts).size).toBeGreaterThanOrEqual(3); // not all at once
    expect(authority.refreshes).toHaveLength(4);
  });

  it('E41 a long sleep that nobody tells of is noticed by the timer', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    const credential = await store.store(authority.signIn());
    browser.sleep(5 * HOUR_MS);
    await browser.advance(1_000);
    expect(authority.refreshes).toHaveLength(1);
    expect(credential.status.token).toBe('valid');
  });
});

describe('E68 E70 many credentials', () => {
  /** So many credentials that were all used and expire together, as after a night. */
  async function withMany(count: number) {
    const world = createWorld();
    const seed = await world.openTab();
    const model = await seed.store.store(world.authority.signIn({ lifetimeS: 600 }));
    const record = world.disk.record(model.id);
    for (let i = 0; i < count; i++) {
      const { refreshToken } = world.authority.signIn({ sub: `user ${i}` });
      const secrets = { ...(record['secrets'] as object), refreshToken };
      world.disk.records.set(`id-${i}`, { ...record, id: `id-${i}`, storedAt: i, defaultClaim: 0, secrets });
    }
    await seed.store.close();
    const tab = await world.openTab(AHEAD);
    return { ...world, ...tab };
  }

  it('are one timer and constant listeners, whatever their number', async () => {
    const { platform, browser, store, authority } = await withMany(10_000);
    expect(platform.held()).toEqual({ timers: 1, channels: 1, listeners: 1 });
    const before = platform.delays.length;
    await browser.advance(580_000);
    expect(platform.held()).toEqual({ timers: 1, channels: 1, listeners: 1 });
    expect(authority.refreshes).toHaveLength(1); // the default; nobody has used the others
    expect(store.snapshot().ids).toHaveLength(10_001);
    expect(platform.delays.length - before).toBeLessThan(100);
    expect(Math.max(...platform.delays)).toBeLessThanOrEqual(30_000);
  });

  it('that are all in use are renewed a few at a time: no storm', async () => {
    const { store, authority, browser, platform } = await withMany(40);
    for (const id of await store.allIDs()) await (await store.with(id))?.accessToken();
    authority.hold();
    const before = platform.delays.length;
    await browser.advance(590_000);
    expect(authority.refreshes.length).toBeGreaterThanOrEqual(1);
    expect(authority.refreshes.length).toBeLessThanOrEqual(5); // four, and the default
    expect(platform.delays.length - before).toBeLessThan(500); // it waits, and does not spin
    let answered = 0;
    while (answered < authority.refreshes.length) {
      expect(authority.refreshes.length - answered).toBeLessThanOrEqual(5);
      authority.refreshes[answered++]?.answer();
      await browser.advance(1_000);
    }
    expect(answered).toBe(41);
    expect(new Set(store.snapshot().credentials.map(({ status }) => status.token))).toEqual(new Set(['valid']));
    expect(authority.reuses()).toBe(0);
  });

  it('the default waits for none of the others, though their server does not answer', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab(AHEAD);
    for (let i = 0; i < 6; i++) await (await store.store(authority.signIn({ sub: `user-${i}`, lifetimeS: 60 }))).accessToken();
    const mine = await store.store(authority.signIn({ sub: 'alice', lifetimeS: 240 }));
    await store.setDefault(mine);
    for (const id of await store.allIDs()) await (await store.with(id))?.accessToken();
    const refreshToken = mine.token?.refreshToken;
    authority.hold();
    await browser.advance(230_000);
    expect(mine.status.activity).toBe('refreshing');
    const ofMine = authority.refreshes.filter((one) => one.refreshToken === refreshToken);
    expect([authority.refreshes.length, ofMine.length]).toEqual([5, 1]);
    ofMine[0]?.answer();
    await settle();
    expect([mine.state.generation, mine.status.token]).toEqual([2, 'valid']);
    await browser.advance(60_000);
    expect(authority.refreshes).toHaveLength(5); // its place is nobody else's
  });

  it('a refresh that somebody asks for does not wait for those', async () => {
    const { store, authority, browser } = await withMany(10);
    for (const id of await store.allIDs()) await (await store.with(id))?.accessToken();
    authority.hold();
    await browser.advance(560_000);
    const before = authority.refreshes.length;
    expect([4, 5]).toContain(before);
    const all = await Promise.all((await store.allIDs()).map((id) => store.with(id)));
    const idle = all.find((one) => one?.status.activity === 'idle');
    if (!idle) throw new Error('all are being renewed');
    const asked = idle.refresh();
    await settle();
    expect(authority.refreshes).toHaveLength(before + 1);
    authority.refreshes[before]?.answer();
    expect((await inTime(browser, asked)).accessToken).toBe(idle.token?.accessToken);
  });
});
