/**
 * The credential store: command → ask → record write → storage action → reduce → emit. Everything ambient comes in through the
 * platform, so that two stores in one process share nothing.
 *
 * @module
 */
import { defer, distinctUntilChanged, map, switchMap, type Observable } from 'rxjs';
import type { CredentialEvent } from '../credential/actions.js';
import { isPlainObject } from '../credential/data.js';
import { assertNothingElse, optionsOf } from '../credential/options.js';
import type { CredentialQuery } from '../credential/query.js';
import type { StoreState } from '../credential/state.js';
import type { Token } from '../credential/token.js';
import { CredentialError, notLoaded } from '../errors.js';
import { createOAuth2Client, type OAuth2Client, type OAuth2ClientOptions } from '../oauth/client.js';
import { defaultPlatform, type Platform } from '../platform/platform.js';
import { within } from '../storage/deadline.js';
import { memoryStorage } from '../storage/memory/index.js';
import type { CredentialStorage, StorageCapabilities } from '../storage/storage.js';
import { createClients, type ClientName } from './clients.js';
import { createCredentialFactory, type Credential, type CredentialContext } from './credential.js';
import { gone } from './usable-token.js';
import { createLedger, type Meant } from './ledger.js';
import type { Living } from './living.js';
import { createLoop } from './loop.js';
import { closeUnused, deadlineOf, openStorage, isStorage, type OpenedStorage } from './open-storage.js';
import type { RenewalOptions } from './renewal.js';
import type { StoreOptions } from './membership.js';
import { connect, hint, type Connection } from './tabs.js';
import { tokenStream } from './token-stream.js';

/** Options of a store. */
export interface CredentialStoreOptions {
  /** The clients whose tokens are kept. Requests are made for tokens of these clients only. */
  readonly clients: OAuth2ClientOptions | OAuth2Client | readonly (OAuth2ClientOptions | OAuth2Client)[];
  /** Where records live. Default: this program's memory; nothing persists by itself. */
  readonly storage?: CredentialStorage | undefined;
  /**
   * What of a token is stored: `all`, the default, or `refresh-only`: then access tokens stay in memory, and each tab and each start
   * renews for its own.
   */
  readonly persist?: 'all' | 'refresh-only' | undefined;
  /** When tokens are renewed without being asked for. */
  readonly renewal?: RenewalOptions | undefined;
  /** Everything ambient. Default: the platform of this runtime. */
  readonly platform?: Platform | undefined;
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
  /** Resolves when storage has been read, and the default's token opened; streams begin with the reading. Broken storage is an event, not a rejection. */
  readonly ready: Promise<void>;
  /** The token of a credential; `null` when it is absent, removed or needs sign-in. Silent while it cannot be opened for now. */
  token$(id: string): Observable<Token | null>;
  /** A live query; emits when the list of matches changes. */
  find$(query: CredentialQuery): Observable<readonly Credential[]>;
  /** The state now; before storage has been read its status is `unknown`. Answers after `close`, too. */
  snapshot(): StoreState;
  /**
   * The client that flows take. @throws {CredentialError} `client_unknown`, or `client_ambiguous` when several are configured and none is named
   */
  client(name?: ClientName): OAuth2Client;
  /**
   * Keeps a token. The first one in an empty store becomes the default. A token of the same issuer, client and user as a credential
   * that needs sign-in takes its place, if it has the tags asked for. Resolves when it is written.
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
  /** Forgets everything in this storage, unreadable records too, in one write; also in one that could not be used at the start. The server is not asked. */
  clear(): Promise<void>;
  /** The state now, as `snapshot()`: a store can be logged. */
  toJSON(): StoreState;
  /** Refuses new commands, lets sent refreshes finish, then releases timers, locks and channels. */
  close(): Promise<void>;
}

/**
 * A store. Nothing ambient is touched but what it is given; the storage is opened at once.
 *
 * @throws {TypeError} no client, or a wrong client option
 */
