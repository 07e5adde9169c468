// npm run test:long: everything npm test does with full counts, then the checks of the other browser engines.
// A missing browser is installed on Debian as root; elsewhere the run fails with the one command to type.
import { spawnSync } from 'node:child_process';

const env = { ...process.env, RXC_LONG: '1' }; // read by test/support/counts.ts
const steps = [
  ['npm', ['test']],
  ['node', ['test/browsers/chromium.mjs']],
  ['node', ['test/browsers/locks.mjs']],
  ['node', ['test/browsers/firefox.mjs']],
  ['node', ['test/browsers/webkit.mjs']],
  ['node', ['test/browsers/torture.mjs', 'firefox', '--rounds', '100']], // Chromium's are among the e2e tests
  ['node', ['test/browsers/torture.mjs', 'webkit', '--rounds', '100']],
];

const failed = steps.filter(([command, args]) => {
  console.log(`\n> ${command} ${args.join(' ')}`);
  return spawnSync(command, args, { env, stdio: 'inherit' }).status !== 0;
});
for (const [command, args] of failed) console.error(`failed: ${command} ${args.join(' ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
