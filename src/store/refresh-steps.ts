/**
 * What each step of the refresh protocol does: the hands of `credential/refresh-protocol.ts`.
 *
 * @module
 */
import { assertGranted, childFor, childOf, childRemainingMs, targetKey } from '../credential/children.js';
import { jsonObjectIn } from '../credential/data.js';
import {
  isOpen,
  STORE_RECORD_ID,
  type ChildToken,
  type CredentialRecord,
  type OpenRecord,
  type StagedAnswer,
} from '../credential/record.js';
import { beginRefresh, next, park, type Found, type Refresh, type Results, type Step } from '../credential/refresh-protocol.js';
import { isToken, type Token } from '../credential/token.js';
import { asCredentialError, CredentialError, isStorageError } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import { isUnsent } from '../oauth/thrown.js';
import type { Platform } from '../platform/platform.js';
import { randomFraction, randomText } from '../platform/random.js';
import type { CredentialStorage } from '../storage/storage.js';
import { closed, dismissed, finished, isOf } from './drafts.js';
import type { Following } from './following.js';
import type { Ledger } from './ledger.js';
import type { Doubts } from './in-doubt.js';
import { revokeLate } from './letting-go.js';
import { inTime } from './own-client.js';
import type { Loop } from './loop.js';
import {
  deferred,
  ENDINGS,
  errorOf,
  grantOf,
  holds,
  isEnough,
  isLeft,
  isSameSession,
  isTransient,
  judgedBy,
  notReady,
  onUnknownOutcome,
  reasonNotToSend,
  refusalOf,
  renewedBy,
  salvage,
  sameUser,
  settleMs,
  targetOf,
  unreadable,
  unwrittenAnswer,
  withChild,
  withToken,
  type SentGrant,
} from './refresh-answers.js';
import type { RefreshEnd, RefreshRequest, Renewed, Seen, Unwritten } from './refresh-request.js';
import type { RecordDraft, Writing } from './writing.js';

/** Before the second and the third send, half as much more or less. */
const PAUSES_MS = [500, 2_000];
/** Who waited longer than this for the lock, in milliseconds, waited for another: then there is news. */
const SOON_MS = 5;
/** No write takes as long, in milliseconds: the program was stopped meanwhile, and may have lost its lock to another. It looks before it sends (RF-9). */
const STOPPED_MS = 60_000;

/** What a refresh needs of the store around it. */
export interface RefreshContext {
  readonly ledger: Ledger;
  readonly following: Following;
  readonly writing: Writing;
  readonly loop: Loop;
  readonly platform: Pick<Platform, 'now' | 'monotonicNow' | 'setTimer' | 'crypto' | 'isOnline'>;
  /** Ids of credentials that a refresh is about to remove, since an answer was an attack: it will say so to those who wait for it. */
  readonly attacked: Set<string>;
  /** Ids of credentials for which an answer is waited for. */
  readonly sending: Set<string>;
  readonly isClosing: () => boolean;
  readonly storageOf: () => CredentialStorage;
  readonly doubts: Doubts;
  /** The client a record belongs to; `undefined` where none is configured: then nothing is ever sent. */
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
}

/** Runs one refresh to its end. The caller has the lock; `isParked` says that it was given up since. */
export async function runRefresh(
  context: RefreshContext,
  unwritten: Unwritten,
  id: string,
  seen: Seen,
  request: RefreshRequest,
  isParked: () => boolean,
): Promise<RefreshEnd> {
  const episode = openEpisode(context, unwritten, id, seen, request);
  let refresh = beginRefresh(randomText(context.platform, 9));
  try {
    while (refresh.step !== 'end') {
      if (context.isClosing() && isLeft(refresh, request.takesUp)) return { ending: 'failed', ...episode.left() };
      const result = await episode.steps[refresh.step](refresh);
      if (isParked()) refresh = park(refresh);
      refresh = next(refresh, result);
    }
  } catch (error) {
    if (refresh.generation > 0 && refresh.sends === 0 && !refresh.inDoubt) await episode.steps.retract(refresh);
    return { ending: 'failed', error: asCredentialError(error, 'storage_failed', 'The refresh failed.'), begun: episode.begun() };
  }
  const { ending } = refresh;
  if (ending === 'again') return { ending };
  const renewed = episode.renewed();
  if (ending === 'served' && renewed) return { ending, renewed };
  return { ending: ending === 'served' ? 'gone' : ending, error: errorOf(ending, episode.failure()), begun: episode.begun() };
}

