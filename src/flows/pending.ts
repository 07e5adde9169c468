/**
 * What a flow keeps until its return: by `state`, used once, gone after ten minutes, twenty at most (7636-3, E63).
 *
 * @module
 */
import { parseJson } from '../credential/data.js';
import { isCredentialError, StorageError } from '../errors.js';
import { nameOf } from '../oauth/thrown.js';
import type { Platform } from '../platform/platform.js';

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
const MAX_PENDING = 20;

/** True for ten minutes. What was begun later than now is as old as it is early: the clock was set back since. */
export function isLive({ startedAt }: Begun, platform: Clock): boolean {
  return Math.abs(platform.now() - startedAt) <= LIFETIME_MS;
}

export function inMemory<T extends Begun>(platform: Clock): Pending<T> {
  const pending = new Map<string, T>();
  const sweep = (): void => {
    for (const [state, one] of pending) if (!isLive(one, platform)) pending.delete(state);
  };
  return {
    put: (one) => {
      sweep();
      const oldest = pending.keys().next();
      if (pending.size >= MAX_PENDING && !oldest.done) pending.delete(oldest.value);
      pending.set(one.state, one);
    },
    take: (state) => {
      sweep();
      const one = pending.get(state);
      pending.delete(state);
      return one ?? null;
    },
  };
}

/** In web storage, under keys with a prefix. What was given up goes when the next one begins, comes back, or this is made. */
export function inItems<T extends Begun>(items: Storage, platform: Clock, prefix: string, parse: (value: unknown) => T | null): Pending<T> {
  const read = (key: string): T | null => {
    const one = parse(parseJson(items.getItem(key) ?? ''));
    return one && isLive(one, platform) ? one : null;
  };
  const keys = (): readonly string[] =>
    Array.from({ length: items.length }, (_, i) => items.key(i) ?? '').filter((key) => key.startsWith(prefix));
  /** What can still come back. Anything else goes: a verifier lives for ten minutes (7636-3). */
  const swept = (): { readonly key: string; readonly startedAt: number }[] =>
    keys().flatMap((key) => {
      const found = read(key);
      if (!found) items.removeItem(key);
      return found ? [{ key, startedAt: found.startedAt }] : [];
    });
  swept();
  return {
    put: (one) => {
      const live = swept();
      live.sort((a, b) => a.startedAt - b.startedAt);
      for (const { key } of live.slice(0, Math.max(0, live.length - MAX_PENDING + 1))) items.removeItem(key);
      items.setItem(prefix + one.state, JSON.stringify(one));
    },
    take: (state) => {
      swept();
      const one = read(prefix + state);
      items.removeItem(prefix + state);
      return one;
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

/** True for what must be awaited. */
export function isPromise<T>(answer: T | Promise<T>): answer is Promise<T> {
  return typeof (Object(answer) as { readonly then?: unknown }).then === 'function';
}
