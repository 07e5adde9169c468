import { ChangeDetectionStrategy, Component, computed, effect, inject, untracked, viewChild } from '@angular/core';
import type { ElementRef } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ActivatedRoute, NavigationEnd, NavigationSkipped, Router } from '@angular/router';
import { filter } from 'rxjs';
import { Accounts, WANTED } from '../accounts';
import { injectFocusRescue } from '../focus';
import { ApiPanel } from '../parts/api-panel';
import { CredentialList } from '../parts/credential-list';
import { EventPanel } from '../parts/event-panel';
import { NetworkPanel } from '../parts/network-panel';
import { SignInForm } from '../parts/sign-in-form';
import { TroublePanel } from '../parts/trouble-panel';
import { Warnings } from '../parts/warnings';
import { injectIsServer } from '../rendering';
import { StatusLine } from '../status';

@Component({
  selector: 'app-home',
  imports: [ApiPanel, CredentialList, EventPanel, NetworkPanel, SignInForm, TroublePanel, Warnings],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <app-warnings />
    @if (state().status === 'unknown') {
      <p class="muted" aria-busy="true">Reading what is stored …</p>
    } @else if (signedOut()) {
      <section class="hero card" aria-labelledby="hero-title">
        <p class="badge" data-testid="signed-out">signed out</p>
        <h1 id="hero-title" #title tabindex="-1">Tokens as state you can subscribe to</h1>
        <p class="lead">
          Sign in at a real authorization server. The tokens stay in this browser, live for a minute, are renewed once for all tabs, and go
          to one API and nowhere else.
        </p>
        @if (refusal(); as refusal) {
          <p data-testid="refusal">
            <strong>{{ refusal }}</strong>
          </p>
        }
        <app-sign-in-form />
      </section>
      <app-event-panel />
    } @else {
      <h1 class="hidden">Your credentials</h1>
      @if (refusal(); as refusal) {
        <p class="card" data-testid="refusal">
          <strong>{{ refusal }}</strong>
        </p>
      }
      <div class="columns">
        <app-credential-list />
        <div class="side">
          <app-api-panel />
          <app-event-panel />
          <app-network-panel />
        </div>
      </div>
    }
    <app-trouble-panel />
  `,
  styles: `
    :host {
      display: grid;
      grid-template-columns: minmax(0, 1fr);
      gap: 1rem;
    }
    app-warnings:empty {
      display: none;
    }
    .hero {
      padding: clamp(1.25rem, 5vw, 3rem);
      max-inline-size: 46rem;
      margin: clamp(0.5rem, 5vh, 3rem) auto;
      inline-size: 100%;
    }
    h1 {
      font-size: clamp(1.75rem, 5vw, 2.75rem);
      line-height: 1.1;
      letter-spacing: -0.03em;
      margin-block: 0.75rem 0.75rem;
      text-wrap: balance;
    }
    .lead {
      font-size: 1.0625rem;
      color: var(--muted);
      margin-block: 0 1.5rem;
    }
    .columns,
    .side {
      display: grid;
      gap: 1rem;
      grid-template-columns: minmax(0, 1fr);
      align-items: start;
    }
    @media (min-width: 60rem) {
      .columns {
        grid-template-columns: minmax(0, 1.05fr) minmax(0, 1fr);
      }
    }
  `,
})
export class Home {
  readonly #accounts = inject(Accounts);
  readonly #status = inject(StatusLine);
  protected readonly state = this.#accounts.state;
  protected readonly signedOut = computed(() => this.state().credentials.length === 0);
  readonly #query = toSignal(inject(ActivatedRoute).queryParamMap);
  /** Another one each time the user gets here, or is sent back to where they are. */
  readonly #arrival = toSignal(
    inject(Router).events.pipe(filter((event) => event instanceof NavigationEnd || event instanceof NavigationSkipped)),
  );
  readonly #known = computed(() => this.state().status !== 'unknown');
  /** Why the guard of the orders sent the user back. */
  protected readonly refusal = computed(() => {
    const { credentials, defaultId } = this.state();
    if (!this.#query()?.has(WANTED) || !this.#known()) return null;
    if (credentials.length === 0) return 'Sign in first: that page is for people who are signed in.';
    if (defaultId === null) return 'No credential is the default: press Make default on one.';
    const ended = credentials.some(({ id, status }) => id === defaultId && status.token === 'needs_sign_in');
    return ended ? 'The default credential is signed out: press Sign in again on it, or Make default on another.' : null;
  });
  private readonly title = viewChild<ElementRef<HTMLElement>>('title');

  constructor() {
    const rescueFocus = injectFocusRescue(this.title);
    effect(() => {
      this.#arrival();
      if (!this.#known()) return;
      const refusal = untracked(this.refusal);
      if (refusal !== null) this.#status.warn(refusal);
    });
    effect(() => {
      if (this.signedOut()) rescueFocus();
    });
    if (injectIsServer()) return; // it has no address bar to be cleaned
    void this.#accounts.finishSignOut().then((said) => {
      if (said !== null) this.#status.say(said);
    });
  }
}
