/**
 * The contract of `CredentialStorage` as test cases for any test runner: a storage that passes them all is complete.
 *
 * @module
 */
import { LIFE_CASES } from './life-cases.js';
import { atNewPlace, type StorageUnderTest } from './place.js';
import { RACE_CASES } from './race-cases.js';
import { PLANT_CASES, RECORD_CASES } from './record-cases.js';

/** One test: `for (const { title, run } of storageContract({ create })) it(title, run)`. */
export interface ContractCase {
  /** A sentence, unique within the suite; ids at its beginning are those of this project's checklists. */
  readonly title: string;
  /** Rejects if the storage breaks the contract. Uses a namespace of its own and closes what it opened; records are left behind. */
  readonly run: () => Promise<void>;
}

/**
 * The cases every storage must pass. One writes a thousand records: give slow media a generous timeout. Where `open` names a `capacity`,
 * amounts shrink to fit. No time is measured but one: a watcher is told within a second, by the clock of the runtime.
 *
 * @throws {TypeError} what is to be proved cannot be made
 */
export function storageContract(underTest: StorageUnderTest): readonly ContractCase[] {
  const { create, plant } = Object(underTest) as Partial<StorageUnderTest>;
  if (typeof create !== 'function' || (plant !== undefined && typeof plant !== 'function'))
    throw new TypeError('storageContract takes { create, plant? }, two functions');
  const cases = [...RECORD_CASES, ...(plant ? PLANT_CASES : []), ...RACE_CASES, ...LIFE_CASES];
  return cases.map(([title, run]) => ({ title, run: () => atNewPlace(underTest, run) }));
}
