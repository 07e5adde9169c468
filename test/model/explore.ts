// Every world that can be reached, breadth first, so that the first bad one has a shortest trace.
import { events } from './events.js';
import { violationOf } from './invariants.js';
import { createKeys } from './key.js';
import { firstWorld, isQuiet, type Settings, type World } from './world.js';

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** The first rule that was broken, and the events that led there. */
  readonly violation: { readonly rule: string; readonly trace: readonly string[]; readonly world: World } | null;
  /** True if every run comes to an end: no state comes back. */
  readonly isFinite: boolean;
}

/** A state that was seen: how the shortest way to it goes. */
interface Visit {
  readonly from: number;
  /** Which of the events of the state before. */
  readonly choice: number;
}

/**
 * Visits everything that can be reached, or stops at the first world that breaks a rule.
 *
 * @param ruleBrokenBy another thing to look for
 */
export function explore(settings: Settings, ruleBrokenBy = violationOf): Exploration {
  const keyOf = createKeys();
  const known = new Map<string, number>();
  const visits: Visit[] = [];
  const successors: number[][] = [];
  let transitions = 0;
  let waiting: World[] = [];

  /** The place of a world among those that were seen. */
  const visit = (world: World, from: number, choice: number): number => {
    const key = keyOf(world);
    const seen = known.get(key);
    if (seen !== undefined) return seen;
    known.set(key, visits.length);
    waiting.push(world);
    return visits.push({ from, choice }) - 1;
  };
  const expand = (world: World, place: number): string | null => {
    const rule = ruleBrokenBy(world, settings);
    if (rule !== null) return rule;
    const happening = events(world, settings);
    if (happening.length === 0 && !isQuiet(world)) return 'nothing can happen, and somebody waits';
    transitions += happening.length;
    successors.push(happening.map(({ to }, choice) => visit(to, place, choice)));
    return null;
  };

  visit(firstWorld(settings), -1, -1);
  for (let place = 0; waiting.length > 0;) {
    const level = waiting;
    waiting = [];
    for (const world of level) {
      const rule = expand(world, place);
      if (rule !== null) {
        const violation = { rule, trace: traceTo(visits, place, settings), world };
        return { states: visits.length, transitions, violation, isFinite: false };
      }
      place++;
    }
  }
  return { states: visits.length, transitions, violation: null, isFinite: isAcyclic(successors) };
}

/** What has happened on the way to a state: the world is played again. */
function traceTo(visits: readonly Visit[], last: number, settings: Settings): readonly string[] {
  const choices: number[] = [];
  for (let at = visits[last]; at && at.from >= 0; at = visits[at.from]) choices.unshift(at.choice);
  let world = firstWorld(settings);
  return choices.map((choice) => {
    const event = events(world, settings)[choice];
    if (!event) throw new RangeError('the trace cannot be played again');
    world = event.to;
    return event.tab === null ? event.what : `tab ${event.tab}: ${event.what}`;
  });
}

/** True if no state can be reached from itself: taking away states that nothing leads to leaves none (Kahn). */
function isAcyclic(successors: readonly (readonly number[])[]): boolean {
  const degrees = new Int32Array(successors.length);
  for (const into of successors) for (const place of into) degrees[place] = (degrees[place] ?? 0) + 1;
  const free = [...degrees.keys()].filter((place) => degrees[place] === 0);
  let taken = 0;
  for (let place = free.pop(); place !== undefined; place = free.pop()) {
    taken++;
    for (const into of successors[place] ?? []) {
      const left = (degrees[into] ?? 0) - 1;
      degrees[into] = left;
      if (left === 0) free.push(into);
    }
  }
  return taken === successors.length;
}
