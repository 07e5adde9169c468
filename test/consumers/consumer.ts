/**
 * Programs that use the packed packages: each in a folder of its own, which holds nothing of this repository but links to what npm
 * installed here for the workspace.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

/** Those of the workspace; the packages under test are not taken from it. */
const MODULES = join(__dirname, '../../node_modules');
const UNDER_TEST = /^rx-credentials/;

/** What a program printed; status 0 is success. */
export interface Outcome {
  readonly status: number;
  /** Standard output and errors, as they came. */
  readonly output: string;
}

/** A folder with a program. */
export interface Consumer {
  readonly folder: string;
  path(...parts: string[]): string;
  /** Files by their paths in the folder. */
  write(files: Readonly<Record<string, string>>): void;
  /** Runs a script of Node or of an installed package (`bin`) in the folder and waits for its end. */
  node(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>;
  npm(...args: readonly string[]): Promise<Outcome>;
  remove(): void;
}

/** The tarballs that the global setup has packed. */
export function tarballs(): { readonly core: string; readonly angular: string } {
  const folder = process.env['TEST_PACKED'] ?? '';
  const names = readdirSync(folder);
  const find = (pattern: RegExp): string => join(folder, names.find((name) => pattern.test(name)) ?? 'missing');
  return { core: find(/^rx-credentials-\d/), angular: find(/^rx-credentials-angular-\d/) };
}

/** An empty folder, outside of the repository. */
export function emptyConsumer(): Consumer {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'rx-credentials-consumer-')));
  const path = (...parts: string[]): string => join(folder, ...parts);
  const run = (command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
    new Promise((resolve) => {
      const options = { cwd: folder, env: { ...cleanEnvironment(), ...env }, maxBuffer: 1 << 26 };
      execFile(command, args, options, (error, stdout, stderr) => {
        resolve({ status: error ? Number(error.code) || 1 : 0, output: stdout + stderr });
      });
    });
  return {
    folder,
    path,
    write: (files) => {
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(path(name)), { recursive: true });
        writeFileSync(path(name), text);
      }
    },
    node: (args, env) => run(process.execPath, args, env),
    npm: (...args) => run('npm', args),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A folder with the packages of the workspace as links, and those under test unpacked from their tarballs. */
export async function linkedConsumer(): Promise<Consumer> {
  const consumer = emptyConsumer();
  const modules = consumer.path('node_modules');
  mkdirSync(modules);
  const theirs = readdirSync(MODULES).filter((name) => !UNDER_TEST.test(name) && !name.startsWith('.'));
  for (const name of theirs) symlinkSync(join(MODULES, name), join(modules, name));
  for (const [name, tarball] of Object.entries({ 'rx-credentials': tarballs().core, 'rx-credentials-angular': tarballs().angular })) {
    mkdirSync(join(modules, name));
    await promisify(execFile)('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, name)]);
  }
  return consumer;
}

/** Without what npm and Jest say to their own children. */
function cleanEnvironment(): Record<string, string | undefined> {
  const entries = Object.entries(process.env).filter(([name]) => !/^(npm_|JEST_|NODE_OPTIONS$|NODE_ENV$)/.test(name));
  return { ...Object.fromEntries(entries), NG_CLI_ANALYTICS: 'false', CI: 'true' };
}
