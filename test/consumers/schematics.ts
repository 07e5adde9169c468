/**
 * Fresh applications of Angular's CLI in memory, changed by the `ng add` of the packed adapter.
 *
 * @module
 */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import ts from 'typescript';
import type { Consumer } from './consumer';

/** Texts by path. */
export type Files = Readonly<Record<string, string>>;

/** What is to be made and done. */
export interface Play {
  /** Options of Angular's own `ng new`. */
  readonly application?: Readonly<Record<string, unknown>>;
  /** Files that the application's developer has written. */
  readonly files?: Files;
  /** Options of each run of `ng add`, one after the other. */
  readonly runs: readonly Readonly<Record<string, unknown>>[];
}

/** How it went. */
export interface Played {
  /** The files before the first run, and after each. */
  readonly stages: readonly Files[];
  readonly logs: readonly string[];
  /** Names of the tasks that each run asked for. */
  readonly tasks: readonly (readonly string[])[];
  /** Why a run refused. */
  readonly error?: string;
}

/** Plays in a process of its own. */
export interface Stage {
  play(play: Play): Promise<Played>;
  close(): void;
}

/** @param consumer where the packages are installed; it is not written to */
export function openStage(consumer: Consumer): Stage {
  const collection = consumer.path('node_modules/rx-credentials-angular/schematics/collection.json');
  const child: ChildProcess = fork(join(__dirname, 'schematics-child.mjs'), [collection, consumer.path('program.mjs')], { execArgv: [] });
  return {
    play: (play) =>
      new Promise((resolve, reject) => {
        const died = (code: number | null): void => reject(new Error(`the schematics ended with ${code}`));
        child.once('exit', died);
        child.once('message', (answer) => {
          child.off('exit', died);
          resolve(answer as Played);
        });
        child.send(play);
      }),
    close: () => void child.kill(),
  };
}

/** What a compiler says of the text's form alone: nothing, if it is TypeScript. */
export function syntaxErrors(text: string): string[] {
  const { diagnostics = [] } = ts.transpileModule(text, { reportDiagnostics: true, compilerOptions: { target: ts.ScriptTarget.ESNext } });
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
