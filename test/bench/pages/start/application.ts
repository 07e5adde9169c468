/**
 * The application of `rows/start.mjs`, but for who attaches the token: a component that asks the API once, as soon as it is made.
 *
 * @module
 */
import { HttpClient } from '@angular/common/http';
import { Component, inject, provideZonelessChangeDetection, signal } from '@angular/core';
import type { ApplicationRef, EnvironmentProviders } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';
import type { TokenFields } from 'rx-credentials';

/** What the row reads, in milliseconds since the navigation began. */
interface Started {
  readonly bootstrapAt: number;
  readonly requestAt: number;
  /** What the API said. */
  readonly answer: string;
}

declare global {
  interface Window {
    /** Puts a session into storage, for the starts that follow. */
    fill?: (fields: TokenFields) => Promise<void>;
  }
}

const query = new URLSearchParams(location.search);
/** The authorization server; nothing is asked of it. */
export const issuer = query.get('issuer') ?? '';
/** An address of the API, on another origin than the page. */
export const api = query.get('api') ?? '';

@Component({ selector: 'app-root', template: `<p>{{ answer() }}</p>` })
class App {
  readonly answer = signal('waiting');

  constructor() {
    inject(HttpClient)
      .get(`${api}orders`, { responseType: 'text' })
      .subscribe((answer) => {
        this.answer.set(answer);
        void requestTime().then((requestAt) => say({ bootstrapAt, requestAt, answer }));
      });
  }
}

function say(started: Started): void {
  void fetch('/said', { method: 'POST', body: JSON.stringify(started) });
}

/** When the browser was given the request, after whatever was done to get its token. */
function requestTime(): Promise<number> {
  return new Promise((resolve) => {
    const observer = new PerformanceObserver((list) => {
      const times = list.getEntries().filter(({ name }) => name.startsWith(api));
      if (times.length === 0) return;
      observer.disconnect();
      resolve(Math.min(...times.map(({ startTime }) => startTime)));
    });
    observer.observe({ type: 'resource', buffered: true });
  });
}

let bootstrapAt = 0;

/** Starts it. */
export async function start(
  providers: readonly EnvironmentProviders[],
  fill: (application: ApplicationRef, fields: TokenFields) => Promise<void>,
): Promise<void> {
  bootstrapAt = performance.now();
  const application = await bootstrapApplication(App, { providers: [provideZonelessChangeDetection(), ...providers] });
  window.fill = (fields) => fill(application, fields);
}
