/**
 * Revoking: the record is marked first, so that nothing attaches or refreshes it any more in any tab; then the refresh token and the
 * access token are revoked at the server; then the record goes, at the latest after five seconds. A crash in between is taken up
 * at the next start, or before by another tab that lives, but asks nothing any more once the user has signed in again. Local removal never
 * depends on the server.
 *
 * @module
 */
import { isOpen, nextCount, type CredentialRecord, type OpenRecord } from '../credential/record.js';
import type { CredentialState } from '../credential/state.js';
import { asCredentialError, CredentialError, type CredentialErrorCode } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import { accessTokenIn, refreshTokenIn } from '../oauth/token-response.js';
import { countdown } from '../platform/countdown.js';
import type { Platform } from '../platform/platform.js';
import { tombstoneOf } from './drafts.js';
import type { Following } from './following.js';
import type { Ledger, Meant } from './ledger.js';
import { hasSignedInSince, hasSignedInSinceIfKnown, isSignedInSince } from './letting-go.js';
import type { StoreLocks } from './store-locks.js';
import { notOurs } from './usable-token.js';
import type { RecordDraft, Writing } from './writing.js';

/** What the server has, in milliseconds. */
export const DEADLINE_MS = 5_000;
/** How much of it may pass while another has the lock, in milliseconds. */
const LOCK_MS = 2_500;
/** How long a mark is left to who made it, in milliseconds: twice what that tab has. */
const LEFT_ALONE_MS = 10_000;
/**
 * So long a start leaves a mark alone, in milliseconds, and in a page as long as another tab does: it may be the one at which the user has come back
 * from signing in again, whose code is exchanged meanwhile.
 */
const STARTED_MS = 2_000;
/** Who takes up what another began waits until any tab that lives is done with it, in milliseconds. */
const RESUMED_LOCK_MS = DEADLINE_MS + LOCK_MS;

/**
 * What happened to one token at the server. `absent`: there was none; `failed`: it may live on, see `code`; `not_asked`: not by this call, or not any
 * more, since the user has signed in again meanwhile.
 */
export type RemoteRevocation =
  { readonly status: 'revoked' | 'absent' | 'not_asked' } | { readonly status: 'failed'; readonly code: CredentialErrorCode };

/** What `revoke` did, here and at the server. */
export interface RevokeResult {
  /** `kept`: only the access token was asked for. The refresh token can get another, unless the server has ended it, too: then `needs_sign_in`. */
  readonly local: 'removed' | 'kept';
  readonly refreshToken: RemoteRevocation;
  readonly accessToken: RemoteRevocation;
}

/** What revoking needs of the store around it. */
export interface RevocationContext {
  readonly ledger: Ledger;
  readonly following: Following;
  readonly writing: Writing;
  readonly platform: Platform;
  readonly locks: StoreLocks;
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
  /** What is under way: who asks for the same waits for it. */
  readonly revoking: Map<string, Promise<RevokeResult>>;
}

/** Which tokens to revoke. */
export type RevokeTarget = 'all' | 'access' | 'refresh';

/** Revokes, and removes the credential unless something usable is left of it. */
export async function revoke(context: RevocationContext, meant: Meant, target: RevokeTarget): Promise<RevokeResult> {
  const { id } = meant;
  if (target !== 'all') await context.writing.reread(id).catch(() => undefined); // a renewal or a sign-in elsewhere, and nobody has told of it yet
  const { marked, kept, isGoing = false } = await decided(context, meant, target);
  if (kept) return target === 'access' ? revokeAccessTokens(context, kept) : NOTHING_TO_REVOKE;
  if (!marked) throw new CredentialError('credential_removed', 'The credential is gone already.');
  const key = JSON.stringify([id, marked.storedAt, target]);
  const running = context.revoking.get(key);
  if (running) return running.then(() => NOTHING_ASKED);
  const begun = finish(context, marked, isGoing ? 'all' : target).finally(() => context.revoking.delete(key));
  context.revoking.set(key, begun);
  return begun;
}

/** What becomes of a record. */
interface Decision {
  /** The record that is to go. */
  readonly marked?: CredentialRecord | null;
  /** It was marked before, by who may be gone: all of it has to go. */
  readonly isGoing?: boolean;
  /** It stays: as it was before its access tokens were given up, if they were. */
  readonly kept?: OpenRecord | undefined;
}

