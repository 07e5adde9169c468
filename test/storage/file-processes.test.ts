import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileStorage } from '../../src/storage/file';
import { runs } from '../support/counts';
import { startChild, type Child } from '../support/file-children';
import { leftovers, newFolder } from '../support/file-folder';

const PROCESSES = 8;
const ROUNDS = runs(25, 250);

const start = (options: Readonly<Record<string, unknown>>): Promise<Child[]> =>
  Promise.all(Array.from({ length: PROCESSES }, () => startChild({ ...options, rounds: ROUNDS })));

describe('several programs over one fileStorage', () => {
  it('RF-5 count one record up together and lose no step', async () => {
    const folder = newFolder();
    const storage = fileStorage({ folder });
    await storage.write({ id: 'one', revision: 1, n: 0 } as never, 'absent');
    const children = await start({ folder, task: 'count' });
    for (const { ended } of children) expect(await ended).toBe(0);
    const steps = PROCESSES * ROUNDS;
    expect(await storage.read('one')).toEqual({ id: 'one', revision: steps + 1, n: steps });
    expect(await leftovers(folder)).toEqual([]);
  });

  it('RF-1 are alone under a lock, each of them, and everyone has a turn before anyone has had all', async () => {
    const folder = newFolder();
    const file = join(dirname(folder), 'turns');
    writeFileSync(file, '');
    const storage = fileStorage({ folder });
    let children: Child[] = [];
    await storage.withLock!('lock', async () => {
      children = await start({ folder, task: 'locked', file, programs: PROCESSES });
      while ((await leftovers(folder)).length < PROCESSES + 1) await new Promise((resolve) => setImmediate(resolve)); // all of them wait
    });
    for (const { ended } of children) expect(await ended).toBe(0);
    const turns = readFileSync(file, 'utf8').trim().split('\n');
    const taken = await Promise.all(children.map(async ({ says }) => Number((await says('turns'))['turns'])));
    expect(Math.min(...taken)).toBeGreaterThanOrEqual(ROUNDS);
    expect(turns).toHaveLength(taken.reduce((sum, one) => sum + one, 0));
    const pids = new Set(turns);
    expect(pids.size).toBe(PROCESSES);
    const firsts = [...pids].map((pid) => turns.indexOf(pid));
    const lasts = [...pids].map((pid) => turns.lastIndexOf(pid));
    expect(Math.max(...firsts)).toBeLessThan(Math.min(...lasts));
    expect(await leftovers(folder)).toEqual([]);
  });
});
