// A program that uses the file storage and says what it does, line by line: `node file-child.mjs <bundle> <JSON options>`.
// Its lines are written at once, so that a kill loses none that was said.
import { readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [, , bundle, json] = process.argv;
const { createFileStorage, defaultPlatform, hooked } = await import(bundle);
const { folder, task, rounds = 1, programs = 1, id = 'one', file, at, signal, timing, tells } = JSON.parse(json);
const say = (what) => writeSync(1, `${JSON.stringify(what)}\n`);

let calls = 0;
let told = 0;
let armed = false;
const files = hooked((call, path) => {
  if (call === tells?.call && path.includes(tells.path)) say({ [`${call} ${++told}`]: path });
  if (!armed) return;
  const here = typeof at === 'number' ? calls++ === at : call === at?.call && path.includes(at.path);
  if (!here) return;
  armed = false;
  if (signal === 'SIGSTOP') say({ stopped: call });
  process.kill(process.pid, signal);
});
const storage = createFileStorage(
  { folder, namespace: 'rx-credentials', platform: defaultPlatform() },
  { files, ...(timing && { timing }) },
);
await storage.open();
armed = true;

/** A record that shows when it was torn. */
const recordOf = (recordId, revision, mark) => ({ id: recordId, revision, mark, filler: mark.repeat(500) });
let marks = 0;
const nextMark = () => `${process.pid}-${marks++}-`;

const step = async (recordId, removes) => {
  const revision = (await storage.read(recordId))?.revision;
  const mark = removes && revision !== undefined ? null : nextMark();
  say({ begin: recordId, mark });
  const done =
    mark === null
      ? await storage.remove(recordId, revision)
      : await storage.write(recordOf(recordId, (revision ?? 0) + 1, mark), revision ?? 'absent');
  if (!done) throw new Error('nobody else writes here');
  say({ end: recordId, mark });
};

const tasks = {
  /** Writes, removes and locks until it is killed. */
  churn: async () => {
    say({ ready: true });
    for (let i = 0; ; i++) {
      await step('one', i % 3 === 2);
      await step('L'.repeat(300), i % 4 === 3);
      await storage.withLock('lock', () => step('two', false));
    }
  },
  /** Counts a record up by conditional writes. */
  count: async () => {
    for (let i = 0; i < rounds;) {
      const { revision, n } = await storage.read(id);
      if (await storage.write({ id, revision: revision + 1, n: n + 1 }, revision)) i++;
    }
  },
  /**
   * Adds to a file that only the lock protects: some turns, and more until each of the programs has had one. A program that had forty
   * times as many while another had none gives up: this one starves.
   */
  locked: async () => {
    const seen = new Set();
    let turns = 0;
    for (; turns < rounds || (seen.size < programs && turns < 40 * rounds); turns++) {
      await storage.withLock('lock', async () => {
        const text = `${readFileSync(file, 'utf8')}${process.pid}\n`;
        await storage.read(id);
        writeFileSync(file, text);
        for (const pid of text.trim().split('\n')) seen.add(pid);
      });
    }
    say({ turns });
  },
  /** One conditional write over revision 2. */
  write: async () => say({ result: await storage.write({ id, revision: 3, by: 'child' }, 2) }),
  remove: async () => say({ result: await storage.remove(id, 2) }),
  hold: () =>
    storage.withLock('lock', () => {
      say({ held: process.pid });
      return new Promise(() => setInterval(() => undefined, 1000));
    }),
  /** Watches and ends: nothing keeps it. */
  watch: async () => {
    storage.watch(() => undefined);
    await storage.readAll();
  },
  wait: () => storage.withLock('lock', async () => say({ got: 'lock' })),
  /** Waits for a lock and to write, and closes. */
  leave: async () => {
    const waiting = [storage.withLock('lock', async () => 'had it'), storage.write({ id, revision: 1 }, 'absent')];
    const codes = Promise.all(waiting.map((one) => one.catch(({ code }) => code)));
    while (readdirSync(join(folder, 'n-rx-credentials/locks')).length < 4) await new Promise((resolve) => setTimeout(resolve, 1));
    await storage.close();
    say({ left: await codes });
  },
  /** Says which records change, until it is killed. */
  tell: async () => {
    storage.watch((changed) => say({ changed }));
    await storage.readAll();
    say({ ready: true });
    setInterval(() => undefined, 1000);
  },
};
await tasks[task]();
