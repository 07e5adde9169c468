import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import type { Problem } from '../words';

/** An error for people: a sentence first, the code for those who look it up, and what became of the stored credentials. */
@Component({
  selector: 'app-problem-note',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @let it = problem();
    <p class="sentence">
      <strong>{{ it.sentence }}</strong>
    </p>
    <p>
      <code class="badge bad" data-testid="problem-code">{{ it.code }}</code>&ngsp; <span class="muted">{{ it.detail }}</span>
    </p>
    @if (it.server) {
      <p class="muted">The server’s own words: “{{ it.server }}”</p>
    }
    <p data-testid="problem-effect">
      @if (unchanged()) {
        <span class="tick" aria-hidden="true">✓</span> Stored credentials are as they were ({{ stored() }}).
      } @else {
        Stored credentials changed; there are {{ stored() }} now.
      }
    </p>
  `,
  styles: `
    :host {
      display: block;
      border-inline-start: 4px solid var(--bad);
      padding-inline-start: 0.9rem;
    }
    p {
      margin-block: 0.35rem;
      overflow-wrap: anywhere;
    }
    .tick {
      color: var(--good);
      font-weight: 700;
    }
  `,
})
export class ProblemNote {
  readonly problem = input.required<Problem>();
  readonly unchanged = input.required<boolean>();
  /** How many credentials there are. */
  readonly stored = input.required<number>();
}
