/** Eight tabs in Chromium find their token expired; the server on 127.0.0.1 rotates, and ends a session of which a token comes twice. */
import { pageFiles, withChromium } from '../chromium.mjs';
import { createRefreshServer } from '../../support/refresh-server/node.mjs';

const TABS = 8;
const ROUNDS = 40;
const RESTARTS = 40;
const KILLS = 5;
const STAGGER_MS = 15;
const EXPIRED_MS = 3_600_000;
/** A delay that ends when the tab is gone that waits for the answer. */
const UNTIL_CLOSED_MS = 86_400_000;
const reachOf = 'issue 4';

export default async function refreshTabs({ coreFolder, ratio, count }) {
  let aheadMs = 0;
  let whenHeld = (resume) => resume();
  const setTimer = (resume, ms) => {
    if (ms === UNTIL_CLOSED_MS) whenHeld(resume);
    const timer = ms === UNTIL_CLOSED_MS ? undefined : setTimeout(resume, ms);
    return () => clearTimeout(timer);
  };
  const server = createRefreshServer({ mode: 'strict-revoke', now: () => Date.now() + aheadMs, setTimer });
  const { issuer, close } = await server.listen();
  const address = (options) => `/tabs.html?${new URLSearchParams({ issuer, clientId: server.clientId, aheadMs, ...options })}`;
  const sessions = { store: await server.authorize('store'), 'by hand': await server.authorize('by hand') };
  const scenario = () => ({ requests: 0, withoutToken: 0 });

  /** Compares what the tabs were given with the books of the server. Milliseconds until the last had its token. */
  const judged = (answers, seen, before) => {
    seen.requests = Math.max(seen.requests, server.counts().requests - before);
    seen.withoutToken = Math.max(seen.withoutToken, answers.filter(({ accessToken }) => !server.isLive(accessToken)).length);
    return Math.max(...answers.map(({ end }) => end)) - Math.min(...answers.map(({ begin }) => begin));
  };
  const report = (name, seen, requests = 1) => {
    count({ name: `${name}: token requests in a round, at most`, value: seen.requests, reach: requests, reachOf });
    count({ name: `${name}: tabs without a valid token, at most`, value: seen.withoutToken, unit: 'tabs', reach: 0, reachOf });
  };

  try {
    await withChromium(await pageFiles('tabs', coreFolder), async ({ open }) => {
      const conductor = await open(address({}));
      await conductor.evaluate((given) => globalThis.fill(given), sessions);
      let tabs = [];
      const openTabs = async () => {
        tabs = [];
        for (let tab = 0; tab < TABS; tab++) tabs.push(await open(address({ tab })));
      };
      const conduct = (message) => conductor.evaluate(([tabCount, given]) => globalThis.conduct(tabCount, given), [TABS, message]);
      const round = async (kind, seen, staggerMs) => {
        aheadMs += EXPIRED_MS;
        await conduct({ sign: 'prepare', kind, ahead: aheadMs });
        const before = server.counts().requests;
        return judged(await conduct({ sign: 'ask', kind, staggerMs }), seen, before);
      };
      await openTabs();
      for (const [name, staggerMs] of [
        ['8 tabs, at one instant', 0],
        [`8 tabs, one each ${STAGGER_MS} ms`, STAGGER_MS],
      ]) {
        const seen = scenario();
        await ratio({
          name: `${name}: until all have a valid token`,
          floor: 'by hand: Web Lock, get, request, strict put',
          atLeast: ROUNDS,
          selfTimed: true,
          subject: () => round('store', seen, staggerMs),
          against: () => round('by hand', scenario(), staggerMs),
          reach: 1.25,
          reachOf,
        });
        report(name, seen);
      }

      const restart = async (kind, seen) => {
        aheadMs += EXPIRED_MS;
        const before = server.counts().requests;
        await Promise.all(tabs.map((page, tab) => page.goto(new URL(address({ tab, ask: kind }), page.url()).href)));
        return judged(await Promise.all(tabs.map((page) => page.evaluate(() => globalThis.asked))), seen, before);
      };
      const restarted = scenario();
      await ratio({
        name: '8 tabs, loaded anew: until all have a valid token',
        floor: 'by hand: IndexedDB opened, Web Lock, get, request, strict put',
        atLeast: RESTARTS,
        selfTimed: true,
        subject: () => restart('store', restarted),
        against: () => restart('by hand', scenario()),
        reach: 1.25,
        reachOf,
      });
      report('8 tabs, loaded anew', restarted);

      const killed = scenario();
      const times = [];
      for (let kill = 0; kill < KILLS; kill++) times.push(await withoutHolder());
      report('8 tabs, one closed while its request is under way', killed, 2);
      count({ name: '8 tabs, one closed …: until the others have a valid token', value: Math.round(median(times)), unit: 'ms' });
      const ninth = await open(address({ tab: TABS, ask: 'store' }));
      const { accessToken } = await ninth.evaluate(() => globalThis.asked);
      count({
        name: 'a ninth tab afterwards, without a valid token',
        value: server.isLive(accessToken) ? 0 : 1,
        unit: 'tabs',
        reach: 0,
        reachOf,
      });
      const lost = server.grants().filter(({ state }) => state !== 'live').length;
      count({ name: 'sessions lost in all of these rounds', value: lost, unit: 'sessions', reach: 0, reachOf });
      count({ name: 'tokens that were used twice', value: server.counts().reuse, unit: 'tokens', reach: 0, reachOf });

      /** The tab whose request is under way is closed, and the request lost; the others go on. */
      async function withoutHolder() {
        await Promise.all(tabs.map((page) => page.close()));
        await openTabs();
        aheadMs += EXPIRED_MS;
        await conduct({ sign: 'prepare', kind: 'store', ahead: aheadMs });
        const before = server.counts().requests;
        const holding = new Promise((resolve) => (whenHeld = resolve));
        server.faults.plan('token', { name: 'drop-request', beforeMs: UNTIL_CLOSED_MS });
        const asked = tabs.map((page) => page.evaluate(() => globalThis.ask('store')).catch(() => null));
        const resume = await holding;
        const sending = await Promise.all(tabs.map((page) => page.evaluate(() => globalThis.isSending === true)));
        await tabs[sending.indexOf(true)].close();
        const closedAt = Date.now();
        resume();
        const answers = (await Promise.all(asked)).filter((answer) => answer !== null);
        if (answers.length !== TABS - 1) throw new Error('another number of tabs was closed');
        judged(answers, killed, before);
        tabs.splice(sending.indexOf(true), 1);
        return Math.max(...answers.map(({ end }) => end)) - closedAt;
      }
    });
  } finally {
    await close();
  }
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
