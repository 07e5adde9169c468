import { createAttachmentPolicy } from '../../src/http/attachment.js';
import { offline, refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

describe('the clock', () => {
  it('moves a status from valid to expiring to expired, each with its event', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    const seen = collect(credential.status$);
    newEvents();
    await browser.advance(569_999);
    expect(credential.status.token).toBe('valid');
    await browser.advance(1);
    expect(credential.status.token).toBe('expiring');
    await browser.advance(29_999);
    expect(credential.status.token).toBe('expiring');
    await browser.advance(1);
    expect(seen.values.map(({ token }) => token)).toEqual(['valid', 'expiring', 'expired']);
    expect(newEvents()).toEqual(['expiring', 'expired']);
  });

  it('E68 asks only what is due, not each of a thousand at every change of one', async () => {
    const { openTab, authority, browser, platform } = await withTab();
    const { store } = await openTab();
    const signIn = (i: number) => store.store(authority.signIn({ sub: `user-${i}`, lifetimeS: i < 30 ? 600 + i : 86_400 }));
    const credentials = await Promise.all(Array.from({ length: 1_000 }, (_, i) => signIn(i)));
    await browser.advance(569_500);
    const asked = jest.spyOn(platform, 'now');
    await browser.advance(30_000);
    expect(credentials.filter(({ status }) => status.token === 'expiring')).toHaveLength(30);
    expect(asked.mock.calls.length).toBeLessThan(1_000 * 10); // all are compared once or twice; at each change it were 60,000
  });

  it('TM-2 compares all when the wall clock was set, though only one is due', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn({ sub: 'soon', lifetimeS: 20 }));
    const late = await store.store(authority.signIn({ sub: 'late', lifetimeS: 85 }));
    browser.setClock(browser.now() + 60_000);
    await browser.advance(15_000);
    expect(late.status.token).toBe('expiring'); // by the clock that was set; by the other one it has more than a minute
  });

  it('E43 calls a short-lived token expiring for a quarter of its life, not for all of it', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ lifetimeS: 8 });
    const credential = await store.store(token);
    expect(credential.status.token).toBe('valid');
    await browser.advance(5_999);
    expect(credential.status.token).toBe('valid');
    expect(await credential.accessToken()).toBe(token.accessToken);
    await browser.advance(1);
    expect(credential.status.token).toBe('expiring');
    expect(authority.refreshes).toHaveLength(0);
    expect(await credential.accessToken()).not.toBe(token.accessToken);
  });

  it('E43 does not spin on tokens that have expired when they arrive', async () => {
    const { openTab, authority, browser, platform } = await withTab();
    const { store } = await openTab();
    authority.next({ expires_in: 0 }, { expires_in: 0 });
    const credential = await store.store(authority.signIn({ lifetimeS: 0 }));
    await credential.refresh();
    expect(credential.status.token).toBe('expired');
    const before = platform.delays.length;
    await browser.advance(HOUR_MS);
    expect(authority.refreshes).toHaveLength(1);
    expect(platform.delays.length - before).toBeLessThanOrEqual(HOUR_MS / 30_000);
  });

  it('E18 E43 a token that has expired when it arrives serves who asked for it, once: each asks anew, and nothing spins', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab({ options: { renewal: { ahead: false } } });
    const credential = await store.store(authority.signIn({ lifetimeS: 0, scope: 'openid orders' }));
    const policy = createAttachmentPolicy(store, { resources: ['https://api.example.com/'] });
    const asks: (() => Promise<unknown>)[] = [
      () => credential.accessToken(),
      () => credential.accessToken({ minValidityMs: 0 }),
      () => credential.accessToken({ forceRefresh: true }),
      () => credential.accessToken({ refused: 'another' }),
      () => credential.accessToken({ scope: 'orders' }),
      () => credential.userInfo(),
      () => credential.authorize('https://api.example.com/'),
      () => policy.attach({ url: 'https://api.example.com/', method: 'GET' }),
    ];
    for (const ask of asks) {
      authority.next({ expires_in: 0 });
      await ask();
    }
    expect(authority.refreshes).toHaveLength(asks.length);
    expect(authority.userInfos).toHaveLength(1);
    expect(await credential.accessToken()).toBe(credential.token?.accessToken); // the next one has a life
    expect(authority.reuses()).toBe(0);
  });

  // A real timer may fire a little early, and a real clock moves between two looks at it: the instant of a change lies before any of them.
  it.each(Array.from({ length: 12 }, (_, looks) => looks))('E41 misses no change that comes after %i looks at the clock', async (looks) => {
    const { openTab, authority, browser } = createWorld();
    const base = browser.openTab();
    let early = 0;
    let firedAt = 0;
    const late = (now: number): number => (early-- > 0 ? now - 0.1 : now);
    const { store } = await openTab({
      options: { renewal: { ahead: false } },
      platform: {
        now: () => late(base.now()),
        monotonicNow: () => late(base.monotonicNow()),
        setTimer: (callback, delayMs, isAwaited) => {
          const fire = (): void => {
            early = base.now() > firedAt ? looks : 0; // the clock does not go back for another timer of the same instant
            firedAt = base.now();
            callback();
            early = 0;
          };
          return base.setTimer(fire, delayMs, isAwaited);
        },
      },
    });
    const credential = await store.store(authority.signIn({ lifetimeS: 8 }));
    const seen = collect(credential.status$);
    await browser.advance(6_001);
    expect(credential.status.token).toBe('expiring');
    await browser.advance(2_001);
    expect(seen.values.map(({ token }) => token)).toEqual(['valid', 'expiring', 'expired']);
  });

  it('E41 E70 sets one timer for all credentials, never longer than 30 s', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    for (const lifetimeS of [YEAR_MS / 1000, 3600, 90, 10 * 365 * 24 * 3600]) await store.store(authority.signIn({ lifetimeS }));
    expect(platform.held().timers).toBe(1);
    await browser.advance(HOUR_MS);
    expect(platform.held().timers).toBe(1);
    expect(Math.max(...platform.delays)).toBeLessThanOrEqual(30_000);
  });

  it('E45 goes on for a token of unknown lifetime, which stays valid: else nobody would notice a sleep', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const token = authority.signIn({ lifetimeS: null });
    const credential = await store.store(token);
    expect(platform.held().timers).toBe(1);
    browser.sleep(YEAR_MS);
    await browser.advance(HOUR_MS);
    expect(platform.delays.length).toBeLessThan(150);
    expect(credential.status.token).toBe('valid');
    expect(await credential.accessToken()).toBe(token.accessToken);
  });

  it('sets no timer where there is no credential; when the last one goes one is left, as long as its tombstone is', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store, platform } = await openTab();
    expect(platform.held().timers).toBe(0);
    const credential = await store.store(authority.signIn({ lifetimeS: 60 }));
    await browser.advance(HOUR_MS);
    expect(platform.held().timers).toBe(1);
    await credential.remove();
    expect(platform.held().timers).toBe(1);
    const before = platform.delays.length;
    await browser.advance(31 * HOUR_MS);
    expect(platform.held().timers).toBe(0);
    expect([...disk.records.keys()]).toEqual(['@store']);
    expect(platform.delays.length - before).toBeLessThan(45);
  });

  it('TM-3 signs nobody out: a year later the token is renewed', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    browser.sleep(YEAR_MS);
    await browser.advance(HOUR_MS);
    expect(credential.status.token).toBe('expired');
    expect(await store.getDefault()).toBe(credential);
    expect(await credential.accessToken()).toContain('access-CANARY');
    expect(credential.status.token).toBe('valid');
  });

  it.each(['visible', 'online', 'resumed'] as const)('E41 TM-4 is compared when the page is %s, before any timer fires', async (event) => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn());
    browser.setClock(browser.now() + 2 * HOUR_MS); // the machine slept: no timer fired
    expect(credential.status.token).toBe('valid');
    platform.emit(event);
    expect(credential.status.token).toBe('expired');
  });

  it('is compared on every read: an expired token is not handed out though no timer has fired', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    browser.setClock(browser.now() + 2 * HOUR_MS);
    expect(await credential.accessToken()).not.toBe(token.accessToken);
  });

  it('makes a status true again after it was set back', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn());
    const start = browser.now();
    browser.setClock(start + 2 * HOUR_MS);
    platform.emit('visible');
    browser.setClock(start);
    platform.emit('visible');
    expect(credential.status.token).toBe('valid');
  });

  it('a refresh that is needed no more once the clock is set right has ended: nothing is under way', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    const right = browser.now();
    browser.setClock(right + 2 * HOUR_MS);
    authority.next(offline(), offline(), offline());
    newEvents();
    const asking = credential.accessToken();
    await settle();
    expect(credential.status).toEqual({ token: 'expired', activity: 'refreshing' });
    browser.setClock(right); // in the pause before the second send
    expect(await inTime(browser, asking)).toBe(credential.token?.accessToken);
    expect(credential.status.activity).toBe('idle');
    expect(newEvents().filter((type) => type.startsWith('refresh'))).toEqual(['refresh_started', 'refresh_ended']);
    await browser.advance(30_000);
    expect(credential.status).toEqual({ token: 'valid', activity: 'idle' });
    expect(authority.refreshes).toHaveLength(1);
    expect(disk.record(credential.id)).toHaveProperty('intent'); // nobody knows what came of it
  });

  it('E40 grants no time after expiry: an expired token is not returned when the renewal fails', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    await browser.advance(600_000);
    authority.next(offline(), offline(), offline());
    expect(await codeOf(inTime(browser, credential.accessToken()))).toBe('network_error');
    expect(await codeOf(credential.accessToken())).toBe('network_error'); // nor while it is too early to try again
    expect(authority.refreshes).toHaveLength(3);
  });

  it('lets an expiring token be used while the renewal fails', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ lifetimeS: 600 });
    const credential = await store.store(token);
    await browser.advance(590_000);
    authority.next(refusal('temporarily_unavailable'));
    expect(await credential.accessToken()).toBe(token.accessToken);
    expect(await credential.accessToken()).toBe(token.accessToken); // while it is too early to try again
    expect(authority.refreshes).toHaveLength(1);
  });

  it.each([
    ['2 s', 590_000, 2_000],
    ['half of what is left', 597_000, 1_500],
  ])('lets an expiring token be used by who has waited %s for the next one, which goes on', async (_, atMs, waitMs) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ lifetimeS: 600 });
    const credential = await store.store(token);
    await browser.advance(atMs);
    authority.hold();
    const got: string[] = [];
    const waiting = credential.accessToken().then((accessToken) => got.push(accessToken));
    const patient = credential.refresh();
    await browser.advance(waitMs - 1);
    expect(got).toEqual([]);
    await browser.advance(1);
    expect(got).toEqual([token.accessToken]);
    await waiting;
    authority.refreshes[0]?.answer();
    expect((await patient).accessToken).not.toBe(token.accessToken);
    expect(await credential.accessToken()).toBe(credential.token?.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('stops when the store closes', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    await store.store(authority.signIn());
    const states = collect(store.state$);
    await store.close();
    const { length } = states.values;
    expect(platform.held().timers).toBe(0);
    await browser.advance(2 * HOUR_MS);
    platform.emit('visible');
    await settle();
    expect(states.values).toHaveLength(length);
  });

  /** A world whose first tab's timers can be looked at. */
  async function withTab() {
    const world = createWorld();
    const tab = await world.openTab();
    return { ...world, openTab: () => Promise.resolve(tab), platform: tab.platform };
  }
});

