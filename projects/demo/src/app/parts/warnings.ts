import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { EventLog } from '../event-log';
import { eventInWords } from '../words';

/** What the store found while it opened: nobody asked for it, and the user should know. */
@Component({
  selector: 'app-warnings',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @for (entry of warnings(); track entry.key) {
      <p role="alert" data-testid="warning">
        <code class="badge warn">{{ entry.event.type }}</code>&ngsp; <strong>{{ words(entry.event) }}.</strong> The others are not touched.
      </p>
    }
  `,
  styles: `
    p {
      margin: 0 0 1rem;
      padding: 0.7rem 1rem;
      border: 1px solid var(--warn);
      border-radius: 0.6rem;
      background: var(--surface);
    }
  `,
})
export class Warnings {
  protected readonly warnings = inject(EventLog).warnings;
  protected readonly words = eventInWords;
}
