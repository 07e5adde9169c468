// A tab of the torture tests: real stores over IndexedDB, plain and sealed, that Node drives from outside. It can be stopped at any step of a refresh.
import { filter, firstValueFrom } from 'rxjs';
import { createCredentialStore, createToken, type CredentialStorage, type CredentialStore, type StoreState } from '../../../src/index';
import type { CredentialRecord } from '../../../src/credential/record';
import { defaultPlatform, type Locks, type Platform } from '../../../src/platform/platform';
import { indexedDBStorage } from '../../../src/storage/indexeddb/index';
import { indexedDBKeys, sealed } from '../../../src/storage/sealed/index';

/** The stores of a tab; `ahead` is a plain one that renews unasked. */
export type Place = 'plain' | 'sealed' | 'ahead';

/**
 * Where a refresh can be stopped: the lock was granted; the intent is about to be written; it is written and the request not sent; the
 * holder of the lock waits for a dead one's request; the answer has come; the new token is about to be written; it is written and nobody knows.
 */
export type PageStep = 'lock' | 'intent' | 'send' | 'settle' | 'answer' | 'commit' | 'written';

/** One credential in one store. The id says which server and grant it is of: `<port>-<grant>`. */
export interface Subject {
  readonly place: Place;
  readonly id: string;
}

/** What a page does by itself when it has loaded: it stands in the address, so that a browser can restore it. */
export interface TortureConfig {
  readonly namespace: string;
  readonly issuers: readonly string[];
  /** Milliseconds that the clock of the page is ahead. */
  readonly aheadMs: number;
  readonly ask: readonly Subject[];
}

