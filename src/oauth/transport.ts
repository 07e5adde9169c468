/**
 * One HTTP exchange with an authorization server: https, no redirects, no cookies, a deadline and a byte cap that cover the body
 * (HT-1, HT-2, HT-4, HT-5, E10).
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import { causeOf, CredentialError, NetworkError, ProtocolError } from '../errors.js';
import { countdown } from '../platform/countdown.js';
import type { Platform } from '../platform/platform.js';
import { ofClient } from '../platform/requests.js';
import { isLocalhost, isSecureUrl } from './secure-url.js';

/** What one exchange may cost. */
export interface Limits {
  /** Milliseconds from sending to the last byte of the body, counted while the program runs. */
  readonly timeoutMs: number;
  /** Decoded bytes of the body. */
  readonly maxBytes: number;
  /** True: a status of success says it all; its body is given up unread. */
  readonly isStatusEnough?: boolean;
  /** True: a success may hold the only token that lives. What is wrong beside its JSON object is overlooked (D-049). */
  readonly isLenient?: boolean;
}

/** Decoded bytes of the body of an error. */
const MAX_ERROR_BYTES = 64 * 1024;
/** How long the body of an error is waited for, in milliseconds: its status and its headers are there. */
const ERROR_BODY_MS = 3_000;

/** Token requests: a short deadline would only manufacture unknown outcomes (`standards.md` §0). */
export const TOKEN_LIMITS: Limits = { timeoutMs: 30_000, maxBytes: 512 * 1024, isLenient: true };
/** User info. */
export const CALL_LIMITS: Limits = { timeoutMs: 5_000, maxBytes: 512 * 1024 };
/** Revocation: what a success has as its body is of no interest (7009-3, RFC 7009 §2.2). */
export const REVOCATION_LIMITS: Limits = { ...CALL_LIMITS, isStatusEnough: true };
/** Discovery documents and key sets. */
export const METADATA_LIMITS: Limits = { timeoutMs: 5_000, maxBytes: 256 * 1024 };

/** A whole answer; times in epoch milliseconds. */
export interface Exchange {
  readonly sentAt: number;
  readonly receivedAt: number;
  /** The same by the server's clock, if it says what that is and it differs by more than a few seconds. */
  readonly serverTime: number;
  readonly status: number;
  readonly headers: Headers;
  /** Empty for an error whose body is longer than 64 KiB, or did not come whole within 3 s. */
  readonly text: string;
  /** What was sent and must not be seen in an error, should the server repeat it (HT-9). */
  readonly secrets?: readonly string[];
}

/**
 * Sends and reads to the end.
 *
 * @throws {NetworkError} `network_error`, `timeout`: no whole answer; the server may have acted all the same, unless the class is `transient`
 * @throws {ProtocolError} `unexpected_redirect`, `response_too_large`, `response_invalid` (no UTF-8)
 */
export async function send(platform: Platform, url: string, init: RequestInit, limits: Limits, issuer: string): Promise<Exchange> {
  assertSecureUrl(url, issuer);
  const deadline = deadlineIn(platform, limits.timeoutMs, issuer);
  const { abort } = deadline;
  const sentAt = platform.now();
  let isCalled = false;
  try {
    const how: RequestInit = {
      ...init,
      redirect: 'manual',
      credentials: 'omit',
      cache: 'no-store',
      referrerPolicy: 'no-referrer',
      signal: abort.signal,
    };
    const asked = platform.fetch(url, ofClient(how));
    isCalled = true;
    const response = await deadline.before(asked, drop);
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      abort.abort();
      throw new ProtocolError('unexpected_redirect', 'The authorization server answered with a redirect, which is never followed.', {
        issuer,
        status: response.status,
        class: 'transient', // of what stands before the server, as a rule, like a page that is none of its answers (D-047)
      });
    }
    const text = await (response.ok ? textOf(response, limits, deadline, issuer) : errorTextOf(response, limits, abort, platform, issuer));
    const receivedAt = platform.now();
    const serverTime = receivedAt + aheadMs(response.headers.get('date'), (sentAt + receivedAt) / 2);
    return { sentAt, receivedAt, serverTime, status: response.status, headers: response.headers, text };
  } catch (error) {
    if (error instanceof CredentialError) throw error;
    // It threw at once: no fetch here, or an option that it refuses. Nothing was sent (D-055). One that gave no promise may have sent.
    if (!isCalled) throw new NetworkError('network_error', `fetch could not be called${causeOf(error)}.`, { issuer, class: 'transient' });
    const code = codeOf(error);
    const why = `offline, refused, aborted, or not allowed by CORS${code ? ` (${code})` : ''}`;
    throw new NetworkError('network_error', `No readable answer from ${placeOf(url)}: ${why}.`, {
      issuer,
      ...(isUnsent(error) && { class: 'transient' as const }),
    });
  } finally {
    deadline.cancel();
  }
}

