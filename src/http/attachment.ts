/**
 * The one policy of all HTTP adapters: which token goes with a request, under which scheme, and what an answer means. What must be
 * remembered of one request lives in the caller's closure, never on the request (E13).
 *
 * @module
 */
import type { ResourceChallenge } from '../credential/actions.js';
import { CredentialError, isCredentialError } from '../errors.js';
import { defaultPlatform, type Platform } from '../platform/platform.js';
import { normalizeScope } from '../credential/scope.js';
import { retryAfterMs } from '../credential/retry-after.js';
import type { AccessTokenOptions, Credential } from '../store/credential.js';
import { assertArguments } from './arguments.js';
import { refusalOf } from './challenges.js';
import {
  assertChoice,
  createUsers,
  isSameUser,
  isThere,
  userOf,
  type CredentialChoice,
  type StoreOfCredentials,
  type User,
  type Users,
} from './choice.js';
import { createInVain, type InVain } from './in-vain.js';
import type { Marks } from './marks.js';
import {
  addressOf,
  createResourceMatcher,
  isRead,
  type ProtectedResource,
  type ResourceMatcher,
  type ResourceRequest,
} from './resources.js';
import { createStepUpMemory, createStepUps, type StepUpMemory, type StepUps } from './step-ups.js';
import { ended, inTime, LONGEST_MS, settledBy } from './waiting.js';

/** Options of the policy. */
export interface AttachmentOptions {
  /** Where tokens may go, and which. Empty: nowhere. */
  readonly resources: readonly (string | ProtectedResource)[];
  /** What relative request URLs are relative to, an absolute URL; without it they never match. Those that match are sent to what they mean by it. */
  readonly baseUrl?: () => string | undefined;
  /** How long a request waits for a token, in milliseconds; then it fails with `timeout`, and the renewal goes on. Default 30,000. */
  readonly waitMs?: number | undefined;
  /**
   * After 429 or 503 with `Retry-After`: waits that long, a second at least, if it is no longer than this many milliseconds, and tries
   * once more (RFC 9110 §10.2.3). Default 0: such answers go to the caller.
   */
  readonly retryAfterMaxMs?: number | undefined;
  /**
   * Gets a better token, where a resource server asks for more scope or another login: for instance by a sign-in in a window. `true`: the
   * request is tried once more. Called once for all requests that ask for the same, and once a minute for each resource, whosever token
   * was refused (STEP-2); adapters of a store that are given the same function and `stepUpWaitMs` count as one. Without it there is an
   * event only. What it throws the request fails with.
   */
  readonly stepUp?: ((challenge: ResourceChallenge, credential: Credential) => boolean | Promise<boolean>) | undefined;
  /** How long requests wait for `stepUp`, in milliseconds; then the answer that asked for it is the caller's. Default 300,000. */
  readonly stepUpWaitMs?: number | undefined;
  /** Clock and timers. Default: those of this runtime. */
  readonly platform?: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer'> | undefined;
}

/** Of one request. */
export interface RequestOptions {
  /**
   * Whose token, whatever the resource says. A request that names a credential fails with `needs_sign_in` if there is none; a function that
   * gives `null` names nobody, and the request goes without a token.
   */
  readonly credential?: CredentialChoice | undefined;
  /** False if the request cannot be sent again: its body is a stream, or the caller does not want it. Default `true`. */
  readonly mayRetry?: boolean | undefined;
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal | null | undefined;
}

/** An answer as far as tokens are concerned. */
export interface ResourceAnswer {
  readonly status: number;
  /** The value of a header; `null` if there is none, or a browser does not show it. */
  readonly header: (name: string) => string | null;
  /**
   * Where it came from in the end, if something else follows redirects. Of another place it says nothing about the token, and after a
   * redirect nothing but GET and HEAD is sent again: what was asked first may have been done. Left out: from where it was asked for.
   */
  readonly url?: string | null | undefined;
  /** Whether something else has followed a redirect, also one to the same address. Left out: not known; then the addresses tell. */
  readonly redirected?: boolean | undefined;
  /** Where it was asked for, if that is not the address of the request, but for instance that with a query. */
  readonly askedUrl?: string | undefined;
}

