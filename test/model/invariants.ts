// What must hold in every world that can be reached (standards.md §20).
import { honours } from './server.js';
import { isQuiet, NOBODY, type Settings, type World } from './world.js';

/** The rule that a world breaks; `null`: none. */
export function violationOf(world: World, settings: Settings): string | null {
  return world.broken ?? whileUnderWay(world, settings) ?? (isQuiet(world) ? whenQuiet(world, settings) : null);
}

function whileUnderWay({ tabs, record, sender, faults }: World, { mode }: Settings): string | null {
  if (tabs.filter(({ hasLock }) => hasLock).length > 1) return 'RF-1 two tabs have the lock';
  if (tabs.filter(({ hasLock, request }) => hasLock && request).length > 1) return 'RF-1 two holders have a request under way';
  if (tabs.some(({ refresh }) => (refresh?.sends ?? 0) > 3)) return 'RF-7 a token was sent more than three times in a row';
  const isWritten = record.intent?.generation === record.generation;
  if (record.state === 'active' && sender !== NOBODY && !isWritten && faults.write === 0 && mode !== 'keep')
    return 'RF-3 a token may be spent, and nothing is written down about it';
  return null;
}

function whenQuiet(world: World, settings: Settings): string | null {
  const { record, server, sends } = world;
  if (record.state === 'gone') return afterSignOut(world, settings);
  const isLost = record.state === 'needs_sign_in' || !honours(server, settings, record.staged ?? record.token);
  const loss = isLost && !isBeyondAnyClient(world) ? lossOf(world, settings) : null;
  if (loss !== null) return loss;
  return sends > record.generation - 1 + countOf(world) ? 'RF-7 more was sent than faults can explain' : null;
}

/** Losses that a client cannot prevent, and of which it may know nothing. */
function isBeyondAnyClient({ faults, overtaken }: World): boolean {
  // A page that froze with its request on the way, slower than the settling of its successor.
  if (faults.freeze > 0 && overtaken) return true;
  // What was sent could not be written down, and whoever knew is gone.
  return faults.write > 0 && faults.crash + faults.freeze > 0;
}

const STRICT = ['strict-fail', 'strict-revoke'];

function lossOf(world: World, { mode, policy }: Settings): string | null {
  const { record, server, hurt, faults } = world;
  if (record.reason === 'rejected') return 'the loss is reported as a rejection';
  if (policy === 'reauthenticate' && (hurt || faults.freeze > 0)) return null; // as was asked for
  if (countOf(world) === 0) return 'a session was lost without a fault';
  if (!hurt) return 'a session was lost by a fault that fell outside of send and durable write';
  if (STRICT.includes(mode) || server.clock === 1) return null;
  // Two faults at once: of two answers the first was stored by the page that woke, and the second, which replaced it, died with its tab.
  if (mode === 'leeway-latest' && faults.freeze > 0 && countOf(world) > 1) return null;
  return 'a session was lost though the server takes the token again';
}

/** Whoever got a token has revoked it, if it was not the one that was stored and revoked. Spent ones end with their leeway. */
function afterSignOut({ server, received }: World, settings: Settings): string | null {
  const left = received.filter((token) => server.tokens[token]?.spentAt === null && honours(server, settings, token));
  return left.length > 0 ? `RF-13 a refresh token lives on after the sign-out` : null;
}

function countOf({ faults }: World): number {
  return Object.values(faults).reduce((sum, count) => sum + count, 0);
}
