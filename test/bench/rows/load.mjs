/** From the navigation to the first valid token, sealed in IndexedDB, in Chromium: an application against a page written by hand. */
import { createServer } from 'node:http';
import { pageFiles, withChromium } from '../chromium.mjs';
import { fieldsOf } from '../fixtures.mjs';

const LIBRARY = 'load';
const BY_HAND = 'load-minimum';
const WITH_RXJS = 'load-minimum-rxjs';
const MORE_SCRIPTS = 'load-minimum-more';
/** After so many a browser has kept what it compiled. */
const VISITS_TO_BE_KEPT = 3;

export default async function load(bench) {
  let requests = 0;
  const authorizationServer = createServer((_, response) => {
    requests++;
    response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
  });
  await new Promise((listening) => authorizationServer.listen(0, '127.0.0.1', listening));
  const issuer = `http://127.0.0.1:${authorizationServer.address().port}`;
  try {
    const files = withMoreScripts(
      Object.assign({}, ...(await Promise.all([LIBRARY, BY_HAND, WITH_RXJS].map((name) => pageFiles(name, bench.coreFolder))))),
    );
    await withChromium(files, (tools) => measure(bench, tools, issuer));
    bench.count({ name: 'requests to the authorization server before it', value: requests, reach: 0, reachOf: 'issue 3' });
  } finally {
    authorizationServer.closeAllConnections();
    authorizationServer.close();
  }
}

/** The page by hand once more, with scripts beside its own in which nothing is. */
function withMoreScripts(files) {
  const names = Array.from({ length: 3 }, (_, i) => `/${MORE_SCRIPTS}/empty-${i}.js`);
  const preloads = names.map((name) => `<link rel="modulepreload" href="${name}">`).join('');
  const entry = `/${MORE_SCRIPTS}/stdin.js`;
  return {
    ...files,
    ...Object.fromEntries(names.map((name) => [name, 'export {};'])),
    [entry]: `${names.map((name) => `import "${name}";`).join('')}${files[`/${BY_HAND}/stdin.js`]}`,
    [`/${MORE_SCRIPTS}.html`]: `<!doctype html><title>more</title>${preloads}<script type="module" src="${entry}"></script>`,
  };
}

async function measure({ difference }, { open, visit }, issuer) {
  const fields = fieldsOf(0, { issuer, lifetimeMs: 24 * 3_600_000 });
  const library = `/${LIBRARY}.html?issuer=${encodeURIComponent(issuer)}`;
  const byHand = `/${BY_HAND}.html`;
  for (const path of [library, byHand]) {
    const page = await open(path);
    await page.waitForFunction(() => 'fill' in globalThis);
    await page.evaluate((given) => globalThis.fill(given), fields);
    await page.close();
  }
  const seen = async (path, tab) => {
    const times = await visit(path, tab);
    if (times.accessToken !== fields.accessToken) throw new Error('this is not the token that was stored');
    return times;
  };
  const floor = 'IndexedDB get, AES-GCM decrypt, expiry checked';
  const starts = { subject: [], against: [] };
  const tokenAt = async (kind, path) => {
    const times = await seen(path);
    starts[kind].push(times.tokenAt - times.begunAt);
    return times.tokenAt;
  };
  await difference({
    name: 'page load to the first valid token, longer than by hand',
    floor,
    reach: 10,
    reachOf: 'issue 3',
    selfTimed: true,
    subject: () => tokenAt('subject', library),
    against: () => tokenAt('against', byHand),
  });
  await difference({
    name: 'the same page loads, from the first line of the program on',
    floor,
    selfTimed: true,
    subject: () => starts.subject.shift(),
    against: () => starts.against.shift(),
  });
  // In a new tab Chromium 150 compiles anew, whatever lies in its code cache; a page that is loaded again in its tab takes what is there
  const tabs = { [library]: await open(library), [byHand]: await open(byHand) };
  for (const tab of Object.values(tabs)) await tab.waitForFunction(() => 'fill' in globalThis);
  for (let i = 0; i < VISITS_TO_BE_KEPT; i++) for (const path of [library, byHand]) await seen(path, tabs[path]);
  await difference({
    name: 'the same page loads in a tab that had the page before',
    floor,
    selfTimed: true,
    subject: async () => (await seen(library, tabs[library])).tokenAt,
    against: async () => (await seen(byHand, tabs[byHand])).tokenAt,
  });
  for (const tab of Object.values(tabs)) await tab.close();
  for (const [page, what] of [
    [WITH_RXJS, 'that has RxJS, too'],
    [MORE_SCRIPTS, 'with three empty scripts'],
  ]) {
    await difference({
      name: `the page by hand ${what}, longer than without`,
      floor,
      selfTimed: true,
      subject: async () => (await seen(`/${page}.html`)).tokenAt,
      against: async () => (await seen(byHand)).tokenAt,
    });
  }
}
