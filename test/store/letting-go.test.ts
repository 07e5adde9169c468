// Many servers keep one grant per user, or per session of the browser, and client: to revoke any of its tokens ends it. So what is revoked late
// must not end the session of a user who has signed in again since.
import { CredentialError } from '../../src/errors.js';
import { ISSUER, type FakeAuthority, type SignInOptions } from '../support/fake-client.js';
import { closeAll, codeOf, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';
import { fakePage } from '../support/unit-platform.js';

afterEach(closeAll);

const hints = ({ revocations }: FakeAuthority): readonly string[] => revocations.map(({ hint }) => hint);
const BOTH = ['refresh_token', 'access_token'];

/** Who is no later sign-in of the same grant. */
const OTHERS: readonly (readonly [string, SignInOptions])[] = [
  ['another user', { sub: 'bob' }],
  ['a login that says nothing of the user', { sub: null }],
  ['the same user at another client', { clientId: 'other' }],
  ['the same name at another server', { issuer: 'https://other.example.com' }],
];

/** A program signs out and gets no further than its mark. */
async function diedInTheMiddle(world: World): Promise<string> {
  const crashed = await world.openTab();
  const credential = await crashed.store.store(world.authority.signIn({ lifetimeS: null }));
  const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['state'] === 'revoking', 'after');
  void credential.revoke().catch(() => undefined);
  await gate.reached;
  return credential.id;
}

/** So does one of three, and the user signs in in another, of which the living one is not told. */
async function signedInUnheard(): Promise<{ world: World; id: string; living: Tab }> {
  const world = createWorld();
  const [other, living] = [await world.openTab(), await world.openTab()];
  const id = await diedInTheMiddle(world);
  for (const { platform } of [other, living]) platform.emit('visible');
  await settle();
  world.browser.setDelivery(0);
  await signInAfter(world, other);
  await other.store.close();
  return { world, id, living };
}

async function signInAfter(world: World, { store }: Tab, options: SignInOptions = {}): Promise<void> {
  await world.browser.advance(500);
  await store.store(world.authority.signIn({ lifetimeS: null, ...options }));
}

/** The user signs in while the clock is ahead by so much, which is put right then. */
async function signInAhead(world: World, aheadMs: number): Promise<void> {
  const { browser } = world;
  browser.setClock(browser.now() + aheadMs);
  await signInAfter(world, await world.openTab());
  browser.setClock(browser.now() - aheadMs);
  await browser.advance(500);
}

