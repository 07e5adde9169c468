import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { examples, ROOT } from '../support/markdown';

/** Runs a program as a user would who installed the built package. */
function run(code: string): { readonly output: string; readonly status: number | null } {
  mkdirSync(join(ROOT, 'out-tsc'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'out-tsc/readme-'));
  try {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(join(ROOT, 'dist/core'), join(folder, 'node_modules/rx-credentials'), 'dir');
    writeFileSync(join(folder, 'program.mts'), code);
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, 'program.mts')], { encoding: 'utf8' });
    return { output: stdout + stderr, status };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The examples that are programs, and what they print. */
const PRINTED: Readonly<Record<string, string>> = {
  'README.md': 'default: nobody\ndefault: first\nopaque Token(first, redacted)\ndefault: nobody\n',
  'docs/how-to.md': 'test-token Alice\n',
};

it('an example that is a program runs against the built package and prints what it says', () => {
  const programs = examples().filter(({ runs }) => runs);
  expect(programs.map(({ page }) => page)).toEqual(Object.keys(PRINTED));
  for (const { page, code } of programs) expect([page, run(code)]).toEqual([page, { output: PRINTED[page], status: 0 }]);
});
