/**
 * Loads what a refresh needs before one is due. Browsers keep an `import()` that failed for the life of the page, and a deployment removes
 * the files of the page that is open: what is loaded when it is needed may not come any more (D-061).
 *
 * @module
 */
import type { LivingContext } from './living.js';

/** What is loaded ahead. */
export interface Ahead {
  /** There is a credential, for which requests may have to be made. */
  consider(id: string): void;
  close(): void;
}

/** Nobody waits for it, and it takes no time from who waits for a start: each thing has a turn of its own. */
export function loadAhead({
  ledger,
  platform,
  clientOf,
  storageOf,
}: Pick<LivingContext, 'ledger' | 'platform' | 'clientOf' | 'storageOf'>): Ahead {
  const cancels: (() => void)[] = [];
  const later = (load: () => Promise<unknown> | undefined): void =>
    void cancels.push(platform.setTimer(() => void (async () => load())().catch(() => undefined), 0)); // who needs it hears what failed
  let isAsked = false; // once for all: clients share their code
  const renewals = new Set<unknown>();
  if (storageOf().prepare) later(() => storageOf().prepare?.());
  return {
    consider: (id) => {
      const record = ledger.record(id);
      const client = record?.state === 'active' ? clientOf(record) : undefined;
      if (!client) return;
      const { renew } = client;
      if (client.load && !isAsked) later(() => client.load?.());
      if (renew?.load && !renewals.has(renew)) later(() => renew.load?.(client));
      isAsked ||= client.load !== undefined;
      renewals.add(renew);
    },
    close: () => cancels.forEach((cancel) => cancel()),
  };
}
