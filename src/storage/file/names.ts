/**
 * Names of files for ids that may be any text. Pure.
 *
 * @module
 */
import { createHash } from 'node:crypto';

/** Longer names are hashed: with what is put around them they stay under the 143 bytes that encrypted folders allow (eCryptfs; others 255). */
const MAX_PLAIN = 130;
/** The same in the folder of locks, where the name of a holder, at most 72 bytes, stands behind. A hashed name is as long. */
const MAX_IN_LOCKS = 65;

/**
 * The part of a file name that stands for a text. Only `a-z`, `0-9`, `-`, `_` and `~` occur, so that no file system folds two names
 * into one, and none can leave the folder. Short texts are escaped and can be read back with `textOf`; long ones become `~` and a
 * SHA-256, and so the file must hold the text as well. A text that already is such a hashed name stands for that file: it is the
 * only way to name a damaged one.
 */
export function nameOf(text: string): string {
  if (isHashed(text)) return text;
  const plain = text.replace(/[^a-z0-9-]/g, (unit) => `_${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  // JSON, since UTF-8 would turn all lone surrogates into one character
  return plain.length <= MAX_PLAIN ? plain : `~${sha256(JSON.stringify(text))}`;
}

/** The text that a name stands for; `undefined` for hashed names and for what `nameOf` never makes. */
export function textOf(name: string): string | undefined {
  const text = name.replace(/_([0-9a-f]{4})/g, (_, unit: string) => String.fromCharCode(parseInt(unit, 16)));
  return !isHashed(name) && nameOf(text) === name ? text : undefined;
}

/** True for names of long texts. */
export function isHashed(name: string): boolean {
  return /^~[0-9a-f]{64}$/.test(name);
}

/** SHA-256 in hexadecimal. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The lock of a name: of a record (`r`), or one that a store asks for (`l`). Not to be read back. */
export function lockOf(kind: 'r' | 'l', name: string): string {
  return `${kind}-${name.length <= MAX_IN_LOCKS ? name : `~${sha256(name)}`}`;
}

/** The file of a record. */
export function recordFile(name: string): string {
  return `r-${name}.json`;
}

/** The name inside that of a record's file; `undefined` for foreign files. */
export function nameInFile(file: string): string | undefined {
  const name = /^r-(.*)\.json$/s.exec(file)?.[1];
  return name !== undefined && (isHashed(name) || textOf(name) !== undefined) ? name : undefined;
}
