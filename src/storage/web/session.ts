/**
 * The session of a tab: a random name and key in its sessionStorage. Copies of the tab have them too, and nobody else; they die with the
 * last of them. What is sealed with the key, a twin can open (RF-14).
 *
 * @module
 */
import type { Platform, WebItems } from '../../platform/platform.js';
import { randomText, subtleOf } from '../../platform/random.js';
import type { Copy, Session } from '../coordination.js';

interface Sealed {
  readonly iv: Uint8Array<ArrayBuffer>;
  readonly text: ArrayBuffer;
}

/**
 * The session that sessionStorage names, or a new one. One step without a pause: nothing else of this tab comes in between.
 *
 * @throws {CredentialError} `crypto_unavailable`
 */
export function sessionOf(store: WebItems, name: string, { crypto }: Pick<Platform, 'crypto'>): Session {
  const subtle = subtleOf({ crypto });
  let secret = store.getItem(name);
  if (!secret || !SECRET.test(secret)) {
    const bytes = [...crypto.getRandomValues(new Uint8Array(32))];
    secret = `${randomText({ crypto }, 16)}.${bytes.join()}`;
    store.setItem(name, secret);
  }
  const [id = '', bytes = ''] = secret.split('.');
  const key = (): Promise<CryptoKey> =>
    subtle.importKey('raw', Uint8Array.from(bytes.split(','), Number), 'AES-GCM', false, ['encrypt', 'decrypt']);
  return {
    id,
    seal: async (record, copy) => {
      const iv = crypto.getRandomValues(new Uint8Array(12)); // a fresh one for every write: a repeated one would give the key away
      const text = new TextEncoder().encode(JSON.stringify(copy.value));
      return { iv, text: await subtle.encrypt(algorithm(iv, record, copy), await key(), text) };
    },
    open: async (record, { sealed, count, stamp }) => {
      if (!isSealed(sealed)) return undefined;
      try {
        const text = await subtle.decrypt(algorithm(sealed.iv, record, { count, stamp }), await key(), sealed.text);
        return { count, stamp, value: JSON.parse(new TextDecoder().decode(text)) as unknown };
      } catch {
        return undefined; // sealed by another session, moved to another record, or damaged
      }
    },
  };
}

/** A name, a dot, and 32 numbers up to 255. */
const SECRET = /^[\w-]{22}\.(?:\d{1,3},){31}\d{1,3}$/;

/** Bound to its record and its place in the order of writes. */
function algorithm(iv: Uint8Array<ArrayBuffer>, record: string, { count, stamp }: Pick<Copy, 'count' | 'stamp'>): AesGcmParams {
  return { name: 'AES-GCM', iv, additionalData: new TextEncoder().encode(JSON.stringify([record, count, stamp])) };
}

function isSealed(value: unknown): value is Sealed {
  return typeof value === 'object' && value !== null && 'iv' in value && 'text' in value;
}
