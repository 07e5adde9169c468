// Programs of kill-child.ts, and a judge of what they say.
import { spawn } from 'node:child_process';
import { buildForNode } from '../support/file-build';
import { follow, type Child, type Line } from '../support/file-children';
import type { ChildOptions } from './kill-child';
import { EMPTY, findings, outcomes, ownPart, settled, type Command, type View } from './kill-model';

/** A program that can be waited for. */
export interface Program extends Child {
  /** What the question finds in its lines, asked again after each line, until it finds something. Rejects if the program ends before. */
  until<T>(question: () => T | undefined): Promise<T>;
  /** Tells it something. */
  order(what: { readonly go?: true; readonly rest?: true; readonly do?: Command }): void;
}

let program: Promise<string> | undefined;

/** Starts a program with a store. */
export async function startProgram(options: ChildOptions, onLine: (child: Child['process']) => void = () => undefined): Promise<Program> {
  program ??= buildForNode('test/store/kill-child.ts');
  const process_ = spawn(process.execPath, [await program, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  process_.stdin.on('error', () => undefined); // it is dead already
  const waiting = new Set<() => void>();
  const wakeAll = (): void => waiting.forEach((wake) => wake());
  const child = follow(process_, () => {
    onLine(process_);
    wakeAll();
  });
  let over = false;
  const end = (): void => {
    over = true;
    wakeAll();
  };
  void child.ended.then(end, end);
  const until = <T>(question: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const ask = (): void => {
        const answer = question();
        if (answer === undefined && !over) return;
        waiting.delete(ask);
        if (answer !== undefined) resolve(answer);
        else reject(new Error(`${options.name} ended, and last said ${JSON.stringify(child.lines.slice(-3))}`));
      };
      waiting.add(ask);
      ask();
    });
  return { ...child, until, order: (what) => void process_.stdin.write(`${JSON.stringify(what)}\n`) };
}

/** Knows what the store must hold, from what was acknowledged. */
export interface Judge {
  /** Holds what a program said against that, in the order in which it was said. Throws at the first thing that cannot be. */
  hear(lines: readonly Line[]): void;
  /** The command that was begun and not acknowledged. */
  begun(): Command | undefined;
  view(): View;
}

/** A judge of the credentials whose ids begin with the prefix; of all, and who is the default, without one. */
export function createJudge(prefix = ''): Judge {
  let view = EMPTY;
  let begun: Command | undefined;
  const staged = new Map<string, string>();
  const own = (value: unknown): View => ownPart(value as View, prefix);
  const settle = (found: View, allowed: readonly View[]): void => {
    for (const id of staged.keys()) if (found.credentials[id]?.mark !== view.credentials[id]?.mark) staged.delete(id);
    expect(allowed.map((one) => ownPart(one, prefix))).toContainEqual(found);
    view = found;
  };
  const judge = (line: Line): void => {
    if ('begin' in line) begun = line['begin'] as Command;
    if ('end' in line) {
      settle(own(line['view']), outcomes(view, line['end'] as Command, staged));
      begun = undefined;
    }
    if ('found' in line) {
      const mayBeStaged = begun?.do === 'refresh' && begun.staged ? begun : undefined;
      const before = view;
      settle(own(line['found']), findings(view, begun, staged));
      if (mayBeStaged && view.credentials[mayBeStaged.id]?.mark === before.credentials[mayBeStaged.id]?.mark)
        staged.set(mayBeStaged.id, mayBeStaged.mark);
      begun = undefined;
    }
    if ('settled' in line) {
      settle(own(line['settled']), [settled(view)]);
      expect(line['durable']).toBe(true);
    }
    expect(line).not.toHaveProperty('trouble');
  };
  return { hear: (lines) => lines.forEach(judge), begun: () => begun, view: () => view };
}
