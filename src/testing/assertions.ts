/**
 * The few assertions of the contract suites. They throw a plain `Error` with `expected` and `actual`, which every test runner shows.
 *
 * @module
 */

/** Fails unless both are the same plain data, members in any order. `what` begins the message. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (!isSame(actual, expected)) fail(what, actual, expected);
}

/** Fails unless the promise is rejected, with an error of this code if one is named. */
export async function rejects(promise: Promise<unknown>, code: string, what: string): Promise<void> {
  const outcome = await promise.then(
    (value) => `it resolved with ${print(value)}`,
    (error: unknown) => (typeof error === 'object' && error !== null && 'code' in error ? error.code : `a rejection with ${String(error)}`),
  );
  same(outcome, code, what);
}

/** Throws what a failed assertion throws. */
export function fail(what: string, actual: unknown, expected: unknown): never {
  const error = new Error(`${what}: expected ${print(expected)}, got ${print(actual)}`);
  throw Object.assign(error, { name: 'ContractFailure', expected, actual });
}

/** True for equal plain data. Arrays equal only arrays; a member that is `undefined` is a member. */
export function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function print(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = String(value); // a cycle, or a BigInt
  }
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}
