// A tab of a real Chromium is frozen while another changes what both hold, and asks as soon as it is thawed:
//   node test/browsers/frozen-tab.mjs
// Prints what it was answered, as JSON. By puppeteer: playwright keeps all tabs visible, and a visible tab is never frozen.
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';
import { program } from '../../tools/program.mjs';
import CHROMIUM_FLAGS from '../support/chromium-flags.json' with { type: 'json' };

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = execFileSync(
  `${root}/node_modules/.bin/esbuild`,
  [`${root}/test/e2e/pages/storage.ts`, '--bundle', '--format=esm', '--target=es2022', `--tsconfig=${root}/tsconfig.json`],
  { cwd: root, maxBuffer: 2 ** 26 },
);
const server = createServer(({ url }, response) => {
  const isScript = url === '/page.js';
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
  response.end(isScript ? script : '<!doctype html><title>frozen</title><script type="module" src="/page.js"></script>');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const browser = await puppeteer.launch({ executablePath: program('chromium'), args: CHROMIUM_FLAGS });
try {
  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${server.address().port}`);
    await tab.waitForFunction(() => 'driver' in globalThis, { polling: 50 });
    await tab.evaluate(() => globalThis.driver.start('indexedDB', 'frozen'));
    return tab;
  };
  const frozen = await open();
  const other = await open();
  await other.bringToFront();
  await other.evaluate(() => globalThis.driver.store('a'));
  await other.evaluate(() => globalThis.driver.store('b'));
  await frozen.waitForFunction(async () => (await globalThis.driver.ids()).length === 2, { polling: 50 }); // by time: a hidden tab paints no frames
  await frozen.evaluate(() => {
    globalThis.frozenTimes = 0;
    document.addEventListener('freeze', () => globalThis.frozenTimes++);
    globalThis.answer = globalThis.driver.answersOnWaking();
  });
  const session = await frozen.createCDPSession();
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  await other.evaluate(() => globalThis.driver.remove('b'));
  await other.evaluate(() => globalThis.driver.setTags('a', ['new']));
  await other.evaluate(() => globalThis.driver.store('c'));
  await session.send('Page.setWebLifecycleState', { state: 'active' });
  const [ids, oldTags] = await frozen.evaluate(() => globalThis.answer);
  console.log(JSON.stringify({ frozenTimes: await frozen.evaluate(() => globalThis.frozenTimes), ids, oldTags }));
} finally {
  await browser.close();
  server.close();
}
