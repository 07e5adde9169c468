/**
 * Refresh: one flight per credential in this tab, one at a time over all tabs, never cancelled once sent. Who asks for the same joins;
 * what a flight does under its lock is the protocol of `credential/refresh-protocol.ts`.
 *
 * @module
 */
import { defer, firstValueFrom, shareReplay, type Observable } from 'rxjs';
import { childFor, targetKey } from '../credential/children.js';
import { isOpen, type Target } from '../credential/record.js';
import { asCredentialError, CredentialError } from '../errors.js';
import { inProcessLocks } from '../platform/in-process-locks.js';
import { isOAuthResponseError } from '../oauth/oauth-response-error.js';
import { asksForUser, isRejected, mayBeDead } from '../oauth/refusals.js';
import { isEnough } from './refresh-answers.js';
import { createRefreshLocks, type RefreshLocks } from './refresh-locks.js';
import type { RefreshEnd, RefreshRequest, Renewed, Seen, Unwritten } from './refresh-request.js';
import { runRefresh, type RefreshContext } from './refresh-steps.js';
import type { Ledger } from './ledger.js';
import type { StoreLocks } from './store-locks.js';
import { IN_VAIN_MS } from './questions.js';
import { assertOurs } from './usable-token.js';
import { isOfStorage, isPassing, type Renewal } from './renewal.js';

/** What all flights of a store need of it. */
export interface RefresherContext extends RefreshContext {
  readonly locks: StoreLocks;
  readonly renewal: Renewal;
}

/** How a flight ended. A failure is a value: an error in the shared stream would let `retry` in one caller start a second request. */
type RefreshOutcome = { readonly renewed: Renewed } | { readonly error: CredentialError };

type Failed = Extract<RefreshEnd, { error: unknown }>;

/** All flights of a store. */
export interface Refresher extends Pick<RefreshLocks, 'look' | 'freeze' | 'resume' | 'letGo' | 'hurry' | 'close'> {
  /** @throws {CredentialError} why there is no token that lasts as long as asked for */
  refresh(id: string, request: RefreshRequest): Promise<Renewed>;
  /** Another generation is there, or none: an answer that waits is of use only as long as the token is there that it was given for. */
  forget(id: string): void;
}

