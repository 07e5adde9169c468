/**
 * The bodies of requests: whether they can be sent again, and what of them is the caller's to change.
 *
 * @module
 */

/**
 * True for bodies that can be sent more than once: text, forms, bytes and blobs, or none. Streams, and whatever else is read only once,
 * cannot; that is known before anything is sent.
 */
export function isReplayable(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return true;
  return !('getReader' in body || 'pipe' in body || Symbol.asyncIterator in body || 'next' in body);
}

/**
 * A body as it is now, for an adapter that waits before it sends: forms, bytes, and lists and plain objects at any depth are copied. What
 * cannot be changed, is read only once, or has a class or a `toJSON` is itself.
 */
export function copyOfBody<T>(body: T): T {
  try {
    return copyOf(body) as T;
  } catch {
    return body; // it holds itself, or its bytes are gone: whoever sends it says so
  }
}

function copyOf(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return body;
  if (body instanceof URLSearchParams) return copyOfPairs(body, new URLSearchParams());
  if (body instanceof FormData) return copyOfPairs(body, new FormData());
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  return isBuffer(body) ? body.slice(0) : copyOfData(body);
}

/** Of whatever realm: objects of an application may have a `byteLength`, too. */
function isBuffer(body: object): body is ArrayBuffer {
  return /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(body));
}

/**
 * What JSON would be made of, each object once however often it is there.
 *
 * @throws {TypeError} it holds itself
 */
function copyOfData(data: object): unknown {
  const copies = new Map<unknown, object | null>(); // `null` on the way down
  const copy = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const known = copies.get(value);
    if (known === null) throw new TypeError('circular');
    if (known) return known;
    const isList = isPlainList(value);
    if (!isList && !isRecord(value)) return value;
    copies.set(value, null);
    const copied = isList ? value.map(copy) : membersOf(value, copy);
    copies.set(value, copied);
    return copied;
  };
  return copy(data);
}

/** True for a list without a class, of whatever realm: of prototypes only that of lists is a list. */
function isPlainList(value: unknown): value is readonly unknown[] {
  if (!Array.isArray(value) || 'toJSON' in value) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(prototype) && !Array.isArray(Object.getPrototypeOf(prototype));
}

/** True for an object without a class, of whatever realm: no symbols, nothing hidden. */
function isRecord(value: object): value is Readonly<Record<string, unknown>> {
  if ('toJSON' in value || Object.hasOwn(value, '__proto__')) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return false;
  return Reflect.ownKeys(value).length === Object.keys(value).length;
}

/** What `Object.fromEntries` would make, in a fourth of the time: bodies may be large. */
function membersOf(value: Readonly<Record<string, unknown>>, copy: (member: unknown) => unknown): object {
  const copied: Record<string, unknown> = {};
  for (const name of Object.keys(value)) copied[name] = copy(value[name]);
  return copied;
}

/** Some forms of React Native have no iterator: they stay the caller's. */
function copyOfPairs<T extends URLSearchParams | FormData>(form: T, copy: T): T {
  if (!(Symbol.iterator in form)) return form;
  for (const [name, value] of form) copy.append(name, value as string);
  return copy;
}

/** Lets go of what is being read, if it is: a stream of the web, or one of Node, as `node-fetch` has it. */
export function letGo(body: unknown): void {
  const { cancel, destroy } = (body ?? {}) as { readonly cancel?: unknown; readonly destroy?: unknown };
  if (typeof destroy === 'function') destroy.call(body);
  else if (typeof cancel === 'function') void Promise.resolve(cancel.call(body)).catch(() => undefined);
}
