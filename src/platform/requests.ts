/**
 * The `fetch` of the runtime where a program puts another in its place.
 *
 * @module
 */

/** By name, so that a second copy of the library in a bundle has the same. */
const OF_CLIENT = Symbol.for('rx-credentials:of-client');

/** Marks a request as one of a client: it gets no token, and waits for none (E19). What sends overlooks the mark. */
export function ofClient(init: RequestInit): RequestInit {
  return Object.assign(init, { [OF_CLIENT]: true });
}

/** True for a request of a client, also where it comes through the program's own `fetch`. */
export function isOfClient(init: RequestInit | null | undefined): boolean {
  return typeof init === 'object' && init !== null && OF_CLIENT in init;
}

/**
 * That of the runtime, as it is when it is called. What is made of it may be put in its place: what then comes back here at once goes to the one
 * before, or it would go round for ever.
 */
export function runtimeFetch(): typeof fetch {
  const { fetch: before } = globalThis;
  let isUnderWay = false;
  return (...request) => {
    if (isUnderWay) return before(...request);
    isUnderWay = true;
    try {
      return globalThis.fetch(...request);
    } finally {
      isUnderWay = false;
    }
  };
}
