/** Remembers what the store announced: `events$` is not replayed to late subscribers. */
import { computed, inject, Injectable, signal } from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import type { CredentialEvent } from 'rx-credentials';
import { CredentialStore } from 'rx-credentials-angular';

export interface LogEntry {
  readonly key: number;
  readonly event: CredentialEvent;
}

const MAX_ENTRIES = 200;

@Injectable({ providedIn: 'root' })
export class EventLog {
  readonly #entries = signal<readonly LogEntry[]>([]);
  #count = 0;
  /** Newest first. */
  readonly entries = this.#entries.asReadonly();
  /** What the user should hear of, though nobody asked for it. */
  readonly warnings = computed(() =>
    this.#entries().filter(({ event }) => event.type === 'record_quarantined' || event.type === 'not_durable'),
  );

  constructor() {
    inject(CredentialStore)
      .events$.pipe(takeUntilDestroyed())
      .subscribe((event) => {
        const entry = { key: this.#count++, event };
        this.#entries.update((entries) => [entry, ...entries].slice(0, MAX_ENTRIES));
      });
  }
}
