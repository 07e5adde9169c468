/** Storing a thousand sealed credentials in Chromium, one after another, on disk. */
import { pageFiles, withChromium } from '../chromium.mjs';
import { CLIENT_ID, fieldsOf, ISSUER } from '../fixtures.mjs';

const COUNT = 1_000;

export default async function writes({ coreFolder, rounds, ratio }) {
  await withChromium(await pageFiles('writes', coreFolder), async ({ open }) => {
    const page = await open('/writes.html');
    let made = 0;
    const next = (times) => Array.from({ length: times }, () => fieldsOf(made++));
    await page.evaluate((given) => globalThis.prepare(given), { issuer: ISSUER, clientId: CLIENT_ID, tokens: next(1) });
    await ratio({
      name: '1,000 sealed credentials stored in IndexedDB, durability strict',
      floor: 'put of the same bytes, a transaction each',
      times: Math.ceil(COUNT / rounds),
      reach: 3,
      reachOf: 'issue 3',
      selfTimed: true,
      subject: (times) => page.evaluate((tokens) => globalThis.storeAll(tokens), next(times)),
      against: (times) => page.evaluate((tokens) => globalThis.putAll(tokens), next(times)),
    });
    const { stored, put, kept } = await page.evaluate(() => globalThis.counts());
    if (stored < COUNT || put < COUNT || kept !== stored) throw new Error('not everything was stored');
  });
}
