/**
 * What `rows/start.mjs` measures, with the storage of the demo.
 *
 * @module
 */
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { startWith } from './library';

startWith(() => indexedDBStorage());
