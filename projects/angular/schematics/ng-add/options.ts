/**
 * What `ng add` was asked for (schema.json).
 *
 * @module
 */
import { SchematicsException } from '@angular-devkit/schematics';
import { complaintOf } from './rules.js';

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

/** @throws {SchematicsException} an option that the application would refuse when it starts */
export function checkOptions(options: NgAddOptions): void {
  const complaint = complaintOf(options);
  if (complaint !== undefined) throw new SchematicsException(`${complaint}. Nothing was changed.`);
}
