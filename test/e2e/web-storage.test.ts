// Web storage and cookies in several tabs of a real Chromium: what their processes see of them may be old (RF-2, trap 10 of localStorage).
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../support/markdown';
import { runs } from '../support/counts';

const CHECKS = [
  'mediumAlone',
  'clearedIsGone',
  'twinsShareOneTruth',
  'strangersShareNothing',
  'noStepIsLost, local',
  'noStepIsLost, indexedDB',
  'noStepIsLost, incoherent',
  'noStepIsLost, cookies',
  'killedWriter, local',
  'killedWriter, cookies',
  'removedStaysRemoved, local',
  'removedStaysRemoved, cookies',
];

it('RF-2 RF-5 RF-14 in Chromium four tabs lose no update of web storage or cookies, nor bring back what was removed', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'test/browsers/web-storage.mjs'), '--steps', String(runs(50, 500))],
    { cwd: ROOT },
  ).catch((error: { readonly stdout: string }) => error); // what failed is in the lines
  const lines = stdout.trim().split('\n').slice(1);
  expect(lines.filter((line) => line.startsWith('FAILED'))).toEqual([]);
  expect(lines.map((line) => line.slice(0, line.indexOf(': ')))).toEqual(CHECKS.map((name) => `ok ${name}`));
}, 300_000);
