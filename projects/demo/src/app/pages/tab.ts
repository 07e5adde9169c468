import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ActivatedRoute } from '@angular/router';
import { CredentialStore, injectDefaultCredential } from 'rx-credentials-angular';
import { map, of, switchMap } from 'rxjs';
import { Faults } from '../faults';
import { TimeLeft } from '../parts/time-left';
import { injectTabChannel } from '../tabs';
import { inWords, nameOf, statusInWords, tail } from '../words';

/** One of eight: an application and a store of its own, which shares storage, locks and messages with the others. */
@Component({
  selector: 'app-tab',
  imports: [TimeLeft],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <h1>Tab {{ number }}</h1>
    @if (user(); as user) {
      <p>
        <strong>{{ name() }}</strong> <span class="badge" data-testid="tab-state">{{ state() }}</span>
      </p>
      <app-time-left [credential]="user" />
      <p>
        Token <code data-testid="tab-token">{{ token() }}</code>
      </p>
    } @else if (user() === null) {
      <p class="muted">Nobody is signed in.</p>
    }
  `,
  styles: `
    :host {
      display: block;
      font-size: 0.9375rem;
      min-block-size: 100vh;
      background: var(--surface);
    }
    .badge {
      margin-inline-start: 0.4rem;
    }
    h1 {
      font-size: 1rem;
      margin: 0;
    }
    p {
      margin: 0.35rem 0;
    }
  `,
})
export class Tab {
  readonly #store = inject(CredentialStore);
  readonly #faults = inject(Faults);
  protected readonly number = Number(inject(ActivatedRoute).snapshot.queryParamMap.get('n') ?? 0);
  protected readonly user = injectDefaultCredential();
  protected readonly name = computed(() => {
    const user = this.user();
    return user ? nameOf(user) : '';
  });
  protected readonly state = computed(() => {
    const user = this.user();
    return user ? statusInWords(user) : '';
  });
  protected readonly token = toSignal(
    this.#store.default$.pipe(
      switchMap((credential) => credential?.token$ ?? of(null)),
      map((token) => tail(token?.accessToken)),
    ),
    { initialValue: '' },
  );
  readonly #say = injectTabChannel((message) => {
    if (message.type === 'refresh') void this.#refresh();
  });

  constructor() {
    void this.#store.ready.then(() => this.#say({ type: 'ready', tab: this.number }));
  }

  async #refresh(): Promise<void> {
    const before = this.#faults.refreshes();
    const answer = { type: 'refreshed', tab: this.number } as const;
    try {
      const token = await (await this.#store.getDefault())?.refresh();
      this.#say({ ...answer, requests: this.#faults.refreshes() - before, tail: tail(token?.accessToken), problem: null });
    } catch (error) {
      this.#say({ ...answer, requests: this.#faults.refreshes() - before, tail: null, problem: inWords(error).code });
    }
  }
}
