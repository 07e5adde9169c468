import type { ChildProcess } from 'node:child_process';
import { fileStorage } from '../../src/storage/file';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import type { CredentialStorage } from '../../src/storage/storage';
import { runs } from '../support/counts';
import { startChild, type Line } from '../support/file-children';
import { leftovers, newFolder } from '../support/file-folder';

/** Kills in all: half at a system call of the program, one after the other, half from outside at any instant. */
const KILLS = runs(50, 1_000) / 2;
/** More system calls than the program makes until it has written, written over, removed and locked everything once. */
const CALLS = 330;

interface Model {
  /** The mark of the last write that was acknowledged; `null` for removed or never there. */
  readonly acknowledged: Map<string, string | null>;
  /** What was begun and not acknowledged. */
  begun: { readonly id: string; readonly mark: string | null } | undefined;
}

/** A platform that tells how often someone waited for a lock. */
function countingPlatform(): Platform & { pauses(): number } {
  const real = defaultPlatform();
  let pauses = 0;
  return {
    ...real,
    setTimer: (callback, delayMs) => {
      if (delayMs < 1_000) pauses++;
      return real.setTimer(callback, delayMs);
    },
    pauses: () => pauses,
  };
}

/** Runs the program until it ends; `kill` is called with the number of each line, and the model hears what it says. */
async function run(options: Line, model: Model, kill: (line: number, child: ChildProcess) => void = () => undefined): Promise<void> {
  let said = 0;
  const child = await startChild({ task: 'churn', signal: 'SIGKILL', ...options }, ({ begin, end, mark }, process) => {
    if (typeof begin === 'string') model.begun = { id: begin, mark: mark as string | null };
    if (typeof end === 'string') {
      model.acknowledged.set(end, mark as string | null);
      model.begun = undefined;
    }
    kill(++said, process);
  });
  expect(await child.ended).toBe('SIGKILL');
}

/** Every record is the old or the new one, whole; the model is told which. */
async function compare(storage: CredentialStorage, model: Model): Promise<void> {
  const entries = await storage.readAll();
  const found = new Map<string, string>();
  for (const { id, value } of entries) {
    const { mark } = value as { mark: string };
    expect(value).toEqual({ id, revision: expect.any(Number) as number, mark, filler: mark.repeat(500) });
    found.set(id, mark);
  }
  const { begun } = model;
  if (begun && (found.get(begun.id) ?? null) === begun.mark) model.acknowledged.set(begun.id, begun.mark);
  model.begun = undefined;
  const expected = [...model.acknowledged].filter(([, mark]) => mark !== null);
  expect([...found].sort()).toEqual(expected.sort());
}

/** Another program, open since before the kills, gets every lock at once and can change every record. */
async function goOn(storage: CredentialStorage, model: Model): Promise<void> {
  await storage.withLock!('lock', () => Promise.resolve());
  for (const [id, mark] of model.acknowledged) {
    if (mark === null) continue;
    const { revision } = (await storage.read(id)) as { revision: number };
    expect(await storage.write({ id, revision: revision + 1, mark, filler: mark.repeat(500) } as never, revision)).toBe(true);
  }
}

async function survive(kill: (folder: string, model: Model, count: number) => Promise<void>): Promise<number> {
  const folder = newFolder();
  const platform = countingPlatform();
  const survivor = fileStorage({ folder, platform });
  await survivor.open();
  const model: Model = { acknowledged: new Map(), begun: undefined };
  let left = 0;
  for (let count = 0; count < KILLS; count++) {
    await kill(folder, model, count);
    left += (await leftovers(folder)).length;
    await compare(survivor, model);
    if (count % 2) await goOn(survivor, model);
    else await fileStorage({ folder }).open();
    if (count % 2 === 0) expect(await leftovers(folder)).toEqual([]);
  }
  expect(platform.pauses()).toBe(0); // nobody waited for a dead one
  expect([...model.acknowledged.keys()].sort()).toEqual(['L'.repeat(300), 'one', 'two']);
  return left;
}

describe('a program with the file storage', () => {
  it(
    'RF-6 killed before any of its system calls leaves the old record or the new one, loses nothing it acknowledged, and frees its locks at once',
    async () => {
      const left = await survive((folder, model, count) => run({ folder, at: Math.floor((count * CALLS) / KILLS) }, model));
      expect(left).toBeGreaterThan(KILLS / 4); // most kills fell into a change
    },
    KILLS * 4_000,
  );

  it(
    'RF-6 killed at any instant leaves the old record or the new one, loses nothing it acknowledged, and frees its locks at once',
    async () => {
      await survive((folder, model, count) =>
        run({ folder }, model, (line, child) => void (line === 1 + ((count * 7) % 30) && child.kill('SIGKILL'))),
      );
    },
    KILLS * 4_000,
  );
});
