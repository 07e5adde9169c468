import { mergeApplicationConfig } from '@angular/core';
import type { ApplicationConfig } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';
import { App } from './app/app';
import { appConfig } from './app/app.config';
import { loadConfig } from './app/config';

/**
 * Starts the demo in a browser. What goes wrong is said in the page.
 *
 * @param providers beside those of every browser
 */
export function start(...providers: ApplicationConfig['providers']): void {
  loadConfig()
    .then((config) => bootstrapApplication(App, mergeApplicationConfig(appConfig(config), { providers })))
    .catch((error: unknown) => {
      console.error(error);
      const sentence = document.createElement('p');
      sentence.className = 'fatal';
      sentence.setAttribute('role', 'alert');
      sentence.textContent = `The demo could not start: ${error instanceof Error ? error.message : 'something unexpected happened.'}`;
      document.querySelector('app-root')?.replaceChildren(sentence);
    });
}
