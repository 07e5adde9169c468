// `accessToken({ refused })`: what an adapter asks after a 401. Another token than the one that was refused; one that is at hand already is enough.
import { filter } from 'rxjs';
import { isSignedIn, type Credential } from '../../src/index.js';
import { offline, refusal } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type TabOptions, type World } from '../support/fixture.js';

afterEach(closeAll);

async function signedIn(options: TabOptions = {}) {
  const world = createWorld();
  const tab = await world.openTab(options);
  const credential = await tab.store.store(world.authority.signIn({ scope: 'openid orders:read orders:write' }));
  const sent = await credential.accessToken();
  tab.newEvents();
  return { ...world, ...tab, credential, sent };
}
async function elsewhere({ openTab }: World, { id }: Credential, options: TabOptions = {}): Promise<Credential> {
  const found = await (await openTab(options)).store.with(id);
  if (!found) throw new Error('the credential is gone');
  return found;
}

describe('6750-4 a token that was refused', () => {
  it('is renewed though it is valid, and the next caller gets the new one', async () => {
    const { credential, sent, authority, newEvents } = await signedIn();
    const next = await credential.accessToken({ refused: sent });
    expect(next).not.toBe(sent);
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
    expect(await credential.accessToken()).toBe(next);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('is renewed once for fifty at the same time, and for those who come later', async () => {
    const { credential, sent, authority } = await signedIn();
    const all = await Promise.all(Array.from({ length: 50 }, () => credential.accessToken({ refused: sent })));
    expect(new Set(all).size).toBe(1);
    expect(await credential.accessToken({ refused: sent })).toBe(all[0]);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('asks for nothing where it is not the current one', async () => {
    const { credential, sent, authority } = await signedIn();
    for (const refused of ['another', '', `${sent}x`]) expect(await credential.accessToken({ refused })).toBe(sent);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('joins a renewal that is under way: who waits for the lock takes what it brought', async () => {
    const { credential, sent, authority } = await signedIn();
    authority.hold();
    const first = credential.refresh();
    await settle();
    const second = credential.accessToken({ refused: sent });
    await settle();
    authority.refreshes[0]?.answer();
    expect(await second).toBe((await first).accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('a new token that is refused in its turn is renewed anew: to say when to stop is for who asks', async () => {
    const { credential, sent, authority } = await signedIn();
    const next = await credential.accessToken({ refused: sent });
    expect(await credential.accessToken({ refused: next })).not.toBe(next);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('where it is about to expire anyway there is one renewal, not two', async () => {
    const { credential, sent, authority, browser } = await signedIn();
    await browser.advance(3_590_000);
    expect(await credential.accessToken({ refused: sent })).not.toBe(sent);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('the same token again is what the server gave', async () => {
    const { credential, sent, authority } = await signedIn();
    authority.next({ access_token: sent });
    expect(await credential.accessToken({ refused: sent })).toBe(sent);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('without a refresh token is an error, and nothing is sent', async () => {
    const { store, authority } = await signedIn();
    const other = await store.store(authority.signIn({ refreshable: false, sub: 'bob' }));
    expect(await codeOf(other.accessToken({ refused: await other.accessToken() }))).toBe('no_refresh_token');
    expect(authority.refreshes).toHaveLength(0);
  });

  it('without a refresh token is told once for each token; the session, and what others do, stays as it is', async () => {
    const { store, authority, browser, newEvents } = await signedIn();
    const other = await store.store(authority.signIn({ refreshable: false, sub: 'bob' }));
    const told: unknown[] = [];
    store.events$.pipe(filter(({ type }) => type === 'refresh_failed')).subscribe((event) => told.push(event));
    const first = await other.accessToken();
    await browser.advance(60_000);
    newEvents();
    const all = Array.from({ length: 5 }, () => codeOf(other.accessToken({ refused: first })));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['no_refresh_token']));
    expect(await codeOf(other.accessToken({ refused: first }))).toBe('no_refresh_token');
    const failure = { code: 'no_refresh_token', class: 'needs_user', attempts: 1, nextTryAt: null };
    expect(newEvents()).toEqual(['refresh_failed']);
    expect(told).toEqual([expect.objectContaining({ id: other.id, origin: 'here', ...failure })]);
    expect(other.state).toMatchObject({ status: { token: 'valid', activity: 'idle' }, refreshFailure: failure });
    expect([isSignedIn(other.state), await other.accessToken()]).toEqual([true, first]);

    await store.store(authority.signIn({ refreshable: false, sub: 'bob' }), { replace: other });
    expect(other.state.refreshFailure).toBeNull();
    expect(await other.accessToken({ refused: first })).not.toBe(first); // of what has taken its place nothing is said
    newEvents();
    expect(await codeOf(other.accessToken({ refused: await other.accessToken() }))).toBe('no_refresh_token');
    expect(newEvents()).toEqual(['refresh_failed']);
    expect(other.state.refreshFailure?.class).toBe('configuration'); // of the next sign-in it would be refused, too
    expect(authority.refreshes).toHaveLength(0);
  });

  it('E7 a session that has ended ends here, too', async () => {
    const { credential, sent, authority } = await signedIn();
    authority.next(refusal('invalid_grant'));
    expect(await codeOf(credential.accessToken({ refused: sent }))).toBe('needs_sign_in');
    expect(await codeOf(credential.accessToken({ refused: sent }))).toBe('needs_sign_in');
    expect(authority.refreshes).toHaveLength(1);
  });

  it('ends with the caller’s signal; the refresh goes on', async () => {
    const { credential, sent, authority } = await signedIn();
    authority.hold();
    const leaving = new AbortController();
    const waiting = codeOf(credential.accessToken({ refused: sent, signal: leaving.signal }));
    await settle();
    leaving.abort();
    expect(await waiting).toBe('aborted');
    authority.refreshes[0]?.answer();
    await settle();
    expect(await credential.accessToken()).not.toBe(sent);
  });
});

describe('after a renewal that failed', () => {
  it('the error is given once more, and nothing is sent, until it is time', async () => {
    const { credential, sent, authority, browser } = await signedIn();
    authority.next(offline(), offline(), offline());
    expect(await codeOf(inTime(browser, credential.accessToken({ refused: sent })))).toBe('network_error');
    const asked = authority.refreshes.length;
    for (let i = 0; i < 10; i++) expect(await codeOf(credential.accessToken({ refused: sent }))).toBe('network_error');
    expect(authority.refreshes).toHaveLength(asked);
    expect(await credential.accessToken()).toBe(sent); // it is valid by our clock
    await browser.advance(120_000);
    expect(await inTime(browser, credential.accessToken({ refused: sent }))).not.toBe(sent);
  });

  it('another tab’s new token is found all the same', async () => {
    const world = await signedIn();
    const { credential, sent, authority, browser } = world;
    const there = await elsewhere(world, credential);
    authority.next(offline(), offline(), offline());
    await codeOf(inTime(browser, credential.accessToken({ refused: sent })));
    browser.setDelivery(0); // nobody is told
    const { accessToken } = await inTime(browser, there.refresh());
    const asked = authority.refreshes.length;
    expect(await credential.accessToken({ refused: sent })).toBe(accessToken);
    expect(authority.refreshes).toHaveLength(asked);
  });

  it('`forceRefresh` asks, since a user may have pressed a button', async () => {
    const { credential, sent, authority, browser } = await signedIn();
    authority.next(offline(), offline(), offline());
    await codeOf(inTime(browser, credential.accessToken({ refused: sent })));
    expect(await inTime(browser, credential.accessToken({ forceRefresh: true }))).not.toBe(sent);
  });
});

describe('two tabs', () => {
  it('6750-4 RF-2 that were refused at the same time send one request between them', async () => {
    const world = await signedIn();
    const { credential, sent, authority } = world;
    const there = await elsewhere(world, credential);
    expect(await there.accessToken()).toBe(sent);
    const both = await Promise.all(
      [credential, there].flatMap((one) => Array.from({ length: 10 }, () => one.accessToken({ refused: sent }))),
    );
    expect(new Set(both).size).toBe(1);
    expect(both[0]).not.toBe(sent);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('RF-12 one that was not told of the other’s renewal reads it under the lock, and sends nothing', async () => {
    const world = await signedIn();
    const { credential, sent, authority, browser } = world;
    const there = await elsewhere(world, credential);
    browser.setDelivery(0);
    const next = await there.accessToken({ refused: sent });
    expect(credential.token?.accessToken).toBe(sent); // it does not know yet
    expect(await credential.accessToken({ refused: sent })).toBe(next);
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.reuses()).toBe(0);
  });

  it('with `refresh-only` each has a token of its own: one that was refused in both is renewed in both', async () => {
    const options = { options: { persist: 'refresh-only' } } as const;
    const world = await signedIn(options);
    const { credential, sent, authority } = world;
    const there = await elsewhere(world, credential, options);
    const other = await there.accessToken();
    expect(other).not.toBe(sent);
    const before = authority.refreshes.length;
    const [a, b] = [await credential.accessToken({ refused: sent }), await there.accessToken({ refused: other })];
    expect(new Set([sent, other, a, b]).size).toBe(4);
    expect(authority.refreshes).toHaveLength(before + 2);
    expect(authority.reuses()).toBe(0);
  });
});

describe('an access token for less scope', () => {
  const scope = 'orders:read';

  it('6750-4 is renewed, and its parent stays what it was', async () => {
    const { credential, sent, authority } = await signedIn();
    const child = await credential.accessToken({ scope });
    const next = await credential.accessToken({ scope, refused: child });
    expect([child, sent]).not.toContain(next);
    expect(await credential.accessToken({ scope })).toBe(next);
    expect(await credential.accessToken()).toBe(sent);
    expect(authority.refreshes.map(({ target }) => target)).toEqual([{ scope }, { scope }]);
  });

  it('6750-4 is renewed once for fifty', async () => {
    const { credential, authority } = await signedIn();
    const child = await credential.accessToken({ scope });
    const all = await Promise.all(Array.from({ length: 50 }, () => credential.accessToken({ scope, refused: child })));
    expect(new Set(all).size).toBe(1);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('asks for nothing where it was not that one that was refused', async () => {
    const { credential, sent, authority } = await signedIn();
    const child = await credential.accessToken({ scope });
    for (const refused of [sent, 'another']) expect(await credential.accessToken({ scope, refused })).toBe(child);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('RF-2 two tabs that were refused send one request between them', async () => {
    const world = await signedIn();
    const { credential, authority } = world;
    const child = await credential.accessToken({ scope });
    const there = await elsewhere(world, credential);
    expect(await there.accessToken({ scope })).toBe(child);
    const [a, b] = await Promise.all([credential, there].map((one) => one.accessToken({ scope, refused: child })));
    expect(a).toBe(b);
    expect(authority.refreshes).toHaveLength(2);
  });

  it('whose renewal failed is not asked for at once', async () => {
    const { credential, authority, browser } = await signedIn();
    const child = await credential.accessToken({ scope });
    authority.next(offline(), offline(), offline());
    expect(await codeOf(inTime(browser, credential.accessToken({ scope, refused: child })))).toBe('network_error');
    const asked = authority.refreshes.length;
    expect(await codeOf(credential.accessToken({ scope, refused: child }))).toBe('network_error');
    expect(authority.refreshes).toHaveLength(asked);
  });
});