describe('a sign-out that was cut short', () => {
  it('E45 7009-6 D-064 asks nothing at the next start, if the user comes back from signing in again', async () => {
    const world = createWorld();
    const id = await diedInTheMiddle(world);
    const next = await world.openTab();
    await signInAfter(world, next);
    await world.browser.advance(1_499);
    expect(world.disk.record(id)).toMatchObject({ state: 'revoking' });
    await world.browser.advance(1);
    expect(world.authority.revocations).toEqual([]);
    expect(world.disk.record(id)).toMatchObject({ state: 'removed', secrets: null });
    expect(next.store.snapshot().credentials).toMatchObject([{ status: { token: 'valid', activity: 'idle' } }]);
  });

  it.each([
    ['asks nothing, if the user', {}, []],
    ['is revoked, if another user', { sub: 'bob' }, BOTH],
  ] as const)('E45 D-064 %s comes back to a page, whose start leaves it alone for ten seconds', async (_, who, asked) => {
    const world = createWorld();
    const id = await diedInTheMiddle(world);
    const next = await world.openTab({ platform: { page: fakePage('https://app.example.com/') } });
    await world.browser.advance(9_000);
    await signInAfter(world, next, who);
    await world.browser.advance(499);
    expect([world.authority.revocations, world.disk.record(id)['state']]).toEqual([[], 'revoking']);
    await world.browser.advance(1);
    expect([hints(world.authority), world.disk.record(id)['state']]).toEqual([asked, 'removed']);
  });

  it('E45 RF-13 is revoked by a start though the program clears everything before it comes to that', async () => {
    const world = createWorld();
    await diedInTheMiddle(world);
    const { store } = await world.openTab();
    await world.browser.advance(500);
    await store.clear();
    expect(world.authority.revocations).toEqual([]);
    await world.browser.advance(1_500);
    expect(hints(world.authority)).toEqual(BOTH);
  });

  it('E45 is revoked by a program that runs for less than two seconds', async () => {
    const world = createWorld();
    const id = await diedInTheMiddle(world);
    const { store } = await world.openTab();
    await world.browser.advance(500);
    await store.close();
    expect(hints(world.authority)).toEqual(BOTH);
    expect(world.disk.record(id)).toMatchObject({ state: 'removed', secrets: null });
  });

  it('E45 asks nothing in a tab that lives, if it was told nothing of the sign-in in another', async () => {
    const { world, id, living } = await signedInUnheard();
    await world.browser.advance(15_000);
    expect(world.authority.revocations).toEqual([]);
    expect(world.disk.record(id)).toMatchObject({ state: 'removed', secrets: null });
    expect(living.store.snapshot().credentials).toMatchObject([{ status: { token: 'valid', activity: 'idle' } }]);
  });

  it.each(['access', 'refresh'] as const)(
    "7009-2 revoke('%s') of what was marked by a tab that is gone revokes all there is in it, since it ends here",
    async (target) => {
      const world = createWorld();
      const living = await world.openTab();
      const id = await diedInTheMiddle(world);
      living.platform.emit('visible');
      await settle();
      const result = await (await living.store.with(id))?.revoke(target);
      expect([result?.local, hints(world.authority), world.disk.record(id)['state']]).toEqual(['removed', BOTH, 'removed']);
      expect(world.authority.liveRefreshTokens()).toEqual([]);
    },
  );

  it('E45 D-064 RF-15 waits where storage cannot tell whether the user has signed in since', async () => {
    const { world, id } = await signedInUnheard();
    const mend = world.disk.fail(({ method }) => method === 'readAll');
    await world.browser.advance(15_000);
    expect([world.authority.revocations, world.disk.record(id)['state']]).toEqual([[], 'revoking']);
    mend();
    await world.browser.advance(10_000);
    expect([world.authority.revocations, world.disk.record(id)['state']]).toEqual([[], 'removed']);
  });

  it.each([true, false])(
    "E45 D-064 persist: 'refresh-only': a tab that thaws revokes no access token of its own, once the user has signed in (refresh tokens: %s)",
    async (refreshable) => {
      const world = createWorld();
      const open = (): Promise<Tab> => world.openTab({ options: { persist: 'refresh-only' } });
      const signIn = (tab: Tab) => tab.store.store(world.authority.signIn({ refreshable }));
      const [frozen, crashed] = [await open(), await open()];
      const { id } = await signIn(frozen);
      await world.browser.advance(1_000);
      frozen.platform.emit('frozen');
      await settle();
      const gate = world.disk.hold(({ method, record }) => method === 'write' && record?.['state'] === 'revoking', 'after');
      void (await crashed.store.with(id))?.revoke().catch(() => undefined);
      await gate.reached;
      await world.browser.advance(500);
      const again = await signIn(await open());
      await world.browser.advance(1_500);
      frozen.platform.emit('resumed');
      await world.browser.advance(3_000);
      expect([again.status.token, world.authority.revocations]).toEqual(['valid', []]);
    },
  );

  it.each(OTHERS)('E45 is revoked though %s has signed in since', async (_, options) => {
    const world = createWorld();
    await diedInTheMiddle(world);
    await signInAfter(world, await world.openTab(), options);
    await world.browser.advance(10_000);
    expect(hints(world.authority)).toEqual(BOTH);
  });

  it.each([
    ['was there before', 0],
    ['was stored before, while the clock was ahead', 20 * 60_000],
  ])('E45 D-064 is revoked beside another credential of the user that %s', async (_, aheadMs) => {
    const world = createWorld();
    await signInAhead(world, aheadMs);
    await diedInTheMiddle(world);
    await world.openTab();
    await world.browser.advance(10_000);
    expect(hints(world.authority)).toEqual(BOTH);
  });
});

