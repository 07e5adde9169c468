/**
 * Records as files, for programs on Node: one folder for its owner alone, one file per record. The only entry point of this package
 * that imports anything of Node.
 *
 * @module
 */
import { assertNothingElse, assertText } from '../../credential/options.js';
import { defaultPlatform, type Platform } from '../../platform/platform.js';
import type { CredentialStorage } from '../storage.js';
import { createFileStorage } from './file-storage.js';

/** Options of `fileStorage`. */
export interface FileStorageOptions {
  /** Path of a folder on a local disk; made if it is not there, for its owner alone. A relative one starts at the working directory. */
  readonly folder: string;
  /** Separates several stores in one folder. Default `rx-credentials`. */
  readonly namespace?: string | undefined;
  /** Default: the platform of this runtime. Its clocks, timers and random numbers are used. */
  readonly platform?: Platform | undefined;
}

/**
 * A storage in files, shared by all programs of a machine that run as one user. A resolved write has survived power loss, and at any
 * instant there is the old record or the new one, whole. Tokens are written in the clear: wrap it in `sealed(…)` to have them encrypted.
 *
 * @throws {TypeError} an option is misspelled, `folder` or `namespace` is no text or empty, or the folder begins with `~` or holds a NUL character
 * @throws {StorageError} from every method, `storage_failed`: the disk is full or broken, or the folder is a link, of another owner or
 * open to others; the message says what to type
 */
export function fileStorage(options: FileStorageOptions): CredentialStorage {
  const { folder, namespace = 'rx-credentials', platform = defaultPlatform(), ...rest } = { ...options }; // forgotten, it is `folder` that is missed
  assertNothingElse(rest, 'fileStorage takes folder, namespace and platform');
  assertText(folder, 'folder');
  assertText(namespace, 'namespace');
  if (/^~($|[\\/])/.test(folder)) throw new TypeError('folder: "~" is not expanded; use join(os.homedir(), …)');
  if (folder.includes('\0')) throw new TypeError('folder must not hold a NUL character');
  return createFileStorage({ folder, namespace, platform });
}
