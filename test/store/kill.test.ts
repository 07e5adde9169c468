// A whole store over the file storage, in a program that is killed: at each of its system calls, and at any instant.
import { runs } from '../support/counts';
import { leftovers, newFolder } from '../support/file-folder';
import type { Child } from '../support/file-children';
import type { ChildOptions } from './kill-child';
import { everyCommand, type Command } from './kill-model';
import { createJudge, startProgram, type Judge } from './kill-programs';

/** Plain and sealed together 50 kills in `npm test`. In `npm run test:long` more than 1,000: one at each step, and 400 at any instant. */
const KILLS_AT_STEPS = runs(15, Infinity);
const KILLS_AT_ANY_INSTANT = runs(10, 200);
const COMMANDS = everyCommand('').length;
const PATIENCE_MS = runs(120_000, 1_800_000);

/** Commands that kills fell into. */
type Interrupted = readonly Command['do'][];

/**
 * Kills one program after the other on one folder. Each finds what the one before left, and goes on from there. So many at least, and
 * more until enough commands were interrupted: how many are depends on how the programs are scheduled.
 */
async function killAll(
  seals: boolean,
  least: number,
  isEnough: (interrupted: Interrupted) => boolean,
  program: (number: number, begun: Command | undefined) => [Partial<ChildOptions>, Parameters<typeof startProgram>[1]?],
): Promise<void> {
  const folder = newFolder();
  const judge = createJudge();
  const base = { folder, sealed: seals, task: 'random' as const };
  const interrupted: Command['do'][] = [];
  for (let number = 0; number < least || !isEnough(interrupted); number++) {
    const [options, onLine] = program(number, judge.begun());
    const child = await startProgram({ ...base, name: `p${number}`, seed: number, ...options }, onLine);
    expect(await child.ended).toBe('SIGKILL');
    judgeLines(judge, child, `program ${number} of ${JSON.stringify(options)}`);
    const begun = judge.begun();
    if (begun) interrupted.push(begun.do);
  }
  const last = await startProgram({ ...base, name: 'last', task: 'look' });
  expect(await last.ended).toBe(0);
  judgeLines(judge, last, 'the last program');
  expect(await leftovers(folder)).toEqual([]);
}

/** Nobody else is alive: whoever waits for a lock waits for a dead one. */
function judgeLines(judge: Judge, { lines }: Child, which: string): void {
  try {
    judge.hear(lines);
    expect(lines.filter(({ waits }) => waits !== undefined && waits !== 0)).toEqual([]);
  } catch (error) {
    const last = lines.slice(-6).map((line) => JSON.stringify(line));
    throw new Error(`${which}: ${(error as Error).message}\n${last.join('\n')}`, { cause: error });
  }
}

/** How many system calls each command makes, the start and the end included, in a program that nobody kills. */
async function stepsOfEach(seals: boolean): Promise<readonly number[]> {
  const child = await startProgram({ folder: newFolder(), sealed: seals, task: 'script', name: 'whole' });
  expect(await child.ended).toBe(0);
  return ((await child.says('calls'))['calls'] as readonly number[]).slice(0, COMMANDS + 1);
}

describe.each([
  ['fileStorage', false],
  ['sealed(fileStorage)', true],
])('a program with a store over %s', (_, seals) => {
  it(
    'RF-6 killed before any system call of any command leaves the old store or the new one, whole, and its locks free',
    async () => {
      const steps = await stepsOfEach(seals);
      const all = steps.flatMap((calls, during) => Array.from({ length: calls }, (_, before) => ({ during, before })));
      const count = Math.min(KILLS_AT_STEPS, all.length);
      const areOfAllKinds = (interrupted: Interrupted): boolean => new Set(interrupted).size >= runs(4, 8);
      const shift = seals ? 0.5 : 0;
      await killAll(seals, count, areOfAllKinds, (number) => {
        const step = ((number + shift) * all.length) / count + Math.floor(number / count); // of later rounds the steps between
        return [{ task: 'script', dies: all[Math.floor(step) % all.length] }];
      });
    },
    PATIENCE_MS,
  );

  it(
    'RF-6 killed at any instant leaves the old store or the new one, whole, and its locks free',
    async () => {
      const areMany = (interrupted: Interrupted): boolean => interrupted.length > KILLS_AT_ANY_INSTANT / 3;
      await killAll(seals, KILLS_AT_ANY_INSTANT, areMany, (number, begun) => {
        const [name, seed] = [`p${number}`, number + (seals ? 10_000 : 0)];
        const last = 2 + ((number * 7) % 31); // of its lines: then it is killed, wherever it is by that time
        let line = 0;
        const first = begun && ('mark' in begun ? { ...begun, mark: `${name}-again` } : begun);
        return [{ task: 'random', seed, first }, (child) => void (++line === last && afterTurns(number % 9, () => child.kill('SIGKILL')))];
      });
    },
    PATIENCE_MS,
  );
});

/** Some instants later. */
function afterTurns(turns: number, run: () => void): void {
  if (turns === 0) run();
  else setImmediate(() => afterTurns(turns - 1, run));
}
