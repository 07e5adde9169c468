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
    writeFileSync(join(folder, 'program.mjs'), code);
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, 'program.mjs')], { encoding: 'utf8' });
    return { output: stdout + stderr, status };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the README', () => {
  it('has a first example that runs against the built package and prints what it says', () => {
    const [first, ...others] = examples().filter(({ runs }) => runs);
    expect(others).toEqual([]);
    const { output, status } = run(first?.code ?? '');
    expect(output).toBe('default: nobody\ndefault: first\nopaque Token(first, redacted)\ndefault: nobody\n');
    expect(status).toBe(0);
  });
});
