import { EventEmitter } from 'node:events';
import type { FSWatcher } from 'node:fs';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { fileStorage } from '../../src/storage/file';
import { createFileStorage } from '../../src/storage/file/file-storage';
import { nodeFiles, type Files } from '../../src/storage/file/system';
import { startChild } from '../support/file-children';
import { fileOf, newFolder, plantFile, recordsIn } from '../support/file-folder';

const record = (id: string, revision: number) => ({ id, revision });

/** Ids that a watcher was told; `until` waits for one. */
function told(): { readonly listener: (id: string) => void; readonly ids: string[]; until(id: string): Promise<void> } {
  const ids: string[] = [];
  const events = new EventEmitter();
  return {
    ids,
    listener: (id) => {
      ids.push(id);
      events.emit('id');
    },
    until: async (id) => {
      while (!ids.includes(id)) await new Promise((resolve) => events.once('id', resolve));
    },
  };
}

/** A platform whose timers fire when the test says so. */
function slowPlatform(): Platform & { look(): Promise<void>; looked(): Promise<void>; flush(): Promise<void>; waiting(): number } {
  const [slow, quick] = [new Set<() => void>(), new Set<() => void>()];
  const fire = (timers: Set<() => void>): void => {
    for (const callback of [...timers]) if (timers.delete(callback)) callback();
  };
  const platform = {
    ...defaultPlatform(),
    setTimer: (callback: () => void, delayMs: number) => {
      const timers = delayMs < 1_000 ? quick : slow;
      timers.add(callback);
      return () => void timers.delete(callback);
    },
    /** Waits until a look is over: it waits for the next one then. */
    looked: async () => {
      while (slow.size === 0) await new Promise((resolve) => setImmediate(resolve));
    },
    /** A second look, and what it tells. */
    look: async () => {
      fire(slow);
      await platform.looked();
      await platform.flush();
    },
    /** Tells what was noted. */
    flush: async () => {
      fire(quick);
      await new Promise((resolve) => setImmediate(resolve));
    },
    waiting: () => slow.size + quick.size,
  };
  return platform;
}

/** The file system with watchers that this test moves. */
function watchedFiles(): Files & {
  readonly watchers: (EventEmitter & { closed: boolean; isAwaited: boolean; tell(file: string | null): void })[];
  fails: boolean;
} {
  const watchers: (EventEmitter & { closed: boolean; isAwaited: boolean; tell(file: string | null): void })[] = [];
  const files = {
    ...nodeFiles,
    watchers,
    fails: false,
    watch: ((_folder: string, _options: object, listener: (event: string, file: string | null) => void) => {
      if (files.fails) throw new Error('no more watchers');
      const watcher = Object.assign(new EventEmitter(), {
        closed: false,
        isAwaited: true,
        unref: () => void (watcher.isAwaited = false),
        close: () => void (watcher.closed = true),
        tell: (file: string | null) => listener('rename', file),
      });
      watchers.push(watcher);
      return watcher as unknown as FSWatcher;
    }) as unknown as typeof nodeFiles.watch,
  };
  return files;
}

