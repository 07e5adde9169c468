/**
 * What a flow keeps until its return: by `state`, used once, of no use after ten minutes, twenty at most, or a thousand in memory (7636-3, E63).
 *
 * @module
 */
import { parseJson } from '../credential/data.js';
import { isCredentialError, StorageError } from '../errors.js';
import { nameOf } from '../oauth/thrown.js';
import type { Platform, WebItems } from '../platform/platform.js';

/** Something that was begun and has not come back. */
export interface Begun {
  readonly state: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
}

/** What has not come back yet. */
export interface Pending<T extends Begun> {
  readonly put: (one: T) => void;
  readonly take: (state: string) => T | null;
}

type Clock = Pick<Platform, 'now'>;

const LIFETIME_MS = 10 * 60_000;
const REMEMBERED_MS = 24 * 60 * 60_000;
const MAX_IN_ITEMS = 20;
/** Of a server those of all its users. */
const MAX_IN_MEMORY = 1_000;

/** True for ten minutes. What was begun later than now is as old as it is early: the clock was set back since. */
export function isLive(begun: Begun, platform: Clock): boolean {
  return ageOf(begun, platform) <= LIFETIME_MS;
}

function ageOf({ startedAt }: Begun, platform: Clock): number {
  return Math.abs(platform.now() - startedAt);
}

/** What is kept for a day of one that is too old; the same if it is that already, `null` for nothing. */
type Remains<T> = (one: T) => T | null;
const nothing = (): null => null;

/** Where it lies, by `state`. */
interface Shelf<T> {
  readonly states: () => readonly string[];
  readonly get: (state: string) => T | null | undefined;
  readonly set: (state: string, one: T) => void;
  readonly drop: (state: string) => void;
}

export function inMemory<T extends Begun>(platform: Clock, remains: Remains<T> = nothing): Pending<T> {
  const all = new Map<string, T>();
  return pendingOn(
    {
      states: () => [...all.keys()],
      get: (state) => all.get(state),
      set: (state, one) => all.set(state, one),
      drop: (state) => all.delete(state),
    },
    platform,
    remains,
    MAX_IN_MEMORY,
  );
}

/** In web storage, under keys with a prefix. */
export function inItems<T extends Begun>(
  items: WebItems,
  platform: Clock,
  prefix: string,
  parse: (value: unknown) => T | null,
  remains: Remains<T> = nothing,
): Pending<T> {
  const keys = (): readonly string[] => Array.from({ length: items.length }, (_, i) => items.key(i) ?? '');
  return pendingOn(
    {
      states: () => keys().flatMap((key) => (key.startsWith(prefix) ? key.slice(prefix.length) : [])),
      get: (state) => parse(parseJson(items.getItem(prefix + state) ?? '')),
      set: (state, one) => items.setItem(prefix + state, JSON.stringify(one)),
      drop: (state) => items.removeItem(prefix + state),
    },
    platform,
    remains,
    MAX_IN_ITEMS,
  );
}

/** What was given up goes when the next one begins, comes back, or this is made. */
function pendingOn<T extends Begun>({ states, get, set, drop }: Shelf<T>, platform: Clock, remains: Remains<T>, most: number): Pending<T> {
  /** What can still come back, and what is left of the rest. Anything else goes: a verifier lives for ten minutes (7636-3). */
  const swept = (): readonly { readonly state: string; readonly one: T }[] =>
    states().flatMap((state) => {
      const one = get(state);
      if (one && isLive(one, platform)) return [{ state, one }];
      const left = one && ageOf(one, platform) <= REMEMBERED_MS ? remains(one) : null;
      if (!left) drop(state);
      else if (left !== one) set(state, left);
      return left ? [{ state, one: left }] : [];
    });
  swept();
  return {
    put: (one) => {
      // What cannot come back makes room first, and takes none of what can
      const isLeft = (of: T): boolean => remains(of) === of;
      const kept = [...swept()].sort((a, b) => Number(isLeft(b.one)) - Number(isLeft(a.one)) || a.one.startedAt - b.one.startedAt);
      if (isLeft(one) && kept.length >= most && !kept.some((other) => isLeft(other.one))) return;
      for (const { state } of kept.slice(0, Math.max(0, kept.length - most + 1))) drop(state);
      set(one.state, one);
    },
    take: (asked) => {
      const found = swept().find(({ state }) => state === asked);
      drop(asked);
      return found?.one ?? null;
    },
  };
}

/**
 * The answer of a storage, which may be one of the application. Where it answers at once, nothing comes between the question and what follows.
 *
 * @throws {StorageError} `storage_failed`, also by the promise: what it throws may hold anything (E51)
 */
export function asked<T>(ask: () => T | Promise<T>, issuer: string): T | Promise<T> {
  const failed = (error: unknown): never => {
    if (isCredentialError(error)) throw error;
    throw new StorageError('storage_failed', `What waits for a return could not be kept or found: ${nameOf(error)}.`, { issuer });
  };
  try {
    const answer = ask();
    return isPromise(answer) ? Promise.resolve(answer).catch(failed) : answer;
  } catch (error) {
    return failed(error);
  }
}

/**
 * Takes the answer out of the address bar, if it is this page's address (2.1-2, 9700-2). A browser may refuse (WebKit and Firefox, where the
 * address was changed too often): who answers is worth more than a clean address.
 *
 * @param note for the history entry
 * @returns the way to take the note back; `undefined`: there was nothing to clean
 */
export function hideAnswer(
  answer: URL,
  names: readonly string[],
  { page }: Pick<Platform, 'page'>,
  note?: Readonly<Record<string, unknown>>,
): (() => void) | undefined {
  if (page?.url() !== answer.href || !names.some((name) => answer.searchParams.has(name))) return undefined;
  const clean = new URL(answer);
  for (const name of names) clean.searchParams.delete(name);
  // Where it is refused, the code in it is of no use once it was exchanged
  const restore = orRefused(() => page.replaceUrl(clean.href, note));
  return () => void (typeof restore === 'function' && orRefused(restore));
}

function orRefused<T>(change: () => T): T | undefined {
  try {
    return change();
  } catch {
    return undefined;
  }
}

/** True for what must be awaited. */
export function isPromise<T>(answer: T | Promise<T>): answer is Promise<T> {
  return typeof (Object(answer) as { readonly then?: unknown }).then === 'function';
}
