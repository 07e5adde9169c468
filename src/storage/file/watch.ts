/**
 * Changes of the files in a folder, whoever makes them. Hints, not history: some systems lose some, and some mounted folders tell
 * nothing at all. A slow second look notices that, and then names every record.
 *
 * @module
 */
import type { FSWatcher } from 'node:fs';
import type { Platform } from '../../platform/platform.js';
import { nameInFile } from './names.js';
import type { Files } from './system.js';

/** Long enough for the several events of one change. */
const SETTLE_MS = 20;
const SECOND_LOOK_MS = 5_000;

/** Calls back with the names (those of `nameOf`) of records that changed, until stopped. Keeps no process alive. */
export function watchFolder(
  files: Files,
  folder: string,
  { setTimer }: Pick<Platform, 'setTimer'>,
  onChange: (name: string) => void,
): () => void {
  const changed = new Set<string>();
  let known: readonly string[] = [];
  let [stopped, silent, changedAt] = [false, true, NaN];
  let watcher: FSWatcher | undefined;
  let cancelFlush: (() => void) | undefined;
  let cancelLook: (() => void) | undefined;

  const flush = (): void => {
    cancelFlush = undefined;
    watcher?.unref(); // Deno forgets it with each event
    const names = [...changed];
    changed.clear();
    names.forEach(onChange);
  };
  const note = (name: string | undefined): void => {
    if (name !== undefined) changed.add(name);
    if (!stopped) cancelFlush ??= setTimer(flush, SETTLE_MS);
  };
  const onEvent = (file: string | null): void => {
    const name = nameInFile(file ?? '');
    if (name !== undefined) silent = false;
    note(name);
  };
  const unwatch = (): void => {
    watcher?.close();
    watcher = undefined;
  };
  const start = (): void => {
    try {
      watcher = files.watch(folder, { persistent: false }, (_, file) => onEvent(file));
      watcher.unref(); // Deno overlooks the option
      watcher.on('error', unwatch);
    } catch {
      // no more watchers to be had, or the folder is gone for now: the second look does without
    }
  };
  /** Something changed and no event told: names everything there is and was, and begins to watch anew. */
  const look = async (): Promise<void> => {
    const { mtimeMs } = await files.lstat(folder);
    const missed = silent && mtimeMs !== changedAt && !Number.isNaN(changedAt);
    [silent, changedAt] = [true, mtimeMs];
    const before = known;
    known = (await files.readdir(folder)).map(nameInFile).filter((name) => name !== undefined);
    if (!missed) return;
    unwatch();
    [...before, ...known].forEach(note);
  };
  const keepLooking = (): void => {
    if (stopped) return;
    if (!watcher) start();
    void look()
      .catch(unwatch) // the folder is gone; it may come back
      .then(() => {
        if (!stopped) cancelLook = setTimer(keepLooking, SECOND_LOOK_MS);
      });
  };
  keepLooking();
  return () => {
    stopped = true;
    unwatch();
    cancelFlush?.();
    cancelLook?.();
  };
}
