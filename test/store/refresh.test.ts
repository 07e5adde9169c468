import { firstValueFrom, retry, take } from 'rxjs';
import { offline, refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

describe('one refresh in a tab', () => {
  it('E1 is shared by 1,000 callers of an expired token', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, newEvents } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    newEvents();
    const tokens = await Promise.all(Array.from({ length: 1_000 }, () => credential.accessToken()));
    expect(authority.refreshes).toHaveLength(1);
    expect(new Set(tokens)).toEqual(new Set([credential.token?.accessToken]));
    expect(newEvents()).toEqual(['refresh_started', 'token_replaced']);
  });

  it('E1 is shared by all commands that want a new token', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    const [a, b, c, d, e] = await Promise.all([
      credential.refresh(),
      credential.refreshIfNeeded(),
      firstValueFrom(credential.refresh$()),
      credential.accessToken(),
      credential.accessToken({ minValidityMs: 60_000 }),
    ]);
    expect(authority.refreshes).toHaveLength(1);
    expect(new Set([a.accessToken, b.accessToken, c.accessToken, d, e]).size).toBe(1);
  });

  it('E63 is shared only by callers who want the same: a forced one is not satisfied by a token that is valid already', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    const [kept, forced] = await Promise.all([credential.refreshIfNeeded(), credential.refresh()]);
    expect(kept.accessToken).toBe(token.accessToken);
    expect(forced.accessToken).not.toBe(token.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('E63 is one per credential', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const [a, b] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    authority.hold();
    const both = Promise.all([a.refresh(), b.refresh()]);
    await settle();
    expect(authority.refreshes).toHaveLength(2); // neither waits for the other
    authority.refreshes.forEach((arrived) => arrived.answer());
    expect((await both).map(({ id }) => id)).toEqual([a.id, b.id]);
  });

  it('is followed by another one: an answer is not replayed for ever', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const [first, second] = [await credential.refresh(), await credential.refresh()];
    expect(second.accessToken).not.toBe(first.accessToken);
    expect(authority.refreshes).toHaveLength(2);
    expect(authority.reuses()).toBe(0);
  });

  it('shows as refreshing while it runs, and never as signed out', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const [states, tokens, defaults] = [collect(credential.status$), collect(credential.token$), collect(store.default$)];
    await credential.refresh();
    expect(states.values).toEqual([
      { token: 'valid', activity: 'idle' },
      { token: 'valid', activity: 'refreshing' },
      { token: 'valid', activity: 'idle' },
    ]);
    expect(tokens.values).toHaveLength(2);
    expect(tokens.values).not.toContain(null);
    expect(defaults.values).toEqual([credential]);
  });
});

