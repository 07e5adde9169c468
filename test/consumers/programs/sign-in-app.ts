/**
 * The root component of the application of `docs/angular/protect-a-route.md`: says who is signed in, and asks the API.
 *
 * @module
 */
import { HttpClient } from '@angular/common/http';
import { Component, computed, inject, signal } from '@angular/core';
import { RouterOutlet } from '@angular/router';
import { injectCredentials } from 'rx-credentials-angular';
import { firstValueFrom } from 'rxjs';

/** The test puts it here. */
const API_URL = 'https://api.example.com/v1/orders';

@Component({
  selector: 'app-root',
  imports: [RouterOutlet],
  template: `
    <p id="who">{{ who() }}</p>
    <p id="answer">{{ answer() }}</p>
    <button type="button" (click)="ask()">Ask the API</button>
    <router-outlet />
  `,
})
export class App {
  readonly #credentials = injectCredentials();
  readonly #http = inject(HttpClient);
  readonly answer = signal('');
  readonly who = computed(
    () =>
      this.#credentials()
        ?.map(({ id, claims, tags }) => [claims?.name, id, ...tags].join(' '))
        .join(', ') || 'nobody',
  );

  async ask(): Promise<void> {
    const { orders } = await firstValueFrom(this.#http.get<{ readonly orders: readonly unknown[] }>(API_URL));
    this.answer.set(`${orders.length} orders`);
  }
}