/** The time that one exchange has. */
interface Deadline {
  readonly abort: AbortController;
  /** Waits for one thing at a time, and no longer than there is time. What comes too late goes to `drop`. */
  before<T>(asked: Promise<T>, drop: (late: T) => unknown): Promise<T>;
  cancel(): void;
}

/** Ends the waiting itself: not every `fetch`, and not every body, heeds its signal. */
function deadlineIn(platform: Pick<Platform, 'setTimer'>, timeoutMs: number, issuer: string, abort = new AbortController()): Deadline {
  const { signal } = abort;
  let giveUp = (): void => undefined;
  signal.addEventListener('abort', () => giveUp()); // one for all chunks: a listener for each would keep them all
  const cancel = countdown(platform, timeoutMs, () => {
    abort.abort(new NetworkError('timeout', `No whole answer within ${timeoutMs} ms.`, { issuer }));
  });
  return {
    abort,
    cancel,
    before: (asked, drop) =>
      new Promise((resolve, reject) => {
        giveUp = () => reject(signal.reason as Error);
        if (signal.aborted) giveUp();
        asked.then((one) => (signal.aborted ? drop(one) : resolve(one))).catch(reject);
      }),
  };
}

/** How far the server's clock is ahead of ours, in milliseconds; 0 where it does not say, is right to a few seconds, or says nonsense. */
function aheadMs(date: string | null, at: number): number {
  const ms = Date.parse(date ?? '') - at;
  return Math.abs(ms) > 5_000 && Math.abs(ms) <= 86_400_000 ? ms : 0;
}

/** An exchange as the Response that `oauth4webapi` reads. Its text is here already: browsers take a millisecond to read it once more. */
export function responseOf({ status, headers, text }: Pick<Exchange, 'status' | 'headers' | 'text'>): Response {
  const response = new Response([101, 204, 205, 304].includes(status) ? null : text, { status, headers });
  const json = (): Promise<unknown> => new Promise((resolve) => resolve(JSON.parse(text)));
  return Object.defineProperty(response, 'json', { value: json });
}

/**
 * https, or http to a loopback literal (HT-1). `localhost` counts only when the issuer itself is there.
 *
 * @throws {CredentialError} `unsupported`
 */
export function assertSecureUrl(url: string, issuer: string): void {
  if (!isSecureUrl(url, isLocalhost(issuer))) {
    throw new ProtocolError('unsupported', 'Only https is allowed, or http to a loopback address.', { issuer });
  }
}

/** Origin and path. */
function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** No name was resolved, no connection was made, or the certificate was refused. Other codes may come after the sending. */
const UNSENT =
  /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|UND_ERR_CONNECT_TIMEOUT|CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|ERR_TLS_CERT_ALTNAME_INVALID)$/;

/** True if an error proves that nothing was sent. */
function isUnsent(error: unknown): boolean {
  const { syscall } = originOf(error);
  const code = codeOf(error) ?? '';
  return UNSENT.test(code) || (syscall === 'connect' && /^E(NET|HOST)UNREACH$/.test(code)); // a connection that stood may break with these, too
}

/**
 * What says why a connection failed: in Node the cause of what `fetch` throws, in Bun that itself. Deno has no codes, and where it says that it could not connect it
 * may have sent before: it sends a second time by itself.
 */
function originOf(error: unknown): { readonly [name in 'code' | 'syscall']?: unknown } {
  const { cause } = Object(error) as { readonly cause?: unknown };
  return Object(cause ?? error) as { readonly code?: unknown };
}

/** Of what another library throws only a code such as `ECONNREFUSED` is told; the rest may hold anything (E51). */
function codeOf(error: unknown): string | undefined {
  const { code } = originOf(error);
  return typeof code === 'string' && /^[A-Z0-9_]{1,60}$/.test(code) ? code : undefined;
}

function textOf(
  response: Response,
  { maxBytes, isStatusEnough, isLenient }: Limits,
  deadline: Deadline,
  issuer: string,
): string | Promise<string> {
  if (isLenient) return readText(response, maxBytes, false, deadline, issuer).then(leadingObject);
  if (!isStatusEnough) return readText(response, maxBytes, true, deadline, issuer);
  drop(response);
  return '';
}