/** What was attached to one request. */
export interface Attachment {
  /** Value of the `Authorization` header: the scheme follows the token's type (E22). */
  readonly authorization: string;
  /**
   * What goes with the next try, which is the same user's; `null`: the answer is the caller's. After that many tries as there are reasons
   * it always is.
   */
  retryOf(answer: ResourceAnswer): Promise<Attachment | null>;
  /** The token came of a renewal after a 401. Then `retryOf` wants to see every answer: where it was taken, a later refusal is no reason not to renew it. */
  readonly isNew?: true;
  /**
   * What goes with a redirect that is followed by hand, `null` off the list: a token of the same user, unless its resource names another.
   *
   * @throws {CredentialError} as `attach` does; `needs_sign_in` if the credential is another user's now
   */
  follow(request: ResourceRequest, options?: Pick<RequestOptions, 'mayRetry'>): Promise<Attachment | null>;
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
/** A token that was refused somewhere is held back no longer than this while the next one is on its way, in milliseconds. */
const HELD_BACK_MS = 2_000;
/** What a server that is busy is left alone for at least, whatever it says. */
const LEAST_WAIT_MS = 1_000;

/** What is remembered of a store and its resource servers, whoever asks: a program may make an adapter for each request (D-038). */
interface Memory extends StepUpMemory {
  /** By kind of token, at one resource and of one credential. */
  readonly inVain: InVain;
  /** What those who come wait for while a refused token is being renewed and the one who was refused does not; by the same. */
  readonly renewals: Map<string, Promise<void>>;
}

/** By the clock of the policy that came first. */
const memories = new WeakMap<StoreOfCredentials, Memory>();

/** What all requests of a policy share. */
interface Shared extends Pick<Memory, 'inVain' | 'renewals'> {
  readonly store: StoreOfCredentials;
  readonly match: ResourceMatcher;
  readonly options: AttachmentOptions;
  readonly platform: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer'>;
  readonly stepUps: StepUps;
}

/** The policy of one store. @throws {TypeError} a wrong option */
export function createAttachmentPolicy(store: StoreOfCredentials, options: AttachmentOptions): AttachmentPolicy {
  assertArguments(store, options);
  const match = createResourceMatcher(options.resources, options.baseUrl);
  const { platform = defaultPlatform() } = options;
  const memory = memories.get(store) ?? {
    ...createStepUpMemory(platform),
    inVain: createInVain(platform),
    renewals: new Map<string, Promise<void>>(),
  };
  memories.set(store, memory);
  const { inVain, renewals } = memory;
  const shared: Shared = { store, match, options, platform, inVain, renewals, stepUps: createStepUps(options, platform, memory) };
  return {
    covers: (request) => match(request) !== null,
    attach: (request, own = {}) => attach(shared, { request, own, users: createUsers(store), marks: new Map() }),
  };
}

/** A request, or one that follows from it. */
interface Asked {
  readonly request: ResourceRequest;
  readonly own: RequestOptions;
  readonly users: Users;
  /** By resource: a redirect within one is no new reason to renew, to ask the user, or to wait. */
  readonly marks: Map<ProtectedResource, Marks>;
}

/** What was sent, and whether it may be once more. */
interface Sent {
  readonly user: User;
  readonly accessToken: string;
  readonly mayRetry: boolean;
}

function attach(shared: Shared, asked: Asked): Promise<Attachment | null> {
  const resource = shared.match(asked.request);
  return resource ? new Sending(shared, resource, asked).attach() : Promise.resolve(null);
}

/** One request with its tries: one for each reason there can be to send it again. */
class Sending {
  readonly #marks: Marks;
  readonly #shared: Shared;
  readonly #resource: ProtectedResource;
  readonly #asked: Asked;
  readonly #own: RequestOptions;

  constructor(shared: Shared, resource: ProtectedResource, asked: Asked) {
    this.#shared = shared;
    this.#resource = resource;
    this.#asked = asked;
    this.#own = asked.own;
    this.#marks = asked.marks.get(resource) ?? {};
    asked.marks.set(resource, this.#marks);
  }

  attach(): Promise<Attachment | null> {
    return this.#inTime(() => this.#found());
  }

  async #found(): Promise<Attachment | null> {
    const { request, users } = this.#asked;
    const own = this.#own.credential;
    if (own !== undefined) assertChoice(own);
    const user = await users.chosenBy(own ?? this.#resource.credential, request);
    if (!user) {
      if (own === undefined || user === null) return null;
      throw new CredentialError('needs_sign_in', 'The credential that the request asks for is not here; the user must sign in.');
    }
    try {
      return this.#with(user, await this.#goodTokenOf(user));
    } catch (error) {
      const isForeign = own === undefined && isCredentialError(error) && error.code === 'client_unknown';
      if (isForeign) return null; // left by another application of this origin
      throw error;
    }
  }

  /** An access token; where the one at hand is being renewed because it was refused, the next one if it comes soon. Else what there is. */
  async #goodTokenOf(user: User): Promise<string> {
    const renewal = this.#shared.renewals.get(keyOf(this.#resource, user.credential));
    if (renewal) await renewal;
    return this.#tokenOf(user);
  }

