import { HttpClient } from '@angular/common/http';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { firstValueFrom } from 'rxjs';
import { DEMO_CONFIG } from '../config';
import { Faults } from '../faults';
import type { TokenFault } from '../faults';
import { StatusLine } from '../status';

const FAULTS: readonly { readonly fault: TokenFault; readonly label: string; readonly about: string }[] = [
  {
    fault: 'html',
    label: 'Token endpoint down',
    about: 'Every refresh gets a 503: it is tried again, later each time, and nothing is lost',
  },
  { fault: 'offline', label: 'Offline', about: 'Nothing leaves this page: no refresh, no call, no sign-in' },
];

/** Switches that stay on until they are switched off: watch the cards, the events and the API’s log meanwhile. */
@Component({
  selector: 'app-network-panel',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card', role: 'region', 'aria-labelledby': 'network-title' },
  template: `
    <h2 id="network-title">Faults that last</h2>
    <ul>
      <li>
        <label>
          <input type="checkbox" role="switch" [checked]="refusing()" (change)="refuse(!refusing())" />
          <span>
            <strong>API refuses tokens</strong>
            <span class="muted"
              >Each call gets a 401: one refresh and one retry, then the 401 is the answer, and there is no second refresh</span
            >
          </span>
        </label>
      </li>
      @for (one of faults; track one.fault) {
        <li>
          <label>
            <input type="checkbox" role="switch" [checked]="lasting() === one.fault" (change)="toggle(one.fault)" />
            <span>
              <strong>{{ one.label }}</strong>
              <span class="muted">{{ one.about }}</span>
            </span>
          </label>
        </li>
      }
    </ul>
    <p class="muted">
      Token requests of this page: <strong data-testid="token-requests">{{ refreshes() }}</strong>
    </p>
  `,
  styles: `
    h2,
    p {
      margin: 0;
    }
    ul {
      list-style: none;
      margin: 0.75rem 0;
      padding: 0;
      display: grid;
      gap: 0.6rem;
    }
    label {
      display: flex;
      gap: 0.7rem;
      align-items: baseline;
      cursor: pointer;
    }
    label strong,
    label .muted {
      display: block;
    }
    .muted {
      font-size: 0.9375rem;
    }
  `,
})
export class NetworkPanel {
  readonly #http = inject(HttpClient);
  readonly #faults = inject(Faults);
  readonly #status = inject(StatusLine);
  readonly #url = `${inject(DEMO_CONFIG).apiOrigin}/faults`;
  protected readonly faults = FAULTS;
  protected readonly lasting = this.#faults.lasting.asReadonly();
  protected readonly refreshes = this.#faults.refreshes.asReadonly();
  protected readonly refusing = signal(false);

  constructor() {
    firstValueFrom(this.#http.get<{ readonly refuse: boolean }>(this.#url)).then(
      ({ refuse }) => this.refusing.set(refuse),
      () => undefined, // the API is down: that is seen elsewhere
    );
  }

  protected refuse(refuse: boolean): void {
    void this.#status.run(async () => {
      await firstValueFrom(this.#http.post(this.#url, { refuse }));
      this.refusing.set(refuse);
      return refuse ? 'The API refuses every token from now on.' : 'The API takes valid tokens again.';
    });
  }

  protected toggle(fault: TokenFault): void {
    this.#faults.lasting.update((current) => (current === fault ? null : fault));
  }
}
