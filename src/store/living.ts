/**
 * Everything of a store that changes: folding actions, following other tabs, time, queries and commands. Loaded when storage has been
 * read, since showing who is signed in and sending a valid token needs none of it.
 *
 * @module
 */
import { distinctUntilChanged, map, type Observable } from 'rxjs';
import type { Change } from '../credential/draft.js';
import { compileQuery, normalizeTags, type CredentialQuery } from '../credential/query.js';
import { isLastCount, STORE_RECORD_ID, type CredentialRecord, type OpenRecord } from '../credential/record.js';
import type { ResourceChallenge } from '../credential/actions.js';
import { fold } from '../credential/reducer.js';
import type { CredentialState } from '../credential/state.js';
import { withFields } from '../credential/create-token.js';
import { isToken, type Token } from '../credential/token.js';
import { StorageError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage } from '../storage/storage.js';
import { loadAhead } from './ahead.js';
import { withdrawAccessTokens } from './at-rest.js';
import { authorize } from './authorize.js';
import { createCatchingUp, FIRST_RETRY_MS, LAST_RETRY_MS } from './catching-up.js';
import { reportChallenge } from './challenge.js';
import { createClock } from './clock.js';
import type { AccessTokenOptions, Credential, CredentialContext } from './credential.js';
import { tombstoneOf } from './drafts.js';
import { createFollowing } from './following.js';
import { clearAll } from './given-up.js';
import { createDoubts } from './in-doubt.js';
import type { Holding, Ledger, Meant } from './ledger.js';
import { revokeUnwritten } from './letting-go.js';
import { createLookup } from './lookup.js';
import type { Folding, Loop } from './loop.js';
import { createMembership, type Membership } from './membership.js';
import { createStoreLocks } from './store-locks.js';
import { createQuestions, type Questions } from './questions.js';
import { createRefresher } from './refresh.js';
import type { RefreshRequest, Renewed } from './refresh-request.js';
import { STILL_RUNS_MS } from './refresh-locks.js';
import { createRenewal } from './renewal.js';
import { whenOpened } from './reopening.js';
import { createResting } from './resting.js';
import { createResuming, revoke, type RevokeResult, type RevokeTarget } from './revocation.js';
import { signOut, type SignOutOptions, type SignOutResult } from './sign-out.js';
import { gone, sameAsNow } from './usable-token.js';
import type { Connection } from './tabs.js';
import { accessTokenFor, renewedOrHeld, type ValidTokenContext } from './valid-token.js';
import { createWaiters } from './waiters.js';
import { createWriting } from './writing.js';

/** What a store does once it lives. */
export interface Living extends Pick<Membership, 'setDefault' | 'clear' | 'store'>, Questions {
  /** The token after a renewal, if one was needed. @throws {CredentialError} why there is none */
  refresh(own: Holding, request: RefreshRequest): Promise<Token>;
  /** The same, but the token at hand if that lives on and the renewal takes long or fails. */
  renewedOrHeld(own: Holding, minValidityMs: number): Promise<Token>;
  /** An access token for less scope or another resource. No command: the record may take long to open. @throws {CredentialError} */
  accessTokenFor(own: Holding, options: AccessTokenOptions): Promise<string>;
  /** Who asks has a token that serves: what an earlier refresh has left in doubt is taken up beside. */
  takeUp(own: Holding): void;
  revoke(own: Holding, target: RevokeTarget): Promise<RevokeResult>;
  remove(own: Holding): Promise<void>;
  setTags(own: Holding, tags: readonly string[]): Promise<void>;
  signOut(own: Holding, options: SignOutOptions): Promise<SignOutResult>;
  authorize(credential: Credential, input: string | URL | Request, init: RequestInit | undefined): Promise<Request>;
  /** Tells what a resource server asks for. @throws {CredentialError} of whom nobody is told */
  reportChallenge(own: Holding, challenge: ResourceChallenge): Promise<void>;
  /** Ids of all that match, in order of storing. */
  find(query: CredentialQuery): readonly string[];
  find$(query: CredentialQuery): Observable<readonly string[]>;
  /** The token of a record that could not be opened for now, and why, once it was. */
  whenOpened(own: Holding, why: unknown): Observable<Token | null>;
  /** Somebody else wrote a record; without a revision it is read in any case, later if it says that something was `begun`. */
  heard(id: string, revision?: unknown, begun?: unknown): void;
  /** Reads a record again. @throws {StorageError} it is not known, and cannot be read */
  reread(id: string): Promise<void>;
  /** Takes up what an earlier run began, and lets go of what is due. */
  tidy(): Promise<void>;
  /** The program is about to stand still: what is heard is read when it wakes. */
  freeze(): void;
  /** The program may have slept: compares clocks, and reads what others wrote meanwhile. */
  wake(): void;
  /** Resolves when nothing is to be caught up with any more. */
  caughtUp(): Promise<void> | undefined;
  /** The store closes: what has not begun waits no longer than a little. */
  hurry(): void;
  /** Tries a last time to write what waits, and lets go of locks that were kept for it. */
  flush(): Promise<void>;
  close(): void;
}

