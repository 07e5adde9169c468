import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { Router, RouterLink } from '@angular/router';
import { CredentialStore } from 'rx-credentials-angular';
import { Accounts } from '../accounts';
import { ProblemNote } from '../parts/problem-note';
import { StatusLine } from '../status';
import { fingerprint } from '../trouble';
import { inWords } from '../words';
import type { Problem } from '../words';

/** Where the authorization server sends the user back to. */
@Component({
  selector: 'app-callback',
  imports: [ProblemNote, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card" aria-live="polite">
      @if (failure(); as failure) {
        <h1 data-testid="callback-failed">You were not signed in</h1>
        <app-problem-note role="alert" [problem]="failure.problem" [unchanged]="failure.unchanged" [stored]="failure.stored" />
        <p class="actions">
          <button type="button" class="primary" (click)="tryAgain()">Try again</button>
          <a class="button" routerLink="/">Back to the credentials</a>
        </p>
      } @else {
        <h1>Signing in …</h1>
        <p class="muted" aria-busy="true">The code is exchanged for tokens.</p>
      }
    </section>
  `,
  styles: `
    section {
      max-inline-size: 42rem;
      margin: clamp(0.5rem, 8vh, 4rem) auto;
      padding: clamp(1.25rem, 4vw, 2.25rem);
    }
    h1 {
      font-size: 1.5rem;
      margin-block: 0 1rem;
      letter-spacing: -0.02em;
    }
    .actions {
      display: flex;
      flex-wrap: wrap;
      gap: 0.5rem;
      margin-block: 1.5rem 0;
    }
  `,
})
export class Callback {
  readonly #accounts = inject(Accounts);
  readonly #store = inject(CredentialStore);
  readonly #status = inject(StatusLine);
  readonly #router = inject(Router);
  protected readonly failure = signal<{ readonly problem: Problem; readonly unchanged: boolean; readonly stored: number } | null>(null);

  constructor() {
    void this.#finish();
  }

  async #finish(): Promise<void> {
    const finished = this.#accounts.finishSignIn(); // first of all: from here on the address bar holds no code
    finished.catch(() => undefined); // judged below, after storage was read
    await this.#store.ready;
    const before = fingerprint(this.#store.snapshot());
    try {
      this.#status.say(await finished);
      await this.#router.navigateByUrl(this.#accounts.takeDestination(), { replaceUrl: true });
    } catch (error) {
      const after = this.#store.snapshot();
      this.failure.set({ problem: inWords(error), unchanged: fingerprint(after) === before, stored: after.credentials.length });
      this.#status.warn('The sign-in did not succeed.');
    }
  }

  protected tryAgain(): void {
    void this.#status.run(() => this.#accounts.tryAgain());
  }
}
