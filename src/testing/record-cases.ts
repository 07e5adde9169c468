/**
 * Cases about single records: what goes in comes out, conditions hold, names do not collide.
 *
 * @module
 */
import { rejects, same } from './assertions.js';
import { entriesOf, everything, inOrder, record, type Case } from './place.js';

const DURABILITIES = ['none', 'relaxed', 'strict'];
const REACHES = ['process', 'origin', 'machine'];

const IDS = [
  '@store',
  '__proto__',
  'constructor',
  'toString',
  'length',
  '..',
  'a/b:c d',
  'a=b; c, "d" \\',
  '%',
  'ä😀',
  '0',
  'x'.repeat(500),
];

/** Different ids, all of them, whatever a medium does to names. */
const ALIKE = [
  'a',
  'A',
  'a ',
  'a\u0000',
  'a.b',
  'a%2Eb',
  'a%2eb',
  'a/b',
  'a%2Fb',
  'a:b',
  'a_b',
  '\u00e4',
  'a\u0308',
  '\ud800',
  '\udbff',
  '\ufffd',
];

/** The cases about single records. */
export const RECORD_CASES: readonly Case[] = [
  [
    'says what it can do, and the same each time',
    async ({ namespace, storage, capabilities }) => {
      same(DURABILITIES.includes(capabilities.durability), true, `durability is one of ${DURABILITIES.join()}`);
      same(REACHES.includes(capabilities.reach), true, `reach is one of ${REACHES.join()}`);
      same(typeof capabilities.coherent, 'boolean', 'type of coherent');
      same(capabilities.coherent || capabilities.reach === 'process', true, 'coherent, since it is shared: no store takes it otherwise');
      same(await Promise.all([storage.open(), storage.open()]), [capabilities, capabilities], 'capabilities when opened again');
      same(storage.namespace, namespace, 'namespace');
    },
  ],
  [
    'is empty at first',
    async ({ storage }) => {
      same(await storage.read('one'), undefined, 'read of an id that is not there');
      same(await storage.readAll(), [], 'readAll');
      same(await storage.remove('one', 1), false, 'removal of a revision that is not there');
    },
  ],
  [
    'E37 gives back what was written, whole',
    async ({ storage, capabilities: { capacity = 400_000 } }) => {
      const rich = record('one', 1, {
        text: 'ä€😀\u0000\u2028"\\\'%!;,= ',
        nothing: null,
        numbers: [0, -1, 1.5, 2 ** 53 - 1, 1e300],
        nested: { deep: [{ empty: {}, list: [] }] },
        flags: [true, false],
        long: 'x'.repeat(capacity / 2),
      });
      same(await storage.write(rich, 'absent'), true, 'write');
      same(await storage.read('one'), rich, 'read');
      same(await storage.readAll(), entriesOf(rich), 'readAll');
      const small = record('one', 2);
      same(await storage.write(small, 1), true, 'write of a smaller one in its place');
      same(await storage.readAll(), entriesOf(small), 'readAll afterwards');
    },
  ],
  [
    'writes where there is nothing, and only there',
    async ({ storage }) => {
      same(await storage.write(record('one', 1, { by: 'a' }), 'absent'), true, 'first write');
      same(await storage.write(record('one', 1, { by: 'b' }), 'absent'), false, 'second write');
      same(await storage.read('one'), record('one', 1, { by: 'a' }), 'read');
    },
  ],
  [
    'writes over the revision named, and over no other',
    async ({ storage }) => {
      await storage.write(record('one', 1), 'absent');
      same(await storage.write(record('one', 3), 2), false, 'write over a revision to come');
      same(await storage.write(record('one', 2), 1), true, 'write over the revision that is there');
      same(await storage.write(record('one', 3), 1), false, 'write over a revision that has passed');
      same(await storage.read('one'), record('one', 2), 'read');
      same(await storage.write(record('one', Number.MAX_SAFE_INTEGER), 2), true, 'write of the highest revision');
      same(await storage.remove('one', Number.MAX_SAFE_INTEGER - 1), false, 'removal of the revision just below it');
      await storage.write(record('two', 2 ** 32 + 1), 'absent');
      same(await storage.write(record('two', 2), 1), false, 'write over a revision that is alike in its lower 32 bits');
    },
  ],
  [
    'a write that need not survive a loss of power is one in every other way',
    async ({ storage, capabilities, another }) => {
      same(await storage.write(record('one', 1), 'absent', true), true, 'first write');
      same(await storage.read('one'), record('one', 1), 'read');
      same(await storage.write(record('one', 2), 1, true), true, 'write over it');
      same(await storage.write(record('one', 2), 1, true), false, 'write over a revision that has passed');
      const next = capabilities.durability === 'none' ? storage : await another();
      same(await next.read('one'), record('one', 2), 'read by the next');
    },
  ],
  [
    'RF-13 a conditional write on a record that is gone fails: what was removed does not come back',
    async ({ storage }) => {
      await storage.write(record('one', 1), 'absent');
      await storage.remove('one', 'any');
      same(await storage.write(record('one', 2), 1), false, 'write over what was removed');
      same(await storage.write(record('never', 1), 0), false, 'write over what never was');
      same(await storage.readAll(), [], 'readAll');
      same(await storage.write(record('one', 1), 'absent'), true, 'write anew');
    },
  ],
  [
    'removes the revision named, and no other',
    async ({ storage }) => {
      await storage.write(record('one', 2), 'absent');
      await storage.write(record('two', 2), 'absent');
      same(await storage.remove('one', 1), false, 'removal of another revision');
      same(await storage.read('one'), record('one', 2), 'read after a refused removal');
      same(await storage.remove('one', 2), true, 'removal');
      same(await storage.read('one'), undefined, 'read after the removal');
      same(await storage.remove('one', 2), false, 'second removal');
      same(typeof (await storage.remove('one', 'any')), 'boolean', 'removal of whatever there is, where there is nothing: no failure');
      same(await storage.readAll(), entriesOf(record('two', 2)), 'readAll');
    },
  ],
  ...IDS.map((id): Case => [
    id.length > 99 ? `takes an id of ${id.length} characters` : `takes the id ${JSON.stringify(id)}`,
    async ({ storage }) => {
      same(await storage.read(id), undefined, 'read before');
      same(await storage.write(record(id, 1), 'absent'), true, 'write');
      same(await storage.read(id), record(id, 1), 'read');
      same(await storage.readAll(), entriesOf(record(id, 1)), 'readAll');
      same(await storage.remove(id, 1), true, 'removal');
      same(await storage.readAll(), [], 'readAll after the removal');
    },
  ]),
  [
    'keeps ids apart that differ only in case, encoding or accents',
    async ({ storage }) => {
      const records = ALIKE.map((id, by) => record(id, 1, { by }));
      for (const one of records) same(await storage.write(one, 'absent'), true, `write of ${JSON.stringify(one.id)}`);
      same(await everything(storage), entriesOf(...records), 'readAll');
      same(await storage.remove('a', 1), true, 'removal of "a"');
      same(await everything(storage), entriesOf(...records.slice(1)), 'readAll without "a"');
    },
  ],
  [
    'keeps ids apart that are long and differ only at the end',
    async ({ storage }) => {
      const records = ['a', 'b'].map((end, by) => record('x'.repeat(1_000) + end, 1, { by }));
      for (const one of records) same(await storage.write(one, 'absent'), true, 'write');
      same(await everything(storage), entriesOf(...records), 'readAll');
    },
  ],
  [
    'E39 another namespace is another place, also where one name begins with the other, or differs only in case',
    async ({ namespace, storage, another }) => {
      const mine = ['one', '2one', '2.one', '.one', 'x.one', 'x:one'].map((id) => record(id, 1, { by: 'short' }));
      for (const one of mine) await storage.write(one, 'absent');
      for (const name of [...['2', '.', '.x', ':x', '-x'].map((ending) => `${namespace}${ending}`), namespace.toUpperCase()]) {
        const other = await another(name);
        const theirs = record('one', 1, { by: name });
        same(await other.readAll(), [], `readAll at ${name}`);
        same(await other.write(theirs, 'absent'), true, `write at ${name}`);
        same(await other.readAll(), entriesOf(theirs), `readAll at ${name} after the write`);
        same(await everything(storage), entriesOf(...mine), `readAll at ${namespace} after a write at ${name}`);
        same(await other.remove('one', 'any'), true, `removal at ${name}`);
      }
      same(await everything(storage), entriesOf(...mine), `readAll at ${namespace} after all`);
    },
  ],
  [
    'a change of the object that was written does not change what is stored',
    async ({ storage }) => {
      const nested = { list: ['a'] };
      const open = { ...record('one', 1), nested };
      await storage.write(open, 'absent');
      nested.list.push('b');
      open.revision = 7;
      same(await storage.read('one'), record('one', 1, { nested: { list: ['a'] } }), 'read');
    },
  ],
  [
    'a change of a value that was read does not change what is stored',
    async ({ storage }) => {
      const written = (): unknown => record('one', 1, { nested: { list: ['a'] } });
      await storage.write(record('one', 1, { nested: { list: ['a'] } }), 'absent');
      vandalize(await storage.read('one'));
      same(await storage.read('one'), written(), 'read after a change of what read gave');
      for (const { value } of await storage.readAll()) vandalize(value);
      same(await storage.read('one'), written(), 'read after a change of what readAll gave');
    },
  ],
  [
    'a member called __proto__ changes no prototype',
    async ({ storage }) => {
      const hostile = JSON.parse('{"id":"one","revision":1,"__proto__":{"polluted":true},"a":{"__proto__":{"polluted":true}}}') as never;
      same(await storage.write(hostile, 'absent'), true, 'write');
      for (const value of [await storage.read('one'), (await storage.readAll())[0]?.value, {}]) {
        same((value as { polluted?: unknown }).polluted, undefined, 'a member that only a changed prototype has');
        same((value as { a?: { polluted?: unknown } }).a?.polluted, undefined, 'the same further down');
      }
      same(await storage.write(record('one', 2), 1), true, 'write over it');
    },
  ],
  [
    'a record that does not fit, where there is a bound, is refused with storage_failed, and what was there stays',
    async ({ storage, capabilities: { capacity } }) => {
      if (capacity === undefined) return;
      await storage.write(record('one', 1), 'absent');
      const huge = record('one', 2, { long: 'x'.repeat(capacity) });
      await rejects(storage.write(huge, 1), 'storage_failed', 'write of more than the capacity');
      await rejects(storage.write({ ...huge, id: 'two' }, 'absent'), 'storage_failed', 'first write of more than the capacity');
      same(await storage.readAll(), entriesOf(record('one', 1)), 'readAll');
      same(await storage.write(record('one', 2), 1), true, 'write of less');
    },
  ],
];

