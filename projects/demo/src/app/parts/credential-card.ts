import { ChangeDetectionStrategy, Component, computed, effect, inject, input, viewChild } from '@angular/core';
import type { ElementRef } from '@angular/core';
import { toObservable, toSignal } from '@angular/core/rxjs-interop';
import type { CredentialState } from 'rx-credentials';
import { CredentialStore } from 'rx-credentials-angular';
import { map, switchMap } from 'rxjs';
import { Accounts } from '../accounts';
import { injectFocusRescue } from '../focus';
import { StatusLine } from '../status';
import { nameOf, statusInWords, tail } from '../words';
import { Avatar } from './avatar';
import { TagEditor } from './tag-editor';
import { TimeLeft } from './time-left';

/** One credential: who, until when, and what can be done with it. */
@Component({
  selector: 'app-credential-card',
  imports: [Avatar, TagEditor, TimeLeft],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './credential-card.html',
  styleUrl: './credential-card.css',
  host: {
    class: 'card',
    role: 'article',
    '[attr.aria-label]': 'name()',
    '[class.default]': 'credential().isDefault',
    'data-testid': 'credential',
  },
})
export class CredentialCard {
  readonly credential = input.required<CredentialState>();
  readonly #store = inject(CredentialStore);
  readonly #status = inject(StatusLine);
  protected readonly accounts = inject(Accounts);

  protected readonly name = computed(() => nameOf(this.credential()));
  protected readonly state = computed(() => statusInWords(this.credential()));
  protected readonly busy = computed(() => this.credential().status.activity !== 'idle');
  protected readonly ended = computed(() => this.credential().status.token === 'needs_sign_in');
  /** Of the secret itself nothing but its tail reaches a template. */
  protected readonly tokenTail = toSignal(
    toObservable(computed(() => this.credential().id)).pipe(
      switchMap((id) => this.#store.token$(id)),
      map((token) => tail(token?.accessToken)),
    ),
    { initialValue: '' },
  );

  private readonly main = viewChild<ElementRef<HTMLElement>>('main');

  constructor() {
    const rescueFocus = injectFocusRescue(this.main);
    const buttons = computed(() => `${this.credential().isDefault} ${this.ended()}`);
    effect(() => {
      buttons();
      rescueFocus();
    });
  }

  protected run(task: (id: string) => Promise<string>): void {
    if (this.busy()) return;
    void this.#status.run(() => task(this.credential().id));
  }

  protected signInAgain(): void {
    const { claims } = this.credential();
    const loginHint = claims?.email ?? claims?.sub;
    void this.#status.run(() => this.accounts.signIn({ anew: true, ...(loginHint !== undefined && { loginHint }) }));
  }
}
