/**
 * What this storage needs of Node: the file system, which process holds what, and what its errors mean.
 *
 * @module
 */
/// <reference types="node" />
import { watch } from 'node:fs';
import * as promises from 'node:fs/promises';
import { hostname } from 'node:os';
import process from 'node:process';
import { StorageError } from '../../errors.js';
import { sha256 } from './names.js';

/** The system calls in use; tests put faults between any two of them. */
export type Files = Pick<
  typeof promises,
  'lstat' | 'mkdir' | 'open' | 'readFile' | 'readdir' | 'readlink' | 'rename' | 'rm' | 'rmdir' | 'utimes'
> & { readonly watch: typeof watch };

/** The real file system. */
export const nodeFiles: Files = { ...promises, watch };

/** The owner that files must have; `undefined` where the system knows none (Windows). */
export function ownUid(): number | undefined {
  return process.geteuid?.();
}

/** One process among all that share a folder. */
export interface Identity {
  readonly pid: number;
  /** Tells it from an earlier process of the same number; `0` where the system does not say (no `/proc`). */
  readonly start: string;
  /** The machine and the process namespace: process numbers of another one mean nothing here. */
  readonly machine: string;
}

/** Who this process is. */
export async function identify(files: Files): Promise<Identity> {
  const { pid } = process;
  const ownLink = await files.readlink('/proc/self').catch(() => '');
  const start = ownLink === String(pid) ? await startOf(files, pid).catch(() => undefined) : undefined;
  const space = await files.readlink('/proc/self/ns/pid').catch(() => '');
  const id = await files.readFile('/etc/machine-id', 'utf8').catch(() => ''); // machines made of one image may have one host name
  return { pid, start: start ?? '0', machine: sha256(`${hostname()} ${space} ${id}`).slice(0, 16) };
}

/** True if the system can tell whether this very process runs. A number alone may be that of another by now. */
export function mayBeAsked({ start, machine }: Identity, me: Identity): boolean {
  return machine === me.machine && start !== '0' && me.start !== '0';
}

/** True only if the process certainly runs no more; `false` also where this cannot be known. */
export async function isGone(files: Files, { pid, start, machine }: Identity, me: Identity): Promise<boolean> {
  if (machine !== me.machine) return false;
  try {
    if (mayBeAsked({ pid, start, machine }, me)) return (await startOf(files, pid)) !== start;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return codeOf(error) === 'ESRCH'; // anything else, too many open files for one, is no evidence
  }
}

/** When a process began, and in which run of the machine; `undefined` if there is none, or only what a parent has not yet buried. */
async function startOf(files: Files, pid: number): Promise<string | undefined> {
  let stat: string;
  try {
    stat = await files.readFile(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
  const boot = await files.readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${fields[19]}-${boot.slice(0, 8)}`;
}

/** The code of a system error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Resolves with `undefined` if the call fails with one of the codes. */
export async function unless<T>(call: Promise<T>, ...codes: readonly string[]): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (codes.includes(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** A text as a shell takes it for one word. */
export function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}

/** A system error as one of ours. The original is dropped; its message may hold anything. */
export function failed(error: unknown, folder: string): unknown {
  const code = codeOf(error);
  if (error instanceof Error && error.name === 'NotCapable')
    return new StorageError(
      'storage_failed',
      `Deno does not permit it: allow reading and writing of ${folder}, --allow-sys and --allow-run.`,
    );
  if (code === undefined || error instanceof StorageError || error instanceof TypeError) return error;
  const details = PASSING.test(code) ? ({ class: 'transient' } as const) : {};
  return new StorageError('storage_failed', `${MEANING[code] ?? `The file system answered ${code}`} (${folder}).`, details);
}

/** Of these codes the next attempt may find nothing any more. */
const PASSING = /^(EAGAIN|EBUSY|EINTR|EMFILE|ENFILE|ESTALE|ETIMEDOUT)$/;

const MEANING: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space; what was stored before is unharmed',
  EDQUOT: 'The disk quota is used up: free some space; what was stored before is unharmed',
  EROFS: 'The file system is read-only: remount it, or name another folder',
  EACCES: 'This user may not read or write the folder: look at it with ls -ld',
  EPERM: 'The system does not permit it: look at the folder with ls -ld and lsattr -d',
  ENOENT:
    'The folder is gone: it was removed, renamed or unmounted while in use. Put it back, or start the program again, which makes a new one',
  ENOTDIR: 'Part of the path is a file, not a folder: name another folder',
  EMFILE: 'This process has too many open files: raise the limit (ulimit -n)',
  ENFILE: 'The system has too many open files',
  EIO: 'The disk failed: look at the log of the system',
};
