/**
 * The credential store: command → ask → record write → storage action → reduce → emit. Everything ambient comes in through the
 * platform, so that two stores in one process share nothing.
 *
 * @module
 */
import { defer, distinctUntilChanged, map, type Observable } from 'rxjs';
import type { CredentialEvent } from '../credential/actions.js';
import { isPlainObject } from '../credential/data.js';
import { idsOfMatches, matcher, normalizeTags, type CredentialQuery } from '../credential/query.js';
import type { CredentialRecord } from '../credential/record.js';
import type { StoreState } from '../credential/state.js';
import { isToken, type Token } from '../credential/token.js';
import { CredentialError, StorageError } from '../errors.js';
import { createOAuth2Client, type OAuth2Client, type OAuth2ClientOptions } from '../oauth/client.js';
import { defaultPlatform, type Platform } from '../platform/platform.js';
import { memoryStorage } from '../storage/memory.js';
import type { CredentialStorage, StorageCapabilities } from '../storage/storage.js';
import { createClients, type ClientName } from './clients.js';
import { createClock } from './clock.js';
import { createCredentialFactory, gone, tokenStream, type Credential, type CredentialContext } from './credential.js';
import { createLedger } from './ledger.js';
import { createLoop } from './loop.js';
import { createMembership } from './membership.js';
import { openStorage } from './open-storage.js';
import { createRefresher } from './refresh.js';
import { resumeRevocations, revoke } from './revocation.js';
import { connect, type Connection } from './tabs.js';

/** Options of a store. */
export interface CredentialStoreOptions {
  /** The clients whose tokens are kept. Requests are made for tokens of these clients only. */
  readonly clients: OAuth2ClientOptions | OAuth2Client | readonly (OAuth2ClientOptions | OAuth2Client)[];
  /** Where records live. Default: this program's memory; nothing persists by itself. */
  readonly storage?: CredentialStorage;
  /** Everything ambient. Default: the platform of this runtime. */
  readonly platform?: Platform;
}

/** Options of `store`. */
export interface StoreOptions {
  /** Default: none; for a token that takes another's place: its tags. */
  readonly tags?: readonly string[];
  /** The credential whose place the token takes: same id, tags and default. */
  readonly replace?: Credential | string;
}

/** Creates, caches, finds, persists and announces credentials. */
export interface CredentialStore {
  /** Replays; emits when the default becomes another credential or nobody. */
  readonly default$: Observable<Credential | null>;
  /** Replays; all credentials in order of storing; emits when one comes or goes. */
  readonly credentials$: Observable<readonly Credential[]>;
  /** The frozen state without a secret; replays. */
  readonly state$: Observable<StoreState>;
  /** What happened, without tokens and claims. Subscribers see the state their event made. */
  readonly events$: Observable<CredentialEvent>;
  /** Resolves when storage has been read; streams emit nothing before. Broken storage is an event, not a rejection. */
  readonly ready: Promise<void>;
  /** The token of a credential; `null` when it is absent, removed or needs sign-in. */
  token$(id: string): Observable<Token | null>;
  /** A live query; emits when the list of matches changes. */
  find$(query: CredentialQuery): Observable<readonly Credential[]>;
  /** The state now; before `ready` its status is `unknown`. Answers after `close`, too. */
  snapshot(): StoreState;
  /**
   * The client that flows take. @throws {CredentialError} `client_unknown`, or `client_ambiguous` when several are configured and none is named
   */
  client(name?: ClientName): OAuth2Client;
  /**
   * Keeps a token. The first one in an empty store becomes the default. A token of the same issuer, client and user as a credential
   * that needs sign-in takes its place. Resolves when it is written.
   *
   * @throws {CredentialError} `credential_exists`: a token of this id is stored already
   */
  store(token: Token, options?: StoreOptions): Promise<Credential>;
  /** The credential of an id, or `null`. */
  with(id: string): Promise<Credential | null>;
  /** All that match, in order of storing; answered from memory. */
  find(query: CredentialQuery): Promise<readonly Credential[]>;
  getDefault(): Promise<Credential | null>;
  /** Makes a credential the default, or nobody, in all tabs. @throws {CredentialError} `credential_removed` */
  setDefault(credential: Credential | string | null): Promise<void>;
  allIDs(): Promise<readonly string[]>;
  /** Forgets everything in this storage, unreadable records too, in one write. The server is not asked. */
  clear(): Promise<void>;
  /** Refuses new commands, lets sent refreshes finish, then releases timers, locks and channels. */
  close(): Promise<void>;
}

/**
 * A store. Nothing ambient is touched but what it is given; the storage is opened at once.
 *
 * @throws {TypeError} no client, or a wrong client option
 */
