/**
 * What `ng add` was asked for (schema.json).
 *
 * @module
 */
import { SchematicsException } from '@angular-devkit/schematics';

/** Options of the command, with the defaults of the schema. */
export interface NgAddOptions {
  /** Default: the only application of the workspace. */
  readonly project?: string;
  /** Absolute URL. */
  readonly issuer: string;
  readonly clientId: string;
  /** Separated by spaces. */
  readonly scope: string;
  /** Absolute URL: the allow-list of the interceptor. */
  readonly apiUrl: string;
  /** Absolute URL. */
  readonly redirectUri: string;
}

/** @throws {SchematicsException} an option that the store would refuse when the application starts */
export function checkOptions(options: NgAddOptions): void {
  for (const name of ['issuer', 'apiUrl', 'redirectUri'] as const) {
    if (!isWebAddress(options[name])) throw new SchematicsException(`--${kebab(name)} is no absolute http(s) URL. Nothing was changed.`);
  }
  if (options.clientId.trim() === '') throw new SchematicsException('--client-id is empty. Nothing was changed.');
}

function isWebAddress(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
