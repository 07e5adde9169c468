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
  /** A request of this program has ended. If its intent stays, nobody knows what came of it. */
  left(id: string, holder: string): void;
  /** An intent was written over one that this program has left, perhaps. */
  goesOn(id: string, before: string | undefined, holder: string): void;
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

/** Who sent it, and when that ended, by both clocks. */
interface Left {
  readonly holder: string;
  readonly at: number;
  readonly monotonicAt: number;
}

/** Nothing is in doubt yet. */
export function createDoubts({ platform, clientOf, hears }: DoubtsContext): Doubts {
  const own = new Map<string, Left>(); // by id
  const leftBy = ({ id, intent }: CredentialRecord): Left | undefined => {
    const mine = own.get(id);
    return mine?.holder === intent?.holder ? mine : undefined;
  };
  /** A clock that is set since changes nothing for who has sent it. */
  const nowFor = (mine: Left | undefined): number => (mine ? mine.at + platform.monotonicNow() - mine.monotonicAt : platform.now());
  const dueInMs: Doubts['dueInMs'] = (record, fraction = 0, leastMs = 0) => {
    const { intent } = record;
    const client = intent && clientOf(record);
    if (!intent || !client || !mayBeSpent(client, record)) return Infinity;
    const mine = leftBy(record);
    // The holder of another program may be alive, and wait for its answer: to send beside it costs the session where the server has no leeway
    if (!mine && !hears()) return Infinity;
    const [now, from] = [nowFor(mine), mine?.at ?? intent.startedAt];
    const next = Math.max(mine ? from : from + LEFT_ALONE_MS, intent.startedAt + backoffMs(intent.attempt, fraction));
    const inMs = Math.max(leastMs, next - now, 0);
    return now < from || now + inMs >= endOf(client, intent, mine?.at) ? Infinity : inMs;
  };
  return {
    left: (id, holder) => void own.set(id, { holder, at: platform.now(), monotonicAt: platform.monotonicNow() }),
    goesOn: (id, before, holder) => {
      const mine = own.get(id);
      if (mine && mine.holder === before) own.set(id, { ...mine, holder });
    },
    dueInMs,
    isDue: (record, me) => record.intent?.holder === me || dueInMs(record) <= 0,
    forget: (id) => void own.delete(id),
  };
}

/** When it ends, in epoch milliseconds. Each of those that were sent may be the one that the server has heard first. What another policy says begins after the first. */
function endOf(
  { reuseLeewayMs, onUnknownOutcome = 'retry' }: OAuth2Client,
  { startedAt, since }: Intent,
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
