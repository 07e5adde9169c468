// What every storage must do. An adapter that passes is complete: `describeStorage('name', create)`.
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';

export interface StorageUnderTest {
  /** A storage of this namespace; another call with the same namespace is another tab of the same place. */
  readonly create: (namespace: string) => CredentialStorage;
  /** Puts something under an id that is no record: what a crash, a bug or a stranger left. Resolves with what is there now. */
  readonly plant: (namespace: string, id: string, value: unknown) => Promise<unknown>;
}

interface Rich extends StoredRecord {
  readonly [member: string]: unknown;
}
const record = (id: string, revision: number, more: Readonly<Record<string, unknown>> = {}): Rich => ({ id, revision, ...more });

let count = 0;

export function describeStorage(name: string, { create, plant }: StorageUnderTest): void {
  describe(`the storage contract on ${name}`, () => {
    let namespace: string;
    let storage: CredentialStorage;
    const opened: CredentialStorage[] = [];
    const another = async (otherNamespace = namespace): Promise<CredentialStorage> => {
      const one = create(otherNamespace);
      opened.push(one);
      await one.open();
      return one;
    };
    beforeEach(async () => {
      namespace = `contract-${process.pid}-${name}-${count++}`;
      storage = await another();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((one) => one.close()));
    });

    it('says what it can do, and the same each time', async () => {
      const capabilities = await storage.open();
      expect(['none', 'relaxed', 'strict']).toContain(capabilities.durability);
      expect(['process', 'origin']).toContain(capabilities.reach);
      expect(capabilities.coherent).toBe(true);
      expect(await storage.open()).toEqual(capabilities);
      expect(storage.namespace).toBe(namespace);
    });

    it('is empty at first', async () => {
      expect(await storage.read('one')).toBeUndefined();
      expect(await storage.readAll()).toEqual([]);
    });

    it('E37 gives back what was written, whole', async () => {
      const rich = record('one', 1, {
        text: 'ä€😀\u0000\u2028"\\',
        nothing: null,
        numbers: [0, -1, 1.5, 2 ** 53 - 1, 1e300],
        nested: { deep: [{ empty: {}, list: [] }] },
        flags: [true, false],
        long: 'x'.repeat(200_000),
      });
      expect(await storage.write(rich, 'absent')).toBe(true);
      expect(await storage.read('one')).toEqual(rich);
      expect(await storage.readAll()).toEqual([{ id: 'one', value: rich }]);
    });

    it('writes where there is nothing, and only there', async () => {
      expect(await storage.write(record('one', 1, { by: 'a' }), 'absent')).toBe(true);
      expect(await storage.write(record('one', 1, { by: 'b' }), 'absent')).toBe(false);
      expect(await storage.read('one')).toMatchObject({ by: 'a' });
    });

    it('writes over the revision named, and over no other', async () => {
      await storage.write(record('one', 1), 'absent');
      expect(await storage.write(record('one', 3), 2)).toBe(false);
      expect(await storage.write(record('one', 2), 1)).toBe(true);
      expect(await storage.write(record('one', 2), 1)).toBe(false);
      expect(await storage.read('one')).toEqual({ id: 'one', revision: 2 });
    });

    it('RF-13 a conditional write on a record that is gone fails: what was removed does not come back', async () => {
      await storage.write(record('one', 1), 'absent');
      await storage.remove('one', 'any');
      expect(await storage.write(record('one', 2), 1)).toBe(false);
      expect(await storage.write(record('never', 1), 0)).toBe(false);
      expect(await storage.readAll()).toEqual([]);
    });

    it('removes the revision named, and no other', async () => {
      await storage.write(record('one', 2), 'absent');
      expect(await storage.remove('one', 1)).toBe(false);
      expect(await storage.read('one')).toBeDefined();
      expect(await storage.remove('one', 2)).toBe(true);
      expect(await storage.read('one')).toBeUndefined();
      expect(await storage.remove('one', 2)).toBe(false);
    });

    it('E62 what cannot be read can be seen, is no revision, blocks no other record and can be removed', async () => {
      const garbage: [string, unknown][] = [
        ['text', 'garbage'],
        ['number', 5],
        ['list', [1]],
        ['empty', {}],
        ['foreign', { id: 'other', revision: 'x' }],
      ];
      const found = new Map<string, unknown>();
      for (const [id, value] of garbage) found.set(id, await plant(namespace, id, value));
      expect(await storage.write(record('one', 1), 'absent')).toBe(true);
      expect(new Map((await storage.readAll()).map(({ id, value }) => [id, value]))).toEqual(found.set('one', record('one', 1)));
      for (const [id] of garbage) {
        expect(await storage.write(record(id, 1), 'absent')).toBe(false);
        expect(await storage.write(record(id, 1), 0)).toBe(false);
        expect(await storage.remove(id, 1)).toBe(false);
        expect(await storage.remove(id, 'any')).toBe(true);
      }
      expect(await storage.readAll()).toEqual([{ id: 'one', value: record('one', 1) }]);
    });

    it.each(['@store', '__proto__', 'constructor', 'toString', 'length', 'a/b:c d', 'ä😀', '0', 'x'.repeat(500)])(
      'takes the id %j',
      async (id) => {
        expect(await storage.read(id)).toBeUndefined();
        expect(await storage.write(record(id, 1), 'absent')).toBe(true);
        expect(await storage.read(id)).toEqual(record(id, 1));
        expect((await storage.readAll()).map((entry) => entry.id)).toEqual([id]);
        expect(await storage.remove(id, 1)).toBe(true);
      },
    );

    it('E29 changes of different records at a time lose none', async () => {
      const ids = Array.from({ length: 30 }, (_, i) => `id-${i}`);
      expect(await Promise.all(ids.map((id) => storage.write(record(id, 1), 'absent')))).toEqual(ids.map(() => true));
      await Promise.all([
        ...ids.slice(0, 10).map((id) => storage.remove(id, 1)),
        ...ids.slice(10).map((id) => storage.write(record(id, 2), 1)),
      ]);
      const left = new Map((await storage.readAll()).map(({ id, value }) => [id, value]));
      expect(left).toEqual(new Map(ids.slice(10).map((id) => [id, record(id, 2)])));
    });

    it('RF-5 of writers over one revision at a time exactly one wins', async () => {
      await storage.write(record('one', 1), 'absent');
      const won = await Promise.all(Array.from({ length: 20 }, (_, i) => storage.write(record('one', 2, { by: i }), 1)));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await storage.read('one')).toEqual(record('one', 2, { by: won.indexOf(true) }));
    });

    it('RF-5 of first writers at a time exactly one wins', async () => {
      const won = await Promise.all(Array.from({ length: 20 }, (_, i) => storage.write(record('one', 1, { by: i }), 'absent')));
      expect(won.filter(Boolean)).toHaveLength(1);
    });

    it('RF-5 counting up by re-reading on conflict loses no step', async () => {
      await storage.write(record('one', 1, { n: 0 }), 'absent');
      const step = async (): Promise<void> => {
        for (;;) {
          const { revision, n } = (await storage.read('one')) as { revision: number; n: number };
          if (await storage.write(record('one', revision + 1, { n: n + 1 }), revision)) return;
        }
      };
      await Promise.all(Array.from({ length: 15 }, step));
      expect(await storage.read('one')).toEqual(record('one', 16, { n: 15 }));
    });

    it('E39 another namespace is another place, also where one name begins with the other', async () => {
      const longer = await another(`${namespace}2`);
      await storage.write(record('one', 1, { by: 'short' }), 'absent');
      expect(await longer.readAll()).toEqual([]);
      expect(await longer.write(record('one', 1, { by: 'long' }), 'absent')).toBe(true);
      await storage.remove('one', 'any');
      expect(await longer.read('one')).toMatchObject({ by: 'long' });
    });

    it('E57 what a write resolved with is there for whoever opens the place next, if the storage outlives itself at all', async () => {
      await storage.write(record('one', 1), 'absent');
      const { durability } = await storage.open();
      const next = durability === 'none' ? storage : await another();
      expect(await next.read('one')).toEqual(record('one', 1));
      expect(await next.write(record('one', 2), 1)).toBe(true);
      expect(await storage.read('one')).toEqual(record('one', 2));
    });

    it('close ends it without harm to what is stored', async () => {
      await storage.write(record('one', 1), 'absent');
      await storage.close();
      const { durability } = await storage.open();
      const next = durability === 'none' ? storage : await another();
      expect(await next.read('one')).toEqual(record('one', 1));
    });

    it('a lock, where it has one, runs its holders one after the other, and a failing one ends only itself', async () => {
      const order: string[] = [];
      const hold = (who: string, fails = false) =>
        storage.withLock?.('the-lock', async () => {
          order.push(`${who} in`);
          await Promise.resolve();
          await storage.read('one');
          order.push(`${who} out`);
          if (fails) throw new Error(who);
          return who;
        });
      const held = await Promise.allSettled([hold('a'), hold('b', true), hold('c')]);
      if (storage.withLock) {
        expect(order).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
        expect(held.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message))).toEqual(['a', 'b', 'c']);
      } else {
        expect((await storage.open()).reach).toBe('origin'); // then the platform's locks reach far enough
      }
    });

    it('a watcher, where it has one, is told the id of each committed change, until it stops', async () => {
      const seen: string[] = [];
      const stop = storage.watch?.((id) => seen.push(id));
      await storage.write(record('one', 1), 'absent');
      await storage.write(record('one', 1), 'absent'); // refused: no change
      await storage.remove('one', 1);
      stop?.();
      await storage.write(record('two', 1), 'absent');
      expect(seen).toEqual(storage.watch ? ['one', 'one'] : []);
    });
  });
}
