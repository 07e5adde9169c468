/**
 * The one policy of all HTTP adapters: which token goes with a request, under which scheme, and what an answer means. What must be
 * remembered of one request lives in the caller's closure, never on the request (E13).
 *
 * @module
 */
import type { ResourceChallenge } from '../credential/actions.js';
import { CredentialError, isCredentialError } from '../errors.js';
import { defaultPlatform, type Platform } from '../platform/platform.js';
import { retryAfterMs } from '../credential/retry-after.js';
import { isSignedIn } from '../credential/state.js';
import type { AccessTokenOptions, Credential } from '../store/credential.js';
import { refusalOf } from './challenges.js';
import { assertChoice, chosen, type CredentialChoice, type StoreOfCredentials } from './choice.js';
import { createRecent, type Recent } from './recent.js';
import { createResourceMatcher, type ProtectedResource, type ResourceRequest } from './resources.js';

/** Options of the policy. */
export interface AttachmentOptions {
  /** Where tokens may go, and which. Empty: nowhere. */
  readonly resources: readonly (string | ProtectedResource)[];
  /** What relative request URLs are relative to; without it they never match. */
  readonly baseUrl?: () => string | undefined;
  /** How long a request waits for a token, in milliseconds; then it fails with `timeout`, and the renewal goes on. Default 30,000. */
  readonly waitMs?: number;
  /**
   * After 429 or 503 with `Retry-After`: waits that long, if it is no longer than this many milliseconds, and tries once more
   * (RFC 9110 §10.2.3). Default 0: such answers go to the caller.
   */
  readonly retryAfterMaxMs?: number;
  /**
   * Gets a better token, where a resource server asks for more scope or another login: for instance by a sign-in in a window. `true`: the
   * request is tried once more. Called once for all requests that ask for the same, and once a minute for each resource, whosever token
   * was refused (STEP-2). Without it there is an event only. What it throws the request fails with.
   */
  readonly stepUp?: (challenge: ResourceChallenge, credential: Credential) => boolean | Promise<boolean>;
  /** How long requests wait for `stepUp`, in milliseconds; then the answer that asked for it is the caller's. Default 300,000. */
  readonly stepUpWaitMs?: number;
  /** Clock and timers. Default: those of this runtime. */
  readonly platform?: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer'>;
}

/** Of one request. */
export interface RequestOptions {
  /** Whose token, whatever the resource says. A request that names a credential fails with `needs_sign_in` if there is none. */
  readonly credential?: CredentialChoice | undefined;
  /** False if the request cannot be sent again: its body is a stream, or the caller does not want it. Default `true`. */
  readonly mayRetry?: boolean;
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal | null | undefined;
}

/** An answer as far as tokens are concerned. */
export interface ResourceAnswer {
  readonly status: number;
  /** The value of a header; `null` if there is none, or a browser does not show it. */
  readonly header: (name: string) => string | null;
}

/** What was attached to one request. */
export interface Attachment {
  /** Value of the `Authorization` header: the scheme follows the token's type (E22). */
  readonly authorization: string;
  /** What goes with the next try; `null`: the answer is the caller's. After that many tries as there are reasons it always is. */
  retryOf(answer: ResourceAnswer): Promise<Attachment | null>;
}

/** Decides for each request. */
export interface AttachmentPolicy {
  /** True if a token may go with this request. */
  covers(request: ResourceRequest): boolean;
  /**
   * What to attach; `null` for a request that is not covered, and while nobody is signed in. Waits until storage was read and, if it
   * must, for a renewal.
   *
   * @throws {CredentialError} why there is no token: an expired one is never sent (E18); `timeout`
   */
  attach(request: ResourceRequest, options?: RequestOptions): Promise<Attachment | null>;
}

const WAIT_MS = 30_000;
const STEP_UP_WAIT_MS = 300_000;
/** The longest a timer can wait, in milliseconds. */
const LONGEST_MS = 2_147_483_647;

