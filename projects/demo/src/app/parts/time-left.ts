import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import type { CredentialState } from 'rx-credentials';
import { Clock } from '../clock';

/** How long the access token lives. Width and digits change each second, nothing else. */
@Component({
  selector: 'app-time-left',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[attr.data-token]': 'credential().status.token' },
  template: `
    <div
      class="track"
      role="progressbar"
      aria-label="Time left of the access token"
      aria-valuemin="0"
      [attr.aria-valuemax]="totalSeconds()"
      [attr.aria-valuenow]="secondsLeft()"
      [attr.aria-valuetext]="text()"
    >
      <div class="fill" [style.transform]="scale()"></div>
    </div>
    <span class="time" aria-hidden="true">{{ text() }}</span>
  `,
  styles: `
    :host {
      display: grid;
      grid-template-columns: 1fr 5.5ch;
      align-items: center;
      gap: 0.75rem;
      --fill: var(--good);
    }
    :host([data-token='expiring']) {
      --fill: var(--warn);
    }
    :host([data-token='expired']),
    :host([data-token='needs_sign_in']) {
      --fill: var(--bad);
    }
    .track {
      block-size: 0.5rem;
      border-radius: 1rem;
      background: var(--sunken);
      box-shadow: inset 0 0 0 1px var(--line);
      overflow: hidden;
    }
    .fill {
      block-size: 100%;
      transform-origin: left;
      background: var(--fill);
      transition:
        transform 0.3s,
        background-color 0.3s;
    }
    .time {
      font-variant-numeric: tabular-nums;
      text-align: end;
      font-size: 0.875rem;
      white-space: nowrap;
    }
  `,
})
export class TimeLeft {
  readonly credential = input.required<CredentialState>();
  readonly #now = inject(Clock).now;
  protected readonly totalSeconds = computed(() => {
    const { expiresAt, issuedAt } = this.credential();
    return expiresAt === null ? 0 : Math.round((expiresAt - issuedAt) / 1000);
  });
  protected readonly secondsLeft = computed(() => {
    const { expiresAt, status } = this.credential();
    if (expiresAt === null || status.token === 'needs_sign_in') return 0;
    return Math.min(this.totalSeconds(), Math.max(0, Math.ceil((expiresAt - this.#now()) / 1000)));
  });
  protected readonly scale = computed(() => `scaleX(${this.totalSeconds() === 0 ? 0 : this.secondsLeft() / this.totalSeconds()})`);
  protected readonly text = computed(() => {
    if (this.credential().expiresAt === null) return 'no end';
    const seconds = this.secondsLeft();
    return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
  });
}
