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
 * cannot be changed, is read only once, or has a class of its own is itself.
 */
export function copyOfBody<T>(body: T): T {
  return copyOf(body) as T;
}

function copyOf(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return body;
  if (Array.isArray(body) || isRecord(body)) return copyOfData(body);
  if (body instanceof URLSearchParams) return copyOfPairs(body, new URLSearchParams());
  if (body instanceof FormData) return copyOfPairs(body, new FormData());
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  return 'byteLength' in body ? (body as ArrayBuffer).slice(0) : body;
}

/** What JSON would be made of, and as much of it as JSON could be made of: whoever makes it says why it cannot be. */
function copyOfData(data: object): unknown {
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy);
    return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, copy(member)])) : value;
  };
  try {
    return copy(data);
  } catch {
    return data; // it holds itself
  }
}

/** True for an object without a class, of whatever realm; what has symbols is more than data, such as an iterable. */
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Object.getOwnPropertySymbols(value).length > 0) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
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
