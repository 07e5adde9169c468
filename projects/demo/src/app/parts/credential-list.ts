import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, viewChild } from '@angular/core';
import type { ElementRef } from '@angular/core';
import { toObservable, toSignal } from '@angular/core/rxjs-interop';
import { CredentialStore } from 'rx-credentials-angular';
import { map, switchMap } from 'rxjs';
import { Accounts, parseTags } from '../accounts';
import { injectFocusRescue } from '../focus';
import { CredentialCard } from './credential-card';
import { SignInForm } from './sign-in-form';

/** All credentials, or those with the wanted tags: a live query of the store. */
@Component({
  selector: 'app-credential-list',
  imports: [CredentialCard, SignInForm],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <header>
      <h2 #title tabindex="-1">Credentials</h2>
      <div class="find" role="search">
        <label class="hidden" for="find">Find by tag</label>
        <input
          #find
          id="find"
          type="search"
          placeholder="whole tags: work, home"
          autocomplete="off"
          spellcheck="false"
          (input)="wanted.set(find.value)"
        />
        <span class="muted count" role="status" data-testid="count">{{ shown().length }} of {{ all().length }}</span>
      </div>
    </header>
    @for (credential of shown(); track credential.id) {
      <app-credential-card [credential]="credential" />
    } @empty {
      <p class="card muted">No credential has the {{ tags().length > 1 ? 'tags' : 'tag' }} “{{ tags().join(', ') }}”.</p>
    }
    <div class="card"><app-sign-in-form [anew]="true" /></div>
  `,
  styles: `
    :host {
      display: grid;
      grid-template-columns: minmax(0, 1fr);
      gap: 1rem;
      align-content: start;
    }
    header,
    .find {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.5rem 0.75rem;
    }
    h2 {
      margin: 0;
      flex: 1 1 auto;
    }
    .find input {
      inline-size: 13.5rem;
    }
    .count {
      min-inline-size: 6ch;
      font-size: 0.875rem;
      font-variant-numeric: tabular-nums;
    }
  `,
})
export class CredentialList {
  readonly #store = inject(CredentialStore);
  readonly #state = inject(Accounts).state;
  protected readonly wanted = signal('');
  protected readonly tags = computed(() => parseTags(this.wanted()));
  protected readonly all = computed(() => this.#state().credentials);
  readonly #found = toSignal(
    toObservable(this.tags).pipe(
      switchMap((tags) => this.#store.find$({ tags })),
      map((credentials) => new Set(credentials.map(({ id }) => id))),
    ),
    { initialValue: null },
  );
  protected readonly shown = computed(() => {
    const found = this.#found();
    return this.all().filter(({ id }) => !found || this.tags().length === 0 || found.has(id));
  });
  private readonly title = viewChild<ElementRef<HTMLElement>>('title');

  constructor() {
    const rescueFocus = injectFocusRescue(this.title);
    const cards = computed(() => this.shown().length);
    effect(() => {
      cards();
      rescueFocus();
    });
  }
}
