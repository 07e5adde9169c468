// token$ of records that cannot be opened for now: keys are away, hang, or ask a person who says no.
import { firstValueFrom } from 'rxjs';
import { StorageError } from '../../src/errors.js';
import type { Token } from '../../src/credential/token.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { closeAll, collect, createWorld, inTime, settle, type World } from '../support/fixture.js';

afterEach(closeAll);

const over = (world: World): CredentialStorage =>
  sealed(world.disk.storage(), { keys: staticKeys([{ kid: 'key', key: new Uint8Array(32).fill(1) }]) });

describe('token$ while keys are away for a moment', () => {
  /** A user whose key is away, in a tab of her own. */
  const away = async () => {
    const world = createWorld();
    const first = await world.openTab({ storage: over(world) });
    const [alice, bob] = [world.authority.signIn(), world.authority.signIn({ sub: 'bob' })];
    const hers = await first.store.store(alice);
    await first.store.store(bob);
    const storage = over(world);
    const keys = { away: true, asked: 0, error: new Error('CANARY') };
    const unseal: CredentialStorage['unseal'] = (record) => {
      keys.asked++;
      return keys.away ? Promise.reject(keys.error) : storage.unseal!(record);
    };
    const { store } = await world.openTab({ storage: { ...storage, unseal } });
    return { world, first, alice, bob, hers, keys, store, theirs: (await store.getDefault())! };
  };
  const textOf = (values: readonly (Token | null)[]): readonly unknown[] => values.map((token) => token && token.accessToken);

  it('says nothing of a session that lives, and the token as soon as it opens, without being asked', async () => {
    const { world, alice, bob, keys, store, theirs } = await away();
    const streams = [collect(theirs.token$), collect(store.token$(bob.id))];
    const heard = Promise.all([firstValueFrom(theirs.token$), firstValueFrom(store.token$(bob.id))]);
    await settle();
    await world.browser.advance(1_000);
    expect([streams.map(({ values }) => values), theirs.status.token]).toEqual([[[], []], 'valid']);
    const { asked } = keys;
    await world.browser.advance(60_000);
    expect(keys.asked - asked).toBeLessThan(40); // seldom: four streams
    keys.away = false;
    await inTime(world.browser, heard, 3_000_000); // opening takes real time
    expect(streams.map(({ values }) => textOf(values))).toEqual([[alice.accessToken], [bob.accessToken]]);
  });

  it('says it at once when somebody else has opened it', async () => {
    const { alice, keys, theirs } = await away();
    const tokens = collect(theirs.token$);
    await settle();
    keys.away = false;
    await theirs.accessToken();
    expect(textOf(tokens.values)).toEqual([alice.accessToken]);
  });

  it('keeps the token it had when another tab has renewed it, and says the new one by itself', async () => {
    const { world, alice, hers, keys, theirs } = await away();
    keys.away = false;
    const tokens = collect(theirs.token$);
    await settle();
    keys.away = true;
    const renewed = await hers.refresh();
    await settle();
    expect(textOf(tokens.values)).toEqual([alice.accessToken]);
    keys.away = false;
    for (let i = 0; i < 3_000 && tokens.values.length < 2; i++) await world.browser.advance(1_000);
    expect(textOf(tokens.values)).toEqual([alice.accessToken, renewed.accessToken]);
  });

  it.each([
    ['of another user', true],
    ['of nobody that claims tell apart', false],
  ])('E45 keeps no token once a sign-in %s has taken its place', async (_, hasClaims) => {
    const { world, first, hers, keys, store, theirs } = await away();
    const signIn = (sub: string): Token => world.authority.signIn({ sub: hasClaims ? sub : null });
    keys.away = false;
    const carol = signIn('carol');
    await world.browser.advance(1_000);
    await first.store.store(carol, { replace: hers });
    await settle();
    const tokens = [collect(theirs.token$), collect(store.token$(hers.id))];
    await theirs.accessToken();
    keys.away = true;
    await world.browser.advance(1_000);
    const dave = signIn('dave');
    await first.store.store(dave, { replace: hers });
    await settle();
    const seen = [carol.accessToken, null];
    expect(tokens.map(({ values }) => textOf(values))).toEqual([seen, seen]);
    keys.away = false;
    for (let i = 0; i < 3_000 && tokens.some(({ values }) => values.length < 3); i++) await world.browser.advance(1_000);
    seen.push(dave.accessToken);
    expect(tokens.map(({ values }) => textOf(values))).toEqual([seen, seen]);
  });

  it('keeps the token of a user who signs in once more', async () => {
    const { world, first, alice, hers, keys, theirs } = await away();
    keys.away = false;
    const tokens = collect(theirs.token$);
    await theirs.accessToken();
    keys.away = true;
    await first.store.store(world.authority.signIn(), { replace: hers });
    await settle();
    expect(textOf(tokens.values)).toEqual([alice.accessToken]);
  });

  it('asks once for all who wait, however many they are and whenever they came', async () => {
    const { world, alice, keys, theirs } = await away();
    const tokens = [];
    keys.asked = 0;
    for (let i = 0; i < 5; i++) {
      tokens.push(collect(theirs.token$));
      await world.browser.advance(130);
      await settle();
    }
    expect(keys.asked).toBe(1);
    await world.browser.advance(3_000);
    expect(keys.asked).toBeLessThanOrEqual(3);
    for (const one of tokens) one.stop();
    await world.browser.advance(1_000);
    keys.asked = 0;
    await world.browser.advance(60_000);
    expect(keys.asked).toBe(0); // nobody waits
    keys.away = false;
    expect((await firstValueFrom(theirs.token$))?.accessToken).toBe(alice.accessToken);
  });

  it('waits for no key that hangs once there is another record to open', async () => {
    const { world, alice, hers } = await away();
    const hung = over(world);
    let hangs = true;
    const unseal: CredentialStorage['unseal'] = (record) => (hangs ? new Promise(() => undefined) : hung.unseal!(record));
    const other = world.startTab({ storage: { ...hung, unseal } });
    await inTime(world.browser, other.store.ready, 60_000);
    const tokens = collect(other.store.token$(alice.id));
    await settle();
    hangs = false;
    const renewed = await hers.refresh();
    for (let i = 0; i < 3_000 && tokens.values.length === 0; i++) await world.browser.advance(10);
    expect(textOf(tokens.values)).toEqual([renewed.accessToken]);
  });

  it.each([
    ['NotAllowedError', new DOMException('CANARY', 'NotAllowedError')],
    ['AbortError', new DOMException('CANARY', 'AbortError')],
    ['needs_user', new StorageError('storage_failed', 'The PIN was not typed.', { class: 'needs_user' })],
  ])('asks a person who has said no (%s) nothing again until the token was opened', async (_, error) => {
    const { world, hers, keys, store, theirs } = await away();
    keys.error = error;
    const tokens = [collect(theirs.token$), collect(store.token$(hers.id))];
    await settle();
    keys.asked = 0;
    await world.browser.advance(60_000);
    tokens.push(collect(theirs.token$));
    await hers.refresh();
    await settle();
    await world.browser.advance(60_000);
    expect(keys.asked).toBe(0);
    keys.away = false;
    const accessToken = await theirs.accessToken();
    expect(tokens.map(({ values }) => textOf(values))).toEqual([[accessToken], [accessToken], [accessToken]]);
    keys.away = true;
    await hers.refresh();
    await settle();
    keys.asked = 0;
    await world.browser.advance(60_000);
    expect(keys.asked).toBe(0);
  });

  it('asks a person who has said no again for who begins to listen when nobody does', async () => {
    const { world, alice, keys, theirs } = await away();
    keys.error = new DOMException('CANARY', 'NotAllowedError');
    const tokens = collect(theirs.token$);
    await world.browser.advance(10_000);
    tokens.stop();
    await world.browser.advance(1_000);
    keys.away = false;
    expect((await firstValueFrom(theirs.token$))?.accessToken).toBe(alice.accessToken);
  });

  it('heeds the no that keys of sealed(…) reject with', async () => {
    const { world, hers } = await away();
    let asked = 0;
    const no = (): Promise<never> => (asked++, Promise.reject(new DOMException('CANARY', 'NotAllowedError')));
    const { store } = await world.openTab({ storage: sealed(world.disk.storage(), { keys: { current: no, get: no } }) });
    const tokens = collect(store.token$(hers.id));
    await settle();
    asked = 0;
    await world.browser.advance(60_000);
    expect([asked, tokens.values]).toEqual([0, []]);
  });

  it('ends with the removal and with the store', async () => {
    const { bob, hers, keys, store, theirs } = await away();
    const tokens = [collect(theirs.token$), collect(store.token$(bob.id))];
    await hers.remove();
    await settle();
    expect(tokens.map(({ values }) => values)).toEqual([[null], []]);
    await store.close();
    const { asked } = keys;
    expect(tokens.map((one) => one.completed())).toEqual([true, true]);
    await settle();
    expect(keys.asked).toBe(asked);
  });
});