/** What all requests of a policy share. */
interface Shared {
  readonly store: StoreOfCredentials;
  readonly options: AttachmentOptions;
  readonly platform: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer'>;
  /** Where renewing helps nobody: a token that was renewed a moment ago and is of no use if it is refused, too; `null`: any. */
  readonly hopeless: Recent<string | null>;
  /** Step-ups that are under way, or were a moment ago; by resource and credential. */
  readonly stepUps: Recent<StepUp>;
  /** Resources that the application was asked about a moment ago. */
  readonly prompted: Recent<true>;
}

interface StepUp {
  granted: Promise<boolean>;
  isOver: boolean;
  /** For those who come later; they do not wait. */
  readonly end: () => void;
}

/** The policy of one store. @throws {TypeError} a wrong option */
export function createAttachmentPolicy(store: StoreOfCredentials, options: AttachmentOptions): AttachmentPolicy {
  assertOptions(options);
  const match = createResourceMatcher(options.resources, options.baseUrl);
  const { platform = defaultPlatform() } = options;
  const shared: Shared = { store, options, platform, ...memory(platform) };
  return {
    covers: (request) => match(request) !== null,
    attach: (request, own = {}) => {
      const resource = match(request);
      return resource ? new Sending(shared, resource, request, own).attach() : Promise.resolve(null);
    },
  };
}

function memory(platform: Shared['platform']): Pick<Shared, 'hopeless' | 'stepUps' | 'prompted'> {
  return { hopeless: createRecent(platform), stepUps: createRecent(platform), prompted: createRecent(platform) };
}

/** One request with its tries: one for each reason there can be to send it again. */
class Sending {
  #isRenewed = false;
  #isSteppedUp = false;
  #hasWaited = false;

  readonly #resource: ProtectedResource;
  readonly #request: ResourceRequest;
  readonly #own: RequestOptions;
  readonly #shared: Shared;

  constructor(shared: Shared, resource: ProtectedResource, request: ResourceRequest, own: RequestOptions) {
    this.#shared = shared;
    this.#resource = resource;
    this.#request = request;
    this.#own = own;
  }

  attach(): Promise<Attachment | null> {
    return this.#inTime(() => this.#found());
  }

  async #found(): Promise<Attachment | null> {
    const own = this.#own;
    if (own.credential !== undefined) assertChoice(own.credential);
    const choice = own.credential ?? this.#resource.credential;
    const credential = await chosen(this.#shared.store, choice, this.#request);
    if (!credential || !isSignedIn(credential.state)) {
      if (own.credential === undefined || typeof own.credential === 'function') return null;
      throw new CredentialError('needs_sign_in', 'The credential that the request asks for is not here; the user must sign in.');
    }
    try {
      return this.#with(credential, await credential.accessToken(this.#asked()));
    } catch (error) {
      const isForeign = own.credential === undefined && isCredentialError(error) && error.code === 'client_unknown';
      if (isForeign) return null; // left by another application of this origin
      throw error;
    }
  }

