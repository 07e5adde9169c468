/**
 * What others do to the same records. A message says only which record was written; the record itself is read from storage, so that a
 * lost, doubled or forged message costs a reading and nothing else (RF-12).
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import type { Platform } from '../platform/platform.js';
import type { CredentialStorage, StorageCapabilities } from '../storage/storage.js';

/** What is told of a write. */
export interface Announced {
  readonly id: string;
  readonly generation: number;
  readonly revision: number;
}

/** The tie to the other users of a storage. */
export interface Connection {
  /** False where nobody tells of a write. */
  readonly hears: boolean;
  /** `begun`: another write will tell what came of it, if whoever has begun it lives as long. */
  announce(record: Announced, begun?: boolean): void;
  close(): void;
}

/** Calls back when somebody wrote a record; the revision is theirs to say. */
export function connect(
  storage: CredentialStorage,
  platform: Pick<Platform, 'openChannel'>,
  reach: StorageCapabilities['reach'],
  heard: (id: string, revision?: unknown, begun?: unknown) => void,
): Connection {
  const unwatch = storage.watch?.((id) => heard(id));
  const hasTabs = reach !== 'process' && !unwatch;
  const hear = (message: unknown): void => {
    if (isPlainObject(message) && typeof message['id'] === 'string') heard(message['id'], message['revision'], message['begun']);
  };
  const channel = hasTabs ? hint(() => platform.openChannel?.(`${storage.namespace}:records`, hear)) : undefined;
  return {
    hears: !!(unwatch ?? (reach === 'origin' && channel)), // no channel reaches another program
    announce: ({ id, generation, revision }, begun) => hint(() => channel?.post({ id, generation, revision, ...(begun && { begun }) })),
    close: () => {
      hint(() => unwatch?.());
      hint(() => channel?.close());
    },
  };
}

/** Messages are no more than hints: a channel that throws, as some extensions make it, costs no command; nor does an end to listening. */
export function hint<T>(say: () => T): T | undefined {
  try {
    return say();
  } catch {
    return undefined;
  }
}