describe('a revocation that the server wants later', () => {
  const busy = (retryAfterMs: number): CredentialError => new CredentialError('server_unavailable', 'no', { issuer: ISSUER, retryAfterMs });

  /** The first request is answered by 503 with `Retry-After`. */
  async function putOff(between: (world: World, tab: Tab) => Promise<unknown>) {
    const world = createWorld();
    const tab = await world.openTab();
    const credential = await tab.store.store(world.authority.signIn({ lifetimeS: null }));
    await world.browser.advance(500);
    const answers = [busy(3_000)];
    world.authority.setRevocation(async () => {
      const error = answers.shift();
      if (error) throw error;
    });
    const revoking = credential.signOut();
    await between(world, tab);
    return { world, tab, result: await inTime(world.browser, revoking) };
  }

  it('7009-4 D-064 is not asked for again once the user has signed in', async () => {
    const { world, tab, result } = await putOff(async (one, { store }) => {
      await one.browser.advance(500);
      await store.store(one.authority.signIn({ lifetimeS: null }));
    });
    expect(result).toMatchObject({
      local: 'removed',
      refreshToken: { status: 'failed', code: 'server_unavailable' },
      accessToken: { status: 'not_asked' },
    });
    expect(hints(world.authority)).toEqual(['refresh_token']);
    expect(tab.events.map(({ type }) => type)).toContain('signed_out');
  });

  it('7009-4 is asked for again where nobody has', async () => {
    const { world, result } = await putOff(() => settle());
    expect(result).toMatchObject({ refreshToken: { status: 'revoked' }, accessToken: { status: 'revoked' } });
    expect(hints(world.authority)).toEqual(['refresh_token', 'refresh_token', 'access_token']);
  });

  it('7009-4 is not asked for again in another tab either, nobody having told of it', async () => {
    const { world } = await putOff(async (one) => {
      one.browser.setDelivery(0);
      await signInAfter(one, await one.openTab());
    });
    expect(hints(world.authority)).toEqual(['refresh_token']);
  });

  it("revoke('access') is not asked for again either", async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn({ lifetimeS: null }));
    await world.browser.advance(500);
    world.authority.setRevocation(() => Promise.reject(busy(2_000)));
    const revoking = credential.revoke('access');
    await world.browser.advance(500);
    await store.store(world.authority.signIn(), { replace: credential });
    expect(await inTime(world.browser, revoking)).toMatchObject({ accessToken: { status: 'failed', code: 'server_unavailable' } });
    expect(hints(world.authority)).toEqual(['access_token']);
  });
});

describe('an answer that comes after the end of its credential', () => {
  const ENDS: readonly (readonly [string, (tab: Tab, id: string) => Promise<unknown>])[] = [
    ['remove()', async ({ store }, id) => (await store.with(id))?.remove()],
    ['clear()', ({ store }) => store.clear()],
  ];
  const ANSWERS = [
    ['a good one', {}],
    ['one that is refused', { access_token: 5 }],
  ] as const;
  const CASES = ENDS.flatMap(([end, make]) => ANSWERS.map(([answer, how]) => [end, answer, make, how] as const));

  async function late(
    world: World,
    end: (tab: Tab, id: string) => Promise<unknown>,
    answer: object,
    since: (tab: Tab) => Promise<unknown>,
  ) {
    const tab = await world.openTab();
    const credential = await tab.store.store(world.authority.signIn({ lifetimeS: null }));
    await world.browser.advance(500);
    world.authority.hold();
    const refreshing = codeOf(credential.refresh());
    await settle();
    await end(tab, credential.id);
    await since(tab);
    world.authority.refreshes[0]?.answer(answer as Record<string, unknown>);
    expect(await inTime(world.browser, refreshing)).toBe('credential_removed');
    await settle();
    return tab;
  }

  it.each(CASES)('RF-13 D-064 (%s, %s) is not revoked if the user has signed in since', async (_, __, end, answer) => {
    const world = createWorld();
    const { store } = await late(world, end, answer, (tab) => signInAfter(world, tab));
    expect(world.authority.revocations).toEqual([]);
    expect(store.snapshot().credentials).toMatchObject([{ status: { token: 'valid' } }]);
    expect(JSON.stringify([...world.disk.records])).not.toContain(world.authority.secrets[0]);
  });

  it.each(CASES)('RF-13 (%s, %s) is revoked if nobody has', async (_, how, end, answer) => {
    const world = createWorld();
    await late(world, end, answer, () => world.browser.advance(500));
    expect(hints(world.authority)).toEqual(how === 'a good one' ? BOTH : ['refresh_token']);
  });

  it('RF-13 D-064 is not revoked any further if the user signs in while the first request is on its way', async () => {
    const world = createWorld();
    let answer = (): void => undefined;
    world.authority.setRevocation(() => new Promise((resolve) => (answer = resolve)));
    const tab = await late(
      world,
      ({ store }, id) => store.with(id).then((one) => one?.remove()),
      {},
      () => world.browser.advance(500),
    ).then(async (one) => (await settle(), one));
    expect(hints(world.authority)).toEqual(['refresh_token']);
    await signInAfter(world, tab);
    answer();
    await settle();
    expect(hints(world.authority)).toEqual(['refresh_token']);
  });

  it('RF-13 D-064 is revoked though another credential of the user was stored before, while the clock was ahead', async () => {
    const world = createWorld();
    await signInAhead(world, 20 * 60_000);
    await late(
      world,
      (tab, id) => tab.store.with(id).then((one) => one?.remove()),
      {},
      () => settle(),
    );
    expect(hints(world.authority)).toEqual(BOTH);
  });

  it.each(OTHERS)('RF-13 is revoked though %s has signed in since', async (_, options) => {
    const world = createWorld();
    await late(
      world,
      (tab, id) => tab.store.with(id).then((one) => one?.remove()),
      {},
      (tab) => signInAfter(world, tab, options),
    );
    expect(hints(world.authority)).toEqual(BOTH);
  });

  it('RF-13 is not revoked either if the sign-in was in another tab, and nobody has told of it', async () => {
    const world = createWorld();
    await late(
      world,
      (tab, id) => tab.store.with(id).then((one) => one?.remove()),
      {},
      async () => {
        world.browser.setDelivery(0);
        await signInAfter(world, await world.openTab());
      },
    );
    expect(world.authority.revocations).toEqual([]);
  });
});

