/**
 * `npm run bench`: measures the built core and prints a table, each figure as a ratio to a floor measured in the same run.
 * Exits 0 whatever the clock says; `--check` fails on counts and on sizes, which do not depend on the machine.
 *
 *   node test/bench/bench.mjs [--json FILE] [--only GROUP,GROUP] [--rounds 30] [--core DIR] [--check]
 *
 * A group of rows is a file of `rows/` with a default export `async (bench) => void`; `docs/benchmarks.md` says how to add one.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { createBench } from './measure.mjs';
import { tableOf } from './table.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    json: { type: 'string', default: 'out-tsc/bench.json' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '30' },
    core: { type: 'string', default: 'dist/core' },
    check: { type: 'boolean', default: false },
  },
});
const coreFolder = resolve(root, options.core);
if (!existsSync(resolve(coreFolder, 'index.js'))) {
  console.error(`${options.core} is not built. Type: npm run build:core`);
  process.exit(1);
}
const core = await import(pathToFileURL(resolve(coreFolder, 'index.js')).href);

const rowsFolder = new URL('./rows/', import.meta.url);
const groups = readdirSync(rowsFolder).map((file) => file.replace(/\.mjs$/, ''));
const chosen = options.only?.split(',') ?? groups;
const unknown = chosen.filter((group) => !groups.includes(group));
if (unknown.length > 0) {
  console.error(`There is no group ${unknown.join(', ')}; there are ${groups.join(', ')}.`);
  process.exit(1);
}

const results = [];
for (const group of groups.filter((name) => chosen.includes(name))) {
  const { default: run } = await import(new URL(`${group}.mjs`, rowsFolder));
  console.error(`measuring ${group} …`);
  await run(createBench({ group, core, coreFolder, rounds: Number(options.rounds), report: (row) => results.push(row) }));
}

const machine = { node: process.version, platform: `${process.platform}-${process.arch}`, cores: availableParallelism() };
console.log(tableOf(results));
console.log(`\nNode ${machine.node}, ${machine.platform}, ${machine.cores} cores, ${options.rounds} rounds. Ratios: median (p10–p90).`);
const jsonFile = resolve(root, options.json);
mkdirSync(dirname(jsonFile), { recursive: true });
writeFileSync(jsonFile, `${JSON.stringify({ machine, rounds: Number(options.rounds), rows: results }, null, 2)}\n`);

const broken = results.filter((row) => row.limit !== undefined && row.value > row.limit);
for (const { group, name, value, limit, unit } of broken)
  console.error(`${group}: ${name}: ${value} ${unit}, at most ${limit} are allowed`);
process.exitCode = options.check && broken.length > 0 ? 1 : 0;
