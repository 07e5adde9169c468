/** From the navigation to the first valid token, sealed in IndexedDB, in Chromium: an application against a page written by hand. */
import { createServer } from 'node:http';
import { pageFiles, withChromium } from '../chromium.mjs';
import { fieldsOf } from '../fixtures.mjs';

export default async function load(bench) {
  let requests = 0;
  const authorizationServer = createServer((_, response) => {
    requests++;
    response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
  });
  await new Promise((listening) => authorizationServer.listen(0, '127.0.0.1', listening));
  const issuer = `http://127.0.0.1:${authorizationServer.address().port}`;
  try {
    const files = { ...(await pageFiles('load', bench.coreFolder)), ...(await pageFiles('load-minimum', bench.coreFolder)) };
    await withChromium(files, (tools) => measure(bench, tools, issuer));
    bench.count({ name: 'requests to the authorization server before it', value: requests, reach: 0, reachOf: 'issue 3' });
  } finally {
    authorizationServer.closeAllConnections();
    authorizationServer.close();
  }
}

async function measure({ difference }, { open, visit }, issuer) {
  const fields = fieldsOf(0, { issuer, lifetimeMs: 24 * 3_600_000 });
  const query = `?issuer=${encodeURIComponent(issuer)}`;
  const pages = { subject: `/load.html${query}`, against: `/load-minimum.html` };
  for (const path of Object.values(pages)) {
    const page = await open(path);
    await page.waitForFunction(() => 'fill' in globalThis);
    await page.evaluate((given) => globalThis.fill(given), fields);
    await page.close();
  }
  const firstToken = async (path) => {
    const { tokenAt, accessToken } = await visit(path);
    if (accessToken !== fields.accessToken) throw new Error('this is not the token that was stored');
    return tokenAt;
  };
  await difference({
    name: 'page load to the first valid token, longer than by hand',
    floor: 'IndexedDB get, AES-GCM decrypt, expiry checked',
    reach: 10,
    reachOf: 'issue 3',
    selfTimed: true,
    subject: () => firstToken(pages.subject),
    against: () => firstToken(pages.against),
  });
}
