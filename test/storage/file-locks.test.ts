import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { createFileStorage, type FileStorageInternals } from '../../src/storage/file/file-storage';
import { identify, nodeFiles, type Files, type Identity } from '../../src/storage/file/system';
import type { CredentialStorage } from '../../src/storage/storage';
import { follow, startChild } from '../support/file-children';
import { hooked, systemError } from '../support/file-faults';
import { leftovers, newFolder, plantLock, recordsIn } from '../support/file-folder';

const nothing = (): Promise<void> => Promise.resolve();
const lockOf = (storage: CredentialStorage): NonNullable<CredentialStorage['withLock']> => storage.withLock!.bind(storage);

/** A clock that moves half a second each time someone waits for a lock, and then fires what is due. */
function waitingPlatform(): Platform & { elapsed(): number; jump(ms: number): void; onWait: () => Promise<void> } {
  let now = 0;
  const due = new Set<{ readonly at: number; readonly callback: () => void }>();
  const platform = {
    ...defaultPlatform(),
    monotonicNow: () => now,
    setTimer: (callback: () => void, delayMs: number) => {
      if (delayMs >= 1_000) {
        const timer = { at: now + delayMs, callback };
        due.add(timer);
        return () => void due.delete(timer);
      }
      now += 500;
      for (const timer of [...due]) if (timer.at <= now && due.delete(timer)) timer.callback();
      setImmediate(() => void platform.onWait().then(callback));
      return () => undefined;
    },
    elapsed: () => now,
    jump: (ms: number) => void (now += ms),
    onWait: nothing,
  };
  return platform;
}

function open(folder: string, platform: Platform, internals: FileStorageInternals = {}): CredentialStorage {
  return createFileStorage({ folder, namespace: 'rx-credentials', platform }, internals);
}

const holderOf = ({ pid, start, machine }: Identity, changes: Partial<Identity> = {}): string => {
  const all = { pid, start, machine, ...changes };
  return `${all.pid}.${all.start}.${all.machine}.1.0`;
};

/** Asks for a lock that this holder has; resolves with the milliseconds of waiting that it took. */
async function takeOver(holder: string, internals?: FileStorageInternals): Promise<number> {
  const folder = newFolder();
  const platform = waitingPlatform();
  const storage = open(folder, platform, internals);
  await storage.open(); // before the lock is left behind: no sweep will find it
  plantLock(folder, 'l-lock', holder);
  await lockOf(storage)('lock', nothing);
  expect(await leftovers(folder)).toEqual([]);
  return platform.elapsed();
}

/** The file system, in which entries of locks are older than they are, milliseconds; `mtime`: it keeps no times of changes apart. */
function aged(byMs: number | 'mtime', holder: string): Files {
  const lstat = async (...args: Parameters<typeof nodeFiles.lstat>) => {
    const stat = await nodeFiles.lstat(...args);
    if (String(args[0]).endsWith(`/${holder}`)) Object.assign(stat, { ctimeMs: byMs === 'mtime' ? 5_000 : Number(stat.ctimeMs) - byMs });
    return stat;
  };
  return { ...nodeFiles, lstat: lstat as typeof nodeFiles.lstat };
}