describe('RF-15 a token that waited to be written, and whose credential ended elsewhere', () => {
  async function waiting(end: (tab: Tab, id: string) => Promise<unknown>, since: SignInOptions | null) {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const credential = await a.store.store(world.authority.signIn());
    await settle();
    world.browser.setDelivery(0);
    const mend = world.disk.fail(({ method }) => method === 'write');
    await credential.refresh();
    mend();
    await end(b, credential.id);
    if (since) await signInAfter(world, b, since);
    await world.browser.advance(60_000);
    return world;
  }
  const ENDS: readonly (readonly [string, (tab: Tab, id: string) => Promise<unknown>])[] = [
    ['remove()', async ({ store }, id) => (await store.with(id))?.remove()],
    ['clear()', ({ store }) => store.clear()],
  ];

  it.each(ENDS)('D-064 (%s) is not revoked if the user has signed in since', async (_, end) => {
    const { authority } = await waiting(end, {});
    expect(authority.revocations).toEqual([]);
  });

  it.each(ENDS)('(%s) is revoked if nobody has', async (_, end) => {
    const { authority } = await waiting(end, null);
    expect(hints(authority)).toEqual(BOTH);
    expect(authority.liveRefreshTokens()).toEqual([]);
  });

  it.each(ENDS)('(%s) is revoked if another user has', async (_, end) => {
    const { authority } = await waiting(end, { sub: 'bob' });
    expect(hints(authority)).toEqual(BOTH);
  });
});

describe('clocks that are not right', () => {
  it('E45 D-064 a sign-in counts, though a record of another user is from a clock that was a day ahead, and all that come after it with it', async () => {
    const world = createWorld();
    const now = world.browser.now();
    world.browser.setClock(now + 24 * 3_600_000);
    await (await world.openTab()).store.store(world.authority.signIn({ sub: 'bob', lifetimeS: null }));
    world.browser.setClock(now);
    await diedInTheMiddle(world);
    await signInAfter(world, await world.openTab());
    await world.browser.advance(20_000);
    expect(world.authority.revocations).toEqual([]);
  });

  it('E45 D-064 so does one at a host whose clock is five seconds ahead', async () => {
    const world = createWorld();
    await diedInTheMiddle(world);
    await world.openTab();
    const { now } = world.browser.openTab();
    await signInAfter(world, await world.openTab({ platform: { now: () => now() + 5_000 } }));
    await world.browser.advance(20_000);
    expect(world.authority.revocations).toEqual([]);
  });

  it('E45 D-064 and one by the clock of the mark, which is set right before that is taken up', async () => {
    const world = createWorld();
    const now = world.browser.now();
    world.browser.setClock(now + 24 * 3_600_000);
    await diedInTheMiddle(world);
    await signInAfter(world, await world.openTab());
    world.browser.setClock(now + 500);
    await world.browser.advance(20_000);
    expect(world.authority.revocations).toEqual([]);
  });
});
