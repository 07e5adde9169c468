/**
 * Data from outside: copied by own property, without a way to a prototype (HT-7).
 *
 * @module
 */

const MAX_DEPTH = 20;
const MAX_MEMBERS = 2000;
const FORBIDDEN: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** True for objects that came out of JSON or a structured clone; arrays are none. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value if it is a string, else the other one. */
export function stringOr<T>(value: unknown, other: T): string | T {
  return typeof value === 'string' ? value : other;
}

/**
 * A frozen deep copy of JSON data in null-prototype objects, without the members that lead to a prototype;
 * `undefined` if it is deeper than 20 levels or has more than 2,000 members.
 */
export function deepFreezeData(value: unknown): unknown {
  let members = 0;
  const copy = (source: unknown, depth: number): unknown => {
    if (typeof source !== 'object' || source === null) return typeof source === 'function' ? undefined : source;
    if (depth > MAX_DEPTH) throw new RangeError('too deep');
    const entries = Object.entries(source).filter(([name]) => !FORBIDDEN.includes(name));
    if ((members += entries.length) > MAX_MEMBERS) throw new RangeError('too many members');
    const copied = entries.map(([name, member]) => [name, copy(member, depth + 1)] as const);
    if (Array.isArray(source)) return Object.freeze(copied.map(([, member]) => member));
    const target: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    for (const [name, member] of copied) target[name] = member;
    return Object.freeze(target);
  };
  try {
    return copy(value, 0);
  } catch {
    return undefined;
  }
}

/** True if both hold the same data, whatever the order of their members. */
export function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([name, value]) => right.has(name) && sameData(value, right.get(name)));
}

/** JSON text as safe data; `undefined` if it is no JSON or breaks the bounds. */
export function parseJson(text: string): unknown {
  try {
    return deepFreezeData(JSON.parse(text));
  } catch {
    return undefined;
  }
}
