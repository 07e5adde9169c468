/**
 * Scopes: case-sensitive sets of words, in any order (RFC 6749 §3.3).
 *
 * @module
 */

const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** The words of a scope string, without repeats, in the order given. Words with characters RFC 6749 §3.3 does not allow are left out. */
export function parseScope(scope: string): readonly string[] {
  return [...new Set(scope.split(' ').filter((word) => SCOPE_TOKEN.test(word)))];
}

/** The same words joined again: one space between, no repeats. */
export function normalizeScope(scope: string): string {
  return parseScope(scope).join(' ');
}

/** True if both name the same set of scopes, whatever the order (6749-2). */
export function sameScope(a: string, b: string): boolean {
  return a === b || (includesScope(a, b) && includesScope(b, a));
}

/** True if every scope asked for is granted. The empty scope is always included. */
export function includesScope(granted: string, asked: string): boolean {
  const has = new Set(parseScope(granted));
  return parseScope(asked).every((word) => has.has(word));
}

/** @throws {TypeError} no text, or a word of the scope has a character RFC 6749 §3.3 does not allow */
export function assertScope(scope: string, name: string): string {
  if (typeof scope !== 'string') throw new TypeError(`${name} must be a string of scopes, separated by spaces`);
  const bad = scope.split(' ').find((word) => word !== '' && !SCOPE_TOKEN.test(word));
  if (bad !== undefined) throw new TypeError(`${name}: a scope may hold only the characters of RFC 6749 §3.3`);
  return normalizeScope(scope);
}