/** Whatever becomes of the body, the status of an error counts (E6, E10). Its texts decide nothing, its code is ASCII. */
async function errorTextOf(
  response: Response,
  { maxBytes }: Limits,
  abort: AbortController,
  platform: Pick<Platform, 'setTimer'>,
  issuer: string,
): Promise<string> {
  const deadline = deadlineIn(platform, ERROR_BODY_MS, issuer, abort);
  try {
    return leadingObject(await readText(response, Math.min(maxBytes, MAX_ERROR_BYTES), false, deadline, issuer));
  } catch {
    return '';
  } finally {
    deadline.cancel();
  }
}

async function readText(response: Response, maxBytes: number, isUtf8: boolean, deadline: Deadline, issuer: string): Promise<string> {
  const tooLarge = (): ProtocolError =>
    new ProtocolError('response_too_large', `The answer is longer than ${maxBytes} bytes.`, { issuer, status: response.status });
  const reader = readerOf(response);
  if (!reader) {
    const text = await deadline.before(response.text(), () => undefined); // React Native has no streams
    if (new TextEncoder().encode(text).byteLength > maxBytes) throw tooLarge();
    return text;
  }
  const decoder = new TextDecoder('utf-8', { fatal: isUtf8 });
  const declared = response.headers.get('content-length');
  let text = '';
  let byteCount = 0;
  // RF-4, E7: what came whole counts, though the connection breaks after it, or is left open
  const isHere = (): boolean => isWhole(leadingObject(text));
  const stop = (): void => quietly(reader.cancel);
  const decoded = (bytes?: Uint8Array): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      stop();
      throw new ProtocolError('response_invalid', 'The answer is not UTF-8 text.', { issuer });
    }
  };
  const next = (): Promise<Piece> =>
    deadline.before(reader.read(), stop).catch((error: unknown) => {
      stop();
      if (isHere()) return { done: true, value: undefined };
      throw error;
    });
  for (let chunk = await next(); !chunk.done; chunk = await next()) {
    byteCount += chunk.value.byteLength;
    if (byteCount > maxBytes) {
      deadline.abort.abort();
      stop();
      if (isHere()) return text;
      throw tooLarge();
    }
    text += decoded(chunk.value);
    // That the body ends here Chromium says two milliseconds later. If it was compressed, the length is another one: so a look at it as well.
    if (declared === String(byteCount) && isWhole(text)) {
      const drained = reader.read().then(({ done }) => (done ? undefined : reader.cancel())); // so that the connection can be used again
      drained.catch(() => undefined);
      return text;
    }
  }
  return text + decoded();
}

/** A part of a body, or its end. */
type Piece = { readonly done: true; readonly value?: unknown } | { readonly done?: false; readonly value: Uint8Array };

/** A part as a stream gives it: one of Node that was told an encoding gives text. */
type Given = { readonly done: true; readonly value?: unknown } | { readonly done?: false; readonly value: Uint8Array | string };

/** What a body may have: streams of the web can be cancelled, those of Node, which `node-fetch` gives, destroyed. */
interface Body {
  getReader?(): { read(): Promise<Given>; cancel(): unknown };
  [Symbol.asyncIterator]?(): { next(): Promise<Given> };
  cancel?(): unknown;
  destroy?(): unknown;
}

/** Reads a body in pieces; `undefined` where that cannot be done. */
function readerOf(response: Response): { read(): Promise<Piece>; readonly cancel: () => unknown } | undefined {
  const body = response.body as Body | null | undefined;
  const reader = body?.getReader?.();
  if (reader) return { read: () => reader.read().then(pieceOf), cancel: () => reader.cancel() };
  const pieces = body?.[Symbol.asyncIterator]?.();
  return pieces && { read: () => pieces.next().then(pieceOf), cancel: () => letGo(response) };
}

function pieceOf(given: Given): Piece {
  if (given.done) return given;
  return { value: typeof given.value === 'string' ? new TextEncoder().encode(given.value) : given.value };
}

/** Gives up a body that nobody has begun to read. */
function drop(response: Response): void {
  quietly(() => letGo(response));
}

function letGo(response: Response): unknown {
  const body = response.body as Body | null | undefined;
  return body?.cancel ? body.cancel() : body?.destroy?.();
}

/** The connection may have ended by itself. */
function quietly(end: () => unknown): void {
  new Promise((resolve) => resolve(end())).catch(() => undefined);
}

/** True for a JSON object: nothing that could follow would make another one of it. */
function isWhole(text: string): boolean {
  return text.trimEnd().endsWith('}') && isPlainObject(parseJson(text));
}

/** The object that a text begins with, without what follows it; the text where it begins with none. */
function leadingObject(text: string): string {
  let depth = 0;
  for (const { 0: part, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"?|[{}]/gs)) {
    if (part === '{') depth++;
    if (part === '}' && --depth === 0) return text.slice(0, index + 1);
  }
  return text;
}
