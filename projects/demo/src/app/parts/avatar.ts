import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

/** Initials on a colour that stays with the person. Decoration: the name stands beside it. */
@Component({
  selector: 'app-avatar',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { 'aria-hidden': 'true', '[class.small]': "size() === 'small'", '[style.--hue]': 'hue()' },
  template: `{{ initials() }}`,
  styles: `
    :host {
      display: inline-grid;
      place-items: center;
      flex: none;
      inline-size: 2.75rem;
      block-size: 2.75rem;
      border-radius: 50%;
      font-weight: 650;
      font-size: 1rem;
      letter-spacing: 0.02em;
      color: #fff;
      background: hsl(var(--hue) 45% 38%);
    }
    :host(.small) {
      inline-size: 1.875rem;
      block-size: 1.875rem;
      font-size: 0.75rem;
    }
  `,
})
export class Avatar {
  readonly name = input.required<string>();
  readonly seed = input.required<string>();
  readonly size = input<'normal' | 'small'>('normal');
  protected readonly initials = computed(() => {
    const words = this.name()
      .split(/[\s._-]+/)
      .filter((word) => word !== '');
    return words
      .slice(0, 2)
      .map((word) => [...word][0]?.toUpperCase())
      .join('');
  });
  protected readonly hue = computed(() => [...this.seed()].reduce((hue, letter) => (hue * 31 + (letter.codePointAt(0) ?? 0)) % 360, 200));
}
