/**
 * Does to a built file and its source map what `eager` says. For `ng-packagr`, which takes no transformers.
 *
 *     node tools/eager-file.mjs FILE
 */
import { readFileSync, writeFileSync } from 'node:fs';
import remapping from '@jridgewell/remapping';
import ts from 'typescript';
import { eager } from './eager.mjs';

const [file] = process.argv.slice(2);
const { outputText, sourceMapText } = ts.transpileModule(readFileSync(file, 'utf8'), {
  fileName: file,
  compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, sourceMap: true },
  transformers: { after: [eager] },
});
const map = remapping(sourceMapText, (_, { depth }) => (depth === 1 ? readFileSync(`${file}.map`, 'utf8') : null));
writeFileSync(file, outputText);
writeFileSync(`${file}.map`, JSON.stringify(map));
