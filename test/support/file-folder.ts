// Temporary folders for tests of files, removed when the test file ends.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { nameOf, recordFile } from '../../src/storage/file/names';

const made: string[] = [];
afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A new, empty folder that does not exist yet: the storage makes it. */
export function newFolder(): string {
  const parent = mkdtempSync(join(tmpdir(), 'rxc-file-'));
  made.push(parent);
  return join(parent, 'credentials');
}

/** The folder of a namespace. */
export function recordsIn(folder: string, namespace = 'rx-credentials'): string {
  return join(folder, `n-${nameOf(namespace)}`);
}

/** The file of a record. */
export function fileOf(folder: string, id: string, namespace?: string): string {
  return join(recordsIn(folder, namespace), recordFile(nameOf(id)));
}

/** Puts a file where a record of this id would be, whatever its text is. */
export async function plantFile(path: string, text: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, text, { mode: 0o600 });
}

/** The lock folder of a name, as a holder of this name would leave it. */
export function plantLock(folder: string, lock: string, holder: string, namespace?: string): string {
  const entry = join(recordsIn(folder, namespace), 'locks', lock, holder);
  mkdirSync(entry, { recursive: true, mode: 0o700 });
  return entry;
}

/** What lies in the folder of locks: nothing, as long as nobody does anything. */
export function leftovers(folder: string, namespace?: string): Promise<string[]> {
  return readdir(join(recordsIn(folder, namespace), 'locks'));
}
