/** A start with ten thousand sealed credentials in Chromium, each in a new page: nothing is warm. */
import { pageFiles, withChromium } from '../chromium.mjs';
import { CLIENT_ID, entriesOf, ISSUER, tagsOf } from '../fixtures.mjs';

const COUNT = 10_000;

export default async function startup({ core, coreFolder, ratio, count }) {
  const entries = await entriesOf(core, COUNT);
  const files = { ...(await pageFiles('startup', coreFolder)), '/entries.json': JSON.stringify(entries) };
  await withChromium(files, async ({ open }) => {
    const filling = await open('/startup.html');
    await filling.evaluate(() => globalThis.fill());
    await filling.close();

    const options = { issuer: ISSUER, clientId: CLIENT_ID, tag: tagsOf(3, COUNT)[1] };
    let page;
    let opened = 0;
    await ratio({
      name: '10,000 sealed credentials in IndexedDB: ready, and ten found by a tag',
      floor: 'open and getAll of the same records',
      reach: 2,
      reachOf: 'issue 3',
      selfTimed: true,
      beforeRound: async () => {
        await page?.close();
        page = await open('/startup.html');
      },
      subject: async () => {
        const start = await page.evaluate((given) => globalThis.startStore(given), options);
        if (start.count !== COUNT || start.found !== 10) throw new Error('the start did not find what was stored');
        opened = Math.max(opened, start.opened);
        return start.ms;
      },
      against: async () => {
        const read = await page.evaluate(() => globalThis.readByHand());
        if (read.count < COUNT) throw new Error('the records were not read');
        return read.ms;
      },
    });
    count({ name: 'credentials opened at such a start', value: opened, unit: 'of 10,000', reach: 1, reachOf: 'issue 3' });
  });
}
