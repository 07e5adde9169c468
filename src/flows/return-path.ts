/**
 * Where a user goes after a sign-in.
 *
 * @module
 */

const ORIGIN = 'https://application.invalid';

/** A path of this origin as a URL parser reads it; `null` for everything else, whatever its spelling (9700-1). */
export function returnPathOf(value: unknown): string | null {
  if (typeof value !== 'string' || !/^\/\P{Cc}*$/u.test(value) || !URL.canParse(value, ORIGIN)) return null;
  const { origin, pathname, search, hash } = new URL(value, ORIGIN);
  return origin === ORIGIN && !pathname.startsWith('//') ? pathname + search + hash : null;
}
