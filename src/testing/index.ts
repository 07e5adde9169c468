/**
 * What proves a part that you write yourself. `storageContract` is the suite that every storage of this package passes.
 *
 * @module
 */
export { storageContract } from './storage-contract.js';
export type { ContractCase } from './storage-contract.js';
export type { StorageUnderTest } from './place.js';
