/**
 * The keys of one issuer, fetched seldom: fresh for ten minutes, re-fetched once for an unknown key id and then at most once a
 * minute, and kept for an hour when the server cannot be reached (JWK-1, JWK-3). Age is told by a clock that never goes back.
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import { CredentialError, ProtocolError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { errorOf, isUnavailable } from './token-response.js';
import { METADATA_LIMITS, send } from './transport.js';

const FRESH_MS = 10 * 60_000;
const COOLDOWN_MS = 60_000;
const STALE_IF_ERROR_MS = 60 * 60_000;
const MAX_KEYS = 100;

interface Fetched {
  readonly text: string;
  readonly keyIds: readonly unknown[];
  readonly at: number;
}

/** The key set behind one `jwks_uri`. */
export interface KeySet {
  /** The JSON text of the keys, fetched again if the key id is not among those known. */
  text(keyId: string | undefined): Promise<string>;
  /** True if the key is there: the server need not be asked for it. */
  has(keyId: string | undefined): boolean;
}

/** A key set that asks the server when first used. */
export function createKeySet(platform: Platform, jwksUri: () => Promise<string>, issuer: string): KeySet {
  let current: Fetched | undefined;
  let pending: Promise<Fetched> | undefined;
  let lookedAgainAt = -Infinity;
  const ageMs = (fetched: Fetched): number => platform.monotonicNow() - fetched.at;
  const knows = (fetched: Fetched, keyId: string | undefined): boolean => keyId === undefined || fetched.keyIds.includes(keyId);
  const fresh = (): Fetched | undefined => (current && ageMs(current) <= FRESH_MS ? current : undefined);
  const usable = (keyId: string | undefined): Fetched | undefined => {
    const known = fresh();
    return known && (knows(known, keyId) || platform.monotonicNow() - lookedAgainAt < COOLDOWN_MS) ? known : undefined;
  };
  const fetchKeys = async (): Promise<Fetched> => {
    const exchange = await send(platform, await jwksUri(), { headers: { accept: 'application/json' } }, METADATA_LIMITS, issuer);
    const { status, text } = exchange;
    if (isUnavailable(status)) {
      const { retryAfterMs } = errorOf(exchange, issuer);
      throw new CredentialError('server_unavailable', `The key set could not be read (status ${status}).`, {
        issuer,
        status,
        retryAfterMs,
      });
    }
    if (status !== 200)
      throw new ProtocolError('response_invalid', `No key set: status ${status}.`, { issuer, status, class: 'transient' });
    return (current = { ...keysOf(text, issuer), at: platform.monotonicNow() });
  };
  return {
    has: (keyId) => {
      const known = fresh();
      return known !== undefined && knows(known, keyId);
    },
    text: async (keyId) => {
      const known = usable(keyId);
      if (known) return known.text;
      const looksAgain = current !== undefined && knows(current, keyId) === false;
      try {
        pending ??= fetchKeys().finally(() => (pending = undefined));
        const { text } = await pending;
        if (looksAgain) lookedAgainAt = platform.monotonicNow();
        return text;
      } catch (error) {
        if (current && isOutage(error) && ageMs(current) < STALE_IF_ERROR_MS && knows(current, keyId)) return current.text;
        throw error;
      }
    },
  };
}

/** JWK-3: an old copy stands in for a server that is away, never for one that says something else. */
function isOutage(error: unknown): boolean {
  return error instanceof CredentialError && ['network_error', 'timeout', 'server_unavailable'].includes(error.code);
}

/** The keys without what is none (JWK-2), and each once. */
function keysOf(text: string, issuer: string): Omit<Fetched, 'at'> {
  const body = parseJson(text);
  const keys: unknown = isPlainObject(body) ? body['keys'] : undefined;
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) {
    throw new ProtocolError('response_invalid', 'The key set has no list "keys" of at most 100 (RFC 7517 §5).', {
      issuer,
      class: 'transient',
    });
  }
  const distinct = new Map(keys.filter(isKey).map((key) => [JSON.stringify(key), key]));
  return { text: `{"keys":[${[...distinct.keys()].join()}]}`, keyIds: Array.from(distinct.values(), ({ kid }) => kid) };
}

/** False for what nothing can be verified with, and what would keep others from being looked at. */
function isKey(key: unknown): key is Readonly<Record<string, unknown>> {
  if (!isPlainObject(key)) return false;
  const { key_ops: operations = [], n, e, x, y } = key;
  return (
    Array.isArray(operations) &&
    [n, e, x, y].every((part) => part === undefined || (typeof part === 'string' && /^[\w+/-]+={0,2}$/.test(part)))
  );
}
