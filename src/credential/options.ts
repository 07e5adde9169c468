/**
 * Options: what is misspelled must not pass for what was left out.
 *
 * @module
 */

/** Options as they are. @throws {TypeError} `null`, a text: by a name that says whose they are */
export function optionsOf<T extends object>(given: T, name: string): T {
  if (Object(given) !== given) throw new TypeError(`options of ${name} must be an object`);
  return given;
}

/**
 * @param rest what is left of options when those that are read are taken away; of a text or a list its places are
 * @param taken what there is to pass, for the message
 * @throws {TypeError} something is left
 */
export function assertNothingElse(rest: object, taken: string): void {
  const [odd] = Object.keys(rest);
  if (odd !== undefined) throw new TypeError(`${taken}, not ${odd}`);
}

/** @throws {TypeError} no text, or an empty one: of a namespace all who have none would share one, that of the name "null" (E39) */
export function assertText(value: unknown, name: string): void {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${name} must be a text that is not empty`);
}
