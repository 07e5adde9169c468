/**
 * The credential store: command → ask → record write → storage action → reduce → emit. Everything ambient comes in through the
 * platform, so that two stores in one process share nothing.
 *
 * @module
 */
import { defer, distinctUntilChanged, map, type Observable } from 'rxjs';
import type { CredentialEvent } from '../credential/actions.js';
import { matcher, normalizeTags, type CredentialQuery } from '../credential/query.js';
import { STORE_RECORD_ID, type CredentialRecord } from '../credential/record.js';
import type { StoreState } from '../credential/state.js';
import { isToken, withFields, type Token } from '../credential/token.js';
import { CredentialError, isCredentialError, StorageError } from '../errors.js';
import { createOAuth2Client, type OAuth2Client, type OAuth2ClientOptions } from '../oauth/client.js';
import { defaultPlatform, type Platform } from '../platform/platform.js';
import { memoryStorage } from '../storage/memory.js';
import type { CredentialStorage, StorageCapabilities, StoredEntry } from '../storage/storage.js';
import { createClients, type ClientName } from './clients.js';
import { createClock } from './clock.js';
import { createCredentialFactory, tokenStream, type Credential, type CredentialContext } from './credential.js';
import { newDraft, replacementOf } from './drafts.js';
import { createLedger, type Ledger } from './ledger.js';
import { createLoop } from './loop.js';
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

const TOMBSTONE_LIFE_MS = 24 * 60 * 60_000;

/**
 * A store. Nothing ambient is touched but what it is given; the storage is opened at once.
 *
 * @throws {TypeError} no client, or a wrong client option
 */
