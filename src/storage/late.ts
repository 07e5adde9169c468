/**
 * A storage whose code most programs do not need.
 *
 * @module
 */
import { isStorageError, notLoaded, StorageError } from '../errors.js';
import type { CredentialStorage } from './storage.js';

/** A storage that is loaded when it is first asked something. A load that failed is tried again the next time, which helps where the runtime does not keep the failure. */
export function late(
  namespace: string,
  load: () => Promise<CredentialStorage>,
): CredentialStorage & Pick<Required<CredentialStorage>, 'prepare' | 'sweep'> {
  let loading: Promise<CredentialStorage> | undefined;
  const loaded = (): Promise<CredentialStorage> =>
    (loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw isStorageError(error) ? error : notLoaded(error, StorageError);
    }));
  return {
    namespace,
    open: async () => (await loaded()).open(),
    read: async (id) => (await loaded()).read(id),
    readAll: async () => (await loaded()).readAll(),
    write: async (record, condition) => (await loaded()).write(record, condition),
    remove: async (id, condition) => (await loaded()).remove(id, condition),
    prepare: async () => (await loaded()).prepare?.(),
    sweep: async () => (await loaded()).sweep?.(),
    close: async () =>
      loading?.then(
        (storage) => storage.close(),
        () => undefined, // nothing was loaded
      ),
  };
}
