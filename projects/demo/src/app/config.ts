/** Where the servers of the demo are. `npm start` chooses the ports, so the page asks. */
import { InjectionToken } from '@angular/core';

export interface DemoConfig {
  readonly issuer: string;
  readonly clientId: string;
  /** What tokens may be sent to, and what lies below it. */
  readonly apiUrl: string;
  /** Of the API; its `/log` and `/public` are not below `apiUrl`. */
  readonly apiOrigin: string;
}

export const DEMO_CONFIG = new InjectionToken<DemoConfig>('addresses of the demo');

/** @throws {Error} with a sentence for people */
export async function loadConfig(): Promise<DemoConfig> {
  const response = await fetch('/demo-config.json').catch(() => undefined);
  if (!response) throw new Error('its server does not answer. Is “npm start” still running?');
  if (!response.ok) throw new Error(`its server answered ${response.status} when asked for the configuration. Reload in a moment.`);
  return parseConfig(await response.json().catch(() => null));
}

function parseConfig(value: unknown): DemoConfig {
  const { issuer, clientId, apiUrl, apiOrigin } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof issuer === 'string' && typeof clientId === 'string' && typeof apiUrl === 'string' && typeof apiOrigin === 'string') {
    return { issuer, clientId, apiUrl, apiOrigin };
  }
  throw new Error('the configuration its server sent is incomplete.');
}