/** What a living store needs of the part that was there before. */
export interface LivingContext {
  readonly ledger: Ledger;
  readonly loop: Loop;
  readonly platform: Platform;
  readonly refreshOnly: boolean;
  readonly credentials: CredentialContext;
  readonly storageOf: () => CredentialStorage;
  /** The storage that the store was made with; another one is in use where it was given up. */
  readonly given: CredentialStorage | undefined;
  readonly clientOf: (record: Pick<CredentialRecord, 'context'>) => OAuth2Client | undefined;
  /** True if tokens are renewed without being asked for. */
  readonly renewsAhead: boolean;
  readonly announce: Connection['announce'];
  /** False where nobody tells of what others write. */
  readonly hears: () => boolean;
  /** Hears of each credential that is no more, with its last state. */
  readonly onGone: (last: CredentialState) => void;
  /** True once `close` was called: no question is answered from memory any more. */
  readonly isClosing: () => boolean;
  /** `close` waits for what is run here. */
  readonly running: <T>(command: Promise<T>) => Promise<T>;
}

/** So long after a page was told that it is left, in milliseconds, what is asked is answered by what is known: it may have no more than this moment. */
const LEAVING_MS = 500;

/** True for what a credential becomes that nobody can use any more. */
function isEnding(after: CredentialState | undefined): boolean {
  return !after || after.status.activity === 'revoking';
}

/** What a handle goes on saying that somebody has kept: by the claims who it was, by the status that nobody is signed in. */
function ended(last: CredentialState): CredentialState {
  const token = last.status.token === 'needs_sign_in' ? 'needs_sign_in' : 'expired'; // its reason stays with it
  const status = Object.freeze({ token, activity: 'idle' } as const);
  return Object.freeze({ ...last, isRenewable: false, isDefault: false, hasExpired: true, refreshFailure: null, status });
}

/** False where an answer brought no more than another refresh token: it was refused. */
function isRenewed(before: CredentialState, after: CredentialState): boolean {
  if (after.generation === before.generation) return false;
  const isForUser = before.status.token === 'needs_sign_in' || before.status.token === 'needs_interaction';
  return isForUser || after.issuedAt !== before.issuedAt || (after.expiresAt ?? Infinity) > (before.expiresAt ?? Infinity);
}

