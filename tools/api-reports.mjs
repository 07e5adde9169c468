/**
 * Compares the public API of every entry point with its report in `docs/api`, and fails where they differ; `--update` writes the
 * reports instead. One configuration per entry point: `tools/api/*.json`. Needs a build.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const update = process.argv.includes('--update');
const configurations = fileURLToPath(new URL('./api/', import.meta.url));
mkdirSync(fileURLToPath(new URL('../docs/api/', import.meta.url)), { recursive: true });

let failed = false;
for (const file of readdirSync(configurations).filter((name) => name.endsWith('.json'))) {
  const configObjectFullPath = `${configurations}${file}`;
  const configObject = ExtractorConfig.loadFile(configObjectFullPath);
  const packageJsonFullPath = `${configObject.projectFolder}/package.json`; // the published package, not the workspace
  const config = ExtractorConfig.prepare({ configObject, configObjectFullPath, packageJsonFullPath });
  const { succeeded, apiReportChanged } = Extractor.invoke(config, { localBuild: update, messageCallback });
  const problem = succeeded ? '' : apiReportChanged ? 'differs from its report; look at it, then type: npm run update:api' : 'has errors';
  console.log(`${file.replace('.json', '')}: ${problem || (apiReportChanged ? 'report updated' : 'as reported')}`);
  failed ||= !succeeded;
}
process.exitCode = failed ? 1 : 0;

/** Errors and warnings only; the rest is chatter. */
function messageCallback(message) {
  if (message.logLevel === 'info' || message.logLevel === 'verbose') message.handled = true;
}
