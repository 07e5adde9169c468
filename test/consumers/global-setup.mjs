// Packs what was built, as npm would publish it, and lets tests start servers. Workers inherit the variables; the consumers install these files.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from '../../tools/program.mjs';
import { startTestServers } from '../support/control-server.mjs';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

export default async function () {
  const packages = ['core', 'angular'].map((name) => join(DIST, name));
  const isBuilt =
    packages.every((path) => existsSync(join(path, 'package.json'))) && existsSync(join(DIST, 'angular/schematics/collection.json'));
  if (!isBuilt) throw new Error('The packages are not built. Type: npm run build');
  process.env.CHROME_BIN = program('chromium');
  const folder = mkdtempSync(join(tmpdir(), 'rx-credentials-packed-'));
  globalThis.__packed = folder;
  const { status, stderr } = spawnSync('npm', ['pack', ...packages, '--pack-destination', folder, '--silent'], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  process.env.TEST_PACKED = folder;
  globalThis.__consumerServers = await startTestServers();
  process.env.TEST_CONTROL_CONSUMERS = globalThis.__consumerServers.control;
}
