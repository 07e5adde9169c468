/**
 * Everything around the stores of a test.
 *
 * @module
 */
import type { Injector } from '@angular/core';
import { CredentialError, createCredentialStore, memoryStorage, NetworkError, OAuthResponseError } from 'rx-credentials';
import type { Credential, CredentialStorage, CredentialStore, OAuth2Client, OAuth2ClientOptions, Platform } from 'rx-credentials';
import { credentialStoreToken } from 'rx-credentials-angular';
import type { StoreChoice, ɵCredentialsOverrides } from 'rx-credentials-angular';
import { createTestClient } from './client';
import type { PendingRefresh } from './client';
import { CredentialsTestingController } from './controller';
import type { RefreshMatch, TestRefresh, TestSignInOptions } from './controller';
import { createGate } from './gate';
import type { Gate } from './gate';
import { createTestPlatform } from './platform';
import type { TestPlatform } from './platform';
import { createTokenMaker } from './tokens';
import type { TestCredential, TokenMaker } from './tokens';

const later = globalThis.setTimeout; // also where a test replaces the timers of the program later
/** Where timers were replaced before this file was loaded, so many messages are a turn of the event loop. */
const MESSAGES = 1_000;
/** After so many turns of the event loop everything has happened that waits for nothing but promises. */
const TURNS = 5;

/** One for each injector: what tests steer, and what stores are given. */
export class TestWorld extends CredentialsTestingController implements ɵCredentialsOverrides {
  readonly platform: Platform;
  readonly #time: TestPlatform;
  readonly #tokens: TokenMaker;
  readonly #clients: OAuth2Client[] = [];
  /** Where the store without a name keeps its records. */
  readonly #unnamed = memoryStorage({ namespace: 'test:' });
  readonly #storages = new Map<string, CredentialStorage>();
  /** As they were made; a name is there more than once where routes have stores of their own. */
  readonly #stores: { readonly name: string; readonly store: CredentialStore }[] = [];
  readonly #tabs: CredentialStore[] = [];
  readonly #storage = createGate();
  readonly #revocations = createGate();
  readonly #answers: (TestCredential | CredentialError)[] = [];
  readonly #seeds: readonly TestCredential[];
  #seeding: Promise<void> | undefined;
  #refreshes: readonly TestRefresh[] = [];

  readonly #injector: Injector;

  constructor(injector: Injector, seeds: readonly TestCredential[], startMs: number) {
    super();
    this.#injector = injector;
    this.#seeds = seeds;
    this.#time = createTestPlatform(startMs);
    this.platform = this.#time.platform;
    this.#tokens = createTokenMaker(() => this.now());
  }

