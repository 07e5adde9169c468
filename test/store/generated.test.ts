// Ten thousand stored values that no store has written: no crash, no way to a prototype, no harm to others, each reported once.
import fc from 'fast-check';
import { parseRecord } from '../../src/credential/record.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import { aRecord } from '../support/tokens.js';
import { runs } from '../support/counts.js';
import { closeAll, collect, createWorld, type World } from '../support/fixture.js';

afterEach(closeAll);

const BLOBS_PER_START = 100;
const whole = JSON.parse(JSON.stringify(aRecord({ tags: ['a'], staged: { text: '{}', sentAt: 1, receivedAt: 2 } }))) as Record<
  string,
  unknown
>;

/** Paths to all members, at every depth. */
function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, member]) => pathsOf(member, [...path, name]))];
}
const PATHS = pathsOf(whole).filter((path) => path.length > 0);

function withMember(value: unknown, [name = '', ...rest]: readonly string[], member: unknown): unknown {
  const copy = { ...(value as Record<string, unknown>) };
  copy[name] = rest.length === 0 ? member : withMember(copy[name], rest, member);
  return copy;
}

const poison = fc.constantFrom<unknown>(
  JSON.parse('{"__proto__":{"polluted":1}}'),
  JSON.parse('{"constructor":{"prototype":{"polluted":1}}}'),
  { sealed: 'a.b.c.d.e' },
  { sealed: {} },
  { sealed: '.'.repeat(10_000) },
  [[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]],
);
const anything = fc.oneof(
  { weight: 4, arbitrary: fc.anything({ withNullPrototype: true, withObjectString: true, maxDepth: 2 }) },
  { weight: 3, arbitrary: poison },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(undefined, null, '', 0, -1, NaN, Infinity, 2 ** 53, 1e308, true, [], {}, 'x'.repeat(300_000)),
  },
);
const edited = fc
  .tuple(fc.array(fc.tuple(fc.constantFrom(...PATHS), anything), { minLength: 1, maxLength: 3 }))
  .map(([edits]) => edits.reduce<unknown>((record, [path, member]) => withMember(record, path, member), whole));
const truncated = fc.nat(JSON.stringify(whole).length - 1).map((length) => JSON.stringify(whole).slice(0, length));
const foreign = fc.record({ v: fc.oneof(fc.integer(), fc.string()), id: fc.string(), revision: anything, secrets: anything });
const blob = fc.oneof(
  { weight: 6, arbitrary: edited },
  { weight: 1, arbitrary: truncated },
  { weight: 1, arbitrary: foreign },
  { weight: 2, arbitrary: anything },
);

/** Keeps what cannot be cloned: adapters hand over whatever their medium gives. */
function put(world: World, blobs: readonly unknown[]): void {
  blobs.forEach((value, i) => world.disk.records.set(`blob-${i}`, withIdOf(value, `blob-${i}`)));
}
/** Records find themselves under their own key, or they would be refused for that alone. */
function withIdOf(value: unknown, id: string): unknown {
  return typeof value === 'object' && value !== null && 'v' in value && !Array.isArray(value) ? { ...value, id } : value;
}

describe.each<readonly [string, (storage: CredentialStorage) => CredentialStorage]>([
  ['plain', (storage) => storage],
  ['sealed', (storage) => sealed(storage, { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]) })],
])('E62 ten thousand stored values over %s storage', (_, over) => {
  it('crash nothing, change no prototype, harm no other credential, and are each reported once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(blob, { minLength: BLOBS_PER_START, maxLength: BLOBS_PER_START }), async (blobs) => {
        const world = createWorld();
        const good = world.authority.signIn({ id: 'good' });
        const before = await world.openTab({ storage: over(world.disk.storage()) });
        await before.store.store(good, { tags: ['good'] });
        put(world, blobs);
        const storage = {
          ...world.disk.storage(),
          readAll: () => Promise.resolve([...world.disk.records].map(([id, value]) => ({ id, value }))),
        };
        const { store, events } = world.startTab({
          storage: over({ ...storage, read: (id) => Promise.resolve(world.disk.records.get(id)) }),
        });
        await store.ready;
        const corrupt = [...world.disk.records]
          .filter(([id, value]) => id !== '@store' && 'corrupt' in parseRecord(value, id))
          .map(([id]) => id);
        const credentials = await store.find(() => true);
        for (const credential of credentials) {
          await credential.accessToken().catch((error: unknown) => expect(error).toHaveProperty('code'));
          expect(JSON.stringify(credential)).not.toContain('CANARY');
        }
        const credential = (await store.find({ tags: 'good' })).find(({ id }) => id === 'good');
        expect(await credential?.accessToken()).toBe(good.accessToken);
        await credential?.refresh();
        const reported = events
          .filter(({ type }) => type === 'record_quarantined')
          .map((event) => (event.type === 'record_quarantined' ? event.id : ''));
        expect(reported.filter((id) => id !== '@store' && corrupt.includes(id)).sort()).toEqual(corrupt.sort());
        expect(new Set(reported).size).toBe(reported.length);
        expect(Object.keys(Object.prototype)).toEqual([]);
        expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
        await store.clear();
        expect(await store.allIDs()).toEqual([]);
        expect([...world.disk.records.keys()]).toEqual(['@store']);
        const again = collect(store.credentials$);
        await store.store(world.authority.signIn({ id: 'after' }));
        expect(again.values.at(-1)?.map(({ id }) => id)).toEqual(['after']);
        await closeAll();
      }),
      { numRuns: runs(100, 1000) },
    );
  }, 300_000);
});
