/**
 * Locks among the processes of a machine (RF-9), by what file systems do in one step.
 *
 * A lock is a folder with one entry, named after its holder. It is taken by moving a prepared folder to its place, which fails as
 * long as there is an entry. It is given back, and taken from the dead, by removing the entry of this one holder: no one can remove
 * another's by mistake, however late. The entry can be the very file that is to be written: moving it out is commit and release in
 * one step, and fails for a holder that was frozen and lost the lock meanwhile. That is the fencing.
 *
 * @module
 */
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import type { Platform } from '../../platform/platform.js';
import { codeOf, isGone, mayBeAsked, unless, type Files, type Identity } from './system.js';

/** How long things take, milliseconds. */
export interface LockTiming {
  /** A holder shows that it lives this often. */
  readonly heartbeatMs: number;
  /** A holder that showed nothing for so long has lost the lock, where it cannot be known whether its process is gone. */
  readonly staleMs: number;
}

/** The locks in one folder. */
export interface FolderLocks {
  /**
   * Runs alone among all who use the same name.
   *
   * @param lock a safe name for a file, at most 70 bytes: that of the holder is put behind it
   * @param make makes the entry before the lock is asked for: a file or a folder at the path given
   * @param run gets the path of the entry; it is gone if the lock was lost
   * @param goOn is called before each time of waiting; what it throws ends that, and is thrown
   */
  hold<T>(lock: string, make: (entry: string) => Promise<unknown>, run: (entry: string) => Promise<T>, goOn: () => void): Promise<T>;
  /** Removes what processes that are gone left behind, as far as it can be removed. */
  sweep(): Promise<void>;
}

/** What the locks of one storage need. */
export interface FolderLocksOptions {
  readonly files: Files;
  readonly folder: string;
  readonly me: Identity;
  readonly platform: Pick<Platform, 'crypto' | 'monotonicNow' | 'now' | 'setTimer'>;
  readonly timing: LockTiming;
}

/** Whoever lives has shown it within so many heartbeats that a waiter saw nothing of. */
const MISSED_BEATS = 2;
/** Earlier than any file of this package. Where change times are of such an age they are a copy of what heartbeats write, not a clock. */
const NO_CLOCK_BEFORE_MS = Date.UTC(2000);
const FIRST_PAUSE_MS = 2;
const MAX_PAUSE_MS = 32;
/** Of so many locks it is known how long their holders were silent. */
const MAX_SILENCES = 1_000;
/** Nobody waits for a lock for a day. */
const LONGEST_WAIT_MS = 86_400_000;

/** Locks in a folder that holds nothing else. */
export function folderLocks({ files, folder, me, platform, timing }: FolderLocksOptions): FolderLocks {
  const held = new Set<string>();
  const instance = platform.crypto.getRandomValues(new Uint32Array(2)).join('');
  /**
   * By lock, what this process has seen while it waited, the oldest first. Who waits gives up sooner than a silent holder loses its lock, and goes
   * on counting when it asks again; until then no time passes.
   */
  const silences = new Map<string, Silence>();
  let count = 0;
  const nextHolder = (): string => `${me.pid}.${me.start}.${me.machine}.${instance}.${count++}`;

  /** True if the holder can never come back to this lock. */
  const isOver = async (holder: string): Promise<boolean> => {
    if (holder.split('.')[3] === instance) return !held.has(holder); // its release failed
    return isGone(files, processOf(holder), me);
  };
  /** What is left of a program elsewhere, of which nothing can be known: one in a container that is gone, say. */
  const isOld = async (path: string, holder: string): Promise<boolean> => {
    if (holder.split('.')[2] === me.machine) return false;
    const stat = await unless(files.lstat(path), 'ENOENT');
    return stat !== undefined && stat.mtimeMs < platform.now() - LONGEST_WAIT_MS;
  };
  /** Takes the lock from holders that are gone or silent for too long; `true` if it may be free now. */
  const isFreed = async (path: string, isSilent: Judge): Promise<boolean> => {
    for (const holder of (await unless(files.readdir(path), 'ENOENT')) ?? []) {
      const entry = join(path, holder);
      if (!(await isOver(holder))) {
        const stat = await unless(files.lstat(entry), 'ENOENT');
        if (stat && !(await isSilent(holder, stat))) return false;
      }
      await files.rm(entry, { recursive: true, force: true });
    }
    return true;
  };
  /**
   * Adds what a holder was silent before this process began to look, or no program that ends sooner than after `staleMs` would ever get
   * past a dead one. The file system tells: the change time of the entry, which each heartbeat renews, beside that of a folder of our own
   * (`ours`), of the same file system and made before the first look. No other clock is compared. That of a file server may jump, and its
   * times may be coarse, or the machine slept: so some silence must have been seen as well, since that folder was made.
   */
  const judgeBeside = (ours: string, lock: string): Judge => {
    const [known, silence] = [silences.get(lock) ?? watchSilence(platform), watchSilence(platform)];
    silences.delete(lock); // so that it is the youngest
    silences.set(lock, known);
    for (const oldest of [...silences.keys()].slice(0, -MAX_SILENCES)) silences.delete(oldest);
    return async (holder, { mtimeMs, ctimeMs }) => {
      const sign = `${holder} ${mtimeMs}`;
      const seenMs = silence.of(sign);
      if (known.of(sign) >= timing.staleMs) return true;
      if (seenMs < MISSED_BEATS * timing.heartbeatMs || ctimeMs < NO_CLOCK_BEFORE_MS || mayBeAsked(processOf(holder), me)) return false;
      const own = await unless(files.lstat(ours), 'ENOENT');
      return own !== undefined && own.ctimeMs - ctimeMs + seenMs >= timing.staleMs;
    };
  };
  const take = async (prepared: string, lock: string, goOn: () => void): Promise<void> => {
    const path = join(folder, lock);
    let isSilent: Judge | undefined;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
      if (await move(files, prepared, path)) return void silences.delete(lock);
      if (await isFreed(path, (isSilent ??= judgeBeside(prepared, lock)))) continue;
      goOn();
      await pause(platform, pauseMs);
      goOn();
    }
  };
  const release = async (entry: string, path: string): Promise<void> => {
    try {
      await files.rm(entry, { recursive: true, force: true });
      await files.rmdir(path);
    } catch {
      // someone else has it already, or nothing can be removed here: then it counts as left behind
    }
  };
  return {
    hold: async (lock, make, run, goOn) => {
      const holder = nextHolder();
      const [path, prepared] = [join(folder, lock), join(folder, `${lock}@${holder}`)];
      held.add(holder);
      try {
        await files.mkdir(prepared, { mode: 0o700 });
        await make(join(prepared, holder));
        await take(prepared, lock, goOn);
      } catch (error) {
        held.delete(holder);
        await files.rm(prepared, { recursive: true, force: true }).catch(() => undefined);
        throw error;
      }
      const entry = join(path, holder);
      const stop = beat(files, entry, platform, timing.heartbeatMs);
      try {
        return await run(entry);
      } finally {
        stop();
        held.delete(holder);
        await release(entry, path);
      }
    },
    sweep: async () => {
      const isSilent = (): Promise<boolean> => Promise.resolve(false); // nobody has looked for long enough
      const sweepOne = async (name: string): Promise<void> => {
        const [, holder] = name.split('@');
        const path = join(folder, name);
        if (holder === undefined) {
          if (await unless(isFreed(path, isSilent), 'ENOTDIR')) await unless(files.rmdir(path), 'ENOENT', 'ENOTEMPTY', 'EEXIST');
        } else if ((await isOver(holder)) || (await isOld(path, holder))) await files.rm(path, { recursive: true, force: true });
      };
      for (const entry of await files.readdir(folder, { withFileTypes: true })) {
        if (!entry.isDirectory() || !/^[rl]-/.test(entry.name)) continue; // none of ours; a link is not followed
        await sweepOne(entry.name).catch(() => undefined); // what cannot be removed stays: who wants that lock finds out
      }
    },
  };
}

