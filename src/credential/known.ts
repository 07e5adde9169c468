/**
 * Options: what is misspelled must not pass for what was left out.
 *
 * @module
 */
import { isPlainObject } from './data.js';

/** @throws {TypeError} `given` is no object, or has a member that is not among the `known`, which are separated by `, ` */
export function assertKnown(given: unknown, what: string, known: string): void {
  if (!isPlainObject(given)) throw new TypeError(`${what} must be an object with ${known}`);
  for (const name of Object.keys(given))
    if (!known.split(', ').includes(name)) throw new TypeError(`${what} must not have ${name}; use ${known}`);
}
