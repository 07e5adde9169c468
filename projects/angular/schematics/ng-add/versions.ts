/**
 * What an application imports of ours.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The part of this package's own manifest that is read. */
interface Manifest {
  readonly version: string;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

/** Names and ranges of the packages, as the manifest of the installed one says. */
export function dependencies(): Readonly<Record<string, string>> {
  const { version, peerDependencies } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as Manifest;
  return { 'rx-credentials-angular': `^${version}`, 'rx-credentials': peerDependencies['rx-credentials'] ?? `^${version}` };
}
