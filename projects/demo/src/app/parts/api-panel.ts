import { HttpClient, HttpContext, HttpErrorResponse } from '@angular/common/http';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { injectCredentials, injectDefaultCredential, noCredential, useCredential } from 'rx-credentials-angular';
import { firstValueFrom } from 'rxjs';
import { DEMO_CONFIG } from '../config';
import { StatusLine } from '../status';
import { Trouble } from '../trouble';
import { inWords, nameOf, tail } from '../words';

interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly tokenTail: string | null;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly tokenTail: string | null;
}

const SHOWN_REQUESTS = 6;

/** Choices beside the credentials themselves. */
const DEFAULT = 'default';
const NOBODY = 'nobody';

/** Calls the API with the default credential, and shows what arrived there. */
@Component({
  selector: 'app-api-panel',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card', role: 'region', 'aria-labelledby': 'api-title' },
  templateUrl: './api-panel.html',
  styleUrl: './api-panel.css',
})
export class ApiPanel {
  readonly #http = inject(HttpClient);
  readonly #status = inject(StatusLine);
  readonly #trouble = inject(Trouble);
  protected readonly config = inject(DEMO_CONFIG);
  readonly #user = injectDefaultCredential();
  protected readonly user = computed(() => {
    const user = this.#user();
    return user ? nameOf(user) : null;
  });
  readonly #credentials = injectCredentials();
  protected readonly choices = computed(() => [
    { value: DEFAULT, label: this.user() === null ? 'the default: nobody' : `the default: ${this.user()}` },
    ...(this.#credentials() ?? []).map((credential) => ({ value: credential.id, label: nameOf(credential) })),
    { value: NOBODY, label: 'nobody: without a token' },
  ]);
  readonly #chosen = signal(DEFAULT);
  /** For whom the next call goes out: a credential that was removed meanwhile is no choice any more. */
  protected readonly choice = computed(() => (this.choices().some(({ value }) => value === this.#chosen()) ? this.#chosen() : DEFAULT));
  protected readonly answer = signal<Answer | null>(null);
  /** Newest first, as the API saw them. */
  protected readonly log = signal<readonly ApiRequest[]>([]);
  protected readonly calling = signal(false);

  protected call(url: string): void {
    if (this.calling()) return;
    this.calling.set(true);
    const choice = this.choice();
    const withoutToken = choice === NOBODY || (choice === DEFAULT && this.#user() === null);
    const context = choice === DEFAULT ? new HttpContext() : choice === NOBODY ? noCredential() : useCredential(choice);
    const ask = async (): Promise<string> => {
      try {
        const response = await firstValueFrom(this.#http.get<{ readonly tokenTail: string | null }>(url, { observe: 'response', context }));
        const { status, body } = response;
        this.answer.set({ status, body: JSON.stringify(body, null, 2), tokenTail: body?.tokenTail ?? null });
        return body?.tokenTail
          ? `The API answered ${status}; it saw the token ${tail(body.tokenTail)}.`
          : `The API answered ${status}; it saw no token.`;
      } catch (error) {
        this.answer.set(
          error instanceof HttpErrorResponse ? { status: error.status, body: JSON.stringify(error.error, null, 2), tokenTail: null } : null,
        );
        throw error;
      } finally {
        this.calling.set(false);
        await this.#readLog();
      }
    };
    void this.#status.run(ask, (error) => {
      const problem = inWords(error);
      const refused = withoutToken && error instanceof HttpErrorResponse && error.status === 401;
      return refused ? { ...problem, detail: 'No token went out; choose a credential, or make one the default.' } : problem;
    });
  }

  protected choose(value: string): void {
    this.#chosen.set(value);
  }

  protected spoil(): void {
    void this.#status.run(() => this.#trouble.spoil('access'));
  }

  protected tail(text: string | null): string {
    return text === null ? 'no token' : tail(text);
  }

  async #readLog(): Promise<void> {
    const requests = await firstValueFrom(this.#http.get<readonly ApiRequest[]>(`${this.config.apiOrigin}/log`)).catch(() => []);
    this.log.set(requests.slice(-SHOWN_REQUESTS).reverse());
  }
}