/** What a caller of `accessToken()` got. Times in epoch milliseconds of the machine. */
export interface Answer {
  readonly accessToken?: string;
  /** Of the error; `absent`: the tab does not know the credential. */
  readonly code?: string;
  readonly reason: string | null;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** A token answer of the server, and when its access token expires: epoch milliseconds by the clock of the page. */
export interface Grant extends Subject {
  readonly issuer: string;
  readonly body: { readonly access_token: string; readonly refresh_token?: string; readonly id_token?: string; readonly scope: string };
  readonly expiresAt: number;
}

export interface RecordView extends Pick<CredentialRecord, 'state' | 'revision' | 'generation'> {
  readonly hasSecrets: boolean;
  /** An answer waits in it for the keys to judge it with. */
  readonly isStaged: boolean;
}

const LIFETIME_MS = 600_000;
/** `SETTLE_MS` of src/store/refresh-answers.ts. */
const SETTLE_MS = 2_000;
/**
 * What stands still here stands as long as the machine needs: one step of the deadlines of requests (`TOKEN_LIMITS` of src/oauth/transport.ts,
 * counted by src/platform/countdown.ts) is thirty times as long, or on a slow machine a request is given up and sent again, and the server
 * counts one more.
 */
const DEADLINE_STEP_MS = 9_800;

interface Stop {
  isReached: boolean;
  readonly reached: Promise<void>;
  readonly reach: () => void;
  readonly released: Promise<void>;
  readonly release: () => void;
}

const stores = new Map<Place, CredentialStore>();
const stops = new Map<string, Stop>();
const answers = new Map<string, Promise<Answer>>();
const ended = new Set<string>();
const granted = new Map<string, number>();
const troubles: string[] = [];
let storages: Readonly<Record<Place, CredentialStorage>>;
const mark = crypto.randomUUID();
let aheadMs = 0;
let frozenAt = 0;

addEventListener('error', ({ message }) => void troubles.push(message));
addEventListener('unhandledrejection', ({ reason }) => void troubles.push(String(reason)));
document.addEventListener('freeze', () => (frozenAt = Date.now()));
addEventListener('pagehide', () => (frozenAt = Date.now()));

/** Waits here if the step is to be stopped at, until it is released. */
async function pass(step: PageStep, id: string): Promise<void> {
  const stop = stops.get(`${step} ${id}`);
  stop?.reach();
  await stop?.released;
}

function stopping(platform: Platform): Platform {
  const { locks } = platform;
  if (!locks) throw new Error('no locks');
  const withLock: Locks['withLock'] = (name, run, signal) => {
    const [, id] = name.split(':refresh:');
    if (id === undefined) return locks.withLock(name, run, signal);
    const alone = async () => {
      granted.set(id, Date.now());
      await pass('lock', id);
      return run();
    };
    return locks.withLock(name, alone, signal);
  };
  return {
    ...platform,
    now: () => Date.now() + aheadMs,
    locks: { reach: locks.reach, withLock },
    fetch: async (input, init) => {
      const id = refreshedBy(input, init?.body);
      if (id === undefined) return fetch(input, init);
      await pass('send', id);
      const response = await fetch(input, init);
      await pass('answer', id);
      return response;
    },
    setTimer: (callback, delayMs, isAwaited) => {
      if (delayMs === DEADLINE_STEP_MS) return platform.setTimer(callback, 30 * delayMs, isAwaited);
      if (delayMs !== SETTLE_MS || !isAwaited) return platform.setTimer(callback, delayMs, isAwaited);
      return platform.setTimer(() => void pass('settle', '').then(callback), delayMs, isAwaited);
    },
  };
}

/** The id whose refresh token a request carries. */
function refreshedBy(input: RequestInfo | URL, body: RequestInit['body']): string | undefined {
  const form = body instanceof URLSearchParams ? body : new URLSearchParams(typeof body === 'string' ? body : '');
  const token = form.get('grant_type') === 'refresh_token' ? form.get('refresh_token') : null;
  const url = input instanceof Request ? input.url : input;
  return token === null ? undefined : `${new URL(url).port}-${token.split('-')[1]}`;
}

function stoppingWrites(storage: CredentialStorage): CredentialStorage {
  return {
    ...storage,
    write: async (record, condition) => {
      const isIntent = 'intent' in record && record.intent !== undefined;
      await pass(isIntent ? 'intent' : 'commit', record.id);
      const written = await storage.write(record, condition);
      if (!isIntent) await pass('written', record.id);
      return written;
    },
  };
}

function storeOf(place: Place): CredentialStore {
  const store = stores.get(place);
  if (!store) throw new Error(`no store ${place}`);
  return store;
}

async function start({ namespace, issuers, ask, ...config }: TortureConfig): Promise<void> {
  aheadMs = config.aheadMs;
  const inside = indexedDBStorage({ namespace: `${namespace}-sealed` });
  storages = {
    plain: stoppingWrites(indexedDBStorage({ namespace: `${namespace}-plain` })),
    sealed: stoppingWrites(sealed(inside, { keys: indexedDBKeys({ namespace: `${namespace}-sealed` }) })),
    ahead: stoppingWrites(indexedDBStorage({ namespace: `${namespace}-ahead` })),
  };
  const platform = stopping(defaultPlatform());
  const clients = issuers.map((issuer) => ({ issuer, clientId: 'spa', scope: 'openid profile api:read api:write' }));
  for (const place of Object.keys(storages) as Place[]) {
    stores.set(place, createCredentialStore({ clients, storage: storages[place], platform, renewal: { ahead: place === 'ahead' } }));
  }
  torture.begin(ask);
  await Promise.all([...stores.values()].map(({ ready }) => ready));
}

async function answerOf(place: Place, id: string): Promise<Answer> {
  const askedAt = Date.now();
  const credential = await storeOf(place).with(id);
  if (!credential) return { code: 'absent', reason: null, askedAt, answeredAt: Date.now() };
  try {
    return { accessToken: await credential.accessToken(), reason: null, askedAt, answeredAt: Date.now() };
  } catch (error) {
    const { code } = error as { readonly code?: string };
    return { code: code ?? String(error), reason: credential.state.reason, askedAt, answeredAt: Date.now() };
  }
}

function once(place: Place, holds: (state: StoreState) => boolean): Promise<unknown> {
  return firstValueFrom(storeOf(place).state$.pipe(filter(holds)));
}

function tokenOf({ id, issuer, body, expiresAt }: Grant) {
  const issuedAt = expiresAt - LIFETIME_MS;
  const iat = Math.floor(issuedAt / 1000);
  return createToken({
    id,
    accessToken: body.access_token,
    ...(body.refresh_token !== undefined && { refreshToken: body.refresh_token }),
    ...(body.id_token !== undefined && { idToken: body.id_token }),
    tokenType: 'Bearer',
    scope: body.scope,
    issuedAt,
    expiresAt,
    claims: { iss: issuer, sub: id, aud: 'spa', exp: iat + 3600, iat },
    context: { issuer, clientId: 'spa' },
  });
}

const torture = {
  ready: Promise.resolve(),
  async store(grants: readonly Grant[]): Promise<void> {
    for (const grant of grants) await storeOf(grant.place).store(tokenOf(grant));
  },
  setDefault: async ({ place, id }: Subject): Promise<void> => storeOf(place).setDefault(id),
  /** Resolves once this tab knows them all. */
  async known(subjects: readonly Subject[]): Promise<void> {
    await Promise.all(subjects.map(({ place, id }) => once(place, ({ ids }) => ids.includes(id))));
  },
  /** Resolves once this tab knows none of them. */
  async gone(subjects: readonly Subject[]): Promise<void> {
    await Promise.all(subjects.map(({ place, id }) => once(place, ({ ids }) => !ids.includes(id))));
  },
  /** Resolves once this tab knows a later generation. */
  async renewed({ place, id }: Subject, generation: number): Promise<void> {
    await once(place, ({ credentials }) => credentials.some((credential) => credential.id === id && credential.generation > generation));
  },
  /** Asks for access tokens now, without waiting for them. */
  begin(subjects: readonly Subject[]): void {
    for (const { place, id } of subjects) {
      ended.delete(id);
      const answer = answerOf(place, id);
      answers.set(id, answer);
      void answer.then(() => ended.add(id));
    }
  },
  /** Asks as soon as a tab says `go`, and so many milliseconds later. */
  beginOnGo(subjects: readonly Subject[], afterMs: number): void {
    const channel = new BroadcastChannel('go');
    channel.onmessage = () => {
      channel.close();
      if (afterMs === 0) torture.begin(subjects);
      else setTimeout(() => torture.begin(subjects), afterMs);
    };
    for (const { id } of subjects) answers.delete(id);
  },
  go(): void {
    const channel = new BroadcastChannel('go');
    channel.postMessage('go');
    channel.close();
  },
  hasBegun: (subjects: readonly Subject[]): boolean => subjects.every(({ id }) => answers.has(id)),
  /** Which of those that were begun have come to an end. */
  ended: (subjects: readonly Subject[]): readonly boolean[] => subjects.map(({ id }) => ended.has(id)),
  /** What was asked for last; asks where nothing was. */
  answers: (subjects: readonly Subject[]): Promise<readonly Answer[]> =>
    Promise.all(subjects.map(({ place, id }) => answers.get(id) ?? answerOf(place, id))),
  /** Renews in any case; resolves with the generation, or the code of the error. */
  async refresh({ place, id }: Subject): Promise<string> {
    const credential = await storeOf(place).with(id);
    return (
      credential?.refresh().then(
        () => 'renewed',
        ({ code }: { readonly code: string }) => code,
      ) ?? 'absent'
    );
  },
  async signOut(subjects: readonly Subject[], how: 'remove' | 'revoke'): Promise<void> {
    await Promise.all(
      subjects.map(async ({ place, id }) => {
        const credential = await storeOf(place).with(id);
        await (how === 'remove' ? credential?.remove() : credential?.revoke());
      }),
    );
  },
  ids: async (place: Place): Promise<readonly string[]> => storeOf(place).allIDs(),
  reason: ({ place, id }: Subject): string | null =>
    storeOf(place)
      .snapshot()
      .credentials.find((credential) => credential.id === id)?.reason ?? null,
  /** The refresh token that a store would send next. */
  refreshToken: async ({ place, id }: Subject): Promise<string | null> => {
    const credential = await storeOf(place).with(id);
    await credential?.accessToken().catch(() => null); // opens what is sealed
    return credential?.token?.refreshToken ?? null;
  },
  /** What lies in the storage, without what is secret. */
  async record({ place, id }: Subject): Promise<RecordView> {
    const record = (await storages[place].read(id)) as CredentialRecord;
    const { state, revision, generation, secrets, staged } = record;
    return { state, revision, generation, hasSecrets: secrets !== null, isStaged: staged !== undefined };
  },
  stopAt(step: PageStep, id: string): void {
    let [reach, release] = [(): void => undefined, (): void => undefined];
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const stop: Stop = { isReached: false, reached, reach: () => void (reach(), (stop.isReached = true)), released, release };
    stops.set(`${step} ${id}`, stop);
  },
  reached: (step: PageStep, id: string): Promise<void> | undefined => stops.get(`${step} ${id}`)?.reached,
  isStopped: (step: PageStep, id: string): boolean => stops.get(`${step} ${id}`)?.isReached === true,
  release(step: PageStep, id: string): void {
    stops.get(`${step} ${id}`)?.release();
    stops.delete(`${step} ${id}`);
  },
  setAhead: (ms: number): void => void (aheadMs = ms),
  /** When this tab was given the locks, in epoch milliseconds; 0: it was not. */
  grantedAt: (subjects: readonly Subject[]): readonly number[] => subjects.map(({ id }) => granted.get(id) ?? 0),
  frozenAt: (): number => frozenAt,
  /** Tells this page from one that was loaded again. */
  mark: (): string => mark,
  /** How many requests wait for locks of refreshes in all tabs. */
  waiting: async (): Promise<number> =>
    (await navigator.locks.query()).pending?.filter(({ name }) => name?.includes(':refresh:')).length ?? 0,
  /** How many refreshes hold their lock or wait for it, in all tabs: a caller may be served by another tab while its own refresh is under way. */
  underWay: async (): Promise<number> => {
    const { held = [], pending = [] } = await navigator.locks.query();
    return [...held, ...pending].filter(({ name }) => name?.includes(':refresh:')).length;
  },
  troubles: (): readonly string[] => troubles.splice(0),
};

declare global {
  var torture: TortureDriver;
}
export type TortureDriver = typeof torture;
globalThis.torture = torture;
const config = new URLSearchParams(location.search).get('start');
if (config !== null) torture.ready = start(JSON.parse(config) as TortureConfig);
