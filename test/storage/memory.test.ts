import { memoryStorage } from '../../src/storage/memory';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';
import { describeStorage } from '../contract/storage-contract';

const made = new Map<string, CredentialStorage>();
describeStorage('memoryStorage', {
  create: (namespace) => {
    const storage = made.get(namespace) ?? memoryStorage({ namespace });
    made.set(namespace, storage);
    return storage;
  },
  plant: async (namespace, id, garbage) => {
    const value = { id, garbage } as unknown as StoredRecord; // memory has no back door; without a revision it is no record
    await made.get(namespace)!.write(value, 'absent');
    return value;
  },
});

describe('memoryStorage', () => {
  it('BBA-2 promises to keep nothing, and reaches no further than this program', async () => {
    expect(await memoryStorage().open()).toEqual({ coherent: true, durability: 'none', reach: 'process' });
    expect(memoryStorage().namespace).toBe('rx-credentials');
  });

  it('E50 two of them share nothing, whatever their names', async () => {
    const [a, b] = [memoryStorage({ namespace: 'same' }), memoryStorage({ namespace: 'same' })];
    await a.write({ id: 'one', revision: 1 }, 'absent');
    expect(await b.readAll()).toEqual([]);
  });

  it('E68 what is frozen all through is kept and not copied; anything else is copied, down to where it is frozen', async () => {
    const storage = memoryStorage();
    const frozen = Object.freeze({ id: 'one', revision: 1, secrets: Object.freeze({ accessToken: 'a' }), tags: Object.freeze(['t']) });
    await storage.write(frozen, 'absent');
    expect(await storage.read('one')).toBe(frozen);
    const half = Object.freeze({ ...frozen, id: 'two', tags: ['t'] });
    await storage.write(half, 'absent');
    const kept = (await storage.read('two')) as typeof half;
    expect(kept).toEqual(half);
    expect(kept.secrets).toBe(frozen.secrets);
    expect([kept.tags === half.tags, Object.isFrozen(kept), Object.isFrozen(kept.tags), Object.isFrozen(half.tags)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it('E34 watchers are told of each other’s writes, and stopping one leaves the others', async () => {
    const storage = memoryStorage();
    const seen: string[] = [];
    const stopA = storage.watch!((id) => seen.push(`a ${id}`));
    const stopB = storage.watch!((id) => seen.push(`b ${id}`));
    await storage.write({ id: 'one', revision: 1 }, 'absent');
    stopA();
    await storage.write({ id: 'two', revision: 1 }, 'absent');
    stopB();
    stopB();
    await storage.remove('two', 'any');
    expect(seen).toEqual(['a one', 'b one', 'b two']);
  });
});
