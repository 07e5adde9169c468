/**
 * What a stored credential takes of the heap beyond its own bytes, which are those of its record as JSON in UTF-8, as stored. In a process of its
 * own, with 10,000 of them read from a storage that keeps nothing itself.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const COUNT = 10_000;
const CHILD = fileURLToPath(new URL('../memory-child.mjs', import.meta.url));
const NAMES = {
  read: 'read at the start',
  indexed: 'with live queries by a tag and by a claim',
  handles: 'with these and a handle for each',
};

export default async function memory({ coreFolder, count }) {
  for (const kind of ['plain', 'sealed']) {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', CHILD, coreFolder, String(COUNT), kind]);
    const figures = JSON.parse(stdout);
    for (const [step, name] of Object.entries(NAMES)) {
      count({ name: `${kind}, ${name}`, value: figures[step], unit: 'B beyond its own', reach: 1024, reachOf: 'issue 3' });
    }
  }
}
