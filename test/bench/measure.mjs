/**
 * What a group of rows is given: `ratio`, `difference`, `count` and `bytes` measure or take one figure each and report one row.
 */
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';

/** Rounds that are run and thrown away: they are the compiler's. */
const WARM_UP_ROUNDS = 5;

/**
 * @typedef {object} Row
 * @property {string} group
 * @property {string} name what is measured
 * @property {string} floor what it is compared with; empty for counts and bytes
 * @property {'×' | 'ms' | 'B' | string} unit of `value`: a ratio, a difference in milliseconds, bytes, or what is counted
 * @property {number} value the ratio or the difference (median of the rounds), the count, or the bytes
 * @property {[number, number]} [spread] p10 and p90 of the rounds
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
    /** Another entry point of it, such as `storage/sealed`. */
    importCore: (entryPoint) => import(pathToFileURL(resolve(coreFolder, entryPoint, 'index.js')).href),
    rounds,
    /**
     * Times two operations in turns. Both get the number of times they are to run, and loop themselves, so that what is timed holds
     * no call that is not theirs. `beforeRound` is not timed. With `selfTimed` both return milliseconds of one operation, such as
     * those that a page in a browser has measured.
     *
     * @param {{ name: string, floor: string, times: number, subject: (times: number) => unknown, against: (times: number) => unknown,
     *   againstTimes?: number, beforeRound?: () => unknown, selfTimed?: boolean, atLeast?: number, reach?: number, reachOf?: string }} row
     *   `atLeast`: rounds, however few were asked for
     * @returns {Promise<Row>}
     */
    ratio: async ({ name, floor, atLeast = 0, reach, reachOf, ...operations }) => {
      const samples = await samplesOf(Math.max(atLeast, rounds), operations);
      const row = { group, name, floor, unit: '×', ...medians(samples, ([one, other]) => one / other), reach, reachOf };
      report(row);
      return row;
    },
    /** As `ratio`, but how many milliseconds longer the subject takes; in at least 30 rounds. */
    difference: async ({ name, floor, reach, reachOf, ...operations }) => {
      const samples = await samplesOf(Math.max(30, rounds), operations);
      const row = { group, name, floor, unit: 'ms', ...medians(samples, ([one, other]) => one - other), reach, reachOf };
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

/** Milliseconds of the one operation and the other, of each round. */
async function samplesOf(rounds, { times = 1, againstTimes = times, subject, against, beforeRound, selfTimed = false }) {
  const samples = [];
  const run = selfTimed ? (operation, count) => operation(count) : timed;
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    await beforeRound?.();
    const pair = await inTurns(
      round,
      () => run(subject, times),
      () => run(against, againstTimes),
    );
    if (round >= 0) samples.push(pair);
  }
  return samples;
}

function medians(samples, compare) {
  const compared = samples.map(compare);
  const us = (which) =>
    quantile(
      samples.map((pair) => pair[which] * 1000),
      0.5,
    );
  return {
    value: quantile(compared, 0.5),
    spread: [quantile(compared, 0.1), quantile(compared, 0.9)],
    subjectUs: us(0),
    floorUs: us(1),
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
