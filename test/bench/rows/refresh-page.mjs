/** Refreshes in Chromium, one tab, and a server on 127.0.0.1 that rotates and takes no token twice. */
import { pageFiles, withChromium } from '../chromium.mjs';
import { createRefreshServer } from '../../support/refresh-server/node.mjs';

const CALLERS = 1_000;
const reachOf = 'issue 4';

export default async function refreshPage(bench) {
  const server = createRefreshServer({ mode: 'strict-revoke' });
  const { close } = await server.listen();
  try {
    await withChromium(await pageFiles('refresh', bench.coreFolder), async ({ open }) => {
      const page = await open('/refresh.html');
      const client = { issuer: server.issuer, clientId: server.clientId };
      const tokens = {};
      for (const name of ['memory', 'IndexedDB', 'sealed', 'raw', 'byHand']) tokens[name] = await server.authorize(name);
      await page.evaluate((given) => globalThis.prepare(given), { ...client, tokens });
      await callers(bench, server, page);
      await bookkeeping(bench, page);
      await page.close();
      await idle(bench, await open('/refresh.html'), client);
    });
    if (server.counts().reuse > 0) throw new Error('a token was used twice');
  } finally {
    await close();
  }
}

/** Milliseconds until a thousand callers were served, by one request. */
async function callers({ ratio, count }, server, page) {
  const serve = async (kind, requests) => {
    const before = server.counts().requests;
    const { ms, accessToken } = await page.evaluate(([one, callers]) => globalThis.callers(one, callers), [kind, CALLERS]);
    if (!server.isLive(accessToken)) throw new Error('the token does not live');
    requests?.add(server.counts().requests - before);
    return ms;
  };
  const raw = () => page.evaluate(() => globalThis.rawRequests(1));
  const byHand = () => serve('by hand');
  const withIntent = () => serve('by hand, with an intent');
  const what = `${CALLERS.toLocaleString('en')} callers of an expired token`;
  for (const { kind, than = '', floor, against, reach } of [
    { kind: 'memory', floor: 'one raw refresh request', against: raw, reach: 1.6 },
    { kind: 'IndexedDB', floor: 'the same callers by hand: lock, get, request, strict put', against: byHand, reach: 1.3 },
    { kind: 'IndexedDB', than: ', and by hand an intent, too', floor: 'the same, and a put of the intent', against: withIntent },
    { kind: 'sealed', floor: 'the same callers by hand: lock, get, request, strict put', against: byHand },
  ]) {
    const requests = new Set();
    const subject = () => serve(kind, requests);
    await ratio({ name: `${what}, ${kind}${than}`, floor, selfTimed: true, subject, against, reach, reachOf: reach && reachOf });
    count({ name: `token requests for them, ${kind}${than}`, value: Math.max(...requests), reach: 1, reachOf });
  }
}

/** What a refresh costs beyond its request. */
async function bookkeeping({ difference }, page) {
  for (const [kind, reach] of [
    ['memory', 1],
    ['IndexedDB', 15],
    ['sealed', undefined],
  ]) {
    await difference({
      name: `refresh(), ${kind}, longer than its request`,
      floor: 'one raw refresh request',
      times: 5,
      selfTimed: true,
      subject: (times) => page.evaluate(([one, count]) => globalThis.refreshes(one, count), [kind, times]),
      against: (times) => page.evaluate((count) => globalThis.rawRequests(count), times),
      reach,
      reachOf: reach && reachOf,
    });
  }
}

/** What idle credentials keep: the same for one and for ten thousand. */
async function idle({ count }, page, client) {
  const [one, many] = [1, 10_000];
  const ofOne = await page.evaluate(([number, given]) => globalThis.idle(number, given), [one, client]);
  const ofMany = await page.evaluate(([number, given]) => globalThis.idle(number, given), [many, client]);
  if (ofMany.stored !== many) throw new Error('not everything was stored');
  if (ofMany.timersAfter + ofMany.listenersAfter > 0)
    throw new Error(`a closed store keeps ${ofMany.timersAfter} timers and ${ofMany.listenersAfter} listeners`);
  count({ name: 'timers of 10,000 idle credentials', value: ofMany.timers, unit: 'timers', reach: 1, reachOf });
  count({ name: 'listeners of 10,000 idle credentials', value: ofMany.listeners, unit: 'listeners', limit: ofOne.listeners });
  count({
    name: 'the same beyond those of one credential',
    value: ofMany.listeners - ofOne.listeners,
    unit: 'listeners',
    reach: 0,
    reachOf,
  });
}
