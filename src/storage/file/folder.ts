/**
 * The folder of one namespace: made for its owner alone, and refused if anyone else could get at it (CLI-2).
 *
 * @module
 */
import type { Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { StorageError } from '../../errors.js';
import { nameOf } from './names.js';
import { ownUid, quoted, unless, type Files } from './system.js';

/** Where things are, as absolute paths. */
export interface Place {
  /** One file per record, nothing else of ours. */
  readonly records: string;
  /** What is being written, and who holds which lock: nothing that outlives its process. */
  readonly locks: string;
}

/**
 * Makes the folder if it is not there. `root` is an absolute path.
 *
 * @throws {StorageError} `storage_failed`: a link, no folder, of another owner, or open to others; the message says what to type
 */
export async function makePlace(files: Files, root: string, namespace: string): Promise<Place> {
  const { records } = placeOf(root, namespace);
  const first = await files.mkdir(root, { recursive: true, mode: 0o700 });
  // One that may be written and not listed (a drop box) cannot be opened either: its name in there is as safe as the system makes it
  for (let path = root; first !== undefined && path.length >= first.length; path = dirname(path))
    await unless(syncFolder(files, dirname(path)), 'EACCES');
  await check(files, root, 0o022);
  await unless(files.mkdir(records, { mode: 0o700 }), 'EEXIST');
  await check(files, records, 0o077);
  await syncFolder(files, root);
  return findPlace(files, root, namespace);
}

/**
 * The folder that was made before. It is not made again if it is gone: what is in a new one says nothing of the records. Only `locks`
 * is, which holds nothing that lasts.
 *
 * @throws as `makePlace`; `ENOENT` if it is gone
 */
export async function findPlace(files: Files, root: string, namespace: string): Promise<Place> {
  const place = placeOf(root, namespace);
  await check(files, root, 0o022);
  await check(files, place.records, 0o077);
  await unless(files.mkdir(place.locks, { mode: 0o700 }), 'EEXIST');
  await check(files, place.locks, 0o077);
  return place;
}

function placeOf(root: string, namespace: string): Place {
  const records = join(root, `n-${nameOf(namespace)}`);
  return { records, locks: join(records, 'locks') };
}

/** Refuses folders that were exchanged since they were made: a link would take tokens elsewhere. */
export async function checkPlace(files: Files, root: string, { records, locks }: Place): Promise<void> {
  await check(files, root, 0o022);
  await check(files, records, 0o077);
  await check(files, locks, 0o077);
}

/** Makes names in the folder survive power loss, where the system can (Windows cannot, and does not need it to). */
export async function syncFolder(files: Files, path: string): Promise<void> {
  const handle = await unless(files.open(path, 'r'), 'EPERM', 'EISDIR');
  if (!handle) return;
  try {
    await unless(handle.sync(), 'EPERM', 'EINVAL', 'ENOTSUP');
  } finally {
    await handle.close();
  }
}

async function check(files: Files, path: string, forbidden: number): Promise<void> {
  const stat = await files.lstat(path);
  if (!stat.isDirectory())
    throw refused(path, stat.isSymbolicLink() ? 'is a symbolic link: name the folder it points to' : 'is no folder: name another');
  const problem = problemOf(stat, forbidden);
  if (problem === 'owner') throw refused(path, `belongs to another user. If it is yours: sudo chown -R "$(id -u)" ${quoted(path)}`);
  if (problem) throw refused(path, `is open to other users. Type: chmod ${forbidden === 0o077 ? '-R go=' : 'go-w'} ${quoted(path)}`);
}

/** What is wrong with owner or permissions. Systems without users of this kind (Windows) have their own lists: nothing is checked there. */
export function problemOf(stat: Stats, forbidden: number): 'owner' | 'mode' | undefined {
  const uid = ownUid();
  if (uid === undefined) return undefined;
  if (stat.uid !== uid) return 'owner';
  return (stat.mode & forbidden) === 0 ? undefined : 'mode';
}

/** The error for what must not be used. */
export function refused(path: string, why: string): StorageError {
  return new StorageError('storage_failed', `Credentials are not kept here: ${path} ${why}`);
}
