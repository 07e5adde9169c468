/**
 * Records as files: read as untrusted input, written so that at any instant there is the old one or the new one.
 *
 * @module
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../../errors.js';
import { conditionHolds, type StoredEntry } from '../storage.js';
import { problemOf, refused, syncFolder, type Place } from './folder.js';
import type { FolderLocks } from './locks.js';
import { isHashed, lockOf, nameInFile, nameOf, recordFile, textOf } from './names.js';
import { codeOf, quoted, unless, type Files } from './system.js';

/** Far above any record. A larger file is none, and filling memory with it would help nobody. */
const MAX_CHARACTERS = 2 ** 24;
const READS_AT_A_TIME = 16;
const MAX_TRIES = 5;

/** A change of one record. */
export interface Change {
  readonly id: string;
  /** The new text; `null` removes. */
  readonly text: string | null;
  readonly condition: number | 'absent' | 'any';
}

/** The records of one folder. */
export interface RecordFiles {
  read(id: string): Promise<unknown>;
  readAll(): Promise<readonly StoredEntry[]>;
  /** `false` if the condition did not hold. Resolves when the change would survive power loss. `goOn` is that of the lock it waits for. */
  change(change: Change, goOn: () => void): Promise<boolean>;
  /** The id that a name (of `nameOf`) stands for. A damaged file that does not tell its id is called by its name. */
  idOf(name: string): Promise<string>;
}

/** Records in a folder. */
export function recordFiles(files: Files, { records, locks: lockFolder }: Place, locks: FolderLocks): RecordFiles {
  /** Ids that the names of their files do not tell, as far as they were met. */
  const longIds = new Map<string, string>();
  const nameFor = (id: string): string => {
    const name = nameOf(id);
    if (isHashed(name)) longIds.set(name, id);
    return name;
  };
  const pathOf = (name: string): string => join(records, recordFile(name));
  const read = async (id: string): Promise<unknown> => {
    const value = await readValue(files, pathOf(nameFor(id)));
    if (value === undefined) await files.lstat(lockFolder); // fails if the whole folder is gone, which says nothing of this record
    return value;
  };
  /** An entry whatever the file holds; `undefined` if it has vanished since it was listed. */
  const entryOf = async (name: string): Promise<StoredEntry | undefined> => {
    const value = await readValue(files, pathOf(name)).catch((error: unknown) => {
      if (codeOf(error) === 'EIO') return { unreadable: BROKEN }; // costs the others nothing
      throw error;
    });
    if (value === undefined) return undefined;
    const id = textOf(name) ?? longIdOf(value, name);
    nameFor(id);
    return { id, value };
  };
  const holds = async ({ id, condition }: Change): Promise<boolean> => condition === 'any' || conditionHolds(await read(id), condition);
  const attempt = async (change: Change, goOn: () => void): Promise<boolean | 'lost'> => {
    const { id, text, condition } = change;
    const name = nameFor(id);
    const path = pathOf(name);
    if (!(await holds(change))) return false; // no work for those who come too late
    if (condition === 'any' && !(await unless(files.lstat(path), 'ENOENT'))) return true;
    const make = (entry: string): Promise<unknown> => (text === null ? files.mkdir(entry, { mode: 0o700 }) : writeText(files, entry, text));
    const commit = async (entry: string): Promise<boolean | 'lost'> => {
      if (!(await holds(change))) return false;
      // Either fails if this process was frozen and someone else got the lock: the entry is gone then
      const [from, to] = text === null ? [path, join(entry, 'removed')] : [entry, path];
      if (
        (await unless(
          files.rename(from, to).then(() => true),
          'ENOENT',
        )) === undefined
      )
        return 'lost';
      await syncFolder(files, records);
      if (text === null) await files.rm(to, { recursive: true, force: true });
      return true;
    };
    return locks.hold(lockOf('r', name), make, commit, goOn);
  };
  return {
    read,
    readAll: async () => {
      const entries = new Map<string, StoredEntry | undefined>();
      const unseen = async (): Promise<readonly string[]> =>
        (await files.readdir(records)).map(nameInFile).filter((name) => name !== undefined && !entries.has(name)) as string[];
      // A listing may leave out a name that a rename replaces just then, and so it is asked again whether there is more
      for (let names = await unseen(), looks = 1; names.length > 0 || looks < 2; names = await unseen(), looks++) {
        const queue = names.values(); // shared by all who read
        const readSome = async (): Promise<void> => {
          for (const name of queue) entries.set(name, await entryOf(name));
        };
        await Promise.all(Array.from({ length: READS_AT_A_TIME }, readSome));
      }
      return [...entries.values()].filter((entry) => entry !== undefined);
    },
    idOf: async (name) => textOf(name) ?? longIds.get(name) ?? (await entryOf(name))?.id ?? name,
    change: async (change, goOn) => {
      if ((change.text?.length ?? 0) > MAX_CHARACTERS) throw new StorageError('storage_failed', 'The record is larger than 16 MiB.');
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const done = await attempt(change, goOn);
        if (done !== 'lost') return done;
      }
      throw new StorageError('storage_failed', `Others keep taking the lock of a record away (${records}).`);
    },
  };
}

async function writeText(files: Files, path: string, text: string): Promise<void> {
  const handle = await files.open(path, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A long id is told by the file alone. */
function longIdOf(value: unknown, name: string): string {
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : undefined;
  return typeof id === 'string' && nameOf(id) === name ? id : name;
}

/**
 * What the file holds; `undefined` if there is none. What is no record for good, such as a link or a file that is open to others, becomes an
 * object that says so, and so it can be removed. Rejects with an error of the system that may pass.
 */
async function readValue(files: Files, path: string): Promise<unknown> {
  // Links are not followed, and opening a pipe does not wait for its other end
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    const handle = await files.open(path, flags);
    try {
      const stat = await handle.stat();
      const problem = stat.isFile() ? problemOf(stat, 0o077) : 'kind';
      if (problem) return unreadable(path, problem);
      return stat.size > MAX_CHARACTERS * 3 ? { unreadable: 'too large' } : parsed(await handle.readFile('utf8'));
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') return unreadable(path, 'link');
    if (code === 'ENXIO' || code === 'EISDIR') return unreadable(path, 'kind');
    // Of this file, or of a folder above? That may be mended, and says nothing of the record
    if (code === 'EACCES' && (await files.lstat(path).catch(() => undefined))) return unreadable(path, 'access');
    throw error;
  }
}

const BROKEN = 'cannot be read: the disk failed';

function unreadable(path: string, why: 'owner' | 'mode' | 'kind' | 'link' | 'access'): { readonly unreadable: string } {
  const reasons = {
    owner: 'belongs to another user: remove it',
    mode: `is open to other users. Type: chmod 600 ${quoted(path)}`,
    kind: 'is no file: remove it',
    link: 'is a symbolic link: remove it',
    access: 'may not be read by this user',
  };
  return { unreadable: refused(path, reasons[why]).message };
}

function parsed(text: string): unknown {
  try {
    return (JSON.parse(text) as unknown) ?? { unreadable: 'null' };
  } catch {
    return { unreadable: 'not JSON' };
  }
}
