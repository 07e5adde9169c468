/**
 * Sign-ins under way: what must come back unchanged, kept by `state`, used once, gone after ten minutes (7636-3, E63).
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import { StorageError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { returnPathOf } from './return-path.js';

/** One sign-in that was begun and has not come back. */
export interface Transaction {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
  readonly redirectUri: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Seconds, if it was sent. */
  readonly maxAge?: number;
  readonly acrValues?: string;
  readonly requireAcr?: boolean;
  /** The resource asked for (RFC 8707 §2). */
  readonly resource?: string;
  /** A path of the application. */
  readonly returnTo?: string;
}

/** Where sign-ins under way are kept. It must be bound to the browser that began them (9700-4). */
export interface TransactionStorage {
  put(transaction: Transaction): void | Promise<void>;
  /** Removes and returns the sign-in of this `state`; `null` if there is none. */
  take(state: string): Transaction | null | Promise<Transaction | null>;
}

const LIFETIME_MS = 10 * 60_000;
const MAX_PENDING = 20;
const PREFIX = 'rx-credentials:transaction:';

/** Sign-ins in memory: for programs that do not navigate away. */
export function memoryTransactions(platform: Pick<Platform, 'now'>): TransactionStorage {
  const pending = new Map<string, Transaction>();
  const sweep = (): void => {
    for (const [state, { startedAt }] of pending) if (platform.now() - startedAt > LIFETIME_MS) pending.delete(state);
  };
  return {
    put: (transaction) => {
      sweep();
      const oldest = pending.keys().next();
      if (pending.size >= MAX_PENDING && !oldest.done) pending.delete(oldest.value);
      pending.set(transaction.state, transaction);
    },
    take: (state) => {
      sweep();
      const transaction = pending.get(state);
      pending.delete(state);
      return transaction ?? null;
    },
  };
}

/**
 * Sign-ins in the session storage of the tab: they survive the navigation to the authorization server and back. What was given up goes when
 * the next one begins, comes back, or the storage is made.
 */
export function sessionTransactions(items: Storage, platform: Pick<Platform, 'now'>): TransactionStorage {
  const read = (key: string): Transaction | null => {
    const transaction = parseTransaction(parseJson(items.getItem(key) ?? ''));
    return transaction && platform.now() - transaction.startedAt <= LIFETIME_MS ? transaction : null;
  };
  const keys = (): readonly string[] =>
    Array.from({ length: items.length }, (_, i) => items.key(i) ?? '').filter((key) => key.startsWith(PREFIX));
  /** What can still come back. Anything else goes: a verifier lives for ten minutes (7636-3). */
  const swept = (): { readonly key: string; readonly startedAt: number }[] =>
    keys().flatMap((key) => {
      const found = read(key);
      if (!found) items.removeItem(key);
      return found ? [{ key, startedAt: found.startedAt }] : [];
    });
  swept();
  return {
    put: (transaction) => {
      const live = swept();
      live.sort((a, b) => a.startedAt - b.startedAt);
      for (const { key } of live.slice(0, Math.max(0, live.length - MAX_PENDING + 1))) items.removeItem(key);
      try {
        items.setItem(PREFIX + transaction.state, JSON.stringify(transaction));
      } catch {
        throw noReturn();
      }
    },
    take: (state) => {
      swept();
      const transaction = read(PREFIX + state);
      items.removeItem(PREFIX + state);
      return transaction;
    },
  };
}

/** Session storage where there is a page, memory elsewhere. A page that has none keeps nothing: who left it could not come back (E38). */
export function defaultTransactions(platform: Platform): TransactionStorage {
  const { page } = platform;
  if (!page) return memoryTransactions(platform);
  const items = page.sessionItems();
  const put = (): never => {
    throw noReturn();
  };
  return items ? sessionTransactions(items, platform) : { put, take: () => null };
}

function noReturn(): StorageError {
  return new StorageError('storage_failed', 'The session storage of the tab is full or blocked; a sign-in could not come back.');
}

function parseTransaction(value: unknown): Transaction | null {
  if (!isPlainObject(value)) return null;
  const { state, nonce, codeVerifier, redirectUri, issuer, clientId, scope, startedAt } = value;
  const texts = [state, nonce, codeVerifier, redirectUri, issuer, clientId, scope];
  if (!texts.every((text) => typeof text === 'string') || typeof startedAt !== 'number') return null;
  const [s = '', n = '', v = '', r = '', i = '', c = '', sc = ''] = texts;
  return {
    state: s,
    nonce: n,
    codeVerifier: v,
    redirectUri: r,
    issuer: i,
    clientId: c,
    scope: sc,
    startedAt,
    ...askedFor(value),
  };
}

/** The members that not every sign-in has. */
function askedFor({ maxAge, acrValues, requireAcr, resource, returnTo }: Readonly<Record<string, unknown>>): Partial<Transaction> {
  const path = returnPathOf(returnTo);
  return {
    ...(typeof maxAge === 'number' && { maxAge }),
    ...(typeof acrValues === 'string' && { acrValues }),
    ...(requireAcr === true && { requireAcr }),
    ...(typeof resource === 'string' && { resource }),
    ...(path !== null && { returnTo: path }),
  };
}
