import { config } from 'rxjs';
import type { CredentialEvent } from '../../src/index.js';
import { closeAll, collect, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);

describe('the loop', () => {
  it('shows subscribers of events the state their event made', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const seen: (readonly [string, number, boolean | undefined])[] = [];
    store.events$.subscribe(({ type }) => {
      const { credentials } = store.snapshot();
      seen.push([type, credentials.length, credentials[0]?.isDefault]);
    });
    const credential = await store.store(authority.signIn());
    await credential.remove();
    expect(seen).toEqual([
      ['token_added', 1, true],
      ['default_changed', 1, true],
      ['token_removed', 0, undefined],
      ['default_changed', 0, undefined],
    ]);
  });

  it('emits the state before the events it belongs to', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const order: string[] = [];
    store.events$.subscribe(({ type }) => order.push(type)); // subscribed first, told second
    store.state$.subscribe(({ ids }) => order.push(`state of ${ids.length}`));
    order.length = 0;
    await store.store(authority.signIn());
    expect(order).toEqual(['state of 1', 'token_added', 'default_changed']);
  });

  it('emits one state per operation', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const states = collect(store.state$);
    const count = async (command: () => Promise<unknown>): Promise<number> => {
      const before = states.values.length;
      await command();
      return states.values.length - before;
    };
    const token = authority.signIn();
    expect(await count(() => store.store(token))).toBe(1);
    const credential = await store.with(token.id);
    expect(await count(() => credential?.setTags(['a']) ?? Promise.resolve())).toBe(1);
    expect(await count(() => credential?.refresh() ?? Promise.resolve())).toBe(2); // begun, done
    expect(await count(() => store.setDefault(null))).toBe(1);
    expect(await count(() => credential?.remove() ?? Promise.resolve())).toBe(1);
  });

  it('gives all subscribers the same order when one of them commands in between', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    const commands: Promise<unknown>[] = [];
    credential.state$.subscribe(({ tags }) => {
      if (tags[0] === '1') commands.push(credential.setTags(['2']));
    });
    const seen = collect(credential.state$);
    await credential.setTags(['1']);
    await Promise.all(commands);
    expect(seen.values.map(({ tags }) => tags[0])).toEqual([undefined, '1', '2']);
    expect(credential.tags).toEqual(['2']);
  });

  it('gives all subscribers the same order when one of them makes the loop run again at once', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, platform } = await openTab();
    const credential = await store.store(authority.signIn({ lifetimeS: 600 }));
    // In the middle of the emission of "1" the clock is found to have passed the expiry: a second action before the first has reached everyone.
    credential.state$.subscribe(({ tags }) => {
      if (tags[0] !== '1') return;
      browser.setClock(browser.now() + 700_000);
      platform.emit('visible');
    });
    const seen = collect(credential.state$);
    const events = collect(store.events$);
    await credential.setTags(['1']);
    expect(seen.values.map(({ tags, status }) => [tags[0], status.token])).toEqual([
      [undefined, 'valid'],
      ['1', 'valid'],
      ['1', 'expired'],
    ]);
    expect(events.values.map(({ type }) => type)).toEqual(['metadata_updated', 'expired']);
    expect(credential.status.token).toBe('expired');
  });

  it('E34 E69 goes on when a subscriber throws: nobody starves, no command fails, the error is reported', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const reported: unknown[] = [];
    config.onUnhandledError = (error) => reported.push(error);
    const error = new Error('a bug of the application');
    const bomb = (): never => {
      throw error;
    };
    store.events$.subscribe(bomb);
    store.state$.subscribe(({ ids }) => ids.length > 0 && bomb());
    store.default$.subscribe((credential) => credential && bomb());
    const [events, defaults] = [collect(store.events$), collect(store.default$)];
    const credential = await store.store(authority.signIn());
    await credential.refresh();
    expect(events.values.map(({ type }) => type)).toEqual(['token_added', 'default_changed', 'refresh_started', 'token_replaced']);
    expect(defaults.values).toEqual([null, credential]);
    while (reported.length < 8) await settle(); // RxJS reports from timers: 4 events, 3 states, 1 default
    expect(new Set(reported)).toEqual(new Set([error]));
    config.onUnhandledError = null;
  });

  it('E35 gives the same objects again where nothing has changed', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const [a, b] = [await store.store(authority.signIn()), await store.store(authority.signIn({ sub: 'bob' }))];
    const [states, tokens, lists, statuses] = [collect(b.state$), collect(b.token$), collect(store.credentials$), collect(b.status$)];
    await a.setTags(['x']);
    await a.refresh();
    await b.setTags([]);
    expect([states, tokens, lists, statuses].map(({ values }) => values.length)).toEqual([1, 1, 1, 1]);
    await b.setTags(['y']);
    expect([states, tokens, lists, statuses].map(({ values }) => values.length)).toEqual([2, 1, 1, 1]);
    expect(store.snapshot().credentials[0]).toBe(a.state);
    expect(Object.isFrozen(a.state)).toBe(true);
    expect(Object.isFrozen(store.snapshot())).toBe(true);
  });

  it('E28 replays state, not events', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn());
    expect(collect(store.default$).values).toEqual([credential]);
    expect(collect(store.credentials$).values).toEqual([[credential]]);
    expect(collect(store.token$(credential.id)).values).toEqual([credential.token]);
    expect(collect(store.events$).values).toEqual([]);
  });

  it('tells in each event who did it, when, and which generation it is about', async () => {
    const { openTab, authority, browser } = createWorld();
    const { store, events } = await openTab();
    const from = events.length;
    const credential = await store.store(authority.signIn());
    await credential.refresh();
    const at = browser.now();
    expect(events.slice(from)).toEqual<CredentialEvent[]>([
      { type: 'token_added', id: credential.id, generation: 1, at, origin: 'here' },
      { type: 'default_changed', id: credential.id, at, origin: 'here' },
      { type: 'refresh_started', id: credential.id, generation: 1, at, origin: 'here' },
      { type: 'token_replaced', id: credential.id, generation: 2, at, origin: 'here' },
    ]);
  });

  it('completes the streams of a credential that is removed, but not its token stream, which says null', async () => {
    const { openTab, authority } = createWorld();
    const { store } = await openTab();
    const credential = await store.store(authority.signIn(), { tags: ['a'] });
    const [state, status, token] = [collect(credential.state$), collect(credential.status$), collect(credential.token$)];
    await credential.setTags(['b']);
    await credential.remove();
    expect([state.completed(), status.completed(), token.completed()]).toEqual([true, true, false]);
    expect(token.values.at(-1)).toBeNull();
    expect(credential.token).toBeNull();
    expect([credential.tags, credential.claims?.sub]).toEqual([['b'], 'alice']); // the last there was
  });
});
