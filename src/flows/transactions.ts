/**
 * Sign-ins under way: what must come back unchanged.
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import { resourcesIn } from '../credential/token.js';
import { StorageError } from '../errors.js';
import type { Platform, WebItems } from '../platform/platform.js';
import { inItems, inMemory } from './pending.js';
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
  /** The resource asked for (RFC 8707 §2), the first of several. */
  readonly resource?: string;
  /** All that were asked for, where there were several. */
  readonly resources?: readonly string[];
  /** A path of the application. */
  readonly returnTo?: string;
}

/**
 * Where sign-ins under way are kept. It must be bound to the browser that began them (9700-4). How old they are is looked at when they come
 * back; what it throws is told as `storage_failed`. Of one that is too old `returnTo` alone counts. Where `take` gives a promise, flows that share it must be asked one after the other whose
 * answer a callback is: each takes the sign-in out, and puts it back if it is not its own.
 */
export interface TransactionStorage {
  put(transaction: Transaction): void | Promise<void>;
  /** Removes and returns the sign-in of this `state`; `null` if there is none. */
  take(state: string): Transaction | null | Promise<Transaction | null>;
}

const PREFIX = 'rx-credentials:transaction:';

/** Sign-ins in memory, a thousand at most: for programs that do not navigate away. */
export function memoryTransactions(platform: Pick<Platform, 'now'>): TransactionStorage {
  return inMemory<Transaction>(platform, wayBackOf);
}

/**
 * Sign-ins in the session storage of the tab: they survive the navigation to the authorization server and back. What was given up goes when
 * the next one begins, comes back, or the storage is made; its `returnTo` a day later. Twenty at most: the oldest goes first.
 */
export function sessionTransactions(items: WebItems, platform: Pick<Platform, 'now'>): TransactionStorage {
  const { put, take } = inItems(items, platform, PREFIX, parseTransaction, wayBackOf);
  return {
    put: (transaction) => {
      try {
        put(transaction);
      } catch {
        throw noReturn();
      }
    },
    take,
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

/** What is left of a sign-in that is too old: where the user wanted to go, and nothing that could complete it (7636-3). `null`: nothing. */
export function wayBackOf(transaction: Transaction): Transaction | null {
  if (transaction.returnTo === undefined) return null;
  return transaction.codeVerifier === '' ? transaction : { ...transaction, codeVerifier: '', nonce: '' };
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
function askedFor({
  maxAge,
  acrValues,
  requireAcr,
  resource,
  resources,
  returnTo,
}: Readonly<Record<string, unknown>>): Partial<Transaction> {
  const path = returnPathOf(returnTo);
  return {
    ...(typeof maxAge === 'number' && { maxAge }),
    ...(typeof acrValues === 'string' && { acrValues }),
    ...(requireAcr === true && { requireAcr }),
    ...(typeof resource === 'string' && { resource }),
    ...resourcesIn(resources, resource),
    ...(path !== null && { returnTo: path }),
  };
}
