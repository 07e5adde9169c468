// The room in which tabs are tortured: eight of them, three servers that count, credentials, and what must be true of them at the end. Functions that are
// passed to `evaluate` run in the page of test/e2e/pages/torture.ts. Node strips the types.
import assert from 'node:assert/strict';
import type { Answer, Grant, Place, Subject, TortureConfig } from '../e2e/pages/torture';
import type { RefreshServer, RefreshServerOptions } from '../support/refresh-server';

/** A tab of an engine. `evaluate` waits for the promise that the function returns. */
export interface Tab {
  goto(url: string): Promise<unknown>;
  evaluate<Args extends readonly unknown[], Result>(run: (...args: Args) => Result, ...args: Args): Promise<Awaited<Result>>;
  close(): Promise<void>;
  /** Ends the process of the tab. */
  crash?(): Promise<void>;
  /** Freezes the tab; resolves with the way to thaw it. */
  freeze?(): Promise<() => Promise<void>>;
  /** Goes to another page, with this one in the back/forward cache; resolves with the way back. */
  leave?(url: string): Promise<() => Promise<void>>;
}

/** A browser with one profile. */
export interface Engine {
  /** False where the driver answers one call at a time. */
  readonly isParallel: boolean;
  /** True if a page that held a lock can come back from the back/forward cache. */
  readonly cachesPages: boolean;
  newTab(): Promise<Tab>;
  close(): Promise<void>;
}

/** A browser whose profile outlives it. */
export interface Profile {
  /** Starts it with these pages; the one before is ended first. */
  start(urls: readonly string[], end: 'closed' | 'killed'): Promise<Engine & { readonly tabs: readonly Tab[] }>;
  close(): Promise<void>;
}

export interface LabOptions {
  readonly engine: Engine;
  /** Address of the page of test/e2e/pages/torture.ts. */
  readonly url: string;
  /** How many cases of each kind. */
  readonly rounds: number;
  readonly createRefreshServer: (options: RefreshServerOptions) => RefreshServer;
  /** Left out where an engine cannot be started again with its profile. */
  readonly newProfile?: () => Promise<Profile>;
}

export type Mode = Extract<RefreshServerOptions['mode'], 'strict-revoke' | 'strict-fail' | 'leeway-latest'>;
export const MODES: readonly Mode[] = ['strict-revoke', 'strict-fail', 'leeway-latest'];
export const TABS = 8;
const PATIENCE_MS = 60_000;
/** Longer than any case takes on any machine. */
const LEEWAY_MS = 600_000;

/** Holds what the server is about to do until it is told to go on. */
interface Gate {
  readonly setTimer: NonNullable<RefreshServerOptions['setTimer']>;
  /** Resolves with the way on, once something waits. */
  next(): Promise<() => void>;
}

export interface Server {
  readonly mode: Mode;
  readonly port: string;
  readonly core: RefreshServer;
  readonly gate: Gate;
}

/** One credential and the grant it is of. */
export interface Case extends Subject {
  readonly server: Server;
  readonly grant: string;
  readonly expiresAt: number;
}

export interface Room {
  readonly engine: Engine;
  readonly rounds: number;
  readonly clock: { aheadMs: number };
  readonly servers: readonly Server[];
  readonly namespace: string;
  readonly url: string;
  readonly tabs: Tab[];
  /** The ninth, which stands on another page until it is needed. */
  readonly spare: { tab?: Tab };
}

export async function startServer(
  createRefreshServer: LabOptions['createRefreshServer'],
  mode: Mode,
  now: () => number,
): Promise<{ readonly server: Server; close(): Promise<void> }> {
  const gate = createGate();
  // An ID token makes three writes of two: the first answer in a tab waits, staged, for the keys.
  const idTokens = mode === 'strict-fail';
  const core = createRefreshServer({ mode, leewayMs: LEEWAY_MS, revocation: 'token', idTokens, now, setTimer: gate.setTimer });
  const { issuer, close } = await core.listen();
  return { server: { mode, port: new URL(issuer).port, core, gate }, close };
}

function createGate(): Gate {
  const waiting: (() => void)[] = [];
  const wanted: ((goOn: () => void) => void)[] = [];
  return {
    setTimer: (goOn) => {
      const next = wanted.shift();
      if (next) next(goOn);
      else waiting.push(goOn);
      return () => undefined;
    },
    next: async () => waiting.shift() ?? (await new Promise((resolve) => wanted.push(resolve))),
  };
}

export function addressOf({ url, namespace, servers, clock }: Room, ask: readonly Subject[] = []): string {
  const config: TortureConfig = { namespace, issuers: servers.map(({ core }) => core.issuer), aheadMs: clock.aheadMs, ask };
  return `${url}?start=${encodeURIComponent(JSON.stringify(config))}`;
}

export async function open(room: Room): Promise<Tab> {
  const tab = await room.engine.newTab();
  await tab.goto(addressOf(room));
  await loaded(tab);
  return tab;
}