interface Episode {
  readonly steps: { readonly [S in Step]: (refresh: Refresh) => Promise<Results[S]> };
  renewed(): Renewed | undefined;
  failure(): CredentialError | undefined;
  begun(): number | undefined;
  /** What is told where a store that closes does not go on. */
  left(): Pick<Extract<RefreshEnd, { error: unknown }>, 'error' | 'begun'>;
}

/** The steps of one refresh, and what they hand on to each other. */
function openEpisode(context: RefreshContext, unwritten: Unwritten, id: string, seen: Seen, request: RefreshRequest): Episode {
  const { ledger, following, writing, loop, platform, storageOf } = context;
  const { target } = request;
  let record: OpenRecord;
  let client: OAuth2Client;
  let grant: SentGrant;
  let answer: StagedAnswer | Token | undefined;
  let wasWaiting = false; // the answer was there before anything was sent
  let token: Token | undefined;
  let renewed: Renewed | undefined;
  let failure: CredentialError | undefined;
  let unheard: CredentialError | undefined; // the last of which nobody knows what came
  let begun: number | undefined;
  let begunWith: string | undefined; // the access token that was there
  let [mustRead, isUnread] = [false, false]; // isUnread: the record is what this tab last knew of it

  /** After an end nothing is told, and nothing sent: a write may come over a record of an epoch that has ended. */
  const isStill = (): boolean => {
    const now = ledger.record(id);
    return now?.state === 'active' && now.generation === record.generation;
  };
  const begin = (): void => {
    if (!isStill()) return;
    const isTold = loop.stateOf(id)?.status.activity === 'refreshing'; // by an episode that was parked between two sends
    if (begun === undefined && !isTold) loop.dispatch([{ type: 'refresh_started', id, generation: record.generation }], 'here');
    begun = record.generation;
    begunWith = record.secrets?.accessToken;
  };
  /** What a failure is told of: also what holds a refresh token that its answer brought. Of what a sign-in has put in its place it says nothing. */
  const failedAt = (): number | undefined => {
    const now = ledger.record(id);
    if (begun === undefined || now?.state !== 'active' || !isOpen(now) || now.generation === begun) return begun;
    return now.secrets?.accessToken === begunWith ? now.generation : undefined;
  };
  /** Changes the record if it still holds what was sent, or says that this refresh is under way: then only a parked one wrote in between. */
  const change = (what: (current: OpenRecord) => RecordDraft | null, me?: string): Promise<CredentialRecord | null> =>
    writing.updateOpen(grant, (current) => (holds(current, grant) || isOf(current, me) ? what(current) : null), { keep: true });
  const wait = (ms: number): Promise<'waited'> => new Promise((resolve) => platform.setTimer(() => resolve('waited'), ms, true));
  /** The token or child that is at hand. */
  const held = (): Renewed | undefined => (target ? childFor(record.secrets, target) : (ledger.token(id) ?? undefined));
  const remainingMs = (one: Renewed): number => (target ? childRemainingMs(one, platform.now()) : ledger.remainingMs(id));
  /** What is at hand, if nothing has to be sent for it. */
  const atHand = (): Renewed | undefined => {
    const one = held();
    return one && isEnough(one, remainingMs(one), record.generation, seen, request) ? one : undefined;
  };

  const usable = async (): Promise<OpenRecord | 'needs_sign_in' | 'gone'> => {
    await writing.reread(id);
    const known = ledger.record(id);
    if (known?.state !== 'active') return known?.state === 'needs_sign_in' ? known.state : 'gone';
    if (ledger.book.quarantined.has(id)) throw unreadable(ledger.remainingMs(id));
    const opened = await ledger.openInTime(id);
    return opened?.state === 'active' ? opened : 'gone';
  };
  /** What is known of the record, if it says that the token has to be sent, and nothing else has to be asked for first. */
  const toBeSent = async (): Promise<OpenRecord | undefined> => {
    const known = ledger.record(id);
    if (known?.state !== 'active' || !isOpen(known) || known.intent || known.staged) return undefined;
    if (ledger.book.quarantined.has(id) || writing.isWaiting(id)) return undefined;
    [record, grant] = [known, grantOf(known, platform.now())];
    const asked = context.clientOf(known);
    if (!asked?.isPrepared() || reasonNotToSend(asked, grant, target) || unwrittenAnswer(unwritten, grant) || atHand()) return undefined;
    return (await notReady(asked, context, id)) ? undefined : known;
  };
  /** The first reading may be left to the write of the intent, which is made only over what is known (RF-2). Who cannot write it reads. */
  const unread = async (): Promise<OpenRecord | undefined> => {
    const one = mustRead || platform.now() - seen.at > SOON_MS ? undefined : await toBeSent();
    mustRead = true;
    isUnread = one !== undefined;
    return one;
  };
  const read = async ({ me }: Pick<Refresh, 'me'>): Promise<Found> => {
    const nothing = { serves: false, lives: false, canSend: false, staged: false, intent: null, onUnknownOutcome: 'retry' } as const;
    const opened = (await unread()) ?? (await usable());
    if (typeof opened === 'string') return { ...nothing, state: opened, generation: 0 };
    const { generation } = (record = opened);
    grant = grantOf(record, platform.now());
    const asked = context.clientOf(record);
    renewed = request.takesUp && context.doubts.isDue(record, me) ? undefined : atHand();
    if (renewed) return { ...nothing, state: 'active', generation, serves: true };
    failure = reasonNotToSend(asked, grant, target);
    if (failure || !asked) return { ...nothing, state: 'active', generation };
    client = asked;
    answer = record.staged ?? unwrittenAnswer(unwritten, grant);
    wasWaiting = answer !== undefined;
    if (wasWaiting) begin();
    const found: Found = {
      state: 'active',
      generation,
      serves: false,
      lives: ledger.remainingMs(id) > 0,
      canSend: true,
      staged: wasWaiting,
      intent: record.intent?.holder ?? null,
      onUnknownOutcome: onUnknownOutcome(client, context.doubts.ageMs(record)),
    };
    if (found.intent !== null && found.onUnknownOutcome === 'defer-until-expiry') failure = deferred(client);
    return found;
  };
  const write: Episode['steps']['intend'] = async ({ me }) => {
    const { generation, intent: before } = record;
    const attempt = (before?.attempt ?? 0) + 1;
    const startedAt = platform.now();
    try {
      const written = await writing.updateOpen(
        grant,
        (current) =>
          holds(current, grant) && current.generation === generation && current.intent?.holder === before?.holder
            ? { ...current, intent: { holder: me, attempt, generation, startedAt, since: before?.since ?? startedAt } }
            : null,
        { isQuiet: true },
      );
      if (!written || !isStill()) return 'overtaken';
      context.doubts.begun(id, before, me);
      begin();
      return platform.now() - startedAt < STOPPED_MS ? 'written' : 'overtaken';
    } catch (error) {
      // A session must not end because the disk is full (RF-15); but nothing is sent of which nobody has looked whether it is spent.
      // Where others wrote first, and nobody can read what, it may be.
      if (!isStorageError(error) || (!isUnread && error.code === 'storage_conflict')) throw error;
      if (isUnread || !isStill()) return 'overtaken';
      if (storageOf().sendsUnstored === false) throw error; // D-030
      return 'unwritten';
    }
  };
  const send: Episode['steps']['send'] = async ({ me, inDoubt }) => {
    begin(); // if the intent was written though the storage said no, a reading has led here
    context.sending.add(id);
    try {
      const { renew, issuer } = client;
      if (renew) {
        answer = await renewedBy(renew, client, grant, platform);
        return 'answered';
      }
      const given = await inTime(() => client.sendRefresh(grant, target), client, platform, 'unknown_outcome');
      if (jsonObjectIn(given.text)) {
        answer = given;
        unwritten.set(id, { sent: grant.refreshToken, over: begunWith, answer }); // until it is committed: what was rotated must not be lost (RF-15)
        return client.needsKeys(answer) ? 'answered_unjudged' : 'answered';
      }
      failure = new CredentialError('response_invalid', 'The token response is no JSON object (RFC 6749 §5.1).', { issuer });
      return 'outcome_unknown';
    } catch (error) {
      const { thrown, came } = refusalOf(error, client, target, ledger.remainingMs(id));
      if (came === 'outcome_unknown') unheard = thrown;
      const isUnheard = inDoubt && isUnsent(thrown); // that it never left says nothing of an earlier one
      failure = (isUnheard && unheard) || thrown;
      return isUnheard ? 'outcome_unknown' : came;
    } finally {
      context.sending.delete(id);
      if (loop.stateOf(id)) context.doubts.left(id, me);
    }
  };
  const stage = async (): Promise<'done'> => {
    const staged = answer && !isToken(answer) ? answer : undefined;
    if (staged) await change((current) => ({ ...current, staged })).catch(() => null);
    return 'done';
  };
  const retract = (me: string): Promise<unknown> =>
    writing.updateOpen({ id }, (current) => (isOf(current, me) ? closed(current) : null), { isQuiet: true }).catch(() => null);
  const judge: Episode['steps']['judge'] = async ({ me }) => {
    if (answer === undefined) throw new TypeError('no answer');
    try {
      token = isToken(answer) ? sameUser(answer, grant, client, platform.now()) : await judgedBy(client, grant, answer, platform, stage);
      assertGranted(token, targetOf(answer));
      return 'token';
    } catch (error) {
      failure = asCredentialError(error, 'response_invalid', 'The answer could not be processed.');
      const before = await ledger.openInTime(id);
      if (isTransient(failure) && before?.staged && holds(before, grant)) return 'not_yet'; // judged again by the next refresh
      await salvage(context, client, grant, isToken(answer) ? '' : answer.text, failure, wasWaiting ? record.intent?.holder : me);
      if (!isStorageError(failure)) unwritten.delete(id);
      if (isToken(answer)) await retract(me); // no request was sent, of which nobody knows what came
      return 'refused';
    }
  };
  /** Writes what was given, if the record still holds what was sent; with the child, where it is one. */
  const put = async (given: Token, me: string): Promise<readonly [CredentialRecord | null, ChildToken?]> => {
    const holder = wasWaiting ? record.intent?.holder : me; // whose intent has come to its end
    const answered = targetOf(answer);
    const child = answered && childOf(given, answered);
    const now = platform.now();
    const brought = (current: OpenRecord): Partial<OpenRecord> =>
      child ? withChild(current, given, child, now) : withToken(current, given, now);
    const written = await change((current) => ({ ...finished(current, holder), ...brought(current) }), me);
    unwritten.delete(id);
    // A clear elsewhere that no message told of. Whether or not it can be read now: the token is at hand.
    if (written) await following.reread(STORE_RECORD_ID).catch(() => undefined);
    return written && child ? [written, child] : [written];
  };
  /** Makes what was given durable, or finds that the credential ended meanwhile: then it is revoked, if that ends no other session, never stored (RF-13). */
  const commit: Episode['steps']['commit'] = async ({ me }) => {
    if (!token) throw new TypeError('no token');
    const [written, child] = await put(token, me);
    const stored = ledger.record(id);
    // The first ID token says whose the session is; that of a child is not kept, and says nothing
    if (!isSameSession(stored, written ?? grant)) {
      await revokeLate(context, client, grant, token);
      return stored?.state === 'needs_sign_in' ? 'needs_sign_in' : 'gone';
    }
    // RF-5: where another token is stored by now, ours is dropped, not revoked: that might end the other one, too.
    renewed = served(child, written !== null);
    if (!renewed) return 'too_short';
    return written ? 'committed' : 'superseded';
  };
  /** What serves the caller after an answer: that to its own question does, what waited may have expired meanwhile (E18). */
  const served = (child: ChildToken | undefined, isOwn: boolean): Renewed | undefined => {
    if (targetKey(targetOf(answer)) !== targetKey(target)) return undefined;
    const one = target ? child : ledger.token(id);
    const leastMs = wasWaiting ? (request.minValidityMs ?? 0) : isOwn ? -Infinity : 0;
    return one && remainingMs(one) > leastMs ? one : undefined;
  };

  return {
    renewed: () => renewed,
    failure: () => failure,
    begun: failedAt,
    left: () =>
      unheard
        ? { error: unheard, begun: failedAt() }
        : { error: new CredentialError('store_closed', 'The store was closed.'), begun: undefined },
    steps: {
      read,
      prepare: async () => {
        if (!isUnread) begin(); // else once it is written
        failure = await notReady(client, context, id);
        if (failure) begin();
        return failure ? 'failed' : 'ready';
      },
      settle: () => wait(settleMs(record, platform.now())),
      pause: ({ sends }) => wait((PAUSES_MS[sends - 1] ?? 0) * (0.5 + randomFraction(platform))),
      intend: write,
      send,
      stage,
      judge,
      commit,
      verify: async (refresh) => {
        const [rejection, found] = [failure, await read(refresh)];
        failure = rejection ?? failure;
        return found;
      },
      dismiss: async ({ reason }) => {
        const written = await change((current) => dismissed(current, reason));
        failure = new CredentialError('needs_sign_in', ENDINGS[reason], { issuer: client.issuer, cause: failure });
        return written ? 'done' : 'overtaken';
      },
      retract: async ({ me }) => {
        await retract(me);
        return 'done';
      },
      end: () => Promise.reject(new TypeError('the refresh has ended')),
    },
  };
}
