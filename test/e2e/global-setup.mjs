// Finds Chromium, and lets each test file start demos of its own: the built application, its authorization server and its API on free ports.
// Workers inherit the environment.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startDemo } from '../../projects/demo/server/demo.mjs';
import { program } from '../../tools/program.mjs';
import { startControl } from '../support/control-server.mjs';

const ROOT = fileURLToPath(new URL('../../dist/demo/browser', import.meta.url));

export default async function () {
  if (!existsSync(`${ROOT}/index.html`)) throw new Error('The demo is not built. Type: npm run build');
  process.env.CHROME_BIN = program('chromium');
  const running = [];
  const start = async () => {
    const demo = await startDemo({ root: ROOT });
    const control = await startControl(demo, { startDemo: start });
    running.push(control, demo);
    return { app: demo.app.origin, issuer: demo.config.issuer, api: demo.config.apiOrigin, control: control.url };
  };
  process.env.TEST_CONTROL_E2E = (await start()).control;
  globalThis.__e2eServers = { close: () => Promise.all(running.map((server) => server.close())) };
}
