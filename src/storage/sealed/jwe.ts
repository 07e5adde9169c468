/**
 * Sealed text: a JWE in compact form (RFC 7516 §7.1) with `dir` and A256GCM (RFC 7518 §4.5, §5.3). `jose` seals, and loads apart; opening
 * takes Web Crypto alone, so that a program which only reads stored tokens needs no more than this file.
 *
 * The protected header is the additional data of AES-GCM. It says what the text belongs to, so that it opens nowhere else: which part of
 * which record, of which generation, with which metadata (BBA-4).
 *
 * @module
 */
import type * as Jose from 'jose/jwe/compact/encrypt';
import { deepFreezeData, isPlainObject, membersOf } from '../../credential/data.js';
import { normalizeScope } from '../../credential/scope.js';
import { notLoaded, StorageError } from '../../errors.js';
import { base64url } from '../../platform/random.js';
import { askingForKeys, isKid, type SealingKey, type SealingKeys } from './keys.js';

/** A member of a record that holds secrets. */
export type SecretPart = 'secrets' | 'staged';

/** A record of which nothing is promised. */
export type Unjudged = Readonly<Record<string, unknown>>;

/** What is read of sealed text before it is opened. */
interface Jwe {
  readonly kid: string;
  readonly header: unknown;
  /** The five parts of a JWE, or fewer, or more. */
  readonly texts: readonly string[];
}

/** All members of a record that hold secrets. */
export const SECRET_PARTS: readonly SecretPart[] = ['secrets', 'staged'];

/** True for the form that sealed parts have, `{ sealed: … }` and nothing else; what is in it has not been judged. */
export function isSealed(part: unknown): boolean {
  return isPlainObject(part) && Object.keys(part).join() === 'sealed';
}

/** Loads what seals. @throws {StorageError} `program_not_loaded` */
export async function loadJose(): Promise<typeof Jose> {
  try {
    return await import('jose/jwe/compact/encrypt');
  } catch (error) {
    throw notLoaded(error, StorageError);
  }
}

/** A part of a record as sealed text. `jose` takes a new random initialization vector each time (RFC 7518 §5.3, E59). */
export async function sealPart(record: Unjudged, part: SecretPart, { kid, key }: SealingKey, crypto: Crypto): Promise<string> {
  if (!isKid(kid)) throw new StorageError('storage_failed', 'kid: too long or none.'); // it could not be opened
  const [{ CompactEncrypt }, header] = await Promise.all([loadJose(), headerOf(record, part, kid, crypto)]);
  return new CompactEncrypt(utf8(JSON.stringify(record[part]))).setProtectedHeader(header).encrypt(key);
}

/**
 * What was sealed as this part of this record.
 *
 * @throws {StorageError} `key_lost`, `seal_broken`, `storage_failed`; the message says nothing of what was sealed
 */
export async function openPart(record: Unjudged, part: SecretPart, keys: SealingKeys, crypto: Crypto): Promise<unknown> {
  const jwe = parseJwe(record[part]);
  const header = jwe && headerOf(record, part, jwe.kid, crypto); // while the key is on its way
  header?.catch(() => undefined);
  const key = jwe && (await askingForKeys(() => keys.get(jwe.kid)));
  if (jwe && !key) throw new StorageError('key_lost', 'The key of this credential is missing: bring it back, or sign in again.');
  try {
    return JSON.parse(await decrypt(jwe!, canonical(await header), key!, crypto));
  } catch {
    throw new StorageError('seal_broken', 'A sealed credential was edited, moved or damaged in the storage.');
  }
}

/** The name of the key that a part was sealed with, by its own account; `undefined` if it is no sealed text. */
export function kidOf(part: unknown): string | undefined {
  return parseJwe(part)?.kid;
}

function parseJwe(part: unknown): Jwe | undefined {
  try {
    const texts = (part as { readonly sealed: string }).sealed.split('.', 6); // at most: it may be one of millions of dots
    const header = JSON.parse(textOf(bytesOf(texts[0]!))) as Unjudged;
    const { kid } = header;
    return isKid(kid) ? { kid, header, texts } : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 7516 §5.2, for the one form that is ours: any other header, `alg` and `enc` among it, is refused before the key is used. */
async function decrypt({ header, texts }: Jwe, expectedHeader: string, key: SealingKey['key'], { subtle }: Crypto): Promise<string> {
  const [protectedText, noKey, iv, ciphertext, tag] = texts;
  const hasForm = texts.length === 5 && noKey === '' && iv!.length === 16 && tag!.length === 22; // 96 and 128 bits
  if (!hasForm || canonical(header) !== expectedHeader) throw new TypeError('');
  const algorithm = { name: 'AES-GCM', iv: bytesOf(iv!), additionalData: utf8(protectedText!) };
  const cryptoKey = key instanceof Uint8Array ? await subtle.importKey('raw', Uint8Array.from(key), 'AES-GCM', false, ['decrypt']) : key;
  return textOf(await subtle.decrypt(algorithm, cryptoKey, bytesOf(ciphertext!, tag)));
}

async function headerOf(
  { id, generation, context, claims, scope, tokenType }: Unjudged,
  part: SecretPart,
  kid: string,
  { subtle }: Crypto,
): Promise<Unjudged & { alg: string; enc: string }> {
  if (typeof id !== 'string' || typeof generation !== 'number') throw new TypeError('');
  // What never changes within a generation, the same before it is stored and after it was read and judged by `parseRecord`. Tags, state
  // and expiry are left out: they may change while the secrets stay.
  const { issuer, clientId, scope: asked, resource, resources, dpopKeyId, acrValues, maxAge } = isPlainObject(context) ? context : {};
  const data = claims == null ? null : deepFreezeData(claims);
  if (data === undefined) throw new TypeError(''); // too many claims: bounded: shared references could grow without end
  const named = membersOf(resources);
  const metadata = [
    ...[issuer, clientId, asked, resource, dpopKeyId, acrValues, tokenType].map((member) => (typeof member === 'string' ? member : null)),
    Number.isSafeInteger(maxAge) && Number(maxAge) >= 0 ? maxAge : null,
    typeof scope === 'string' ? normalizeScope(scope) : null,
    data,
    // Where a login named several: what was sealed of one that did not has no such member
    ...(named?.every((one) => typeof one === 'string') ? [named] : []),
  ];
  const digest = await subtle.digest('SHA-256', utf8(canonical(metadata)));
  return { alg: 'dir', enc: 'A256GCM', kid, part, id, generation, metadata: base64url(new Uint8Array(digest)) };
}

/** JSON whatever the order of members: storages may change it. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    isPlainObject(member) ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1))) : member,
  );
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function textOf(bytes: BufferSource): string {
  return new TextDecoder().decode(bytes);
}

/** The bytes of base64url texts, one after the other. */
function bytesOf(text: string, more = ''): Uint8Array<ArrayBuffer> {
  const [bytes, others] = [decoded(text), decoded(more)];
  const all = new Uint8Array(bytes.length + others.length);
  all.set(bytes);
  all.set(others, bytes.length);
  return all;
}

/** By the engine itself where it can: byte by byte this is a good part of what opening a token takes. */
function decoded(text: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as unknown as { fromBase64?: (text: string, options: object) => Uint8Array<ArrayBuffer> };
  if (fromBase64) return fromBase64.call(Uint8Array, text, { alphabet: 'base64url' });
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
