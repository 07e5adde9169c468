// Eight tabs of a real browser, which break in every way they can while a token is refreshed:
//   node test/browsers/torture.mjs chromium|firefox|webkit [--rounds N] [WORD …]
// One line for each scenario; words choose some by name. What is counted, and why: docs/torture.md.
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { registerHooks } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { createRefreshServer } from '../support/refresh-server/node.mjs';
import { engines } from './engines.mjs';

// Node strips the types itself, and finds './torture-lab' as TypeScript does.
registerHooks({
  resolve: (specifier, context, next) => next(/^\.\/torture-[a-z]+$/.test(specifier) ? `${specifier}.ts` : specifier, context),
});
const { openLab } = await import('./torture-scenarios.ts');

const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '10' } } });
const [name, ...words] = positionals;
const engine = engines[name];
if (!engine) throw new Error(`Type: node test/browsers/torture.mjs ${Object.keys(engines).join('|')} [--rounds N] [WORD …]`);

const page = await servePage();
const browser = await engine.launch();
const open = () => openLab({ engine: browser, url: page.url, rounds: Number(values.rounds), createRefreshServer, newProfile });
const newProfile = engine.launchProfile && (() => newProfileOf(engine));
let lab;
try {
  console.log(browser.version);
  await browser.newTab(); // some browsers end with their last tab
  lab = await open();
  for (const { name } of lab.scenarios.filter(({ name }) => words.every((word) => name.includes(word)))) {
    lab = (await run(name)) ? lab : await renewed();
  }
} finally {
  await browser.close();
  await lab?.close();
  page.close();
}

async function run(name) {
  const begun = performance.now();
  try {
    const found = await lab.scenarios.find((one) => one.name === name).run();
    const troubles = await lab.troubles();
    if (troubles.length > 0) throw new Error(`errors that nobody caught in the tabs: ${troubles.join('; ')}`);
    console.log(`ok ${name}: ${found} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
    return true;
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED ${name}: ${error.stack}`);
    return false;
  }
}

/** Tabs and servers that know nothing of what went wrong before. */
async function renewed() {
  await lab.close();
  return open();
}

/** A profile in a folder of its own, and one browser at a time that uses it. */
async function newProfileOf({ launchProfile }) {
  const folder = await mkdtemp(join(tmpdir(), 'rxc-torture-'));
  let running;
  const end = async (how) => {
    await running?.[how === 'killed' ? 'kill' : 'close']();
    running = undefined;
  };
  return {
    start: async (urls, how) => {
      await end(how);
      return (running = await launchProfile(folder, urls));
    },
    close: async () => {
      await end('closed');
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Serves the page on localhost (a secure context), built from the sources. */
async function servePage() {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [`${root}/test/e2e/pages/torture.ts`],
    tsconfig: `${root}/tsconfig.json`,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  const server = http.createServer(({ url }, response) => {
    const isScript = url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    if (isScript) return response.end(outputFiles[0].text);
    response.end(url === '/away' ? '<!doctype html><title>away</title>' : '<!doctype html><title>torture</title><script type="module" src="/page.js"></script>'); // prettier-ignore
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