  /** An access token, as long as it is that user's. */
  async #tokenOf(user: User, refused?: string): Promise<string> {
    const { credential } = user;
    const { scope, resource } = this.#resource;
    const isPlain = scope === undefined && resource === undefined && refused === undefined;
    const asked: AccessTokenOptions = {
      ...(scope !== undefined && { scope }),
      ...(resource !== undefined && { resource }),
      ...(refused !== undefined && { refused }),
    };
    const accessToken = await credential.accessToken(isPlain ? undefined : asked);
    if (!isSameUser(user, userOf(credential)))
      throw new CredentialError('needs_sign_in', 'The credential is no longer that of the user in whose name the request was made.');
    return accessToken;
  }

  #with(user: User, accessToken: string): Attachment {
    const { tokenType } = user.credential.state;
    if (tokenType === 'DPoP')
      throw new CredentialError('unsupported', 'The token is bound to a DPoP key; proofs for requests are not supported yet.');
    return {
      authorization: `${tokenType} ${accessToken}`,
      ...(this.#shared.inVain.isBrought(accessToken) && { isNew: true }),
      retryOf: (answer) => this.#retryOf(user, accessToken, answer),
      follow: (request, { mayRetry = this.#own.mayRetry } = {}) =>
        attach(this.#shared, { ...this.#asked, request, own: { ...this.#own, mayRetry } }),
    };
  }

  async #retryOf(user: User, accessToken: string, answer: ResourceAnswer): Promise<Attachment | null> {
    const { status, header } = answer;
    if (this.#isElsewhere(answer)) return null;
    const sent: Sent = { user, accessToken, mayRetry: this.#mayRetry(answer) };
    if (status === 429 || status === 503) return this.#afterWaiting(header('Retry-After'), sent);
    const { inVain } = this.#shared;
    if (isTaken(status) && inVain.isBrought(accessToken)) inVain.accept(keyOf(this.#resource, user.credential), accessToken);
    if (status !== 401 && status !== 403) return null;
    const refusal = refusalOf(status, header('WWW-Authenticate'), accessToken);
    if (refusal.is === 'challenge') return this.#steppedUp(sent, { ...refusal.challenge, resource: this.#resource.url });
    return refusal.is === 'token' ? this.#renewed(sent) : null;
  }

  /** True for the answer of a place to which a redirect led: the token did not go there, or was not meant for it (HT-3). */
  #isElsewhere({ url, redirected }: ResourceAnswer): boolean {
    return redirected !== false && !!url && this.#shared.match({ url, method: this.#asked.request.method }) !== this.#resource;
  }

  /** False also for a POST that a redirect answered: then what was refused is the GET that followed, and the POST was taken. */
  #mayRetry({ url, redirected, askedUrl }: ResourceAnswer): boolean {
    const { request, own } = this.#asked;
    if (own.mayRetry === false) return false;
    if (isRead(request.method)) return true;
    if (redirected !== undefined) return !redirected;
    const base = this.#shared.options.baseUrl?.();
    return !url || addressOf(url, base) === addressOf(askedUrl ?? request.url, base);
  }

  /** The next token, renewed if the one that was refused is still the current one (6750-4). */
  async #renewed({ user, accessToken: sent, mayRetry }: Sent): Promise<Attachment | null> {
    const { inVain, renewals, platform, options } = this.#shared;
    const key = keyOf(this.#resource, user.credential);
    const former = this.#marks.renewedFor;
    if (former !== undefined) inVain.add(key, former);
    if (former !== undefined || inVain.has(key, sent)) return null;
    this.#marks.renewedFor = sent;
    const renew = async (): Promise<string> => {
      const atHand = user.credential.token?.accessToken; // of a sign-in meanwhile, perhaps: it did not come of this renewal
      const renewed = await this.#tokenOf(user, sent);
      if (renewed === sent) inVain.add(key, sent);
      if (renewed === sent || renewed !== atHand) inVain.bring(renewed);
      return renewed;
    };
    if (!mayRetry) {
      // For those who come after. Nobody tries it now: whether it is of use is not known, unless this was the second in a row.
      const isSecond = inVain.isBrought(sent);
      const renewing = renew().then(() => isSecond && inVain.add(key, sent));
      // What one place refuses others may take: the token at hand is not held back for long (D-032)
      const soon = settledBy(renewing, platform, Math.min((options.waitMs ?? WAIT_MS) / 2, HELD_BACK_MS));
      renewals.set(key, soon);
      void soon.then(() => renewals.get(key) === soon && renewals.delete(key));
      return null;
    }
    return this.#orNone(async () => {
      const renewed = await renew();
      return renewed === sent ? null : this.#with(user, renewed);
    });
  }

  /** What the application brings for a resource server that asks for more. Without it, it hears of it. */
  async #steppedUp({ user, accessToken: sent, mayRetry }: Sent, challenge: ResourceChallenge): Promise<Attachment | null> {
    if (this.#marks.isSteppedUp) return null;
    this.#marks.isSteppedUp = true;
    if (!(await this.#isStill(user))) return null;
    const { stepUps, options } = this.#shared;
    await this.#orNone(() => stepUps.tell(challenge, user.credential)); // the event comes before the answer
    if (!options.stepUp || !(await this.#isStill(user))) return null; // that took its time
    const stepUp = stepUps.of(challenge, user.credential);
    const wasOver = stepUp.isOver;
    if (!mayRetry) return null;
    const granted = wasOver ? stepUp.granted.catch(() => false) : stepUps.outcomeOf(stepUp, this.#own.signal); // who came later does not hear of its error
    if (!(await granted)) return null;
    const next = await this.#orNone(() => this.#found());
    const isOther = next !== null && !next.authorization.endsWith(` ${sent}`);
    return isOther || !wasOver ? next : null;
  }

  /** False once the user has signed out, somebody else is in her place, or the store was closed: nobody is asked in her name then (E12). */
  async #isStill(user: User): Promise<boolean> {
    const { credential } = user;
    const known = await this.#orNone(async () => (await this.#shared.store.with(credential.id)) ?? undefined);
    const isHere = known === credential || (known !== null && credential.token !== null); // a function may have given one of another store
    return isHere && isThere(credential.state) && isSameUser(user, userOf(credential));
  }

  async #afterWaiting(value: string | null, { mayRetry }: Sent): Promise<Attachment | null> {
    const { platform, options } = this.#shared;
    const mostMs = Math.min(options.retryAfterMaxMs ?? 0, LONGEST_MS);
    const ms = Math.max(retryAfterMs(value, platform.now()) ?? Infinity, LEAST_WAIT_MS);
    if (mostMs === 0 || ms > mostMs || this.#marks.hasWaited || !mayRetry) return null;
    this.#marks.hasWaited = true;
    let cancel = (): void => undefined;
    const passed = new Promise<void>((resolve) => (cancel = platform.setTimer(resolve, ms, true)));
    await ended(passed, this.#own.signal).finally(cancel);
    return this.#orNone(() => this.#found());
  }

  /** Another try, in time; none where there is no token for it: what failed is in `events$` and in the status, the answer is the caller's. */
  async #orNone<T>(next: () => Promise<T>): Promise<T | null> {
    try {
      return await this.#inTime(next);
    } catch (error) {
      if (isCredentialError(error) && !this.#own.signal?.aborted) return null;
      throw error;
    }
  }

  #inTime<T>(ask: () => Promise<T>): Promise<T> {
    const { platform, options } = this.#shared;
    return inTime(ask, { platform, signal: this.#own.signal, waitMs: options.waitMs ?? WAIT_MS });
  }
}

/** True for the answer of who took the token, whatever became of the request. A redirect may lead to a login. */
function isTaken(status: number): boolean {
  return (status >= 200 && status < 300) || status === 304 || (status >= 400 && status < 500 && ![401, 403, 407, 429].includes(status));
}

/** Adapters may ask for other tokens of one credential at one place: what is known of one of them says nothing of another. */
function keyOf({ url, scope = '', resource }: ProtectedResource, { id }: Credential): string {
  return JSON.stringify([url, id, normalizeScope(scope), resource]);
}
