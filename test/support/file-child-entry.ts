// What programs need that are killed, stopped or counted: test/storage/file-child.mjs gets this bundled.
export { defaultPlatform } from '../../src/platform/platform';
export { createFileStorage } from '../../src/storage/file/file-storage';
export { hooked } from './file-faults';