describe('locks of fileStorage', () => {
  it('RF-9 a holder that shows itself keeps its lock, however long', async () => {
    const folder = newFolder();
    const platform = waitingPlatform();
    const shown: Promise<void>[] = [];
    const files = {
      ...nodeFiles,
      utimes: (...args: Parameters<typeof nodeFiles.utimes>) => {
        const done = nodeFiles.utimes(...args);
        shown.push(done);
        return done;
      },
    };
    platform.onWait = async () => void (await Promise.all(shown.splice(0)));
    const [holder, waiter] = [open(folder, platform, { files }), open(folder, platform)];
    await Promise.all([holder.open(), waiter.open()]);
    let free = (): void => undefined;
    const held = new Promise<void>((resolve) => (free = resolve));
    const order: string[] = [];
    let waited: Promise<void> | undefined;
    await lockOf(holder)('lock', async () => {
      waited = lockOf(waiter)('lock', async () => void order.push('waiter'));
      platform.onWait = async () => {
        await Promise.all(shown.splice(0));
        if (platform.elapsed() >= 310_000) free();
      };
      await held;
      order.push('holder');
    });
    await waited;
    expect(order).toEqual(['holder', 'waiter']);
    expect(platform.elapsed()).toBeGreaterThanOrEqual(310_000);
  });

  it('RF-9 a holder that shows nothing for 150 s loses its lock, though its process is there: no sooner, and not much later', async () => {
    const me = await identify(nodeFiles);
    const waited = await takeOver(holderOf(me));
    expect(waited).toBeGreaterThanOrEqual(150_000);
    expect(waited).toBeLessThan(152_000);
  });

  it.each([
    ['that runs, stopped or in a thread that was ended', {}],
    ['elsewhere, of which nothing is known', { machine: 'elsewhere' }],
  ])('RF-9 what was seen of a silent holder %s counts for who gave up waiting and asks again', async (_, changes) => {
    const folder = newFolder();
    const platform = waitingPlatform();
    const storage = open(folder, platform);
    await storage.open();
    const entry = plantLock(folder, 'l-lock', holderOf(await identify(nodeFiles), changes));
    const waitFor = async (ms: number): Promise<boolean> => {
      const [patience, end] = [new AbortController(), platform.elapsed() + ms];
      platform.onWait = async () => void (platform.elapsed() >= end && patience.abort());
      return lockOf(storage)('lock', nothing, patience.signal).then(
        () => true,
        () => false,
      );
    };
    expect(await waitFor(120_000)).toBe(false);
    platform.jump(3_600_000); // nobody looked meanwhile
    expect(await waitFor(20_000)).toBe(false); // 140 s and one
    utimesSync(entry, 1, 1); // it lives after all
    expect([await waitFor(120_000), await waitFor(25_000)]).toEqual([false, false]);
    expect(await waitFor(7_000)).toBe(true);
    expect(await leftovers(folder)).toEqual([]);
  });

  it('RF-9 of a holder elsewhere that began to be silent when it was first waited for, no silence counts twice', async () => {
    const folder = newFolder();
    const platform = waitingPlatform();
    const holder = holderOf(await identify(nodeFiles), { machine: 'elsewhere' });
    let since = 0; // this file system keeps the time of the program
    const lstat = async (...args: Parameters<typeof nodeFiles.lstat>) => {
      const stat = await nodeFiles.lstat(...args);
      return Object.assign(stat, { ctimeMs: 1e12 + (String(args[0]).endsWith(`/${holder}`) ? 0 : since) });
    };
    const storage = open(folder, platform, { files: { ...nodeFiles, lstat: lstat as typeof nodeFiles.lstat } });
    await storage.open();
    plantLock(folder, 'l-lock', holder);
    const patience = new AbortController();
    platform.onWait = async () => void (platform.elapsed() >= 100_000 && patience.abort());
    await lockOf(storage)('lock', nothing, patience.signal).catch(() => undefined);
    since = platform.elapsed();
    platform.onWait = nothing;
    await lockOf(storage)('lock', nothing);
    expect(platform.elapsed()).toBeGreaterThanOrEqual(148_000);
  });

  it('RF-9 machines of one host name are told apart by their id; without one the name is all there is', async () => {
    const machine = async (id: string | undefined): Promise<string> => {
      const readFile = async (path: string): Promise<string> => {
        if (id === undefined && path === '/etc/machine-id') throw new Error('none');
        return path === '/etc/machine-id' ? (id ?? '') : await nodeFiles.readFile(path, 'utf8');
      };
      return (await identify({ ...nodeFiles, readFile: readFile as never })).machine;
    };
    const [a, again, b, none] = [await machine('a'), await machine('a'), await machine('b'), await machine(undefined)];
    expect(again).toBe(a);
    expect(new Set([a, b, none]).size).toBe(3);
  });

  it('RF-9 nothing is known of the processes of another machine: their silence counts alone', async () => {
    const me = await identify(nodeFiles);
    expect(await takeOver(holderOf(me, { machine: 'elsewhere', pid: 999_999_999 }))).toBeGreaterThanOrEqual(150_000);
  });

  it.each([
    ['151 s before, after two heartbeats that did not come', 151_000, 10_000],
    ['years before (or the clock of the server was set), after two heartbeats that did not come', 1e11, 10_000],
    ['100 s before, after 50 s more', 100_000, 50_000],
    ['after the one who waits, by a clock that was set back, after 150 s', -1e7, 150_000],
    ['at a time that the file system does not keep, after 150 s', 'mtime' as const, 150_000],
  ])('RF-9 a lock left behind elsewhere is free for programs that end soon: last seen %s', async (_, byMs, afterMs) => {
    const holder = holderOf(await identify(nodeFiles), { machine: 'elsewhere', pid: 1 });
    const waited = await takeOver(holder, { files: aged(byMs, holder) });
    expect(waited).toBeGreaterThanOrEqual(afterMs);
    expect(waited).toBeLessThan(afterMs + 2_000);
  });

  it('RF-9 the same holds where there are numbers of processes alone; whoever can be asked has 150 s that a program saw', async () => {
    const me = await identify(nodeFiles);
    const numbered = holderOf(me, { pid: process.ppid, start: '0' });
    expect(await takeOver(numbered, { files: aged(1e6, numbered) })).toBeLessThan(12_000);
    expect(await takeOver(holderOf(me), { files: aged(1e6, holderOf(me)) })).toBeGreaterThanOrEqual(150_000);
  });

  it('RF-9 a holder elsewhere that shows itself keeps its lock, however old the file server says that it is', async () => {
    const folder = newFolder();
    const platform = waitingPlatform();
    const holder = holderOf(await identify(nodeFiles), { machine: 'elsewhere' });
    const storage = open(folder, platform, { files: aged(1e9, holder) });
    await storage.open();
    const entry = plantLock(folder, 'l-lock', holder);
    let beats = 0;
    platform.onWait = () => {
      const isDue = platform.elapsed() >= (beats + 1) * 5_000 && platform.elapsed() < 300_000;
      if (isDue) utimesSync(entry, ++beats, beats);
      return nothing();
    };
    await lockOf(storage)('lock', nothing);
    expect(beats).toBe(59);
    expect(platform.elapsed()).toBeGreaterThanOrEqual(305_000);
  });

  it('RF-9 a machine that slept, or a clock that was set, makes nobody look dead', async () => {
    const folder = newFolder();
    const platform = waitingPlatform();
    const storage = open(folder, platform);
    await storage.open();
    plantLock(folder, 'l-lock', holderOf(await identify(nodeFiles)));
    let waits = 0;
    platform.onWait = async () => {
      waits++;
      platform.jump(3_600_000); // an hour each time
    };
    await lockOf(storage)('lock', nothing);
    expect(waits).toBeGreaterThanOrEqual(150);
  });

  it('RF-9 the lock of a process that is gone is free at once', async () => {
    const me = await identify(nodeFiles);
    const { pid } = spawnSync(process.execPath, ['--version']);
    expect(await takeOver(holderOf(me, { pid }))).toBe(0);
  });

  it('RF-9 so it is if another process has its number by now', async () => {
    const me = await identify(nodeFiles);
    expect(await takeOver(holderOf(me, { start: '1-00000000' }))).toBe(0);
    expect(await takeOver(holderOf(me, { pid: process.ppid, start: '1-00000000' }))).toBe(0);
  });

  it('RF-9 so it is if it was killed and its parent does not care: a zombie holds nothing', async () => {
    const { process: parent } = follow(spawn('sh', ['-c', `${quote(process.execPath)} -e 0 & echo "{\\"pid\\":$!}"; exec sleep 600`]));
    try {
      const pid = await new Promise<number>((resolve) =>
        parent.stdout!.on('data', (text: Buffer) => resolve((JSON.parse(String(text)) as { pid: number }).pid)),
      );
      const stat = (): string => {
        const text = String(spawnSync('cat', [`/proc/${pid}/stat`]).stdout);
        return text.slice(text.lastIndexOf(')') + 2);
      };
      while (!stat().startsWith('Z')) await new Promise((resolve) => setImmediate(resolve));
      const me = await identify(nodeFiles);
      const boot = me.start.split('-')[1];
      expect(await takeOver(holderOf(me, { pid, start: `${stat().split(' ')[19]}-${boot}` }))).toBe(0);
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('RF-9 without /proc the number of the process tells, as far as it can', async () => {
    const files = hooked((call, path) => {
      if (call === 'readlink' && path.startsWith('/proc')) throw systemError('ENOENT');
    });
    const me = await identify(files);
    expect(me.start).toBe('0');
    const { pid } = spawnSync(process.execPath, ['--version']);
    expect(await takeOver(holderOf(me, { pid }), { files })).toBe(0);
    expect(await takeOver(holderOf(me, { pid: process.ppid }), { files })).toBeGreaterThanOrEqual(150_000);
  });

  it('RF-9 a question that cannot be answered is no evidence: too many open files make nobody dead', async () => {
    const me = await identify(nodeFiles);
    const unsure = hooked((call, path) => {
      if (call === 'readFile' && path === `/proc/${process.ppid}/stat`) throw systemError('EMFILE');
    });
    expect(await takeOver(holderOf(me, { pid: process.ppid, start: '1-00000000' }), { files: unsure })).toBeGreaterThanOrEqual(150_000);
  });

  it('RF-9 a lock that could not be given back is taken again at once by its own storage, closed meanwhile or not', async () => {
    const folder = newFolder();
    const platform = waitingPlatform();
    let broken = true;
    const files = hooked((call, path) => {
      if (broken && call === 'rm' && path.includes('l-lock')) throw systemError('EIO');
    });
    const storage = open(folder, platform, { files });
    expect(await lockOf(storage)('lock', () => Promise.resolve('done'))).toBe('done');
    expect(await leftovers(folder)).toEqual(['l-lock']);
    broken = false;
    await storage.close();
    await lockOf(storage)('lock', nothing);
    expect(platform.elapsed()).toBe(0);
    expect(await leftovers(folder)).toEqual([]);
  });

  it('RF-9 the next start removes what the dead left, and leaves alone what may be alive', async () => {
    const folder = newFolder();
    const me = await identify(nodeFiles);
    const { pid } = spawnSync(process.execPath, ['--version']);
    const [dead, alive, far] = [holderOf(me, { pid }), holderOf(me), holderOf(me, { machine: 'elsewhere' })];
    plantLock(folder, 'l-dead', dead);
    plantLock(folder, 'l-alive', alive);
    plantLock(folder, 'l-far', far);
    plantLock(folder, `r-one@${dead}`, dead);
    plantLock(folder, `r-one@${alive}`, alive);
    plantLock(folder, `r-one@${far}`, far);
    plantLock(folder, `r-two@${far}`, far);
    const long = Date.now() / 1000 - 90_000;
    plantLock(folder, `r-two@${alive}`, alive);
    for (const holder of [far, alive]) utimesSync(join(recordsIn(folder), 'locks', `r-two@${holder}`), long, long);
    plantLock(folder, 'foreign', 'file');
    await open(folder, defaultPlatform()).open();
    expect((await leftovers(folder)).sort()).toEqual(
      ['foreign', 'l-alive', 'l-far', `r-one@${alive}`, `r-one@${far}`, `r-two@${alive}`].sort(),
    );
  });

  it('RF-9 an empty lock folder is a free lock', async () => {
    const folder = newFolder();
    const platform = waitingPlatform();
    const storage = open(folder, platform);
    await storage.open();
    plantLock(folder, 'l-lock', 'x');
    await nodeFiles.rmdir(join(recordsIn(folder), 'locks/l-lock/x'));
    await lockOf(storage)('lock', nothing);
    expect(platform.elapsed()).toBe(0);
  });

  it('E51 a lock tells its name and its holder, not what is done under it, and lets a failure through as it is', async () => {
    const folder = newFolder();
    const storage = open(folder, defaultPlatform());
    const failure = Object.assign(new Error('mine'), { code: 'ENOENT' });
    const seen: string[] = [];
    const failing = lockOf(storage)('a:b', async () => {
      seen.push(...(await leftovers(folder)));
      return Promise.reject(failure);
    });
    await expect(failing).rejects.toBe(failure);
    expect(seen).toEqual(['l-a_003ab']);
    expect(await leftovers(folder)).toEqual([]);
    await expect(lockOf(storage)('a:b', () => { throw failure; })).rejects.toBe(failure); // prettier-ignore
    expect(await leftovers(folder)).toEqual([]);
  });

  it('CLI-2 what lies in the folder of locks is for its owner alone', async () => {
    const folder = newFolder();
    const storage = open(folder, defaultPlatform());
    const modes: string[] = [];
    await lockOf(storage)('lock', async () => {
      const locks = join(recordsIn(folder), 'locks');
      for (const path of [locks, join(locks, 'l-lock'), join(locks, 'l-lock', readdirSync(join(locks, 'l-lock'))[0] ?? '')])
        modes.push((statSync(path).mode & 0o777).toString(8));
    });
    expect(modes).toEqual(['700', '700', '700']);
  });

  it.each(['write', 'remove'])(
    'RF-9 a program that is frozen in the middle of a %s and lost its lock changes nothing when it thaws (fencing)',
    async (task) => {
      const folder = newFolder();
      const storage = open(folder, waitingPlatform());
      await storage.write({ id: 'one', revision: 2 }, 'absent');
      const [call, path] = task === 'write' ? ['rename', 'locks/r-one/'] : ['rename', 'r-one.json'];
      const child = await startChild({ folder, task, at: { call, path }, signal: 'SIGSTOP' });
      await child.says('stopped');
      expect(await storage.write({ id: 'one', revision: 3, by: 'parent' } as never, 2)).toBe(true);
      child.process.kill('SIGCONT');
      expect(await child.says('result')).toEqual({ result: false });
      expect(await child.ended).toBe(0);
      expect(await storage.read('one')).toEqual({ id: 'one', revision: 3, by: 'parent' });
      expect(await leftovers(folder)).toEqual([]);
    },
  );

  it('RF-9 a program killed with a lock leaves it free at once, for those who wait and for those who come', async () => {
    const folder = newFolder();
    const [real, waiting] = [defaultPlatform(), waitingPlatform()];
    const [first, later] = [open(folder, real), open(folder, waiting)];
    await Promise.all([first.open(), later.open()]);
    const child = await startChild({ folder, task: 'hold' });
    await child.says('held');
    const got = lockOf(first)('lock', () => Promise.resolve('got it'));
    child.process.kill('SIGKILL');
    expect(await child.ended).toBe('SIGKILL');
    expect(await got).toBe('got it');
    await lockOf(later)('lock', nothing);
    expect(waiting.elapsed()).toBe(0);
  });

  it('a signal ends the waiting for the lock of another program: nothing is run, and nothing is left', async () => {
    const folder = newFolder();
    const [holder, waiter] = [open(folder, defaultPlatform()), open(folder, defaultPlatform())];
    const abort = new AbortController();
    const run = jest.fn(nothing);
    await lockOf(holder)('lock', async () => {
      const waiting = lockOf(waiter)('lock', run, abort.signal);
      while ((await leftovers(folder)).length < 2) await new Promise((resolve) => setImmediate(resolve));
      abort.abort();
      await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
      while ((await leftovers(folder)).length > 1) await new Promise((resolve) => setImmediate(resolve));
    });
    await lockOf(waiter)('lock', nothing);
    expect(run).not.toHaveBeenCalled();
    expect(await leftovers(folder)).toEqual([]);
  });

  it('a signal ends the waiting in the queue of the own program, and one that was aborted before asks for nothing', async () => {
    const folder = newFolder();
    const calls: string[] = [];
    const storage = open(folder, defaultPlatform(), { files: hooked((call, path) => void calls.push(`${call} ${path}`)) });
    const abort = new AbortController();
    const run = jest.fn(nothing);
    await lockOf(storage)('lock', async () => {
      const waiting = lockOf(storage)('lock', run, abort.signal);
      abort.abort();
      await expect(waiting).rejects.toBe(abort.signal.reason);
      calls.length = 0;
      await expect(lockOf(storage)('other', run, abort.signal)).rejects.toBe(abort.signal.reason);
      expect(calls).toEqual([]);
    });
    await lockOf(storage)('lock', nothing);
    expect(run).not.toHaveBeenCalled();
  });

  it('a signal that comes in the moment the lock is had gives it back; one that comes later is nothing to it', async () => {
    const folder = newFolder();
    const early = new AbortController();
    const rename = async (...args: Parameters<typeof nodeFiles.rename>): Promise<void> => {
      await nodeFiles.rename(...args);
      early.abort();
    };
    const storage = open(folder, defaultPlatform(), { files: { ...nodeFiles, rename } });
    const run = jest.fn(nothing);
    await expect(lockOf(storage)('lock', run, early.signal)).rejects.toMatchObject({ name: 'AbortError' });
    const late = new AbortController();
    const done = lockOf(storage)('lock', async () => {
      late.abort();
      return Promise.resolve('done');
    }, late.signal); // prettier-ignore
    expect(await done).toBe('done');
    expect(run).not.toHaveBeenCalled();
    expect(await leftovers(folder)).toEqual([]);
  });

  it('a storage that is closed waits for no lock of another program, and may be opened again', async () => {
    const folder = newFolder();
    const storage = open(folder, defaultPlatform());
    await storage.open();
    const holder = holderOf(await identify(nodeFiles));
    for (const lock of ['l-lock', 'r-one']) plantLock(folder, lock, holder);
    const run = jest.fn(nothing);
    const waiting = [lockOf(storage)('lock', run), storage.write({ id: 'one', revision: 1 }, 'absent')];
    while ((await leftovers(folder)).length < 4) await new Promise((resolve) => setImmediate(resolve));
    await storage.close();
    for (const one of waiting) await expect(one).rejects.toMatchObject({ name: 'StorageError', code: 'storage_failed' });
    expect((await leftovers(folder)).sort()).toEqual(['l-lock', 'r-one']);
    expect(run).not.toHaveBeenCalled();
    expect(await storage.write({ id: 'two', revision: 1 }, 'absent')).toBe(true);
    await lockOf(storage)('other', nothing);
  });

  it('a program that closes its storage ends, whoever holds the locks that it asked for', async () => {
    const folder = newFolder();
    const storage = open(folder, defaultPlatform());
    await storage.open();
    plantLock(folder, 'r-one', holderOf(await identify(nodeFiles)));
    await lockOf(storage)('lock', async () => {
      const child = await startChild({ folder, task: 'leave' });
      expect(await child.says('left')).toEqual({ left: ['storage_failed', 'storage_failed'] });
      expect(await child.ended).toBe(0);
    });
    expect(await leftovers(folder)).toEqual(['r-one']);
  });

  it('a program that waits for a lock does not end before it has it', async () => {
    const folder = newFolder();
    const storage = open(folder, defaultPlatform());
    let child: Awaited<ReturnType<typeof startChild>> | undefined;
    await lockOf(storage)('lock', async () => {
      child = await startChild({ folder, task: 'wait', tells: { call: 'rename', path: 'l-lock@' } });
      await child.says('rename 5'); // it asks again and again
    });
    expect(await child?.says('got')).toEqual({ got: 'lock' });
    expect(await child?.ended).toBe(0);
  });
});

function quote(text: string): string {
  return `'${text}'`;
}
