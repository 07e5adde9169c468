import { REQUEST_CONTEXT } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';
import type { BootstrapContext } from '@angular/platform-browser';
import { App } from '../src/app/app';
import type { DemoConfig } from '../src/app/config';
import { serverConfig } from './app.config.server';

/** While the application is built there is no request, and no server that could be asked. */
const NOWHERE: DemoConfig = {
  issuer: 'https://id.example.com',
  clientId: 'spa',
  apiUrl: 'https://api.example.com/v1/',
  apiOrigin: 'https://api.example.com',
};

/** One application, and so one store, for each request. */
export default function bootstrap(context: BootstrapContext) {
  const config = context.platformRef?.injector.get(REQUEST_CONTEXT, null) as DemoConfig | null | undefined;
  return bootstrapApplication(App, serverConfig(config ?? NOWHERE), context);
}
