/**
 * Data from outside: copied by own property, without a way to a prototype (HT-7).
 *
 * @module
 */

const MAX_DEPTH = 20;
const MAX_MEMBERS = 2000;
const MAX_LISTED = 500_000;
const FORBIDDEN: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** True for objects that came out of JSON or a structured clone; arrays are none. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is in a list, `undefined` for anything else. By names: a list with holes, which a structured clone keeps, may be four billion long. */
export function membersOf(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? Object.values(value) : undefined;
}

/** What JSON has besides lists and objects. */
export type Scalar = string | number | boolean | null;

/** True for a value that is equal to itself and to every copy of it. */
export function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
}

/** The value if it is a string, else the other one. */
export function stringOr<T>(value: unknown, other: T): string | T {
  return typeof value === 'string' ? value : other;
}

/**
 * A frozen deep copy of JSON data in null-prototype objects, without the members that lead to a prototype;
 * `undefined` if it is deeper than 20 levels or has more than 2,000 members. Texts and numbers in lists do not count as such: how long a list of groups
 * or scopes may be, the caps of bytes say. More than 500,000 of them are in no answer, but in a structured clone that has one list many times.
 */
export function deepFreezeData(value: unknown): unknown {
  let [members, listed] = [0, 0];
  const copy = (source: unknown, depth: number): unknown => {
    if (typeof source !== 'object' || source === null) return typeof source === 'function' ? undefined : source;
    if (depth > MAX_DEPTH) throw new RangeError('too deep');
    const names = Object.keys(source);
    const at = (name: string): unknown => (source as Readonly<Record<string, unknown>>)[name];
    const counted = Array.isArray(source) ? names.filter((name) => isObject(at(name))) : names;
    listed += names.length - counted.length;
    if ((members += counted.length) > MAX_MEMBERS || listed > MAX_LISTED) throw new RangeError('too many members');
    const memberOf = (name: string): unknown => copy(at(name), depth + 1);
    if (Array.isArray(source)) return Object.freeze(names.map(memberOf)); // by names: a list with holes may be four billion long
    const target = bare();
    for (const name of names) {
      const member = FORBIDDEN.includes(name) ? undefined : memberOf(name);
      if (member !== undefined) target[name] = member; // JSON has none
    }
    return Object.freeze(target);
  };
  try {
    return copy(value, 0);
  } catch {
    return undefined;
  }
}

/** `Object.create(null)` would be a hash table in V8: four times the memory, four times as slow to read (measured, Node 24). */
export function bare(): Record<string, unknown> {
  return Object.setPrototypeOf({}, null) as Record<string, unknown>;
}

/** True if both hold the same data, whatever the order of their members. */
export function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && sameData(a[name], b[name]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** The members of a JSON object of any size, not made safe: to look for a single one. */
export function jsonObjectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isPlainObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** JSON text as safe data; `undefined` if it is no JSON or breaks the bounds. */
export function parseJson(text: string): unknown {
  try {
    return deepFreezeData(JSON.parse(text));
  } catch {
    return undefined;
  }
}
