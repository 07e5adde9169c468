// Bodies that can be read once, for the contract of HTTP adapters.

/** A stream, for whatever sends streams. */
export function streamOf(text: string): ReadableStream<Uint8Array> {
  return new Response(text).body as ReadableStream<Uint8Array>;
}

/** For XMLHttpRequest, which sends no stream: what says of itself that it is read while it is sent. */
export function readOnce(text: string): Blob {
  return Object.assign(new Blob([text]), { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('nobody reads it')) }) });
}
