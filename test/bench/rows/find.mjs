/** Finding ten credentials by a tag among many. */
import { entriesOf, storeOf, tagsOf } from '../fixtures.mjs';

export default async function find({ core, ratio }) {
  for (const count of [100, 1_000, 10_000]) {
    const store = await storeOf(core, await entriesOf(core, count));
    const metadata = (await store.find(() => true)).map((credential) => credential.metadata);
    const tag = tagsOf(3, count)[1];
    let found = 0;
    await ratio({
      name: `find({ tags }) among ${count.toLocaleString('en')}`,
      floor: 'array filter over the metadata',
      times: Math.max(20, 200_000 / count),
      ...(count === 10_000 && { reach: 5, reachOf: 'first target; 1 × later' }),
      subject: async (times) => {
        for (let i = 0; i < times; i++) found += (await store.find({ tags: tag })).length;
      },
      against: (times) => {
        for (let i = 0; i < times; i++) found += metadata.filter(({ tags }) => tags.includes(tag)).length;
      },
    });
    if (found === 0 || found % 10 !== 0) throw new Error('the query did not find ten credentials');
    await store.close();
  }
}
