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
  if (typeof body === 'string') return body;
  if (body instanceof URLSearchParams) return new URLSearchParams(body);
  if (body instanceof FormData && Symbol.iterator in body) return copyOfForm(body); // that of React Native has no iterator
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  return 'byteLength' in body ? body.slice(0) : body;
}

function copyOfForm(form: FormData): FormData {
  const copy = new FormData();
  for (const [name, value] of form) copy.append(name, value);
  return copy;
}
