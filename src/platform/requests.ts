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
  return isMarked(init, OF_CLIENT);
}

/** That of the runtime, as it is when it is called. */
export interface RuntimeFetch {
  readonly send: typeof fetch;
  /** As it was before anything was put in its place. */
  readonly before: typeof fetch;
  /** True for what was sent by `send` and comes round, since what sends it is in the place of the runtime's. */
  isBack(init: RequestInit | null | undefined): boolean;
}

/** What is made of the runtime's `fetch` may be put in its place: so what goes out is marked, and would go round for ever if it came back unseen. */
export function runtimeFetch(): RuntimeFetch {
  const { fetch: before } = globalThis;
  const mark = Symbol('rx-credentials:sent');
  return {
    send: (input, init) => {
      const { fetch: now } = globalThis;
      return now === before || !isPlain(init) ? now(input, init) : now(input, { ...init, [mark]: true } as RequestInit);
    },
    before,
    isBack: (init) => isMarked(init, mark),
  };
}

function isMarked(init: RequestInit | null | undefined, mark: symbol): boolean {
  return typeof init === 'object' && init !== null && mark in init;
}

/** Others would lose their members in a copy. */
function isPlain(init: RequestInit | null | undefined): boolean {
  const prototype: unknown = init ? Object.getPrototypeOf(init) : null;
  return prototype === null || prototype === Object.prototype;
}