export function createCredentialStore(options: CredentialStoreOptions): CredentialStore {
  const given: unknown = options;
  if (!isPlainObject(given) || typeof given['clients'] !== 'object' || given['clients'] === null) {
    throw new TypeError('options.clients must be a client, or a list of them');
  }
  const platform = options.platform ?? platformOf(options.clients) ?? defaultPlatform();
  const clients = createClients(options.clients, platform, createOAuth2Client);
  let storage = options.storage ?? memoryStorage();
  let shared = false;
  let connection: Connection | undefined;
  let closing: Promise<void> | undefined;
  const pending = new Set<Promise<unknown>>();
  const handles = new Map<string, Credential>();

  const clock = createClock(platform, () => loop);
  const loop = createLoop(
    platform,
    (action) => clock.consider(action),
    (last) => {
      const handle = handles.get(last.id);
      if (handle) factory.retire(handle, last);
    },
  );
  const ledger = createLedger(
    () => storage,
    platform,
    loop,
    (record) => connection?.announce(record),
  );
  const withLock = <T>(name: string, run: () => Promise<T>): Promise<T> => {
    const locks = storage.withLock ? { withLock: storage.withLock.bind(storage) } : platform.locks;
    if (!locks) throw new StorageError('lock_unavailable', 'This storage needs locks, and the platform has none.');
    return locks.withLock(`${storage.namespace}:${name}`, run);
  };
  const parts = { ledger, loop, platform, withLock, isShared: () => shared, clientOf: clients.ofRecord };
  const refresher = createRefresher(parts);
  const membership = createMembership(parts);

  /** Resolves once commands may run. */
  const open = async (): Promise<void> => {
    if (!closing) await ready;
    if (closing) throw new CredentialError('store_closed', 'The store was closed.');
  };
  /** Runs a command that `close` lets finish. */
  const running = <T>(command: Promise<T>): Promise<T> => {
    const settled = command.then(
      () => undefined,
      () => undefined,
    );
    pending.add(settled);
    void settled.then(() => pending.delete(settled));
    return command;
  };
  const context: CredentialContext = {
    ledger,
    loop,
    now: platform.now,
    open,
    refresh: (id, request) => running(refresher.refresh(id, request)),
    revoke: (id, target) => running(revoke(parts, id, target)),
    running,
    clientOf: (id) => {
      const record: CredentialRecord | undefined = ledger.record(id);
      return record && clients.ofRecord(record);
    },
  };
  const factory = createCredentialFactory(context);
  const handleOf = (id: string): Credential | null => {
    const state = loop.stateOf(id);
    if (!state) {
      handles.delete(id);
      return null;
    }
    const handle = handles.get(id) ?? factory.create(state);
    handles.set(id, handle);
    return handle;
  };
  const handlesOf = (ids: readonly string[]): readonly Credential[] => Object.freeze(ids.map(handleOf).filter((handle) => handle !== null));

  async function start(): Promise<void> {
    const listen = ({ reach }: StorageCapabilities): void => {
      connection?.close();
      connection = connect(storage, platform, ledger, reach, () => clock.check());
    };
    const { capabilities, entries, error } = await openStorage(storage, platform, listen);
    if (error) {
      storage = memoryStorage({ namespace: storage.namespace }); // E38: say so and go on
      listen(capabilities);
    }
    shared = capabilities.reach === 'origin' || storage.watch !== undefined;
    const changed = ledger.restore(entries, capabilities.durability !== 'none');
    await Promise.all(changed.map((id) => ledger.reread(id).catch(() => undefined)));
    if (error) loop.dispatch([{ type: 'not_durable', code: error.code }], 'here');
    const leftovers = Promise.all([resumeRevocations(parts), membership.sweep()]);
    void running(leftovers.catch(() => undefined)); // what fails is tried again at the next start
  }
  const ready = start();
  ready.catch(() => undefined); // reported to whoever awaits it, never as an unhandled rejection

  return {
    default$: loop.ready$.pipe(
      map((state) => state.defaultId),
      distinctUntilChanged(),
      map((id) => (id === null ? null : handleOf(id))),
    ),
    credentials$: loop.ready$.pipe(
      map((state) => state.ids),
      distinctUntilChanged(),
      map(handlesOf),
    ),
    state$: loop.ready$,
    events$: loop.events$,
    ready,
    token$: (id) => defer(() => tokenStream(context, id)),
    find$: (query) => {
      const test = matcher(query);
      return loop.ready$.pipe(
        map((state) => idsOfMatches(state.credentials, test)),
        distinctUntilChanged((a, b) => a.length === b.length && a.every((id, index) => id === b[index])),
        map(handlesOf),
      );
    },
    snapshot: () => loop.snapshot(),
    client: (name) => clients.named(name),
    store: async (token, { tags, replace } = {}) => {
      if (!isToken(token)) throw new TypeError('store takes a Token: what a flow resumed with, or createToken made');
      const normalized = tags && normalizeTags(tags);
      await open();
      const id = await running(membership.store(token, normalized, typeof replace === 'object' ? replace.id : replace));
      const handle = handleOf(id);
      if (!handle) throw gone(); // removed elsewhere as soon as it was written
      return handle;
    },
    with: async (id) => {
      await open();
      if (!loop.stateOf(id) && shared) await ledger.reread(id);
      return handleOf(id);
    },
    find: async (query) => {
      const test = matcher(query);
      await open();
      return handlesOf(idsOfMatches(loop.snapshot().credentials, test));
    },
    getDefault: async () => {
      await open();
      const { defaultId } = loop.snapshot();
      return defaultId === null ? null : handleOf(defaultId);
    },
    setDefault: async (credential) => {
      const id = credential === null || typeof credential === 'string' ? credential : credential.id;
      await open();
      await running(membership.setDefault(id));
    },
    allIDs: async () => {
      await open();
      return loop.snapshot().ids;
    },
    clear: async () => {
      await open();
      await running(membership.clear());
    },
    close: () =>
      (closing ??= (async () => {
        await ready.catch(() => undefined);
        while (pending.size > 0) await Promise.all([...pending]);
        connection?.close();
        connection = undefined;
        clock.close();
        loop.close();
        await storage.close().catch(() => undefined);
      })()),
  };
}

function platformOf(clients: CredentialStoreOptions['clients']): Platform | undefined {
  return [clients].flat().find((client) => client.platform)?.platform;
}
