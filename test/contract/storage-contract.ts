// The contract suite of `rx-credentials/testing` in Jest: `describeStorage('name', { create, plant })`.
import { storageContract, type StorageUnderTest } from '../../src/testing/index';

export type { StorageUnderTest };

const TIMEOUT_MS = 60_000; // a thousand writes to a disk that syncs each

export function describeStorage(name: string, underTest: StorageUnderTest): void {
  describe(`the storage contract on ${name}`, () => {
    for (const { title, run } of storageContract(underTest)) it(title, run, TIMEOUT_MS);
  });
}
