/**
 * Randomness from the platform's CSPRNG. There is no fallback: without one this throws (E52).
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import type { Platform } from './platform.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * Random bytes as base64url text without padding: 32 bytes are 43 characters, 16 bytes are 22.
 *
 * @throws {CredentialError} `crypto_unavailable`
 */
export function randomText({ crypto }: Pick<Platform, 'crypto'>, byteCount: number): string {
  const generator: unknown = crypto;
  if (typeof generator !== 'object' || generator === null || typeof crypto.getRandomValues !== 'function') {
    throw new CredentialError('crypto_unavailable', 'This runtime has no Web Crypto (globalThis.crypto); a secure context is needed.');
  }
  return base64url(crypto.getRandomValues(new Uint8Array(byteCount)));
}

/**
 * What digests and verifies; only secure contexts have it.
 *
 * @throws {CredentialError} `crypto_unavailable`
 */
export function subtleOf({ crypto }: Pick<Platform, 'crypto'>): SubtleCrypto {
  const subtle = (crypto as Partial<Crypto> | undefined)?.subtle;
  if (!subtle) throw new CredentialError('crypto_unavailable', 'This page has no crypto.subtle; it needs https or localhost.');
  return subtle;
}

/** A number from 0 up to 1: to spread programs that would act at the same instant. */
export function randomFraction({ crypto }: Pick<Platform, 'crypto'>): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/** Bytes as base64url text without padding (RFC 4648 §5). */
export function base64url(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) text += ALPHABET.charAt((group >> shift) & 63);
  }
  return text.slice(0, Math.ceil((bytes.length * 4) / 3));
}
