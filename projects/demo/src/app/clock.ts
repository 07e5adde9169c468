/** The wall clock as a signal, for bars that show time left. Whether a token is expired is the store's to say. */
import { DestroyRef, inject, Injectable, signal } from '@angular/core';

const TICK_MS = 1000;

@Injectable({ providedIn: 'root' })
export class Clock {
  readonly #now = signal(Date.now());
  readonly now = this.#now.asReadonly();

  constructor() {
    const timer = setInterval(() => this.#now.set(Date.now()), TICK_MS);
    inject(DestroyRef).onDestroy(() => clearInterval(timer));
  }
}
