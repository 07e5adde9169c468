import { DatePipe } from '@angular/common';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import type { CredentialEvent } from 'rx-credentials';
import { EventLog } from '../event-log';
import { eventInWords } from '../words';

/** What `events$` announced, newest first: ids, codes and reasons, never a token. */
@Component({
  selector: 'app-event-panel',
  imports: [DatePipe],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card', role: 'region', 'aria-labelledby': 'events-title' },
  template: `
    <header>
      <h2 id="events-title">Events</h2>
      <p class="muted"><code>credentials.events$</code>, newest first</p>
    </header>
    <!-- Focusable, because it scrolls. -->
    <div class="events" role="log" aria-label="Events of the store" tabindex="0" data-testid="events">
      <ol>
        @for (entry of entries(); track entry.key) {
          @let event = entry.event;
          <li [attr.data-type]="event.type">
            <time>{{ event.at | date: 'HH:mm:ss' }}</time>
            <code class="type" [class]="tone(event)">{{ event.type }}</code>
            <span class="words">
              {{ words(event) }}
              @if (code(event); as code) {
                <code class="badge bad">{{ code }}</code>
              }
            </span>
            <code class="id muted">{{ id(event) }}</code>
            <span class="origin muted">{{ event.origin }}</span>
          </li>
        } @empty {
          <li class="muted">Nothing has happened yet.</li>
        }
      </ol>
    </div>
  `,
  styleUrl: './event-panel.css',
})
export class EventPanel {
  protected readonly entries = inject(EventLog).entries;
  protected readonly words = eventInWords;

  protected id(event: CredentialEvent): string {
    return 'id' in event && event.id !== null ? event.id.slice(0, 8) : '';
  }

  protected code(event: CredentialEvent): string | null {
    return 'code' in event ? event.code : null;
  }

  protected tone({ type }: CredentialEvent): string {
    if (type === 'token_added' || type === 'token_replaced') return 'good';
    if (type === 'expiring' || type === 'expired' || type === 'interaction_required' || type === 'challenged') return 'warn';
    return ['refresh_failed', 'sign_in_required', 'record_quarantined', 'not_durable'].includes(type) ? 'bad' : '';
  }
}
