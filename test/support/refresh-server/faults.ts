// What goes wrong between a client and the server: planned request by request, or drawn at random from a seed that can be told.

/**
 * How a request fails. "Commits" means that the server does its work first, so that a token may be spent though the client never learns;
 * `commit` of {@link Fault} changes it where that makes sense.
 *
 * | name | commits | the client sees |
 * |---|---|---|
 * | `drop-request` | never | the connection dies |
 * | `drop-response` | always | the connection dies |
 * | `delay` | always | the true answer, late: `beforeMs` ahead of the commit, `afterMs` behind it |
 * | `500-after-commit` | yes | 500, a text |
 * | `503` | no | 503, Retry-After (`retryAfterS`, default 1) |
 * | `429` | no | 429, Retry-After |
 * | `html` | no | a page with `status` (default 200; a gateway's is 502) |
 * | `truncated` | yes | a whole HTTP answer with half of the JSON |
 * | `cut-body` | yes | headers and half of the body, then the connection dies |
 * | `endless` | yes | 200, JSON that begins well and never ends: `chunkBytes` (1024) every `everyMs` (20) |
 * | `redirect` | no | `status` (302) to `location` (default: another origin, see `elsewhere()`) |
 * | `malformed` | yes | the true answer without `access_token`; the new `refresh_token` is in it |
 * | `wrong-content-type` | yes | the true answer, labelled `text/html` |
 * | `no-cors` | yes | the true answer without CORS headers; a browser and `asFetch()` reject |
 * | `oauth-error` | no | `error` (default `invalid_grant`) with `status` (400) |
 * | `hang` | no | nothing, for ever |
 */
export type FaultName =
  | 'drop-request'
  | 'drop-response'
  | 'delay'
  | '500-after-commit'
  | '503'
  | '429'
  | 'html'
  | 'truncated'
  | 'cut-body'
  | 'endless'
  | 'redirect'
  | 'malformed'
  | 'wrong-content-type'
  | 'no-cors'
  | 'oauth-error'
  | 'hang';

/** Plain JSON, so that it can be planned over HTTP. Any fault can be delayed. */
export interface Fault {
  readonly name: FaultName;
  readonly commit?: boolean;
  /** Milliseconds between the arrival of the request and the server's work. The work is done even if the client has gone meanwhile. */
  readonly beforeMs?: number;
  /** Milliseconds between the server's work and the answer. */
  readonly afterMs?: number;
  readonly status?: number;
  readonly retryAfterS?: number;
  readonly location?: string;
  readonly error?: string;
  readonly chunkBytes?: number;
  readonly everyMs?: number;
}

export type Endpoint = 'token' | 'revocation' | 'discovery' | 'jwks' | 'api';

/** A random plan: the same seed, requests in the same order, the same faults. */
export interface RandomFaults {
  readonly seed: number;
  /** Share of the token requests that fail, 0 to 1. */
  readonly rate: number;
  /** Drawn from evenly. */
  readonly faults: readonly Fault[];
}

export interface FaultPlan {
  /** Faults of the requests to come, each for one, first to last; `null` lets one pass. */
  plan(endpoint: Endpoint, ...faults: readonly (Fault | null)[]): void;
  /** For token requests that have no planned fault; `null` ends it. */
  random(choose: RandomFaults | (() => Fault | null) | null): void;
  /** How many planned faults did not happen yet. */
  left(): number;
  /** The fault of a request that has come; takes it off the plan. */
  next(endpoint: Endpoint): Fault | null;
}

export function createFaultPlan(): FaultPlan {
  const planned = new Map<Endpoint, (Fault | null)[]>();
  let choose: () => Fault | null = () => null;
  return {
    plan: (endpoint, ...faults) => void planned.set(endpoint, [...(planned.get(endpoint) ?? []), ...faults]),
    random: (how) => {
      choose = typeof how === 'function' ? how : how ? drawing(how) : () => null;
    },
    left: () => [...planned.values()].flat().filter((fault) => fault !== null).length,
    next: (endpoint) => {
      const fault = planned.get(endpoint)?.shift();
      if (fault !== undefined) return fault;
      return endpoint === 'token' ? choose() : null;
    },
  };
}

