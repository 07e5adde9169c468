/**
 * What `rows/start.mjs` measures, with localforage.
 *
 * @module
 */
import { localforageStorage } from 'rx-credentials/storage/localforage';
import { startWith } from './library';

startWith(() => localforageStorage());