/** The flights of one store. */
export function createRefresher(context: RefresherContext): Refresher {
  const { ledger, platform, loop, renewal } = context;
  const turns = inProcessLocks(); // one at a time in this store, whatever the lock of the storage is worth
  const locks = createRefreshLocks({ ...context, withLock: context.locks.withLock });
  const unwritten: Unwritten = new Map();
  const flights = new Map<string, Observable<RefreshOutcome>>();
  /** By id, and by target for which it was refused: the generation that a session went on with. */
  const alive = new Map<string, Map<string, number>>();

  /** RF-15: without its lock, or a reading, no refresh begins; a daemon on a full disk would hear of it when its token has expired. */
  const isBlocked = ({ error, begun }: Failed): boolean =>
    begun === undefined && (isOfStorage(error) || error.code === 'timeout') && !context.isClosing();
  /** The generation of which that is to be told. Whose token is not due has lost nothing by a lock that was not had: what is in doubt is somebody else's. */
  const untold = (id: string, { takesUp, minValidityMs }: RefreshRequest): number | undefined =>
    takesUp && ledger.remainingMs(id) > (minValidityMs ?? 0) ? undefined : loop.stateOf(id)?.generation;
  /** Begun by an episode that ended with `again`: no other has said what came of it. */
  const begunBefore = (id: string): number | undefined => {
    const state = loop.stateOf(id);
    return state?.status.activity === 'refreshing' ? state.generation : undefined;
  };
  /** An adapter gives its caller the 401 of a token that nothing renews: who can do something about it hears of it here, once for each token. */
  const tellRefused = (id: string, { target, refused }: RefreshRequest, { code, class: usual }: CredentialError): void => {
    const state = loop.stateOf(id);
    if (code !== 'no_refresh_token' || target || !state || state.refreshFailure?.code === code) return;
    if (refused === undefined || ledger.token(id)?.accessToken !== refused) return; // of what has taken its place nothing is known
    const errorClass = platform.now() - state.issuedAt < IN_VAIN_MS ? 'configuration' : usual; // the next sign-in's would be refused, too
    loop.dispatch(
      [{ type: 'refresh_failed', id, generation: state.generation, code, class: errorClass, attempts: 1, nextTryAt: null }],
      'here',
    );
  };
  /** What a failure means for the state, and for when to try again. */
  const settle = (id: string, request: RefreshRequest, end: Exclude<RefreshEnd, { ending: 'again' }>): RefreshOutcome => {
    if (end.ending === 'served') {
      renewal.succeeded(id, request.target);
      return { renewed: end.renewed };
    }
    const { error } = end;
    if (context.isClosing() && error.code === 'store_closed') return { error }; // nothing has failed
    const { target } = request;
    const isUntold = isBlocked(end);
    const begun = isUntold ? untold(id, request) : (end.begun ?? begunBefore(id));
    if (begun === undefined) tellRefused(id, request, error);
    if (begun === undefined || end.ending !== 'failed') return { error };
    const about = isUntold ? undefined : target;
    const { code, class: errorClass, issuer } = error;
    const needsUser = asksForUser(error);
    const told = needsUser
      ? new CredentialError('needs_interaction', 'The server asks for the user before it renews.', { issuer, cause: error })
      : error;
    const { attempts, nextTryAt } = renewal.failed(id, told, about);
    if (needsUser && !about) {
      loop.dispatch([{ type: 'interaction_required', id, generation: begun, code, class: errorClass, ...wordsOf(error) }], 'here');
    } else {
      // What is wrong with a target says nothing of the credential; a network that is down does.
      const of = about && !isPassing(error) ? { target: about } : {};
      loop.dispatch([{ type: 'refresh_failed', id, generation: begun, code, class: errorClass, attempts, nextTryAt, ...of }], 'here');
    }
    return { error: told };
  };
  /** Whatever came of a flight, nothing is under way after it: not all that it comes to is a fact of its own. */
  const land = (id: string): void => {
    const state = loop.stateOf(id);
    if (state?.status.activity === 'refreshing') loop.dispatch([{ type: 'refresh_ended', id, generation: state.generation }], 'here');
  };
  /** What somebody else has renewed while the lock was waited for. */
  const servedEarly = (id: string, seen: Seen, request: RefreshRequest): RefreshEnd | undefined => {
    const token = ledger.token(id);
    const generation = ledger.record(id)?.generation ?? 0;
    if (request.takesUp && ledger.record(id)?.intent) return undefined;
    if (request.target || !token || !isEnough(token, ledger.remainingMs(id), generation, seen, request)) return undefined;
    return { ending: 'served', renewed: token };
  };
  const fly = async (id: string, seen: Seen, request: RefreshRequest): Promise<RefreshOutcome> => {
    const failureCount = renewal.failureCount();
    return turns.withLock(id, async () => {
      try {
        const refusal = renewal.refusalSince(id, failureCount, request.target); // of who had the turn before: the server is not asked again at once
        if (refusal && !servedEarly(id, seen, request)) return { error: refusal };
        for (;;) {
          const run = (isParked: () => boolean): Promise<RefreshEnd> => runRefresh(context, unwritten, id, seen, request, isParked);
          const end = await locks.alone(id, run, () => servedEarly(id, seen, request));
          if (end.ending !== 'again') return settle(id, request, end);
        }
      } catch (thrown) {
        const error = asCredentialError(thrown, 'lock_unavailable', 'The lock for the refresh could not be had.');
        return settle(id, request, { ending: 'failed', error, begun: undefined });
      } finally {
        land(id);
      }
    });
  };
  const flight = (id: string, request: RefreshRequest): Observable<RefreshOutcome> => {
    const how = request.refused === undefined ? (request.minValidityMs ?? 'forced') : `not ${request.refused}`;
    const record = ledger.record(id);
    const key = JSON.stringify([
      how,
      request.takesUp,
      id,
      targetKey(request.target),
      record?.storedAt,
      record?.claims?.sub ?? record?.signedInAt,
    ]); // E63: only who asks for the same joins
    const running = flights.get(key);
    if (running) return running;
    const seen: Seen = {
      generation: ledger.record(id)?.generation ?? 0,
      accessToken: accessTokenOf(ledger, id, request.target),
      at: platform.now(),
    };
    const shared = defer(() => fly(id, seen, request).finally(() => flights.delete(key))).pipe(
      shareReplay({ bufferSize: 1, refCount: false }),
    );
    flights.set(key, shared);
    return shared;
  };
  /** What has ended a session whose refresh token was refused for a target: its own refresh tells whether it was the target alone. */
  const endOf = async (id: string, { target }: RefreshRequest, error: CredentialError): Promise<CredentialError | undefined> => {
    const key = targetKey(target);
    const lives = ledger.remainingMs(id) > 0;
    const isKnown = alive.get(id)?.get(key) === ledger.record(id)?.generation && lives;
    const asksOwn = isRejected(error) || (!lives && mayBeDead(error));
    if (!target || !asksOwn || isKnown || context.isClosing()) return undefined;
    const own = await firstValueFrom(flight(id, { minValidityMs: null }));
    if ('error' in own) return own.error.code === 'needs_sign_in' || own.error.code === 'needs_interaction' ? own.error : undefined;
    const state = loop.stateOf(id);
    if (state) alive.set(id, (alive.get(id) ?? new Map<string, number>()).set(key, state.generation));
    return undefined;
  };
  return {
    refresh: async (id, request) => {
      assertOurs(ledger, id);
      const outcome = await firstValueFrom(flight(id, request));
      if (!('error' in outcome)) return outcome.renewed;
      throw (await endOf(id, request, outcome.error)) ?? outcome.error;
    },
    forget: (id) => {
      alive.delete(id);
      const record = ledger.record(id);
      const { sent, over } = unwritten.get(id) ?? {};
      const { refreshToken, accessToken } = (record && isOpen(record) && record.secrets) || { refreshToken: sent, accessToken: over };
      if (record?.state !== 'active' || refreshToken !== sent || accessToken !== over) unwritten.delete(id); // it was used, or is of no use
    },
    look: (id) => locks.look(id),
    freeze: () => locks.freeze(),
    resume: () => locks.resume(),
    letGo: () => locks.letGo(),
    hurry: () => locks.hurry(),
    close: () => locks.close(),
  };
}

/** What the server says it wants the user for; cleaned, and no secret. */
function wordsOf(error: CredentialError): { readonly error?: string; readonly suberror?: string } {
  if (!isOAuthResponseError(error)) return {};
  const { suberror } = error;
  return { error: error.error, ...(suberror !== undefined && { suberror }) };
}

/** The access token at hand for what is asked. */
function accessTokenOf(ledger: Ledger, id: string, target: Target | undefined): string | undefined {
  if (!target) return ledger.token(id)?.accessToken;
  const record = ledger.record(id);
  return record && isOpen(record) ? childFor(record.secrets, target)?.accessToken : undefined;
}