/** Decides by the record that is written over, and by no earlier one: another tab may have renewed it, or signed in in its place. */
async function decided({ ledger, writing }: RevocationContext, meant: Meant, target: RevokeTarget): Promise<Decision> {
  const { id } = meant;
  for (;;) {
    const known = ledger.record(id);
    if (target !== 'all' && known?.state === 'active' && ledger.isOurs(known)) {
      const opening = ledger.openInTime(id, target === 'refresh' ? DEADLINE_MS : undefined);
      await (target === 'access' ? opening : opening.catch(() => undefined)); // what cannot be opened is removed
    }
    const seen = ledger.record(id);
    const last: { kept?: OpenRecord | undefined; isNew?: boolean; going?: CredentialRecord | undefined } = {};
    const change = (current: CredentialRecord): RecordDraft | null => {
      last.kept = isKept(current, target) ? current : undefined;
      if (target === 'access' && !ledger.isOurs(current) && current.state !== 'removed') throw notOurs(); // nothing could get another
      last.isNew = target !== 'all' && current.state === 'active' && current !== seen && !isOpen(current) && ledger.isOurs(current); // nobody has tried to open it yet
      last.going = current.state === 'revoking' ? current : undefined;
      // A mark over a mark would take from who made it the access token that nobody else has
      if (last.isNew || last.going || current.state === 'removed') return null;
      if (!last.kept) return { ...current, state: 'revoking' };
      return target === 'access' ? agedOf(last.kept) : null;
    };
    const marked = await writing.update(meant, change, { keep: true });
    if (!last.isNew) return { marked: last.going ?? marked, kept: last.kept, isGoing: last.going !== undefined };
  }
}

/** True if something usable is left once these are revoked, or there is nothing to revoke. */
function isKept(record: CredentialRecord, target: RevokeTarget): record is OpenRecord {
  const { state, reason } = record;
  if (target === 'all' || !isOpen(record)) return false;
  // Who must sign in again is kept to be named; what cannot be opened is not, since a refresh token may be in it.
  if (state === 'needs_sign_in') return target === 'refresh' && reason !== 'unreadable';
  return state === 'active' && hasRefreshToken(record) === (target === 'access');
}

/** Takes up what was begun by a program, or another tab, that is no more. */
export interface Resuming {
  /** Milliseconds until somebody has to look whether it is still going on; `Infinity` for what is not being revoked. */
  dueInMs(credential: CredentialState): number;
  /** Takes up what is due of these. */
  run(credentials: readonly CredentialState[]): void;
  /** Takes up all there is, as at a start: after a moment, in which the user may sign in again. */
  all(): Promise<void>;
  /** Takes it up at once: the store closes. */
  hurry(): void;
  /** It is no more, or not being revoked. */
  forget(id: string): void;
}

/** What taking up needs of the store around it. */
export interface ResumingContext extends RevocationContext {
  readonly isClosing: () => boolean;
  /** `close` waits for what is run here. */
  readonly running: <T>(command: Promise<T>) => Promise<T>;
}

/** A tab that lives keeps the lock until it is done. So none is disturbed, and of those who look one is enough. */
export function createResuming(context: ResumingContext): Resuming {
  const { ledger, platform } = context;
  /** By id; monotonic. */
  const lookAt = new Map<string, number>();
  let hurry = (): void => undefined;
  const dueInMs: Resuming['dueInMs'] = ({ id, status }) => {
    if (status.activity !== 'revoking' || context.isClosing()) return Infinity;
    const marked = ledger.record(id);
    if (!marked || !context.clientOf(marked)) return Infinity; // another program of the origin may have its client
    const now = platform.monotonicNow();
    const at = lookAt.get(id) ?? now + LEFT_ALONE_MS;
    lookAt.set(id, at);
    return at - now;
  };
  return {
    dueInMs,
    run: (credentials) => {
      for (const credential of credentials) {
        if (dueInMs(credential) > 0) continue;
        lookAt.delete(credential.id); // should nothing come of it, after the same time
        const record = ledger.record(credential.id);
        if (record?.state === 'revoking') void takeUp(context, record, context.isClosing).catch(() => undefined);
      }
    },
    all: async () => {
      // As they are now: who clears meanwhile takes all there is in them. Others as above
      const begun = Array.from(ledger.entries(), ({ record }) => record).filter((one) => one.state === 'revoking' && ledger.isOurs(one));
      if (begun.length === 0) return;
      if (!context.isClosing())
        await new Promise<void>((resolve) => {
          const cancel = platform.setTimer(resolve, platform.page ? LEFT_ALONE_MS : STARTED_MS, true);
          hurry = () => {
            cancel();
            resolve();
          };
        });
      await Promise.all(begun.map((marked) => takeUp(context, marked, () => false).catch(() => undefined)));
    },
    hurry: () => hurry(),
    forget: (id) => void lookAt.delete(id),
  };
}