  client(given: OAuth2ClientOptions | OAuth2Client): OAuth2Client {
    const client = createTestClient(given, {
      platform: this.platform,
      tokens: this.#tokens,
      arrived: (refresh) => (this.#refreshes = [...this.#refreshes, this.#refreshOf(refresh)]),
      signIn: () => this.#answers.shift() ?? {},
      revoked: () => this.#revocations.pass(),
    });
    this.#clients.push(client);
    return client;
  }

  storage(name: string): CredentialStorage {
    const known = this.#storages.get(name);
    if (known) return known;
    const memory = name === '' ? this.#unnamed : memoryStorage({ namespace: `test:${name}` });
    const storage: CredentialStorage = {
      ...memory,
      open: async () => {
        await Promise.resolve(); // opened before the store is made
        if (name === '') await this.#seeding;
        return { coherent: true, durability: 'relaxed', reach: 'process' };
      },
      readAll: async () => {
        await this.#storage.pass();
        return memory.readAll();
      },
    };
    this.#storages.set(name, storage);
    return storage;
  }

  made(name: string, store: CredentialStore): void {
    this.#stores.push({ name, store });
    if (name === '') this.#seeding ??= this.#seed(store);
  }

  async close(): Promise<void> {
    await Promise.all(this.#tabs.map((tab) => tab.close()));
  }

  /** How many timers wait: for the tests of this library. */
  timers(): number {
    return this.#time.timers();
  }

  override now(): number {
    return this.platform.now();
  }

  override tick(ms = 0): Promise<void> {
    assertRealTime();
    return this.#tick(ms);
  }

  async #tick(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new TypeError('tick takes milliseconds, 0 or more');
    await this.#settled();
    await this.#time.advance(ms, turn);
    await this.#settled();
  }

  override async expire(credential: Credential | string): Promise<void> {
    assertRealTime();
    this.#injector.get(credentialStoreToken(''), null); // where nobody has injected it yet
    await this.#settled();
    const { expiresAt } = typeof credential === 'string' ? this.#stateOf(credential) : credential.state;
    if (expiresAt === null) throw new Error('the token of this credential has no end: the server gave no lifetime');
    await this.tick(Math.max(0, expiresAt - this.now()) + 1);
  }

  override async signIn({ tags, ...credential }: TestCredential = {}, options: TestSignInOptions = {}): Promise<Credential> {
    assertRealTime();
    const store = this.#store(options);
    const stored = await store.store(this.#tokens.signedIn(store.client(options.client), credential), tags ? { tags } : {});
    await this.#settled();
    return stored;
  }

  override nextSignIn(answer: TestCredential | CredentialError): void {
    this.#answers.push(answer);
  }

  override holdStorage(): () => Promise<void> {
    return this.#held(this.#storage);
  }

  override holdRevocations(): () => Promise<void> {
    return this.#held(this.#revocations);
  }

  override async openTab({ store: name = '' }: StoreChoice = {}): Promise<CredentialStore> {
    assertRealTime();
    const tab = this.#beside(this.#store({ store: name }), this.storage(name));
    this.#tabs.push(tab);
    await tab.ready;
    await this.#settled();
    return tab;
  }

  override expectRefresh(match?: RefreshMatch): TestRefresh {
    const found = this.#refreshes.filter((refresh) => isMatch(refresh, match));
    const [first] = found;
    if (!first || found.length > 1)
      throw new Error(`expected one refresh${described(match)}, found ${found.length === 0 ? 'none' : found.length}${this.#open()}`);
    this.#refreshes = this.#refreshes.filter((refresh) => refresh !== first);
    return first;
  }

  override expectNoRefresh(match?: RefreshMatch): void {
    const { length } = this.#refreshes.filter((refresh) => isMatch(refresh, match));
    if (length > 0) throw new Error(`expected no refresh${described(match)}, found ${length}${this.#open()}`);
  }

  override verify(): void {
    if (this.#refreshes.length > 0) throw new Error(`expected no more refreshes, found ${this.#refreshes.length}${this.#open()}`);
  }

  /** Stores what is there from the beginning. */
  async #seed(seeded: CredentialStore): Promise<void> {
    const [client] = this.#clientsOf(seeded);
    if (!client || this.#seeds.length === 0) return;
    const seeds = this.#seeds.map(({ tags, ...credential }) => [this.#tokens.signedIn(client, credential), tags ? { tags } : {}] as const);
    const store = this.#beside(seeded, this.#unnamed);
    for (const [token, options] of seeds) await store.store(token, options);
    await store.close();
  }

  /** Another store with the clients of one. */
  #beside(store: CredentialStore, storage: CredentialStorage): CredentialStore {
    return createCredentialStore({ clients: this.#clientsOf(store), storage, platform: this.platform, renewal: { ahead: false } });
  }

  #clientsOf(store: CredentialStore): readonly OAuth2Client[] {
    return this.#clients.filter((client) => {
      try {
        return store.client(client) === client;
      } catch {
        return false; // of another store
      }
    });
  }

  /** What stores do without anybody's help has been done. */
  async #settled(): Promise<void> {
    const stores = this.#storage.isHeld() ? [] : [...this.#stores.map(({ store }) => store), ...this.#tabs];
    for (const store of stores) {
      await store.ready;
      await store.find({}).catch(() => undefined); // all of the store has been loaded then, or it is closed
    }
    for (let turns = 0; turns < TURNS; turns++) await turn();
  }