describe('refresh$', () => {
  it('sends nothing before it is subscribed to, and asks anew for each subscription', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const refresh$ = credential.refresh$();
    await settle();
    expect(authority.refreshes).toHaveLength(0);
    const first = await firstValueFrom(refresh$);
    const second = await firstValueFrom(refresh$);
    expect(authority.refreshes).toHaveLength(2);
    expect(second.accessToken).not.toBe(first.accessToken);
  });

  it('emits one token and completes', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const seen = collect(credential.refresh$());
    await settle();
    expect(seen.values).toEqual([credential.token]);
    expect(seen.completed()).toBe(true);
  });

  it('with retry in one caller sends no second request for the others', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.next(refusal('temporarily_unavailable'));
    const others = [codeOf(credential.refresh()), codeOf(firstValueFrom(credential.refresh$()))];
    const token = await firstValueFrom(credential.refresh$().pipe(retry(1)));
    expect(await Promise.all(others)).toEqual(['oauth_error', 'oauth_error']);
    expect(token).toBe(credential.token);
    expect(authority.refreshes).toHaveLength(2); // the shared one, and the retry that one caller asked for
  });

  it('RF-7 whose answer is lost is sent three times for all who share it, and a fourth time for the caller who asks again', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.next(offline(), offline(), offline());
    const others = [codeOf(credential.refresh()), codeOf(firstValueFrom(credential.refresh$()))];
    const token = await inTime(browser, firstValueFrom(credential.refresh$().pipe(retry(1))));
    expect(await Promise.all(others)).toEqual(['network_error', 'network_error']);
    expect(token).toBe(credential.token);
    expect(authority.refreshes).toHaveLength(4);
  });

  it('fails for all who share it, each with the same error', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.next(refusal('temporarily_unavailable'));
    const [a, b] = await Promise.all([credential.refresh(), credential.refresh()].map((one) => one.catch((error: unknown) => error)));
    expect(a).toBe(b);
    expect(a).toMatchObject({ code: 'oauth_error' });
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('RF-10 a refresh that was sent', () => {
  it.each(['while the request is under way', 'before the lock was granted'])(
    'is committed though its only subscriber left %s',
    async (when) => {
      const { openTab, authority, disk } = createWorld();
      const { store } = await openTab();
      const token = authority.signIn();
      const credential = await store.store(token);
      authority.hold();
      const early = when === 'before the lock was granted';
      const gate = disk.hold(({ method }) => early && method === 'read');
      const subscription = credential.refresh$().subscribe();
      await settle();
      subscription.unsubscribe();
      gate.open();
      await settle();
      authority.refreshes[0]?.answer();
      await settle();
      expect(credential.token?.accessToken).not.toBe(token.accessToken);
      expect(disk.record(credential.id)).toMatchObject({ generation: 2, secrets: { accessToken: credential.token?.accessToken } });
      expect(await credential.accessToken()).toBe(credential.token?.accessToken);
      expect(authority.refreshes).toHaveLength(1);
    },
  );

  it("is committed though a caller's signal ended the caller's waiting", async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    authority.hold();
    const abort = new AbortController();
    const impatient = credential.accessToken({ signal: abort.signal });
    const patient = credential.accessToken();
    await settle();
    abort.abort();
    expect(await codeOf(impatient)).toBe('aborted');
    authority.refreshes[0]?.answer();
    expect(await patient).toBe(credential.token?.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });

  it('is not waited for by a caller whose signal was aborted before', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    authority.hold();
    expect(await codeOf(credential.accessToken({ signal: AbortSignal.abort() }))).toBe('aborted');
  });

  it('is committed though the store closes, and close waits for it', async () => {
    const { openTab, authority, disk } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    authority.hold();
    const refreshing = credential.refresh();
    await settle();
    let closed = false;
    const closing = store.close().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    authority.refreshes[0]?.answer();
    const token = await refreshing;
    await closing;
    expect(disk.record(credential.id)).toMatchObject({ secrets: { accessToken: token.accessToken, refreshToken: token.refreshToken } });
  });

  it('leaves no token stream waiting: switching away and back gives the new token', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const first = await firstValueFrom(credential.token$.pipe(take(1)));
    const token = await credential.refresh();
    expect(first).not.toBe(token);
    expect(await firstValueFrom(store.token$(credential.id))).toBe(token);
  });
});

describe('a token that is valid', () => {
  it('is read without storage, without a request and without a lock', async () => {
    const { openTab, authority, disk, browser } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    const [calls, locks] = [disk.calls.length, browser.lockNames.length];
    for (let i = 0; i < 10; i++) expect(await credential.accessToken()).toBe(token.accessToken);
    expect(await credential.accessToken({ minValidityMs: 1_000 })).toBe(token.accessToken);
    expect([disk.calls.length, browser.lockNames.length]).toEqual([calls, locks]);
    expect(authority.refreshes).toHaveLength(0);
  });

  it('is renewed when asked to', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const token = authority.signIn();
    const credential = await store.store(token);
    expect(await credential.accessToken({ forceRefresh: true })).not.toBe(token.accessToken);
    expect(authority.refreshes).toHaveLength(1);
  });
});

describe('taking turns', () => {
  it('RF-1 does not rest on the storage: callers who ask for different things send one request though its lock locks nothing', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const { store } = await openTab({ storage: { ...disk.storage(), withLock: (_name, run) => run() } });
    const credential = await store.store(authority.signIn());
    await browser.advance(3_700_000);
    authority.hold();
    const callers = [credential.accessToken(), credential.refresh(), credential.accessToken({ minValidityMs: 60_000 })];
    await settle();
    expect(authority.refreshes).toHaveLength(1);
    authority.refreshes[0]?.answer();
    await Promise.all(callers);
    expect(authority.refreshes).toHaveLength(1);
    expect(authority.reuses()).toBe(0);
  });

  it('RF-10 a signal that is aborted already asks nothing', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const aborted = credential.accessToken({ forceRefresh: true, signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
    await settle();
    expect(authority.refreshes).toHaveLength(0);
  });
});