/** What a mark of another is good for, unless that one, or who looked before, has done it meanwhile. @param isLeft then it is left to others */
async function takeUp(context: ResumingContext, marked: CredentialRecord, isLeft: () => boolean): Promise<void> {
  const { ledger, following, locks, platform } = context;
  const { id } = marked;
  await locks.aloneInTime(`revoke:${id}`, RESUMED_LOCK_MS, async () => {
    if (isLeft()) return; // the mark stays for the next
    const taken = async (): Promise<void> => {
      await following.reread(id).catch(() => undefined);
      const current = ledger.record(id);
      if (current?.state === 'removed' && (current.revision > 0 || ledger.book.isNarrow)) return; // a narrow storage keeps no tombstone
      const look = context.isClosing() ? hasSignedInSinceIfKnown : hasSignedInSince; // where nobody knows, the mark stays for another time
      const isLate = await look(context, marked, marked.changedAt);
      const deadline = deadlineOf(platform); // from now on: a lock is waited for longer than that
      const asking = askingFor(context, marked, deadline, { since: marked.changedAt, isResumed: true });
      await end(context, marked, 'all', isLate ? undefined : asking).finally(() => deadline.cancel());
    };
    await context.running(taken()); // `close` does not wait for the lock of another
  });
}

async function finish(context: RevocationContext, marked: CredentialRecord, target: RevokeTarget): Promise<RevokeResult> {
  const { following, locks, platform } = context;
  const { id } = marked;
  const deadline = deadlineOf(platform);
  const ended = locks.aloneInTime(`revoke:${id}`, LOCK_MS, async () => {
    await following.reread(id).catch(() => undefined); // a broken storage keeps nobody signed in
    return end(context, marked, target, askingFor(context, marked, deadline, { since: marked.changedAt }));
  });
  return ended.finally(() => deadline.cancel());
}

/** The remote part, where anything is to be asked, and the tombstone. */
async function end(
  context: RevocationContext,
  marked: CredentialRecord,
  target: RevokeTarget,
  asking: Asking | undefined,
): Promise<RevokeResult> {
  const { ledger, writing } = context;
  const current = ledger.record(marked.id);
  // Who removes or clears asks no server: what was marked lives on. Revoked by another tab, it is harmless to ask again (7009-3).
  const isMarked = current?.state === 'revoking' && current.storedAt === marked.storedAt;
  const record = isMarked ? current : marked; // of this credential, whoever has the id by then
  const remote = asking ? await revokeRemotely(context, record, target, asking) : NOTHING_ASKED;
  if (isMarked) await writing.update(marked, (latest) => (latest.state === 'revoking' ? tombstoneOf(latest) : null), { keep: true });
  return { ...remote, local: 'removed' };
}

/** Also one that waits to be judged. */
function hasRefreshToken({ secrets, staged }: OpenRecord): boolean {
  return secrets?.refreshToken !== undefined || refreshTokenIn(staged?.text ?? '') !== undefined;
}

const NOT_ASKED: RemoteRevocation = { status: 'not_asked' };
const NOTHING_ASKED = Object.freeze<RevokeResult>({ local: 'removed', refreshToken: NOT_ASKED, accessToken: NOT_ASKED });
const NOTHING_TO_REVOKE = Object.freeze<RevokeResult>({ local: 'kept', refreshToken: { status: 'absent' }, accessToken: NOT_ASKED });
/** What cannot be opened cannot be revoked. */
const LOST: RemoteRevocation = { status: 'failed', code: 'key_lost' };
const OF_OTHERS: RemoteRevocation = { status: 'failed', code: 'client_unknown' };

async function revokeRemotely(
  { ledger }: RevocationContext,
  sealed: CredentialRecord,
  target: RevokeTarget,
  asking: Asking,
): Promise<Pick<RevokeResult, 'refreshToken' | 'accessToken'>> {
  const isUseful = isOpen(sealed) || ledger.isOurs(sealed); // no key is asked for where nobody could be asked to revoke
  const opening = isUseful ? ledger.unsealed(sealed, DEADLINE_MS).catch(() => undefined) : undefined;
  const record = await Promise.race([opening, asking.deadline.passed.then(() => undefined)]);
  const unopened = asking.client ? LOST : OF_OTHERS;
  if (!record) return { refreshToken: unopened, accessToken: unopened };
  const staged = record.staged?.text ?? ''; // an answer that waits to be judged holds live tokens, too
  // 7009-2: the refresh token first; many servers end the whole grant with it
  const refreshToken =
    target === 'access' ? NOT_ASKED : await askInTime(asking, refreshTokenIn(staged) ?? record.secrets?.refreshToken, 'refresh_token');
  if (target === 'refresh') return { refreshToken, accessToken: NOT_ASKED };
  const accessToken = await askInTime(asking, record.secrets?.accessToken, 'access_token');
  const others = [accessTokenIn(staged), ...(record.secrets?.children ?? []).map((child) => child.accessToken)];
  await Promise.all(others.filter((one) => one !== undefined).map((one) => askInTime(asking, one, 'access_token')));
  return { refreshToken, accessToken };
}

