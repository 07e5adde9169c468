// OBS-1: a whole life of credentials, and then a search for the tokens in everything that is not the storage or a token.
import { inspect } from 'node:util';
import type { Credential } from '../../src/index.js';
import { offline, refusal } from '../support/fake-client.js';
import { closeAll, collect, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

/** Everything that happens to credentials, in two tabs. Returns what was thrown. */
async function life({ authority, browser, disk }: World, a: Tab, b: Tab, seen: (credential: Credential) => void): Promise<unknown[]> {
  const errors: unknown[] = [];
  const attempt = async (command: Promise<unknown> | undefined): Promise<void> => {
    await inTime(browser, Promise.resolve(command)).catch((error: unknown) => errors.push(error));
    await settle();
  };
  const alice = await a.store.store(authority.signIn({ sub: 'alice' }), { tags: ['work'] });
  const bob = await a.store.store(authority.signIn({ sub: 'bob', issuer: 'https://other.example.com' }));
  const carol = await b.store.store(authority.signIn({ sub: 'carol' }));
  [alice, bob, carol].forEach(seen);
  await attempt(a.store.setDefault(carol.id));
  await attempt(alice.refresh());
  await attempt(alice.accessToken({ forceRefresh: true }));
  await attempt(bob.refresh()); // client_unknown
  await attempt(alice.userInfo());
  await attempt(alice.introspect('refresh_token'));
  await attempt(alice.introspect('none' as never));
  await attempt(alice.authorize('http://api.example.com/'));
  authority.next(offline(), offline(), offline(), 'garbage', 'garbage', 'garbage');
  const odd = new Error(`body: ${authority.secrets.join()}`);
  authority.next({ access_token: 7 }, refusal('login_required'), odd, odd, odd);
  for (let i = 0; i < 5; i++) await attempt(alice.refresh());
  authority.setKeys(() => Promise.reject(offline()));
  await attempt(alice.refresh()); // staged
  authority.setKeys(null);
  await attempt(alice.refresh());
  const mend = disk.fail(({ method }) => method === 'write', new Error(`could not write ${authority.secrets.join()}`));
  await attempt(alice.setTags(['x']));
  mend();
  await attempt(a.store.store(alice.token ?? authority.signIn())); // credential_exists
  await browser.advance(4_000_000);
  await attempt(alice.accessToken());
  authority.next({ sub: 'mallory' });
  await attempt((await b.store.with(carol.id))?.refresh()); // token_substitution
  authority.forget(alice.token?.refreshToken);
  await attempt(alice.refresh()); // needs_sign_in
  await attempt(a.store.store(authority.signIn({ sub: 'alice' })));
  disk.records.set('bad', { v: 1, secrets: { accessToken: authority.secrets[0] } });
  a.platform.emit('visible');
  await settle();
  authority.setRevocation(() => Promise.reject(new Error(`revoking ${authority.secrets.join()}`)));
  await attempt(alice.revoke());
  await attempt(bob.signOut({ flow: { start: ({ idToken }) => Promise.reject(new Error(`ending ${idToken}`)) } }));
  await attempt(a.store.clear());
  return errors;
}

describe('OBS-1 no token shows', () => {
  it('in a store that is logged while somebody listens: it is its state', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    await store.store(authority.signIn());
    const seen = [collect(store.state$), collect(store.default$), collect(store.events$)];
    expect(JSON.parse(JSON.stringify({ store }))).toEqual({ store: JSON.parse(JSON.stringify(store.snapshot())) as unknown });
    expect(JSON.stringify({ store })).not.toContain('CANARY');
    expect(seen).toHaveLength(3);
  });

  it('in events, states, queries, messages, lock names, timers, errors and printed handles of a whole life', async () => {
    const world = createWorld();
    const [a, b] = [await world.openTab(), await world.openTab()];
    const streams = [a, b]
      .flatMap(({ store }) => [store.state$, store.events$, store.credentials$, store.default$])
      .map((one) => collect<unknown>(one));
    const prints: string[] = [];
    const errors = await life(world, a, b, (credential) => {
      credential.state$.subscribe((state) => prints.push(JSON.stringify(state), inspect(state, { depth: 9, showHidden: true })));
      credential.token$.subscribe((token) => prints.push(JSON.stringify(token), inspect(token, { depth: 9 }), String(token)));
      prints.push(
        JSON.stringify(credential),
        inspect(credential),
        (credential as { toString(): string }).toString(),
        JSON.stringify(credential.metadata),
      );
    });
    const { posts, lockNames } = world.browser;
    const events = [a, b].flatMap((tab) => tab.events);
    const everything = [
      JSON.stringify(streams.map(({ values }) => values)),
      JSON.stringify([a.store.snapshot(), b.store.snapshot()]),
      JSON.stringify(posts),
      JSON.stringify(lockNames),
      ...prints,
      ...errors.flatMap((error) => [JSON.stringify(error), inspect(error, { depth: 9 }), String((error as Error).stack)]),
    ].join('\n');
    // The search would find something if it were there: much happened, and tokens were made.
    expect(new Set(events.map(({ type }) => type)).size).toBeGreaterThanOrEqual(13);
    expect([...new Set(errors.map((error) => (error as { code: string }).code))].sort()).toEqual([
      'client_unknown',
      'credential_exists',
      'needs_interaction',
      'needs_sign_in',
      'network_error',
      'response_invalid',
      'storage_failed',
      'token_substitution',
    ]);
    expect(posts.length).toBeGreaterThan(10);
    expect(world.authority.secrets.length).toBeGreaterThan(10);
    expect(everything.length).toBeGreaterThan(10_000);
    expect(everything).not.toContain('CANARY');
  });

  it('in a message: it holds the id, the generation and the revision of a record, and of an intent that it is begun', async () => {
    const world = createWorld();
    const { store } = await world.openTab({ clients: (platform) => world.authority.client(platform, { reuseLeewayMs: 30_000 }) });
    const credential = await store.store(world.authority.signIn());
    await credential.refresh();
    await store.setDefault(null);
    expect(world.browser.posts).toEqual([
      { channel: 'app:records', message: { id: credential.id, generation: 1, revision: 1 } },
      { channel: 'app:records', message: { id: credential.id, generation: 1, revision: 2, begun: true } },
      { channel: 'app:records', message: { id: credential.id, generation: 2, revision: 3 } },
      { channel: 'app:records', message: { id: '@store', generation: 0, revision: 1 } },
    ]);
  });

  it('RF-1 in the name of a lock: it holds the id', async () => {
    const world = createWorld();
    const { store } = await world.openTab();
    const credential = await store.store(world.authority.signIn());
    await credential.refresh();
    await credential.revoke();
    expect(new Set(world.browser.lockNames)).toEqual(
      new Set(['app:members', `app:refresh:${credential.id}`, `app:revoke:${credential.id}`]),
    );
  });
});