const NEVER_COMMIT: readonly FaultName[] = ['drop-request'];
const ALWAYS_COMMIT: readonly FaultName[] = ['drop-response', 'delay'];
const USUALLY_COMMIT: readonly FaultName[] = [
  '500-after-commit',
  'truncated',
  'cut-body',
  'endless',
  'malformed',
  'wrong-content-type',
  'no-cors',
];

/** Whether the server does its work. */
export function commits(fault: Fault | null): boolean {
  if (fault === null || ALWAYS_COMMIT.includes(fault.name)) return true;
  return !NEVER_COMMIT.includes(fault.name) && (fault.commit ?? USUALLY_COMMIT.includes(fault.name));
}

/** What a face brings to the client. */
export type Reply =
  | { readonly kind: 'dead' }
  | { readonly kind: 'hang' }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly text: string;
      /** Readable across origins. */
      readonly cors: boolean;
      /** How the body goes on after `text`: `cut`, the connection dies; or chunks for ever. */
      readonly tail?: 'cut' | { readonly chunkBytes: number; readonly everyMs: number };
    };

/** The server's own answer; `text` may be empty. */
export type Answer = Omit<Extract<Reply, { kind: 'answer' }>, 'kind' | 'cors' | 'tail'>;

/**
 * What a fault makes of an answer.
 *
 * @param answer the server's own; empty where it did not do its work
 * @param elsewhere where redirects go by default
 */
export function spoil(fault: Fault | null, answer: Answer, elsewhere: string): Reply {
  const reply = (status: number, contentType: string, text: string, headers: Readonly<Record<string, string>> = {}): Reply => ({
    kind: 'answer',
    status,
    headers: { 'cache-control': 'no-store', 'content-type': contentType, ...headers },
    text,
    cors: true,
  });
  const whole = { kind: 'answer', ...answer, cors: true } as const;
  const retryAfter = { 'retry-after': String(fault?.retryAfterS ?? 1) };
  switch (fault?.name) {
    case undefined:
    case 'delay':
      return whole;
    case 'drop-request':
    case 'drop-response':
      return { kind: 'dead' };
    case 'hang':
      return { kind: 'hang' };
    case '500-after-commit':
      return reply(500, 'text/plain', 'internal error');
    case '503':
      return reply(503, 'application/json', JSON.stringify({ error: 'temporarily_unavailable' }), retryAfter);
    case '429':
      return reply(429, 'text/plain', 'slow down', retryAfter);
    case 'html':
      return reply(fault.status ?? 200, 'text/html', '<!doctype html><title>Portal</title><p>Sign in to this network.</p>');
    case 'redirect':
      return reply(fault.status ?? 302, 'text/plain', '', { location: fault.location ?? elsewhere });
    case 'oauth-error':
      return reply(fault.status ?? 400, 'application/json', JSON.stringify({ error: fault.error ?? 'invalid_grant' }));
    case 'truncated':
      return { ...whole, text: half(answer.text) };
    case 'cut-body':
      return { ...whole, text: half(answer.text), tail: 'cut' };
    case 'endless': {
      const tail = { chunkBytes: fault.chunkBytes ?? 1024, everyMs: fault.everyMs ?? 20 };
      return { ...whole, text: `${answer.text.slice(0, -1)},"padding":"`, tail };
    }
    case 'malformed':
      return { ...whole, text: answer.text.replace(/"access_token":"[^"]*",/, '') };
    case 'wrong-content-type':
      return { ...whole, headers: { ...answer.headers, 'content-type': 'text/html' } };
    case 'no-cors':
      return { ...whole, cors: false };
  }
}

/** mulberry32: small, even enough for choosing faults, and the same everywhere. Numbers from 0 to below 1. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function drawing({ seed, rate, faults }: RandomFaults): () => Fault | null {
  const random = seededRandom(seed);
  return () => {
    const [luck, choice] = [random(), random()];
    return luck < rate ? (faults[Math.floor(choice * faults.length)] ?? null) : null;
  };
}

function half(text: string): string {
  return text.slice(0, Math.floor(text.length / 2));
}
