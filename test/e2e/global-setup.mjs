// Finds Chromium, and serves the built demo with its authorization server and API on free ports. Workers inherit the environment.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startDemo } from '../../projects/demo/server/demo.mjs';
import { program } from '../../tools/program.mjs';
import { startControl } from '../support/control-server.mjs';

const ROOT = fileURLToPath(new URL('../../dist/demo/browser', import.meta.url));

export default async function () {
  if (!existsSync(`${ROOT}/index.html`)) throw new Error('The demo is not built. Type: npm run build');
  process.env.CHROME_BIN = program('chromium');
  const demo = await startDemo({ root: ROOT });
  const control = await startControl(demo);
  process.env.TEST_APP = demo.app.origin;
  process.env.TEST_ISSUER_E2E = demo.config.issuer;
  process.env.TEST_API_E2E = demo.config.apiOrigin;
  process.env.TEST_CONTROL_E2E = control.url;
  globalThis.__e2eServers = { close: () => Promise.all([control.close(), demo.close()]) };
}