export function createCredentialStore(options: CredentialStoreOptions): CredentialStore {
  const platform = options.platform ?? platformOf(options.clients) ?? defaultPlatform();
  const clients = createClients(options.clients, platform, createOAuth2Client);
  const clock = createClock(platform, () => loop);
  const loop = createLoop(platform, (action) => clock.consider(action));
  const handles = new Map<string, Credential>();
  const pending = new Set<Promise<unknown>>();
  let storage = options.storage ?? memoryStorage();
  let connection: Connection | undefined;
  let closing: Promise<void> | undefined;
  let ledger: Ledger;

  const withLock = <T>(name: string, run: () => Promise<T>): Promise<T> => {
    const locks = storage.withLock ? { withLock: storage.withLock.bind(storage) } : platform.locks;
    if (!locks) throw new StorageError('lock_unavailable', 'This storage needs locks, and the platform has none.');
    return locks.withLock(`${storage.namespace}:${name}`, run);
  };
  const open = async (): Promise<void> => {
    if (closing) throw closed();
    await ready;
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
  const handleOf = (id: string): Credential | null => {
    const state = loop.stateOf(id);
    if (!state) {
      handles.delete(id);
      return null;
    }
    const handle = handles.get(id) ?? createCredential(state);
    handles.set(id, handle);
    return handle;
  };
  const handlesOf = (ids: readonly string[]): readonly Credential[] => Object.freeze(ids.map(handleOf).filter((handle) => handle !== null));
  const matches = (state: StoreState, query: ReturnType<typeof matcher>): readonly string[] =>
    state.credentials.filter(query).map((credential) => credential.id);

  async function start(): Promise<void> {
    const opened = await openStorage(storage, platform);
    if (opened.error) storage = memoryStorage({ namespace: storage.namespace }); // E38: say so and go on
    const { durability, reach } = opened.capabilities;
    shared = reach === 'origin' || storage.watch !== undefined;
    ledger = createLedger(storage, platform, loop, (record) => connection?.announce(record));
    connection = connect(storage, platform, ledger, reach, () => clock.check());
    ledger.restore(opened.entries, durability !== 'none');
    if (opened.error) loop.dispatch([{ type: 'not_durable', code: opened.error.code }], 'here');
    void running(tidy().catch(() => undefined));
  }
  /** What earlier runs left: revocations that were begun, and tombstones older than a day. */
  async function tidy(): Promise<void> {
    await resumeRevocations(revocation());
    const isDue = (record: CredentialRecord): boolean =>
      record.state === 'removed' && platform.now() - record.changedAt > TOMBSTONE_LIFE_MS;
    const due = [...ledger.records()].some(isDue);
    if (!due) return;
    await withLock('members', async () => {
      const claimed = loop.snapshot().defaultId === null && ledger.topClaim() > ledger.store().nullClaim;
      // A tombstone that holds the highest claim says that nobody is the default; the store record says so from now on.
      if (claimed) await ledger.updateStore((current) => ({ ...current, nullClaim: ledger.topClaim() }));
      await ledger.sweep(isDue);
    });
  }
  const revocation = () => ({ ledger, platform, withLock, clientOf: clients.ofRecord });
  let shared = false;
  const refresher = (): ReturnType<typeof createRefresher> =>
    (flights ??= createRefresher({ ledger, loop, now: platform.now, shared, withLock, clientOf: clients.ofRecord }));
  let flights: ReturnType<typeof createRefresher> | undefined;

  const context: CredentialContext = {
    get ledger() {
      return ledger;
    },
    loop,
    now: platform.now,
    open,
    refresh: (id, request) => running(refresher().refresh(id, request)),
    revoke: (id, target) => running(revoke(revocation(), id, target)),
    clientOf: (id) => {
      const record = ledger.record(id);
      return record && clients.ofRecord(record);
    },
  };
  const createCredential = createCredentialFactory(context);
  const ready = start();
  ready.catch(() => undefined); // reported to whoever awaits it, never as an unhandled rejection

  const commands = {
    store: async (token: Token, { tags, replace }: StoreOptions): Promise<Credential> => {
      const placeOf = replace === undefined ? undefined : typeof replace === 'string' ? replace : replace.id;
      return withLock('members', async () => {
        if (loop.snapshot().ids.length === 0 && shared) await ledger.reload(); // somebody else's first credential may be there
        const id = placeOf ?? waitingFor(ledger, token)?.id ?? token.id;
        const kept = id === token.id ? token : withFields(token, { id });
        if (id !== token.id) return (await takePlace(id, kept, tags)) ?? notFound(id);
        return add(kept, tags ?? []);
      });
    },
    setDefault: (id: string | null): Promise<void> =>
      withLock('members', async () => {
        if (shared) await ledger.reload();
        if (loop.snapshot().defaultId === id) return;
        const claim = ledger.topClaim() + 1;
        if (id === null) await ledger.updateStore((current) => ({ ...current, nullClaim: claim }));
        else if (!(await ledger.update(id, (current) => (current.state === 'removed' ? null : { ...current, defaultClaim: claim }))))
          notFound(id);
      }),
    clear: (): Promise<void> =>
      withLock('members', async () => {
        const { epoch } = await ledger.updateStore((current) => ({ ...current, epoch: current.epoch + 1, nullClaim: 0 }));
        await ledger.sweep(() => false);
        for (const { id, value } of await storage.readAll()) {
          const old = typeof value !== 'object' || value === null || !('epoch' in value) || !(Number(value.epoch) >= epoch);
          if (id !== STORE_RECORD_ID && old) await storage.remove(id, 'any'); // what no one can read is forgotten, too
        }
      }),
  };

  /** A new record, or one over the tombstone of the same id. */
  async function add(token: Token, tags: readonly string[]): Promise<Credential> {
    const { credentials, ids } = loop.snapshot();
    const storedAt = Math.max(platform.now(), (credentials.at(-1)?.storedAt ?? -Infinity) + 1);
    const draft = newDraft(token, {
      generation: 1,
      epoch: ledger.store().epoch,
      storedAt,
      defaultClaim: ids.length === 0 ? ledger.topClaim() + 1 : 0,
      tags,
    });
    const before = ledger.record(token.id);
    if (before?.state === 'removed' && before.revision > 0) {
      const written = await ledger.update(token.id, (current) =>
        current.state === 'removed' ? { ...draft, generation: current.generation + 1 } : null,
      );
      if (written) return found(token.id);
    } else if (!before || before.state === 'removed') {
      if (await ledger.insert(draft)) return found(token.id);
    }
    throw new CredentialError(
      'credential_exists',
      `A credential with the id ${token.id} is stored already; refresh keeps the id, a sign-in makes a new one.`,
    );
  }
  async function takePlace(id: string, token: Token, tags: readonly string[] | undefined): Promise<Credential | null> {
    const written = await ledger.update(id, (current) => (current.state === 'removed' ? null : replacementOf(current, token, tags)));
    return written && found(id);
  }
  const found = (id: string): Credential => handleOf(id) ?? notFound(id);

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
        map((state) => matches(state, test)),
        distinctUntilChanged((a, b) => a.length === b.length && a.every((id, index) => id === b[index])),
        map(handlesOf),
      );
    },
    snapshot: () => loop.snapshot(),
    client: (name) => clients.named(name),
    store: async (token, storeOptions = {}) => {
      if (!isToken(token)) throw new TypeError('store takes a Token: what a flow resumed with, or createToken made');
      const tags = storeOptions.tags && normalizeTags(storeOptions.tags);
      await open();
      return running(commands.store(token, { ...storeOptions, ...(tags && { tags }) }));
    },
    with: async (id) => {
      await open();
      if (!loop.stateOf(id) && shared) await ledger.reread(id);
      return handleOf(id);
    },
    find: async (query) => {
      const test = matcher(query);
      await open();
      return handlesOf(matches(loop.snapshot(), test));
    },
    getDefault: async () => {
      await open();
      const { defaultId } = loop.snapshot();
      return defaultId === null ? null : handleOf(defaultId);
    },
    setDefault: async (credential) => {
      const id = credential === null || typeof credential === 'string' ? credential : credential.id;
      await open();
      if (loop.snapshot().defaultId !== id) await running(commands.setDefault(id));
    },
    allIDs: async () => {
      await open();
      return loop.snapshot().ids;
    },
    clear: async () => {
      await open();
      await running(commands.clear());
    },
    close: () =>
      (closing ??= (async () => {
        await ready.catch(() => undefined);
        await Promise.all([...pending]);
        connection?.close();
        clock.close();
        loop.close();
        await storage.close().catch(() => undefined);
      })()),
  };
}