/** The process that a holder belongs to. */
function processOf(holder: string): Identity {
  const [pid, start = '', machine = ''] = holder.split('.');
  return { pid: Number(pid), start, machine };
}

/** True if the prepared folder is in its place now. */
async function move(files: Files, prepared: string, path: string): Promise<boolean> {
  try {
    await files.rename(prepared, path);
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code !== 'EPERM' && code !== 'EACCES') throw error;
    // What Windows says of any folder in the way: it replaces not even an empty one
    if (await unless(files.lstat(path), 'ENOENT')) {
      await unless(files.rmdir(path), 'ENOTEMPTY', 'EEXIST', 'ENOENT');
      return false;
    }
    await files.rename(prepared, path);
    return true;
  }
}

/** True if a holder, of whom it cannot be known whether it is gone, was silent for too long. */
type Judge = (holder: string, entry: Pick<Stats, 'mtimeMs' | 'ctimeMs'>) => Promise<boolean>;

/** How long a waiting process has seen nothing change. */
interface Silence {
  of(sign: string): number;
}

/**
 * Counts a waiter's own time: each step for at most a second, so that a machine that slept or a clock that was set makes nobody
 * look dead.
 */
function watchSilence({ monotonicNow }: Pick<Platform, 'monotonicNow'>): Silence {
  let [last, silentMs, before] = [monotonicNow(), 0, ''];
  return {
    of: (sign) => {
      const now = monotonicNow();
      silentMs = sign === before ? silentMs + Math.min(now - last, 1_000) : 0;
      [last, before] = [now, sign];
      return silentMs;
    },
  };
}

/** Shows that the holder lives, until stopped. */
function beat(files: Files, entry: string, { setTimer }: Pick<Platform, 'setTimer'>, heartbeatMs: number): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  let beats = 0;
  const arm = (): void => {
    cancel = setTimer(() => {
      beats++; // any change will do: no clock is read, and none is compared
      void files
        .utimes(entry, beats, beats)
        .catch(() => undefined)
        .then(() => stopped || arm());
    }, heartbeatMs);
  };
  arm();
  return () => {
    stopped = true;
    cancel();
  };
}

/** Waits between half the time and all of it. The program does not end meanwhile, though the timer alone would let it. */
function pause({ crypto, setTimer }: Pick<Platform, 'crypto' | 'setTimer'>, ms: number): Promise<void> {
  const [share = 0] = crypto.getRandomValues(new Uint8Array(1));
  const awake = setInterval(() => undefined, 2 ** 30);
  return new Promise((resolve) => {
    setTimer(
      () => {
        clearInterval(awake);
        resolve();
      },
      ms * (0.5 + share / 512),
    );
  });
}
