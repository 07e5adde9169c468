// A test authorization server that refreshes in every way servers do (modes.ts), fails in every way networks do (faults.ts), and keeps books on it (core.ts).
// Jest tests import this file; plain Node programs import node.mjs beside it, which is the same code. It stands on loopback and knows no secret worth stealing.
import { createCore, type Core, type CoreOptions, type GrantOptions, type TokenBody } from './core';
import { createExchange, createSigner, discovery, withIdToken } from './exchange';
import { createFaultPlan, type Endpoint, type Fault, type FaultPlan, type RandomFaults } from './faults';
import { createFetchFace, type ForeignRequest } from './fetch-face';
import { listenHttp, type Listening, type ListenOptions } from './http-face';

export type { Counts, GrantOptions, GrantView, LogEntry, Outcome, TokenAnswer, TokenBody, TokenView } from './core';
export { seededRandom, type Endpoint, type Fault, type FaultName, type RandomFaults } from './faults';
export type { ForeignRequest } from './fetch-face';
export type { Listening, ListenOptions } from './http-face';
export { REFRESH_MODES, type RefreshMode } from './modes';

export interface RefreshServerOptions extends CoreOptions {
  /** Of the fetch face; `listen()` has an issuer of its own. Default `https://id.example.com`. */
  readonly issuer?: string;
  /** Calls back after that many milliseconds; returns the way to cancel. Default: real timers. */
  readonly setTimer?: (callback: () => void, delayMs: number) => () => void;
}

export interface RefreshServer extends Omit<Core, 'authorize'> {
  readonly issuer: string;
  readonly faults: FaultPlan;
  /** A new grant, as after a sign-in: the answer of its code exchange. */
  authorize(sub: string, options?: GrantOptions): Promise<TokenBody & { readonly id_token?: string }>;
  /** RFC 8414 §2. */
  discovery(): Readonly<Record<string, unknown>>;
  /** A `fetch` that reaches this server without a socket. */
  asFetch(): typeof fetch;
  /** Opens the HTTP face; from now on `issuer` is its address. */
  listen(options?: ListenOptions): Promise<Listening>;
  /** Requests that reached another origin, by redirect or by mistake. */
  foreign(): readonly ForeignRequest[];
}

export function createRefreshServer({ issuer: firstIssuer, setTimer = realTimer, ...options }: RefreshServerOptions): RefreshServer {
  const { authorize, ...core } = createCore(options);
  const faults = createFaultPlan();
  const signer = createSigner();
  const foreign: ForeignRequest[] = [];
  const waiting = new Set<() => void>();
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = setTimer(() => {
        waiting.delete(cancel);
        resolve();
      }, ms);
      waiting.add(cancel);
    });
  const exchange = createExchange({ core: { authorize, ...core }, faults, signer, wait });
  let issuer = firstIssuer ?? 'https://id.example.com';
  const server: RefreshServer = {
    ...core,
    get issuer() {
      return issuer;
    },
    faults,
    authorize: async (sub, grant) => {
      const { body, idToken } = authorize(sub, grant);
      return withIdToken(signer, body, idToken, issuer);
    },
    discovery: () => discovery(issuer),
    asFetch: () => createFetchFace({ exchange, issuer, elsewhere: 'https://elsewhere.example.net/', foreign, wait }),
    listen: async (listenOptions) => {
      const face = await listenHttp({ exchange, foreign, wait, control: controlOf(server) }, listenOptions);
      issuer = face.issuer;
      const close = async (): Promise<void> => {
        for (const cancel of waiting) cancel(); // or a long delay keeps the program alive
        await face.close();
      };
      return { ...face, close };
    },
    foreign: () => [...foreign],
  };
  return server;
}

/** What `POST <control>/<name>` can do; the arguments are a JSON array. */
export interface RefreshControlMethods {
  authorize: RefreshServer['authorize'];
  plan(endpoint: Endpoint, ...faults: readonly (Fault | null)[]): void;
  random(choose: RandomFaults | null): void;
  faultsLeft(): number;
  isLive: Core['isLive'];
  lookUp: Core['lookUp'];
  grants: Core['grants'];
  log: Core['log'];
  counts: Core['counts'];
  resetLog: Core['resetLog'];
  expireAccessToken: Core['expireAccessToken'];
  revokeGrant: Core['revokeGrant'];
  foreign: RefreshServer['foreign'];
}

/** The same methods from afar; what is `undefined` there is `null` here. */
export type RefreshControl = {
  readonly [Name in keyof RefreshControlMethods]: (
    ...args: Parameters<RefreshControlMethods[Name]>
  ) => Promise<Exclude<Awaited<ReturnType<RefreshControlMethods[Name]>>, undefined | void> | null>;
};

function controlOf(server: RefreshServer): RefreshControlMethods & Readonly<Record<string, (...args: never[]) => unknown>> {
  const { authorize, isLive, lookUp, grants, log, counts, resetLog, expireAccessToken, revokeGrant, foreign, faults } = server;
  const { plan, random, left: faultsLeft } = faults;
  const books = { isLive, lookUp, grants, log, counts, resetLog, foreign };
  return { authorize, plan, random, faultsLeft, ...books, expireAccessToken, revokeGrant };
}

/**
 * Speaks to a server in another process.
 *
 * @param address `Listening.control`
 */
export function createRefreshControl(address: string): RefreshControl {
  const call =
    (name: string) =>
    async (...args: readonly unknown[]): Promise<unknown> => {
      const response = await fetch(`${address}/${name}`, { method: 'POST', body: JSON.stringify(args) });
      const answer = (await response.json()) as { readonly result: unknown; readonly error?: string };
      if (!response.ok) throw new Error(`control ${name}: ${answer.error ?? response.status}`);
      return answer.result;
    };
  return new Proxy({}, { get: (_, name) => (name === 'then' ? undefined : call(String(name))) }) as RefreshControl;
}

function realTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
}