export async function loaded(tab: Tab): Promise<void> {
  await until('the page has loaded', () => tab.evaluate(() => 'torture' in globalThis));
  await tab.evaluate(() => torture.ready);
}

/** What the function gives in each tab, in order. */
export async function inAll<Args extends readonly unknown[], Result>(
  { engine }: Room,
  tabs: readonly Tab[],
  run: (...args: Args) => Result,
  ...args: Args
): Promise<Awaited<Result>[]> {
  if (engine.isParallel) return Promise.all(tabs.map((tab) => tab.evaluate(run, ...args)));
  const results: Awaited<Result>[] = [];
  for (const tab of tabs) results.push(await tab.evaluate(run, ...args));
  return results;
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds());) {
    if (performance.now() > end) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What is there by construction. */
export function given<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new TypeError('nothing there');
  return value;
}

export function subjectOf({ place, id }: Subject): Subject {
  return { place, id };
}

export function subjects(cases: readonly Case[]): readonly Subject[] {
  return cases.map(subjectOf);
}

/** Signs in once for each kind, in one tab, with tokens that live so long; resolves when all tabs know. */
export async function signIn(
  room: Room,
  tabs: readonly Tab[],
  kinds: readonly { readonly mode: Mode; readonly place: Place }[],
  livesMs: number,
): Promise<Case[]> {
  const grants: Grant[] = [];
  const cases: Case[] = [];
  for (const { mode, place } of kinds) {
    const server = given(room.servers.find((one) => one.mode === mode));
    const grant = `g${server.core.grants().length + 1}`;
    const id = `${server.port}-${grant}`;
    const body = await server.core.authorize(id);
    const expiresAt = now(room) + livesMs;
    grants.push({ place, id, issuer: server.core.issuer, body, expiresAt });
    cases.push({ place, id, server, grant, expiresAt });
  }
  await tabs[0]?.evaluate((all) => torture.store(all), grants);
  await inAll(room, tabs, (all) => torture.known(all), subjects(cases));
  return cases;
}

/** As above, with tokens that all tabs have seen expire. */
export async function signInAndExpire(room: Room, tabs: readonly Tab[], kinds: Parameters<typeof signIn>[2]): Promise<Case[]> {
  const cases = await signIn(room, tabs, kinds, 250);
  await expired(room, cases);
  return cases;
}

export async function expired(room: Room, cases: readonly Case[]): Promise<void> {
  await until('the tokens have expired', () => cases.every(({ expiresAt }) => now(room) >= expiresAt));
}

export function now({ clock }: Room): number {
  return Date.now() + clock.aheadMs;
}

/** Token requests for a credential, and how many presented a spent token. */
export function countsOf({ server, grant }: Case): { readonly requests: number; readonly reuse: number } {
  const entries = server.core.log().filter((entry) => entry.grant === grant);
  return { requests: entries.length, reuse: entries.filter(({ reuse }) => reuse).length };
}

/** Indices of the refresh tokens that somebody could still use. */
export function unspent({ server, grant }: Case): readonly number[] {
  return server.core.grants().find(({ id }) => id === grant)?.current ?? [];
}

export function nameOf({ server, place, id }: Case, step = ''): string {
  return `${server.mode}, ${place}, ${id} ${step}`;
}

export function assertSignedIn(one: Case, answers: readonly Answer[], step?: string): void {
  for (const [tab, { accessToken, code, reason }] of answers.entries()) {
    const isValid = accessToken !== undefined && one.server.core.isLive(accessToken);
    assert.ok(isValid, `${nameOf(one, step)}: tab ${tab} has no valid token: ${accessToken === undefined ? `${code}, ${reason}` : 'dead'}`);
  }
}

/** A tab that is opened now is signed in, its refresh token lives, and it can renew. */
export async function assertNinth(room: Room, kept: readonly Case[], lost: readonly Case[] = []): Promise<void> {
  const ninth = (room.spare.tab ??= await room.engine.newTab());
  await ninth.goto(addressOf(room));
  await loaded(ninth);
  await until('all refreshes have come to an end', async () => (await ninth.evaluate(() => torture.underWay())) === 0);
  const before = kept.map(countsOf);
  const answers = await ninth.evaluate((all) => torture.answers(all), subjects(kept));
  for (const [i, one] of kept.entries()) assertSignedIn(one, [given(answers[i])], 'in a ninth tab');
  assert.deepEqual(kept.map(countsOf), before, 'the ninth tab needs no request');
  const ends = await ninth.evaluate((all) => Promise.all(all.map((one) => torture.refresh(one))), subjects([...kept, ...lost]));
  for (const [i, one] of kept.entries()) assert.equal(ends[i], 'renewed', `${nameOf(one)}: the session is lost`);
  for (const [i, one] of lost.entries()) assert.equal(ends[kept.length + i], 'needs_sign_in', nameOf(one));
  const after = before.map(({ requests, reuse }) => ({ requests: requests + 1, reuse }));
  assert.deepEqual(kept.map(countsOf), after, 'a renewal is one request');
  await ninth.goto(`${room.url}away`);
}

/** Milliseconds, whole. */
export function median(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0);
}
