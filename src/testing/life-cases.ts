/**
 * Cases about the life of a storage: opening, closing, locks, watchers, sweeping.
 *
 * @module
 */
import { defaultPlatform } from '../platform/platform.js';
import type { CredentialStorage } from '../storage/storage.js';
import { isSame, same } from './assertions.js';
import { breathe, entriesOf, everything, record, type Case } from './place.js';

/** Milliseconds after which a watcher that was not told never will be. */
const PATIENCE_MS = 1_000;
/** So often in a row a clock that runs does not say the same: one that does is faked. */
const STANDSTILL = 20_000;

/** The cases about opening and closing, locks and watchers. */
export const LIFE_CASES: readonly Case[] = [
  [
    'E57 what a write resolved with is there for whoever opens the place next, if the storage outlives itself at all',
    async ({ storage, capabilities, another }) => {
      await storage.write(record('one', 1), 'absent');
      const next = capabilities.durability === 'none' ? storage : await another();
      same(await next.read('one'), record('one', 1), 'read by the next');
      same(await next.write(record('one', 2), 1), true, 'write by the next');
      same(await storage.read('one'), record('one', 2), 'read by the first');
    },
  ],
  [
    'close ends it without harm to what is stored, and may be called twice',
    async ({ storage, capabilities, another }) => {
      await storage.write(record('one', 1), 'absent');
      await Promise.all([storage.close(), storage.close()]);
      await storage.close();
      same(await storage.open(), capabilities, 'capabilities when opened again');
      const next = capabilities.durability === 'none' ? storage : await another();
      same(await next.read('one'), record('one', 1), 'read');
      same(await next.write(record('one', 2), 1), true, 'write');
    },
  ],
  [
    'closing one leaves another at the same place at work',
    async ({ storage, another }) => {
      const other = await another();
      await storage.write(record('one', 1), 'absent');
      await other.close();
      if (other === storage) await storage.open();
      same(await storage.read('one'), record('one', 1), 'read');
      same(await storage.write(record('one', 2), 1), true, 'write');
      same(await everything(storage), entriesOf(record('one', 2)), 'readAll');
    },
  ],
  [
    'a write that close overtakes is there if it resolved with true',
    async ({ storage, capabilities, another }) => {
      const writing = storage.write(record('one', 1), 'absent').catch(() => 'rejected');
      await storage.close();
      const outcome = await writing;
      await storage.open();
      const found = await (capabilities.durability === 'none' ? storage : await another()).read('one');
      if (outcome === true) same(found, record('one', 1), 'read after a write that resolved with true');
      else same(outcome, 'rejected', 'outcome of a write to an empty place');
    },
  ],
  [
    'a lock, where it has one, runs its holders one after the other, and a failing one ends only itself',
    async ({ storage, capabilities }) => {
      if (!storage.withLock) {
        same(capabilities.reach === 'machine', false, 'a lock is missing: those of the platform reach no further than an origin');
        return;
      }
      const order: string[] = [];
      const hold = (who: string): Promise<string> =>
        withLock(storage, async () => {
          order.push(`${who} in`);
          for (let i = 0; i < 3; i++) await storage.read('one');
          order.push(`${who} out`);
          if (who === 'b') throw new Error(who);
          return who;
        });
      const held = await Promise.allSettled([hold('a'), hold('b'), hold('c')]);
      same(order, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out'], 'order of the holders');
      const outcomes = held.map((one) => (one.status === 'fulfilled' ? one.value : `failed: ${(one.reason as Error).message}`));
      same(outcomes, ['a', 'failed: b', 'c'], 'outcomes of the holders');
    },
  ],
  [
    'RF-2 a lock, where it has one, reaches another at the same place, whose writes the next holder sees',
    async ({ storage, another }) => {
      if (!storage.withLock) return;
      const other = await another();
      await storage.write(record('one', 1), 'absent');
      let inside = 0;
      const hold = (one: CredentialStorage): Promise<boolean> =>
        withLock(one, async () => {
          same(++inside, 1, 'number of holders');
          const { revision } = (await one.read('one')) as { revision: number };
          const written = await one.write(record('one', revision + 1), revision);
          inside--;
          return written;
        });
      const written = await Promise.all(Array.from({ length: 10 }, (_, i) => hold(i % 2 ? other : storage)));
      same(written.every(Boolean), true, 'every holder wrote over the revision it had read');
      same(await storage.read('one'), record('one', 11), 'read');
    },
  ],
  [
    'a lock, where it has one, keeps nobody out who asks for another name',
    async ({ storage }) => {
      if (!storage.withLock) return;
      const outcome = await withLock(storage, () => withLock(storage, () => storage.write(record('one', 1), 'absent'), 'another-lock'));
      same(outcome, true, 'a write under two locks');
    },
  ],
  [
    'E9 a lock, where it has one, lets go of who waits when the signal aborts, and of nobody who runs',
    async ({ storage }) => {
      if (!storage.withLock) return;
      const [running, waiting] = [new AbortController(), new AbortController()];
      let [enter, release] = [(): void => undefined, (): void => undefined];
      const entered = new Promise<void>((resolve) => (enter = resolve));
      const released = new Promise<void>((resolve) => (release = resolve));
      const hold = (): Promise<string> => (enter(), released.then(() => 'done'));
      const holder = outcomeOf(withLock(storage, hold, 'the-lock', running.signal));
      await entered;
      let [left, hasRun] = ['', false];
      const run = (): Promise<string> => ((hasRun = true), Promise.resolve('ran'));
      const leaving = outcomeOf(withLock(storage, run, 'the-lock', waiting.signal)).then((outcome) => (left = outcome));
      running.abort();
      waiting.abort();
      await until(storage, () => left !== '', 'who waited was let go').finally(release);
      same([await leaving, await holder], ['rejected', 'done'], 'who waited, and who ran');
      same(await outcomeOf(withLock(storage, run, 'the-lock', waiting.signal)), 'rejected', 'who came with a signal that was aborted');
      same(await withLock(storage, () => Promise.resolve('next')), 'next', 'the next holder');
      same(hasRun, false, 'who was let go has run');
    },
  ],
  [
    'a watcher, where it has one, is told the id of each committed change, until it stops',
    async ({ storage, another }) => {
      const watching = await another();
      if (!watching.watch) return;
      const [seen, seenByNext]: [string[], string[]] = [[], []];
      const stop = watching.watch((id) => seen.push(id));
      const stopNext = watching.watch((id) => seenByNext.push(id));
      const told = (id: string, by: readonly string[]): Promise<void> => until(storage, () => by.includes(id), `watcher told of ${id}`);
      await storage.write(record('one', 1), 'absent');
      await told('one', seen);
      seen.length = 0;
      await storage.write(record('one', 1), 'absent'); // refused: no change
      await storage.write(record('two', 1), 'absent');
      await told('two', seen);
      same(seen.includes('one'), false, 'told of a write that was refused');
      seen.length = 0;
      await storage.remove('two', 1);
      await told('two', seen);
      stop();
      stop();
      seen.length = 0;
      await storage.write(record('three', 1), 'absent');
      await told('three', seenByNext);
      stopNext();
      same(seen, [], 'what a watcher was told after it stopped');
    },
  ],
  [
    'a watcher, where it has one, finds the change when it is told of it',
    async ({ storage, another }) => {
      const watching = await another();
      if (!watching.watch) return;
      const found: unknown[] = [];
      const stop = watching.watch((id) => void watching.read(id).then((value) => found.push(value)));
      await storage.write(record('one', 1), 'absent');
      await until(storage, () => found.some((value) => isSame(value, record('one', 1))), 'a watcher that was told of a record has read it');
      await storage.write(record('one', 2), 1);
      await until(storage, () => found.some((value) => isSame(value, record('one', 2))), 'a watcher that was told of a change has read it');
      found.length = 0;
      await storage.remove('one', 2);
      await until(storage, () => found.includes(undefined), 'a watcher that was told of a removal has found nothing');
      stop();
    },
  ],
  [
    'E39 a watcher, where it has one, hears of its own place only, and goes on when another storage is closed',
    async ({ namespace, storage, another }) => {
      const [watching, leaving, elsewhere] = [await another(), await another(), await another(`${namespace}2`)];
      if (!watching.watch) return;
      const seen: string[] = [];
      const stop = watching.watch((id) => seen.push(id));
      const told = (id: string): Promise<void> => until(storage, () => seen.includes(id), `watcher told of ${id}`);
      await elsewhere.write(record('elsewhere', 1), 'absent');
      await storage.write(record('one', 1), 'absent');
      await told('one');
      same(seen.includes('elsewhere'), false, 'told of a write to another namespace');
      const stopLeaving = leaving.watch?.(() => undefined);
      if (leaving !== watching) await leaving.close();
      stopLeaving?.();
      await storage.write(record('two', 1), 'absent');
      await told('two');
      stop();
    },
  ],
  [
    'prepare, where it has one, changes nothing, and resolves where writing works',
    async ({ storage }) => {
      await storage.prepare?.();
      same(await everything(storage), [], 'readAll of an empty place');
      await storage.write(record('one', 1), 'absent');
      await Promise.all([storage.prepare?.(), storage.prepare?.()]);
      same(await everything(storage), entriesOf(record('one', 1)), 'readAll');
      same(await storage.write(record('one', 2), 1), true, 'write afterwards');
    },
  ],
  [
    'a sweep, where it has one, leaves every record',
    async ({ storage }) => {
      const tombstone = { state: 'removed', secrets: null, changedAt: 0 }; // old, and still for the store to remove
      const records = [record('@store', 3), record('one', 1, { long: 'x'.repeat(1_000) }), record('two', 2, tombstone)];
      for (const one of records) await storage.write(one, 'absent');
      await storage.sweep?.();
      same(await everything(storage), entriesOf(...records), 'readAll');
    },
  ],
];

/** The storage's own lock; only asked for where it has one. */
async function withLock<T>(storage: CredentialStorage, run: () => Promise<T>, name = 'the-lock', signal?: AbortSignal): Promise<T> {
  return storage.withLock ? storage.withLock(name, run, signal) : run();
}

/** What a promise came to, in a word. */
function outcomeOf(promise: Promise<string>): Promise<string> {
  return promise.catch(() => 'rejected');
}

/** Waits for what comes by itself, such as a message of another tab. */
async function until(storage: CredentialStorage, happened: () => boolean, what: string): Promise<void> {
  const { monotonicNow } = defaultPlatform();
  const start = monotonicNow();
  let [last, stood] = [start, 0];
  while (!happened() && last - start < PATIENCE_MS && stood < STANDSTILL) {
    await storage.read('one');
    await breathe();
    const now = monotonicNow();
    [last, stood] = [now, now === last ? stood + 1 : 0];
  }
  same(happened(), true, what);
}
