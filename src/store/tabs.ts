/**
 * What others do to the same records. A message says only which record was written; the record itself is read from storage, so that a
 * lost, doubled or forged message costs a reading and nothing else (RF-12). After a sleep everything is read again.
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage, StorageCapabilities } from '../storage/storage.js';
import type { Ledger } from './ledger.js';

/** The tie to the other users of a storage. */
export interface Connection {
  announce(record: { readonly id: string; readonly generation: number; readonly revision: number }): void;
  close(): void;
}

/** Listens; `onWake` is called when time may have jumped. */
export function connect(
  storage: CredentialStorage,
  platform: Platform,
  ledger: Ledger,
  reach: StorageCapabilities['reach'],
  onWake: () => void,
): Connection {
  const reread = (id: string): void => void ledger.reread(id).catch(() => undefined); // the next reading tells
  const unwatch = storage.watch?.(reread);
  const hasTabs = reach === 'origin' && !unwatch;
  const channel = !hasTabs
    ? undefined
    : platform.openChannel?.(`${storage.namespace}:records`, (message) => {
        if (!isPlainObject(message) || typeof message['id'] !== 'string') return;
        const { id, revision } = message;
        const known = ledger.record(id)?.revision;
        if (known === undefined || typeof revision !== 'number' || revision > known) reread(id);
      });
  const unlisten = platform.lifecycle?.(() => {
    onWake();
    if (hasTabs) void ledger.reload().catch(() => undefined);
  });
  return {
    announce: ({ id, generation, revision }) => channel?.post({ id, generation, revision }),
    close: () => {
      unwatch?.();
      unlisten?.();
      channel?.close();
    },
  };
}