describe('the validity asked for', () => {
  it('E64 takes zero as zero: a token is renewed only once it has expired', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ lifetimeS: 600 });
    const credential = await store.store(token);
    await browser.advance(599_999);
    expect((await credential.refreshIfNeeded(0)).accessToken).toBe(token.accessToken);
    expect(await credential.accessToken({ minValidityMs: 0 })).toBe(token.accessToken);
    await browser.advance(1);
    expect((await credential.refreshIfNeeded(0)).accessToken).not.toBe(token.accessToken);
  });

  it('renews a token that is valid for less than was asked for', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn({ lifetimeS: 600 });
    const credential = await store.store(token);
    await browser.advance(60_000);
    expect(await credential.accessToken({ minValidityMs: 539_999 })).toBe(token.accessToken);
    expect(await credential.accessToken({ minValidityMs: 540_000 })).not.toBe(token.accessToken);
  });

  it.each([
    ['the lifetime', 300_000, 75_000],
    ['ten times as long', 3_000_000, 75_000],
    ['for ever', Infinity, 75_000],
    ['a second less, which a new token has for a second', 299_000, 5_000],
    ['ten seconds less, which it has for ten', 290_000, 10_000],
  ])('E43 that no token has, or for a moment only, is no request for each call: %s', async (_, minValidityMs, freshMs) => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 300 }));
    authority.next({ expires_in: 300 }, { expires_in: 300 }, { expires_in: 300 });
    const ask = async (): Promise<void> => {
      await credential.accessToken({ minValidityMs });
      await credential.refreshIfNeeded(minValidityMs);
      await credential.accessToken({ minValidityMs, refused: 'none' });
    };
    await browser.advance(freshMs - 1);
    await ask();
    expect(authority.refreshes).toHaveLength(0);
    await browser.advance(1);
    await ask();
    expect(authority.refreshes).toHaveLength(1);
    await browser.advance(freshMs);
    await ask();
    await ask();
    expect(authority.refreshes).toHaveLength(2);
  });

  it.each([-1, NaN, '30' as never])('is no %p', async (wrong) => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await expect(credential.accessToken({ minValidityMs: wrong })).rejects.toThrow(TypeError);
    await expect(credential.refreshIfNeeded(wrong)).rejects.toThrow(TypeError);
  });
});