  #held(gate: Gate): () => Promise<void> {
    const release = gate.hold();
    return () => (release(), this.#settled());
  }

  #refreshOf({ grant, target, answer, fail }: PendingRefresh): TestRefresh {
    const { issuer } = grant.context;
    const refresh = { credentialId: grant.id, scope: target?.scope, resource: target?.resource };
    let isAnswered = false;
    const answered = async (send: () => void): Promise<void> => {
      if (isAnswered) throw new Error(`the refresh of ${nameOf(refresh)} has its answer already; expectRefresh gives the next one`);
      isAnswered = true;
      send();
      await this.#settled();
    };
    return {
      ...refresh,
      flush: (tokens = {}) => answered(() => answer(tokens)),
      fail: (error) => answered(() => fail(errorOf(error, issuer))),
    };
  }

  #store({ store: name = '' }: StoreChoice): CredentialStore {
    const store = this.#injector.get(credentialStoreToken(name), null) ?? this.#madeOf(name);
    if (!store)
      throw new Error(
        `there is no store${name && ` "${name}"`}: provideCredentials is not among the providers; that of a route is there once it was injected`,
      );
    return store;
  }

  /** The latest: a route that is entered again has a new one. */
  #madeOf(name: string): CredentialStore | undefined {
    return this.#stores.filter((one) => one.name === name).at(-1)?.store;
  }

  #stateOf(id: string): { readonly expiresAt: number | null } {
    const states = this.#stores.toReversed().flatMap(({ store }) => store.snapshot().credentials);
    const state = states.find((one) => one.id === id);
    if (!state) throw new Error(`there is no credential "${id}"; there are: ${states.map((one) => one.id).join(', ') || 'none'}`);
    return state;
  }

  #open(): string {
    return this.#refreshes.length === 0 ? '' : `; sent and not answered: ${this.#refreshes.map(nameOf).join(', ')}`;
  }
}

/** One turn of the event loop: a timer, which views wait for, too; messages go on where it is none. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const channel = typeof MessageChannel === 'function' ? new MessageChannel() : undefined; // jsdom has none
    const end = (): void => {
      channel?.port1.close(); // an open one would keep Node alive
      resolve();
    };
    later(end, 0);
    if (!channel) return;
    const { port1, port2 } = channel;
    let left = MESSAGES;
    port1.onmessage = () => (left-- > 0 ? port2.postMessage(null) : end());
    port2.postMessage(null);
  });
}

/** @throws {Error} in a `fakeAsync` of Angular: what is awaited there would never come */
function assertRealTime(): void {
  const { Zone } = globalThis as { readonly Zone?: { readonly current: { get(key: string): unknown } } };
  if (Zone?.current.get('FakeAsyncTestZoneSpec'))
    throw new Error('CredentialsTestingController cannot be used within fakeAsync: make the test an async function, and await its methods');
}

function isMatch(refresh: TestRefresh, match: RefreshMatch | undefined): boolean {
  if (match === undefined) return true;
  if (typeof match === 'string') return refresh.credentialId === match;
  if (typeof match === 'function') return match(refresh);
  return (['credentialId', 'scope', 'resource'] as const).every((name) => match[name] === undefined || match[name] === refresh[name]);
}

function described(match: RefreshMatch | undefined): string {
  if (match === undefined || typeof match === 'function') return match ? ' that matches the function' : '';
  return ` of ${typeof match === 'string' ? match : JSON.stringify(match)}`;
}

function nameOf({ credentialId, scope, resource }: Pick<TestRefresh, 'credentialId' | 'scope' | 'resource'>): string {
  const wanted = [scope, resource].filter((one) => one !== undefined);
  return wanted.length === 0 ? credentialId : `${credentialId} (${wanted.join(' ')})`;
}

function errorOf(error: string | CredentialError | undefined, issuer: string): CredentialError {
  if (error instanceof CredentialError) return error;
  if (error === undefined) return new NetworkError('network_error', 'The network is down.', { issuer });
  return new OAuthResponseError({ error }, 'oauth_error', { issuer, status: 400 });
}
