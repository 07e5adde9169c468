/**
 * Options: what is misspelled must not pass for what was left out.
 *
 * @module
 */

/**
 * @param rest what is left of options when those that are read are taken away; of a text or a list its places are
 * @param taken what there is to pass, for the message
 * @throws {TypeError} something is left
 */
export function assertNothingElse(rest: object, taken: string): void {
  const [odd] = Object.keys(rest);
  if (odd !== undefined) throw new TypeError(`${taken}, not ${odd}`);
}
