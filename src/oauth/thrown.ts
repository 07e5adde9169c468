/**
 * What may be told of something that code of others has thrown: it may hold a response body, or a token (E51).
 *
 * @module
 */

/** Its name, such as `TypeError`, if that is a plain one; never its text. */
export function nameOf(thrown: unknown): string {
  const { name } = Object(thrown) as { readonly name?: unknown };
  return thrown instanceof Error && typeof name === 'string' && /^[A-Z][A-Za-z]{0,59}$/.test(name)
    ? name
    : `something of type ${typeof thrown}`;
}