/** Brings a store to life. */
export function createLiving(context: LivingContext): Living {
  const { ledger, loop, platform, clientOf } = context;
  const dropped = (record: OpenRecord): void => void revokeUnwritten(parts, clientOf(record), record);
  const following = createFollowing(ledger, loop, context.refreshOnly, dropped);
  const writing = createWriting({ ...context, following, dropped });
  const parts = { ...context, following, writing, locks: createStoreLocks(context), revoking: new Map<string, Promise<RevokeResult>>() };
  const { trust, used } = context.credentials;
  const doubts = createDoubts(context);
  const renewal = createRenewal({ ...context, isAhead: context.renewsAhead, used, doubts });
  const attacked = new Set<string>();
  const sending = new Set<string>();
  const resuming = createResuming(parts);
  const refresher = createRefresher({ ...parts, renewal, doubts, attacked, sending });
  const lookup = createLookup();
  const find = (query: CredentialQuery): readonly string[] => lookup.ids(compileQuery(query), loop.snapshot().credentials);
  const membership = createMembership({ ...parts, find });
  let retryDelayMs = FIRST_RETRY_MS;
  let closed = false;
  let frozen = false; // a page that is frozen in the middle of a reading keeps others from writing
  let leavesUntil = -Infinity; // monotonic: what a page sends as it is left cannot wait for a reading

  /** The credential that is meant, unless another has its id by now. */
  const known = (own: Holding): Meant => {
    const entry = ledger.entry(own.id);
    if (entry && entry !== own) throw gone();
    return own;
  };
  const waiters = createWaiters(ledger);
  const whileWaiting = (own: Holding, request: RefreshRequest, refreshing: Promise<Renewed>): Promise<Renewed> => {
    void context.running(refreshing).catch(() => undefined);
    return waiters.wait(own, request, refreshing);
  };
  const letLeave = (id: string): void => {
    if (!attacked.has(id)) waiters.leave(id);
  };
  /** Somebody else has brought a token: who waits for a lock is served by it, and who waits for an answer that may never come. */
  const look = (id: string): void => {
    refresher.look(id);
    if (sending.has(id)) waiters.look(id); // else what is under way ends by itself
  };
  /** One that was answered with an error a moment ago is not asked again at once, unless another tab has the token by now. */
  const renewed = async (own: Holding, request: RefreshRequest): Promise<Renewed> => {
    const { id } = known(own);
    const { minValidityMs, target, refused } = request;
    const isTheirs = sameAsNow(ledger, own);
    const refusal = renewal.refusal(id, minValidityMs === null && refused === undefined, target);
    if (!refusal) return whileWaiting(own, request, refresher.refresh(id, request));
    await following.reread(id).catch(() => undefined);
    const token = ledger.token(id);
    const leastMs = minValidityMs ?? (refused === undefined ? Infinity : 0);
    if (target || !token || !isTheirs() || token.accessToken === refused || ledger.remainingMs(id) <= leastMs) throw refusal;
    return token;
  };
  const renewedByCommand: typeof renewed = (own, request) => context.credentials.command(() => renewed(own, request));
  const validToken: ValidTokenContext = { credentials: context.credentials, platform, renew: renewed };
  const isStill = (): boolean => closed || frozen || context.isClosing();
  const resting = createResting({ ...context, membership, isStill });
  const renewUnasked = (id: string, minValidityMs: number): Promise<unknown> =>
    context.running(refresher.refresh(id, { minValidityMs, takesUp: true }));
  const consider = (id: string): void => clock.consider(lookup.get(id));
  const onWake = (compared: readonly CredentialState[]): void => {
    void retry();
    catchingUp.retry();
    renewal.run(compared, renewUnasked, consider);
    resuming.run(compared);
    resting.look();
  };
  const clock = createClock({
    platform,
    loop,
    ledger,
    onTimer: () => (frozen || clock.isOverdue() ? wake() : clock.tick()), // whether or not anybody says so: it slept, or was not frozen after all
    onWake,
    onArmed: () => trustMemory(),
    dueInMs: (credential) => Math.min(renewal.dueInMs(credential), resuming.dueInMs(credential)),
  });
  /** What is in memory may be used as long as the clock ticks and nothing is being caught up with. */
  const trustMemory = (): void => {
    if (!closed) trust.until = catchingUp.isBehind() || frozen || context.isClosing() ? -Infinity : clock.overdueAt();
  };
  const catchingUp = createCatchingUp({
    following,
    platform,
    isStill,
    wakeWithin: (ms) => clock.within(ms),
    onRead: consider,
    onChange: trustMemory,
    onCaughtUp: () => {
      if (!frozen) clock.check();
      trustMemory();
    },
  });
  const ahead = loadAhead(context);
  const retry = async (): Promise<void> => {
    if (!writing.isWaiting()) return;
    await context.running(writing.retry().catch(() => undefined)); // it waits on
    refresher.letGo();
    retryDelayMs = writing.isWaiting() ? Math.min(retryDelayMs * 2, LAST_RETRY_MS) : FIRST_RETRY_MS;
    if (writing.isWaiting()) clock.within(retryDelayMs);
  };
  const changed = ({ before, after }: Change): void => {
    lookup.update(before, after);
    if (!before) return;
    if (after?.generation !== before.generation) refresher.forget(before.id);
    if (isEnding(after)) letLeave(before.id);
    if (after?.status.activity !== 'revoking') resuming.forget(before.id);
    if (after && isRenewed(before, after)) renewal.succeeded(after.id);
    if (after) return;
    context.onGone(ended(before));
    renewal.forget(before.id);
  };
  const folding: Folding = {
    stateOf: (id) => lookup.get(id),
    fold: (state, actions) => {
      const folded = fold(state, actions, (id) => lookup.get(id));
      folded.changes.forEach(changed);
      for (const action of actions) {
        if (action.type === 'token_replaced') look(action.id);
        if ('credential' in action || action.type === 'refresh_failed' || action.type === 'refresh_ended') consider(action.id);
        if ('credential' in action) ahead.consider(action.id);
        if (action.type === 'not_durable') clock.within(retryDelayMs);
        // The default's token is at hand, as after a start; what cannot be opened tells of itself.
        if (action.type === 'default_changed') void ledger.openOwn(action.id).catch(() => undefined);
      }
      const isEmpty = folded.state.credentials.length === 0;
      resting[isEmpty && !closed ? 'begin' : 'end']();
      if (isEmpty && !frozen && !writing.isWaiting() && !catchingUp.isBehind()) clock.rest();
      trustMemory();
      refresher.letGo();
      return folded.state;
    },
  };
  loop.attach((state) => {
    lookup.reset(state.credentials);
    return folding;
  });
  /** The program runs, and may have slept. */
  const wake = (): void => {
    refresher.resume();
    renewal.wake();
    const slept = frozen || clock.isOverdue();
    frozen = false;
    catchingUp.all(slept); // before anybody hears anything: who does may ask
    clock.check();
  };
  clock.check();
  trustMemory();
  for (const { id } of loop.snapshot().credentials) ahead.consider(id);

  return {
    ...membership,
    clear: () => clearAll(membership, parts),
    store: async (token, tags, replace, onePerUser) => {
      if (!isToken(token)) throw new TypeError('store takes a Token: what a flow resumed with, or createToken made');
      const judged = withFields(token, {}); // it may be something that looks like one
      if (typeof onePerUser !== 'boolean') throw new TypeError('onePerUser must be true or false');
      return membership.store(judged, tags === undefined ? tags : normalizeTags(tags), replace, onePerUser);
    },
    refresh: async (own, request) => (await renewed(own, request)) as Token,
    renewedOrHeld: (own, minValidityMs) => renewedOrHeld(validToken, own, minValidityMs),
    accessTokenFor: (own, options) => accessTokenFor({ ...validToken, renew: renewedByCommand }, own, options),
    takeUp: ({ id }) => {
      const credential = lookup.get(id);
      if (credential && !isStill() && context.hears()) renewal.takeUp(credential, renewUnasked, consider);
    },
    revoke: async (own, target) => {
      if (!['all', 'access', 'refresh'].includes(target)) throw new TypeError('target must be "all", "access" or "refresh"');
      return revoke(parts, known(own), target);
    },
    remove: async (own) => {
      const { id } = known(own);
      if (!(await writing.update(own, (record) => (record.state === 'removed' ? null : tombstoneOf(record)), { keep: true }))) known(own);
      // Of what was never written nothing is there; its tombstone waits for a write that was given up, and may come yet
      if (writing.isWaiting(id) && (ledger.entry(id)?.storedRevision ?? 0) > 0)
        throw new StorageError('storage_failed', 'The credential is forgotten here, but storage still holds it; removing is tried again.');
    },
    setTags: async (own, list) => {
      const tags = normalizeTags(list);
      if (!(await writing.update(known(own), (record) => (record.state === 'removed' ? null : { ...record, tags })))) throw gone();
    },
    signOut: async (own, options) => signOut(parts, known(own), options),
    ...createQuestions(context.credentials),
    authorize,
    reportChallenge: (own, challenge) => reportChallenge(context.credentials, own, challenge),
    find,
    find$: (query) => {
      const compiled = compileQuery(query);
      return loop.ready$.pipe(
        map((state) => lookup.ids(compiled, state.credentials)),
        distinctUntilChanged((a, b) => a === b || (a.length === b.length && a.every((id, place) => id === b[place]))),
      );
    },
    whenOpened: (own, why) => whenOpened({ ledger, loop, platform }, own, why),
    heard: (id, revision, begun) => {
      if (frozen) return void (leavesUntil = -Infinity); // what is known is not true any more
      const known = id === STORE_RECORD_ID ? ledger.book.store.revision : ledger.entry(id)?.storedRevision;
      const isGone = ledger.record(id)?.state === 'removed'; // stored anew, it counts from the beginning
      if (!isGone && known !== undefined && typeof revision === 'number' && revision <= known && !isLastCount(known)) return;
      if (writing.isWaiting(id)) void retry();
      else catchingUp[begun === true ? 'begun' : 'one'](id);
    },
    reread: async (id) => {
      await following.reread(id).catch((error: unknown) => {
        if (!loop.stateOf(id)) throw error; // else what is known is answered
      });
    },
    tidy: async () => void (await Promise.all([resuming.all(), resting.sweep(), context.refreshOnly && withdrawAccessTokens(parts)])),
    freeze: () => {
      leavesUntil = platform.monotonicNow() + LEAVING_MS;
      frozen = true;
      refresher.freeze();
      clock.pause(STILL_RUNS_MS);
    },
    wake,
    caughtUp: () => {
      if (frozen && platform.monotonicNow() < leavesUntil) return undefined;
      const slept = frozen;
      frozen = false;
      if (slept) catchingUp.all(slept); // asked something, so it runs again
      if (!closed && clock.isOverdue()) catchingUp.all(false);
      return catchingUp.caughtUp();
    },
    hurry: () => {
      refresher.hurry();
      resuming.hurry();
    },
    flush: async () => {
      const begun = writing.retrying(); // before the last command ended: what waits since is not among what it writes
      await (begun ?? writing.retry()).catch(() => undefined);
      if (begun && writing.isWaiting()) await writing.retry().catch(() => undefined);
      await refresher.close();
    },
    close: () => {
      closed = true;
      void refresher.close(); // what has begun since
      clock.close();
      resting.end();
      ahead.close();
    },
  };
}
