/**
 * Whether a request can be sent again.
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