/** The record once its access tokens are revoked: marked as expired, by any clock, so that the next caller gets another one. */
function agedOf(record: OpenRecord): RecordDraft {
  const { children: _, ...secrets } = record.secrets ?? {};
  const generation = nextCount(record.generation);
  return { ...record, secrets: record.secrets && secrets, expiresAt: 0, generation, agedAt: generation };
}

/** Asks the server for what nothing attaches any more: the access token there was, and those for less, which came of it. */
async function revokeAccessTokens(context: RevocationContext, record: OpenRecord): Promise<RevokeResult> {
  const { secrets } = record;
  const deadline = deadlineOf(context.platform);
  const asking = askingFor(context, record, deadline, { since: context.platform.now() });
  try {
    const [accessToken] = await Promise.all([
      askInTime(asking, secrets?.accessToken, 'access_token'),
      ...(secrets?.children ?? []).map((child) => askInTime(asking, child.accessToken, 'access_token')),
    ]);
    return { local: 'kept', refreshToken: NOT_ASKED, accessToken };
  } finally {
    deadline.cancel();
  }
}

/** Whom to ask for one revocation, and how long. */
interface Asking {
  readonly client: OAuth2Client | undefined;
  readonly deadline: Deadline;
  /** True once the user has signed in again: to revoke might end that session, too (D-064). What she has called for is asked for once in any case. */
  isLate(): boolean;
  /** The same before it is asked again, by what is stored. */
  isLateByNow(): Promise<boolean>;
}

/** @param options `since`: when the tokens were let go, in epoch milliseconds; `isResumed`: what another began */
function askingFor(
  context: RevocationContext,
  record: CredentialRecord,
  deadline: Deadline,
  { since, isResumed = false }: { readonly since: number; readonly isResumed?: boolean },
): Asking {
  let isFirst = !isResumed;
  return {
    client: context.clientOf(record),
    deadline,
    isLate: () => {
      const isLate = !isFirst && isSignedInSince(context, record, since);
      isFirst = false;
      return isLate;
    },
    isLateByNow: () => hasSignedInSinceIfKnown(context, record, since),
  };
}

const askInTime = (asking: Asking, ...question: Question): Promise<RemoteRevocation> =>
  Promise.race([askServer(asking, ...question), asking.deadline.passed]);

type Question = readonly [token: string | undefined, hint: 'access_token' | 'refresh_token'];

async function askServer({ client, deadline, ...asking }: Asking, ...[token, hint]: Question): Promise<RemoteRevocation> {
  if (token === undefined) return { status: 'absent' };
  if (!client) return OF_OTHERS;
  if (asking.isLate()) return NOT_ASKED;
  for (;;) {
    try {
      await client.revoke(token, hint);
      return { status: 'revoked' };
    } catch (error) {
      const { code, retryAfterMs } = asCredentialError(error, 'network_error', 'The revocation failed.');
      const isAgain = retryAfterMs !== undefined && (await deadline.allows(retryAfterMs)); // 7009-4
      if (!isAgain || (await asking.isLateByNow()) || deadline.leftMs() === 0) return { status: 'failed', code };
    }
  }
}

interface Deadline {
  readonly passed: Promise<RemoteRevocation>;
  /** Waits so long and resolves with true, or at once with false, if the time is up before. */
  allows(waitMs: number): Promise<boolean>;
  /** How much is left of it, in milliseconds. */
  leftMs(): number;
  cancel(): void;
}

/** The end of that time. */
export function deadlineOf(platform: Platform): Deadline {
  const endsAt = platform.monotonicNow() + DEADLINE_MS;
  let cancel = (): void => undefined;
  const passed = new Promise<RemoteRevocation>((resolve) => {
    cancel = countdown(platform, DEADLINE_MS, () => resolve({ status: 'failed', code: 'timeout' }));
  });
  const leftMs = (): number => Math.max(0, endsAt - platform.monotonicNow());
  const allows = async (waitMs: number): Promise<boolean> => {
    if (waitMs >= leftMs()) return false;
    await new Promise<void>((resolve) => platform.setTimer(resolve, waitMs, true));
    return true;
  };
  return { passed, allows, leftMs, cancel: () => cancel() };
}
