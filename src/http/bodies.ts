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

/** A body as it is now: forms and bytes are copied; what cannot be changed, or is read only once, is itself. */
export function copyOfBody(body: BodyInit): BodyInit {
  if (typeof body !== 'object') return body; // `fetch` makes text of it
  if (body instanceof URLSearchParams) return copyOfPairs(body, new URLSearchParams());
  if (body instanceof FormData) return copyOfPairs(body, new FormData());
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  return 'byteLength' in body ? body.slice(0) : body;
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
