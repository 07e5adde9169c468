/**
 * Cases with several at a time: writers, readers, tabs, and many records.
 *
 * @module
 */
import type { CredentialStorage, StoredRecord } from '../storage/storage.js';
import { fail, isSame, same } from './assertions.js';
import { breathe, entriesOf, everything, record, type Case } from './place.js';

/** Bytes a small record may take in the narrowest of media, its name included. */
const SMALL = 160;

/** The cases about order and exclusion. */
export const RACE_CASES: readonly Case[] = [
  [
    'E29 changes of different records at a time lose none',
    async ({ storage }) => {
      const ids = Array.from({ length: 30 }, (_, i) => `id-${i}`);
      const written = await Promise.all(ids.map((id) => storage.write(record(id, 1), 'absent')));
      same(written.every(Boolean), true, 'all were written');
      await Promise.all([
        ...ids.slice(0, 10).map((id) => storage.remove(id, 1)),
        ...ids.slice(10).map((id) => storage.write(record(id, 2), 1)),
      ]);
      same(await everything(storage), entriesOf(...ids.slice(10).map((id) => record(id, 2))), 'readAll');
    },
  ],
  [
    'E29 changes of different records by two at a time lose none',
    async ({ storage, another }) => {
      const other = await another();
      const records = Array.from({ length: 20 }, (_, i) => record(`id-${i}`, 1));
      const written = await Promise.all(records.map((one, i) => (i % 2 ? other : storage).write(one, 'absent')));
      same(written.every(Boolean), true, 'all were written');
      for (const one of [storage, other]) same(await everything(one), entriesOf(...records), 'readAll');
    },
  ],
  [
    'E29 what one has changed is in what another reads, also where that one has read everything before',
    async ({ storage, another }) => {
      const both = [storage, await another()] as const;
      const shown = async (what: string, ...records: readonly StoredRecord[]): Promise<void> => {
        for (const one of both) same(await everything(one), entriesOf(...records), `readAll after ${what}`);
      };
      await shown('nothing');
      const [first, second] = both;
      await first.write(record('one', 1), 'absent');
      await shown('a write', record('one', 1));
      await second.write(record('two', 1), 'absent');
      await shown('a write by the other', record('one', 1), record('two', 1));
      await first.write(record('two', 2), 1);
      await shown('a write over it', record('one', 1), record('two', 2));
      await second.remove('one', 1);
      await shown('a removal', record('two', 2));
    },
  ],
  [
    'keeps a thousand records, or as many as fit',
    async ({ storage, capabilities: { capacity = Infinity } }) => {
      const count = Math.min(1_000, Math.floor(capacity / SMALL));
      const records = Array.from({ length: count }, (_, i) => record(`id-${i}`, 1, { n: i }));
      for (let i = 0; i < count; i += 100) await Promise.all(records.slice(i, i + 100).map((one) => storage.write(one, 'absent')));
      same(await everything(storage), entriesOf(...records), 'readAll');
      const middle = records[count >> 1] ?? fail('count', count, 'more');
      same(await storage.read(middle.id), middle, 'read of one among them');
      same(await storage.remove(middle.id, 1), true, 'removal of one among them');
      same((await storage.readAll()).length, count - 1, 'number left');
    },
  ],
  [
    'RF-5 of writers over one revision at a time exactly one wins',
    async ({ storage }) => {
      await storage.write(record('one', 1), 'absent');
      const won = await Promise.all(Array.from({ length: 20 }, (_, by) => storage.write(record('one', 2, { by }), 1)));
      same(won.filter(Boolean).length, 1, 'number of writes that resolved with true');
      same(await storage.read('one'), record('one', 2, { by: won.indexOf(true) }), 'read: the write that resolved with true');
    },
  ],
  [
    'RF-5 of first writers at a time exactly one wins',
    async ({ storage }) => {
      const won = await Promise.all(Array.from({ length: 20 }, (_, by) => storage.write(record('one', 1, { by }), 'absent')));
      same(won.filter(Boolean).length, 1, 'number of writes that resolved with true');
      same(await storage.read('one'), record('one', 1, { by: won.indexOf(true) }), 'read: the write that resolved with true');
    },
  ],
  [
    'RF-5 of writers in two tabs over one revision at a time exactly one wins, and both see it',
    async ({ storage, another }) => {
      const both = [storage, await another()];
      await storage.write(record('one', 1), 'absent');
      for (let revision = 2; revision < 12; revision++) {
        const won = await Promise.all(both.map((one, by) => one.write(record('one', revision, { by }), revision - 1)));
        same(won.filter(Boolean).length, 1, `number of writes of revision ${revision} that resolved with true`);
        for (const one of both) same(await one.read('one'), record('one', revision, { by: won.indexOf(true) }), 'read');
      }
    },
  ],
  [
    'RF-5 of a write and a removal over one revision at a time exactly one wins',
    async ({ storage, another }) => {
      const other = await another();
      for (let i = 0; i < 10; i++) {
        await storage.write(record(`id-${i}`, 1), 'absent');
        const change = (): Promise<boolean> => storage.write(record(`id-${i}`, 2), 1);
        const remove = (): Promise<boolean> => other.remove(`id-${i}`, 1);
        const [first, second] = await Promise.all(i % 2 ? [change(), remove()] : [remove(), change()]);
        same(first !== second, true, 'one of the two won, and not both');
        const removed = i % 2 ? second : first;
        same(await storage.read(`id-${i}`), removed ? undefined : record(`id-${i}`, 2), 'read: what the winner left');
      }
    },
  ],
  [
    'RF-5 counting up by re-reading on conflict loses no step',
    async ({ storage, another }) => {
      const other = await another();
      await storage.write(record('one', 1, { n: 0 }), 'absent');
      await Promise.all(Array.from({ length: 15 }, (_, i) => countUp(i % 2 ? other : storage, 300)));
      same(await storage.read('one'), record('one', 16, { n: 15 }), 'read');
    },
  ],
  [
    'readers see a record whole and never miss it while it is written over',
    async ({ storage, another }) => {
      const other = await another();
      const version = (n: number): Readonly<Record<string, unknown>> => ({ n, text: `${n} `.repeat(100), end: n });
      await storage.write(record('one', 1, version(1)), 'absent');
      const isVersion = (value: unknown): boolean => {
        const n = (value as { n?: number } | undefined)?.n ?? 0;
        return isSame(value, record('one', n, version(n)));
      };
      let writing = true;
      const write = async (): Promise<void> => {
        for (let n = 2; n <= 20; n++) same(await storage.write(record('one', n, version(n)), n - 1), true, `write of revision ${n}`);
      };
      const read = async (): Promise<void> => {
        for (let turn = 1; writing; turn++) {
          if (turn % 10 === 0) await breathe(); // a medium that answers at once would leave no turn to the writer
          const value = await other.read('one');
          if (!isVersion(value)) fail('read during a write', value, 'one of the versions written');
          const entries = await other.readAll();
          if (entries.length !== 1 || !isVersion(entries[0]?.value)) fail('readAll during a write', entries, 'one of the versions written');
        }
      };
      await Promise.all([write().finally(() => (writing = false)), read()]);
    },
  ],
];

/** Adds one to `n`, however many others do, too. */
async function countUp(storage: CredentialStorage, tries: number): Promise<void> {
  for (let i = 0; i < tries; i++) {
    const { revision, n } = (await storage.read('one')) as { revision: number; n: number };
    if (await storage.write(record('one', revision + 1, { n: n + 1 }), revision)) return;
  }
  fail('a step of counting', `${tries} refusals`, 'a write that is not refused');
}
