/**
 * The file storage put together: a place, its locks, its records, and a watch over them.
 *
 * @module
 */
import { resolve } from 'node:path';
import { inProcessLocks, leaving } from '../../platform/in-process-locks.js';
import { StorageError } from '../../errors.js';
import type { Platform } from '../../platform/platform.js';
import { tellAll, type CredentialStorage } from '../storage.js';
import { checkPlace, findPlace, makePlace, type Place } from './folder.js';
import { folderLocks, type FolderLocks, type LockTiming } from './locks.js';
import { lockOf, nameOf } from './names.js';
import { recordFiles, type Change, type RecordFiles } from './records.js';
import { codeOf, failed, identify, nodeFiles, unless, type Files } from './system.js';
import { watchFolder } from './watch.js';

/** What a file storage is made of; `fileStorage` fills in the defaults. */
export interface FileStorageParts {
  readonly folder: string;
  readonly namespace: string;
  readonly platform: Platform;
}

/** What tests exchange. */
export interface FileStorageInternals {
  readonly files?: Files;
  readonly timing?: LockTiming;
}

interface Opened {
  readonly place: Place;
  readonly locks: FolderLocks;
  readonly records: RecordFiles;
}

/** RF-9: a heartbeat each 5 s, and 150 s without one. */
const TIMING: LockTiming = { heartbeatMs: 5_000, staleMs: 150_000 };

/** Makes a file storage. Nothing is touched before the first call. */
export function createFileStorage(
  { folder, namespace, platform }: FileStorageParts,
  { files = nodeFiles, timing = TIMING }: FileStorageInternals = {},
): CredentialStorage {
  /** First come, first served in this process: it does not fight itself for its locks. */
  const turns = inProcessLocks();
  const listeners = new Set<(id: string) => void>();
  let root: string | undefined;
  /** It was there once. If it is gone, calls fail until it is back: in a new, empty one they would find that every session has ended. */
  let isKnown = false;
  let locks: FolderLocks | undefined;
  let opened: Promise<Opened> | undefined;
  let unwatch: (() => void) | undefined;
  let closing = new AbortController();
  let users = 0; // openings: several stores may have it open, and the last to close it ends it

  const open = async (makes: boolean): Promise<Opened> => {
    const place = await (makes || !isKnown ? makePlace : findPlace)(files, (root ??= resolve(folder)), namespace);
    isKnown = true;
    // The same after closing and opening again: it knows which locks it holds
    locks ??= folderLocks({ files, folder: place.locks, me: await identify(files), platform, timing });
    await locks.sweep().catch(() => undefined); // on a medium that is read-only by now records can still be read
    return { place, locks, records: recordFiles(files, place, locks) };
  };
  /** Runs on the open storage; errors of the system become ours. A folder that is gone is looked for the next time, and made anew if `makes`. */
  const using = async <T>(run: (parts: Opened) => Promise<T>, makes = false): Promise<T> => {
    const mine = (opened ??= open(makes).catch((error: unknown) => {
      opened = undefined; // asked again the next time
      throw error;
    }));
    try {
      const parts = await mine;
      watchIfAsked(parts);
      return await run(parts);
    } catch (error) {
      if (opened === mine && codeOf(error) === 'ENOENT') opened = undefined;
      throw failed(error, folder);
    }
  };
  /** Who opens it again while it is open finds out, too, whether the folder can be used, and has one made in the place of one that is gone. */
  const lookAgain = async (): Promise<void> => {
    const known = opened;
    const parts = await known?.catch(() => undefined);
    if (!parts) return;
    const looking = checkPlace(files, root ?? '', parts.place).then(() => true);
    const isThere = await unless(looking, 'ENOENT').catch((error: unknown) => {
      throw failed(error, folder);
    });
    if (!isThere && opened === known) opened = undefined;
  };
  const watchIfAsked = ({ place, records }: Opened): void => {
    if (listeners.size === 0) return;
    const tell = async (name: string): Promise<void> => tellAll(listeners, await records.idOf(name));
    unwatch ??= watchFolder(files, place.records, platform, (name) => void tell(name).catch(() => undefined));
  };
  const stopWatching = (): void => {
    unwatch?.();
    unwatch = undefined;
  };
  /** Throws once the storage was closed, or `signal` was aborted: nobody waits for a lock any more. */
  const untilClosed = (signal?: AbortSignal): (() => void) => {
    const closed = closing.signal;
    return () => {
      signal?.throwIfAborted();
      closed.throwIfAborted();
    };
  };
  const change = ({ id, text, condition }: Change): Promise<boolean> => {
    const goOn = untilClosed();
    return using(async ({ place, records }) => {
      await checkPlace(files, root ?? '', place);
      return turns.withLock(`r-${id}`, () => records.change({ id, text, condition }, goOn));
    });
  };
  return {
    namespace,
    sendsUnstored: false, // whatever is full first, its lock or its record
    open: async () => {
      users++;
      await lookAgain();
      const nothing = (): Promise<void> => Promise.resolve();
      // Who reads meanwhile looks for the folder, and makes none
      await using(nothing, true).catch(() => using(nothing, true));
      return { coherent: true, durability: 'strict', reach: 'machine' };
    },
    read: (id) => using(({ records }) => records.read(id)),
    readAll: () => using(({ records }) => records.readAll()),
    write: async (record, condition) => change({ id: record.id, text: JSON.stringify(record), condition }),
    remove: (id, condition) => change({ id, text: null, condition }),
    withLock: async <T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
      const lock = lockOf('l', nameOf(name));
      const goOn = untilClosed(signal);
      const make = (entry: string): Promise<unknown> => files.mkdir(entry, { mode: 0o700 });
      const result = await leaving(signal, (stay) => {
        const begin = (): Promise<Outcome<T>> => {
          signal?.throwIfAborted();
          stay();
          return outcome(run);
        };
        return using(({ locks }) =>
          turns.withLock(lock, () => {
            signal?.throwIfAborted();
            return locks.hold(lock, make, begin, goOn);
          }),
        );
      });
      if ('error' in result) throw result.error;
      return result.value;
    },
    watch: (listener) => {
      listeners.add(listener);
      void using(() => Promise.resolve()).catch(() => undefined); // starts it; whoever reads next is told of the failure
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stopWatching();
      };
    },
    close: () => {
      users = Math.max(0, users - 1);
      if (users > 0) return Promise.resolve(); // another store uses it
      listeners.clear();
      stopWatching();
      opened = undefined;
      closing.abort(new StorageError('storage_failed', 'The storage was closed while this waited for the lock of another program.'));
      closing = new AbortController();
      return Promise.resolve();
    },
  };
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/** What came of a callback, kept apart from what the file system says. */
async function outcome<T>(run: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await run() };
  } catch (error) {
    return { error };
  }
}
