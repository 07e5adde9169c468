/**
 * The keys of one issuer, fetched seldom: fresh for ten minutes, re-fetched once for an unknown key id and then at most once a
 * minute, and kept for an hour when the server cannot be reached (JWK-1, JWK-3). Age is told by a clock that never goes back.
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import { CredentialError, isCredentialError, ProtocolError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { base64url } from '../platform/random.js';
import { asPassing } from './passing.js';
import { errorOf, given, isUnavailable } from './token-response.js';
import { METADATA_LIMITS, send } from './transport.js';

const FRESH_MS = 10 * 60_000;
const COOLDOWN_MS = 60_000;
const STALE_IF_ERROR_MS = 60 * 60_000;
const MAX_KEYS = 100;

/** What the types of keys must have (RFC 7518 §6, RFC 8037 §2). */
const MATERIAL: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['RSA', ['n', 'e']],
  ['EC', ['crv', 'x', 'y']],
  ['OKP', ['crv', 'x']],
  ['AKP', ['pub']],
]);

type Key = Readonly<Record<string, unknown>>;

interface Fetched {
  readonly keys: readonly Key[];
  readonly at: number;
}

/** The key set behind one `jwks_uri`. */
export interface KeySet {
  /** The JSON text of the keys that fit, each once. They are fetched again if the key id is not among those known. */
  text(keyId: string | undefined, algorithm?: string): Promise<string>;
  /** True if the key is there: the server need not be asked for it. */
  has(keyId: string | undefined): boolean;
  /** The same text, fetched once more whatever is known, and no old copy: for a signature that did not fit. */
  anew(keyId: string | undefined, algorithm?: string): Promise<string>;
  /** The same text of what is known, without asking anybody. */
  known(keyId: string | undefined, algorithm?: string): string;
  /** True if what is known is a minute old: the server may have changed a key under the same id since, or without one (JWK-1). */
  isOld(): boolean;
}

/** A key set that asks the server when first used. */
export function createKeySet(platform: Platform, jwksUri: () => Promise<string>, issuer: string): KeySet {
  let current: Fetched | undefined;
  let pending: Promise<Fetched> | undefined;
  let lookedAgainAt = -Infinity;
  const ageMs = (fetched: Fetched): number => platform.monotonicNow() - fetched.at;
  const knows = (fetched: Fetched, keyId: string | undefined): boolean =>
    keyId === undefined || fetched.keys.some(({ kid }) => kid === keyId);
  const fresh = (): Fetched | undefined => (current && ageMs(current) <= FRESH_MS ? current : undefined);
  const usable = (keyId: string | undefined): Fetched | undefined => {
    const known = fresh();
    return known && (knows(known, keyId) || platform.monotonicNow() - lookedAgainAt < COOLDOWN_MS) ? known : undefined;
  };
  const fetchKeys = async (): Promise<Fetched> => {
    const url = await jwksUri();
    const sent = send(platform, url, { headers: { accept: 'application/json' } }, METADATA_LIMITS, issuer);
    const exchange = await sent.catch((error: unknown) => {
      throw isCredentialError(error) ? asPassing(error) : error; // to ask for keys changes nothing there
    });
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
  const fetched = (): Promise<Fetched> => (pending ??= fetchKeys().finally(() => (pending = undefined)));
  const keysFor = async (keyId: string | undefined): Promise<readonly Key[]> => {
    const known = usable(keyId);
    if (known) return known.keys;
    const looksAgain = current !== undefined && knows(current, keyId) === false;
    try {
      const { keys } = await fetched();
      if (looksAgain) lookedAgainAt = platform.monotonicNow();
      return keys;
    } catch (error) {
      if (current && isOutage(error) && ageMs(current) < STALE_IF_ERROR_MS && knows(current, keyId)) return current.keys;
      throw error;
    }
  };
  return {
    has: (keyId) => {
      const known = fresh();
      return known !== undefined && knows(known, keyId);
    },
    text: async (keyId, algorithm) => textOf(fitting(await keysFor(keyId), keyId, algorithm)),
    anew: async (keyId, algorithm) => textOf(fitting((await fetched()).keys, keyId, algorithm)),
    known: (keyId, algorithm) => textOf(fitting(current?.keys ?? [], keyId, algorithm)),
    isOld: () => current !== undefined && ageMs(current) >= COOLDOWN_MS,
  };
}

function textOf(keys: Iterable<Key>): string {
  return JSON.stringify({ keys: [...keys] });
}

/** JWK-3: an old copy stands in for a server that is away, never for one that says something else. */
function isOutage(error: unknown): boolean {
  return isCredentialError(error) && ['network_error', 'timeout', 'server_unavailable'].includes(error.code);
}

/** The keys without what is none (JWK-2). */
function keysOf(text: string, issuer: string): Omit<Fetched, 'at'> {
  const body = parseJson(text);
  const keys: unknown = isPlainObject(body) ? body['keys'] : undefined;
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) {
    throw new ProtocolError('response_invalid', 'The key set has no list "keys" of at most 100 (RFC 7517 §5).', {
      issuer,
      class: 'transient',
    });
  }
  return { keys: keys.map(keyIn).filter((key) => key !== undefined) };
}

/**
 * What a signature is verified with, and nothing else of a key; `undefined` for what is none, and for one that is damaged: it would keep
 * others from being looked at.
 */
function keyIn(key: unknown): Key | undefined {
  if (!isPlainObject(key)) return undefined;
  const material = MATERIAL.get(key['kty']) ?? [];
  if (!material.every((name) => isText(key[name]))) return undefined;
  const members = ['kty', 'kid', 'use', 'alg', 'key_ops', ...material].map((name) => [name, given(key[name])] as const);
  const written = material.map((name) => [name, asWritten(name, key[name])] as const);
  if (written.some(([, value]) => value === '')) return undefined;
  const whole: Key = Object.fromEntries<unknown>([...members.filter(([, value]) => value !== undefined), ...written]);
  return Array.isArray(whole['key_ops'] ?? []) ? whole : undefined;
}

/**
 * A number or a point as RFC 7518 §6 has it, which Chromium takes to the letter and Node does not: base64url without padding, and of RSA no zero byte
 * before a number. Empty where there is none.
 */
function asWritten(name: string, value: unknown): string {
  const text = String(value);
  if (name === 'crv') return text;
  const digits = text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  if (digits.length % 4 === 1) return '';
  if (name !== 'n' && name !== 'e') return digits;
  const bytes = atob(digits.replaceAll('-', '+').replaceAll('_', '/')).replace(/^\0+/, '');
  return base64url(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
}

/** Base64, of which runtimes read both alphabets; also the name of a curve. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && /^[\w+/-]+={0,2}$/.test(value);
}

/** One of each among the keys that fit, as `oauth4webapi` chooses: it refuses two, also where they are the same key (JWK-2). */
function fitting(keys: readonly Key[], keyId: string | undefined, algorithm: string | undefined): Iterable<Key> {
  const isOf = (member: unknown, wanted: string | undefined): boolean => wanted === undefined || member === wanted;
  const fits = ({ kid, alg = algorithm, use = 'sig', key_ops: operations }: Key): boolean =>
    isOf(kid, keyId) && isOf(alg, algorithm) && use === 'sig' && (!Array.isArray(operations) || operations.includes('verify'));
  const materialOf = ({ kid: _, use: __, alg: ___, key_ops: ____, ...material }: Key): string => JSON.stringify(material);
  return new Map(keys.filter(fits).map((key) => [materialOf(key), key])).values();
}
