/**
 * The root component of an application with zone.js. It signs nobody in: it stores a token of three seconds, sealed in IndexedDB, which then
 * expires and is renewed ahead, by a function, while nobody asks. It says on the console how often the zone was entered meanwhile.
 *
 * @module
 */
import { ApplicationRef, Component, inject, NgZone } from '@angular/core';
import { createToken, type Token } from 'rx-credentials';
import { CredentialStore } from 'rx-credentials-angular';

export const context = { issuer: 'https://id.example.com', clientId: 'shop' };

/** A token that lives so many seconds. */
export function tokenOf(accessToken: string, lifetimeS: number): Token {
  const issuedAt = Date.now();
  const times = { issuedAt, expiresAt: issuedAt + lifetimeS * 1000 };
  return createToken({ id: 'alice', accessToken, tokenType: 'Bearer', scope: '', claims: null, context, ...times });
}

@Component({ selector: 'app-root', template: `<p>zone</p>` })
export class App {
  readonly #credentials = inject(CredentialStore);
  readonly #zone = inject(NgZone);
  readonly #application = inject(ApplicationRef);

  constructor() {
    void this.#run().catch((error: unknown) => console.log(String(error)));
  }

  async #run(): Promise<void> {
    const events: string[] = [];
    this.#credentials.events$.subscribe(({ type, origin }) => events.push(`${type} ${origin}`));
    await this.#credentials.store(tokenOf('first', 3));
    this.#zone.runOutsideAngular(() => {
      setTimeout(() => {
        let entries = 0;
        const inside: boolean[] = [];
        this.#zone.onUnstable.subscribe(() => entries++);
        this.#credentials.events$.subscribe(() => inside.push(NgZone.isInAngularZone()));
        events.length = 0;
        setTimeout(() => {
          const { isStable, hasPendingMacrotasks } = this.#zone;
          const generation = this.#credentials.snapshot().credentials[0]?.generation;
          const said = { entries, isStable, hasPendingMacrotasks, inside: inside.some((one) => one), generation, events };
          void this.#application.whenStable().then(() => console.log(JSON.stringify(said)));
        }, 7_000);
      }, 500);
    });
  }
}
