import { ChangeDetectionStrategy, Component, inject, input } from '@angular/core';
import { Accounts, parseTags } from '../accounts';
import { StatusLine } from '../status';

/** Sends the user to the authorization server. */
@Component({
  selector: 'app-sign-in-form',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form (submit)="signIn($event, field.value)">
      <label [for]="fieldId">Tags for {{ anew() ? 'the new credential' : 'the credential' }} <span class="muted">(optional)</span></label>
      <div>
        <input #field type="text" [id]="fieldId" placeholder="work, service:orders" autocomplete="off" spellcheck="false" />
        <button type="submit" class="primary">{{ anew() ? 'Add an account' : 'Sign in' }}</button>
      </div>
    </form>
  `,
  styles: `
    label {
      display: block;
      font-size: 0.875rem;
      margin-block-end: 0.25rem;
    }
    form div {
      display: flex;
      flex-wrap: wrap;
      gap: 0.5rem;
    }
    input {
      flex: 1 1 10rem;
    }
  `,
})
export class SignInForm {
  /** True asks for another user than the one who is signed in at the authorization server. */
  readonly anew = input(false);
  readonly #accounts = inject(Accounts);
  readonly #status = inject(StatusLine);
  protected readonly fieldId = 'sign-in-tags';

  protected signIn(event: Event, tags: string): void {
    event.preventDefault();
    void this.#status.run(() => this.#accounts.signIn({ anew: this.anew(), tags: parseTags(tags) }));
  }
}
