import { bootstrapApplication } from '@angular/platform-browser';
import { App } from './app/app';
import { appConfig } from './app/app.config';
import { loadConfig } from './app/config';

loadConfig()
  .then((config) => bootstrapApplication(App, appConfig(config)))
  .catch((error: unknown) => {
    console.error(error);
    const sentence = document.createElement('p');
    sentence.className = 'fatal';
    sentence.setAttribute('role', 'alert');
    sentence.textContent = `The demo could not start: ${error instanceof Error ? error.message : 'something unexpected happened.'}`;
    document.querySelector('app-root')?.replaceChildren(sentence);
  });
