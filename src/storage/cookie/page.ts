/**
 * The cookies of a page, shared by tabs. A browser may show a tab old cookies although a lock is held: Firefox and WebKit keep a copy in
 * each process (RF-2). IndexedDB says which are the newest.
 *
 * @module
 */
import type { Platform } from '../../platform/platform.js';
import { coordinated } from '../coordination.js';
import { exclusively } from '../deadline.js';
import type { CredentialStorage, StorageCapabilities } from '../storage.js';
import { entriesOf, nameOf, orphansOf, valueOf } from './crumbs.js';
import { answer, CAPACITY, outlivingOf, probe, put, sweep, take, type Tin } from './tin.js';

/** What `pageStorage` needs. */
export interface PageStorageOptions {
  readonly namespace: string;
  readonly tin: Tin;
  /** What a resolved write has survived. */
  readonly durability: StorageCapabilities['durability'];
  readonly platform: Platform;
}

/** A storage over the cookies of a page; coherent although these may be old. */
export function pageStorage({ namespace, tin, durability, platform }: PageStorageOptions): CredentialStorage {
  const lock = `${namespace}:cookies`;
  const sweepAll = async (): Promise<void> => {
    if (orphansOf(tin.all(), tin.base).length > 0) await storage.sweep?.();
  };
  const storage = coordinated({
    namespace,
    area: tin.place === '__Host-/' ? 'cookies' : `cookies ${tin.place}`,
    items: {
      get: (id) =>
        answer(() => {
          const value = valueOf(tin.all(), tin.base, id);
          return typeof value === 'string' ? JSON.stringify(value) : value; // text that cannot be read stays as it is
        }),
      set: (id, text) =>
        answer(() => {
          put(tin, id, JSON.parse(text));
          sweep(tin, tin.base + nameOf(id)); // of other records a tab may see new parts and the old head
        }),
      remove: (id) => answer(() => take(tin, id)),
      names: () => answer(() => entriesOf(tin.all(), tin.base).map(({ id }) => id)),
    },
    fleeting: { lock, tidy: () => sweep(tin), outlivingOf: (record) => outlivingOf(tin, record) },
    platform,
  });
  return {
    ...storage,
    open: async () => {
      const capabilities = await storage.open(); // first: a close that comes meanwhile must find it open
      await exclusively(platform, lock, () => answer(() => probe(tin)));
      return { ...capabilities, durability, capacity: CAPACITY };
    },
    write: async (record, condition) => {
      await sweepAll(); // what a tab that ended has left takes no room from others
      return storage.write(record, condition);
    },
    sweep: sweepAll,
  };
}