export function createCredentialStore(options: CredentialStoreOptions): CredentialStore {
  assertOptions(options);
  const platform = options.platform ?? platformOf(options.clients) ?? defaultPlatform();
  const refreshOnly = options.persist === 'refresh-only';
  let storage = options.storage ?? memoryStorage();
  let connection: Connection | undefined;
  let closing: Promise<void> | undefined;
  const trust = { until: -Infinity };
  let cancelLater: (() => void) | undefined; // of what follows on a start
  let isFrozen = false;
  let slept = false; // and nobody was there to catch up
  const early = new Set<string>(); // ids of which something was heard before there was a way to follow it
  const pending = new Set<Promise<unknown>>();
  const handles = new Map<string, Credential>();

  let isMade = false;
  let living: Living | undefined;
  let bringing: Promise<Living> | undefined;
  const heard: Living['heard'] = (id, revision, begun) => {
    if (living) return living.heard(id, revision, begun);
    early.add(id);
    doubt();
  };
  const listen = ({ reach }: StorageCapabilities): void => {
    connection?.close();
    if (isMade) connection = connect(storage, platform, reach, heard);
  };
  let opening: Promise<OpenedStorage> | undefined = openStorage(storage, platform, listen); // first: all that follows is made while it opens
  const clients = createClients(options.clients, platform, createOAuth2Client);
  isMade = true;
  const unlisten = platform.lifecycle?.((event) => {
    isFrozen = event === 'frozen';
    if (isFrozen) return living?.freeze(); // nothing may be begun that others would have to wait for: it might never end
    if (living) return living.wake(); // time may have jumped, and messages may have been lost
    slept = true;
    doubt();
  });
  const loop = createLoop(platform);
  const ledger = createLedger({ storageOf: () => storage, platform, loop, refreshOnly, isOurs: clients.isOurs });
  /** Loads all that is not needed to show and use what a start found. Some bundlers' `import()` throws at once (Trusted Types), hence `async`. */
  const bring = (): Promise<Living> =>
    (bringing ??= within(platform, LOADING_MS, '', (async () => import('./living.js'))()).then(
      ({ createLiving }) => {
        living = createLiving({
          ledger,
          loop,
          platform,
          refreshOnly,
          renewsAhead: options.renewal?.ahead ?? platform.page !== undefined,
          credentials: context,
          storageOf: () => storage,
          given: options.storage,
          clientOf: clients.ofRecord,
          announce: (record, begun) => connection?.announce(record, begun),
          hears: () => connection?.hears ?? false,
          onGone: (last) => {
            const handle = handles.get(last.id);
            if (handle) factory.retire(handle, last);
            handles.delete(last.id);
          },
          isClosing: () => closing !== undefined,
          running,
        });
        if (isFrozen) living.freeze();
        for (const id of early) living.heard(id);
        if (slept) living.wake();
        void running(living.tidy()).catch(() => undefined); // what fails is tried again at the next start
        return living;
      },
      (error: unknown) => {
        bringing = undefined; // asked for again the next time: not all runtimes keep a failure
        throw notLoaded(error);
      },
    ));
  /** True if something happened that nobody was there to follow. */
  const isBehind = (): boolean => !living && (slept || early.size > 0);
  /** Until that was looked at, nothing at hand is given away without asking. A start looks itself. */
  const doubt = (): void => {
    if (closing || loop.snapshot().status !== 'ready') return;
    trust.until = -Infinity;
    void bring().catch(() => undefined);
  };
  /** Resolves once commands may run: storage was read, and after a sleep read again. */
  const open = async (): Promise<void> => {
    if (!closing) await ready;
    if (isBehind() && !closing) {
      const all = await bring().catch((error: unknown) => {
        if (early.size > 0) throw error; // another tab has told of something: it may be that this user is gone
        return null; // what is known is all there is
      });
      if (all) await Promise.all([...early].map((id) => all.reread(id).catch(() => undefined)));
    }
    await living?.caughtUp();
    if (closing) throw closed();
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
  const closed = (): CredentialError => new CredentialError('store_closed', 'The store was closed.');
  /** What was asked for before `close` is done; `close` waits for it. */
  const command = <T>(run: (all: Living) => Promise<T>): Promise<T> => {
    if (closing) return Promise.reject(closed());
    const begin = async (): Promise<T> => {
      await ready;
      const all = await bring();
      await all.caughtUp();
      return run(all);
    };
    return running(begin());
  };
  const context: CredentialContext = {
    ledger,
    loop,
    now: platform.now,
    monotonicNow: platform.monotonicNow,
    trust,
    used: new Set(),
    open,
    command,
    living: bring,
    isClosing: () => closing !== undefined,
    clientOf: (id) => {
      const record = ledger.record(id);
      return record && clients.ofRecord(record);
    },
  };
  const factory = createCredentialFactory(context);
  const handleOf = (id: string): Credential | null => {
    const known = handles.get(id);
    if (known) return known;
    const entry = ledger.entry(id);
    if (!entry || entry.record.storedAt !== loop.stateOf(id)?.storedAt) return null; // else one that is about to go
    const handle = factory.create(entry);
    handles.set(id, handle);
    return handle;
  };
  const lists = new WeakMap<readonly string[], readonly Credential[]>();
  const handlesOf = (ids: readonly string[]): readonly Credential[] => {
    const list = lists.get(ids) ?? Object.freeze(ids.map(handleOf).filter((handle) => handle !== null));
    lists.set(ids, list);
    return list;
  };

  async function start(): Promise<void> {
    const { capabilities, entries, error } = (await opening) as OpenedStorage;
    opening = undefined; // else the store would hold what was read, secrets and all, for life
    if (error) {
      closeUnused(storage);
      storage = { ...memoryStorage(), namespace: storage.namespace }; // E38: say so and go on
      listen(capabilities);
    }
    const changed = [...early]; // what was read of them may be old
    ledger.book.isNarrow = capabilities.capacity !== undefined;
    const isWhole = ledger.restore(entries, capabilities.durability !== 'none');
    if (error) loop.dispatch([{ type: 'not_durable', code: error.code, message: error.message }], 'here');
    trust.until = Infinity;
    const { defaultId } = loop.snapshot();
    const deadline = deadlineOf(platform);
    const isOpen = (await Promise.race([ledger.openOwn(defaultId), deadline.passed]).catch(() => null)) !== null;
    deadline.cancel();
    if (changed.length > 0 || slept || error || !isOpen || !isWhole) {
      const all = await bring().catch(() => null); // what is known already is not what is true
      if (all) await Promise.all([all.caughtUp(), ...changed.map((id) => all.reread(id).catch(() => undefined))]);
    }
    // Not before those who wait for the start have had their turn: asking for a script takes them milliseconds. What a program has begun that
    // is gone does not wait: this one may be gone soon, too.
    const later = (): void => void bring().catch(() => undefined);
    if ([...ledger.entries()].some(({ record }) => record.state === 'revoking')) later();
    else cancelLater = platform.setTimer(later, 0, true);
  }
  const ready = start();
  ready.catch(() => undefined); // reported to whoever awaits it, never as an unhandled rejection

  return {
    // Put together when they are first asked for: a start has no time for it
    default$: defer(() =>
      loop.ready$.pipe(
        map((state) => state.defaultId),
        distinctUntilChanged(),
        map((id) => (id === null ? null : handleOf(id))),
      ),
    ),
    credentials$: defer(() =>
      loop.ready$.pipe(
        map((state) => state.ids),
        distinctUntilChanged(),
        map(handlesOf),
      ),
    ),
    state$: loop.ready$,
    events$: loop.events$,
    ready,
    token$: (id) => defer(() => tokenStream(context, id)),
    find$: (query) =>
      // Not before: the reducer begins with what the start has found.
      defer(() => ready.then(() => (closing && !living ? null : bring()))).pipe(
        switchMap((all) => all?.find$(query) ?? []),
        map(handlesOf),
      ),
    snapshot: () => loop.snapshot(),
    toJSON: () => loop.snapshot(),
    client: (name) => clients.named(name),
    store: async (token, options = {}) => {
      const { tags, replace, onePerUser = false, ...rest } = optionsOf(options, 'store');
      assertNothingElse(rest, 'store takes tags, replace and onePerUser');
      const place = replace === undefined ? undefined : meantBy(replace, 'replace must be a credential or its id');
      const id = await command((all) => all.store(token, tags, place, onePerUser));
      const handle = handleOf(id);
      if (!handle) throw gone(); // removed elsewhere as soon as it was written
      return handle;
    },
    with: async (id) => {
      if (typeof id !== 'string') throw new TypeError('with takes an id');
      await open();
      if (!loop.stateOf(id) || !connection?.hears) await (await bring()).reread(id);
      return handleOf(id);
    },
    find: async (query) => {
      await open();
      return handlesOf((await bring()).find(query));
    },
    getDefault: async () => {
      await open();
      const { defaultId } = loop.snapshot();
      return defaultId === null ? null : handleOf(defaultId);
    },
    setDefault: async (credential) => {
      const meant = credential === null ? null : meantBy(credential, 'setDefault takes a credential, its id, or null');
      await command((all) => all.setDefault(meant));
    },
    allIDs: async () => {
      await open();
      return loop.snapshot().ids;
    },
    clear: () => command((all) => all.clear()),
    close: () =>
      (closing ??= (async () => {
        trust.until = -Infinity;
        await ready.catch(() => undefined);
        trust.until = -Infinity;
        cancelLater?.();
        if (bringing || pending.size > 0) await bring().catch(() => undefined);
        living?.hurry();
        await living?.caughtUp();
        while (pending.size > 0) await Promise.all([...pending]);
        await living?.flush();
        connection?.close();
        connection = undefined;
        hint(() => unlisten?.());
        living?.close();
        loop.close();
        await within(platform, CLOSING_MS, 'The storage did not close.', (async () => storage.close())()).catch(() => undefined);
      })()),
  };
}

/** How long a part of the program is waited for, in milliseconds: a network may lose an answer. */
const LOADING_MS = 30_000;
/** How long `close` waits for a storage, in milliseconds. */
const CLOSING_MS = 10_000;

function assertOptions(options: CredentialStoreOptions): void {
  const given: unknown = options;
  if (!isPlainObject(given) || typeof given['clients'] !== 'object' || given['clients'] === null)
    throw new TypeError('options.clients must be a client, or a list of them');
  const { clients: _clients, platform: _platform, renewal = {}, persist, storage, ...rest } = options;
  assertNothingElse(rest, 'createCredentialStore takes CredentialStoreOptions'); // misspelled, a storage would be memory
  const { ahead, ...others } = isPlainObject(renewal) ? renewal : { [JSON.stringify(renewal)]: 0 };
  assertNothingElse(others, 'renewal takes { ahead: true }');
  if (ahead !== undefined && typeof ahead !== 'boolean') throw new TypeError('renewal.ahead must be true or false');
  if (persist !== undefined && persist !== 'all' && persist !== 'refresh-only')
    throw new TypeError('options.persist must be "all" or "refresh-only"');
  if (storage !== undefined && !isStorage(storage))
    throw new TypeError('options.storage must be a storage, such as indexedDBStorage(): call the function');
  if (storage?.needsSealing) throw new TypeError('This storage must not hold tokens in the clear: pass sealed(storage, …) instead');
}

/** What is meant by a credential, which is no other one of its id, or by an id. @throws {TypeError} by neither */
function meantBy(value: Partial<Credential> | string, otherwise: string): Meant {
  const { id, state } = isPlainObject(value) ? value : { id: value };
  if (typeof id !== 'string') throw new TypeError(otherwise);
  return { id, storedAt: state?.storedAt };
}

function platformOf(clients: CredentialStoreOptions['clients']): Platform | undefined {
  return [clients].flat().find((client) => client.platform)?.platform;
}
