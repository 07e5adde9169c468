import { afterNextRender, ChangeDetectionStrategy, Component, computed, inject, Injector, input, signal, viewChild } from '@angular/core';
import type { ElementRef } from '@angular/core';
import type { CredentialState } from 'rx-credentials';
import { Accounts, parseTags } from '../accounts';
import { StatusLine } from '../status';

/** The tags of one credential, and a form to change them. */
@Component({
  selector: 'app-tag-editor',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (editing()) {
      <form (submit)="save($event, field.value)" (keydown.escape)="close()">
        <label class="hidden" [for]="fieldId()">Tags, separated by commas</label>
        <input
          #field
          type="text"
          [id]="fieldId()"
          [value]="text()"
          placeholder="work, service:orders"
          autocomplete="off"
          spellcheck="false"
        />
        <button class="small" type="submit">Save tags</button>
        <button class="small quiet" type="button" (click)="close()">Cancel</button>
      </form>
    } @else {
      <ul class="tags" aria-label="Tags">
        @for (tag of credential().tags; track tag) {
          <li class="tag">{{ tag }}</li>
        } @empty {
          <li class="muted">no tags</li>
        }
      </ul>
      <button class="small quiet" #opener type="button" (click)="open()">Edit tags</button>
    }
  `,
  styles: `
    :host {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.25rem 0.5rem;
      min-block-size: 2.25rem;
    }
    form {
      display: flex;
      flex-wrap: wrap;
      gap: 0.4rem;
      inline-size: 100%;
    }
    input {
      flex: 1 1 10rem;
    }
  `,
})
export class TagEditor {
  readonly credential = input.required<CredentialState>();
  readonly #accounts = inject(Accounts);
  readonly #status = inject(StatusLine);
  readonly #injector = inject(Injector);
  protected readonly editing = signal(false);
  protected readonly text = computed(() => this.credential().tags.join(', '));
  protected readonly fieldId = computed(() => `tags-${this.credential().id}`);

  private readonly input = viewChild<ElementRef<HTMLElement>>('field');
  private readonly button = viewChild<ElementRef<HTMLElement>>('opener');

  protected open(): void {
    this.editing.set(true);
    this.#focus(this.input);
  }

  /** The keyboard goes back to where it came from. */
  protected close(): void {
    this.editing.set(false);
    this.#focus(this.button);
  }

  protected save(event: Event, text: string): void {
    event.preventDefault();
    this.close();
    void this.#status.run(() => this.#accounts.setTags(this.credential().id, parseTags(text)));
  }

  #focus(element: () => ElementRef<HTMLElement> | undefined): void {
    afterNextRender({ write: () => element()?.nativeElement.focus() }, { injector: this.#injector });
  }
}
