import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { StatusLine } from '../status';

/** Says what was just done. Its room is always there, so that nothing below it moves. */
@Component({
  selector: 'app-status-bar',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="wrap" role="status" aria-live="polite" data-testid="status">
      @let status = current();
      @if (status.kind === 'problem') {
        <code class="badge bad" data-testid="status-code">{{ status.problem.code }}</code>
        <span
          >{{ status.problem.sentence }} <span class="muted">{{ status.problem.detail }}</span></span
        >
      } @else {
        <span aria-hidden="true" class="dot" [class.warning]="status.kind === 'warning'"></span> <span>{{ status.text }}</span>
      }
    </div>
  `,
  styles: `
    :host {
      display: block;
      background: var(--sunken);
      border-block-end: 1px solid var(--line);
      font-size: 0.875rem;
      position: sticky;
      inset-block-start: 0;
      z-index: 1;
    }
    .wrap {
      display: flex;
      align-items: baseline;
      gap: 0.6rem;
      padding-block: 0.45rem;
      min-block-size: 2.25rem;
    }
    .dot {
      inline-size: 0.5rem;
      block-size: 0.5rem;
      border-radius: 50%;
      flex: none;
      background: var(--good);
    }
    .dot.warning {
      background: var(--warn);
    }
  `,
})
export class StatusBar {
  protected readonly current = inject(StatusLine).current;
}