interface OpenedStorage {
  readonly capabilities: StorageCapabilities;
  readonly entries: readonly StoredEntry[];
  /** Why the storage is not used. */
  readonly error?: CredentialError;
}

/** Opens and reads the storage. */
async function openStorage(storage: CredentialStorage, platform: Platform): Promise<OpenedStorage> {
  try {
    const capabilities = await storage.open();
    const lockReach = storage.withLock ? capabilities.reach : platform.locks?.reach;
    if (!lockReach || (capabilities.reach === 'origin' && lockReach === 'process')) {
      throw new StorageError('lock_unavailable', 'The storage is shared further than any lock at hand reaches; it is not used.');
    }
    return { capabilities, entries: await storage.readAll() };
  } catch (thrown) {
    const error = isCredentialError(thrown) ? thrown : new StorageError('storage_failed', 'The storage could not be opened.');
    return { capabilities: { coherent: true, durability: 'none', reach: 'process' }, entries: [], error };
  }
}

/** The credential that waits for this very user to sign in again. */
function waitingFor(ledger: Ledger, { claims, context }: Token): CredentialRecord | undefined {
  if (!claims) return undefined;
  for (const record of ledger.records()) {
    const same =
      record.context.issuer === context.issuer && record.context.clientId === context.clientId && record.claims?.sub === claims.sub;
    if (record.state === 'needs_sign_in' && same) return record;
  }
  return undefined;
}

function platformOf(clients: CredentialStoreOptions['clients']): Platform | undefined {
  return [clients].flat().find((client) => client.platform)?.platform;
}

function notFound(id: string): never {
  throw new CredentialError('credential_removed', `There is no credential with the id ${id}.`);
}

function closed(): CredentialError {
  return new CredentialError('store_closed', 'The store was closed.');
}