/** The cases about what is no record; they need `plant`. */
export const PLANT_CASES: readonly Case[] = [
  [
    'E62 what cannot be read can be seen, is no revision, blocks no other record and can be removed',
    async ({ storage, plant }) => {
      const garbage = { text: 'garbage', number: 5, list: [1], empty: {}, foreign: { id: 'other', revision: 'x' } };
      const planted: { id: string; value: unknown }[] = [];
      for (const [id, value] of Object.entries(garbage)) planted.push({ id, value: await plant(id, value) });
      const one = record('zero', 1);
      same(await storage.write(one, 'absent'), true, 'write of another record');
      same(await everything(storage), inOrder([...planted, ...entriesOf(one)]), 'readAll');
      for (const { id, value } of planted) {
        same(await storage.read(id), value, `read of ${id}`);
        same(await storage.write(record(id, 1), 'absent'), false, `write to ${id} as if there were nothing`);
        same(await storage.write(record(id, 1), 0), false, `write over a revision of ${id}`);
        same(await storage.remove(id, 1), false, `removal of a revision of ${id}`);
        same(await storage.remove(id, 'any'), true, `removal of ${id}, whatever it is`);
        same(await storage.write(record(id, 1), 'absent'), true, `write to ${id} after its removal`);
      }
      same(await everything(storage), entriesOf(one, ...planted.map(({ id }) => record(id, 1))), 'readAll afterwards');
    },
  ],
];

/** Changes whatever can be changed of a value. */
function vandalize(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const member of Object.values(value)) vandalize(member);
  if (Array.isArray(value)) Reflect.set(value, 0, 'vandal');
  else Reflect.set(value, 'revision', 99);
}