describe('watching a fileStorage', () => {
  it('tells of writes and removals of another program', async () => {
    const folder = newFolder();
    const storage = fileStorage({ folder });
    const child = await startChild({ folder, task: 'tell' });
    await child.says('ready');
    const said = (id: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => (child.lines.some(({ changed }) => changed === id) ? resolve() : void setImmediate(look));
        look();
      });
    await storage.write(record('one', 1), 'absent');
    await said('one');
    await storage.write(record('two', 1), 'absent');
    await storage.remove('two', 1);
    await said('two');
    child.process.kill('SIGKILL');
    await child.ended;
    await storage.close();
  });

  it('tells long ids, written and removed, and damaged files by their names', async () => {
    const folder = newFolder();
    const [storage, other] = [fileStorage({ folder }), fileStorage({ folder })];
    const { listener, ids, until } = told();
    await storage.open();
    storage.watch!(listener);
    await storage.readAll();
    const long = 'Ä'.repeat(400);
    await other.write(record(long, 1), 'absent');
    await until(long);
    ids.length = 0;
    await other.remove(long, 1);
    await until(long);
    await storage.close();
  });

  it('tells nothing of foreign files, of locks and of what is being written', async () => {
    const folder = newFolder();
    const [storage, other] = [fileStorage({ folder }), fileStorage({ folder })];
    const { listener, ids, until } = told();
    storage.watch!(listener);
    await storage.readAll();
    writeFileSync(join(recordsIn(folder), 'config.json'), '{}');
    await other.withLock!('lock', () => Promise.resolve());
    await other.write(record('last', 1), 'absent');
    await until('last');
    expect(new Set(ids)).toEqual(new Set(['last']));
    await storage.close();
  });

  function watched() {
    const folder = newFolder();
    const [platform, files, { listener, ids }] = [slowPlatform(), watchedFiles(), told()];
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform }, { files });
    return { folder, platform, files, storage, listener, ids };
  }

  it('may begin before the storage was opened, and tells each listener until it stops', async () => {
    const { platform, files, storage } = watched();
    const [a, b] = [told(), told()];
    const stopA = storage.watch!(a.listener);
    const stopB = storage.watch!(b.listener);
    await storage.open();
    await platform.looked();
    files.watchers[0]?.tell('r-one.json');
    files.watchers[0]?.tell('r-one.json');
    files.watchers[0]?.tell(null);
    await platform.flush();
    stopA();
    files.watchers[0]?.tell('r-two.json');
    await platform.flush();
    expect([a.ids, b.ids]).toEqual([['one'], ['one', 'two']]); // several events of one change are one
    stopB();
    stopB();
    files.watchers[0]?.tell('r-three.json');
    expect(files.watchers.map(({ closed }) => closed)).toEqual([true]);
    expect(platform.waiting()).toBe(0);
  });

  it('keeps no program alive, in Deno neither, which overlooks `persistent`', async () => {
    const { platform, files, storage, listener } = watched();
    storage.watch!(listener);
    await storage.open();
    await platform.looked();
    const [watcher] = files.watchers;
    expect(watcher?.isAwaited).toBe(false);
    for (const file of ['r-one.json', 'something', null]) {
      watcher.isAwaited = true; // as Deno forgets it with each event
      watcher.tell(file);
      await platform.flush();
      expect(watcher?.isAwaited).toBe(false);
    }
    await storage.close();
  });

  it('stops at close: no watcher, no timer, and what was about to be told is not', async () => {
    const { platform, files, storage, listener, ids } = watched();
    storage.watch!(listener);
    await storage.open();
    await platform.looked();
    files.watchers[0]?.tell('r-one.json');
    expect(platform.waiting()).toBe(2);
    await storage.close();
    files.watchers[0]?.tell('r-two.json');
    expect([platform.waiting(), files.watchers[0]?.closed]).toEqual([0, true]);
    await storage.readAll(); // opens again, and watches for nobody
    expect([ids, files.watchers.length, platform.waiting()]).toEqual([[], 1, 0]);
  });

  it('a close during a look leaves no timer', async () => {
    const { folder, platform, files, storage, listener } = watched();
    let looking: Promise<unknown> | undefined;
    files.readdir = ((...args: Parameters<typeof nodeFiles.readdir>) => {
      const listing = nodeFiles.readdir(...args);
      if (args[0] === recordsIn(folder)) looking = listing;
      return listing;
    }) as typeof nodeFiles.readdir;
    storage.watch!(listener);
    await storage.open();
    while (!looking) await new Promise((resolve) => setImmediate(resolve));
    await storage.close();
    await looking;
    await new Promise((resolve) => setImmediate(resolve));
    expect(platform.waiting()).toBe(0);
  });

  it('E34 where the system tells nothing, the second look names every record there is and was, and watches anew', async () => {
    const { folder, platform, files, storage, listener, ids } = watched();
    const other = fileStorage({ folder });
    await other.write(record('kept', 1), 'absent');
    await other.write(record('gone', 1), 'absent');
    storage.watch!(listener);
    await storage.open();
    await platform.looked();
    await platform.look();
    expect(ids).toEqual([]); // nothing changed
    await other.remove('gone', 1);
    await other.write(record('new', 1), 'absent');
    await platform.look();
    expect([...ids].sort()).toEqual(['gone', 'kept', 'new']);
    expect(files.watchers.map(({ closed }) => closed)).toEqual([true]);
    await platform.look();
    expect(files.watchers.map(({ closed }) => closed)).toEqual([true, false]);
    await storage.close();
  });

  it('a change that an event told of is not told again by the second look', async () => {
    const { folder, platform, files, storage, listener, ids } = watched();
    storage.watch!(listener);
    await storage.open();
    await platform.looked();
    await plantFile(fileOf(folder, 'one'), '{}');
    files.watchers[0]?.tell('r-one.json');
    await platform.flush();
    await platform.look();
    await platform.look();
    expect(ids).toEqual(['one']);
    await storage.close();
  });

  it('goes on without watchers where there are none to be had, or theirs fail', async () => {
    const { folder, platform, files, storage, listener, ids } = watched();
    storage.watch!(listener);
    await storage.open();
    await platform.looked();
    files.watchers[0]?.emit('error', new Error('overflow'));
    files.fails = true;
    await platform.look();
    await plantFile(fileOf(folder, 'one'), '{}');
    await platform.look();
    expect(ids).toEqual(['one']);
    await storage.close();
  });

  it('a folder that goes away and comes back is watched again', async () => {
    const { folder, platform, files, storage, listener, ids } = watched();
    storage.watch!(listener);
    await storage.open();
    await platform.looked();
    renameSync(folder, `${folder}-away`);
    await platform.look();
    expect(files.watchers[0]?.closed).toBe(true);
    renameSync(`${folder}-away`, folder);
    await plantFile(fileOf(folder, 'one'), '{}');
    await platform.look();
    expect(ids).toEqual(['one']);
    expect(files.watchers).toHaveLength(2);
    await storage.close();
  });

  it('keeps no program alive', async () => {
    const child = await startChild({ folder: newFolder(), task: 'watch' });
    expect(await child.ended).toBe(0);
  });
});

it('two stores over one storage: it goes on until the last of them has closed it', async () => {
  const folder = newFolder();
  const [shared, other] = [fileStorage({ folder }), fileStorage({ folder })];
  await Promise.all([shared.open(), shared.open(), other.open()]);
  const { listener, until } = told();
  const unwatch = shared.watch?.(listener);
  await shared.close(); // the one
  await other.write(record('a', 1), 'absent');
  await until('a');
  unwatch?.();
  await Promise.all([shared.close(), other.close()]);
});
