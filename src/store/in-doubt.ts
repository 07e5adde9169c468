/**
 * A refresh of which nobody knows what came, while the access token still lives. Servers that take a rotated refresh token again do so for seconds,
 * and the access token may live for hours: so the same token is sent again soon, and not when it is due (RF-8, D-055).
 *
 * @module
 */
import { backoffMs } from '../credential/expiry.js';
import type { CredentialRecord, Intent } from '../credential/record.js';
import type { OAuth2Client } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';

/** So long servers in the field take a rotated token again, in milliseconds, where nobody has said how long this one does. */
const USUAL_LEEWAY_MS = 60_000;
/** However long a leeway is: by another attempt it begins anew for no longer than this, in milliseconds. The pauses become longer, so it ends. */
const MAX_ANEW_MS = 120_000;
/** No living holder is disturbed before this, in milliseconds: most refreshes are over by then. */
export const LEFT_ALONE_MS = 3_000;

/** What doubts need of the store around them. */
export interface DoubtsContext {
  readonly platform: Pick<Platform, 'now' | 'monotonicNow'>;
  readonly clientOf: (record: CredentialRecord) => OAuth2Client | undefined;
  /** False where nobody tells of a write: nor does a lock reach who else has this storage, perhaps. */
  readonly hears: () => boolean;
}

/** Open intents, and which of them this program has left. */
export interface Doubts {
  /** An intent was written, over one that this program has left, perhaps. */
  begun(id: string, before: Intent | undefined, holder: string): void;
  /** A request of this program has ended. If its intent stays, nobody knows what came of it. */
  left(id: string, holder: string): void;
  /** Milliseconds since the first attempt was begun, below zero where nobody knows: a clock was set back. */
  ageMs(record: CredentialRecord): number;
  /**
   * Milliseconds until the token of an open intent is to be sent again, and no less than `leastMs`; `Infinity` where that is left until the token is due.
   *
   * @param fraction spreads who would come at one instant; 0: as early as anybody
   */
  dueInMs(record: CredentialRecord, fraction?: number, leastMs?: number): number;
  /** True if a token at hand does not serve, however long it lives, since what was sent is to be sent again; by `me` once it was begun. */
  isDue(record: CredentialRecord, me: string): boolean;
  forget(id: string): void;
}

/** What this program has sent: who, when the first and the last attempt were begun, and when the last ended (`undefined`: not yet), by the monotonic clock. */
interface Left {
  readonly holder: string;
  readonly since: number;
  readonly startedAt: number;
  readonly at?: number | undefined;
}

/** Nothing is in doubt yet. */
export function createDoubts({ platform, clientOf, hears }: DoubtsContext): Doubts {
  const own = new Map<string, Left>(); // by id
  const leftBy = ({ id, intent }: CredentialRecord): Left | undefined => {
    const mine = own.get(id);
    return mine?.holder === intent?.holder ? mine : undefined;
  };
  /** For who has sent it by the monotonic clock: the other one may be set meanwhile. */
  const timesOf = (
    record: CredentialRecord,
    { startedAt, since }: Intent,
  ): Pick<Left, 'since' | 'startedAt'> & { now: number; leftAt?: number } => {
    const mine = leftBy(record);
    if (mine?.at === undefined) return { startedAt, since, now: platform.now() };
    return { startedAt: mine.startedAt, since: mine.since, now: platform.monotonicNow(), leftAt: mine.at };
  };
  const dueInMs: Doubts['dueInMs'] = (record, fraction = 0, leastMs = 0) => {
    const { intent } = record;
    const client = intent && clientOf(record);
    if (!intent || !client || !mayBeSpent(client, record)) return Infinity;
    const { leftAt, now, startedAt, since } = timesOf(record, intent);
    // The holder of another program may be alive, and wait for its answer: to send beside it costs the session where the server has no leeway
    if (leftAt === undefined && !hears()) return Infinity;
    const next = Math.max(leftAt ?? startedAt + LEFT_ALONE_MS, startedAt + backoffMs(intent.attempt, fraction));
    const inMs = Math.max(leastMs, next - now, 0);
    return now < Math.max(startedAt, since) || now + inMs >= endOf(client, { startedAt, since }, leftAt) ? Infinity : inMs;
  };
  return {
    begun: (id, before, holder) => {
      const [mine, now] = [own.get(id), platform.monotonicNow()];
      const isMine = before !== undefined && mine?.holder === before.holder;
      const since = isMine ? mine.since : now - (before ? Math.max(0, platform.now() - before.since) : 0);
      own.set(id, { holder, since, startedAt: now, at: isMine ? mine.at : undefined });
    },
    left: (id, holder) => {
      const [mine, at] = [own.get(id), platform.monotonicNow()];
      own.set(id, mine?.holder === holder ? { ...mine, at } : { holder, since: at, startedAt: at, at });
    },
    ageMs: (record) => {
      const mine = leftBy(record);
      return mine ? platform.monotonicNow() - mine.since : platform.now() - (record.intent?.since ?? Infinity);
    },
    dueInMs,
    isDue: (record, me) => record.intent?.holder === me || dueInMs(record) <= 0,
    forget: (id) => void own.delete(id),
  };
}

/** When it ends, by the clock of its times. Each of those that were sent may be the one that the server has heard first. What another policy says begins after the first. */
function endOf(
  { reuseLeewayMs, onUnknownOutcome = 'retry' }: OAuth2Client,
  { startedAt, since }: Pick<Intent, 'startedAt' | 'since'>,
  leftAt: number | undefined,
): number {
  const leewayMs = reuseLeewayMs ?? (onUnknownOutcome === 'retry' && leftAt !== undefined ? USUAL_LEEWAY_MS : 0);
  if (onUnknownOutcome !== 'retry') return since + leewayMs;
  return Math.max(since + leewayMs, (leftAt ?? startedAt) + Math.min(leewayMs, MAX_ANEW_MS));
}

/** What is staged is not lost; a function uses up no token. */
function mayBeSpent({ renew }: OAuth2Client, { state, staged }: CredentialRecord): boolean {
  return !renew && state === 'active' && !staged;
}