  /** What is asked of the credential: nothing special, as a rule. */
  #asked(refused?: string): AccessTokenOptions | undefined {
    const { scope, resource } = this.#resource;
    if (scope === undefined && resource === undefined && refused === undefined) return undefined;
    return {
      ...(scope !== undefined && { scope }),
      ...(resource !== undefined && { resource }),
      ...(refused !== undefined && { refused }),
    };
  }

  #with(credential: Credential, accessToken: string): Attachment {
    const { tokenType } = credential.state;
    if (tokenType === 'DPoP')
      throw new CredentialError('unsupported', 'The token is bound to a DPoP key; proofs for requests are not supported yet.');
    return { authorization: `${tokenType} ${accessToken}`, retryOf: (answer) => this.#retryOf(credential, accessToken, answer) };
  }

  async #retryOf(credential: Credential, sent: string, { status, header }: ResourceAnswer): Promise<Attachment | null> {
    if (status === 429 || status === 503) return this.#afterWaiting(header('Retry-After'));
    if (status !== 401 && status !== 403) return null;
    const refusal = refusalOf(status, header('WWW-Authenticate'));
    if (refusal.is === 'challenge') return this.#steppedUp(credential, sent, { ...refusal.challenge, resource: this.#resource.url });
    return refusal.is === 'token' ? this.#renewed(credential, sent) : null;
  }

  /** The next token, renewed if the one that was refused is still the current one (6750-4). */
  async #renewed(credential: Credential, sent: string): Promise<Attachment | null> {
    const { hopeless } = this.#shared;
    const key = keyOf(this.#resource, credential);
    if (this.#isRenewed || hopeless.get(key) === sent) hopeless.set(key, null);
    if (this.#isRenewed || hopeless.get(key) === null) return null;
    this.#isRenewed = true;
    const renew = async (): Promise<string> => {
      const renewed = await credential.accessToken(this.#asked(sent));
      if (renewed === sent) hopeless.set(key, null);
      return renewed;
    };
    if (this.#own.mayRetry === false) {
      // For those who come after. Nobody tries it now, so who does is the one to tell that it is of no use.
      renew().then(
        (renewed) => renewed !== sent && hopeless.set(key, renewed),
        () => undefined,
      );
      return null;
    }
    return this.#orNone(async () => {
      const renewed = await renew();
      return renewed === sent ? null : this.#with(credential, renewed);
    });
  }

  /** What the application brings for a resource server that asks for more. Without it, it hears of it. */
  async #steppedUp(credential: Credential, sent: string, challenge: ResourceChallenge): Promise<Attachment | null> {
    if (this.#isSteppedUp) return null;
    this.#isSteppedUp = true;
    const stepUp = this.#stepUp(credential, challenge);
    const wasOver = stepUp.isOver;
    if (!this.#shared.options.stepUp || this.#own.mayRetry === false) return null;
    const granted = wasOver ? stepUp.granted.catch(() => false) : this.#outcomeOf(stepUp); // who came later does not hear of its error
    if (!(await granted)) return null;
    const next = await this.#orNone(() => this.#found());
    const isOther = next !== null && !next.authorization.endsWith(` ${sent}`);
    return isOther || !wasOver ? next : null;
  }

  /** The step-up that is under way or was a moment ago, or a new one. */
  #stepUp(credential: Credential, challenge: ResourceChallenge): StepUp {
    const { stepUps, prompted, options } = this.#shared;
    const { url } = this.#resource;
    const key = keyOf(this.#resource, credential);
    const known = stepUps.get(key);
    if (known) return known;
    credential.reportChallenge(challenge);
    const { stepUp } = options;
    const isDone = !stepUp || prompted.get(url) === true;
    const begun: StepUp = {
      granted: Promise.resolve(false),
      isOver: isDone,
      end: () => {
        begun.isOver = true;
        stepUps.set(key, begun);
        prompted.set(url, true);
      },
    };
    stepUps.set(key, begun, isDone ? undefined : Infinity); // a user may take her time
    if (!stepUp || isDone) return begun;
    // For whatever credential: one that it brought may be refused, too. If nobody waits, nobody ends it
    prompted.set(url, true, Math.max(options.stepUpWaitMs ?? STEP_UP_WAIT_MS, STEP_UP_WAIT_MS));
    begun.granted = (async () => (await stepUp(challenge, credential)) === true)();
    begun.granted.then(begun.end, begun.end);
    return begun;
  }

  /** What comes of a step-up as long as the request waits for it; then it is over for those who come later, too. */
  async #outcomeOf(stepUp: StepUp): Promise<boolean> {
    const { platform, options } = this.#shared;
    let cancel = (): void => undefined;
    const late = new Promise<boolean>((resolve) => {
      const giveUp = (): void => {
        stepUp.granted = Promise.resolve(false); // it may come to no end at all
        stepUp.end();
        resolve(false);
      };
      cancel = platform.setTimer(giveUp, Math.min(options.stepUpWaitMs ?? STEP_UP_WAIT_MS, LONGEST_MS), true);
    });
    return ended(Promise.race([stepUp.granted, late]), this.#own.signal).finally(cancel);
  }

  async #afterWaiting(value: string | null): Promise<Attachment | null> {
    const { platform, options } = this.#shared;
    const mostMs = Math.min(options.retryAfterMaxMs ?? 0, LONGEST_MS);
    const ms = retryAfterMs(value, platform.now()) ?? Infinity;
    if (mostMs === 0 || ms > mostMs || this.#hasWaited || this.#own.mayRetry === false) return null;
    this.#hasWaited = true;
    let cancel = (): void => undefined;
    const passed = new Promise<void>((resolve) => (cancel = platform.setTimer(resolve, Math.max(ms, 0), true)));
    await ended(passed, this.#own.signal).finally(cancel);
    return this.#orNone(() => this.#found());
  }

  /** Another try, in time; none where there is no token for it: what failed is in `events$` and in the status, the answer is the caller's. */
  async #orNone(next: () => Promise<Attachment | null>): Promise<Attachment | null> {
    try {
      return await this.#inTime(next);
    } catch (error) {
      if (isCredentialError(error) && !this.#own.signal?.aborted) return null;
      throw error;
    }
  }

  /** Waits as long as a request may. What is at hand comes within some turns of the microtask queue: it needs no timer and no listener. */
  async #inTime<T>(ask: () => Promise<T>): Promise<T> {
    const { signal } = this.#own;
    if (signal?.aborted) throw signal.reason as Error; // nothing is asked
    const asked = ask();
    let isThere = false;
    const arrive = (): void => void (isThere = true);
    asked.then(arrive, arrive);
    // eslint-disable-next-line @typescript-eslint/await-thenable -- a turn
    for (let turn = 0; turn < AT_HAND_TURNS && !isThere; turn++) await null;
    return isThere ? asked : this.#awaited(asked);
  }

  #awaited<T>(asked: Promise<T>): Promise<T> {
    const { platform, options } = this.#shared;
    const { signal } = this.#own;
    return new Promise<T>((resolve, reject) => {
      const over = (): void => {
        cancel();
        signal?.removeEventListener('abort', abort);
      };
      const fail = (error: Error): void => (over(), reject(error));
      const abort = (): void => fail(signal?.reason as Error);
      const late = (): void =>
        fail(new CredentialError('timeout', 'There was no token for the request in time; the renewal goes on.', { class: 'transient' }));
      const cancel = platform.setTimer(late, Math.min(options.waitMs ?? WAIT_MS, LONGEST_MS), true);
      signal?.addEventListener('abort', abort);
      if (signal?.aborted) abort();
      asked.then((value) => (over(), resolve(value)), fail);
    });
  }
}

/** More than the longest way to a token that is at hand. */
const AT_HAND_TURNS = 24;

function keyOf({ url }: ProtectedResource, { id }: Credential): string {
  return `${url} ${id}`;
}

/** What comes of something, or the reason why the caller does not want it any more. */
function ended<T>(waited: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return waited;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop);
    waited.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
  });
}

function assertOptions(options: AttachmentOptions): void {
  const { resources, waitMs = 0, retryAfterMaxMs = 0, stepUpWaitMs = 0 } = options;
  if (!Array.isArray(resources)) throw new TypeError('resources must be a list of URLs; an empty one means that no token goes anywhere');
  for (const [name, ms] of Object.entries({ waitMs, retryAfterMaxMs, stepUpWaitMs }))
    if (!(typeof ms === 'number' && ms >= 0)) throw new TypeError(`${name} must be a number of milliseconds, 0 or more`);
}
