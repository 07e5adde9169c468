import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { CredentialStore } from 'rx-credentials-angular';
import { Accounts } from '../accounts';
import { injectIsServer } from '../rendering';
import { fingerprint, Trouble } from '../trouble';
import { inWords } from '../words';
import type { Problem } from '../words';
import { ProblemNote } from './problem-note';

interface Switch {
  readonly label: string;
  readonly about: string;
  readonly run: (trouble: Trouble) => Promise<string>;
}

interface Result {
  readonly label: string;
  readonly said?: string;
  readonly problem?: Problem;
  readonly unchanged: boolean;
}

const GROUPS: readonly { readonly title: string; readonly switches: readonly Switch[] }[] = [
  {
    title: 'On the way back from sign-in',
    switches: [
      { label: 'Wrong state', about: 'An answer to a sign-in nobody began', run: (it) => it.comeBackWithWrongState() },
      { label: 'With an error', about: 'The user said no', run: (it) => it.comeBackWithError() },
      { label: 'Foreign issuer', about: 'Another server’s answer (mix-up)', run: (it) => it.comeBackFromForeignIssuer() },
      { label: 'Visit it twice', about: 'The same callback again', run: (it) => it.comeBackTwice() },
    ],
  },
  {
    title: 'At the authorization server',
    switches: [
      { label: 'Wrong issuer', about: 'A slash too many in the configuration', run: (it) => it.wrongIssuer() },
      { label: 'Unreachable issuer', about: 'An address nobody answers at', run: (it) => it.unreachableIssuer() },
      { label: 'Garbage for a token', about: 'The token endpoint answers broken JSON', run: (it) => it.badTokenAnswer('garbage') },
      { label: 'Maintenance page', about: '503 and HTML instead of a token', run: (it) => it.badTokenAnswer('html') },
      { label: 'Offline', about: 'The refresh never leaves', run: (it) => it.badTokenAnswer('offline') },
    ],
  },
  {
    title: 'In what is stored',
    switches: [
      { label: 'Break a record', about: 'Writes gibberish into IndexedDB, then reloads', run: (it) => it.breakStoredRecord() },
      { label: 'Clean up again', about: 'Removes the broken record', run: (it) => it.removeBrokenRecord() },
      { label: 'Spoil refresh token', about: 'Revoked behind the store’s back, with its access token', run: (it) => it.spoil('refresh') },
    ],
  },
];

/** Switches for bad input, and what came of it. */
@Component({
  selector: 'app-trouble-panel',
  imports: [ProblemNote],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card', role: 'region', 'aria-labelledby': 'trouble-title' },
  templateUrl: './trouble-panel.html',
  styleUrl: './trouble-panel.css',
})
export class TroublePanel {
  readonly #trouble = inject(Trouble);
  readonly #store = inject(CredentialStore);
  protected readonly state = inject(Accounts).state;
  protected readonly groups = GROUPS;
  protected readonly result = signal(injectIsServer() ? null : this.#afterReload());
  protected readonly running = signal(false);

  #afterReload(): Result | null {
    const broken = this.#trouble.takeBroken();
    return broken ? { label: 'Break a record', said: 'The page has started again. See the banner above.', unchanged: true } : null;
  }

  protected async run({ label, run }: Switch): Promise<void> {
    if (this.running()) return;
    this.running.set(true);
    const before = fingerprint(this.#store.snapshot());
    const unchanged = (): boolean => fingerprint(this.#store.snapshot()) === before;
    try {
      const said = await run(this.#trouble);
      this.result.set({ label, said, unchanged: unchanged() });
    } catch (error) {
      this.result.set({ label, problem: inWords(error), unchanged: unchanged() });
    } finally {
      this.running.set(false);
    }
  }
}
