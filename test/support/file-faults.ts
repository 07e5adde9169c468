// A file system with something happening before each system call: an error, a signal, or nothing but counting.
import type { FileHandle } from 'node:fs/promises';
import { nodeFiles, type Files } from '../../src/storage/file/system';

/** The real file system; `before` is called with the name of each call and its path, and what it throws is the answer. */
export function hooked(before: (call: string, path: string) => unknown): Files {
  const hook = async (call: string, path: unknown): Promise<void> => void (await before(call, String(path)));
  const handleOf = (handle: FileHandle, path: unknown): FileHandle =>
    new Proxy(handle, {
      get: (target, member) => {
        const value: unknown = Reflect.get(target, member);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]): Promise<unknown> => {
          const call = String(member);
          if (call !== 'close') await hook(call, path);
          else await hook(call, path).finally(() => target.close()); // a descriptor is given back whatever close says
          return call === 'close' ? undefined : Reflect.apply(value, target, args);
        };
      },
    });
  const calls = Object.entries(nodeFiles).map(([call, run]) => [
    call,
    async (...args: unknown[]): Promise<unknown> => {
      await hook(call, args[0]);
      const result: unknown = await Reflect.apply(run as (...all: unknown[]) => unknown, undefined, args);
      return call === 'open' ? handleOf(result as FileHandle, args[0]) : result;
    },
  ]);
  return { ...(Object.fromEntries(calls) as Files), watch: nodeFiles.watch };
}

/** What a failing system call throws. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: a text that nobody should pass on`), { code });
}
