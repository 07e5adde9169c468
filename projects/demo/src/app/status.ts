/** The one line that says what was just done, and what went wrong. */
import { Injectable, signal } from '@angular/core';
import { inWords } from './words';
import type { Problem } from './words';

export type Status = { readonly kind: 'done' | 'warning'; readonly text: string } | { readonly kind: 'problem'; readonly problem: Problem };

@Injectable({ providedIn: 'root' })
export class StatusLine {
  readonly #current = signal<Status>({ kind: 'done', text: 'Ready.' });
  readonly current = this.#current.asReadonly();

  say(text: string): void {
    this.#current.set({ kind: 'done', text });
  }

  /** For what was not done, though nothing broke. */
  warn(text: string): void {
    this.#current.set({ kind: 'warning', text });
  }

  /** Runs what a button does; its last words, or its error, become the status. */
  async run(task: () => Promise<string>, explain: (error: unknown) => Problem = inWords): Promise<void> {
    try {
      this.say(await task());
    } catch (error) {
      this.#current.set({ kind: 'problem', problem: explain(error) });
    }
  }
}
