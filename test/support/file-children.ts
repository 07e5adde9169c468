// Programs in processes of their own, over the file storage: what they say, how they end, and that none outlives its test.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildForNode } from './file-build';
import { ROOT } from './markdown';

/** A line that a program said. */
export type Line = Readonly<Record<string, unknown>>;

/** A program that runs. */
export interface Child {
  readonly process: ChildProcess;
  /** All it has said so far. */
  readonly lines: readonly Line[];
  /** The first line with this member, once it is said. Rejects if the program ends without. */
  says(member: string): Promise<Line>;
  /** The code or signal it ended with, after its last line. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

let bundle: Promise<string> | undefined;

/** Starts `test/storage/file-child.mjs`. `onLine` is called with each line as it is read. */
export async function startChild(options: Line, onLine: (line: Line, child: ChildProcess) => void = () => undefined): Promise<Child> {
  bundle ??= buildForNode('test/support/file-child-entry.ts');
  const program = join(ROOT, 'test/storage/file-child.mjs');
  const child = spawn(process.execPath, [program, await bundle, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  return follow(child, onLine);
}

function parsed(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}

/** Listens to a program that was started already. */
export function follow(child: ChildProcess, onLine: (line: Line, child: ChildProcess) => void = () => undefined): Child {
  running.add(child);
  const lines: Line[] = [];
  let torn: string | undefined;
  const waiting = new Set<() => void>();
  const reader = createInterface({ input: child.stdout! });
  reader.on('line', (text) => {
    if (torn !== undefined) throw new Error(`a line that is none: ${torn}`);
    const line = parsed(text);
    if (!line) return void (torn = text); // the last one, of a program that was killed while it wrote: it was not said
    lines.push(line);
    onLine(line, child);
    waiting.forEach((wake) => wake());
  });
  const read = new Promise<void>((resolve) => reader.on('close', resolve));
  let over = false;
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      running.delete(child);
      void read.then(() => {
        over = true;
        if (torn !== undefined && signal === null) reject(new Error(`a line that is none: ${torn}`));
        resolve(signal ?? code);
        waiting.forEach((wake) => wake());
      });
    });
  });
  const says = (member: string): Promise<Line> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const line = lines.find((one) => member in one);
        if (!line && !over) return;
        waiting.delete(look);
        if (line) resolve(line);
        else reject(new Error(`it ended and never said ${member}: ${JSON.stringify(lines)}`));
      };
      waiting.add(look);
      look();
    });
  return { process: child, lines, says, ended };
}
