// The suite must be able to fail.
import { storageContract, type ContractCase } from '../../src/testing/index';
import { fail, isSame, rejects, same } from '../../src/testing/assertions';
import { breakable } from './breakable-storage';
import { MUTANTS } from './mutants';

/** Titles of the cases that fail, with what they say. */
async function failuresOf(cases: readonly ContractCase[]): Promise<ReadonlyMap<string, string>> {
  const failed = new Map<string, string>();
  for (const { title, run } of cases) {
    await run().catch((error: unknown) => failed.set(title, error instanceof Error ? error.message : String(error)));
  }
  return failed;
}

describe('the storage contract', () => {
  const found = new Set<string>();

  it('finds nothing wrong with a storage that is whole, and runs twice', async () => {
    const cases = storageContract(breakable());
    expect(await failuresOf(cases)).toEqual(new Map());
    expect(await failuresOf(cases)).toEqual(new Map());
  });

  it('takes a storage of one process without a lock of its own, and runs where there is no MessageChannel, as in jsdom', async () => {
    const own = Object.getOwnPropertyDescriptor(globalThis, 'MessageChannel')!;
    Reflect.deleteProperty(globalThis, 'MessageChannel');
    try {
      const cases = storageContract(
        breakable({ methods: ({ open }) => ({ withLock: undefined, open: async () => ({ ...(await open()), reach: 'process' }) }) }),
      );
      expect(await failuresOf(cases)).toEqual(new Map());
    } finally {
      Object.defineProperty(globalThis, 'MessageChannel', own);
    }
  });

  it('comes to an end where the clock stands still, as one that is faked does', async () => {
    const now = jest.spyOn(performance, 'now').mockReturnValue(0);
    try {
      const deaf = storageContract(breakable({ methods: () => ({ watch: () => () => undefined }) }));
      const [first] = deaf.filter(({ title }) => title.startsWith('a watcher, where it has one, is told'));
      await expect(first?.run()).rejects.toThrow('watcher told of one');
    } finally {
      now.mockRestore();
    }
  });

  it('has titles that differ, and leaves out what needs `plant` where there is none', () => {
    const { create, plant } = breakable();
    const titles = storageContract({ create, plant }).map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
    expect(titles.filter((title) => !storageContract({ create }).some((one) => one.title === title))).toEqual([
      expect.stringMatching(/^E62/),
    ]);
  });

  it.each(Object.entries(MUTANTS))('finds a storage that %s', async (_name, [broken, ...titles]) => {
    const failures = await failuresOf(storageContract(breakable(broken)));
    for (const title of failures.keys()) found.add(title);
    expect(titles.filter((title) => !Array.from(failures.keys()).some((failed) => failed.startsWith(title)))).toEqual([]);
  });

  it('has no case that cannot fail: each has found one of them', () => {
    expect(storageContract(breakable()).flatMap(({ title }) => (found.has(title) ? [] : [title]))).toEqual([]);
  });

  it('closes all it opened, also when a case fails, and says when closing fails', async () => {
    let open = 0;
    const counting = breakable({
      methods: ({ read, close }) => {
        open++;
        let closed = false;
        return { read: async (id) => (await read(id)) ?? 'wrong', close: () => ((open -= closed ? 0 : 1), (closed = true), close()) };
      },
    });
    expect((await failuresOf(storageContract(counting))).size).toBeGreaterThan(10);
    expect(open).toBe(0);
    const stuck = storageContract(breakable({ methods: () => ({ close: () => Promise.reject(new Error('stuck')) }) }));
    expect(new Set((await failuresOf(stuck)).values())).toEqual(new Set(['stuck']));
  });

  it('says what was expected, and what came', async () => {
    const overwriting = storageContract(breakable({ holds: () => true }));
    expect((await failuresOf(overwriting)).get('writes where there is nothing, and only there')).toBe(
      'second write: expected false, got true',
    );
  });
});

describe('the assertions of the contract', () => {
  const hole = JSON.parse('{"__proto__":1}') as unknown;
  it.each<[unknown, unknown, boolean]>([
    [1, 1, true],
    [1, '1', false],
    [NaN, NaN, true],
    [0, -0, false],
    [null, undefined, false],
    [null, {}, false],
    [{}, [], false],
    [[], {}, false],
    [{ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }, true],
    [{ a: 1 }, { a: 1, b: 2 }, false],
    [{ a: 1, b: 2 }, { a: 1 }, false],
    [{ a: undefined }, {}, false],
    [{ a: undefined }, { b: undefined }, false],
    [[1, 2], [2, 1], false],
    [[1], [1, 2], false],
    [hole, {}, false],
    [{ toString: 1 }, { a: 1 }, false],
    ['a', ['a'], false],
  ])('%j and %j: %j', (a, b, equal) => {
    expect(isSame(a, b)).toBe(equal);
    expect(isSame(b, a)).toBe(equal);
  });

  it('throw errors that test runners know how to show', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    expect(() => same('a', 'b', 'letter')).toThrow(
      expect.objectContaining({ name: 'ContractFailure', message: 'letter: expected "b", got "a"', actual: 'a', expected: 'b' }) as Error,
    );
    expect(() => same(undefined, 'x'.repeat(1_000), 'long')).toThrow(/^long: expected "x{299}… \(1002 characters\), got undefined$/);
    expect(() => fail('odd', cycle, 1n)).toThrow(/^odd: expected 1, got /);
  });

  it('tell the code of a rejection', async () => {
    const coded = (code: unknown): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code }));
    await rejects(coded('storage_failed'), 'storage_failed', 'write');
    await expect(rejects(coded('other'), 'storage_failed', 'write')).rejects.toThrow('write: expected "storage_failed", got "other"');
    await expect(rejects(Promise.reject(new Error('no')), 'storage_failed', 'write')).rejects.toThrow('got "a rejection with Error: no"');
    await expect(rejects(Promise.resolve(true), 'storage_failed', 'write')).rejects.toThrow('got "it resolved with true"');
  });
});
