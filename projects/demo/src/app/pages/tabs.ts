import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { DomSanitizer } from '@angular/platform-browser';
import { injectTabChannel, TAB_COUNT } from '../tabs';
import type { TabMessage } from '../tabs';

type Refreshed = Extract<TabMessage, { readonly type: 'refreshed' }>;

/** Eight pages that renew one token at the same instant: what loses the session elsewhere. */
@Component({
  selector: 'app-tabs',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card">
      <h1>Eight tabs, one refresh token</h1>
      <p class="muted">
        Each frame is a whole application with a store of its own, as a tab is: they share what is stored, the locks and the messages. The
        authorization server takes no refresh token twice. Press the button, and eight ask at once.
      </p>
      <div class="row">
        <button type="button" class="primary" [attr.aria-disabled]="!canAsk() || null" (click)="refreshAll()">
          Refresh in all eight at once
        </button>
        <p role="status" data-testid="tabs-result">{{ said() }}</p>
      </div>
    </section>
    <ul>
      @for (tab of tabs; track tab.number) {
        <li class="card"><iframe [src]="tab.url" [title]="'Tab ' + tab.number"></iframe></li>
      }
    </ul>
  `,
  styles: `
    :host {
      display: grid;
      gap: 1rem;
    }
    h1 {
      margin-block: 0 0.5rem;
      font-size: 1.5rem;
    }
    .row {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.5rem 1rem;
    }
    .row p {
      margin: 0;
      font-weight: 600;
    }
    ul {
      list-style: none;
      margin: 0;
      padding: 0;
      display: grid;
      gap: 1rem;
      grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
    }
    li {
      padding: 0.6rem;
    }
    iframe {
      inline-size: 100%;
      block-size: 10rem;
      border: 0;
      display: block;
    }
  `,
})
export class Tabs {
  readonly #sanitizer = inject(DomSanitizer);
  protected readonly tabs = Array.from({ length: TAB_COUNT }, (_, index) => ({
    number: index + 1,
    url: this.#sanitizer.bypassSecurityTrustResourceUrl(`/tab?n=${index + 1}`), // a page of ours, and no text of a user in it
  }));
  readonly #ready = signal<ReadonlySet<number>>(new Set());
  readonly #answers = signal<readonly Refreshed[] | null>(null);
  protected readonly canAsk = computed(() => {
    const answers = this.#answers();
    return this.#ready().size === TAB_COUNT && (answers === null || answers.length === TAB_COUNT);
  });
  protected readonly said = computed(() => {
    const answers = this.#answers();
    if (answers === null)
      return this.#ready().size < TAB_COUNT ? `${this.#ready().size} of ${TAB_COUNT} have started …` : 'Eight are waiting.';
    if (answers.length < TAB_COUNT) return 'All of them have asked …';
    const served = answers.filter(({ problem }) => problem === null);
    const requests = answers.reduce((sum, answer) => sum + answer.requests, 0);
    const tokens = new Set(served.map(({ tail }) => tail)).size;
    const problems = [...new Set(answers.map(({ problem }) => problem).filter((problem) => problem !== null))];
    const failed = problems.length > 0 ? `, the others got ${problems.join(', ')}` : '';
    const same = tokens === 1 ? ', all of them the same' : '';
    return `${served.length} of ${TAB_COUNT} have a new token${same}; ${requests} token ${requests === 1 ? 'request' : 'requests'}${failed}.`;
  });
  readonly #say = injectTabChannel((message) => {
    if (message.type === 'ready') this.#ready.update((tabs) => new Set(tabs).add(message.tab));
    if (message.type === 'refreshed') this.#answers.update((answers) => [...(answers ?? []), message]);
  });

  protected refreshAll(): void {
    if (!this.canAsk()) return;
    this.#answers.set([]);
    this.#say({ type: 'refresh' });
  }
}
