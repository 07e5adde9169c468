/**
 * What a group of rows is given: `ratio`, `count` and `bytes` measure or take one figure each and report one row.
 */
import { performance } from 'node:perf_hooks';

/** Rounds that are run and thrown away: they are the compiler's. */
const WARM_UP_ROUNDS = 5;

/**
 * @typedef {object} Row
 * @property {string} group
 * @property {string} name what is measured
 * @property {string} floor what it is compared with; empty for counts and bytes
 * @property {'×' | 'requests' | 'B'} unit
 * @property {number} value the ratio (median of the rounds), the count, or the bytes
 * @property {[number, number]} [spread] p10 and p90 of the ratio
 * @property {number} [subjectUs] microseconds of one operation, median of the rounds
 * @property {number} [floorUs] the same for the floor
 * @property {number} [reach] the figure to reach: at most this
 * @property {string} [reachOf] which issue says so
 * @property {number} [limit] `--check` fails above it
 */

/** The tools of one group. */
export function createBench({ group, core, coreFolder, rounds, report }) {
  return {
    /** The module `rx-credentials`, as built. */
    core,
    /** Where it was built to: for bundles. */
    coreFolder,
    rounds,
    /**
     * Times two operations in turns. Both get the number of times they are to run, and loop themselves, so that what is timed holds
     * no call that is not theirs. `beforeRound` is not timed.
     *
     * @param {{ name: string, floor: string, times: number, subject: (times: number) => unknown, against: (times: number) => unknown,
     *   againstTimes?: number, beforeRound?: () => unknown, reach?: number, reachOf?: string }} row
     * @returns {Promise<Row>}
     */
    ratio: async ({ name, floor, times, againstTimes = times, subject, against, beforeRound, reach, reachOf }) => {
      const samples = [];
      for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
        await beforeRound?.();
        const pair = await inTurns(
          round,
          () => timed(subject, times),
          () => timed(against, againstTimes),
        );
        if (round >= 0) samples.push(pair);
      }
      const ratios = samples.map(([one, other]) => one / other);
      const row = {
        group,
        name,
        floor,
        unit: '×',
        value: quantile(ratios, 0.5),
        spread: [quantile(ratios, 0.1), quantile(ratios, 0.9)],
        subjectUs: quantile(
          samples.map(([one]) => one * 1000),
          0.5,
        ),
        floorUs: quantile(
          samples.map(([, other]) => other * 1000),
          0.5,
        ),
        reach,
        reachOf,
      };
      report(row);
      return row;
    },
    /** How much longer one operation takes than another that was measured before: 1 × is flat. */
    growth: ({ name, row, base, reach, reachOf }) =>
      report({ group, name, floor: base.name, unit: '×', value: row.subjectUs / base.subjectUs, reach, reachOf }),
    /** A number that is the same on every machine. */
    count: ({ name, value, unit = 'requests', reach, reachOf, limit = reach }) =>
      report({ group, name, floor: '', unit, value, reach, reachOf, limit }),
    /** A size. `limit` is the budget: what was measured and a little more. */
    bytes: ({ name, value, reach, reachOf, limit }) => report({ group, name, floor: '', unit: 'B', value, reach, reachOf, limit }),
  };
}

/** A B, B A, A B …: what a round leaves behind (garbage, a warm cache) burdens both alike. */
async function inTurns(round, one, other) {
  if (round % 2 === 0) return [await one(), await other()];
  const second = await other();
  return [await one(), second];
}

/** Milliseconds of one operation. */
async function timed(operation, times) {
  const start = performance.now();
  await operation(times);
  return (performance.now() - start) / times;
}

/** The value that the share `q` of all values lies below. */
export function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)];
  return below + (sorted[Math.ceil(position)] - below) * (position % 1);
}
