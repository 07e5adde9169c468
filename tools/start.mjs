// npm start: builds the demo from the sources, starts it with its authorization server and API, and prints the one address to open.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { startDemo } from '../projects/demo/server/demo.mjs';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
/** Who renders the first page: the configurations of the build, and where its result is. */
const RENDERERS = {
  browser: { configuration: 'development', folder: `${PROJECT}dist/demo-development` },
  server: { configuration: 'development,ssr', folder: `${PROJECT}dist/demo-ssr` },
};
const NG = fileURLToPath(new URL('../node_modules/@angular/cli/bin/ng.js', import.meta.url));

const PORTS = [
  { key: 'app', name: 'the application', flag: 'app-port', env: 'APP_PORT', port: 4200 },
  { key: 'authorizationServer', name: 'the authorization server', flag: 'as-port', env: 'AS_PORT', port: 4300 },
  { key: 'api', name: 'the API', flag: 'api-port', env: 'API_PORT', port: 4400 },
];

const HELP = `npm start -- [options]

${PORTS.map(({ name, flag, env, port }) => `  --${flag.padEnd(8)} PORT  port of ${name}; default ${env} from the environment, else ${port}`).join('\n')}
  --watch          builds again at each change of a source
  --ssr            the first page is rendered by Angular's own server (docs/ssr.md)
  --help           shows this
`;

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stopping.abort());
stopWithParent();

try {
  await main(stopping.signal);
} catch (error) {
  // A stop in the middle of a build is no failure.
  if (!stopping.signal.aborted) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

async function main(signal) {
  const options = readOptions();
  if (options.help) return void process.stdout.write(HELP);
  await checkPorts(options.ports);
  const renderer = RENDERERS[options.ssr ? 'server' : 'browser'];
  const build = startBuild({ renderer, watch: options.watch, signal });
  try {
    console.log('Building the demo …');
    await build.ready;
    if (signal.aborted) return;
    const { renderPage } = options.ssr ? await import(pathToFileURL(`${renderer.folder}/server/server.mjs`)) : {};
    if (signal.aborted) return;
    const demo = await startDemo({ root: `${renderer.folder}/browser`, renderPage, ports: options.ports });
    console.log(`\n  The demo runs at ${demo.app.origin}\n  Any name signs in. Ctrl-C stops it.\n`);
    await Promise.race([aborted(signal), build.failed]).finally(demo.close);
  } finally {
    await build.stop();
  }
}

/** npm runs this below a shell, and a signal sent to npm alone ends that shell only. */
function stopWithParent() {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && stopping.abort(), 250).unref();
}

function readOptions() {
  const flags = Object.fromEntries(PORTS.map(({ flag }) => [flag, { type: 'string' }]));
  const { values } = parseArgs({
    options: { ...flags, ...Object.fromEntries(['watch', 'ssr', 'help'].map((flag) => [flag, { type: 'boolean', default: false }])) },
  });
  if (values.watch && values.ssr) throw new Error('--watch does not go with --ssr: start again after a change');
  const ports = Object.fromEntries(PORTS.map((entry) => [entry.key, readPort(entry, values[entry.flag] ?? process.env[entry.env])]));
  return { ...values, ports };
}

function readPort({ flag, port }, value) {
  if (value === undefined || value === '') return port;
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65535)
    throw new Error(`--${flag} ${value} is not a port (0 to 65535; 0 takes a free one)`);
  return Number(value);
}

/** Before the build, which takes a while. */
async function checkPorts(ports) {
  const chosen = PORTS.filter(({ key }) => ports[key] !== 0);
  const messages = [];
  for (const { key, name, flag, env } of chosen) {
    const port = ports[key];
    const twice = chosen.some((other) => other.key !== key && ports[other.key] === port);
    const free = (await canListen('127.0.0.1', port)) && (await canListen('::1', port)); // a browser tries ::1 first for localhost
    if (free && !twice) continue;
    const why = twice ? 'given twice' : 'taken by another program';
    messages.push(
      `Port ${port} of ${name} is ${why}. Choose another: npm start -- --${flag} ${port + 1}   (or ${env}=${port + 1} npm start)`,
    );
  }
  if (messages.length > 0) throw new Error(messages.join('\n'));
}

function canListen(host, port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error.code !== 'EADDRINUSE' && error.code !== 'EACCES')); // no IPv6 here: nothing can be in the way
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** `ready` once the application can be served; `failed` rejects where a watching build ends by itself; `stop` resolves when the child is gone. */
function startBuild({ renderer, watch, signal }) {
  const args = [NG, 'build', 'demo', '--configuration', renderer.configuration, ...(watch ? ['--watch'] : [])];
  const child = spawn(process.execPath, args, { cwd: PROJECT, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('close', resolve));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill();
    await exited;
  };
  signal.addEventListener('abort', () => void stop());
  const ended = exited.then((code) => {
    if (watch || code !== 0) throw new Error(`The build failed (ng build, exit status ${code}); its messages are above.`);
  });
  const failed = watch ? ended : new Promise(() => {});
  failed.catch(() => {});
  child.stdout.on('data', (chunk) => process.stdout.write(chunk));
  return { ready: watch ? Promise.race([ended, firstBuild(child, `${renderer.folder}/browser`)]) : ended, failed, stop };
}

/** A watching build does not end. It says when a round went well, and writes the files after that. */
async function firstBuild(child, root) {
  await new Promise((resolve) => {
    let seen = '';
    child.stdout.on('data', (chunk) => {
      seen = (seen + chunk).slice(-4000);
      if (seen.includes('bundle generation complete')) resolve();
    });
  });
  while (!existsSync(`${root}/index.html`) && child.exitCode === null && child.signalCode === null) await sleep(50);
}

function aborted(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });
}
